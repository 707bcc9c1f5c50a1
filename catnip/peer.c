#include "config.h"

#include "base/time.h"
#include "catnip/device.h"
#include "catnip/relay.h"
#include "libos/log.h"

#include <rte_eal.h>
#include <rte_ethdev.h>


#define LOOK_PASSES 16u
#define RETRY_MS 2u		/* doubled up to */
#define RETRY_MAX_MS 50u
#define ANSWER_MS 1000u		/* that a peer has for its part of the handshake */

static bool link_is_up(const struct catnip_port *port)
{
	struct rte_eth_link link = { 0 };

	return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status;
}

static void came(struct catnip_port *port)
{
	port->up = true;
	port->retry_ms = RETRY_MS;
	port->count[PORT_C_LINK_UPS]++;
	atomic_store(&port->gate.up, true);
	log_debug("catnip: %s: the peer is there", port->link.vdev);
	port_push_waiting(port);
}

/* What the driver had is lost, and it does not give it back (22.11). */
static void went(struct catnip_port *port)
{
	port->n_losses += port->up;
	port->up = false;
	atomic_store(&port->gate.up, false);
	log_debug("catnip: %s: the peer has gone", port->link.vdev);
	port_drop_waiting(port, true);
	if (!port->drv->keeps)
		return;
	port->count[PORT_C_RECOVERED] += pool_recover(&port->small);
	port->count[PORT_C_RECOVERED] += pool_recover(&port->full);
	port->count[PORT_C_RECOVERED] += pool_recover(&port->rx);
}

/* ---- the client calls; in the interrupt thread, apart from the driver's answers */

static void call(void *arg)
{
	struct catnip_port *port = arg;

	if (port->started)
		rte_eth_dev_stop(port->id);
	port->started = (!port->link.zero_copy || eal_memory_fd_restore()) &&
			rte_eth_dev_start(port->id) == 0;
}

int port_call(struct catnip_port *port)
{
	int err;

	/* without hugepages it is what it was at the start */
	if (port->link.zero_copy && (!port->range.end || rte_eal_has_hugepages()))
		mem_first_list(&port->range);
	port->call.fn = call;
	port->call.arg = port;
	err = eal_run(&port->call);
	port->calling = !err;
	port->retry_at = time_now() + ANSWER_MS * NSEC_PER_MSEC;
	return err;
}

static void call_again(struct catnip_port *port)
{
	uint64_t now = time_now();

	if (port->calling) {
		if (!atomic_load(&port->call.done))
			return;
		port->calling = false;
		if (port->started) /* answers within ANSWER_MS, or is called again */
			return;
		if (port->link.zero_copy && !eal_memory_fd_restore())
			port_copy_from_now(port);
		port->retry_at = now + port->retry_ms * NSEC_PER_MSEC;
		port->retry_ms *= port->retry_ms < RETRY_MAX_MS ? 2 : 1;
	}
	if (now >= port->retry_at)
		port_call(port);
}

void port_look(struct catnip_port *port)
{
	bool up;

	if (++port->looks % LOOK_PASSES)
		return;
	up = (!port->calling || atomic_load(&port->call.done)) && link_is_up(port);
	if (up && !port->up)
		came(port);
	else if (!up && port->up)
		went(port);
	if (!up && port->link.end)
		call_again(port);
}

static void stop(void *arg)
{
	struct catnip_port *port = arg;

	rte_eth_dev_stop(port->id);
	port->started = false;
}

void port_hang_up(struct catnip_port *port)
{
	struct eal_job job = { .fn = stop, .arg = port };

	atomic_store(&port->gate.up, false); /* nobody will take what has come */
	catnip_link_withdraw(&port->link);
	relay_close(port->relay);
	port->relay = NULL;
	if (port->calling)
		eal_finish(&port->call);
	if (port->started && !eal_run(&job))
		eal_finish(&job);
	went(port);
}

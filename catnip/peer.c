#include "config.h"

#include "base/time.h"
#include "catnip/device.h"
#include "libos/log.h"

#include <rte_eal.h>
#include <rte_ethdev.h>

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

/* ---- the server's socket, of which the driver forgets to take leave (22.11) */

void port_find_listener(struct catnip_port *port)
{
	struct sockaddr_un sun;
	const char *path = strstr(port->link.args, "/proc/self/fd/");
	int max = port->link.dir + 64; /* it was made right after that */

	port->listener = -1;
	for (int fd = 0; path && !port->link.end && fd < max; fd++) {
		socklen_t len = sizeof(sun);

		memset(&sun, 0, sizeof(sun));
		if (getsockname(fd, (struct sockaddr *)&sun, &len) < 0 ||
		    sun.sun_family != AF_UNIX || !*sun.sun_path)
			continue;
		if (!strncmp(path, sun.sun_path, strlen(sun.sun_path)))
			port->listener = fd;
	}
}

/* Its callback stays behind with EAL, and would find freed memory. So nobody knocks
 * at that descriptor any more. */
static void stop(void *arg)
{
	struct catnip_port *port = arg;
	int nothing = port->listener < 0 ? -1 : eventfd(0, EFD_CLOEXEC);

	if (nothing >= 0) {
		dup3(nothing, port->listener, O_CLOEXEC);
		close(nothing);
	}
	port->listener = -1;
	rte_eth_dev_stop(port->id);
}

/* Whoever has called waits for the answer before it leaves: a server whose caller is
 * gone before it is greeted ends the process (22.11: the greeting's descriptor is
 * closed, and stays with EAL, which panics). */
static void await_answer(const struct catnip_port *port)
{
	const struct timespec nap = { 0, 100000 };
	uint64_t end = time_now() + ANSWER_MS / 4 * NSEC_PER_MSEC;

	while (port->started && port->link.end && !port->up && !link_is_up(port) &&
	       time_now() < end)
		nanosleep(&nap, NULL);
}

void port_hang_up(struct catnip_port *port)
{
	struct eal_job job = { .fn = stop, .arg = port };

	catnip_link_withdraw(&port->link); /* who calls now would meet the same */
	if (port->calling && !eal_wait(&port->call, ANSWER_MS))
		return;
	await_answer(port);
	if (port->started && !eal_run(&job))
		eal_wait(&job, ANSWER_MS);
	port->started = false;
	went(port);
}

/*
 * A port from inside: what its open and close (port.c), receive (rx.c), transmit
 * (tx.c) and the coming and going of its peer (peer.c) share.
 */
#ifndef CATNIP_DEVICE_H
#define CATNIP_DEVICE_H

#include "catnip/driver.h"
#include "catnip/eal.h"
#include "catnip/link.h"
#include "catnip/mem.h"
#include "catnip/pool.h"
#include "catnip/port.h"

#include <rte_ethdev.h>
#include <stdbool.h>
#include <stdint.h>

struct pcap;
struct relay;

#define COPY_MAX 256u		/* a payload up to here is quicker copied than shown */
#define SMALL_ROOM (NET_HDR_ROOM + COPY_MAX)
#define MAX_WAITING (CATNIP_BURST)

enum port_count {
	PORT_C_RX_PACKETS,
	PORT_C_RX_BYTES,
	PORT_C_RX_JOINED,	/* bytes of packets that came in several pieces */
	PORT_C_RX_COPIED,	/* bytes, because the receive pool ran low or is another's */
	PORT_C_RX_DROPPED,	/* no memory for a copy */
	PORT_C_TX_PACKETS,
	PORT_C_TX_BYTES,
	PORT_C_TX_COPIED,	/* bytes of payload, short or not for the driver */
	PORT_C_TX_SHOWN,	/* bytes of payload that the driver took where they lie */
	PORT_C_TX_NO_MBUF,
	PORT_C_TX_FULL,		/* times that the driver did not take all */
	PORT_C_TX_NO_LINK,	/* packets dropped because nobody was there */
	PORT_C_LINK_UPS,
	PORT_C_RECOVERED,	/* mbufs that a driver had forgotten */
	PORT_C_PCAP_PACKETS,
	PORT_C_PCAP_LOST,
	PORT_N_COUNTS
};

struct catnip_port {
	/* receive */
	uint16_t id;
	bool up;		/* of a link with a peer: it is there */
	bool gated;
	bool chain;
	bool sums;		/* checksums are computed and looked at */
	uint8_t idle;		/* passes without a packet */
	uint8_t looks;		/* until the link is looked at */
	uint32_t rx_out_max;	/* that many may be out before copies are made */
	const struct driver *drv;
	uint64_t *count;	/* enum port_count */
	struct pcap *pcap;
	struct libos *os;
	struct eal_gate gate;
	struct pool rx;

	/* transmit */
	struct pool small __attribute__((__aligned__(64)));
	struct pool full;	/* whole frames, for what cannot be shown */
	struct rte_mbuf *waiting[MAX_WAITING]; /* not taken by the driver yet */
	uint32_t n_waiting;
	uint32_t n_shown;	/* slices with the driver */
	struct mem_range range;	/* REACH_FIRST_LIST */
	uint64_t offloads;	/* RTE_ETH_TX_OFFLOAD_* in use */
	struct net_dev dev;

	struct libos_pool reserve;
	struct libos_area *reserve_area; /* all of it; NULL: there is none */

	/* cold */
	struct rte_device *rte_dev; /* for REACH_DMA, else NULL */
	struct catnip_link link;
	uint32_t slot;
	bool started;
	bool loops;
	bool is_open;
	uint64_t retry_at;	/* ns: when to call the peer again */
	uint32_t retry_ms;
	struct eal_job call;
	bool calling;
	struct relay *relay;	/* of a memif's server; or NULL */
	uint32_t n_losses;	/* of the peer */
};

static inline bool port_enter(struct catnip_port *port)
{
	return likely(!port->gated) || (port->up && eal_gate_enter(&port->gate));
}

static inline void port_leave(struct catnip_port *port)
{
	if (port->gated)
		eal_gate_leave(&port->gate);
}

/* tx.c */
extern const struct net_dev_ops port_dev_ops;
/* Gives the driver what waits; true: something is left. */
bool port_push_waiting(struct catnip_port *port);
/* Drops what waits; only what shows somebody's memory, or all of it. */
void port_drop_waiting(struct catnip_port *port, bool all);
/* Asks the driver for what it has sent. */
void port_reclaim(struct catnip_port *port);

/* reserve.c */
#define RESERVE_BUF 8192u
void port_reserve_open(struct catnip_port *port);
void port_reserve_close(struct catnip_port *port);
/* One of RESERVE_BUF bytes; NULL: none is left, or size is more. */
struct libos_buf *port_reserve_alloc(struct catnip_port *port, uint32_t size);

/* peer.c */
/* Looks after a link whose other end may go and come back. */
void port_look(struct catnip_port *port);
int port_call(struct catnip_port *port);
/* port.c: zero-copy is not possible any more. */
void port_copy_from_now(struct catnip_port *port);
void port_hang_up(struct catnip_port *port);

#endif /* CATNIP_DEVICE_H */

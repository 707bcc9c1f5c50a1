/*
 * A host: a stack on a device of our own, a cable, programs. It looks after them
 * in passes, as a wait loop does.
 */
#ifndef TESTS_SIM_HOST_H
#define TESTS_SIM_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"
#include "tests/sim/lane.h"
#include "tests/sim/mem.h"
#include "tests/sim/prog.h"
#include "tests/sim/rnd.h"

struct world;

#define HOST_SHARED_IP 2u	/* with any_addr: 127.0.0.1 */
#define HOST_TX_MAX 256u
#define HOST_RX_MAX 4096u

struct host_plan {
	char config[768];	/* of its stack */
	uint64_t seed;
	uint64_t clock;		/* what its clock shows in the beginning */
	bool ethernet;
	bool rx_csum;		/* the device checks checksums */
	bool static_arp;	/* knows its neighbours without asking */
	bool announce;
	bool any_addr, link_loop; /* are in its config */
	bool few_ports, few_neighs;
	bool iss_wraps;		/* its sequence numbers begin just below 2^32 */
	bool starves;		/* its first attempts to begin find no memory */
	uint16_t mtu;
	uint32_t segment;
	uint32_t n_ips;
	uint32_t caps;		/* enum net_dev_cap */
	uint32_t tso_max;
	uint32_t tx_ring;	/* packets the device takes before they are on the link */
	uint32_t shy;		/* of a million transmits: takes fewer than it could */
	uint32_t alloc_fail, heap_fail; /* of a million */
	uint32_t buf_size;	/* what a received frame pins, at least */
	uint64_t dma_ns;	/* until the device has read a packet, at most */
	uint64_t pass_ns;	/* between a packet's arrival and its pass, at most */
	uint64_t late_ns;	/* timers are looked at so late, at most */
	uint32_t n_dry;		/* times without receive buffers */
	uint64_t dry_every, dry_ns;
	uint32_t n_hangs;	/* times in which the device takes nothing */
	uint64_t hang_every, hang_ns;
	uint64_t dies_at, dead_ns; /* 0: never */
	uint32_t rcvbuf, sndbuf, rto_max_ms;
	uint32_t time_wait_ms;
	struct lane_plan tx, rx;
	uint32_t n_cuts;
	uint64_t cut_every, cut_ns;
};

struct host {
	struct world *w;
	uint32_t nr;
	struct host_plan plan;
	struct net_dev dev;
	struct net_stack *stack; /* NULL: dead */
	uint64_t count[NET_N_COUNTS];
	struct mem_use use;
	struct lane tx, rx;
	struct cuts cuts, dry, hangs;
	struct rnd rnd;
	struct list progs, due;
	uint64_t wake_at;
	bool died;		/* at least once */
	uint64_t died_at;

	struct net_out ring[HOST_TX_MAX]; /* the device's */
	uint32_t ring_first, ring_n;
	bool dma_runs;
	struct net_mem *received[HOST_RX_MAX];
	uint32_t received_first, received_n;

	uint64_t n_input, n_taken; /* packets, since its stack began */
	uint64_t n_passes;
	uint64_t same_now, n_same; /* passes without time going on */
	uint64_t last_dry;
	uint32_t iss;
};

void host_init(struct host *h, struct world *w, uint32_t nr, const struct host_plan *plan);
void host_fini(struct host *h);
bool host_has_ip(const struct host *h, uint32_t ip);
struct net_ip host_ip(const struct host *h, uint32_t which);
/* One that it may have for a while, and that nobody knows. */
uint32_t host_extra_ip(const struct host *h);
uint64_t host_now(const struct host *h);
/* A pass no later than at. */
void host_wake(struct host *h, uint64_t at);
/* From its cable. */
void host_receive(void *host, struct net_mem *frame);
/* When anything last kept packets from it or of it. */
uint64_t host_last_fault(struct host *h);

/* The device, nic.c. */
void nic_init(struct host *h);
/* Whether it takes nothing now. */
bool nic_hangs(struct host *h);
/* Everything it has goes. */
void nic_reset(struct host *h);

#endif /* TESTS_SIM_HOST_H */

/*
 * A whole network and all that happens in it, from one seed. Everything that is
 * not as it has to be ends in world_fail().
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/caller.h"
#include "tests/sim/dgram.h"
#include "tests/sim/event.h"
#include "tests/sim/flow.h"
#include "tests/sim/host.h"
#include "tests/sim/intruder.h"
#include "tests/sim/lane.h"
#include "tests/sim/link.h"
#include "tests/sim/mem.h"
#include "tests/sim/monitor.h"
#include "tests/sim/trace.h"
#include "tests/sim/wire.h"

#define HOSTS_MOST 4u
#define LISTENERS_MOST 16u

/* Everything that the seed decides before anything happens. */
struct plan {
	uint32_t n_hosts, n_listeners, n_flows, n_dgrams;
	bool gives_up;		/* stacks give up sooner than the network comes back */
	bool repeats;		/* the network may bring a packet twice */
	bool calm;		/* the network does no harm at all */
	uint32_t heap_fail;	/* of a million allocations */
	uint32_t tampers;	/* bits of enum tamper_kind: what a lane may do */
	bool dumb_router;
	bool direct;		/* no switch, no router: two hosts, or one with itself */
	uint32_t n_losses;	/* of a direct link */
	uint64_t loss_every, loss_ns; /* at most */
	bool has_intruder;
	uint64_t patience_ns;	/* who does not move for so long, without harm, is stuck */
	uint64_t quiet_ns;	/* in which everything that is closed comes to its end */
	struct host_plan hosts[HOSTS_MOST];
	struct {
		uint32_t host;
		uint32_t ip;	/* which of its own, and 1; 0: all */
		uint16_t port;
		int backlog;
		uint64_t accept_ns;
	} listeners[LISTENERS_MOST];
	struct caller_plan callers[HOSTS_MOST];
	struct flow_plan *flows;
	struct dgram_plan *dgrams;
	struct intruder_plan intruder;
};

void plan_make(struct plan *p, uint64_t seed);
void plan_free(struct plan *p);
void plan_print(const struct plan *p);
/* What this seed's trouble is mostly about. */
const char *plan_theme(uint64_t seed);

/* What a run amounts to. */
struct tally {
	uint64_t bytes;		/* that polite flows have delivered */
	uint64_t conns;		/* that polite flows took */
	uint64_t frames, events, dgrams;
	uint64_t ns;		/* of virtual time */
	uint64_t faults[FAULTS];
	uint64_t count[NET_N_COUNTS];
};

struct world {
	uint64_t seed;
	struct events events;
	struct mems mems;
	struct trace trace;
	struct monitor *monitor;
	struct wire wire;
	struct host hosts[HOSTS_MOST];
	uint32_t n_hosts;
	struct listener listeners[LISTENERS_MOST];
	uint32_t n_listeners;
	struct flow *flows;
	uint32_t n_flows;
	struct dgram *dgrams;
	uint32_t n_dgrams;
	struct intruder *intruder;
	struct caller callers[HOSTS_MOST];
	struct link link;
	struct end *ends;
	bool gives_up, repeats, calm, heap_fail;
	uint64_t patience_ns, quiet_ns;
	bool over, ended;
	uint64_t n_events;
};

/* Runs it to its end; returns only if all is well. */
void world_run(uint64_t seed, bool trace, struct tally *tally_out);

/* Says what is wrong, the last packets, how to see it again; ends the process. */
__attribute__((__format__(__printf__, 2, 3), __noreturn__))
void world_fail(struct world *w, const char *format, ...);

bool world_is_over(const struct world *w);
void world_host_is_back(struct world *w, struct host *h);
/* A port that somebody has there, in host order; 9 if nobody. */
uint16_t world_tcp_port(struct world *w, const struct host *h);
uint16_t world_udp_port(struct world *w, const struct host *h);

#endif /* TESTS_SIM_WORLD_H */

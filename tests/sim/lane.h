/*
 * One direction of a cable: it takes time, has a rate and a queue, and loses,
 * repeats, reorders, spoils and rewrites frames as its plan says.
 */
#ifndef TESTS_SIM_LANE_H
#define TESTS_SIM_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/rnd.h"
#include "tests/sim/tamper.h"

struct net_mem;
struct world;

enum fault {
	FAULT_LOSS,
	FAULT_BURST,
	FAULT_CUT,
	FAULT_QUEUE,		/* it was full */
	FAULT_DUP,
	FAULT_REORDER,
	FAULT_CORRUPT,
	FAULT_TRUNCATE,
	FAULT_TAMPER,
	FAULTS
};
extern const char *const fault_names[FAULTS];

/* Both directions of a cable are cut at once. */
struct cuts {
	uint32_t left;		/* still to come */
	uint64_t every, length;	/* ns, at most */
	uint64_t from, to;	/* the last or the next one */
	struct rnd rnd;
};

struct lane_plan {
	uint64_t delay, jitter;	/* ns */
	uint64_t ps_per_byte;	/* 0: no limit */
	uint32_t queue;		/* bytes that may wait */
	uint32_t loss, burst, dup, reorder, corrupt, truncate, tamper; /* of a million */
	uint32_t burst_len;	/* frames, at most */
	uint64_t reorder_ns;	/* at most so much later */
	uint32_t lose_nth;	/* this frame is lost in any case; 0: none */
	uint32_t tampers;	/* bits of enum tamper_kind */
};

struct lane {
	struct world *w;
	int who;
	bool ethernet;
	struct lane_plan plan;
	struct rnd rnd;
	struct cuts *cuts;
	struct tamper tamper;
	void (*out)(void *arg, struct net_mem *frame);
	void *arg;
	uint64_t busy_until, last_arrival;
	uint32_t burst_left;	/* frames */
	uint64_t burst_until;
	uint64_t last_fault;	/* when something was last kept from arriving in time */
	uint64_t n[FAULTS];
	uint64_t frames;
};

void cuts_init(struct cuts *c, uint64_t seed, uint32_t n, uint64_t every, uint64_t length);
bool cuts_are_on(struct cuts *c, uint64_t now);

void lane_init(struct lane *l, struct world *w, const struct lane_plan *plan, uint64_t seed);
/* Takes the frame over. */
void lane_send(struct lane *l, struct net_mem *frame);
/* ns until what is queued now has gone. */
uint64_t lane_backlog(const struct lane *l);
/* When it last did harm: now, if it is cut. */
uint64_t lane_last_fault(struct lane *l);

#endif /* TESTS_SIM_LANE_H */

/*
 * A program that calls a stack as it should not, or as nobody else here does, in
 * the midst of everybody's traffic, and holds each answer against net.h.
 */
#ifndef TESTS_SIM_CALLER_H
#define TESTS_SIM_CALLER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/ask.h"
#include "tests/sim/prog.h"
#include "tests/sim/rnd.h"

struct world;

#define CALLER_KEEPS 12u

struct caller_plan {
	uint32_t n;		/* turns; 0: there is none */
	uint64_t start_at;
	uint64_t gap_ns;	/* between them, at most */
};

/* A socket that outlives its turn. */
struct kept {
	struct net_sock *sock;
	bool tcp, listens, closed; /* closed: it reports */
	struct asked asked;
};

struct caller {
	struct prog prog;
	struct world *w;
	struct rnd rnd;
	struct caller_plan plan;
	uint32_t left;
	bool routed;		/* has added its route */
	struct kept kept[CALLER_KEEPS];
};

void caller_init(struct caller *c, struct world *w, struct host *host,
		 const struct caller_plan *plan, uint64_t seed);
/* The host lives again. */
void caller_again(struct caller *c);
/* For good. */
void caller_close(struct caller *c);

#endif /* TESTS_SIM_CALLER_H */

/*
 * A direct link is lost, and both hosts are told; and comes back.
 */
#ifndef TESTS_SIM_LINK_H
#define TESTS_SIM_LINK_H

#include <stdint.h>

#include "tests/sim/rnd.h"

struct world;

struct link {
	struct world *w;
	struct rnd rnd;
	uint32_t left;		/* times that it will be lost */
	uint64_t every, length;	/* ns, at most */
};

void link_init(struct link *l, struct world *w, uint32_t n, uint64_t every, uint64_t length);

#endif /* TESTS_SIM_LINK_H */

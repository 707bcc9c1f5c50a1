/* Both sides of a pair of rings in one process, and two threads that send
 * messages through them. */
#ifndef TESTS_UNIT_RING_PAIR_H
#define TESTS_UNIT_RING_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "catmem/ring.h"

struct ring_pair {
	struct ring a;
	struct ring b;
	char *half[2];	/* a's and b's */
	size_t half_size;
};

/* n slots each way. position: as if that many messages had gone both ways. */
void ring_pair_init(struct ring_pair *pair, uint32_t n, uint32_t position);
void ring_pair_fini(struct ring_pair *pair);

/* What message i looks like. */
uint32_t ring_pair_tag(uint32_t i);
void ring_pair_fill(uint8_t *data, uint32_t i);
bool ring_pair_matches(const uint8_t *data, uint32_t i);

/*
 * One thread sends `messages` to another over n slots, in the middle of which
 * the positions wrap; every byte is checked. sleeping: a side that cannot go on
 * sleeps until its bell rings, for ever if need be; else it yields. Returns how
 * often they slept. What goes wrong is said on stderr, then abort().
 */
uint32_t ring_pair_exchange(uint32_t n, uint32_t messages, bool sleeping);

#endif /* TESTS_UNIT_RING_PAIR_H */

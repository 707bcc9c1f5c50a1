/*
 * A box on the way that changes what passes: no byte of a stream, but everything
 * around them that a network may change, and packets beside them that nobody sent.
 */
#ifndef TESTS_SIM_TAMPER_H
#define TESTS_SIM_TAMPER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/rnd.h"

struct net_mem;
struct world;

enum tamper_kind {
	TAMPER_RESEGMENT,	/* TCP: in pieces that overlap, in any order */
	TAMPER_FRAGMENT,	/* IP: in pieces, some missing or twice */
	TAMPER_IP_OPTIONS,
	TAMPER_SYN_OPTIONS,	/* taken out of a SYN */
	TAMPER_BAD_OPTIONS,	/* beside it: one whose options make no sense */
	TAMPER_URGENT,
	TAMPER_ECN,
	TAMPER_WINDOW,		/* smaller than it was */
	TAMPER_FORGED_SEQ,	/* beside it: one far from the window */
	TAMPER_FORGED_ACK,	/* beside it: of what was never sent */
	TAMPER_FORGED_RST,	/* beside it: far from the window */
	TAMPER_FORGED_SYN,
	TAMPER_OLD_TIMESTAMP,	/* beside it */
	TAMPER_ICMP,		/* beside it, back: soft errors */
	TAMPER_REPLAY,		/* once more, much later */
	TAMPER_KINDS
};
#define TAMPER_ALL ((1u << TAMPER_KINDS) - 1)

#define TAMPER_MAX 40u

struct tamper {
	struct world *w;
	struct rnd rnd;
	uint32_t kinds;
	bool ethernet;
	uint16_t id;		/* of fragments */
	uint64_t n[TAMPER_KINDS];
};

/* What goes on instead. */
struct tampered {
	struct net_mem *frame;
	uint64_t later;		/* ns; 0: in its turn */
};

void tamper_init(struct tamper *t, struct world *w, uint64_t seed, uint32_t kinds, bool ethernet);
/* Takes the frame over; returns how many there are in its place. */
uint32_t tamper(struct tamper *t, struct net_mem *frame, struct tampered out[TAMPER_MAX]);

#endif /* TESTS_SIM_TAMPER_H */

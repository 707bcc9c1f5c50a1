/*
 * Datagrams from one host to another over UDP, and perhaps back: each that arrives
 * is one that was sent, whole, from whom it says, and no more often than the
 * network repeats it; those that do not are on some counter.
 */
#ifndef TESTS_SIM_DGRAM_H
#define TESTS_SIM_DGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"
#include "tests/sim/prog.h"
#include "tests/sim/rnd.h"

struct host;
struct world;

struct dgram_plan {
	uint32_t from, to;	/* hosts */
	uint32_t from_ip, to_ip;
	uint16_t port;
	uint32_t n;
	uint32_t size_min, size_max;
	uint64_t gap_ns;	/* between them, at most */
	uint64_t start_at;
	bool connects;		/* else names the peer each time */
	bool echoes;
	bool closed;		/* nobody is there */
	uint64_t hoard_ns;	/* the receiver keeps each so long, at most */
	uint64_t read_ns;	/* between reads */
	int64_t rcvbuf;		/* 0: as it is */
};

struct dgram;

struct dgram_end {
	struct prog prog;
	struct dgram *d;
	struct net_sock *sock;
	bool receives;
	bool blocked;
	uint64_t next_at;
	uint8_t *seen;		/* by number */
	uint64_t n_seen;
	struct {
		struct net_mem *mem;
		uint32_t pinned;
		uint64_t until;
	} held[64];
	uint32_t held_first, held_n;
};

struct dgram {
	struct world *w;
	uint32_t nr;
	struct dgram_plan plan;
	uint64_t stream;
	struct rnd rnd;
	struct dgram_end tx, rx;
	struct net_addr name;	/* the sender's, once it has one */
	uint32_t sent, refused;
	bool done;
};

void dgram_init(struct dgram *d, struct world *w, uint32_t nr, const struct dgram_plan *plan);
void dgram_free(struct dgram *d);
/* A host lives again. */
void dgram_again(struct dgram *d, struct host *h);
/* For good. */
void dgram_close(struct dgram *d);

#endif /* TESTS_SIM_DGRAM_H */

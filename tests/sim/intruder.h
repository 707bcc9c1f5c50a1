/*
 * A stranger on a segment who sends the hosts whatever a network may bring: asks by
 * ARP and ICMP, floods, malformed packets of every layer, connections that keep to
 * no rule. Nobody else may suffer from it.
 */
#ifndef TESTS_SIM_INTRUDER_H
#define TESTS_SIM_INTRUDER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/rnd.h"

struct world;

#define INTRUDER_TALKS 8u

struct intruder_plan {
	uint32_t segment;
	uint64_t every;		/* ns between packets, about */
	uint32_t n;		/* packets in all */
	bool floods;		/* with fragments */
};

/* A connection of its own, as far as it cares to keep one. */
struct talk {
	bool used, connected;
	uint32_t host;
	uint16_t sport, dport;
	uint32_t seq, ack;	/* ours; what the host's is */
	bool has_ts;
	uint32_t ts;		/* the host's last */
};

struct intruder {
	struct world *w;
	struct intruder_plan plan;
	struct rnd rnd;
	uint32_t segment;
	uint8_t mac[6];
	uint32_t ip;
	uint32_t sent, n_flood;
	struct talk talks[INTRUDER_TALKS];
	uint64_t n_echo_asked, n_echo_answered, n_arp_answered, n_rst, n_unreachable;
};

struct intruder *intruder_new(struct world *w, uint64_t seed, const struct intruder_plan *plan);
void intruder_free(struct intruder *x);
/* A frame on its segment, for it or for all. */
void intruder_input(struct intruder *x, uint8_t *data, uint32_t len);

#endif /* TESTS_SIM_INTRUDER_H */

/*
 * What is between the cables: a switch for each Ethernet segment, and a router that
 * is on all of them, has the hosts without Ethernet at ports of its own, and
 * answers ARP. It knows where everybody is.
 */
#ifndef TESTS_SIM_WIRE_H
#define TESTS_SIM_WIRE_H

#include <stdbool.h>
#include <stdint.h>

struct frame;
struct host;
struct net_mem;
struct world;

#define WIRE_SEGMENTS 2u

struct wire {
	bool router_is_dumb;	/* drops what it knows no host for, without ICMP */
	bool is_direct;		/* neither switch nor router: two hosts, or one with itself */
	bool is_lost;		/* nobody is at the other end, and both know it */
	uint32_t n_lost;	/* times; what is on the way then is lost, too */
	uint64_t back_at;	/* the last time */
	uint64_t n_routed, n_unknown;
	uint16_t id;
};

/* Of hosts: 10.0.SEGMENT.(NR + 1); .254 is the router, .200 the intruder. */
uint32_t wire_ip(uint32_t segment, uint32_t nr);
uint32_t wire_router_ip(uint32_t segment);
void wire_host_mac(uint8_t mac[6], uint32_t nr);
void wire_router_mac(uint8_t mac[6], uint32_t segment);

/* From a host's cable. Takes the frame over. */
void wire_from_host(void *host, struct net_mem *frame);
/* Until when a direct link was lost: now, if it is. 0: never. */
uint64_t wire_last_lost(const struct world *w);
/* Whether it has been lost since this was sent. */
bool wire_has_lost(const struct net_mem *frame);
/* From somebody else on a segment. */
void wire_from_segment(struct world *w, uint32_t segment, struct net_mem *frame);
/* An IP packet, without a link header, to whoever has its destination. */
void wire_route(struct world *w, struct net_mem *packet);
/* An ICMP error about this packet to its sender. mtu: 0, but for 3/4 (RFC 1191). */
void wire_icmp_back(struct world *w, const struct frame *f, uint8_t type, uint8_t code,
		    uint16_t mtu);

#endif /* TESTS_SIM_WIRE_H */

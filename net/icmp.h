/* ICMP (RFC 792, 1122 3.2.2, 1812 4.3.2.8). */
#ifndef NET_ICMP_H
#define NET_ICMP_H

#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"

struct net_ip_in;
struct net_stack;

/* How many errors may be sent: a bucket of a second's. */
struct net_icmps {
	uint64_t refilled;	/* ns: up to where time has been turned into tokens */
	uint32_t tokens;
};

/* pkt->seg is the ICMP part; takes the reference over. */
void net_icmp_input(struct net_stack *stack, struct net_pkt *pkt, const struct net_ip_in *ip);
/* Reassembly has timed out: quote begins with the IP header of the first fragment. */
void net_icmp_reass_timeout(struct net_stack *stack, const struct net_ip *from,
			    const struct net_ip *to, const struct net_seg *quote);
/* Answers a packet with "destination unreachable". pkt->seg is its protocol's part,
 * behind the header at ip->header; the reference stays with the caller. */
void net_icmp_unreachable(struct net_stack *stack, const struct net_pkt *pkt,
			  const struct net_ip_in *ip, uint8_t code);
/* Whoever sent the packet whose IP header (and the first 8 bytes behind it, at
 * least) is quoted is told. */
void net_icmp_tell(struct net_stack *stack, const uint8_t *quoted, uint32_t len, int err,
		   bool hard);
/* A packet of ours, from its IP header on, was given up before it was sent. */
void net_icmp_gave_way(struct net_stack *stack, const uint8_t *packet, uint32_t len);

#endif /* NET_ICMP_H */

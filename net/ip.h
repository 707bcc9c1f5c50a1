/*
 * IPv4 (RFC 791, 1122): our addresses, routes, input, output. Callers hold
 * addresses of either family.
 */
#ifndef NET_IP_H
#define NET_IP_H

#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"
#include "net/timer.h"

struct net_ip_in;
struct net_neigh;
struct net_out;
struct net_stack;

struct net_local {
	struct net_ip ip;
	unsigned prefix;
	uint32_t holds;		/* by sockets */
	bool is_held;		/* ours only as long as somebody holds it (any_addr) */
};

struct net_route {
	struct net_ip net;
	struct net_ip gateway;	/* any: on this link */
	unsigned prefix;
};

/* What a router has said of the way to a destination (RFC 1191). */
struct net_pmtu {
	uint32_t dst;		/* IPv4; 0: nothing */
	uint32_t mtu;
	uint64_t until;		/* ns */
};

#define NET_IP_IDS_BITS 6
#define NET_IP_HOT_BITS 6
#define NET_IP_COLD UINT64_MAX	/* hot: none yet */
#define NET_PMTUS 32u
#define NET_PMTU_MIN 552u	/* a lower one is not believed */

struct net_ips {
	uint32_t gen;		/* grows whenever a path may have changed */
	uint32_t n_locals, n_routes;
	uint64_t hot;		/* ours, IPv4: the last packet's destination */
	bool has_pmtus;
	struct net_local *locals;
	struct net_route *routes;
	uint16_t ids[1u << NET_IP_IDS_BITS]; /* of the next packets, by where they go */
	/* the last packets' sources, which were in order; a slot that is free has what
	 * is never looked for in it */
	uint32_t hot_srcs[1u << NET_IP_HOT_BITS];
	uint64_t defended;	/* ns: when we last said that an address is ours */
	struct net_timer pmtu_timer;
	struct net_pmtu pmtus[NET_PMTUS];
};

static inline uint32_t *net_ip_hot(struct net_ips *ips, uint32_t src)
{
	return &ips->hot_srcs[src * 0x9e3779b1u >> (32 - NET_IP_HOT_BITS)];
}

static inline bool net_ip_is_hot(struct net_ips *ips, uint32_t src)
{
	return *net_ip_hot(ips, src) == src;
}

void net_ips_init(struct net_stack *stack);
void net_ips_fini(struct net_stack *stack);

/* A socket uses an address: with any_addr it becomes ours and is announced, until
 * the last one that uses it has gone. EADDRNOTAVAIL, ENOMEM. */
int net_local_hold(struct net_stack *stack, const struct net_ip *ip);
void net_local_drop(struct net_stack *stack, const struct net_ip *ip);

/* A frame that is all as usual, up to its protocol. false: nothing has changed, and it
 * goes through net_eth_input(). */
bool net_ip_input_usual(struct net_stack *stack, struct net_pkt *pkt);
/* An IP packet, without its link header; takes the reference over. */
void net_ip_input(struct net_stack *stack, struct net_pkt *pkt);
/* Its part for a protocol, checked: fragments come here when they are whole. */
void net_ip_deliver(struct net_stack *stack, struct net_pkt *pkt, const struct net_ip_in *ip,
		    uint8_t proto);

/* Where packets from one of our addresses to a peer go; kept by connections. */
struct net_path {
	struct net_neigh *neigh; /* next hop; NULL: resolve again, or loopback */
	uint32_t src;		/* ours; both IPv4, as on the wire */
	uint32_t dst;
	uint32_t gen;		/* of net_ips: routes or neighbours have changed since */
	uint16_t mtu;
	bool loop : 1;		/* dst is ours: around inside the stack */
	bool self : 1;		/* dst is ours: out on the link, to ourselves */
	bool link : 1;		/* dst is the other end's, whoever else has it */
};

/* Who comes next on a path that is not to ourselves: dst, or a gateway. ENETUNREACH. */
int net_path_hop(const struct net_stack *stack, const struct net_path *path,
		 struct net_ip *hop_out);

/* What of the IP header the protocols look at. */
struct net_ip_in {
	struct net_ip src, dst;
	uint16_t len;		/* bytes of the protocol's part */
	uint8_t tos;
	bool broadcast;		/* dst is a broadcast or multicast address */
	const uint8_t *header;	/* for ICMP errors: the IP header, and what follows */
};

/*
 * Finds the way to dst. src any: the address of ours that fits it is filled in.
 * ENETUNREACH; EADDRNOTAVAIL: src is not ours.
 */
int net_path_find(struct net_stack *stack, const struct net_ip *src, const struct net_ip *dst,
		  struct net_path *path_out);
/*
 * With any_addr both ends of a link may have an address: then it is ours for what is
 * sent to a socket of ours, and for what answers a packet that was ours. These two
 * know, and path->link keeps it.
 */
int net_path_find_to(struct net_stack *stack, enum net_type type, const struct net_ip *src,
		     const struct net_addr *dst, struct net_path *path_out);
/* Back to where the packet came from that is being handled. */
int net_path_find_back(struct net_stack *stack, const struct net_ip *src,
		       const struct net_ip *dst, struct net_path *path_out);
/* The same way, when something has changed; path stays as it was if it fails. */
int net_path_renew(struct net_stack *stack, struct net_path *path);
/*
 * Puts the IP and link headers in front of out->hdr and sends it: to the ring, to
 * the neighbour's queue while its address is asked for, or around to our own
 * input. proto is IPPROTO_*; the protocol's header is complete but for its
 * checksum, which is filled in here (by the device where it can; the field's
 * offset is known by proto). Longer than the path's mtu (and no TSO): sent in
 * fragments. may_fragment: routers may do so, too (UDP, ICMP); without it they say
 * what would fit, and path->mtu becomes that. Always takes out over.
 * 0, or EHOSTUNREACH when the neighbour is known not to answer.
 */
int net_ip_output(struct net_stack *stack, struct net_path *path, struct net_out *out,
		  uint8_t proto, uint8_t tos, bool may_fragment);

/* A packet with its IP header, to a link address (NULL: the link has none), in as
 * many pieces as it takes. */
void net_ip_send(struct net_stack *stack, struct net_out *out, const uint8_t *mac);
/* Of len bytes of the protocol's part, header too. */
uint32_t net_ip_n_fragments(uint32_t mtu, uint32_t len);
/* The longest packet to dst (IPv4) that nobody has to cut. */
uint32_t net_ip_mtu(const struct net_stack *stack, uint32_t dst);
/* A router says that it would have had to cut a packet of old_len bytes to dst; mtu: the
 * most that fits, 0 if it does not say. */
void net_ip_shrink(struct net_stack *stack, uint32_t dst, uint32_t mtu, uint32_t old_len);

/* Whether ip is a unicast address that a connection may be made to. */
bool net_ip_is_unicast(const struct net_stack *stack, const struct net_ip *ip);
/* Everybody on a network of ours. */
bool net_ip_is_broadcast(const struct net_stack *stack, uint32_t ip);
/* Whether a packet may come from src. */
bool net_ip_may_send(const struct net_stack *stack, uint32_t src, bool looped);

#endif /* NET_IP_H */

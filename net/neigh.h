/*
 * Neighbours: the link addresses of IP addresses on this link, found by ARP
 * (RFC 826, 1122 2.3.2). Packets for one that is being asked for wait with it, a
 * few. One that is in use is asked again before it expires, so that what is sent
 * never stalls.
 */
#ifndef NET_NEIGH_H
#define NET_NEIGH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/net.h"
#include "net/timer.h"
#include "net/wire.h"

struct net_out;
struct net_waiting;

enum net_neigh_state {
	NET_NEIGH_INCOMPLETE,	/* asked for by broadcast */
	NET_NEIGH_REACHABLE,
	NET_NEIGH_STALE,	/* was, and is asked again with the next packet to it */
	NET_NEIGH_PROBING,	/* asked again, and used meanwhile */
	NET_NEIGH_FAILED,	/* did not answer; forgotten soon */
	NET_NEIGH_STATIC,
};

struct net_neigh {
	struct net_eth_hdr eth; /* of an IP packet to it */
	bool usable;		/* packets may be sent to it now */
	bool used;		/* since it was last confirmed */
	uint8_t state;		/* enum net_neigh_state */
	struct net_ip ip;
	struct net_neigh *next;	/* of its hash chain */
	struct list link;	/* of all, oldest first */
	struct net_timer timer;
	uint32_t tries;
	uint32_t n_waiting;
	struct net_waiting *waiting, **waiting_end; /* packets, oldest first */
};

#define NET_NEIGH_CHAINS 256u
#define NET_NEIGH_WAITING 256u	/* packets that wait, for all of them */

struct net_neighs {
	struct net_neigh *chains[NET_NEIGH_CHAINS];
	struct list all;
	uint32_t n;
	uint32_t n_waiting;
	struct net_neigh self;	/* a link that brings back what it is sent; in no list */
};

void net_neighs_init(struct net_stack *stack);
void net_neighs_fini(struct net_stack *stack);

/* The entry of ip, made or brought to life and asked for if it has to be; NULL: the
 * table is full of static ones, or no memory. Others may go for it: ip.gen tells. */
struct net_neigh *net_neigh_find(struct net_stack *stack, const struct net_ip *ip);
/* Keeps a packet, complete but for its link header (and whole, if it will go in
 * fragments), until ip is known; takes it over. EHOSTUNREACH: it does not answer. */
int net_neigh_wait(struct net_stack *stack, struct net_neigh *n, struct net_out *out);
/* ip has told its address. create: make an entry if there is none. */
void net_neigh_confirm(struct net_stack *stack, const struct net_ip *ip, const uint8_t mac[6],
		       bool create);
/* All that are not static and nobody waits for. */
void net_neighs_forget(struct net_stack *stack);
/* Asks again for those that are waited for, from the start. */
void net_neighs_ask(struct net_stack *stack);

/* ARP */
void net_arp_input(struct net_stack *stack, const uint8_t *data, uint32_t len);
/* mac NULL: to everybody */
void net_arp_request(struct net_stack *stack, const struct net_ip *ip, const uint8_t *mac);
/* Tells everybody that ip is ours. */
void net_arp_announce(struct net_stack *stack, const struct net_ip *ip);

#endif /* NET_NEIGH_H */

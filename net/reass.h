/*
 * Reassembly of IPv4 fragments (RFC 791 3.2, 1122 3.3.2) in bounded memory. A
 * datagram with fragments that overlap is dropped whole (as RFC 5722 has it for
 * IPv6): nobody needs them but who wants to slip something past a filter.
 */
#ifndef NET_REASS_H
#define NET_REASS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/netdev.h"
#include "net/slab.h"

struct net_ip_in;
struct net_stack;

struct net_reass {
	struct list all;	/* datagrams begun, oldest first */
	uint32_t n;
	uint64_t pinned;
	struct net_slab datagrams, frags;
};

void net_reass_init(struct net_stack *stack);
void net_reass_fini(struct net_stack *stack);

/*
 * A fragment: offset and more as its header has them, pkt->seg its part of the
 * protocol's. Takes the reference over. true: the datagram is whole, and in
 * *pkt and *ip now, with memory of its own.
 */
bool net_reass_input(struct net_stack *stack, struct net_pkt *pkt, struct net_ip_in *ip,
		     uint8_t proto, uint16_t id, uint32_t offset, bool more);

#endif /* NET_REASS_H */

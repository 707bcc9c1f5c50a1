/* Ethernet II (RFC 894). */
#ifndef NET_ETH_H
#define NET_ETH_H

#include <stdint.h>
#include <string.h>

#include "net/netdev.h"
#include "net/wire.h"

struct net_stack;

/* A frame as it came; takes the reference over. */
void net_eth_input(struct net_stack *stack, struct net_pkt *pkt);

/* Puts the link header in front of a packet. type: NET_ETHERTYPE_* in host order */
static inline void net_eth_header(struct net_out *out, const uint8_t dst[6],
				  const uint8_t src[6], uint16_t type)
{
	struct net_eth_hdr *eth;

	out->hdr -= NET_ETH_LEN;
	out->hdr_len += NET_ETH_LEN;
	out->l2_len = NET_ETH_LEN;
	eth = (struct net_eth_hdr *)out->hdr;
	memcpy(eth->dst, dst, 6);
	memcpy(eth->src, src, 6);
	eth->type = __builtin_bswap16(type);
}

#endif /* NET_ETH_H */

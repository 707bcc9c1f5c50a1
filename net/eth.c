#include "config.h"

#include "net/eth.h"

#include "net/stack.h"

/* Broadcast and multicast have the low bit of the first byte. */
static bool is_group(const struct net_eth_hdr *eth)
{
	return eth->dst[0] & 1;
}

void net_eth_input(struct net_stack *stack, struct net_pkt *pkt)
{
	const struct net_eth_hdr *eth = (const struct net_eth_hdr *)pkt->seg.data;

	if (unlikely(pkt->seg.len < NET_ETH_LEN))
		goto bad;
	if (unlikely(memcmp(eth->dst, stack->dev->mac, 6))) {
		if (!is_group(eth))
			goto bad;
		pkt->flags |= NET_PKT_GROUP;
	}
	pkt->seg.data += NET_ETH_LEN;
	pkt->seg.len -= NET_ETH_LEN;
	if (likely(eth->type == __builtin_bswap16(NET_ETHERTYPE_IPV4))) {
		net_ip_input(stack, pkt);
		return;
	}
	if (eth->type == __builtin_bswap16(NET_ETHERTYPE_ARP)) {
		net_arp_input(stack, pkt->seg.data, pkt->seg.len);
		net_put(stack, pkt->seg.mem);
		return;
	}
bad:
	stack->count[NET_C_ETH_BAD]++;
	net_put(stack, pkt->seg.mem);
}

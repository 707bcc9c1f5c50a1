#include "config.h"

#include "net/eth.h"

#include "net/stack.h"

/* Ours, or everybody's: broadcast and multicast have the low bit of the first byte. */
static bool is_for_us(const struct net_stack *stack, const struct net_eth_hdr *eth)
{
	return !memcmp(eth->dst, stack->dev->mac, 6) || eth->dst[0] & 1;
}

void net_eth_input(struct net_stack *stack, struct net_pkt *pkt)
{
	const struct net_eth_hdr *eth = (const struct net_eth_hdr *)pkt->seg.data;

	if (unlikely(pkt->seg.len < NET_ETH_LEN) || unlikely(!is_for_us(stack, eth)))
		goto bad;
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

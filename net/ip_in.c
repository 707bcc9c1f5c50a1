#include "config.h"

#include <endian.h>
#include <string.h>

#include "net/csum.h"
#include "net/icmp.h"
#include "net/stack.h"
#include "net/wire.h"

/* IPv4's input (RFC 791, 1122 3.2.1). */

#define OPT_END 0
#define OPT_NOP 1
#define OPT_LSRR 131
#define OPT_SSRR 137

static void drop(struct net_stack *stack, struct net_pkt *pkt, enum net_count why)
{
	stack->count[why]++;
	net_put(stack, pkt->seg.mem);
}

void net_ip_deliver(struct net_stack *stack, struct net_pkt *pkt, const struct net_ip_in *ip,
		    uint8_t proto)
{
	if (likely(proto == NET_IPPROTO_TCP)) {
		net_tcp_input(stack, pkt, ip);
	} else if (proto == NET_IPPROTO_UDP) {
		net_udp_input(stack, pkt, ip);
	} else if (proto == NET_IPPROTO_ICMP) {
		net_icmp_input(stack, pkt, ip);
	} else {
		net_icmp_unreachable(stack, pkt, ip, NET_ICMP_UNREACH_PROTO);
		drop(stack, pkt, NET_C_IP_NO_PROTO);
	}
}

/* ---- what is not common */

/* Options are skipped, but have to be well formed, and nobody routes by way of us or
 * chooses the way back (RFC 7126 4.3, 4.4). */
static bool options_are_good(const uint8_t *opt, uint32_t len)
{
	for (uint32_t at = 0, n; at < len && opt[at] != OPT_END; at += n) {
		n = 1;
		if (opt[at] == OPT_NOP)
			continue;
		if (opt[at] == OPT_LSRR || opt[at] == OPT_SSRR || at + 1 >= len)
			return false;
		n = opt[at + 1];
		if (n < 2 || n > len - at)
			return false;
	}
	return true;
}

/* Everything of a header that is longer than the usual: its length, or 0. */
static uint32_t long_header(const struct net_pkt *pkt)
{
	const uint8_t *header = pkt->seg.data;
	uint32_t len = (header[0] & 0xfu) * 4;

	if (header[0] >> 4 != 4 || len < NET_IP_LEN || len > pkt->seg.len ||
	    !options_are_good(header + NET_IP_LEN, len - NET_IP_LEN))
		return 0;
	return len;
}

/* An address of ours that was not the last one's, or broadcast, which has to have
 * come as such a frame, if it may (RFC 1122 3.3.6). */
static bool is_for_us(struct net_stack *stack, const struct net_pkt *pkt, uint32_t dst,
				bool *broadcast_out)
{
	struct net_ip ip = net_ip4(dst);

	*broadcast_out = net_ip_is_broadcast(stack, dst);
	if (*broadcast_out)
		return true;
	if (pkt->flags & NET_PKT_GROUP || !net_local_has(stack, &ip))
		return false;
	stack->ip.hot = dst;
	return true;
}

static bool source_is_good(struct net_stack *stack, const struct net_pkt *pkt,
				     uint32_t src)
{
	bool looped = pkt->flags & NET_PKT_LOOPED;

	if (!net_ip_may_send(stack, src, looped))
		return false;
	if (!looped)
		*net_ip_hot(&stack->ip, src) = src;
	return true;
}

static void fragment_input(struct net_stack *stack, struct net_pkt *pkt,
				     struct net_ip_in *ip, const struct net_ip_hdr *header)
{
	uint16_t frag = __builtin_bswap16(header->frag);
	uint8_t proto = header->proto;	/* header is gone once it is whole */

	if (net_reass_input(stack, pkt, ip, proto, header->id, (frag & NET_IP_OFFSET) * 8u,
			    frag & NET_IP_MF))
		net_ip_deliver(stack, pkt, ip, proto);
}

/* ---- input */

static inline bool checksum_is_good(const struct net_pkt *pkt, uint32_t header_len)
{
	if (pkt->flags & NET_PKT_IP_GOOD)
		return true;
	if (likely(header_len == NET_IP_LEN))
		return !net_csum_ip20(pkt->seg.data);
	return !net_csum_finish(net_csum_add(0, pkt->seg.data, header_len));
}

/* Takes the header off. */
static inline void header_pull(struct net_pkt *pkt, struct net_ip_in *ip, uint32_t header_len,
			       uint32_t len)
{
	const struct net_ip_hdr *header = (const struct net_ip_hdr *)pkt->seg.data;

	ip->src = net_ip4(header->src);
	ip->dst = net_ip4(header->dst);
	ip->len = (uint16_t)(len - header_len);
	ip->tos = header->tos;
	ip->header = pkt->seg.data;
	pkt->seg.data += header_len;
	pkt->seg.len = ip->len;
}

/* Every check on its own. */
void net_ip_input(struct net_stack *stack, struct net_pkt *pkt)
{
	const struct net_ip_hdr *header = (const struct net_ip_hdr *)pkt->seg.data;
	uint32_t len, header_len = NET_IP_LEN;
	struct net_ip_in ip;

	if (pkt->seg.len < NET_IP_LEN)
		return drop(stack, pkt, NET_C_IP_BAD);
	if (header->ver_ihl != 0x45)
		header_len = long_header(pkt);
	len = __builtin_bswap16(header->len);
	if (!header_len || len < header_len || len > pkt->seg.len)
		return drop(stack, pkt, NET_C_IP_BAD);
	if (pkt->flags & NET_PKT_IP_BAD || !checksum_is_good(pkt, header_len))
		return drop(stack, pkt, NET_C_IP_BAD_CSUM);
	if (!is_for_us(stack, pkt, header->dst, &ip.broadcast))
		return drop(stack, pkt, NET_C_IP_NOT_OURS);
	if (!source_is_good(stack, pkt, header->src))
		return drop(stack, pkt, NET_C_IP_BAD_SOURCE);
	stack->looped = pkt->flags & NET_PKT_LOOPED;
	header_pull(pkt, &ip, header_len, len);
	if (header->frag & __builtin_bswap16(NET_IP_MF | NET_IP_OFFSET))
		fragment_input(stack, pkt, &ip, header);
	else
		net_ip_deliver(stack, pkt, &ip, header->proto);
}

/* ---- the usual */

/* Of the first 8 bytes of a header: version 4, no options, not a fragment; whether it
 * may become one does not matter. */
static inline bool has_common_shape(const struct net_ip_hdr *header)
{
	uint64_t first;

	memcpy(&first, header, sizeof(first));
	return (first & htobe64(0xff0000000000bfff)) == htobe64(0x4500000000000000);
}

/* To us alone, and of IPv4. */
static inline bool eth_is_usual(const struct net_stack *stack, const struct net_eth_hdr *eth)
{
	return likely(!memcmp(eth->dst, stack->dev->mac, 6)) &&
	       likely(eth->type == __builtin_bswap16(NET_ETHERTYPE_IPV4));
}

/* Between two whose addresses were in order before. */
bool net_ip_input_usual(struct net_stack *stack, struct net_pkt *pkt)
{
	const struct net_eth_hdr *eth = (const struct net_eth_hdr *)pkt->seg.data;
	const struct net_ip_hdr *header = (const struct net_ip_hdr *)(eth + 1);
	uint32_t len;

	if (unlikely(pkt->seg.len < NET_ETH_LEN + NET_IP_LEN) || !eth_is_usual(stack, eth))
		return false;
	len = __builtin_bswap16(header->len);
	if (unlikely(!has_common_shape(header)) || unlikely(len < NET_IP_LEN) ||
	    unlikely(len > pkt->seg.len - NET_ETH_LEN) ||
	    unlikely(header->dst != stack->ip.hot) ||
	    unlikely(!net_ip_is_hot(&stack->ip, header->src)) ||
	    unlikely(pkt->flags & NET_PKT_IP_BAD) ||
	    (!(pkt->flags & NET_PKT_IP_GOOD) && unlikely(net_csum_ip20(header))))
		return false;
	stack->looped = false;
	if (likely(header->proto == NET_IPPROTO_TCP))
		return net_tcp_input_usual(stack, pkt, header, len - NET_IP_LEN);
	return header->proto == NET_IPPROTO_UDP &&
	       net_udp_input_usual(stack, pkt, header, len - NET_IP_LEN);
}

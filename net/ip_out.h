/*
 * IPv4's output where nothing is to be found out any more, inline: its header, the
 * protocol's checksum, and the link's header. All else is net_ip_output()'s.
 */
#ifndef NET_IP_OUT_H
#define NET_IP_OUT_H

#include <string.h>

#include "net/csum.h"
#include "net/stack.h"
#include "net/wire.h"

/* The protocol's checksum, whose place in its header depends on the protocol, over
 * everything; by the device if caps have it. Where nobody looks at it, it is 0. */
static inline void net_ip_l4_checksum(const struct net_path *path, struct net_out *out,
				      uint8_t proto, uint32_t caps)
{
	uint16_t len = (uint16_t)(out->l4_len + out->len), *field;
	uint32_t offload;
	uint64_t sum;

	if (caps & NET_DEV_NO_SUMS)
		return;
	if (proto == NET_IPPROTO_TCP) {
		field = &((struct net_tcp_hdr *)out->hdr)->csum;
		offload = caps & NET_DEV_TCP_CSUM ? NET_OUT_TCP_CSUM : 0;
	} else if (proto == NET_IPPROTO_UDP) {
		field = &((struct net_udp_hdr *)out->hdr)->csum;
		offload = caps & NET_DEV_UDP_CSUM ? NET_OUT_UDP_CSUM : 0;
	} else {
		return;
	}
	if (out->flags & NET_OUT_TSO)
		len = 0;	/* the device adds each segment's */
	sum = net_csum_pseudo(path->src, path->dst, proto, len);
	if (offload) {
		*field = net_csum_fold(sum);
		out->flags |= offload;
		return;
	}
	*field = 0;
	sum = net_csum_join(sum, net_csum_header(out->hdr, out->l4_len));
	*field = net_csum_finish(out->len ? net_csum_segs(sum, out) : sum);
	if (unlikely(!*field) && proto == NET_IPPROTO_UDP)
		*field = 0xffff; /* RFC 768: 0 says that there is none */
}

/* By the pair of addresses, so that one destination's do not soon come again
 * (RFC 6864 4) and tell nothing of what others get. */
static inline uint16_t net_ip_id(struct net_stack *stack, uint32_t src, uint32_t dst)
{
	uint64_t h = (((uint64_t)dst << 32) ^ src) * stack->rand.table_key;

	return stack->ip.ids[h >> (64 - NET_IP_IDS_BITS)]++;
}

/* In front of out->hdr, which stays where it is. What may not be cut needs no
 * identification (RFC 6864 4.1). */
static inline void net_ip_header(struct net_stack *stack, const struct net_path *path,
				 struct net_out *out, uint8_t proto, uint8_t tos,
				 bool may_fragment)
{
	uint32_t src = path->src, dst = path->dst, w[5];
	struct net_ip_hdr *ip = (struct net_ip_hdr *)(out->hdr - NET_IP_LEN);

	w[0] = __builtin_bswap32(0x45000000 | (uint32_t)tos << 16 |
				 (NET_IP_LEN + out->hdr_len + out->len));
	w[1] = __builtin_bswap32(may_fragment ? (uint32_t)net_ip_id(stack, src, dst) << 16 :
						NET_IP_DF);
	w[2] = __builtin_bswap32(NET_IP_TTL << 24 | (uint32_t)proto << 16);
	w[3] = src;
	w[4] = dst;
	memcpy(ip, w, sizeof(w));
	if (stack->dev->caps & NET_DEV_NO_SUMS)
		return;
	if (stack->dev->caps & NET_DEV_IP_CSUM)
		out->flags |= NET_OUT_IP_CSUM;
	else
		ip->csum = net_csum_finish((uint64_t)w[0] + w[1] + w[2] + w[3] + w[4]);
}

/* The next hop is known. */
static inline bool net_path_is_plain(const struct net_stack *stack, const struct net_path *path)
{
	return likely(path->neigh) && likely(path->gen == stack->ip.gen) &&
	       likely(path->neigh->usable);
}

/* ... and takes it in one piece. */
static inline bool net_ip_is_plain(const struct net_stack *stack, const struct net_path *path,
				   const struct net_out *out)
{
	return net_path_is_plain(stack, path) &&
	       likely(out->hdr_len + out->len + NET_IP_LEN <= path->mtu ||
		      out->flags & NET_OUT_TSO);
}

/* One that is plain. */
static force_inline void net_ip_output_plain(struct net_stack *stack, struct net_path *path,
				       struct net_out *out, uint8_t proto, uint8_t tos,
				       bool may_fragment)
{
	struct net_neigh *neigh = path->neigh;

	net_ip_l4_checksum(path, out, proto, stack->dev->caps);
	net_ip_header(stack, path, out, proto, tos, may_fragment);
	neigh->used = true;
	out->hdr -= NET_IP_LEN + NET_ETH_LEN;
	out->hdr_len += NET_IP_LEN + NET_ETH_LEN;
	out->l2_len = NET_ETH_LEN;
	out->l3_len = NET_IP_LEN;
	memcpy(out->hdr, &neigh->eth, NET_ETH_LEN);
	net_out_queue(stack, out);
}

#endif /* NET_IP_OUT_H */

#include "config.h"

#include <errno.h>
#include <string.h>

#include "net/csum.h"
#include "net/eth.h"
#include "net/stack.h"
#include "net/wire.h"

/* IPv4's output: headers, checksums, fragments (RFC 791, 1122 3.2.1). */

/* ---- headers */

/* The protocol's checksum, whose place in its header depends on the protocol, over
 * everything; by the device if caps have it. */
static inline void l4_checksum(const struct net_path *path, struct net_out *out, uint8_t proto,
			       uint32_t caps)
{
	uint16_t len = (uint16_t)(out->l4_len + out->len), *field;
	uint32_t offload;
	uint64_t sum;

	if (likely(proto == NET_IPPROTO_TCP)) {
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
static inline uint16_t ip_id(struct net_stack *stack, uint32_t src, uint32_t dst)
{
	uint64_t h = (((uint64_t)dst << 32) ^ src) * stack->rand.table_key;

	return stack->ip.ids[h >> (64 - NET_IP_IDS_BITS)]++;
}

/* In front of out->hdr, which stays where it is. What may not be cut needs no
 * identification (RFC 6864 4.1). */
static inline void ip_header(struct net_stack *stack, const struct net_path *path,
			     struct net_out *out, uint8_t proto, uint8_t tos, bool may_fragment)
{
	uint32_t src = path->src, dst = path->dst, w[5];
	struct net_ip_hdr *ip = (struct net_ip_hdr *)(out->hdr - NET_IP_LEN);

	w[0] = __builtin_bswap32(0x45000000 | (uint32_t)tos << 16 |
				 (NET_IP_LEN + out->hdr_len + out->len));
	w[1] = __builtin_bswap32(may_fragment ? (uint32_t)ip_id(stack, src, dst) << 16 :
						NET_IP_DF);
	w[2] = __builtin_bswap32(NET_IP_TTL << 24 | (uint32_t)proto << 16);
	w[3] = src;
	w[4] = dst;
	memcpy(ip, w, sizeof(w));
	if (stack->dev->caps & NET_DEV_IP_CSUM)
		out->flags |= NET_OUT_IP_CSUM;
	else
		ip->csum = net_csum_finish((uint64_t)w[0] + w[1] + w[2] + w[3] + w[4]);
}

/* The IP header is part of it now. */
static void ip_header_push(struct net_out *out)
{
	out->hdr -= NET_IP_LEN;
	out->hdr_len += NET_IP_LEN;
	out->l3_len = NET_IP_LEN;
}

/* ---- fragments */

/* The next `len` bytes of what is left of a packet into a fragment, by reference. */
static void slice(struct net_stack *stack, struct net_out *frag, const struct net_out *from,
		  uint32_t *at, uint32_t *off, uint32_t len)
{
	while (len) {
		const struct net_seg *seg = &from->segs[*at];
		uint32_t n = seg->len - *off < len ? seg->len - *off : len;
		struct net_seg *to = &frag->segs[frag->n_segs++];

		net_get(stack, seg->mem);
		*to = *seg;
		to->data += *off;
		to->len = n;
		frag->len += n;
		len -= n;
		*off += n;
		if (*off == seg->len) {
			*off = 0;
			++*at;
		}
	}
}

/* With the IP header of the whole, and of the protocol's only where it belongs. */
static void fragment_header(struct net_stack *stack, struct net_out *frag,
			    const struct net_out *whole, uint32_t offset, bool more)
{
	struct net_ip_hdr *ip;

	memcpy(frag->hdr, whole->hdr, frag->hdr_len);
	frag->l3_len = NET_IP_LEN;
	frag->l4_len = 0;
	ip = (struct net_ip_hdr *)frag->hdr;
	ip->len = __builtin_bswap16((uint16_t)(frag->hdr_len + frag->len));
	ip->frag = __builtin_bswap16((uint16_t)(offset / 8 | (more ? NET_IP_MF : 0)));
	ip->csum = 0;
	if (stack->dev->caps & NET_DEV_IP_CSUM)
		frag->flags |= NET_OUT_IP_CSUM;
	else
		ip->csum = net_csum_ip20(ip);
}

static void link_send(struct net_stack *stack, struct net_out *out, const uint8_t *mac)
{
	if (likely(mac != NULL))
		net_eth_header(out, mac, stack->dev->mac, NET_ETHERTYPE_IPV4);
	net_out_queue(stack, out);
}

uint32_t net_ip_n_fragments(uint32_t mtu, uint32_t len)
{
	uint32_t room = (mtu - NET_IP_LEN) & ~7u;

	return len + NET_IP_LEN <= mtu ? 1 : (len + room - 1) / room;
}

/* RFC 791 3.2. All or none: some would only cost the other end memory. */
static slow_path void fragments_send(struct net_stack *stack, struct net_out *whole,
				     uint32_t mtu, const uint8_t *mac)
{
	uint32_t room = (mtu - NET_IP_LEN) & ~7u, head = whole->hdr_len - NET_IP_LEN;
	uint32_t total = head + whole->len, at = 0, off = 0;
	uint32_t n = net_ip_n_fragments(mtu, total);

	if (stack->out.n_free < n)
		net_outs_flush(stack);
	if (stack->out.n_free < n) {
		stack->count[NET_C_TX_NO_ROOM]++;
		net_out_drop(stack, whole);
		return;
	}
	for (uint32_t done = 0, len; done < total; done += len, head = 0) {
		struct net_out *frag = net_out_new(stack, NET_IP_LEN + head, true);

		len = total - done < room ? total - done : room;
		slice(stack, frag, whole, &at, &off, len - head);
		frag->hdr -= NET_IP_LEN; /* it is aligned as a protocol's header is */
		fragment_header(stack, frag, whole, done, done + len < total);
		stack->count[NET_C_IP_FRAGS_OUT]++;
		link_send(stack, frag, mac);
	}
	net_out_drop(stack, whole);
}

void net_ip_send(struct net_stack *stack, struct net_out *out, const uint8_t *mac)
{
	const struct net_ip_hdr *ip = (const struct net_ip_hdr *)out->hdr;
	uint32_t mtu = net_ip_mtu(stack, ip->dst);

	if (unlikely(out->hdr_len + out->len > mtu) && !(out->flags & NET_OUT_TSO))
		fragments_send(stack, out, mtu, mac);
	else
		link_send(stack, out, mac);
}

/* ---- output */

/* To where the packet has to go if that is not plainly known. */
static slow_path int output_slow(struct net_stack *stack, struct net_path *path,
				 struct net_out *out)
{
	struct net_ip hop;

	ip_header_push(out);
	if (path->gen != stack->ip.gen) { /* something has changed: look again */
		int err = net_path_renew(stack, path);

		if (err) {
			stack->count[NET_C_IP_NO_ROUTE]++;
			net_out_drop(stack, out);
			return EHOSTUNREACH;
		}
	}
	if (path->loop) {
		net_loop_output(stack, out);
		return 0;
	}
	if (!stack->dev->ethernet || path->self) {
		net_ip_send(stack, out, stack->dev->ethernet ? stack->dev->mac : NULL);
		return 0;
	}
	path->neigh = net_path_hop(stack, path, &hop) ? NULL : net_neigh_find(stack, &hop);
	path->gen = stack->ip.gen; /* an older entry may have gone for it */
	if (!path->neigh) {
		net_out_drop(stack, out);
		return EHOSTUNREACH;
	}
	if (!path->neigh->usable)
		return net_neigh_wait(stack, path->neigh, out);
	path->neigh->used = true;
	net_ip_send(stack, out, path->neigh->eth.dst);
	return 0;
}

/* Longer than the path takes: in pieces, which no device sums up. The neighbour comes
 * first, so that what waits for it waits whole. */
static slow_path int output_long(struct net_stack *stack, struct net_path *path,
				 struct net_out *out, uint8_t proto, uint8_t tos)
{
	if (!path->loop)
		l4_checksum(path, out, proto, 0);
	ip_header(stack, path, out, proto, tos, true);
	return output_slow(stack, path, out);
}

int net_ip_output(struct net_stack *stack, struct net_path *path, struct net_out *out,
		  uint8_t proto, uint8_t tos, bool may_fragment)
{
	struct net_neigh *neigh = path->neigh;

	if (unlikely(out->hdr_len + out->len + NET_IP_LEN > path->mtu) &&
	    !(out->flags & NET_OUT_TSO))
		return output_long(stack, path, out, proto, tos);
	if (likely(!path->loop))
		l4_checksum(path, out, proto, stack->dev->caps);
	ip_header(stack, path, out, proto, tos, may_fragment);
	if (unlikely(path->gen != stack->ip.gen) || unlikely(!neigh) || unlikely(!neigh->usable))
		return output_slow(stack, path, out);
	neigh->used = true;
	out->hdr -= NET_IP_LEN + NET_ETH_LEN;
	out->hdr_len += NET_IP_LEN + NET_ETH_LEN;
	out->l2_len = NET_ETH_LEN;
	out->l3_len = NET_IP_LEN;
	memcpy(out->hdr, &neigh->eth, NET_ETH_LEN);
	net_out_queue(stack, out);
	return 0;
}

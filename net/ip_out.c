#include "config.h"

#include <errno.h>
#include <string.h>

#include "net/eth.h"
#include "net/ip_out.h"

/* IPv4's output: headers, checksums, fragments (RFC 791, 1122 3.2.1). */

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
	if (!stack->dev->ethernet) {
		net_ip_send(stack, out, NULL);
		return 0;
	}
	if (path->self) {
		path->neigh = &stack->neigh.self;
		net_ip_send(stack, out, stack->dev->mac);
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
		net_ip_l4_checksum(path, out, proto, 0);
	net_ip_header(stack, path, out, proto, tos, true);
	return output_slow(stack, path, out);
}

int net_ip_output(struct net_stack *stack, struct net_path *path, struct net_out *out,
		  uint8_t proto, uint8_t tos, bool may_fragment)
{
	if (net_ip_is_plain(stack, path, out)) {
		net_ip_output_plain(stack, path, out, proto, tos, may_fragment);
		return 0;
	}
	if (unlikely(out->hdr_len + out->len + NET_IP_LEN > path->mtu) &&
	    !(out->flags & NET_OUT_TSO))
		return output_long(stack, path, out, proto, tos);
	if (!path->loop)
		net_ip_l4_checksum(path, out, proto, stack->dev->caps);
	net_ip_header(stack, path, out, proto, tos, may_fragment);
	return output_slow(stack, path, out);
}

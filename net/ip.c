#include "config.h"

#include "net/ip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/csum.h"
#include "net/eth.h"
#include "net/icmp.h"
#include "net/stack.h"
#include "net/wire.h"

/* ---- addresses */

static uint32_t mask_of(unsigned prefix)
{
	return prefix ? __builtin_bswap32(~0u << (32 - prefix)) : 0;
}

static bool is_within(const struct net_ip *ip, const struct net_ip *net, unsigned prefix)
{
	return !((net_ip_v4(ip) ^ net_ip_v4(net)) & mask_of(prefix));
}

static bool is_loopback(uint32_t ip)
{
	return (ip & __builtin_bswap32(0xff000000)) == __builtin_bswap32(0x7f000000);
}

/* 224/4 and 240/4, which 255.255.255.255 is in */
static bool is_multicast_or_reserved(uint32_t ip)
{
	return (ip & __builtin_bswap32(0xe0000000)) == __builtin_bswap32(0xe0000000);
}

/* To all of a network of ours: its host part is all ones. */
static bool is_subnet_broadcast(const struct net_stack *stack, uint32_t ip)
{
	for (uint32_t i = 0; i < stack->ip.n_locals; i++) {
		const struct net_local *local = &stack->ip.locals[i];
		uint32_t mask = mask_of(local->prefix);

		if (local->prefix < 31 && local->prefix && (ip | mask) == ~0u &&
		    !((ip ^ net_ip_v4(&local->ip)) & mask))
			return true;
	}
	return false;
}

bool net_ip_is_unicast(const struct net_stack *stack, const struct net_ip *ip)
{
	uint32_t v4 = net_ip_v4(ip);

	return (v4 & __builtin_bswap32(0xff000000)) && !is_multicast_or_reserved(v4) &&
	       !is_subnet_broadcast(stack, v4);
}

int net_ips_init(struct net_stack *stack)
{
	stack->ip.gen = 1;
	stack->ip.id = (uint16_t)net_rand_u32(&stack->rand);
	return 0;
}

void net_ips_fini(struct net_stack *stack)
{
	free(stack->ip.locals);
	free(stack->ip.routes);
}

static struct net_local *local_find(const struct net_stack *stack, const struct net_ip *ip)
{
	for (uint32_t i = 0; i < stack->ip.n_locals; i++)
		if (net_ip_equal(&stack->ip.locals[i].ip, ip))
			return &stack->ip.locals[i];
	return NULL;
}

bool net_local_has(const struct net_stack *stack, const struct net_ip *ip)
{
	return local_find(stack, ip) != NULL;
}

int net_local_add(struct net_stack *stack, const struct net_ip *ip, unsigned prefix,
		  bool announce)
{
	struct net_ips *ips = &stack->ip;
	struct net_local *locals;

	if (prefix > 32 || !net_ip_is_unicast(stack, ip))
		return EINVAL;
	if (net_local_has(stack, ip))
		return EEXIST;
	locals = realloc(ips->locals, (ips->n_locals + 1) * sizeof(*locals));
	if (!locals)
		return ENOMEM;
	ips->locals = locals;
	locals[ips->n_locals++] = (struct net_local){ .ip = *ip, .prefix = prefix };
	ips->gen++;
	if (announce)
		net_arp_announce(stack, ip);
	return 0;
}

int net_local_del(struct net_stack *stack, const struct net_ip *ip)
{
	struct net_ips *ips = &stack->ip;
	struct net_local *local = local_find(stack, ip);
	uint32_t i;

	if (!local)
		return ENOENT;
	i = (uint32_t)(local - ips->locals);
	memmove(local, local + 1, (ips->n_locals - i - 1) * sizeof(*local));
	ips->n_locals--;
	ips->hot = 0;
	ips->gen++;
	return 0;
}

int net_local_hold(struct net_stack *stack, const struct net_ip *ip)
{
	struct net_local *local = local_find(stack, ip);
	int err;

	if (!local) {
		if (!stack->config.any_addr || !net_ip_is_unicast(stack, ip))
			return EADDRNOTAVAIL;
		err = net_local_add(stack, ip, 32, true);
		if (err)
			return err;
		local = local_find(stack, ip);
		local->is_held = true;
	}
	local->holds++;
	return 0;
}

void net_local_drop(struct net_stack *stack, const struct net_ip *ip)
{
	struct net_local *local = local_find(stack, ip);

	if (!local || !local->holds)
		return;	/* taken away meanwhile */
	if (!--local->holds && local->is_held)
		net_local_del(stack, ip);
}

int net_route_add(struct net_stack *stack, const struct net_ip *net, unsigned prefix,
		  const struct net_ip *gateway)
{
	struct net_ips *ips = &stack->ip;
	struct net_route *routes;

	if (prefix > 32)
		return EINVAL;
	routes = realloc(ips->routes, (ips->n_routes + 1) * sizeof(*routes));
	if (!routes)
		return ENOMEM;
	ips->routes = routes;
	routes[ips->n_routes++] = (struct net_route){
		.net = *net, .prefix = prefix, .gateway = gateway ? *gateway : net_ip4(0),
	};
	ips->gen++;
	return 0;
}

/* ---- paths */

/* The next hop: a network of ours or a route, the longest prefix of all. */
static int hop_find(const struct net_stack *stack, const struct net_ip *dst,
		    struct net_ip *hop_out)
{
	const struct net_ips *ips = &stack->ip;
	int best = -1;

	for (uint32_t i = 0; i < ips->n_locals; i++) {
		const struct net_local *local = &ips->locals[i];

		if (local->prefix < 32 && (int)local->prefix > best &&
		    is_within(dst, &local->ip, local->prefix)) {
			best = (int)local->prefix;
			*hop_out = *dst;
		}
	}
	for (uint32_t i = 0; i < ips->n_routes; i++) {
		const struct net_route *route = &ips->routes[i];

		if ((int)route->prefix > best && is_within(dst, &route->net, route->prefix)) {
			best = (int)route->prefix;
			*hop_out = net_ip_is_any(&route->gateway) ? *dst : route->gateway;
		}
	}
	if (best < 0 && stack->config.any_addr) {
		best = 0;	/* every address is on this link */
		*hop_out = *dst;
	}
	return best < 0 ? ENETUNREACH : 0;
}

/* Ours in the network of the next hop, else the first. */
static void source_choose(const struct net_stack *stack, struct net_path *path)
{
	const struct net_ips *ips = &stack->ip;

	path->src = ips->locals[0].ip;
	for (uint32_t i = 0; i < ips->n_locals; i++) {
		if (ips->locals[i].prefix < 32 &&
		    is_within(&path->hop, &ips->locals[i].ip, ips->locals[i].prefix)) {
			path->src = ips->locals[i].ip;
			return;
		}
	}
}

int net_path_find(struct net_stack *stack, const struct net_ip *src, const struct net_ip *dst,
		  struct net_path *path_out)
{
	struct net_path path = { .dst = *dst, .hop = *dst, .gen = stack->ip.gen };
	bool ours = net_local_has(stack, dst);
	int err;

	if (!stack->ip.n_locals)
		return ENETUNREACH;
	if (!net_ip_is_any(src) && !net_local_has(stack, src))
		return EADDRNOTAVAIL;
	if (!net_ip_is_unicast(stack, dst) ||
	    (is_loopback(net_ip_v4(dst)) && !ours && !stack->config.any_addr))
		return ENETUNREACH;
	path.mtu = (uint16_t)stack->config.mtu;
	if (ours) {
		path.loop = !stack->config.link_loop;
		path.self = !path.loop;
		path.src = *dst;
		if (path.loop)
			path.mtu = NET_LOOP_MTU;
	} else {
		err = hop_find(stack, dst, &path.hop);
		if (err)
			return err;
		source_choose(stack, &path);
	}
	if (!net_ip_is_any(src))
		path.src = *src;
	*path_out = path;
	return 0;
}

/* ---- output */

/* The protocol's checksum: its place in the header, over everything. */
static void l4_checksum(struct net_stack *stack, const struct net_path *path,
			struct net_out *out, uint8_t proto)
{
	uint16_t len = (uint16_t)(out->l4_len + out->len), *field;
	uint32_t offload;
	uint64_t sum;

	if (proto == NET_IPPROTO_TCP) {
		field = &((struct net_tcp_hdr *)out->hdr)->csum;
		offload = stack->dev->caps & NET_DEV_TCP_CSUM ? NET_OUT_TCP_CSUM : 0;
	} else if (proto == NET_IPPROTO_UDP) {
		field = &((struct net_udp_hdr *)out->hdr)->csum;
		offload = stack->dev->caps & NET_DEV_UDP_CSUM ? NET_OUT_UDP_CSUM : 0;
	} else {
		return;
	}
	if (out->flags & NET_OUT_TSO)
		len = 0;	/* the device adds each segment's */
	*field = 0;
	sum = net_csum_pseudo(net_ip_v4(&path->src), net_ip_v4(&path->dst), proto, len);
	if (offload) {
		*field = net_csum_fold(sum);
		out->flags |= offload;
		return;
	}
	sum = net_csum_add(sum, out->hdr, out->l4_len);
	*field = net_csum_finish(net_csum_segs(sum, out));
	if (!*field && proto == NET_IPPROTO_UDP)
		*field = 0xffff; /* RFC 768: 0 says that there is none */
}

static inline void ip_header(struct net_stack *stack, const struct net_path *path,
			     struct net_out *out, uint8_t proto, uint8_t tos, uint16_t frag)
{
	struct net_ip_hdr *ip;

	out->hdr -= NET_IP_LEN;
	out->hdr_len += NET_IP_LEN;
	out->l3_len = NET_IP_LEN;
	ip = (struct net_ip_hdr *)out->hdr;
	ip->ver_ihl = 0x45;
	ip->tos = tos;
	ip->len = __builtin_bswap16((uint16_t)(out->hdr_len + out->len));
	ip->id = __builtin_bswap16(stack->ip.id);
	ip->frag = frag;
	ip->ttl = NET_IP_TTL;
	ip->proto = proto;
	ip->csum = 0;
	ip->src = net_ip_v4(&path->src);
	ip->dst = net_ip_v4(&path->dst);
	if (stack->dev->caps & NET_DEV_IP_CSUM)
		out->flags |= NET_OUT_IP_CSUM;
	else
		ip->csum = net_csum_ip20(ip);
}

/* To where the packet has to go if that is not plainly known. */
static slow_path int output_slow(struct net_stack *stack, struct net_path *path,
				 struct net_out *out)
{
	if (path->gen != stack->ip.gen) { /* something has changed: look again */
		struct net_path fresh;
		int err = net_path_find(stack, &path->src, &path->dst, &fresh);

		if (err) {
			stack->count[NET_C_IP_NO_ROUTE]++;
			net_out_drop(stack, out);
			return err;
		}
		*path = fresh;
	}
	if (path->loop) {
		net_loop_output(stack, out);
		return 0;
	}
	if (!stack->dev->ethernet) {
		net_out_queue(stack, out);
		return 0;
	}
	if (path->self) {
		net_eth_header(out, stack->dev->mac, stack->dev->mac, NET_ETHERTYPE_IPV4);
		net_out_queue(stack, out);
		return 0;
	}
	path->neigh = net_neigh_find(stack, &path->hop);
	if (!path->neigh) {
		net_out_drop(stack, out);
		return EHOSTUNREACH;
	}
	path->gen = stack->ip.gen; /* an older entry may have gone for it */
	if (!net_neigh_usable(path->neigh))
		return net_neigh_wait(stack, path->neigh, out);
	path->neigh->used = true;
	net_eth_header(out, path->neigh->mac, stack->dev->mac, NET_ETHERTYPE_IPV4);
	net_out_queue(stack, out);
	return 0;
}

static inline int output(struct net_stack *stack, struct net_path *path, struct net_out *out)
{
	if (unlikely(path->gen != stack->ip.gen))
		return output_slow(stack, path, out);
	if (unlikely(!stack->dev->ethernet) && !path->loop) {
		net_out_queue(stack, out);
		return 0;
	}
	if (unlikely(!path->neigh) || unlikely(!net_neigh_usable(path->neigh)))
		return output_slow(stack, path, out);
	path->neigh->used = true;
	net_eth_header(out, path->neigh->mac, stack->dev->mac, NET_ETHERTYPE_IPV4);
	net_out_queue(stack, out);
	return 0;
}

/* The next `len` bytes of what is left of a packet into a fragment, by reference. */
static void slice(struct net_stack *stack, struct net_out *frag, struct net_out *from,
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

/* RFC 791 3.2: the first fragment has the protocol's header, the rest only bytes. */
static slow_path int output_fragments(struct net_stack *stack, struct net_path *path,
				      struct net_out *out, uint8_t proto, uint8_t tos)
{
	uint32_t room = (path->mtu - NET_IP_LEN) & ~7u, head = out->hdr_len, done = 0;
	uint32_t total = head + out->len, at = 0, off = 0, need = (total + room - 1) / room;
	int err = 0;

	if (net_outs_room(&stack->out) < need && !path->loop) {
		net_out_drop(stack, out);
		return EAGAIN;
	}
	while (done < total && !err) {
		uint32_t len = total - done < room ? total - done : room;
		uint32_t mine = done ? 0 : head;
		bool more = done + len < total;
		struct net_out *frag = net_out_new(stack, mine, true);

		if (!frag) {
			err = EAGAIN;
			break;
		}
		memcpy(frag->hdr, out->hdr, mine);
		frag->l4_len = 0;
		slice(stack, frag, out, &at, &off, len - mine);
		ip_header(stack, path, frag, proto, tos,
			  __builtin_bswap16((uint16_t)(done / 8 | (more ? NET_IP_MF : 0))));
		stack->count[NET_C_IP_FRAGS_OUT]++;
		err = output(stack, path, frag);
		done += len;
	}
	stack->ip.id++;
	net_out_drop(stack, out);
	return err;
}

int net_ip_output(struct net_stack *stack, struct net_path *path, struct net_out *out,
		  uint8_t proto, uint8_t tos, bool may_fragment)
{
	if (unlikely(out->hdr_len + out->len + NET_IP_LEN > path->mtu) && may_fragment) {
		uint32_t caps = stack->dev->caps;

		/* no device sums up what it sees in pieces */
		stack->dev->caps &= ~(uint32_t)(NET_DEV_UDP_CSUM | NET_DEV_TCP_CSUM);
		l4_checksum(stack, path, out, proto);
		stack->dev->caps = caps;
		return output_fragments(stack, path, out, proto, tos);
	}
	if (likely(!path->loop))
		l4_checksum(stack, path, out, proto);
	ip_header(stack, path, out, proto, tos, __builtin_bswap16(NET_IP_DF));
	stack->ip.id++;
	return output(stack, path, out);
}

/* ---- input */

static void bad(struct net_stack *stack, struct net_pkt *pkt, enum net_count why)
{
	stack->count[why]++;
	net_put(stack, pkt->seg.mem);
}

/* Broadcast, or an address of ours. */
static bool is_for_us(struct net_stack *stack, uint32_t dst, bool *broadcast_out)
{
	struct net_ip ip = net_ip4(dst);

	*broadcast_out = false;
	if (likely(dst == stack->ip.hot && dst))
		return true;
	if (net_local_has(stack, &ip)) {
		stack->ip.hot = dst;
		return true;
	}
	*broadcast_out = dst == ~0u || is_subnet_broadcast(stack, dst);
	return *broadcast_out;
}

/* RFC 1122 3.2.1.3: who cannot have sent anything. */
static bool source_is_bad(const struct net_stack *stack, uint32_t src)
{
	struct net_ip ip = net_ip4(src);

	return is_multicast_or_reserved(src) || is_subnet_broadcast(stack, src) ||
	       (is_loopback(src) && !stack->config.any_addr && !net_local_has(stack, &ip));
}

void net_ip_deliver(struct net_stack *stack, struct net_pkt *pkt, const struct net_ip_in *ip,
		    uint8_t proto)
{
	switch (proto) {
	case NET_IPPROTO_TCP:
		net_tcp_input(stack, pkt, ip);
		return;
	case NET_IPPROTO_UDP:
		net_udp_input(stack, pkt, ip);
		return;
	case NET_IPPROTO_ICMP:
		net_icmp_input(stack, pkt, ip);
		return;
	default:
		net_icmp_unreachable(stack, pkt, ip, NET_ICMP_UNREACH_PROTO);
		bad(stack, pkt, NET_C_IP_NO_PROTO);
	}
}

static slow_path void fragment_input(struct net_stack *stack, struct net_pkt *pkt,
				     struct net_ip_in *ip, const struct net_ip_hdr *header)
{
	uint16_t frag = __builtin_bswap16(header->frag);
	uint8_t proto = header->proto;	/* header is gone once it is whole */

	if (net_reass_input(stack, pkt, ip, proto, header->id, (frag & NET_IP_OFFSET) * 8u,
			    frag & NET_IP_MF))
		net_ip_deliver(stack, pkt, ip, proto);
}

void net_ip_input(struct net_stack *stack, struct net_pkt *pkt)
{
	const struct net_ip_hdr *header = (const struct net_ip_hdr *)pkt->seg.data;
	uint32_t len, header_len = NET_IP_LEN;
	struct net_ip_in ip;

	if (unlikely(pkt->seg.len < NET_IP_LEN))
		return bad(stack, pkt, NET_C_IP_BAD);
	if (unlikely(header->ver_ihl != 0x45)) { /* options: they are skipped */
		header_len = (header->ver_ihl & 0xfu) * 4;
		if (header->ver_ihl >> 4 != 4 || header_len < NET_IP_LEN ||
		    pkt->seg.len < header_len)
			return bad(stack, pkt, NET_C_IP_BAD);
	}
	len = __builtin_bswap16(header->len);
	if (unlikely(len < header_len || len > pkt->seg.len))
		return bad(stack, pkt, NET_C_IP_BAD);
	if (unlikely(pkt->flags & NET_PKT_IP_BAD) ||
	    (!(pkt->flags & NET_PKT_IP_GOOD) &&
	     unlikely(header_len == NET_IP_LEN ? net_csum_ip20(header) :
		      net_csum_finish(net_csum_add(0, header, header_len)))))
		return bad(stack, pkt, NET_C_IP_BAD_CSUM);
	if (unlikely(!is_for_us(stack, header->dst, &ip.broadcast)))
		return bad(stack, pkt, NET_C_IP_NOT_OURS);
	if (unlikely(source_is_bad(stack, header->src)))
		return bad(stack, pkt, NET_C_IP_BAD);
	ip.src = net_ip4(header->src);
	ip.dst = net_ip4(header->dst);
	ip.len = (uint16_t)(len - header_len);
	ip.tos = header->tos;
	ip.header = pkt->seg.data;
	pkt->seg.data += header_len;
	pkt->seg.len = ip.len;
	if (unlikely(header->frag & __builtin_bswap16(NET_IP_MF | NET_IP_OFFSET)))
		return fragment_input(stack, pkt, &ip, header);
	net_ip_deliver(stack, pkt, &ip, header->proto);
}

#include "config.h"

#include "net/ip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "net/stack.h"

#define PMTU_LIFE (600 * NSEC_PER_SEC)

/* ---- addresses */

static uint32_t mask_of(unsigned prefix)
{
	return prefix ? __builtin_bswap32(~0u << (32 - prefix)) : 0;
}

static bool is_within(const struct net_ip *ip, const struct net_ip *net, unsigned prefix)
{
	return !((net_ip_v4(ip) ^ net_ip_v4(net)) & mask_of(prefix));
}

static bool is_v4(const struct net_ip *ip)
{
	return !ip->d[0] && ip->w[2] == __builtin_bswap32(0xffff);
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

	return is_v4(ip) && (v4 & __builtin_bswap32(0xff000000)) &&
	       !is_multicast_or_reserved(v4) && !is_subnet_broadcast(stack, v4);
}

bool net_ip_is_broadcast(const struct net_stack *stack, uint32_t ip)
{
	return ip == ~0u || is_subnet_broadcast(stack, ip);
}

/* RFC 1122 3.2.1.3: who cannot have sent anything. Only our own loopback brings
 * packets of ours, unless the link is one. */
bool net_ip_may_send(const struct net_stack *stack, uint32_t src, bool looped)
{
	struct net_ip ip = net_ip4(src);

	if (net_local_has(stack, &ip))
		return looped || stack->config.link_loop || stack->config.any_addr;
	return net_ip_is_unicast(stack, &ip) && (!is_loopback(src) || stack->config.any_addr);
}

static void pmtus_expire(struct net_stack *stack, struct net_timer *timer);

static void all_cold(struct net_ips *ips)
{
	ips->hot = NET_IP_COLD;
	memset(ips->hot_srcs, 0, sizeof(ips->hot_srcs));
	*net_ip_hot(ips, 0) = 1;	/* which belongs elsewhere */
}

void net_ips_init(struct net_stack *stack)
{
	struct net_ips *ips = &stack->ip;

	ips->gen = 1;
	all_cold(ips);
	for (size_t i = 0; i < array_size(ips->ids); i++)
		ips->ids[i] = (uint16_t)net_rand_u32(&stack->rand);
	net_timer_init(&ips->pmtu_timer, pmtus_expire);
}

void net_ips_fini(struct net_stack *stack)
{
	net_timer_remove(stack, &stack->ip.pmtu_timer);
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

/* What was found out before may be wrong now. */
static void changed(struct net_ips *ips)
{
	ips->gen++;
	all_cold(ips);
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
	changed(ips);
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
	changed(ips);
	return 0;
}

void net_announce(struct net_stack *stack)
{
	for (uint32_t i = 0; i < stack->ip.n_locals; i++)
		net_arp_announce(stack, &stack->ip.locals[i].ip);
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

	if (prefix > 32 || !is_v4(net) || (gateway && !net_ip_is_unicast(stack, gateway)))
		return EINVAL;
	routes = realloc(ips->routes, (ips->n_routes + 1) * sizeof(*routes));
	if (!routes)
		return ENOMEM;
	ips->routes = routes;
	routes[ips->n_routes++] = (struct net_route){
		.net = *net, .prefix = prefix, .gateway = gateway ? *gateway : net_ip4(0),
	};
	changed(ips);
	return 0;
}

/* ---- path mtus */

static struct net_pmtu *pmtu_find(const struct net_stack *stack, uint32_t dst)
{
	const struct net_ips *ips = &stack->ip;

	for (uint32_t i = 0; ips->has_pmtus && i < NET_PMTUS; i++)
		if (ips->pmtus[i].dst == dst)
			return (struct net_pmtu *)&ips->pmtus[i];
	return NULL;
}

uint32_t net_ip_mtu(const struct net_stack *stack, uint32_t dst)
{
	const struct net_pmtu *p = pmtu_find(stack, dst);

	return p ? p->mtu : stack->config.mtu;
}

/* RFC 1191 6.3: after ten minutes it may have become better. */
static void pmtus_expire(struct net_stack *stack, struct net_timer *timer)
{
	struct net_ips *ips = &stack->ip;
	uint64_t next = NET_NEVER;

	for (uint32_t i = 0; i < NET_PMTUS; i++) {
		struct net_pmtu *p = &ips->pmtus[i];
		uint32_t dst = p->dst;

		if (dst && p->until <= stack->now) {
			p->dst = 0;
			changed(ips);
			net_tcp_mtu_changed(stack, dst);
		} else if (dst && p->until < next) {
			next = p->until;
		}
	}
	ips->has_pmtus = next != NET_NEVER;
	if (ips->has_pmtus)
		net_timer_arm(stack, timer, next);
}

/* A place for dst: its own, a free one, or that of the one which would end first. */
static struct net_pmtu *pmtu_place(struct net_stack *stack, uint32_t dst)
{
	struct net_pmtu *p = pmtu_find(stack, dst), *best = stack->ip.pmtus;

	for (uint32_t i = 0; !p && i < NET_PMTUS; i++) {
		struct net_pmtu *other = &stack->ip.pmtus[i];

		if (!other->dst)
			return other;
		if (other->until < best->until)
			best = other;
	}
	return p ? p : best;
}

/* RFC 1191 5: the largest of the usual ones that is smaller. */
static uint32_t plateau_below(uint32_t len)
{
	static const uint16_t plateaus[] = { 32000, 17914, 8166, 4352, 2002, 1492, 1006 };

	for (size_t i = 0; i < array_size(plateaus); i++)
		if (plateaus[i] < len)
			return plateaus[i];
	return NET_PMTU_MIN;
}

void net_ip_shrink(struct net_stack *stack, uint32_t dst, uint32_t mtu, uint32_t old_len)
{
	struct net_ips *ips = &stack->ip;
	struct net_pmtu *p;

	if (!mtu)
		mtu = plateau_below(old_len);
	if (mtu < NET_PMTU_MIN)
		mtu = NET_PMTU_MIN;
	if (mtu >= net_ip_mtu(stack, dst))
		return;
	p = pmtu_place(stack, dst);
	*p = (struct net_pmtu){ dst, mtu, stack->now + PMTU_LIFE };
	ips->has_pmtus = true;
	if (!net_timer_is_armed(&ips->pmtu_timer))
		net_timer_arm(stack, &ips->pmtu_timer, p->until);
	changed(ips);
	net_tcp_mtu_changed(stack, dst);
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
static const struct net_ip *source_choose(const struct net_stack *stack,
					  const struct net_ip *hop)
{
	const struct net_ips *ips = &stack->ip;

	for (uint32_t i = 0; i < ips->n_locals; i++)
		if (ips->locals[i].prefix < 32 &&
		    is_within(hop, &ips->locals[i].ip, ips->locals[i].prefix))
			return &ips->locals[i].ip;
	return &ips->locals[0].ip;
}

static int find_way(struct net_stack *stack, const struct net_ip *src, const struct net_ip *dst,
		    bool link, struct net_path *path_out)
{
	struct net_path path = { .dst = net_ip_v4(dst), .gen = stack->ip.gen, .link = link };
	bool ours = !link && net_local_has(stack, dst);
	struct net_ip hop;
	int err;

	if (!stack->ip.n_locals)
		return ENETUNREACH;
	if (!net_ip_is_any(src) && !net_local_has(stack, src))
		return EADDRNOTAVAIL;
	if (!net_ip_is_unicast(stack, dst) ||
	    (is_loopback(net_ip_v4(dst)) && !ours && !stack->config.any_addr))
		return ENETUNREACH;
	path.mtu = (uint16_t)net_ip_mtu(stack, net_ip_v4(dst));
	if (ours) {
		path.loop = !stack->config.link_loop;
		path.self = !path.loop;
		path.src = path.dst;
		if (path.loop)
			path.mtu = NET_LOOP_MTU;
	} else {
		err = hop_find(stack, dst, &hop);
		if (err)
			return err;
		path.src = net_ip_v4(source_choose(stack, &hop));
	}
	if (!net_ip_is_any(src))
		path.src = net_ip_v4(src);
	*path_out = path;
	return 0;
}

int net_path_hop(const struct net_stack *stack, const struct net_path *path,
		 struct net_ip *hop_out)
{
	struct net_ip dst = net_ip4(path->dst);

	return hop_find(stack, &dst, hop_out);
}

int net_path_find(struct net_stack *stack, const struct net_ip *src, const struct net_ip *dst,
		  struct net_path *path_out)
{
	return find_way(stack, src, dst, false, path_out);
}

/* Whether an address may be the other end's and ours. */
static bool is_shared(const struct net_stack *stack)
{
	return stack->config.any_addr && !stack->config.link_loop;
}

int net_path_find_to(struct net_stack *stack, enum net_type type, const struct net_ip *src,
		     const struct net_addr *dst, struct net_path *path_out)
{
	bool here = net_local_has(stack, &dst->ip) &&
		    (stack->alone || net_port_find(stack, type, dst, NULL));

	return find_way(stack, src, &dst->ip, is_shared(stack) && !here, path_out);
}

int net_path_find_back(struct net_stack *stack, const struct net_ip *src,
		       const struct net_ip *dst, struct net_path *path_out)
{
	return find_way(stack, src, dst, is_shared(stack) && !stack->looped, path_out);
}

int net_path_renew(struct net_stack *stack, struct net_path *path)
{
	struct net_ip src = net_ip4(path->src), dst = net_ip4(path->dst);

	return find_way(stack, &src, &dst, path->link, path);
}

#include "config.h"

#include "net/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/stack.h"

#define FIRST_SIZE 64u

/* One that sockets are bound to. */
struct net_port {
	struct net_port *next;	/* of its hash chain */
	struct net_sock *socks;	/* by port_next */
	uint16_t port;		/* as on the wire */
	uint8_t type;		/* enum net_type */
};

/* One that connections use without a bound socket (TCP). */
struct net_held_port {
	uint16_t port;		/* as on the wire */
	uint32_t n;		/* 0: an empty place */
};

int net_ports_init(struct net_stack *stack)
{
	struct net_ports *ports = &stack->ports;

	ports->table = calloc(FIRST_SIZE, sizeof(struct net_port *));
	if (!ports->table)
		return ENOMEM;
	ports->mask = FIRST_SIZE - 1;
	ports->held = calloc(FIRST_SIZE, sizeof(struct net_held_port));
	if (!ports->held) {
		free(ports->table);
		ports->table = NULL;
		return ENOMEM;
	}
	ports->held_mask = FIRST_SIZE - 1;
	return 0;
}

void net_ports_fini(struct net_stack *stack)
{
	struct net_ports *ports = &stack->ports;

	for (uint32_t i = 0; ports->table && i <= ports->mask; i++) {
		struct net_port *p, *next;

		for (p = ports->table[i]; p; p = next) {
			next = p->next;
			free(p);
		}
	}
	free(ports->table);
	ports->table = NULL;
	free(ports->held);
	ports->held = NULL;
}

static struct net_port **chain_of(const struct net_ports *ports, uint16_t port)
{
	return &ports->table[((port >> 8) ^ (uint32_t)port * 0x9e37u) & ports->mask];
}

static struct net_port *find(const struct net_ports *ports, uint8_t type, uint16_t port)
{
	struct net_port *p = *chain_of(ports, port);

	while (p && (p->port != port || p->type != type))
		p = p->next;
	return p;
}

static struct net_sock **alone_of(struct net_ports *ports, uint16_t port)
{
	return &ports->alone[(port ^ port >> 8) % NET_PORTS_ALONE];
}

/* Twice the chains, if there are more ports than chains; as many as before will do,
 * too. */
static void grow(struct net_ports *ports)
{
	uint32_t size = ports->mask + 1;
	struct net_ports larger = { .mask = size * 2 - 1 };

	if (ports->n < size)
		return;
	larger.table = calloc(size * 2, sizeof(struct net_port *));
	if (!larger.table)
		return;
	for (uint32_t i = 0; i < size; i++) {
		struct net_port *p, *next;

		for (p = ports->table[i]; p; p = next) {
			struct net_port **chain = chain_of(&larger, p->port);

			next = p->next;
			p->next = *chain;
			*chain = p;
		}
	}
	free(ports->table);
	ports->table = larger.table;
	ports->mask = larger.mask;
}

static struct net_port *make(struct net_ports *ports, uint8_t type, uint16_t port)
{
	struct net_port **chain, *p = find(ports, type, port);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	grow(ports);
	p->port = port;
	p->type = type;
	chain = chain_of(ports, port);
	p->next = *chain;
	*chain = p;
	ports->n++;
	return p;
}

static void drop_if_unused(struct net_ports *ports, struct net_port *p)
{
	struct net_port **link = chain_of(ports, p->port);

	if (p->socks)
		return;
	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	ports->n--;
	free(p);
}

/* ---- held ones: open addressing, linear probing */

static uint32_t held_home(const struct net_ports *ports, uint16_t port)
{
	return (port * 0x9e3779b1u) >> 15 & ports->held_mask;
}

/* The place of a port, or the empty one where it would be. */
static struct net_held_port *held_find(const struct net_ports *ports, uint16_t port)
{
	uint32_t i = held_home(ports, port);

	while (ports->held[i].n && ports->held[i].port != port)
		i = (i + 1) & ports->held_mask;
	return &ports->held[i];
}

static bool is_held(const struct net_ports *ports, uint8_t type, uint16_t port)
{
	return type == NET_TCP && held_find(ports, port)->n;
}

static int held_grow(struct net_ports *ports)
{
	struct net_held_port *old = ports->held;
	uint32_t size = ports->held_mask + 1;

	ports->held = calloc(2 * (size_t)size, sizeof(*old));
	if (!ports->held) {
		ports->held = old;
		return ENOMEM;
	}
	ports->held_mask = 2 * size - 1;
	for (uint32_t i = 0; i < size; i++)
		if (old[i].n)
			*held_find(ports, old[i].port) = old[i];
	free(old);
	return 0;
}

static int held_add(struct net_ports *ports, uint16_t port)
{
	struct net_held_port *held = held_find(ports, port);

	if (held->n) {
		held->n++;
		return 0;
	}
	if (ports->n_held + 1 > (ports->held_mask + 1) / 4 * 3) {
		if (held_grow(ports))
			return ENOMEM;
		held = held_find(ports, port);
	}
	*held = (struct net_held_port){ .port = port, .n = 1 };
	ports->n_held++;
	return 0;
}

/* Those behind the gap that their probing would no longer reach move up. */
static void held_drop(struct net_ports *ports, uint16_t port)
{
	struct net_held_port *held = ports->held;
	uint32_t mask = ports->held_mask, gap = (uint32_t)(held_find(ports, port) - held);

	if (--held[gap].n)
		return;
	ports->n_held--;
	for (uint32_t i = (gap + 1) & mask; held[i].n; i = (i + 1) & mask) {
		uint32_t home = held_home(ports, held[i].port);

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		held[gap] = held[i];
		held[i].n = 0;
		gap = i;
	}
}

/* ---- binding */

static bool addresses_overlap(const struct net_ip *a, const struct net_ip *b)
{
	return net_ip_is_any(a) || net_ip_is_any(b) || net_ip_equal(a, b);
}

static bool is_taken(const struct net_sock *s, uint16_t port, const struct net_ip *ip)
{
	const struct net_ports *ports = &s->stack->ports;
	const struct net_port *p = find(ports, s->type, port);

	if (!s->reuse && is_held(ports, s->type, port))
		return true;
	for (const struct net_sock *other = p ? p->socks : NULL; other; other = other->port_next) {
		if (!addresses_overlap(&other->local.ip, ip))
			continue;
		if (!other->reuse || !s->reuse || other->listens)
			return true;
	}
	return false;
}

/* A random place to begin at, then all of the range in order. */
static uint16_t nth_port(const struct net_stack *stack, uint32_t first, uint32_t i)
{
	uint32_t n = stack->config.port_max - stack->config.port_min + 1;

	return __builtin_bswap16((uint16_t)(stack->config.port_min + (first + i) % n));
}

/* One that nobody has at any address. */
static int free_port(struct net_sock *s, uint16_t *port_out)
{
	struct net_stack *stack = s->stack;
	uint32_t n = stack->config.port_max - stack->config.port_min + 1;
	uint32_t first = net_rand_below(&stack->rand, n);

	for (uint32_t i = 0; i < n; i++) {
		uint16_t port = nth_port(stack, first, i);

		if (find(&stack->ports, s->type, port) || is_held(&stack->ports, s->type, port))
			continue;
		*port_out = port;
		return 0;
	}
	return EADDRINUSE;
}

/* With any_addr, datagrams to one of our addresses go where it has a socket. */
static void ways_change(struct net_sock *s)
{
	if (s->type == NET_UDP && s->stack->config.any_addr)
		s->stack->ip.gen++;
}

int net_port_bind(struct net_sock *s, const struct net_addr *addr)
{
	struct net_stack *stack = s->stack;
	bool any = net_ip_is_any(&addr->ip);
	uint16_t port = addr->port;
	struct net_port *p;
	int err = 0;

	if (!port)
		err = free_port(s, &port);
	else if (is_taken(s, port, &addr->ip))
		err = EADDRINUSE;
	if (!err && !any)
		err = net_local_hold(stack, &addr->ip);
	if (err)
		return err;
	p = make(&stack->ports, s->type, port);
	if (!p) {
		if (!any)
			net_local_drop(stack, &addr->ip);
		return ENOMEM;
	}
	s->local.ip = addr->ip;
	s->holds_ip = !any;
	s->local.port = port;
	s->bound = true;
	s->port_next = p->socks;
	p->socks = s;
	*alone_of(&s->stack->ports, s->local.port) = NULL;
	ways_change(s);
	return 0;
}

void net_port_unbind(struct net_sock *s)
{
	struct net_ports *ports = &s->stack->ports;
	struct net_sock **link;
	struct net_port *p;

	if (!s->bound)
		return;
	p = find(ports, s->type, s->local.port);
	link = &p->socks;
	while (*link != s)
		link = &(*link)->port_next;
	*link = s->port_next;
	*alone_of(&s->stack->ports, s->local.port) = NULL;
	s->bound = false;
	ways_change(s);
	drop_if_unused(ports, p);
	if (s->holds_ip)
		net_local_drop(s->stack, &s->local.ip);
	s->holds_ip = false;
}

int net_port_pick(struct net_sock *s, bool (*taken)(struct net_sock *s, uint16_t port))
{
	struct net_stack *stack = s->stack;
	uint32_t n = stack->config.port_max - stack->config.port_min + 1;
	uint32_t first = net_rand_below(&stack->rand, n);

	for (uint32_t i = 0; i < n; i++) {
		uint16_t port = nth_port(stack, first, i);
		const struct net_port *p = find(&stack->ports, s->type, port);

		if ((p && p->socks) || taken(s, port))
			continue;
		s->local.port = port;
		return 0;
	}
	return EADDRNOTAVAIL;
}

bool net_port_has_listener(const struct net_sock *s)
{
	const struct net_port *p = find(&s->stack->ports, s->type, s->local.port);

	for (const struct net_sock *other = p->socks; other; other = other->port_next)
		if (other != s && other->listens &&
		    addresses_overlap(&other->local.ip, &s->local.ip))
			return true;
	return false;
}

int net_port_hold(struct net_stack *stack, const struct net_addr *local, int n)
{
	int err;

	if (n < 0) {
		held_drop(&stack->ports, local->port);
		net_local_drop(stack, &local->ip);
		return 0;
	}
	err = net_local_hold(stack, &local->ip);
	if (err)
		return err;
	err = held_add(&stack->ports, local->port);
	if (err)
		net_local_drop(stack, &local->ip);
	return err;
}

/* ---- who gets a packet */

/* How well a socket fits; 0: not at all. */
static int score(const struct net_sock *s, const struct net_addr *local,
		 const struct net_addr *peer)
{
	int n = 1;

	if (s->type == NET_TCP && !s->listens)
		return 0;
	if (!net_ip_is_any(&s->local.ip)) {
		if (!net_ip_equal(&s->local.ip, &local->ip))
			return 0;
		n++;
	}
	if (peer && s->peer.port) {
		if (s->peer.port != peer->port || !net_ip_equal(&s->peer.ip, &peer->ip))
			return 0;
		n += 2;
	}
	return n;
}

struct net_sock *net_port_find(struct net_stack *stack, enum net_type type,
			       const struct net_addr *local, const struct net_addr *peer)
{
	const struct net_port *p = find(&stack->ports, type, local->port);
	struct net_sock *best = NULL;
	int most = 0;

	for (struct net_sock *s = p ? p->socks : NULL; s; s = s->port_next) {
		int n = score(s, local, peer);

		if (n > most) {
			most = n;
			best = s;
		}
	}
	if (type == NET_UDP && best && !p->socks->port_next)
		*alone_of(&stack->ports, local->port) = best;
	return best;
}

struct net_sock *net_port_find_udp(struct net_stack *stack, const struct net_addr *local,
				   const struct net_addr *peer)
{
	struct net_sock *s = *alone_of(&stack->ports, local->port);

	if (likely(s) && likely(s->local.port == local->port) && likely(score(s, local, peer)))
		return s;
	return net_port_find(stack, NET_UDP, local, peer);
}

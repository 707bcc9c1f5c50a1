#include "config.h"

#include "tests/sim/caller.h"

#include <errno.h>
#include <string.h>

#include <linux/tcp.h>

#include "base/compiler.h"
#include "base/time.h"
#include "tests/sim/heap.h"
#include "tests/sim/host.h"
#include "tests/sim/mem.h"
#include "tests/sim/wire.h"
#include "tests/sim/world.h"

#define PORT 3100u		/* nobody else's, and 50 behind it */
#define PORT_KEPT 3150u		/* of what outlives a turn; 40 */
#define NO_PORT 3199u		/* nobody's */
#define WAITING_MOST 256u	/* packets, for neighbours */
#define STREAM 98u		/* of its datagrams */

static struct host *host_of(const struct caller *c)
{
	return c->prog.host;
}

static struct net_stack *stack_of(const struct caller *c)
{
	return c->prog.host->stack;
}

static void want(const struct caller *c, const char *call, int got, int right)
{
	ask_want(host_of(c), call, got, right);
}

/* ---- sockets and addresses */

static struct net_sock *new_sock(struct caller *c, enum net_type type)
{
	struct net_sock *s = NULL;

	want(c, "net_socket()", net_socket(stack_of(c), type, &c->prog, &s), 0);
	if (net_user(s) != &c->prog)
		world_fail(c->w, "h%u: another's socket", host_of(c)->nr);
	return s;
}

static struct net_sock *new_tcp(struct caller *c)
{
	return new_sock(c, NET_TCP);
}

static struct net_addr at(struct net_ip ip, uint32_t port)
{
	return (struct net_addr){ ip, __builtin_bswap16((uint16_t)port) };
}

static struct net_addr a_port(struct caller *c, struct net_ip ip)
{
	return at(ip, PORT + rnd_below(&c->rnd, 50));
}

static struct net_addr a_kept_port(struct caller *c, struct net_ip ip)
{
	return at(ip, PORT_KEPT + rnd_below(&c->rnd, 40));
}

static struct net_ip ip4(uint32_t ip)
{
	return net_ip4(__builtin_bswap32(ip));
}

static struct net_ip any(void)
{
	return net_ip4(0);
}

static struct net_ip own(struct caller *c)
{
	return host_ip(host_of(c), rnd_below(&c->rnd, host_of(c)->plan.n_ips));
}

/* On its segment, where nobody has it. */
static struct net_ip nobody(struct caller *c, uint32_t which)
{
	return ip4(wire_ip(host_of(c)->plan.segment, 90 + which));
}

/* What nothing can be sent to, nor come from. */
static struct net_ip nowhere(struct caller *c)
{
	static const uint32_t v4[] = { 0xe0000001, 0xf0000001, 0xffffffff, 0x00000001 };
	struct net_ip v6 = { .b = { 0x20, 1, [15] = 1 } }, local6 = { .b = { [15] = 1 } };

	switch (rnd_below(&c->rnd, 4)) {
	case 0:
		return v6;
	case 1:
		return local6;
	case 2: /* to all of its network */
		return ip4(wire_ip(host_of(c)->plan.segment, 254));
	default:
		return ip4(v4[rnd_below(&c->rnd, array_size(v4))]);
	}
}

static struct kept *keep(struct caller *c, struct net_sock *s, bool tcp, bool listens)
{
	for (uint32_t i = 0; i < CALLER_KEEPS; i++) {
		struct kept *k = &c->kept[i];

		if (k->sock)
			continue;
		*k = (struct kept){ .sock = s, .tcp = tcp, .listens = listens };
		return k;
	}
	net_abort(s);
	return NULL;
}

/* A port that a connection has can be bound by one who shares, and by nobody else. */
static void bind_beside(struct caller *c, struct net_sock *connected)
{
	struct net_sock *s = new_tcp(c);
	struct net_addr name;

	if (!net_name(connected, &name) && ask_tcp_state(connected) == ASK_SYN_SENT) {
		want(c, "net_bind() to a connection's port", net_bind(s, &name), EADDRINUSE);
		want(c, "reuse", net_set_opt(s, NET_OPT_REUSEADDR, 1), 0);
		want(c, "net_bind() to a shared port", net_bind(s, &name), 0);
	}
	net_close(s, false);
}

/* One of the ways to be rid of it. */
static void leave(struct caller *c, struct net_sock *s)
{
	struct kept *k;

	switch (rnd_below(&c->rnd, 3)) {
	case 0:
		net_abort(s);
		return;
	case 1:
		net_close(s, false);
		return;
	default:
		k = keep(c, s, true, false);
		if (!k)
			return;
		k->closed = true;
		net_close(s, true);
		return;
	}
}

static void must_be_new(struct caller *c, struct net_sock *s)
{
	struct net_addr addr;
	struct net_seg seg;

	want(c, "net_name() of a new socket", net_name(s, &addr), ENOTCONN);
	want(c, "net_peer() of a new socket", net_peer(s, &addr), ENOTCONN);
	want(c, "net_send() on a new socket", net_send(s, NULL, 0, NULL), ENOTCONN);
	want(c, "net_recv() on a new socket", net_recv(s, &seg, NULL), ENOTCONN);
	want(c, "net_peek() on a new socket", net_peek(s, &seg, NULL), ENOTCONN);
	want(c, "net_shutdown() of a new socket", net_shutdown(s, true, true), ENOTCONN);
	want(c, "net_error() of a new socket", net_error(s), 0);
	if (ask_tcp_state(s) != ASK_CLOSED || net_bytes_readable(s) || net_bytes_unacked(s))
		world_fail(c->w, "h%u: a new socket is not new", host_of(c)->nr);
}

/* ---- TCP */

static void turn_new(struct caller *c)
{
	struct net_sock *s = new_tcp(c), *none;
	struct net_addr to = at(nowhere(c), PORT);

	must_be_new(c, s);
	want(c, "net_accept() of a new socket", net_accept(s, NULL, &none, NULL), EINVAL);
	ask_options(host_of(c), s, &c->rnd, true);
	want(c, "net_connect() to nowhere", net_connect(s, &to), ENETUNREACH);
	want(c, "net_bind() to nowhere", net_bind(s, &to), EADDRNOTAVAIL);
	if (!host_of(c)->plan.any_addr) {
		to = at(ip4(0x7f000001), PORT);
		want(c, "net_connect() to 127.0.0.1", net_connect(s, &to), ENETUNREACH);
		want(c, "net_bind() to 127.0.0.1", net_bind(s, &to), EADDRNOTAVAIL);
		to = at(nobody(c, 0), PORT);
		want(c, "net_bind() to another's address", net_bind(s, &to), EADDRNOTAVAIL);
	}
	net_connect_cancel(s);
	net_charge(s, INT64_C(1) << 40);
	net_charge(s, -(INT64_C(1) << 41));
	must_be_new(c, s);
	leave(c, s);
}

static void turn_bound(struct caller *c)
{
	enum net_type type = rnd_one_in(&c->rnd, 2) ? NET_TCP : NET_UDP;
	struct net_sock *a = new_sock(c, type), *b = new_sock(c, type), *d = new_sock(c, type);
	struct net_addr addr = a_port(c, rnd_one_in(&c->rnd, 2) ? any() : own(c)), name;
	struct net_addr other = at(rnd_one_in(&c->rnd, 2) ? any() : addr.ip, 0);
	bool first = rnd_one_in(&c->rnd, 2);

	other.port = addr.port;
	if (net_bind(a, &addr))
		goto out;	/* a turn before this one has it */
	want(c, "net_name()", net_name(a, &name), 0);
	if (name.port != addr.port || !net_ip_equal(&name.ip, &addr.ip))
		world_fail(c->w, "h%u: a bound socket has another name", host_of(c)->nr);
	want(c, "net_bind() once more", net_bind(a, &addr), EINVAL);
	want(c, "net_bind() to what is taken", net_bind(b, &other), EADDRINUSE);
	want(c, "reuse", net_set_opt(b, NET_OPT_REUSEADDR, 1), 0);
	want(c, "net_bind() by one who shares", net_bind(b, &other), EADDRINUSE);
	want(c, "reuse", net_set_opt(a, NET_OPT_REUSEADDR, 1), 0);
	want(c, "net_bind() by two who share", net_bind(b, &other), 0);
	want(c, "net_bind() to what others share", net_bind(d, &other), EADDRINUSE);
	if (type == NET_TCP) {
		want(c, "net_listen()", net_listen(a, (int)rnd_below(&c->rnd, 3)), 0);
		want(c, "net_listen() by two who share", net_listen(b, 1), EADDRINUSE);
		want(c, "reuse", net_set_opt(d, NET_OPT_REUSEADDR, 1), 0);
		want(c, "net_bind() to a listener's", net_bind(d, &other), EADDRINUSE);
	}
	other.port = 0;
	if (!host_of(c)->plan.few_ports)
		want(c, "net_bind() to any port", net_bind(d, &other), 0);
out:
	net_close(first ? a : b, false);
	net_close(first ? b : a, false);
	net_close(d, false);
}

/* Two of its addresses have ports of their own. */
static void turn_apart(struct caller *c)
{
	struct net_sock *a = new_tcp(c), *b = new_tcp(c);
	struct net_addr addr = a_port(c, host_ip(host_of(c), 0));

	if (host_of(c)->plan.n_ips > 1 && !net_bind(a, &addr)) {
		addr.ip = host_ip(host_of(c), 1);
		want(c, "net_bind() to another address", net_bind(b, &addr), 0);
		want(c, "net_listen()", net_listen(a, 1), 0);
		want(c, "net_listen() at another address", net_listen(b, 1), 0);
	}
	net_abort(a);
	net_close(b, false);
}

static void turn_listener(struct caller *c)
{
	struct net_sock *s = new_tcp(c), *child;
	struct net_addr addr = a_kept_port(c, any());
	int backlog = 1 + (int)rnd_below(&c->rnd, 9);
	struct tcp_info info;
	struct net_seg seg;
	int err = rnd_one_in(&c->rnd, 2) ? net_bind(s, &addr) : 0;

	if (err || net_listen(s, backlog)) {
		net_close(s, false);
		return;		/* its ports are used up */
	}
	want(c, "net_listen() once more", net_listen(s, 1), EADDRINUSE);
	want(c, "net_bind() of a listener", net_bind(s, &addr), EINVAL);
	want(c, "net_accept() of nobody", net_accept(s, NULL, &child, NULL), EAGAIN);
	addr.ip = own(c);
	want(c, "net_connect() of a listener", net_connect(s, &addr), EOPNOTSUPP);
	net_connect_cancel(s);
	want(c, "net_send() on a listener", net_send(s, NULL, 0, NULL), ENOTCONN);
	want(c, "net_recv() on a listener", net_recv(s, &seg, NULL), ENOTCONN);
	want(c, "net_shutdown() of a listener", net_shutdown(s, true, true), ENOTCONN);
	want(c, "net_name() of a listener", net_name(s, &addr), 0);
	want(c, "net_peer() of a listener", net_peer(s, &addr), ENOTCONN);
	ask_options(host_of(c), s, &c->rnd, true);
	net_tcp_info(s, &info);
	if (info.tcpi_state != ASK_LISTEN || info.tcpi_unacked ||
	    info.tcpi_sacked != (uint32_t)backlog)
		world_fail(c->w, "h%u: a listener's TCP_INFO: state %u, %u of %u", host_of(c)->nr,
			   info.tcpi_state, info.tcpi_unacked, info.tcpi_sacked);
	leave(c, s);
}

/* A few connections to itself, which nobody accepts for a while, or ever. */
static void turn_backlog(struct caller *c)
{
	uint32_t n = 1 + rnd_below(&c->rnd, 4);
	struct net_addr addr = a_kept_port(c, own(c));
	struct net_sock *s = new_tcp(c);

	if (net_bind(s, &addr) || net_listen(s, 1 + (int)rnd_below(&c->rnd, 4))) {
		net_close(s, false);
		return;
	}
	keep(c, s, true, true);
	if (rnd_one_in(&c->rnd, 4))
		addr.ip = any(); /* which is one of its own, perhaps another */
	while (n--) {
		s = new_tcp(c);
		if (net_connect(s, &addr)) {
			net_close(s, false);
			continue;
		}
		bind_beside(c, s);
		keep(c, s, true, false);
	}
}

/* Two who share a port cannot be connected with the same one. */
static void turn_shared(struct caller *c)
{
	struct net_sock *a = new_tcp(c), *b = new_tcp(c);
	struct net_addr name = a_port(c, own(c)), to = at(nobody(c, 0), PORT);
	int err;

	want(c, "reuse", net_set_opt(a, NET_OPT_REUSEADDR, 1), 0);
	want(c, "reuse", net_set_opt(b, NET_OPT_REUSEADDR, 1), 0);
	if (!net_bind(a, &name)) {
		want(c, "net_bind() by two who share", net_bind(b, &name), 0);
		err = net_connect(a, &to);
		/* it may have failed at once: nobody is there */
		if (!err && ask_tcp_state(a) == ASK_SYN_SENT) {
			want(c, "net_connect() by two who share", net_connect(b, &to), EADDRINUSE);
			want(c, "net_name() after that", net_name(b, &to), 0);
		}
	}
	net_close(b, false);
	net_abort(a);
}

static void turn_connecting(struct caller *c)
{
	struct net_sock *s = new_tcp(c);
	struct net_addr to = at(nobody(c, rnd_below(&c->rnd, 2)), PORT);
	struct asked asked = { 0 };
	int err;

	if (c->w->intruder && rnd_one_in(&c->rnd, 2))
		to = at(ip4(c->w->intruder->ip), PORT);
	else if (rnd_one_in(&c->rnd, 3))
		to = at(own(c), NO_PORT);
	err = net_connect(s, &to);
	if (err && err != EADDRNOTAVAIL)
		world_fail(c->w, "h%u: net_connect: %s", host_of(c)->nr, strerror(err));
	for (int i = 0; !err && i < 4; i++)
		ask_tcp(host_of(c), s, &c->rnd, &asked, 0);
	if (rnd_one_in(&c->rnd, 2)) {
		net_connect_cancel(s);
		net_error(s); /* it may have failed at once */
		must_be_new(c, s);
	}
	if (!err && rnd_one_in(&c->rnd, 2))
		keep(c, s, true, false);
	else
		leave(c, s);
}

/* ---- UDP */

/* One datagram; ENOTCONN is never UDP's answer. */
static int say(struct caller *c, struct net_sock *s, const struct net_addr *to, uint32_t n_segs)
{
	struct net_seg segs[NET_OUT_SEGS + 1] = { { NULL } };
	int err;

	for (uint32_t i = 0; i < n_segs; i++) {
		struct net_mem *mem = mem_new(c->w, host_of(c), MEM_PROGRAM, 8);
		uint32_t len = n_segs > 1 && rnd_one_in(&c->rnd, 8) ? 0 : 8;

		mem->stream = STREAM;
		mem->offset = 8 * i;
		stream_fill(STREAM, mem->offset, mem->data, 8);
		/* a few empty ones among them, which have references, too */
		segs[i] = (struct net_seg){ mem, mem->data, len, 0 };
	}
	err = net_send(s, segs, n_segs, to);
	for (uint32_t i = 0; err && i < n_segs; i++)
		mem_put(segs[i].mem);
	return err;
}

static void turn_udp(struct caller *c)
{
	struct net_sock *s = new_sock(c, NET_UDP);
	struct net_addr to = at(own(c), 0), bad = at(nowhere(c), PORT);
	struct net_seg seg;

	ask_udp(host_of(c), s, &c->rnd);
	want(c, "net_recv()", net_recv(s, &seg, NULL), EAGAIN);
	want(c, "net_peek()", net_peek(s, &seg, NULL), EAGAIN);
	want(c, "net_error()", net_error(s), 0);
	want(c, "net_shutdown() of no peer", net_shutdown(s, true, true), ENOTCONN);
	want(c, "net_send() to nobody", say(c, s, NULL, 1), EDESTADDRREQ);
	want(c, "net_send() to no port", say(c, s, &to, 1), EDESTADDRREQ);
	want(c, "net_send() of 17 segments", say(c, s, &bad, NET_OUT_SEGS + 1), EMSGSIZE);
	want(c, "net_send() to nowhere", say(c, s, &bad, 1), ENETUNREACH);
	want(c, "net_connect() to nowhere", net_connect(s, &bad), ENETUNREACH);
	want(c, "net_bind() to nowhere", net_bind(s, &bad), EADDRNOTAVAIL);
	to = at(ip4(0xc0a800ff), PORT); /* which is nobody's broadcast here */
	say(c, s, &to, 1);
	net_abort(s);
}

/* One that hears, one that is heard and, perhaps, one that nobody hears. */
static void turn_udp_self(struct caller *c)
{
	struct net_sock *a = new_sock(c, NET_UDP), *b = new_sock(c, NET_UDP);
	struct net_addr addr = a_kept_port(c, own(c)), peer;
	int err = net_bind(a, &addr);

	if (rnd_one_in(&c->rnd, 2))
		addr.port = __builtin_bswap16(NO_PORT);
	if (!err && rnd_one_in(&c->rnd, 4))
		addr.ip = any();
	if (!err)
		err = net_connect(b, &addr);
	for (int i = 0; !err && i < 3; i++)
		err = say(c, b, rnd_one_in(&c->rnd, 2) ? NULL : &addr, 1 + rnd_below(&c->rnd, 4));
	if (!err)
		want(c, "net_peer()", net_peer(b, &peer), 0);
	if (!err && rnd_one_in(&c->rnd, 2)) {
		want(c, "net_shutdown()", net_shutdown(b, false, true), 0);
		want(c, "net_send() after net_shutdown()", say(c, b, NULL, 1), EPIPE);
	}
	if (!err && !net_name(b, &peer))
		net_connect(a, &peer);
	keep(c, a, false, false);
	keep(c, b, false, false);
}

/* To somebody who is not there: every now and then it hears of it. */
static void turn_udp_nobody(struct caller *c)
{
	struct net_sock *s = new_sock(c, NET_UDP);
	struct net_addr to = at(nobody(c, rnd_below(&c->rnd, 2)), PORT);

	if (!net_connect(s, &to))
		say(c, s, NULL, 1);
	keep(c, s, false, false);
}

static void hear(struct caller *c, struct net_sock *s)
{
	struct net_seg peeked, seg;
	struct net_addr from, from2;
	uint64_t readable = net_bytes_readable(s);
	int err = net_peek(s, &peeked, &from), err2;

	if (err == EAGAIN && readable)
		world_fail(c->w, "h%u: nothing of %llu bytes", host_of(c)->nr,
			   (unsigned long long)readable);
	if (err && err != EAGAIN && rnd_one_in(&c->rnd, 2)) {
		want(c, "net_error()", net_error(s), err);
		return;
	}
	err2 = net_recv(s, &seg, &from2);
	want(c, "net_recv() after net_peek()", err2, err);
	if (err)
		return;
	if (seg.mem != peeked.mem || seg.data != peeked.data || seg.len != peeked.len ||
	    (seg.mem && (from.port != from2.port || !net_ip_equal(&from.ip, &from2.ip))) ||
	    net_bytes_readable(s) != readable - seg.len)
		world_fail(c->w, "h%u: what was peeked is not what came", host_of(c)->nr);
	if (seg.mem)
		mem_put(seg.mem);
}

/* A receiver that wants no more: what is there goes, and the end is always to be read. */
static void deafen(struct caller *c, struct net_sock *s)
{
	struct net_addr peer;
	struct net_seg seg;

	want(c, "net_shutdown()", net_shutdown(s, true, false), net_peer(s, &peer));
	if (!net_peer(s, &peer) && !net_error(s)) {
		want(c, "net_recv() after net_shutdown()", net_recv(s, &seg, NULL), 0);
		if (seg.len || seg.mem)
			world_fail(c->w, "h%u: bytes after the end", host_of(c)->nr);
	}
}

/* ---- the stack */

static void turn_local(struct caller *c)
{
	struct net_stack *stack = stack_of(c);
	struct net_ip extra = ip4(host_extra_ip(host_of(c))), bad = nowhere(c);
	struct net_sock *t = new_tcp(c), *u = new_sock(c, NET_UDP);
	struct net_addr name = at(extra, 0), to = at(nobody(c, 0), PORT);
	static const unsigned prefixes[] = { 24, 24, 31, 32 };
	unsigned prefix = prefixes[rnd_below(&c->rnd, array_size(prefixes))];
	bool announce = rnd_one_in(&c->rnd, 2);

	want(c, "net_local_add() of nowhere", net_local_add(stack, &bad, 24, true), EINVAL);
	want(c, "net_local_add() by 33 bits", net_local_add(stack, &extra, 33, true), EINVAL);
	want(c, "net_local_del() of what is not there", net_local_del(stack, &extra), ENOENT);
	want(c, "net_local_add()", net_local_add(stack, &extra, prefix, announce), 0);
	want(c, "net_local_add() once more", net_local_add(stack, &extra, 24, false), EEXIST);
	if (!net_bind(t, &name) && !net_bind(u, &name)) {
		to.port = name.port = __builtin_bswap16(NO_PORT);
		if (rnd_one_in(&c->rnd, 2))
			say(c, u, &to, 1);
		if (rnd_one_in(&c->rnd, 2))
			say(c, u, &name, 1);
		want(c, "net_local_del()", net_local_del(stack, &extra), 0);
		want(c, "net_send() without its address", say(c, u, &to, 1), EADDRNOTAVAIL);
		want(c, "net_connect() without its address", net_connect(t, &to), EADDRNOTAVAIL);
		if (rnd_one_in(&c->rnd, 2))
			want(c, "net_local_add()", net_local_add(stack, &extra, 32, false), 0);
	}
	net_close(t, false);
	net_close(u, false);
	if (net_local_has(stack, &extra))
		want(c, "net_local_del()", net_local_del(stack, &extra), 0);
}

/* Whose address goes while it connects, sees no end of it but an error. */
static void turn_local_gone(struct caller *c)
{
	struct net_ip extra = ip4(host_extra_ip(host_of(c)));
	struct net_addr name = at(extra, 0), to = at(nobody(c, 0), PORT);
	struct net_sock *s = new_tcp(c);

	want(c, "net_local_add()", net_local_add(stack_of(c), &extra, 0, true), 0);
	if (net_bind(s, &name) || net_connect(s, &to))
		net_close(s, false);
	else
		keep(c, s, true, false);
	want(c, "net_local_del()", net_local_del(stack_of(c), &extra), 0);
}

static void turn_route(struct caller *c)
{
	struct net_stack *stack = stack_of(c);
	struct net_ip net = ip4(0xcb007100), bad = nowhere(c), v6 = { .b = { 0x20 } };
	struct net_ip gateway = ip4(wire_router_ip(host_of(c)->plan.segment));
	struct net_addr to = at(ip4(0xcb007105), PORT);
	struct net_sock *s;

	want(c, "net_route_add() by 33 bits", net_route_add(stack, &net, 33, NULL), EINVAL);
	want(c, "net_route_add() of IPv6", net_route_add(stack, &v6, 24, NULL), EINVAL);
	want(c, "net_route_add() by nowhere", net_route_add(stack, &net, 24, &bad), EINVAL);
	if (c->routed)
		return;
	c->routed = true;
	want(c, "net_route_add()", net_route_add(stack, &net, 24, rnd_one_in(&c->rnd, 2) ?
								  &gateway : NULL), 0);
	s = new_tcp(c);
	if (net_connect(s, &to))
		net_close(s, false);
	else
		keep(c, s, true, false);
}

static void turn_neigh(struct caller *c)
{
	static const uint8_t mac[6] = { 2, 0xaa, 0, 0, 0, 9 };
	struct net_ip ip = nobody(c, 2);
	struct net_addr to = at(ip, PORT);
	struct net_sock *s = new_sock(c, NET_UDP);
	int err = say(c, s, &to, 1); /* it may wait for the address */

	net_announce(stack_of(c));
	if (host_of(c)->plan.ethernet && !host_of(c)->plan.few_neighs) {
		want(c, "net_neigh_add()", net_neigh_add(stack_of(c), &ip, mac), 0);
		if (!err)
			say(c, s, &to, 1);
	}
	net_close(s, false);
}

/* All ports that are given out by themselves, where they are few. */
static void turn_ports(struct caller *c)
{
	enum net_type type = rnd_one_in(&c->rnd, 2) ? NET_TCP : NET_UDP;
	struct net_sock *socks[80], *s;
	struct net_addr none = at(any(), 0), to = at(own(c), NO_PORT);
	uint32_t n = 0;
	int err;

	if (!host_of(c)->plan.few_ports)
		return;
	for (;;) {
		s = new_sock(c, type);
		err = net_bind(s, &none);
		if (err) {
			want(c, "net_bind() without ports", err, EADDRINUSE);
			break;
		}
		if (n == array_size(socks))
			world_fail(c->w, "h%u: more ports than there are", host_of(c)->nr);
		socks[n++] = s;
	}
	if (type == NET_TCP) {
		want(c, "net_listen() without ports", net_listen(s, 1), EADDRINUSE);
		/* but one that another connection has will do, to somewhere else */
		err = net_connect(s, &to);
		if (err)
			want(c, "net_connect() without ports", err, EADDRNOTAVAIL);
		net_connect_cancel(s);
		must_be_new(c, s);
	} else {
		want(c, "net_send() without ports", say(c, s, &to, 1), EADDRINUSE);
		want(c, "net_connect() without ports", net_connect(s, &to), EADDRINUSE);
	}
	net_close(s, false);
	while (n)
		net_close(socks[--n], false);
}

/* The next allocation fails: did the call notice? */
static bool starved(struct caller *c, const char *call, int err, uint64_t failed)
{
	sim_heap_fail_nth(0);
	if (sim_heap_failed() == failed)
		return false;	/* it needed none */
	if (err)
		want(c, call, err, ENOMEM);
	return err;
}

#define STARVE(c, n, call) \
	({ \
		uint64_t failed_ = sim_heap_failed(); \
		sim_heap_fail_nth(n); \
		starved(c, #call, call, failed_); \
	})

static void turn_no_memory(struct caller *c)
{
	struct net_stack *stack = stack_of(c);
	struct net_ip extra = ip4(host_extra_ip(host_of(c))), net = ip4(0xcb007200);
	struct net_addr addr = a_port(c, rnd_one_in(&c->rnd, 2) ? any() : own(c));
	struct net_addr to = at(nobody(c, 0), PORT);
	struct net_sock *s = NULL, *t = new_tcp(c);
	uint32_t nth = 1 + rnd_below(&c->rnd, 2);

	if (!STARVE(c, 1, net_socket(stack, NET_UDP, NULL, &s)))
		world_fail(c->w, "h%u: a UDP socket out of nothing", host_of(c)->nr);
	if (!STARVE(c, 1, net_socket(stack, NET_TCP, NULL, &s)))
		net_close(s, false);
	if (!STARVE(c, 1, net_local_add(stack, &extra, 24, true)))
		world_fail(c->w, "h%u: an address out of nothing", host_of(c)->nr);
	if (!STARVE(c, 1, net_route_add(stack, &net, 24, NULL)))
		world_fail(c->w, "h%u: a route out of nothing", host_of(c)->nr);
	if (!host_of(c)->plan.few_neighs)
		STARVE(c, 1, net_neigh_add(stack, &extra, host_of(c)->dev.mac));
	if (STARVE(c, nth, net_connect(t, &to)))
		must_be_new(c, t);
	net_connect_cancel(t);
	if (STARVE(c, nth, net_bind(t, &addr)))
		must_be_new(c, t);
	if (STARVE(c, 1, net_listen(t, 1)) && ask_tcp_state(t) != ASK_CLOSED)
		world_fail(c->w, "h%u: it listens out of nothing", host_of(c)->nr);
	net_close(t, false);
}

/* ---- other stacks */

struct config {
	const char *text, *why; /* why: what the line has to name; NULL: it is right */
};

static const struct config configs[] = {
	{ "", NULL },
	{ NULL, NULL },
	{ " ,rcvbuf=4096\t,\nmtu=1000 cc=newreno", NULL },
	{ "mtu=65535,cc=reno,wscale=14,mss=88", NULL },
	{ "wscale=0 port_min=1 port_max=1", NULL },
	{ "rcvbuf", "rcvbuf" },
	{ "rcvbuf=", "rcvbuf" },
	{ "rcvbuf=12x", "rcvbuf" },
	{ "rcvbuf=x", "rcvbuf" },
	{ "rcvbuf=2047", "rcvbuf" },
	{ "rcvbuf=1073741825", "rcvbuf" },
	{ "rcvbuf=18446744073709551617", "rcvbuf" },
	{ "sndbuf=4096 rcv=1", "rcv" },
	{ "=5", "\"\"" },
	{ "cd=reno", "cd" },
	{ "cc=vegas", "vegas" },
	{ "cc=one_whose_name_is_too_long_for_it", "one_whose_name" },
	{ "port_min=5000 port_max=4999", "port_min" },
	{ "rto_min_ms=2000 rto_max_ms=1999", "rto_min_ms" },
	{ "rto_initial_ms=1500 rto_max_ms=1499", "rto_initial_ms" },
	{ "mtu=575", "mtu" },
	{ "mss=87", "mss" },
	{ "wscale=15", "wscale" },
};

/* One more on the device, which sends nothing with it. */
static struct net_stack *other_stack(struct caller *c, const char *text, const char *why)
{
	struct host *h = host_of(c);
	uint64_t blocks = sim_heap_blocks();
	struct net_stack *stack = NULL;
	char line[NET_WHY] = "";

	want(c, "net_stack_new()", net_stack_new(text, c->w->seed, NULL, &h->dev, h->count,
						 host_now(h), line, &stack), why ? EINVAL : 0);
	if (why && (!strstr(line, why) || stack))
		world_fail(c->w, "h%u: '%s' is wrong by '%s'", h->nr, text, line);
	if (why && sim_heap_blocks() != blocks)
		world_fail(c->w, "h%u: '%s' keeps memory", h->nr, text);
	return stack;
}

static void turn_config(struct caller *c)
{
	for (uint32_t i = 0; i < array_size(configs); i++) {
		struct net_stack *stack = other_stack(c, configs[i].text, configs[i].why);

		if (stack)
			net_stack_free(stack);
	}
}

static struct net_sock *sock_on(struct caller *c, struct net_stack *stack, enum net_type type)
{
	struct net_sock *s = NULL;

	want(c, "net_socket()", net_socket(stack, type, NULL, &s), 0);
	return s;
}

/* A stack without an address knows no way, not even to itself. */
static void no_address(struct caller *c, struct net_stack *stack)
{
	struct net_sock *t = sock_on(c, stack, NET_TCP), *u = sock_on(c, stack, NET_UDP);
	struct net_addr to = at(rnd_one_in(&c->rnd, 2) ? any() : nobody(c, 0), PORT);

	want(c, "net_connect() without addresses", net_connect(t, &to), ENETUNREACH);
	want(c, "net_connect() without addresses", net_connect(u, &to), ENETUNREACH);
	want(c, "net_send() without addresses", say(c, u, &to, 1), ENETUNREACH);
}

/* More to itself than it keeps, some of which is still there when it ends. */
static void much_to_itself(struct caller *c, struct net_stack *stack)
{
	struct net_sock *u = sock_on(c, stack, NET_UDP);
	struct net_addr to = at(ip4(host_extra_ip(host_of(c))), PORT);
	uint64_t dropped = host_of(c)->count[NET_C_NO_MEMORY];

	for (uint32_t i = 0; i < 4100; i++)
		want(c, "net_send() to itself", say(c, u, &to, 1), 0);
	if (host_of(c)->count[NET_C_NO_MEMORY] < dropped + 4)
		world_fail(c->w, "h%u: keeps more than 4096 packets to itself", host_of(c)->nr);
}

/* Nobody answers all those questions: what waits has a limit, the ring is full before
 * long, and what was static stays. */
static void many_neighbours(struct caller *c, struct net_stack *stack)
{
	static const uint8_t mac[6] = { 2, 0xaa, 0, 0, 0, 9 };
	struct net_sock *u = sock_on(c, stack, NET_UDP);
	struct net_addr to = at(ip4(0x0a090a00), PORT);
	uint32_t held = host_of(c)->use.n[MEM_PROGRAM];
	struct net_ip fixed;

	for (uint32_t i = 1; i < 30; i++) {
		for (uint32_t k = 0; k < 20; k++) {
			to.ip = ip4(0x0a090a00 + i);
			say(c, u, &to, 1);
			net_error(u);
		}
		if (host_of(c)->use.n[MEM_PROGRAM] > held + WAITING_MOST)
			world_fail(c->w, "h%u: %u packets wait for neighbours", host_of(c)->nr,
				   host_of(c)->use.n[MEM_PROGRAM] - held);
	}
	for (uint32_t i = 0; i < 30; i++) {
		int err;

		fixed = ip4(0x0a090a80 + i);
		err = net_neigh_add(stack, &fixed, mac);
		if (err && (err != ENOMEM || i < 20))
			world_fail(c->w, "h%u: net_neigh_add: %d", host_of(c)->nr, err);
		to.ip = fixed;
		say(c, u, &to, 1);
	}
	net_poll(stack, host_now(host_of(c)) + NSEC_PER_SEC);
}

static void turn_stack(struct caller *c)
{
	struct net_stack *stack = other_stack(c, "arp_entries=20 arp_queue=100", NULL);
	struct net_ip extra = ip4(host_extra_ip(host_of(c)));

	no_address(c, stack);
	want(c, "net_local_add()", net_local_add(stack, &extra, 8, false), 0);
	if (rnd_one_in(&c->rnd, 4))
		much_to_itself(c, stack);
	else if (host_of(c)->plan.ethernet)
		many_neighbours(c, stack);
	net_stack_free(stack);
}

static void turn_all(struct caller *c)
{
	ask_all(host_of(c));
	net_announce(stack_of(c));
}

/* ---- what it has kept */

static void accept_one(struct caller *c, struct net_sock *listener)
{
	struct net_addr peer, of_child;
	struct net_sock *child;
	int err = net_accept(listener, &c->prog, &child, rnd_one_in(&c->rnd, 2) ? &peer : NULL);

	if (err) {
		want(c, "net_accept()", err, EAGAIN);
		return;
	}
	want(c, "net_peer() of an accepted one", net_peer(child, &of_child), 0);
	keep(c, child, true, false);
}

static void read_one(struct caller *c, struct kept *k)
{
	struct net_addr from, peer;
	struct net_seg seg;
	int err = net_recv(k->sock, &seg, &from);

	if (err)
		return;
	want(c, "net_peer() of one who said something", net_peer(k->sock, &peer), 0);
	if (from.port != peer.port || !net_ip_equal(&from.ip, &peer.ip))
		world_fail(c->w, "h%u: bytes from somebody else", host_of(c)->nr);
	if (seg.mem)
		mem_put(seg.mem);
}

static void drop(struct caller *c, struct kept *k)
{
	struct net_sock *s = k->sock;

	k->sock = NULL;
	if (k->tcp && !k->listens)
		leave(c, s);
	else
		net_close(s, false);
}

static void look_after(struct caller *c, struct kept *k)
{
	if (k->closed)
		return;
	if (rnd_one_in(&c->rnd, 6)) {
		drop(c, k);
		return;
	}
	if (k->listens) {
		accept_one(c, k->sock);
		return;
	}
	if (k->tcp) {
		ask_tcp(host_of(c), k->sock, &c->rnd, &k->asked, 0);
		if (rnd_one_in(&c->rnd, 4))
			net_shutdown(k->sock, rnd_one_in(&c->rnd, 2), rnd_one_in(&c->rnd, 2));
		if (rnd_one_in(&c->rnd, 4))
			read_one(c, k);
		return;
	}
	if (rnd_one_in(&c->rnd, 2))
		say(c, k->sock, NULL, 1);
	hear(c, k->sock);
	if (rnd_one_in(&c->rnd, 4))
		deafen(c, k->sock);
	ask_udp(host_of(c), k->sock, &c->rnd);
}

/* ---- turns */

static void (*const turns[])(struct caller *c) = {
	turn_new,
	turn_bound,
	turn_apart,
	turn_listener,
	turn_backlog,
	turn_backlog,
	turn_connecting,
	turn_shared,
	turn_udp,
	turn_udp_nobody,
	turn_udp_self,
	turn_udp_self,
	turn_local,
	turn_local_gone,
	turn_config,
	turn_stack,
	turn_route,
	turn_neigh,
	turn_ports,
	turn_no_memory,
	turn_all,
};

static void step(struct prog *p)
{
	struct caller *c = container_of(p, struct caller, prog);
	uint32_t turn = rnd_below(&c->rnd, array_size(turns));

	if (!c->left || world_is_over(c->w))
		return;
	c->left--;
	for (uint32_t i = 0; i < CALLER_KEEPS; i++)
		if (c->kept[i].sock)
			look_after(c, &c->kept[i]);
	trace_note(c->w, (int)host_of(c)->nr, "turn %u", turn);
	turns[turn](c);
	prog_wake(p, c->w->events.now + rnd_in(&c->rnd, 0, c->plan.gap_ns));
}

static void event(struct prog *p, struct net_sock *s, uint32_t events)
{
	struct caller *c = container_of(p, struct caller, prog);

	for (uint32_t i = 0; i < CALLER_KEEPS; i++) {
		struct kept *k = &c->kept[i];

		if (k->sock != s)
			continue;
		if (k->closed) {
			if (!(events & (NET_ACKED | NET_FAILED)))
				world_fail(c->w, "h%u: a close reports %x", p->host->nr, events);
			k->sock = NULL;
		}
		return;
	}
	world_fail(c->w, "h%u: events %x on a socket that is gone", p->host->nr, events);
}

static void gone(struct prog *p)
{
	struct caller *c = container_of(p, struct caller, prog);

	memset(c->kept, 0, sizeof(c->kept));
	c->routed = false;
}

void caller_init(struct caller *c, struct world *w, struct host *host,
		 const struct caller_plan *plan, uint64_t seed)
{
	prog_init(&c->prog, host);
	c->prog.event = event;
	c->prog.step = step;
	c->prog.gone = gone;
	c->w = w;
	c->plan = *plan;
	c->left = plan->n;
	rnd_init(&c->rnd, seed, 10);
	if (plan->n)
		prog_wake(&c->prog, plan->start_at);
}

void caller_again(struct caller *c)
{
	if (c->left)
		prog_wake(&c->prog, c->w->events.now + 1);
}

void caller_close(struct caller *c)
{
	for (uint32_t i = 0; i < CALLER_KEEPS; i++) {
		struct kept *k = &c->kept[i];

		if (k->sock && !k->closed) {
			net_abort(k->sock);
			k->sock = NULL;
		}
	}
}

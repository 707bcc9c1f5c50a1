/*
 * Two stacks and a bad link: it loses, doubles, delays and puts out of order, from one
 * seed a run (TCP_PLAN, TCP_SEED, TCP_TRACE choose and show one). Every byte is checked,
 * both sides must come to a clean end, and every
 * reference back. tests/sim goes further; this finds what is plainly wrong.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "tests/unit/tcp.h"
#include "tests/unit/tcpbed.h"

#define HELD 64
#define RUNS 10		/* of a plan, unless TCP_RUNS says more */
#define MOST_NS (UINT64_C(4000) * SECOND)
#define IDLE_NS (UINT64_C(1800) * SECOND)

struct plan {
	const char *name, *config_a, *config_b;
	uint32_t caps;
	uint32_t lose, dup;	/* of 1000 packets */
	uint32_t delay_us, jitter_us;
	uint32_t bytes;		/* each way, at most */
	uint32_t push;		/* at most */
	bool hoard;		/* programs keep what they read for a while */
	uint32_t take;		/* packets the device takes at once; 0: all */
	uint32_t no_memory;	/* of 1000 allocations */
};

static const struct plan plans[] = {
	{ "clean", "", "", 0, 0, 0, 50, 0, 300000, 20000, false, 0, 0 },
	{ "tso", "", "", NET_DEV_IP_CSUM | NET_DEV_TCP_CSUM | NET_DEV_TSO, 10, 0, 50, 0, 600000,
	  200000, false, 0, 0 },
	{ "lossy", "", "", 0, 30, 10, 500, 300, 200000, 20000, false, 0, 0 },
	{ "very lossy", "rto_min_ms=10", "timestamps=0 wscale=0", 0, 150, 50, 200, 500, 60000, 9000,
	  false, 0, 0 },
	{ "reordered", "timestamps=0", "", 0, 5, 5, 100, 3000, 200000, 20000, false, 0, 0 },
	{ "narrow", "rcvbuf=8192", "rcvbuf=20000 mss=536", 0, 20, 5, 100, 100, 60000, 20000, true,
	  0, 0 },
	{ "small pushes", "nodelay=0", "rcvbuf=30000", 0, 20, 5, 100, 100, 8000, 60, true, 0, 0 },
	{ "hoarders", "", "rcvbuf=65536", 0, 10, 0, 100, 200, 300000, 3000, true, 0, 0 },
	{ "slow device", "sndbuf=20000", "", 0, 20, 5, 100, 100, 100000, 30000, false, 3, 0 },
	{ "no memory", "rcvbuf=30000", "rcvbuf=12000", 0, 20, 5, 100, 100, 50000, 2000, true, 0,
	  300 },
};

struct end {
	struct tbed *b;
	struct end *other;
	struct tpkt *in;	/* on their way here, by arrival */
	struct net_sock *s;
	uint32_t to_send, sent, got;
	bool eof, shut, closed, up;
	struct net_seg held[HELD];
	uint32_t n_held;
	uint64_t act;		/* when the program does something again */
};

static const struct plan *plan;
static uint64_t seed, now;

static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % below);
}

/* ---- the link */

static void put_on_way(struct end *to, struct tpkt *p, uint64_t at)
{
	struct tpkt **link = &to->in;

	p->at = at;
	while (*link && (*link)->at <= at)
		link = &(*link)->next;
	p->next = *link;
	*link = p;
}

static struct tpkt *copy_of(const struct tpkt *p)
{
	struct tpkt *copy = malloc(sizeof(*p) + p->len);

	memcpy(copy, p, sizeof(*p) + p->len);
	return copy;
}

static bool tracing;

static void trace(const struct end *from, const struct tpkt *p)
{
	const struct net_tcp_hdr *tcp = (const struct net_tcp_hdr *)(p->data + NET_IP_LEN);

	fprintf(stderr, "# %.6f %u: flags %02x seq %u ack %u wnd %u len %u\n",
		(double)now / 1e9, from->b->host, tcp->flags, __builtin_bswap32(tcp->seq),
		__builtin_bswap32(tcp->ack), __builtin_bswap16(tcp->wnd),
		p->len - NET_IP_LEN - (tcp->off >> 4) * 4u);
}

/* A TSO packet arrives as it is: what is tested is who made it. */
static void carry(struct end *from)
{
	struct end *to = from->other;

	while (from->b->sent) {
		struct tpkt *p = from->b->sent;
		uint64_t at = now + plan->delay_us * 1000u;

		from->b->sent = p->next;
		if (tracing)
			trace(from, p);
		if (plan->jitter_us)
			at += rnd(plan->jitter_us * 1000);
		if (rnd(1000) < plan->dup)
			put_on_way(to, copy_of(p), at + rnd(2000000));
		if (rnd(1000) < plan->lose)
			free(p);
		else
			put_on_way(to, p, at);
	}
}

static void arrive(struct end *e)
{
	while (e->in && e->in->at <= now) {
		struct tpkt *p = e->in;
		struct net_seg seg;
		struct net_pkt pkt = { .flags = NET_PKT_L4_GOOD | NET_PKT_IP_GOOD };

		e->in = p->next;
		e->b->allocs = UINT32_MAX;
		e->b->dev.ops->alloc(&e->b->dev, p->len, &seg);
		memcpy(seg.data, p->data, p->len);
		seg.pinned = p->len > 2304 ? p->len : 2304;
		pkt.seg = seg;
		if (plan->no_memory && rnd(1000) < plan->no_memory)
			e->b->allocs = 0;
		net_input(e->b->stack, now, &pkt, 1);
		free(p);
	}
}

/* ---- the programs */

static void give_back(struct end *e)
{
	struct net_seg *seg = &e->held[--e->n_held];

	if (!e->closed)
		net_charge(e->s, -(int64_t)seg->pinned);
	tbed_put(seg);
}

static void read_some(struct end *e)
{
	struct net_seg seg;
	int err;

	while (e->n_held < HELD && !(err = net_recv(e->s, &seg, NULL))) {
		if (!seg.len) {
			ck_assert(!e->eof || e->got == e->other->to_send);
			e->eof = true;
			return;
		}
		for (uint32_t i = 0; i < seg.len; i++)
			ck_assert_uint_eq(seg.data[i], tbed_byte(e->got + i));
		e->got += seg.len;
		net_charge(e->s, seg.pinned);
		e->held[e->n_held++] = seg;
		if (!plan->hoard)
			give_back(e);
		else if (rnd(4) == 0)
			return;
	}
}

static void write_some(struct end *e)
{
	while (e->sent < e->to_send) {
		uint32_t left = e->to_send - e->sent, len = 1 + rnd(plan->push);
		struct net_seg seg;
		int err;

		if (len > left)
			len = left;
		seg = tbed_seg(e->sent, len);
		err = net_send(e->s, &seg, 1, NULL);
		if (err) {
			ck_assert_int_eq(err, EAGAIN);
			tbed_put(&seg);
			return;
		}
		e->sent += len;
		if (rnd(3) == 0)
			return;
	}
	if (!e->shut) {
		e->shut = true;
		net_shutdown(e->s, false, true);
	}
}

static void take_events(struct end *e)
{
	uint32_t events;
	struct net_sock *s;

	while ((s = net_next_ready(e->b->stack, &events))) {
		if (s == e->b->listener && !e->s) {
			if (!net_accept(s, e, &e->s, NULL))
				e->up = true;
			continue;
		}
		ck_assert_msg(!(events & NET_FAILED), "failed: %s", strerror(net_error(s)));
		if (events & NET_CONNECTED)
			e->up = true;
	}
}

static void act(struct end *e)
{
	if (!e->up || e->closed)
		return;
	while (e->n_held && rnd(2))
		give_back(e);
	write_some(e);
	read_some(e);
	if (e->shut && e->eof) {
		net_close(e->s, false);
		e->closed = true;
		while (e->n_held)
			give_back(e);
	}
}

/* ---- a run */

static uint64_t step_end(struct end *e)
{
	uint64_t next;

	take_events(e);
	if (now >= e->act) {
		act(e);
		e->act = now + rnd(plan->hoard ? 3000000 : 100000) + 1000;
	}
	e->b->take = plan->take ? plan->take : UINT32_MAX;
	net_poll(e->b->stack, now);
	take_events(e);
	next = net_deadline(e->b->stack);
	net_flush(e->b->stack);
	carry(e);
	if (net_has_unsent(e->b->stack) && now + 20000 < next)
		next = now + 20000;
	if (!e->closed && e->act < next)
		next = e->act;
	if (e->other->in && e->other->in->at < next)
		next = e->other->in->at;
	return next > now ? next : now + 1;
}

static bool is_over(const struct end *ends)
{
	for (int i = 0; i < 2; i++)
		if (!ends[i].closed || ends[i].in || net_n_lingering(ends[i].b->stack))
			return false;
	return true;
}

static void start(struct end *ends)
{
	struct net_addr addr = tbed_addr(2, PEERS);

	for (int i = 0; i < 2; i++) {
		ends[i] = (struct end){ .other = &ends[1 - i] };
		ends[i].b = tbed_new_host(i ? plan->config_b : plan->config_a, (uint8_t)(i + 1),
					  seed, plan->caps);
		ends[i].to_send = rnd(plan->bytes);
	}
	now = ends[0].b->now;
	ck_assert_int_eq(net_socket(ends[1].b->stack, NET_TCP, NULL, &ends[1].b->listener), 0);
	ck_assert_int_eq(net_bind(ends[1].b->listener, &addr), 0);
	ck_assert_int_eq(net_listen(ends[1].b->listener, 1), 0);
	ck_assert_int_eq(net_socket(ends[0].b->stack, NET_TCP, NULL, &ends[0].s), 0);
	ck_assert_int_eq(net_connect(ends[0].s, &addr), 0);
}

static void say(const struct end *ends)
{
	for (int i = 0; i < 2; i++)
		fprintf(stderr, "# %d: sent %u of %u, got %u, eof %d, shut %d, closed %d, up %d\n", i,
			ends[i].sent, ends[i].to_send, ends[i].got, ends[i].eof, ends[i].shut,
			ends[i].closed, ends[i].up);
}

static void run(uint64_t with)
{
	struct end ends[2];
	uint64_t end;

	seed = with * 0x9e3779b97f4a7c15u + 1;
	tbed_wrap = (int)(with & 1);
	start(ends);
	end = now + MOST_NS;
	while (!is_over(ends)) {
		uint64_t a, b;

		arrive(&ends[0]);
		arrive(&ends[1]);
		a = step_end(&ends[0]);
		b = step_end(&ends[1]);
		if (ends[0].in && ends[0].in->at < a)
			a = ends[0].in->at;
		now = a < b ? a : b;
		if (now > end) {
			say(ends);
			ck_abort_msg("%s, seed %llu: no end", plan->name, (unsigned long long)with);
		}
	}
	for (int i = 0; i < 2; i++)
		ck_assert_uint_eq(ends[i].got, ends[1 - i].to_send);
	/* TIME_WAIT, FIN_WAIT_2 and whatever else have an end */
	for (int i = 0; i < 2; i++) {
		struct net_stack *stack = ends[i].b->stack;

		net_poll(stack, now + IDLE_NS);
		net_flush(stack);
		ck_assert_uint_eq(stack->tcp.flow.n, 0);
		ck_assert_uint_eq(stack->tcp.waits.flow.n, 0);
		ck_assert_uint_eq(stack->tcp.chunks.n_used, 0);
		ck_assert_uint_eq(stack->tcp.conns.n_used, (unsigned)i); /* the listener */
	}
	ck_assert_uint_eq(tbed_refs(), 0);
	tbed_free(ends[0].b);
	tbed_free(ends[1].b);
}

START_TEST(link_runs)
{
	const char *only = getenv("TCP_SEED"), *more = getenv("TCP_RUNS");

	plan = &plans[_i];
	tracing = getenv("TCP_TRACE");
	if (only && getenv("TCP_PLAN") && strcmp(getenv("TCP_PLAN"), plan->name) != 0)
		return;
	if (only) {
		run(strtoull(only, NULL, 10));
		fprintf(stderr, "# %s: %.3f s\n", plan->name, (double)now / 1e9);
		return;
	}
	for (uint64_t i = 0; i < (more ? strtoull(more, NULL, 10) : RUNS); i++)
		run((uint64_t)_i * 1000000 + i);
}
END_TEST

Suite *tcp_link_suite(void)
{
	Suite *s = suite_create("tcp_link");
	TCase *tc = tcase_create("link");

	tcase_set_timeout(tc, getenv("TCP_RUNS") ? 0 : 60);
	tcase_add_loop_test(tc, link_runs, 0, (int)array_size(plans));
	suite_add_tcase(s, tc);
	return s;
}

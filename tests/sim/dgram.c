#include "config.h"

#include "tests/sim/dgram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/time.h"
#include "tests/sim/ask.h"
#include "tests/sim/host.h"
#include "tests/sim/mem.h"
#include "tests/sim/wire.h"
#include "tests/sim/world.h"

#define SPAN 65536u		/* of the stream, for each datagram */

static struct host *host_of(const struct dgram_end *e)
{
	return e->prog.host;
}

static uint64_t now_of(const struct dgram_end *e)
{
	return e->d->w->events.now;
}

static uint32_t size_of(const struct dgram *d, uint32_t nr)
{
	struct rnd r;

	rnd_init(&r, d->stream, nr);
	if (!d->plan.size_min && rnd_one_in(&r, 8))
		return 0;
	return (uint32_t)rnd_log(&r, d->plan.size_min ? d->plan.size_min : 1, d->plan.size_max);
}

static struct net_addr to_addr(const struct dgram *d)
{
	return (struct net_addr){ host_ip(&d->w->hosts[d->plan.to], d->plan.to_ip),
				  __builtin_bswap16(d->plan.port) };
}

/* ---- what is kept */

static void release_one(struct dgram_end *e)
{
	uint32_t i = e->held_first;

	if (e->sock)
		net_charge(e->sock, -(int64_t)e->held[i].pinned);
	mem_put(e->held[i].mem);
	e->held_first = (i + 1) % array_size(e->held);
	e->held_n--;
}

static void release_due(struct dgram_end *e)
{
	while (e->held_n && e->held[e->held_first].until <= now_of(e))
		release_one(e);
}

static void hold(struct dgram_end *e, const struct net_seg *seg)
{
	uint32_t i;

	if (e->held_n == array_size(e->held))
		release_one(e);
	i = (e->held_first + e->held_n++) % array_size(e->held);
	e->held[i].mem = seg->mem;
	e->held[i].pinned = seg->pinned;
	e->held[i].until = now_of(e) + rnd_in(&e->d->rnd, 0, e->d->plan.hoard_ns);
	net_charge(e->sock, seg->pinned);
}

static void close_end(struct dgram_end *e)
{
	if (e->sock)
		net_close(e->sock, false);
	e->sock = NULL;
	while (e->held_n)
		release_one(e);
}

/* ---- receiving */

static bool may_be_repeated(const struct dgram *d)
{
	return d->w->repeats;
}

/* Small ones do not say which they are. */
static void check_content(struct dgram_end *e, const struct net_seg *seg)
{
	struct dgram *d = e->d;
	uint64_t nr;

	if (seg->len < 8) {
		if (stream_check(d->stream, 0, seg->data, 0))
			world_fail(d->w, "h%u: a datagram", host_of(e)->nr);
		return;
	}
	nr = stream_where(d->stream, seg->data);
	if (nr % (SPAN / 8) || nr / (SPAN / 8) >= d->sent)
		world_fail(d->w, "h%u: a datagram nobody has sent", host_of(e)->nr);
	nr /= SPAN / 8;
	if (seg->len != size_of(d, (uint32_t)nr))
		world_fail(d->w, "h%u: datagram %u has %u of %u bytes", host_of(e)->nr,
			   (unsigned)nr, seg->len, size_of(d, (uint32_t)nr));
	if (stream_check(d->stream, nr * SPAN, seg->data, seg->len) < seg->len)
		world_fail(d->w, "h%u: datagram %u is not as it was sent", host_of(e)->nr,
			   (unsigned)nr);
	if (e->seen[nr] && !may_be_repeated(d))
		world_fail(d->w, "h%u: datagram %u came twice", host_of(e)->nr, (unsigned)nr);
	e->n_seen += !e->seen[nr];
	e->seen[nr] = 1;
}

static bool is_known(const struct dgram_end *e, const struct net_addr *from)
{
	struct net_addr peer = e->receives ? e->d->name : to_addr(e->d);

	return peer.port == from->port && net_ip_equal(&peer.ip, &from->ip);
}

static void answer(struct dgram_end *e, const struct net_seg *seg, const struct net_addr *from)
{
	int err;

	mem_get(seg->mem);
	err = net_send(e->sock, seg, 1, from);
	if (err)
		mem_put(seg->mem); /* the answer is lost: it is UDP */
}

/* true: there was one. */
static bool receive(struct dgram_end *e)
{
	bool peeks = rnd_one_in(&e->d->rnd, 4);
	struct net_seg seg, peeked;
	struct net_addr from;
	int peek_err = peeks ? net_peek(e->sock, &peeked, NULL) : 0;
	int err = net_recv(e->sock, &seg, &from);

	if (peeks && (err != peek_err || (!err && peeked.mem != seg.mem)))
		world_fail(e->d->w, "h%u: peek %d, recv %d of a datagram", host_of(e)->nr,
			   peek_err, err);

	if (err == EAGAIN)
		return false;
	if (err) {
		e->d->refused++;
		return true;
	}
	if (!seg.mem && seg.len)
		world_fail(e->d->w, "h%u: a datagram without memory", host_of(e)->nr);
	if (is_known(e, &from)) {
		check_content(e, &seg);
		if (e->receives && e->d->plan.echoes && seg.len)
			answer(e, &seg, &from);
	}
	if (!seg.mem)
		return true;
	mem_freeze(seg.mem, seg.data, seg.len);
	hold(e, &seg);
	return true;
}

static void receive_all(struct dgram_end *e)
{
	const struct dgram_plan *p = &e->d->plan;

	release_due(e);
	while (e->sock && (!e->receives || now_of(e) >= e->next_at) && receive(e))
		if (e->receives && p->read_ns)
			e->next_at = now_of(e) + rnd_in(&e->d->rnd, 0, p->read_ns);
	release_due(e);
	if (e->held_n)
		prog_wake(&e->prog, e->held[e->held_first].until);
	if (e->receives && e->next_at > now_of(e))
		prog_wake(&e->prog, e->next_at);
}

/* ---- sending */

static int send_one(struct dgram_end *e, uint32_t nr, uint32_t size)
{
	struct dgram *d = e->d;
	struct net_addr to = to_addr(d);
	struct net_seg segs[3] = { { NULL } };
	uint32_t n = 0, at = 0;
	int err;

	while (at < size) {
		uint32_t len = n == 2 ? size - at : 1 + rnd_below(&d->rnd, size - at);
		struct net_mem *mem = mem_new(d->w, host_of(e), MEM_PROGRAM, len);

		mem->stream = d->stream;
		mem->offset = (uint64_t)nr * SPAN + at;
		stream_fill(mem->stream, mem->offset, mem->data, len);
		segs[n++] = (struct net_seg){ mem, mem->data, len, 0 };
		at += len;
	}
	err = net_send(e->sock, segs, n, d->plan.connects ? NULL : &to);
	for (uint32_t i = 0; err && i < n; i++)
		mem_put(segs[i].mem);
	return err;
}

static void check_too_long(struct dgram_end *e)
{
	int err = send_one(e, 0, 65508);

	/* or what came of an earlier one */
	if (err != EMSGSIZE && err != ECONNREFUSED && err != EHOSTUNREACH)
		world_fail(e->d->w, "h%u: 65508 bytes in a datagram: %d", host_of(e)->nr, err);
}

static bool open_tx(struct dgram_end *e)
{
	struct dgram *d = e->d;
	struct net_addr to = to_addr(d), from = { host_ip(host_of(e), d->plan.from_ip), 0 };
	int err = net_socket(host_of(e)->stack, NET_UDP, &e->prog, &e->sock);

	if (!err && (d->plan.from_ip || rnd_one_in(&d->rnd, 2)))
		err = net_bind(e->sock, &from);
	if (!err && d->plan.connects)
		err = net_connect(e->sock, &to);
	if (!err)
		return true;
	trace_note(d->w, (int)host_of(e)->nr, "udp: %s", strerror(err));
	close_end(e);
	e->next_at = now_of(e) + 10 * NSEC_PER_MSEC;
	return false;
}

static void next(struct dgram_end *e)
{
	e->d->sent++;
	e->next_at = now_of(e) + rnd_in(&e->d->rnd, 0, e->d->plan.gap_ns);
}

static void send_all(struct dgram_end *e)
{
	struct dgram *d = e->d;

	while (d->sent < d->plan.n && now_of(e) >= e->next_at && !e->blocked) {
		int err;

		if (!e->sock && !open_tx(e))
			break;
		if (d->sent == 5)
			check_too_long(e);
		err = send_one(e, d->sent, size_of(d, d->sent));
		net_name(e->sock, &d->name);
		if (!err) {
			next(e);
		} else if (err == EAGAIN) {
			e->blocked = true;
		} else {
			d->refused++; /* told of an earlier one, or there is no way */
			e->next_at = now_of(e) + NSEC_PER_MSEC;
			if (rnd_one_in(&d->rnd, 8))
				next(e);
		}
	}
	d->done = d->sent == d->plan.n;
	if (!d->done && !e->blocked)
		prog_wake(&e->prog, e->next_at);
}

/* ---- the program */

static void step(struct prog *p)
{
	struct dgram_end *e = container_of(p, struct dgram_end, prog);

	if (world_is_over(e->d->w))
		return;
	if (!e->receives)
		send_all(e);
	if (e->sock)
		receive_all(e);
	if (e->sock && !e->d->w->heap_fail && rnd_one_in(&e->d->rnd, 16))
		ask_udp(host_of(e), e->sock, &e->d->rnd);
}

static void event(struct prog *p, struct net_sock *s, uint32_t events)
{
	struct dgram_end *e = container_of(p, struct dgram_end, prog);

	if (s != e->sock)
		world_fail(e->d->w, "h%u: an event on a closed UDP socket", p->host->nr);
	if (events & NET_WRITABLE)
		e->blocked = false;
	if (events & NET_FAILED && rnd_one_in(&e->d->rnd, 2))
		net_error(s);
	step(p);
}

static void gone(struct prog *p)
{
	struct dgram_end *e = container_of(p, struct dgram_end, prog);

	e->sock = NULL;
	e->blocked = false;
	while (e->held_n)
		release_one(e);
}

static void open_rx(struct dgram_end *e)
{
	struct dgram *d = e->d;
	struct net_addr addr = { net_ip4(0), __builtin_bswap16(d->plan.port) };
	int err;

	if (host_of(e)->plan.any_addr) /* it is what binds that makes it ours */
		addr = to_addr(d);

	do {
		err = net_socket(host_of(e)->stack, NET_UDP, &e->prog, &e->sock);
		if (err)
			continue;
		err = net_bind(e->sock, &addr);
		if (err)
			net_close(e->sock, false);
	} while (err == ENOMEM);
	if (err)
		world_fail(d->w, "h%u: a UDP socket: %d", host_of(e)->nr, err);
	if (d->plan.rcvbuf && net_set_opt(e->sock, NET_OPT_RCVBUF, d->plan.rcvbuf))
		world_fail(d->w, "h%u: a receive buffer", host_of(e)->nr);
}

static void init_end(struct dgram_end *e, struct dgram *d, uint32_t host, bool receives)
{
	e->d = d;
	e->receives = receives;
	prog_init(&e->prog, &d->w->hosts[host]);
	e->prog.event = event;
	e->prog.step = step;
	e->prog.gone = gone;
	e->seen = calloc(d->plan.n, 1);
	if (!e->seen)
		abort();
}

static void start(void *who, void *what)
{
	struct dgram *d = who;

	(void)what;
	prog_wake(&d->tx.prog, d->w->events.now);
}

void dgram_init(struct dgram *d, struct world *w, uint32_t nr, const struct dgram_plan *plan)
{
	memset(d, 0, sizeof(*d));
	d->w = w;
	d->nr = nr;
	d->plan = *plan;
	rnd_init(&d->rnd, w->seed, 5000 + nr);
	d->stream = rnd_u64(&d->rnd);
	init_end(&d->tx, d, plan->from, false);
	init_end(&d->rx, d, plan->to, true);
	if (!plan->closed)
		open_rx(&d->rx);
	events_add(&w->events, plan->start_at, start, d, NULL);
}

void dgram_free(struct dgram *d)
{
	free(d->tx.seen);
	free(d->rx.seen);
}

void dgram_again(struct dgram *d, struct host *h)
{
	if (host_of(&d->rx) == h && !d->plan.closed)
		open_rx(&d->rx);
	if (host_of(&d->tx) == h)
		prog_wake(&d->tx.prog, h->w->events.now);
}

void dgram_close(struct dgram *d)
{
	close_end(&d->tx);
	close_end(&d->rx);
}

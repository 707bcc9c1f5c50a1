#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/time.h"
#include "tests/sim/flow.h"
#include "tests/sim/host.h"
#include "tests/sim/mem.h"
#include "tests/sim/world.h"

#define SEGS_MAX 4u

static uint64_t now_of(const struct end *e)
{
	return e->w->events.now;
}

static int who(const struct end *e)
{
	return (int)e->prog.host->nr;
}

static const char *name_of(const struct end *e)
{
	return e->side ? "server" : "client";
}

static struct end *peer_of(const struct end *e)
{
	return e->conn ? e->conn->end[!e->side] : NULL;
}

static void moved(struct end *e)
{
	if (e->conn)
		e->conn->progress = now_of(e);
}

/* ---- what it keeps of its pops */

static void release_one(struct end *e)
{
	struct held *held = &e->held[e->held_first];

	if (e->sock && e->state == END_OPEN)
		net_charge(e->sock, -(int64_t)held->pinned);
	e->charged -= held->pinned;
	e->held_bytes -= held->pinned;
	e->held_first = (e->held_first + 1) % e->held_room;
	e->held_n--;
	mem_put(held->mem);
	moved(e);
}

static void release_all(struct end *e)
{
	while (e->held_n)
		release_one(e);
	if (e->echo.mem)
		mem_put(e->echo.mem);
	e->echo.mem = NULL;
}

static void release_due(struct end *e)
{
	while (e->held_n && (e->held_bytes > e->plan->hoard ||
			     e->held[e->held_first].until <= now_of(e)))
		release_one(e);
}

static void hold_grow(struct end *e)
{
	uint32_t room = e->held_room ? e->held_room * 2 : 8;
	struct held *held = calloc(room, sizeof(*held));

	if (!held)
		abort();
	for (uint32_t i = 0; i < e->held_n; i++)
		held[i] = e->held[(e->held_first + i) % e->held_room];
	free(e->held);
	e->held = held;
	e->held_room = room;
	e->held_first = 0;
}

static void hold(struct end *e, const struct net_seg *seg)
{
	if (e->held_n == e->held_room)
		hold_grow(e);
	e->held[(e->held_first + e->held_n++) % e->held_room] = (struct held){
		seg->mem, seg->pinned, now_of(e) + rnd_in(&e->rnd, 0, e->plan->hoard_ns),
	};
	e->held_bytes += seg->pinned;
}

/* ---- it ends */

static void done(struct end *e)
{
	release_all(e);
	e->state = END_DONE;
	e->sock = NULL;
	moved(e);
	if (e->conn)
		conn_end_done(e->conn);
}

static void failed(struct end *e, int err)
{
	trace_note(e->w, who(e), "%s fails: %s, pushed %llu popped %llu", name_of(e),
		   strerror(err), (unsigned long long)e->pushed, (unsigned long long)e->popped);
	if (!err)
		world_fail(e->w, "h%d: failed without a cause", who(e));
	e->err = err;
	if (e->state != END_CLOSING)
		net_close(e->sock, false);
	e->sock = NULL;
	done(e);
}

void end_abort(struct end *e)
{
	if (e->state == END_DONE)
		return;
	trace_note(e->w, who(e), "%s aborts", name_of(e));
	if (e->sock && e->state != END_CLOSING)
		net_abort(e->sock);
	else
		e->left = e->sock;
	if (!e->err)
		e->err = ECONNABORTED;
	done(e);
}

static void close_it(struct end *e)
{
	trace_note(e->w, who(e), "%s closes", name_of(e));
	e->finished = true;
	moved(e);
	if (rnd_one_in(&e->rnd, 2))
		release_all(e);
	if (e->plan->reports) {
		e->state = END_CLOSING;
		net_close(e->sock, true);
		return;
	}
	net_close(e->sock, false);
	done(e);
}

/* ---- popping */

static void check_bytes(struct end *e, const struct net_seg *seg)
{
	struct end *peer = peer_of(e);
	uint32_t good;

	if (!seg->mem->refs || seg->data < seg->mem->data ||
	    seg->data + seg->len > seg->mem->data + seg->mem->size)
		world_fail(e->w, "h%d: popped what is not there", who(e));
	if (e->conn && e->conn->flow->plan.kind != FLOW_STRANGE) {
		good = stream_check(e->conn->stream[!e->side], e->popped, seg->data, seg->len);
		if (good < seg->len)
			world_fail(e->w, "h%d: byte %llu of the %s's stream is wrong", who(e),
				   (unsigned long long)e->popped + good,
				   e->side ? "client" : "server");
		if (!peer || e->popped + seg->len > peer->pushed)
			world_fail(e->w, "h%d: popped more than was pushed", who(e));
	}
}

/* It is charged. */
static void keep(struct end *e, const struct net_seg *seg)
{
	check_bytes(e, seg);
	e->popped += seg->len;
	e->charged += seg->pinned;
	mem_freeze(seg->mem, seg->data, seg->len);
	if (e->plan->echo && e->conn)
		e->echo = *seg;
	else
		hold(e, seg);
}

static void take(struct end *e, const struct net_seg *seg)
{
	moved(e);
	if (!seg->len) {
		if (seg->mem)
			world_fail(e->w, "h%d: the end of a stream has memory", who(e));
		trace_note(e->w, who(e), "%s: end of stream", name_of(e));
		e->eof = true;
		return;
	}
	net_charge(e->sock, seg->pinned);
	keep(e, seg);
	release_due(e);
}

static bool may_read(struct end *e)
{
	const struct end_plan *p = e->plan;

	if (e->state != END_OPEN || e->eof || e->shut_rd || e->silent || e->echo.mem ||
	    now_of(e) < e->next_read)
		return false;
	if (p->stop_ns && !e->stopped && e->popped >= p->stop_at) {
		e->stopped = true;
		e->next_read = now_of(e) + p->stop_ns;
		return false;
	}
	return true;
}

/* A pop waits for it, half of the time. */
static bool take_at_once(struct prog *p, const struct net_seg *seg, const struct net_addr *from)
{
	struct end *e = container_of(p, struct end, prog);

	if (from || !seg->len || net_bytes_readable(e->sock))
		world_fail(e->w, "h%d: given what is not next in a stream", who(e));
	if (!may_read(e) || rnd_one_in(&e->ask_rnd, 2))
		return false;
	moved(e);
	keep(e, seg);
	if (e->plan->read_ns)
		e->next_read = now_of(e) + rnd_in(&e->rnd, 0, e->plan->read_ns);
	prog_wake(p, now_of(e));
	return true;
}

static void check_peek(struct end *e)
{
	struct net_seg peeked, popped;
	uint64_t readable = net_bytes_readable(e->sock);
	int err = net_peek(e->sock, &peeked, NULL), err2;

	if (err) {
		err2 = net_recv(e->sock, &popped, NULL);
		if (err != err2)
			world_fail(e->w, "h%d: peek %d, recv %d", who(e), err, err2);
		if (err != EAGAIN)
			failed(e, err);
		return;
	}
	if (net_recv(e->sock, &popped, NULL) || popped.mem != peeked.mem ||
	    popped.data != peeked.data || popped.len != peeked.len)
		world_fail(e->w, "h%d: what was peeked is not what came", who(e));
	if (readable - popped.len != net_bytes_readable(e->sock))
		world_fail(e->w, "h%d: %llu bytes readable, %u popped, %llu left", who(e),
			   (unsigned long long)readable, popped.len,
			   (unsigned long long)net_bytes_readable(e->sock));
	take(e, &popped);
}

static void echo_on(struct end *e);

/* Leaves when there is no more, or nothing more is wanted now. */
static void pop_all(struct end *e)
{
	while (may_read(e)) {
		struct net_seg seg;
		int err;

		if (e->plan->peeks && rnd_one_in(&e->rnd, 4)) {
			check_peek(e);
			echo_on(e);
			if (!may_read(e))
				return;
		}
		err = net_recv(e->sock, &seg, NULL);
		if (err == EAGAIN)
			return;
		if (err) {
			failed(e, err);
			return;
		}
		take(e, &seg);
		if (e->plan->read_ns)
			e->next_read = now_of(e) + rnd_in(&e->rnd, 0, e->plan->read_ns);
		echo_on(e);
	}
}

/* ---- pushing */

static void check_sndbuf(struct end *e, uint64_t before, int err)
{
	if (err == EAGAIN && before < e->sndbuf)
		world_fail(e->w, "h%d: EAGAIN with %llu of %llu bytes", who(e),
			   (unsigned long long)before, (unsigned long long)e->sndbuf);
	if (!err && before >= e->sndbuf)
		world_fail(e->w, "h%d: took a push with %llu of %llu bytes", who(e),
			   (unsigned long long)before, (unsigned long long)e->sndbuf);
}

/* 0: all of it was taken, with the references. */
static int push(struct end *e, struct net_seg *segs, uint32_t n)
{
	uint64_t before = net_bytes_unacked(e->sock);
	uint32_t len = 0;
	int err;

	for (uint32_t i = 0; i < n; i++)
		len += segs[i].len;
	err = net_send(e->sock, segs, n, NULL);
	if (!err || err == EAGAIN)
		check_sndbuf(e, before, err);
	if (!err) {
		e->pushed += len;
		moved(e);
	} else if (err == EAGAIN) {
		e->blocked = true;
	} else if (err == ENOMEM) {
		e->next_push = now_of(e) + NSEC_PER_MSEC;
	}
	return err;
}

/* What was popped goes back as it is. */
static void echo_on(struct end *e)
{
	struct net_seg seg = e->echo;
	int err;

	if (!seg.mem || e->state != END_OPEN || e->blocked || now_of(e) < e->next_push)
		return;
	mem_get(seg.mem);
	err = push(e, &seg, 1);
	if (err)
		mem_put(seg.mem);
	if (err == EAGAIN || err == ENOMEM)
		return;
	if (err) {
		failed(e, err);
		return;
	}
	e->echo.mem = NULL;
	hold(e, &seg);
	release_due(e);
}

/* How far it may push now. */
static uint64_t push_limit(const struct end *e)
{
	const struct end_plan *p = e->plan;
	uint64_t limit = p->total;

	if (p->finish == FINISH_LAST && !e->eof)
		limit /= 2;
	if (p->turns) {
		uint64_t turn = e->popped + (e->side ? 0 : p->chunk_max);

		if (turn < limit)
			limit = turn;
	}
	return limit;
}

static struct net_mem *pushed_mem(struct end *e, uint64_t offset, uint32_t len)
{
	struct net_mem *mem = mem_new(e->w, e->prog.host, MEM_PROGRAM, len);

	mem->stream = e->conn ? e->conn->stream[e->side] : 99;
	mem->offset = offset;
	stream_fill(mem->stream, offset, mem->data, len);
	return mem;
}

/* len bytes in n segments: of memory each, or slices of one. */
static uint32_t segs_make(struct end *e, struct net_seg *segs, uint32_t n, uint32_t len)
{
	bool slices = rnd_one_in(&e->rnd, 2);
	struct net_mem *mem = slices ? pushed_mem(e, e->pushed, len) : NULL;
	uint32_t at = 0, i = 0;

	while (at < len) {
		uint32_t size = i + 1 == n ? len - at : 1 + rnd_below(&e->rnd, len - at);

		if (!slices)
			mem = pushed_mem(e, e->pushed + at, size);
		else if (at)
			mem_get(mem);
		segs[i++] = (struct net_seg){ mem, mem->data + (slices ? at : 0), size, 0 };
		at += size;
	}
	if (rnd_one_in(&e->rnd, 16)) { /* an empty one, which has a reference, too */
		mem_get(mem);
		segs[i++] = (struct net_seg){ mem, mem->data, 0, 0 };
	}
	return i;
}

static void push_all(struct end *e)
{
	const struct end_plan *p = e->plan;
	struct net_seg segs[SEGS_MAX + 1];

	while (e->state == END_OPEN && !e->blocked && !e->shut && !e->silent &&
	       !(p->echo && e->conn) && now_of(e) >= e->next_push) {
		uint64_t limit = push_limit(e);
		uint32_t len, n;
		int err;

		if (e->pushed >= limit)
			return;
		len = (uint32_t)rnd_log(&e->rnd, p->chunk_min, p->chunk_max);
		if (len > limit - e->pushed)
			len = (uint32_t)(limit - e->pushed);
		n = segs_make(e, segs, 1 + rnd_below(&e->rnd, p->segs_max), len);
		err = push(e, segs, n);
		for (uint32_t i = 0; err && i < n; i++)
			mem_put(segs[i].mem);
		if (err && err != EAGAIN && err != ENOMEM) {
			failed(e, err);
			return;
		}
		if (!err && p->think_ns)
			e->next_push = now_of(e) + rnd_in(&e->rnd, 0, p->think_ns);
	}
}

/* ---- finishing */

static void finish_rudely(struct end *e)
{
	int err;

	switch (e->plan->finish) {
	case FINISH_CLOSE_EARLY:
		close_it(e);
		return;
	case FINISH_ABORT:
		e->finished = true;
		end_abort(e);
		return;
	case FINISH_LINGER_0:
		err = net_set_opt(e->sock, NET_OPT_LINGER, 0);
		if (err)
			world_fail(e->w, "h%d: linger 0: %d", who(e), err);
		close_it(e);
		return;
	case FINISH_SHUT_RD:
		e->shut_rd = e->finished = true;
		release_all(e);
		err = net_shutdown(e->sock, true, false);
		if (err && err != ENOTCONN)
			world_fail(e->w, "h%d: net_shutdown: %d", who(e), err);
		return;
	case FINISH_SILENT:
		e->silent = e->finished = true;
		return;
	case FINISH_SHUT:
	case FINISH_LAST:
	case FINISH_CLOSE:
	case FINISHES:
		return;
	}
}

static bool is_polite(const struct end *e)
{
	return e->plan->finish <= FINISH_CLOSE;
}

static void finish(struct end *e)
{
	uint64_t theirs = e->conn ? e->conn->flow->plan.end[!e->side].total : 0;
	bool all = e->pushed >= e->plan->total && !e->echo.mem;
	int err;

	if (e->state != END_OPEN)
		return;
	if (!is_polite(e) && !e->finished && e->pushed + e->popped >= e->plan->finish_at) {
		finish_rudely(e);
		return;
	}
	if (e->silent)
		return;
	if (!e->conn)
		all = true;
	if (e->plan->finish == FINISH_SHUT && all && !e->shut) {
		trace_note(e->w, who(e), "%s shuts down", name_of(e));
		e->shut = true;
		moved(e);
		err = net_shutdown(e->sock, false, true);
		if (err && err != ENOTCONN)
			world_fail(e->w, "h%d: net_shutdown: %d", who(e), err);
	}
	if (all && (e->eof || e->shut_rd ||
		    (e->plan->finish == FINISH_CLOSE && e->popped == theirs)))
		close_it(e);
}

/* ---- steps */

uint64_t end_acts_at(const struct end *e)
{
	uint64_t at = 0;

	if (e->state == END_DONE || e->state == END_CLOSING)
		return 0;
	if (e->state == END_NEW || e->state == END_CONNECTING)
		return e->cancel_at;
	if (!e->eof && !e->silent && e->next_read > at)
		at = e->next_read;
	if (!e->silent && e->next_push > at)
		at = e->next_push;
	if (e->held_n && e->held[e->held_first].until > at)
		at = e->held[e->held_first].until;
	return at;
}

static void sleep_on(struct end *e)
{
	uint64_t now = now_of(e);

	if (e->state != END_OPEN)
		return;
	if (!e->eof && e->next_read > now)
		prog_wake(&e->prog, e->next_read);
	if (e->next_push > now)
		prog_wake(&e->prog, e->next_push);
	if (e->held_n)
		prog_wake(&e->prog, e->held[e->held_first].until);
}

/* More room makes it writable, which an event says. */
static void grow_sndbuf(struct end *e)
{
	uint64_t more = e->sndbuf + (e->sndbuf < (1 << 20) ? e->sndbuf : 0);

	if (net_set_opt(e->sock, NET_OPT_SNDBUF, (int64_t)more))
		world_fail(e->w, "h%d: net_set_opt(sndbuf)", who(e));
	e->sndbuf = more;
}

/* Now and then somebody asks, and nothing comes of it. */
static void ask(struct end *e)
{
	if (e->blocked && rnd_one_in(&e->ask_rnd, 32))
		grow_sndbuf(e);
	if (rnd_one_in(&e->ask_rnd, 32))
		ask_tcp(e->prog.host, e->sock, &e->ask_rnd, &e->asked, e->popped);
}

static void step_open(struct end *e)
{
	ask(e);
	release_due(e);
	echo_on(e);
	pop_all(e);
	push_all(e);
	/* who reads no more hears of it otherwise */
	if (e->n_failed && e->state == END_OPEN && (e->eof || e->shut_rd || e->silent))
		failed(e, net_error(e->sock));
	finish(e);
	sleep_on(e);
}

static void cancel(struct end *e)
{
	trace_note(e->w, who(e), "%s takes its connect back", name_of(e));
	net_connect_cancel(e->sock);
	e->state = END_NEW;
	e->cancel_at = 0;
	moved(e);
	if (rnd_one_in(&e->rnd, 2)) {
		end_connect(e);
		return;
	}
	e->err = ECANCELED;
	net_close(e->sock, false);
	done(e);
}

static void step(struct prog *p)
{
	struct end *e = container_of(p, struct end, prog);

	switch (e->state) {
	case END_NEW:
		end_connect(e);
		break;
	case END_CONNECTING:
		if (e->cancel_at && now_of(e) >= e->cancel_at)
			cancel(e);
		else if (e->cancel_at)
			prog_wake(p, e->cancel_at);
		break;
	case END_OPEN:
		step_open(e);
		break;
	case END_CLOSING:
	case END_DONE:
		break;
	}
}

/* ---- events */

static void connect_failed(struct end *e)
{
	int err = net_error(e->sock);

	trace_note(e->w, who(e), "%s cannot connect: %s", name_of(e), strerror(err));
	if (!err)
		world_fail(e->w, "h%d: a connect failed without a cause", who(e));
	moved(e);
	e->state = END_NEW;
	e->cancel_at = 0;
	e->n_failed = 0;
	if (e->n_tries++ < 2 && rnd_one_in(&e->rnd, 2)) {
		prog_wake(&e->prog, now_of(e) + rnd_in(&e->rnd, 0, 100 * NSEC_PER_MSEC));
		return;
	}
	failed(e, err);
}

static void connected(struct end *e)
{
	if (e->state != END_CONNECTING)
		world_fail(e->w, "h%d: connected, in state %d", who(e), e->state);
	if (++e->n_connected > 1)
		world_fail(e->w, "h%d: connected twice", who(e));
	trace_note(e->w, who(e), "%s is connected", name_of(e));
	e->state = END_OPEN;
	e->cancel_at = 0;
	moved(e);
}

static void report(struct end *e, uint32_t events)
{
	if (!(events & (NET_ACKED | NET_FAILED)))
		return;
	if (++e->n_reports > 1)
		world_fail(e->w, "h%d: a close reports twice", who(e));
	if (events & NET_FAILED) {
		failed(e, net_error(e->sock));
		return;
	}
	trace_note(e->w, who(e), "%s: all is acknowledged", name_of(e));
	done(e);
}

static void event(struct prog *p, struct net_sock *s, uint32_t events)
{
	struct end *e = container_of(p, struct end, prog);

	if (s == e->left && e->state == END_DONE)
		return;
	if (s != e->sock)
		world_fail(e->w, "h%d: events %x on a socket that is gone (state %d)", who(e),
			   events, e->state);
	if (e->state == END_CLOSING) {
		report(e, events);
		return;
	}
	if (e->n_failed)
		world_fail(e->w, "h%d: events %x after a failure", who(e), events);
	if (events & NET_CONNECTED)
		connected(e);
	if (events & NET_FAILED) {
		e->n_failed++;
		if (e->state == END_CONNECTING) {
			connect_failed(e);
			return;
		}
	}
	if (events & (NET_WRITABLE | NET_FAILED))
		e->blocked = false;
	if (e->state == END_OPEN)
		step_open(e);
}

static void gone(struct prog *p)
{
	struct end *e = container_of(p, struct end, prog);

	e->sock = NULL;
	if (e->state == END_DONE)
		return;
	if (e->state != END_CLOSING)
		e->err = EHOSTDOWN;
	done(e);
}

/* ---- the beginning */

struct end *end_new(struct world *w, struct host *host, struct conn *conn, uint32_t side,
		    const struct end_plan *plan, uint64_t seed)
{
	struct end *e = calloc(1, sizeof(*e));

	if (!e)
		abort();
	prog_init(&e->prog, host);
	e->prog.event = event;
	e->prog.step = step;
	e->prog.gone = gone;
	e->prog.take = take_at_once;
	e->w = w;
	e->conn = conn;
	e->side = side;
	e->plan = plan;
	rnd_init(&e->rnd, seed, 20 + side);
	rnd_init(&e->ask_rnd, seed, 30 + side);
	e->next = w->ends;
	w->ends = e;
	return e;
}

void end_free(struct end *e)
{
	free(e->held);
	free(e);
}

static void set_opts(struct end *e)
{
	int64_t sndbuf;

	for (uint32_t i = 0; i < e->plan->n_opts; i++) {
		enum net_opt opt = e->plan->opts[i].opt;
		int64_t value = e->plan->opts[i].value, got = -1;
		int err = net_set_opt(e->sock, opt, value);

		if (err)
			world_fail(e->w, "h%d: net_set_opt(%d, %lld): %d", who(e), opt,
				   (long long)value, err);
		err = net_get_opt(e->sock, opt, &got);
		if (err || (got != value && opt != NET_OPT_MAXSEG && opt != NET_OPT_RCVBUF))
			world_fail(e->w, "h%d: option %d is %lld after %lld", who(e), opt,
				   (long long)got, (long long)value);
	}
	if (net_get_opt(e->sock, NET_OPT_SNDBUF, &sndbuf))
		world_fail(e->w, "h%d: no send buffer", who(e));
	e->sndbuf = (uint64_t)sndbuf;
}

void end_accepted(struct end *e, struct net_sock *sock)
{
	e->sock = sock;
	net_set_user(sock, &e->prog);
	e->state = END_OPEN;
	e->n_connected = 1;
	set_opts(e);
	moved(e);
	/* what happened before it was accepted may have been told to nobody */
	prog_wake(&e->prog, now_of(e));
}

static int bind_it(struct end *e)
{
	const struct flow_plan *p = &e->conn->flow->plan;
	struct net_addr addr = { host_ip(e->prog.host, e->side ? p->server_ip : p->client_ip), 0 };

	if (p->kind == FLOW_CROSSED)
		addr.port = __builtin_bswap16((uint16_t)(p->port + e->conn->nr % 16));
	else if (rnd_one_in(&e->rnd, 2))
		addr.port = __builtin_bswap16((uint16_t)rnd_in(&e->rnd, 2000, 2999));
	return net_bind(e->sock, &addr);
}

static int try_connect(struct end *e)
{
	const struct flow_plan *p = &e->conn->flow->plan;
	struct net_addr peer = conn_peer(e->conn, e->side), name;
	int err = 0;

	if (!e->sock) {
		err = net_socket(e->prog.host->stack, NET_TCP, &e->prog, &e->sock);
		if (err)
			return err;
		set_opts(e);
		if (p->bind || p->kind == FLOW_CROSSED)
			err = bind_it(e);
	}
	if (!err)
		err = net_connect(e->sock, &peer);
	if (err)
		return err;
	if (net_name(e->sock, &name)) /* it has failed meanwhile, and will say so */
		name.port = 0;
	if (e->side)
		return 0;
	if (conn_may_be_mistaken(e->conn, &name)) {
		net_connect_cancel(e->sock);
		return EADDRINUSE;
	}
	e->conn->client = name;
	return 0;
}

/* Failures of the call itself; those that will pass are tried again. */
static void cannot(struct end *e, int err)
{
	trace_note(e->w, who(e), "%s: net_connect: %s", name_of(e), strerror(err));
	if (e->sock && (err == EADDRINUSE || err == EADDRNOTAVAIL || rnd_one_in(&e->rnd, 2))) {
		net_close(e->sock, false);
		e->sock = NULL;
	}
	if (e->n_tries++ < 50 &&
	    (err == ENOMEM || err == EADDRINUSE || err == EADDRNOTAVAIL || err == EAGAIN)) {
		moved(e);
		prog_wake(&e->prog, now_of(e) + rnd_in(&e->rnd, 1, 20 * NSEC_PER_MSEC));
		return;
	}
	if (e->sock)
		net_close(e->sock, false);
	e->sock = NULL;
	e->err = err;
	done(e);
}

void end_connect(struct end *e)
{
	uint64_t cancel_ns = e->conn->flow->plan.cancel_ns;
	int err = try_connect(e);

	if (err) {
		cannot(e, err);
		return;
	}
	e->state = END_CONNECTING;
	moved(e);
	e->asked = (struct asked){ 0 };
	ask_tcp(e->prog.host, e->sock, &e->ask_rnd, &e->asked, 0);
	if (cancel_ns && !e->n_tries++) {
		e->cancel_at = now_of(e) + rnd_in(&e->rnd, 0, cancel_ns);
		prog_wake(&e->prog, e->cancel_at);
	}
}

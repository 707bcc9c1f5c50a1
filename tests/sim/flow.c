#include "config.h"

#include "tests/sim/flow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "tests/sim/host.h"
#include "tests/sim/wire.h"
#include "tests/sim/world.h"

#define CONNS_MOST 60u
#define MISTAKEN_NS (20 * NSEC_PER_SEC)

const char *const flow_kind_names[FLOW_KINDS] = {
	"polite", "rude", "refused", "nobody", "cancelled", "crossed", "strange",
};

static struct host *host_at(const struct flow *f, uint32_t side)
{
	return &f->w->hosts[side ? f->plan.server : f->plan.client];
}

struct net_addr conn_peer(const struct conn *c, uint32_t side)
{
	const struct flow_plan *p = &c->flow->plan;
	struct net_addr addr = { .port = __builtin_bswap16(p->port) };

	if (p->kind == FLOW_CROSSED)
		addr.port = __builtin_bswap16((uint16_t)(p->port + c->nr % 16));
	if (p->kind == FLOW_NOBODY)
		addr.ip = net_ip4(__builtin_bswap32(wire_ip(p->server % 3, 90)));
	else if (p->kind == FLOW_STRANGE)
		addr.ip = net_ip4(__builtin_bswap32(c->flow->w->intruder->ip));
	else
		addr.ip = host_ip(host_at(c->flow, !side), side ? p->client_ip : p->server_ip);
	return addr;
}

struct conn *conn_find(struct world *w, const struct host *server, uint16_t port,
		       const struct net_addr *client)
{
	for (uint32_t i = 0; i < w->n_flows; i++) {
		const struct flow *f = &w->flows[i];

		if (f->plan.port != port || host_at(f, 1) != server ||
		    f->plan.kind == FLOW_CROSSED || f->plan.kind == FLOW_STRANGE)
			continue;
		for (struct conn *c = f->conns; c; c = c->next)
			if (c->client.port == client->port && !c->over &&
			    net_ip_equal(&c->client.ip, &client->ip))
				return c;
	}
	return NULL;
}

bool conn_may_be_mistaken(const struct conn *c, const struct net_addr *client)
{
	const struct flow_plan *p = &c->flow->plan;
	const struct world *w = c->flow->w;

	for (uint32_t i = 0; i < w->n_flows && client->port; i++) {
		const struct flow *f = &w->flows[i];

		if (f->plan.port != p->port || f->plan.server != p->server)
			continue;
		for (const struct conn *o = f->conns; o; o = o->next)
			if (o != c && o->client.port == client->port &&
			    net_ip_equal(&o->client.ip, &client->ip) &&
			    o->progress + MISTAKEN_NS > w->events.now)
				return true;
	}
	return false;
}

/* ---- attempts */

static void begin(void *who, void *what)
{
	struct flow *f = who;
	struct conn *c;

	(void)what;
	if (!host_at(f, 0)->stack) {
		events_add(&f->w->events, f->w->events.now + NSEC_PER_SEC, begin, f, NULL);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	c->flow = f;
	c->nr = f->n_conns++;
	c->next = f->conns;
	f->conns = c;
	c->began = c->progress = f->w->events.now;
	c->stream[0] = rnd_u64(&f->rnd);
	c->stream[1] = f->plan.end[1].echo ? c->stream[0] : rnd_u64(&f->rnd);
	c->end[0] = end_new(f->w, host_at(f, 0), c, 0, &f->plan.end[0], rnd_u64(&f->rnd));
	prog_wake(&c->end[0]->prog, f->w->events.now);
	if (f->plan.kind != FLOW_CROSSED)
		return;
	c->end[1] = end_new(f->w, host_at(f, 1), c, 1, &f->plan.end[1], rnd_u64(&f->rnd));
	prog_wake(&c->end[1]->prog, f->w->events.now);
}

void flow_init(struct flow *f, struct world *w, uint32_t nr, const struct flow_plan *plan)
{
	memset(f, 0, sizeof(*f));
	f->w = w;
	f->nr = nr;
	f->plan = *plan;
	rnd_init(&f->rnd, w->seed, 1000 + nr);
	events_add(&w->events, plan->start_at, begin, f, NULL);
}

void flow_free(struct flow *f)
{
	while (f->conns) {
		struct conn *next = f->conns->next;

		free(f->conns);
		f->conns = next;
	}
}

static void again(struct flow *f, int err)
{
	uint64_t most = f->plan.kind == FLOW_CROSSED ? 1000 : 500 * NSEC_PER_MSEC;
	uint32_t doubled = f->n_conns / 8 < 7 ? f->n_conns / 8 : 7;

	if (f->n_conns >= CONNS_MOST)
		world_fail(f->w, "flow %u has failed %u times, the last time with: %s", f->nr,
			   f->n_conns, strerror(err));
	events_add(&f->w->events, f->w->events.now + rnd_in(&f->rnd, 0, most << doubled), begin, f,
		   NULL);
}

/* ---- how it went */

/* Whether it may fail without anything being wrong with the stacks. */
static bool is_excused(const struct conn *c)
{
	const struct flow *f = c->flow;

	if (f->w->gives_up || !c->end[1] || f->w->heap_fail)
		return true;
	if (f->plan.kind == FLOW_CROSSED && !(c->end[0]->n_connected && c->end[1]->n_connected))
		return true;
	if (f->w->wire.n_lost && c->began <= wire_last_lost(f->w))
		return true;
	for (uint32_t side = 0; side < 2; side++) {
		const struct host *h = host_at(f, side);

		if (!h->stack || (h->died && h->died_at + h->plan.dead_ns >= c->began))
			return true;
	}
	return false;
}

static bool is_polite(const struct flow *f)
{
	return f->plan.kind == FLOW_POLITE || f->plan.kind == FLOW_CROSSED;
}

static void describe(const struct conn *c, char *text, size_t size)
{
	size_t n = (size_t)snprintf(text, size, "flow %u (%s, h%u to h%u), conn %u", c->flow->nr,
				    flow_kind_names[c->flow->plan.kind], c->flow->plan.client,
				    c->flow->plan.server, c->nr);

	for (uint32_t side = 0; side < 2 && n < size; side++) {
		const struct end *e = c->end[side];

		if (!e)
			continue;
		n += (size_t)snprintf(text + n, size - n, "; %s state %d, pushed %" PRIu64
				      " popped %" PRIu64 " of %" PRIu64 "%s%s%s%s %s",
				      side ? "server" : "client", e->state, e->pushed, e->popped,
				      e->plan->total, e->eof ? " eof" : "", e->shut ? " shut" : "",
				      e->blocked ? " blocked" : "",
				      e->echo.mem ? " echoing" : "",
				      e->err ? strerror(e->err) : "");
		if (e->sock && n < size)
			n += (size_t)snprintf(text + n, size - n, " (readable %" PRIu64
					      " unacked %" PRIu64 ")", net_bytes_readable(e->sock),
					      net_bytes_unacked(e->sock));
	}
}

void flow_describe(const struct flow *f, char *text, size_t size)
{
	text[0] = '\0';
	if (f->conns)
		describe(f->conns, text, size);
}

static bool all_delivered(const struct conn *c)
{
	const struct end *a = c->end[0], *b = c->end[1];

	return a && b && a->popped == b->plan->total && b->popped == a->plan->total &&
	       a->pushed == a->plan->total && b->pushed == b->plan->total;
}

static void judge_polite(struct conn *c)
{
	char text[600];
	int err = c->end[0]->err;
	bool good = all_delivered(c);

	for (uint32_t side = 0; side < 2; side++) {
		const struct end *e = c->end[side];

		/* the answer to a FIN may get lost with who gave it; one who has closed
		 * waits only so long for the other to do so */
		if (e && e->err && !e->finished && !(good && c->end[!side]->finished))
			good = false;
		if (e && e->err)
			err = e->err;
	}
	if (good) {
		c->flow->delivered = c->end[0]->popped + c->end[1]->popped;
		c->flow->done = true;
		return;
	}
	if (c->flow->plan.kind == FLOW_CROSSED && c->nr > 8 && is_excused(c)) {
		c->flow->done = true; /* they never met */
		return;
	}
	if (is_excused(c)) {
		again(c->flow, err);
		return;
	}
	describe(c, text, sizeof(text));
	world_fail(c->flow->w, "a polite flow came to a bad end: %s", text);
}

static void judge(struct conn *c)
{
	struct flow *f = c->flow;
	const struct end *client = c->end[0];

	c->over = true;
	if (is_polite(f)) {
		judge_polite(c);
		return;
	}
	if ((f->plan.kind == FLOW_REFUSED || f->plan.kind == FLOW_NOBODY) &&
	    (client->n_connected || !client->err))
		world_fail(f->w, "flow %u (%s) has connected", f->nr, flow_kind_names[f->plan.kind]);
	f->done = true;
}

void conn_end_done(struct conn *c)
{
	const struct end *a = c->end[0], *b = c->end[1];

	if (c->over || a->state != END_DONE || (b && b->state != END_DONE))
		return;
	if (!b && !a->err && is_polite(c->flow))
		return;	/* the server has yet to hear of it */
	judge(c);
}

/* ---- whether it moves */

static uint64_t since(struct conn *c)
{
	uint64_t now = c->flow->w->events.now, last = c->progress;

	for (uint32_t side = 0; side < 2; side++) {
		struct host *h = host_at(c->flow, side);
		uint64_t fault = host_last_fault(h);
		uint64_t acts = c->end[side] ? end_acts_at(c->end[side]) : 0;

		if (fault > last && is_polite(c->flow))
			last = fault;
		if (acts > last)
			last = acts < now ? acts : now;
		if (!h->stack)
			last = now;
	}
	return last;
}

static void stalled(struct conn *c)
{
	char text[600];

	if (is_polite(c->flow) && !is_excused(c)) {
		describe(c, text, sizeof(text));
		world_fail(c->flow->w, "nothing moves any more: %s", text);
	}
	c->progress = c->flow->w->events.now;
	for (uint32_t side = 0; side < 2; side++)
		if (c->end[side] && !c->over)
			end_abort(c->end[side]);
	if (!c->over && !c->end[1]) {
		if (!c->end[0]->err)
			c->end[0]->err = ETIMEDOUT;
		judge(c);
	}
}

void flow_watch(struct flow *f)
{
	struct conn *c = f->conns;

	if (!f->done && c && !c->over && f->w->events.now > since(c) + f->w->patience_ns)
		stalled(c);
}

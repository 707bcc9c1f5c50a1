#include "config.h"

#include "tests/sim/lane.h"

#include <string.h>

#include "tests/sim/frame.h"
#include "tests/sim/mem.h"
#include "tests/sim/world.h"

const char *const fault_names[FAULTS] = {
	[FAULT_LOSS] = "lost",
	[FAULT_BURST] = "burst",
	[FAULT_CUT] = "cut",
	[FAULT_QUEUE] = "full",
	[FAULT_DUP] = "dup",
	[FAULT_REORDER] = "late",
	[FAULT_CORRUPT] = "bits",
	[FAULT_TRUNCATE] = "trnc",
	[FAULT_TAMPER] = "tamp",
};

#define BURST_NS UINT64_C(100000000)	/* over by then */

/* ---- cuts */

static void cuts_plan(struct cuts *c, uint64_t after)
{
	if (!c->left) {
		c->from = c->to = UINT64_MAX;
		return;
	}
	c->left--;
	c->from = after + rnd_in(&c->rnd, c->every / 4, c->every);
	c->to = c->from + rnd_in(&c->rnd, c->length / 8, c->length);
}

void cuts_init(struct cuts *c, uint64_t seed, uint32_t n, uint64_t every, uint64_t length)
{
	c->left = n;
	c->every = every;
	c->length = length;
	rnd_init(&c->rnd, seed, 5);
	cuts_plan(c, 0);
}

bool cuts_are_on(struct cuts *c, uint64_t now)
{
	while (now >= c->to && c->to != UINT64_MAX)
		cuts_plan(c, c->to);
	return now >= c->from;
}

/* ---- lanes */

void lane_init(struct lane *l, struct world *w, const struct lane_plan *plan, uint64_t seed)
{
	l->w = w;
	l->plan = *plan;
	rnd_init(&l->rnd, seed, 6);
	tamper_init(&l->tamper, w, seed, plan->tampers, l->ethernet);
}

uint64_t lane_backlog(const struct lane *l)
{
	uint64_t now = l->w->events.now;

	return l->busy_until > now ? l->busy_until - now : 0;
}

uint64_t lane_last_fault(struct lane *l)
{
	uint64_t now = l->w->events.now;

	if (l->cuts && cuts_are_on(l->cuts, now))
		l->last_fault = now;
	return l->last_fault;
}

static void note(struct lane *l, enum fault fault, const struct net_mem *frame)
{
	l->n[fault]++;
	trace_frame(l->w, l->who, fault_names[fault], frame->data, frame->len, l->ethernet);
	if (fault != FAULT_DUP && fault != FAULT_REORDER)
		l->last_fault = l->w->events.now;
}

static void drop(struct lane *l, enum fault fault, struct net_mem *frame)
{
	note(l, fault, frame);
	mem_put(frame);
}

static void arrive(void *who, void *what)
{
	struct lane *l = who;

	l->out(l->arg, what);
}

static void carry(struct lane *l, struct net_mem *frame, uint64_t later)
{
	uint64_t now = l->w->events.now, start = now, at;

	if (l->busy_until > now)
		start = l->busy_until;
	if (l->plan.ps_per_byte &&
	    (start - now) * 1000 / l->plan.ps_per_byte > l->plan.queue) {
		drop(l, FAULT_QUEUE, frame);
		return;
	}
	l->busy_until = start + frame->len * l->plan.ps_per_byte / 1000;
	at = l->busy_until + l->plan.delay;
	if (l->plan.jitter)
		at += rnd_in(&l->rnd, 0, l->plan.jitter);
	if (later) {
		at += later;
	} else {
		if (at < l->last_arrival)
			at = l->last_arrival;
		l->last_arrival = at;
	}
	events_add(&l->w->events, at, arrive, l, frame);
}

/* One byte becomes another: no checksum misses that. In an ARP packet, which has
 * none, only the part that is always the same. */
static void corrupt(struct lane *l, struct net_mem *frame)
{
	uint32_t from = 0, to = frame->len;

	if (l->ethernet && frame->len > ETH_LEN && get16(frame->data + 12) == 0x0806) {
		from = ETH_LEN;
		to = from + 6;
	}
	note(l, FAULT_CORRUPT, frame);
	frame->spoilt = true;	/* a second one could undo what a checksum sees of it */
	frame->data[from + rnd_below(&l->rnd, to - from)] ^= (uint8_t)(1 + rnd_below(&l->rnd, 255));
}

static struct net_mem *copy_of(struct lane *l, const struct net_mem *frame)
{
	struct net_mem *copy = mem_new(l->w, NULL, MEM_FRAME, frame->len);

	memcpy(copy->data, frame->data, frame->len);
	copy->spoilt = frame->spoilt;
	return copy;
}

static void harm(struct lane *l, struct net_mem *frame, uint64_t later)
{
	const struct lane_plan *p = &l->plan;

	if (rnd_ppm(&l->rnd, p->corrupt) && !frame->spoilt)
		corrupt(l, frame);
	if (rnd_ppm(&l->rnd, p->truncate)) {
		note(l, FAULT_TRUNCATE, frame);
		frame->len = rnd_below(&l->rnd, frame->len + 1);
	}
	if (rnd_ppm(&l->rnd, p->dup)) {
		note(l, FAULT_DUP, frame);
		carry(l, copy_of(l, frame), rnd_one_in(&l->rnd, 2) ?
		      rnd_in(&l->rnd, 1, 1 + p->reorder_ns) : 0);
	}
	if (rnd_ppm(&l->rnd, p->reorder)) {
		note(l, FAULT_REORDER, frame);
		later += rnd_in(&l->rnd, 1, 1 + p->reorder_ns);
	}
	carry(l, frame, later);
}

static bool is_lost(struct lane *l, struct net_mem *frame)
{
	const struct lane_plan *p = &l->plan;

	if (l->cuts && cuts_are_on(l->cuts, l->w->events.now)) {
		drop(l, FAULT_CUT, frame);
		return true;
	}
	if (rnd_ppm(&l->rnd, p->burst)) {
		l->burst_left = 1 + rnd_below(&l->rnd, p->burst_len);
		l->burst_until = l->w->events.now + BURST_NS;
	}
	if (l->burst_left && l->w->events.now <= l->burst_until) {
		l->burst_left--;
		drop(l, FAULT_BURST, frame);
		return true;
	}
	if (rnd_ppm(&l->rnd, p->loss) || l->frames == p->lose_nth) {
		drop(l, FAULT_LOSS, frame);
		return true;
	}
	return false;
}

void lane_send(struct lane *l, struct net_mem *frame)
{
	struct tampered list[TAMPER_MAX];
	uint32_t n;

	l->frames++;
	if (is_lost(l, frame))
		return;
	if (!rnd_ppm(&l->rnd, l->plan.tamper)) {
		harm(l, frame, 0);
		return;
	}
	note(l, FAULT_TAMPER, frame);
	n = tamper(&l->tamper, frame, list);
	for (uint32_t i = 0; i < n; i++)
		harm(l, list[i].frame, list[i].later);
}

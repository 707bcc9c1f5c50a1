#include "config.h"

#include "base/wheel.h"

#include "base/compiler.h"

#define SLOT_MASK (WHEEL_SLOTS - 1)
#define SPAN (UINT64_C(1) << (WHEEL_BITS * WHEEL_LEVELS))

void wheel_init(struct wheel *w, uint8_t shift, uint64_t now)
{
	w->shift = shift;
	w->now = now >> shift;
	for (int level = 0; level < WHEEL_LEVELS; level++) {
		w->used[level] = 0;
		for (uint32_t i = 0; i < WHEEL_SLOTS; i++)
			list_init(&w->slots[level][i]);
	}
}

void wheel_timer_init(struct wheel_timer *t)
{
	list_init(&t->link);
	t->deadline = WHEEL_NEVER;
	t->tick = 0;
}

/* The level whose slots tell this tick from now: that of the highest digit in which
 * they differ. */
static int level_of(const struct wheel *w, uint64_t tick)
{
	uint64_t differ = tick ^ w->now;

	return differ ? (63 - __builtin_clzll(differ)) / WHEEL_BITS : 0;
}

static uint32_t slot_of(uint64_t tick, int level)
{
	return (uint32_t)(tick >> (WHEEL_BITS * level)) & SLOT_MASK;
}

/* The last tick of this turn of the whole wheel: what is further off waits there. */
static uint64_t turn_end(const struct wheel *w)
{
	return w->now | (SPAN - 1);
}

void wheel_place(struct wheel *w, struct wheel_timer *t)
{
	uint64_t tick = t->deadline >> w->shift;
	uint32_t slot;
	int level;

	if (tick < w->now)
		tick = w->now;
	if (tick > turn_end(w))
		tick = turn_end(w);
	wheel_remove(w, t);
	level = level_of(w, tick);
	slot = slot_of(tick, level);
	t->tick = tick;
	list_add_tail(&w->slots[level][slot], &t->link);
	w->used[level] |= UINT64_C(1) << slot;
}

void wheel_remove(struct wheel *w, struct wheel_timer *t)
{
	struct list *next = t->link.next;

	if (list_empty(&t->link))
		return;
	list_del(&t->link);
	if (!list_empty(next))
		return;
	/* next is the head of a slot that has become empty */
	for (int level = 0; level < WHEEL_LEVELS; level++) {
		uint32_t slot = slot_of(t->tick, level);

		if (next == &w->slots[level][slot]) {
			w->used[level] &= ~(UINT64_C(1) << slot);
			return;
		}
	}
}

/* ---- time goes on */

/* To where their deadlines are now: nearer slots, mostly. */
static void cascade(struct wheel *w, int level, uint32_t slot)
{
	struct list all;

	list_init(&all);
	list_splice_tail(&all, &w->slots[level][slot]);
	w->used[level] &= ~(UINT64_C(1) << slot);
	while (!list_empty(&all)) {
		struct wheel_timer *t = list_first(&all, struct wheel_timer, link);

		list_del(&t->link);
		if (t->deadline != WHEEL_NEVER)
			wheel_place(w, t);
	}
}

/* The first tick after now whose slot has timers; its level, or -1 for none. */
static int next_used(const struct wheel *w, uint64_t *tick_out)
{
	for (int level = 0; level < WHEEL_LEVELS; level++) {
		uint64_t above = w->now >> (WHEEL_BITS * level);
		uint64_t later = ~((UINT64_C(2) << (above & SLOT_MASK)) - 1);
		uint64_t used = w->used[level] & later;

		if (!used)
			continue;
		above = (above & ~(uint64_t)SLOT_MASK) | (uint64_t)__builtin_ctzll(used);
		*tick_out = above << (WHEEL_BITS * level);
		return level;
	}
	return -1;
}

/* To the next slot with timers, but not past `until`; false: there is none. */
static bool advance(struct wheel *w, uint64_t until)
{
	uint64_t tick = 0;
	int level = next_used(w, &tick);

	if (level < 0 && turn_end(w) < until) {
		w->now = turn_end(w) + 1;
		cascade(w, 0, SLOT_MASK);
		return true;
	}
	if (level < 0 || tick > until) {
		w->now = until;
		return false;
	}
	w->now = tick;
	if (level > 0)
		cascade(w, level, slot_of(tick, level));
	return true;
}

/* Of the slot of now; what has been put off moves on. */
static struct wheel_timer *due(struct wheel *w, uint64_t now)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &w->slots[0][slot_of(w->now, 0)]) {
		struct wheel_timer *t = container_of(pos, struct wheel_timer, link);

		if (t->deadline <= now) {
			wheel_remove(w, t);
			wheel_disarm(t);
			return t;
		}
		if (t->deadline == WHEEL_NEVER)
			wheel_remove(w, t);
		else if (t->deadline >> w->shift > w->now && w->now < turn_end(w))
			wheel_place(w, t);
	}
	return NULL;
}

struct wheel_timer *wheel_expire(struct wheel *w, uint64_t now)
{
	uint64_t until = now >> w->shift;

	for (;;) {
		struct wheel_timer *t = due(w, now);

		if (t)
			return t;
		if (w->now >= until)
			return NULL;
		if (!advance(w, until))
			return NULL;
	}
}

/* Of a slot of the lowest level. */
static uint64_t slot_deadline(const struct wheel *w, uint64_t tick)
{
	const struct list *head = &w->slots[0][slot_of(tick, 0)];
	uint64_t first = WHEEL_NEVER;

	for (const struct list *pos = head->next; pos != head; pos = pos->next) {
		const struct wheel_timer *t = container_of(pos, const struct wheel_timer, link);

		uint64_t at = t->deadline;

		if (at >> w->shift > tick) /* put off, or disarmed: when it is looked at */
			at = (tick > w->now ? tick : tick + 1) << w->shift;
		if (at < first)
			first = at;
	}
	return first;
}

uint64_t wheel_deadline(const struct wheel *w)
{
	uint64_t tick = w->now;
	int level = 0;

	if (!(w->used[0] >> slot_of(tick, 0) & 1))
		level = next_used(w, &tick);
	if (level < 0)
		return WHEEL_NEVER;
	return level ? tick << w->shift : slot_deadline(w, tick);
}

/*
 * A hierarchical timing wheel (Varghese and Lauck, 1987, scheme 7): five levels of
 * 64 slots, each slot of a level as long as the whole level below. Arming,
 * disarming and expiry cost the same however many timers there are.
 *
 * To put a deadline off costs one store: the timer stays where it is, and is looked
 * at again when its old slot comes up. It is never early, and late by no more than
 * whoever calls.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define WHEEL_LEVELS 5
#define WHEEL_BITS 6
#define WHEEL_SLOTS (1u << WHEEL_BITS)
#define WHEEL_NEVER UINT64_MAX

struct wheel_timer {
	struct list link;	/* of a slot; in no list: not in the wheel */
	uint64_t deadline;	/* ns; WHEEL_NEVER: disarmed */
	uint64_t tick;		/* of the slot that it is in */
};

struct wheel {
	uint64_t now;		/* ticks; all before it are over */
	uint8_t shift;		/* a tick is 1 << shift ns */
	uint64_t used[WHEEL_LEVELS]; /* bit i: slot i has timers */
	struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

/* now: ns of whatever clock the deadlines are of. */
void wheel_init(struct wheel *w, uint8_t shift, uint64_t now);
void wheel_timer_init(struct wheel_timer *t);

/* Into the slot of its deadline, out of any other. */
void wheel_place(struct wheel *w, struct wheel_timer *t);
/* Out of the wheel: before its memory goes. */
void wheel_remove(struct wheel *w, struct wheel_timer *t);

static inline void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t deadline)
{
	t->deadline = deadline;
	if (list_empty(&t->link) || deadline >> w->shift < t->tick)
		wheel_place(w, t);
}

/* It stays in its slot until that comes up. */
static inline void wheel_disarm(struct wheel_timer *t)
{
	t->deadline = WHEEL_NEVER;
}

static inline bool wheel_is_armed(const struct wheel_timer *t)
{
	return t->deadline != WHEEL_NEVER;
}

/* The next timer that is due, out of the wheel and disarmed; NULL: no more. Timers
 * come in the order of their ticks. */
struct wheel_timer *wheel_expire(struct wheel *w, uint64_t now);

/* ns at which to call wheel_expire() again, WHEEL_NEVER if there is no timer. Not
 * later than the next deadline, and perhaps earlier. */
uint64_t wheel_deadline(const struct wheel *w);

#endif /* BASE_WHEEL_H */

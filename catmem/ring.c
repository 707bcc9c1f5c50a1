#include "config.h"

#include "catmem/ring.h"

#include <assert.h>

static_assert(sizeof(struct ring_slot) == RING_SLOT_SIZE, "a slot is two cache lines");
static_assert(sizeof(struct ring_control) == RING_SLOT_SIZE, "the control takes one slot");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
	      "locks would not reach across processes");

static uint32_t gcd(uint32_t a, uint32_t b)
{
	uint32_t rest;

	while (b) {
		rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* The golden section of n, or what is next below it and visits every slot. */
static uint32_t step_of(uint32_t n)
{
	uint32_t step = (uint32_t)(n * UINT64_C(618) / 1000);

	while (step > 1 && gcd(n, step) != 1)
		step--;
	return step ? step : 1;
}

void ring_init(struct ring *r, void *mine, const void *theirs, uint32_t half_size)
{
	uint32_t n = half_size / RING_SLOT_SIZE - 1;

	assert(half_size >= 2 * RING_SLOT_SIZE);
	*r = (struct ring){
		.control = mine,
		.slots = (struct ring_slot *)mine + 1,
		.their_control = theirs,
		.their_slots = (const struct ring_slot *)theirs + 1,
		.prod_limit = n,
		.n = n,
		.step = step_of(n),
	};
}

int ring_find_space(struct ring *r)
{
	uint32_t seen = r->prod_limit - r->n;
	uint32_t cons;

	/* Pairs with the release in ring_release(): the consumer's reads of the
	 * slots are over before we write them again. */
	cons = atomic_load_explicit(&r->their_control->cons, memory_order_acquire); /* ord:space */
	if (cons - seen > r->prod - seen)
		return EPROTO;
	r->prod_limit = cons + r->n;
	return r->prod == r->prod_limit ? RING_EMPTY : 0;
}

/* Is there what a sleep with these flags would wait for, or garbage? */
static bool has_come(struct ring *r, uint32_t flags)
{
	const uint8_t *data;
	uint32_t tag;

	if (flags & RING_SLEEPS_FOR_DATA && ring_peek(r, &tag, &data) != RING_EMPTY)
		return true;
	return flags & RING_SLEEPS_FOR_SPACE && ring_find_space(r) != RING_EMPTY;
}

bool ring_sleep(struct ring *r, uint32_t flags)
{
	/* The other half of ring_must_wake(): if its load of our flags came
	 * before this store, then our load of its `order` sees its store, and
	 * has_come() sees what it published or released before. */
	atomic_store_explicit(&r->control->flags, flags,
			      memory_order_seq_cst); /* ord:sleep_flags */
	(void)atomic_load_explicit(&r->their_control->order,
				   memory_order_seq_cst); /* ord:sleep_order */
	if (likely(!has_come(r, flags)))
		return true;
	ring_awake(r);
	return false;
}

void ring_awake(struct ring *r)
{
	/* Nothing hangs on when this is seen: a bell too many is harmless. */
	atomic_store_explicit(&r->control->flags, 0, memory_order_relaxed);
}

/*
 * A single-producer single-consumer ring of 128-byte slots between two
 * processes that do not trust each other.
 *
 * Each side has a half that it alone writes and the other maps read-only:
 *
 *	slot 0		control: line 0 is `cons`, how far this side has consumed
 *			the other's ring, and `order`; line 1 is `flags`, what
 *			it sleeps for
 *	slots 1..n	the slots that this side produces
 *
 * A slot carries its own sequence number, so the consumer looks at one cache
 * line to find and read a small message. Each side keeps its positions in
 * private memory; what is read from the other half is checked before use.
 *
 * doc/catmem-ring.md has the argument for the orderings. The word behind `ord:`
 * names each of them for tests/unit/ring_tsan.sh, which weakens one at a time.
 */
#ifndef CATMEM_RING_H
#define CATMEM_RING_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define RING_SLOT_SIZE 128u
#define RING_SLOT_DATA 120u	/* payload bytes of a slot */

struct ring_slot {
	cacheline_aligned _Atomic uint64_t head; /* seq (low 32 bits) | tag (high) */
	uint8_t data[RING_SLOT_DATA];
};

enum ring_flag {
	RING_SLEEPS_FOR_DATA = 1u << 0,	 /* ring the bell after a publish */
	RING_SLEEPS_FOR_SPACE = 1u << 1, /* ring the bell after a release */
};

struct ring_control {
	cacheline_aligned _Atomic uint32_t cons; /* positions consumed, wraps */
	_Atomic uint32_t order;	/* written before the other's flags are read */
	cacheline_aligned _Atomic uint32_t flags; /* enum ring_flag */
};

/* One side of a pair of rings: mine to produce, theirs to consume. */
struct ring {
	/* producing */
	struct ring_slot *slots;	/* n of mine */
	const struct ring_control *their_control;
	uint32_t prod;			/* next position to write */
	uint32_t prod_limit;		/* positions below are known to be free */
	uint32_t prod_at;		/* the slot of prod */
	uint32_t n;			/* slots each way */
	/* consuming */
	const struct ring_slot *their_slots; /* n of theirs */
	struct ring_control *control;	/* mine */
	uint32_t cons;			/* next position to read */
	uint32_t cons_published;
	uint32_t cons_at;		/* the slot of cons */
	uint32_t cons_lapped : 1;	/* that slot has been used before */
	uint32_t step : 31;		/* from slot to slot, both ways */
};

#define RING_EMPTY (-1)

/* half_size bytes at mine (zeroed, writable) and theirs (maybe read-only), both
 * aligned to a cache line; at least two slots' worth: control and one slot. */
void ring_init(struct ring *r, void *mine, const void *theirs, uint32_t half_size);

/* Looks how far the consumer has come: 0 when there is a free slot, RING_EMPTY
 * when there is none, EPROTO for a position that it could not have reached. */
int ring_find_space(struct ring *r);

/* The next slot's data to fill, or NULL: *err_out is then 0 if the ring is full
 * and EPROTO if the consumer's position is garbage. Idempotent. */
static inline uint8_t *ring_reserve(struct ring *r, int *err_out)
{
	int err;

	if (unlikely(r->prod == r->prod_limit)) {
		err = ring_find_space(r);
		if (err) {
			*err_out = err == RING_EMPTY ? 0 : err;
			return NULL;
		}
	}
	return r->slots[r->prod_at].data;
}

/* The slot after `at`. Each lap visits every slot once, in steps that no hardware
 * prefetcher foresees: one that does pulls the next slots from under the other
 * side, which costs a quarter of a round trip between two cores. */
static inline uint32_t ring_next(const struct ring *r, uint32_t at)
{
	at += r->step;
	return at < r->n ? at : at - r->n;
}

/* Publishes the reserved slot with a tag of 32 bits. */
static inline void ring_publish(struct ring *r, uint32_t tag)
{
	_Atomic uint64_t *head = &r->slots[r->prod_at].head;

	r->prod++;
	r->prod_at = ring_next(r, r->prod_at);
	/* Position p is published by p + 1. Pairs with the acquire in ring_peek(). */
	atomic_store_explicit(head, (uint64_t)tag << 32 | r->prod,
			      memory_order_release); /* ord:publish */
}

/* The next message: 0 and its tag and data; RING_EMPTY; EPROTO for a sequence
 * number that is neither the expected nor the one of a lap ago. The data is the
 * peer's and may change under the reader: copy it once, check the copy. */
static inline int ring_peek(const struct ring *r, uint32_t *tag_out, const uint8_t **data_out)
{
	const struct ring_slot *slot = &r->their_slots[r->cons_at];
	uint64_t head;

	/* A message of two lines then costs the time of one. */
	__builtin_prefetch((const char *)slot + CACHE_LINE);
	/* Pairs with the release in ring_publish(). */
	head = atomic_load_explicit(&slot->head, memory_order_acquire); /* ord:peek */
	if ((uint32_t)head != r->cons + 1)
		/* What an unpublished slot holds is never cons + 1: a lap ago
		 * differs by n, and positions of the first lap begin at 0. */
		return (uint32_t)head == (r->cons_lapped ? r->cons + 1 - r->n : 0) ?
			       RING_EMPTY : EPROTO;
	*tag_out = (uint32_t)(head >> 32);
	*data_out = slot->data;
	return 0;
}

/* Whether the next slot has nothing new. Garbage in it looks quiet, too: look
 * with ring_peek() now and then. */
static inline bool ring_is_quiet(const struct ring *r)
{
	const struct ring_slot *slot = &r->their_slots[r->cons_at];

	__builtin_prefetch((const char *)slot + CACHE_LINE);
	return (uint32_t)atomic_load_explicit(&slot->head, memory_order_relaxed) != r->cons + 1;
}

/* Publishes how far we have consumed; true if there was anything to publish. */
static inline bool ring_release(struct ring *r)
{
	if (r->cons_published == r->cons)
		return false;
	r->cons_published = r->cons;
	/* Our reads of the slots come before. Pairs with the acquire in
	 * ring_find_space(). */
	atomic_store_explicit(&r->control->cons, r->cons, memory_order_release); /* ord:release */
	return true;
}

/* Done with the message peeked at. Its slot goes back to the producer with the
 * next release, which happens by itself every quarter of the ring (true then):
 * so a producer with a full ring always has a release still to come. */
static inline bool ring_advance(struct ring *r)
{
	r->cons++;
	r->cons_at = ring_next(r, r->cons_at);
	if (unlikely(!r->cons_at))
		r->cons_lapped = true;
	if (likely(r->cons - r->cons_published < r->n / 4))
		return false;
	return ring_release(r);
}

/*
 * Sleeping, with no wake-up lost. The sleeper says what for, then looks again:
 * false means that it must not sleep (and has been taken back). The other side
 * asks after what it published or released whether it has to ring the bell.
 */
bool ring_sleep(struct ring *r, uint32_t flags);
void ring_awake(struct ring *r);

/* flag: RING_SLEEPS_FOR_DATA after publishing, RING_SLEEPS_FOR_SPACE after a
 * release, or both. One full ordering for any number of messages before it; true
 * until the sleeper has called ring_awake(). */
static inline bool ring_must_wake(const struct ring *r, uint32_t flag)
{
	/*
	 * What we wrote must be visible before their flags are read: a store
	 * then a load, which only sequential consistency keeps in order. Ours
	 * is of this store and load and of the store and load in ring_sleep().
	 */
	atomic_store_explicit(&r->control->order, r->prod,
			      memory_order_seq_cst); /* ord:wake_order */
	return atomic_load_explicit(&r->their_control->flags,
				    memory_order_seq_cst) & flag; /* ord:wake_flags */
}

#endif /* CATMEM_RING_H */

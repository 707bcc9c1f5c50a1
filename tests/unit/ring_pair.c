#include "config.h"

#include "tests/unit/ring_pair.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FILL_WORDS (RING_SLOT_DATA / sizeof(uint64_t))

static _Noreturn void fail(const char *what, uint64_t i)
{
	fprintf(stderr, "ring: %s at %llu\n", what, (unsigned long long)i);
	abort();
}

/* As if `position` messages had been sent and received, the next one into the
 * slot that comes first. The tags that are left mean nothing any more. */
static void move_to(struct ring *r, uint32_t position)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < r->n; i++) {
		atomic_init(&r->slots[at].head,
			    UINT64_C(0xdead0000) << 32 | (uint32_t)(position + i + 1 - r->n));
		at = ring_next(r, at);
	}
	atomic_init(&r->control->cons, position);
	r->prod = position;
	r->prod_limit = position + r->n;
	r->cons = position;
	r->cons_published = position;
	r->cons_lapped = true;
}

void ring_pair_init(struct ring_pair *pair, uint32_t n, uint32_t position)
{
	pair->half_size = (n + 1) * (size_t)RING_SLOT_SIZE;
	for (int i = 0; i < 2; i++) {
		pair->half[i] = aligned_alloc(CACHE_LINE, pair->half_size);
		if (!pair->half[i])
			fail("no memory", pair->half_size);
		memset(pair->half[i], 0, pair->half_size);
	}
	ring_init(&pair->a, pair->half[0], pair->half[1], (uint32_t)pair->half_size);
	ring_init(&pair->b, pair->half[1], pair->half[0], (uint32_t)pair->half_size);
	if (position) {
		move_to(&pair->a, position);
		move_to(&pair->b, position);
	}
}

void ring_pair_fini(struct ring_pair *pair)
{
	free(pair->half[0]);
	free(pair->half[1]);
}

uint32_t ring_pair_tag(uint32_t i)
{
	return i * 2654435761u;
}

static uint64_t word_of(uint32_t i, size_t at)
{
	return ((uint64_t)i + 1) * UINT64_C(0x9e3779b97f4a7c15) + at;
}

void ring_pair_fill(uint8_t *data, uint32_t i)
{
	uint64_t word;

	for (size_t at = 0; at < FILL_WORDS; at++) {
		word = word_of(i, at);
		memcpy(data + at * sizeof(word), &word, sizeof(word));
	}
}

bool ring_pair_matches(const uint8_t *data, uint32_t i)
{
	uint64_t word;

	for (size_t at = 0; at < FILL_WORDS; at++) {
		memcpy(&word, data + at * sizeof(word), sizeof(word));
		if (word != word_of(i, at))
			return false;
	}
	return true;
}

/* One of the two threads. */
struct side {
	struct ring *ring;
	uint32_t messages;
	bool sleeping;
	int bell;		/* rung for this side */
	int their_bell;
	uint32_t n_stuck;	/* times that it could not go on since it slept */
	uint32_t n_sleeps;
};

static void ring_bell(int fd)
{
	if (eventfd_write(fd, 1))
		fail("the bell cannot be rung", (uint64_t)fd);
}

/* Sleeps at the second attempt, so that both ways on are taken often. */
static void cannot_go_on(struct side *s, uint32_t flag)
{
	eventfd_t rings;

	if (!s->sleeping || ++s->n_stuck < 2) {
		sched_yield();
		return;
	}
	s->n_stuck = 0;
	if (!ring_sleep(s->ring, flag))
		return;
	if (eventfd_read(s->bell, &rings))
		fail("the bell cannot be heard", (uint64_t)s->bell);
	s->n_sleeps++;
	ring_awake(s->ring);
}

static void send_one(struct side *s, uint32_t i)
{
	uint8_t *data;
	int err = 0;

	while (!(data = ring_reserve(s->ring, &err))) {
		if (err)
			fail("garbage position", i);
		cannot_go_on(s, RING_SLEEPS_FOR_SPACE);
	}
	ring_pair_fill(data, i);
	ring_publish(s->ring, ring_pair_tag(i));
	if (s->sleeping && ring_must_wake(s->ring, RING_SLEEPS_FOR_DATA))
		ring_bell(s->their_bell);
}

static void receive_one(struct side *s, uint32_t i)
{
	const uint8_t *data;
	uint32_t tag;
	int err;

	while ((err = ring_peek(s->ring, &tag, &data)) == RING_EMPTY)
		cannot_go_on(s, RING_SLEEPS_FOR_DATA);
	if (err)
		fail("garbage sequence number", i);
	if (tag != ring_pair_tag(i) || !ring_pair_matches(data, i))
		fail("wrong message", i);
	if (ring_advance(s->ring) && s->sleeping &&
	    ring_must_wake(s->ring, RING_SLEEPS_FOR_SPACE))
		ring_bell(s->their_bell);
}

static void *sender(void *arg)
{
	struct side *s = arg;

	for (uint32_t i = 0; i < s->messages; i++)
		send_one(s, i);
	return NULL;
}

static void *receiver(void *arg)
{
	struct side *s = arg;

	for (uint32_t i = 0; i < s->messages; i++)
		receive_one(s, i);
	return NULL;
}

uint32_t ring_pair_exchange(uint32_t n, uint32_t messages, bool sleeping)
{
	struct ring_pair pair;
	struct side a = { .ring = &pair.a, .messages = messages, .sleeping = sleeping };
	struct side b = { .ring = &pair.b, .messages = messages, .sleeping = sleeping };
	pthread_t thread[2];

	ring_pair_init(&pair, n, 0 - messages / 2);
	a.bell = b.their_bell = eventfd(0, EFD_CLOEXEC);
	b.bell = a.their_bell = eventfd(0, EFD_CLOEXEC);
	if (a.bell < 0 || b.bell < 0)
		fail("no eventfd", 0);
	if (pthread_create(&thread[0], NULL, sender, &a) ||
	    pthread_create(&thread[1], NULL, receiver, &b))
		fail("no thread", 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	close(a.bell);
	close(b.bell);
	ring_pair_fini(&pair);
	return a.n_sleeps + b.n_sleeps;
}

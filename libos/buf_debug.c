#include "config.h"

#include "libos/buf_debug.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "libos/libos.h"
#include "libos/log.h"

/* What is known of one buffer; chained by its address. */
struct note {
	struct note *next;
	const struct libos_buf *buf;
	const uint8_t *addr;	/* the frozen range */
	uint32_t len;
	uint64_t sum;
	int qd;			/* where it was popped or first pushed; -1 */
	bool popped;
	bool frozen;
};

#define N_BUCKETS 4096u

struct libos_buf_debug {
	struct note *buckets[N_BUCKETS];
	const void *freed[64];	/* the last ones, to tell a double free */
	uint32_t at;
};

int libos_buf_debug_init(struct libos *os)
{
	os->debug = calloc(1, sizeof(*os->debug));
	if (!os->debug)
		return ENOMEM;
	os->debug_buffers = true;
	atomic_fetch_or(&os->attention, LIBOS_DEBUG);
	return 0;
}

static struct note **slot_of(struct libos *os, const struct libos_buf *buf)
{
	struct note **slot = &os->debug->buckets[((uintptr_t)buf >> 5) % N_BUCKETS];

	while (*slot && (*slot)->buf != buf)
		slot = &(*slot)->next;
	return slot;
}

static struct note *note_get(struct libos *os, struct libos_buf *buf)
{
	struct note **slot = slot_of(os, buf);

	buf->flags |= LIBOS_BUF_WATCHED;
	if (*slot)
		return *slot;
	*slot = calloc(1, sizeof(**slot));
	if (*slot) {
		(*slot)->buf = buf;
		(*slot)->qd = -1;
	}
	return *slot;
}

/* FNV-1a over eight bytes at a time where it can. */
static uint64_t sum_of(const uint8_t *p, uint32_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325), w;

	for (; len >= 8; p += 8, len -= 8) {
		__builtin_memcpy(&w, p, 8);
		h = (h ^ w) * UINT64_C(0x100000001b3);
		h ^= h >> 29;
	}
	for (; len; p++, len--)
		h = (h ^ *p) * UINT64_C(0x100000001b3);
	return h;
}

static void check(struct note *n, const char *call)
{
	if (!n->frozen || sum_of(n->addr, n->len) == n->sum)
		return;
	log_error("buffers: %u bytes at %p were written after demi_%s on queue %d froze them; "
		  "found by %s", n->len, (const void *)n->addr, n->popped ? "pop" : "push",
		  n->qd, call);
	n->sum = sum_of(n->addr, n->len); /* each write is told once */
}

static void freeze(struct note *n, int qd, const uint8_t *addr, uint32_t len)
{
	n->frozen = true;
	n->qd = qd;
	n->addr = addr;
	n->len = len;
	n->sum = sum_of(addr, len);
}

void libos_buf_debug_alloced(struct libos *os, struct libos_buf *buf)
{
	struct note *n = note_get(os, buf);

	if (n)
		n->frozen = n->popped = false;
}

/* Of a buffer that several pops share, the range of the last one is watched. */
void libos_buf_debug_popped(struct libos *os, int qd, struct libos_buf *buf,
			    const void *addr, uint32_t len)
{
	struct note *n = note_get(os, buf);

	if (!n)
		return;
	check(n, "demi_pop");
	n->popped = true;
	freeze(n, qd, addr, len);
}

void libos_buf_debug_pushed(struct libos *os, int qd, struct libos_buf *buf)
{
	struct note *n = note_get(os, buf);

	if (!n)
		return;
	check(n, "demi_push");
	if (os->push_released && buf->refs <= buf->app && !n->popped)
		return; /* done with already: it may be written again */
	if (!n->frozen)
		freeze(n, qd, buf->base, buf->len);
}

void libos_buf_debug_freed(struct libos *os, struct libos_buf *buf)
{
	struct note **slot = slot_of(os, buf);

	if (*slot)
		check(*slot, "demi_sgafree");
	if (buf->app == 1)
		os->debug->freed[os->debug->at++ % 64] = buf->base;
}

void libos_buf_debug_released(struct libos *os, struct libos_buf *buf)
{
	struct note **slot = slot_of(os, buf), *n = *slot;

	if (!n)
		return;
	check(n, "its release");
	if (os->push_released && !n->popped)
		n->frozen = false; /* it may be written again */
	if (buf->refs)
		return;
	*slot = n->next;
	free(n);
}

void libos_buf_debug_bad_free(struct libos *os, const void *sga_buf)
{
	for (uint32_t i = 0; i < 64; i++) {
		if (os->debug->freed[i] != sga_buf)
			continue;
		log_error("buffers: demi_sgafree of %p, which was freed already", sga_buf);
		return;
	}
	log_error("buffers: demi_sgafree of %p, which is no buffer of this instance", sga_buf);
}

/* A pop of several segments is named by each of them. */
static void leak(const struct note *n)
{
	if (n->buf->flags & LIBOS_BUF_CHAIN)
		return;
	if (n->buf->refs && n->popped)
		log_error("buffers: %u bytes at %p from demi_pop on queue %d were never freed",
			  n->len, (const void *)n->addr, n->qd);
	else if (n->buf->refs)
		log_error("buffers: %u bytes at %p from demi_sgaalloc were never freed",
			  n->buf->len, (const void *)n->buf->base);
}

void libos_buf_debug_leaks(struct libos *os)
{
	for (uint32_t i = 0; os->debug && i < N_BUCKETS; i++) {
		for (struct note *n = os->debug->buckets[i]; n; n = n->next) {
			if (!n->buf->app)
				continue;
			check(n, "demi_fini");
			leak(n);
		}
	}
}

void libos_buf_debug_fini(struct libos *os)
{
	if (!os->debug)
		return;
	os->debug_buffers = false;
	for (uint32_t i = 0; i < N_BUCKETS; i++) {
		while (os->debug->buckets[i]) {
			struct note *n = os->debug->buckets[i];

			os->debug->buckets[i] = n->next;
			free(n);
		}
	}
	free(os->debug);
	os->debug = NULL;
}

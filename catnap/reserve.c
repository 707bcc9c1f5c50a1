/*
 * The reserve: receive buffers for when the pool is at its limit, because a
 * program hoards what it popped. They have a pool of their own, so that nothing
 * else takes them, and no queue may have more of them than a share of those that
 * are left: whatever the others hoard, a queue that holds none gets one.
 */
#include "config.h"

#include "catnap/catnap.h"

#include <stdlib.h>

#include "libos/libos.h"

#define BUF_SIZE CATNAP_RESERVE_BUF
#define N_BUFS ((uint32_t)(LIBOS_UNIT_SIZE / BUF_SIZE))
#define SHARE 16u		/* of what is left, a queue may hold one in so many */
#define LEAST_LIMIT (4 * LIBOS_UNIT_SIZE) /* of a pool that can spare this much */

void catnap_reserve_open(struct catnap_ctx *cc)
{
	struct catnap_reserve *r = &cc->reserve;
	struct libos *os = cc->base.os;
	struct libos_buf *first = NULL;

	if (r->tried)
		return;
	r->tried = true;
	libos_pool_init(&r->pool, os, NULL, NULL);
	r->owners = calloc(N_BUFS, sizeof(*r->owners));
	if (r->owners && os->pool_limit >= LEAST_LIMIT)
		first = libos_buf_alloc(&r->pool, BUF_SIZE);
	if (first) {
		r->area = first->area;
		libos_buf_put(first);
	}
	if (cc->uring)
		catnap_uring_fill(cc);
}

void catnap_reserve_close(struct catnap_ctx *cc)
{
	libos_pool_fini(&cc->reserve.pool);
	free(cc->reserve.owners);
}

/* A queue's name stays with a buffer until the next one has it: what came back
 * has no references. */
static uint32_t held_by(const struct catnap_reserve *r, const struct catnap_sock *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->area->n_carved; i++)
		n += r->owners[i] == s && r->area->bufs[i].refs;
	return n;
}

struct libos_buf *catnap_reserve_get(struct catnap_sock *s)
{
	struct catnap_reserve *r = &catnap_ctx(s)->reserve;
	struct libos_buf *buf;
	uint32_t left, held;

	if (!r->area)
		return NULL;
	left = N_BUFS - r->area->n_used;
	held = left ? held_by(r, s) : 0;
	if (!left || (held && held >= left / SHARE))
		return NULL;
	buf = libos_buf_alloc(&r->pool, BUF_SIZE);
	if (buf)
		r->owners[buf - r->area->bufs] = s;
	return buf;
}

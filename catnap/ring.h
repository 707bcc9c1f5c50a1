/*
 * What the files of catnap's io_uring share.
 */
#ifndef CATNAP_RING_H
#define CATNAP_RING_H

#include <liburing.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "catnap/catnap.h"
#include "libos/libos.h"

#define CATNAP_BUF_GROUP 0

/* What a completion belongs to: a pointer, and this in its low bits. */
enum catnap_tag {
	CATNAP_TAG_RECV = 0,	/* struct catnap_sock */
	CATNAP_TAG_SEND = 1,	/* struct catnap_zc */
	CATNAP_TAG_NONE = 2,
	CATNAP_TAG_MASK = 3,
};

/* A zero-copy send whose bytes the kernel may still read. */
struct catnap_zc {
	struct list link;
	struct catnap_sock *s;	/* NULL: gone */
	bool have;		/* res is there */
	bool notified;
	bool returned;		/* its sender has read res */
	int32_t res;
	uint32_t n;
	struct libos_buf *bufs[CATNAP_IOV];
};

struct catnap_uring {
	struct io_uring ring;
	struct catnap_ctx *cc;
	bool draining;
	int efd;		/* rung only while we sleep */
	struct libos_watch watch;
	/* The provided buffers: bufs[bid] is the kernel's, or NULL and bid in
	 * free_bids. */
	struct io_uring_buf_ring *br;
	size_t br_size;
	uint32_t n_bufs;
	uint32_t n_free;
	uint32_t buf_size;
	bool spent;		/* the pool had nothing left in this pass */
	uint16_t *free_bids;
	struct libos_buf **bufs;
	struct list zc_busy;
	struct list zc_free;
};

/* Only the thread that made the ring may enter it: not exit(), when it has taken
 * the instance over. */
static inline bool catnap_ring_usable(const struct catnap_ctx *cc)
{
	return !(atomic_load_explicit(&cc->base.os->attention, memory_order_relaxed) &
		 LIBOS_SEIZED);
}

/* The oldest completion, taken out; false: none. */
static inline bool catnap_cqe_next(struct catnap_uring *u, struct io_uring_cqe *cqe_out)
{
	struct io_uring_cq *cq = &u->ring.cq;
	unsigned head = *cq->khead;

	if (head == io_uring_smp_load_acquire(cq->ktail))
		return false;
	*cqe_out = cq->cqes[head & cq->ring_mask];
	io_uring_smp_store_release(cq->khead, head + 1);
	return true;
}

/* ring.c */
void catnap_ring_enter(struct catnap_uring *u);
/* NULL: none is left even after entering. */
struct io_uring_sqe *catnap_ring_sqe(struct catnap_uring *u);
/* Handles what has completed; true if anything had. */
bool catnap_ring_drain(struct catnap_uring *u);
/* A multishot receive that ends behind the buffer that meets the budget. */
void catnap_recv_prep(struct io_uring_sqe *sqe, int fd, uint32_t budget, uint64_t data);
void catnap_bell_ready(struct libos_watch *w, uint32_t events);

/* ring_send.c */
void catnap_zc_done(struct catnap_uring *u, struct catnap_zc *z, int32_t res, uint32_t flags);
/* Lets go of its buffers. */
void catnap_zc_put(struct catnap_uring *u, struct catnap_zc *z);

#endif /* CATNAP_RING_H */

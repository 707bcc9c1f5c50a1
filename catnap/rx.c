#include "config.h"

#include "catnap/catnap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "libos/libos.h"

#define SMALL_READS 16u	/* in a row, before a queue reads into less */
#define SHORT_PIECE 2048u	/* cheap to copy out of a buffer of the ring */

static struct libos_op *first_waiting(struct catnap_sock *s)
{
	return list_first(&s->q.waiting, struct libos_op, link);
}

/* Two pops of one queue in a row: its socket is worth looking at first. */
static inline void note_pop(struct catnap_ctx *cc, struct catnap_sock *s)
{
	cc->hot = cc->last == s ? s : NULL;
	cc->last = s;
}

/* Every pop of a stream that has ended ends the same way. */
static void deliver_end(struct catnap_sock *s)
{
	while (!list_empty(&s->q.waiting)) {
		if (s->rx_err)
			libos_op_fail(first_waiting(s), s->rx_err);
		else
			libos_op_popped(first_waiting(s), NULL, NULL, 0, NULL);
	}
}

/* ---- out of the socket, into the pop that waits */

/* Follows what the connection brings: full buffers make for larger ones. */
static void resize(struct catnap_sock *s, size_t n, size_t size)
{
	uint8_t max = catnap_ctx(s)->rx_max_shift;

	if (n == size) {
		s->rx_shift = s->rx_shift + 2 < max ? s->rx_shift + 2 : max;
		s->rx_small = 0;
	} else if (n > size / 4) {
		s->rx_small = 0;
	} else if (++s->rx_small >= SMALL_READS && s->rx_shift > CATNAP_RX_MIN_SHIFT) {
		s->rx_shift--;
		s->rx_small = 0;
	}
}

/* No memory: the pop waits for some, and the peer in front of a full window. */
static void starve(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);

	cc->count[CATNAP_C_RECV_NO_BUFFER]++;
	if (list_empty(&s->link))
		list_add_tail(&cc->starved, &s->link);
}

static bool recv_stop(struct catnap_sock *s, ssize_t n, int err)
{
	if (n < 0 && err == EINTR)
		return true;
	if (n < 0 && (err == EAGAIN || err == EWOULDBLOCK)) {
		catnap_ctx(s)->count[CATNAP_C_RECV_EMPTY]++;
		s->readable = false;
		return false;
	}
	catnap_rx_finish(s, n < 0 ? err : 0);
	return true;
}

/* False when there is nothing more to do now. */
static bool recv_one(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	size_t size = (size_t)1 << s->rx_shift;
	struct libos_buf *buf = libos_buf_alloc(&cc->base.os->pool, size);
	ssize_t n;

	if (unlikely(!buf)) {
		buf = catnap_reserve_get(s);
		size = CATNAP_RESERVE_BUF;
	}
	if (unlikely(!buf)) {
		starve(s);
		return false;
	}
	n = recv(s->fd, buf->base, size, 0);
	cc->count[CATNAP_C_RECV_CALLS]++;
	if (n <= 0) {
		int err = errno;

		libos_buf_put(buf);
		return recv_stop(s, n, err);
	}
	cc->count[CATNAP_C_RECV_BYTES] += (uint64_t)n;
	if (likely(!cc->uring))
		note_pop(cc, s);
	libos_op_popped(first_waiting(s), buf, buf->base, (uint32_t)n, NULL);
	/* A short read of a stream has drained it; what comes later is an edge. */
	s->readable = (size_t)n == size || s->rx_end;
	resize(s, (size_t)n, size);
	return s->readable;
}

/* ---- out of what io_uring has received ahead */

/* A short piece goes into a smaller buffer, with room for `room` bytes if those are
 * more, and the ring has its own back: who keeps it pins little. NULL: it stays
 * where it is. */
static struct libos_buf *fit(struct catnap_sock *s, struct libos_buf *buf, uint32_t n,
			     uint32_t room)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct libos_buf *own;
	unsigned shift;

	shift = catnap_fit_shift(room > n ? room : n);
	if (n > SHORT_PIECE || 4u << shift > buf->len)
		return NULL;
	own = libos_buf_alloc(&cc->base.os->pool, (size_t)1 << shift);
	if (unlikely(!own))
		return NULL;
	memcpy(own->base, buf->base, n);
	cc->count[CATNAP_C_GATHERED_BYTES] += n;
	catnap_uring_give(cc, buf);
	return own;
}

/* Straight into a pop that waits. */
static bool pop_direct(struct catnap_sock *s, struct libos_buf *buf, uint32_t n)
{
	struct libos_buf *own;

	if (list_empty(&s->q.waiting) || !list_empty(&s->rx))
		return false;
	own = fit(s, buf, n, 0);
	if (!own && !catnap_uring_may_lend(catnap_ctx(s)))
		return false;
	buf = own ? own : buf;
	libos_op_popped(first_waiting(s), buf, buf->base, n, NULL);
	return true;
}

/* The gathered copy: a short piece goes behind the last one when it fits, so
 * that the queue pins little beside what it holds. */
static bool gather(struct catnap_sock *s, const struct libos_buf *buf, uint32_t n)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct catnap_slice *last;

	if (list_empty(&s->rx))
		return false;
	last = container_of(s->rx.prev, struct catnap_slice, link);
	if (last->addr + last->len + n > last->buf->base + last->buf->len)
		return false;
	memcpy(last->addr + last->len, buf->base, n);
	last->len += n;
	cc->count[CATNAP_C_GATHERED_BYTES] += n;
	return true;
}

static bool keep(struct catnap_sock *s, struct libos_buf *buf, uint32_t n)
{
	struct catnap_slice *sl = malloc(sizeof(*sl));
	struct libos_buf *own;

	if (!sl)
		return false;
	own = fit(s, buf, n, s->ahead); /* with room for the next ones */
	sl->buf = own ? own : buf;
	sl->addr = sl->buf->base;
	sl->len = n;
	list_add_tail(&s->rx, &sl->link);
	return true;
}

void catnap_rx_ahead(struct catnap_sock *s, struct libos_buf *buf, uint32_t n)
{
	struct catnap_ctx *cc = catnap_ctx(s);

	if (s->zombie || s->rd_shut) {
		catnap_uring_give(cc, buf);
		return;
	}
	if (pop_direct(s, buf, n))
		return;
	if (gather(s, buf, n)) {
		catnap_uring_give(cc, buf);
	} else if (!keep(s, buf, n)) {
		catnap_uring_give(cc, buf);
		catnap_rx_finish(s, ENOMEM); /* bytes are lost: no more may follow */
		return;
	}
	s->ahead += n;
	cc->count[CATNAP_C_READ_AHEAD] += n;
	catnap_rx_serve(s);
}

static void taken(struct catnap_sock *s, uint32_t n)
{
	s->ahead -= n;
	catnap_ctx(s)->count[CATNAP_C_READ_AHEAD] -= n;
}

/* At the pool's limit: by a counted copy, and the ring has its buffer back. */
static bool pop_copy(struct catnap_sock *s, struct libos_op *op, struct catnap_slice *sl)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	uint32_t n = sl->len < CATNAP_RESERVE_BUF ? sl->len : CATNAP_RESERVE_BUF;
	struct libos_buf *buf = catnap_reserve_get(s);

	if (!buf) {
		starve(s);
		return false;
	}
	memcpy(buf->base, sl->addr, n);
	cc->count[CATNAP_C_RESERVE_BYTES] += n;
	sl->addr += n;
	sl->len -= n;
	taken(s, n);
	if (!sl->len) {
		catnap_uring_give(cc, sl->buf);
		list_del(&sl->link);
		free(sl);
	}
	libos_op_popped(op, buf, buf->base, n, NULL);
	return true;
}

/* False: the pop has to wait for memory. */
static bool pop_ahead(struct catnap_sock *s, struct libos_op *op)
{
	struct catnap_slice *sl = list_first(&s->rx, struct catnap_slice, link);
	struct catnap_ctx *cc = catnap_ctx(s);

	if (sl->buf->len == cc->ring_buf_size && unlikely(!catnap_uring_may_lend(cc)))
		return pop_copy(s, op, sl);
	taken(s, sl->len);
	libos_op_popped(op, sl->buf, sl->addr, sl->len, NULL);
	list_del(&sl->link);
	free(sl);
	return true;
}

void catnap_rx_serve(struct catnap_sock *s)
{
	while (!list_empty(&s->q.waiting) && !list_empty(&s->rx))
		if (!pop_ahead(s, first_waiting(s)))
			return;
	if (s->eof && list_empty(&s->rx))
		deliver_end(s);
}

void catnap_rx_drop(struct catnap_sock *s)
{
	while (!list_empty(&s->rx)) {
		struct catnap_slice *sl = list_first(&s->rx, struct catnap_slice, link);

		libos_buf_put(sl->buf);
		list_del(&sl->link);
		free(sl);
	}
	catnap_dgram_drop(s);
	catnap_ctx(s)->count[CATNAP_C_READ_AHEAD] -= s->ahead;
	s->ahead = 0;
}

/* A pop lets the ring read on, once half of what it may is gone. */
static void ring_pop(struct catnap_sock *s, struct libos_op *op)
{
	list_add_tail(&s->q.waiting, &op->link);
	catnap_rx_serve(s);
	if (!s->eof)
		catnap_uring_arm(s);
}

/* ---- for both */

void catnap_rx_finish(struct catnap_sock *s, int err)
{
	if (!s->eof && err)
		catnap_sock_fail(s, err);
	s->eof = true;
	if (list_empty(&s->rx))
		deliver_end(s);
}

bool catnap_rx(struct catnap_sock *s)
{
	uint64_t before = s->q.ctx->os->ops.done_seq;

	while (!list_empty(&s->q.waiting) && !s->eof && recv_one(s))
		;
	if (s->eof)
		deliver_end(s);
	return s->q.ctx->os->ops.done_seq != before;
}

void catnap_rx_dry(struct catnap_sock *s)
{
	if (!(s->events & EPOLLIN)) {
		s->readable = true; /* of what has come there is no edge */
		catnap_sock_watch(s, EPOLLIN | EPOLLRDHUP | EPOLLPRI);
	}
	if (s->readable && list_empty(&s->rx))
		catnap_rx(s);
}

void catnap_rx_ready(struct catnap_sock *s, uint32_t events)
{
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	if (unlikely(s->rd_shut)) {
		catnap_discard(s);
		return;
	}
	s->readable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
		s->rx_end = true;
	if (list_empty(&s->q.waiting))
		return;
	if (likely(!catnap_ctx(s)->uring))
		catnap_rx(s);
	else if (!s->eof)
		catnap_uring_arm(s);
}

int catnap_pop(struct libos_queue *q, struct libos_op *op)
{
	struct catnap_sock *s = catnap_sock(q);

	if (q->type == LIBOS_STREAM && catnap_ctx(s)->uring) {
		ring_pop(s, op);
		return 0;
	}
	list_add_tail(&q->waiting, &op->link);
	if (!s->readable && !s->eof && !s->batch)
		return 0;
	if (q->type == LIBOS_DGRAM)
		catnap_dgram_pop(s);
	else
		catnap_rx(s);
	return 0;
}

/*
 * io_uring: streams are received by one multishot request each, into buffers
 * that the kernel takes from a ring shared by all of them, and large pushes may
 * be sent without a copy. Everything else stays with epoll.
 */
#include "config.h"

#include "catnap/ring.h"

#include <errno.h>
#include <unistd.h>

#include "base/compiler.h"

void catnap_ring_enter(struct catnap_uring *u)
{
	u->cc->count[CATNAP_C_RING_ENTERS]++;
	io_uring_submit_and_get_events(&u->ring);
}

struct io_uring_sqe *catnap_ring_sqe(struct catnap_uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (likely(sqe))
		return sqe;
	catnap_ring_enter(u);
	return io_uring_get_sqe(&u->ring);
}

/* ---- provided buffers */

/* Gives the kernel new ones for those that hold data now. Needs no entering.
 * Those that lie ready there are in use by nobody yet. */
static void refill(struct catnap_uring *u)
{
	int mask = io_uring_buf_ring_mask(u->n_bufs);
	int n = 0;

	while (u->n_free > 0 && !u->spent) {
		struct libos_buf *buf = libos_buf_alloc(&u->cc->base.os->pool, u->buf_size);
		uint16_t bid = u->free_bids[u->n_free - 1];

		u->spent = !buf;
		if (!buf)
			break;
		u->n_free--;
		u->bufs[bid] = buf;
		io_uring_buf_ring_add(u->br, buf->base, u->buf_size, bid, mask, n++);
	}
	if (!n)
		return;
	io_uring_buf_ring_advance(u->br, n);
	u->cc->base.os->count[LIBOS_C_BUFS_OUT] -= (uint64_t)n;
}

static struct libos_buf *buf_take(struct catnap_uring *u, uint16_t bid)
{
	struct libos_buf *buf = u->bufs[bid];

	u->bufs[bid] = NULL;
	u->free_bids[u->n_free++] = bid;
	u->cc->base.os->count[LIBOS_C_BUFS_OUT]++;
	return buf;
}

void catnap_uring_fill(struct catnap_ctx *cc)
{
	if (catnap_ring_usable(cc))
		refill(cc->uring);
}

void catnap_uring_retry(struct catnap_ctx *cc)
{
	cc->uring->spent = false;
	catnap_uring_fill(cc);
}

/* At the pool's limit the second half of them is only ever copied from. */
bool catnap_uring_may_lend(struct catnap_ctx *cc)
{
	struct catnap_uring *u = cc->uring;

	if (u->n_free >= u->n_bufs / 2)
		catnap_uring_fill(cc);
	return u->n_free < u->n_bufs / 2;
}

void catnap_uring_give(struct catnap_ctx *cc, struct libos_buf *buf)
{
	struct catnap_uring *u = cc->uring;
	uint16_t bid;

	if (!u->n_free || buf->refs > 1 || buf->len != u->buf_size || !catnap_ring_usable(cc)) {
		libos_buf_put(buf);
		return;
	}
	bid = u->free_bids[--u->n_free];
	u->bufs[bid] = buf;
	io_uring_buf_ring_add(u->br, buf->base, u->buf_size, bid,
			      io_uring_buf_ring_mask(u->n_bufs), 0);
	io_uring_buf_ring_advance(u->br, 1);
	cc->base.os->count[LIBOS_C_BUFS_OUT]--;
}

/* ---- receiving */

void catnap_recv_prep(struct io_uring_sqe *sqe, int fd, uint32_t budget, uint64_t data)
{
	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = CATNAP_BUF_GROUP;
	sqe->file_index = budget; /* optlen: ends by itself after so many bytes */
	io_uring_sqe_set_data64(sqe, data);
}

/* Until there is a request slot or a buffer again. */
static void starve(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);

	if (list_empty(&s->link))
		list_add_tail(&cc->starved, &s->link);
}

static void dry(struct catnap_sock *s)
{
	if (list_empty(&s->q.waiting))
		return; /* its next pop asks again */
	starve(s);
	catnap_rx_dry(s);
}

void catnap_uring_arm(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct catnap_uring *u = cc->uring;
	struct io_uring_sqe *sqe;

	if (s->armed || s->ahead > cc->read_ahead / 2 || !catnap_ring_usable(cc))
		return;
	refill(u);
	sqe = u->n_free < u->n_bufs ? catnap_ring_sqe(u) : NULL;
	if (unlikely(!sqe)) {
		dry(s);
		return;
	}
	if (unlikely(s->events & EPOLLIN))
		catnap_sock_watch_out(s);
	/* The kernel stops behind the buffer that meets the bound. */
	catnap_recv_prep(sqe, s->fd, cc->read_ahead - s->ahead - u->buf_size + 1,
		  (uint64_t)(uintptr_t)s | CATNAP_TAG_RECV);
	s->armed = true;
}

static void recv_result(struct catnap_uring *u, struct catnap_sock *s, int32_t res,
			struct libos_buf *buf)
{
	struct catnap_ctx *cc = u->cc;

	if (res > 0) {
		cc->count[CATNAP_C_RECV_CALLS]++;
		cc->count[CATNAP_C_RECV_BYTES] += (uint64_t)res;
		catnap_rx_ahead(s, buf, (uint32_t)res);
		return;
	}
	if (buf)
		catnap_uring_give(cc, buf);
	if (res == 0)
		catnap_rx_finish(s, s->rx_err);
	else if (res == -ENOBUFS)
		cc->count[CATNAP_C_ENOBUFS]++;
	else if (res != -ECANCELED && res != -EINTR && res != -EAGAIN)
		catnap_rx_finish(s, -res);
}

/* The request has ended; a pop that waits starts the next. */
static void recv_over(struct catnap_uring *u, struct catnap_sock *s, int32_t res)
{
	struct catnap_ctx *cc = u->cc;

	s->armed = false;
	if (s->closing)
		return;
	if (s->zombie) {
		catnap_zombie_step(s);
		return;
	}
	if (s->eof)
		return;
	if (list_empty(&s->q.waiting))
		cc->count[CATNAP_C_AHEAD_STALLS] += res > 0;
	else if (res == -ENOBUFS)
		starve(s);
	else
		catnap_uring_arm(s);
}

static void recv_done(struct catnap_uring *u, struct catnap_sock *s, int32_t res, uint32_t flags)
{
	struct libos_buf *buf = NULL;

	if (flags & IORING_CQE_F_BUFFER)
		buf = buf_take(u, (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT));
	recv_result(u, s, res, buf);
	if (!(flags & IORING_CQE_F_MORE))
		recv_over(u, s, res);
}

/* ---- completions */

bool catnap_ring_drain(struct catnap_uring *u)
{
	struct io_uring_cqe cqe;
	bool moved = false;

	if (u->draining)
		return false;
	u->draining = true;
	while (catnap_cqe_next(u, &cqe)) {
		void *p = (void *)(uintptr_t)(cqe.user_data & ~(uint64_t)CATNAP_TAG_MASK);

		moved = true;
		if ((cqe.user_data & CATNAP_TAG_MASK) == CATNAP_TAG_RECV)
			recv_done(u, p, cqe.res, cqe.flags);
		else if ((cqe.user_data & CATNAP_TAG_MASK) == CATNAP_TAG_SEND)
			catnap_zc_done(u, p, cqe.res, cqe.flags);
	}
	u->draining = false;
	if (u->n_free >= u->n_bufs / 4)
		refill(u);
	return moved;
}

static bool has_work(struct catnap_uring *u)
{
	return IO_URING_READ_ONCE(*u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

bool catnap_uring_poll(struct catnap_ctx *cc)
{
	struct catnap_uring *u = cc->uring;

	if (unlikely(!catnap_ring_usable(cc)))
		return false;
	u->spent = false;
	if (has_work(u) || io_uring_sq_ready(&u->ring))
		catnap_ring_enter(u);
	return catnap_ring_drain(u);
}

/* ---- taking a receive back */

void catnap_uring_disarm(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct catnap_uring *u = cc->uring;
	struct io_uring_sqe *sqe;

	if (!s->armed)
		return;
	if (!catnap_ring_usable(cc)) {
		s->armed = false; /* nobody will read the ring any more */
		return;
	}
	sqe = catnap_ring_sqe(u);
	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)s | CATNAP_TAG_RECV, 0);
	io_uring_sqe_set_data64(sqe, CATNAP_TAG_NONE);
	s->closing = true;
	catnap_ring_enter(u);
	catnap_ring_drain(u);
	s->closing = false;
}

/* ---- sleeping */

/* The eventfd is silent while we spin: a doorbell nobody listens to costs. */
bool catnap_uring_sleep(struct catnap_ctx *cc)
{
	struct catnap_uring *u = cc->uring;

	if (!catnap_ring_usable(cc))
		return true;
	if (catnap_uring_poll(cc) || io_uring_sq_ready(&u->ring))
		return false;
	io_uring_cq_eventfd_toggle(&u->ring, true);
	atomic_thread_fence(memory_order_seq_cst);
	if (!has_work(u) && !io_uring_cq_ready(&u->ring))
		return true;
	io_uring_cq_eventfd_toggle(&u->ring, false);
	return false;
}

void catnap_uring_awake(struct catnap_ctx *cc)
{
	io_uring_cq_eventfd_toggle(&cc->uring->ring, false);
}

void catnap_bell_ready(struct libos_watch *w, uint32_t events)
{
	struct catnap_uring *u = container_of(w, struct catnap_uring, watch);
	uint64_t n;

	(void)events;
	if (read(u->efd, &n, sizeof(n)) < 0)
		return;
	catnap_uring_poll(u->cc);
}

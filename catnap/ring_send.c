/* Large pushes without a copy. */
#include "config.h"

#include "catnap/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Newer than liburing 2.3's headers. */
#define SEND_ZC_REPORT_USAGE (1u << 3)
#define NOTIF_USAGE_ZC_COPIED (1u << 31)

/* Large sends that are copied before one that found no memory is tried again. */
#define ZC_PAUSE 16u

static struct catnap_zc *zc_get(struct catnap_uring *u)
{
	struct catnap_zc *z;

	if (list_empty(&u->zc_free))
		return calloc(1, sizeof(*z));
	z = list_first(&u->zc_free, struct catnap_zc, link);
	list_del(&z->link);
	return z;
}

void catnap_zc_put(struct catnap_uring *u, struct catnap_zc *z)
{
	for (uint32_t i = 0; i < z->n; i++)
		libos_buf_put(z->bufs[i]);
	u->cc->count[CATNAP_C_ZC_PENDING]--;
	list_del(&z->link);
	list_add_tail(&u->zc_free, &z->link);
}

/* The kernel has let go of the bytes, and says whether it copied them: also of a
 * send that failed, and so had none. */
static void zc_notified(struct catnap_uring *u, struct catnap_zc *z, int32_t res)
{
	if ((uint32_t)res & NOTIF_USAGE_ZC_COPIED && z->have && z->res > 0) {
		u->cc->count[CATNAP_C_ZC_COPIED]++;
		if (z->s)
			z->s->zc_off = true; /* no use on this path */
	}
	z->notified = true;
	if (z->returned)
		catnap_zc_put(u, z);
}

void catnap_zc_done(struct catnap_uring *u, struct catnap_zc *z, int32_t res, uint32_t flags)
{
	if (flags & IORING_CQE_F_NOTIF) {
		zc_notified(u, z, res);
		return;
	}
	z->have = true;
	z->res = res;
	if (!(flags & IORING_CQE_F_MORE))
		z->notified = true;
}

/* Takes the send's own completion out of the queue, past those in front of it,
 * which may concern any connection and have their turn in the next pass. */
static void zc_pick(struct catnap_uring *u, struct catnap_zc *z)
{
	struct io_uring_cq *cq = &u->ring.cq;
	unsigned tail = io_uring_smp_load_acquire(cq->ktail);

	for (unsigned at = *cq->khead; at != tail; at++) {
		struct io_uring_cqe *cqe = &cq->cqes[at & cq->ring_mask];

		if (cqe->user_data != ((uint64_t)(uintptr_t)z | CATNAP_TAG_SEND) ||
		    cqe->flags & IORING_CQE_F_NOTIF)
			continue;
		catnap_zc_done(u, z, cqe->res, cqe->flags);
		cqe->user_data = CATNAP_TAG_NONE;
		return;
	}
}

/* Not to be waited for: a full socket is EAGAIN at once, and epoll says when
 * there is room, as for every other send. */
static bool zc_submit(struct catnap_uring *u, struct catnap_zc *z, struct msghdr *msg)
{
	struct io_uring_sqe *sqe = catnap_ring_sqe(u);

	if (!sqe)
		return false;
	io_uring_prep_sendmsg(sqe, z->s->fd, msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	sqe->opcode = IORING_OP_SENDMSG_ZC;
	sqe->ioprio = SEND_ZC_REPORT_USAGE;
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)z | CATNAP_TAG_SEND);
	io_uring_submit(&u->ring);
	zc_pick(u, z);
	while (!z->have) { /* behind an overflow */
		catnap_ring_enter(u);
		catnap_ring_drain(u);
	}
	return true;
}

static struct catnap_zc *zc_new(struct catnap_uring *u, struct catnap_sock *s, uint32_t n,
			 struct libos_buf *const *bufs)
{
	struct catnap_zc *z = zc_get(u);

	if (!z)
		return NULL;
	z->s = s;
	z->have = z->notified = z->returned = false;
	z->n = n;
	for (uint32_t i = 0; i < n; i++) {
		z->bufs[i] = bufs[i];
		libos_buf_get(bufs[i]);
	}
	list_init(&z->link);
	list_add_tail(&u->zc_busy, &z->link);
	u->cc->count[CATNAP_C_ZC_PENDING]++;
	return z;
}

ssize_t catnap_uring_send(struct catnap_sock *s, struct msghdr *msg, struct libos_buf *const *bufs)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct catnap_uring *u = cc->uring;
	struct catnap_zc *z;
	int32_t res;

	errno = ENOTSUP;
	if (s->zc_pause) {
		s->zc_pause--;
		return -1;
	}
	if (!catnap_ring_usable(cc) || u->draining)
		return -1;
	z = zc_new(u, s, (uint32_t)msg->msg_iovlen, bufs);
	if (!z)
		return -1;
	if (!zc_submit(u, z, msg)) {
		catnap_zc_put(u, z);
		errno = ENOTSUP;
		return -1;
	}
	res = z->res;
	z->returned = true;
	if (z->notified)
		catnap_zc_put(u, z);
	if (res >= 0) {
		cc->count[CATNAP_C_ZC_SENDS]++;
		return res;
	}
	errno = -res;
	if (res == -ENOMEM || res == -ENOBUFS) { /* no locked memory left, for now */
		s->zc_pause = ZC_PAUSE;
		errno = ENOTSUP;
	} else if (res == -EOPNOTSUPP || res == -EINVAL) { /* no such path */
		s->zc_off = true;
		errno = ENOTSUP;
	}
	return -1;
}

void catnap_uring_forget(struct catnap_sock *s)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &catnap_ctx(s)->uring->zc_busy) {
		struct catnap_zc *z = container_of(pos, struct catnap_zc, link);

		if (z->s == s)
			z->s = NULL;
	}
}

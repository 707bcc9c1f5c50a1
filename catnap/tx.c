#include "config.h"

#include "catnap/catnap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "libos/libos.h"

/* ---- what is left to send */

int catnap_tx_reserve(struct catnap_ctx *cc)
{
	if (likely(cc->tx_free))
		return 0;
	cc->tx_free = malloc(sizeof(*cc->tx_free));
	if (!cc->tx_free)
		return ENOMEM;
	cc->tx_free->next = NULL;
	return 0;
}

static void tx_free(struct catnap_ctx *cc, struct catnap_tx *tx)
{
	list_del(&tx->link);
	tx->next = cc->tx_free;
	cc->tx_free = tx;
}

/* `sent` bytes of tx are the kernel's; their buffers go. False: some are left. */
static bool tx_advance(struct catnap_tx *tx, size_t *sent)
{
	while (tx->at < tx->io.n) {
		struct libos_seg *seg = &tx->io.seg[tx->at];

		if (*sent < seg->len) {
			seg->addr += *sent;
			seg->len -= (uint32_t)*sent;
			*sent = 0;
			return false;
		}
		*sent -= seg->len;
		libos_buf_put(seg->buf);
		tx->at++;
	}
	return true;
}

static void tx_put(struct catnap_tx *tx)
{
	for (; tx->at < tx->io.n; tx->at++)
		libos_buf_put(tx->io.seg[tx->at].buf);
}

void catnap_tx_keep(struct catnap_sock *s, const struct libos_io *io, size_t sent,
		    const struct sockaddr_in *to)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct catnap_tx *tx = cc->tx_free;

	cc->tx_free = tx->next;
	list_init(&tx->link);
	tx->io = *io;
	tx->at = 0;
	tx->has_to = to != NULL;
	if (to)
		tx->to = *to;
	s->unsent += io->total - sent;
	tx_advance(tx, &sent);
	list_add_tail(&s->tx, &tx->link);
	if (list_empty(&s->tx_link))
		list_add_tail(&cc->sending, &s->tx_link);
}

void catnap_tx_drop(struct catnap_sock *s)
{
	while (!list_empty(&s->tx)) {
		struct catnap_tx *tx = list_first(&s->tx, struct catnap_tx, link);

		tx_put(tx);
		tx_free(catnap_ctx(s), tx);
	}
	s->unsent = 0;
	list_del(&s->tx_link);
	list_del(&s->gather_link);
}

int catnap_tx_queue(struct catnap_sock *s, struct libos_op *op, const struct libos_io *io,
		    const struct sockaddr_in *to)
{
	if (list_empty(&s->q.pushes) && s->unsent < s->tx_limit) {
		catnap_tx_keep(s, io, 0, to);
		libos_op_pushed(op, io);
		return 0;
	}
	if (to) {
		struct catnap_to *t = malloc(sizeof(*t));

		if (!t)
			return ENOMEM;
		t->op = op;
		t->addr = *to;
		list_add_tail(&s->to, &t->link);
	}
	libos_op_push(op)->io = *io;
	list_add_tail(&s->q.pushes, &op->link);
	catnap_ctx(s)->count[CATNAP_C_PUSHES_HELD]++;
	return 0;
}

/* Pushes that waited for room in the window. */
static void tx_promote(struct catnap_sock *s)
{
	while (!list_empty(&s->q.pushes) && s->unsent < s->tx_limit) {
		struct libos_op *op = list_first(&s->q.pushes, struct libos_op, link);
		struct libos_io io = libos_op_push(op)->io;
		struct sockaddr_in to;
		bool has_to;

		if (catnap_tx_reserve(catnap_ctx(s)))
			return; /* not with an empty tx: that has just freed one */
		has_to = catnap_dgram_to(s, op, &to);
		catnap_tx_keep(s, &io, 0, has_to ? &to : NULL);
		libos_op_pushed(op, &io);
	}
}

/* ---- streams */

/* EPIPE means that the peer's end of stream came before its reset: there is
 * nothing wrong with what it sent. */
static void send_failed(struct catnap_sock *s, int err)
{
	struct catnap_ctx *cc = catnap_ctx(s);

	if (err != EPIPE) {
		catnap_sock_fail(s, err);
		if (!cc->uring && !list_empty(&s->q.waiting))
			catnap_rx(s);
		return;
	}
	if (!s->tx_err) {
		cc->count[CATNAP_C_RESETS]++;
		s->tx_err = s->so_error = ECONNRESET;
	}
	catnap_tx_drop(s);
	libos_queue_fail_pushes(&s->q, s->tx_err);
}

static ssize_t send_pieces(struct catnap_sock *s, struct iovec *iov, size_t n,
			   struct libos_buf *const *bufs, size_t total)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t sent = -1;

	errno = ENOTSUP;
	if (cc->uring && total >= cc->zc_threshold && !s->zc_off)
		sent = catnap_uring_send(s, &msg, bufs);
	if (sent < 0 && errno == ENOTSUP) {
		do
			sent = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
		while (sent < 0 && errno == EINTR);
	}
	cc->count[CATNAP_C_SEND_CALLS]++;
	if (sent > 0)
		cc->count[CATNAP_C_SEND_BYTES] += (uint64_t)sent;
	return sent;
}

/* As much as the kernel takes of io; -1 and errno if nothing. */
static ssize_t send_io(struct catnap_sock *s, const struct libos_io *io)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct iovec iov[DEMI_SGARRAY_MAXSIZE];
	struct libos_buf *bufs[DEMI_SGARRAY_MAXSIZE];
	ssize_t sent;

	if (likely(io->n == 1 && (!cc->uring || io->total < cc->zc_threshold))) {
		sent = send(s->fd, io->seg[0].addr, io->total, MSG_NOSIGNAL);
		cc->count[CATNAP_C_SEND_CALLS]++;
		if (likely(sent > 0))
			cc->count[CATNAP_C_SEND_BYTES] += (uint64_t)sent;
		return sent;
	}
	for (uint32_t i = 0; i < io->n; i++) {
		iov[i].iov_base = io->seg[i].addr;
		iov[i].iov_len = io->seg[i].len;
		bufs[i] = io->seg[i].buf;
	}
	return send_pieces(s, iov, io->n, bufs, io->total);
}

/* As much as fits of what has waited. */
static ssize_t send_queued(struct catnap_sock *s)
{
	struct iovec iov[CATNAP_IOV];
	struct libos_buf *bufs[CATNAP_IOV];
	struct list *pos, *tmp;
	size_t n = 0, total = 0;

	list_for_each_safe(pos, tmp, &s->tx) {
		struct catnap_tx *tx = container_of(pos, struct catnap_tx, link);

		for (uint32_t i = tx->at; i < tx->io.n && n < CATNAP_IOV; i++, n++) {
			iov[n].iov_base = tx->io.seg[i].addr;
			iov[n].iov_len = tx->io.seg[i].len;
			bufs[n] = tx->io.seg[i].buf;
			total += tx->io.seg[i].len;
		}
		if (n == CATNAP_IOV)
			break;
	}
	return send_pieces(s, iov, n, bufs, total);
}

/* Streams: 0 when something was sent. */
static int run_stream(struct catnap_sock *s)
{
	ssize_t sent = send_queued(s);
	size_t n = (size_t)sent;

	if (sent < 0)
		return errno;
	s->unsent -= n;
	while (!list_empty(&s->tx)) {
		struct catnap_tx *tx = list_first(&s->tx, struct catnap_tx, link);

		if (!tx_advance(tx, &n))
			break;
		tx_free(catnap_ctx(s), tx);
	}
	return 0;
}

static int run_dgram(struct catnap_sock *s)
{
	uint32_t n;
	int err = catnap_dgram_send_queued(s, &n);

	if (err)
		return err;
	while (n-- > 0) {
		struct catnap_tx *tx = list_first(&s->tx, struct catnap_tx, link);

		s->unsent -= tx->io.total;
		tx_put(tx);
		tx_free(catnap_ctx(s), tx);
	}
	return 0;
}

void catnap_tx_run(struct catnap_sock *s)
{
	int err = 0;

	while (!err && !list_empty(&s->tx)) {
		err = s->q.type == LIBOS_STREAM ? run_stream(s) : run_dgram(s);
		if (!err)
			tx_promote(s);
	}
	if (err == EAGAIN || err == EWOULDBLOCK) {
		catnap_ctx(s)->count[CATNAP_C_SEND_BLOCKED]++;
		return;
	}
	if (err) {
		send_failed(s, err);
		return;
	}
	list_del(&s->tx_link);
	catnap_sent_all(s);
}

/* The kernel had no room for all of it. */
static int push_rest(struct catnap_sock *s, struct libos_op *op, const struct libos_io *io,
		     size_t sent)
{
	int err = catnap_sock_watch(s, EPOLLOUT);

	catnap_ctx(s)->count[CATNAP_C_SEND_BLOCKED]++;
	catnap_tx_keep(s, io, sent, NULL);
	libos_op_pushed(op, io);
	if (err)
		catnap_sock_fail(s, err); /* nobody would say when there is room */
	return 0;
}

static int push_failed(struct catnap_sock *s, struct libos_op *op, const struct libos_io *io,
		       int err)
{
	if (err)
		send_failed(s, err);
	libos_op_fail(op, s->tx_err);
	libos_io_put(io);
	return 0;
}

static int dgram_push(struct catnap_sock *s, struct libos_op *op, const struct libos_io *io,
		      const struct sockaddr_in *to)
{
	int saved = errno, err = catnap_dgram_push(s, op, io, to);

	errno = saved;
	return err;
}

int catnap_push(struct libos_queue *q, struct libos_op *op, const struct libos_io *io,
		const struct sockaddr_in *to)
{
	struct catnap_sock *s = catnap_sock(q);
	ssize_t sent;
	int err = catnap_tx_reserve(catnap_ctx(s));

	if (unlikely(err))
		return err;
	if (unlikely(q->type == LIBOS_DGRAM))
		return dgram_push(s, op, io, to);
	if (unlikely(s->tx_err))
		return push_failed(s, op, io, 0);
	if (unlikely(!list_empty(&s->tx)))
		return catnap_tx_queue(s, op, io, NULL);
	do
		sent = send_io(s, io);
	while (sent < 0 && errno == EINTR);
	if (likely(sent == (ssize_t)io->total)) {
		libos_op_pushed(op, io);
		libos_io_put(io);
		return 0;
	}
	if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		return push_failed(s, op, io, errno);
	return push_rest(s, op, io, sent < 0 ? 0 : (size_t)sent);
}

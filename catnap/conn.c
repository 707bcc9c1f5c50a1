#include "config.h"

#include "catnap/catnap.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "libos/fds.h"
#include "libos/libos.h"

/* A connection is up. With io_uring its receives go through the ring, and epoll
 * is asked only while a send waits for room. */
static int established(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	int err = 0;

	if (cc->uring)
		catnap_sock_unwatch(s);
	else
		err = catnap_sock_watch(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI);
	if (err)
		return err;
	s->q.state = LIBOS_CONNECTED;
	return 0;
}

int catnap_listen(struct libos_queue *q, int backlog)
{
	struct catnap_sock *s = catnap_sock(q);
	static const int on = 1;
	int err;

	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (listen(s->fd, backlog < SOMAXCONN ? backlog : SOMAXCONN) < 0)
		return errno;
	q->state = LIBOS_LISTENING;
	err = catnap_sock_watch(s, EPOLLIN);
	if (err) {
		catnap_connect_undo(s);
		return err;
	}
	return 0;
}

/* What a connection takes over from its listener, beside what the kernel copies. */
static void inherit(struct catnap_sock *s, const struct catnap_sock *l)
{
	s->linger = l->linger;
	s->linger_s = l->linger_s;
	s->reuse = l->reuse;
	s->tx_limit = l->tx_limit;
}

static int accept_fd(struct catnap_sock *l, struct catnap_sock *s)
{
	socklen_t len = sizeof(s->peer);

	do
		s->fd = accept4(l->fd, (struct sockaddr *)&s->peer, &len,
				SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (s->fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
	if (s->fd < 0)
		return errno == EWOULDBLOCK ? EAGAIN : errno;
	libos_fd_own(s->fd);
	return 0;
}

/* One connection off the backlog; memory first, so that for want of it the
 * connection stays where it is. */
static int accept_one(struct catnap_sock *l, struct catnap_sock **s_out)
{
	struct catnap_ctx *cc = catnap_ctx(l);
	struct catnap_sock *s = catnap_sock_alloc(cc, LIBOS_STREAM);
	int err;

	if (!s)
		return ENOMEM;
	err = accept_fd(l, s);
	if (!err) {
		inherit(s, l);
		err = established(s);
	}
	if (!err)
		err = libos_queue_open(cc->base.os, &s->q);
	if (err) {
		catnap_sock_free(s);
		return err;
	}
	*s_out = s;
	return 0;
}

void catnap_listen_ready(struct catnap_sock *l)
{
	struct catnap_ctx *cc = catnap_ctx(l);
	struct catnap_sock *s;
	int err;

	l->readable = true;
	while (!list_empty(&l->q.waiting)) {
		err = accept_one(l, &s);
		if (err == EAGAIN) {
			l->readable = false;
			return;
		}
		if (err) {
			/* All of them: the edge has been seen, nothing would wake
			 * those left behind. l stays readable, so the next accept
			 * looks again. */
			cc->count[CATNAP_C_ACCEPT_NO_FD] += err == EMFILE || err == ENFILE;
			libos_queue_fail_waiting(&l->q, err == ENOBUFS ? ENOMEM : err);
			return;
		}
		libos_op_accepted(list_first(&l->q.waiting, struct libos_op, link), &s->q,
				  &s->peer);
	}
}

int catnap_accept(struct libos_queue *q, struct libos_op *op)
{
	struct catnap_sock *s = catnap_sock(q);

	list_add_tail(&q->waiting, &op->link);
	if (s->readable)
		catnap_listen_ready(s);
	return 0;
}

/* Back to before connect(). The kernel keeps the options, and the address unless
 * it had picked the port. */
void catnap_connect_undo(struct catnap_sock *s)
{
	static const struct sockaddr none = { .sa_family = AF_UNSPEC };

	catnap_sock_unwatch(s);
	connect(s->fd, &none, sizeof(none));
	catnap_sock_rebind(s);
	s->q.state = s->local.sin_family ? LIBOS_BOUND : LIBOS_NEW;
	memset(&s->peer, 0, sizeof(s->peer));
}

void catnap_conn_end(struct catnap_sock *s, struct libos_op *op, int err)
{
	s->q.connect = NULL;
	if (!err)
		err = established(s);
	if (!err) {
		libos_op_done(op);
		return;
	}
	catnap_connect_undo(s);
	libos_op_fail(op, err);
}

/* The second call says how it went. */
void catnap_conn_ready(struct catnap_sock *s)
{
	int err = 0;

	if (connect(s->fd, (struct sockaddr *)&s->peer, sizeof(s->peer)) < 0)
		err = errno;
	if (err == EALREADY || err == EINPROGRESS || err == EINTR)
		return;
	catnap_conn_end(s, s->q.connect, err == EISCONN ? 0 : err);
}

int catnap_connect(struct libos_queue *q, struct libos_op *op, const struct sockaddr_in *addr)
{
	struct catnap_sock *s = catnap_sock(q);
	int err = 0;

	if (q->type == LIBOS_DGRAM)
		return catnap_dgram_connect(s, op, addr);
	if (connect(s->fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		err = errno;
	s->peer = *addr;
	q->state = LIBOS_CONNECTING;
	if (err == EINPROGRESS || err == EINTR) {
		q->connect = op;
		err = catnap_sock_watch(s, EPOLLOUT);
		if (!err)
			return 0;
	}
	catnap_conn_end(s, op, err);
	return 0;
}

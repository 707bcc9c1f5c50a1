#include "config.h"

#include "catnap/catnap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/compiler.h"
#include "libos/fds.h"
#include "libos/libos.h"

/* What an idle connection costs us: this, and no buffer. */
_Static_assert(sizeof(struct catnap_sock) <= 512, "an idle connection stays small");

static void stream_ready(struct catnap_sock *s, uint32_t events)
{
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && !list_empty(&s->tx))
		catnap_tx_run(s);
	if (s->zombie)
		catnap_zombie_step(s);
	else
		catnap_rx_ready(s, events);
}

static void dgram_ready(struct catnap_sock *s, uint32_t events)
{
	if (events & EPOLLOUT && !list_empty(&s->tx))
		catnap_tx_run(s);
	if (s->zombie) {
		catnap_zombie_step(s);
		return;
	}
	s->readable = true;
	catnap_dgram_rx(s);
}

static void sock_ready(struct libos_watch *w, uint32_t events)
{
	struct catnap_sock *s = container_of(w, struct catnap_sock, watch);

	if (s->q.type == LIBOS_DGRAM)
		dgram_ready(s, events);
	else if (likely(s->q.state == LIBOS_CONNECTED))
		stream_ready(s, events);
	else if (s->q.state == LIBOS_LISTENING)
		catnap_listen_ready(s);
	else if (s->q.state == LIBOS_CONNECTING)
		catnap_conn_ready(s);
}

struct catnap_sock *catnap_sock_alloc(struct catnap_ctx *cc, enum libos_queue_type type)
{
	struct catnap_sock *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	libos_queue_init(&s->q, &cc->base, type);
	s->watch.ready = sock_ready;
	s->watch.fd = s->fd = -1;
	s->rx_shift = type == LIBOS_DGRAM ? CATNAP_RX_MIN_SHIFT : CATNAP_RX_START_SHIFT;
	s->rx_ask = s->rx_alone = 1;
	s->tx_limit = cc->send_limit;
	s->linger = cc->linger;
	s->linger_s = cc->linger_s;
	list_init(&s->rx);
	list_init(&s->tx);
	list_init(&s->tx_link);
	list_init(&s->gather_link);
	list_init(&s->doubt_link);
	list_init(&s->to);
	list_init(&s->link);
	return s;
}

void catnap_sock_free(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct sockaddr_in to;

	if (cc->hot == s)
		cc->hot = NULL;
	if (cc->uring)
		catnap_uring_forget(s);
	catnap_sock_unwatch(s);
	catnap_tx_drop(s);
	libos_queue_fail_pushes(&s->q, ECANCELED);
	while (catnap_dgram_to(s, NULL, &to))
		;
	catnap_rx_drop(s);
	list_del(&s->doubt_link);
	list_del(&s->link);
	cc->n_owed -= s->owed;
	libos_fd_close(s->fd);
	free(s);
}

int catnap_socket(struct libos_ctx *ctx, enum libos_queue_type type, struct libos_queue **q_out)
{
	struct catnap_ctx *cc = (struct catnap_ctx *)(void *)ctx;
	struct catnap_sock *s = catnap_sock_alloc(cc, type);
	int kind = type == LIBOS_STREAM ? SOCK_STREAM : SOCK_DGRAM;
	int err;

	if (!s)
		return ENOMEM;
	catnap_reserve_open(cc);
	s->fd = libos_fd_own(socket(AF_INET, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	if (s->fd < 0) {
		err = errno == ENOBUFS ? ENOMEM : errno;
		catnap_sock_free(s);
		return err;
	}
	if (type == LIBOS_STREAM)
		catnap_opt_defaults(s);
	*q_out = &s->q;
	return 0;
}

int catnap_sock_watch(struct catnap_sock *s, uint32_t events)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	uint32_t all = s->events | events;
	int err;

	if (all == s->events)
		return 0;
	if (s->events)
		err = libos_watch_mod(cc->base.os, &s->watch, all | EPOLLET);
	else
		err = libos_watch_add(cc->base.os, &s->watch, s->fd, all | EPOLLET);
	if (err)
		return err;
	if (!s->events && s->q.state != LIBOS_LISTENING)
		cc->n_watched++;
	s->events = all;
	return 0;
}

void catnap_sock_unwatch(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);

	if (!s->events)
		return;
	libos_watch_del(cc->base.os, &s->watch);
	s->events = 0;
	if (s->q.state != LIBOS_LISTENING)
		cc->n_watched--;
}

void catnap_sock_watch_out(struct catnap_sock *s)
{
	if (!(s->events & EPOLLOUT))
		catnap_sock_unwatch(s);
	else if (!libos_watch_mod(s->q.ctx->os, &s->watch, EPOLLOUT | EPOLLET))
		s->events = EPOLLOUT;
}

static int set_reuse(int fd, int on)
{
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ? errno : 0;
}

/*
 * A port is taken while somebody has it, listening or not; one that only has
 * connections of an earlier server on it, most of them in TIME_WAIT, is not. So
 * the kernel is first asked without SO_REUSEADDR, then with, and it is taken off
 * again: with it on, two that are both bound would not be in each other's way.
 * listen() sets it for good, for the connections to inherit it.
 */
static int bind_stream(int fd, const struct sockaddr_in *addr)
{
	int err;

	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
		return 0;
	if (errno != EADDRINUSE || !addr->sin_port)
		return errno;
	set_reuse(fd, 1);
	err = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? errno : 0;
	set_reuse(fd, 0);
	return err;
}

int catnap_bind(struct libos_queue *q, const struct sockaddr_in *addr)
{
	struct catnap_sock *s = catnap_sock(q);
	socklen_t len = sizeof(s->local);
	int err;

	if (q->type == LIBOS_STREAM)
		err = bind_stream(s->fd, addr);
	else
		err = bind(s->fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? errno : 0;
	if (!err && q->type == LIBOS_DGRAM)
		err = catnap_sock_watch(s, EPOLLIN);
	if (err)
		return err;
	getsockname(s->fd, (struct sockaddr *)&s->local, &len);
	q->state = LIBOS_BOUND;
	return 0;
}

void catnap_sock_rebind(struct catnap_sock *s)
{
	if (s->local.sin_family == AF_INET)
		bind_stream(s->fd, &s->local); /* EINVAL: it has it still */
}

int catnap_getsockname(struct libos_queue *q, struct sockaddr_in *addr_out)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	if (q->state == LIBOS_NEW && !q->has_peer)
		return ENOTCONN;
	if (getsockname(catnap_sock(q)->fd, (struct sockaddr *)&addr, &len) < 0)
		return errno;
	*addr_out = addr;
	return 0;
}

int catnap_getpeername(struct libos_queue *q, struct sockaddr_in *addr_out)
{
	if (q->type == LIBOS_DGRAM ? !q->has_peer : q->state != LIBOS_CONNECTED)
		return ENOTCONN;
	*addr_out = catnap_sock(q)->peer;
	return 0;
}

void catnap_sock_fail(struct catnap_sock *s, int err)
{
	if (!s->tx_err) {
		catnap_ctx(s)->count[CATNAP_C_RESETS]++;
		s->tx_err = s->so_error = err;
	}
	if (!s->eof && !s->rx_err)
		s->rx_err = err;
	s->readable = s->rx_end = true;
	catnap_tx_drop(s);
	libos_queue_fail_pushes(&s->q, s->tx_err);
}

#include "config.h"

#include "catnap/catnap.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "libos/libos.h"

#define DISCARD_PIECE (1u << 20)
#define DISCARD_PIECES 16	/* at a time, so that a fast sender cannot hold us up */

/* exit() must not cut it off before the peer has everything. */
static void owe(struct catnap_sock *s)
{
	if (s->owed)
		return;
	s->owed = true;
	catnap_ctx(s)->n_owed++;
}

/*
 * MSG_TRUNC on a stream drops bytes without copying them. Goes on until the
 * socket is empty or has ended. A closed queue whose peer sends without being
 * read is owed: what came after we were gone would reset the connection under
 * our own bytes.
 */
void catnap_discard(struct catnap_sock *s)
{
	ssize_t n = 1;

	for (int i = 0; i < DISCARD_PIECES && n > 0; i++) {
		n = recv(s->fd, NULL, DISCARD_PIECE, MSG_TRUNC | MSG_DONTWAIT);
		if (n > 0 && s->zombie)
			owe(s);
	}
	if (n == 0)
		s->rx_end = s->eof = true;
	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		catnap_sock_fail(s, errno);
}

/* ---- half-close */

void catnap_sent_all(struct catnap_sock *s)
{
	if (!s->fin_due || s->fin_sent || !list_empty(&s->tx) || !list_empty(&s->q.pushes))
		return;
	shutdown(s->fd, SHUT_WR);
	s->fin_sent = true;
}

/* The kernel goes on acknowledging what comes, and it is thrown away. */
static void shut_read(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);

	catnap_rx_drop(s);
	s->rd_shut = true;
	catnap_rx_finish(s, 0);
	if (s->q.type == LIBOS_DGRAM)
		return;
	if (cc->uring) {
		catnap_uring_disarm(s);
		catnap_sock_watch(s, EPOLLIN | EPOLLRDHUP);
	}
	catnap_discard(s);
}

int catnap_shutdown(struct libos_queue *q, int how)
{
	struct catnap_sock *s = catnap_sock(q);

	catnap_dgram_flush(s);
	if (how != SHUT_RD && !q->wr_shut) {
		q->wr_shut = true;
		s->fin_due = q->type == LIBOS_STREAM;
		catnap_sent_all(s);
	}
	if (how != SHUT_WR && !s->rd_shut)
		shut_read(s);
	return 0;
}

/* ---- close */

static void zombie_end(struct catnap_sock *s, int err)
{
	struct libos_op *op = s->close_op;

	s->close_op = NULL;
	if (op && err)
		libos_op_fail(op, err);
	else if (op)
		libos_op_done(op);
	catnap_ctx(s)->count[CATNAP_C_LINGERING]--;
	catnap_sock_free(s);
}

static bool resets(const struct catnap_sock *s)
{
	return s->q.state == LIBOS_CONNECTED && s->linger && !s->linger_s;
}

/* Whether the peer has acknowledged our end of stream, or the cause why it never
 * will. */
static bool fin_acked(struct catnap_sock *s, int *err_out)
{
	struct tcp_info info = { 0 };
	socklen_t len = offsetof(struct tcp_info, tcpi_ca_state);
	socklen_t n = sizeof(*err_out);

	*err_out = 0;
	if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return true;
	if (info.tcpi_state == TCP_CLOSE)
		getsockopt(s->fd, SOL_SOCKET, SO_ERROR, err_out, &n);
	return info.tcpi_state == TCP_FIN_WAIT2 || info.tcpi_state == TCP_TIME_WAIT ||
	       info.tcpi_state == TCP_CLOSE;
}

/* Whether the kernel may have it from here: the descriptor's close sends the end
 * of stream, and nothing can come any more that would turn it into a reset. */
static bool may_let_go(struct catnap_sock *s)
{
	int unacked = 0;

	if (s->close_op || (s->linger && s->linger_s))
		return false;
	if (s->eof)
		return true;
	return ioctl(s->fd, SIOCOUTQ, &unacked) == 0 && unacked <= s->fin_sent; /* it counts as one */
}

/* Everything has been given to the kernel. True when nothing is left to wait for. */
static bool stream_done(struct catnap_sock *s, int *err_out)
{
	*err_out = 0;
	if (!s->eof)
		catnap_discard(s);
	if (s->tx_err) {
		*err_out = s->tx_err;
		return true;
	}
	if (!s->fin_sent && may_let_go(s))
		return true;
	s->fin_due = true;
	catnap_sent_all(s);
	if (fin_acked(s, err_out) || may_let_go(s))
		return true;
	owe(s); /* what the peer sends to a socket of nobody resets what it has not got */
	return false;
}

/*
 * The steps of a closed queue: what was pushed goes out, the end of stream
 * behind it, the peer acknowledges. Meanwhile what arrives is read and dropped,
 * because a close with unread bytes would reset the connection and lose what the
 * peer has not got yet.
 */
void catnap_zombie_step(struct catnap_sock *s)
{
	int err = 0;

	if (s->armed)
		return; /* the ring still has the descriptor */
	if (resets(s)) {
		zombie_end(s, 0);
		return;
	}
	if (s->tx_err) {
		zombie_end(s, s->tx_err);
		return;
	}
	if (!list_empty(&s->tx) || !list_empty(&s->q.pushes)) {
		if (s->q.type == LIBOS_STREAM && !s->eof)
			catnap_discard(s);
		if (s->tx_err)
			zombie_end(s, s->tx_err);
		return;
	}
	if (s->q.type == LIBOS_STREAM && s->q.state == LIBOS_CONNECTED && !stream_done(s, &err)) {
		err = catnap_sock_watch(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
		if (!err)
			return;
	}
	zombie_end(s, err);
}

static void reset(struct catnap_sock *s)
{
	static const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	catnap_tx_drop(s);
	libos_queue_fail_pushes(&s->q, ECONNRESET);
}

static void close_connected(struct catnap_sock *s)
{
	if (resets(s))
		reset(s);
	else if (s->linger || s->ahead)
		owe(s);
	catnap_rx_drop(s);
	if (!s->armed)
		return;
	/* The ring's reference keeps the socket open: the peer learns now. */
	if (!resets(s)) {
		s->fin_due = true;
		catnap_sent_all(s);
	}
	catnap_uring_disarm(s);
}

void catnap_close(struct libos_queue *q, struct libos_op *op)
{
	struct catnap_sock *s = catnap_sock(q);
	struct catnap_ctx *cc = catnap_ctx(s);

	catnap_dgram_flush(s);
	s->close_op = op;
	s->zombie = true;
	if (cc->hot == s)
		cc->hot = NULL;
	cc->count[CATNAP_C_LINGERING]++;
	list_del(&s->link);
	list_add_tail(&cc->zombies, &s->link);
	if (q->type == LIBOS_STREAM && q->state == LIBOS_CONNECTED)
		close_connected(s);
	catnap_zombie_step(s);
}

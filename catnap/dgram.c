#include "config.h"

#include "catnap/catnap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "libos/libos.h"

#define SCRATCH 65536u
#define SHORT 1024u	/* copied faster than received in pieces */
#define ASK_MORE 4u	/* after two that came one by one */
#define MOST_ALONE 64u
#define FEW 32u
#define LONGEST 65507u	/* bytes of an IPv4 datagram */

/* What a router or host said about an earlier datagram, and the kernel hands to
 * whatever call comes next: never the fault of this one. */
static bool is_icmp(int err)
{
	return err == ECONNREFUSED || err == EHOSTUNREACH || err == ENETUNREACH ||
	       err == EHOSTDOWN || err == ENOPROTOOPT || err == EPROTO || err == ENONET;
}

/* ---- receiving */

/* The next buffers are as large as the longest of the last few datagrams. */
static void resize(struct catnap_sock *s, size_t n)
{
	uint8_t shift = (uint8_t)catnap_fit_shift(n);

	if (shift > s->rx_most)
		s->rx_most = shift;
	if (shift > s->rx_shift) {
		s->rx_shift = shift;
	} else if (++s->rx_small >= FEW) {
		s->rx_shift = s->rx_most;
		s->rx_most = s->rx_small = 0;
	}
}

/* One that would leave most of its buffer unused goes into a smaller one: what the
 * program keeps of it pins little. */
static void fit(struct catnap_sock *s, struct catnap_dgram *d, size_t size)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	unsigned shift = catnap_fit_shift(d->len);
	struct libos_buf *buf;

	if (likely(4u << shift > size))
		return;
	buf = libos_buf_alloc(&cc->base.os->pool, (size_t)1 << shift);
	if (!buf)
		return;
	memcpy(buf->base, d->buf->base, d->len);
	cc->count[CATNAP_C_GATHERED_BYTES] += d->len;
	libos_buf_put(d->buf);
	d->buf = buf;
}

/* The i-th datagram is longer than the buffer it was received into: the rest is
 * in the scratch memory. NULL: no memory, it is lost. */
static struct libos_buf *join(struct catnap_sock *s, struct libos_buf *head, uint32_t i,
			      size_t size, size_t n)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct libos_buf *buf;

	buf = libos_buf_alloc(&cc->base.os->pool, (size_t)1 << catnap_fit_shift(n));
	if (unlikely(!buf && n <= 2048)) /* there may be large ones */
		buf = libos_buf_alloc(&cc->base.os->pool, SCRATCH);
	if (unlikely(!buf && n <= CATNAP_RESERVE_BUF))
		buf = catnap_reserve_get(s);
	if (buf) {
		memcpy(buf->base, head->base, size);
		memcpy(buf->base + size, cc->scratch + (size_t)i * SCRATCH, n - size);
		cc->count[CATNAP_C_JOINED_BYTES] += n;
	} else {
		cc->count[CATNAP_C_RECV_NO_BUFFER]++;
	}
	libos_buf_put(head);
	return buf;
}

static struct catnap_batch *batch_get(struct catnap_ctx *cc)
{
	struct catnap_batch *b = cc->batch_free;

	if (likely(b)) {
		cc->batch_free = b->next;
		return b;
	}
	return malloc(sizeof(*b));
}

static void batch_put(struct catnap_ctx *cc, struct catnap_batch *b)
{
	b->next = cc->batch_free;
	cc->batch_free = b;
}

static void batch_put_bufs(struct catnap_batch *b, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end; i++)
		libos_buf_put(b->d[i].buf);
}

/* Buffers for one pop and for what may be read ahead of the next ones; one of
 * the reserve is for the pop alone. Their number, 0 if there is no memory. */
static uint32_t batch_bufs(struct catnap_sock *s, struct catnap_batch *b, size_t *size_out)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	size_t size = (size_t)1 << s->rx_shift;
	uint32_t most = 1 + (cc->read_ahead >> s->rx_shift), n;

	most = most < s->rx_ask ? most : s->rx_ask;
	for (n = 0; n < most; n++) {
		b->d[n].buf = libos_buf_alloc(&cc->base.os->pool, size);
		if (unlikely(!b->d[n].buf))
			break;
	}
	*size_out = size;
	if (likely(n))
		return n;
	*size_out = CATNAP_RESERVE_BUF;
	b->d[0].buf = catnap_reserve_get(s);
	return b->d[0].buf != NULL;
}

/* One, by way of the scratch memory: with its two pieces and its headers,
 * recvmsg() takes a quarter longer than recvfrom(). */
static int short_recv(struct catnap_sock *s, struct catnap_dgram *d, size_t size)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	socklen_t len = sizeof(d->from);
	ssize_t n;

	cc->count[CATNAP_C_RECV_CALLS]++;
	n = recvfrom(s->fd, cc->scratch, SCRATCH, 0, (struct sockaddr *)&d->from, &len);
	if (n < 0)
		return -1;
	d->len = (uint32_t)n;
	if (likely(d->len <= size)) {
		memcpy(d->buf->base, cc->scratch, d->len);
		cc->count[CATNAP_C_GATHERED_BYTES] += d->len;
	} else {
		memcpy(d->buf->base, cc->scratch, size);
		memmove(cc->scratch, cc->scratch + size, d->len - size);
	}
	return 1;
}

/* As recvmmsg(): how many came, and their lengths, or -1 and errno. */
static int batch_recv(struct catnap_sock *s, struct catnap_batch *b, uint32_t want, size_t size)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct mmsghdr msgs[CATNAP_BATCH];
	struct iovec iov[CATNAP_BATCH][2];
	int n;

	if (want == 1 && !s->rx_long && cc->scratch)
		return short_recv(s, &b->d[0], size);
	for (uint32_t i = 0; i < want; i++) {
		iov[i][0] = (struct iovec){ b->d[i].buf->base, size };
		iov[i][1] = (struct iovec){ cc->scratch + (size_t)i * SCRATCH, SCRATCH };
		msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &b->d[i].from, .msg_namelen = sizeof(b->d[i].from),
			.msg_iov = iov[i], .msg_iovlen = cc->scratch ? 2 : 1,
		};
	}
	cc->count[CATNAP_C_RECV_CALLS]++;
	n = recvmmsg(s->fd, msgs, want, 0, NULL);
	for (int i = 0; i < n; i++)
		b->d[i].len = msgs[i].msg_len;
	return n;
}

/* n datagrams came: what is too long for its buffer is joined. */
static void batch_take(struct catnap_sock *s, struct catnap_batch *b, uint32_t n, size_t size)
{
	struct catnap_ctx *cc = catnap_ctx(s);

	b->at = b->n = 0;
	s->rx_many = n > 1;
	for (uint32_t i = 0; i < n; i++) {
		struct catnap_dgram d = b->d[i];

		cc->count[CATNAP_C_RECV_BYTES] += d.len;
		s->rx_long = d.len > SHORT;
		if (unlikely(d.len > size))
			d.buf = join(s, d.buf, i, size, d.len);
		else if (d.len)
			fit(s, &d, size);
		if (unlikely(!d.buf))
			continue;
		resize(s, d.len);
		s->ahead += d.len;
		cc->count[CATNAP_C_READ_AHEAD] += d.len;
		b->d[b->n++] = d;
	}
	if (likely(b->n))
		s->batch = b;
	else
		batch_put(cc, b);
}

/* The oldest datagram, into the pop that has waited longest. */
static void batch_pop(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct libos_op *op = list_first(&s->q.waiting, struct libos_op, link);
	struct catnap_batch *b = s->batch;
	struct catnap_dgram *d = &b->d[b->at++];

	s->ahead -= d->len;
	cc->count[CATNAP_C_READ_AHEAD] -= d->len;
	cc->hot = cc->last == s ? s : NULL;
	cc->last = s;
	if (likely(d->len)) {
		libos_op_popped(op, d->buf, d->buf->base, d->len, &d->from);
	} else {
		libos_buf_put(d->buf);
		libos_op_popped(op, NULL, NULL, 0, &d->from);
	}
	if (b->at < b->n)
		return;
	s->batch = NULL;
	batch_put(cc, b);
}

void catnap_dgram_drop(struct catnap_sock *s)
{
	struct catnap_batch *b = s->batch;

	if (!b)
		return;
	batch_put_bufs(b, b->at, b->n);
	batch_put(catnap_ctx(s), b);
	s->batch = NULL;
}

static bool recv_starved(struct catnap_sock *s, struct catnap_batch *b)
{
	struct catnap_ctx *cc = catnap_ctx(s);

	if (b)
		batch_put(cc, b);
	cc->count[CATNAP_C_RECV_NO_BUFFER]++;
	if (list_empty(&s->link))
		list_add_tail(&cc->starved, &s->link);
	return false;
}

/* False when the socket is empty. */
static bool recv_failed(struct catnap_sock *s, int err)
{
	struct catnap_ctx *cc = catnap_ctx(s);

	if (err == EAGAIN || err == EWOULDBLOCK) {
		cc->count[CATNAP_C_RECV_EMPTY]++;
		s->readable = false;
		s->rx_row = 0;
		s->rx_ask = 1;
		return false;
	}
	if (err != EINTR)
		cc->count[CATNAP_C_ICMP_ERRORS]++;
	return true;
}

/*
 * Where datagrams come alone, one by one is fastest. Two in a row make for a
 * batch: twice as many while all that is asked for comes, else one more than
 * came. One that comes alone all the same makes for a longer row the next time.
 * Fewer than asked for say that the socket is empty. An error in between says it
 * too, but has an edge of its own. One that came alone says nothing, so whoever
 * pops next waits: there is an edge, or it is looked when there is nothing else.
 */
static void ask_next(struct catnap_sock *s, uint32_t want, uint32_t n)
{
	uint32_t ask = n > 1 ? n + 1 : 1;

	if (want == 1)
		ask = s->rx_row++ >= s->rx_alone ? ASK_MORE : 1;
	else if (n == want)
		ask = 2 * want;
	if (want > 1) {
		s->rx_row = 0;
		if (n > 1)
			s->rx_alone = 1;
		else if (s->rx_alone < MOST_ALONE)
			s->rx_alone *= 2;
	}
	s->readable = n == want;
	s->rx_doubt = want == 1 && ask == 1;
	s->rx_ask = (uint8_t)(ask < CATNAP_BATCH ? ask : CATNAP_BATCH);
}

/* False when there is nothing more to do now. */
static bool recv_batch(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct catnap_batch *b = batch_get(cc);
	uint32_t want;
	size_t size;
	int n, err;

	want = b ? batch_bufs(s, b, &size) : 0;
	if (unlikely(!want))
		return recv_starved(s, b);
	n = batch_recv(s, b, want, size);
	err = errno;
	batch_put_bufs(b, n < 0 ? 0 : (uint32_t)n, want);
	if (n > 0) {
		ask_next(s, want, (uint32_t)n);
		batch_take(s, b, (uint32_t)n, size);
		return true;
	}
	batch_put(cc, b);
	return recv_failed(s, err);
}

bool catnap_dgram_rx(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	uint64_t before = cc->base.os->ops.done_seq;

	if (unlikely(!cc->scratch))
		cc->scratch = malloc((size_t)CATNAP_BATCH * SCRATCH);
	s->rx_doubt = false;
	while (!list_empty(&s->q.waiting) && !s->eof) {
		if (s->batch)
			batch_pop(s);
		else if (!s->readable || s->rx_doubt || !recv_batch(s))
			break;
	}
	if (!s->rx_doubt || list_empty(&s->q.waiting))
		list_del(&s->doubt_link);
	else if (list_empty(&s->doubt_link))
		list_add_tail(&cc->doubtful, &s->doubt_link);
	while (s->eof && !list_empty(&s->q.waiting)) /* SHUT_RD */
		libos_op_popped(list_first(&s->q.waiting, struct libos_op, link), NULL, NULL, 0,
				NULL);
	return cc->base.os->ops.done_seq != before;
}

void catnap_dgram_pop(struct catnap_sock *s)
{
	struct catnap_ctx *cc = catnap_ctx(s);

	if (!s->rx_doubt || s->batch || s->eof)
		catnap_dgram_rx(s);
	else if (list_empty(&s->doubt_link))
		list_add_tail(&cc->doubtful, &s->doubt_link);
}

bool catnap_dgram_look(struct catnap_ctx *cc, uint32_t max)
{
	struct list now;
	bool moved = false;

	list_init(&now); /* what gets one more is looked at the next time */
	for (; max && !list_empty(&cc->doubtful); max--)
		list_move_tail(&now, cc->doubtful.next);
	while (!list_empty(&now)) {
		struct catnap_sock *s = list_first(&now, struct catnap_sock, doubt_link);

		list_del(&s->doubt_link);
		if (!list_empty(&s->q.waiting))
			moved |= catnap_dgram_rx(s);
	}
	return moved;
}

/* ---- sending */

bool catnap_dgram_to(struct catnap_sock *s, const struct libos_op *op, struct sockaddr_in *to)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &s->to) {
		struct catnap_to *t = container_of(pos, struct catnap_to, link);

		if (op && t->op != op)
			continue;
		*to = t->addr;
		list_del(&t->link);
		free(t);
		return true;
	}
	return false;
}

static ssize_t dgram_sendmsg(struct catnap_sock *s, const struct libos_io *io,
			     const struct sockaddr_in *to)
{
	struct iovec iov[DEMI_SGARRAY_MAXSIZE];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = io->n };
	struct sockaddr_in name;

	if (likely(io->n == 1)) /* a message header costs time */
		return sendto(s->fd, io->seg[0].addr, io->seg[0].len, MSG_NOSIGNAL,
			      (const struct sockaddr *)to, to ? sizeof(*to) : 0);
	if (to) {
		name = *to;
		msg.msg_name = &name;
		msg.msg_namelen = sizeof(name);
	}
	for (uint32_t i = 0; i < io->n; i++) {
		iov[i].iov_base = io->seg[i].addr;
		iov[i].iov_len = io->seg[i].len;
	}
	return sendmsg(s->fd, &msg, MSG_NOSIGNAL);
}

/* 0; EAGAIN: no room; what is wrong with it, or with the way. */
static int dgram_send(struct catnap_sock *s, const struct libos_io *io,
		      const struct sockaddr_in *to)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	ssize_t n;

	cc->count[CATNAP_C_SEND_CALLS]++;
	n = dgram_sendmsg(s, io, to);
	/* An error that an earlier one brought back is taken by the first call. */
	for (int i = 0; n < 0 && (errno == EINTR || is_icmp(errno)) && i < 2; i++) {
		cc->count[CATNAP_C_ICMP_ERRORS] += errno != EINTR;
		n = dgram_sendmsg(s, io, to);
	}
	if (n >= 0) {
		cc->count[CATNAP_C_SEND_BYTES] += (uint64_t)n;
		return 0;
	}
	return errno == EWOULDBLOCK ? EAGAIN : errno;
}

/* The first of tx and what follows it, in one call: how many, or -1 and errno. */
static int send_several(struct catnap_sock *s)
{
	struct mmsghdr msgs[CATNAP_BATCH];
	struct iovec iov[CATNAP_BATCH][DEMI_SGARRAY_MAXSIZE];
	struct list *pos, *tmp;
	uint32_t n = 0;

	list_for_each_safe(pos, tmp, &s->tx) {
		struct catnap_tx *tx = container_of(pos, struct catnap_tx, link);

		if (n == CATNAP_BATCH)
			break;
		for (uint32_t i = 0; i < tx->io.n; i++) {
			iov[n][i].iov_base = tx->io.seg[i].addr;
			iov[n][i].iov_len = tx->io.seg[i].len;
		}
		msgs[n].msg_hdr = (struct msghdr){
			.msg_name = tx->has_to ? &tx->to : NULL,
			.msg_namelen = tx->has_to ? sizeof(tx->to) : 0,
			.msg_iov = iov[n], .msg_iovlen = tx->io.n,
		};
		n++;
	}
	return sendmmsg(s->fd, msgs, n, MSG_NOSIGNAL);
}

int catnap_dgram_send_queued(struct catnap_sock *s, uint32_t *n_out)
{
	struct catnap_ctx *cc = catnap_ctx(s);
	struct catnap_tx *tx = list_first(&s->tx, struct catnap_tx, link);
	struct list *pos = s->tx.next;
	int n = 0;

	*n_out = 1;
	if (pos->next != &s->tx)
		n = send_several(s);
	if (n <= 0) { /* alone, or the first of them fails: it says why */
		int err = dgram_send(s, &tx->io, tx->has_to ? &tx->to : NULL);

		cc->count[CATNAP_C_SEND_LOST] += err && err != EAGAIN;
		return err == EAGAIN ? EAGAIN : 0;
	}
	cc->count[CATNAP_C_SEND_CALLS]++;
	*n_out = (uint32_t)n;
	for (int i = 0; i < n; i++, pos = pos->next)
		cc->count[CATNAP_C_SEND_BYTES] += container_of(pos, struct catnap_tx, link)->io.total;
	return 0;
}

void catnap_dgram_flush(struct catnap_sock *s)
{
	if (list_empty(&s->gather_link))
		return;
	list_del(&s->gather_link);
	catnap_tx_run(s);
	if (!list_empty(&s->tx) && catnap_sock_watch(s, EPOLLIN | EPOLLOUT)) {
		catnap_ctx(s)->count[CATNAP_C_SEND_LOST]++;
		catnap_tx_drop(s); /* nobody would say when there is room */
	}
}

/*
 * Where datagrams come together, the answers to them go together: short ones wait
 * for the flush, which comes before any wait returns and with the 32nd.
 */
static bool gathers(const struct catnap_sock *s, const struct libos_io *io,
		    const struct sockaddr_in *to)
{
	return s->rx_many && io->total <= SHORT && s->q.state == LIBOS_BOUND &&
	       list_empty(&s->q.pushes) && s->unsent < s->tx_limit &&
	       (!to || to->sin_port) && (list_empty(&s->tx) || !list_empty(&s->gather_link));
}

static int gather(struct catnap_sock *s, struct libos_op *op, const struct libos_io *io,
		  const struct sockaddr_in *to)
{
	struct catnap_ctx *cc = catnap_ctx(s);

	if (list_empty(&s->gather_link))
		list_add_tail(&cc->gathered, &s->gather_link);
	catnap_tx_keep(s, io, 0, to);
	libos_op_pushed(op, io);
	libos_mark_dirty(cc->base.os);
	return 0;
}

/* The kernel gives an unbound socket a port with its first datagram, mostly also
 * with one that it then refuses. */
static int maybe_bound(struct catnap_sock *s)
{
	struct sockaddr_in mine;
	socklen_t len = sizeof(mine);

	if (likely(s->q.state != LIBOS_NEW))
		return 0;
	if (getsockname(s->fd, (struct sockaddr *)&mine, &len) < 0 || !mine.sin_port)
		return 0;
	s->q.state = LIBOS_BOUND;
	return catnap_sock_watch(s, EPOLLIN);
}

int catnap_dgram_push(struct catnap_sock *s, struct libos_op *op, const struct libos_io *io,
		      const struct sockaddr_in *to)
{
	int err, bind_err;

	if (io->total > LONGEST)
		return EMSGSIZE;
	if (gathers(s, io, to))
		return gather(s, op, io, to);
	catnap_dgram_flush(s);
	if (!list_empty(&s->tx))
		return catnap_tx_queue(s, op, io, to ? to : &s->peer);
	err = dgram_send(s, io, to);
	bind_err = maybe_bound(s);
	if (err == EMSGSIZE || err == EINVAL)
		return err;
	if (err == EAGAIN) {
		err = catnap_sock_watch(s, EPOLLIN | EPOLLOUT);
		if (!err)
			return catnap_tx_queue(s, op, io, to ? to : &s->peer);
	}
	if (!err)
		err = bind_err;
	if (err)
		libos_op_fail(op, err == ENOBUFS ? ENOMEM : err);
	else
		libos_op_pushed(op, io);
	libos_io_put(io);
	return 0;
}

/* What is not sent yet goes to whom it was pushed. */
static void stamp(struct catnap_sock *s)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &s->tx) {
		struct catnap_tx *tx = container_of(pos, struct catnap_tx, link);

		if (!tx->has_to)
			tx->to = s->peer;
		tx->has_to = true;
	}
}

int catnap_dgram_connect(struct catnap_sock *s, struct libos_op *op, const struct sockaddr_in *addr)
{
	int err = 0;

	catnap_dgram_flush(s);
	stamp(s);
	if (connect(s->fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		err = errno;
	if (!err)
		err = catnap_sock_watch(s, EPOLLIN);
	if (err) {
		libos_op_fail(op, err);
		return 0;
	}
	s->peer = *addr;
	s->q.has_peer = true;
	if (s->q.state == LIBOS_NEW)
		s->q.state = LIBOS_BOUND;
	libos_op_done(op);
	return 0;
}

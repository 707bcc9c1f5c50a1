#include "config.h"

#include "catnip/catnip.h"

#include <errno.h>
#include <sys/socket.h>

#include "net/ip.h"

/*
 * A queue and its socket: birth, names, what arrives, the end. How connections
 * begin is in stream.c, what is pushed in push.c.
 */

/* ---- life */

struct catnip_queue *catnip_queue_alloc(struct catnip_ctx *cn, enum libos_queue_type type)
{
	struct catnip_queue *s = catnip_place_take(cn);

	if (s)
		libos_queue_init(&s->q, &cn->base, type);
	return s;
}

void catnip_queue_free(struct catnip_queue *s)
{
	struct catnip_ctx *cn = catnip_ctx(s);

	s->sock = NULL;
	catnip_to_drop(s, NULL);
	if (s->n_pinned)
		return; /* catnip_released() of the last one */
	catnip_place_give(cn, s);
}

void catnip_queues_fini(struct catnip_ctx *cn)
{
	struct catnip_queue *s;
	uint32_t place = 0;

	while ((s = catnip_place_next(cn, &place))) {
		libos_queue_fail_pushes(&s->q, ECANCELED);
		if (s->close_op)
			libos_op_fail(s->close_op, ECANCELED);
		catnip_to_drop(s, NULL);
	}
	catnip_places_fini(cn);
}

int catnip_socket(struct libos_ctx *ctx, enum libos_queue_type type, struct libos_queue **q_out)
{
	struct catnip_ctx *cn = (struct catnip_ctx *)(void *)ctx;
	struct catnip_queue *s = catnip_queue_alloc(cn, type);
	int err;

	if (!s)
		return ENOMEM;
	err = net_socket(cn->stack, type == LIBOS_STREAM ? NET_TCP : NET_UDP, s, &s->sock);
	if (err) {
		catnip_queue_free(s);
		return err;
	}
	catnip_options_init(s);
	*q_out = &s->q;
	return 0;
}

void catnip_hold_loopback(struct catnip_queue *s)
{
	const struct net_ip lo = net_ip4(htonl(INADDR_LOOPBACK));
	struct catnip_ctx *cn = catnip_ctx(s);
	struct net_addr own;

	if (s->has_loopback || !catnip_port_is_private(cn->port))
		return;
	if (net_name(s->sock, &own) || !net_ip_is_any(&own.ip))
		return;
	s->has_loopback = !net_local_hold(cn->stack, &lo);
}

static void drop_loopback(struct catnip_queue *s)
{
	const struct net_ip lo = net_ip4(htonl(INADDR_LOOPBACK));

	if (s->has_loopback)
		net_local_drop(catnip_ctx(s)->stack, &lo);
	s->has_loopback = false;
}

int catnip_bind(struct libos_queue *q, const struct sockaddr_in *addr)
{
	struct catnip_queue *s = catnip_queue(q);
	struct net_addr to = catnip_addr(addr);
	int err;

	catnip_now(catnip_ctx(s));
	err = net_bind(s->sock, &to);
	if (err)
		return err;
	q->state = LIBOS_BOUND;
	/* a client's datagrams to 127.0.0.1 are for the other end */
	if (q->type == LIBOS_DGRAM && addr->sin_port)
		catnip_hold_loopback(s);
	catnip_send_now(catnip_ctx(s)); /* it announces the address */
	return 0;
}

int catnip_getsockname(struct libos_queue *q, struct sockaddr_in *addr_out)
{
	struct net_addr addr;
	int err = net_name(catnip_queue(q)->sock, &addr);

	if (!err)
		*addr_out = catnip_sin(&addr);
	return err;
}

int catnip_getpeername(struct libos_queue *q, struct sockaddr_in *addr_out)
{
	struct catnip_queue *s = catnip_queue(q);
	struct net_addr addr;
	int err;

	if (q->type == LIBOS_DGRAM ? !q->has_peer : q->state != LIBOS_CONNECTED)
		return ENOTCONN;
	err = net_peer(s->sock, &addr);
	if (!err)
		*addr_out = catnip_sin(&addr);
	return err;
}

/* ---- what the program holds is charged to the queue that it came from */

/* false: another part of a packet that is counted already. */
static inline bool charge(struct catnip_queue *s, struct libos_buf *buf, uint32_t pinned)
{
	if (unlikely(buf->flags & LIBOS_BUF_CHARGED))
		return false;
	buf->flags |= LIBOS_BUF_CHARGED;
	buf->origin = s->origin;
	buf->pinned = pinned;
	s->n_pinned++;
	catnip_ctx(s)->count[CATNIP_C_PINNED] += pinned;
	return true;
}

void catnip_released(struct libos_ctx *ctx, struct libos_buf *buf)
{
	struct catnip_ctx *cn = (struct catnip_ctx *)(void *)ctx;
	struct catnip_queue *s;

	if (unlikely(!cn->chunks))
		return; /* the instance ends */
	s = catnip_queue_at(cn, buf->origin);
	cn->count[CATNIP_C_PINNED] -= buf->pinned;
	s->n_pinned--;
	if (likely(s->sock)) {
		if (unlikely(net_uncharge(s->sock, buf->pinned)))
			cn->busy = true; /* the window has opened */
	} else if (!s->n_pinned) {
		catnip_queue_free(s);
	}
}

/* ---- what arrives */

static void popped(struct catnip_queue *s, struct libos_op *op, const struct net_seg *seg,
		   const struct net_addr *from)
{
	struct libos_buf *buf = catnip_buf(seg->mem);
	struct sockaddr_in sin;

	if (likely(buf)) {
		if (charge(s, buf, seg->pinned))
			net_charge(s->sock, seg->pinned);
		op->os->hot_buf = buf;
	}
	from = buf ? from : NULL;
	if (from)
		sin = catnip_sin(from);
	libos_op_popped(op, buf, seg->data, seg->len, from ? &sin : NULL);
}

/* Memory to list several segments is there, so that the list cannot fail later. */
static bool may_list(struct libos *os)
{
	struct libos_buf *buf = libos_buf_alloc(&os->pool, sizeof(struct libos_chain));

	if (buf)
		libos_buf_put(buf);
	return buf != NULL;
}

/* DEMI_POP_SEGS: what has arrived beyond the first. The end is another pop's. */
static void popped_several(struct catnip_queue *s, struct libos_op *op, struct net_seg *seg)
{
	struct libos_io io = { 0, 0, { { 0 } } };

	while (seg->mem) {
		struct libos_buf *buf = catnip_buf(seg->mem);

		if (charge(s, buf, seg->pinned))
			net_charge(s->sock, seg->pinned);
		io.seg[io.n++] = (struct libos_seg){ buf, seg->data, seg->len };
		io.total += seg->len;
		if (io.n == DEMI_SGARRAY_MAXSIZE || net_peek(s->sock, seg, NULL) || !seg->mem ||
		    net_recv(s->sock, seg, NULL))
			break;
	}
	if (io.n == 1)
		libos_op_popped(op, io.seg[0].buf, io.seg[0].addr, io.seg[0].len, NULL);
	else
		libos_op_popped_segs(op, &io);
}

/* EAGAIN: nothing has come. An ICMP error says nothing about the next datagram. */
static int dgram_recv(struct catnip_queue *s, struct net_seg *seg, struct net_addr *from)
{
	int err;

	while ((err = net_recv(s->sock, seg, from)) && err != EAGAIN)
		catnip_ctx(s)->count[CATNIP_C_ICMP_ERRORS]++;
	return err;
}

/* Serves a pop, if there is something for it. */
static bool pop_one(struct catnip_queue *s, struct libos_op *op)
{
	struct net_addr from;
	struct net_seg seg;
	int err;

	if (unlikely(s->q.type == LIBOS_DGRAM)) {
		if (dgram_recv(s, &seg, &from)) {
			s->dry = true;
			return false;
		}
		popped(s, op, &seg, &from);
		return true;
	}
	err = net_recv(s->sock, &seg, NULL);
	if (unlikely(err == EAGAIN) && !s->err) {
		s->dry = true;
		return false;
	}
	if (unlikely(err))
		libos_op_fail(op, s->err ? s->err : err);
	else if (unlikely(s->q.pop_segs) && seg.mem && may_list(op->os))
		popped_several(s, op, &seg);
	else
		popped(s, op, &seg, NULL);
	return true;
}

static void pop_more(struct catnip_queue *s)
{
	s->dry = false;
	while (!list_empty(&s->q.waiting))
		if (!pop_one(s, list_first(&s->q.waiting, struct libos_op, link)))
			return;
}

/* It has just come, and a pop waits for it: past the socket's queue. */
bool catnip_take(void *user, const struct net_seg *seg, const struct net_addr *from)
{
	struct catnip_queue *s = user;
	struct libos_buf *buf = catnip_buf(seg->mem);
	struct sockaddr_in sin;
	struct libos_op *op;

	if (unlikely(list_empty(&s->q.waiting)) || unlikely(s->q.pop_segs))
		return false;
	op = list_first(&s->q.waiting, struct libos_op, link);
	charge(s, buf, seg->pinned);
	op->os->hot_buf = buf;
	if (from)
		sin = catnip_sin(from);
	libos_op_popped(op, buf, seg->data, seg->len, from ? &sin : NULL);
	return true;
}

int catnip_pop(struct libos_queue *q, struct libos_op *op)
{
	struct catnip_queue *s = catnip_queue(q);

	if (s->dry || !list_empty(&q->waiting) || !pop_one(s, op))
		list_add_tail(&q->waiting, &op->link);
	else if (unlikely(!net_is_quiet(catnip_ctx(s)->stack)))
		catnip_ctx(s)->busy = true; /* the window has opened */
	return 0;
}

/* ---- the end */

/* Nothing of it waits any more but what the peer has to acknowledge. */
static void close_now(struct catnip_queue *s)
{
	if (s->owed)
		catnip_ctx(s)->n_owed--;
	s->owed = false;
	s->closing = s->close_op != NULL;
	net_close(s->sock, s->closing);
	if (s->closing)
		return;
	catnip_ctx(s)->count[CATNIP_C_LINGERING]--;
	catnip_queue_free(s);
}

/* The close that the program waits for has ended. */
static void close_end(struct catnip_queue *s, int err)
{
	struct libos_op *op = s->close_op;

	s->close_op = NULL;
	if (op && err)
		libos_op_fail(op, err);
	else if (op)
		libos_op_done(op);
}

/* Of a queue that the program has closed. */
static void closed_events(struct catnip_queue *s, uint32_t events)
{
	struct catnip_ctx *cn = catnip_ctx(s);

	if (s->closing) {
		if (!(events & (NET_ACKED | NET_FAILED)))
			return;
		close_end(s, events & NET_FAILED ? net_error(s->sock) : 0);
		cn->count[CATNIP_C_LINGERING]--;
		catnip_queue_free(s); /* the stack frees the socket */
		return;
	}
	if (events & NET_FAILED) {
		s->err = (uint8_t)net_error(s->sock);
		libos_queue_fail_pushes(&s->q, s->err);
		close_end(s, s->err);
	} else if (events & NET_WRITABLE) {
		catnip_push_more(s);
	}
	if (list_empty(&s->q.pushes))
		close_now(s);
}

static bool resets(const struct catnip_queue *s)
{
	int64_t linger;

	return !net_get_opt(s->sock, NET_OPT_LINGER, &linger) && !linger;
}

/* Connected: what was pushed arrives, whatever came that nobody has read. */
static void close_connected(struct catnip_queue *s)
{
	if (s->err) {
		close_end(s, s->err);
	} else if (resets(s)) {
		libos_queue_fail_pushes(&s->q, ECONNRESET);
		close_end(s, 0); /* what was asked for: nothing is awaited */
	} else {
		net_shutdown(s->sock, true, false);
	}
}

void catnip_close(struct libos_queue *q, struct libos_op *op)
{
	struct catnip_queue *s = catnip_queue(q);
	struct catnip_ctx *cn = catnip_ctx(s);

	catnip_now(cn);
	drop_loopback(s);
	s->closed = true;
	s->close_op = op;
	cn->count[CATNIP_C_LINGERING]++;
	if (q->type == LIBOS_STREAM && q->state == LIBOS_CONNECTED)
		close_connected(s);
	else if (list_empty(&q->pushes))
		close_end(s, 0);
	if (list_empty(&q->pushes)) {
		close_now(s);
	} else {
		s->owed = true;
		cn->n_owed++;
	}
	catnip_send_now(cn);
}

int catnip_shutdown(struct libos_queue *q, int how)
{
	struct catnip_queue *s = catnip_queue(q);
	bool wr = how != SHUT_RD && list_empty(&q->pushes);
	int err;

	catnip_now(catnip_ctx(s));
	if (how != SHUT_RD)
		q->wr_shut = true; /* what waits goes first: catnip_push_more() */
	err = s->err ? 0 : net_shutdown(s->sock, how != SHUT_WR, wr);
	if (how != SHUT_WR)
		pop_more(s);
	catnip_send_now(catnip_ctx(s));
	return err;
}

bool catnip_cancel(struct libos_queue *q, struct libos_op *op)
{
	struct catnip_queue *s = catnip_queue(q);

	if (op == s->close_op) {
		s->close_op = NULL;
	} else if (op == q->connect) {
		net_connect_cancel(s->sock);
		q->connect = NULL;
		catnip_connect_end(s, ECANCELED);
	} else if (op->opcode == DEMI_OPC_PUSH) {
		catnip_to_drop(s, op);
		list_del(&op->link);
		catnip_push_more(s); /* the end may be due now */
	}
	return true;
}

/* ---- events */

static void failed(struct catnip_queue *s)
{
	int err = net_error(s->sock);

	if (s->q.connect) {
		catnip_connect_end(s, err);
		return;
	}
	if (s->q.type == LIBOS_DGRAM)
		return;
	s->err = s->so_error = (uint8_t)err;
	catnip_ctx(s)->count[CATNIP_C_RESETS]++;
	libos_queue_fail_pushes(&s->q, err);
	pop_more(s);
}

void catnip_queue_events(struct catnip_queue *s, uint32_t events)
{
	if (unlikely(s->closed)) {
		closed_events(s, events);
		return;
	}
	s->dry = false;
	if (unlikely(events & NET_CONNECTED))
		catnip_connect_end(s, 0);
	if (unlikely(s->q.state == LIBOS_LISTENING))
		catnip_accept_more(s);
	else if (likely(events & NET_READABLE))
		pop_more(s);
	if (unlikely(events & NET_WRITABLE))
		catnip_push_more(s);
	if (unlikely(events & NET_FAILED))
		failed(s);
}

#include "config.h"

#include "catnip/catnip.h"

#include <errno.h>
#include <stdlib.h>

/*
 * What is pushed goes into the socket's send buffer by reference, and what finds
 * no room there waits in q->pushes. The port gets it with the flush.
 */

#define DGRAM_MAX 65507u

/* ---- where waiting datagrams go */

static int to_keep(struct catnip_queue *s, const struct libos_op *op, const struct net_addr *addr)
{
	struct catnip_to *t = malloc(sizeof(*t));

	if (!t)
		return ENOMEM;
	t->op = op;
	t->addr = *addr;
	t->next = s->to;
	s->to = t;
	return 0;
}

/* What points to the one of op, or to any; NULL: there is none. */
static struct catnip_to **to_find(struct catnip_queue *s, const struct libos_op *op)
{
	for (struct catnip_to **link = &s->to; *link; link = &(*link)->next)
		if (!op || (*link)->op == op)
			return link;
	return NULL;
}

void catnip_to_drop(struct catnip_queue *s, const struct libos_op *op)
{
	struct catnip_to **link;

	while ((link = to_find(s, op))) {
		struct catnip_to *t = *link;

		*link = t->next;
		free(t);
	}
}

/* ---- sending */

static inline uint32_t segs_of(const struct libos_io *io, struct net_seg *segs)
{
	for (uint32_t i = 0; i < io->n; i++) {
		segs[i].mem = catnip_net_mem(io->seg[i].buf);
		segs[i].data = io->seg[i].addr;
		segs[i].len = io->seg[i].len;
		segs[i].pinned = 0;
	}
	return io->n;
}

/* to NULL: the peer */
static force_inline int send_io(struct catnip_queue *s, const struct libos_io *io,
				const struct net_addr *to)
{
	struct net_seg segs[DEMI_SGARRAY_MAXSIZE];
	struct net_seg one = { catnip_net_mem(io->seg[0].buf), io->seg[0].addr, io->seg[0].len, 0 };

	if (likely(io->n == 1))
		return net_send(s->sock, &one, 1, to);
	return net_send(s->sock, segs, segs_of(io, segs), to);
}

/* An error that an earlier datagram brought back says nothing about this one. */
static slow_path int dgram_send_again(struct catnip_queue *s, const struct libos_io *io,
				      const struct net_addr *to, int err)
{
	if (err == EAGAIN || err == EMSGSIZE)
		return err;
	catnip_ctx(s)->count[CATNIP_C_ICMP_ERRORS]++;
	return send_io(s, io, to);
}

static force_inline int dgram_send(struct catnip_queue *s, const struct libos_io *io,
				   const struct net_addr *to)
{
	int err = send_io(s, io, to);
	struct net_addr name;

	if (unlikely(err))
		err = dgram_send_again(s, io, to, err);
	if (unlikely(s->q.state == LIBOS_NEW) && !net_name(s->sock, &name))
		s->q.state = LIBOS_BOUND;
	return err;
}

/* It waits, and keeps what it is to send. */
static void hold(struct catnip_queue *s, struct libos_op *op, const struct libos_io *io)
{
	catnip_ctx(s)->count[CATNIP_C_PUSHES_HELD]++;
	libos_op_push(op)->io = *io;
	list_add_tail(&s->q.pushes, &op->link);
}

static slow_path int dgram_push_slow(struct catnip_queue *s, struct libos_op *op,
				     const struct libos_io *io, const struct net_addr *to, int err)
{
	struct net_addr peer;

	if (err == EMSGSIZE)
		return err;
	if (err == EAGAIN) {
		if (!to) /* another connect does not change it */
			net_peer(s->sock, &peer);
		err = to_keep(s, op, to ? to : &peer);
		if (!err)
			hold(s, op, io);
		return err;
	}
	libos_mark_dirty(s->q.ctx->os);
	libos_op_fail(op, err);
	libos_io_put(io);
	return 0;
}

static int dgram_push(struct catnip_queue *s, struct libos_op *op, const struct libos_io *io,
		      const struct sockaddr_in *to)
{
	struct net_addr addr;
	int err = EAGAIN;

	if (unlikely(io->total > DGRAM_MAX))
		return EMSGSIZE;
	if (to)
		addr = catnip_addr(to);
	if (likely(list_empty(&s->q.pushes)))
		err = dgram_send(s, io, to ? &addr : NULL);
	if (unlikely(err))
		return dgram_push_slow(s, op, io, to ? &addr : NULL, err);
	libos_op_pushed(op, io);
	catnip_pushed(catnip_ctx(s));
	return 0;
}

static slow_path int push_slow(struct catnip_queue *s, struct libos_op *op,
			       const struct libos_io *io, int err)
{
	struct libos_io copy = *io;

	if (err == EAGAIN) {
		hold(s, op, io);
		return 0;
	}
	libos_op_fail(op, s->err ? s->err : err);
	libos_io_put(&copy);
	return 0;
}

int catnip_push(struct libos_queue *q, struct libos_op *op, const struct libos_io *io,
		const struct sockaddr_in *to)
{
	struct catnip_queue *s = catnip_queue(q);
	int err = EAGAIN;

	catnip_now(catnip_ctx(s));
	if (q->type == LIBOS_DGRAM)
		return dgram_push(s, op, io, to);
	if (likely(list_empty(&q->pushes)))
		err = send_io(s, io, NULL);
	if (unlikely(err))
		return push_slow(s, op, io, err);
	libos_op_pushed(op, io);
	catnip_pushed(catnip_ctx(s));
	return 0;
}

/* One that waited. EAGAIN: it goes on waiting. */
static int send_waiting(struct catnip_queue *s, struct libos_op *op)
{
	struct libos_io io = libos_op_push(op)->io;
	int err;

	if (s->q.type == LIBOS_DGRAM)
		err = dgram_send(s, &io, &(*to_find(s, op))->addr);
	else
		err = send_io(s, &io, NULL);
	if (err == EAGAIN)
		return err;
	if (s->q.type == LIBOS_DGRAM)
		catnip_to_drop(s, op);
	if (!err) {
		libos_op_pushed(op, &io);
		return 0;
	}
	libos_op_fail(op, s->err ? s->err : err);
	libos_io_put(&io);
	return 0;
}

void catnip_push_more(struct catnip_queue *s)
{
	while (!list_empty(&s->q.pushes)) {
		if (send_waiting(s, list_first(&s->q.pushes, struct libos_op, link)))
			return;
		libos_mark_dirty(s->q.ctx->os);
	}
	if (s->q.wr_shut && !s->closed && s->q.type == LIBOS_STREAM && !s->err)
		net_shutdown(s->sock, false, true); /* it was to come behind them */
}

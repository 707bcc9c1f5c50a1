#include "config.h"

#include "catnip/catnip.h"

#include <errno.h>

/* How connections begin, and who a datagram queue speaks to. */

int catnip_listen(struct libos_queue *q, int backlog)
{
	struct catnip_queue *s = catnip_queue(q);
	int err = net_listen(s->sock, backlog);

	if (err)
		return err;
	q->state = LIBOS_LISTENING;
	catnip_hold_loopback(s);
	catnip_send_now(catnip_ctx(s));
	return 0;
}

/* ---- accept */

/* EAGAIN: none has come. Without memory for its queue a connection stays where it is. */
static int accept_one(struct catnip_queue *l, struct catnip_queue **s_out,
		      struct net_addr *peer_out)
{
	struct catnip_ctx *cn = catnip_ctx(l);
	struct catnip_queue *s = catnip_queue_alloc(cn, LIBOS_STREAM);
	int err;

	if (!s)
		return ENOMEM;
	err = net_accept(l->sock, s, &s->sock, peer_out);
	if (err) {
		catnip_queue_free(s);
		return err;
	}
	s->q.state = LIBOS_CONNECTED;
	err = libos_queue_open(cn->base.os, &s->q);
	if (err) {
		net_abort(s->sock);
		catnip_queue_free(s);
		return err;
	}
	*s_out = s;
	return 0;
}

void catnip_accept_more(struct catnip_queue *l)
{
	struct sockaddr_in sin;
	struct catnip_queue *s;
	struct net_addr peer;
	int err;

	while (!list_empty(&l->q.waiting)) {
		err = accept_one(l, &s, &peer);
		if (err == EAGAIN)
			return;
		if (err) { /* nothing would wake those left behind */
			libos_queue_fail_waiting(&l->q, err);
			return;
		}
		sin = catnip_sin(&peer);
		libos_op_accepted(list_first(&l->q.waiting, struct libos_op, link), &s->q, &sin);
	}
}

int catnip_accept(struct libos_queue *q, struct libos_op *op)
{
	struct catnip_queue *s = catnip_queue(q);
	bool first = list_empty(&q->waiting);

	list_add_tail(&q->waiting, &op->link);
	if (first)
		catnip_accept_more(s);
	return 0;
}

/* ---- connect */

void catnip_connect_end(struct catnip_queue *s, int err)
{
	struct libos_op *op = s->q.connect;
	struct net_addr addr;

	if (err == EHOSTUNREACH && catnip_port_is_private(catnip_ctx(s)->port))
		err = ECONNREFUSED; /* addresses are names: nobody has it */

	s->q.connect = NULL;
	s->q.state = LIBOS_CONNECTED;
	if (err)
		s->q.state = net_name(s->sock, &addr) ? LIBOS_NEW : LIBOS_BOUND;
	if (op && err)
		libos_op_fail(op, err);
	else if (op)
		libos_op_done(op);
}

static int dgram_connect(struct catnip_queue *s, struct libos_op *op, const struct net_addr *peer)
{
	int err = net_connect(s->sock, peer);

	if (err) {
		libos_op_fail(op, err);
		return 0;
	}
	s->q.has_peer = true;
	s->q.state = LIBOS_BOUND;
	libos_op_done(op);
	return 0;
}

int catnip_connect(struct libos_queue *q, struct libos_op *op, const struct sockaddr_in *addr)
{
	struct catnip_queue *s = catnip_queue(q);
	struct net_addr peer = catnip_addr(addr);
	int err;

	catnip_now(catnip_ctx(s));
	if (q->type == LIBOS_DGRAM)
		return dgram_connect(s, op, &peer);
	s->err = s->so_error = 0;
	err = net_connect(s->sock, &peer);
	q->connect = op;
	q->state = LIBOS_CONNECTING;
	if (err)
		catnip_connect_end(s, err);
	else
		catnip_send_now(catnip_ctx(s));
	return 0;
}

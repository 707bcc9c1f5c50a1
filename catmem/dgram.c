#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "catmem/catmem.h"

#define DGRAM_MAX 65507u	/* as UDP over IPv4 */

/* One datagram that has arrived. */
struct dgram_in {
	struct piece piece;
	struct sockaddr_in from;
};

/* One on its way out, waiting for the link or for room in its ring. */
struct dgram_out {
	struct piece piece;
	struct wire_dgram head;
};

static struct dsock *dsock_of(struct libos_queue *q)
{
	return container_of(q, struct dsock, q);
}

int dsock_new(struct catmem *cm, struct dsock **s_out)
{
	struct dsock *s = calloc(1, sizeof(*s));

	if (!s)
		return ENOMEM;
	libos_queue_init(&s->q, &cm->ctx, LIBOS_DGRAM);
	s->cm = cm;
	s->sndbuf = cm->sndbuf;
	s->rcvbuf = cm->rcvbuf;
	options_init(&s->options);
	list_init(&s->node);
	*s_out = s;
	return 0;
}

int dsock_bind(struct libos_queue *q, const struct sockaddr_in *addr)
{
	struct dsock *s = dsock_of(q);
	struct name *name = calloc(1, sizeof(*name));
	struct sockaddr_in sin = *addr;
	int err = name ? name_bind(s->cm, NAME_DGRAM, &sin, name) : ENOMEM;

	if (err) {
		free(name);
		return err;
	}
	err = name_listen(name);
	if (err) {
		name_drop(name);
		free(name);
		return err;
	}
	s->name = name;
	s->local = sin;
	list_add_tail(&s->cm->dsocks, &s->node);
	q->state = LIBOS_BOUND;
	return 0;
}

/* An unbound queue gets an ephemeral port when it first needs one. */
static int bind_implicitly(struct libos_queue *q)
{
	struct sockaddr_in any = { .sin_family = AF_INET };

	return q->state == LIBOS_NEW ? dsock_bind(q, &any) : 0;
}

int dsock_connect(struct libos_queue *q, struct libos_op *op, const struct sockaddr_in *addr)
{
	struct dsock *s = dsock_of(q);
	int err = bind_implicitly(q);

	if (err)
		return err;
	s->remote = *addr;
	if (!s->remote.sin_addr.s_addr)
		s->remote.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	q->has_peer = true;
	libos_op_done(op);
	return 0;
}

/* ---- out */

static struct sockaddr_in source_for(const struct dsock *s, const struct sockaddr_in *to)
{
	struct sockaddr_in from = s->local;

	if (!from.sin_addr.s_addr)
		from.sin_addr = to->sin_addr;
	return from;
}

static void head_fill(struct wire_dgram *msg, const struct sockaddr_in *from,
		      const struct sockaddr_in *to)
{
	msg->src_ip = from->sin_addr.s_addr;
	msg->src_port = from->sin_port;
	msg->dst_ip = to->sin_addr.s_addr;
	msg->dst_port = to->sin_port;
	msg->pad = 0;
}

static bool send_small(struct link *link, const struct wire_dgram *head, const struct libos_io *io)
{
	struct wire_dgram *msg = (void *)link_reserve(link);
	uint8_t *to;

	if (!msg)
		return false;
	memcpy(msg, head, offsetof(struct wire_dgram, bytes));
	to = msg->bytes;
	for (uint32_t i = 0; i < io->n; i++) {
		memcpy(to, io->seg[i].addr, io->seg[i].len);
		to += io->seg[i].len;
	}
	link_publish(link, wire_tag(WIRE_DGRAM, 0, io->total));
	catmem_count(link->cm, CATMEM_C_INLINE_MSGS, 1);
	return true;
}

/* A datagram of several pieces is joined: one counted copy. */
static int join(struct catmem *cm, const struct libos_io *io, struct piece *p)
{
	struct libos_buf *buf;
	uint8_t *to;

	*p = (struct piece){ io->seg[0].buf, io->seg[0].addr, io->total,
			     io->total + CATMEM_CHARGE, NO_LOAN };
	if (io->n == 1)
		return 0;
	buf = libos_buf_alloc(&cm->os->pool, io->total);
	if (!buf)
		return ENOMEM;
	to = buf->base;
	for (uint32_t i = 0; i < io->n; i++) {
		memcpy(to, io->seg[i].addr, io->seg[i].len);
		to += io->seg[i].len;
	}
	libos_io_put(io);
	cm->os->count[LIBOS_C_COPIED_BYTES] += io->total;
	p->buf = buf;
	p->addr = buf->base;
	return 0;
}

/* 0: sent; EAGAIN: no room yet. */
static int send_large(struct link *link, struct dgram_out *d)
{
	struct wire_dgram *msg = (void *)link_reserve(link);
	uint32_t charge = d->piece.charge;

	if (!msg)
		return EAGAIN;
	memcpy(msg, &d->head, offsetof(struct wire_dgram, bytes));
	if (d->piece.len <= WIRE_DGRAM_INLINE_MAX) {
		memcpy(msg->bytes, d->piece.addr, d->piece.len);
		libos_buf_put(d->piece.buf);
		link->dgram_charge -= charge;
		link_publish(link, wire_tag(WIRE_DGRAM, 0, d->piece.len));
		return 0;
	}
	if (link_lend(link, &d->piece, NULL, &msg->ref))
		return EAGAIN;
	link_publish(link, wire_tag(WIRE_DGRAM_REF, 1, 0));
	catmem_count(link->cm, CATMEM_C_REF_MSGS, 1);
	return 0;
}

bool dgrams_send(struct link *link)
{
	for (; link->dgrams.n; fifo_pop(&link->dgrams))
		if (send_large(link, fifo_first(&link->dgrams, sizeof(struct dgram_out))))
			return false;
	return true;
}

void dgrams_drop(struct link *link)
{
	for (; link->dgrams.n; fifo_pop(&link->dgrams)) {
		struct dgram_out *d = fifo_first(&link->dgrams, sizeof(*d));

		libos_buf_put(d->piece.buf);
		link->dgram_charge -= d->piece.charge;
		catmem_count(link->cm, CATMEM_C_DGRAM_DROPS, 1);
	}
}

static void drop(struct catmem *cm, const struct libos_io *io)
{
	libos_io_put(io);
	catmem_count(cm, CATMEM_C_DGRAM_DROPS, 1);
}

/* What one destination has not taken in is bounded; over it, datagrams drop and
 * no other destination waits. */
static int queue_out(struct dsock *s, struct link *link, const struct wire_dgram *head,
		     const struct libos_io *io)
{
	struct dgram_out d = { .head = *head }, *last;
	int err;

	if (link->dgram_charge >= s->sndbuf) {
		drop(s->cm, io);
		return 0;
	}
	if (fifo_reserve(&link->dgrams, 1, sizeof(d)))
		return ENOMEM;
	err = join(s->cm, io, &d.piece);
	if (err)
		return err;
	link->dgram_charge += d.piece.charge;
	last = fifo_push(&link->dgrams, sizeof(d));
	*last = d;
	link_touch(link);
	if (link->state == LINK_UP && link->dgrams.n == 1)
		dgrams_send(link);
	return 0;
}

int dsock_push(struct libos_queue *q, struct libos_op *op, const struct libos_io *io,
	       const struct sockaddr_in *to)
{
	struct dsock *s = dsock_of(q);
	struct sockaddr_in dst = to ? *to : s->remote, src;
	struct wire_dgram head;
	struct link *link;
	int err;

	if (io->total > DGRAM_MAX)
		return EMSGSIZE;
	err = bind_implicitly(q);
	if (err)
		return err;
	if (!dst.sin_addr.s_addr)
		dst.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (name_route(s->cm, NAME_DGRAM, &dst, NULL, &link)) {
		drop(s->cm, io); /* nobody there: as lost as UDP's */
		libos_op_pushed(op, io);
		return 0;
	}
	src = source_for(s, &dst);
	head_fill(&head, &src, &dst);
	if (likely(link->state == LINK_UP && !link->dgrams.n &&
		   io->total <= WIRE_DGRAM_INLINE_MAX && send_small(link, &head, io))) {
		libos_io_put(io);
		libos_op_pushed(op, io);
		return 0;
	}
	err = queue_out(s, link, &head, io);
	if (!err)
		libos_op_pushed(op, io);
	return err;
}

/* ---- in */

static bool has_address(const struct dsock *s, const struct wire_dgram *msg)
{
	return s->local.sin_port == msg->dst_port &&
	       (!s->local.sin_addr.s_addr || s->local.sin_addr.s_addr == msg->dst_ip);
}

static bool address_is_ours(struct catmem *cm, const struct wire_dgram *msg)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &cm->dsocks)
		if (has_address(container_of(pos, struct dsock, node), msg))
			return true;
	return false;
}

static struct dsock *dsock_find(struct catmem *cm, const struct wire_dgram *msg)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &cm->dsocks) {
		struct dsock *s = container_of(pos, struct dsock, node);

		if (!has_address(s, msg))
			continue;
		if (s->q.has_peer && (s->remote.sin_port != msg->src_port ||
				      s->remote.sin_addr.s_addr != msg->src_ip))
			return NULL; /* a connected queue hears its peer alone */
		return s;
	}
	return NULL;
}

static void piece_drop(struct link *link, const struct piece *p)
{
	if (p->loan != NO_LOAN)
		link_return(link, p->loan);
	libos_buf_put(p->buf);
	catmem_count(link->cm, CATMEM_C_DGRAM_DROPS, 1);
}

static int piece_get(struct link *link, uint32_t tag, const struct wire_dgram *msg,
		     struct piece *p)
{
	uint32_t len = wire_tag_len(tag);
	struct wire_ref ref;
	struct libos_buf *buf;

	if (wire_tag_type(tag) == WIRE_DGRAM_REF) {
		memcpy(&ref, &msg->ref, sizeof(ref));
		return link_borrow(link, &ref, p);
	}
	if (!len || len > WIRE_DGRAM_INLINE_MAX)
		return EPROTO;
	buf = libos_buf_alloc(&link->cm->os->pool, len);
	if (unlikely(!buf))
		buf = reserve_alloc(link->cm);
	if (!buf)
		return ENOMEM;
	memcpy(buf->base, msg->bytes, len);
	*p = (struct piece){ buf, buf->base, len, 0, NO_LOAN };
	return 0;
}

static void popped(struct link *link, struct libos_op *op, const struct piece *p,
		   const struct sockaddr_in *from)
{
	if (p->loan != NO_LOAN && link)
		link_return(link, p->loan);
	loan_show_buf(p->buf);
	libos_op_popped(op, p->buf, p->addr, p->len, from);
}

static void dsock_in(struct link *link, struct dsock *s, struct piece *p,
		     const struct sockaddr_in *from)
{
	struct dgram_in *d;

	if (!list_empty(&s->q.waiting)) {
		popped(link, list_first(&s->q.waiting, struct libos_op, link), p, from);
		return;
	}
	d = s->pinned < s->rcvbuf && !s->rd_shut ? fifo_push(&s->in, sizeof(*d)) : NULL;
	if (!d) {
		piece_drop(link, p);
		return;
	}
	/* our own memory that came back is ours again at once */
	if (p->loan != NO_LOAN)
		link_return(link, p->loan);
	p->loan = NO_LOAN;
	p->charge = p->len + CATMEM_CHARGE;
	d->piece = *p;
	d->from = *from;
	s->pinned += p->charge;
}

void dgram_input(struct link *link, uint32_t tag, const struct wire_dgram *shared)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct wire_dgram msg;
	struct dsock *s;
	struct piece p;
	int err;

	memcpy(&msg, shared, offsetof(struct wire_dgram, bytes));
	err = piece_get(link, tag, shared, &p);
	if (err == EPROTO) {
		link_break(link, "sent a datagram that makes no sense");
		return;
	}
	s = dsock_find(link->cm, &msg);
	if (err) {
		catmem_count(link->cm, CATMEM_C_DGRAM_DROPS, 1);
		return;
	}
	if (!s) {
		piece_drop(link, &p);
		if (!address_is_ours(link->cm, &msg))
			link_reply(link, WIRE_GONE, msg.dst_ip, msg.dst_port);
		return;
	}
	from.sin_addr.s_addr = msg.src_ip;
	from.sin_port = msg.src_port;
	name_learn(link, NAME_DGRAM, msg.src_ip, msg.src_port);
	dsock_in(link, s, &p, &from);
}

int dsock_pop(struct libos_queue *q, struct libos_op *op)
{
	struct dsock *s = dsock_of(q);

	if (s->in.n) {
		struct dgram_in d = *(struct dgram_in *)fifo_first(&s->in, sizeof(d));

		fifo_pop(&s->in);
		s->pinned -= d.piece.charge;
		popped(NULL, op, &d.piece, &d.from);
	} else if (s->rd_shut) {
		libos_op_popped(op, NULL, NULL, 0, NULL);
	} else {
		list_add_tail(&q->waiting, &op->link);
	}
	return 0;
}

/* ---- the end */

static void in_drop(struct dsock *s)
{
	for (; s->in.n; fifo_pop(&s->in))
		libos_buf_put(((struct dgram_in *)fifo_first(&s->in, sizeof(struct dgram_in)))
				      ->piece.buf);
	s->pinned = 0;
}

int dsock_shutdown(struct libos_queue *q, int how)
{
	struct dsock *s = dsock_of(q);

	if (how == SHUT_WR)
		return 0;
	s->rd_shut = true;
	in_drop(s);
	while (!list_empty(&q->waiting))
		libos_op_popped(list_first(&q->waiting, struct libos_op, link), NULL, NULL, 0, NULL);
	return 0;
}

void dsock_close(struct libos_queue *q, struct libos_op *op)
{
	struct dsock *s = dsock_of(q);

	in_drop(s);
	list_del(&s->node);
	if (s->name) {
		name_drop(s->name);
		free(s->name);
	}
	fifo_fini(&s->in);
	free(s);
	if (op)
		libos_op_done(op);
}

#include "config.h"

#include "base/copy.h"
#include "catmem/conn.h"

#include <errno.h>
#include <string.h>

/*
 * What a connection hears: the messages of the ring, and pops.
 */

#define GATHER_SIZE 2048u

/* ---- messages */

/* A pop that waits gets what has come. */
static void deliver(struct conn *conn)
{
	while (conn->in.n && !list_empty(&conn->q.waiting)) {
		struct libos_op *op = list_first(&conn->q.waiting, struct libos_op, link);

		list_del(&op->link);
		conn_pop(&conn->q, op);
	}
}

static void data_refuse(struct conn *conn)
{
	conn->reset_late |= conn->closed;
	conn_want_send(conn);
}

/* Does what this peer's small messages wait in take half the pool? A sender of
 * ours keeps to its window, but each has its own: whatever they come to, others
 * are heard. */
static bool gathers_full(const struct link *link)
{
	return (uint64_t)link->n_gathers * GATHER_SIZE >= link->cm->os->pool_limit / 2;
}

/* Bytes of a slot: straight into the buffer of a pop that waits, or gathered. */
static void inline_in(struct link *link, struct conn *conn, const uint8_t *bytes, uint32_t len)
{
	struct libos_pool *pool = &conn->cm->os->pool;
	uint32_t charge = conn_charge(len);
	bool direct = !conn->in.n && !list_empty(&conn->q.waiting), gather = !direct;
	struct libos_buf *buf = conn->gather;
	struct piece *p;

	if (buf && !direct && conn->gathered + len <= GATHER_SIZE) {
		p = fifo_last(&conn->in, sizeof(*p));
		memcpy(buf->base + conn->gathered, bytes, len);
		conn->gathered += len;
		p->len += len;
		p->charge += charge;
		catmem_count(conn->cm, CATMEM_C_GATHERED_BYTES, len);
		return;
	}
	buf = gathers_full(link) ? NULL : libos_buf_alloc(pool, direct ? len : GATHER_SIZE);
	if (unlikely(!buf) && !gathers_full(link)) {
		buf = reserve_alloc(conn->cm);
		gather = false;
	}
	p = buf ? fifo_push(&conn->in, sizeof(*p)) : NULL;
	if (unlikely(!p)) {
		if (buf)
			libos_buf_put(buf);
		link->stalled = true; /* the message stays in the ring */
		return;
	}
	memcpy(buf->base, bytes, len);
	buf->origin = conn->origin;
	*p = (struct piece){ buf, buf->base, len, charge, NO_LOAN };
	conn->n_gathers++;
	link->n_gathers++;
	conn->gather = gather ? buf : NULL;
	conn->gathered = len;
	deliver(conn);
}

/* The usual message: of a slot, and a pop waits for it. Whatever is not usual is
 * left to conn_input(): false. A pop that waits means that the connection is
 * open, has not failed, and has nothing before this. */
bool conn_input_waited(struct link *link, uint32_t tag, const struct wire_data *msg)
{
	struct conn *conn = conn_find(link, wire_read(&msg->conn));
	uint32_t len = wire_tag_len(tag);
	struct libos_buf *buf;

	if (unlikely(!conn || list_empty(&conn->q.waiting) || len - 1u >= WIRE_INLINE_MAX))
		return false;
	buf = libos_buf_alloc(&conn->cm->os->pool, len);
	if (unlikely(!buf))
		return false;
	copy_small(buf->base, msg->bytes + wire_inline_at(len), len);
	buf->origin = conn->origin;
	conn->credit += conn_charge(len);
	if (unlikely(conn->credit >= CREDIT_BATCH || conn->eager))
		conn_want_send(conn);
	libos_op_popped(list_first(&conn->q.waiting, struct libos_op, link), buf, buf->base, len,
			NULL);
	return true;
}

static void data_in(struct link *link, struct conn *conn, uint32_t tag,
		    const struct wire_data *msg)
{
	uint32_t len = wire_tag_len(tag);

	if (!len || len > WIRE_INLINE_MAX) {
		link_break(link, "sent a message of impossible length");
		return;
	}
	if (unlikely(conn->closed || conn->rd_shut || conn->err)) {
		conn->credit += conn_charge(len);
		data_refuse(conn);
		return;
	}
	inline_in(link, conn, msg->bytes + wire_inline_at(len), len);
}

static void refs_in(struct link *link, struct conn *conn, uint32_t tag,
		    const struct wire_data *msg)
{
	struct wire_ref refs[WIRE_REFS_MAX];
	uint32_t n = wire_tag_count(tag);

	if (!n || n > WIRE_REFS_MAX) {
		link_break(link, "sent a message of impossible length");
		return;
	}
	memcpy(refs, msg->refs, sizeof(refs));
	if (conn && fifo_reserve(&conn->in, n, sizeof(struct piece))) {
		link->stalled = true;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct piece p;
		int err = link_borrow(link, &refs[i], &p);

		if (err) {
			link_break(link, err == EPROTO ? "referred to memory it did not share, or too often"
						       : strerror(err));
			return;
		}
		if (unlikely(!conn || conn->closed || conn->rd_shut || conn->err)) {
			if (p.loan != NO_LOAN)
				link_return(link, p.loan);
			libos_buf_put(p.buf);
			continue;
		}
		*(struct piece *)fifo_push(&conn->in, sizeof(p)) = p;
	}
	if (!conn)
		return;
	if (conn->closed || conn->rd_shut || conn->err)
		data_refuse(conn);
	conn->gather = NULL;
	deliver(conn);
}

static void fin_in(struct conn *conn)
{
	conn->fin_seen = true;
	conn->finack_owed = true;
	conn_want_send(conn);
	if (!conn->in.n)
		while (!list_empty(&conn->q.waiting))
			libos_op_popped(list_first(&conn->q.waiting, struct libos_op, link), NULL,
					NULL, 0, NULL);
}

static void finack_in(struct conn *conn)
{
	if (!conn->fin_sent)
		return;
	conn->fin_acked = true;
	conn_close_end(conn, 0);
	if (conn->reset_late)
		conn_want_send(conn);
	else
		conn_maybe_finish(conn);
}

static void reset_in(struct conn *conn)
{
	catmem_count(conn->cm, CATMEM_C_RESETS, 1);
	if (conn->q.state == LIBOS_CONNECTING) {
		conn_connect_fail(conn, ECONNREFUSED);
		return;
	}
	conn_detach(conn);
	if (conn->listener && conn->q.state == LIBOS_CONNECTED && !conn->in.n) {
		conn_pending_del(conn);
		conn->closed = true;
		conn_backlogs_move(conn->cm);
	}
	conn_fail(conn, ECONNRESET);
}

/* A name we do not know (any more): its memory goes back, the rest is late. */
static void stranger_in(struct link *link, uint32_t tag, const struct wire_data *msg)
{
	uint32_t peer = msg->word.peer_conn;

	if (wire_tag_type(tag) == WIRE_REFS)
		refs_in(link, NULL, tag, msg);
	else if (wire_tag_type(tag) == WIRE_ACCEPT)
		link_reply(link, WIRE_RESET, peer, ECONNRESET); /* we gave up waiting */
}

/* What comes before a connection is open could end up in another: in the one that
 * a refused connect gets from whoever has the name now. */
static bool too_early(const struct conn *conn, enum wire_type type)
{
	return !conn->open && type != WIRE_ACCEPT && type != WIRE_REFUSE && type != WIRE_RESET;
}

void conn_input(struct link *link, uint32_t tag, const struct wire_data *msg)
{
	struct conn *conn = conn_find(link, wire_read(&msg->conn));

	if (unlikely(!conn)) {
		stranger_in(link, tag, msg);
		return;
	}
	if (unlikely(too_early(conn, wire_tag_type(tag)))) {
		link_break(link, "used a connection that is not open");
		return;
	}
	switch (wire_tag_type(tag)) {
	case WIRE_DATA:
		data_in(link, conn, tag, msg);
		break;
	case WIRE_REFS:
		refs_in(link, conn, tag, msg);
		break;
	case WIRE_ACCEPT:
		conn_accept_in(conn, msg);
		break;
	case WIRE_REFUSE:
		conn_refuse_in(conn, msg->word.value);
		break;
	case WIRE_FIN:
		fin_in(conn);
		break;
	case WIRE_FINACK:
		finack_in(conn);
		break;
	case WIRE_RESET:
		reset_in(conn);
		break;
	case WIRE_CREDIT:
		conn_credit_in(conn, msg->word.value);
		break;
	case WIRE_NEED:
		conn->eager = true;
		conn_want_send(conn);
		break;
	default:
		link_break(link, "sent an unknown message");
		return;
	}
}

/* ---- to the program */

/* What was popped, or will never be: its memory and its credit go back. */
static void piece_done(struct conn *conn, const struct piece *p)
{
	conn->credit += p->charge;
	if (p->charge) {
		conn->n_gathers--;
		if (conn->link)
			conn->link->n_gathers--;
	}
	if (p->loan != NO_LOAN && conn->link)
		link_return(conn->link, p->loan);
	if (p->buf == conn->gather)
		conn->gather = NULL;
}

void conn_in_drop(struct conn *conn)
{
	for (; conn->in.n; fifo_pop(&conn->in)) {
		struct piece *p = fifo_first(&conn->in, sizeof(*p));

		piece_done(conn, p);
		libos_buf_put(p->buf);
	}
}

/* Up to M pieces in one pop; false: there is one, or no memory to list them. */
static bool pop_segs(struct conn *conn, struct libos_op *op)
{
	struct libos_io io = { 0, 0, { { 0 } } };

	for (; io.n < conn->in.n && io.n < DEMI_SGARRAY_MAXSIZE; io.n++) {
		struct piece *p = fifo_at(&conn->in, io.n, sizeof(*p));

		io.seg[io.n] = (struct libos_seg){ p->buf, p->addr, p->len };
		io.total += p->len;
	}
	if (io.n < 2 || !libos_op_popped_segs(op, &io))
		return false;
	for (uint32_t i = 0; i < io.n; i++) {
		piece_done(conn, fifo_first(&conn->in, sizeof(struct piece)));
		loan_show_buf(io.seg[i].buf);
		fifo_pop(&conn->in);
	}
	return true;
}

int conn_pop(struct libos_queue *q, struct libos_op *op)
{
	struct conn *conn = conn_of(q);

	if (likely(conn->in.n)) {
		struct piece *p = fifo_first(&conn->in, sizeof(*p));

		if (likely(!q->pop_segs) || !pop_segs(conn, op)) {
			piece_done(conn, p);
			loan_show_buf(p->buf);
			libos_op_popped(op, p->buf, p->addr, p->len, NULL);
			fifo_pop(&conn->in);
		}
		if (conn->credit >= CREDIT_BATCH || (conn->eager && conn->credit))
			conn_want_send(conn);
		return 0;
	}
	/* What resets it after the peer's end of stream takes nothing from that. */
	if (unlikely(conn->fin_seen || conn->rd_shut))
		libos_op_popped(op, NULL, NULL, 0, NULL);
	else if (unlikely(conn->err))
		libos_op_fail(op, conn->err);
	else
		list_add_tail(&q->waiting, &op->link);
	return 0;
}

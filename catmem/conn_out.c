#include "config.h"

#include "base/copy.h"
#include "catmem/conn.h"

#include <errno.h>
#include <string.h>

/*
 * What a connection says: pushes, their window, and the messages in the ring.
 */

#define HOARD_BUFS 1024u	/* with fewer in use, nobody hoards */

void conn_want_send(struct conn *conn)
{
	struct link *link = conn->link;

	if (!link)
		return;
	if (conn->sending_node.next == &conn->sending_node)
		list_add_tail(&link->sending, &conn->sending_node);
	link_touch(link);
}

void conn_out_drop(struct conn *conn)
{
	for (; conn->out.n; fifo_pop(&conn->out))
		libos_buf_put(((struct piece *)fifo_first(&conn->out, sizeof(struct piece)))->buf);
	conn->queued = 0;
}

/* ---- into the window */

static void inline_fill(uint8_t *to, const struct libos_io *io)
{
	for (uint32_t i = 0; i < io->n; i++) {
		memcpy(to, io->seg[i].addr, io->seg[i].len);
		to += io->seg[i].len;
	}
}

/* The shortest way: a small message, nothing before it, room in the ring. */
static bool push_inline(struct conn *conn, const struct libos_io *io)
{
	struct wire_data *msg;

	if (io->total > WIRE_INLINE_MAX || conn->out.n ||
	    unlikely(!conn->open || conn->accept_owed || !conn->link))
		return false;
	msg = (void *)link_reserve(conn->link);
	if (unlikely(!msg))
		return false;
	inline_fill(msg->bytes + wire_inline_at(io->total), io);
	msg->conn = conn->peer;
	link_publish_data(conn->link, msg, wire_tag(WIRE_DATA, 0, io->total));
	conn->outstanding += conn_charge(io->total);
	catmem_count(conn->cm, CATMEM_C_INLINE_MSGS, 1);
	return true;
}

/* Into the send window. */
static int conn_take(struct conn *conn, struct libos_op *op, const struct libos_io *io)
{
	if (likely(push_inline(conn, io))) {
		libos_io_put(io);
		libos_op_pushed(op, io);
		return 0;
	}
	if (fifo_reserve(&conn->out, io->n, sizeof(struct piece)))
		return ENOMEM;
	for (uint32_t i = 0; i < io->n; i++) {
		struct piece *p = fifo_push(&conn->out, sizeof(*p));

		*p = (struct piece){ io->seg[i].buf, io->seg[i].addr, io->seg[i].len,
				     conn_charge(io->seg[i].len), NO_LOAN };
		conn->queued += p->charge;
	}
	libos_op_pushed(op, io);
	conn_want_send(conn);
	if (conn->link && conn->link->state == LINK_UP &&
	    conn->link->sending.next == &conn->sending_node) {
		list_del(&conn->sending_node);
		if (!conn_send(conn))
			conn_want_send(conn);
	}
	return 0;
}

static bool window_full(const struct conn *conn)
{
	return (uint64_t)conn->outstanding + conn->lent_charge + conn->queued >= conn->sndbuf;
}

/* What failed, or may still go nowhere. */
static int push_to_nobody(struct conn *conn, struct libos_op *op, const struct libos_io *io)
{
	libos_io_put(io);
	if (conn->err || conn->quiet_pushed)
		libos_op_fail(op, conn->err ? conn->err : ECONNRESET);
	else
		libos_op_pushed(op, io);
	conn->quiet_pushed = true; /* as TCP: the first meets the reset */
	return 0;
}

static slow_path int push_other(struct conn *conn, struct libos_op *op, const struct libos_io *io)
{
	struct libos_queue *q = &conn->q;

	if (conn->err || conn->quiet)
		return push_to_nobody(conn, op, io);
	if (list_empty(&q->pushes) && !window_full(conn))
		return conn_take(conn, op, io);
	libos_op_push(op)->io = *io;
	list_add_tail(&q->pushes, &op->link);
	if (!conn->need_sent) {
		conn->need_sent = conn->need_owed = true;
		conn_want_send(conn);
	}
	return 0;
}

/* A small message of one piece, with nothing before it, goes straight into the
 * ring. A link means that the connection has neither failed nor ended. */
int conn_push(struct libos_queue *q, struct libos_op *op, const struct libos_io *io)
{
	struct conn *conn = conn_of(q);
	uint32_t len = io->total;
	struct wire_data *msg;

	if (unlikely(len > WIRE_INLINE_MAX || io->n != 1 || !conn->link || !conn->open ||
		     conn->accept_owed || conn->out.n || !list_empty(&q->pushes) || window_full(conn)))
		return push_other(conn, op, io);
	msg = (void *)link_reserve(conn->link);
	if (unlikely(!msg))
		return push_other(conn, op, io);
	copy_small(msg->bytes + wire_inline_at(len), io->seg[0].addr, len);
	msg->conn = conn->peer;
	link_publish_data(conn->link, msg, wire_tag(WIRE_DATA, 0, len));
	conn->outstanding += conn_charge(len);
	catmem_count(conn->cm, CATMEM_C_INLINE_MSGS, 1);
	libos_buf_put(io->seg[0].buf);
	libos_op_pushed(op, io);
	return 0;
}

/* The window has opened: pushes that waited, in their order. */
static void pushes_take(struct conn *conn)
{
	while (!list_empty(&conn->q.pushes) && !window_full(conn)) {
		struct libos_op *op = list_first(&conn->q.pushes, struct libos_op, link);
		struct libos_io io = libos_op_push(op)->io;
		int err;

		list_del(&op->link);
		err = conn_take(conn, op, &io);
		if (err) {
			libos_op_fail(op, err);
			libos_io_put(&io);
		}
	}
}

/* The end of stream may have waited for it. */
void conn_push_cancelled(struct conn *conn)
{
	if (conn->fin_owed && !conn->fin_sent)
		conn_want_send(conn);
}

static void window_open(struct conn *conn)
{
	if (conn->finished) {
		if (!conn->n_lent)
			conn_free(conn);
		return;
	}
	pushes_take(conn);
	if (conn->closed || (conn->fin_owed && !conn->fin_sent))
		conn_want_send(conn);
}

void conn_lent_back(struct conn *conn, uint32_t charge)
{
	conn->lent_charge -= charge;
	window_open(conn);
}

/* What rode in slots, and no more: what is lent stays on the account until it is
 * back. */
void conn_credit_in(struct conn *conn, uint32_t charge)
{
	if (charge > conn->outstanding) {
		link_break(conn->link, "gave credit for what it was not sent");
		return;
	}
	conn->outstanding -= charge;
	window_open(conn);
}

/* ---- into the ring */

static void piece_sent(struct conn *conn, uint32_t charge)
{
	conn->queued -= charge;
	conn->lent_charge += charge;
	fifo_pop(&conn->out);
}

/* As many of the first pieces as fit into a slot, joined there. */
static void send_inline(struct conn *conn, struct wire_data *msg)
{
	uint8_t bytes[WIRE_INLINE_MAX];
	uint32_t len = 0;

	while (conn->out.n) {
		struct piece *p = fifo_first(&conn->out, sizeof(*p));

		if (p->len > WIRE_INLINE_MAX - len)
			break;
		memcpy(bytes + len, p->addr, p->len);
		len += p->len;
		libos_buf_put(p->buf);
		conn->queued -= p->charge;
		fifo_pop(&conn->out);
	}
	memcpy(msg->bytes + wire_inline_at(len), bytes, len);
	msg->conn = conn->peer;
	conn->outstanding += conn_charge(len);
	link_publish_data(conn->link, msg, wire_tag(WIRE_DATA, 0, len));
	catmem_count(conn->cm, CATMEM_C_INLINE_MSGS, 1);
}

/* References to the first pieces; false if even the first has to wait. */
static bool send_refs(struct conn *conn, struct wire_data *msg)
{
	uint32_t n = 0;

	while (conn->out.n && n < WIRE_REFS_MAX) {
		struct piece *p = fifo_first(&conn->out, sizeof(*p));

		if (link_lend(conn->link, p, conn, &msg->refs[n]))
			break;
		piece_sent(conn, p->charge);
		n++;
	}
	if (!n)
		return false;
	msg->conn = conn->peer;
	link_publish_data(conn->link, msg, wire_tag(WIRE_REFS, n, 0));
	catmem_count(conn->cm, CATMEM_C_REF_MSGS, 1);
	return true;
}

static bool send_out(struct conn *conn)
{
	while (conn->out.n) {
		struct wire_data *msg = (void *)link_reserve(conn->link);
		struct piece *p = fifo_first(&conn->out, sizeof(*p));

		if (!msg)
			return false;
		if (p->len <= WIRE_INLINE_MAX)
			send_inline(conn, msg);
		else if (!send_refs(conn, msg))
			return false;
	}
	return true;
}

static bool send_word(struct conn *conn, enum wire_type type, uint32_t value)
{
	struct wire_data *msg = (void *)link_reserve(conn->link);

	if (!msg)
		return false;
	msg->conn = conn->peer;
	msg->word.peer_conn = conn->id;
	msg->word.value = value;
	link_publish(conn->link, wire_tag(type, 0, 0));
	return true;
}

static bool send_connect(struct conn *conn)
{
	struct wire_connect *msg;
	struct wire_note note = { .type = WIRE_NOTE_PIPE, .value = conn->id };

	if (conn->q.type == LIBOS_PIPE) {
		const char *pipe = name_pipe(conn->name);

		return !link_note(conn->link, &note, pipe, strlen(pipe), -1);
	}
	msg = (void *)link_reserve(conn->link);
	if (!msg)
		return false;
	msg->peer_conn = conn->id;
	msg->src_ip = conn->local.sin_addr.s_addr;
	msg->src_port = conn->local.sin_port;
	msg->dst_ip = conn->remote.sin_addr.s_addr;
	msg->dst_port = conn->remote.sin_port;
	link_publish(conn->link, wire_tag(WIRE_CONNECT, 0, 0));
	return true;
}

/* A flag that stands for one message: sent, it is cleared. */
static bool send_flagged(struct conn *conn, bool *owed, enum wire_type type, uint32_t value)
{
	if (*owed && !send_word(conn, type, value))
		return false;
	*owed = false;
	return true;
}

/* Of its small messages, what the program has popped and not freed. */
static uint32_t count_unfreed(const struct conn *conn)
{
	uint64_t n = libos_pool_held(&conn->cm->os->pool, conn->origin, CATMEM_CHARGE) +
		     libos_pool_held(&conn->cm->reserve, conn->origin, CATMEM_CHARGE);

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* So much of one connection's small messages the program may hold; what it has
 * freed is not told, so all its buffers are looked at, but only when it holds many
 * and may have come that far since the last time. */
static bool is_hoarded(struct conn *conn)
{
	struct catmem *cm = conn->cm;
	uint64_t limit = cm->os->pool_limit / 8;

	if (limit > cm->rcvbuf)
		limit = cm->rcvbuf;
	if (conn->closed || cm->os->count[LIBOS_C_BUFS_OUT] - cm->n_loans < HOARD_BUFS)
		conn->unfreed = 0;
	else if ((uint64_t)conn->unfreed + conn->credit >= limit)
		conn->unfreed = count_unfreed(conn);
	return conn->unfreed >= limit;
}

/* Kept back while the program hoards: the peer's window closes, and is opened again
 * when it is seen to have freed enough. */
static bool send_credit(struct conn *conn)
{
	if (!conn->credit || (!conn->eager && conn->credit < CREDIT_BATCH) ||
	    !list_empty(&conn->hoard_node))
		return true;
	if (unlikely(is_hoarded(conn))) {
		list_add_tail(&conn->cm->hoards, &conn->hoard_node);
		chores_within(conn->cm, MEMORY_RETRY_NS);
		return true;
	}
	if (!send_word(conn, WIRE_CREDIT, conn->credit))
		return false;
	conn->unfreed += conn->credit;
	conn->credit = 0;
	return true;
}

void hoards_look(struct catmem *cm)
{
	struct list now;

	list_init(&now);
	list_splice_tail(&now, &cm->hoards);
	while (!list_empty(&now)) {
		struct conn *conn = list_first(&now, struct conn, hoard_node);

		list_del(&conn->hoard_node);
		conn_want_send(conn);
	}
}

static bool send_fin(struct conn *conn)
{
	if (!conn->fin_owed || conn->fin_sent || conn->out.n || !list_empty(&conn->q.pushes))
		return true;
	conn->fin_sent = send_word(conn, WIRE_FIN, 0);
	return conn->fin_sent;
}

bool conn_send(struct conn *conn)
{
	if (conn->connect_owed) {
		if (conn->link->state != LINK_UP || !send_connect(conn))
			return false;
		conn->connect_owed = false;
	}
	if (!conn->open)
		return true; /* the rest when it has been accepted */
	if (!send_flagged(conn, &conn->accept_owed, WIRE_ACCEPT, 0))
		return false;
	if (conn->reset_owed) {
		if (!send_flagged(conn, &conn->reset_owed, WIRE_RESET, ECONNRESET))
			return false;
		conn_fail(conn, ECONNRESET);
		return true;
	}
	if (!send_out(conn) || !send_flagged(conn, &conn->need_owed, WIRE_NEED, 0) ||
	    !send_credit(conn) || !send_flagged(conn, &conn->finack_owed, WIRE_FINACK, 0) ||
	    !send_fin(conn))
		return false;
	if (conn->reset_late && conn->fin_acked) { /* it goes on sending to nobody */
		if (!send_word(conn, WIRE_RESET, ECONNRESET))
			return false;
		conn_fail(conn, ECONNRESET);
		return true;
	}
	conn_maybe_finish(conn);
	return true;
}

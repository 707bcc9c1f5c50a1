#include "config.h"

#include "catmem/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Stream queues and pipes: how a connection lives, fails and ends. How it comes
 * about is in conn_open.c, its bytes in conn_out.c and conn_in.c.
 */

int conn_new(struct catmem *cm, enum libos_queue_type type, struct conn **conn_out)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return ENOMEM;
	libos_queue_init(&conn->q, &cm->ctx, type);
	conn->cm = cm;
	conn->sndbuf = cm->sndbuf;
	options_init(&conn->options);
	list_init(&conn->sending_node);
	list_init(&conn->hoard_node);
	cm->next_origin += 1 + (cm->next_origin == UINT32_MAX); /* never 0 */
	conn->origin = cm->next_origin;
	list_init(&conn->node);
	catmem_count(cm, CATMEM_C_CONNS, 1);
	*conn_out = conn;
	return 0;
}

/* Gives it a name on the link. */
int conn_attach(struct conn *conn, struct link *link)
{
	uint32_t slot;

	if (link->free_conns.n > 64 || (link->free_conns.n && link->n_conns == link->cap_conns)) {
		slot = *(uint32_t *)fifo_first(&link->free_conns, sizeof(slot));
		fifo_pop(&link->free_conns);
	} else if (link->n_conns < link->cap_conns) {
		slot = link->n_conns++;
	} else {
		uint32_t cap = link->cap_conns ? link->cap_conns * 2 : 4;
		struct conn_slot *slots = cap >> CONN_SLOT_BITS ? NULL
					: realloc(link->conns, cap * sizeof(*slots));

		if (!slots)
			return ENOMEM;
		memset(slots + link->cap_conns, 0, (cap - link->cap_conns) * sizeof(*slots));
		link->conns = slots;
		link->cap_conns = cap;
		slot = link->n_conns++;
	}
	link->conns[slot].conn = conn;
	link->conns[slot].id = ((link->conns[slot].id >> CONN_SLOT_BITS) + 1) << CONN_SLOT_BITS | slot;
	conn->id = link->conns[slot].id;
	conn->link = link;
	return 0;
}

void conn_detach(struct conn *conn)
{
	struct link *link = conn->link;
	uint32_t slot = conn->id & ((1u << CONN_SLOT_BITS) - 1), *freed;

	if (!link)
		return;
	list_del(&conn->sending_node);
	for (uint32_t i = 0; i < conn->in.n; i++) { /* still to be popped */
		struct piece *p = fifo_at(&conn->in, i, sizeof(*p));

		if (p->loan != NO_LOAN)
			link_return(link, p->loan);
		p->loan = NO_LOAN;
	}
	link->n_gathers -= conn->n_gathers;
	list_del(&conn->hoard_node);
	conn->link = NULL;
	link->conns[slot].conn = NULL;
	freed = fifo_push(&link->free_conns, sizeof(*freed));
	if (freed) /* else the slot is never used again */
		*freed = slot;
}

struct conn *conn_find(struct link *link, uint32_t id)
{
	uint32_t slot = id & ((1u << CONN_SLOT_BITS) - 1);

	return slot < link->n_conns && link->conns[slot].id == id ? link->conns[slot].conn : NULL;
}

void conn_name_release(struct conn *conn)
{
	if (conn->name) {
		name_drop(conn->name);
		free(conn->name);
		conn->name = NULL;
	}
	if (conn->port)
		name_port_free(conn->cm, conn->port);
	conn->port = 0;
}

void conn_free(struct conn *conn)
{
	conn_out_drop(conn);
	conn_in_drop(conn);
	conn_detach(conn);
	conn_name_release(conn);
	list_del(&conn->node);
	fifo_fini(&conn->out);
	fifo_fini(&conn->in);
	catmem_count(conn->cm, CATMEM_C_CONNS, -1);
	free(conn);
}

void conn_finish(struct conn *conn)
{
	conn->finished = true;
	conn_in_drop(conn);
	conn_detach(conn);
	conn_name_release(conn);
	if (!conn->n_lent)
		conn_free(conn);
}

void conn_close_end(struct conn *conn, int err)
{
	struct libos_op *op = conn->close_op;

	conn->close_op = NULL;
	if (op && err)
		libos_op_fail(op, err);
	else if (op)
		libos_op_done(op);
}

bool conn_maybe_finish(struct conn *conn)
{
	if (!conn->closed || conn->finished)
		return false;
	if (!conn->err && !(conn->fin_acked && conn->fin_seen && !conn->finack_owed))
		return false;
	conn_finish(conn);
	return true;
}

void conn_fail(struct conn *conn, int err)
{
	if (conn->err)
		return;
	conn->err = err;
	if (conn->q.type == LIBOS_PIPE)
		conn_name_release(conn);
	conn_out_drop(conn);
	libos_queue_fail_pushes(&conn->q, err);
	if (!conn->in.n)
		libos_queue_fail_waiting(&conn->q, err);
	conn_close_end(conn, err);
	conn_maybe_finish(conn);
}

void conn_link_gone(struct conn *conn)
{
	bool pending = conn->listener && conn->q.state == LIBOS_CONNECTED;

	if (conn->q.state == LIBOS_CONNECTING) {
		conn_connect_again(conn);
		return;
	}
	conn_detach(conn);
	if (pending && !conn->in.n && !conn->fin_seen) { /* nobody has seen it */
		conn_pending_del(conn);
		conn->closed = true;
	}
	conn_close_end(conn, conn->fin_acked ? 0 : ECONNRESET);
	if (conn->fin_seen && !conn->closed) {
		conn->quiet = true;
		if (conn->q.type == LIBOS_PIPE)
			conn_name_release(conn);
		conn_out_drop(conn);
		libos_queue_fail_pushes(&conn->q, ECONNRESET);
		return;
	}
	conn_fail(conn, ECONNRESET);
}

/* ---- the end */

/* The peer learns of the end now, for the program may not wait again. conn may be
 * gone afterwards. */
static void say_now(struct conn *conn)
{
	struct link *link = conn->link;
	int saved = errno;

	conn_want_send(conn);
	if (link)
		link_flush(link);
	errno = saved;
}

int conn_shutdown(struct libos_queue *q, int how)
{
	struct conn *conn = conn_of(q);

	if (how != SHUT_WR) {
		conn->rd_shut = true;
		conn_in_drop(conn);
		while (!list_empty(&q->waiting))
			libos_op_popped(list_first(&q->waiting, struct libos_op, link), NULL, NULL,
					0, NULL);
	}
	if (how != SHUT_RD)
		conn->fin_owed = true;
	say_now(conn);
	return 0;
}

static bool never_connected(const struct conn *conn)
{
	return conn->q.state != LIBOS_CONNECTED || (!conn->link && !conn->open);
}

void conn_close(struct libos_queue *q, struct libos_op *op)
{
	struct conn *conn = conn_of(q);

	conn->closed = true;
	conn->close_op = op;
	conn_in_drop(conn);
	if (q->state == LIBOS_LISTENING)
		conn_unlisten(conn);
	if (never_connected(conn) || conn->err || conn->quiet) {
		libos_queue_fail_pushes(q, conn->err ? conn->err : ECANCELED);
		conn_close_end(conn, conn->err);
		conn_finish(conn);
		return;
	}
	list_del(&conn->node);
	list_add_tail(&conn->cm->closing, &conn->node);
	chores_within(conn->cm, conn->cm->fin_wait / 4);
	if (conn->options.linger_s == 0) {
		conn_out_drop(conn);
		libos_queue_fail_pushes(q, ECONNRESET);
		conn->reset_owed = true;
		conn_close_end(conn, 0); /* what was asked for: nothing is awaited */
	} else {
		conn->fin_owed = true;
	}
	say_now(conn);
}

/* All it was to be told is in its ring, but it does not answer, or not close. */
static bool overdue(struct conn *conn)
{
	uint64_t now = conn->cm->os->now;

	if (!conn->link || !conn->fin_sent || conn->finished || conn->err)
		return false;
	if (!conn->fin_since)
		conn->fin_since = now;
	return now - conn->fin_since >= conn->cm->fin_wait;
}

/* As a TCP whose program has closed gives up at last. What was pushed is there: a
 * peer that reads it later meets its end before the reset. */
void closing_look(struct catmem *cm)
{
	struct list *pos, *tmp;

	chores_within(cm, cm->fin_wait / 4);
	list_for_each_safe(pos, tmp, &cm->closing) {
		struct conn *conn = container_of(pos, struct conn, node);

		if (!overdue(conn))
			continue;
		link_reply(conn->link, WIRE_RESET, conn->peer, ECONNRESET);
		conn_fail(conn, ETIMEDOUT);
	}
}

bool conn_owes(const struct conn *conn)
{
	if (conn->finished || conn->err || !conn->link)
		return false;
	return conn->out.n || !list_empty(&conn->q.pushes) || conn->reset_owed ||
	       (conn->fin_owed && !conn->fin_sent);
}

/* ---- pipes */

int conn_pipe(struct catmem *cm, const char *pipe, bool create, struct libos_queue **q_out)
{
	struct name *name = calloc(1, sizeof(*name));
	struct conn *conn;
	struct link *link = NULL;
	int err;

	if (!name)
		return ENOMEM;
	err = conn_new(cm, LIBOS_PIPE, &conn);
	if (err) {
		free(name);
		return err;
	}
	err = create ? name_bind_pipe(cm, pipe, name) : name_open_pipe(cm, pipe, name, &link);
	if (!err) {
		conn->name = name;
		err = create ? name_listen(name) : conn_attach(conn, link);
	} else {
		free(name);
	}
	if (err) {
		conn_free(conn);
		return err;
	}
	conn->q.state = LIBOS_CONNECTED;
	if (create)
		list_add_tail(&cm->pipes, &conn->node);
	conn->connect_owed = !create;
	conn_want_send(conn);
	*q_out = &conn->q;
	return 0;
}

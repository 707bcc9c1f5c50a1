#include "config.h"

#include "catmem/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * How connections come about: bind, listen, accept, connect, and what the other
 * side says to that.
 */

#define MAX_PENDING 65536u	/* connections in a backlog, told or not */

/* ---- addresses */

int conn_bind(struct libos_queue *q, const struct sockaddr_in *addr)
{
	struct conn *conn = conn_of(q);
	struct name *name = calloc(1, sizeof(*name));
	struct sockaddr_in sin = *addr;
	int err = name ? name_bind(conn->cm, NAME_STREAM, &sin, name) : ENOMEM;

	if (err) {
		free(name);
		return err;
	}
	conn->name = name;
	conn->local = sin;
	q->state = LIBOS_BOUND;
	return 0;
}

int conn_listen(struct libos_queue *q, int backlog)
{
	struct conn *conn = conn_of(q);
	struct listener *l = calloc(1, sizeof(*l));
	int err = l ? name_listen(conn->name) : ENOMEM;

	if (err) {
		free(l);
		return err;
	}
	l->conn = conn;
	l->backlog = (uint32_t)backlog;
	list_init(&l->pending);
	list_add_tail(&conn->cm->listeners, &l->node);
	conn->listener = l;
	q->state = LIBOS_LISTENING;
	return 0;
}

/* ---- connections coming in */

/* The backlog has room: the next peer learns that it is connected. */
static void tell_next(struct listener *l)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &l->pending) {
		struct conn *conn = container_of(pos, struct conn, node);

		if (l->n_told >= l->backlog)
			return;
		if (conn->open)
			continue;
		conn->open = conn->accept_owed = true;
		l->n_told++;
		conn_want_send(conn);
	}
}

/* Hands the oldest connection to the oldest accept. */
static void accept_next(struct listener *l)
{
	struct libos_queue *q = &l->conn->q;

	tell_next(l);
	while (!list_empty(&q->waiting) && l->n_told) {
		struct libos_op *op = list_first(&q->waiting, struct libos_op, link);
		struct conn *conn = list_first(&l->pending, struct conn, node);
		int err = libos_queue_open(q->ctx->os, &conn->q);

		if (err) {
			libos_op_fail(op, err);
			return;
		}
		conn_pending_del(conn);
		libos_op_accepted(op, &conn->q, &conn->remote);
		tell_next(l);
	}
}

int conn_accept(struct libos_queue *q, struct libos_op *op)
{
	list_add_tail(&q->waiting, &op->link);
	accept_next(conn_of(q)->listener);
	if (unlikely(conn_of(q)->name->deaf))
		name_admit(conn_of(q)->name);
	return 0;
}

/* A new peer cannot be let in for want of a descriptor. It waits in the backlog of
 * the socket; the next accept tries again. */
bool conn_starved(const struct name *name, int err)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &name->cm->listeners) {
		struct listener *l = container_of(pos, struct listener, node);

		if (l->conn->name != name)
			continue;
		libos_queue_fail_waiting(&l->conn->q, err);
		return true;
	}
	return false;
}

static struct listener *listener_find(struct catmem *cm, uint32_t ip, uint16_t port)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &cm->listeners) {
		struct listener *l = container_of(pos, struct listener, node);
		const struct sockaddr_in *a = &l->conn->local;

		if (a->sin_port == port && (a->sin_addr.s_addr == ip || !a->sin_addr.s_addr))
			return l;
	}
	return NULL;
}

void conn_connect_in(struct link *link, const struct wire_connect *msg)
{
	struct listener *l = listener_find(link->cm, msg->dst_ip, msg->dst_port);
	struct conn *conn;

	if (!l || l->n_pending >= MAX_PENDING || conn_new(link->cm, LIBOS_STREAM, &conn)) {
		link_reply(link, WIRE_REFUSE, msg->peer_conn, ECONNREFUSED);
		return;
	}
	if (conn_attach(conn, link)) {
		conn_free(conn);
		link_reply(link, WIRE_REFUSE, msg->peer_conn, ECONNREFUSED);
		return;
	}
	conn->peer = msg->peer_conn;
	conn->q.state = LIBOS_CONNECTED;
	conn->sndbuf = l->conn->sndbuf;
	conn->options = l->conn->options;
	conn->local = l->conn->local;
	conn->local.sin_addr.s_addr = msg->dst_ip;
	conn->remote.sin_family = AF_INET;
	conn->remote.sin_addr.s_addr = msg->src_ip;
	conn->remote.sin_port = msg->src_port;
	conn->listener = l;
	list_add_tail(&l->pending, &conn->node);
	l->n_pending++;
	accept_next(l);
}

/* Somebody opens a pipe that we created. */
void conn_pipe_in(struct link *link, uint32_t peer_conn, const char *pipe)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &link->cm->pipes) {
		struct conn *conn = container_of(pos, struct conn, node);

		if (strcmp(name_pipe(conn->name), pipe))
			continue;
		if (conn_attach(conn, link))
			break;
		list_del(&conn->node);
		name_stop(conn->name);
		conn->peer = peer_conn;
		conn->open = conn->accept_owed = true;
		conn_want_send(conn);
		return;
	}
	link_reply(link, WIRE_REFUSE, peer_conn, EBUSY);
}

void conn_pending_del(struct conn *conn)
{
	struct listener *l = conn->listener;

	if (!l)
		return;
	list_del(&conn->node);
	conn->listener = NULL;
	l->n_pending--;
	l->n_told -= conn->open;
}

/* Some that waited have gone, and left room. */
void conn_backlogs_move(struct catmem *cm)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &cm->listeners)
		accept_next(container_of(pos, struct listener, node));
}

void conn_unlisten(struct conn *conn)
{
	struct listener *l = conn->listener;

	while (!list_empty(&l->pending)) {
		struct conn *c = list_first(&l->pending, struct conn, node);

		conn_pending_del(c);
		c->closed = true;
		if (c->link) {
			link_reply(c->link, c->open && !c->accept_owed ? WIRE_RESET : WIRE_REFUSE,
				   c->peer, ECONNREFUSED);
		}
		conn_finish(c);
	}
	list_del(&l->node);
	free(l);
	conn->listener = NULL;
}

/* ---- connecting */

static void back_to_new(struct conn *conn)
{
	conn_detach(conn);
	conn->q.state = conn->name ? LIBOS_BOUND : LIBOS_NEW;
	conn->connect_owed = false;
	if (conn->port)
		name_port_free(conn->cm, conn->port);
	conn->port = 0;
	if (!conn->name)
		memset(&conn->local, 0, sizeof(conn->local));
	else if (conn->wild)
		conn->local.sin_addr.s_addr = htonl(INADDR_ANY);
}

/* The answer, if there will be one, meets no connection any more. */
void conn_connect_cancel(struct conn *conn)
{
	back_to_new(conn);
}

void conn_connect_fail(struct conn *conn, int err)
{
	struct libos_op *op = conn->q.connect;

	if (err == ECONNREFUSED)
		name_log_refused(conn->cm, &conn->remote);
	back_to_new(conn);
	conn->q.connect = NULL;
	if (op)
		libos_op_fail(op, err);
}

static int connect_start(struct conn *conn, const struct link *stale)
{
	struct link *link;
	int err = name_route(conn->cm, NAME_STREAM, &conn->remote, stale, &link);

	if (!err)
		err = conn_attach(conn, link);
	if (err)
		return err;
	conn->connect_owed = true;
	conn_want_send(conn);
	return 0;
}

static int local_choose(struct conn *conn)
{
	int err;

	if (conn->q.state == LIBOS_BOUND) {
		conn->wild = !conn->local.sin_addr.s_addr;
		if (conn->wild)
			conn->local.sin_addr = conn->remote.sin_addr;
		return 0;
	}
	err = name_port(conn->cm, &conn->port);
	conn->local.sin_family = AF_INET;
	conn->local.sin_addr = conn->remote.sin_addr;
	conn->local.sin_port = conn->port;
	return err;
}

int conn_connect(struct libos_queue *q, struct libos_op *op, const struct sockaddr_in *addr)
{
	struct conn *conn = conn_of(q);
	int err;

	conn->remote = *addr;
	if (!conn->remote.sin_addr.s_addr)
		conn->remote.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	conn->retried = false;
	q->connect = op;
	err = local_choose(conn);
	if (!err)
		err = connect_start(conn, NULL);
	if (err)
		conn_connect_fail(conn, err);
	else
		q->state = LIBOS_CONNECTING;
	return 0;
}

/* Did we ask the peer for it, and it has not said yet? A pipe that its creator has
 * on a link is open. */
static bool awaits_accept(const struct conn *conn)
{
	return (conn->q.state == LIBOS_CONNECTING || conn->q.type == LIBOS_PIPE) &&
	       !conn->open && !conn->connect_owed;
}

void conn_accept_in(struct conn *conn, const struct wire_data *msg)
{
	uint32_t peer = msg->word.peer_conn;

	if (!awaits_accept(conn)) {
		link_break(conn->link, "accepted a connection that nobody asked for");
		return;
	}
	conn->peer = peer;
	conn->open = true;
	if (conn->q.type == LIBOS_PIPE)
		conn_name_release(conn); /* from here on the creator lets nobody in */
	if (conn->q.state == LIBOS_CONNECTING) {
		struct libos_op *op = conn->q.connect;

		conn->q.state = LIBOS_CONNECTED;
		conn->q.connect = NULL;
		if (op)
			libos_op_done(op);
	}
	conn_want_send(conn);
}

/* The route may have led to a process that has given up the name, or has died:
 * whoever has it now is asked, once. */
void conn_connect_again(struct conn *conn)
{
	const struct link *stale = conn->link;

	conn_detach(conn);
	if (!conn->retried) {
		conn->retried = true;
		if (!connect_start(conn, stale))
			return;
	}
	conn_connect_fail(conn, ECONNREFUSED);
}

void conn_refuse_in(struct conn *conn, uint32_t err)
{
	if (conn->q.type == LIBOS_PIPE) {
		conn_detach(conn);
		conn_fail(conn, err && err < 4096 ? (int)err : ECONNREFUSED);
		return;
	}
	if (conn->q.state == LIBOS_CONNECTING)
		conn_connect_again(conn);
}

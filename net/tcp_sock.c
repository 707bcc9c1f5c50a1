/* The calls of net/net.h on TCP sockets. */
#include "config.h"

#include "net/tcp.h"

#include <errno.h>
#include <stdlib.h>

#include "net/tcp_ack.h"
#include "net/tcp_cc.h"
#include "net/tcp_conn.h"
#include "net/tcp_listen.h"
#include "net/tcp_out.h"
#include "net/tcp_setup.h"
#include "net/tcp_timer.h"

#define SEND_MAX (UINT32_C(1) << 30)	/* bytes of one call: the sequence space is 2^32 */

int net_tcp_socket(struct net_stack *stack, struct net_sock **sock_out)
{
	struct tcp_conn *c = tcp_conn_new(stack, TCP_OWNED);

	if (!c)
		return ENOMEM;
	*sock_out = &c->s;
	return 0;
}

static bool is_new(const struct tcp_conn *c)
{
	return c->state == TCPS_CLOSED && !c->s.peer.port;
}

/* ---- listen, accept */

int net_tcp_listen(struct net_sock *s, int backlog)
{
	struct net_addr any = { .ip = net_ip4(0) };
	struct tcp_conn *c = tcp_conn(s);
	int err;

	if (!is_new(c))
		return c->state == TCPS_LISTEN ? EADDRINUSE : EISCONN;
	err = s->bound ? 0 : net_port_bind(s, &any);
	if (err)
		return err;
	if (net_port_has_listener(s))
		return EADDRINUSE;
	c->listener = calloc(1, sizeof(*c->listener));
	if (!c->listener)
		return ENOMEM;
	list_init(&c->listener->half);
	list_init(&c->listener->full);
	c->listener->backlog = backlog > 0 ? (uint32_t)backlog : 1;
	s->listens = true;
	tcp_conn_set_state(c, TCPS_LISTEN);
	return 0;
}

int net_tcp_accept(struct net_sock *s, void *user, struct net_sock **sock_out,
		   struct net_addr *peer_out)
{
	struct tcp_conn *l = tcp_conn(s);
	struct net_sock *child;

	if (l->state != TCPS_LISTEN)
		return EINVAL;
	if (list_empty(&l->listener->full))
		return EAGAIN;
	child = list_first(&l->listener->full, struct net_sock, ready);
	list_del(&child->ready);
	l->listener->n_full--;
	tcp_conn(child)->owner = TCP_OWNED;
	tcp_conn(child)->parent = NULL;
	child->user = user;
	if (child->events)
		list_add_tail(&s->stack->ready, &child->ready);
	*sock_out = child;
	if (peer_out)
		*peer_out = child->peer;
	return 0;
}

/* ---- connect */

static bool is_taken(struct net_sock *s, uint16_t port)
{
	uint32_t ports = tcp_ports(port, s->peer.port);

	return tcp_flow_find(&s->stack->tcp.flow, &s->local.ip, &s->peer.ip, ports) ||
	       tcp_wait_find(s->stack, &s->local.ip, &s->peer.ip, ports);
}

static int take_addresses(struct tcp_conn *c, const struct net_addr *peer)
{
	struct net_sock *s = &c->s;
	int err;

	err = net_path_find_to(s->stack, NET_TCP, &s->local.ip, peer, &c->path);
	if (err)
		return err;
	s->local.ip = net_ip4(c->path.src);
	s->peer = *peer;
	if (s->bound) {
		if (is_taken(s, s->local.port))
			return EADDRINUSE;
	} else {
		err = net_port_pick(s, is_taken);
		if (!err)
			err = net_port_hold(s->stack, &s->local, 1);
		if (err)
			return err;
		c->held = true;
	}
	return tcp_conn_enter(c);
}

int net_tcp_connect(struct net_sock *s, const struct net_addr *peer)
{
	struct tcp_conn *c = tcp_conn(s);
	int err;

	if (c->state == TCPS_LISTEN)
		return EOPNOTSUPP;
	if (c->state == TCPS_SYN_SENT || c->state == TCPS_SYN_RECEIVED)
		return EALREADY;
	if (!is_new(c))
		return EISCONN;
	if (!net_ip_is_unicast(s->stack, &peer->ip))
		return ENETUNREACH;
	err = take_addresses(c, peer);
	if (err) {
		tcp_conn_renew(c);
		return err;
	}
	tcp_count(c, NET_C_TCP_ACTIVE_OPENS);
	c->error = 0;
	tcp_setup_begin(c, NULL);
	tcp_conn_set_state(c, TCPS_SYN_SENT);
	tcp_timer_rtx(c);
	err = tcp_out_syn(c);
	if (err)
		tcp_conn_fail(c, err);
	return 0;
}

void net_tcp_connect_cancel(struct net_sock *s)
{
	struct tcp_conn *c = tcp_conn(s);

	if (c->state == TCPS_LISTEN)
		return;
	if (c->in_flow && c->state != TCPS_SYN_SENT)
		tcp_out_reset(c);
	tcp_conn_renew(c);
	c->error = 0;
	s->events = 0;
	list_del(&s->ready);
}

/* ---- send, receive */

static slow_path int why_not_send(const struct tcp_conn *c)
{
	if (c->cause)
		return c->cause;
	if (is_new(c) || c->state == TCPS_LISTEN || c->state == TCPS_SYN_SENT ||
	    c->state == TCPS_SYN_RECEIVED)
		return ENOTCONN;
	return EPIPE;
}

int tcp_out_push(struct tcp_conn *c, const struct net_seg *segs, uint32_t n)
{
	uint64_t total = 0;
	int err;

	if (unlikely(c->state != TCPS_ESTABLISHED && c->state != TCPS_CLOSE_WAIT))
		return why_not_send(c);
	if (unlikely(c->sq.bytes >= c->sndbuf)) {
		c->want_write = true;
		return EAGAIN;
	}
	for (uint32_t i = 0; i < n; i++)
		total += segs[i].len;
	if (unlikely(total - 1 >= SEND_MAX))
		return total ? EMSGSIZE : EINVAL;
	err = tcp_sendq_add(tcp_stack(c), &c->sq, segs, n, (uint32_t)total);
	if (unlikely(err))
		return err;
	tcp_output(c);
	return 0;
}

static int nothing_to_receive(const struct tcp_conn *c, struct net_seg *seg_out)
{
	if (c->cause && !c->fin_rcvd) /* which takes nothing from the end that had come */
		return c->cause;
	if (c->rcv_shut || c->fin_rcvd) {
		*seg_out = (struct net_seg){ .mem = NULL };
		return 0;
	}
	return tcp_conn_is_synchronized(c) ? EAGAIN : ENOTCONN;
}

static inline bool window_matters(const struct tcp_conn *c)
{
	return tcp_conn_is_synchronized(c) && !c->fin_rcvd;
}

int net_tcp_recv(struct net_sock *s, struct net_seg *seg_out, bool peek)
{
	struct tcp_conn *c = tcp_conn(s);

	if (!c->rq.head)
		return nothing_to_receive(c, seg_out);
	if (peek) {
		*seg_out = c->rq.head->seg;
		return 0;
	}
	tcp_recvq_take(s->stack, &c->rq, seg_out);
	if (window_matters(c))
		tcp_ack_window(c);
	return 0;
}

uint64_t net_tcp_bytes_readable(const struct net_sock *s)
{
	return tcp_conn(s)->rq.bytes;
}

uint64_t net_tcp_bytes_unacked(const struct net_sock *s)
{
	return tcp_conn(s)->sq.bytes;
}

void net_tcp_charge(struct net_sock *s, int64_t pinned)
{
	struct tcp_conn *c = tcp_conn(s);
	bool less;

	pinned += c->rq.pinned;
	if (unlikely(pinned < 0))
		pinned = 0;
	if (unlikely(pinned > INT32_MAX))
		pinned = INT32_MAX;
	less = pinned < c->rq.pinned;
	c->rq.pinned = (uint32_t)pinned;
	if (less && window_matters(c))
		tcp_ack_window(c);
}

bool net_tcp_uncharge(struct net_sock *s, uint32_t pinned)
{
	struct tcp_conn *c = tcp_conn(s);

	c->rq.pinned -= likely(pinned <= c->rq.pinned) ? pinned : c->rq.pinned;
	if (unlikely(tcp_window_is_small(c)) && window_matters(c))
		tcp_ack_window_small(c);
	return c->ack == TCP_ACK_NOW;
}

/* ---- the end */

/* FIN after what is queued. */
static void queue_fin(struct tcp_conn *c)
{
	c->fin_queued = true;
	if (c->state == TCPS_SYN_RECEIVED)
		return; /* once it is established */
	tcp_conn_set_state(c, c->state == TCPS_CLOSE_WAIT ? TCPS_LAST_ACK : TCPS_FIN_WAIT_1);
	tcp_output(c);
}

int net_tcp_shutdown(struct net_sock *s, bool rd, bool wr)
{
	struct tcp_conn *c = tcp_conn(s);

	if (!tcp_conn_is_synchronized(c) && c->state != TCPS_TIME_WAIT)
		return ENOTCONN;
	if (rd && !c->rcv_shut) {
		c->rcv_shut = true;
		tcp_recvq_clear(s->stack, &c->rq);
		if (window_matters(c))
			tcp_ack_window(c);
		tcp_conn_raise(c, NET_READABLE);
	}
	if (wr && !c->fin_queued)
		queue_fin(c);
	return 0;
}

static void let_go(struct tcp_conn *c, bool report)
{
	c->owner = report ? TCP_REPORT : TCP_ORPHAN;
	if (!report)
		c->s.user = NULL;
	c->s.events = 0;
	list_del(&c->s.ready);
	c->want_write = false;
}

static void stop_listening(struct tcp_conn *c)
{
	tcp_listen_close(c);
	free(c->listener);
	c->listener = NULL;
	c->s.listens = false;
	tcp_conn_set_state(c, TCPS_CLOSED);
}

/* There is nothing to wait for. */
static void end(struct tcp_conn *c, bool report)
{
	let_go(c, report);
	if (c->state != TCPS_CLOSED && c->state != TCPS_TIME_WAIT)
		tcp_conn_set_state(c, TCPS_CLOSED);
	if (report)
		tcp_conn_raise(c, c->cause ? NET_FAILED : NET_ACKED);
	else
		tcp_conn_kill(c);
}

/* What was sent is still delivered. */
static void end_in_order(struct tcp_conn *c, bool report)
{
	let_go(c, report);
	if (c->fin_acked) {
		tcp_timer_fin_wait_2(c);
		tcp_conn_raise(c, NET_ACKED);
		return;
	}
	c->lingers = true;
	tcp_stack(c)->tcp.n_lingering++;
	if (!c->fin_queued)
		queue_fin(c);
}

void net_tcp_close(struct net_sock *s, bool report)
{
	struct tcp_conn *c = tcp_conn(s);

	if (c->state == TCPS_LISTEN)
		stop_listening(c);
	if (!c->in_flow || c->state == TCPS_SYN_SENT) {
		end(c, report);
		return;
	}
	if (c->rq.bytes || !c->linger) {
		tcp_out_reset(c);
		end(c, report);
		return;
	}
	end_in_order(c, report);
}

void net_tcp_abort(struct net_sock *s)
{
	struct tcp_conn *c = tcp_conn(s);

	if (c->state == TCPS_LISTEN)
		stop_listening(c);
	if (c->in_flow && c->state != TCPS_SYN_SENT)
		tcp_out_reset(c);
	end(c, false);
}

int net_tcp_error(struct net_sock *s)
{
	struct tcp_conn *c = tcp_conn(s);
	int err = c->error ? c->error : c->soft_error;

	if (c->error)
		c->error = 0;
	else
		c->soft_error = 0;
	return err;
}

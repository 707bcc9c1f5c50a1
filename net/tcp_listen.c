#include "config.h"

#include "net/tcp_listen.h"

#include <errno.h>

#include "net/tcp_clock.h"
#include "net/tcp_conn.h"
#include "net/tcp_in.h"
#include "net/tcp_out.h"
#include "net/tcp_setup.h"
#include "net/tcp_timer.h"

bool tcp_listen_has_room(const struct tcp_conn *l)
{
	return l->listener->n_full < l->listener->backlog;
}

void tcp_listen_child_moves(struct tcp_conn *child, bool established)
{
	struct tcp_listener *listener = child->parent->listener;

	list_del(&child->s.ready);
	listener->n_half--;
	tcp_stack(child)->tcp.n_half--;
	if (!established)
		return;
	tcp_count(child, NET_C_TCP_PASSIVE_OPENS);
	list_add_tail(&listener->full, &child->s.ready);
	listener->n_full++;
	net_raise(&child->parent->s, NET_READABLE);
}

void tcp_listen_child_gone(struct tcp_conn *child)
{
	list_del(&child->s.ready);
	child->parent->listener->n_full--;
}

/* What the program has set on the listener, its connections begin with. */
static void inherit(struct tcp_conn *c, const struct tcp_conn *l)
{
	c->nodelay = l->nodelay;
	c->quickack = l->quickack;
	c->keepalive = l->keepalive;
	c->keepidle = l->keepidle;
	c->keepintvl = l->keepintvl;
	c->keepcnt = l->keepcnt;
	c->linger = l->linger;
	c->user_timeout = l->user_timeout;
	c->rcvbuf = l->rcvbuf;
	c->sndbuf = l->sndbuf;
	c->mss_max = l->mss_max;
	c->cc = l->cc;
	c->s.reuse = l->s.reuse;
}

static int place(struct tcp_conn *c)
{
	struct net_stack *stack = tcp_stack(c);
	int err;

	err = net_path_find_back(stack, &c->s.local.ip, &c->s.peer.ip, &c->path);
	if (err)
		return err;
	err = net_port_hold(stack, &c->s.local, 1);
	if (err)
		return err;
	c->held = true;
	return tcp_conn_enter(c);
}

static void open_child(struct tcp_conn *l, const struct net_addr *local,
		       const struct net_addr *peer, const struct tcp_in *in,
		       const uint32_t *iss_min)
{
	struct net_stack *stack = tcp_stack(l);
	struct tcp_conn *c = tcp_conn_new(stack, TCP_CHILD);

	if (!c)
		return;
	inherit(c, l);
	c->s.local = *local;
	c->s.peer = *peer;
	if (place(c)) {
		stack->count[NET_C_TCP_OPEN_FAILED]++;
		tcp_conn_kill(c);
		return;
	}
	tcp_setup_begin(c, iss_min);
	tcp_setup_syn(c, in);
	c->parent = l;
	tcp_conn_set_state(c, TCPS_SYN_RECEIVED);
	list_add_tail(&l->listener->half, &c->s.ready);
	l->listener->n_half++;
	stack->tcp.n_half++;
	tcp_timer_rtx(c);
	tcp_out_syn(c);
}

void tcp_listen_input(struct tcp_conn *l, const struct net_addr *local,
		      const struct net_addr *peer, const struct tcp_in *in,
		      const uint32_t *iss_min)
{
	struct net_stack *stack = tcp_stack(l);

	/* first: RST */
	if (in->flags & NET_TCP_RST) {
		stack->count[NET_C_TCP_RST_BAD]++;
		return;
	}
	/* second: ACK */
	if (in->flags & NET_TCP_ACK) {
		stack->count[NET_C_TCP_ACK_BAD]++;
		tcp_out_reset_reply(stack, local, peer, in);
		return;
	}
	/* third: SYN; fourth: anything else */
	if (!(in->flags & NET_TCP_SYN)) {
		stack->count[NET_C_TCP_OUT_OF_WINDOW]++;
		return;
	}
	if (!tcp_listen_has_room(l) || stack->tcp.n_half >= stack->config.half_open) {
		stack->count[NET_C_TCP_BACKLOG_FULL]++;
		return;
	}
	open_child(l, local, peer, in, iss_min);
}

void tcp_listen_close(struct tcp_conn *l)
{
	struct tcp_listener *listener = l->listener;

	while (!list_empty(&listener->half)) {
		struct tcp_conn *c = container_of(list_first(&listener->half, struct net_sock,
							     ready), struct tcp_conn, s);

		tcp_out_reset(c);
		tcp_conn_kill(c);
	}
	while (!list_empty(&listener->full)) {
		struct tcp_conn *c = container_of(list_first(&listener->full, struct net_sock,
							     ready), struct tcp_conn, s);

		if (c->in_flow)
			tcp_out_reset(c);
		tcp_conn_kill(c);
	}
}

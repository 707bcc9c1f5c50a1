#include "config.h"

#include "net/tcp_conn.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "net/tcp_cc.h"
#include "net/tcp_clock.h"
#include "net/tcp_listen.h"
#include "net/tcp_timer.h"
#include "net/tcp_wait.h"

/* ---- life */

static void set_defaults(struct tcp_conn *c)
{
	const struct net_config *config = &tcp_stack(c)->config;

	c->nodelay = config->nodelay;
	c->quickack = config->quickack;
	c->keepalive = config->keepalive;
	c->keepidle = (uint16_t)config->keepidle_s;
	c->keepintvl = (uint16_t)config->keepintvl_s;
	c->keepcnt = (uint8_t)config->keepcnt;
	c->user_timeout = config->user_timeout_ms;
	c->linger = -1;
	c->rcvbuf = config->rcvbuf;
	c->sndbuf = config->sndbuf;
	c->cc = config->cc;
}

struct tcp_conn *tcp_conn_new(struct net_stack *stack, enum tcp_owner owner)
{
	struct tcp_conn *c = net_slab_alloc(&stack->tcp.conns);

	if (!c) {
		stack->count[NET_C_NO_MEMORY]++;
		return NULL;
	}
	memset(c, 0, sizeof(*c));
	c->s.stack = stack;
	c->s.type = NET_TCP;
	list_init(&c->s.ready);
	list_init(&c->link);
	list_init(&c->delack);
	c->state = TCPS_CLOSED;
	c->owner = (uint8_t)owner;
	net_timer_init(&c->timer, tcp_timer_fire);
	list_add_tail(&stack->tcp.all, &c->all);
	set_defaults(c);
	return c;
}

int tcp_conn_enter(struct tcp_conn *c)
{
	struct net_tcps *t = &tcp_stack(c)->tcp;
	int err;

	_Static_assert(offsetof(struct tcp_conn, s.local) == offsetof(struct tcp_tuple, local),
		       "a socket begins with its tuple");
	_Static_assert(offsetof(struct tcp_conn, s.peer) == offsetof(struct tcp_tuple, peer),
		       "a socket begins with its tuple");
	err = tcp_flow_add(&t->flow, (struct tcp_tuple *)(void *)c);
	if (err)
		return err;
	c->in_flow = true;
	return 0;
}

static void leave_flow(struct tcp_conn *c)
{
	if (c->in_flow)
		tcp_flow_del(&tcp_stack(c)->tcp.flow, (struct tcp_tuple *)(void *)c);
	c->in_flow = false;
}

static void release_port(struct tcp_conn *c)
{
	if (c->held)
		net_port_hold(tcp_stack(c), &c->s.local, -1);
	c->held = false;
}

/* Nothing is sent or awaited any more; what has arrived stays. */
static void stop(struct tcp_conn *c)
{
	struct net_stack *stack = tcp_stack(c);

	leave_flow(c);
	net_timer_disarm(&c->timer);
	net_timer_remove(stack, &c->timer);
	c->purpose = TCP_FOR_NOTHING;
	list_del(&c->link);
	list_del(&c->delack);
	c->ack = TCP_ACK_NONE;
	c->blocked = false;
	tcp_sendq_clear(stack, &c->sq);
	tcp_recvq_clear_ooo(stack, &c->rq);
	tcp_conn_unlinger(c);
}

void tcp_conn_kill(struct tcp_conn *c)
{
	struct net_stack *stack = tcp_stack(c);

	if (c->owner == TCP_DEAD)
		return;
	if (c->state != TCPS_CLOSED && c->state != TCPS_TIME_WAIT)
		tcp_conn_set_state(c, TCPS_CLOSED);
	tcp_recvq_clear(stack, &c->rq);
	release_port(c);
	net_port_unbind(&c->s);
	list_del(&c->s.ready);
	c->owner = TCP_DEAD;
	list_move_tail(&stack->tcp.dead, &c->all);
}

void tcp_conn_reap(struct net_stack *stack)
{
	struct list *dead = &stack->tcp.dead;

	while (!list_empty(dead)) {
		struct tcp_conn *c = list_first(dead, struct tcp_conn, all);

		list_del(&c->all);
		net_slab_free(&stack->tcp.conns, c);
	}
}

/* ---- states */

#define BIT(state) (1u << TCPS_##state)
static const uint16_t next_states[] = {
	[TCPS_CLOSED] = BIT(LISTEN) | BIT(SYN_SENT) | BIT(SYN_RECEIVED),
	[TCPS_LISTEN] = BIT(CLOSED),
	[TCPS_SYN_SENT] = BIT(CLOSED) | BIT(SYN_RECEIVED) | BIT(ESTABLISHED),
	[TCPS_SYN_RECEIVED] = BIT(CLOSED) | BIT(ESTABLISHED),
	[TCPS_ESTABLISHED] = BIT(CLOSED) | BIT(FIN_WAIT_1) | BIT(CLOSE_WAIT),
	[TCPS_FIN_WAIT_1] = BIT(CLOSED) | BIT(FIN_WAIT_2) | BIT(CLOSING) | BIT(TIME_WAIT),
	[TCPS_FIN_WAIT_2] = BIT(CLOSED) | BIT(TIME_WAIT),
	[TCPS_CLOSE_WAIT] = BIT(CLOSED) | BIT(LAST_ACK),
	[TCPS_CLOSING] = BIT(CLOSED) | BIT(TIME_WAIT),
	[TCPS_LAST_ACK] = BIT(CLOSED),
	[TCPS_TIME_WAIT] = BIT(CLOSED),
};

void tcp_conn_set_state(struct tcp_conn *c, enum tcp_state state)
{
	assert(next_states[c->state] & 1u << state);
	if (c->state == TCPS_SYN_RECEIVED && c->owner == TCP_CHILD)
		tcp_listen_child_moves(c, state == TCPS_ESTABLISHED);
	switch (state) {
	case TCPS_CLOSED:
		stop(c);
		break;
	case TCPS_TIME_WAIT:
		tcp_wait_enter(c);
		stop(c);
		break;
	case TCPS_FIN_WAIT_2:
		if (c->owner == TCP_REPORT || c->owner == TCP_ORPHAN)
			tcp_timer_fin_wait_2(c);
		break;
	case TCPS_ESTABLISHED:
	case TCPS_SYN_SENT:
	case TCPS_SYN_RECEIVED:
	case TCPS_FIN_WAIT_1:
	case TCPS_CLOSE_WAIT:
	case TCPS_LAST_ACK:
	case TCPS_LISTEN:
	case TCPS_CLOSING:
		break;
	}
	c->state = (uint8_t)state;
}

void tcp_conn_unlinger(struct tcp_conn *c)
{
	if (c->lingers)
		tcp_stack(c)->tcp.n_lingering--;
	c->lingers = false;
}

/* ---- events and ends */

void tcp_conn_raise(struct tcp_conn *c, unsigned events)
{
	switch ((enum tcp_owner)c->owner) {
	case TCP_CHILD: /* in its listener's list: the events wait for the accept */
	case TCP_OWNED:
		net_raise(&c->s, events);
		return;
	case TCP_REPORT:
		events &= NET_ACKED | NET_FAILED;
		if (!events || c->reported)
			return;
		c->reported = true;
		list_move_tail(&tcp_stack(c)->tcp.reported, &c->all);
		net_raise(&c->s, events);
		return;
	case TCP_ORPHAN:
	case TCP_DEAD:
		return;
	}
}

void tcp_conn_renew(struct tcp_conn *c)
{
	if (c->state != TCPS_CLOSED)
		tcp_conn_set_state(c, TCPS_CLOSED);
	release_port(c);
	tcp_recvq_clear(tcp_stack(c), &c->rq);
	c->s.peer = (struct net_addr){ .ip = net_ip4(0) };
	if (!c->s.bound)
		c->s.local = (struct net_addr){ .ip = net_ip4(0) };
	else
		c->s.local.ip = net_held_ip(&c->s);
	c->ts_on = c->peer_wscale = c->fin_early = c->fin_rcvd = c->fin_queued = false;
	c->rtt_timed = c->syn_again = c->fin_acked = c->rcv_shut = c->want_write = false;
	c->rtx_wanted = false;
	c->ca = TCP_CA_IS_OPEN;
	c->snd_wscale = c->rcv_wscale = c->dupacks = c->retries = 0;
	c->cause = c->soft_error = 0;
	c->snd_wnd_max = 0;
}

void tcp_conn_fail(struct tcp_conn *c, int err)
{
	bool connecting = c->state == TCPS_SYN_SENT || c->state == TCPS_SYN_RECEIVED;

	if (connecting)
		tcp_count(c, NET_C_TCP_OPEN_FAILED);
	c->error = (uint8_t)err;
	if (connecting && c->owner == TCP_OWNED) {
		tcp_conn_renew(c);
		tcp_conn_raise(c, NET_FAILED);
		return;
	}
	tcp_conn_set_state(c, TCPS_CLOSED);
	release_port(c);
	c->cause = (uint8_t)err;
	if (c->owner == TCP_ORPHAN || (c->owner == TCP_CHILD && connecting)) {
		tcp_conn_kill(c);
		return;
	}
	if (c->owner == TCP_CHILD && !c->rq.bytes && !c->fin_rcvd) {
		tcp_listen_child_gone(c);
		tcp_conn_kill(c);
		return;
	}
	tcp_conn_raise(c, NET_FAILED);
}

void tcp_conn_done(struct tcp_conn *c)
{
	if (c->state != TCPS_CLOSED && c->state != TCPS_TIME_WAIT)
		tcp_conn_set_state(c, TCPS_CLOSED);
	release_port(c);
	tcp_conn_raise(c, NET_ACKED);
	if (c->owner == TCP_ORPHAN)
		tcp_conn_kill(c);
}

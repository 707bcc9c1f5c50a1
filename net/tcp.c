#include "config.h"

#include "net/tcp.h"

#include <errno.h>
#include <stdlib.h>

#include "net/tcp_acked.h"
#include "net/tcp_chunk.h"
#include "net/tcp_clock.h"
#include "net/tcp_conn.h"
#include "net/tcp_out.h"
#include "net/tcp_timer.h"

#define CHUNKS_PER_BLOCK 256u
#define CONNS_PER_BLOCK 64u

void net_tcp_clock(struct net_stack *stack)
{
	struct net_tcps *t = &stack->tcp;

	t->s = (uint32_t)(stack->now / NS_PER_S);
	t->ms = (uint32_t)(stack->now / NS_PER_MS);
	t->us = (uint32_t)(stack->now / NS_PER_US);
	t->ts = (uint32_t)(stack->now / (stack->config.ts_tick_us * NS_PER_US));
}

int net_tcps_init(struct net_stack *stack)
{
	struct net_tcps *t = &stack->tcp;
	int err;

	list_init(&t->acks);
	list_init(&t->blocked);
	list_init(&t->unresolved);
	list_init(&t->delacks);
	list_init(&t->all);
	list_init(&t->dead);
	list_init(&t->reported);
	net_timer_init(&t->delack, tcp_timer_delack_fire);
	net_slab_init(&t->chunks, sizeof(struct tcp_chunk), CHUNKS_PER_BLOCK);
	net_slab_init(&t->conns, sizeof(struct tcp_conn), CONNS_PER_BLOCK);
	net_tcp_clock(stack);
	err = tcp_flow_init(&t->flow, stack->rand.table_key);
	if (err)
		return err;
	return tcp_waits_init(stack);
}

static void drop_all(struct net_stack *stack, struct list *conns)
{
	while (!list_empty(conns)) {
		struct tcp_conn *c = list_first(conns, struct tcp_conn, all);

		tcp_sendq_clear(stack, &c->sq);
		tcp_recvq_clear(stack, &c->rq);
		tcp_recvq_clear_ooo(stack, &c->rq);
		if (c->state == TCPS_LISTEN)
			free(c->listener);
		list_del(&c->all);
		net_timer_remove(stack, &c->timer);
		net_slab_free(&stack->tcp.conns, c);
	}
}

void net_tcps_fini(struct net_stack *stack)
{
	struct net_tcps *t = &stack->tcp;

	if (!t->all.next) /* it was never begun */
		return;
	drop_all(stack, &t->all);
	drop_all(stack, &t->reported);
	tcp_conn_reap(stack);
	tcp_waits_fini(stack);
	tcp_flow_fini(&t->flow);
	net_slab_fini(&t->chunks);
	net_slab_fini(&t->conns);
}

/* The first segment is a SYN until that is acknowledged. */
static void unblock(struct tcp_conn *c)
{
	int err;

	list_del(&c->link);
	c->blocked = false;
	if (c->state == TCPS_SYN_SENT || c->state == TCPS_SYN_RECEIVED) {
		err = c->rtx_wanted ? tcp_out_syn(c) : 0;
		if (err && c->state == TCPS_SYN_SENT)
			tcp_conn_fail(c, err);
		return;
	}
	if (c->rtx_wanted)
		tcp_out_retransmit(c);
	tcp_output(c);
}

static slow_path void resume(struct net_stack *stack)
{
	struct list *blocked = &stack->tcp.blocked, waiting;

	/* who is blocked again comes after all the others */
	list_init(&waiting);
	list_splice_tail(&waiting, blocked);
	while (!list_empty(&waiting)) {
		struct tcp_conn *c = list_first(&waiting, struct tcp_conn, link);

		if (!net_outs_room(&stack->out)) {
			list_splice_tail(&waiting, blocked);
			list_splice_tail(blocked, &waiting);
			return;
		}
		unblock(c);
	}
}

void net_tcp_resume(struct net_stack *stack)
{
	if (unlikely(!list_empty(&stack->tcp.blocked)))
		resume(stack);
}

void net_tcp_reap(struct net_stack *stack)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &stack->tcp.reported) {
		struct tcp_conn *c = container_of(pos, struct tcp_conn, all);

		if (c->s.events)
			continue;
		c->owner = TCP_ORPHAN;
		list_move_tail(&stack->tcp.all, &c->all);
		if (c->state == TCPS_CLOSED || c->state == TCPS_TIME_WAIT)
			tcp_conn_kill(c);
	}
	if (!list_empty(&stack->tcp.dead))
		tcp_conn_reap(stack);
}

/* ---- ICMP */

/* What was too long is lost, and more than a segment that is out may be. */
static void path_changed(struct tcp_conn *c)
{
	uint16_t mss = c->mss;

	if (net_path_renew(tcp_stack(c), &c->path) || !tcp_conn_is_synchronized(c))
		return;
	tcp_mss_sync(c);
	if (c->mss < mss && c->snd_max - c->snd_una > c->mss)
		tcp_acked_too_long(c);
}

static void mtu_changed(struct list *conns, uint32_t dst)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, conns) {
		struct tcp_conn *c = container_of(pos, struct tcp_conn, all);

		if (c->in_flow && c->path.dst == dst)
			path_changed(c);
	}
}

void net_tcp_mtu_changed(struct net_stack *stack, uint32_t dst)
{
	mtu_changed(&stack->tcp.all, dst);
	mtu_changed(&stack->tcp.reported, dst);
}

/* Whose segment that was, if it may be on its way still. */
static struct tcp_conn *sender_of(struct net_stack *stack, const struct net_addr *local,
				  const struct net_addr *peer, uint32_t seq)
{
	struct tcp_conn *c;

	c = (struct tcp_conn *)(void *)tcp_flow_find(&stack->tcp.flow, &local->ip, &peer->ip,
						     tcp_ports(local->port, peer->port));
	return c && seq_geq(seq, c->snd_una) && seq_lt(seq, c->snd_max) ? c : NULL;
}

bool net_tcp_has_sent(struct net_stack *stack, const struct net_addr *local,
		      const struct net_addr *peer, uint32_t seq)
{
	return sender_of(stack, local, peer, seq) != NULL;
}

void net_tcp_unreachable(struct net_stack *stack, const struct net_addr *local,
			 const struct net_addr *peer, uint32_t seq, int err, bool hard)
{
	struct tcp_conn *c = sender_of(stack, local, peer, seq);

	(void)hard; /* no error is, once a connection stands (RFC 5927 4) */
	if (!c || err == EMSGSIZE) /* that is net_tcp_mtu_changed()'s */
		return;
	if (c->state == TCPS_SYN_SENT)
		tcp_conn_fail(c, err);
	else
		c->soft_error = (uint8_t)err;
}

/* ---- SYNs that gave way to others while a neighbour was asked for */

void net_tcp_gave_way(struct net_stack *stack, const struct net_addr *local,
		      const struct net_addr *peer, uint32_t seq)
{
	struct tcp_conn *c = sender_of(stack, local, peer, seq);

	if (!c || c->state != TCPS_SYN_SENT || c->blocked)
		return;
	c->rtx_wanted = true;
	list_move_tail(&stack->tcp.unresolved, &c->link);
}

/* Perhaps not of theirs: then they give way once more. */
void net_tcp_neigh_news(struct net_stack *stack)
{
	struct list *unresolved = &stack->tcp.unresolved;

	while (!list_empty(unresolved)) {
		struct tcp_conn *c = list_first(unresolved, struct tcp_conn, link);

		c->blocked = true;
		list_move_tail(&stack->tcp.blocked, &c->link);
	}
	net_tcp_resume(stack);
}

/* ---- the link */

static bool goes_with_the_link(const struct tcp_conn *c)
{
	return c->in_flow && c->state != TCPS_SYN_SENT && !c->path.loop && !c->path.self;
}

static void fail_those(struct list *conns, int err)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, conns) {
		struct tcp_conn *c = container_of(pos, struct tcp_conn, all);

		if (goes_with_the_link(c))
			tcp_conn_fail(c, err);
	}
}

void net_tcp_link_lost(struct net_stack *stack, int err)
{
	fail_those(&stack->tcp.all, err);
	fail_those(&stack->tcp.reported, err);
}

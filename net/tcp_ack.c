#include "config.h"

#include "net/tcp_ack.h"

#include "net/tcp_timer.h"

#define PINGPONG_MAX 64

void tcp_ack_init(struct tcp_conn *c)
{
	c->pingpong = 0;
	c->pingpong_min = 1;
	c->ack_ms = tcp_clock(tcp_stack(c))->ms;
	if (!tcp_stack(c)->config.delack_ms)
		c->quickack = true;
}

static uint64_t due_ns(const struct net_stack *stack, const struct tcp_conn *c)
{
	int32_t ms = (int32_t)(c->ack_ms - stack->tcp.ms);

	return stack->now + (ms > 0 ? (uint64_t)ms * NS_PER_MS : 0);
}

/* In the order of their ends, which is nearly that of their beginnings. */
static void insert(struct net_tcps *t, struct tcp_conn *c)
{
	struct list *at = t->delacks.prev;

	while (at != &t->delacks &&
	       (int32_t)(container_of(at, struct tcp_conn, delack)->ack_ms - c->ack_ms) > 0)
		at = at->prev;
	list_add_head(at, &c->delack);
}

/* One that is in the list stays there, too early: it is looked at again. */
void tcp_ack_delay(struct tcp_conn *c)
{
	struct net_stack *stack = tcp_stack(c);
	struct net_tcps *t = tcp_clock(stack);

	if (c->ack != TCP_ACK_NONE)
		return;
	c->ack = TCP_ACK_DELAYED;
	if (!list_empty(&c->delack))
		return;
	insert(t, c);
	if (t->delacks.next == &c->delack)
		net_timer_arm(stack, &t->delack, due_ns(stack, c));
}

/* Nobody answered in time: the next ones are quick again. */
static void expire(struct tcp_conn *c)
{
	tcp_count(c, NET_C_TCP_DELAYED_ACKS);
	c->pingpong = 0;
	if (c->pingpong_min < PINGPONG_MAX)
		c->pingpong_min = (uint8_t)(c->pingpong_min * 2);
	tcp_out_ack(c);
}

void tcp_timer_delack_fire(struct net_stack *stack, struct net_timer *timer)
{
	struct net_tcps *t = tcp_clock(stack);

	while (!list_empty(&t->delacks)) {
		struct tcp_conn *c = list_first(&t->delacks, struct tcp_conn, delack);

		if (c->ack == TCP_ACK_DELAYED && (int32_t)(c->ack_ms - t->ms) > 0) {
			/* of a later byte than the one it was put here for? */
			list_del(&c->delack);
			insert(t, c);
			c = list_first(&t->delacks, struct tcp_conn, delack);
			if (c->ack != TCP_ACK_DELAYED || (int32_t)(c->ack_ms - t->ms) <= 0)
				continue;
			net_timer_arm(stack, timer, due_ns(stack, c));
			return;
		}
		list_del(&c->delack);
		if (c->ack == TCP_ACK_DELAYED)
			expire(c);
	}
}

/* As the peer knows it the window is less than half of what it could be, or nothing. */
slow_path void tcp_ack_window_small(struct tcp_conn *c)
{
	int32_t left = (int32_t)(c->rcv_edge - c->rcv_nxt);
	uint32_t wnd = left > 0 ? (uint32_t)left : 0, target = tcp_window(c);
	uint32_t most = c->rcvbuf / 2, worth = 2u * c->rcv_mss;

	if (unlikely(c->rcv_zeroed)) {
		if (c->rq.pinned <= most)
			tcp_ack_now(c);
		return;
	}
	if (worth > most / 2)
		worth = most / 2;
	if (target >= wnd + worth && (wnd <= most / 4 || target - wnd >= most / 2))
		tcp_ack_now(c);
}

void net_tcp_flush_acks(struct net_stack *stack)
{
	struct list *acks = &stack->tcp.acks;

	while (!list_empty(acks)) {
		struct tcp_conn *c = list_first(acks, struct tcp_conn, link);

		tcp_out_ack(c);
		if (unlikely(c->ack == TCP_ACK_NOW)) /* no room: it stays the first */
			return;
	}
	if (unlikely(!list_empty(&stack->tcp.dead)))
		tcp_conn_reap(stack);
}

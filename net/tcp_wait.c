#include "config.h"

#include "net/tcp_wait.h"

#include "net/tcp_clock.h"
#include "net/tcp_conn.h"
#include "net/tcp_in.h"
#include "net/tcp_out.h"

#define ISS_STEP (UINT16_MAX + 2u)	/* beyond whatever was in flight */
#define PER_BLOCK 64u

static void expire(struct net_stack *stack, struct net_timer *timer);

int tcp_waits_init(struct net_stack *stack)
{
	struct tcp_waits *waits = &stack->tcp.waits;

	list_init(&waits->order);
	net_timer_init(&waits->timer, expire);
	net_slab_init(&waits->slab, sizeof(struct tcp_wait), PER_BLOCK);
	return tcp_flow_init(&waits->flow, stack->rand.table_key);
}

static void forget(struct net_stack *stack, struct tcp_wait *w)
{
	struct tcp_waits *waits = &stack->tcp.waits;

	if (w->held)
		net_port_hold(stack, &w->tuple.local, -1);
	tcp_flow_del(&waits->flow, &w->tuple);
	list_del(&w->link);
	net_slab_free(&waits->slab, w);
}

static struct tcp_wait *oldest(const struct tcp_waits *waits)
{
	return list_empty(&waits->order) ? NULL :
	       list_first(&waits->order, struct tcp_wait, link);
}

void tcp_waits_fini(struct net_stack *stack)
{
	struct tcp_wait *w;

	while (stack->tcp.waits.order.next && (w = oldest(&stack->tcp.waits)))
		forget(stack, w);
	tcp_flow_fini(&stack->tcp.waits.flow);
	net_slab_fini(&stack->tcp.waits.slab);
}

static void arm(struct net_stack *stack)
{
	struct tcp_waits *waits = &stack->tcp.waits;
	const struct tcp_wait *w = oldest(waits);

	if (w)
		net_timer_arm(stack, &waits->timer, w->end);
}

static void expire(struct net_stack *stack, struct net_timer *timer)
{
	struct tcp_wait *w;

	(void)timer;
	while ((w = oldest(&stack->tcp.waits)) && w->end <= stack->now)
		forget(stack, w);
	arm(stack);
}

static void start(struct net_stack *stack, struct tcp_wait *w)
{
	struct tcp_waits *waits = &stack->tcp.waits;

	w->end = stack->now + stack->config.time_wait_ms * NS_PER_MS;
	list_move_tail(&waits->order, &w->link);
	if (waits->order.next == &w->link)
		arm(stack);
}

/* NULL: no memory. The oldest makes room if there are as many as there may be. */
static struct tcp_wait *wait_new(struct net_stack *stack)
{
	struct tcp_waits *waits = &stack->tcp.waits;
	struct tcp_wait *w;

	if (waits->slab.n_used >= stack->config.time_waits) {
		stack->count[NET_C_TCP_TIME_WAIT_FULL]++;
		if (!oldest(waits))
			return NULL;
		forget(stack, oldest(waits));
	}
	w = net_slab_alloc(&waits->slab);
	if (!w)
		stack->count[NET_C_NO_MEMORY]++;
	return w;
}

/* The port stays taken, by what held it before, or by this. */
static bool hold_port(struct tcp_conn *c)
{
	if (!c->held)
		return !net_port_hold(tcp_stack(c), &c->s.local, 1);
	c->held = false;
	return true;
}

void tcp_wait_enter(struct tcp_conn *c)
{
	struct net_stack *stack = tcp_stack(c);
	struct tcp_wait *w;

	if (!stack->config.time_wait_ms)
		return;
	w = wait_new(stack);
	if (!w)
		return;
	*w = (struct tcp_wait){
		.tuple = { .local = c->s.local, .peer = c->s.peer },
		.rcv_nxt = c->rcv_nxt,
		.snd_nxt = c->snd_max,
		.ts_recent = c->ts_recent,
		.ts_offset = c->ts_offset,
		.ts_on = c->ts_on,
	};
	if (seq_gt(c->rcv_edge, c->rcv_nxt))
		w->wnd = __builtin_bswap16((uint16_t)((c->rcv_edge - c->rcv_nxt) >>
						      c->rcv_wscale));
	list_init(&w->link);
	if (tcp_flow_add(&stack->tcp.waits.flow, &w->tuple)) {
		stack->count[NET_C_NO_MEMORY]++;
		net_slab_free(&stack->tcp.waits.slab, w);
		return;
	}
	w->held = hold_port(c);
	tcp_count(c, NET_C_TCP_TIME_WAIT);
	start(stack, w);
}

struct tcp_wait *tcp_wait_find(struct net_stack *stack, const struct net_ip *local,
			       const struct net_ip *peer, uint32_t ports)
{
	struct tcp_tuple *tuple = tcp_flow_find(&stack->tcp.waits.flow, local, peer, ports);

	return tuple ? container_of(tuple, struct tcp_wait, tuple) : NULL;
}

static void answer(struct net_stack *stack, const struct tcp_wait *w)
{
	struct tcp_bare bare = {
		.seq = w->snd_nxt,
		.ack = w->rcv_nxt,
		.tsval = tcp_clock(stack)->ts + w->ts_offset,
		.tsecr = w->ts_recent,
		.wnd = w->wnd,
		.flags = NET_TCP_ACK,
		.ts = w->ts_on,
	};

	tcp_out_bare(stack, &w->tuple.local, &w->tuple.peer, &bare);
}

/* RFC 6191, RFC 1122 4.2.2.13: newer than all of the old connection. */
static bool is_new_syn(const struct tcp_wait *w, const struct tcp_in *in)
{
	if ((in->flags & (NET_TCP_SYN | NET_TCP_ACK)) != NET_TCP_SYN)
		return false;
	if (w->ts_on && in->has_ts && in->tsval != w->ts_recent)
		return seq_gt(in->tsval, w->ts_recent);
	return seq_gt(in->seq, w->rcv_nxt);
}

bool tcp_wait_input(struct net_stack *stack, struct tcp_wait *w, const struct tcp_in *in,
		    uint32_t *iss_min_out)
{
	bool old = w->ts_on && in->has_ts && seq_lt(in->tsval, w->ts_recent);

	if (in->flags & NET_TCP_RST) { /* RFC 1337 */
		stack->count[NET_C_TCP_RST_BAD]++;
		return false;
	}
	if (is_new_syn(w, in)) {
		*iss_min_out = w->snd_nxt + ISS_STEP;
		forget(stack, w);
		return true;
	}
	if (!tcp_in_len(in) && in->seq == w->rcv_nxt)
		return false;
	stack->count[old ? NET_C_TCP_PAWS : NET_C_TCP_OUT_OF_WINDOW]++;
	if (in->flags & NET_TCP_FIN && !old && in->seq + tcp_in_len(in) == w->rcv_nxt) {
		/* eighth: the peer has not got our ACK */
		if (w->ts_on && in->has_ts)
			w->ts_recent = in->tsval;
		start(stack, w);
	}
	answer(stack, w);
	return false;
}

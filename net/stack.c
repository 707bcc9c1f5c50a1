#include "config.h"

#include "net/stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/eth.h"

#define WHEEL_SHIFT 16		/* ticks of 65.5 us */

/* ---- life */

static void parts_init(struct net_stack *stack, uint64_t seed, const uint8_t *key)
{
	list_init(&stack->ready);
	net_rand_init(&stack->rand, seed, key);
	wheel_init(&stack->wheel, WHEEL_SHIFT, stack->now);
	net_ips_init(stack);
	net_neighs_init(stack);
	net_reass_init(stack);
	net_udps_init(stack);
	stack->icmp.tokens = stack->config.icmp_rate;
	stack->icmp.refilled = stack->now;
}

int net_stack_new(const char *config, uint64_t seed, const uint8_t *key, struct net_dev *dev,
		  uint64_t *count, uint64_t now, char why[NET_WHY],
		  struct net_stack **stack_out)
{
	struct net_stack *stack = calloc(1, sizeof(*stack));
	int err;

	if (!stack) {
		snprintf(why, NET_WHY, "no memory");
		return ENOMEM;
	}
	stack->dev = dev;
	stack->count = count;
	stack->now = now;
	err = net_config_parse(&stack->config, config, why);
	if (err) {
		free(stack);
		return err;
	}
	if (!stack->config.mtu || stack->config.mtu > dev->mtu)
		stack->config.mtu = dev->mtu;
	parts_init(stack, seed, key);
	err = net_outs_init(stack);
	if (!err)
		err = net_ports_init(stack);
	if (!err)
		err = net_tcps_init(stack);
	if (err) {
		snprintf(why, NET_WHY, "no memory");
		net_stack_free(stack);
		return err;
	}
	*stack_out = stack;
	return 0;
}

void net_stack_free(struct net_stack *stack)
{
	net_tcps_fini(stack);
	net_udps_fini(stack);
	net_loop_fini(stack);
	net_reass_fini(stack);
	net_neighs_fini(stack);
	net_outs_fini(stack);
	net_ports_fini(stack);
	net_ips_fini(stack);
	free(stack);
}

void net_set_take(struct net_stack *stack, net_take *take)
{
	stack->take = take;
}

/* ---- the link */

void net_link_lost(struct net_stack *stack, int err)
{
	stack->alone = true;
	net_neighs_forget(stack);
	net_tcp_link_lost(stack, err);
}

void net_link_back(struct net_stack *stack)
{
	stack->alone = false;
	stack->ip.gen++;
	net_announce(stack);
	net_neighs_ask(stack);
}

/* ---- packets */

static inline void set_now(struct net_stack *stack, uint64_t now)
{
	if (stack->now == now)
		return;
	stack->now = now;
	net_tcp_clock(stack);
}

void net_input(struct net_stack *stack, uint64_t now, struct net_pkt *pkts, uint32_t n)
{
	set_now(stack, now);
	stack->count[NET_C_RX_PACKETS] += n;
	for (uint32_t i = 0; i < n; i++) {
		stack->count[NET_C_RX_BYTES] += pkts[i].seg.len;
		if (likely(stack->dev->ethernet) && likely(net_ip_input_usual(stack, &pkts[i])))
			continue;
		if (likely(stack->dev->ethernet))
			net_eth_input(stack, &pkts[i]);
		else
			net_ip_input(stack, &pkts[i]);
	}
	if (unlikely(!net_loop_is_empty(&stack->loop)))
		net_loop_run(stack);
}

/* What waited for room in the ring. */
static inline void resume(struct net_stack *stack)
{
	if (likely(list_empty(&stack->tcp.blocked)) && likely(list_empty(&stack->udp.blocked)))
		return;
	if (!net_outs_room(&stack->out))
		return;
	net_tcp_resume(stack);
	net_udp_resume(stack);
}

/* As long as the device takes everything, more may have waited for that. It ends
 * with the window, or with the device. */
bool net_flush(struct net_stack *stack)
{
	if (unlikely(!list_empty(&stack->tcp.acks)) || unlikely(!list_empty(&stack->tcp.dead)))
		net_tcp_flush_acks(stack);
	while (stack->out.n) {
		if (unlikely(!net_outs_flush(stack)))
			return false;
		resume(stack);
	}
	return true;
}

bool net_is_quiet(const struct net_stack *stack)
{
	return !stack->out.n && list_empty(&stack->tcp.acks) && list_empty(&stack->tcp.dead);
}

bool net_has_unsent(const struct net_stack *stack)
{
	return stack->out.n || !net_loop_is_empty(&stack->loop);
}

uint64_t net_deadline(const struct net_stack *stack)
{
	if (!net_loop_is_empty(&stack->loop) || !list_empty(&stack->ready))
		return stack->now;
	return wheel_deadline(&stack->wheel);
}

uint64_t net_poll(struct net_stack *stack, uint64_t now)
{
	struct wheel_timer *t;

	set_now(stack, now);
	while ((t = wheel_expire(&stack->wheel, now))) {
		struct net_timer *timer = container_of(t, struct net_timer, t);

		timer->fire(stack, timer);
	}
	net_loop_run(stack);
	resume(stack);
	return net_deadline(stack);
}

/* The stack's time in the units that TCP keeps: divided once a pass. */
#ifndef NET_TCP_CLOCK_H
#define NET_TCP_CLOCK_H

#include "net/stack.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

static inline struct net_tcps *tcp_clock(struct net_stack *stack)
{
	struct net_tcps *t = &stack->tcp;

	if (t->clock != stack->now) {
		t->clock = stack->now;
		t->ms = (uint32_t)(stack->now / NS_PER_MS);
		t->s = (uint32_t)(stack->now / NS_PER_S);
		t->us = (uint32_t)(stack->now / NS_PER_US);
		t->ts = (uint32_t)(stack->now / (stack->config.ts_tick_us * NS_PER_US));
	}
	return t;
}

#endif /* NET_TCP_CLOCK_H */

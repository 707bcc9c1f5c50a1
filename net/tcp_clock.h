/* The stack's time in the units that TCP keeps: divided when it moves, see
 * net_tcp_clock(). */
#ifndef NET_TCP_CLOCK_H
#define NET_TCP_CLOCK_H

#include "net/stack.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

static inline struct net_tcps *tcp_clock(struct net_stack *stack)
{
	return &stack->tcp;
}

#endif /* NET_TCP_CLOCK_H */

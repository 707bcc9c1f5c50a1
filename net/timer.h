/*
 * One deadline of the stack: a timer of its wheel, and what to do when it is due.
 */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include "base/wheel.h"

struct net_stack;

struct net_timer {
	struct wheel_timer t;
	/* stack->now is set; the timer is out of the wheel and disarmed. */
	void (*fire)(struct net_stack *stack, struct net_timer *timer);
};

static inline void net_timer_init(struct net_timer *timer,
				  void (*fire)(struct net_stack *, struct net_timer *))
{
	wheel_timer_init(&timer->t);
	timer->fire = fire;
}

/* deadline: ns of the stack's time. Putting one off costs one store. */
#define net_timer_arm(stack, timer, at) wheel_arm(&(stack)->wheel, &(timer)->t, (at))
#define net_timer_disarm(timer) wheel_disarm(&(timer)->t)
#define net_timer_is_armed(timer) wheel_is_armed(&(timer)->t)
/* Before its memory goes. */
#define net_timer_remove(stack, timer) wheel_remove(&(stack)->wheel, &(timer)->t)

#endif /* NET_TIMER_H */

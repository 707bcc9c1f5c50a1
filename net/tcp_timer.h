/* The timers of a connection: retransmission, persist, keepalive, FIN_WAIT_2, and the
 * delayed ACKs of all. */
#ifndef NET_TCP_TIMER_H
#define NET_TCP_TIMER_H

#include <stdbool.h>

struct net_stack;
struct net_timer;
struct tcp_conn;

void tcp_timer_fire(struct net_stack *stack, struct net_timer *timer);
/* Something is out and waits for its ACK, from now on. */
void tcp_timer_rtx(struct tcp_conn *c);
/* The window is shut, or silly, and nothing is out. */
void tcp_timer_persist(struct tcp_conn *c);
/* Nothing is out: keepalive if that is on, else nothing. */
void tcp_timer_idle(struct tcp_conn *c);
void tcp_timer_fin_wait_2(struct tcp_conn *c);
void tcp_timer_delack_fire(struct net_stack *stack, struct net_timer *timer);

#endif /* NET_TCP_TIMER_H */

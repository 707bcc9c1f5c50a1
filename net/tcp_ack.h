/*
 * When to acknowledge (RFC 9293 3.8.6.3): at once, with the next flush, or with the
 * answer. A delay is only taken on a connection whose program has been answering
 * promptly; the first answer that does not come doubles how many it takes again.
 */
#ifndef NET_TCP_ACK_H
#define NET_TCP_ACK_H

#include <stdint.h>

#include "net/tcp_clock.h"
#include "net/tcp_conn.h"
#include "net/tcp_out.h"

/* Segments that one ACK may stand for, when they come in one pass. */
#define TCP_ACK_STRETCH 8u

/* Half of the memory that is free: a segment pins more than its bytes. Nothing once
 * the program hoards more than it may, even if that takes back what was offered. */
static inline uint32_t tcp_window(const struct tcp_conn *c)
{
	uint32_t most = UINT32_C(65535) << c->rcv_wscale, free;

	if (unlikely(c->rq.pinned >= c->rcvbuf))
		return 0;
	free = (c->rcvbuf - c->rq.pinned) / 2;
	return free > most ? most : free;
}

/* With the next flush, or on whatever goes before it. */
static inline void tcp_ack_now(struct tcp_conn *c)
{
	if (c->ack == TCP_ACK_NOW)
		return;
	c->ack = TCP_ACK_NOW;
	list_move_tail(&tcp_stack(c)->tcp.acks, &c->link);
}

/* Later, if nothing carries it before. */
void tcp_ack_delay(struct tcp_conn *c);

/* In-order data has come: rcv_nxt is beyond it. */
static inline void tcp_ack_data(struct tcp_conn *c)
{
	struct net_tcps *t = tcp_clock(tcp_stack(c));
	uint32_t owed = c->rcv_nxt - c->rcv_acked;

	if (c->ack != TCP_ACK_DELAYED)
		c->ack_ms = t->ms + tcp_stack(c)->config.delack_ms;
	if (c->pingpong < c->pingpong_min || owed >= 2u * c->rcv_mss || c->quickack)
		tcp_ack_now(c);
	else
		tcp_ack_delay(c);
	if (unlikely(owed >= TCP_ACK_STRETCH * c->rcv_mss))
		tcp_out_ack(c);
}

/* The ACK is on its way. */
static inline void tcp_ack_went(struct tcp_conn *c)
{
	c->rcv_acked = c->rcv_nxt;
	if (c->ack == TCP_ACK_NOW) {
		list_del(&c->link);
		if (unlikely(c->blocked))
			list_add_tail(&tcp_stack(c)->tcp.blocked, &c->link);
	}
	c->ack = TCP_ACK_NONE;
}

/* Data goes out: an answer, if it comes soon after what it answers. */
static inline void tcp_ack_rides(struct tcp_conn *c)
{
	struct net_tcps *t = tcp_clock(tcp_stack(c));

	if ((int32_t)(c->ack_ms - t->ms) <= 0)
		return;
	c->ack_ms = t->ms;
	if (c->pingpong < c->pingpong_min)
		c->pingpong++;
}

void tcp_ack_init(struct tcp_conn *c);
void tcp_ack_window_small(struct tcp_conn *c);
/* As the peer knows it. */
static inline bool tcp_window_is_small(const struct tcp_conn *c)
{
	return (int32_t)(c->rcv_edge - c->rcv_nxt) < (int32_t)(c->rcvbuf / 4) || c->rcv_zeroed;
}

/* The window may have grown by what is worth telling: an ACK then, now. */
static inline void tcp_ack_window(struct tcp_conn *c)
{
	if (unlikely(tcp_window_is_small(c)))
		tcp_ack_window_small(c);
}

#endif /* NET_TCP_ACK_H */

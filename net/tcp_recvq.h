/*
 * What has arrived: in order, to be read, and out of order, to be completed. Bounded
 * by the memory that is pinned, whatever the peer sends: when half of the receive
 * buffer is used up, segments that pin more than twice their length are gathered into
 * buffers of their own size.
 */
#ifndef NET_TCP_RECVQ_H
#define NET_TCP_RECVQ_H

#include <stdbool.h>
#include <stdint.h>

#include "net/tcp_chunk.h"

struct net_stack;

struct tcp_recvq {
	struct tcp_chunk *head, *tail;		/* in order */
	struct tcp_chunk *ooo, *ooo_tail;	/* by seq, apart from each other */
	int64_t pinned;		/* by both, and by what the program holds */
	uint32_t bytes;		/* in order */
};

/*
 * At the end of what is in order. true: the reference is the queue's. false: no
 * memory, or more than rcvbuf is pinned (both counted).
 */
bool tcp_recvq_add(struct net_stack *stack, struct tcp_recvq *q, const struct net_seg *seg,
		   uint32_t rcvbuf);
/* Out of order, from seq; what overlaps is kept once. As above; false too if all of
 * it was there already. */
bool tcp_recvq_add_ooo(struct net_stack *stack, struct tcp_recvq *q, uint32_t seq,
		       const struct net_seg *seg, uint32_t rcvbuf);
/* Moves what has come into order to its end: rcv_nxt after that. */
uint32_t tcp_recvq_join(struct net_stack *stack, struct tcp_recvq *q, uint32_t rcv_nxt);
/* The first chunk; its reference is the caller's, and its pin off the account. The
 * queue must have one. */
void tcp_recvq_take(struct net_stack *stack, struct tcp_recvq *q, struct net_seg *seg_out);
/* What is in order, or what is not. */
void tcp_recvq_clear(struct net_stack *stack, struct tcp_recvq *q);
void tcp_recvq_clear_ooo(struct net_stack *stack, struct tcp_recvq *q);

#endif /* NET_TCP_RECVQ_H */

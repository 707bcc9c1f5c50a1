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

#include "net/stack.h"
#include "net/tcp_chunk.h"

struct tcp_recvq {
	struct tcp_chunk *head, *tail;		/* in order */
	struct tcp_chunk *ooo, *ooo_tail;	/* by seq, apart from each other */
	uint32_t pinned;		/* by both, and by what the program holds */
	uint32_t bytes;		/* in order */
};

/* NULL: no memory, counted. Takes the reference over. */
static inline struct tcp_chunk *tcp_recvq_chunk(struct net_stack *stack, struct tcp_recvq *q,
						uint32_t seq, const struct net_seg *seg)
{
	struct tcp_chunk *chunk = net_slab_alloc(&stack->tcp.chunks);

	if (unlikely(!chunk)) {
		stack->count[NET_C_NO_MEMORY]++;
		return NULL;
	}
	chunk->next = NULL;
	chunk->seg = *seg;
	chunk->seq = seq;
	chunk->room = 0;
	q->pinned += seg->pinned;
	return chunk;
}

static inline void tcp_recvq_append(struct tcp_recvq *q, struct tcp_chunk *chunk)
{
	if (q->tail)
		q->tail->next = chunk;
	else
		q->head = chunk;
	q->tail = chunk;
	q->bytes += chunk->seg.len;
}

/* The slow half of tcp_recvq_add(): the buffer is half full, or more. */
bool tcp_recvq_add_pressed(struct net_stack *stack, struct tcp_recvq *q,
			   const struct net_seg *seg, uint32_t rcvbuf);

/*
 * At the end of what is in order. true: the reference is the queue's. false: no
 * memory, or more than rcvbuf is pinned (both counted).
 */
static inline bool tcp_recvq_add(struct net_stack *stack, struct tcp_recvq *q,
				 const struct net_seg *seg, uint32_t rcvbuf)
{
	struct tcp_chunk *chunk;

	if (unlikely(q->pinned + seg->pinned > rcvbuf / 2))
		return tcp_recvq_add_pressed(stack, q, seg, rcvbuf);
	chunk = tcp_recvq_chunk(stack, q, 0, seg);
	if (unlikely(!chunk))
		return false;
	tcp_recvq_append(q, chunk);
	return true;
}

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

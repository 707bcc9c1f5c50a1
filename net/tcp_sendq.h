/*
 * What was pushed and is not acknowledged: the program's memory, by reference. The
 * head is at snd_una; a cursor follows snd_nxt, so that output looks at nothing it
 * has sent already.
 */
#ifndef NET_TCP_SENDQ_H
#define NET_TCP_SENDQ_H

#include <stdint.h>

#include <stdbool.h>

#include "net/stack.h"
#include "net/tcp_chunk.h"

struct tcp_sendq {
	struct tcp_chunk *head, *tail;
	struct tcp_chunk *cur;	/* with the byte of snd_nxt; NULL: none is unsent */
	uint32_t cur_off;	/* of that byte in cur */
	uint32_t bytes;		/* all */
	uint32_t unsent;	/* from the cursor on */
};

/* Takes the references over if it returns 0; bytes: of all, at least one, fewer than
 * 2^31. ENOMEM: nothing was added. */
int tcp_sendq_add(struct net_stack *stack, struct tcp_sendq *q, const struct net_seg *segs,
		  uint32_t n, uint32_t bytes);
/* One that goes at once, all of it: none is unsent before or after. false: no memory. */
static inline bool tcp_sendq_add_sent(struct net_stack *stack, struct tcp_sendq *q,
				      const struct net_seg *seg)
{
	struct tcp_chunk *chunk = net_slab_alloc(&stack->tcp.chunks);

	if (unlikely(!chunk))
		return false;
	chunk->next = NULL;
	chunk->seg = *seg;
	if (q->tail)
		q->tail->next = chunk;
	else
		q->head = chunk;
	q->tail = chunk;
	q->bytes += seg->len;
	return true;
}

/* The first n bytes are acknowledged. */
void tcp_sendq_drop(struct net_stack *stack, struct tcp_sendq *q, uint32_t n);
/* Everything. */
void tcp_sendq_clear(struct net_stack *stack, struct tcp_sendq *q);
/* The cursor back to the head. */
void tcp_sendq_rewind(struct tcp_sendq *q);
/* References up to len bytes from the head in out, as many as it has segs for; how
 * many. */
uint32_t tcp_sendq_fill_head(struct net_stack *stack, const struct tcp_sendq *q,
			     struct net_out *out, uint32_t len);
/* ... from the cursor, which goes on by them. len is not 0. */
uint32_t tcp_sendq_take(struct net_stack *stack, struct tcp_sendq *q, struct net_out *out,
			uint32_t len);
/* ... and stays. */
uint32_t tcp_sendq_fill(struct net_stack *stack, const struct tcp_sendq *q, struct net_out *out,
			uint32_t len);

#endif /* NET_TCP_SENDQ_H */

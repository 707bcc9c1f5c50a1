#include "config.h"

#include "net/tcp_recvq.h"

#include <string.h>

#include "base/compiler.h"
#include "net/stack.h"
#include "net/tcp_seq.h"

#define GATHER_SIZE 2048u

static uint32_t end_of(const struct tcp_chunk *chunk)
{
	return chunk->seq + chunk->seg.len;
}

static void chunk_free(struct net_stack *stack, struct tcp_recvq *q, struct tcp_chunk *chunk)
{
	q->pinned -= chunk->seg.pinned;
	net_put(stack, chunk->seg.mem);
	net_slab_free(&stack->tcp.chunks, chunk);
}

/* ---- gathering */

static bool is_wasteful(const struct net_seg *seg)
{
	return seg->len < seg->pinned / 2;
}

/* The bytes of seg behind those of chunk, if they fit; seg's reference is gone then. */
static bool gather_into(struct net_stack *stack, struct tcp_chunk *chunk,
			const struct net_seg *seg)
{
	if (!chunk || chunk->room < seg->len)
		return false;
	memcpy(chunk->seg.data + chunk->seg.len, seg->data, seg->len);
	chunk->seg.len += seg->len;
	chunk->room -= seg->len;
	stack->count[NET_C_TCP_GATHERED_BYTES] += seg->len;
	net_put(stack, seg->mem);
	return true;
}

/* A chunk with the bytes of seg and room for more; NULL: no memory, and seg is as it
 * was. */
static struct tcp_chunk *gather_new(struct net_stack *stack, struct tcp_recvq *q, uint32_t seq,
				    const struct net_seg *seg)
{
	uint32_t size = seg->len > GATHER_SIZE ? seg->len : GATHER_SIZE;
	struct tcp_chunk *chunk;
	struct net_seg big;

	if (!stack->dev->ops->alloc(stack->dev, size, &big)) {
		stack->count[NET_C_NO_MEMORY]++;
		return NULL;
	}
	big.len = 0;
	if (!big.pinned)
		big.pinned = size;
	chunk = tcp_recvq_chunk(stack, q, seq, &big);
	if (!chunk) {
		net_put(stack, big.mem);
		return NULL;
	}
	chunk->room = size;
	gather_into(stack, chunk, seg);
	return chunk;
}

/* ---- in order */

/* Bytes out of order make room for those in order: they were promised to nobody. */
static void evict_ooo(struct net_stack *stack, struct tcp_recvq *q)
{
	if (q->ooo)
		stack->count[NET_C_TCP_OOO_DROPPED]++;
	tcp_recvq_clear_ooo(stack, q);
}

slow_path bool tcp_recvq_add_pressed(struct net_stack *stack, struct tcp_recvq *q,
				  const struct net_seg *seg, uint32_t rcvbuf)
{
	struct tcp_chunk *chunk = NULL;

	if (gather_into(stack, q->tail, seg)) {
		q->bytes += seg->len;
		return true;
	}
	if (q->pinned > rcvbuf)
		evict_ooo(stack, q);
	if (q->pinned > rcvbuf) {
		stack->count[NET_C_TCP_RCV_FULL]++;
		return false;
	}
	if (is_wasteful(seg))
		chunk = gather_new(stack, q, 0, seg);
	if (!chunk)
		chunk = tcp_recvq_chunk(stack, q, 0, seg);
	if (!chunk)
		return false;
	tcp_recvq_append(q, chunk);
	return true;
}

void tcp_recvq_take(struct net_stack *stack, struct tcp_recvq *q, struct net_seg *seg_out)
{
	struct tcp_chunk *chunk = q->head;

	*seg_out = chunk->seg;
	q->head = chunk->next;
	if (!q->head)
		q->tail = NULL;
	q->bytes -= chunk->seg.len;
	q->pinned -= chunk->seg.pinned;
	net_slab_free(&stack->tcp.chunks, chunk);
}

void tcp_recvq_clear(struct net_stack *stack, struct tcp_recvq *q)
{
	struct net_seg seg;

	while (q->head) {
		tcp_recvq_take(stack, q, &seg);
		net_put(stack, seg.mem);
	}
}

/* ---- out of order */

/* The last chunk that starts at or before seq; NULL: none. */
static struct tcp_chunk *find_before(const struct tcp_recvq *q, uint32_t seq)
{
	struct tcp_chunk *prev = NULL;

	if (q->ooo_tail && seq_leq(q->ooo_tail->seq, seq))
		return q->ooo_tail;
	for (struct tcp_chunk *chunk = q->ooo; chunk && seq_leq(chunk->seq, seq);
	     chunk = chunk->next)
		prev = chunk;
	return prev;
}

/* Takes off seg what the chunks around it have; whole ones that it covers go. */
static void trim(struct net_stack *stack, struct tcp_recvq *q, struct tcp_chunk *prev,
		 uint32_t *seq, struct net_seg *seg)
{
	struct tcp_chunk **link = prev ? &prev->next : &q->ooo;
	uint32_t dup = 0;

	if (prev && seq_gt(end_of(prev), *seq))
		dup = end_of(prev) - *seq;
	if (dup > seg->len)
		dup = seg->len;
	*seq += dup;
	seg->data += dup;
	seg->len -= dup;
	while (*link && seg->len && seq_leq(end_of(*link), *seq + seg->len)) {
		struct tcp_chunk *covered = *link;

		*link = covered->next;
		dup += covered->seg.len;
		chunk_free(stack, q, covered);
	}
	if (!*link)
		q->ooo_tail = prev;
	if (*link && seg->len && seq_lt((*link)->seq, *seq + seg->len)) {
		dup += *seq + seg->len - (*link)->seq;
		seg->len = (*link)->seq - *seq;
	}
	stack->count[NET_C_TCP_DUP_BYTES] += dup;
}

static void insert_ooo(struct tcp_recvq *q, struct tcp_chunk *prev, struct tcp_chunk *chunk)
{
	struct tcp_chunk **link = prev ? &prev->next : &q->ooo;

	chunk->next = *link;
	*link = chunk;
	if (!chunk->next)
		q->ooo_tail = chunk;
}

bool tcp_recvq_add_ooo(struct net_stack *stack, struct tcp_recvq *q, uint32_t seq,
		       const struct net_seg *segment, uint32_t rcvbuf)
{
	struct tcp_chunk *prev = find_before(q, seq), *chunk = NULL;
	struct net_seg seg = *segment;

	trim(stack, q, prev, &seq, &seg);
	if (!seg.len)
		return false;
	if (prev && end_of(prev) == seq && gather_into(stack, prev, &seg))
		return true;
	if (q->pinned + seg.pinned > rcvbuf) {
		stack->count[NET_C_TCP_OOO_DROPPED]++;
		return false;
	}
	if (q->pinned > rcvbuf / 2 && is_wasteful(&seg))
		chunk = gather_new(stack, q, seq, &seg);
	if (!chunk)
		chunk = tcp_recvq_chunk(stack, q, seq, &seg);
	if (!chunk)
		return false;
	insert_ooo(q, prev, chunk);
	stack->count[NET_C_TCP_OOO]++;
	return true;
}

uint32_t tcp_recvq_join(struct net_stack *stack, struct tcp_recvq *q, uint32_t rcv_nxt)
{
	while (q->ooo && seq_leq(q->ooo->seq, rcv_nxt)) {
		struct tcp_chunk *chunk = q->ooo;
		uint32_t dup = rcv_nxt - chunk->seq;

		q->ooo = chunk->next;
		if (!q->ooo)
			q->ooo_tail = NULL;
		chunk->next = NULL;
		if (dup >= chunk->seg.len) {
			stack->count[NET_C_TCP_DUP_BYTES] += chunk->seg.len;
			chunk_free(stack, q, chunk);
			continue;
		}
		stack->count[NET_C_TCP_DUP_BYTES] += dup;
		chunk->seg.data += dup;
		chunk->seg.len -= dup;
		rcv_nxt += chunk->seg.len;
		tcp_recvq_append(q, chunk);
	}
	return rcv_nxt;
}

void tcp_recvq_clear_ooo(struct net_stack *stack, struct tcp_recvq *q)
{
	while (q->ooo) {
		struct tcp_chunk *chunk = q->ooo;

		q->ooo = chunk->next;
		chunk_free(stack, q, chunk);
	}
	q->ooo_tail = NULL;
}

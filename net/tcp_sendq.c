#include "config.h"

#include "net/tcp_sendq.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"
#include "net/out.h"
#include "net/stack.h"

#define JOIN_BELOW (NET_OUT_SEGS * 256u) /* bytes that a packet full of pieces has */
#define JOIN_MAX 16384u

static void chunk_free(struct net_stack *stack, struct tcp_chunk *chunk)
{
	net_put(stack, chunk->seg.mem);
	net_slab_free(&stack->tcp.chunks, chunk);
}

/* Nodes for n segments in a row; NULL: no memory. */
static struct tcp_chunk *chunks_new(struct net_stack *stack, const struct net_seg *segs,
				    uint32_t n, struct tcp_chunk **last_out)
{
	struct tcp_chunk *first = NULL, *chunk;

	for (uint32_t i = n; i > 0; i--) {
		if (!segs[i - 1].len)
			continue;
		chunk = net_slab_alloc(&stack->tcp.chunks);
		if (!chunk)
			goto err_free;
		chunk->seg = segs[i - 1];
		chunk->next = first;
		if (!first)
			*last_out = chunk;
		first = chunk;
	}
	return first;

err_free:
	while (first) {
		chunk = first;
		first = chunk->next;
		net_slab_free(&stack->tcp.chunks, chunk);
	}
	return NULL;
}

static inline void append(struct tcp_sendq *q, struct tcp_chunk *first, struct tcp_chunk *last,
			  uint32_t bytes)
{
	if (q->tail)
		q->tail->next = first;
	else
		q->head = first;
	q->tail = last;
	if (!q->cur) {
		q->cur = first;
		q->cur_off = 0;
	}
	q->bytes += bytes;
	q->unsent += bytes;
}

static int add_many(struct net_stack *stack, struct tcp_sendq *q, const struct net_seg *segs,
		    uint32_t n, uint32_t bytes)
{
	struct tcp_chunk *last = NULL, *first = chunks_new(stack, segs, n, &last);

	if (!first) {
		stack->count[NET_C_NO_MEMORY]++;
		return ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++)
		if (!segs[i].len)
			net_put(stack, segs[i].mem);
	append(q, first, last, bytes);
	return 0;
}

int tcp_sendq_add(struct net_stack *stack, struct tcp_sendq *q, const struct net_seg *segs,
		  uint32_t n, uint32_t bytes)
{
	struct tcp_chunk *chunk;

	if (n != 1)
		return add_many(stack, q, segs, n, bytes);
	chunk = net_slab_alloc(&stack->tcp.chunks);
	if (unlikely(!chunk)) {
		stack->count[NET_C_NO_MEMORY]++;
		return ENOMEM;
	}
	chunk->next = NULL;
	chunk->seg = segs[0];
	append(q, chunk, chunk, bytes);
	return 0;
}

void tcp_sendq_drop(struct net_stack *stack, struct tcp_sendq *q, uint32_t n)
{
	q->bytes -= n;
	while (n) {
		struct tcp_chunk *chunk = q->head;

		if (n < chunk->seg.len) {
			chunk->seg.data += n;
			chunk->seg.len -= n;
			if (q->cur == chunk)
				q->cur_off = q->cur_off > n ? q->cur_off - n : 0;
			break;
		}
		n -= chunk->seg.len;
		q->head = chunk->next;
		if (q->cur == chunk) {
			q->cur = chunk->next;
			q->cur_off = 0;
		}
		chunk_free(stack, chunk);
	}
	if (!q->head)
		q->tail = NULL;
	/* acknowledged beyond the cursor: it was sent before a timeout */
	if (unlikely(q->unsent > q->bytes))
		q->unsent = q->bytes;
}

void tcp_sendq_clear(struct net_stack *stack, struct tcp_sendq *q)
{
	while (q->head) {
		struct tcp_chunk *chunk = q->head;

		q->head = chunk->next;
		chunk_free(stack, chunk);
	}
	*q = (struct tcp_sendq){ .head = NULL };
}

void tcp_sendq_rewind(struct tcp_sendq *q)
{
	q->cur = q->head;
	q->cur_off = 0;
	q->unsent = q->bytes;
}

static inline void add_seg(struct net_stack *stack, struct net_out *out,
			   const struct tcp_chunk *chunk, uint32_t off, uint32_t len)
{
	struct net_seg *seg = &out->segs[out->n_segs++];

	net_get(stack, chunk->seg.mem);
	seg->mem = chunk->seg.mem;
	seg->data = chunk->seg.data + off;
	seg->len = len;
	seg->pinned = 0;
	out->len += len;
}

/* A packet has no places left, and little in them: copied together, a segment of them
 * costs less than the packets that they would be. Without memory it goes as it is. */
static slow_path void join(struct net_stack *stack, const struct tcp_chunk *chunk, uint32_t off,
			   struct net_out *out, uint32_t len)
{
	struct net_seg all;

	if (len > JOIN_MAX)
		len = JOIN_MAX;
	if (!stack->dev->ops->alloc(stack->dev, len, &all)) {
		stack->count[NET_C_NO_MEMORY]++;
		return;
	}
	all.len = 0;
	all.pinned = 0;
	for (; all.len < len && chunk; chunk = chunk->next) {
		uint32_t n = chunk->seg.len - off, left = len - all.len;

		n = n < left ? n : left;
		memcpy(all.data + all.len, chunk->seg.data + off, n);
		all.len += n;
		off = 0;
	}
	for (uint32_t i = 0; i < out->n_segs; i++)
		net_put(stack, out->segs[i].mem);
	out->segs[0] = all;
	out->n_segs = 1;
	out->len = all.len;
	stack->count[NET_C_TCP_JOINED_BYTES] += all.len;
}

static uint32_t fill(struct net_stack *stack, const struct tcp_chunk *first, uint32_t first_off,
		     struct net_out *out, uint32_t len)
{
	const struct tcp_chunk *chunk = first;
	uint32_t off = first_off;

	for (; out->len < len && chunk && out->n_segs < NET_OUT_SEGS; chunk = chunk->next) {
		uint32_t n = chunk->seg.len - off, left = len - out->len;

		add_seg(stack, out, chunk, off, n < left ? n : left);
		off = 0;
	}
	if (out->len < len && chunk && out->len < JOIN_BELOW)
		join(stack, first, first_off, out, len);
	return out->len;
}

uint32_t tcp_sendq_fill(struct net_stack *stack, const struct tcp_sendq *q, struct net_out *out,
			uint32_t len)
{
	return fill(stack, q->cur, q->cur_off, out, len);
}

uint32_t tcp_sendq_fill_head(struct net_stack *stack, const struct tcp_sendq *q,
			     struct net_out *out, uint32_t len)
{
	return fill(stack, q->head, 0, out, len);
}

static void advance(struct tcp_sendq *q, uint32_t n)
{
	q->unsent -= n;
	while (n && n >= q->cur->seg.len - q->cur_off) {
		n -= q->cur->seg.len - q->cur_off;
		q->cur = q->cur->next;
		q->cur_off = 0;
	}
	q->cur_off += n;
}

uint32_t tcp_sendq_take(struct net_stack *stack, struct tcp_sendq *q, struct net_out *out,
			uint32_t len)
{
	struct tcp_chunk *chunk = q->cur;
	uint32_t off = q->cur_off;

	if (likely(chunk->seg.len - off >= len)) { /* all of it in one chunk */
		add_seg(stack, out, chunk, off, len);
		q->unsent -= len;
		q->cur_off = off + len;
		if (q->cur_off == chunk->seg.len) {
			q->cur = chunk->next;
			q->cur_off = 0;
		}
		return len;
	}
	len = fill(stack, chunk, off, out, len);
	advance(q, len);
	return len;
}

#include "config.h"

#include "net/out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/stack.h"

#define L4_AT 48u	/* 16-byte aligned; Ethernet and IP fit in front */

int net_outs_init(struct net_stack *stack)
{
	struct net_outs *outs = &stack->out;

	outs->slots = aligned_alloc(CACHE_LINE, NET_OUT_RING * sizeof(*outs->slots));
	if (!outs->slots)
		return ENOMEM;
	memset(outs->slots, 0, NET_OUT_RING * sizeof(*outs->slots));
	for (uint32_t i = 0; i < NET_OUT_RING; i++)
		outs->free[i] = &outs->slots[NET_OUT_RING - 1 - i];
	outs->n_free = NET_OUT_RING;
	outs->n = 0;
	return 0;
}

void net_outs_fini(struct net_stack *stack)
{
	struct net_outs *outs = &stack->out;

	while (outs->n)
		net_out_drop(stack, outs->order[--outs->n]);
	free(outs->slots);
	outs->slots = NULL;
}

struct net_out *net_out_new(struct net_stack *stack, unsigned l4_len, bool control)
{
	struct net_outs *outs = &stack->out;
	struct net_out *out;

	if (unlikely(outs->n_free <= NET_OUT_RESERVE) && (!control || !outs->n_free)) {
		stack->count[NET_C_TX_NO_ROOM] += control;
		return NULL;
	}
	out = outs->free[--outs->n_free];
	out->hdr = out->room + L4_AT;
	out->hdr_len = (uint16_t)l4_len;
	out->l2_len = out->l3_len = 0;
	out->l4_len = (uint8_t)l4_len;
	out->n_segs = 0;
	out->mss = 0;
	out->flags = 0;
	out->len = 0;
	return out;
}

static void out_free(struct net_outs *outs, struct net_out *out)
{
	outs->free[outs->n_free++] = out;
}

void net_out_drop(struct net_stack *stack, struct net_out *out)
{
	for (uint32_t i = 0; i < out->n_segs; i++)
		net_put(stack, out->segs[i].mem);
	out_free(&stack->out, out);
}

void net_out_queue(struct net_stack *stack, struct net_out *out)
{
	struct net_outs *outs = &stack->out;

	stack->count[NET_C_TX_PACKETS]++;
	stack->count[NET_C_TX_BYTES] += out->hdr_len + out->len;
	outs->order[outs->n++] = out;
}

bool net_outs_flush(struct net_stack *stack)
{
	struct net_outs *outs = &stack->out;
	uint32_t took;

	if (!outs->n)
		return true;
	took = stack->dev->ops->transmit(stack->dev, outs->order, outs->n);
	for (uint32_t i = 0; i < took; i++)
		out_free(outs, outs->order[i]);
	outs->n -= took;
	if (likely(!outs->n))
		return true;
	stack->count[NET_C_TX_STALLS]++;
	memmove(outs->order, outs->order + took, outs->n * sizeof(outs->order[0]));
	return false;
}

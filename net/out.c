#include "config.h"

#include "net/out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/stack.h"

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

struct net_out *net_out_new_scarce(struct net_stack *stack, unsigned l4_len, bool control)
{
	struct net_outs *outs = &stack->out;

	if (control && outs->n_free)
		return net_out_take(outs, l4_len);
	stack->count[NET_C_TX_NO_ROOM] += control;
	return NULL;
}

void net_out_drop(struct net_stack *stack, struct net_out *out)
{
	for (uint32_t i = 0; i < out->n_segs; i++)
		net_put(stack, out->segs[i].mem);
	net_out_free(&stack->out, out);
}

slow_path void net_outs_stall(struct net_stack *stack, uint32_t took)
{
	struct net_outs *outs = &stack->out;

	stack->count[NET_C_TX_STALLS]++;
	memmove(outs->order, outs->order + took, outs->n * sizeof(outs->order[0]));
}

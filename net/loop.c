#include "config.h"

#include "net/loop.h"

#include <stdlib.h>
#include <string.h>

#include "net/stack.h"

#define FIRST 64u
#define MOST 4096u
#define BYTES_MOST (8u << 20)

static bool grow(struct net_loop *loop)
{
	uint32_t size = loop->ring ? loop->mask + 1 : 0, n = loop->prod - loop->cons;
	struct net_pkt *ring;

	if (n < size)
		return true;
	if (size == MOST)
		return false;
	ring = malloc((size ? size * 2 : FIRST) * sizeof(*ring));
	if (!ring)
		return false;
	for (uint32_t i = 0; i < n; i++)
		ring[i] = loop->ring[(loop->cons + i) & loop->mask];
	free(loop->ring);
	loop->ring = ring;
	loop->mask = (size ? size * 2 : FIRST) - 1;
	loop->cons = 0;
	loop->prod = n;
	return true;
}

void net_loop_fini(struct net_stack *stack)
{
	struct net_loop *loop = &stack->loop;

	while (loop->cons != loop->prod)
		net_put(stack, loop->ring[loop->cons++ & loop->mask].seg.mem);
	free(loop->ring);
	memset(loop, 0, sizeof(*loop));
}

static void copy(uint8_t *to, const struct net_out *out)
{
	memcpy(to, out->hdr, out->hdr_len);
	to += out->hdr_len;
	for (uint32_t i = 0; i < out->n_segs; i++) {
		memcpy(to, out->segs[i].data, out->segs[i].len);
		to += out->segs[i].len;
	}
}

void net_loop_output(struct net_stack *stack, struct net_out *out)
{
	struct net_loop *loop = &stack->loop;
	struct net_pkt pkt = { .flags = NET_PKT_IP_GOOD | NET_PKT_L4_GOOD | NET_PKT_LOOPED };

	if (loop->bytes >= BYTES_MOST || !grow(loop) ||
	    !stack->dev->ops->alloc(stack->dev, out->hdr_len + out->len, &pkt.seg)) {
		stack->count[NET_C_NO_MEMORY]++;
		net_out_drop(stack, out);
		return;
	}
	pkt.seg.len = out->hdr_len + out->len;
	copy(pkt.seg.data, out);
	stack->count[NET_C_TX_PACKETS]++;
	stack->count[NET_C_TX_BYTES] += pkt.seg.len;
	net_out_drop(stack, out);
	loop->bytes += pkt.seg.len;
	loop->ring[loop->prod++ & loop->mask] = pkt;
}

void net_loop_run(struct net_stack *stack)
{
	struct net_loop *loop = &stack->loop;
	uint32_t n = loop->prod - loop->cons;

	while (n--) {
		struct net_pkt pkt = loop->ring[loop->cons++ & loop->mask];

		loop->bytes -= pkt.seg.len;
		stack->count[NET_C_RX_PACKETS]++;
		stack->count[NET_C_RX_BYTES] += pkt.seg.len;
		net_ip_input(stack, &pkt);
	}
}

/*
 * The loopback: packets to an address of ours are copied into memory of the device
 * and come in again with the next net_poll() or net_input().
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "net/netdev.h"

struct net_stack;

#define NET_LOOP_MTU 16384u

struct net_loop {
	struct net_pkt *ring;	/* IP packets */
	uint32_t prod, cons, mask;
	uint32_t bytes;		/* in it */
};

void net_loop_fini(struct net_stack *stack);
/* An IP packet, headers complete but for the protocol's checksum; takes it over. */
void net_loop_output(struct net_stack *stack, struct net_out *out);
/* What was there when it was called. */
void net_loop_run(struct net_stack *stack);

static inline bool net_loop_is_empty(const struct net_loop *loop)
{
	return loop->prod == loop->cons;
}

#endif /* NET_LOOP_H */

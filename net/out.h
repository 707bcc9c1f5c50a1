/*
 * Packets on their way out: a bounded ring between the protocols and the device.
 * A protocol takes a place, fills payload and its own header, and gives it to
 * net_ip_output(), which puts the lower headers in front. Nothing that is in the
 * ring is lost: the device takes it in this flush or in a later one.
 */
#ifndef NET_OUT_H
#define NET_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "net/netdev.h"

struct net_stack;

#define NET_OUT_RING 128u
/* The last places are for acknowledgements, resets, ARP: net_out_new() without
 * `control` leaves them. */
#define NET_OUT_RESERVE 32u

struct net_outs {
	struct net_out *slots;
	struct net_out *order[NET_OUT_RING];	/* order[0..n): waiting, oldest first */
	struct net_out *free[NET_OUT_RING];	/* a stack: the warm one first */
	uint32_t n;
	uint32_t n_free;
};

int net_outs_init(struct net_stack *stack);
void net_outs_fini(struct net_stack *stack);

/*
 * A place with room for l4_len bytes of the protocol's header at hdr (16-byte
 * aligned; Ethernet and IP go before it); no segs, no flags. NULL: the ring is
 * full (NET_C_TX_NO_ROOM for control, the caller waits otherwise).
 */
struct net_out *net_out_new(struct net_stack *stack, unsigned l4_len, bool control);
/* Gives back one that will not be sent, with its references. */
void net_out_drop(struct net_stack *stack, struct net_out *out);
/* Complete, lower headers too: to the ring's end. */
void net_out_queue(struct net_stack *stack, struct net_out *out);
/* Offers the ring to the device. false: some stayed. */
bool net_outs_flush(struct net_stack *stack);
/* Places that net_out_new() still has for data. */
static inline uint32_t net_outs_room(const struct net_outs *outs)
{
	return outs->n_free > NET_OUT_RESERVE ? outs->n_free - NET_OUT_RESERVE : 0;
}

#endif /* NET_OUT_H */

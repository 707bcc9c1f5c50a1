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

#define NET_OUT_L4_AT 48u	/* 16-byte aligned; Ethernet and IP fit in front */

static inline struct net_out *net_out_take(struct net_outs *outs, unsigned l4_len)
{
	struct net_out *out = outs->free[--outs->n_free];

	out->hdr = out->room + NET_OUT_L4_AT;
	out->hdr_len = (uint16_t)l4_len;
	out->l2_len = out->l3_len = 0;
	out->l4_len = (uint8_t)l4_len;
	out->n_segs = 0;
	out->mss = 0;
	out->flags = 0;
	out->len = 0;
	return out;
}

/* Gives back one that will not be sent, with its references. */
void net_out_drop(struct net_stack *stack, struct net_out *out);
/* What is left is the reserve, or nothing. */
struct net_out *net_out_new_scarce(struct net_stack *stack, unsigned l4_len, bool control);
static inline void net_out_free(struct net_outs *outs, struct net_out *out)
{
	outs->free[outs->n_free++] = out;
}

/* The device has taken only some. */
void net_outs_stall(struct net_stack *stack, uint32_t took);
/* Places that net_out_new() still has for data. */
static inline uint32_t net_outs_room(const struct net_outs *outs)
{
	return outs->n_free > NET_OUT_RESERVE ? outs->n_free - NET_OUT_RESERVE : 0;
}

#endif /* NET_OUT_H */

/*
 * The stack from inside: what its parts share. Each part's own state is a struct
 * of its own header, held here by value.
 */
#ifndef NET_STACK_H
#define NET_STACK_H

#include "base/compiler.h"
#include "base/list.h"
#include "base/wheel.h"
#include "net/conf.h"
#include "net/icmp.h"
#include "net/ip.h"
#include "net/loop.h"
#include "net/neigh.h"
#include "net/net.h"
#include "net/out.h"
#include "net/port.h"
#include "net/rand.h"
#include "net/reass.h"
#include "net/tcp.h"
#include "net/udp.h"

struct net_stack {
	uint64_t now;		/* ns, of the call that is running */
	bool looped;		/* the packet that is being handled is one of ours */
	bool alone;		/* nobody is at the other end (net_link_lost()) */
	struct net_dev *dev;
	uint64_t *count;	/* enum net_count */
	struct net_outs out;	/* packets built and not yet taken by the device */
	struct list ready;	/* sockets with events, by net_sock.ready */
	net_take *take;		/* NULL: nobody */
	struct net_tcps tcp;
	struct net_udps udp;
	struct wheel wheel;	/* ticks of 2^16 ns: every timer of the stack */
	struct net_ips ip;	/* our addresses, the routes */
	struct net_ports ports;
	struct net_neighs neigh;
	struct net_reass reass;
	struct net_icmps icmp;
	struct net_loop loop;	/* packets to ourselves */
	struct net_rand rand;
	struct net_config config;
};

/* ---- what every socket begins with */

/* TCP's flow table compares the addresses: they come first, for one cache line. */
struct net_sock {
	struct net_addr local;	/* ip any: every address of ours */
	struct net_addr peer;	/* port 0: none */
	struct net_stack *stack;
	struct list ready;	/* of the stack; itself if it has no event */
	void *user;
	struct net_sock *port_next; /* of net_ports */
	uint8_t type;		/* enum net_type */
	uint8_t events;		/* enum net_event, not taken yet */
	bool reuse : 1;		/* SO_REUSEADDR */
	bool bound : 1;		/* has a local port of its own: in net_ports */
	bool listens : 1;	/* TCP */
	bool holds_ip : 1;	/* bind held local.ip; else it is any, or only more exact */
};

/* What bind held. */
static inline struct net_ip net_held_ip(const struct net_sock *s)
{
	return s->holds_ip ? s->local.ip : net_ip4(0);
}

static inline void net_raise(struct net_sock *s, unsigned events)
{
	s->events |= (uint8_t)events;
	if (list_empty(&s->ready))
		list_add_tail(&s->stack->ready, &s->ready);
}

/* Whether the embedder has it; what it pins is the caller's to charge. */
static inline bool net_taken(const struct net_sock *s, const struct net_seg *seg,
			     const struct net_addr *from)
{
	return s->stack->take && s->user && s->stack->take(s->user, seg, from);
}

/*
 * A place with room for l4_len bytes of the protocol's header at hdr (16-byte
 * aligned; Ethernet and IP go before it); no segs, no flags. NULL: the ring is
 * full (NET_C_TX_NO_ROOM for control, the caller waits otherwise).
 */
static inline struct net_out *net_out_new(struct net_stack *stack, unsigned l4_len, bool control)
{
	if (unlikely(stack->out.n_free <= NET_OUT_RESERVE))
		return net_out_new_scarce(stack, l4_len, control);
	return net_out_take(&stack->out, l4_len);
}

/* Complete, lower headers too: to the ring's end. */
static inline void net_out_queue(struct net_stack *stack, struct net_out *out)
{
	stack->count[NET_C_TX_PACKETS]++;
	stack->count[NET_C_TX_BYTES] += out->hdr_len + out->len;
	stack->out.order[stack->out.n++] = out;
}

/* Offers the ring to the device. false: some stayed. */
static inline bool net_outs_flush(struct net_stack *stack)
{
	struct net_outs *outs = &stack->out;
	uint32_t took;

	if (!outs->n)
		return true;
	took = stack->dev->ops->transmit(stack->dev, outs->order, outs->n);
	for (uint32_t i = 0; i < took; i++)
		net_out_free(outs, outs->order[i]);
	outs->n -= took;
	if (likely(!outs->n))
		return true;
	net_outs_stall(stack, took);
	return false;
}

/* Nothing to send, to tell, or to free. */
static inline bool net_is_idle(const struct net_stack *stack)
{
	return !stack->out.n && list_empty(&stack->tcp.acks) && list_empty(&stack->tcp.dead) &&
	       list_empty(&stack->tcp.reported) && net_loop_is_empty(&stack->loop) &&
	       list_empty(&stack->ready);
}

static inline void net_get(const struct net_stack *stack, struct net_mem *mem)
{
	stack->dev->ops->get(mem);
}

static inline void net_put(const struct net_stack *stack, struct net_mem *mem)
{
	stack->dev->ops->put(mem);
}

#endif /* NET_STACK_H */

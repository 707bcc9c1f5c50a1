/*
 * TIME_WAIT (RFC 9293 3.10.7.4, RFC 1337, RFC 6191) without a control block: what it
 * takes to answer an old FIN and to know a new SYN. All wait for the same time, so a
 * list in the order of their ends and one timer do.
 */
#ifndef NET_TCP_WAIT_H
#define NET_TCP_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/slab.h"
#include "net/tcp_flow.h"
#include "net/timer.h"

struct net_stack;
struct tcp_conn;
struct tcp_in;

struct tcp_wait {
	struct tcp_tuple tuple;
	struct list link;	/* of tcp_waits.order */
	uint64_t end;		/* ns */
	uint32_t rcv_nxt, snd_nxt;
	uint32_t ts_recent, ts_offset;
	uint16_t wnd;		/* as on the wire */
	bool ts_on;
	bool held;		/* net_port_hold() counts it */
};

struct tcp_waits {
	struct tcp_flow flow;
	struct list order;
	struct net_timer timer;
	struct net_slab slab;
};

int tcp_waits_init(struct net_stack *stack);
void tcp_waits_fini(struct net_stack *stack);

/* c has come to TIME_WAIT: out of the connections' table, into this one. */
void tcp_wait_enter(struct tcp_conn *c);
struct tcp_wait *tcp_wait_find(struct net_stack *stack, const struct net_ip *local,
			       const struct net_ip *peer, uint32_t ports);
/* true: a SYN that begins a new connection, whose iss is to be at least *iss_min_out;
 * w is gone. false: it has been dealt with. */
bool tcp_wait_input(struct net_stack *stack, struct tcp_wait *w, const struct tcp_in *in,
		    uint32_t *iss_min_out);

#endif /* NET_TCP_WAIT_H */

/*
 * Congestion control (RFC 5681) as a table of what happens to a connection. The
 * rest of TCP finds losses and decides what to send again; an algorithm only moves
 * cwnd and ssthresh, in bytes.
 */
#ifndef NET_TCP_CC_H
#define NET_TCP_CC_H

#include <stdint.h>

struct tcp_conn;

struct net_tcp_cc {
	const char *name;
	/* The connection is established, or has changed to this algorithm. */
	void (*init)(struct tcp_conn *c);
	/* New data is acknowledged while no fast recovery goes on; flight: bytes that
	 * were out before. */
	void (*acked)(struct tcp_conn *c, uint32_t bytes, uint32_t flight);
	/* A loss was found: what ssthresh becomes. Recovery itself is the caller's. */
	uint32_t (*ssthresh)(struct tcp_conn *c, uint32_t flight);
	/* Fast recovery is over; cwnd has come down to ssthresh. */
	void (*recovered)(struct tcp_conn *c);
	/* The retransmission timer has expired: after ssthresh and cwnd were set. */
	void (*timeout)(struct tcp_conn *c);
	/* bytes of what was acknowledged carried a congestion mark; for those with ECN. */
	void (*marked)(struct tcp_conn *c, uint32_t bytes);
	/* Nothing was sent for longer than an RTO (RFC 5681 4.1). */
	void (*idle)(struct tcp_conn *c);
};

extern const struct net_tcp_cc net_tcp_newreno;

/* NULL: there is none of that name. */
const struct net_tcp_cc *net_tcp_cc_find(const char *name);

#endif /* NET_TCP_CC_H */

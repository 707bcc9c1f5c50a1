/*
 * Questions to a socket in the midst of its work, and calls that are wrong for what
 * it is: each has the answer that net.h gives, and none changes anything.
 */
#ifndef TESTS_SIM_ASK_H
#define TESTS_SIM_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/rnd.h"

struct host;
struct net_addr;
struct net_sock;

/* What a connection has said of itself; it never takes anything back. */
struct asked {
	uint64_t acked, received, retrans;
};

/* The states of TCP_INFO, as Linux counts them. */
enum ask_state {
	ASK_ESTABLISHED = 1,
	ASK_SYN_SENT,
	ASK_SYN_RECEIVED,
	ASK_FIN_WAIT_1,
	ASK_FIN_WAIT_2,
	ASK_TIME_WAIT,
	ASK_CLOSED,
	ASK_CLOSE_WAIT,
	ASK_LAST_ACK,
	ASK_LISTEN,
	ASK_CLOSING,
};

/* A failure unless got is right. */
void ask_want(struct host *h, const char *call, int got, int right);
enum ask_state ask_tcp_state(const struct net_sock *s);
/* Between SYN and the end of both directions, as TIME_WAIT is not. */
bool ask_is_synchronized(enum ask_state state);

/* A TCP socket in any state but LISTEN; received: bytes of its stream that a program
 * has had. */
void ask_tcp(struct host *h, struct net_sock *s, struct rnd *r, struct asked *asked,
	     uint64_t received);
/* All options of a socket of either type: what is out of range, what is in it. */
void ask_options(struct host *h, struct net_sock *s, struct rnd *r, bool tcp);
void ask_udp(struct host *h, struct net_sock *s, struct rnd *r);
/* Every TCP socket of the host. */
void ask_all(struct host *h);

#endif /* TESTS_SIM_ASK_H */

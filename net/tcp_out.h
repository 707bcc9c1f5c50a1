/* Segments of a connection on their way out (RFC 9293 3.8.6, 3.10.7.1). */
#ifndef NET_TCP_OUT_H
#define NET_TCP_OUT_H

#include <stdbool.h>
#include <stdint.h>

struct net_addr;
struct net_seg;
struct net_stack;
struct tcp_conn;
struct tcp_in;

/* All that may go: as far as windows, Nagle and the ring allow. */
void tcp_output(struct tcp_conn *c);
/* The first segment again. */
void tcp_out_retransmit(struct tcp_conn *c);
/* SYN, or SYN,ACK, by the state; later if there is no room. EHOSTUNREACH and the like. */
int tcp_out_syn(struct tcp_conn *c);
/* An ACK at once; when there is no room it is owed. */
void tcp_out_ack(struct tcp_conn *c);
/* RFC 9293 3.8.6.1: a byte into a window that is shut, or what a silly one takes. */
void tcp_out_probe(struct tcp_conn *c);
/* RFC 9293 3.8.4 */
void tcp_out_keepalive(struct tcp_conn *c);
void tcp_out_reset(struct tcp_conn *c);
/* RFC 9293 3.10.7.1: to a segment that belongs to nothing. */
void tcp_out_reset_reply(struct net_stack *stack, const struct net_addr *local,
			 const struct net_addr *peer, const struct tcp_in *in);
/* An ACK without a connection: TIME_WAIT's. ts: whether to carry one. */
struct tcp_bare {
	uint32_t seq, ack, tsval, tsecr;
	uint16_t wnd;		/* as on the wire */
	uint8_t flags;
	bool ts;
};
void tcp_out_bare(struct net_stack *stack, const struct net_addr *local,
		  const struct net_addr *peer, const struct tcp_bare *bare);

/* What the peer may send us at once. */
uint16_t tcp_mss_own(const struct tcp_conn *c);
/* c->mss anew: the path, the peer, the program, the options. */
void tcp_mss_sync(struct tcp_conn *c);

/* net_tcp_send(), whatever it meets. */
int tcp_out_push(struct tcp_conn *c, const struct net_seg *segs, uint32_t n);

#endif /* NET_TCP_OUT_H */

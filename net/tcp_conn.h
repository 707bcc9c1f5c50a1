/*
 * The control block of a TCP connection (RFC 9293 3.3.1), and of a socket that has
 * none yet. Laid out by who touches it: the key, the receive path, the transmit
 * path, the timers, the rest.
 */
#ifndef NET_TCP_CONN_H
#define NET_TCP_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/ip.h"
#include "net/stack.h"
#include "net/tcp_recvq.h"
#include "net/tcp_sendq.h"
#include "net/tcp_seq.h"
#include "net/timer.h"

struct net_tcp_cc;

/* RFC 9293 3.3.2; the numbers are those of Linux's TCP_INFO. */
enum tcp_state {
	TCPS_ESTABLISHED = 1,
	TCPS_SYN_SENT = 2,
	TCPS_SYN_RECEIVED = 3,
	TCPS_FIN_WAIT_1 = 4,
	TCPS_FIN_WAIT_2 = 5,
	TCPS_TIME_WAIT = 6,	/* held by the program; packets meet a tcp_wait */
	TCPS_CLOSED = 7,
	TCPS_CLOSE_WAIT = 8,
	TCPS_LAST_ACK = 9,
	TCPS_LISTEN = 10,
	TCPS_CLOSING = 11,
};

/* What the sender believes of what is out (Linux's tcpi_ca_state). */
enum tcp_ca {
	TCP_CA_IS_OPEN = 0,
	TCP_CA_IS_RECOVERY = 3,	/* RFC 6582, until recover is acknowledged */
	TCP_CA_IS_LOSS = 4,	/* slow start after a timeout, until then too */
};

enum tcp_owner {
	TCP_CHILD,		/* a listener's, not accepted yet */
	TCP_OWNED,		/* the program has it */
	TCP_REPORT,		/* net_close() is to say how it ends */
	TCP_ORPHAN,		/* nobody looks any more */
	TCP_DEAD,		/* its memory goes at the next reaping */
};

/* What tcp_conn.timer waits for. */
enum tcp_purpose {
	TCP_FOR_NOTHING,
	TCP_FOR_RTX,		/* RFC 6298 */
	TCP_FOR_PERSIST,	/* a zero window, or a silly one (RFC 9293 3.8.6.1) */
	TCP_FOR_KEEPALIVE,
	TCP_FOR_FIN_WAIT_2,	/* of an orphan */
};

/* How soon what has arrived is to be acknowledged. */
enum tcp_ack {
	TCP_ACK_NONE,
	TCP_ACK_DELAYED,	/* on tcps.delacks, due at ack_at */
	TCP_ACK_NOW,		/* on tcps.acks */
};

/* The children of one listener. */
struct tcp_listener {
	struct list half;	/* SYN_RECEIVED, by net_sock.ready */
	struct list full;	/* to be accepted, oldest first, by net_sock.ready */
	uint32_t n_half, n_full;
	uint32_t backlog;
};

/* The order is that of the usual segment's way through it, in and out. */
struct tcp_conn {
	struct net_sock s;

	/* receive */
	uint32_t rcv_nxt;
	uint32_t rcv_edge;	/* rcv_nxt + rcv_wnd, as the peer knows it */
	uint32_t rcv_acked;	/* RFC 7323's Last.ACK.sent */
	uint32_t ts_recent;
	uint32_t snd_una;
	uint32_t snd_nxt;	/* what goes next: back at snd_una after a timeout */
	uint32_t snd_max;	/* RFC 9293's SND.NXT: the end of what ever went */
	uint32_t snd_wnd;
	uint32_t snd_wl1, snd_wl2;
	uint32_t snd_wnd_max;
	union {
		struct {
			uint8_t state;	/* enum tcp_state */
			uint8_t ca;	/* enum tcp_ca */
			uint8_t dupacks;
			bool rcv_shut : 1; /* SHUT_RD, or closed */
			bool fin_early : 1; /* at fin_seq, data before it is missing */
		};
		uint32_t usual;	/* TCPS_ESTABLISHED, and nothing else to look at */
	};
	uint8_t ack;		/* enum tcp_ack */
	uint8_t purpose;	/* enum tcp_purpose */
	uint8_t snd_wscale, rcv_wscale;
	uint32_t rcv_ms;	/* tcps.ms of the last segment in the window */
	uint16_t rcv_mss;	/* the longest segment that came */
	uint16_t mss;		/* payload of what goes out, options taken off */
	uint8_t owner;		/* enum tcp_owner */
	bool ts_on : 1;
	bool fin_rcvd : 1;
	bool fin_queued : 1;	/* FIN after what is queued */
	bool fin_acked : 1;
	bool rtt_timed : 1;	/* rtt_seq is on its way since rtt_us, sent once */
	bool nodelay : 1;
	bool quickack : 1;
	bool keepalive : 1;
	bool blocked : 1;	/* on tcps.blocked or will be: wants room in the ring */
	bool want_write : 1;	/* net_send() said EAGAIN */
	bool held : 1;		/* net_port_hold() counts it */
	bool partial : 1;	/* RFC 6582: a partial ACK has come in this recovery */
	bool syn_again : 1;	/* the SYN went more than once */
	bool in_flow : 1;
	bool lingers : 1;	/* counted in n_lingering */
	bool peer_wscale : 1;
	bool reported : 1;
	bool rcv_zeroed : 1;	/* the window was announced as 0 though rcv_edge is beyond */
	bool probe_out : 1;	/* snd_max counts a byte that only probed a shut window */
	bool rtx_wanted : 1;	/* snd_una is to go again when there is room */
	struct tcp_recvq rq;

	/* transmit */
	struct tcp_sendq sq;
	struct net_path path;
	uint32_t cwnd, ssthresh;
	uint32_t ts_offset;
	uint32_t ts_recent_s;	/* when ts_recent was set: RFC 7323 5.5 */
	uint32_t rto;		/* us, not backed off */
	uint32_t rtt_seq, rtt_us;
	uint32_t snd_ms;	/* tcps.ms of the last data segment sent */
	uint32_t rcvbuf, sndbuf;
	uint64_t bytes_acked, bytes_received;
	uint8_t backoff;	/* rto << this */
	uint8_t retries;	/* without an answer */
	uint8_t pingpong;	/* RFC 9293 3.8.6.3, see tcp_ack.c: answers in a row */
	uint8_t pingpong_min;	/* ... it takes for a delay */
	uint32_t ack_ms;	/* tcps.ms when the delayed ACK is due */
	struct net_timer timer;
	struct list link;	/* tcps.acks, tcps.blocked or tcps.unresolved */
	struct list delack;	/* tcps.delacks; may stay there after its ACK has gone */
	const struct net_tcp_cc *cc;

	/* the rest */
	struct list all;	/* tcps.all, or tcps.dead */
	union {
		struct tcp_listener *listener; /* LISTEN: its own */
		struct tcp_conn *parent;	/* CHILD: whose it is */
	};
	uint32_t recover;	/* RFC 6582 */
	uint32_t cc_acked;	/* RFC 5681 3.1: bytes that have not grown cwnd yet */
	uint32_t srtt, rttvar;	/* us << 3, us << 2; srtt 0: no sample */
	uint32_t progress_ms;	/* tcps.ms of when what is out began to wait */
	uint32_t fin_seq;
	uint32_t oow_ms;	/* when an empty segment outside the window was answered */
	uint16_t mss_max;	/* TCP_MAXSEG; 0: none */
	uint16_t mss_peer;	/* of its SYN */
	uint8_t cause;		/* errno of the failure, for ever */
	uint8_t error;		/* SO_ERROR, until it is asked for */
	uint8_t soft_error;	/* ICMP's: RFC 1122 4.2.3.9 */
	uint8_t keepcnt;
	uint16_t keepidle, keepintvl; /* s */
	int32_t linger;		/* s; -1: off */
	uint32_t user_timeout;	/* ms; 0: none */
	uint32_t total_retrans;
};

static inline struct tcp_conn *tcp_conn(const struct net_sock *s)
{
	return container_of(s, struct tcp_conn, s);
}

static inline struct net_stack *tcp_stack(const struct tcp_conn *c)
{
	return c->s.stack;
}

static inline void tcp_count(const struct tcp_conn *c, enum net_count what)
{
	c->s.stack->count[what]++;
}

/* CLOSED, with the stack's defaults; NULL: no memory. */
struct tcp_conn *tcp_conn_new(struct net_stack *stack, enum tcp_owner owner);
/* The one place where a state changes. */
void tcp_conn_set_state(struct tcp_conn *c, enum tcp_state state);
/* It has failed: err to whoever owns it, for ever. */
void tcp_conn_fail(struct tcp_conn *c, int err);
/* A connect has failed or was called off: as new again. */
void tcp_conn_renew(struct tcp_conn *c);
/* It has ended as it should: nothing is owed to anybody. */
void tcp_conn_done(struct tcp_conn *c);
/* Out of everything; its memory goes at the next tcp_conn_reap(). */
void tcp_conn_kill(struct tcp_conn *c);
void tcp_conn_reap(struct net_stack *stack);

/* Events to the program, if there still is one. */
void tcp_conn_raise(struct tcp_conn *c, unsigned events);
/* Into the flow table, by its addresses, which nobody there has. ENOMEM. */
int tcp_conn_enter(struct tcp_conn *c);
/* The peer has acknowledged our FIN, or will never. */
void tcp_conn_unlinger(struct tcp_conn *c);

/* Half of it is window, which is announced in units of 1 << wscale. */
static inline uint32_t tcp_rcvbuf_min(uint32_t wscale)
{
	return UINT32_C(4) << wscale;
}

static inline bool tcp_conn_is_synchronized(const struct tcp_conn *c)
{
	return c->in_flow && c->state != TCPS_SYN_SENT && c->state != TCPS_SYN_RECEIVED;
}

#endif /* NET_TCP_CONN_H */

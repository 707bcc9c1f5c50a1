#include "config.h"

#include "net/tcp_acked.h"

#include "net/tcp_cc.h"
#include "net/tcp_clock.h"
#include "net/tcp_conn.h"
#include "net/tcp_in.h"
#include "net/tcp_out.h"
#include "net/tcp_rtt.h"
#include "net/tcp_timer.h"

#define DUP_THRESH 3

/* RFC 6298: the one segment that is being timed, or, after retransmissions, which it
 * cannot tell apart, what the peer echoes (RFC 7323 4.1). */
static void sample(struct tcp_conn *c, uint32_t ack, const struct tcp_in *in)
{
	struct net_tcps *t = tcp_clock(tcp_stack(c));

	if (c->rtt_timed && seq_gt(ack, c->rtt_seq)) {
		c->rtt_timed = false;
		tcp_rtt_sample(c, t->us - c->rtt_us);
		return;
	}
	if (in && in->has_ts && in->tsecr && c->ca != TCP_CA_IS_OPEN)
		tcp_rtt_sample_ts(c, in->tsecr);
}

/* ---- RFC 6582 */

static void enter_recovery(struct tcp_conn *c)
{
	c->ssthresh = c->cc->ssthresh(c, c->snd_max - c->snd_una);
	c->recover = c->snd_max;
	c->cwnd = c->ssthresh + DUP_THRESH * c->mss;
	c->ca = TCP_CA_IS_RECOVERY;
	c->partial = false;
	tcp_count(c, NET_C_TCP_FAST_RETRANS);
	tcp_out_retransmit(c);
}

static void leave_recovery(struct tcp_conn *c)
{
	uint32_t flight = c->snd_max - c->snd_una;
	uint32_t cwnd = (flight > c->mss ? flight : c->mss) + c->mss;

	c->ca = TCP_CA_IS_OPEN;
	c->cwnd = cwnd < c->ssthresh ? cwnd : c->ssthresh;
	c->cc->recovered(c);
	if (flight)
		tcp_timer_rtx(c);
}

/* The next hole: it goes at once, and the window shrinks by what has left. The timer
 * is put back by the first one only. */
static void partial_ack(struct tcp_conn *c, uint32_t bytes)
{
	c->cwnd -= bytes < c->cwnd ? bytes : c->cwnd;
	if (bytes >= c->mss)
		c->cwnd += c->mss;
	if (c->cwnd < c->mss)
		c->cwnd = c->mss;
	if (!c->partial)
		tcp_timer_rtx(c);
	c->partial = true;
	tcp_out_retransmit(c);
}

void tcp_acked_dup(struct tcp_conn *c)
{
	tcp_count(c, NET_C_TCP_ACK_DUP);
	if (c->dupacks < UINT8_MAX)
		c->dupacks++;
	if (c->ca == TCP_CA_IS_RECOVERY)
		c->cwnd += c->mss;
	else if (c->dupacks == DUP_THRESH && seq_gt(c->snd_una, c->recover))
		enter_recovery(c);
}

/* ---- new data */

static void control_congestion(struct tcp_conn *c, uint32_t bytes, uint32_t flight)
{
	bool whole = seq_geq(c->snd_una, c->recover);

	switch ((enum tcp_ca)c->ca) {
	case TCP_CA_IS_OPEN:
		c->cc->acked(c, bytes, flight);
		return;
	case TCP_CA_IS_RECOVERY:
		if (whole)
			leave_recovery(c);
		else
			partial_ack(c, bytes);
		return;
	case TCP_CA_IS_LOSS:
		c->cc->acked(c, bytes, flight);
		if (whole)
			c->ca = TCP_CA_IS_OPEN;
		return;
	}
}

void tcp_acked_new(struct tcp_conn *c, uint32_t ack, const struct tcp_in *in)
{
	uint32_t n = ack - c->snd_una, flight = c->snd_max - c->snd_una;
	uint32_t bytes = n <= c->sq.bytes ? n : c->sq.bytes;

	if (unlikely(n > c->sq.bytes))
		c->fin_acked = true;
	sample(c, ack, in);
	tcp_sendq_drop(tcp_stack(c), &c->sq, bytes);
	c->snd_una = ack;
	if (seq_lt(c->snd_nxt, ack))
		c->snd_nxt = ack;
	c->bytes_acked += bytes;
	c->dupacks = 0;
	c->retries = 0;
	c->soft_error = 0;
	if (c->snd_una == c->snd_max)
		tcp_timer_idle(c);
	else if (likely(c->ca != TCP_CA_IS_RECOVERY))
		tcp_timer_rtx(c);
	control_congestion(c, bytes, flight);
	if (c->want_write && c->sq.bytes < c->sndbuf) {
		c->want_write = false;
		tcp_conn_raise(c, NET_WRITABLE);
	}
}

static void go_back(struct tcp_conn *c)
{
	c->ca = TCP_CA_IS_LOSS;
	c->recover = c->snd_max;
	c->dupacks = 0;
	c->rtt_timed = false;
	c->rtx_wanted = false;
	c->snd_nxt = c->snd_una;
	tcp_sendq_rewind(&c->sq);
}

void tcp_acked_timeout(struct tcp_conn *c)
{
	/* RFC 5681 3.1: once per loss */
	if (c->retries <= 1)
		c->ssthresh = c->cc->ssthresh(c, c->snd_max - c->snd_una);
	c->cwnd = c->mss;
	go_back(c);
	c->cc->timeout(c);
}

void tcp_acked_too_long(struct tcp_conn *c)
{
	go_back(c);
	tcp_output(c);
}

#include "config.h"

#include "net/tcp_setup.h"

#include <string.h>

#include "net/tcp_ack.h"
#include "net/tcp_cc.h"
#include "net/tcp_clock.h"
#include "net/tcp_conn.h"
#include "net/tcp_in.h"
#include "net/tcp_opt.h"
#include "net/tcp_out.h"
#include "net/tcp_rtt.h"
#include "net/tcp_timer.h"

#define ISN_TICK_NS 4000u	/* RFC 9293 MUST-8 */
#define RTO_AFTER_SYN_LOSS_US 3000000u	/* RFC 6298 5.7 */
#define RCV_MSS_FIRST 536u
#define SSTHRESH_NONE INT32_MAX
#define WSCALE_AUTO 255u
#define IW_BYTES 14600u

/* RFC 6528: M + F(four-tuple, key). The upper half of F shifts the timestamps, so that
 * they go on from one connection of a four-tuple to the next. */
static uint32_t initial_seq(struct tcp_conn *c)
{
	struct net_stack *stack = tcp_stack(c);
	struct {
		struct net_ip local, peer;
		uint16_t local_port, peer_port;
	} tuple;
	uint64_t f;

	memset(&tuple, 0, sizeof(tuple));
	tuple.local = c->s.local.ip;
	tuple.peer = c->s.peer.ip;
	tuple.local_port = c->s.local.port;
	tuple.peer_port = c->s.peer.port;
	f = net_hash(&stack->rand, &tuple, sizeof(tuple));
	c->ts_offset = (uint32_t)(f >> 32);
	if (stack->tcp.iss)
		return *stack->tcp.iss;
	return (uint32_t)f + (uint32_t)(stack->now / ISN_TICK_NS);
}

/* The smallest shift with which the whole receive buffer can be announced, or what is
 * configured: but a window of one unit has to fit in the buffer, or it stays shut. */
static uint8_t choose_wscale(const struct tcp_conn *c)
{
	uint32_t scale = tcp_stack(c)->config.wscale;

	if (scale != WSCALE_AUTO) {
		while (scale && tcp_rcvbuf_min(scale) > c->rcvbuf)
			scale--;
		return (uint8_t)scale;
	}
	scale = 0;
	while (scale < TCP_WSCALE_MAX && (uint64_t)UINT16_MAX << scale < c->rcvbuf)
		scale++;
	return (uint8_t)scale;
}

void tcp_setup_begin(struct tcp_conn *c, const uint32_t *iss_min)
{
	uint32_t iss = initial_seq(c), ms = tcp_clock(tcp_stack(c))->ms;

	if (iss_min && seq_lt(iss, *iss_min))
		iss = *iss_min;
	c->snd_una = iss;
	c->snd_nxt = c->snd_max = iss + 1;
	c->recover = iss;
	c->rcv_wscale = choose_wscale(c);
	c->rcv_mss = tcp_mss_own(c) < RCV_MSS_FIRST ? tcp_mss_own(c) : RCV_MSS_FIRST;
	c->ssthresh = SSTHRESH_NONE;
	c->oow_ms = ms - UINT32_MAX / 4;
	c->rcv_ms = ms;
	c->rtt_timed = true;
	c->rtt_seq = iss;
	c->rtt_us = tcp_clock(tcp_stack(c))->us;
	tcp_rtt_init(c);
	tcp_ack_init(c);
}

void tcp_setup_syn(struct tcp_conn *c, const struct tcp_in *in)
{
	const struct net_config *config = &tcp_stack(c)->config;
	uint32_t wnd;

	c->rcv_nxt = in->seq + 1;
	c->rcv_acked = c->rcv_nxt;
	wnd = tcp_window(c);
	c->rcv_edge = c->rcv_nxt + (wnd < UINT16_MAX ? wnd : UINT16_MAX);
	c->mss_peer = in->mss;
	c->ts_on = config->timestamps && in->has_ts;
	if (c->ts_on) {
		c->ts_recent = in->tsval;
		c->ts_recent_s = tcp_clock(tcp_stack(c))->s;
	}
	c->peer_wscale = config->wscale && in->has_wscale;
	c->snd_wscale = c->peer_wscale ? in->wscale : 0;
	if (!c->peer_wscale)
		c->rcv_wscale = 0;
	c->snd_wnd = in->wnd; /* never scaled here */
	c->snd_wnd_max = c->snd_wnd;
	c->snd_wl1 = in->seq;
	c->snd_wl2 = in->ack;
	tcp_mss_sync(c);
}

/* RFC 6928; RFC 5681 3.1 after the loss of a SYN. */
static uint32_t initial_window(const struct tcp_conn *c)
{
	uint32_t segs = tcp_stack(c)->config.iw;

	if (c->syn_again)
		return c->mss;
	if (segs > 2 && (uint64_t)segs * c->mss > (uint64_t)IW_BYTES * segs / 10)
		segs = IW_BYTES * segs / 10 / c->mss > 2 ? IW_BYTES * segs / 10 / c->mss : 2;
	return segs * c->mss;
}

static void first_rtt(struct tcp_conn *c, const struct tcp_in *in)
{
	struct net_tcps *t = tcp_clock(tcp_stack(c));

	if (c->rtt_timed)
		tcp_rtt_sample(c, t->us - c->rtt_us);
	else if (c->ts_on && in->has_ts && in->tsecr)
		tcp_rtt_sample_ts(c, in->tsecr);
	else if (c->rto < RTO_AFTER_SYN_LOSS_US)
		c->rto = RTO_AFTER_SYN_LOSS_US;
	c->rtt_timed = false;
	c->backoff = 0;
}

void tcp_setup_established(struct tcp_conn *c, const struct tcp_in *in)
{
	bool active = c->state == TCPS_SYN_SENT;

	first_rtt(c, in);
	c->snd_una = in->ack;
	c->retries = 0;
	c->rtx_wanted = false;
	c->soft_error = 0;
	c->snd_wnd = active ? in->wnd : in->wnd << c->snd_wscale;
	c->snd_wl1 = in->seq;
	c->snd_wl2 = in->ack;
	if (c->snd_wnd > c->snd_wnd_max)
		c->snd_wnd_max = c->snd_wnd;
	c->cwnd = initial_window(c);
	c->snd_ms = tcp_clock(tcp_stack(c))->ms;
	c->ca = TCP_CA_IS_OPEN;
	c->cc->init(c);
	tcp_conn_set_state(c, TCPS_ESTABLISHED);
	tcp_timer_idle(c);
	if (c->owner == TCP_CHILD)
		return; /* its listener is told */
	tcp_conn_raise(c, NET_CONNECTED | NET_WRITABLE);
	if (c->fin_queued) /* closed meanwhile */
		tcp_conn_set_state(c, TCPS_FIN_WAIT_1);
}

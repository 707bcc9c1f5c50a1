#include "config.h"

#include "net/tcp_in.h"

#include <errno.h>

#include "net/tcp_ack.h"
#include "net/tcp_acked.h"
#include "net/tcp_cc.h"
#include "net/tcp_clock.h"
#include "net/tcp_conn.h"
#include "net/tcp_listen.h"
#include "net/tcp_out.h"
#include "net/tcp_rtt.h"
#include "net/tcp_setup.h"
#include "net/tcp_timer.h"

#define PAWS_OUTDATED_S (24u * 24 * 3600)	/* RFC 7323 5.5 */
#define OOW_MS 500u	/* between answers to empty segments outside the window */

/* ---- RFC 9293 3.10.7.3: SYN-SENT */

static void simultaneous_open(struct tcp_conn *c)
{
	tcp_conn_set_state(c, TCPS_SYN_RECEIVED);
	c->retries = 0;
	tcp_timer_rtx(c);
	tcp_out_syn(c);
}

static void text_and_fin(struct tcp_conn *c, struct tcp_in *in);

static void syn_sent(struct tcp_conn *c, struct tcp_in *in)
{
	bool ack = in->flags & NET_TCP_ACK;

	/* first: ACK. Nothing but the SYN is out */
	if (ack && in->ack != c->snd_max) {
		tcp_count(c, NET_C_TCP_ACK_BAD);
		tcp_out_reset_reply(tcp_stack(c), &c->s.local, &c->s.peer, in);
		return;
	}
	/* second: RST */
	if (in->flags & NET_TCP_RST) {
		tcp_count(c, ack ? NET_C_TCP_RST_IN : NET_C_TCP_RST_BAD);
		if (ack)
			tcp_conn_fail(c, ECONNREFUSED);
		return;
	}
	/* fourth: SYN; fifth: or nothing */
	if (!(in->flags & NET_TCP_SYN)) {
		tcp_count(c, NET_C_TCP_OUT_OF_WINDOW);
		return;
	}
	tcp_setup_syn(c, in);
	if (!ack) {
		simultaneous_open(c);
		return;
	}
	tcp_setup_established(c, in);
	tcp_ack_now(c);
	in->seq++;
	text_and_fin(c, in);
	tcp_output(c);
}

/* ---- 3.10.7.4, first: the sequence number */

/* One per half second for each connection to what is empty, so that two ends that are
 * out of step do not answer each other for ever. */
static void answer_out_of_window(struct tcp_conn *c, const struct tcp_in *in)
{
	uint32_t ms = tcp_clock(tcp_stack(c))->ms;

	if (!tcp_in_len(in)) {
		if (ms - c->oow_ms < OOW_MS)
			return;
		c->oow_ms = ms;
	}
	tcp_out_ack(c);
}

/* RFC 7323 5.3: an old segment, by its timestamp. Without one it is none of this
 * connection's (3.2). */
static bool paws_refuses(struct tcp_conn *c, const struct tcp_in *in)
{
	uint32_t now_s = tcp_clock(tcp_stack(c))->s;

	if (!c->ts_on || in->flags & NET_TCP_RST)
		return false;
	if (!in->has_ts)
		return true;
	return seq_lt(in->tsval, c->ts_recent) &&
	       now_s - c->ts_recent_s <= PAWS_OUTDATED_S;
}

static uint32_t window(const struct tcp_conn *c)
{
	return seq_gt(c->rcv_edge, c->rcv_nxt) ? c->rcv_edge - c->rcv_nxt : 0;
}

/* The four cases. An empty segment may be at the right edge: it comes after a window
 * full of data. So may what begins at a shut window, for its ACK (MUST-66). */
static bool is_acceptable(const struct tcp_conn *c, const struct tcp_in *in)
{
	uint32_t len = tcp_in_len(in), wnd = window(c);
	uint32_t first = in->seq - c->rcv_nxt, last = in->seq + len - 1 - c->rcv_nxt;

	if (!len || !wnd)
		return first <= wnd;
	return first < wnd || last < wnd;
}

/* RFC 7323 4.3. It has passed PAWS: an older timestamp means that ours was outdated. */
static void update_ts_recent(struct tcp_conn *c, const struct tcp_in *in)
{
	if (!c->ts_on || !in->has_ts || in->flags & NET_TCP_RST ||
	    seq_gt(in->seq, c->rcv_acked))
		return;
	c->ts_recent = in->tsval;
	c->ts_recent_s = tcp_clock(tcp_stack(c))->s;
}

/* The peer in SYN-RECEIVED says SYN once more: with our SYN acknowledged it counts as
 * that ACK, without as a question for our SYN,ACK. */
static bool syn_received_again(struct tcp_conn *c, struct tcp_in *in)
{
	if (c->state != TCPS_SYN_RECEIVED || !(in->flags & NET_TCP_SYN) ||
	    in->flags & NET_TCP_RST || in->seq != c->rcv_nxt - 1)
		return false;
	if (in->flags & NET_TCP_ACK) {
		in->flags &= (uint8_t)~NET_TCP_SYN;
		in->seq++;
		in->wnd >>= c->snd_wscale; /* a SYN's is not scaled */
		return false;
	}
	tcp_count(c, NET_C_TCP_OUT_OF_WINDOW);
	tcp_out_syn(c);
	return true;
}

/*
 * One byte, or none, from before the window: a probe that has come already, or the ACK of
 * a peer that does not know whether its probe was taken. What it acknowledges counts, or
 * two ends that have taken each other's probe would refuse each other for ever.
 */
static bool is_old_probe(const struct tcp_conn *c, const struct tcp_in *in)
{
	return in->seq == c->rcv_nxt - 1 && tcp_in_len(in) <= 1 &&
	       (in->flags & (NET_TCP_ACK | NET_TCP_SYN | NET_TCP_RST)) == NET_TCP_ACK &&
	       tcp_conn_is_synchronized(c);
}

/*
 * Who has sent a FIN and then drops the connection may number its reset as that FIN. It is
 * outside the window, and what is there is no proof; but asked, as RFC 5961 3.2 asks of
 * what is inside, it says the same with the number that is.
 */
static bool is_reset_of_fin(const struct tcp_conn *c, const struct tcp_in *in)
{
	return c->fin_rcvd && in->seq == c->rcv_nxt - 1;
}

/* false: it has been dealt with. */
static bool check_sequence(struct tcp_conn *c, struct tcp_in *in)
{
	if (unlikely(syn_received_again(c, in)))
		return false;
	if (paws_refuses(c, in)) {
		tcp_count(c, NET_C_TCP_PAWS);
		if (in->has_ts)
			answer_out_of_window(c, in);
		return false;
	}
	if (is_acceptable(c, in)) {
		update_ts_recent(c, in);
		return true;
	}
	if (in->flags & NET_TCP_RST) {
		tcp_count(c, NET_C_TCP_RST_BAD);
		if (is_reset_of_fin(c, in))
			answer_out_of_window(c, in);
		return false;
	}
	tcp_count(c, NET_C_TCP_OUT_OF_WINDOW);
	if (in->seg.len && seq_leq(in->seq + in->seg.len, c->rcv_nxt))
		tcp_stack(c)->count[NET_C_TCP_DUP_BYTES] += in->seg.len;
	answer_out_of_window(c, in);
	if (!is_old_probe(c, in))
		return false;
	in->seg.len = 0;
	in->flags &= (uint8_t)~NET_TCP_FIN;
	return true;
}

/* ---- second: RST */

static void reset_arrived(struct tcp_conn *c, const struct tcp_in *in)
{
	if (in->seq != c->rcv_nxt) { /* RFC 5961 3.2 */
		tcp_count(c, NET_C_TCP_RST_BAD);
		tcp_out_ack(c);
		return;
	}
	tcp_count(c, NET_C_TCP_RST_IN);
	switch ((enum tcp_state)c->state) {
	case TCPS_SYN_RECEIVED:
		tcp_conn_fail(c, ECONNREFUSED);
		return;
	case TCPS_ESTABLISHED:
	case TCPS_FIN_WAIT_1:
	case TCPS_FIN_WAIT_2:
	case TCPS_CLOSE_WAIT:
		tcp_conn_fail(c, ECONNRESET);
		return;
	case TCPS_CLOSING:
	case TCPS_LAST_ACK:
		/* our FIN may not have arrived: whoever waits for it is told */
		if (c->owner == TCP_ORPHAN)
			tcp_conn_done(c);
		else
			tcp_conn_fail(c, ECONNRESET);
		return;
	case TCPS_CLOSED:
	case TCPS_LISTEN:
	case TCPS_SYN_SENT:
	case TCPS_TIME_WAIT:
		return;
	}
}

/* ---- fourth: SYN */

static void syn_arrived(struct tcp_conn *c)
{
	tcp_count(c, NET_C_TCP_OUT_OF_WINDOW);
	if (c->state == TCPS_SYN_RECEIVED && c->owner == TCP_CHILD) {
		tcp_conn_kill(c); /* back to LISTEN */
		return;
	}
	tcp_out_ack(c); /* RFC 5961 4.2 */
}

/* ---- fifth: ACK */

/* SYN-RECEIVED. false: it has been dealt with. */
static bool syn_acknowledged(struct tcp_conn *c, const struct tcp_in *in)
{
	if (in->ack != c->snd_max) {
		tcp_count(c, NET_C_TCP_ACK_BAD);
		tcp_out_reset_reply(tcp_stack(c), &c->s.local, &c->s.peer, in);
		return false;
	}
	if (c->owner == TCP_CHILD && !tcp_listen_has_room(c->parent)) {
		tcp_count(c, NET_C_TCP_BACKLOG_FULL);
		return false;
	}
	tcp_setup_established(c, in);
	return true;
}

/* RFC 5961 5.2 */
static bool ack_is_acceptable(const struct tcp_conn *c, uint32_t ack)
{
	return seq_leq(ack, c->snd_max) && seq_geq(ack, c->snd_una - c->snd_wnd_max);
}

/* What acknowledges more was sent later, wherever it stands in the peer's data; without
 * that the window would keep its size and move on. */
static void update_window(struct tcp_conn *c, const struct tcp_in *in, uint32_t wnd, bool news)
{
	if (!news && !seq_lt(c->snd_wl1, in->seq) &&
	    !(c->snd_wl1 == in->seq && seq_leq(c->snd_wl2, in->ack)))
		return;
	if (wnd && !c->snd_wnd && c->purpose == TCP_FOR_PERSIST)
		c->backoff = 0;
	c->snd_wnd = wnd;
	c->snd_wl1 = in->seq;
	c->snd_wl2 = in->ack;
	if (wnd > c->snd_wnd_max)
		c->snd_wnd_max = wnd;
}

/* RFC 5681 2. The answers to probes are none. */
static bool is_duplicate(const struct tcp_conn *c, const struct tcp_in *in, uint32_t wnd)
{
	return in->ack == c->snd_una && c->snd_una != c->snd_max && !tcp_in_len(in) &&
	       wnd == c->snd_wnd && c->purpose != TCP_FOR_PERSIST;
}

static bool ack_arrived(struct tcp_conn *c, const struct tcp_in *in)
{
	uint32_t wnd = in->wnd << c->snd_wscale;
	bool news;

	if (c->state == TCPS_SYN_RECEIVED && !syn_acknowledged(c, in))
		return false;
	if (!ack_is_acceptable(c, in->ack)) {
		tcp_count(c, NET_C_TCP_ACK_BAD);
		tcp_out_ack(c);
		return false;
	}
	if (c->purpose == TCP_FOR_PERSIST || c->purpose == TCP_FOR_KEEPALIVE)
		c->retries = 0;
	if (seq_lt(in->ack, c->snd_una))
		return true;
	news = in->ack != c->snd_una;
	if (news)
		tcp_acked_new(c, in->ack, in);
	else if (is_duplicate(c, in, wnd))
		tcp_acked_dup(c);
	update_window(c, in, wnd, news);
	return true;
}

/* What an acknowledged FIN changes. */
static void fin_acknowledged(struct tcp_conn *c)
{
	tcp_conn_unlinger(c);
	switch ((enum tcp_state)c->state) {
	case TCPS_FIN_WAIT_1:
		tcp_conn_set_state(c, TCPS_FIN_WAIT_2);
		tcp_conn_raise(c, NET_ACKED);
		return;
	case TCPS_CLOSING:
		if (c->ack != TCP_ACK_NONE) /* of the peer's FIN, in the same batch */
			tcp_out_ack(c);
		tcp_conn_set_state(c, TCPS_TIME_WAIT);
		tcp_conn_done(c);
		return;
	case TCPS_LAST_ACK:
		tcp_conn_done(c);
		return;
	case TCPS_ESTABLISHED:
	case TCPS_SYN_SENT:
	case TCPS_SYN_RECEIVED:
	case TCPS_FIN_WAIT_2:
	case TCPS_TIME_WAIT:
	case TCPS_CLOSED:
	case TCPS_CLOSE_WAIT:
	case TCPS_LISTEN:
		return;
	}
}

/* ---- seventh: the segment text; eighth: FIN */

static bool takes_text(const struct tcp_conn *c)
{
	return (c->state == TCPS_ESTABLISHED || c->state == TCPS_FIN_WAIT_1 ||
		c->state == TCPS_FIN_WAIT_2) && !c->fin_rcvd;
}

/* To the window: old bytes off the front, others off the end, and the FIN with them. */
static void trim(struct tcp_conn *c, struct tcp_in *in)
{
	uint32_t wnd = window(c), dup = 0, over;

	if (seq_lt(in->seq, c->rcv_nxt))
		dup = c->rcv_nxt - in->seq;
	if (dup > in->seg.len)
		dup = in->seg.len;
	in->seq += dup;
	in->seg.data += dup;
	in->seg.len -= dup;
	tcp_stack(c)->count[NET_C_TCP_DUP_BYTES] += dup;
	if (!in->seg.len || seq_leq(in->seq + in->seg.len, c->rcv_nxt + wnd))
		return;
	over = in->seq + in->seg.len - (c->rcv_nxt + wnd);
	tcp_count(c, NET_C_TCP_RCV_FULL);
	in->seg.len -= over < in->seg.len ? over : in->seg.len;
	in->flags &= (uint8_t)~NET_TCP_FIN;
	tcp_ack_now(c);
}

/* false: no room. */
static bool text_in_order(struct tcp_conn *c, struct tcp_in *in)
{
	struct net_stack *stack = tcp_stack(c);
	bool gap = c->rq.ooo || c->fin_early;
	uint32_t before = c->rcv_nxt;

	if (!c->rcv_shut) {
		if (!tcp_recvq_add(stack, &c->rq, &in->seg, c->rcvbuf)) {
			tcp_ack_now(c);
			return false;
		}
		in->seg.mem = NULL;
	}
	if (in->seg.len > c->rcv_mss)
		c->rcv_mss = (uint16_t)in->seg.len;
	c->rcv_nxt = tcp_recvq_join(stack, &c->rq, c->rcv_nxt + in->seg.len);
	c->bytes_received += c->rcv_nxt - before;
	stack->count[NET_C_TCP_BYTES_IN] += c->rcv_nxt - before;
	if (c->rcv_shut)
		tcp_recvq_clear(stack, &c->rq);
	if (gap)
		tcp_ack_now(c);
	tcp_ack_data(c);
	tcp_conn_raise(c, NET_READABLE);
	return true;
}

static void text_out_of_order(struct tcp_conn *c, struct tcp_in *in)
{
	if (tcp_recvq_add_ooo(tcp_stack(c), &c->rq, in->seq, &in->seg, c->rcvbuf))
		in->seg.mem = NULL;
	tcp_out_ack(c);
}

static void fin_arrived(struct tcp_conn *c)
{
	c->rcv_nxt++;
	c->fin_rcvd = true;
	c->fin_early = false;
	tcp_ack_now(c);
	tcp_conn_raise(c, NET_READABLE);
	switch ((enum tcp_state)c->state) {
	case TCPS_ESTABLISHED:
		tcp_conn_set_state(c, TCPS_CLOSE_WAIT);
		return;
	case TCPS_FIN_WAIT_1:
		tcp_conn_set_state(c, TCPS_CLOSING);
		return;
	case TCPS_FIN_WAIT_2:
		tcp_out_ack(c);
		tcp_conn_set_state(c, TCPS_TIME_WAIT);
		if (c->owner == TCP_ORPHAN)
			tcp_conn_kill(c);
		return;
	case TCPS_SYN_SENT:
	case TCPS_SYN_RECEIVED:
	case TCPS_TIME_WAIT:
	case TCPS_CLOSED:
	case TCPS_CLOSE_WAIT:
	case TCPS_LAST_ACK:
	case TCPS_LISTEN:
	case TCPS_CLOSING:
		return;
	}
}

static void text_and_fin(struct tcp_conn *c, struct tcp_in *in)
{
	if (!takes_text(c))
		return;
	trim(c, in);
	if (in->flags & NET_TCP_FIN) {
		c->fin_early = true;
		c->fin_seq = in->seq + in->seg.len;
	}
	if (in->seg.len && in->seq != c->rcv_nxt)
		text_out_of_order(c, in);
	else if (in->seg.len && !text_in_order(c, in))
		return;
	else if (!in->seg.len && in->flags & NET_TCP_FIN && c->fin_seq != c->rcv_nxt)
		tcp_out_ack(c);
	if (c->fin_early && c->fin_seq == c->rcv_nxt)
		fin_arrived(c);
}

/*
 * Bytes for a program that has closed: they are lost, and the peer is told (RFC 9293
 * 3.6.1, RFC 1122 4.2.2.13). If the program had shut its receiving side it is not
 * told before it has all that we sent, which a reset would take from it.
 */
static bool is_lost_data(const struct tcp_conn *c, const struct tcp_in *in)
{
	return (c->owner == TCP_REPORT || c->owner == TCP_ORPHAN) && takes_text(c) &&
	       (!c->rcv_shut || c->fin_acked) && in->seg.len && seq_gt(in->seq + in->seg.len, c->rcv_nxt);
}

static void lose_data(struct tcp_conn *c)
{
	tcp_out_reset(c);
	if (c->fin_acked)
		tcp_conn_done(c);
	else
		tcp_conn_fail(c, ECONNRESET);
}

static void synchronized(struct tcp_conn *c, struct tcp_in *in)
{
	if (!check_sequence(c, in))
		return;
	c->rcv_ms = tcp_clock(tcp_stack(c))->ms;
	if (in->flags & NET_TCP_RST) {
		reset_arrived(c, in);
		return;
	}
	if (in->flags & NET_TCP_SYN) {
		syn_arrived(c);
		return;
	}
	if (!(in->flags & NET_TCP_ACK)) {
		tcp_count(c, NET_C_TCP_ACK_BAD);
		return;
	}
	if (!ack_arrived(c, in))
		return;
	if (unlikely(c->fin_acked))
		fin_acknowledged(c);
	if (unlikely(is_lost_data(c, in))) {
		lose_data(c);
		return;
	}
	text_and_fin(c, in);
	if (c->in_flow)
		tcp_output(c);
}

void tcp_in_arrives(struct tcp_conn *c, struct tcp_in *in)
{
	if (c->state == TCPS_SYN_SENT)
		syn_sent(c, in);
	else
		synchronized(c, in);
}

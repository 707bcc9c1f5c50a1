#include "config.h"

#include "net/tcp_out.h"

#include <string.h>

#include "net/tcp_cc.h"
#include "net/tcp_in.h"
#include "net/tcp_seg.h"

#define MSS_FLOOR 48u		/* of a peer that asks for less */
#define MSS_DEFAULT 536u	/* RFC 9293 MUST-15 */
#define IP_TCP_LEN (NET_IP_LEN + NET_TCP_LEN)

/* ---- sizes */

uint16_t tcp_mss_own(const struct tcp_conn *c)
{
	uint32_t mss = c->path.mtu - IP_TCP_LEN;
	uint32_t most = tcp_stack(c)->config.mss;

	if (most && mss > most)
		mss = most;
	if (c->mss_max && mss > c->mss_max)
		mss = c->mss_max;
	return (uint16_t)mss;
}

void tcp_mss_sync(struct tcp_conn *c)
{
	uint32_t mss = tcp_mss_own(c), peer = c->mss_peer ? c->mss_peer : MSS_DEFAULT;

	if (peer < MSS_FLOOR)
		peer = MSS_FLOOR;
	if (mss > peer)
		mss = peer;
	if (c->ts_on)
		mss -= TCP_OPT_TS_LEN;
	c->mss = (uint16_t)mss;
}

/* Not what most packets are: not inline. */
static int give(struct tcp_conn *c, struct net_out *out)
{
	return tcp_give(c, out);
}

/* ---- data */

static void block(struct tcp_conn *c)
{
	c->blocked = true;
	if (list_empty(&c->link))
		list_add_tail(&tcp_stack(c)->tcp.blocked, &c->link);
}

static inline uint32_t fin_end(const struct tcp_conn *c)
{
	return c->snd_una + c->sq.bytes + 1;
}

static inline bool fin_is_due(const struct tcp_conn *c)
{
	return c->fin_queued && !c->fin_acked && c->snd_nxt != fin_end(c);
}

/* What is out, is sent, or is sent again from seq to its end: books it. */
static inline void account(struct tcp_conn *c, uint32_t seq, uint32_t len)
{
	uint32_t end = seq + len;

	if (likely(seq == c->snd_max)) {
		tcp_book_new(c, seq, len);
		return;
	}
	tcp_count(c, NET_C_TCP_RETRANS);
	c->total_retrans++;
	c->rtt_timed = false; /* Karn */
	if (seq_geq(end, c->snd_max)) {
		c->snd_max = end;
		c->probe_out = false;
	}
	c->snd_ms = tcp_clock(tcp_stack(c))->ms;
	if (c->purpose == TCP_FOR_RTX)
		return;
	if (c->purpose == TCP_FOR_PERSIST)
		c->backoff = 0;
	tcp_timer_rtx(c);
}

/* One packet from the cursor; how many bytes it took, which may be fewer. */
static bool send_data(struct tcp_conn *c, uint32_t len, bool fin)
{
	struct net_stack *stack = tcp_stack(c);
	struct net_out *out = net_out_new(stack, tcp_header_len(c), false);
	uint8_t flags = NET_TCP_ACK;
	uint32_t seq = c->snd_nxt;

	if (unlikely(!out)) {
		block(c);
		return false;
	}
	if (len) {
		len = tcp_sendq_take(stack, &c->sq, out, len);
		if (!c->sq.unsent)
			flags |= NET_TCP_PSH;
		else
			fin = false;
		tcp_ack_rides(c);
	}
	if (unlikely(fin))
		flags |= NET_TCP_FIN;
	if (len > c->mss) {
		out->flags |= NET_OUT_TSO;
		out->mss = c->mss;
	}
	tcp_header(c, out, seq, flags);
	c->snd_nxt = seq + len + fin;
	account(c, seq, len + fin);
	give(c, out);
	return true;
}

/* RFC 9293 3.8.6.2.1 and Nagle (3.7.4): whether less than a segment may go. */
static bool may_be_small(const struct tcp_conn *c, uint32_t len, bool all, uint32_t flight)
{
	if (flight && !c->nodelay)
		return false;
	return all || len >= c->snd_wnd_max / 2;
}

static inline uint32_t packet_max(const struct tcp_conn *c)
{
	const struct net_dev *dev = tcp_stack(c)->dev;

	if (!(dev->caps & NET_DEV_TSO) || c->path.loop || dev->tso_max <= c->mss)
		return c->mss;
	return dev->tso_max - dev->tso_max % c->mss;
}

/* Something is there and cannot go, nor is anything out whose ACK would tell. */
static bool stuck(struct tcp_conn *c)
{
	if (c->sq.unsent && c->snd_nxt == c->snd_una && c->purpose != TCP_FOR_PERSIST)
		tcp_timer_persist(c);
	return false;
}

static inline uint32_t send_window(const struct tcp_conn *c)
{
	uint32_t cwnd = c->cwnd;

	/* RFC 3042, limited transmit */
	if (unlikely(c->dupacks) && c->ca == TCP_CA_IS_OPEN)
		cwnd += (c->dupacks < 3 ? c->dupacks : 2u) * c->mss;
	return cwnd < c->snd_wnd ? cwnd : c->snd_wnd;
}

/* One packet, if one may go. */
static bool send_next(struct tcp_conn *c, bool force)
{
	uint32_t flight = c->snd_nxt - c->snd_una, wnd = send_window(c);
	uint32_t usable = wnd > flight ? wnd - flight : 0;
	uint32_t unsent = c->sq.unsent, most = packet_max(c);
	uint32_t len = unsent < usable ? unsent : usable;
	bool all, fin;

	if (len > most)
		len = most;
	all = len == unsent;
	fin = all && unlikely(c->fin_queued) && fin_is_due(c);
	if (!len && !fin)
		return stuck(c);
	if (len > c->mss && len % c->mss && !fin &&
	    !may_be_small(c, len % c->mss, all, flight + len))
		len -= len % c->mss;
	if (len < c->mss && !fin && !force && !may_be_small(c, len, all, flight))
		return stuck(c);
	return send_data(c, len, fin);
}

/* RFC 5681 4.1: a window from before a pause says nothing of the path now. */
static void restart_if_idle(struct tcp_conn *c)
{
	uint32_t idle = tcp_clock(tcp_stack(c))->ms - c->snd_ms;

	if (idle > c->rto / 1000 && c->sq.unsent)
		c->cc->idle(c);
}

/* All of it may go in one segment: what an answer mostly is. */
static inline bool fits_a_segment(const struct tcp_conn *c)
{
	uint32_t len = c->sq.unsent, flight = c->snd_nxt - c->snd_una;

	return likely(len <= c->mss) && likely(flight + len <= c->cwnd) &&
	       likely(flight + len <= c->snd_wnd) && likely(c->nodelay || !flight) &&
	       likely(!c->fin_queued);
}

void tcp_output(struct tcp_conn *c)
{
	if (unlikely(c->blocked))
		return;
	if (!c->sq.unsent && !c->fin_queued)
		return;
	if (c->snd_una == c->snd_max)
		restart_if_idle(c);
	if (fits_a_segment(c)) {
		while (send_data(c, c->sq.unsent, false) && c->sq.unsent)
			;
		return;
	}
	while (send_next(c, false) && (c->sq.unsent || c->fin_queued))
		;
}

void tcp_out_retransmit(struct tcp_conn *c)
{
	struct net_stack *stack = tcp_stack(c);
	uint32_t out_len = c->snd_max - c->snd_una;
	uint32_t len = c->sq.bytes < out_len ? c->sq.bytes : out_len;
	struct net_out *out;
	bool fin;

	out = net_out_new(stack, tcp_header_len(c), false);
	c->rtx_wanted = !out;
	if (!out) {
		block(c);
		return;
	}
	if (len > c->mss)
		len = c->mss;
	if (len)
		len = tcp_sendq_fill_head(stack, &c->sq, out, len);
	fin = c->fin_queued && len == c->sq.bytes && c->snd_max == fin_end(c);
	tcp_header(c, out, c->snd_una,
	       (uint8_t)(NET_TCP_ACK | NET_TCP_PSH | (fin ? NET_TCP_FIN : 0)));
	account(c, c->snd_una, len + fin);
	give(c, out);
}

void tcp_out_probe(struct tcp_conn *c)
{
	struct net_stack *stack = tcp_stack(c);
	struct net_out *out;

	if (c->blocked || !c->sq.unsent)
		return;
	tcp_count(c, NET_C_TCP_PROBES);
	if (c->snd_wnd) {
		send_next(c, true);
		return;
	}
	out = net_out_new(stack, tcp_header_len(c), true);
	if (!out)
		return;
	tcp_sendq_fill(stack, &c->sq, out, 1);
	tcp_header(c, out, c->snd_nxt, NET_TCP_ACK);
	c->rtt_timed = false;
	/* the cursor stays: it counts as sent when it is acknowledged */
	if (c->snd_nxt == c->snd_max) {
		c->snd_max++;
		c->probe_out = true;
	}
	give(c, out);
}

/* ---- control */

static void syn_options(const struct tcp_conn *c, struct tcp_opt_syn *opt)
{
	bool answer = c->state == TCPS_SYN_RECEIVED;

	*opt = (struct tcp_opt_syn){
		.mss = tcp_mss_own(c),
		.ts = answer ? c->ts_on : tcp_stack(c)->config.timestamps,
		.wscale = answer ? c->peer_wscale : tcp_stack(c)->config.wscale != 0,
		.shift = c->rcv_wscale,
		.tsval = tcp_clock(tcp_stack(c))->ts + c->ts_offset,
		.tsecr = answer ? c->ts_recent : 0,
	};
}

int tcp_out_syn(struct tcp_conn *c)
{
	bool answer = c->state == TCPS_SYN_RECEIVED;
	uint8_t opts[TCP_OPT_SYN_MAX];
	struct tcp_opt_syn opt;
	struct net_tcp_hdr *hdr;
	struct net_out *out;
	uint32_t wnd, len;

	syn_options(c, &opt);
	len = tcp_opt_write_syn(opts, &opt);
	out = net_out_new(tcp_stack(c), NET_TCP_LEN + len, false);
	c->rtx_wanted = !out;
	if (!out) {
		block(c);
		return 0;
	}
	if (!answer && !c->blocked)
		list_del(&c->link); /* of tcps.unresolved, if it was */
	hdr = (struct net_tcp_hdr *)out->hdr;
	tcp_fill_header(hdr, &c->s.local, &c->s.peer, c->snd_una, answer ? c->rcv_nxt : 0);
	hdr->off = (uint8_t)((NET_TCP_LEN + len) << 2);
	hdr->flags = answer ? NET_TCP_SYN | NET_TCP_ACK : NET_TCP_SYN;
	/* RFC 7323 2.2: never scaled */
	wnd = tcp_window(c) < TCP_WND_MAX ? tcp_window(c) : TCP_WND_MAX;
	hdr->wnd = __builtin_bswap16((uint16_t)wnd);
	memcpy(out->hdr + NET_TCP_LEN, opts, len);
	if (answer) {
		c->rcv_edge = c->rcv_nxt + wnd;
		c->rcv_acked = c->rcv_nxt;
	}
	return give(c, out);
}

/* RFC 9293's SND.NXT. The byte that probes a shut window is not in it: the peer would
 * refuse what comes after. */
static uint32_t own_seq(const struct tcp_conn *c)
{
	return c->snd_max - (unlikely(c->probe_out) && c->snd_nxt != c->snd_max);
}

void tcp_out_ack(struct tcp_conn *c)
{
	struct net_out *out = net_out_new(tcp_stack(c), tcp_header_len(c), true);

	if (!out) {
		tcp_ack_now(c);
		return;
	}
	tcp_header(c, out, own_seq(c), NET_TCP_ACK);
	give(c, out);
}

void tcp_out_keepalive(struct tcp_conn *c)
{
	struct net_out *out = net_out_new(tcp_stack(c), tcp_header_len(c), true);

	if (!out)
		return;
	tcp_count(c, NET_C_TCP_KEEPALIVES);
	tcp_header(c, out, c->snd_max - 1, NET_TCP_ACK);
	give(c, out);
}

void tcp_out_reset(struct tcp_conn *c)
{
	struct net_out *out = net_out_new(tcp_stack(c), tcp_header_len(c), true);

	if (!out)
		return;
	tcp_count(c, NET_C_TCP_RST_OUT);
	tcp_header(c, out, own_seq(c), NET_TCP_RST | NET_TCP_ACK);
	give(c, out);
}

void tcp_out_bare(struct net_stack *stack, const struct net_addr *local,
		  const struct net_addr *peer, const struct tcp_bare *bare)
{
	uint32_t len = NET_TCP_LEN + (bare->ts ? TCP_OPT_TS_LEN : 0);
	struct net_tcp_hdr *hdr;
	struct net_path path;
	struct net_out *out;

	if (net_path_find_back(stack, &local->ip, &peer->ip, &path))
		return;
	out = net_out_new(stack, len, true);
	if (!out)
		return;
	hdr = (struct net_tcp_hdr *)out->hdr;
	tcp_fill_header(hdr, local, peer, bare->seq, bare->ack);
	hdr->off = (uint8_t)(len << 2);
	hdr->flags = bare->flags;
	hdr->wnd = bare->wnd;
	if (bare->ts)
		tcp_opt_write_ts(out->hdr + NET_TCP_LEN, bare->tsval, bare->tsecr);
	stack->count[NET_C_TCP_OUT]++;
	stack->count[NET_C_TCP_RST_OUT] += !!(bare->flags & NET_TCP_RST);
	net_ip_output(stack, &path, out, NET_IPPROTO_TCP, 0, false);
}

void tcp_out_reset_reply(struct net_stack *stack, const struct net_addr *local,
			 const struct net_addr *peer, const struct tcp_in *in)
{
	struct tcp_bare bare = { .flags = NET_TCP_RST };

	if (in->flags & NET_TCP_RST)
		return;
	if (in->flags & NET_TCP_ACK) {
		bare.seq = in->ack;
	} else {
		bare.flags |= NET_TCP_ACK;
		bare.ack = in->seq + tcp_in_len(in);
	}
	tcp_out_bare(stack, local, peer, &bare);
}

/*
 * The straight ways in and out. What most segments are (the next data, or a plain ACK, on
 * an established connection that misses nothing; a short push that may go at once) takes
 * one of them; all else goes the RFC's way, in tcp_in.c and tcp_out.c.
 */
#include "config.h"

#include "net/tcp.h"

#include <string.h>

#include "net/csum.h"
#include "net/ip_out.h"
#include "net/tcp_acked.h"
#include "net/tcp_in.h"
#include "net/tcp_listen.h"
#include "net/tcp_cc.h"
#include "net/tcp_out.h"
#include "net/tcp_rtt.h"
#include "net/tcp_seg.h"

/* Right behind the usual header. */
struct usual_opts {
	uint32_t word, tsval, tsecr;
} NET_WIRE;

static uint32_t header_len(const struct net_tcp_hdr *hdr)
{
	return (hdr->off >> 4) * 4u;
}

static bool csum_is_bad(const struct net_pkt *pkt, const struct net_ip_in *ip)
{
	uint64_t sum = net_csum_pseudo(net_ip_v4(&ip->src), net_ip_v4(&ip->dst),
				       NET_IPPROTO_TCP, (uint16_t)pkt->seg.len);

	return net_csum_finish(net_csum_add(sum, pkt->seg.data, pkt->seg.len)) != 0;
}

/* ---- in: the usual */

/* All that is out, one push, is acknowledged: what an answer mostly does. */
static inline bool acks_one(const struct tcp_conn *c, uint32_t ack)
{
	const struct tcp_chunk *chunk = c->sq.head;

	return likely(ack == c->snd_max) && likely(chunk == c->sq.tail) &&
	       likely(c->sq.bytes == ack - c->snd_una) && likely(!c->want_write) &&
	       likely(!c->keepalive);
}

/* tcp_acked_new() for that. */
static force_inline void acked_one(struct net_stack *stack, struct tcp_conn *c, uint32_t ack)
{
	struct tcp_chunk *chunk = c->sq.head;
	uint32_t n = ack - c->snd_una;

	if (likely(c->rtt_timed)) {
		c->rtt_timed = false;
		tcp_rtt_sample(c, stack->tcp.us - c->rtt_us);
	}
	c->sq.head = c->sq.tail = NULL;
	c->sq.bytes = 0;
	c->snd_una = ack;
	c->bytes_acked += n;
	c->retries = 0;
	c->soft_error = 0;
	c->purpose = TCP_FOR_NOTHING;
	net_timer_disarm(&c->timer);
	c->cc->acked(c, n, n);
	net_put(stack, chunk->seg.mem);
	net_slab_free(&stack->tcp.chunks, chunk);
}

/* Header prediction. true: done, and the reference is taken; false: nothing has
 * changed. hdr: in the packet, of a TCP part of len bytes. */
static force_inline bool fast(struct net_stack *stack, struct tcp_conn *c, struct net_pkt *pkt,
			const struct net_tcp_hdr *hdr, uint32_t len)
{
	const struct usual_opts *opts = (const struct usual_opts *)(hdr + 1);
	uint32_t hdr_len = NET_TCP_LEN, ack = __builtin_bswap32(hdr->ack);
	uint32_t wnd = __builtin_bswap16(hdr->wnd), tsval = 0;
	struct net_tcps *t = &stack->tcp;
	bool taken = false;

	if (unlikely(c->usual != TCPS_ESTABLISHED) ||
	    unlikely((hdr->flags & ~NET_TCP_PSH) != NET_TCP_ACK) ||
	    unlikely(__builtin_bswap32(hdr->seq) != c->rcv_nxt) ||
	    unlikely(c->snd_nxt != c->snd_max) ||
	    unlikely(ack - c->snd_una > c->snd_max - c->snd_una))
		return false;
	if (likely(c->ts_on)) {
		hdr_len += TCP_OPT_TS_LEN;
		if (unlikely(hdr->off != hdr_len << 2) || unlikely(len < hdr_len) ||
		    unlikely(opts->word != __builtin_bswap32(TCP_OPT_TS_WORD)) ||
		    unlikely(seq_lt(__builtin_bswap32(opts->tsval), c->ts_recent)))
			return false;
		tsval = __builtin_bswap32(opts->tsval);
	} else if (unlikely(hdr->off != hdr_len << 2)) {
		return false;
	}
	len -= hdr_len;
	if (len) {
		if (unlikely(c->rq.ooo) ||
		    unlikely((int32_t)(c->rcv_edge - c->rcv_nxt) < (int32_t)len))
			return false;
	} else if (ack == c->snd_una) { /* a duplicate, or news of the window */
		return false;
	}
	/* the header is read: the packet may go */
	if (len) {
		pkt->seg.data = (uint8_t *)(uintptr_t)hdr + hdr_len;
		pkt->seg.len = len;
		taken = !c->rq.head && net_taken(&c->s, &pkt->seg, NULL);
		if (likely(taken)) {
			c->rq.pinned += pkt->seg.pinned;
		} else if (unlikely(!tcp_recvq_add(stack, &c->rq, &pkt->seg, c->rcvbuf))) {
			net_put(stack, pkt->seg.mem);
			tcp_ack_now(c);
			return true;
		}
	} else {
		net_put(stack, pkt->seg.mem);
	}
	stack->count[NET_C_TCP_FAST_PATH]++;
	if (c->ts_on && c->rcv_nxt == c->rcv_acked) {
		c->ts_recent = tsval;
		c->ts_recent_s = t->s;
	}
	c->rcv_ms = t->ms;
	c->snd_wnd = wnd << c->snd_wscale;
	c->snd_wl1 = c->rcv_nxt;
	c->snd_wl2 = ack;
	if (c->snd_wnd > c->snd_wnd_max)
		c->snd_wnd_max = c->snd_wnd;
	if (ack == c->snd_una)
		; /* news of data alone */
	else if (acks_one(c, ack))
		acked_one(stack, c, ack);
	else
		tcp_acked_new(c, ack, NULL);
	if (len) {
		stack->count[NET_C_TCP_BYTES_IN] += len;
		c->bytes_received += len;
		c->rcv_nxt += len;
		if (unlikely(len > c->rcv_mss))
			c->rcv_mss = (uint16_t)len;
		tcp_ack_data(c);
		if (unlikely(!taken))
			tcp_conn_raise(c, NET_READABLE);
	}
	if (unlikely(c->sq.unsent))
		tcp_output(c);
	return true;
}

bool net_tcp_input_usual(struct net_stack *stack, struct net_pkt *pkt,
			 const struct net_ip_hdr *ip, uint32_t len)
{
	const struct net_tcp_hdr *hdr = (const struct net_tcp_hdr *)(ip + 1);
	const struct net_ip src = net_ip4(ip->src), dst = net_ip4(ip->dst);
	struct tcp_tuple *tuple;

	if (unlikely(len < NET_TCP_LEN) ||
	    (!(pkt->flags & NET_PKT_L4_GOOD) &&
	     (unlikely(pkt->flags & NET_PKT_L4_BAD) ||
	      unlikely(net_csum_finish(net_csum_add(net_csum_pseudo(ip->src, ip->dst,
								    NET_IPPROTO_TCP, (uint16_t)len),
						    hdr, len))))))
		return false;
	tuple = tcp_flow_find(&stack->tcp.flow, &dst, &src, tcp_ports(hdr->dport, hdr->sport));
	if (unlikely(!tuple) ||
	    unlikely(!fast(stack, (struct tcp_conn *)(void *)tuple, pkt, hdr, len)))
		return false;
	stack->count[NET_C_TCP_IN]++;
	return true;
}

/* ---- all else */

/* Into host order; the payload's reference is in->seg.mem. */
static void parse(struct tcp_in *in, const struct net_pkt *pkt)
{
	const struct net_tcp_hdr *hdr = (const struct net_tcp_hdr *)pkt->seg.data;
	uint32_t len = header_len(hdr);

	memset(in, 0, sizeof(*in));
	in->seq = __builtin_bswap32(hdr->seq);
	in->ack = __builtin_bswap32(hdr->ack);
	in->wnd = __builtin_bswap16(hdr->wnd);
	in->flags = hdr->flags;
	in->seg = pkt->seg;
	in->seg.data += len;
	in->seg.len -= len;
	tcp_opt_parse(in, pkt->seg.data + NET_TCP_LEN, len - NET_TCP_LEN);
}

/* RFC 9293 3.10.7.1, .2: no connection, or none yet. */
static void no_connection(struct net_stack *stack, const struct net_ip_in *ip,
			  const struct net_tcp_hdr *hdr, const struct tcp_in *in)
{
	struct net_addr local = { .ip = ip->dst, .port = hdr->dport };
	struct net_addr peer = { .ip = ip->src, .port = hdr->sport };
	uint32_t iss_min, *min = NULL;
	struct net_sock *listener;
	struct tcp_wait *w;

	w = tcp_wait_find(stack, &ip->dst, &ip->src, tcp_ports(hdr->dport, hdr->sport));
	if (w) {
		if (!tcp_wait_input(stack, w, in, &iss_min))
			return;
		min = &iss_min;
	}
	listener = net_port_find(stack, NET_TCP, &local, NULL);
	if (listener) {
		tcp_listen_input(tcp_conn(listener), &local, &peer, in, min);
		return;
	}
	stack->count[NET_C_TCP_NO_PORT]++;
	tcp_out_reset_reply(stack, &local, &peer, in);
}

static slow_path void slow(struct net_stack *stack, struct tcp_conn *c, struct net_pkt *pkt,
			   const struct net_ip_in *ip)
{
	const struct net_tcp_hdr *hdr = (const struct net_tcp_hdr *)pkt->seg.data;
	struct tcp_in in;

	parse(&in, pkt);
	/* RFC 1122 4.2.3.10 */
	if (unlikely(ip->broadcast))
		stack->count[NET_C_TCP_BAD]++;
	else if (c)
		tcp_in_arrives(c, &in);
	else
		no_connection(stack, ip, hdr, &in);
	if (in.seg.mem)
		net_put(stack, in.seg.mem);
}

static slow_path void bad(struct net_stack *stack, struct net_pkt *pkt, enum net_count why)
{
	stack->count[why]++;
	net_put(stack, pkt->seg.mem);
}

void net_tcp_input(struct net_stack *stack, struct net_pkt *pkt, const struct net_ip_in *ip)
{
	const struct net_tcp_hdr *hdr = (const struct net_tcp_hdr *)pkt->seg.data;
	struct tcp_conn *c;

	stack->count[NET_C_TCP_IN]++;
	if (unlikely(pkt->seg.len < NET_TCP_LEN) || unlikely(hdr->off < NET_TCP_LEN << 2) ||
	    unlikely(header_len(hdr) > pkt->seg.len)) {
		bad(stack, pkt, NET_C_TCP_BAD);
		return;
	}
	if (!(pkt->flags & NET_PKT_L4_GOOD) &&
	    (unlikely(pkt->flags & NET_PKT_L4_BAD) || unlikely(csum_is_bad(pkt, ip)))) {
		bad(stack, pkt, NET_C_TCP_BAD_CSUM);
		return;
	}
	c = (struct tcp_conn *)(void *)tcp_flow_find(&stack->tcp.flow, &ip->dst, &ip->src,
						     tcp_ports(hdr->dport, hdr->sport));
	if (likely(c) && likely(fast(stack, c, pkt, hdr, pkt->seg.len)))
		return;
	slow(stack, c, pkt, ip);
}

/* ---- out: all of a short push, at once, in one segment */

/* RFC 5681 4.1: a window from before a pause says nothing of the path now. */
static inline bool has_paused(const struct tcp_conn *c)
{
	return (uint64_t)(tcp_clock(tcp_stack(c))->ms - c->snd_ms) * 1000 > c->rto;
}

static inline bool may_go_at_once(const struct tcp_conn *c, uint32_t len)
{
	uint32_t flight = c->snd_max - c->snd_una;

	return likely(c->usual == TCPS_ESTABLISHED) && likely(!c->sq.unsent) &&
	       likely(!c->fin_queued) && likely(!c->blocked) &&
	       likely(c->snd_nxt == c->snd_max) && likely(len - 1 < c->mss) &&
	       likely(flight + len <= c->cwnd) && likely(flight + len <= c->snd_wnd) &&
	       likely(flight < c->sndbuf) && (flight ? c->nodelay : likely(!has_paused(c))) &&
	       likely(net_outs_room(&tcp_stack(c)->out));
}

static force_inline bool send_at_once(struct tcp_conn *c, const struct net_seg *seg)
{
	struct net_stack *stack = tcp_stack(c);
	struct net_out *out;
	uint32_t seq = c->snd_max;

	if (!may_go_at_once(c, seg->len) || unlikely(!tcp_sendq_add_sent(stack, &c->sq, seg)))
		return false;
	out = net_out_new(stack, tcp_header_len(c), false);
	net_get(stack, seg->mem);
	out->segs[0] = *seg;
	out->n_segs = 1;
	out->len = seg->len;
	tcp_ack_rides(c);
	tcp_header(c, out, seq, NET_TCP_ACK | NET_TCP_PSH);
	c->snd_nxt = seq + seg->len;
	tcp_book_new(c, seq, seg->len);
	tcp_give(c, out);
	return true;
}

int net_tcp_send(struct net_sock *s, const struct net_seg *segs, uint32_t n)
{
	struct tcp_conn *c = tcp_conn(s);

	if (likely(n == 1) && likely(send_at_once(c, segs)))
		return 0;
	return tcp_out_push(c, segs, n);
}

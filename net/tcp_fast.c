/*
 * Where segments come in. What most of them are (the next data, or a plain ACK, on an
 * established connection that misses nothing) takes one straight path; all else goes the
 * RFC's way, in tcp_in.c.
 */
#include "config.h"

#include "net/tcp.h"

#include <string.h>

#include "net/csum.h"
#include "net/tcp_ack.h"
#include "net/tcp_acked.h"
#include "net/tcp_clock.h"
#include "net/tcp_conn.h"
#include "net/tcp_in.h"
#include "net/tcp_listen.h"
#include "net/tcp_opt.h"
#include "net/tcp_out.h"

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

/* ---- the usual */

/* Header prediction. true: done, and the reference is taken. */
static inline bool fast(struct net_stack *stack, struct tcp_conn *c, struct net_pkt *pkt)
{
	const struct net_tcp_hdr *hdr = (const struct net_tcp_hdr *)pkt->seg.data;
	const struct usual_opts *opts = (const struct usual_opts *)(hdr + 1);
	uint32_t hdr_len = NET_TCP_LEN, len, ack = __builtin_bswap32(hdr->ack);
	uint32_t wnd = __builtin_bswap16(hdr->wnd), tsval = 0;
	struct net_tcps *t = &stack->tcp;

	if (unlikely(c->usual != TCPS_ESTABLISHED) ||
	    unlikely((hdr->flags & ~NET_TCP_PSH) != NET_TCP_ACK) ||
	    unlikely(__builtin_bswap32(hdr->seq) != c->rcv_nxt) ||
	    unlikely(c->snd_nxt != c->snd_max) ||
	    unlikely(ack - c->snd_una > c->snd_max - c->snd_una))
		return false;
	if (likely(c->ts_on)) {
		hdr_len += TCP_OPT_TS_LEN;
		if (unlikely(hdr->off != hdr_len << 2) ||
		    unlikely(pkt->seg.len < hdr_len) ||
		    unlikely(opts->word != __builtin_bswap32(TCP_OPT_TS_WORD)) ||
		    unlikely(seq_lt(__builtin_bswap32(opts->tsval), c->ts_recent)))
			return false;
		tsval = __builtin_bswap32(opts->tsval);
	} else if (unlikely(hdr->off != hdr_len << 2)) {
		return false;
	}
	len = pkt->seg.len - hdr_len;
	/* the header is read: the packet may go */
	if (len) {
		if (unlikely(c->rq.ooo) ||
		    unlikely((int32_t)(c->rcv_edge - c->rcv_nxt) < (int32_t)len))
			return false;
		pkt->seg.data += hdr_len;
		pkt->seg.len = len;
		if (unlikely(!tcp_recvq_add(stack, &c->rq, &pkt->seg, c->rcvbuf))) {
			net_put(stack, pkt->seg.mem);
			tcp_ack_now(c);
			return true;
		}
	} else {
		if (ack == c->snd_una) /* a duplicate, or news of the window */
			return false;
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
	if (ack != c->snd_una)
		tcp_acked_new(c, ack, NULL);
	if (len) {
		stack->count[NET_C_TCP_BYTES_IN] += len;
		c->bytes_received += len;
		c->rcv_nxt += len;
		if (unlikely(len > c->rcv_mss))
			c->rcv_mss = (uint16_t)len;
		tcp_ack_data(c);
		tcp_conn_raise(c, NET_READABLE);
	}
	if (c->sq.unsent)
		tcp_output(c);
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
	if (likely(c) && likely(fast(stack, c, pkt)))
		return;
	slow(stack, c, pkt, ip);
}

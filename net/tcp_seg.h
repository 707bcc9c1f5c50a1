/*
 * What every segment after the SYN has, inline: the window it announces, its header,
 * and how it is booked.
 */
#ifndef NET_TCP_SEG_H
#define NET_TCP_SEG_H

#include "net/ip_out.h"
#include "net/tcp_ack.h"
#include "net/tcp_clock.h"
#include "net/tcp_conn.h"
#include "net/tcp_opt.h"
#include "net/tcp_timer.h"
#include "net/wire.h"

#define TCP_WND_MAX 65535u

/* What goes into the header. The right edge goes on only by what is worth it (RFC 9293
 * 3.8.6.2.2), and back only when the program hoards. */
static inline uint16_t tcp_choose_window(struct tcp_conn *c)
{
	uint32_t shift = c->rcv_wscale, mask = (1u << shift) - 1;
	uint32_t left = c->rcv_edge - c->rcv_nxt, target = tcp_window(c) & ~mask;
	uint32_t worth = c->rcv_mss;

	if (unlikely(c->rq.pinned > c->rcvbuf)) {
		c->rcv_zeroed = true;
		return 0;
	}
	if (unlikely(c->rcv_zeroed))
		c->rcv_zeroed = false;
	if (unlikely((int32_t)left < 0))
		left = 0;
	if (unlikely(c->rcvbuf / 4 < worth))
		worth = c->rcvbuf / 4;
	if (target >= left + worth)
		left = target;
	left = (left + mask) >> shift;
	if (unlikely(left > TCP_WND_MAX))
		left = TCP_WND_MAX;
	c->rcv_edge = c->rcv_nxt + (left << shift);
	return (uint16_t)left;
}

static inline void tcp_fill_header(struct net_tcp_hdr *hdr, const struct net_addr *local,
				   const struct net_addr *peer, uint32_t seq, uint32_t ack)
{
	hdr->sport = local->port;
	hdr->dport = peer->port;
	hdr->seq = __builtin_bswap32(seq);
	hdr->ack = __builtin_bswap32(ack);
	hdr->csum = 0;
	hdr->urg = 0;
}

static inline uint32_t tcp_header_len(const struct tcp_conn *c)
{
	return NET_TCP_LEN + (c->ts_on ? TCP_OPT_TS_LEN : 0);
}

/* Everything but its payload. It carries the ACK. */
static force_inline void tcp_header(struct tcp_conn *c, struct net_out *out, uint32_t seq,
			      uint8_t flags)
{
	struct net_tcp_hdr *hdr = (struct net_tcp_hdr *)out->hdr;

	tcp_fill_header(hdr, &c->s.local, &c->s.peer, seq, c->rcv_nxt);
	hdr->off = (uint8_t)(out->l4_len << 2);
	hdr->flags = flags;
	hdr->wnd = __builtin_bswap16(tcp_choose_window(c));
	if (likely(c->ts_on))
		tcp_opt_write_ts(out->hdr + NET_TCP_LEN,
				 tcp_clock(tcp_stack(c))->ts + c->ts_offset, c->ts_recent);
	tcp_ack_went(c);
}

/* What goes for the first time. */
static inline void tcp_book_new(struct tcp_conn *c, uint32_t seq, uint32_t len)
{
	const struct net_tcps *t = tcp_clock(tcp_stack(c));

	if (!c->rtt_timed && c->ca == TCP_CA_IS_OPEN) {
		c->rtt_timed = true;
		c->rtt_seq = seq;
		c->rtt_us = t->us;
	}
	c->snd_max = seq + len;
	c->probe_out = false;
	c->snd_ms = t->ms;
	if (c->purpose == TCP_FOR_RTX)
		return;
	if (unlikely(c->purpose == TCP_FOR_PERSIST))
		c->backoff = 0;
	tcp_timer_rtx(c);
}

static force_inline int tcp_give(struct tcp_conn *c, struct net_out *out)
{
	struct net_stack *stack = tcp_stack(c);
	int err;

	stack->count[NET_C_TCP_OUT]++;
	stack->count[NET_C_TCP_BYTES_OUT] += out->len;
	if (net_ip_is_plain(stack, &c->path, out)) {
		net_ip_output_plain(stack, &c->path, out, NET_IPPROTO_TCP, 0, false);
		return 0;
	}
	err = net_ip_output(stack, &c->path, out, NET_IPPROTO_TCP, 0, false);
	if (unlikely(err))
		c->soft_error = (uint8_t)err;
	return err;
}

#endif /* NET_TCP_SEG_H */

/* Socket options of TCP, and what a connection tells of itself. */
#include "config.h"

#include "net/tcp.h"

#include <errno.h>
#include <linux/tcp.h>
#include <string.h>

#include "net/tcp_ack.h"
#include "net/tcp_cc.h"
#include "net/tcp_conn.h"
#include "net/tcp_out.h"
#include "net/tcp_rtt.h"
#include "net/tcp_timer.h"

#define MSS_DEFAULT 536
#define RCVBUF_MIN 2048

static const struct {
	int64_t min, max;
} ranges[NET_N_OPTS] = {
	[NET_OPT_NODELAY] = { 0, 1 },
	[NET_OPT_QUICKACK] = { 0, 1 },
	[NET_OPT_KEEPALIVE] = { 0, 1 },
	[NET_OPT_KEEPIDLE] = { 1, 32767 },
	[NET_OPT_KEEPINTVL] = { 1, 32767 },
	[NET_OPT_KEEPCNT] = { 1, 127 },
	[NET_OPT_MAXSEG] = { 88, 65495 },
	[NET_OPT_USER_TIMEOUT] = { 0, INT32_MAX },
	[NET_OPT_LINGER] = { -1, INT32_MAX },
	[NET_OPT_SNDBUF] = { 1, 1 << 30 },
	[NET_OPT_RCVBUF] = { 1, 1 << 30 },
	[NET_OPT_REUSEADDR] = { 0, 1 },
};

/* A timer that runs for something else goes on. */
static void restart_keepalive(struct tcp_conn *c)
{
	if (tcp_conn_is_synchronized(c) &&
	    (c->purpose == TCP_FOR_NOTHING || c->purpose == TCP_FOR_KEEPALIVE))
		tcp_timer_idle(c);
}

static void set_quickack(struct tcp_conn *c, bool on)
{
	c->quickack = on;
	if (on && c->ack == TCP_ACK_DELAYED)
		tcp_ack_now(c);
}

static void set_maxseg(struct tcp_conn *c, uint16_t value)
{
	c->mss_max = value;
	if (tcp_conn_is_synchronized(c))
		tcp_mss_sync(c);
}

static void set_rcvbuf(struct tcp_conn *c, uint32_t value)
{
	c->rcvbuf = value < RCVBUF_MIN ? RCVBUF_MIN : value;
	if (c->in_flow && c->rcvbuf < tcp_rcvbuf_min(c->rcv_wscale))
		c->rcvbuf = tcp_rcvbuf_min(c->rcv_wscale);
	if (tcp_conn_is_synchronized(c) && !c->fin_rcvd)
		tcp_ack_window(c);
}

static void set_sndbuf(struct tcp_conn *c, uint32_t value)
{
	c->sndbuf = value;
	if (c->want_write && c->sq.bytes < value) {
		c->want_write = false;
		tcp_conn_raise(c, NET_WRITABLE);
	}
}

int net_tcp_set_opt(struct net_sock *s, enum net_opt opt, int64_t value)
{
	struct tcp_conn *c = tcp_conn(s);

	if ((unsigned)opt >= NET_N_OPTS)
		return ENOPROTOOPT;
	if (value < ranges[opt].min || value > ranges[opt].max)
		return EINVAL;
	switch (opt) {
	case NET_OPT_NODELAY:
		c->nodelay = value;
		if (value && tcp_conn_is_synchronized(c))
			tcp_output(c);
		return 0;
	case NET_OPT_QUICKACK:
		set_quickack(c, value);
		return 0;
	case NET_OPT_KEEPALIVE:
		c->keepalive = value;
		restart_keepalive(c);
		return 0;
	case NET_OPT_KEEPIDLE:
		c->keepidle = (uint16_t)value;
		restart_keepalive(c);
		return 0;
	case NET_OPT_KEEPINTVL:
		c->keepintvl = (uint16_t)value;
		return 0;
	case NET_OPT_KEEPCNT:
		c->keepcnt = (uint8_t)value;
		return 0;
	case NET_OPT_MAXSEG:
		set_maxseg(c, (uint16_t)value);
		return 0;
	case NET_OPT_USER_TIMEOUT:
		c->user_timeout = (uint32_t)value;
		return 0;
	case NET_OPT_LINGER:
		c->linger = (int32_t)value;
		return 0;
	case NET_OPT_SNDBUF:
		set_sndbuf(c, (uint32_t)value);
		return 0;
	case NET_OPT_RCVBUF:
		set_rcvbuf(c, (uint32_t)value);
		return 0;
	case NET_OPT_REUSEADDR:
		s->reuse = value;
		return 0;
	case NET_N_OPTS:
		break;
	}
	return ENOPROTOOPT;
}

static int64_t maxseg(const struct tcp_conn *c)
{
	if (tcp_conn_is_synchronized(c))
		return c->mss;
	return c->mss_max ? c->mss_max : MSS_DEFAULT;
}

int net_tcp_get_opt(const struct net_sock *s, enum net_opt opt, int64_t *value_out)
{
	const struct tcp_conn *c = tcp_conn(s);
	int64_t value = 0;

	switch (opt) {
	case NET_OPT_NODELAY:
		value = c->nodelay;
		break;
	case NET_OPT_QUICKACK:
		value = c->quickack;
		break;
	case NET_OPT_KEEPALIVE:
		value = c->keepalive;
		break;
	case NET_OPT_KEEPIDLE:
		value = c->keepidle;
		break;
	case NET_OPT_KEEPINTVL:
		value = c->keepintvl;
		break;
	case NET_OPT_KEEPCNT:
		value = c->keepcnt;
		break;
	case NET_OPT_MAXSEG:
		value = maxseg(c);
		break;
	case NET_OPT_USER_TIMEOUT:
		value = c->user_timeout;
		break;
	case NET_OPT_LINGER:
		value = c->linger;
		break;
	case NET_OPT_SNDBUF:
		value = c->sndbuf;
		break;
	case NET_OPT_RCVBUF:
		value = c->rcvbuf;
		break;
	case NET_OPT_REUSEADDR:
		value = s->reuse;
		break;
	case NET_N_OPTS:
		return ENOPROTOOPT;
	}
	*value_out = value;
	return 0;
}

int net_set_congestion(struct net_sock *s, const char *name)
{
	const struct net_tcp_cc *cc = net_tcp_cc_find(name);
	struct tcp_conn *c = tcp_conn(s);

	if (s->type != NET_TCP)
		return ENOPROTOOPT;
	if (!cc)
		return ENOENT;
	c->cc = cc;
	if (tcp_conn_is_synchronized(c))
		cc->init(c);
	return 0;
}

const char *net_congestion(const struct net_sock *s)
{
	return s->type == NET_TCP ? tcp_conn(s)->cc->name : "";
}

/* ---- TCP_INFO */

static uint32_t since_ms(const struct tcp_conn *c, uint32_t ms)
{
	return tcp_stack(c)->tcp.ms - ms;
}

static uint32_t segments(const struct tcp_conn *c, uint32_t bytes)
{
	return c->mss ? (bytes + c->mss - 1) / c->mss : 0;
}

static void options(const struct tcp_conn *c, struct tcp_info *info)
{
	if (c->ts_on)
		info->tcpi_options |= TCPI_OPT_TIMESTAMPS;
	if (!c->peer_wscale)
		return;
	info->tcpi_options |= TCPI_OPT_WSCALE;
	info->tcpi_snd_wscale = c->snd_wscale & 15;
	info->tcpi_rcv_wscale = c->rcv_wscale & 15;
}

void net_tcp_info(const struct net_sock *s, struct tcp_info *info)
{
	const struct tcp_conn *c = tcp_conn(s);

	memset(info, 0, sizeof(*info));
	if (s->type != NET_TCP)
		return;
	info->tcpi_state = c->state;
	if (c->state == TCPS_LISTEN) {
		info->tcpi_unacked = c->listener->n_full;
		info->tcpi_sacked = c->listener->backlog;
		return;
	}
	options(c, info);
	info->tcpi_ca_state = c->ca;
	info->tcpi_retransmits = c->purpose == TCP_FOR_RTX ? c->retries : 0;
	info->tcpi_probes = c->purpose == TCP_FOR_RTX ? 0 : c->retries;
	info->tcpi_backoff = c->backoff;
	info->tcpi_rto = (uint32_t)(tcp_rtt_rto_ns(c) / 1000);
	info->tcpi_ato = tcp_stack(c)->config.delack_ms * 1000;
	info->tcpi_snd_mss = c->mss;
	info->tcpi_rcv_mss = c->rcv_mss;
	info->tcpi_unacked = segments(c, c->snd_max - c->snd_una);
	info->tcpi_retrans = c->ca ? segments(c, c->snd_nxt - c->snd_una) : 0;
	info->tcpi_last_data_sent = since_ms(c, c->snd_ms);
	info->tcpi_last_data_recv = info->tcpi_last_ack_recv = since_ms(c, c->rcv_ms);
	info->tcpi_pmtu = c->path.mtu;
	info->tcpi_rcv_ssthresh = c->rcv_edge - c->rcv_nxt;
	info->tcpi_rtt = c->srtt >> 3;
	info->tcpi_rttvar = c->rttvar >> 2;
	info->tcpi_snd_ssthresh = c->mss ? c->ssthresh / c->mss : 0;
	info->tcpi_snd_cwnd = c->mss ? c->cwnd / c->mss : 0;
	info->tcpi_advmss = c->path.mtu ? tcp_mss_own(c) : 0;
	info->tcpi_reordering = 3;
	info->tcpi_rcv_space = tcp_window(c);
	info->tcpi_total_retrans = c->total_retrans;
	info->tcpi_bytes_acked = c->bytes_acked;
	info->tcpi_bytes_received = c->bytes_received;
	info->tcpi_notsent_bytes = c->sq.unsent;
	info->tcpi_snd_wnd = c->snd_wnd;
}

struct net_sock *net_next_tcp(struct net_stack *stack, const struct net_sock *after)
{
	struct list *all = &stack->tcp.all;
	struct list *next = after ? tcp_conn(after)->all.next : all->next;

	while (next != all) {
		struct tcp_conn *c = container_of(next, struct tcp_conn, all);

		if (c->state != TCPS_TIME_WAIT)
			return &c->s;
		next = next->next;
	}
	return NULL;
}

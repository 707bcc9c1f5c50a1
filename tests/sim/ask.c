#include "config.h"

#include "tests/sim/ask.h"

#include <errno.h>
#include <string.h>

#include <linux/tcp.h>

#include "base/compiler.h"
#include "tests/sim/host.h"
#include "tests/sim/mem.h"
#include "tests/sim/world.h"

#define SEND_MAX (UINT32_C(1) << 30)
#define LOOP_MTU 16384u		/* of packets to ourselves */

void ask_want(struct host *h, const char *call, int got, int right)
{
	if (got != right)
		world_fail(h->w, "h%u: %s: %d (%s), and %d (%s) is right", h->nr, call, got,
			   strerror(got), right, strerror(right));
}

bool ask_is_synchronized(enum ask_state state)
{
	switch (state) {
	case ASK_ESTABLISHED:
	case ASK_FIN_WAIT_1:
	case ASK_FIN_WAIT_2:
	case ASK_CLOSE_WAIT:
	case ASK_LAST_ACK:
	case ASK_CLOSING:
		return true;
	case ASK_SYN_SENT:
	case ASK_SYN_RECEIVED:
	case ASK_TIME_WAIT:
	case ASK_CLOSED:
	case ASK_LISTEN:
		return false;
	}
	return false;
}

enum ask_state ask_tcp_state(const struct net_sock *s)
{
	struct tcp_info info;

	net_tcp_info(s, &info);
	return (enum ask_state)info.tcpi_state;
}

/* ---- what a connection tells of itself */

static void check_never_less(struct host *h, const char *what, uint64_t *had, uint64_t has)
{
	if (has < *had)
		world_fail(h->w, "h%u: TCP_INFO: %s were %llu, and are %llu", h->nr, what,
			   (unsigned long long)*had, (unsigned long long)has);
	*had = has;
}

static void check_alive(struct host *h, const struct net_sock *s, const struct tcp_info *info)
{
	if (!info->tcpi_snd_mss || info->tcpi_snd_mss > 65495 || !info->tcpi_advmss)
		world_fail(h->w, "h%u: TCP_INFO: mss %u, ours %u", h->nr, info->tcpi_snd_mss,
			   info->tcpi_advmss);
	if (!info->tcpi_rto || info->tcpi_rto > h->plan.rto_max_ms * 1000)
		world_fail(h->w, "h%u: TCP_INFO: rto %u us, %u ms at most", h->nr, info->tcpi_rto,
			   h->plan.rto_max_ms);
	if (!info->tcpi_snd_cwnd || !info->tcpi_snd_ssthresh)
		world_fail(h->w, "h%u: TCP_INFO: cwnd %u, ssthresh %u", h->nr,
			   info->tcpi_snd_cwnd, info->tcpi_snd_ssthresh);
	if (info->tcpi_notsent_bytes > net_bytes_unacked(s))
		world_fail(h->w, "h%u: TCP_INFO: %u bytes are not sent, of %llu", h->nr,
			   info->tcpi_notsent_bytes, (unsigned long long)net_bytes_unacked(s));
	if (info->tcpi_pmtu < 68 || (info->tcpi_pmtu > h->plan.mtu && info->tcpi_pmtu != LOOP_MTU))
		world_fail(h->w, "h%u: TCP_INFO: mtu %u, the device's is %u", h->nr,
			   info->tcpi_pmtu, h->plan.mtu);
}

static void check_info(struct host *h, const struct net_sock *s, struct asked *asked,
		       uint64_t received)
{
	struct tcp_info info;

	memset(&info, 0xff, sizeof(info));
	net_tcp_info(s, &info);
	if (info.tcpi_state < ASK_ESTABLISHED || info.tcpi_state > ASK_CLOSING)
		world_fail(h->w, "h%u: TCP_INFO: state %u", h->nr, info.tcpi_state);
	if (info.tcpi_options & ~(TCPI_OPT_TIMESTAMPS | TCPI_OPT_WSCALE) ||
	    info.tcpi_snd_wscale > 14 || info.tcpi_rcv_wscale > 14)
		world_fail(h->w, "h%u: TCP_INFO: options %x, scales %u and %u", h->nr,
			   info.tcpi_options, info.tcpi_snd_wscale, info.tcpi_rcv_wscale);
	check_never_less(h, "bytes acknowledged", &asked->acked, info.tcpi_bytes_acked);
	check_never_less(h, "bytes received", &asked->received, info.tcpi_bytes_received);
	check_never_less(h, "retransmissions", &asked->retrans, info.tcpi_total_retrans);
	if (received + net_bytes_readable(s) > info.tcpi_bytes_received)
		world_fail(h->w, "h%u: TCP_INFO: %llu bytes received, %llu were given out",
			   h->nr, (unsigned long long)info.tcpi_bytes_received,
			   (unsigned long long)(received + net_bytes_readable(s)));
	if (ask_is_synchronized((enum ask_state)info.tcpi_state))
		check_alive(h, s, &info);
}

/* ---- calls that are wrong */

static void wrong_addresses(struct host *h, struct net_sock *s)
{
	struct net_addr own = { host_ip(h, 0), 0 }, other = { host_ip(h, 0), 1 }, name;
	enum ask_state state = ask_tcp_state(s);
	struct net_sock *none;

	if (state == ASK_CLOSED && net_peer(s, &name))
		return;		/* a connect that has failed: as new */
	ask_want(h, "net_bind() of what is connected", net_bind(s, &own), EINVAL);
	ask_want(h, "net_listen() on what is connected", net_listen(s, 1), EISCONN);
	ask_want(h, "net_accept() of what does not listen", net_accept(s, NULL, &none, NULL),
		 EINVAL);
	ask_want(h, "net_connect() of what is connected", net_connect(s, &other),
		 state == ASK_SYN_SENT || state == ASK_SYN_RECEIVED ? EALREADY : EISCONN);
	other.port = 0;
	ask_want(h, "net_connect() to no port", net_connect(s, &other), EADDRNOTAVAIL);
	ask_want(h, "net_peer()", net_peer(s, &name), 0);
	ask_want(h, "net_name()", net_name(s, &name), 0);
	if (!name.port)
		world_fail(h->w, "h%u: a connection has no port", h->nr);
}

/* Nothing, and more than one call takes: neither touches what it is given. */
static void wrong_sends(struct host *h, struct net_sock *s)
{
	struct net_seg huge[2] = { { .len = SEND_MAX }, { .len = 1 } };
	enum ask_state state = ask_tcp_state(s);
	struct net_addr peer;
	int nothing, much;
	int64_t sndbuf;

	if (state == ASK_CLOSED)
		return;		/* the cause is the program's to take */
	ask_want(h, "net_get_opt()", net_get_opt(s, NET_OPT_SNDBUF, &sndbuf), 0);
	nothing = net_send(s, NULL, 0, NULL);
	much = net_send(s, huge, 2, NULL);
	if (state == ASK_SYN_SENT || state == ASK_SYN_RECEIVED) {
		ask_want(h, "net_send() before it is connected", nothing, ENOTCONN);
	} else if (state != ASK_ESTABLISHED && state != ASK_CLOSE_WAIT) {
		ask_want(h, "net_send() after the end", nothing, EPIPE);
	} else if (net_bytes_unacked(s) >= (uint64_t)sndbuf) {
		ask_want(h, "net_send() of nothing", nothing, EAGAIN);
	} else {
		ask_want(h, "net_send() of nothing", nothing, EINVAL);
		ask_want(h, "net_send() of more than 1 GiB", much, EMSGSIZE);
		ask_want(h, "net_peer()", net_peer(s, &peer), 0);
	}
}

static void wrong_shutdown(struct host *h, struct net_sock *s)
{
	enum ask_state state = ask_tcp_state(s);
	int right = ask_is_synchronized(state) || state == ASK_TIME_WAIT ? 0 : ENOTCONN;

	ask_want(h, "net_shutdown() of neither", net_shutdown(s, false, false), right);
	if (right)
		ask_want(h, "net_shutdown()", net_shutdown(s, true, true), right);
}

/* ---- options */

struct range {
	enum net_opt opt;
	int64_t min, max;
	int64_t to;		/* up to here it changes nothing for anybody, from min on */
};

static const struct range tcp_ranges[] = {
	{ NET_OPT_NODELAY, 0, 1, 1 },
	{ NET_OPT_QUICKACK, 0, 1, 1 },
	{ NET_OPT_KEEPALIVE, 0, 1, 1 },
	{ NET_OPT_KEEPIDLE, 1, 32767, -1 },
	{ NET_OPT_KEEPINTVL, 1, 32767, -1 },
	{ NET_OPT_KEEPCNT, 1, 127, -1 },
	{ NET_OPT_MAXSEG, 88, 65495, -1 },
	{ NET_OPT_USER_TIMEOUT, 0, INT32_MAX, -1 },
	{ NET_OPT_LINGER, -1, INT32_MAX, -1 },
	{ NET_OPT_SNDBUF, 1, 1 << 30, -1 },
	{ NET_OPT_RCVBUF, 1, 1 << 30, -1 },
	{ NET_OPT_REUSEADDR, 0, 1, -1 },
};

static void tcp_option(struct host *h, struct net_sock *s, struct rnd *r, const struct range *o)
{
	int64_t was, is, value;

	ask_want(h, "net_get_opt()", net_get_opt(s, o->opt, &was), 0);
	/* what a segment may carry is the other's to say, too */
	if (was > o->max || was < (o->opt == NET_OPT_MAXSEG ? 1 : o->min))
		world_fail(h->w, "h%u: option %d is %lld", h->nr, o->opt, (long long)was);
	ask_want(h, "net_set_opt() below the range", net_set_opt(s, o->opt, o->min - 1), EINVAL);
	ask_want(h, "net_set_opt() above the range", net_set_opt(s, o->opt, o->max + 1), EINVAL);
	if (o->opt == NET_OPT_MAXSEG)
		return;		/* what is read is not what was set */
	value = o->to < 0 ? was : (int64_t)rnd_in(r, (uint64_t)o->min, (uint64_t)o->to);
	ask_want(h, "net_set_opt()", net_set_opt(s, o->opt, value), 0);
	ask_want(h, "net_get_opt()", net_get_opt(s, o->opt, &is), 0);
	if (is != value)
		world_fail(h->w, "h%u: option %d is %lld after %lld", h->nr, o->opt,
			   (long long)is, (long long)value);
}

static bool is_udps(enum net_opt opt)
{
	return opt == NET_OPT_SNDBUF || opt == NET_OPT_RCVBUF || opt == NET_OPT_REUSEADDR;
}

static void udp_option(struct host *h, struct net_sock *s, enum net_opt opt)
{
	int64_t was, is;

	if (!is_udps(opt)) {
		ask_want(h, "net_get_opt() of TCP's", net_get_opt(s, opt, &was), ENOPROTOOPT);
		ask_want(h, "net_set_opt() of TCP's", net_set_opt(s, opt, 1), ENOPROTOOPT);
		return;
	}
	ask_want(h, "net_get_opt()", net_get_opt(s, opt, &was), 0);
	if (opt != NET_OPT_REUSEADDR) {
		ask_want(h, "net_set_opt()", net_set_opt(s, opt, -1), EINVAL);
		ask_want(h, "net_set_opt()", net_set_opt(s, opt, INT64_C(1) << 31), EINVAL);
	}
	ask_want(h, "net_set_opt()", net_set_opt(s, opt, was), 0);
	ask_want(h, "net_get_opt()", net_get_opt(s, opt, &is), 0);
	if (is != was)
		world_fail(h->w, "h%u: option %d is %lld after %lld", h->nr, opt, (long long)is,
			   (long long)was);
}

void ask_options(struct host *h, struct net_sock *s, struct rnd *r, bool tcp)
{
	int64_t value;

	for (uint32_t i = 0; i < array_size(tcp_ranges); i++) {
		if (tcp)
			tcp_option(h, s, r, &tcp_ranges[i]);
		else
			udp_option(h, s, tcp_ranges[i].opt);
	}
	ask_want(h, "net_set_opt() of none", net_set_opt(s, NET_N_OPTS, 1), ENOPROTOOPT);
	ask_want(h, "net_get_opt() of none", net_get_opt(s, NET_N_OPTS, &value), ENOPROTOOPT);
	ask_want(h, "net_set_congestion()", net_set_congestion(s, "vegas"),
		 tcp ? ENOENT : ENOPROTOOPT);
	if (strcmp(net_congestion(s), tcp ? "reno" : ""))
		world_fail(h->w, "h%u: net_congestion: '%s'", h->nr, net_congestion(s));
	if (!rnd_one_in(r, 4))
		return;
	ask_want(h, "net_set_congestion()", net_set_congestion(s, rnd_one_in(r, 2) ? "newreno" : "reno"),
		 tcp ? 0 : ENOPROTOOPT);
}

/* ---- all of it */

void ask_tcp(struct host *h, struct net_sock *s, struct rnd *r, struct asked *asked,
	     uint64_t received)
{
	check_info(h, s, asked, received);
	switch (rnd_below(r, 4)) {
	case 0:
		wrong_addresses(h, s);
		return;
	case 1:
		wrong_sends(h, s);
		return;
	case 2:
		wrong_shutdown(h, s);
		return;
	default:
		ask_options(h, s, r, true);
		return;
	}
}

void ask_udp(struct host *h, struct net_sock *s, struct rnd *r)
{
	struct net_addr name, any = { net_ip4(0), 0 };
	struct net_sock *none;
	struct tcp_info info;

	ask_options(h, s, r, false);
	ask_want(h, "net_listen() of UDP", net_listen(s, 1), EOPNOTSUPP);
	ask_want(h, "net_accept() of UDP", net_accept(s, NULL, &none, NULL), EOPNOTSUPP);
	ask_want(h, "net_connect() to no port", net_connect(s, &any), EINVAL);
	net_connect_cancel(s);
	if (net_bytes_unacked(s))
		world_fail(h->w, "h%u: UDP waits for acknowledgements", h->nr);
	if (!net_name(s, &name))
		ask_want(h, "net_bind() once more", net_bind(s, &any), EINVAL);
	net_tcp_info(s, &info);
	if (info.tcpi_state)
		world_fail(h->w, "h%u: UDP is in state %u", h->nr, info.tcpi_state);
}

void ask_all(struct host *h)
{
	const struct net_sock *s = NULL;

	while ((s = net_next_tcp(h->stack, s))) {
		enum ask_state state = ask_tcp_state(s);
		struct prog *p = net_user(s);

		if (state == ASK_TIME_WAIT)
			world_fail(h->w, "h%u: net_next_tcp() gives out a TIME_WAIT", h->nr);
		if (p && p->host != h)
			world_fail(h->w, "h%u: net_next_tcp() gives out another host's", h->nr);
	}
}

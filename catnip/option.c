#include "config.h"

#include "catnip/catnip.h"

#include <errno.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "libos/option.h"

#define CA_NAME_MAX 16

enum opt_kind {
	OPT_BOOL,
	OPT_INT,
	OPT_BUF,		/* bytes; none is an error but below zero */
	OPT_LINGER,
	OPT_NAME,		/* TCP_CONGESTION */
	OPT_INFO,		/* TCP_INFO */
	OPT_ERROR,
	OPT_TYPE,
};

struct opt {
	int level;
	int name;
	enum opt_kind kind;
	enum net_opt net;	/* BOOL, INT, BUF, LINGER */
};

static const struct opt opts[] = {
	{ SOL_SOCKET, SO_LINGER, OPT_LINGER, NET_OPT_LINGER },
	{ SOL_SOCKET, SO_KEEPALIVE, OPT_BOOL, NET_OPT_KEEPALIVE },
	{ SOL_SOCKET, SO_REUSEADDR, OPT_BOOL, NET_OPT_REUSEADDR },
	{ SOL_SOCKET, SO_SNDBUF, OPT_BUF, NET_OPT_SNDBUF },
	{ SOL_SOCKET, SO_RCVBUF, OPT_BUF, NET_OPT_RCVBUF },
	{ SOL_SOCKET, SO_ERROR, OPT_ERROR, 0 },
	{ SOL_SOCKET, SO_TYPE, OPT_TYPE, 0 },
	{ IPPROTO_TCP, TCP_NODELAY, OPT_BOOL, NET_OPT_NODELAY },
	{ IPPROTO_TCP, TCP_QUICKACK, OPT_BOOL, NET_OPT_QUICKACK },
	{ IPPROTO_TCP, TCP_KEEPIDLE, OPT_INT, NET_OPT_KEEPIDLE },
	{ IPPROTO_TCP, TCP_KEEPINTVL, OPT_INT, NET_OPT_KEEPINTVL },
	{ IPPROTO_TCP, TCP_KEEPCNT, OPT_INT, NET_OPT_KEEPCNT },
	{ IPPROTO_TCP, TCP_MAXSEG, OPT_INT, NET_OPT_MAXSEG },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, OPT_INT, NET_OPT_USER_TIMEOUT },
	{ IPPROTO_TCP, TCP_CONGESTION, OPT_NAME, 0 },
	{ IPPROTO_TCP, TCP_INFO, OPT_INFO, 0 },
};

static int opt_find(const struct libos_queue *q, int level, int name, const struct opt **opt_out)
{
	if (level != SOL_SOCKET && level != IPPROTO_TCP)
		return ENOTSUP;
	if (level == IPPROTO_TCP && q->type != LIBOS_STREAM)
		return ENOPROTOOPT;
	for (size_t i = 0; i < array_size(opts); i++) {
		if (opts[i].level != level || opts[i].name != name)
			continue;
		*opt_out = &opts[i];
		return 0;
	}
	return ENOPROTOOPT;
}

/* A datagram queue has some of them in name only, as with the kernel. */
static int net_set(struct catnip_queue *s, const struct opt *opt, int64_t value)
{
	int err = net_set_opt(s->sock, opt->net, value);

	return err == ENOPROTOOPT && opt->level == SOL_SOCKET ? 0 : err;
}

/* ---- setting */

static int linger_set(struct catnip_queue *s, const struct opt *opt, const void *val,
		      socklen_t len)
{
	struct linger l;
	int err = libos_opt_take_linger(&l, val, len);

	if (err)
		return err;
	return net_set(s, opt, l.l_onoff ? l.l_linger : -1);
}

static int int_set(struct catnip_queue *s, const struct opt *opt, const void *val, socklen_t len)
{
	int n, err = libos_opt_take_int(&n, val, len);

	if (err)
		return err;
	if (opt->kind == OPT_BOOL)
		n = n != 0;
	if (opt->kind == OPT_BUF && n < 0)
		return EINVAL;
	return net_set(s, opt, n);
}

/* With or without NULs behind it: what was got may be set. */
static int name_set(struct catnip_queue *s, const void *val, socklen_t len)
{
	char name[CA_NAME_MAX] = "";
	size_t n;

	if (len > CA_NAME_MAX)
		return EINVAL;
	n = strnlen(val, len);
	if (n < 1 || n >= CA_NAME_MAX)
		return EINVAL;
	memcpy(name, val, n);
	return net_set_congestion(s->sock, name) ? EINVAL : 0;
}

int catnip_setsockopt(struct libos_queue *q, int level, int name, const void *val, socklen_t len)
{
	struct catnip_queue *s = catnip_queue(q);
	const struct opt *opt;
	int err = opt_find(q, level, name, &opt);

	if (err)
		return err;
	switch (opt->kind) {
	case OPT_LINGER:
		return linger_set(s, opt, val, len);
	case OPT_NAME:
		return name_set(s, val, len);
	case OPT_BOOL:
	case OPT_INT:
	case OPT_BUF:
		return int_set(s, opt, val, len);
	case OPT_INFO:
	case OPT_ERROR:
	case OPT_TYPE:
		return ENOPROTOOPT;
	}
	return ENOPROTOOPT;
}

/* ---- getting */

static int64_t net_get_or(const struct catnip_queue *s, const struct opt *opt, int64_t none)
{
	int64_t value;

	return net_get_opt(s->sock, opt->net, &value) ? none : value;
}

static int linger_get(const struct catnip_queue *s, const struct opt *opt, void *val,
		      socklen_t *len)
{
	int64_t n = net_get_or(s, opt, -1);
	struct linger l = { n >= 0, n >= 0 ? (int)n : 0 };

	return libos_opt_give(val, len, &l, sizeof(l));
}

/* As much of it as there is room for, as the kernel does; and as much as every
 * program has heard of. */
static int info_get(const struct catnip_queue *s, void *val, socklen_t *len)
{
	const socklen_t least = offsetof(struct tcp_info, tcpi_pacing_rate);
	struct tcp_info info;

	if (*len < least)
		return EINVAL;
	net_tcp_info(s->sock, &info);
	if (*len > sizeof(info))
		*len = sizeof(info);
	memcpy(val, &info, *len);
	return 0;
}

static int name_get(const struct catnip_queue *s, void *val, socklen_t *len)
{
	char name[CA_NAME_MAX] = "";

	if (*len < 1)
		return EINVAL;
	strncpy(name, net_congestion(s->sock), sizeof(name) - 1);
	if (*len > sizeof(name))
		*len = sizeof(name);
	memcpy(val, name, *len);
	return 0;
}

static int error_get(struct catnip_queue *s, void *val, socklen_t *len)
{
	int err = s->so_error;

	if (*len < sizeof(err))
		return EINVAL;
	s->so_error = 0;
	if (!err && s->q.type == LIBOS_DGRAM)
		err = net_error(s->sock);
	return libos_opt_give_int(val, len, err);
}

int catnip_getsockopt(struct libos_queue *q, int level, int name, void *val, socklen_t *len)
{
	struct catnip_queue *s = catnip_queue(q);
	const struct opt *opt;
	int err = opt_find(q, level, name, &opt);

	if (err)
		return err;
	switch (opt->kind) {
	case OPT_LINGER:
		return linger_get(s, opt, val, len);
	case OPT_TYPE:
		return libos_opt_give_int(val, len, q->type == LIBOS_STREAM ? SOCK_STREAM : SOCK_DGRAM);
	case OPT_ERROR:
		return error_get(s, val, len);
	case OPT_INFO:
		return info_get(s, val, len);
	case OPT_NAME:
		return name_get(s, val, len);
	case OPT_BOOL:
	case OPT_INT:
	case OPT_BUF:
		return libos_opt_give_int(val, len, (int)net_get_or(s, opt, 0));
	}
	return ENOPROTOOPT;
}

void catnip_options_init(struct catnip_queue *s)
{
	const struct catnip_ctx *cn = catnip_ctx(s);

	if (cn->linger && s->q.type == LIBOS_STREAM)
		net_set_opt(s->sock, NET_OPT_LINGER, cn->linger_s);
}

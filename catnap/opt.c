#include "config.h"

#include "catnap/catnap.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "libos/libos.h"
#include "libos/option.h"

#define CA_NAME_MAX 16	/* TCP_CA_NAME_MAX of the kernel */

enum opt_kind {
	OPT_INT,		/* the kernel's, an int */
	OPT_NAME,		/* TCP_CONGESTION */
	OPT_INFO,		/* TCP_INFO */
	OPT_REUSE,		/* kept here: see bind() */
	OPT_LINGER,		/* kept here: the kernel's would block close() */
	OPT_SNDBUF,		/* the kernel's, and the send window's */
	OPT_ERROR,
	OPT_TYPE,
};

struct opt {
	int level;
	int name;
	enum opt_kind kind;
};

static const struct opt opts[] = {
	{ SOL_SOCKET, SO_LINGER, OPT_LINGER },
	{ SOL_SOCKET, SO_KEEPALIVE, OPT_INT },
	{ SOL_SOCKET, SO_REUSEADDR, OPT_REUSE },
	{ SOL_SOCKET, SO_SNDBUF, OPT_SNDBUF },
	{ SOL_SOCKET, SO_RCVBUF, OPT_INT },
	{ SOL_SOCKET, SO_ERROR, OPT_ERROR },
	{ SOL_SOCKET, SO_TYPE, OPT_TYPE },
	{ IPPROTO_TCP, TCP_NODELAY, OPT_INT },
	{ IPPROTO_TCP, TCP_KEEPIDLE, OPT_INT },
	{ IPPROTO_TCP, TCP_KEEPINTVL, OPT_INT },
	{ IPPROTO_TCP, TCP_KEEPCNT, OPT_INT },
	{ IPPROTO_TCP, TCP_MAXSEG, OPT_INT },
	{ IPPROTO_TCP, TCP_CONGESTION, OPT_NAME },
	{ IPPROTO_TCP, TCP_INFO, OPT_INFO },
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

/* ---- setting */

static int kernel_set(struct catnap_sock *s, const struct opt *opt, const void *val,
		      socklen_t len)
{
	if (setsockopt(s->fd, opt->level, opt->name, val, len) == 0)
		return 0;
	return errno == ENOENT || errno == EDOM ? EINVAL : errno;
}

static int linger_set(struct catnap_sock *s, const void *val, socklen_t len)
{
	struct linger l;
	int err = libos_opt_take_linger(&l, val, len);

	if (err)
		return err;
	s->linger = l.l_onoff != 0;
	s->linger_s = l.l_linger;
	return 0;
}

/* The program's number is our own bound too; the kernel's own is twice it. */
static int sndbuf_set(struct catnap_sock *s, const struct opt *opt, int n)
{
	int err;

	if (n < 0)
		return EINVAL;
	err = kernel_set(s, opt, &n, sizeof(n));
	if (!err)
		s->tx_limit = n > 0 ? (uint64_t)n : 1;
	return err;
}

static int int_set(struct catnap_sock *s, const struct opt *opt, const void *val, socklen_t len)
{
	int n, err = libos_opt_take_int(&n, val, len);

	if (err)
		return err;
	if (opt->kind == OPT_SNDBUF)
		return sndbuf_set(s, opt, n);
	if (opt->name == SO_RCVBUF && opt->level == SOL_SOCKET && n < 0)
		return EINVAL;
	if (opt->kind == OPT_INT)
		return kernel_set(s, opt, &n, sizeof(n));
	s->reuse = n != 0;
	return 0;
}

/* With or without NULs behind it: what was got may be set. */
static int name_set(struct catnap_sock *s, const struct opt *opt, const void *val, socklen_t len)
{
	size_t n;

	if (len > CA_NAME_MAX)
		return EINVAL;
	n = strnlen(val, len);
	return n < 1 || n >= CA_NAME_MAX ? EINVAL : kernel_set(s, opt, val, (socklen_t)n);
}

int catnap_setsockopt(struct libos_queue *q, int level, int name, const void *val, socklen_t len)
{
	struct catnap_sock *s = catnap_sock(q);
	const struct opt *opt;
	int err = opt_find(q, level, name, &opt);

	if (err)
		return err;
	switch (opt->kind) {
	case OPT_LINGER:
		return linger_set(s, val, len);
	case OPT_NAME:
		return name_set(s, opt, val, len);
	case OPT_INT:
	case OPT_SNDBUF:
	case OPT_REUSE:
		return int_set(s, opt, val, len);
	case OPT_INFO:
	case OPT_ERROR:
	case OPT_TYPE:
		return ENOPROTOOPT;
	}
	return ENOPROTOOPT;
}

/* ---- getting */

static int kernel_get(struct catnap_sock *s, const struct opt *opt, void *val, socklen_t *len,
		      socklen_t least)
{
	if (*len < least)
		return EINVAL;
	return getsockopt(s->fd, opt->level, opt->name, val, len) < 0 ? errno : 0;
}

/* What the kernel still holds back is ours to remember: it tells it once. */
static int error_get(struct catnap_sock *s, void *val, socklen_t *len)
{
	int err = 0;
	socklen_t n = sizeof(err);

	if (*len < sizeof(err))
		return EINVAL;
	if (!s->so_error && !getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &n) && err) {
		if (s->q.type == LIBOS_STREAM && s->q.state == LIBOS_CONNECTED)
			catnap_sock_fail(s, err == EPIPE ? ECONNRESET : err);
		else
			s->so_error = err;
		if (s->q.connect)
			catnap_conn_end(s, s->q.connect, err); /* with this cause */
	}
	err = s->so_error;
	s->so_error = 0;
	return libos_opt_give_int(val, len, err);
}

int catnap_getsockopt(struct libos_queue *q, int level, int name, void *val, socklen_t *len)
{
	struct catnap_sock *s = catnap_sock(q);
	struct linger l = { s->linger, s->linger_s };
	const struct opt *opt;
	int err = opt_find(q, level, name, &opt);

	if (err)
		return err;
	switch (opt->kind) {
	case OPT_LINGER:
		return libos_opt_give(val, len, &l, sizeof(l));
	case OPT_REUSE:
		return libos_opt_give_int(val, len, s->reuse);
	case OPT_TYPE:
		return libos_opt_give_int(val, len, q->type == LIBOS_STREAM ? SOCK_STREAM : SOCK_DGRAM);
	case OPT_ERROR:
		return error_get(s, val, len);
	case OPT_INFO:
		return kernel_get(s, opt, val, len, sizeof(struct tcp_info));
	case OPT_NAME:
		return kernel_get(s, opt, val, len, 1);
	case OPT_INT:
	case OPT_SNDBUF:
		return kernel_get(s, opt, val, len, sizeof(int));
	}
	return ENOPROTOOPT;
}

void catnap_opt_defaults(struct catnap_sock *s)
{
	const struct catnap_ctx *cc = catnap_ctx(s);
	static const int on = 1;

	if (cc->nodelay)
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!cc->keepalive)
		return;
	setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPIDLE, &cc->keep_idle, sizeof(cc->keep_idle));
	setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPINTVL, &cc->keep_intvl, sizeof(cc->keep_intvl));
}

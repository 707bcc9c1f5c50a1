#include "config.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "catmem/catmem.h"
#include "libos/option.h"

#define BUF_MIN 4096
#define BUF_MAX (1 << 30)

void options_init(struct sock_options *o)
{
	*o = (struct sock_options){ .linger_s = -1, .keepidle = 7200, .keepintvl = 75,
				    .keepcnt = 9, .nodelay = true };
}

static struct sock_options *options_of(struct libos_queue *q)
{
	return q->type == LIBOS_DGRAM ? &container_of(q, struct dsock, q)->options
				      : &container_of(q, struct conn, q)->options;
}

static uint32_t *sndbuf_of(struct libos_queue *q)
{
	return q->type == LIBOS_DGRAM ? &container_of(q, struct dsock, q)->sndbuf
				      : &container_of(q, struct conn, q)->sndbuf;
}

/* A stream has no limit of its own for what arrives: the sender's is. */
static uint32_t *rcvbuf_of(struct libos_queue *q)
{
	return q->type == LIBOS_DGRAM ? &container_of(q, struct dsock, q)->rcvbuf : NULL;
}

/* The queue goes on to fail with it. */
static int take_error(struct libos_queue *q)
{
	struct sock_options *o = options_of(q);
	int err = q->type == LIBOS_DGRAM ? 0 : container_of(q, struct conn, q)->err;

	if (!err || o->error_told)
		return 0;
	o->error_told = true;
	return err;
}

static uint32_t clamp(int n)
{
	return (uint32_t)(n < BUF_MIN ? BUF_MIN : n > BUF_MAX ? BUF_MAX : n);
}

static int set_linger(struct libos_queue *q, const void *val, socklen_t len)
{
	struct linger l;
	int err = libos_opt_take_linger(&l, val, len);

	if (err)
		return err;
	options_of(q)->linger_s = l.l_onoff ? l.l_linger : -1;
	return 0;
}

static int set_socket(struct libos_queue *q, int name, const void *val, socklen_t len)
{
	struct sock_options *o = options_of(q);
	int n = 0, err;

	if (name == SO_LINGER)
		return set_linger(q, val, len);
	if (name != SO_KEEPALIVE && name != SO_REUSEADDR && name != SO_SNDBUF && name != SO_RCVBUF)
		return ENOPROTOOPT;
	err = libos_opt_take_int(&n, val, len);
	if (err)
		return err;
	if ((name == SO_SNDBUF || name == SO_RCVBUF) && n < 0)
		return EINVAL;
	if (name == SO_KEEPALIVE)
		o->keepalive = n != 0;
	else if (name == SO_REUSEADDR)
		o->reuseaddr = n != 0;
	else if (name == SO_SNDBUF)
		*sndbuf_of(q) = clamp(n);
	else if (rcvbuf_of(q))
		*rcvbuf_of(q) = clamp(n);
	return 0;
}

static int *tcp_int(struct sock_options *o, int name)
{
	if (name == TCP_KEEPIDLE)
		return &o->keepidle;
	if (name == TCP_KEEPINTVL)
		return &o->keepintvl;
	return name == TCP_KEEPCNT ? &o->keepcnt : NULL;
}

/* There is no TCP here, so no segments, no congestion and no TCP_INFO; what any
 * program sets is remembered. */
static int set_tcp(struct libos_queue *q, int name, const void *val, socklen_t len)
{
	struct sock_options *o = options_of(q);
	int n, err, *field = tcp_int(o, name);

	if (q->type != LIBOS_STREAM || (!field && name != TCP_NODELAY))
		return ENOPROTOOPT;
	err = libos_opt_take_int(&n, val, len);
	if (err)
		return err;
	if (field && (n < 1 || n > (name == TCP_KEEPCNT ? 127 : 32767)))
		return EINVAL;
	if (field)
		*field = n;
	else
		o->nodelay = n != 0;
	return 0;
}

int option_set(struct libos_queue *q, int level, int name, const void *val, socklen_t len)
{
	if (level == SOL_SOCKET)
		return set_socket(q, name, val, len);
	return level == IPPROTO_TCP ? set_tcp(q, name, val, len) : ENOTSUP;
}

static int get_socket(struct libos_queue *q, int name, void *val, socklen_t *len)
{
	struct sock_options *o = options_of(q);
	struct linger l = { o->linger_s >= 0, o->linger_s >= 0 ? o->linger_s : 0 };

	switch (name) {
	case SO_LINGER:
		return libos_opt_give(val, len, &l, sizeof(l));
	case SO_KEEPALIVE:
		return libos_opt_give_int(val, len, o->keepalive);
	case SO_REUSEADDR:
		return libos_opt_give_int(val, len, o->reuseaddr);
	case SO_SNDBUF:
		return libos_opt_give_int(val, len, (int)*sndbuf_of(q));
	case SO_RCVBUF:
		return libos_opt_give_int(val, len, (int)(rcvbuf_of(q) ? *rcvbuf_of(q) : *sndbuf_of(q)));
	case SO_ERROR:
		return *len < sizeof(int) ? EINVAL : libos_opt_give_int(val, len, take_error(q));
	case SO_TYPE:
		return libos_opt_give_int(val, len, q->type == LIBOS_DGRAM ? SOCK_DGRAM : SOCK_STREAM);
	default:
		return ENOPROTOOPT;
	}
}

int option_get(struct libos_queue *q, int level, int name, void *val, socklen_t *len)
{
	struct sock_options *o = options_of(q);
	int *field;

	if (level == SOL_SOCKET)
		return get_socket(q, name, val, len);
	if (level != IPPROTO_TCP)
		return ENOTSUP;
	field = tcp_int(o, name);
	if (q->type != LIBOS_STREAM || (!field && name != TCP_NODELAY))
		return ENOPROTOOPT;
	return libos_opt_give_int(val, len, field ? *field : o->nodelay);
}

#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <string.h>

#include "api/address.h"
#include "api/call.h"
#include "api/state.h"
#include "libos/backend.h"

#define PIPE_NAME_MAX 200

/* The first backend of the instance that has what is asked for. */
static struct libos_ctx *backend_for(struct libos *os, unsigned cap)
{
	for (uint8_t i = 0; i < os->n_backends; i++)
		if (os->backends[i]->be->caps & cap)
			return os->backends[i];
	return NULL;
}

/* A queue that its backend has just made. */
static int queue_add(struct libos *os, struct libos_queue *q, int *qd_out)
{
	int err = libos_queue_open(os, q);

	if (err) {
		q->be->close(q, NULL);
		return err;
	}
	*qd_out = q->qd;
	return 0;
}

static int type_get(int domain, int type, int protocol, enum libos_queue_type *type_out)
{
	int own = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;

	if (domain != AF_INET || (type != SOCK_STREAM && type != SOCK_DGRAM) ||
	    (protocol && protocol != own))
		return ENOTSUP;
	*type_out = type == SOCK_STREAM ? LIBOS_STREAM : LIBOS_DGRAM;
	return 0;
}

static int do_socket(struct libos *os, int *qd_out, int domain, int type, int protocol)
{
	struct libos_ctx *ctx = backend_for(os, LIBOS_CAP_SOCKETS);
	enum libos_queue_type qtype;
	struct libos_queue *q;
	int err;

	if (!qd_out)
		return EINVAL;
	err = type_get(domain, type, protocol, &qtype);
	if (err)
		return err;
	if (!ctx)
		return ENOTSUP;
	err = ctx->be->socket(ctx, qtype, &q);
	return err ? err : queue_add(os, q, qd_out);
}

int demi_socket(int *sockqd_out, int domain, int type, int protocol)
{
	struct libos *os = call_enter();
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	err = call_leave(os, do_socket(os, sockqd_out, domain, type, protocol));
	errno = saved;
	return err;
}

static int do_pipe(struct libos *os, int *qd_out, const char *name, bool create)
{
	struct libos_ctx *ctx = backend_for(os, LIBOS_CAP_PIPES);
	struct libos_queue *q;
	int err;

	if (!qd_out || !name || !*name || strchr(name, '/') || strlen(name) > PIPE_NAME_MAX)
		return EINVAL;
	if (!ctx)
		return ENOTSUP;
	err = ctx->be->pipe(ctx, name, create, &q);
	return err ? err : queue_add(os, q, qd_out);
}

static int call_pipe(int *qd_out, const char *name, bool create)
{
	struct libos *os = call_enter();
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	err = call_leave(os, do_pipe(os, qd_out, name, create));
	errno = saved;
	return err;
}

int demi_create_pipe(int *memqd_out, const char *name)
{
	return call_pipe(memqd_out, name, true);
}

int demi_open_pipe(int *memqd_out, const char *name)
{
	return call_pipe(memqd_out, name, false);
}

static int do_bind(struct libos *os, int qd, const struct sockaddr *addr, socklen_t size)
{
	struct libos_queue *q = libos_queues_find(&os->queues, qd);
	struct sockaddr_in sin;
	int err = address_get(addr, size, &sin);

	if (err)
		return err;
	if (!q)
		return EBADF;
	err = state_check(q, CALL_BIND);
	return err ? err : q->be->bind(q, &sin);
}

int demi_bind(int sockqd, const struct sockaddr *addr, socklen_t size)
{
	struct libos *os = call_enter();
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	err = call_leave(os, do_bind(os, sockqd, addr, size));
	errno = saved;
	return err;
}

static int do_listen(struct libos *os, int qd, int backlog)
{
	struct libos_queue *q = libos_queues_find(&os->queues, qd);
	int err;

	if (backlog < 1)
		return EINVAL;
	if (!q)
		return EBADF;
	err = state_check(q, CALL_LISTEN);
	return err ? err : q->be->listen(q, backlog < SOMAXCONN ? backlog : SOMAXCONN);
}

int demi_listen(int sockqd, int backlog)
{
	struct libos *os = call_enter();
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	err = call_leave(os, do_listen(os, sockqd, backlog));
	errno = saved;
	return err;
}

/* The call failed at once: no token was handed out. */
static void other_undo(struct libos *os, struct libos_op *op)
{
	os->n_others--;
	libos_op_abandon(op);
}

static int do_accept(struct libos *os, demi_qtoken_t *qt_out, int qd)
{
	struct libos_queue *q = libos_queues_find(&os->queues, qd);
	struct libos_op *op;
	demi_qtoken_t qt;
	int err;

	if (!qt_out)
		return EINVAL;
	if (!q)
		return EBADF;
	err = state_check(q, CALL_ACCEPT);
	if (err)
		return err;
	op = libos_op_new(os, q, DEMI_OPC_ACCEPT);
	if (!op)
		return ENOMEM;
	qt = op->token;
	os->n_others++;
	err = q->be->accept(q, op);
	if (err)
		other_undo(os, op);
	else
		*qt_out = qt;
	return err;
}

int demi_accept(demi_qtoken_t *qt_out, int sockqd)
{
	struct libos *os = call_enter();
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	err = call_leave(os, do_accept(os, qt_out, sockqd));
	errno = saved;
	return err;
}

static int do_connect(struct libos *os, demi_qtoken_t *qt_out, int qd,
		      const struct sockaddr *addr, socklen_t size)
{
	struct libos_queue *q = libos_queues_find(&os->queues, qd);
	struct sockaddr_in sin;
	struct libos_op *op;
	demi_qtoken_t qt;
	int err = qt_out ? address_get(addr, size, &sin) : EINVAL;

	if (err)
		return err;
	if (!q)
		return EBADF;
	err = state_check(q, CALL_CONNECT);
	if (err)
		return err;
	op = libos_op_new(os, q, DEMI_OPC_CONNECT);
	if (!op)
		return ENOMEM;
	qt = op->token;
	os->count[LIBOS_C_CONNECTS]++;
	os->n_others++;
	err = q->be->connect(q, op, &sin);
	if (err)
		other_undo(os, op);
	else
		*qt_out = qt;
	return err;
}

int demi_connect(demi_qtoken_t *qt_out, int sockqd, const struct sockaddr *addr, socklen_t size)
{
	struct libos *os = call_enter();
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	err = call_leave(os, do_connect(os, qt_out, sockqd, addr, size));
	errno = saved;
	return err;
}

int demi_close(int qd)
{
	struct libos *os = call_enter();
	struct libos_queue *q;
	int saved = errno;

	if (!os)
		return ENOSYS;
	q = libos_queues_find(&os->queues, qd);
	if (!q)
		return call_leave(os, EBADF);
	libos_queue_close(os, q, NULL);
	call_leave(os, 0);
	errno = saved;
	return 0;
}

static int do_async_close(struct libos *os, demi_qtoken_t *qt_out, int qd)
{
	struct libos_queue *q = libos_queues_find(&os->queues, qd);
	struct libos_op *op;

	if (!qt_out)
		return EINVAL;
	if (!q)
		return EBADF;
	op = libos_op_new(os, q, DEMI_OPC_CLOSE);
	if (!op)
		return ENOMEM;
	*qt_out = op->token;
	os->n_others++;
	libos_queue_close(os, q, op);
	return 0;
}

int demi_async_close(demi_qtoken_t *qt_out, int qd)
{
	struct libos *os = call_enter();
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	err = call_leave(os, do_async_close(os, qt_out, qd));
	errno = saved;
	return err;
}

static int do_shutdown(struct libos *os, int qd, int how)
{
	struct libos_queue *q = libos_queues_find(&os->queues, qd);
	int err;

	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return EINVAL;
	if (!q)
		return EBADF;
	if (q->type == LIBOS_DGRAM ? !q->has_peer
				   : q->type == LIBOS_STREAM && q->state != LIBOS_CONNECTED)
		return ENOTCONN;
	err = q->be->shutdown(q, how);
	if (!err && how != SHUT_RD)
		q->wr_shut = true;
	return err;
}

int demi_shutdown(int qd, int how)
{
	struct libos *os = call_enter();
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	err = call_leave(os, do_shutdown(os, qd, how));
	errno = saved;
	return err;
}

/* As POSIX has it: filled as far as it goes, and told what it needed. */
static void address_give(const struct sockaddr_in *sin, struct sockaddr *addr, socklen_t *len)
{
	memcpy(addr, sin, *len < sizeof(*sin) ? *len : sizeof(*sin));
	*len = sizeof(*sin);
}

static int call_name(int qd, struct sockaddr *addr, socklen_t *len, bool peer)
{
	struct libos *os = call_enter();
	struct libos_queue *q;
	struct sockaddr_in sin;
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	if (!addr || !len)
		return call_leave(os, EINVAL);
	q = libos_queues_find(&os->queues, qd);
	if (!q)
		return call_leave(os, EBADF);
	if (q->type == LIBOS_PIPE)
		err = ENOTSUP;
	else
		err = peer ? q->be->getpeername(q, &sin) : q->be->getsockname(q, &sin);
	if (!err)
		address_give(&sin, addr, len);
	call_leave(os, 0);
	errno = saved;
	return err;
}

int demi_getpeername(int qd, struct sockaddr *addr, socklen_t *addrlen)
{
	return call_name(qd, addr, addrlen, true);
}

int demi_getsockname(int qd, struct sockaddr *addr, socklen_t *addrlen)
{
	return call_name(qd, addr, addrlen, false);
}

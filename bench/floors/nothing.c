/*
 * A backend that does nothing: every connect, push and pop is done at once, and
 * what is popped is always the same 64 bytes. What a call costs over it is what the
 * core and the front end cost. A queue whose peer is port 1 has nothing to pop.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "libos/backend.h"
#include "libos/libos.h"
#include "libos/registry.h"

#define BYTES 64u
#define DRY_PORT 1u

/* A step of its own in callgrind's list, whatever the link does. */
#define MEASURED __attribute__((__noinline__))

struct nothing {
	struct libos_ctx ctx;
	struct libos_buf *buf;
};

struct nothing_queue {
	struct libos_queue q;
	bool dry;
};

static const struct libos_key keys[] = { { .name = NULL } };

extern const struct libos_backend nothing_backend;

static int init(struct libos *os, struct libos_ctx **ctx_out)
{
	struct nothing *no = calloc(1, sizeof(*no));

	if (!no)
		return ENOMEM;
	no->ctx.be = &nothing_backend;
	no->ctx.os = os;
	*ctx_out = &no->ctx;
	return 0;
}

static void fini(struct libos_ctx *ctx)
{
	free(container_of(ctx, struct nothing, ctx));
}

static int open_queue(struct libos_ctx *ctx, enum libos_queue_type type, struct libos_queue **q_out)
{
	struct nothing_queue *nq = calloc(1, sizeof(*nq));

	if (!nq)
		return ENOMEM;
	libos_queue_init(&nq->q, ctx, type);
	*q_out = &nq->q;
	return 0;
}

static int no_bind(struct libos_queue *q, const struct sockaddr_in *addr)
{
	(void)q, (void)addr;
	return ENOTSUP;
}

static int no_listen(struct libos_queue *q, int backlog)
{
	(void)q, (void)backlog;
	return ENOTSUP;
}

static int no_accept(struct libos_queue *q, struct libos_op *op)
{
	(void)q, (void)op;
	return ENOTSUP;
}

static int connect_queue(struct libos_queue *q, struct libos_op *op, const struct sockaddr_in *addr)
{
	struct nothing *no = container_of(q->ctx, struct nothing, ctx);

	if (!no->buf)
		no->buf = libos_buf_alloc(&q->ctx->os->pool, BYTES);
	if (!no->buf)
		return ENOMEM;
	container_of(q, struct nothing_queue, q)->dry = addr->sin_port == htons(DRY_PORT);
	q->state = LIBOS_CONNECTED;
	libos_op_done(op);
	return 0;
}

static MEASURED int nothing_push(struct libos_queue *q, struct libos_op *op,
				 const struct libos_io *io, const struct sockaddr_in *to)
{
	(void)q, (void)to;
	libos_io_put(io);
	libos_op_pushed(op, io);
	return 0;
}

static MEASURED int nothing_pop(struct libos_queue *q, struct libos_op *op)
{
	struct nothing *no = container_of(q->ctx, struct nothing, ctx);

	if (container_of(q, struct nothing_queue, q)->dry) {
		list_add_tail(&q->waiting, &op->link);
		return 0;
	}
	libos_buf_get(no->buf);
	libos_op_popped(op, no->buf, no->buf->base, BYTES, NULL);
	return 0;
}

static int no_shutdown(struct libos_queue *q, int how)
{
	(void)q, (void)how;
	return ENOTSUP;
}

static void close_queue(struct libos_queue *q, struct libos_op *op)
{
	if (op)
		libos_op_done(op);
	free(container_of(q, struct nothing_queue, q));
}

static bool cancel(struct libos_queue *q, struct libos_op *op)
{
	(void)q, (void)op;
	return true;
}

static int no_setsockopt(struct libos_queue *q, int level, int name, const void *val, socklen_t len)
{
	(void)q, (void)level, (void)name, (void)val, (void)len;
	return ENOTSUP;
}

static int no_getsockopt(struct libos_queue *q, int level, int name, void *val, socklen_t *len)
{
	(void)q, (void)level, (void)name, (void)val, (void)len;
	return ENOTSUP;
}

static int no_name(struct libos_queue *q, struct sockaddr_in *addr_out)
{
	(void)q, (void)addr_out;
	return ENOTCONN;
}

static MEASURED bool nothing_poll(struct libos_ctx *ctx, uint64_t now)
{
	(void)ctx, (void)now;
	return false;
}

static bool owes(struct libos_ctx *ctx)
{
	(void)ctx;
	return false;
}

const struct libos_backend nothing_backend = {
	.name = "nothing",
	.caps = LIBOS_CAP_SOCKETS,
	.keys = keys,
	.init = init,
	.fini = fini,
	.socket = open_queue,
	.pipe = libos_no_pipe,
	.bind = no_bind,
	.listen = no_listen,
	.accept = no_accept,
	.connect = connect_queue,
	.push = nothing_push,
	.pop = nothing_pop,
	.shutdown = no_shutdown,
	.close = close_queue,
	.cancel = cancel,
	.setsockopt = no_setsockopt,
	.getsockopt = no_getsockopt,
	.getsockname = no_name,
	.getpeername = no_name,
	.poll = nothing_poll,
	.flush = libos_no_flush,
	.sleep_prepare = libos_no_sleep_prepare,
	.sleep_done = libos_no_sleep_done,
	.owes = owes,
};

const struct libos_backend *const libos_registry[] = { &nothing_backend, NULL };

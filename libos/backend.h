/*
 * What a backend is to the core. Every slot is filled: what a backend cannot do
 * points to libos_no_*(), which return ENOTSUP.
 *
 * The front end (api/) has checked arguments and the state table before it calls
 * a backend, so none of that is repeated there. A call that takes an op either
 * fails at once (positive errno; the op is the front end's again) or returns 0
 * and completes the op sooner or later, inside the call too, by one of the
 * libos_op_*() calls of libos/op.h.
 *
 * Everything runs in the instance's own thread.
 */
#ifndef LIBOS_BACKEND_H
#define LIBOS_BACKEND_H

#include <demi/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "libos/buf.h"
#include "libos/op.h"
#include "libos/queue.h"
#include "libos/settings.h"

struct libos;
struct libos_backend;

/* The instance's part of a backend; embedded first in the backend's own. */
struct libos_ctx {
	const struct libos_backend *be;
	struct libos *os;
};

enum libos_caps {
	LIBOS_CAP_SOCKETS = 1u << 0,
	LIBOS_CAP_PIPES = 1u << 1,
};

struct libos_backend {
	const char *name;	/* the value of LIBOS that selects it */
	unsigned caps;
	const struct libos_key *keys; /* its settings; ends with a NULL name */

	/*
	 * Life. init may log one line about what is wrong. fini frees everything
	 * that is left, without serving anything; all queues have been closed.
	 * mem: makes memory its device can reach, NULL if plain pages will do;
	 * mem_arg is the ctx.
	 */
	int (*init)(struct libos *os, struct libos_ctx **ctx_out);
	void (*fini)(struct libos_ctx *ctx);
	const struct libos_mem_ops *mem;
	/* Frees the ctx, after the last pool has gone; NULL if fini did. */
	void (*mem_done)(struct libos_ctx *ctx);

	/* Creates a queue with libos_queue_init(); the core adds it to the table. */
	int (*socket)(struct libos_ctx *ctx, enum libos_queue_type type,
		      struct libos_queue **q_out);
	int (*pipe)(struct libos_ctx *ctx, const char *name, bool create,
		    struct libos_queue **q_out);
	int (*bind)(struct libos_queue *q, const struct sockaddr_in *addr);
	int (*listen)(struct libos_queue *q, int backlog);
	int (*accept)(struct libos_queue *q, struct libos_op *op);
	int (*connect)(struct libos_queue *q, struct libos_op *op,
		       const struct sockaddr_in *addr);
	/*
	 * Stream: all of io, in order. Datagram: one, to `to` or, if NULL, to the
	 * peer. push and pop leave errno alone. On 0 the references in io are the
	 * backend's. A push that has to
	 * wait keeps io in libos_op_push(op) and op on q->pushes.
	 */
	int (*push)(struct libos_queue *q, struct libos_op *op, const struct libos_io *io,
		    const struct sockaddr_in *to);
	/* A pop that has to wait goes to the tail of q->waiting. */
	int (*pop)(struct libos_queue *q, struct libos_op *op);
	int (*shutdown)(struct libos_queue *q, int how);
	/*
	 * q has left the table (qd -1) and is the backend's to free, once its
	 * pushes have been delivered. The front end has failed what was waiting;
	 * op, if not NULL, is an async close to complete when the peer has
	 * acknowledged everything.
	 */
	void (*close)(struct libos_queue *q, struct libos_op *op);
	/*
	 * Takes a pending op out of the backend's own hands (a device request);
	 * the core has it off q's lists and completes it ECANCELED when this
	 * returns true. false: it cannot be stopped any more and will complete.
	 */
	bool (*cancel)(struct libos_queue *q, struct libos_op *op);
	/* Lengths and level have not been checked. */
	int (*setsockopt)(struct libos_queue *q, int level, int name, const void *val,
			  socklen_t len);
	int (*getsockopt)(struct libos_queue *q, int level, int name, void *val,
			  socklen_t *len);
	/* ENOTCONN when there is none */
	int (*getsockname)(struct libos_queue *q, struct sockaddr_in *addr_out);
	int (*getpeername)(struct libos_queue *q, struct sockaddr_in *addr_out);

	/*
	 * The wait loop. poll makes one pass over the device; true if anything
	 * moved. flush hands what pushes left behind to the device; called when
	 * the instance is marked dirty; it leaves errno alone. sleep_prepare arms whatever makes the
	 * instance's epoll descriptor readable; false: something came in the
	 * meantime, poll again; it lowers *deadline (ns of the monotonic clock)
	 * to its next timer. sleep_done disarms.
	 */
	bool (*poll)(struct libos_ctx *ctx, uint64_t now);
	void (*flush)(struct libos_ctx *ctx);
	bool (*sleep_prepare)(struct libos_ctx *ctx, uint64_t *deadline);
	void (*sleep_done)(struct libos_ctx *ctx);
	/* The last hold of a CHARGED buffer has gone; NULL: charges nobody. */
	void (*released)(struct libos_ctx *ctx, struct libos_buf *buf);
	/* True while something pushed has not been handed to who delivers it
	 * even if this process is gone. */
	bool (*owes)(struct libos_ctx *ctx);
};

int libos_no_pipe(struct libos_ctx *ctx, const char *name, bool create,
		  struct libos_queue **q_out);
void libos_no_flush(struct libos_ctx *ctx);
bool libos_no_sleep_prepare(struct libos_ctx *ctx, uint64_t *deadline);
void libos_no_sleep_done(struct libos_ctx *ctx);

#endif /* LIBOS_BACKEND_H */

/*
 * Operation slots. Every asynchronous call takes a slot; the token is the
 * slot's number and generation. A backend completes an operation with one call,
 * which puts the slot on the instance's ready list. No allocation on the way:
 * slots come from a slab that only grows.
 */
#ifndef LIBOS_OP_H
#define LIBOS_OP_H

#include <demi/types.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "base/list.h"
#include "libos/buf.h"

struct libos;
struct libos_queue;

enum libos_op_state {
	LIBOS_OP_FREE,
	LIBOS_OP_PENDING,
	LIBOS_OP_DONE,		/* ready, and it succeeded */
	LIBOS_OP_FAILED,	/* ready, and err says why it failed */
};

/* A push is waiting for this buffer to be held by nobody but the program. */
struct libos_op_hold {
	struct libos_op *op;
	struct libos_op_hold *next;
};

struct libos_op {
	struct list link;	/* ready list; or, pending, where the backend put
				 * it; next is NULL before it was in any */
	demi_qtoken_t token;
	uint64_t done_seq;	/* order of finishing */
	struct libos *os;
	union {
		struct libos_queue *queue; /* while pending */
		struct libos_op *next_free;
	};
	int32_t err;		/* FAILED: the positive errno */
	int32_t qd;
	uint8_t opcode;		/* what it is, not how it ended */
	uint8_t state;
	union {
		uint8_t n_holds; /* push.completes released: buffers still held */
		uint8_t n_chained; /* pop: segments, listed in a chain; 0: one */
	};
	uint8_t taken;		/* push: its bytes are in the send window */
	uint32_t len;		/* pop: of the one segment */
	union {
		struct {
			void *base;	/* what demi_sgafree() will be told */
			void *addr;
			struct sockaddr_in from;
		} pop;
		demi_accept_result_t ares;
	} value;
};

/* What only a push needs that has to wait. */
struct libos_push {
	struct libos_io io;	/* ... for its backend */
	struct libos_op_hold holds[DEMI_SGARRAY_MAXSIZE]; /* ... for its buffers */
};

#define LIBOS_OP_CHUNK 256u

/* The second half is memory that is not touched before a push waits. */
struct libos_op_chunk {
	struct libos_op ops[LIBOS_OP_CHUNK];
	struct libos_push pushes[LIBOS_OP_CHUNK];
};

struct libos_ops {
	struct libos_op **chunks; /* the ops of struct libos_op_chunk */
	uint32_t n_chunks;
	uint32_t n_slots;
	struct libos_op *free;	/* LIFO: the warm slot first */
	struct list ready;	/* in the order of finishing */
	uint64_t done_seq;	/* of the last operation that finished */
};

void libos_ops_init(struct libos_ops *ops);
void libos_ops_fini(struct libos_ops *ops);

/* ENOMEM */
int libos_ops_grow(struct libos *os);
/* Gives back a slot whose call failed at once: no token was handed out. */
void libos_op_abandon(struct libos_op *op);

/* The live operation of a token, or NULL. */
static inline struct libos_op *libos_op_find(const struct libos_ops *ops, demi_qtoken_t qt)
{
	uint32_t i = (uint32_t)qt - 1;
	struct libos_op *op;

	if (unlikely(i >= ops->n_slots))
		return NULL;
	op = &ops->chunks[i / LIBOS_OP_CHUNK][i % LIBOS_OP_CHUNK];
	return likely(op->token == qt && op->state != LIBOS_OP_FREE) ? op : NULL;
}

static inline struct libos_push *libos_op_push(struct libos_op *op)
{
	uint32_t i = ((uint32_t)op->token - 1) % LIBOS_OP_CHUNK;

	return &container_of(op - i, struct libos_op_chunk, ops[0])->pushes[i];
}

/*
 * For backends. Each takes op off whatever list it is on and puts it on the
 * ready list; err is 0 or the positive errno of a failed operation.
 */
void libos_op_fail(struct libos_op *op, int err);
/* connect and async close */
void libos_op_done(struct libos_op *op);
/*
 * push: its bytes are in the send window. With push.completes released it
 * stays pending until nobody but the program holds its buffers: io names them.
 */
void libos_op_pushed(struct libos_op *op, const struct libos_io *io);
/* accept: q is the new queue, already in the table */
void libos_op_accepted(struct libos_op *op, struct libos_queue *q, const struct sockaddr_in *peer);
/*
 * pop: one segment [addr, addr + len) of buf. The caller's reference to buf
 * becomes the program's. from is the source of a datagram, else NULL. len 0 is
 * the end of the stream: then buf is NULL.
 */
void libos_op_popped(struct libos_op *op, struct libos_buf *buf, void *addr, uint32_t len,
		     const struct sockaddr_in *from);
/*
 * pop with DEMI_POP_SEGS: several segments, each with a reference that becomes
 * the program's, freed together by the one demi_sgafree(). false: no memory to
 * list them, nothing has happened.
 */
bool libos_op_popped_segs(struct libos_op *op, const struct libos_io *io);

#endif /* LIBOS_OP_H */

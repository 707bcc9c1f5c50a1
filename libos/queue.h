/*
 * Queues and the table that finds one by its descriptor. Descriptors only go
 * up, so that a stale one never meets a newer queue.
 */
#ifndef LIBOS_QUEUE_H
#define LIBOS_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"

#define LIBOS_FIRST_QD 500

struct libos;
struct libos_backend;
struct libos_ctx;

enum libos_queue_type {
	LIBOS_STREAM,
	LIBOS_DGRAM,
	LIBOS_PIPE,
};

enum libos_queue_state {
	LIBOS_NEW,
	LIBOS_BOUND,
	LIBOS_LISTENING,
	LIBOS_CONNECTING,
	LIBOS_CONNECTED,	/* also after the peer closed, or an error */
};

/*
 * The part of a queue that the core knows; a backend embeds it first in its
 * own. The backend moves state on; the front end only reads it. A datagram
 * queue is NEW or BOUND, and has_peer says whether it is connected.
 */
struct libos_queue {
	int32_t qd;		/* -1 once closed, or not yet in the table */
	uint8_t type;
	uint8_t state;
	bool has_peer : 1;	/* DGRAM: connect has given it one */
	bool wr_shut : 1;	/* SHUT_WR was called: push is EPIPE */
	bool pop_segs : 1;	/* DEMI_POP_SEGS */
	const struct libos_backend *be;
	struct libos_ctx *ctx;
	struct list waiting;	/* pending pops, or accepts when LISTENING, FIFO */
	struct list pushes;	/* pending pushes, FIFO */
	struct libos_op *connect; /* pending connect */
};

struct libos_queues {
	struct libos_queue **slots;	/* qd & mask; never NULL */
	uint32_t mask;
	uint32_t n;
	int32_t next_qd;
};

int libos_queues_init(struct libos_queues *t);
void libos_queues_fini(struct libos_queues *t);
bool libos_queues_is_empty(const struct libos_queues *t, uint32_t slot);
/* Fills the core's part; the caller then adds q to the table. */
void libos_queue_init(struct libos_queue *q, struct libos_ctx *ctx, enum libos_queue_type type);
/* Gives q the next descriptor. ENOMEM, or EMFILE when there is none left. */
int libos_queues_add(struct libos_queues *t, struct libos_queue *q);
void libos_queues_del(struct libos_queues *t, struct libos_queue *q);

static inline struct libos_queue *libos_queues_find(const struct libos_queues *t, int qd)
{
	struct libos_queue *q = t->slots[(uint32_t)qd & t->mask];

	return likely(q->qd == qd) ? q : NULL; /* an empty slot has one of its own */
}

/* Completes everything in q->waiting, and the connect, FAILED with err. */
void libos_queue_fail_waiting(struct libos_queue *q, int err);
/* Completes every pending push FAILED with err and drops its references. */
void libos_queue_fail_pushes(struct libos_queue *q, int err);

#endif /* LIBOS_QUEUE_H */

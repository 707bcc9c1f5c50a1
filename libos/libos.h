/*
 * The instance: all state of one thread's libOS hangs off it.
 */
#ifndef LIBOS_LIBOS_H
#define LIBOS_LIBOS_H

#include <demi/types.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "libos/buf.h"
#include "libos/op.h"
#include "libos/process.h"
#include "libos/queue.h"
#include "libos/settings.h"
#include "libos/stat.h"
#include "libos/watch.h"

#define LIBOS_MAX_BACKENDS 8

struct libos_bell;
struct libos_buf_debug;

/* One entry of the map from addresses to areas. */
#define LIBOS_NO_UNIT UINTPTR_MAX

struct libos_unit {
	uintptr_t unit;		/* address >> LIBOS_UNIT_SHIFT; NO_UNIT: empty */
	struct libos_area *area;
};

struct libos {
	/* every call */
	_Atomic uint8_t attention; /* enum libos_attention */
	_Atomic bool busy;	/* its thread is inside a call */
	bool dirty;		/* pushes wait for a flush */
	bool debug_buffers;	/* CLOWDER_DEBUG=buffers: so says attention, too */
	bool push_released;	/* push.completes: released */
	uint8_t n_backends;
	uint8_t unflushed;	/* pushes since the last flush, or pass */
	uint8_t pass;		/* spinning passes since the clock was read */
	struct libos_bell *bell; /* demi_wake() */
	uint64_t now;		/* ns, as of the last look at the clock */
	int32_t fast_waits;	/* left until a wait makes a pass over the devices */
	/* counted here, shown in each pass */
	uint64_t n_pushes, n_waits, push_bytes, n_pops, n_others;
	struct libos_buf *hot_buf; /* of others' memory, popped last; never NULL */
	struct libos_area *hot_area; /* the last one that was found; never NULL */
	struct libos_queues queues;
	struct libos_ops ops;
	struct libos_unit *units; /* open addressing */
	uint32_t units_mask;
	uint32_t n_units;
	struct libos_ctx *backends[LIBOS_MAX_BACKENDS];
	struct libos_pool pool;	/* what demi_sgaalloc() hands out */
	struct libos_buf *eof;	/* what every end of stream points to */
	struct libos_ctx *charger; /* whose queues are charged with what they pin */

	/* waiting */
	struct libos_watches watches;
	struct libos_watch bell_watch;
	struct libos_watch ready_watch; /* eventfd: a wait would find something */
	struct libos_watch timer_watch; /* timerfd: the next deadline */
	bool ready_set;
	bool thorough;		/* a wait of zero: nothing may be put off */
	bool armed;		/* devices are armed for a foreign loop */
	int64_t spin_ns;	/* -1: for ever */
	uint64_t linger_ns;

	/* cold */
	struct libos_settings *settings;
	struct libos_stats stats;
	uint64_t *count;	/* enum libos_count: the core's own counters */
	uint64_t pool_limit;	/* bytes, all pools of the instance */
	int pool_err;		/* why it could last not grow below that */
	uint64_t pool_bytes;
	struct libos_buf_debug *debug;
	demi_callback_t callback;
	char name[32];		/* "catnap+catmem" */
	struct list link;	/* of the process */
};

/* The core's own counters. */
enum libos_count {
	LIBOS_C_PUSHES,
	LIBOS_C_PUSH_BYTES,
	LIBOS_C_POPS,
	LIBOS_C_POP_BYTES,
	LIBOS_C_ACCEPTS,
	LIBOS_C_CONNECTS,
	LIBOS_C_FAILED,		/* operations that completed FAILED */
	LIBOS_C_WAITS,
	LIBOS_C_SLEEPS,		/* waits that blocked in the kernel */
	LIBOS_C_QUEUES,		/* open now */
	LIBOS_C_OPS,		/* pending now */
	LIBOS_C_BUFS_OUT,	/* buffers in use now, by program or libOS */
	LIBOS_C_POOL_BYTES,	/* memory mapped now */
	LIBOS_C_ALLOC_FAILED,	/* no buffer: pool at its limit or no memory */
	LIBOS_C_COPIED_BYTES,	/* copied on the way out because a device could
				 * not reach them, or joined */
	LIBOS_N_COUNTS
};

/*
 * Life. LIBOS and settings are read from the environment. libos_close() closes
 * every queue, serves what is owed until deadline (ns), and frees everything but
 * the struct itself, which is the caller's to free().
 */
int libos_open(const struct demi_args *args, struct libos **os_out);
void libos_close(struct libos *os, uint64_t deadline);

/* Hands to the devices what pushes left behind. */
void libos_flush(struct libos *os);

/*
 * Passes over the devices until an operation has finished that was not when
 * ops.done_seq was `seen`: 0; the deadline (ns; 0: one pass) has passed:
 * ETIMEDOUT; or demi_wake(): EINTR. Blocks after wait.spin_us.
 */
int libos_wait(struct libos *os, uint64_t seen, uint64_t deadline);
/* Every 32nd wait that finds its token done makes a pass over the devices. */
void libos_poll_now(struct libos *os);

/* The area that an address lies in, or NULL. */
static inline struct libos_area *libos_area_find(const struct libos *os, const void *addr)
{
	uintptr_t unit = (uintptr_t)addr >> LIBOS_UNIT_SHIFT;
	uint32_t i = (uint32_t)unit & os->units_mask;

	while (unlikely(os->units[i].unit != unit)) {
		if (os->units[i].unit == LIBOS_NO_UNIT)
			return NULL;
		i = (i + 1) & os->units_mask;
	}
	return os->units[i].area;
}

/*
 * The live buffer that holds all of [addr, addr + len), or NULL. With len 0, the
 * one that addr names for demi_sgafree(). Only what the program has a hold on
 * (app) is there for it.
 */
struct libos_buf *libos_buf_find(struct libos *os, const void *addr, uint32_t len);

/* The same for a segment that is not empty, only in the area that was found
 * last, or in what was popped last: NULL may mean that it has to be looked for. */
static inline struct libos_buf *libos_buf_find_hot(const struct libos *os, const uint8_t *addr,
						   uint32_t len)
{
	const struct libos_area *area = os->hot_area;
	struct libos_buf *buf;
	uint64_t i = (uint64_t)(addr - area->base) >> area->shift;
	int64_t room;

	if (i >= area->n_carved) {
		buf = os->hot_buf;
		if (unlikely((uint64_t)(addr - buf->base) + len > buf->len))
			return NULL;
		return likely(buf->app) ? buf : NULL;
	}
	buf = &area->bufs[i];
	room = (int64_t)buf->len - (addr - buf->base);
	return likely(buf->app && room > (int64_t)(len - 1u)) ? buf : NULL;
}

/* An object of at least size bytes with one reference; NULL at the pool's limit,
 * for size 0 and over 256 MiB. buf->len is the object's whole size. */
static inline struct libos_buf *libos_buf_alloc(struct libos_pool *pool, size_t size)
{
	unsigned shift = libos_class_shift(size);
	struct libos_buf *buf;

	if (unlikely(!size || shift > LIBOS_CLASS_MAX_SHIFT))
		return NULL;
	buf = pool->free[shift];
	if (likely(buf))
		pool->free[shift] = buf->next;
	else
		buf = libos_buf_carve(pool, shift);
	if (unlikely(!buf))
		return NULL;
	buf->len = 1u << shift;
	buf->refs = 1;
	buf->app = 0;
	buf->flags = 0;
	buf->origin = 0;
	buf->holds = NULL;
	buf->area->n_used++;
	pool->os->count[LIBOS_C_BUFS_OUT]++;
	return buf;
}

/* An object of a pool that nobody holds any more. */
static inline void libos_buf_give_back(struct libos_buf *buf)
{
	struct libos_area *area = buf->area;
	struct libos_pool *pool = area->pool;

	area->n_used--;
	pool->os->count[LIBOS_C_BUFS_OUT]--;
	buf->next = pool->free[area->shift];
	pool->free[area->shift] = buf;
}

/* Operations begun that have not finished. */
static inline uint64_t libos_ops_pending(const struct libos *os)
{
	return os->n_pushes + os->n_pops + os->n_others - os->ops.done_seq;
}

/* A pending operation of q; NULL when out of memory. Its caller counts it. */
static inline struct libos_op *libos_op_new(struct libos *os, struct libos_queue *q,
					    uint8_t opcode)
{
	struct libos_op *op = os->ops.free;

	if (unlikely(!op)) {
		if (libos_ops_grow(os))
			return NULL;
		op = os->ops.free;
	}
	os->ops.free = op->next_free;
	op->token += UINT64_C(1) << 32;
	op->queue = q;
	op->qd = q->qd;
	op->opcode = opcode;
	op->state = LIBOS_OP_PENDING;
	op->n_holds = 0;
	op->taken = 0;
	op->link.next = NULL;
	return op;
}

static inline void libos_op_free(struct libos *os, struct libos_op *op)
{
	op->state = LIBOS_OP_FREE;
	op->next_free = os->ops.free;
	os->ops.free = op;
}

/* Field by field, in the widths in which they were just written: a wider load
 * would have to wait for the stores. */
static inline void libos_op_give_sga(const struct libos_op *op, demi_sgarray_t *to)
{
	const uint32_t rest = offsetof(demi_sgarray_t, sga_segs[1]);
	const uint32_t addr = offsetof(demi_sgarray_t, sga_addr);
	const struct libos_chain *list = op->value.pop.base;

	to->sga_buf = op->value.pop.base;
	to->sga_addr = op->value.pop.from;
	if (unlikely(op->n_chained)) {
		to->sga_numsegs = op->n_chained;
		__builtin_memcpy(to->sga_segs, list->segs, sizeof(list->segs));
		return;
	}
	to->sga_numsegs = 1;
	to->sga_segs[0].sgaseg_buf = op->value.pop.addr;
	to->sga_segs[0].sgaseg_len = op->len;
	__builtin_memset((char *)to + rest, 0, addr - rest);
}

/* Writes the result of an operation that succeeded, and frees its slot. */
static inline void libos_op_consume(struct libos *os, struct libos_op *op,
				    demi_qresult_t *qr_out)
{
	qr_out->qr_opcode = (enum demi_opcode)op->opcode;
	qr_out->qr_qd = op->qd;
	qr_out->qr_qt = op->token;
	qr_out->qr_ret = 0;
	if (op->opcode == DEMI_OPC_POP) {
		libos_op_give_sga(op, &qr_out->qr_value.sga);
	} else {
		__builtin_memset(&qr_out->qr_value, 0, sizeof(qr_out->qr_value));
		if (unlikely(op->opcode == DEMI_OPC_ACCEPT))
			qr_out->qr_value.ares = op->value.ares;
	}
	op->link.prev->next = op->link.next;
	op->link.next->prev = op->link.prev;
	libos_op_free(os, op);
}

/* Writes the result of one that failed: its value is zero. */
void libos_op_consume_failed(struct libos_op *op, demi_qresult_t *qr_out);

/* A wait found its token done: sends what is queued, polls nothing, mostly. */
static inline void libos_wait_done(struct libos *os)
{
	if (unlikely(--os->fast_waits < 0))
		libos_poll_now(os);
	else if (os->dirty)
		libos_flush(os);
}

/* A backend has much to look at in each pass now: the clock is read after this one. */
static inline void libos_pass_is_slow(struct libos *os)
{
	os->pass = UINT8_MAX;
}

/* Marks that a push left something for flush(), which comes at the latest with
 * the 32nd. */
static inline void libos_mark_dirty(struct libos *os)
{
	os->dirty = true;
	if (unlikely(++os->unflushed >= 32))
		libos_flush(os);
}

/* demi_waitfd(): the epoll descriptor, armed from now on between calls. */
int libos_foreign_open(struct libos *os, int *fd_out);
void libos_foreign_enter(struct libos *os);
void libos_foreign_leave(struct libos *os);

/* Adds a queue to the table, for backends' accepts too. */
int libos_queue_open(struct libos *os, struct libos_queue *q);
/* Takes it out, fails what waits ECANCELED, leaves the rest to its backend. */
void libos_queue_close(struct libos *os, struct libos_queue *q, struct libos_op *op);

#endif /* LIBOS_LIBOS_H */

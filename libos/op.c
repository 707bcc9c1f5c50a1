#include "config.h"

#include "libos/op.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "libos/buf_debug.h"
#include "libos/libos.h"

#define MAX_CHUNKS (1u << 16) /* 16 million operations */

/* Where the next chunk's generations begin: far from those of all others, so that
 * the token of an instance that has ended, or of another thread's, meets none. */
static _Atomic uint32_t next_generation = 1;

void libos_ops_init(struct libos_ops *ops)
{
	memset(ops, 0, sizeof(*ops));
	list_init(&ops->ready);
}

void libos_ops_fini(struct libos_ops *ops)
{
	for (uint32_t i = 0; i < ops->n_chunks; i++)
		free(ops->chunks[i]);
	free(ops->chunks);
	libos_ops_init(ops);
}

static int chunk_add(struct libos *os)
{
	struct libos_ops *ops = &os->ops;
	uint32_t n = ops->n_chunks;
	struct libos_op_chunk *chunk;
	struct libos_op **chunks;
	uint64_t first;

	if (n == MAX_CHUNKS)
		return ENOMEM;
	chunks = realloc(ops->chunks, (n + 1) * sizeof(*chunks));
	if (!chunks)
		return ENOMEM;
	ops->chunks = chunks;
	chunk = aligned_alloc(CACHE_LINE, (sizeof(*chunk) + CACHE_LINE - 1) &
						  ~(size_t)(CACHE_LINE - 1));
	if (!chunk)
		return ENOMEM;
	memset(chunk->ops, 0, sizeof(chunk->ops));
	chunks[n] = chunk->ops;
	ops->n_chunks = n + 1;
	first = (uint64_t)atomic_fetch_add(&next_generation, UINT32_C(0x9e3779b9)) << 32;
	for (uint32_t i = LIBOS_OP_CHUNK; i-- > 0;) {
		struct libos_op *op = &chunk->ops[i];

		op->os = os;
		op->token = first | (ops->n_slots + i + 1);
		op->next_free = ops->free;
		ops->free = op;
	}
	ops->n_slots += LIBOS_OP_CHUNK;
	return 0;
}

int libos_ops_grow(struct libos *os)
{
	int saved = errno, err = chunk_add(os);

	errno = saved;
	return err;
}

static inline void unlink_pending(struct libos_op *op)
{
	if (likely(!op->link.next))
		return;
	op->link.prev->next = op->link.next;
	op->link.next->prev = op->link.prev;
}

void libos_op_abandon(struct libos_op *op)
{
	unlink_pending(op);
	libos_op_free(op->os, op);
}

void libos_op_consume_failed(struct libos_op *op, demi_qresult_t *qr_out)
{
	memset(qr_out, 0, sizeof(*qr_out));
	qr_out->qr_opcode = DEMI_OPC_FAILED;
	qr_out->qr_qd = op->qd;
	qr_out->qr_qt = op->token;
	qr_out->qr_ret = op->err;
	list_del(&op->link);
	libos_op_free(op->os, op);
}

static inline void finish(struct libos_op *op, enum libos_op_state how)
{
	struct libos *os = op->os;

	op->state = (uint8_t)how;
	op->done_seq = ++os->ops.done_seq;
	unlink_pending(op);
	list_add_tail(&os->ops.ready, &op->link);
}

void libos_op_fail(struct libos_op *op, int err)
{
	op->err = err;
	op->os->count[LIBOS_C_FAILED]++;
	finish(op, LIBOS_OP_FAILED);
}

void libos_op_done(struct libos_op *op)
{
	finish(op, LIBOS_OP_DONE);
}

/* push.completes released: waits for every buffer that somebody still holds. */
static void hold_buffers(struct libos_op *op, const struct libos_io *io)
{
	unlink_pending(op);
	list_init(&op->link);
	for (uint32_t i = 0; i < io->n; i++) {
		struct libos_buf *buf = io->seg[i].buf;
		struct libos_op_hold *hold = &libos_op_push(op)->holds[i];

		if (buf->refs <= buf->app)
			continue;
		hold->op = op;
		hold->next = buf->holds;
		buf->holds = hold;
		op->n_holds++;
	}
	if (!op->n_holds)
		finish(op, LIBOS_OP_DONE);
}

void libos_op_pushed(struct libos_op *op, const struct libos_io *io)
{
	op->taken = 1;
	if (unlikely(op->os->push_released))
		hold_buffers(op, io);
	else
		finish(op, LIBOS_OP_DONE);
}

void libos_op_accepted(struct libos_op *op, struct libos_queue *q, const struct sockaddr_in *peer)
{
	op->value.ares.qd = q->qd;
	op->value.ares.addr = *peer;
	op->os->count[LIBOS_C_ACCEPTS]++;
	finish(op, LIBOS_OP_DONE);
}

void libos_op_popped(struct libos_op *op, struct libos_buf *buf, void *addr, uint32_t len,
		     const struct sockaddr_in *from)
{
	struct libos *os = op->os;

	if (unlikely(!buf)) {
		buf = os->eof;
		libos_buf_get(buf);
		addr = buf->base;
		len = 0;
	}
	buf->app++;
	op->len = len;
	op->value.pop.base = buf->base;
	op->value.pop.addr = addr;
	if (from)
		op->value.pop.from = *from;
	else
		memset(&op->value.pop.from, 0, sizeof(op->value.pop.from));
	os->count[LIBOS_C_POPS]++;
	os->count[LIBOS_C_POP_BYTES] += len;
	if (unlikely(os->debug_buffers))
		libos_buf_debug_popped(os, op->qd, buf, addr, len);
	finish(op, LIBOS_OP_DONE);
}

/* The chain is a buffer of its own that lists the others. */
bool libos_op_popped_segs(struct libos_op *op, const struct libos_io *io)
{
	struct libos *os = op->os;
	struct libos_chain *list;
	struct libos_buf *chain;

	chain = libos_buf_alloc(&os->pool, sizeof(*list));
	if (!chain)
		return false;
	chain->app = 1;
	chain->flags = LIBOS_BUF_CHAIN;
	list = (struct libos_chain *)(void *)chain->base;
	memset(list, 0, sizeof(*list));
	op->value.pop.base = list;
	memset(&op->value.pop.from, 0, sizeof(op->value.pop.from));
	op->n_chained = (uint8_t)io->n;
	for (uint32_t i = 0; i < io->n; i++) {
		io->seg[i].buf->app++;
		list->bufs[i] = io->seg[i].buf;
		list->segs[i].sgaseg_buf = io->seg[i].addr;
		list->segs[i].sgaseg_len = io->seg[i].len;
		if (unlikely(os->debug_buffers))
			libos_buf_debug_popped(os, op->qd, io->seg[i].buf, io->seg[i].addr,
					       io->seg[i].len);
	}
	if (unlikely(os->debug_buffers))
		libos_buf_debug_alloced(os, chain);
	os->count[LIBOS_C_POPS]++;
	os->count[LIBOS_C_POP_BYTES] += io->total;
	finish(op, LIBOS_OP_DONE);
	return true;
}

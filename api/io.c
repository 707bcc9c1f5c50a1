#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>

#include "api/address.h"
#include "api/call.h"
#include "api/state.h"
#include "libos/backend.h"
#include "libos/buf_debug.h"

/* The buffer behind a segment that is not empty, with a reference. */
static int seg_get(struct libos *os, const demi_sgaseg_t *from, struct libos_seg *seg)
{
	struct libos_buf *buf = libos_buf_find(os, from->sgaseg_buf, from->sgaseg_len);

	if (unlikely(!buf)) /* none, or freed already */
		return EINVAL;
	libos_buf_get(buf);
	seg->buf = buf;
	seg->addr = from->sgaseg_buf;
	seg->len = from->sgaseg_len;
	return 0;
}

/* Several, of which those that are empty are left out. EINVAL takes the
 * references back. */
static int segs_get(struct libos *os, const demi_sgarray_t *sga, struct libos_io *io)
{
	io->n = 0;
	io->total = 0;
	for (uint32_t i = 0; i < sga->sga_numsegs; i++) {
		if (!sga->sga_segs[i].sgaseg_len)
			continue;
		if (seg_get(os, &sga->sga_segs[i], &io->seg[io->n])) {
			libos_io_put(io);
			return EINVAL;
		}
		io->total += io->seg[io->n++].len;
	}
	return io->n ? 0 : EINVAL;
}

static void debug_pushed(struct libos *os, int qd, const struct libos_io *io)
{
	for (uint32_t i = 0; i < io->n; i++)
		libos_buf_debug_pushed(os, qd, io->seg[i].buf);
}

/* Anything but a stream, or a pipe, that is connected and not shut. */
static int push_check(const struct libos_queue *q, const struct sockaddr_in *to)
{
	int err = to && q->type == LIBOS_DGRAM ? 0 : state_check(q, CALL_PUSH);

	return !err && q->wr_shut ? EPIPE : err;
}

static int queue_push(struct libos *os, demi_qtoken_t *qt_out, struct libos_queue *q,
			     const struct libos_io *io, const struct sockaddr_in *to)
{
	struct libos_op *op = libos_op_new(os, q, DEMI_OPC_PUSH);
	demi_qtoken_t qt;
	int err;

	if (unlikely(!op))
		return ENOMEM;
	qt = op->token;
	os->n_pushes++;
	os->push_bytes += io->total;
	err = q->be->push(q, op, io, to);
	if (unlikely(err)) {
		os->n_pushes--;
		os->push_bytes -= io->total;
		libos_op_abandon(op);
		return err;
	}
	*qt_out = qt;
	return 0;
}

/* Every push that is not the usual one: it finds out what is wrong, if it is. */
static int push_general(struct libos *os, demi_qtoken_t *qt_out, int qd,
			const demi_sgarray_t *sga, const struct sockaddr_in *to)
{
	struct libos_queue *q = libos_queues_find(&os->queues, qd);
	struct libos_io io;
	int err;

	if (!qt_out || !sga || sga->sga_numsegs - 1u >= DEMI_SGARRAY_MAXSIZE)
		return EINVAL;
	if (!q)
		return EBADF;
	if (segs_get(os, sga, &io))
		return EINVAL;
	err = push_check(q, to);
	if (!err)
		err = queue_push(os, qt_out, q, &io, q->type == LIBOS_DGRAM ? to : NULL);
	if (err)
		libos_io_put(&io);
	else if (os->debug_buffers)
		debug_pushed(os, qd, &io);
	return err;
}

/* The end of those that take another way than the usual one: a tail call, so
 * that the usual one has nothing to save for them. */
static slow_path int push_other(struct libos *os, demi_qtoken_t *qt_out, int qd, const demi_sgarray_t *sga)
{
	int saved = errno, err = call_end(os, push_general(os, qt_out, qd, sga, NULL));

	errno = saved;
	return err;
}

/* Nothing was taken: it is as if it had not been called. */
static slow_path int push_failed(struct libos *os, struct libos_op *op, const struct libos_io *io,
				 int err)
{
	os->n_pushes--;
	os->push_bytes -= io->total;
	libos_io_put(io);
	libos_op_abandon(op);
	return call_end(os, err);
}

/* One segment of a buffer that has been found. */
static inline int push_buf(struct libos *os, demi_qtoken_t *qt_out, struct libos_queue *q,
			   const demi_sgarray_t *sga, struct libos_buf *buf,
			   const struct sockaddr_in *to)
{
	struct libos_op *op;
	struct libos_io io;
	int err;

	libos_buf_get(buf);
	op = libos_op_new(os, q, DEMI_OPC_PUSH);
	io.n = 1;
	io.seg[0].buf = buf;
	io.seg[0].addr = sga->sga_segs[0].sgaseg_buf;
	io.seg[0].len = io.total = sga->sga_segs[0].sgaseg_len;
	os->n_pushes++;
	os->push_bytes += io.total;
	err = q->be->push(q, op, &io, to);
	if (unlikely(err))
		return push_failed(os, op, &io, err);
	*qt_out = op->token;
	return call_end(os, 0);
}

/* The usual one: one segment, to a queue that is connected. */
static inline int push_one(struct libos *os, demi_qtoken_t *qt_out, int qd,
			   const demi_sgarray_t *sga)
{
	struct libos_queue *q = libos_queues_find(&os->queues, qd);
	struct libos_buf *buf;

	if (unlikely(!q || !sga))
		return push_other(os, qt_out, qd, sga);
	if (unlikely((q->state != LIBOS_CONNECTED && !q->has_peer) || q->wr_shut || !os->ops.free))
		return push_other(os, qt_out, qd, sga);
	if (unlikely(sga->sga_numsegs != 1 || !qt_out))
		return push_other(os, qt_out, qd, sga);
	buf = libos_buf_find_hot(os, sga->sga_segs[0].sgaseg_buf, sga->sga_segs[0].sgaseg_len);
	if (unlikely(!buf))
		return push_other(os, qt_out, qd, sga);
	return push_buf(os, qt_out, q, sga, buf, NULL);
}

static slow_path int push_attend(struct libos *os, demi_qtoken_t *qt_out, int qd, const demi_sgarray_t *sga)
{
	int saved = errno, err;

	os = call_attend(os);
	err = os ? call_leave(os, push_general(os, qt_out, qd, sga, NULL)) : ENOSYS;
	errno = saved;
	return err;
}

int demi_push(demi_qtoken_t *qt_out, int qd, const demi_sgarray_t *sga)
{
	struct libos *os = call_begin();

	if (call_wants_attention(os))
		return push_attend(os, qt_out, qd, sga);
	return push_one(os, qt_out, qd, sga);
}

/* A stream has its peer: the address is ignored, but for NULL. */
static int do_pushto(struct libos *os, demi_qtoken_t *qt_out, int qd,
		     const demi_sgarray_t *sga, const struct sockaddr *addr, socklen_t size)
{
	struct libos_queue *q = libos_queues_find(&os->queues, qd);
	struct sockaddr_in sin;
	int err;

	if (!addr)
		return EINVAL;
	if (q && q->type == LIBOS_STREAM)
		return push_general(os, qt_out, qd, sga, NULL);
	err = address_get(addr, size, &sin);
	if (err)
		return err;
	if (q && q->type == LIBOS_PIPE)
		return ENOTSUP;
	if (!sin.sin_port)
		return EINVAL;
	return push_general(os, qt_out, qd, sga, &sin);
}

static slow_path int pushto_other(struct libos *os, demi_qtoken_t *qt_out, int sockqd,
				  const demi_sgarray_t *sga, const struct sockaddr *dest_addr,
				  socklen_t size)
{
	int saved = errno, err;

	if (call_wants_attention(os))
		os = call_attend(os);
	err = os ? call_leave(os, do_pushto(os, qt_out, sockqd, sga, dest_addr, size)) : ENOSYS;
	errno = saved;
	return err;
}

/* The usual one: one segment, as a datagram. */
int demi_pushto(demi_qtoken_t *qt_out, int sockqd, const demi_sgarray_t *sga,
		const struct sockaddr *dest_addr, socklen_t size)
{
	struct libos *os = call_begin();
	struct libos_queue *q;
	struct libos_buf *buf;
	struct sockaddr_in to;

	if (call_wants_attention(os) || unlikely(!qt_out || !sga))
		return pushto_other(os, qt_out, sockqd, sga, dest_addr, size);
	q = libos_queues_find(&os->queues, sockqd);
	if (unlikely(!q || q->type != LIBOS_DGRAM || q->wr_shut || !os->ops.free) ||
	    unlikely(sga->sga_numsegs != 1) || unlikely(address_get(dest_addr, size, &to)) ||
	    unlikely(!to.sin_port))
		return pushto_other(os, qt_out, sockqd, sga, dest_addr, size);
	buf = libos_buf_find_hot(os, sga->sga_segs[0].sgaseg_buf, sga->sga_segs[0].sgaseg_len);
	if (unlikely(!buf))
		return pushto_other(os, qt_out, sockqd, sga, dest_addr, size);
	return push_buf(os, qt_out, q, sga, buf, &to);
}

static void pop_undo(struct libos *os, struct libos_op *op)
{
	os->n_pops--;
	libos_op_abandon(op);
}

static int pop_general(struct libos *os, demi_qtoken_t *qt_out, int qd)
{
	struct libos_queue *q = libos_queues_find(&os->queues, qd);
	struct libos_op *op;
	demi_qtoken_t qt;
	int err;

	if (!qt_out)
		return EINVAL;
	if (!q)
		return EBADF;
	err = state_check(q, CALL_POP);
	if (err)
		return err;
	op = libos_op_new(os, q, DEMI_OPC_POP);
	if (!op)
		return ENOMEM;
	qt = op->token;
	os->n_pops++;
	err = q->be->pop(q, op);
	if (err)
		pop_undo(os, op);
	else
		*qt_out = qt;
	return err;
}

static slow_path int pop_other(struct libos *os, demi_qtoken_t *qt_out, int qd)
{
	int saved = errno, err = call_end(os, pop_general(os, qt_out, qd));

	errno = saved;
	return err;
}

static slow_path int pop_attend(struct libos *os, demi_qtoken_t *qt_out, int qd)
{
	int saved = errno, err;

	os = call_attend(os);
	err = os ? call_leave(os, pop_general(os, qt_out, qd)) : ENOSYS;
	errno = saved;
	return err;
}

static slow_path int pop_failed(struct libos *os, struct libos_op *op, int err)
{
	pop_undo(os, op);
	return call_end(os, err);
}

int demi_pop(demi_qtoken_t *qt_out, int qd)
{
	struct libos *os = call_begin();
	struct libos_queue *q;
	struct libos_op *op;
	int err;

	if (call_wants_attention(os))
		return pop_attend(os, qt_out, qd);
	q = libos_queues_find(&os->queues, qd);
	if (unlikely(!qt_out) || unlikely(!q) || unlikely(!os->ops.free))
		return pop_other(os, qt_out, qd);
	if (q->state != LIBOS_CONNECTED && unlikely(q->state != LIBOS_BOUND || q->type != LIBOS_DGRAM))
		return pop_other(os, qt_out, qd);
	op = libos_op_new(os, q, DEMI_OPC_POP);
	os->n_pops++;
	err = q->be->pop(q, op);
	if (unlikely(err))
		return pop_failed(os, op, err);
	*qt_out = op->token;
	return call_end(os, 0);
}

static int do_cancel(struct libos *os, demi_qtoken_t qt)
{
	struct libos_op *op = libos_op_find(&os->ops, qt);
	struct libos_queue *q;

	if (!op)
		return EINVAL;
	q = op->queue;
	if (op->state != LIBOS_OP_PENDING || op->taken || !q || !q->be->cancel(q, op))
		return 0;
	if (q->connect == op)
		q->connect = NULL;
	libos_op_fail(op, ECANCELED);
	if (op->opcode == DEMI_OPC_PUSH)
		libos_io_put(&libos_op_push(op)->io);
	return 0;
}

int demi_cancel(demi_qtoken_t qt)
{
	struct libos *os = call_enter();
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	err = call_leave(os, do_cancel(os, qt));
	errno = saved;
	return err;
}

#include "config.h"

#include <demi/wait.h>
#include <errno.h>

#include "api/call.h"
#include "base/time.h"

/* EINVAL: out of range. {0, 0} is deadline 0: one pass. */
static int deadline_get(const struct timespec *ts, uint64_t *deadline_out)
{
	uint64_t ns;

	if (!ts) {
		*deadline_out = TIME_NEVER;
		return 0;
	}
	if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= (long)NSEC_PER_SEC)
		return EINVAL;
	if (!ts->tv_sec && !ts->tv_nsec) {
		*deadline_out = 0;
		return 0;
	}
	if (__builtin_mul_overflow((uint64_t)ts->tv_sec, NSEC_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, (uint64_t)ts->tv_nsec + time_now(), &ns))
		ns = TIME_NEVER;
	*deadline_out = ns;
	return 0;
}

static int timespec_check(const struct timespec *ts)
{
	return ts && (ts->tv_sec < 0 || (unsigned long)ts->tv_nsec >= NSEC_PER_SEC) ? EINVAL : 0;
}

/* Until op is done; nobody but a wait can consume it, so it stays valid. */
static int op_wait(struct libos *os, const struct libos_op *op, const struct timespec *ts)
{
	uint64_t deadline = 0;
	int err = deadline_get(ts, &deadline);

	while (!err && op->state == LIBOS_OP_PENDING)
		err = libos_wait(os, os->ops.done_seq, deadline);
	/* what finished in the very last pass counts */
	return err == ETIMEDOUT && op->state != LIBOS_OP_PENDING ? 0 : err;
}

/* Before it waits. What was pushed is on its way all the same. */
static inline bool woken(struct libos *os)
{
	if (likely(!libos_bell_take(os->bell, &os->attention)))
		return false;
	if (os->dirty)
		libos_flush(os);
	return true;
}

static void consume(struct libos_op *op, demi_qresult_t *qr_out)
{
	if (likely(op->state == LIBOS_OP_DONE))
		libos_op_consume(op->os, op, qr_out);
	else
		libos_op_consume_failed(op, qr_out);
}

static int wait_general(struct libos *os, demi_qresult_t *qr_out, demi_qtoken_t qt,
			const struct timespec *ts)
{
	struct libos_op *op = libos_op_find(&os->ops, qt);
	int err = 0;

	if (!qr_out || timespec_check(ts) || !op)
		return EINVAL;
	os->n_waits++;
	if (woken(os))
		return EINTR;
	if (op->state != LIBOS_OP_PENDING)
		libos_wait_done(os);
	else
		err = op_wait(os, op, ts);
	if (!err)
		consume(op, qr_out);
	return err;
}

/* The end of all others: a tail call, so that the fast one saves nothing for it. */
static slow_path int wait_other(struct libos *os, demi_qresult_t *qr_out, demi_qtoken_t qt,
		      const struct timespec *ts)
{
	return call_end(os, wait_general(os, qr_out, qt, ts));
}

/* It has succeeded already, but there is something to send, or it is time to look at
 * the devices. */
static __attribute__((__noinline__)) int wait_sends(struct libos *os, demi_qresult_t *qr_out,
						    struct libos_op *op)
{
	os->n_waits++;
	libos_wait_done(os);
	libos_op_consume(os, op, qr_out);
	return call_end(os, 0);
}

/* It has not finished, and may take for ever. */
static __attribute__((__noinline__)) int wait_pending(struct libos *os, demi_qresult_t *qr_out,
						      struct libos_op *op)
{
	int err;

	os->n_waits++;
	if (woken(os))
		return call_end(os, EINTR);
	do
		err = libos_wait(os, os->ops.done_seq, TIME_NEVER);
	while (!err && unlikely(op->state == LIBOS_OP_PENDING));
	if (likely(!err))
		consume(op, qr_out);
	return call_end(os, err);
}

/* The fast one: it has succeeded already, and nothing else is to be done. */
static inline int wait_one(struct libos *os, demi_qresult_t *qr_out, demi_qtoken_t qt,
			   const struct timespec *ts)
{
	struct libos_op *op = libos_op_find(&os->ops, qt);

	if (unlikely(!qr_out) || unlikely(!op) || unlikely(op->state != LIBOS_OP_DONE) ||
	    unlikely(ts && timespec_check(ts))) {
		if (qr_out && op && op->state == LIBOS_OP_PENDING && !ts)
			return wait_pending(os, qr_out, op);
		return wait_other(os, qr_out, qt, ts);
	}
	if (os->dirty || unlikely(--os->fast_waits < 0))
		return wait_sends(os, qr_out, op);
	os->n_waits++;
	libos_op_consume(os, op, qr_out);
	return call_end(os, 0);
}

static slow_path int wait_attend(struct libos *os, demi_qresult_t *qr_out, demi_qtoken_t qt,
		       const struct timespec *ts)
{
	os = call_attend(os);
	return os ? call_leave(os, wait_general(os, qr_out, qt, ts)) : ENOSYS;
}

int demi_wait(demi_qresult_t *qr_out, demi_qtoken_t qt, const struct timespec *timeout)
{
	struct libos *os = call_begin();

	if (call_wants_attention(os))
		return wait_attend(os, qr_out, qt, timeout);
	return wait_one(os, qr_out, qt, timeout);
}

/* The one that finished first, or NULL; EINVAL at the first bad token. */
static int first_done(struct libos *os, const demi_qtoken_t qts[], int n,
		      struct libos_op **op_out, int *at_out)
{
	struct libos_op *first = NULL;

	for (int i = 0; i < n; i++) {
		struct libos_op *op = libos_op_find(&os->ops, qts[i]);

		if (unlikely(!op))
			return EINVAL;
		if (op->state == LIBOS_OP_PENDING || (first && first->done_seq < op->done_seq))
			continue;
		if (first != op)
			*at_out = i;
		first = op;
	}
	*op_out = first;
	return 0;
}

static int do_wait_any(struct libos *os, demi_qresult_t *qr_out, int *off_out,
		       const demi_qtoken_t qts[], int n, const struct timespec *ts)
{
	uint64_t deadline = 0, seen;
	struct libos_op *op;
	int err, at = 0;

	if (unlikely(!qr_out || !off_out || !qts || n < 1 || timespec_check(ts)))
		return EINVAL;
	err = first_done(os, qts, n, &op, &at);
	if (unlikely(err))
		return err;
	os->n_waits++;
	if (unlikely(woken(os)))
		return EINTR;
	if (op)
		libos_wait_done(os);
	else
		deadline_get(ts, &deadline);
	while (!op) {
		seen = os->ops.done_seq;
		err = libos_wait(os, seen, deadline);
		if (err && os->ops.done_seq == seen)
			return err;
		first_done(os, qts, n, &op, &at);
		if (err && !op)
			return err;
	}
	consume(op, qr_out);
	*off_out = at;
	return 0;
}

int demi_wait_any(demi_qresult_t *qr_out, int *ready_offset, const demi_qtoken_t qts[],
		  int num_qts, const struct timespec *timeout)
{
	struct libos *os = call_enter();

	if (unlikely(!os))
		return ENOSYS;
	return call_leave(os, do_wait_any(os, qr_out, ready_offset, qts, num_qts, timeout));
}

static int do_wait_next_n(struct libos *os, demi_qresult_t *qr_out, int n, int *n_out,
			  const struct timespec *ts)
{
	struct list *ready = &os->ops.ready;
	uint64_t deadline = 0;
	int err, got = 0;

	if (unlikely(!qr_out || !n_out || n < 1 || timespec_check(ts)))
		return EINVAL;
	*n_out = 0;
	os->n_waits++;
	if (unlikely(woken(os)))
		return EINTR;
	if (!list_empty(ready)) {
		libos_wait_done(os);
	} else {
		deadline_get(ts, &deadline);
		err = libos_wait(os, os->ops.done_seq, deadline);
		if (err && list_empty(ready))
			return err;
	}
	while (got < n && !list_empty(ready))
		consume(list_first(ready, struct libos_op, link), &qr_out[got++]);
	*n_out = got;
	return 0;
}

int demi_wait_next_n(demi_qresult_t *qr_out, int num_qrs, int *qrs_obtained,
		     const struct timespec *timeout)
{
	struct libos *os = call_enter();

	if (unlikely(!os))
		return ENOSYS;
	return call_leave(os, do_wait_next_n(os, qr_out, num_qrs, qrs_obtained, timeout));
}

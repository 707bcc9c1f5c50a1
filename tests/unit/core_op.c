#include "config.h"

#include "libos/op.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core.h"

static struct libos_queue queue = { .qd = 777 };

static struct libos_op *op_new(uint8_t opcode)
{
	struct libos_op *op = libos_op_new(os, &queue, opcode);

	ck_assert_ptr_nonnull(op);
	os->n_others++; /* as whoever hands out the token does */
	ck_assert_ptr_eq(libos_op_find(&os->ops, op->token), op);
	return op;
}

START_TEST(test_life)
{
	struct libos_op *op = op_new(DEMI_OPC_CONNECT);
	demi_qtoken_t qt = op->token;
	demi_qresult_t qr;

	ck_assert_uint_eq(libos_ops_pending(os), 1);
	libos_op_done(op);
	ck_assert_uint_eq(libos_ops_pending(os), 0);
	ck_assert_ptr_eq(libos_op_find(&os->ops, qt), op);
	memset(&qr, 0x55, sizeof(qr));
	libos_op_consume(os, op, &qr);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_CONNECT);
	ck_assert_int_eq(qr.qr_qd, 777);
	ck_assert_uint_eq(qr.qr_qt, qt);
	ck_assert_int_eq(qr.qr_ret, 0);
	ck_assert_ptr_null(libos_op_find(&os->ops, qt));
}
END_TEST

START_TEST(test_failed)
{
	struct libos_op *op = op_new(DEMI_OPC_POP);
	demi_qresult_t qr;

	libos_op_fail(op, ECONNRESET);
	memset(&qr, 0x55, sizeof(qr));
	libos_op_consume_failed(op, &qr);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_FAILED);
	ck_assert_int_eq(qr.qr_ret, ECONNRESET);
	for (size_t i = 0; i < sizeof(qr.qr_value); i++)
		ck_assert_uint_eq(((uint8_t *)&qr.qr_value)[i], 0);
}
END_TEST

/* A call that failed at once: its token was never handed out. */
START_TEST(test_abandoned)
{
	struct libos_op *op = op_new(DEMI_OPC_PUSH);
	demi_qtoken_t qt = op->token;

	libos_op_abandon(op);
	os->n_others--;
	ck_assert_ptr_null(libos_op_find(&os->ops, qt));
	ck_assert_uint_eq(libos_ops_pending(os), 0);
	ck_assert(list_empty(&os->ops.ready));
}
END_TEST

/* Over many uses of one slot no token comes again, nor 0, nor ~0. */
START_TEST(test_generations)
{
	demi_qtoken_t first = 0, last = 0;
	demi_qresult_t qr;

	for (int i = 0; i < 100000; i++) {
		struct libos_op *op = op_new(DEMI_OPC_PUSH);

		ck_assert(op->token != 0 && op->token != UINT64_MAX);
		ck_assert_uint_ne(op->token, last);
		last = op->token;
		first = first ? first : last;
		libos_op_done(op);
		libos_op_consume(os, op, &qr);
		ck_assert_ptr_null(libos_op_find(&os->ops, first));
	}
	ck_assert_uint_le(os->ops.n_slots, LIBOS_OP_CHUNK);	/* the warm slot */
}
END_TEST

/* Ready in the order of finishing, with thousands pending. */
START_TEST(test_order)
{
	enum { N = 3000 };
	static struct libos_op *ops[N];

	for (int i = 0; i < N; i++)
		ops[i] = op_new(DEMI_OPC_POP);
	for (int i = 0; i < N; i++)
		for (int k = 0; k < i && i < 50; k++)
			ck_assert_uint_ne(ops[i]->token, ops[k]->token);
	for (int i = 0; i < N; i += 7)
		libos_op_fail(ops[(i * 11) % N], ECANCELED);
	for (int i = 0; i < N; i += 7) {
		struct libos_op *op = list_first(&os->ops.ready, struct libos_op, link);
		demi_qresult_t qr;

		ck_assert_ptr_eq(op, ops[(i * 11) % N]);
		libos_op_consume(os, op, &qr);
	}
	ck_assert(list_empty(&os->ops.ready));
}
END_TEST

START_TEST(test_never_issued)
{
	ck_assert_ptr_null(libos_op_find(&os->ops, 0));
	ck_assert_ptr_null(libos_op_find(&os->ops, UINT64_MAX));
	ck_assert_ptr_null(libos_op_find(&os->ops, 1));
	ck_assert_ptr_null(libos_op_find(&os->ops, UINT64_C(1) << 32));
	op_new(DEMI_OPC_POP);
	for (demi_qtoken_t qt = 0; qt < 2 * LIBOS_OP_CHUNK; qt++)
		ck_assert_ptr_null(libos_op_find(&os->ops, qt)); /* generation 0 */
}
END_TEST

/* The end of a stream needs no buffer of its own, and is freed as any. */
START_TEST(test_eof)
{
	struct libos_op *op = op_new(DEMI_OPC_POP);
	uint64_t out = os->count[LIBOS_C_BUFS_OUT];
	demi_qresult_t qr;

	libos_op_popped(op, NULL, NULL, 0, NULL);
	libos_op_consume(os, op, &qr);
	ck_assert_uint_eq(qr.qr_value.sga.sga_numsegs, 1);
	ck_assert_uint_eq(qr.qr_value.sga.sga_segs[0].sgaseg_len, 0);
	ck_assert_ptr_eq(qr.qr_value.sga.sga_buf, os->eof->base);
	ck_assert_uint_eq(os->count[LIBOS_C_BUFS_OUT], out);
	os->eof->app--;
	libos_buf_put(os->eof);
	ck_assert_uint_eq(os->eof->refs, 1);
}
END_TEST

/* push.completes released: done when the last other hold goes. */
START_TEST(test_released)
{
	struct libos_io io = { .n = 2 };
	struct libos_op *op;

	os->push_released = true;
	for (int i = 0; i < 2; i++) {
		io.seg[i].buf = libos_buf_alloc(&os->pool, 100);
		io.seg[i].buf->app = 1;
		libos_buf_get(io.seg[i].buf);	/* the backend's */
	}
	op = op_new(DEMI_OPC_PUSH);
	libos_op_pushed(op, &io);
	ck_assert_int_eq(op->state, LIBOS_OP_PENDING);
	libos_buf_put(io.seg[1].buf);
	ck_assert_int_eq(op->state, LIBOS_OP_PENDING);
	libos_buf_put(io.seg[0].buf);
	ck_assert_int_eq(op->state, LIBOS_OP_DONE);
}
END_TEST

Suite *op_suite(void)
{
	Suite *suite = suite_create("op");
	TCase *tc = tcase_create("op");

	tcase_add_checked_fixture(tc, core_setup, core_teardown);
	tcase_add_test(tc, test_life);
	tcase_add_test(tc, test_failed);
	tcase_add_test(tc, test_abandoned);
	tcase_add_test(tc, test_generations);
	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_never_issued);
	tcase_add_test(tc, test_eof);
	tcase_add_test(tc, test_released);
	suite_add_tcase(suite, tc);
	return suite;
}

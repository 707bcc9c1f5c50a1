/*
 * Closing: what is pending, what was pushed, resets, asynchronous closes, and
 * that nothing is left of thousands of queues.
 */
#include "tests/conform/conform.h"

#include <stdlib.h>
#include <string.h>

static struct pair p;

static void setup(void)
{
	conform_start();
	pair_open(&p);
}

static void teardown(void)
{
	conform_stop();
}

/* Everything that waits ends ECANCELED; pushes made before are delivered. */
START_TEST(test_all_pending)
{
	enum { N = 50, LEN = 100000 };
	demi_qtoken_t pushes[N], pops[5], accepts[5], ct, dt;
	struct sockaddr_in addr;
	int lqd = listener(&addr), qd = stream_socket(), udp = bound_socket(SOCK_DGRAM, NULL);

	for (int i = 0; i < 5; i++) {
		pops[i] = pop(p.client);
		expect_ok(demi_accept(&accepts[i], lqd));
	}
	expect_ok(demi_connect(&ct, qd, SA(&p.addr), sizeof(p.addr)));
	dt = pop(udp);
	for (unsigned i = 0; i < N; i++) {
		demi_sgarray_t sga = alloc_filled(LEN, 3, i * LEN);

		pushes[i] = push(p.client, &sga);
		expect_ok(demi_sgafree(&sga));
	}
	expect_ok(demi_close(qd));
	finish_failed(ct, "demi_connect", ECANCELED, "closed");
	expect_ok(demi_close(p.client));
	expect_ok(demi_close(lqd));
	expect_ok(demi_close(udp));
	finish_failed(dt, "demi_pop", ECANCELED, "closed");
	for (int i = 0; i < 5; i++) {
		finish_failed(pops[i], "demi_pop", ECANCELED, "closed");
		finish_failed(accepts[i], "demi_accept", ECANCELED, "closed");
	}
	recv_bytes(p.server, N * LEN, 3, 0);
	recv_eof(p.server);
	for (int i = 0; i < N; i++) {
		demi_qresult_t qr = finish_ok(pushes[i], DEMI_OPC_PUSH);

		ck_assert_int_eq(qr.qr_qd, p.client);
	}
	expect_ok(demi_close(p.server));
	expect_bufs_out(0);
}
END_TEST

/* From the close on, the descriptor is nobody's, in every call. */
static int closed_rows(int row)
{
	demi_sgarray_t sga = alloc_filled(10, 1, 0);
	struct sockaddr_in a = address(0);
	socklen_t alen = sizeof(a), len = sizeof(int);
	int qd = p.client, val = 1, n = 0;
	demi_qtoken_t qt;

	if (row >= 0)
		expect_ok(demi_close(qd));
	CASE(EBADF, "closed", demi_close(qd));
	CASE(EBADF, "closed", demi_async_close(&qt, qd));
	CASE(EBADF, "closed", demi_bind(qd, SA(&a), alen));
	CASE(EBADF, "closed", demi_listen(qd, 1));
	CASE(EBADF, "closed", demi_accept(&qt, qd));
	CASE(EBADF, "closed", demi_connect(&qt, qd, SA(&p.addr), alen));
	CASE(EBADF, "closed", demi_push(&qt, qd, &sga));
	CASE(EBADF, "closed", demi_pushto(&qt, qd, &sga, SA(&p.addr), alen));
	CASE(EBADF, "closed", demi_pop(&qt, qd));
	CASE(EBADF, "closed", demi_shutdown(qd, SHUT_WR));
	CASE(EBADF, "closed", demi_getpeername(qd, SA_OUT(&a), &alen));
	CASE(EBADF, "closed", demi_getsockname(qd, SA_OUT(&a), &alen));
	CASE(EBADF, "closed", demi_setsockopt(qd, SOL_SOCKET, SO_KEEPALIVE, &val, len));
	CASE(EBADF, "closed", demi_getsockopt(qd, SOL_SOCKET, SO_KEEPALIVE, &val, &len));
	return n;
}
#define N_CLOSED_ROWS 14

START_TEST(test_closed)
{
	int fresh;

	ck_assert_int_eq(closed_rows(_i), N_CLOSED_ROWS);
	fresh = stream_socket();
	ck_assert_int_ne(fresh, p.client);
}
END_TEST

/* SHUT_WR with pushes that wait: they go, and the end behind them; also when the last
 * of them is cancelled, and whatever their size. */
START_TEST(test_shutdown_pending)
{
	static const size_t sizes[] = { 1, 64, 100, 113, 5000 };
	size_t len = sizes[_i / 2], sent = 0;
	int bytes = 4096, room = 65536, waits = 0;
	demi_qtoken_t qts[8];
	bool cancelled = false;
	demi_qresult_t qr;

	expect_ok(demi_setsockopt(p.client, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)));
	expect_ok(demi_setsockopt(p.server, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)));
	while (waits < 3) {
		demi_sgarray_t sga = alloc_filled(len, 4, sent);

		qts[waits] = push(p.client, &sga);
		waits += demi_wait(&qr, qts[waits], &NO_TIME) == ETIMEDOUT;
		sent += len;
		expect_ok(demi_sgafree(&sga));
	}
	expect_ok(demi_shutdown(p.client, SHUT_WR));
	if (_i % 2) {
		expect_ok(demi_cancel(qts[2]));
		qr = finish(qts[2]);
		cancelled = qr.qr_opcode == DEMI_OPC_FAILED;
	}
	recv_bytes(p.server, sent - cancelled * len, 4, 0);
	recv_eof(p.server);
}
END_TEST

/* What is pushed to a peer that has closed may go nowhere; it takes nothing from what
 * the peer had said: every pop is the end of the stream. */
START_TEST(test_push_after_end)
{
	demi_sgarray_t sga = alloc_filled(100, 1, 0);
	demi_qtoken_t qt;

	expect_ok(demi_close(p.server));
	if (_i)
		recv_eof(p.client);
	for (int i = 0; i < 4; i++) {
		int rc = demi_push(&qt, p.client, &sga);

		ck_assert_int_eq(rc, 0);
		finish(qt);
		settle();
	}
	for (int i = 0; i < 3; i++)
		recv_eof(p.client);
	expect_ok(demi_sgafree(&sga));
}
END_TEST

/* The close of an async_close says that the peer has acknowledged everything. */
START_TEST(test_async)
{
	demi_qtoken_t qt, pt;

	send_bytes(p.client, 20000, 1, 0);
	pt = pop(p.client);
	expect_ok(demi_async_close(&qt, p.client));
	expect(EBADF, "closed", demi_pop(&pt, p.client));
	finish_failed(pt, "demi_pop", ECANCELED, "closed");
	recv_bytes(p.server, 20000, 1, 0);
	recv_eof(p.server);
	if (_i)
		expect_ok(demi_close(p.server));
	ck_assert_int_eq(finish_ok(qt, DEMI_OPC_CLOSE).qr_qd, p.client);
	if (!_i)
		expect_ok(demi_close(p.server));
	expect_bufs_out(0);
}
END_TEST

/* With more under way than the windows hold. */
START_TEST(test_async_full)
{
	enum { N = 20 };
	demi_qtoken_t qts[N], qt;

	for (unsigned i = 0; i < N; i++) {
		demi_sgarray_t sga = alloc_filled(MIB, 1, (size_t)i * MIB);

		qts[i] = push(p.client, &sga);
		expect_ok(demi_sgafree(&sga));
	}
	expect_ok(demi_async_close(&qt, p.client));
	still_pending(qt);
	recv_bytes(p.server, N * (size_t)MIB, 1, 0);
	recv_eof(p.server);
	for (int i = 0; i < N; i++)
		finish_ok(qts[i], DEMI_OPC_PUSH);
	finish_ok(qt, DEMI_OPC_CLOSE);
	expect_bufs_out(0);
}
END_TEST

/* What was never connected is closed at once: no pass over a device needed. */
START_TEST(test_async_not_connected)
{
	int qds[] = { stream_socket(), bound_socket(SOCK_STREAM, NULL), listener(NULL),
		      dgram_socket(), bound_socket(SOCK_DGRAM, NULL) };

	for (size_t i = 0; i < array_size(qds); i++) {
		demi_qresult_t qr;
		demi_qtoken_t qt;

		expect_ok(demi_async_close(&qt, qds[i]));
		expect_ok(demi_wait(&qr, qt, &NO_TIME));
		ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_CLOSE);
		ck_assert_int_eq(qr.qr_qd, qds[i]);
	}
}
END_TEST

/* The peer resets while it is awaited. */
START_TEST(test_async_reset)
{
	struct linger hard = { .l_onoff = 1 };
	demi_qtoken_t qt, pushed;
	demi_sgarray_t sga;
	demi_qresult_t qr;

	do {			/* more than the windows hold */
		sga = alloc_filled(MIB, 1, 0);
		pushed = push(p.client, &sga);
		expect_ok(demi_sgafree(&sga));
	} while (demi_wait(&(demi_qresult_t){ 0 }, pushed, &NO_TIME) == 0);
	expect_ok(demi_async_close(&qt, p.client));
	expect_ok(demi_setsockopt(p.server, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)));
	expect_ok(demi_close(p.server));
	qr = finish(pushed);
	ck_assert(qr.qr_opcode == DEMI_OPC_PUSH || qr.qr_ret == ECONNRESET);
	finish_failed(qt, "demi_async_close", ECONNRESET, "reset");
	expect_bufs_out(0);
}
END_TEST

/* SO_LINGER of 0: reset at once; what nobody had yet is gone, pushes fail. */
START_TEST(test_linger_zero)
{
	struct linger hard = { .l_onoff = 1 };
	demi_qtoken_t pt = pop(p.server), qt;

	expect_ok(demi_setsockopt(p.client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)));
	if (_i) {
		expect_ok(demi_async_close(&qt, p.client));
		finish_ok(qt, DEMI_OPC_CLOSE);
	} else {
		expect_ok(demi_close(p.client));
	}
	finish_failed(pt, "demi_pop", ECONNRESET, "reset");
	expect_ok(demi_close(p.server));
	expect_bufs_out(0);
}
END_TEST

/* Both ends close at the same time, with bytes on the way. */
START_TEST(test_both_close)
{
	for (int i = 0; i < 50; i++) {
		struct pair q;

		pair_open(&q);
		send_bytes(q.client, 100, 1, 0);
		send_bytes(q.server, 100, 1, 0);
		expect_ok(demi_close(i % 2 ? q.client : q.server));
		expect_ok(demi_close(i % 2 ? q.server : q.client));
		expect_ok(demi_close(q.listener));
	}
	expect_bufs_out(0);
}
END_TEST

/* ---- many */

/* Thousands of connections one after the other leave nothing behind. */
START_TEST(test_thousands)
{
	int rounds = conform_slow() ? 500 : 2000;
	unsigned fds = 0;

	for (int i = 0; i < rounds; i++) {
		int client = connect_to(&p.addr), server = accept_one(p.listener);

		send_bytes(client, 64, (unsigned)i, 0);
		recv_bytes(server, 64, (unsigned)i, 0);
		expect_ok(demi_close(client));
		recv_eof(server);
		expect_ok(demi_close(server));
		if (i == 100)
			fds = count_fds();
	}
	expect_bufs_out(0);
	settle();
	ck_assert_uint_le(count_fds(), fds + 8);
	ck_assert_uint_eq(counter("libos.queues"), 3);
}
END_TEST

/* Hundreds at the same time, each with its own bytes. */
START_TEST(test_hundreds_at_once)
{
	enum { N = 200 };
	int client[N], server[N];
	demi_qtoken_t pops[N];

	for (unsigned i = 0; i < N; i++) {
		client[i] = connect_to(&p.addr);
		server[i] = accept_one(p.listener);
		pops[i] = pop(server[i]);
	}
	for (unsigned i = 0; i < N; i++)
		send_bytes(client[(i * 77) % N], 300, (i * 77) % N, 0);
	for (unsigned i = 0; i < N; i++)
		finish_bytes(pops[i], 300, i, 0);
	for (unsigned i = 0; i < N; i++)
		expect_ok(demi_close(i % 2 ? client[i] : server[i]));
	for (unsigned i = 0; i < N; i++)
		recv_eof(i % 2 ? server[i] : client[i]);
	for (unsigned i = 0; i < N; i++)
		expect_ok(demi_close(i % 2 ? server[i] : client[i]));
	expect_bufs_out(0);
}
END_TEST

/* Sockets opened and closed in every state. */
START_TEST(test_open_close)
{
	unsigned fds;

	settle();
	fds = count_fds();
	for (int i = 0; i < 1000; i++) {
		demi_qtoken_t qt;
		int qd = i % 2 ? stream_socket() : bound_socket(SOCK_STREAM, NULL);

		if (i % 4 == 2)
			expect_ok(demi_listen(qd, 4));
		if (i % 4 == 3)
			expect_ok(demi_connect(&qt, qd, SA(&p.addr), sizeof(p.addr)));
		expect_ok(demi_close(qd));
		if (i % 4 == 3)
			finish_failed(qt, "demi_connect", ECANCELED, "closed");
		expect_ok(demi_close(i % 3 ? dgram_socket() : bound_socket(SOCK_DGRAM, NULL)));
	}
	settle();
	ck_assert_uint_le(count_fds(), fds + 8);
}
END_TEST

/* ---- the end of an instance closes all */

START_TEST(test_fini_with_all_open)
{
	unsigned fds = count_fds_after_one();
	static demi_qtoken_t qts[1000];

	for (int round = 0; round < 20; round++) {
		struct pair q;
		demi_sgarray_t sga;

		conform_start();
		pair_open(&q);
		for (int i = 0; i < 1000; i++)
			qts[i] = pop(q.server);
		expect_ok(demi_accept(&qts[0], q.listener));
		sga = alloc_filled(1000, 1, 0);
		push(q.server, &sga);
		bound_socket(SOCK_DGRAM, NULL);
		if (round % 2)
			settle();
		conform_stop();
		expect(ENOSYS, "no instance", demi_close(q.client));
	}
	ck_assert_uint_le(count_fds(), fds + fds_forgotten(20));
}
END_TEST

static uint64_t told_queues, told_pushes, told_out, told_connects;
static unsigned told;

static void tell(const char *name, uint32_t len, uint64_t value)
{
	told++;
	if (len == 12 && !memcmp(name, "libos.queues", 12))
		told_queues = value;
	if (len == 12 && !memcmp(name, "libos.pushes", 12))
		told_pushes = value;
	if (len == 14 && !memcmp(name, "libos.bufs_out", 14))
		told_out = value;
	if (len == 14 && !memcmp(name, "libos.connects", 14))
		told_connects = value;
}

/* The callback of demi_init is told every counter at the end. */
START_TEST(test_callback)
{
	struct demi_args args = { 0, NULL, tell };
	struct pair q;

	told = 0;
	told_queues = told_pushes = told_out = 99;
	expect_ok(demi_init(&args));
	pair_open(&q);
	for (int i = 0; i < 7; i++)
		send_bytes(q.client, 10, 1, (size_t)i * 10);
	recv_bytes(q.server, 70, 1, 0);
	ck_assert_uint_eq(told, 0);
	expect_ok(demi_fini());
	ck_assert_uint_gt(told, 5);
	ck_assert_uint_eq(told_queues, 0);
	ck_assert_uint_eq(told_pushes, 7);
	ck_assert_uint_eq(told_out, 0);
	ck_assert_uint_eq(told_connects, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("close");
	TCase *tc = conform_tcase(suite, "close", false);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_all_pending);
	tcase_add_loop_test(tc, test_closed, 0, N_CLOSED_ROWS);
	tcase_add_loop_test(tc, test_shutdown_pending, 0, 10);
	tcase_add_loop_test(tc, test_push_after_end, 0, 2);
	tcase_add_loop_test(tc, test_async, 0, 2);
	tcase_add_test(tc, test_async_full);
	tcase_add_test(tc, test_async_not_connected);
	tcase_add_test(tc, test_async_reset);
	tcase_add_loop_test(tc, test_linger_zero, 0, 2);
	tcase_add_test(tc, test_both_close);
	tcase_add_test(tc, test_thousands);
	tcase_add_test(tc, test_hundreds_at_once);
	tcase_add_test(tc, test_open_close);

	tc = conform_tcase(suite, "instance", false);
	tcase_add_test(tc, test_fini_with_all_open);
	tcase_add_test(tc, test_callback);
	return conform_main(suite);
}

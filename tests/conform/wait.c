/*
 * Tokens and the three waits: arguments, stale tokens, time-outs, the order of
 * finishing, many pending at once, wake-ups and the descriptor for a foreign
 * loop.
 */
#include "tests/conform/conform.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MANY 10000

static struct {
	struct pair p;
	struct pair ended;	/* its client has sent the end of the stream */
	demi_qtoken_t pending;	/* a pop of p.client with nothing to pop */
	demi_qtoken_t done;	/* a pop of ended.server, finished */
	demi_qtoken_t consumed;
	demi_qresult_t qr;
	int at;
	uint64_t handle;
} f;

static void setup(void)
{
	conform_start();
	pair_open(&f.p);
	pair_open(&f.ended);
	f.pending = pop(f.p.client);
	send_bytes(f.p.client, 10, 1, 0);
	f.consumed = pop(f.p.server);
	finish_bytes(f.consumed, 10, 1, 0);
	expect_ok(demi_shutdown(f.ended.client, SHUT_WR));
	f.done = pop(f.ended.server);
	settle();
	memset(&f.qr, 0x5a, sizeof(f.qr));
	f.at = -7;
}

static void teardown(void)
{
	conform_stop();
}

#define NEVER 0x1234567890u

static int argument_rows(int row)
{
	static const struct timespec back = { -1, 0 }, low = { 0, -1 }, high = { 0, 1000000000 };
	const demi_qtoken_t t[1] = { f.done };
	int n = 0;

	CASE(EINVAL, "qr_out NULL", demi_wait(NULL, f.done, NULL));
	CASE(EINVAL, "timeout out of range", demi_wait(&f.qr, f.done, &back));
	CASE(EINVAL, "timeout out of range", demi_wait(&f.qr, f.done, &low));
	CASE(EINVAL, "timeout out of range", demi_wait(&f.qr, f.done, &high));
	CASE(EINVAL, "token", demi_wait(&f.qr, 0, NULL));
	CASE(EINVAL, "token", demi_wait(&f.qr, UINT64_MAX, NULL));
	CASE(EINVAL, "token", demi_wait(&f.qr, NEVER, NULL));
	CASE(EINVAL, "token", demi_wait(&f.qr, f.consumed, NULL));
	CASE(EINVAL, "token", demi_cancel(f.consumed));

	CASE(EINVAL, "qr_out NULL", demi_wait_any(NULL, &f.at, t, 1, NULL));
	CASE(EINVAL, "offset NULL", demi_wait_any(&f.qr, NULL, t, 1, NULL));
	CASE(EINVAL, "qts NULL", demi_wait_any(&f.qr, &f.at, NULL, 1, NULL));
	CASE(EINVAL, "num_qts", demi_wait_any(&f.qr, &f.at, t, 0, NULL));
	CASE(EINVAL, "num_qts", demi_wait_any(&f.qr, &f.at, t, -1, NULL));
	CASE(EINVAL, "timeout out of range", demi_wait_any(&f.qr, &f.at, t, 1, &back));
	CASE(EINVAL, "timeout out of range", demi_wait_any(&f.qr, &f.at, t, 1, &low));
	CASE(EINVAL, "timeout out of range", demi_wait_any(&f.qr, &f.at, t, 1, &high));

	CASE(EINVAL, "qr_out NULL", demi_wait_next_n(NULL, 1, &f.at, NULL));
	CASE(EINVAL, "qrs_obtained NULL", demi_wait_next_n(&f.qr, 1, NULL, NULL));
	CASE(EINVAL, "num_qrs", demi_wait_next_n(&f.qr, 0, &f.at, NULL));
	CASE(EINVAL, "num_qrs", demi_wait_next_n(&f.qr, -1, &f.at, NULL));
	CASE(EINVAL, "timeout out of range", demi_wait_next_n(&f.qr, 1, &f.at, &back));
	CASE(EINVAL, "timeout out of range", demi_wait_next_n(&f.qr, 1, &f.at, &low));
	CASE(EINVAL, "timeout out of range", demi_wait_next_n(&f.qr, 1, &f.at, &high));
	return n;
}

/* Nothing is written and nothing consumed by a wait that was wrong. */
START_TEST(test_arguments)
{
	demi_qresult_t untouched;

	argument_rows(_i);
	memset(&untouched, 0x5a, sizeof(untouched));
	ck_assert_mem_eq(&f.qr, &untouched, sizeof(untouched));
	ck_assert_int_eq(f.at, -7);
	finish_ok(f.done, DEMI_OPC_POP);
	still_pending(f.pending);
}
END_TEST

/* A bad token at any place of an array of good ones. */
START_TEST(test_bad_token_anywhere)
{
	const demi_qtoken_t bad[] = { 0, UINT64_MAX, NEVER, f.consumed };

	for (int place = 0; place < 3; place++) {
		for (size_t i = 0; i < array_size(bad); i++) {
			demi_qtoken_t t[3] = { f.done, f.pending, f.done };

			t[place] = bad[i];
			expect(EINVAL, "token", demi_wait_any(&f.qr, &f.at, t, 3, &NO_TIME));
			ck_assert_int_eq(f.at, -7);
		}
	}
	finish_ok(f.done, DEMI_OPC_POP);
	still_pending(f.pending);
}
END_TEST

/* Nor does it mean anything to the next instance. */
START_TEST(test_token_of_ended)
{
	demi_qtoken_t old[3] = { f.pending, f.done, f.consumed };

	conform_stop();
	setup();
	for (int i = 0; i < 3; i++) {
		expect(EINVAL, "token", demi_wait(&f.qr, old[i], &NO_TIME));
		expect(EINVAL, "token", demi_cancel(old[i]));
	}
	finish_ok(f.done, DEMI_OPC_POP);
	still_pending(f.pending);
}
END_TEST

/* A token is gone once any of the waits has given its result. */
START_TEST(test_consumed_once)
{
	demi_qtoken_t t[2] = { f.pending, f.done };

	if (_i == 0)
		finish(f.done);
	if (_i == 1)
		expect_ok(demi_wait_any(&f.qr, &f.at, t, 2, &LONG_TIME));
	if (_i == 2)
		expect_ok(demi_wait_next_n(&f.qr, 1, &f.at, &LONG_TIME));
	ck_assert(_i == 0 || f.qr.qr_qt == f.done);
	ck_assert(_i != 1 || f.at == 1);
	expect(EINVAL, "token", demi_wait(&f.qr, f.done, &NO_TIME));
	expect(EINVAL, "token", demi_wait_any(&f.qr, &f.at, t, 2, &NO_TIME));
	expect(EINVAL, "token", demi_cancel(f.done));
}
END_TEST

static uint64_t clock_read(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/* A time-out leaves operation and token as they were, and is never early. */
START_TEST(test_timeout)
{
	static const long ns[] = { 0, 1, 1000, 300000, 5000000 };
	demi_qtoken_t t[1] = { f.pending };

	finish(f.done);
	for (size_t i = 0; i < array_size(ns); i++) {
		struct timespec ts = { 0, ns[i] };
		uint64_t start = now_ns();

		expect(ETIMEDOUT, "not finished", demi_wait(&f.qr, f.pending, &ts));
		ck_assert_uint_ge(now_ns() - start, (uint64_t)ns[i]);
		start = now_ns();
		expect(ETIMEDOUT, "not finished", demi_wait_any(&f.qr, &f.at, t, 1, &ts));
		ck_assert_int_eq(f.at, -7);
		f.at = 7;
		expect(ETIMEDOUT, "not finished", demi_wait_next_n(&f.qr, 1, &f.at, &ts));
		ck_assert_uint_ge(now_ns() - start, 2 * (uint64_t)ns[i]);
		ck_assert_int_eq(f.at, 0);
		f.at = -7;
	}
	send_bytes(f.p.server, 20, 2, 0);
	finish_bytes(f.pending, 20, 2, 0);
}
END_TEST

/* {0, 0} polls: a loop of nothing else ends. */
START_TEST(test_poll_only)
{
	send_bytes(f.p.server, 20, 2, 0);
	for (;;) {
		int rc = demi_wait(&f.qr, f.pending, &NO_TIME);

		if (!rc)
			break;
		ck_assert_int_eq(rc, ETIMEDOUT);
	}
	ck_assert_uint_eq(f.qr.qr_value.sga.sga_segs[0].sgaseg_len, 20);
}
END_TEST

/* One wait of {0, 0} sees what is there already, however busy another queue is. */
START_TEST(test_poll_sees)
{
	struct pair other;

	finish(f.done);
	pair_open(&other);
	for (unsigned i = 0; i < 200; i++) {
		demi_qtoken_t qt = pop(other.server);

		for (unsigned k = 0; k < 3 + i % 8; k++) {
			send_bytes(f.p.server, 10, k, 0);
			finish_bytes(f.pending, 10, k, 0);
			f.pending = pop(f.p.client);
		}
		expect(ETIMEDOUT, "not finished", demi_wait(&f.qr, qt, &NO_TIME));
		send_bytes(other.client, 20, i, 0);
		expect_ok(demi_wait(&f.qr, qt, &NO_TIME));
		ck_assert_int_eq(f.qr.qr_opcode, DEMI_OPC_POP);
		expect_ok(demi_sgafree(&f.qr.qr_value.sga));
	}
	pair_close(&other);
}
END_TEST

/* Of several finished tokens the one that finished first, wherever it stands. */
START_TEST(test_first_finished)
{
	static const int order[4] = { 2, 0, 3, 1 };
	struct sockaddr_in addr[4];
	demi_qtoken_t t[4], qt;
	demi_sgarray_t sga = alloc_filled(8, 4, 0);
	int qd[4];

	for (int i = 0; i < 4; i++) {
		qd[i] = bound_socket(SOCK_DGRAM, &addr[i]);
		t[i] = pop(qd[i]);
	}
	for (int i = 0; i < 4; i++) {
		int to = order[i];

		expect_ok(demi_pushto(&qt, qd[0], &sga, SA(&addr[to]), sizeof(addr[to])));
		finish_ok(qt, DEMI_OPC_PUSH);
		settle();
	}
	for (int i = 0; i < 4; i++) {
		demi_qtoken_t left[4];
		int place[4], n = 0;

		for (int k = 0; k < 4; k++) {
			if (t[k]) {
				place[n] = k;
				left[n++] = t[k];
			}
		}
		expect_ok(demi_wait_any(&f.qr, &f.at, left, n, &LONG_TIME));
		ck_assert_int_eq(place[f.at], order[i]);
		ck_assert_int_eq(f.qr.qr_qd, qd[order[i]]);
		t[order[i]] = 0;
	}
	expect_ok(demi_sgafree(&sga));
}
END_TEST

/* wait_next_n: in the order of finishing, at most n, the rest next time. */
START_TEST(test_next_n)
{
	demi_sgarray_t sga = alloc_filled(8, 4, 0);
	demi_qtoken_t t[7];
	demi_qresult_t qrs[8];
	int got, done = 0;

	finish(f.done);
	for (int i = 0; i < 7; i++)
		t[i] = push(f.p.client, &sga);
	expect_ok(demi_cancel(f.pending));
	while (done < 7) {
		got = -1;
		expect_ok(demi_wait_next_n(qrs, 3, &got, &LONG_TIME));
		ck_assert_int_ge(got, 1);
		ck_assert_int_le(got, 3);
		for (int i = 0; i < got && done < 7; i++)
			ck_assert_uint_eq(qrs[i].qr_qt, t[done++]);
	}
	if (qrs[got - 1].qr_qt != f.pending)
		finish_failed(f.pending, "demi_pop", ECANCELED, "cancelled");
	for (int i = 0; i < 7; i++)
		expect(EINVAL, "token", demi_wait(&f.qr, t[i], &NO_TIME));
	expect(ETIMEDOUT, "not finished", demi_wait_next_n(qrs, 8, &got, &NO_TIME));
	ck_assert_int_eq(got, 0);
	expect_ok(demi_sgafree(&sga));
}
END_TEST

/* It hands out what is there and does not wait for n of them. */
START_TEST(test_next_n_at_least_one)
{
	demi_qresult_t qrs[8];
	int got = 0;

	expect_ok(demi_wait_next_n(qrs, 8, &got, NULL));
	ck_assert_int_eq(got, 1);
	ck_assert_uint_eq(qrs[0].qr_qt, f.done);
	expect_ok(demi_sgafree(&qrs[0].qr_value.sga));
	still_pending(f.pending);
}
END_TEST

static int by_value(const void *a, const void *b)
{
	const demi_qtoken_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void assert_unique(const demi_qtoken_t *qts, size_t n)
{
	demi_qtoken_t *sorted = malloc(n * sizeof(*qts));

	memcpy(sorted, qts, n * sizeof(*qts));
	qsort(sorted, n, sizeof(*qts), by_value);
	for (size_t i = 1; i < n; i++)
		ck_assert_uint_ne(sorted[i - 1], sorted[i]);
	free(sorted);
}

/*
 * Ten thousand pops pending on one stream: served in their order; the rest stays
 * pending, is cancelled by the close, and each is handed out once.
 */
START_TEST(test_many_pending)
{
	static demi_qtoken_t qts[MANY];
	static demi_qresult_t qrs[64];
	int seen = 2, got;

	finish(f.done);
	qts[0] = f.pending;
	for (int i = 1; i < MANY; i++)
		qts[i] = pop(f.p.client);
	assert_unique(qts, MANY);
	send_bytes(f.p.server, 5, 1, 0);
	finish_bytes(qts[0], 5, 1, 0);
	send_bytes(f.p.server, 6, 2, 0);
	expect_ok(demi_wait_any(&f.qr, &f.at, qts + 1, MANY - 1, &LONG_TIME));
	ck_assert_int_eq(f.at, 0);
	expect_ok(demi_sgafree(&f.qr.qr_value.sga));
	expect(ETIMEDOUT, "not finished",
	       demi_wait_any(&f.qr, &f.at, qts + 2, MANY - 2, &NO_TIME));
	expect_ok(demi_close(f.p.client));
	while (seen < MANY) {
		expect_ok(demi_wait_next_n(qrs, 64, &got, &LONG_TIME));
		for (int i = 0; i < got; i++, seen++) {
			ck_assert_uint_eq(qrs[i].qr_qt, qts[seen]);
			ck_assert_int_eq(qrs[i].qr_ret, ECANCELED);
		}
	}
	expect(ETIMEDOUT, "not finished", demi_wait_next_n(qrs, 64, &got, &NO_TIME));
}
END_TEST

/* The same over many queues, datagrams to some of them, waited for one by one. */
START_TEST(test_many_queues)
{
	enum { N = 200 };
	struct sockaddr_in addr[N];
	demi_sgarray_t sga = alloc_filled(8, 4, 0);
	demi_qtoken_t qts[N], qt;
	int qd[N];

	for (int i = 0; i < N; i++) {
		qd[i] = bound_socket(SOCK_DGRAM, &addr[i]);
		qts[i] = pop(qd[i]);
	}
	for (int i = N - 1; i >= 0; i -= 3) {
		expect_ok(demi_pushto(&qt, qd[0], &sga, SA(&addr[i]), sizeof(addr[i])));
		finish_ok(qt, DEMI_OPC_PUSH);
		expect_ok(demi_wait_any(&f.qr, &f.at, qts, N, &LONG_TIME));
		ck_assert_int_eq(f.at, i);
		expect_ok(demi_sgafree(&f.qr.qr_value.sga));
		qts[i] = pop(qd[i]);
	}
	expect_ok(demi_sgafree(&sga));
}
END_TEST

/* Pops len bytes and frees them. */
static void drop(int qd, size_t len)
{
	while (len) {
		demi_sgarray_t sga = popped(qd);

		ck_assert_uint_le(sga.sga_segs[0].sgaseg_len, len);
		len -= sga.sga_segs[0].sgaseg_len;
		expect_ok(demi_sgafree(&sga));
	}
}

/* A slot that is used again gives another token. */
START_TEST(test_tokens_differ)
{
	static demi_qtoken_t qts[MANY];
	demi_sgarray_t sga = alloc_filled(1, 4, 0);

	for (int i = 0; i < MANY; i++) {
		qts[i] = push(f.p.client, &sga);
		finish_ok(qts[i], DEMI_OPC_PUSH);
		drop(f.p.server, 1);
	}
	assert_unique(qts, MANY);
	expect(EINVAL, "token", demi_wait(&f.qr, qts[0], &NO_TIME));
	expect(EINVAL, "token", demi_wait(&f.qr, qts[MANY - 1], &NO_TIME));
	expect_ok(demi_sgafree(&sga));
}
END_TEST

/* ---- no timeout, wake-ups ---- */

static void late_sender(int ctl)
{
	struct sockaddr_in addr;
	int qd;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	hear_done(ctl);
	usleep(20000);
	send_bytes(qd, 100, 9, 0);
	recv_eof(qd);
	conform_stop();
}

/* A NULL timeout waits until it happens, blocked in the kernel or not. */
START_TEST(test_no_timeout)
{
	struct sockaddr_in addr;
	struct peer peer;
	int lqd, qd, got;

	peer_start(&peer, (enum where)(_i % N_WHERE), late_sender);
	conform_start();
	lqd = listener(&addr);
	say(peer.ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	f.pending = pop(qd);
	say_done(peer.ctl);
	if (_i / N_WHERE == 0)
		expect_ok(demi_wait(&f.qr, f.pending, NULL));
	else if (_i / N_WHERE == 1)
		expect_ok(demi_wait_any(&f.qr, &f.at, &f.pending, 1, NULL));
	else
		expect_ok(demi_wait_next_n(&f.qr, 1, &got, NULL));
	ck_assert_int_eq(f.qr.qr_opcode, DEMI_OPC_POP);
	expect_ok(demi_sgafree(&f.qr.qr_value.sga));
	conform_stop();
	peer_join(&peer);
}
END_TEST

static int waits(int which, demi_qtoken_t qt)
{
	if (which == 0)
		return demi_wait(&f.qr, qt, NULL);
	if (which == 1)
		return demi_wait_any(&f.qr, &f.at, &qt, 1, NULL);
	return demi_wait_next_n(&f.qr, 1, &f.at, NULL);
}

static void expect_woken(int which, const char *tag)
{
	if (which == 0)
		expect(EINTR, tag, demi_wait(&f.qr, f.pending, NULL));
	else if (which == 1)
		expect(EINTR, tag, demi_wait_any(&f.qr, &f.at, &f.pending, 1, NULL));
	else
		expect(EINTR, tag, demi_wait_next_n(&f.qr, 1, &f.at, NULL));
	ck_assert(which != 2 || f.at == 0);
	still_pending(f.pending);
}

/* A wake before the wait is not lost, and several before it are one. */
START_TEST(test_wake_before)
{
	finish(f.done);
	expect_ok(demi_wakehandle(&f.handle));
	for (int i = 0; i < 3; i++)
		expect_ok(demi_wake(f.handle));
	expect_woken(_i, "woken");
	send_bytes(f.p.server, 5, 1, 0);
	expect_ok(waits(_i, f.pending));
}
END_TEST

static void *waker(void *arg)
{
	usleep(5000 * (useconds_t)*(int *)arg);
	expect_ok(demi_wake(f.handle));
	return NULL;
}

/* From another thread, into a wait that spins or sleeps. */
START_TEST(test_wake_thread)
{
	pthread_t thread;
	int delay = _i / 3;

	finish(f.done);
	expect_ok(demi_wakehandle(&f.handle));
	pthread_create(&thread, NULL, waker, &delay);
	expect_woken(_i % 3, "woken");
	pthread_join(thread, NULL);
}
END_TEST

static volatile sig_atomic_t wake_result;

static void on_signal(int sig)
{
	(void)sig;
	wake_result = demi_wake(f.handle);
}

/* From a signal handler that interrupts this very wait. */
START_TEST(test_wake_signal)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct itimerval timer = { .it_value = { 0, 10000 } };

	finish(f.done);
	wake_result = -1;
	expect_ok(demi_wakehandle(&f.handle));
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	expect_woken(_i, "woken");
	ck_assert_int_eq(wake_result, 0);
}
END_TEST

static void nothing_on_signal(int sig)
{
	(void)sig;
	wake_result = 1;
}

/* A signal whose handler does not wake does not end a wait. */
START_TEST(test_signal_alone)
{
	struct sigaction sa = { .sa_handler = nothing_on_signal };
	struct itimerval timer = { .it_value = { 0, 2000 } };
	const struct timespec ts = { 0, 30000000 };

	wake_result = 0;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	expect(ETIMEDOUT, "not finished", demi_wait(&f.qr, f.pending, &ts));
	ck_assert_int_eq(wake_result, 1);
}
END_TEST

/* A wait that has been woken before it begins sends all the same what was pushed. */
static void woken_sender(int ctl)
{
	struct sockaddr_in addr;
	demi_sgarray_t sga;
	uint64_t handle;
	int qd;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	expect_ok(demi_wakehandle(&handle));
	for (int i = 0; i < 3; i++) {
		sga = alloc_filled(200, 9, (size_t)i * 200);
		f.pending = push(qd, &sga);
		expect_ok(demi_sgafree(&sga));
		expect_ok(demi_wake(handle));
		ck_assert_int_eq(waits(i, f.pending), EINTR);
		hear_done(ctl);		/* computes until the peer has it */
	}
	conform_stop();
}

START_TEST(test_wake_sends)
{
	struct sockaddr_in addr;
	struct peer peer;
	int lqd, qd;

	peer_start(&peer, IN_PROCESS, woken_sender);
	conform_start();
	lqd = listener(&addr);
	say(peer.ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	for (int i = 0; i < 3; i++) {
		recv_bytes(qd, 200, 9, (size_t)i * 200);
		say_done(peer.ctl);
	}
	recv_eof(qd);
	peer_join(&peer);
	conform_stop();
}
END_TEST

/* A handle of an instance that has ended wakes nobody, also not the next one. */
START_TEST(test_wake_stale)
{
	uint64_t second;

	expect_ok(demi_wakehandle(&f.handle));
	conform_stop();
	expect(EINVAL, "handle", demi_wake(f.handle));
	setup();
	expect(EINVAL, "handle", demi_wake(f.handle));
	still_pending(f.pending);
	expect_ok(demi_wakehandle(&second));
	ck_assert_uint_ne(second, f.handle);
}
END_TEST

/* A wake comes before what has finished, which the wait after it has. */
START_TEST(test_wake_and_done)
{
	int at;

	settle();
	expect_ok(demi_wakehandle(&f.handle));
	expect_ok(demi_wake(f.handle));
	if (_i == 0)
		expect(EINTR, "woken", demi_wait(&f.qr, f.done, NULL));
	else if (_i == 1)
		expect(EINTR, "woken", demi_wait_any(&f.qr, &at, &f.done, 1, NULL));
	else
		expect(EINTR, "woken", demi_wait_next_n(&f.qr, 1, &at, NULL));
	expect_ok(demi_wait(&f.qr, f.done, NULL));
	ck_assert_uint_eq(f.qr.qr_qt, f.done);
}
END_TEST

/* An idle wait uses no CPU, also where the kernel, or a container's filter, has no
 * epoll_pwait2() for us. */
static void refuse_pwait2(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { array_size(code), code };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

START_TEST(test_idle_sleeps)
{
	const struct timespec half = { 0, 500000000 };
	uint64_t used;

	if (_i)
		refuse_pwait2();
	setup();
	finish(f.done);
	expect(ETIMEDOUT, "not finished", demi_wait(&f.qr, f.pending, &NO_TIME));
	used = clock_read(CLOCK_THREAD_CPUTIME_ID);
	expect(ETIMEDOUT, "not finished", demi_wait(&f.qr, f.pending, &half));
	ck_assert_uint_lt(clock_read(CLOCK_THREAD_CPUTIME_ID) - used, 250000000);
	conform_stop();
}
END_TEST

/* ---- a foreign loop ---- */

static int readable(int epfd, int timeout_ms)
{
	struct epoll_event ev;
	int n;

	do			/* io_uring has the kernel interrupt us */
		n = epoll_wait(epfd, &ev, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n;
}

static void ponger(int ctl)
{
	struct sockaddr_in addr;
	int qd;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	for (unsigned i = 0; i < 100; i++) {
		recv_bytes(qd, 100, i, 0);
		send_bytes(qd, 200, i, 0);
	}
	recv_eof(qd);
	expect_ok(demi_close(qd));
	conform_stop();
}

/* Accept and a hundred round trips driven by epoll_wait and waits of {0, 0}. */
START_TEST(test_foreign_loop)
{
	struct sockaddr_in addr;
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd, lqd, qd = -1;
	struct epoll_event ev = { .events = EPOLLIN };
	struct peer peer;
	unsigned round = 0;
	size_t have = 0;
	demi_qtoken_t qt;

	peer_start(&peer, (enum where)_i, ponger);
	conform_start();
	expect_ok(demi_waitfd(&fd));
	ck_assert_int_eq(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev), 0);
	lqd = listener(&addr);
	expect_ok(demi_accept(&qt, lqd));
	say(peer.ctl, &addr, sizeof(addr));
	while (round < 100) {
		int rc = demi_wait(&f.qr, qt, &NO_TIME);

		if (rc == ETIMEDOUT) {
			ck_assert_msg(readable(epfd, 15000) == 1, "not readable in round %u", round);
			continue;
		}
		ck_assert_int_eq(rc, 0);
		if (f.qr.qr_opcode == DEMI_OPC_ACCEPT) {
			qd = f.qr.qr_value.ares.qd;
			send_bytes(qd, 100, 0, 0);
		} else {
			have += f.qr.qr_value.sga.sga_segs[0].sgaseg_len;
			expect_ok(demi_sgafree(&f.qr.qr_value.sga));
		}
		if (have == 200) {
			have = 0;
			if (++round < 100)
				send_bytes(qd, 100, round, 0);
		}
		qt = pop(qd);
	}
	expect_ok(demi_close(qd));
	finish_failed(qt, "demi_pop", ECANCELED, "closed");
	conform_stop();
	peer_join(&peer);
	close(epfd);
}
END_TEST

/* Nothing to do: not readable for long. Something finished: readable at once. */
START_TEST(test_waitfd_quiet)
{
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd, again;
	struct epoll_event ev = { .events = EPOLLIN };
	demi_qtoken_t qt;

	finish(f.done);
	expect_ok(demi_waitfd(&fd));
	expect_ok(demi_waitfd(&again));
	ck_assert_int_eq(fd, again);
	epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
	/* what comes by itself, ends; but a nap's end comes again and again */
	for (int i = 0; conform_has(CAP_WAKES) && readable(epfd, 20); i++) {
		ck_assert_int_lt(i, 50);
		still_pending(f.pending);
	}
	expect_ok(demi_cancel(f.pending));
	ck_assert_int_eq(readable(epfd, 15000), 1);
	finish_failed(f.pending, "demi_pop", ECANCELED, "cancelled");
	expect(ETIMEDOUT, NULL, demi_wait_next_n(&f.qr, 1, &f.at, &NO_TIME));
	expect_ok(demi_shutdown(f.p.server, SHUT_WR));
	qt = pop(f.p.client);
	ck_assert_int_eq(readable(epfd, 15000), 1);
	finish_ok(qt, DEMI_OPC_POP);
	close(epfd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait");
	TCase *tc = conform_tcase(suite, "wait", false);

	tcase_add_checked_fixture(tc, setup, teardown);
	add_rows(tc, test_arguments, argument_rows);
	tcase_add_test(tc, test_bad_token_anywhere);
	tcase_add_test(tc, test_token_of_ended);
	tcase_add_loop_test(tc, test_consumed_once, 0, 3);
	tcase_add_test(tc, test_timeout);
	tcase_add_test(tc, test_poll_only);
	tcase_add_test(tc, test_poll_sees);
	tcase_add_test(tc, test_first_finished);
	tcase_add_test(tc, test_next_n);
	tcase_add_test(tc, test_next_n_at_least_one);
	tcase_add_test(tc, test_many_pending);
	tcase_add_test(tc, test_many_queues);
	tcase_add_test(tc, test_tokens_differ);
	tcase_add_loop_test(tc, test_wake_before, 0, 3);
	tcase_add_loop_test(tc, test_wake_thread, 0, 9);
	tcase_add_loop_test(tc, test_wake_signal, 0, 3);
	tcase_add_test(tc, test_signal_alone);
	tcase_add_test(tc, test_wake_stale);
	tcase_add_loop_test(tc, test_wake_and_done, 0, 3);
	tcase_add_test(tc, test_waitfd_quiet);

	tc = conform_tcase(suite, "two parties", false);
	tcase_add_loop_test(tc, test_idle_sleeps, 0, 2);
	if (conform_parties(1, "sleeping until another party speaks")) {
		tcase_add_test(tc, test_wake_sends);
		tcase_add_loop_test(tc, test_no_timeout, 0, 3 * N_WHERE);
		tcase_add_loop_test(tc, test_foreign_loop, 0, N_WHERE);
	}
	return conform_main(suite);
}

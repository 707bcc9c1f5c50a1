/*
 * Flow: back-pressure from a peer that does not pop, a program that hoards what
 * it popped, and operations that are cancelled. No byte is lost or sent twice,
 * and nothing else stalls.
 */
#include "tests/conform/conform.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LEN 65536u
#define MAX 2000

static struct {
	struct pair p;
	demi_qtoken_t qts[MAX];
	int n;			/* pushes made */
} f;

static void setup(void)
{
	int size = (int)LEN;

	conform_start();
	pair_open(&f.p);
	expect_ok(demi_setsockopt(f.p.client, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	f.n = 0;
}

static void teardown(void)
{
	pair_close(&f.p);
	expect_bufs_out(0);
	conform_stop();
}

static void push_next(void)
{
	demi_sgarray_t sga = alloc_filled(LEN, 1, (size_t)f.n * LEN);

	ck_assert_int_lt(f.n, MAX);
	f.qts[f.n++] = push(f.p.client, &sga);
	expect_ok(demi_sgafree(&sga));
}

static bool finished(demi_qtoken_t qt, demi_qresult_t *qr)
{
	int rc = demi_wait(qr, qt, &NO_TIME);

	ck_assert(!rc || rc == ETIMEDOUT);
	return !rc;
}

/* Pushes until one is left pending; the earlier ones have been taken. */
static void fill_window(void)
{
	demi_qresult_t qr;

	for (;;) {
		push_next();
		if (finished(f.qts[f.n - 1], &qr))
			continue;
		settle();
		if (!finished(f.qts[f.n - 1], &qr))
			return;
	}
}

START_TEST(test_back_pressure)
{
	struct pair other;
	int pending;

	fill_window();
	pending = f.n - 1;
	for (int i = 0; i < 5; i++)
		push_next();
	still_pending(f.qts[pending]);
	still_pending(f.qts[f.n - 1]);
	pair_open(&other);		/* the others go on */
	pump(other.client, other.server, 2 * MIB, 50000, 2);
	pump(f.p.server, f.p.client, 2 * MIB, 50000, 3);
	pair_close(&other);
	still_pending(f.qts[f.n - 1]);
	recv_bytes(f.p.server, (size_t)f.n * LEN, 1, 0);
	for (int i = pending; i < f.n; i++)
		finish_ok(f.qts[i], DEMI_OPC_PUSH);
}
END_TEST

/* The same when the reader is a peer that begins late. */
static void late_reader(int ctl)
{
	struct sockaddr_in addr;
	int lqd, qd, n;

	conform_start();
	lqd = listener(&addr);
	say(ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	hear(ctl, &n, sizeof(n));
	recv_bytes(qd, (size_t)n * LEN, 1, 0);
	recv_eof(qd);
	expect_ok(demi_close(qd));
	expect_ok(demi_close(lqd));
	expect_bufs_out(0);
	conform_stop();
}

START_TEST(test_late_reader)
{
	struct sockaddr_in addr;
	struct peer peer;
	int pending;

	peer_start(&peer, (enum where)_i, late_reader);
	conform_start();
	hear(peer.ctl, &addr, sizeof(addr));
	f.p.client = connect_to(&addr);
	f.n = 0;
	fill_window();
	pending = f.n - 1;
	push_next();
	say(peer.ctl, &f.n, sizeof(f.n));
	for (int i = pending; i < f.n; i++)
		finish_ok(f.qts[i], DEMI_OPC_PUSH);
	expect_ok(demi_close(f.p.client));
	expect_bufs_out(0);
	conform_stop();
	peer_join(&peer);
}
END_TEST

/* Held pops hold up their own queue at most. */
START_TEST(test_hoarder)
{
	enum { TOTAL = 8 * 1024 * 1024 };
	static demi_sgarray_t held[100000];
	struct pair other;
	demi_qtoken_t pt = pop(f.p.server);
	demi_qresult_t qr;
	size_t done = 0;
	int n = 0, idle = 0;

	for (int i = 0; i < TOTAL / (int)LEN; i++)
		push_next();
	while (done < TOTAL && idle < 20) {	/* until it stops, or has all */
		if (!finished(pt, &qr)) {
			settle();
			idle++;
			continue;
		}
		idle = 0;
		ck_assert_int_lt(n, 100000);
		held[n] = qr.qr_value.sga;
		done += held[n++].sga_segs[0].sgaseg_len;
		if (done < TOTAL)
			pt = pop(f.p.server);
	}
	pair_open(&other);
	pump(other.client, other.server, MIB, 50000, 2);
	pair_close(&other);
	done = 0;
	for (int i = 0; i < n; i++) {
		uint32_t len = held[i].sga_segs[0].sgaseg_len;

		ck_assert_uint_eq(mismatch(held[i].sga_segs[0].sgaseg_buf, len, 1, done), len);
		expect_ok(demi_sgafree(&held[i]));
		done += len;
	}
	if (done < TOTAL) {
		qr = finish_ok(pt, DEMI_OPC_POP);
		ck_assert_uint_eq(mismatch(qr.qr_value.sga.sga_segs[0].sgaseg_buf, 1, 1, done), 1);
		done += qr.qr_value.sga.sga_segs[0].sgaseg_len;
		expect_ok(demi_sgafree(&qr.qr_value.sga));
		recv_bytes(f.p.server, TOTAL - done, 1, done);
	}
	for (int i = 0; i < f.n; i++)
		finish_ok(f.qts[i], DEMI_OPC_PUSH);
}
END_TEST

/* Pops and holds until nothing more comes; the pop that is then pending. */
static demi_qtoken_t hold_all(int qd, demi_sgarray_t *held, int *n)
{
	demi_qtoken_t pt = pop(qd);
	demi_qresult_t qr;

	for (int idle = 0; idle < 20; idle++) {
		settle();
		while (finished(pt, &qr)) {
			ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_POP);
			ck_assert_int_lt(*n, MAX);
			held[(*n)++] = qr.qr_value.sga;
			pt = pop(qd);
			idle = 0;
		}
	}
	return pt;
}

/* A push that waits for what the receiver holds goes on when that is freed: after
 * a long silence among many peers, and in a foreign loop, which sleeps at once. */
START_TEST(test_free_is_told)
{
	struct pollfd pfd = { .fd = -1, .events = POLLIN };
	static demi_sgarray_t held[MAX];
	struct pair others[12];
	int size = MIB, n = 0;
	demi_qtoken_t qt, pt;
	demi_qresult_t qr;

	expect_ok(demi_setsockopt(f.p.client, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	do {
		demi_sgarray_t sga = alloc(MIB / 2);

		qt = push(f.p.client, &sga);
		expect_ok(demi_sgafree(&sga));
		settle();
	} while (finished(qt, &qr));
	pt = hold_all(f.p.server, held, &n);
	for (int i = 0; i < 3000; i++)
		expect(ETIMEDOUT, NULL, demi_wait(&qr, pt, &NO_TIME));
	for (size_t i = 0; i < array_size(others); i++)
		pair_open(&others[i]);
	if (_i)
		expect_ok(demi_waitfd(&pfd.fd));
	while (n)
		expect_ok(demi_sgafree(&held[--n]));
	if (!_i)
		finish_ok(qt, DEMI_OPC_PUSH);
	else
		do
			ck_assert_int_eq(poll(&pfd, 1, 15000), 1);
		while (!finished(qt, &qr));
	expect_ok(demi_cancel(pt));
	qr = finish(pt);
	if (qr.qr_opcode == DEMI_OPC_POP)
		expect_ok(demi_sgafree(&qr.qr_value.sga));
	for (size_t i = 0; i < array_size(others); i++)
		pair_close(&others[i]);
}
END_TEST

/* ---- passing on with no memory left */

static void source(int ctl)
{
	struct sockaddr_in addr;
	int qd;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	send_bytes(qd, LEN, 1, 0);
	recv_eof(qd);
	conform_stop();
}

static void sink(int ctl)
{
	struct sockaddr_in addr;
	uint32_t len;
	int qd;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	hear(ctl, &len, sizeof(len));
	recv_bytes(qd, len, 1, 0);
	send_bytes(qd, 10, 2, 0);
	recv_eof(qd);
	conform_stop();
}

/* What one process sent is passed on to another: where that takes a copy and there
 * is no memory for it, the push waits for some. */
START_TEST(test_pass_on_at_limit)
{
	static demi_sgarray_t held[2000];
	struct peer from, to;
	struct sockaddr_in addr;
	demi_sgarray_t sga;
	int lqd, in, out;
	unsigned n = 0;
	uint32_t len;

	peer_start(&from, IN_PROCESS, source);
	peer_start(&to, IN_PROCESS, sink);
	setenv("CLOWDER_POOL_MAX_BYTES", "16M", 1);
	conform_start();
	lqd = listener(&addr);
	say(from.ctl, &addr, sizeof(addr));
	in = accept_one(lqd);
	say(to.ctl, &addr, sizeof(addr));
	out = accept_one(lqd);
	sga = popped(in);
	len = sga.sga_segs[0].sgaseg_len;
	say(to.ctl, &len, sizeof(len));
	while (n < array_size(held) && (held[n] = demi_sgaalloc(LEN)).sga_numsegs)
		n++;
	ck_assert_uint_lt(n, array_size(held));
	finish_ok(push(out, &sga), DEMI_OPC_PUSH);
	settle();
	if (!conform_has(CAP_TCP))
		ck_assert_uint_eq(counter("libos.copied_bytes"), 0);
	expect_ok(demi_sgafree(&sga));
	while (n--)
		expect_ok(demi_sgafree(&held[n]));
	recv_bytes(out, 10, 2, 0);
	if (!conform_has(CAP_TCP))
		ck_assert_uint_eq(counter("libos.copied_bytes"), len);
	conform_stop();
	peer_join(&from);
	peer_join(&to);
}
END_TEST

static void dgram_source(int ctl)
{
	struct sockaddr_in addr;
	demi_sgarray_t sga;
	demi_qtoken_t qt;
	char c;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	sga = alloc_filled(50000, 1, 0);
	expect_ok(demi_pushto(&qt, bound_socket(SOCK_DGRAM, NULL), &sga, SA(&addr), sizeof(addr)));
	finish_ok(qt, DEMI_OPC_PUSH);
	while (recv(ctl, &c, 1, MSG_DONTWAIT) != 1)
		settle();
	conform_stop();
}

static void dgram_sink(int ctl)
{
	int qd;
	struct sockaddr_in addr;

	conform_start();
	qd = bound_socket(SOCK_DGRAM, &addr);
	say(ctl, &addr, sizeof(addr));
	finish_bytes(pop(qd), 50000, 1, 0);
	say_done(ctl);
	conform_stop();
}

/* The same with datagrams: it goes as soon as there is memory, with nothing else
 * to set it going. */
START_TEST(test_pass_on_datagram)
{
	static demi_sgarray_t held[2000];
	struct peer from, to;
	struct sockaddr_in addr;
	demi_sgarray_t sga;
	unsigned n = 0;
	demi_qtoken_t qt;
	char c;
	int qd;

	peer_start(&from, IN_PROCESS, dgram_source);
	peer_start(&to, IN_PROCESS, dgram_sink);
	setenv("CLOWDER_POOL_MAX_BYTES", "16M", 1);
	conform_start();
	qd = bound_socket(SOCK_DGRAM, &addr);
	say(from.ctl, &addr, sizeof(addr));
	sga = popped(qd);
	hear(to.ctl, &addr, sizeof(addr));
	while (n < array_size(held) && (held[n] = demi_sgaalloc(LEN)).sga_numsegs)
		n++;
	expect_ok(demi_pushto(&qt, qd, &sga, SA(&addr), sizeof(addr)));
	finish_ok(qt, DEMI_OPC_PUSH);
	expect_ok(demi_sgafree(&sga));
	settle();
	while (n--)
		expect_ok(demi_sgafree(&held[n]));
	qt = pop(qd);		/* sleeps until something comes */
	for (int i = 0; recv(to.ctl, &c, 1, MSG_DONTWAIT) != 1; i++) {
		const struct timespec ts = { 0, 100000000 };
		demi_qresult_t qr;

		ck_assert_int_lt(i, 100);
		expect(ETIMEDOUT, NULL, demi_wait(&qr, qt, &ts));
	}
	say_done(from.ctl);
	conform_stop();
	peer_join(&from);
	peer_join(&to);
}
END_TEST

/* Takes in as many MiB as it is told, frees all, answers with a little. */
static void answerer(int ctl)
{
	struct sockaddr_in addr;
	int lqd, qd, n;

	conform_start();
	lqd = listener(&addr);
	say(ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	hear(ctl, &n, sizeof(n));
	recv_bytes(qd, (size_t)n * MIB, 1, 0);
	send_bytes(qd, 100, 2, 0);
	recv_eof(qd);
	conform_stop();
}

/* All memory is under way, and with the answer it comes back: there is room for
 * the answer itself. */
START_TEST(test_answer_at_limit)
{
	int size = 64 * MIB, qd, n = 0;
	struct sockaddr_in addr;
	demi_sgarray_t sga;
	struct peer peer;

	peer_start(&peer, IN_PROCESS, answerer);
	setenv("CLOWDER_POOL_MAX_BYTES", "12M", 1);
	conform_start();
	hear(peer.ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	expect_ok(demi_setsockopt(qd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	while (n < 16 && (sga = demi_sgaalloc(MIB)).sga_numsegs) {
		fill(sga.sga_segs[0].sgaseg_buf, MIB, 1, (size_t)n++ * MIB);
		push(qd, &sga);
		expect_ok(demi_sgafree(&sga));
	}
	say(peer.ctl, &n, sizeof(n));
	recv_bytes(qd, 100, 2, 0);
	settle();
	sga = alloc(MIB);
	expect_ok(demi_sgafree(&sga));
	expect_ok(demi_close(qd));
	conform_stop();
	peer_join(&peer);
}
END_TEST

/* Sends without end on one connection, and a little on the other. */
static void flooder(int ctl)
{
	struct sockaddr_in addr;
	int flood, quiet;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	flood = connect_to(&addr);
	quiet = connect_to(&addr);
	f.n = 0;
	f.p.client = flood;
	for (int i = 0; i < 1000; i++)
		push_next();		/* 64 MiB under way */
	send_bytes(quiet, 3000, 2, 0);
	recv_bytes(quiet, 10, 3, 0);
	for (int i = 0; i < f.n; i++)
		finish_ok(f.qts[i], DEMI_OPC_PUSH);
	expect_ok(demi_close(flood));
	expect_ok(demi_close(quiet));
	conform_stop();
}

/* A hoarder that has used its pool up gets no more; its other queues do. */
START_TEST(test_hoarder_at_limit)
{
	static demi_sgarray_t held[100000];
	int lqd, flood, quiet, n = 0, idle = 0;
	struct sockaddr_in addr;
	demi_sgarray_t answer;
	demi_qresult_t qr;
	struct peer peer;
	demi_qtoken_t pt;
	size_t done = 0;

	peer_start(&peer, IN_PROCESS, flooder);
	setenv("CLOWDER_POOL_MAX_BYTES", "16M", 1);
	conform_start();
	answer = alloc_filled(10, 3, 0);
	lqd = listener(&addr);
	say(peer.ctl, &addr, sizeof(addr));
	flood = accept_one(lqd);
	quiet = accept_one(lqd);
	pt = pop(flood);
	while (idle < 10) {
		struct timespec ts = { 0, 10000000 };
		int rc = demi_wait(&qr, pt, &ts);

		idle = rc ? idle + 1 : 0;
		if (rc)
			continue;
		ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_POP);
		ck_assert_int_lt(n, 100000);
		held[n++] = qr.qr_value.sga;
		pt = pop(flood);
	}
	recv_bytes(quiet, 3000, 2, 0);
	finish_ok(push(quiet, &answer), DEMI_OPC_PUSH);
	expect_ok(demi_sgafree(&answer));
	for (int i = 0; i < n; i++) {
		uint32_t len = held[i].sga_segs[0].sgaseg_len;

		ck_assert_uint_eq(mismatch(held[i].sga_segs[0].sgaseg_buf, len, 1, done), len);
		expect_ok(demi_sgafree(&held[i]));
		done += len;
	}
	ck_assert_uint_lt(done, 1000 * (size_t)LEN);
	qr = finish_ok(pt, DEMI_OPC_POP);
	done += qr.qr_value.sga.sga_segs[0].sgaseg_len;
	expect_ok(demi_sgafree(&qr.qr_value.sga));
	recv_bytes(flood, 1000 * (size_t)LEN - done, 1, done);
	recv_eof(flood);
	expect_ok(demi_close(flood));
	expect_ok(demi_close(quiet));
	expect_bufs_out(0);
	conform_stop();
	peer_join(&peer);
}
END_TEST

/* Small messages until the window has closed, and a little on the other. */
static void small_flooder(int ctl)
{
	const struct timespec ts = { 0, 500000000 };
	demi_sgarray_t sga;
	struct sockaddr_in addr;
	int flood, quiet, n = 0;
	demi_qresult_t qr;
	demi_qtoken_t qt;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	flood = connect_to(&addr);
	quiet = connect_to(&addr);
	do {
		sga = alloc_filled(64, 1, (size_t)n++ * 64);
		qt = push(flood, &sga);
		expect_ok(demi_sgafree(&sga));
	} while (n < 150000 && !demi_wait(&qr, qt, &ts));
	say(ctl, &n, sizeof(n));
	send_bytes(quiet, 3000, 2, 0);
	send_bytes(quiet, 60, 2, 3000);
	recv_bytes(quiet, 10, 3, 0);
	if (n < 150000)
		finish_ok(qt, DEMI_OPC_PUSH);
	expect_ok(demi_close(flood));
	expect_ok(demi_close(quiet));
	conform_stop();
}

/* Small messages that are held close the window of their queue, too. */
START_TEST(test_hoarder_of_small)
{
	static demi_sgarray_t held[150000];
	int lqd, flood, quiet, n = 0, sent;
	demi_sgarray_t answer;
	struct sockaddr_in addr;
	size_t done = 0;
	struct peer peer;
	demi_qtoken_t pt;
	demi_qresult_t qr;

	peer_start(&peer, IN_PROCESS, small_flooder);
	setenv("CLOWDER_POOL_MAX_BYTES", "16M", 1);
	conform_start();
	answer = alloc_filled(10, 3, 0);
	lqd = listener(&addr);
	say(peer.ctl, &addr, sizeof(addr));
	flood = accept_one(lqd);
	quiet = accept_one(lqd);
	pt = pop(flood);
	while (recv(peer.ctl, &sent, sizeof(sent), MSG_DONTWAIT) != sizeof(sent)) {
		const struct timespec ts = { 0, 1000000 };

		if (demi_wait(&qr, pt, &ts))
			continue;
		ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_POP);
		held[n++] = qr.qr_value.sga;
		pt = pop(flood);
	}
	if (!conform_has(CAP_TCP))	/* 128 each are charged, or many share a buffer */
		ck_assert_int_lt(sent, 60000);
	recv_bytes(quiet, 3060, 2, 0);
	finish_ok(push(quiet, &answer), DEMI_OPC_PUSH);
	expect_ok(demi_sgafree(&answer));
	for (int i = 0; i < n; i++) {
		done += held[i].sga_segs[0].sgaseg_len;
		expect_ok(demi_sgafree(&held[i]));
	}
	qr = finish_ok(pt, DEMI_OPC_POP);
	done += qr.qr_value.sga.sga_segs[0].sgaseg_len;
	expect_ok(demi_sgafree(&qr.qr_value.sga));
	recv_bytes(flood, (size_t)sent * 64 - done, 1, done);
	recv_eof(flood);
	expect_bufs_out(0);
	conform_stop();
	peer_join(&peer);
}
END_TEST

/* ---- cancel */

START_TEST(test_cancel_pop)
{
	demi_qtoken_t qt[3];

	for (int i = 0; i < 3; i++)
		qt[i] = pop(f.p.server);
	expect_ok(demi_cancel(qt[1]));
	finish_failed(qt[1], "demi_pop", ECANCELED, "cancelled");
	expect(EINVAL, "token", demi_cancel(qt[1]));
	send_bytes(f.p.client, 10, 1, 0);
	finish_bytes(qt[0], 10, 1, 0);
	send_bytes(f.p.client, 10, 1, 10);
	finish_bytes(qt[2], 10, 1, 10);
}
END_TEST

/* Bytes come just before the cancel: the pop has them, or the next one has. */
START_TEST(test_cancel_pop_late)
{
	size_t at = 0;

	for (unsigned i = 0; i < 100; i++) {
		demi_qtoken_t qt = pop(f.p.server);
		demi_qresult_t qr;

		send_bytes(f.p.client, 10, 1, at);
		if (i % 2)
			settle();
		expect_ok(demi_cancel(qt));
		qr = finish(qt);
		if (qr.qr_opcode == DEMI_OPC_POP) {
			ck_assert_uint_eq(qr.qr_value.sga.sga_segs[0].sgaseg_len, 10);
			ck_assert_uint_eq(mismatch(qr.qr_value.sga.sga_segs[0].sgaseg_buf, 10, 1,
						   at), 10);
			expect_ok(demi_sgafree(&qr.qr_value.sga));
		} else {
			ck_assert_int_eq(qr.qr_ret, ECANCELED);
			recv_bytes(f.p.server, 10, 1, at);
		}
		at += 10;
	}
}
END_TEST

/* What has finished stays finished. */
START_TEST(test_cancel_done)
{
	demi_qtoken_t qt = pop(f.p.server);
	demi_sgarray_t sga = alloc_filled(10, 1, 0);
	demi_qtoken_t pt = push(f.p.client, &sga);

	settle();
	expect_ok(demi_cancel(pt));
	expect_ok(demi_cancel(qt));
	finish_ok(pt, DEMI_OPC_PUSH);
	finish_bytes(qt, 10, 1, 0);
	expect_ok(demi_sgafree(&sga));
}
END_TEST

/* Cancels push i; whether it went, rather than having been begun already. */
static bool cancel_push(int i)
{
	demi_qresult_t qr;

	expect_ok(demi_cancel(f.qts[i]));
	settle();
	if (!finished(f.qts[i], &qr))
		return false;
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_FAILED);
	ck_assert_int_eq(qr.qr_ret, ECANCELED);
	conform_provoked("demi_push", ECANCELED, "cancelled");
	return true;
}

/* A push is sent whole or not at all; the others are what they were. */
START_TEST(test_cancel_push)
{
	bool gone[MAX] = { false };
	int first, cancelled = 0;

	fill_window();
	first = f.n - 1;
	for (int i = 0; i < 7; i++)
		push_next();
	for (int i = first; i < f.n; i++) {
		gone[i] = (i - first) % 2 != 1 && cancel_push(i);
		cancelled += gone[i];
	}
	ck_assert_int_ge(cancelled, 3);	/* the first may have begun */
	for (int i = 0; i < f.n; i++) {
		if (!gone[i])
			recv_bytes(f.p.server, LEN, 1, (size_t)i * LEN);
		if (!gone[i] && i >= first)
			finish_ok(f.qts[i], DEMI_OPC_PUSH);
	}
	expect_ok(demi_shutdown(f.p.client, SHUT_WR));
	recv_eof(f.p.server);
}
END_TEST

START_TEST(test_cancel_accept)
{
	demi_qtoken_t at[2];
	struct sockaddr_in mine;
	demi_qresult_t qr;
	int qd;

	expect_ok(demi_accept(&at[0], f.p.listener));
	expect_ok(demi_accept(&at[1], f.p.listener));
	expect_ok(demi_cancel(at[0]));
	finish_failed(at[0], "demi_accept", ECANCELED, "cancelled");
	qd = connect_to(&f.p.addr);
	mine = local_address(qd);
	qr = finish_ok(at[1], DEMI_OPC_ACCEPT);
	ck_assert_uint_eq(qr.qr_value.ares.addr.sin_port, mine.sin_port);
	expect_ok(demi_close(qd));
	expect_ok(demi_close(qr.qr_value.ares.qd));
}
END_TEST

/* A connect that was cancelled leaves a queue as new. */
START_TEST(test_cancel_connect)
{
	int qd = stream_socket(), server;
	demi_qresult_t qr;
	demi_qtoken_t qt;

	expect_ok(demi_connect(&qt, qd, SA(&f.p.addr), sizeof(f.p.addr)));
	expect_ok(demi_cancel(qt));
	qr = finish(qt);
	if (qr.qr_opcode == DEMI_OPC_FAILED) {
		ck_assert_int_eq(qr.qr_ret, ECANCELED);
		conform_provoked("demi_connect", ECANCELED, "cancelled");
		expect(ENOTCONN, "stream new", demi_pop(&qt, qd));
		expect_ok(demi_connect(&qt, qd, SA(&f.p.addr), sizeof(f.p.addr)));
		finish_ok(qt, DEMI_OPC_CONNECT);
	}
	send_bytes(qd, 10, 1, 0);
	for (;;) {		/* what the cancelled one left may come first */
		demi_sgarray_t sga;
		bool empty;

		server = accept_one(f.p.listener);
		qr = finish(pop(server));
		if (qr.qr_opcode == DEMI_OPC_FAILED) {
			expect_ok(demi_close(server));
			continue;
		}
		sga = qr.qr_value.sga;
		empty = !sga.sga_segs[0].sgaseg_len;
		expect_ok(demi_sgafree(&sga));
		expect_ok(demi_close(server));
		if (!empty)
			break;
	}
	expect_ok(demi_close(qd));
}
END_TEST

/* Ten thousand cancelled one by one, in an order of their own. */
START_TEST(test_cancel_many)
{
	enum { N = 10000 };
	static demi_qtoken_t qts[N];

	for (int i = 0; i < N; i++)
		qts[i] = pop(f.p.server);
	for (int i = 0; i < N; i++)
		expect_ok(demi_cancel(qts[(i * 7919) % N]));
	for (int i = 0; i < N; i++)
		finish_failed(qts[i], "demi_pop", ECANCELED, NULL);
	send_bytes(f.p.client, 10, 1, 0);
	recv_bytes(f.p.server, 10, 1, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow");
	TCase *tc = conform_tcase(suite, "flow", false);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_back_pressure);
	tcase_add_test(tc, test_hoarder);
	tcase_add_loop_test(tc, test_free_is_told, 0, 2);
	tcase_add_test(tc, test_cancel_pop);
	tcase_add_test(tc, test_cancel_pop_late);
	tcase_add_test(tc, test_cancel_done);
	tcase_add_test(tc, test_cancel_push);
	tcase_add_test(tc, test_cancel_accept);
	tcase_add_test(tc, test_cancel_connect);
	tcase_add_test(tc, test_cancel_many);

	tc = conform_tcase(suite, "two parties", false);
	if (conform_parties(1, "readers and hoarders that are somebody else")) {
		tcase_add_loop_test(tc, test_late_reader, 0, N_WHERE);
		tcase_add_test(tc, test_hoarder_at_limit);
		tcase_add_test(tc, test_hoarder_of_small);
		tcase_add_test(tc, test_answer_at_limit);
	}
	if (conform_parties(2, "passing on from one party to another")) {
		tcase_add_test(tc, test_pass_on_at_limit);
		tcase_add_test(tc, test_pass_on_datagram);
	}
	return conform_main(suite);
}

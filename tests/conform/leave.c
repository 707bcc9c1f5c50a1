/*
 * Leaving: whoever pushes, waits and ends loses nothing, however it ends; and
 * what was pushed is on its way before a wait returns, so that a program may
 * compute, or never call us again.
 */
#include "tests/conform/conform.h"

#include <semaphore.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum way { RETURNS, THREAD_ENDED, THREAD_BLOCKED, FINI, N_WAYS };

static struct {
	enum way way;
	bool closes;
	bool async;
	size_t len;
	int ctl;
	sem_t waits;		/* THREAD_BLOCKED: it has pushed and waits */
} f;

static void push_all(void)
{
	struct sockaddr_in addr;
	demi_qtoken_t qt;
	int qd;

	conform_start();
	hear(f.ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	send_bytes(qd, f.len, 1, 0);
	if (f.async)
		expect_ok(demi_async_close(&qt, qd));
	else if (f.closes)
		expect_ok(demi_close(qd));
	say_done(f.ctl);
}

static void *pushing_thread(void *arg)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	(void)arg;
	push_all();
	if (f.way == THREAD_BLOCKED) {
		qt = pop(bound_socket(SOCK_DGRAM, NULL));
		sem_post(&f.waits);
		demi_wait(&qr, qt, NULL); /* taken over before or in it */
	}
	return NULL;
}

/* What stands for main(): its end is exit(). */
static void leaver(int ctl)
{
	pthread_t thread;

	f.ctl = ctl;
	if (f.way == RETURNS || f.way == FINI) {
		push_all();
		if (f.way == FINI)
			expect_ok(demi_fini());
		return;
	}
	sem_init(&f.waits, 0, 0);
	pthread_create(&thread, NULL, pushing_thread, NULL);
	if (f.way == THREAD_ENDED)
		pthread_join(thread, NULL);
	else
		sem_wait(&f.waits);
}

static int listener_for(struct peer *peer)
{
	struct sockaddr_in addr;
	int lqd;

	peer_start(peer, IN_PROCESS, leaver);
	conform_start();
	lqd = listener(&addr);
	say(peer->ctl, &addr, sizeof(addr));
	return accept_one(lqd);
}

static void choose(int i)
{
	f.way = (enum way)(i % N_WAYS);
	f.closes = i / N_WAYS >= 1;
	f.async = i / N_WAYS == 2;
}

/* 1 MiB; the server gets every byte and then the end of the stream. */
START_TEST(test_nothing_lost)
{
	struct peer peer;
	int qd;

	choose(_i);
	f.len = MIB;
	qd = listener_for(&peer);
	recv_bytes(qd, f.len, 1, 0);
	recv_eof(qd);
	peer_join(&peer);
	expect_ok(demi_close(qd));
	expect_bufs_out(0);
	conform_stop();
}
END_TEST

/* The same where the server does nothing until the client is on its way out. */
START_TEST(test_server_late)
{
	struct peer peer;
	int qd;

	choose(_i);
	f.len = 20000;
	qd = listener_for(&peer);
	hear_done(peer.ctl);
	usleep(100000);
	recv_bytes(qd, f.len, 1, 0);
	recv_eof(qd);
	peer_join(&peer);
	conform_stop();
}
END_TEST

/* The same where the peer has something to say after the client has gone and before
 * it has read what the client left. */
START_TEST(test_server_speaks)
{
	struct peer peer;
	int qd;

	choose(_i);
	f.len = MIB;
	qd = listener_for(&peer);
	hear_done(peer.ctl);
	usleep(50000);
	for (int i = 0; i < 3; i++) {
		demi_sgarray_t sga = alloc_filled(10, 2, 0);

		finish(push(qd, &sga));
		expect_ok(demi_sgafree(&sga));
	}
	recv_bytes(qd, f.len, 1, 0);
	recv_eof(qd);
	peer_join(&peer);
	conform_stop();
}
END_TEST

/* A peer that never pops cannot keep us for longer than exit.linger_ms. */
START_TEST(test_bounded)
{
	struct peer peer;
	int qd;

	setenv("CLOWDER_EXIT_LINGER_MS", "200", 1);
	choose(_i);
	f.len = 20000;
	qd = listener_for(&peer);
	hear_done(peer.ctl);
	peer_join(&peer);
	expect_ok(demi_close(qd));
	conform_stop();
}
END_TEST

/* Both ends in one process, in threads that end without a word. */
static void ends_silently(int ctl)
{
	f.ctl = ctl;
	push_all();
}

START_TEST(test_thread_end)
{
	struct sockaddr_in addr;
	struct peer peer;
	int lqd, qd;

	f.closes = _i == 1;
	f.async = _i == 2;
	f.len = MIB;
	peer_start(&peer, IN_THREAD, ends_silently);
	conform_start();
	lqd = listener(&addr);
	say(peer.ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	recv_bytes(qd, MIB, 1, 0);
	recv_eof(qd);
	peer_join(&peer);
	expect_ok(demi_close(qd));
	expect_bufs_out(0);
	conform_stop();
}
END_TEST

/* ---- the answer is there before the server computes */

enum waits { BY_WAIT, BY_WAIT_ANY, BY_WAIT_NEXT_N, N_WAITS };
static enum waits waits;
static int type;

/* Of a push: the wait finds its token done, and nothing else calls us. */
static void wait_for(demi_qtoken_t qt)
{
	demi_qresult_t qr;
	int at;

	if (waits == BY_WAIT)
		expect_ok(demi_wait(&qr, qt, &LONG_TIME));
	else if (waits == BY_WAIT_ANY)
		expect_ok(demi_wait_any(&qr, &at, &qt, 1, &LONG_TIME));
	else
		expect_ok(demi_wait_next_n(&qr, 1, &at, &LONG_TIME));
	ck_assert_uint_eq(qr.qr_qt, qt);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_PUSH);
}

static size_t request_size(unsigned i)
{
	return 64 + i * 300;
}

/* The answer to request i: the same bytes. */
static demi_qtoken_t answer(int qd, unsigned i)
{
	demi_sgarray_t sga;
	demi_qtoken_t qt;

	if (type == SOCK_STREAM) {
		recv_bytes(qd, request_size(i), i, 0);
		sga = alloc_filled(request_size(i), i, 0);
		qt = push(qd, &sga);
	} else {
		sga = popped(qd);
		expect_ok(demi_pushto(&qt, qd, &sga, SA(&sga.sga_addr), sizeof(sga.sga_addr)));
	}
	expect_ok(demi_sgafree(&sga));
	return qt;
}

static void computes(int ctl)
{
	struct sockaddr_in addr;
	int qd;

	conform_start();
	qd = bound_socket(type, &addr);
	if (type == SOCK_STREAM)
		expect_ok(demi_listen(qd, 8));
	say(ctl, &addr, sizeof(addr));
	if (type == SOCK_STREAM)
		qd = accept_one(qd);
	for (unsigned i = 0; i < 20; i++) {
		wait_for(answer(qd, i));
		hear_done(ctl);		/* computes until the client has it */
	}
	conform_stop();
}

START_TEST(test_answer_before_computing)
{
	struct sockaddr_in addr;
	struct peer peer;
	demi_qtoken_t qt;
	int qd;

	waits = (enum waits)(_i % N_WAITS);
	type = _i / N_WAITS ? SOCK_DGRAM : SOCK_STREAM;
	peer_start(&peer, IN_PROCESS, computes);
	conform_start();
	hear(peer.ctl, &addr, sizeof(addr));
	qd = type == SOCK_STREAM ? stream_socket() : dgram_socket();
	expect_ok(demi_connect(&qt, qd, SA(&addr), sizeof(addr)));
	finish_ok(qt, DEMI_OPC_CONNECT);
	for (unsigned i = 0; i < 20; i++) {
		send_bytes(qd, request_size(i), i, 0);
		recv_bytes(qd, request_size(i), i, 0);
		say_done(peer.ctl);
	}
	peer_join(&peer);
	conform_stop();
}
END_TEST

/* And from the push itself once 32 have gathered, without any wait. */
static void only_pushes(int ctl)
{
	struct sockaddr_in addr;
	demi_sgarray_t sga;
	int lqd, qd;

	conform_start();
	lqd = listener(&addr);
	say(ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	for (unsigned i = 0; i < 32; i++) {
		sga = alloc_filled(100, 1, i * 100);
		push(qd, &sga);
	}
	hear_done(ctl);
	conform_stop();
}

START_TEST(test_pushes_alone)
{
	struct sockaddr_in addr;
	struct peer peer;
	int qd;

	peer_start(&peer, IN_PROCESS, only_pushes);
	conform_start();
	hear(peer.ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	recv_bytes(qd, 3200, 1, 0);
	say_done(peer.ctl);
	recv_eof(qd);
	peer_join(&peer);
	conform_stop();
}
END_TEST

/* A program whose waits always find their token done still accepts what comes:
 * every 32nd of them looks at the devices. */
START_TEST(test_never_waits)
{
	struct pair p, other;
	demi_qtoken_t arrived;
	demi_sgarray_t sga;
	demi_qresult_t qr;
	int rc = ETIMEDOUT, udp;
	struct sockaddr_in addr;

	conform_start();
	pair_open(&p);
	pair_open(&other);
	udp = bound_socket(SOCK_DGRAM, &addr);
	arrived = pop(other.server);
	send_bytes(other.client, 100, 1, 0);
	sga = alloc_filled(10, 1, 0);
	for (int i = 0; i < 20000 && rc; i++) {
		demi_qtoken_t ts[2] = { arrived, 0 };
		int at;

		expect_ok(demi_pushto(&ts[1], udp, &sga, SA(&addr), sizeof(addr)));
		expect_ok(demi_wait_any(&qr, &at, ts, 2, NULL));
		if (!at) {
			rc = 0;
			ck_assert_uint_eq(qr.qr_value.sga.sga_segs[0].sgaseg_len, 100);
		}
	}
	ck_assert_int_eq(rc, 0);
	conform_stop();
}
END_TEST

/* The callback that demi_fini() or exit() calls may call us: nothing begins any more
 * at exit, and nothing hangs. */
static void begins_again(const char *name, uint32_t len, uint64_t value)
{
	(void)name, (void)len, (void)value;
	if (!demi_init(NULL) && demi_fini())
		abort();
}

static void ends_with_callback(void *arg)
{
	struct demi_args args = { 0, NULL, begins_again };

	(void)arg;
	expect_ok(demi_init(&args));
}

static void *begins_in_thread(void *arg)
{
	ends_with_callback(arg);
	sem_post(&f.waits);
	pause();
	return NULL;
}

static void thread_ends_with_callback(void *arg)
{
	pthread_t thread;

	sem_init(&f.waits, 0, 0);
	pthread_create(&thread, NULL, begins_in_thread, arg);
	sem_wait(&f.waits);
}

START_TEST(test_callback_at_exit)
{
	char text[8192];
	int status = run_captured(_i ? thread_ends_with_callback : ends_with_callback, NULL, text,
				  sizeof(text));

	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "status 0x%x: %s", status, text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("leave");
	TCase *tc = conform_tcase(suite, "leave", false);

	if (conform_parties(1, "what is owed to another party")) {
		tcase_add_loop_test(tc, test_nothing_lost, 0, 3 * N_WAYS);
		tcase_add_loop_test(tc, test_server_late, 0, 3 * N_WAYS);
		tcase_add_loop_test(tc, test_server_speaks, 0, 2 * N_WAYS);
		tcase_add_loop_test(tc, test_bounded, 0, N_WAYS);
		tcase_add_loop_test(tc, test_thread_end, 0, 3);
	}
	tcase_add_loop_test(tc, test_callback_at_exit, 0, 2);

	tc = conform_tcase(suite, "compute", false);
	if (conform_parties(1, "answers before computing")) {
		tcase_add_loop_test(tc, test_answer_before_computing, 0, 2 * N_WAITS);
		tcase_add_test(tc, test_pushes_alone);
	}
	tcase_add_test(tc, test_never_waits);
	return conform_main(suite);
}

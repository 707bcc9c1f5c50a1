/*
 * Processes and threads: a forked child owns nothing and harms nothing, a peer
 * that is killed, and instances in many threads.
 */
#include "tests/conform/conform.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a forked child of a process with an instance */

static struct pair p;
static demi_qtoken_t pending;
static uint64_t handle;

static void every_call_fails(void)
{
	struct sockaddr_in a = address(0);
	socklen_t len = sizeof(a), vlen = sizeof(int);
	demi_sgarray_t sga = { .sga_numsegs = 1 }, got;
	demi_qresult_t qr;
	demi_qtoken_t qt = pending;
	uint64_t h;
	int at, val = 1;

	got = demi_sgaalloc(64);
	ck_assert(!got.sga_numsegs && !got.sga_buf);
	sga.sga_buf = &val;
	expect(ENOSYS, "forked child", demi_socket(&at, AF_INET, SOCK_STREAM, 0));
	expect(ENOSYS, "forked child", demi_bind(p.client, SA(&a), len));
	expect(ENOSYS, "forked child", demi_listen(p.listener, 1));
	expect(ENOSYS, "forked child", demi_accept(&qt, p.listener));
	expect(ENOSYS, "forked child", demi_connect(&qt, p.client, SA(&a), len));
	expect(ENOSYS, "forked child", demi_close(p.client));
	expect(ENOSYS, "forked child", demi_async_close(&qt, p.client));
	expect(ENOSYS, "forked child", demi_push(&qt, p.client, &sga));
	expect(ENOSYS, "forked child", demi_pushto(&qt, p.client, &sga, SA(&a), len));
	expect(ENOSYS, "forked child", demi_pop(&qt, p.client));
	expect(ENOSYS, "forked child", demi_wait(&qr, pending, &NO_TIME));
	expect(ENOSYS, "forked child", demi_wait_any(&qr, &at, &pending, 1, &NO_TIME));
	expect(ENOSYS, "forked child", demi_wait_next_n(&qr, 1, &at, &NO_TIME));
	expect(ENOSYS, "forked child", demi_sgafree(&sga));
	expect(ENOSYS, "forked child",
	       demi_setsockopt(p.client, SOL_SOCKET, SO_KEEPALIVE, &val, vlen));
	expect(ENOSYS, "forked child",
	       demi_getsockopt(p.client, SOL_SOCKET, SO_KEEPALIVE, &val, &vlen));
	expect(ENOSYS, "forked child", demi_getpeername(p.client, SA_OUT(&a), &len));
	expect(ENOSYS, "forked child", demi_getsockname(p.client, SA_OUT(&a), &len));
	expect(ENOSYS, "forked child", demi_shutdown(p.client, SHUT_WR));
	expect(ENOSYS, "forked child", demi_cancel(pending));
	expect(ENOSYS, "forked child", demi_wakehandle(&h));
	expect(ENOSYS, "forked child", demi_waitfd(&at));
	expect(ENOSYS, "forked child", demi_create_pipe(&at, "fork"));
	expect(ENOSYS, "forked child", demi_open_pipe(&at, "fork"));
	expect(ENOSYS, "forked child", demi_fini());
	expect(EINVAL, "handle", demi_wake(handle));
}

static void expect_exit_0(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "child ended with 0x%x", status);
}

/* The child's calls fail, and its exit, of any kind, touches nothing. */
START_TEST(test_child)
{
	pid_t pid;

	conform_start();
	pair_open(&p);
	pending = pop(p.server);
	expect_ok(demi_wakehandle(&handle));
	send_bytes(p.server, 1000, 2, 0);
	pid = fork();
	if (!pid) {
		every_call_fails();
		if (_i == 1)
			_exit(0);
		if (_i == 2 && !conform_has(CAP_FORKS))
			expect(ENOSYS, "child of one that had an instance", demi_init(NULL));
		else if (_i == 2) {	/* an instance of its own */
			conform_start();
			expect_ok(demi_close(stream_socket()));
			conform_stop();
			every_call_fails();
		}
		exit(0);
	}
	expect_exit_0(pid);
	still_pending(pending);
	send_bytes(p.client, 100, 1, 0);
	finish_bytes(pending, 100, 1, 0);
	recv_bytes(p.client, 1000, 2, 0);
	pump(p.server, p.client, MIB, 100000, 3);
	expect_ok(demi_close(connect_to(&p.addr)));
	expect_ok(demi_close(accept_one(p.listener)));
	ck_assert_uint_gt(counter("libos.pushes"), 2);
	pair_close(&p);
	expect_bufs_out(0);
	conform_stop();
}
END_TEST

/* A peer that is told the listener's address, connects, and awaits the end. */
static void awaits_end(int ctl)
{
	struct sockaddr_in addr;
	int qd;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	say_done(ctl);
	recv_eof(qd);
	say_done(ctl);
	expect_ok(demi_close(qd));
	conform_stop();
}

/* The peer sees the parent's close although the child lives and the parent does not
 * wait again: close of the queue, half of it, or the end of the instance. */
START_TEST(test_close_with_living_child)
{
	struct sockaddr_in addr;
	struct peer peer;
	int lqd, qd, hold[2];
	pid_t child;

	ck_assert_int_eq(pipe(hold), 0);
	peer_start(&peer, IN_PROCESS, awaits_end);
	conform_start();
	lqd = listener(&addr);
	say(peer.ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	hear_done(peer.ctl);
	child = fork();
	if (!child) {		/* lives until the parent says so */
		char c;

		close(hold[1]);
		_exit(read(hold[0], &c, 1) != 0);
	}
	if (_i == 0)
		expect_ok(demi_close(qd));
	else if (_i == 1)
		expect_ok(demi_shutdown(qd, SHUT_WR));
	else
		conform_stop();
	hear_done(peer.ctl);
	peer_join(&peer);
	close(hold[1]);
	expect_exit_0(child);
}
END_TEST

/* ---- a peer that is killed */

static void victim(int ctl)
{
	struct sockaddr_in addr;
	demi_sgarray_t sga;
	int one = 1, lqd, qd;

	hear(ctl, &addr, sizeof(addr));
	conform_start();
	lqd = stream_socket();
	expect_ok(demi_setsockopt(lqd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	expect_ok(demi_bind(lqd, SA(&addr), sizeof(addr)));
	expect_ok(demi_listen(lqd, 8));
	addr = local_address(lqd);
	say(ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	send_bytes(qd, 5000, 1, 0);
	sga = popped(qd);	/* kept, as is the rest, in the middle of it all */
	for (int i = 0; i < 100; i++) {
		sga = alloc_filled(MIB, 1, 0);
		push(qd, &sga);
	}
	say_done(ctl);
	for (;;) {
		demi_qresult_t qr;
		int got;

		demi_wait_next_n(&qr, 1, &got, NULL);
	}
}

static void survive(struct peer *peer, const struct sockaddr_in *at,
		    struct sockaddr_in *addr_out)
{
	struct sockaddr_in addr;
	demi_sgarray_t mine;
	demi_qresult_t qr;
	demi_qtoken_t pushed[50];
	int qd, status;

	conform_start();
	say(peer->ctl, at, sizeof(*at));
	hear(peer->ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	mine = alloc_filled(100000, 2, 0);
	for (size_t i = 0; i < array_size(pushed); i++)
		pushed[i] = push(qd, &mine);
	recv_bytes(qd, 5000, 1, 0);
	drop_rest(qd);
	hear_done(peer->ctl);
	kill(peer->pid, SIGKILL);
	ck_assert_int_eq(waitpid(peer->pid, &status, 0), peer->pid);
	close(peer->ctl);
	do {			/* what was sent before, then the end or the reset */
		qr = finish(pop(qd));
		if (qr.qr_opcode == DEMI_OPC_POP)
			expect_ok(demi_sgafree(&qr.qr_value.sga));
	} while (qr.qr_opcode == DEMI_OPC_POP && qr.qr_value.sga.sga_segs[0].sgaseg_len);
	ck_assert(qr.qr_opcode == DEMI_OPC_POP || qr.qr_ret == ECONNRESET);
	for (size_t i = 0; i < array_size(pushed); i++) {
		qr = finish(pushed[i]);
		ck_assert(qr.qr_opcode == DEMI_OPC_PUSH || qr.qr_ret == ECONNRESET);
	}
	expect_ok(demi_close(qd));
	expect_ok(demi_sgafree(&mine));
	expect_bufs_out(0);
	conform_stop();
	*addr_out = addr;
}

/* All that was under way ends, all memory comes back, the name is free. */
START_TEST(test_killed)
{
	struct sockaddr_in addr = address(0);
	struct peer victims[3];

	for (int i = 0; i < 3; i++)
		peer_start(&victims[i], IN_PROCESS, victim);
	for (int i = 0; i < 3; i++)
		survive(&victims[i], &addr, &addr);
}
END_TEST

/* ---- many processes */

#define N_CLIENTS 300
#define N_CLIENTS_SLOW 150
#define RING_BYTES (256u * KIB)	/* of a client's io_uring and of one just ended */

/* A ring counts as locked memory, and the user's is limited. */
static unsigned n_clients(void)
{
	const char *io = getenv("CLOWDER_CATNAP_IO");
	unsigned n = conform_slow() ? N_CLIENTS_SLOW : N_CLIENTS;
	struct rlimit lim;

	if (!geteuid() || !io || strcmp(io, "io_uring") || getrlimit(RLIMIT_MEMLOCK, &lim))
		return n;
	return lim.rlim_cur / RING_BYTES < n ? (unsigned)(lim.rlim_cur / RING_BYTES) : n;
}

static void stays(int ctl)
{
	struct sockaddr_in addr;

	hear(ctl, &addr, sizeof(addr));
	conform_start();
	connect_to(&addr);
	say_done(ctl);
	hear_done(ctl);
	conform_stop();
}

/* Each has a port of its own for as long as it stays. */
START_TEST(test_many_clients)
{
	static struct peer peers[N_CLIENTS];
	unsigned n = n_clients();
	static bool seen[65536];
	struct sockaddr_in addr;
	socklen_t len;
	int lqd, qd;

	for (unsigned i = 0; i < n; i++)
		peer_start(&peers[i], IN_PROCESS, stays);
	conform_start();
	lqd = listener(&addr);
	for (unsigned i = 0; i < n; i++) {
		struct sockaddr_in from;

		say(peers[i].ctl, &addr, sizeof(addr));
		qd = accept_one(lqd);
		hear_done(peers[i].ctl);
		len = sizeof(from);
		expect_ok(demi_getpeername(qd, SA_OUT(&from), &len));
		ck_assert_msg(!seen[ntohs(from.sin_port)], "port %u twice",
			      ntohs(from.sin_port));
		seen[ntohs(from.sin_port)] = true;
	}
	for (unsigned i = 0; i < n; i++)
		say_done(peers[i].ctl);
	for (unsigned i = 0; i < n; i++)
		peer_join(&peers[i]);
	conform_stop();
}
END_TEST

/* ---- instances in threads */

#define N_THREADS 6

static void echo_server(int ctl)
{
	struct sockaddr_in addr;
	int lqd, qd;

	conform_start();
	lqd = listener(&addr);
	say(ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	for (unsigned i = 0; i < 200; i++) {
		recv_bytes(qd, 1 + i * 13, i, 0);
		send_bytes(qd, 1 + i * 13, i + 1, 0);
	}
	recv_eof(qd);
	conform_stop();
}

static void echo_client(int ctl)
{
	struct sockaddr_in addr;
	int qd;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	for (unsigned i = 0; i < 200; i++) {
		send_bytes(qd, 1 + i * 13, i, 0);
		recv_bytes(qd, 1 + i * 13, i + 1, 0);
	}
	conform_stop();
}

/* One instance a thread, all at the same time, each talking to another's. */
START_TEST(test_threads)
{
	struct peer server[N_THREADS], client[N_THREADS];
	struct sockaddr_in addr;

	for (int i = 0; i < N_THREADS; i++) {
		peer_start(&server[i], IN_THREAD, echo_server);
		peer_start(&client[i], IN_THREAD, echo_client);
	}
	for (int i = 0; i < N_THREADS; i++) {
		hear(server[i].ctl, &addr, sizeof(addr));
		say(client[i].ctl, &addr, sizeof(addr));
	}
	for (int i = 0; i < N_THREADS; i++) {
		peer_join(&client[i]);
		peer_join(&server[i]);
	}
}
END_TEST

static void starts_and_stops(int ctl)
{
	for (int i = 0; i < 30; i++) {
		struct pair q;

		conform_start();
		pair_open(&q);
		pump(q.client, q.server, 1000, 300, (unsigned)i);
		if (i % 2)
			pair_close(&q);
		conform_stop();
	}
	say_done(ctl);
}

/* Instances come and go in several threads. */
START_TEST(test_start_stop)
{
	unsigned fds = count_fds_after_one();
	struct peer peer[4];

	for (int i = 0; i < 4; i++)
		peer_start(&peer[i], IN_THREAD, starts_and_stops);
	for (int i = 0; i < 4; i++)
		hear_done(peer[i].ctl);
	for (int i = 0; i < 4; i++)
		peer_join(&peer[i]);
	ck_assert_uint_le(count_fds(), fds + fds_forgotten(120));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fork");
	TCase *tc = conform_tcase(suite, "fork", false);

	tcase_add_loop_test(tc, test_child, 0, 3);
	if (conform_parties(1, "the peer of a process that forks, and one that is killed")) {
		tcase_add_loop_test(tc, test_close_with_living_child, 0, 3);
		tcase_add_test(tc, test_killed);
	}
	if (conform_parties(N_CLIENTS, "many parties")) {
		tcase_add_test(tc, test_many_clients);
		tcase_add_test(tc, test_threads);
	}
	if (conform_tsan_uring())
		conform_skip("instances that come and go in threads",
			     "ThreadSanitizer does not see liburing unmap a ring");
	else
		tcase_add_test(tc, test_start_stop);
	return conform_main(suite);
}

/*
 * Pipes of shared memory: found by name, pushed and popped at both ends.
 */
#include "tests/conform/conform.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static void pipe_pair(int *create, int *open, const char *name)
{
	expect_ok(demi_create_pipe(create, name));
	expect_ok(demi_open_pipe(open, name));
	ck_assert_int_ge(*create, 500);
	ck_assert_int_ne(*create, *open);
}

START_TEST(test_both_ways)
{
	int a, b;

	pipe_pair(&a, &b, "both-ways");
	pump(a, b, 2 * MIB, 100000, 1);
	pump(b, a, 2 * MIB, 100000, 2);
	pump(a, b, 100, 1, 3);
	expect_ok(demi_close(a));
	recv_eof(b);
	expect_ok(demi_close(b));
	expect_bufs_out(0);
}
END_TEST

/* What was pushed before anybody had opened waits for the opener. */
START_TEST(test_pushed_before_open)
{
	int a, b;

	expect_ok(demi_create_pipe(&a, "early"));
	send_bytes(a, 10000, 1, 0);
	send_bytes(a, 10, 1, 10000);
	settle();
	expect_ok(demi_open_pipe(&b, "early"));
	recv_bytes(b, 10010, 1, 0);
	send_bytes(b, 50, 2, 0);
	recv_bytes(a, 50, 2, 0);
	expect_ok(demi_close(b));
	recv_eof(a);
	expect_ok(demi_close(a));
	expect_bufs_out(0);
}
END_TEST

START_TEST(test_names)
{
	char longest[201];
	int a, b, c;

	memset(longest, 'n', 200);
	longest[200] = '\0';
	expect(ENOENT, "no such pipe", demi_open_pipe(&b, "names"));
	expect_ok(demi_create_pipe(&a, "names"));
	expect(EEXIST, "exists", demi_create_pipe(&c, "names"));
	expect_ok(demi_open_pipe(&b, "names"));
	expect(EBUSY, "is open", demi_open_pipe(&c, "names"));
	expect(EEXIST, "exists", demi_create_pipe(&c, "names"));
	expect_ok(demi_close(a));
	settle();
	expect_ok(demi_create_pipe(&a, "names"));	/* free again */
	expect_ok(demi_open_pipe(&c, "names"));
	settle();
	expect_ok(demi_close(c));
	settle();
	expect(EBUSY, "was open", demi_open_pipe(&c, "names"));
	expect_ok(demi_close(a));
	expect_ok(demi_close(b));
	settle();
	expect(ENOENT, "no such pipe", demi_open_pipe(&b, "names"));
	expect_ok(demi_create_pipe(&a, longest));
	expect_ok(demi_create_pipe(&b, ". .. odd\nname: \xff"));
}
END_TEST

/* Whatever names stand beside each other. */
START_TEST(test_names_alike)
{
	static const char *const names[] = { "x.lock", "x.open", "l-x", "l-p-x", "o-p-x", "p-x" };
	int a, b, other[array_size(names)];

	expect_ok(demi_create_pipe(&a, "x"));
	for (size_t i = 0; i < array_size(names); i++)
		expect_ok(demi_create_pipe(&other[i], names[i]));
	expect(EEXIST, "exists", demi_create_pipe(&b, "x"));
	for (size_t i = 0; i < array_size(names); i++)
		expect_ok(demi_close(other[i]));
	expect(EEXIST, "exists", demi_create_pipe(&b, "x"));
	expect_ok(demi_open_pipe(&b, "x"));
	pump(a, b, 1000, 1000, 1);
}
END_TEST

static void sockets_locked(void)
{
	int stream = stream_socket(), dgram = dgram_socket();
	struct sockaddr_in a = address(0), to = address(9);
	demi_sgarray_t sga = alloc(10);
	demi_qtoken_t qt;

	expect(EAGAIN, "names locked", demi_bind(stream, SA(&a), sizeof(a)));
	expect(EAGAIN, "names locked", demi_connect(&qt, dgram, SA(&to), sizeof(to)));
	expect(EAGAIN, "names locked", demi_pushto(&qt, dgram, &sga, SA(&to), sizeof(to)));
	expect_ok(demi_sgafree(&sga));
}

/* Somebody keeps the directory's lock, being stopped or malicious: an errno, after
 * a while. What is closed meanwhile is free. */
START_TEST(test_names_locked)
{
	char path[4096];
	int fd, a, b, c;

	expect_ok(demi_create_pipe(&a, "first"));
	expect_ok(demi_create_pipe(&b, "second"));
	snprintf(path, sizeof(path), "%s/catmem/.lock", getenv("CLOWDER_RUNTIME_DIR"));
	fd = open(path, O_RDWR);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	expect(EAGAIN, "names locked", demi_create_pipe(&c, "third"));
	expect(EAGAIN, "names locked", demi_open_pipe(&c, "first"));
	if (!conform_has(CAP_TCP))
		sockets_locked();
	expect_ok(demi_close(b));
	close(fd);
	expect_ok(demi_create_pipe(&b, "second"));
	expect_ok(demi_open_pipe(&c, "first"));
}
END_TEST

/* A pipe is no socket. */
static int call_rows(int row)
{
	struct sockaddr_in a = address(0);
	socklen_t len = sizeof(a);
	demi_qtoken_t qt;
	int qd = 0, n = 0;

	if (row >= 0)
		expect_ok(demi_create_pipe(&qd, "no-socket"));
	CASE(ENOTSUP, "pipe", demi_bind(qd, SA(&a), len));
	CASE(ENOTSUP, "pipe", demi_listen(qd, 1));
	CASE(ENOTSUP, "pipe", demi_accept(&qt, qd));
	CASE(ENOTSUP, "pipe", demi_connect(&qt, qd, SA(&a), len));
	CASE(ENOTSUP, "pipe", demi_getsockname(qd, SA_OUT(&a), &len));
	CASE(ENOTSUP, "pipe", demi_getpeername(qd, SA_OUT(&a), &len));
	return n;
}

START_TEST(test_calls)
{
	call_rows(_i);
}
END_TEST

/* ---- two parties */

static void opener(int ctl)
{
	int qd;

	conform_start();
	hear_done(ctl);
	expect_ok(demi_open_pipe(&qd, "parties"));
	for (unsigned i = 0; i < 200; i++) {
		recv_bytes(qd, 1 + i * i, i, 0);
		send_bytes(qd, 1 + i * i, i + 1, 0);
	}
	recv_eof(qd);
	expect_ok(demi_close(qd));
	expect_bufs_out(0);
	conform_stop();
}

START_TEST(test_parties)
{
	struct peer peer;
	int qd;

	peer_start(&peer, (enum where)_i, opener);
	conform_start();
	expect_ok(demi_create_pipe(&qd, "parties"));
	say_done(peer.ctl);
	for (unsigned i = 0; i < 200; i++) {
		send_bytes(qd, 1 + i * i, i, 0);
		recv_bytes(qd, 1 + i * i, i + 1, 0);
	}
	expect_ok(demi_close(qd));
	expect_bufs_out(0);
	conform_stop();
	peer_join(&peer);
}
END_TEST

static void creator(int ctl)
{
	int qd;

	conform_start();
	expect_ok(demi_create_pipe(&qd, "killed"));
	send_bytes(qd, 3000, 1, 0);
	say_done(ctl);
	for (;;)
		pause();
}

/* The creator dies: what it had pushed, then the end; the name is free. */
START_TEST(test_creator_killed)
{
	demi_qresult_t qr;
	struct peer peer;
	int qd, again, other;

	peer_start(&peer, IN_PROCESS, creator);
	conform_start();
	hear_done(peer.ctl);
	expect_ok(demi_open_pipe(&qd, "killed"));
	kill(peer.pid, SIGKILL);
	waitpid(peer.pid, NULL, 0);
	do {
		qr = finish(pop(qd));
		if (qr.qr_opcode == DEMI_OPC_POP)
			expect_ok(demi_sgafree(&qr.qr_value.sga));
	} while (qr.qr_opcode == DEMI_OPC_POP && qr.qr_value.sga.sga_segs[0].sgaseg_len);
	ck_assert(qr.qr_opcode == DEMI_OPC_POP || qr.qr_ret == ECONNRESET);
	expect_ok(demi_create_pipe(&again, "killed"));
	expect_ok(demi_open_pipe(&other, "killed"));
	pump(again, other, 1000, 1000, 2);
	expect_ok(demi_close(other));
	expect_ok(demi_close(qd));
	expect_ok(demi_close(again));
	expect_bufs_out(0);
	conform_stop();
}
END_TEST

int main(void)
{
	Suite *suite;
	TCase *tc;

	if (!conform_has(CAP_PIPES)) {
		conform_skip("pipes", "this backend has no shared memory");
		return 0;
	}
	suite = suite_create("pipes");
	tc = conform_tcase(suite, "pipes", true);
	tcase_add_test(tc, test_both_ways);
	tcase_add_test(tc, test_pushed_before_open);
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_names_alike);
	tcase_add_test(tc, test_names_locked);
	add_rows(tc, test_calls, call_rows);

	tc = conform_tcase(suite, "two parties", false);
	tcase_add_loop_test(tc, test_parties, 0, N_WHERE);
	tcase_add_test(tc, test_creator_killed);
	return conform_main(suite);
}

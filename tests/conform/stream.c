/*
 * Streams: every byte in order, whatever the sizes and wherever the other end
 * is; ends of streams, half-closes, connects that fail, accepts.
 */
#include "tests/conform/conform.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_SHIFT 20

/* Powers of two up to 1 MiB, one less and one more. */
static size_t size_of(int i)
{
	size_t len = (size_t)1 << (i / 3);

	return len + (size_t)(i % 3) - 1;
}
#define N_SIZES (3 * (MAX_SHIFT + 1))

START_TEST(test_size)
{
	struct pair p;
	size_t len = size_of(_i);

	if (!len)
		return;
	pair_open(&p);
	pump(p.client, p.server, len, len, (unsigned)_i);
	pump(p.server, p.client, len, len, (unsigned)_i + 1);
	pair_close(&p);
	expect_bufs_out(0);
}
END_TEST

/* Sends back what comes, popped buffers themselves, until the end. */
static void echo(int ctl)
{
	struct sockaddr_in addr;
	demi_sgarray_t sga;
	int lqd, qd;

	conform_start();
	lqd = listener(&addr);
	say(ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	for (;;) {
		sga = popped(qd);
		if (!sga.sga_segs[0].sgaseg_len)
			break;
		finish_ok(push(qd, &sga), DEMI_OPC_PUSH);
		expect_ok(demi_sgafree(&sga));
	}
	expect_ok(demi_sgafree(&sga));
	expect_ok(demi_close(qd));
	conform_stop();
}

/* One message there and back; what is too large for the windows goes on while
 * the answer comes in. */
static void round_trip(int qd, size_t len, unsigned seed)
{
	demi_sgarray_t sga = alloc_filled(len, seed, 0);
	demi_qtoken_t pushed = push(qd, &sga);

	expect_ok(demi_sgafree(&sga));
	recv_bytes(qd, len, seed, 0);
	finish_ok(pushed, DEMI_OPC_PUSH);
}

START_TEST(test_echo)
{
	struct sockaddr_in addr;
	struct peer peer;
	int qd;

	peer_start(&peer, (enum where)_i, echo);
	conform_start();
	hear(peer.ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	for (int i = 1; i < N_SIZES; i++)
		round_trip(qd, size_of(i), (unsigned)i);
	expect_ok(demi_shutdown(qd, SHUT_WR));
	recv_eof(qd);
	expect_ok(demi_close(qd));
	expect_bufs_out(0);
	conform_stop();
	peer_join(&peer);
}
END_TEST

/* Many small pushes under way at once stay in order. */
START_TEST(test_order)
{
	enum { N = 500, LEN = 37 };
	demi_qtoken_t qts[N];
	struct pair p;

	pair_open(&p);
	for (int i = 0; i < N; i++) {
		demi_sgarray_t sga = alloc_filled(LEN, 5, (size_t)i * LEN);

		qts[i] = push(p.client, &sga);
		expect_ok(demi_sgafree(&sga));
	}
	recv_bytes(p.server, N * LEN, 5, 0);
	for (int i = 0; i < N; i++)
		finish_ok(qts[i], DEMI_OPC_PUSH);
	pair_close(&p);
	expect_bufs_out(0);
}
END_TEST

/* Several pops pending are served in the order they were asked for. */
START_TEST(test_pops_in_order)
{
	demi_qtoken_t pops[3];
	demi_qresult_t qr;
	struct pair p;
	int at;

	pair_open(&p);
	for (int i = 0; i < 3; i++)
		pops[i] = pop(p.server);
	for (int i = 0; i < 3; i++) {
		send_bytes(p.client, 10, (unsigned)i, 0);
		expect_ok(demi_wait_any(&qr, &at, pops + i, 3 - i, &LONG_TIME));
		ck_assert_int_eq(at, 0);
		ck_assert_uint_eq(mismatch(qr.qr_value.sga.sga_segs[0].sgaseg_buf, 10,
					   (unsigned)i, 0), 10);
		expect_ok(demi_sgafree(&qr.qr_value.sga));
	}
	pair_close(&p);
}
END_TEST

/* Both directions at once, in chunks of odd sizes. */
START_TEST(test_both_ways)
{
	static const size_t chunks[] = { 1, 99, 4097, 65536, 300001 };
	struct pair p;

	pair_open(&p);
	for (size_t i = 0; i < array_size(chunks); i++) {
		size_t len = chunks[i] < 100 ? 2000 : MIB;

		pump(p.client, p.server, len, chunks[i], (unsigned)i);
		pump(p.server, p.client, len, chunks[i], (unsigned)i);
	}
	pair_close(&p);
	expect_bufs_out(0);
}
END_TEST

/* A result says what it is, and only that. */
START_TEST(test_results)
{
	const demi_sgarray_t none = { 0 };
	struct sockaddr_in local, zero = { 0 };
	demi_qtoken_t at, ct;
	demi_qresult_t qr;
	struct pair p;

	p.listener = listener(&p.addr);
	p.client = stream_socket();
	expect_ok(demi_connect(&ct, p.client, SA(&p.addr), sizeof(p.addr)));
	expect_ok(demi_accept(&at, p.listener));
	qr = finish_ok(ct, DEMI_OPC_CONNECT);
	ck_assert_int_eq(qr.qr_qd, p.client);
	ck_assert_mem_eq(&qr.qr_value.sga, &none, sizeof(none));
	qr = finish_ok(at, DEMI_OPC_ACCEPT);
	ck_assert_int_eq(qr.qr_qd, p.listener);
	p.server = qr.qr_value.ares.qd;
	local = local_address(p.client);
	ck_assert_int_eq(qr.qr_value.ares.addr.sin_family, AF_INET);
	ck_assert_uint_eq(qr.qr_value.ares.addr.sin_port, local.sin_port);
	ck_assert_uint_eq(qr.qr_value.ares.addr.sin_addr.s_addr, local.sin_addr.s_addr);
	send_bytes(p.client, 33, 1, 0);
	qr = finish_ok(pop(p.server), DEMI_OPC_POP);
	ck_assert_int_eq(qr.qr_qd, p.server);
	ck_assert_uint_eq(qr.qr_value.sga.sga_numsegs, 1);
	ck_assert_mem_eq(&qr.qr_value.sga.sga_addr, &zero, sizeof(zero));
	expect_ok(demi_sgafree(&qr.qr_value.sga));
	pair_close(&p);
}
END_TEST

/* ---- ends ---- */

/* SHUT_WR: the end comes behind the bytes; the other way goes on. */
START_TEST(test_shut_wr)
{
	demi_sgarray_t sga = alloc_filled(16, 1, 0);
	demi_qtoken_t qt = 99;
	struct pair p;

	pair_open(&p);
	if (_i) {		/* the accepting side instead */
		int t = p.client;

		p.client = p.server;
		p.server = t;
	}
	send_bytes(p.client, 70000, 2, 0);
	expect_ok(demi_shutdown(p.client, SHUT_WR));
	recv_bytes(p.server, 70000, 2, 0);
	recv_eof(p.server);
	recv_eof(p.server);
	expect(EPIPE, "after SHUT_WR", demi_push(&qt, p.client, &sga));
	expect(EPIPE, "after SHUT_WR",
	       demi_pushto(&qt, p.client, &sga, SA(&p.addr), sizeof(p.addr)));
	pump(p.server, p.client, 100000, 30000, 3);
	expect_ok(demi_shutdown(p.server, SHUT_WR));
	recv_eof(p.client);
	expect_ok(demi_sgafree(&sga));
	pair_close(&p);
	expect_bufs_out(0);
}
END_TEST

/* SHUT_RD: pops are the end of the stream, what comes is dropped, and the
 * sender is not held up by it. */
START_TEST(test_shut_rd)
{
	demi_qtoken_t pending;
	struct pair p;

	pair_open(&p);
	pending = pop(p.server);
	expect_ok(demi_shutdown(p.server, SHUT_RD));
	finish_bytes(pending, 0, 0, 0);
	send_bytes(p.client, 1000, 2, 0);
	settle();
	recv_eof(p.server);
	pump(p.server, p.client, 100000, 30000, 3);
	expect_ok(demi_shutdown(p.server, SHUT_RDWR));
	recv_eof(p.client);
	pair_close(&p);
	expect_bufs_out(0);
}
END_TEST

/* A pop that waits when the peer closes gets the end; so does every later one. */
START_TEST(test_eof_to_pending_pops)
{
	demi_qtoken_t pops[3];
	struct pair p;

	pair_open(&p);
	for (int i = 0; i < 3; i++)
		pops[i] = pop(p.client);
	send_bytes(p.server, 10, 1, 0);
	expect_ok(demi_close(p.server));
	finish_bytes(pops[0], 10, 1, 0);
	finish_bytes(pops[1], 0, 0, 0);
	finish_bytes(pops[2], 0, 0, 0);
	recv_eof(p.client);
	expect_ok(demi_close(p.client));
	expect_bufs_out(0);
}
END_TEST

/* A reset: what had arrived first, then the cause, for pops and pushes. */
START_TEST(test_reset)
{
	struct linger hard = { .l_onoff = 1 };
	demi_sgarray_t sga = alloc_filled(16, 1, 0);
	demi_qtoken_t pending = 0;
	struct pair p;

	pair_open(&p);
	send_bytes(p.server, 5000, 4, 0);
	recv_bytes(p.client, 5000, 4, 0);
	expect_ok(demi_setsockopt(p.server, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)));
	if (_i)
		pending = pop(p.client);
	expect_ok(demi_close(p.server));
	if (_i)
		finish_failed(pending, "demi_pop", ECONNRESET, "reset");
	else
		settle();
	for (int i = 0; i < 3; i++) {
		finish_failed(pop(p.client), "demi_pop", ECONNRESET, "reset");
		finish_failed(push(p.client, &sga), "demi_push", ECONNRESET, "reset");
	}
	expect_ok(demi_sgafree(&sga));
	expect_ok(demi_close(p.client));
	expect_ok(demi_close(p.listener));
	expect_bufs_out(0);
}
END_TEST

/* Bytes that arrived before the reset are given, though nobody had asked. */
START_TEST(test_reset_after_bytes)
{
	struct linger hard = { .l_onoff = 1 };
	struct pair p;

	pair_open(&p);
	send_bytes(p.server, 10, 4, 0);
	recv_bytes(p.client, 10, 4, 0);
	send_bytes(p.server, 20000, 4, 10);
	settle();
	expect_ok(demi_setsockopt(p.server, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)));
	expect_ok(demi_close(p.server));
	settle();
	recv_bytes(p.client, 20000, 4, 10);
	finish_failed(pop(p.client), "demi_pop", ECONNRESET, "reset");
	expect_ok(demi_close(p.client));
}
END_TEST

/* ---- connecting and accepting ---- */

/* After a refused connect the queue is as new. */
START_TEST(test_refused)
{
	struct sockaddr_in addr, free_addr = address(0);
	demi_qtoken_t qt;
	int lqd = listener(&addr), qd = stream_socket();

	expect_ok(demi_close(lqd));
	for (int i = 0; i < 3; i++) {
		expect_ok(demi_connect(&qt, qd, SA(&addr), sizeof(addr)));
		finish_failed(qt, "demi_connect", ECONNREFUSED, "nobody listens");
		expect(ENOTCONN, "stream new", demi_pop(&qt, qd));
	}
	if (_i == 0) {
		lqd = listener(&addr);
		expect_ok(demi_connect(&qt, qd, SA(&addr), sizeof(addr)));
		finish_ok(qt, DEMI_OPC_CONNECT);
		ck_assert_int_ge(accept_one(lqd), 500);
	} else {
		expect(EDESTADDRREQ, "stream new", demi_listen(qd, 1));
		expect_ok(demi_bind(qd, SA(&free_addr), sizeof(free_addr)));
		expect_ok(demi_listen(qd, 1));
	}
}
END_TEST

/* A bound queue connects from its address, and keeps it over a refusal. */
START_TEST(test_connect_bound)
{
	struct sockaddr_in addr, mine, seen;
	socklen_t len = sizeof(seen);
	demi_qtoken_t qt;
	int lqd = listener(&addr), qd = bound_socket(SOCK_STREAM, &mine);

	expect_ok(demi_connect(&qt, qd, SA(&addr), sizeof(addr)));
	finish_ok(qt, DEMI_OPC_CONNECT);
	expect_ok(demi_getpeername(accept_one(lqd), SA_OUT(&seen), &len));
	ck_assert_uint_eq(seen.sin_port, mine.sin_port);
	seen = local_address(qd);
	ck_assert_uint_eq(seen.sin_port, mine.sin_port);
}
END_TEST

/* Connections come to the accepts in order, both ways round. */
START_TEST(test_accepts)
{
	enum { N = 8 };
	demi_qtoken_t at[N];
	struct sockaddr_in addr;
	int lqd = listener(&addr), client[N];

	for (int i = 0; i < N; i++)
		expect_ok(demi_accept(&at[i], lqd));
	for (int i = 0; i < N; i++) {
		struct sockaddr_in local;
		demi_qresult_t qr;

		client[i] = connect_to(&addr);
		local = local_address(client[i]);
		qr = finish_ok(at[i], DEMI_OPC_ACCEPT);
		ck_assert_uint_eq(qr.qr_value.ares.addr.sin_port, local.sin_port);
	}
	for (int i = 0; i < N; i++)
		client[i] = connect_to(&addr);
	for (int i = 0; i < N; i++) {
		int server = accept_one(lqd);

		send_bytes(server, 9, (unsigned)i, 0);
		recv_bytes(client[i], 9, (unsigned)i, 0);
	}
}
END_TEST

/* The backlog counts who waits, not who is in use. */
START_TEST(test_backlog)
{
	struct sockaddr_in addr;
	int lqd = bound_socket(SOCK_STREAM, &addr);

	expect_ok(demi_listen(lqd, 1));
	for (int i = 0; i < 20; i++) {
		int qd = connect_to(&addr);
		int server = accept_one(lqd);

		send_bytes(qd, 9, (unsigned)i, 0);
		recv_bytes(server, 9, (unsigned)i, 0);
	}
}
END_TEST

static void waits_in_backlog(int ctl)
{
	struct sockaddr_in addr;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	connect_to(&addr);
	say_done(ctl);
	for (;;)
		pause();
}

/* Who is killed in the backlog does not keep the next one out. */
START_TEST(test_backlog_killed)
{
	demi_qresult_t qr = { .qr_opcode = DEMI_OPC_INVALID };
	struct sockaddr_in addr;
	struct peer peer;
	int lqd, qd, server;
	demi_qtoken_t ct;
	char c;

	peer_start(&peer, IN_PROCESS, waits_in_backlog);
	conform_start();
	lqd = bound_socket(SOCK_STREAM, &addr);
	expect_ok(demi_listen(lqd, 1));
	say(peer.ctl, &addr, sizeof(addr));
	while (recv(peer.ctl, &c, 1, MSG_DONTWAIT) != 1)
		settle();
	qd = stream_socket();
	expect_ok(demi_connect(&ct, qd, SA(&addr), sizeof(addr)));
	settle();
	kill(peer.pid, SIGKILL);
	waitpid(peer.pid, NULL, 0);
	finish_ok(ct, DEMI_OPC_CONNECT);
	send_bytes(qd, 10, 1, 0);
	do {	/* TCP hands out the dead one, too */
		server = accept_one(lqd);
		qr = finish(pop(server));
	} while (qr.qr_opcode == DEMI_OPC_FAILED || !qr.qr_value.sga.sga_segs[0].sgaseg_len);
	ck_assert_uint_eq(qr.qr_value.sga.sga_segs[0].sgaseg_len, 10);
	conform_stop();
}
END_TEST

static void serves(int ctl)
{
	struct sockaddr_in addr;
	int one = 1, lqd;

	hear(ctl, &addr, sizeof(addr));
	conform_start();
	lqd = stream_socket();
	expect_ok(demi_setsockopt(lqd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	expect_ok(demi_bind(lqd, SA(&addr), sizeof(addr)));
	expect_ok(demi_listen(lqd, 8));
	addr = local_address(lqd);
	say(ctl, &addr, sizeof(addr));
	recv_bytes(accept_one(lqd), 10, 1, 0);
	hear_done(ctl);
	conform_stop();
}

/* One has served us and was killed, a second has its address. */
static struct sockaddr_in serve_anew(struct peer *second)
{
	struct sockaddr_in addr = address(0);
	struct peer first;

	peer_start(&first, IN_PROCESS, serves);
	peer_start(second, IN_PROCESS, serves);
	conform_start();
	say(first.ctl, &addr, sizeof(addr));
	hear(first.ctl, &addr, sizeof(addr));
	send_bytes(connect_to(&addr), 10, 1, 0);
	kill(first.pid, SIGKILL);
	waitpid(first.pid, NULL, 0);
	say(second->ctl, &addr, sizeof(addr));
	hear(second->ctl, &addr, sizeof(addr));
	return addr;
}

/* A server that was killed and started anew is reached at once. */
START_TEST(test_restart)
{
	struct sockaddr_in addr;
	struct peer second;

	addr = serve_anew(&second);
	send_bytes(connect_to(&addr), 10, 1, 0);
	say_done(second.ctl);
	peer_join(&second);
	conform_stop();
}
END_TEST

/* Also by many that were under way when it died: over one link, where there are
 * links. */
START_TEST(test_restart_many)
{
	enum { N = 6 };
	struct sockaddr_in addr;
	demi_qtoken_t qts[N];
	struct peer second;
	int qds[N];

	addr = serve_anew(&second);
	for (int i = 0; i < N; i++) {
		qds[i] = stream_socket();
		expect_ok(demi_connect(&qts[i], qds[i], SA(&addr), sizeof(addr)));
	}
	for (int i = 0; i < N; i++) {
		finish_ok(qts[i], DEMI_OPC_CONNECT);
		send_bytes(qds[i], 10, 1, 0);
	}
	if (!conform_has(CAP_TCP))
		ck_assert_uint_eq(counter("catmem.links"), 1);
	say_done(second.ctl);
	peer_join(&second);
	conform_stop();
}
END_TEST

/* A server that greets whom it lets in, while another's bytes fill the way there. */
static void greets(int ctl)
{
	demi_sgarray_t sga;
	struct sockaddr_in addr;
	int lqd, first, second;

	conform_start();
	lqd = listener(&addr);
	say(ctl, &addr, sizeof(addr));
	first = accept_one(lqd);
	hear_done(ctl);
	for (size_t i = 0; i < 80; i++) {
		sga = alloc_filled(8, 1, i * 8);
		push(first, &sga);
		expect_ok(demi_sgafree(&sga));
	}
	second = accept_one(lqd);
	hear_done(ctl);
	usleep(100000); /* it reads, and we say nothing meanwhile */
	sga = alloc_filled(8, 2, 0);
	push(second, &sga);
	expect_ok(demi_sgafree(&sga));
	recv_eof(second);
	conform_stop();
}

START_TEST(test_greeting)
{
	struct sockaddr_in addr;
	demi_qtoken_t ct;
	struct peer peer;
	int first, second;

	peer_start(&peer, IN_PROCESS, greets);
	conform_start();
	hear(peer.ctl, &addr, sizeof(addr));
	first = connect_to(&addr);
	second = stream_socket();
	expect_ok(demi_connect(&ct, second, SA(&addr), sizeof(addr)));
	settle();
	say_done(peer.ctl);
	usleep(300000); /* it fills the way, and lets the second in */
	say_done(peer.ctl);
	finish_ok(ct, DEMI_OPC_CONNECT);
	recv_bytes(first, 640, 1, 0);
	recv_bytes(second, 8, 2, 0);
	expect_ok(demi_close(second));
	peer_join(&peer);
	conform_stop();
}
END_TEST

/* A client may push and close before it was accepted; nothing is lost. */
START_TEST(test_pushed_before_accept)
{
	struct sockaddr_in addr;
	int lqd = listener(&addr), qd = connect_to(&addr);

	send_bytes(qd, 3000, 7, 0);
	expect_ok(demi_close(qd));
	settle();
	qd = accept_one(lqd);
	recv_bytes(qd, 3000, 7, 0);
	recv_eof(qd);
}
END_TEST

/* Who waits in the backlog of a listener that closes is told. */
START_TEST(test_listener_closes)
{
	struct sockaddr_in addr;
	demi_qresult_t qr;
	int lqd = listener(&addr), qd = connect_to(&addr);
	demi_qtoken_t qt = pop(qd);

	expect_ok(demi_close(lqd));
	qr = finish(qt);
	if (qr.qr_opcode == DEMI_OPC_FAILED)
		ck_assert_int_eq(qr.qr_ret, ECONNRESET);
	else
		ck_assert_uint_eq(qr.qr_value.sga.sga_segs[0].sgaseg_len, 0);
}
END_TEST

/* ---- addresses ---- */

START_TEST(test_wildcard)
{
	struct sockaddr_in addr = address(0), any = { .sin_family = AF_INET };
	int lqd = stream_socket(), qd;

	expect_ok(demi_bind(lqd, SA(&any), sizeof(any)));
	expect_ok(demi_listen(lqd, 8));
	any = local_address(lqd);
	ck_assert_uint_ne(any.sin_port, 0);
	addr.sin_port = any.sin_port;
	qd = connect_to(&addr);
	send_bytes(qd, 10, 1, 0);
	recv_bytes(accept_one(lqd), 10, 1, 0);
}
END_TEST

START_TEST(test_address_in_use)
{
	int type = _i ? SOCK_DGRAM : SOCK_STREAM;
	struct sockaddr_in addr, other = address(0);
	int qd = bound_socket(type, &addr), second = _i ? dgram_socket() : stream_socket();

	if (!_i)
		expect_ok(demi_listen(qd, 1));
	expect(EADDRINUSE, "taken", demi_bind(second, SA(&addr), sizeof(addr)));
	expect_ok(demi_bind(second, SA(&other), sizeof(other)));
	expect_ok(demi_close(qd));
	settle();
	second = _i ? dgram_socket() : stream_socket();
	expect_ok(demi_bind(second, SA(&addr), sizeof(addr)));
}
END_TEST

START_TEST(test_not_our_address)
{
	struct sockaddr_in addr = address(0);
	int qd = _i ? dgram_socket() : stream_socket();

	inet_pton(AF_INET, "192.0.2.77", &addr.sin_addr);
	if (conform_has(CAP_ANY_ADDR))
		expect_ok(demi_bind(qd, SA(&addr), sizeof(addr)));
	else
		expect(EADDRNOTAVAIL, "not ours", demi_bind(qd, SA(&addr), sizeof(addr)));
	addr = address(0);
	if (!conform_has(CAP_ANY_ADDR))
		expect_ok(demi_bind(qd, SA(&addr), sizeof(addr)));
}
END_TEST

/* pushto on a stream is a push: the address is not looked at. */
START_TEST(test_pushto)
{
	struct sockaddr_in nowhere = address(9);
	demi_sgarray_t sga = alloc_filled(50, 6, 0);
	demi_qtoken_t qt;
	struct pair p;

	pair_open(&p);
	expect_ok(demi_pushto(&qt, p.client, &sga, SA(&nowhere), sizeof(nowhere)));
	finish_ok(qt, DEMI_OPC_PUSH);
	expect_ok(demi_sgafree(&sga));
	recv_bytes(p.server, 50, 6, 0);
}
END_TEST

/* DEMI_POP_SEGS: a pop may have several segments; the bytes are the same. */
START_TEST(test_pop_segs)
{
	struct pair p;
	size_t done = 0;
	int on = 1;

	pair_open(&p);
	expect_ok(demi_setsockopt(p.server, SOL_DEMI, DEMI_POP_SEGS, &on, sizeof(on)));
	for (unsigned i = 0; i < 12; i++)
		send_bytes(p.client, 5000, 8, i * 5000);
	settle();
	while (done < 60000) {
		demi_qresult_t qr = finish_ok(pop(p.server), DEMI_OPC_POP);
		const demi_sgarray_t *sga = &qr.qr_value.sga;

		ck_assert_uint_ge(sga->sga_numsegs, 1);
		ck_assert_uint_le(sga->sga_numsegs, DEMI_SGARRAY_MAXSIZE);
		for (uint32_t i = 0; i < sga->sga_numsegs; i++) {
			uint32_t len = sga->sga_segs[i].sgaseg_len;

			ck_assert_uint_gt(len, 0);
			ck_assert_uint_eq(mismatch(sga->sga_segs[i].sgaseg_buf, len, 8, done), len);
			done += len;
		}
		expect_ok(demi_sgafree(&qr.qr_value.sga));
		expect(EINVAL, "already freed", demi_sgafree(&qr.qr_value.sga));
	}
	expect_ok(demi_shutdown(p.client, SHUT_WR));
	recv_eof(p.server);
	pair_close(&p);
	expect_bufs_out(0);
}
END_TEST

static void add_data(Suite *suite)
{
	TCase *tc = conform_tcase(suite, "data", true);

	tcase_add_loop_test(tc, test_size, 0, N_SIZES);
	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_pops_in_order);
	tcase_add_test(tc, test_both_ways);
	tcase_add_test(tc, test_results);
	tcase_add_test(tc, test_pushto);
	tcase_add_test(tc, test_pop_segs);
	if (conform_parties(1, "an echo"))
		tcase_add_loop_test(conform_tcase(suite, "echo", false), test_echo, 0, N_WHERE);
}

static void add_ends(Suite *suite)
{
	TCase *tc = conform_tcase(suite, "ends", true);

	tcase_add_loop_test(tc, test_shut_wr, 0, 2);
	tcase_add_test(tc, test_shut_rd);
	tcase_add_test(tc, test_eof_to_pending_pops);
	tcase_add_loop_test(tc, test_reset, 0, 2);
	tcase_add_test(tc, test_reset_after_bytes);
}

static void add_killed(Suite *suite)
{
	TCase *tc;

	if (!conform_parties(1, "a peer that is killed"))
		return;
	tc = conform_tcase(suite, "killed", false);
	tcase_add_test(tc, test_backlog_killed);
	tcase_add_test(tc, test_restart);
	tcase_add_test(tc, test_restart_many);
	tcase_add_test(tc, test_greeting);
}

int main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tc = conform_tcase(suite, "connecting", true);

	tcase_add_loop_test(tc, test_refused, 0, 2);
	tcase_add_test(tc, test_connect_bound);
	tcase_add_test(tc, test_accepts);
	tcase_add_test(tc, test_backlog);
	tcase_add_test(tc, test_pushed_before_accept);
	tcase_add_test(tc, test_listener_closes);
	tcase_add_test(tc, test_wildcard);
	tcase_add_loop_test(tc, test_address_in_use, 0, 2);
	tcase_add_loop_test(tc, test_not_our_address, 0, 2);
	add_data(suite);
	add_ends(suite);
	add_killed(suite);
	return conform_main(suite);
}

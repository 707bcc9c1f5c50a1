/*
 * Datagrams: one push, one pop; boundaries, sources, sizes; how a queue gets
 * its address and its peer.
 */
#include "tests/conform/conform.h"

#include <stdlib.h>
#include <string.h>

static struct {
	int a, b;
	struct sockaddr_in addr_a, addr_b;
} f;

static void setup(void)
{
	conform_start();
	f.a = bound_socket(SOCK_DGRAM, &f.addr_a);
	f.b = bound_socket(SOCK_DGRAM, &f.addr_b);
}

static void teardown(void)
{
	expect_ok(demi_close(f.a));
	expect_ok(demi_close(f.b));
	expect_bufs_out(0);
	conform_stop();
}

static void send_to(int qd, const demi_sgarray_t *sga, const struct sockaddr_in *to)
{
	demi_qtoken_t qt;

	expect_ok(demi_pushto(&qt, qd, sga, SA(to), sizeof(*to)));
	finish_ok(qt, DEMI_OPC_PUSH);
}

static void send_filled(int qd, size_t len, unsigned seed, const struct sockaddr_in *to)
{
	demi_sgarray_t sga = alloc_filled(len, seed, 0);

	send_to(qd, &sga, to);
	expect_ok(demi_sgafree(&sga));
}

/* The next datagram is exactly this one, from there. */
static void expect_datagram(int qd, size_t len, unsigned seed, const struct sockaddr_in *from)
{
	demi_sgarray_t sga = popped(qd);

	ck_assert_uint_eq(sga.sga_segs[0].sgaseg_len, len);
	ck_assert_uint_eq(mismatch(sga.sga_segs[0].sgaseg_buf, len, seed, 0), len);
	ck_assert_int_eq(sga.sga_addr.sin_family, AF_INET);
	ck_assert_uint_eq(sga.sga_addr.sin_port, from->sin_port);
	ck_assert_uint_eq(sga.sga_addr.sin_addr.s_addr, from->sin_addr.s_addr);
	expect_ok(demi_sgafree(&sga));
}

START_TEST(test_sizes)
{
	for (unsigned shift = 0; shift <= 15; shift++) {
		for (int d = -1; d <= 1; d++) {
			size_t len = (1u << shift) + (size_t)d;

			if (!len)
				continue;
			send_filled(f.a, len, shift, &f.addr_b);
			expect_datagram(f.b, len, shift, &f.addr_a);
		}
	}
	send_filled(f.a, 65507, 3, &f.addr_b);
	expect_datagram(f.b, 65507, 3, &f.addr_a);
}
END_TEST

/* One over what the path can carry fails at once, and the next one is sent. */
START_TEST(test_too_large)
{
	demi_sgarray_t sga = alloc(MIB);
	demi_qtoken_t qt = 99;

	sga.sga_segs[0].sgaseg_len = 65508;
	expect(EMSGSIZE, "too large", demi_pushto(&qt, f.a, &sga, SA(&f.addr_b), 16));
	expect_ok(demi_connect(&qt, f.a, SA(&f.addr_b), sizeof(f.addr_b)));
	finish_ok(qt, DEMI_OPC_CONNECT);
	expect(EMSGSIZE, "too large", demi_push(&qt, f.a, &sga));
	expect_ok(demi_sgafree(&sga));
	send_filled(f.a, 10, 3, &f.addr_b);
	expect_datagram(f.b, 10, 3, &f.addr_a);
}
END_TEST

/* Several datagrams wait; each pop gives one, in order. */
START_TEST(test_boundaries)
{
	static const size_t lens[] = { 1, 1400, 2, 9000, 3, 64, 30000, 1 };

	for (unsigned i = 0; i < array_size(lens); i++)
		send_filled(f.a, lens[i], i, &f.addr_b);
	for (unsigned i = 0; i < array_size(lens); i++)
		expect_datagram(f.b, lens[i], i, &f.addr_a);
}
END_TEST

/* Pops that wait are served in order, each with a datagram. */
START_TEST(test_pending_pops)
{
	demi_qtoken_t pops[4];

	for (int i = 0; i < 4; i++)
		pops[i] = pop(f.b);
	for (unsigned i = 0; i < 4; i++)
		send_filled(f.a, 10 + i, i, &f.addr_b);
	for (unsigned i = 0; i < 4; i++)
		finish_bytes(pops[i], 10 + i, i, 0);
}
END_TEST

/* Two came, one is popped: one pass finds the other, also by a wait of zero and
 * whatever else goes on. */
START_TEST(test_second_is_found)
{
	struct sockaddr_in addr_c;
	int c = bound_socket(SOCK_DGRAM, &addr_c);
	demi_qresult_t qr;

	for (unsigned i = 0; i < 100; i++) {
		demi_qtoken_t busy, qt;

		send_filled(f.a, 10, i, &f.addr_b);
		send_filled(f.a, 20, i, &f.addr_b);
		expect_datagram(f.b, 10, i, &f.addr_a);
		qt = pop(f.b);
		busy = pop(c);
		if (i % 2)
			send_filled(f.a, 30, i, &addr_c);
		if (i % 4 < 2)
			expect_ok(demi_wait(&qr, qt, &NO_TIME));
		else
			qr = finish(qt);
		ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_POP);
		ck_assert_uint_eq(qr.qr_value.sga.sga_segs[0].sgaseg_len, 20);
		expect_ok(demi_sgafree(&qr.qr_value.sga));
		if (i % 2 == 0)
			send_filled(f.a, 30, i, &addr_c);
		finish_bytes(busy, 30, i, 0);
	}
	expect_ok(demi_close(c));
}
END_TEST

enum after { AFTER_NOTHING, AFTER_CLOSE, AFTER_CONNECT, AFTER_SHUTDOWN, AFTER_TOO_LARGE, N_AFTER };

static void after_answers(enum after what)
{
	struct sockaddr_in elsewhere;
	demi_sgarray_t large;
	demi_qtoken_t qt = 99;

	if (what == AFTER_CLOSE) {
		expect_ok(demi_close(f.b));
		f.b = bound_socket(SOCK_DGRAM, &f.addr_b);
	} else if (what == AFTER_CONNECT) {
		elsewhere = f.addr_b;
		expect_ok(demi_connect(&qt, f.b, SA(&elsewhere), sizeof(elsewhere)));
		finish_ok(qt, DEMI_OPC_CONNECT);
	} else if (what == AFTER_SHUTDOWN) {
		expect_ok(demi_shutdown(f.b, SHUT_WR));
	} else if (what == AFTER_TOO_LARGE) {
		large = alloc(MIB);
		large.sga_segs[0].sgaseg_len = 65508;
		expect(EMSGSIZE, "too large", demi_pushto(&qt, f.b, &large, SA(&f.addr_a), 16));
		expect_ok(demi_sgafree(&large));
	}
}

/* Many come at once, the answers are pushed one after the other and to whom the
 * queue was connected, and whatever the program does next takes none back. */
START_TEST(test_answers_together)
{
	enum { N = 40 };
	struct sockaddr_in addr_b;
	demi_qtoken_t pops[N], pushes[N], qt;
	demi_sgarray_t sgas[N];

	expect_ok(demi_connect(&qt, f.b, SA(&f.addr_a), sizeof(f.addr_a)));
	finish_ok(qt, DEMI_OPC_CONNECT);
	addr_b = local_address(f.b);
	for (unsigned i = 0; i < N; i++)
		send_filled(f.a, 20 + i, i, &addr_b);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < N; i++)
			pops[i] = pop(f.b);
		for (unsigned i = 0; i < N; i++)
			sgas[i] = finish_ok(pops[i], DEMI_OPC_POP).qr_value.sga;
		for (unsigned i = 0; i < N; i++) {
			if (i % 3)
				pushes[i] = push(f.b, &sgas[i]);
			else
				expect_ok(demi_pushto(&pushes[i], f.b, &sgas[i], SA(&f.addr_a), 16));
			expect_ok(demi_sgafree(&sgas[i]));
		}
		if (round)
			after_answers((enum after)_i);
		for (unsigned i = 0; i < N; i++) {
			finish_ok(pushes[i], DEMI_OPC_PUSH);
			expect_datagram(f.a, 20 + i, i, &addr_b);
			if (!round)
				send_filled(f.a, 20 + i, i, &addr_b);
		}
	}
}
END_TEST

/* Several segments become one datagram, popped as one segment. */
START_TEST(test_joined)
{
	demi_sgarray_t whole = alloc_filled(4000, 5, 0), composed = { 0 };
	demi_sgarray_t part[3];

	for (unsigned i = 0; i < 3; i++) {
		part[i] = alloc_filled(1000, 5, i * 1000);
		compose(&composed, &part[i], 0, 1000);
	}
	compose(&composed, &whole, 3000, 1000);
	send_to(f.a, &composed, &f.addr_b);
	for (unsigned i = 0; i < 3; i++)
		expect_ok(demi_sgafree(&part[i]));
	expect_ok(demi_sgafree(&whole));
	expect_datagram(f.b, 4000, 5, &f.addr_a);
}
END_TEST

/* An unbound queue gets a port from its first pushto, and can be answered. */
START_TEST(test_implicit_bind)
{
	int qd = dgram_socket();
	struct sockaddr_in mine;
	socklen_t len = sizeof(mine);
	demi_sgarray_t sga;

	expect(ENOTCONN, "not bound", demi_getsockname(qd, SA_OUT(&mine), &len));
	send_filled(qd, 100, 1, &f.addr_a);
	mine = local_address(qd);
	ck_assert_uint_ne(mine.sin_port, 0);
	sga = popped(f.a);
	ck_assert_uint_eq(sga.sga_addr.sin_port, mine.sin_port);
	send_to(f.a, &sga, &sga.sga_addr);	/* what was popped, to who sent it */
	expect_ok(demi_sgafree(&sga));
	expect_datagram(qd, 100, 1, &f.addr_a);
	expect(EINVAL, "datagram bound", demi_bind(qd, SA(&f.addr_a), sizeof(f.addr_a)));
	expect_ok(demi_close(qd));
}
END_TEST

static void connect_dgram(int qd, const struct sockaddr_in *to)
{
	demi_qtoken_t qt;
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);

	expect_ok(demi_connect(&qt, qd, SA(to), sizeof(*to)));
	finish_ok(qt, DEMI_OPC_CONNECT);
	expect_ok(demi_getpeername(qd, SA_OUT(&peer), &len));
	ck_assert_uint_eq(peer.sin_port, to->sin_port);
}

/* Another connect gives another peer. */
START_TEST(test_reconnect)
{
	int qd = dgram_socket();
	struct sockaddr_in mine;

	connect_dgram(qd, &f.addr_a);
	mine = local_address(qd);
	send_bytes(qd, 20, 1, 0);
	expect_datagram(f.a, 20, 1, &mine);
	connect_dgram(qd, &f.addr_b);
	mine = local_address(qd);
	send_bytes(qd, 30, 2, 0);
	expect_datagram(f.b, 30, 2, &mine);
	send_filled(f.b, 40, 3, &mine);
	expect_datagram(qd, 40, 3, &f.addr_b);
	still_pending(pop(f.a));
	expect_ok(demi_close(qd));
}
END_TEST

/* Nobody there: the push has been sent; the queue works on. */
START_TEST(test_to_nobody)
{
	struct sockaddr_in gone;

	expect_ok(demi_close(bound_socket(SOCK_DGRAM, &gone)));
	for (int i = 0; i < 3; i++) {
		demi_sgarray_t sga = alloc_filled(10, 1, 0);
		demi_qtoken_t qt;

		expect_ok(demi_pushto(&qt, f.a, &sga, SA(&gone), sizeof(gone)));
		finish(qt);
		expect_ok(demi_sgafree(&sga));
	}
	send_filled(f.a, 11, 2, &f.addr_b);
	expect_datagram(f.b, 11, 2, &f.addr_a);
	send_filled(f.b, 12, 3, &f.addr_a);
	expect_datagram(f.a, 12, 3, &f.addr_b);
}
END_TEST

/* Nobody pops: what is over the limit is dropped, nothing stalls or breaks. */
START_TEST(test_flood)
{
	demi_qtoken_t qt;

	for (unsigned i = 0; i < 3000; i++)
		send_filled(f.a, 4000, i, &f.addr_b);
	send_filled(f.b, 12, 3, &f.addr_a);
	expect_datagram(f.a, 12, 3, &f.addr_b);
	for (;;) {
		demi_qresult_t qr;

		qt = pop(f.b);
		if (demi_wait(&qr, qt, &NO_TIME) == ETIMEDOUT)
			break;
		ck_assert_uint_eq(qr.qr_value.sga.sga_segs[0].sgaseg_len, 4000);
		expect_ok(demi_sgafree(&qr.qr_value.sga));
	}
	settle();
	expect_ok(demi_cancel(qt));
	finish(qt);
}
END_TEST

static void pong(int ctl)
{
	struct sockaddr_in addr;
	int qd;

	conform_start();
	qd = bound_socket(SOCK_DGRAM, &addr);
	say(ctl, &addr, sizeof(addr));
	for (int i = 0; i < 200; i++) {
		demi_sgarray_t sga = popped(qd);

		send_to(qd, &sga, &sga.sga_addr);
		expect_ok(demi_sgafree(&sga));
	}
	hear_done(ctl);
	expect_ok(demi_close(qd));
	expect_bufs_out(0);
	conform_stop();
}

START_TEST(test_echo)
{
	struct sockaddr_in addr;
	struct peer peer;
	int qd;

	peer_start(&peer, (enum where)_i, pong);
	conform_start();
	hear(peer.ctl, &addr, sizeof(addr));
	qd = dgram_socket();
	for (unsigned i = 0; i < 200; i++) {
		send_filled(qd, 1 + i * 37 % 9000, i, &addr);
		expect_datagram(qd, 1 + i * 37 % 9000, i, &addr);
	}
	say_done(peer.ctl);
	expect_ok(demi_close(qd));
	expect_bufs_out(0);
	conform_stop();
	peer_join(&peer);
}
END_TEST

/* A queue that had short datagrams and holds nothing gets a longer one, too, when the
 * program has all of the pool. */
START_TEST(test_longer_at_limit)
{
	static const uint32_t lens[] = { 65, 1000, 2048, 4096 };
	struct sockaddr_in addr;
	demi_sgarray_t sga, held;
	int qd;

	setenv("CLOWDER_POOL_MAX_BYTES", "16M", 1);
	conform_start();
	qd = bound_socket(SOCK_DGRAM, &addr);
	f.addr_a = addr;
	sga = alloc_filled(4096, 1, 0);
	sga.sga_segs[0].sgaseg_len = 20;
	for (int i = 0; i < 70; i++) {
		send_to(qd, &sga, &addr);
		expect_datagram(qd, 20, 1, &addr);
	}
	for (int i = 0; i < 2; i++) {
		do
			held = demi_sgaalloc(i ? 2048 : 65536);
		while (held.sga_numsegs);
	}
	for (int i = 0; i < 20 * (int)array_size(lens); i++) {
		sga.sga_segs[0].sgaseg_len = lens[i % array_size(lens)];
		send_to(qd, &sga, &addr);
		expect_datagram(qd, sga.sga_segs[0].sgaseg_len, 1, &addr);
	}
	conform_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dgram");
	TCase *tc = conform_tcase(suite, "dgram", false);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_sizes);
	tcase_add_test(tc, test_too_large);
	tcase_add_test(tc, test_boundaries);
	tcase_add_test(tc, test_pending_pops);
	tcase_add_test(tc, test_second_is_found);
	tcase_add_loop_test(tc, test_answers_together, 0, N_AFTER);
	tcase_add_test(tc, test_joined);
	tcase_add_test(tc, test_implicit_bind);
	tcase_add_test(tc, test_reconnect);
	tcase_add_test(tc, test_to_nobody);
	tcase_add_test(tc, test_flood);

	tc = conform_tcase(suite, "two parties", false);
	if (conform_parties(1, "an echo of datagrams"))
		tcase_add_loop_test(tc, test_echo, 0, N_WHERE);
	tcase_add_test(tc, test_longer_at_limit);
	return conform_main(suite);
}

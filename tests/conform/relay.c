/*
 * LIBOS=catnap+catmem: one instance with sockets of the first and pipes of the
 * second. A relay takes what comes over TCP on to another process through a
 * pipe, and brings the answers back; every wait looks at both.
 */
#include "tests/conform/conform.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS 200

static size_t size_of(unsigned i)
{
	return 1 + (i * 7919) % 30000;
}

/* Behind the relay: sends every message back, changed by one seed. */
static void worker(int ctl)
{
	int qd;

	setenv("LIBOS", "catmem", 1);
	conform_start();
	hear_done(ctl);
	expect_ok(demi_open_pipe(&qd, "relay"));
	for (unsigned i = 0; i < ROUNDS; i++) {
		recv_bytes(qd, size_of(i), i, 0);
		send_bytes(qd, size_of(i), i + 1, 0);
	}
	recv_eof(qd);
	expect_ok(demi_close(qd));
	conform_stop();
}

/* Before it: a client that knows of TCP only. */
static void client(int ctl)
{
	struct sockaddr_in addr;
	int qd;

	setenv("LIBOS", "catnap", 1);
	conform_start();
	hear(ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	for (unsigned i = 0; i < ROUNDS; i++) {
		send_bytes(qd, size_of(i), i, 0);
		recv_bytes(qd, size_of(i), i + 1, 0);
	}
	expect_ok(demi_close(qd));
	conform_stop();
}

/* What was popped here is pushed there, until one side ends. */
static void relay(int tcp, int mem)
{
	demi_qtoken_t pops[2] = { pop(tcp), pop(mem) };
	int to[2] = { mem, tcp };

	for (;;) {
		demi_qresult_t qr;
		int from;

		expect_ok(demi_wait_any(&qr, &from, pops, 2, &LONG_TIME));
		ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_POP);
		if (!qr.qr_value.sga.sga_segs[0].sgaseg_len) {
			expect_ok(demi_sgafree(&qr.qr_value.sga));
			break;
		}
		finish_ok(push(to[from], &qr.qr_value.sga), DEMI_OPC_PUSH);
		expect_ok(demi_sgafree(&qr.qr_value.sga));
		pops[from] = pop(from ? mem : tcp);
	}
	expect_ok(demi_close(mem));
	finish_failed(pops[1], "demi_pop", ECANCELED, "closed");
	expect_ok(demi_close(tcp));
}

START_TEST(test_relay)
{
	struct sockaddr_in addr;
	struct peer front, back;
	int lqd, mem;

	peer_start(&front, IN_PROCESS, client);
	peer_start(&back, IN_PROCESS, worker);
	conform_start();
	lqd = listener(&addr);
	expect_ok(demi_create_pipe(&mem, "relay"));
	say(front.ctl, &addr, sizeof(addr));
	say_done(back.ctl);
	relay(accept_one(lqd), mem);
	expect_ok(demi_close(lqd));
	expect_bufs_out(0);
	conform_stop();
	peer_join(&front);
	peer_join(&back);
}
END_TEST

/* One buffer to both, and what each popped on to the other. */
START_TEST(test_both)
{
	demi_sgarray_t sga, head, whole = { 0 };
	struct pair p;
	int a, b;

	conform_start();
	pair_open(&p);
	expect_ok(demi_create_pipe(&a, "both"));
	expect_ok(demi_open_pipe(&b, "both"));
	sga = alloc_filled(5000, 1, 0);
	finish_ok(push(p.client, &sga), DEMI_OPC_PUSH);
	finish_ok(push(a, &sga), DEMI_OPC_PUSH);
	recv_bytes(b, 5000, 1, 0);
	recv_bytes(p.server, 5000, 1, 0);
	finish_ok(push(a, &sga), DEMI_OPC_PUSH);
	head = popped(b);		/* the peer's memory, out over TCP */
	compose(&whole, &head, 0, head.sga_segs[0].sgaseg_len);
	compose(&whole, &sga, 0, 5000);
	finish_ok(push(p.client, &whole), DEMI_OPC_PUSH);
	recv_bytes(p.server, head.sga_segs[0].sgaseg_len, 1, 0);
	recv_bytes(p.server, 5000, 1, 0);
	expect_ok(demi_sgafree(&head));
	expect_ok(demi_sgafree(&sga));
	expect_ok(demi_close(a));
	expect_ok(demi_close(b));
	pair_close(&p);
	expect_bufs_out(0);
	conform_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("relay");
	TCase *tc = conform_tcase(suite, "relay", false);

	if (!strchr(conform_libos(), '+')) {
		conform_skip("relay", "takes two backends in one instance");
		return 0;
	}
	if (conform_parties(2, "a relay between two parties"))
		tcase_add_test(tc, test_relay);
	tcase_add_test(tc, test_both);
	return conform_main(suite);
}

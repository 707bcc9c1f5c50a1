/*
 * push.completes: released. A push completes when nobody else holds its bytes:
 * programs that write a buffer again after its push run with it. One end is in
 * a thread or process of its own, because who pushes waits for who frees.
 */
#include "tests/conform/conform.h"

#include <stdlib.h>
#include <string.h>

static void released(void)
{
	setenv("CLOWDER_PUSH_COMPLETES", "released", 1);
}

/* Pops messages of fixed length, each of the next seed. */
#define ROUNDS 200
#define LEN 5000

static void sink(int ctl)
{
	struct sockaddr_in addr;
	int lqd, qd;

	conform_start();
	lqd = listener(&addr);
	say(ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	for (unsigned i = 0; i < ROUNDS; i++)
		recv_bytes(qd, LEN, i, 0);
	recv_eof(qd);
	expect_ok(demi_close(qd));
	conform_stop();
}

/* One buffer, written again as soon as its push is done. */
START_TEST(test_reuse)
{
	struct sockaddr_in addr;
	struct peer peer;
	demi_sgarray_t sga;
	int qd;

	released();
	peer_start(&peer, (enum where)_i, sink);
	conform_start();
	hear(peer.ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	sga = alloc(LEN);
	for (unsigned i = 0; i < ROUNDS; i++) {
		fill(sga.sga_buf, LEN, i, 0);
		finish_ok(push(qd, &sga), DEMI_OPC_PUSH);
	}
	expect_ok(demi_sgafree(&sga));
	expect_ok(demi_close(qd));
	expect_bufs_out(0);
	conform_stop();
	peer_join(&peer);
}
END_TEST

/* Both ends in one thread: done at the latest when the pop has been freed. */
START_TEST(test_done_after_free)
{
	demi_sgarray_t sga;
	demi_qtoken_t qt;
	struct pair p;

	released();
	conform_start();
	pair_open(&p);
	for (unsigned i = 0; i < 50; i++) {
		sga = alloc_filled(1 + i * i * 100, i, 0);
		qt = push(p.client, &sga);
		recv_bytes(p.server, sga.sga_segs[0].sgaseg_len, i, 0);
		finish_ok(qt, DEMI_OPC_PUSH);
		memset(sga.sga_buf, 0, sga.sga_segs[0].sgaseg_len);
		expect_ok(demi_sgafree(&sga));
	}
	pair_close(&p);
	expect_bufs_out(0);
	conform_stop();
}
END_TEST

/* Four buffers in one push, the same buffer in two pushes, freed early. */
START_TEST(test_shared)
{
	demi_sgarray_t part[4], composed = { 0 };
	demi_qtoken_t qts[3];
	struct pair p;

	released();
	conform_start();
	pair_open(&p);
	for (unsigned i = 0; i < 4; i++) {
		part[i] = alloc_filled(3000, 2, i * 3000);
		compose(&composed, &part[i], 0, 3000);
	}
	for (unsigned i = 0; i < 3; i++)
		qts[i] = push(p.client, &composed);
	expect_ok(demi_sgafree(&part[0]));
	expect_ok(demi_sgafree(&part[1]));
	for (unsigned i = 0; i < 3; i++)
		recv_bytes(p.server, 12000, 2, 0);
	for (unsigned i = 0; i < 3; i++)
		finish_ok(qts[i], DEMI_OPC_PUSH);
	expect_ok(demi_sgafree(&part[2]));
	expect_ok(demi_sgafree(&part[3]));
	pair_close(&p);
	expect_bufs_out(0);
	conform_stop();
}
END_TEST

/* A push that is already in the send window cannot be cancelled: it completes
 * as a push, and its bytes arrive once. */
START_TEST(test_cancel)
{
	demi_sgarray_t sga;
	demi_qtoken_t qt;
	struct pair p;

	released();
	conform_start();
	pair_open(&p);
	sga = alloc_filled(4000, 2, 0);
	qt = push(p.client, &sga);
	expect_ok(demi_cancel(qt));
	recv_bytes(p.server, 4000, 2, 0);
	finish_ok(qt, DEMI_OPC_PUSH);
	qt = pop(p.server);
	still_pending(qt);
	expect_ok(demi_sgafree(&sga));
	conform_stop();
}
END_TEST

/* Closed, or left by the peer, with pushes that nobody has released yet. */
START_TEST(test_close)
{
	demi_sgarray_t sga;
	demi_qtoken_t qt;
	struct pair p;

	released();
	conform_start();
	pair_open(&p);
	sga = alloc_filled(4000, 2, 0);
	qt = push(p.client, &sga);
	expect_ok(demi_close(p.client));
	if (_i) {
		recv_bytes(p.server, 4000, 2, 0);
		recv_eof(p.server);
	}
	expect_ok(demi_close(p.server));
	if (_i)
		finish_ok(qt, DEMI_OPC_PUSH);
	else
		finish(qt);	/* PUSH where the device had it, else FAILED */
	expect_ok(demi_sgafree(&sga));
	expect_ok(demi_close(p.listener));
	expect_bufs_out(0);
	conform_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("released");
	TCase *tc = conform_tcase(suite, "released", false);

	if (conform_parties(1, "buffers written again"))
		tcase_add_loop_test(tc, test_reuse, 0, N_WHERE);
	tcase_add_test(tc, test_done_after_free);
	tcase_add_test(tc, test_shared);
	tcase_add_test(tc, test_cancel);
	tcase_add_loop_test(tc, test_close, 0, 2);
	return conform_main(suite);
}

/* Many connections at once: what finds no room in the ring is not lost. */
#include "config.h"

#include <string.h>

#include "tests/unit/tcp.h"
#include "tests/unit/tcpbed.h"

#define CROWD 300		/* more than the ring has places */

static struct net_sock *socks[CROWD];

static void connect_all(struct tbed *b)
{
	struct net_addr peer = tbed_addr(2, PEERS);

	for (uint32_t i = 0; i < CROWD; i++) {
		ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &socks[i]), 0);
		ck_assert_int_eq(net_connect(socks[i], &peer), 0);
	}
}

/* Each connection has sent one SYN; seqs: by port. */
static void expect_syns(struct tbed *b)
{
	static bool from[UINT16_MAX + 1];
	struct tseg seg;
	uint32_t n = 0;

	memset(from, 0, sizeof(from));
	while (tbed_sent(b, &seg)) {
		ck_assert_uint_eq(seg.flags, SYN);
		ck_assert(!from[seg.sport]);
		from[seg.sport] = true;
		n++;
	}
	ck_assert_uint_eq(n, CROWD);
}

START_TEST(syns_wait_for_room)
{
	struct tbed *b = tbed_new("");

	connect_all(b);
	tbed_flush(b);
	expect_syns(b);
	ck_assert_uint_eq(tbed_counted(b, TX_NO_ROOM), 0);
	tbed_pass(b, SECOND + 100 * MS);
	expect_syns(b);
	tbed_pass(b, 2 * SECOND);
	expect_syns(b);
	tbed_free(b);
}
END_TEST

/* The answer to the first SYN comes while the second waits for room. */
START_TEST(a_syn_that_waits_is_forgotten_when_it_was_answered)
{
	struct tbed *b = tbed_new("");
	struct tseg syn = {0}, seg;

	connect_all(b);
	tbed_flush(b);
	while (tbed_sent(b, &seg))
		syn = seg; /* the last is the last again */
	b->take = 0;
	tbed_pass(b, SECOND + 100 * MS);
	tbed_in_only(b, &(struct tseg){ .seq = 5, .ack = syn.seq + 1, .flags = SYN | ACK,
					.dport = syn.sport });
	b->take = UINT32_MAX;
	tbed_flush(b);
	for (uint32_t n = 0; tbed_sent(b, &seg);) {
		if (seg.sport != syn.sport)
			continue;
		ck_assert_uint_eq(seg.flags, ACK);
		ck_assert_uint_eq(++n, 1);
	}
	tbed_free(b);
}
END_TEST

Suite *tcp_crowd_suite(void)
{
	Suite *s = suite_create("tcp_crowd");
	TCase *tc = tcase_create("crowd");

	tcase_add_test(tc, syns_wait_for_room);
	tcase_add_test(tc, a_syn_that_waits_is_forgotten_when_it_was_answered);
	suite_add_tcase(s, tc);
	return s;
}

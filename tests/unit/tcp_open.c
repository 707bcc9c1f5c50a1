/* How connections begin: handshakes, options, backlog, resets. */
#include "config.h"

#include <errno.h>

#include "tests/unit/tcp.h"
#include "tests/unit/tcpbed.h"

START_TEST(connect_and_talk)
{
	struct tbed *b;
	int err;

	tbed_wrap = _i;
	b = tbed_connected("", NULL);
	ck_assert_int_eq(tbed_send(b, 0, 100), 0);
	tbed_expect_rel(b, ACK, 1, 1, 100);
	tbed_rel(b, ACK, 1, 101, 50);
	ck_assert_uint_eq(tbed_events(b, b->s), NET_READABLE);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 50);
	ck_assert_int_eq(err, EAGAIN);
	ck_assert_uint_eq(net_bytes_unacked(b->s), 0);
	tbed_free(b);
}
END_TEST

START_TEST(accept_and_talk)
{
	struct tbed *b;
	int err;

	tbed_wrap = _i;
	b = tbed_accepted("", NULL);
	tbed_rel(b, ACK, 1, 1, 50);
	tbed_expect_rel(b, ACK, 1, 51, 0);
	ck_assert_uint_eq(tbed_read(b, b->s, 0, &err), 50);
	ck_assert_int_eq(tbed_send(b, 0, 100), 0);
	tbed_expect_rel(b, ACK, 1, 51, 100);
	tbed_free(b);
}
END_TEST

Suite *tcp_open_suite(void)
{
	Suite *s = suite_create("tcp_open");
	TCase *tc = tcase_create("open");

	tcase_add_loop_test(tc, connect_and_talk, 0, TBED_SEQS);
	tcase_add_loop_test(tc, accept_and_talk, 0, TBED_SEQS);
	suite_add_tcase(s, tc);
	return s;
}

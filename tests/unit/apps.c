/* The parts of clowder-rpc that can be wrong without anybody noticing: the
 * histogram and the content of messages. */
#include "config.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/histogram.h"
#include "apps/rpc_message.h"

static struct histogram hist;

static void reset(void)
{
	memset(&hist, 0, sizeof(hist));
}

START_TEST(buckets_have_three_digits)
{
	for (double ns = 10; ns < (double)HISTOGRAM_MAX_NS; ns *= 1.0007) {
		double back;

		reset();
		histogram_add(&hist, (uint64_t)ns);
		histogram_add(&hist, HISTOGRAM_MAX_NS); /* max must not hide the bucket */
		back = (double)histogram_percentile(&hist, 0.5);
		ck_assert_double_le(fabs(back - floor(ns)), ns / 1000);
	}
}
END_TEST

START_TEST(buckets_grow_with_the_value)
{
	unsigned last = 0;

	for (uint64_t ns = 0; ns <= 5000; ns++) {
		ck_assert_uint_ge(histogram_bucket(ns), last);
		ck_assert_uint_le(histogram_bucket(ns), last + 1);
		last = histogram_bucket(ns);
	}
	ck_assert_uint_lt(histogram_bucket(HISTOGRAM_MAX_NS), HISTOGRAM_BUCKETS);
}
END_TEST

START_TEST(percentiles_are_ranks)
{
	reset();
	for (uint64_t ns = 1; ns <= 1000; ns++)
		histogram_add(&hist, ns);
	ck_assert_uint_eq(histogram_percentile(&hist, 0.5), 500);
	ck_assert_uint_eq(histogram_percentile(&hist, 0.99), 990);
	ck_assert_uint_eq(histogram_percentile(&hist, 0.9991), 1000);
	ck_assert_uint_eq(histogram_percentile(&hist, 0), 1);
	ck_assert_uint_eq(histogram_percentile(&hist, 1), 1000);
	ck_assert_uint_eq(hist.max_ns, 1000);
}
END_TEST

START_TEST(longer_than_all_still_counts)
{
	reset();
	ck_assert_uint_eq(histogram_percentile(&hist, 0.5), 0);
	histogram_add(&hist, UINT64_MAX);
	ck_assert_uint_eq(hist.total, 1);
	ck_assert_uint_eq(hist.max_ns, UINT64_MAX);
	ck_assert_uint_ge(histogram_percentile(&hist, 0.5), HISTOGRAM_MAX_NS / 1000 * 999);
}
END_TEST

/* Every size to 100, checked in every two pieces. */
START_TEST(messages_check_in_pieces)
{
	uint8_t buf[100];

	for (size_t size = 1; size <= sizeof(buf); size++) {
		rpc_message_fill(buf, size, 7 + size);
		for (size_t cut = 0; cut <= size; cut++) {
			ck_assert(rpc_message_check(7 + size, 0, buf, cut));
			ck_assert(rpc_message_check(7 + size, cut, buf + cut, size - cut));
		}
	}
}
END_TEST

START_TEST(one_wrong_byte_shows)
{
	uint8_t buf[77];

	rpc_message_fill(buf, sizeof(buf), 99);
	for (size_t i = 0; i < sizeof(buf); i++) {
		buf[i] ^= 0x10;
		ck_assert(!rpc_message_check(99, 0, buf, sizeof(buf)));
		ck_assert(!rpc_message_check(99, 3, buf + 3, sizeof(buf) - 3) || i < 3);
		buf[i] ^= 0x10;
	}
	ck_assert(rpc_message_check(99, 0, buf, sizeof(buf)));
}
END_TEST

/* Stale: another number. Misplaced: the right bytes at another offset. */
START_TEST(stale_and_misplaced_show)
{
	uint8_t buf[256];
	uint64_t number = (UINT64_C(3) << 50) + 5;

	rpc_message_fill(buf, sizeof(buf), number);
	ck_assert(!rpc_message_check(number + 1, 0, buf, sizeof(buf)));
	ck_assert(!rpc_message_check(number + 1, 64, buf + 64, 64));
	ck_assert(!rpc_message_check(number + (UINT64_C(1) << 38), 64, buf + 64, 64));
	for (size_t off = 1; off < 128; off++)
		ck_assert(!rpc_message_check(number, off, buf, 128));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("apps");
	TCase *tc = tcase_create("histogram");

	tcase_add_test(tc, buckets_have_three_digits);
	tcase_add_test(tc, buckets_grow_with_the_value);
	tcase_add_test(tc, percentiles_are_ranks);
	tcase_add_test(tc, longer_than_all_still_counts);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	tc = tcase_create("message");
	tcase_add_test(tc, messages_check_in_pieces);
	tcase_add_test(tc, one_wrong_byte_shows);
	tcase_add_test(tc, stale_and_misplaced_show);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

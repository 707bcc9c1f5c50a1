#include "config.h"

#include "libos/queue.h"

#include <stdlib.h>

#include "tests/unit/core.h"

static struct libos_queues table;

static void setup(void)
{
	ck_assert_int_eq(libos_queues_init(&table), 0);
}

static void teardown(void)
{
	libos_queues_fini(&table);
}

START_TEST(test_numbers)
{
	struct libos_queue q[3] = { { .qd = -1 }, { .qd = -1 }, { .qd = -1 } };

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(libos_queues_add(&table, &q[i]), 0);
		ck_assert_int_eq(q[i].qd, LIBOS_FIRST_QD + i);
		ck_assert_ptr_eq(libos_queues_find(&table, q[i].qd), &q[i]);
	}
	libos_queues_del(&table, &q[2]);
	ck_assert_int_eq(q[2].qd, -1);
	ck_assert_ptr_null(libos_queues_find(&table, 502));
	ck_assert_int_eq(libos_queues_add(&table, &q[2]), 0);
	ck_assert_int_eq(q[2].qd, 503);		/* 502 does not come again */
	ck_assert_uint_eq(table.n, 3);
}
END_TEST

START_TEST(test_strangers)
{
	static const int strangers[] = { -1, 0, 499, 501, 500 + 64, 500 + 128, INT32_MAX,
					 INT32_MIN };
	struct libos_queue q = { .qd = -1 };

	ck_assert_int_eq(libos_queues_add(&table, &q), 0);
	for (size_t i = 0; i < sizeof(strangers) / sizeof(*strangers); i++)
		ck_assert_ptr_null(libos_queues_find(&table, strangers[i]));
}
END_TEST

/* Thousands come and go around a few that stay. */
START_TEST(test_churn)
{
	enum { N = 5000, KEEP = 100 };
	static struct libos_queue q[N], keep[KEEP];
	int kept[KEEP];

	for (int i = 0; i < KEEP; i++) {
		ck_assert_int_eq(libos_queues_add(&table, &keep[i]), 0);
		kept[i] = keep[i].qd;
	}
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < N; i++)
			ck_assert_int_eq(libos_queues_add(&table, &q[i]), 0);
		for (int i = 0; i < N; i++)
			ck_assert_ptr_eq(libos_queues_find(&table, q[i].qd), &q[i]);
		for (int i = 0; i < N; i++) {
			int qd = q[i].qd;

			libos_queues_del(&table, &q[i]);
			ck_assert_ptr_null(libos_queues_find(&table, qd));
		}
	}
	for (int i = 0; i < KEEP; i++)
		ck_assert_ptr_eq(libos_queues_find(&table, kept[i]), &keep[i]);
	ck_assert_uint_eq(table.n, KEEP);
}
END_TEST

/* After the last descriptor the first ones come again, those in use never. */
START_TEST(test_wrap)
{
	struct libos_queue q[5] = { { .qd = -1 } };

	ck_assert_int_eq(libos_queues_add(&table, &q[0]), 0);
	table.next_qd = INT32_MAX - 1;
	for (int i = 1; i < 5; i++)
		ck_assert_int_eq(libos_queues_add(&table, &q[i]), 0);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_ge(q[i].qd, LIBOS_FIRST_QD);
		ck_assert_ptr_eq(libos_queues_find(&table, q[i].qd), &q[i]);
	}
	ck_assert_int_eq(q[0].qd, LIBOS_FIRST_QD);
}
END_TEST

Suite *queue_suite(void)
{
	Suite *suite = suite_create("queue");
	TCase *tc = tcase_create("queue");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_numbers);
	tcase_add_test(tc, test_strangers);
	tcase_add_test(tc, test_churn);
	tcase_add_test(tc, test_wrap);
	suite_add_tcase(suite, tc);
	return suite;
}

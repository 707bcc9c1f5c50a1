/* The timing wheel against a table of deadlines: never early, never lost. */
#include "config.h"

#include "base/wheel.h"

#include <check.h>
#include <stdlib.h>

#include "base/compiler.h"

#define N 200
#define SHIFT 10

static struct wheel w;
static struct wheel_timer timers[N];
static uint64_t expected[N];	/* deadlines; WHEEL_NEVER: not armed */
static uint64_t now, seed;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void start(uint64_t at)
{
	now = at;
	seed = at * 2 + 88172645463325252u;
	wheel_init(&w, SHIFT, now);
	for (int i = 0; i < N; i++) {
		wheel_timer_init(&timers[i]);
		expected[i] = WHEEL_NEVER;
	}
}

static void arm(int i, uint64_t deadline)
{
	wheel_arm(&w, &timers[i], deadline);
	expected[i] = deadline;
}

/* Everything due comes out once, nothing else does. */
static void expire(void)
{
	struct wheel_timer *t;

	while ((t = wheel_expire(&w, now)) != NULL) {
		long i = t - timers;

		ck_assert_uint_le(expected[i], now);
		ck_assert(!wheel_is_armed(t));
		expected[i] = WHEEL_NEVER;
	}
	for (int i = 0; i < N; i++)
		if (expected[i] <= now)
			ck_abort_msg("%d: %llu is over at %llu", i,
				     (unsigned long long)expected[i], (unsigned long long)now);
}

static uint64_t earliest(void)
{
	uint64_t first = WHEEL_NEVER;

	for (int i = 0; i < N; i++)
		if (expected[i] < first)
			first = expected[i];
	return first;
}

static const uint64_t starts[] = {
	0, 1, (UINT64_C(1) << (SHIFT + 6)) - 1, (UINT64_C(1) << (SHIFT + 30)) - 5000,
	(UINT64_C(1) << (SHIFT + 31)) - 1, UINT64_C(1234567890123456789),
};

START_TEST(test_random)
{
	start(starts[_i]);
	for (int step = 0; step < 50000; step++) {
		int i = (int)rnd(N);
		uint64_t far = UINT64_C(1) << rnd(46);

		switch (rnd(8)) {
		case 0:
			wheel_disarm(&timers[i]);
			expected[i] = WHEEL_NEVER;
			break;
		case 1:
			wheel_remove(&w, &timers[i]);
			wheel_timer_init(&timers[i]);
			expected[i] = WHEEL_NEVER;
			break;
		case 2:
			now += rnd(far);
			expire();
			break;
		case 3:
			now += rnd(3 << SHIFT);
			expire();
			break;
		default:
			arm(i, now + rnd(far));
			break;
		}
		if (wheel_deadline(&w) > earliest())
			ck_abort_msg("step %d: would sleep too long", step);
	}
}
END_TEST

/* Sleeping from deadline to deadline wakes a few times for each timer, no more. */
START_TEST(test_sleeper)
{
	int wakes = 0, armed = 0;

	start(starts[_i]);
	for (int i = 0; i < N; i++, armed++)
		arm(i, now + (UINT64_C(1) << rnd(44)));
	while (earliest() != WHEEL_NEVER) {
		uint64_t at = wheel_deadline(&w);

		ck_assert_uint_le(at, earliest());
		if (at > now)
			now = at;
		expire();
		wakes++;
		ck_assert_int_lt(wakes, armed * (WHEEL_LEVELS + 2));
	}
	ck_assert_uint_eq(wheel_deadline(&w), WHEEL_NEVER);
}
END_TEST

/* Putting off is one store: the timer stays in its slot. */
START_TEST(test_put_off)
{
	uint64_t tick;

	start(1000000);
	arm(0, now + 5000);
	tick = timers[0].tick;
	for (uint64_t k = 1; k < 1000; k++) {
		arm(0, now + 5000 + k * 100);
		ck_assert_uint_eq(timers[0].tick, tick);
	}
	now += 50000;
	expire();
	ck_assert_uint_eq(expected[0], 1000000 + 5000 + 99900);
	now = expected[0] - 1;
	expire();
	ck_assert(wheel_is_armed(&timers[0]));
	now++;
	expire();
	ck_assert(!wheel_is_armed(&timers[0]));
	arm(1, now + (UINT64_C(1) << 40));
	arm(1, now + 10);	/* earlier again: at once */
	now += 10;
	expire();
	ck_assert_uint_eq(expected[1], WHEEL_NEVER);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wheel");
	TCase *tc = tcase_create("wheel");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, test_random, 0, (int)array_size(starts));
	tcase_add_loop_test(tc, test_sleeper, 0, (int)array_size(starts));
	tcase_add_test(tc, test_put_off);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#include "config.h"

#include "catmem/ring.h"
#include "tests/unit/ring_pair.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct ring_pair pair;

/* Ring sizes that the loop tests run over. */
static const uint32_t sizes[] = { 1, 2, 3, 4, 5, 7, 8, 13, 31, 32, 127 };

static void send_ok(struct ring *r, uint32_t i)
{
	int err = -1;
	uint8_t *data = ring_reserve(r, &err);

	ck_assert_msg(data != NULL, "no slot for message %u: %d", i, err);
	ring_pair_fill(data, i);
	ring_publish(r, ring_pair_tag(i));
}

static bool receive_ok(struct ring *r, uint32_t i)
{
	const uint8_t *data;
	uint32_t tag;

	ck_assert_int_eq(ring_peek(r, &tag, &data), 0);
	ck_assert_uint_eq(tag, ring_pair_tag(i));
	ck_assert(ring_pair_matches(data, i));
	return ring_advance(r);
}

static int peek(struct ring *r)
{
	const uint8_t *data;
	uint32_t tag;

	return ring_peek(r, &tag, &data);
}

/* 0 when full, EPROTO for garbage, -1 when there is a slot. */
static int why_no_slot(struct ring *r)
{
	int err = -1;

	return ring_reserve(r, &err) ? -1 : err;
}

static struct ring_slot *slot_to_read(struct ring *r)
{
	return (struct ring_slot *)(uintptr_t)&r->their_slots[r->cons_at];
}

START_TEST(messages_arrive_in_order)
{
	ring_pair_init(&pair, 31, 0);
	for (uint32_t i = 0; i < 31; i++)
		send_ok(&pair.a, i);
	for (uint32_t i = 0; i < 31; i++)
		receive_ok(&pair.b, i);
	ck_assert_int_eq(peek(&pair.b), RING_EMPTY);
	ring_pair_fini(&pair);
}
END_TEST

START_TEST(peek_alone_consumes_nothing)
{
	ring_pair_init(&pair, 4, 0);
	send_ok(&pair.a, 7);
	ck_assert_int_eq(peek(&pair.b), 0);
	ck_assert_int_eq(peek(&pair.b), 0);
	receive_ok(&pair.b, 7);
	ck_assert_int_eq(peek(&pair.b), RING_EMPTY);
	ring_pair_fini(&pair);
}
END_TEST

START_TEST(reserve_alone_publishes_nothing)
{
	uint8_t *data;
	int err;

	ring_pair_init(&pair, 4, 0);
	data = ring_reserve(&pair.a, &err);
	memset(data, 0xff, RING_SLOT_DATA);
	ck_assert_ptr_eq(ring_reserve(&pair.a, &err), data);
	ck_assert_int_eq(peek(&pair.b), RING_EMPTY);
	ring_pair_fini(&pair);
}
END_TEST

START_TEST(full_ring_waits_for_a_release)
{
	bool released = false;
	uint32_t i;

	ring_pair_init(&pair, 31, 0);
	for (i = 0; i < 31; i++)
		send_ok(&pair.a, i);
	ck_assert_int_eq(why_no_slot(&pair.a), 0);
	for (i = 0; !released; i++) {
		ck_assert_int_eq(why_no_slot(&pair.a), 0);
		released = receive_ok(&pair.b, i);
	}
	ck_assert_uint_eq(i, 31 / 4);
	for (uint32_t k = 0; k < i; k++)
		send_ok(&pair.a, 31 + k);
	ck_assert_int_eq(why_no_slot(&pair.a), 0);
	ring_pair_fini(&pair);
}
END_TEST

START_TEST(release_gives_back_a_single_slot)
{
	ring_pair_init(&pair, 31, 0);
	for (uint32_t i = 0; i < 31; i++)
		send_ok(&pair.a, i);
	ck_assert(!ring_release(&pair.b));
	ck_assert(!receive_ok(&pair.b, 0));
	ck_assert(ring_release(&pair.b));
	ck_assert(!ring_release(&pair.b));
	send_ok(&pair.a, 31);
	ck_assert_int_eq(why_no_slot(&pair.a), 0);
	ring_pair_fini(&pair);
}
END_TEST

/* A consumer that never releases by hand leaves no producer without hope. */
START_TEST(emptying_a_full_ring_releases)
{
	uint32_t n = sizes[_i];
	uint32_t releases = 0;

	ring_pair_init(&pair, n, 0);
	for (uint32_t lap = 0; lap < 3; lap++) {
		for (uint32_t i = 0; why_no_slot(&pair.a) < 0; i++)
			send_ok(&pair.a, i);
		for (uint32_t i = 0; peek(&pair.b) == 0; i++)
			releases += receive_ok(&pair.b, i);
		ck_assert_int_eq(why_no_slot(&pair.a), -1);
		ck_assert_uint_ge(releases, lap + 1);
	}
	ring_pair_fini(&pair);
}
END_TEST

START_TEST(a_lap_visits_every_slot_once)
{
	for (uint32_t n = 1; n < 600; n++) {
		uint32_t at = 0;

		ring_pair_init(&pair, n, 0);
		for (uint32_t i = 1; i <= n; i++) {
			at = ring_next(&pair.a, at);
			ck_assert_uint_lt(at, n);
			ck_assert_msg((at == 0) == (i == n), "slot 0 again after %u of %u", i, n);
		}
		ring_pair_fini(&pair);
	}
}
END_TEST

/* Fills and empties by uneven steps, so that every slot is met in every state. */
static void run_laps(uint32_t n, uint32_t position, uint32_t messages)
{
	uint32_t sent = 0, received = 0, step = 1;

	ring_pair_init(&pair, n, position);
	while (received < messages) {
		for (uint32_t k = 0; k < step && why_no_slot(&pair.a) < 0; k++)
			send_ok(&pair.a, sent++);
		for (uint32_t k = 0; k < step && received < sent; k++)
			receive_ok(&pair.b, received++);
		if (received == sent)
			ck_assert_int_eq(peek(&pair.b), RING_EMPTY);
		ck_assert_uint_le(sent - received, n);
		step = step % (n + 2) + 1;
	}
	ring_pair_fini(&pair);
}

START_TEST(laps_of_every_length)
{
	uint32_t n = sizes[_i];

	run_laps(n, 0, 20 * n + 50);
}
END_TEST

START_TEST(positions_wrap_in_every_slot)
{
	uint32_t n = sizes[_i];

	for (uint32_t before = 1; before <= 2 * n + 1; before++)
		run_laps(n, 0 - before, 5 * n + 10);
}
END_TEST

/* The only message whose sequence number is 0. */
START_TEST(sequence_number_zero)
{
	ring_pair_init(&pair, 5, UINT32_MAX);
	ck_assert_int_eq(peek(&pair.b), RING_EMPTY);
	send_ok(&pair.a, 1);
	ck_assert_uint_eq((uint32_t)slot_to_read(&pair.b)->head, 0);
	receive_ok(&pair.b, 1);
	ck_assert_int_eq(peek(&pair.b), RING_EMPTY);
	ring_pair_fini(&pair);
}
END_TEST

START_TEST(zeroed_memory_is_empty_and_only_in_the_first_lap)
{
	ring_pair_init(&pair, 3, 0);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_int_eq(peek(&pair.b), RING_EMPTY);
		send_ok(&pair.a, i);
		receive_ok(&pair.b, i);
	}
	ck_assert_int_eq(peek(&pair.b), RING_EMPTY);
	atomic_store(&slot_to_read(&pair.b)->head, 0);
	ck_assert_int_eq(peek(&pair.b), EPROTO);
	ring_pair_fini(&pair);
}
END_TEST

/* Every sequence number near the two that are right. */
static void check_sequence_numbers(uint32_t expected, uint32_t stale, uint32_t n)
{
	_Atomic uint64_t *head = &slot_to_read(&pair.b)->head;
	uint32_t seq;
	int want;

	for (uint32_t k = 0; k <= 6 * n; k++) {
		seq = expected - 3 * n + k;
		want = seq == expected ? 0 : seq == stale ? RING_EMPTY : EPROTO;
		atomic_store(head, UINT64_C(0xffffffff) << 32 | seq);
		ck_assert_int_eq(peek(&pair.b), want);
		atomic_store(head, seq);
		ck_assert_int_eq(peek(&pair.b), want);
	}
}

START_TEST(garbage_sequence_numbers)
{
	const uint32_t n = 7;

	ring_pair_init(&pair, n, 0);
	check_sequence_numbers(1, 0, n);
	ring_pair_fini(&pair);
	for (uint32_t position = 0 - 3 * n; position != 3 * n; position++) {
		if (!position)
			continue;
		ring_pair_init(&pair, n, position);
		check_sequence_numbers(position + 1, position + 1 - n, n);
		ring_pair_fini(&pair);
	}
}
END_TEST

static void check_positions(uint32_t n, uint32_t prod)
{
	_Atomic uint32_t *cons = &pair.b.control->cons;
	uint32_t limit = pair.a.prod_limit;

	for (uint32_t k = 1; k < 4 * n; k++) {
		atomic_store(cons, prod + k);
		ck_assert_int_eq(why_no_slot(&pair.a), EPROTO);
		ck_assert_int_eq(ring_find_space(&pair.a), EPROTO);
		atomic_store(cons, prod - n - k);
		ck_assert_int_eq(why_no_slot(&pair.a), EPROTO);
		ck_assert(!ring_sleep(&pair.a, RING_SLEEPS_FOR_SPACE));
	}
	atomic_store(cons, prod + UINT32_C(0x80000000));
	ck_assert_int_eq(why_no_slot(&pair.a), EPROTO);
	ck_assert_uint_eq(pair.a.prod_limit, limit);
	atomic_store(cons, prod - n);
	ck_assert_int_eq(why_no_slot(&pair.a), 0);
	atomic_store(cons, prod);
	ck_assert_int_eq(why_no_slot(&pair.a), -1);
	ck_assert_uint_eq(pair.a.prod_limit, prod + n);
}

START_TEST(garbage_positions)
{
	const uint32_t n = 7;

	for (uint32_t position = 0 - 2 * n; position != n; position++) {
		ring_pair_init(&pair, n, position);
		for (uint32_t i = 0; i < n; i++)
			send_ok(&pair.a, i);
		check_positions(n, position + n);
		ring_pair_fini(&pair);
	}
}
END_TEST

START_TEST(position_does_not_go_back)
{
	ring_pair_init(&pair, 8, 0);
	for (uint32_t i = 0; i < 8; i++)
		send_ok(&pair.a, i);
	atomic_store(&pair.b.control->cons, 5);
	send_ok(&pair.a, 8);
	atomic_store(&pair.b.control->cons, 4);
	ck_assert_int_eq(ring_find_space(&pair.a), EPROTO);
	atomic_store(&pair.b.control->cons, 10);
	ck_assert_int_eq(ring_find_space(&pair.a), EPROTO);
	atomic_store(&pair.b.control->cons, 9);
	ck_assert_int_eq(ring_find_space(&pair.a), 0);
	ring_pair_fini(&pair);
}
END_TEST

/* Whatever the peer writes, we return, and stay inside both halves. */
START_TEST(storm_of_garbage)
{
	uint32_t seen[3] = { 0 };
	int err;

	srandom(1);
	ring_pair_init(&pair, 5, 0 - 100u);
	for (int i = 0; i < 200000; i++) {
		uint32_t near = pair.a.prod + (uint32_t)random() % 16 - 8;

		atomic_store(&pair.b.control->cons, i & 1 ? near : (uint32_t)random());
		if (why_no_slot(&pair.a) < 0)
			send_ok(&pair.a, (uint32_t)i);
		atomic_store(&slot_to_read(&pair.b)->head, pair.b.cons + (uint32_t)random() % 3);
		err = peek(&pair.b);
		seen[err == 0 ? 0 : err == RING_EMPTY ? 1 : 2]++;
		if (!err)
			ring_advance(&pair.b);
		ck_assert_uint_lt(pair.a.prod_at, 5);
		ck_assert_uint_lt(pair.b.cons_at, 5);
	}
	ck_assert_uint_gt(seen[0], 0);
	ck_assert_uint_gt(seen[2], 0);
	ring_pair_fini(&pair);
}
END_TEST

START_TEST(sleep_for_data)
{
	ring_pair_init(&pair, 4, 0);
	ck_assert(!ring_must_wake(&pair.a, RING_SLEEPS_FOR_DATA));
	ck_assert(ring_sleep(&pair.b, RING_SLEEPS_FOR_DATA));
	send_ok(&pair.a, 0);
	ck_assert(!ring_must_wake(&pair.a, RING_SLEEPS_FOR_SPACE));
	ck_assert(ring_must_wake(&pair.a, RING_SLEEPS_FOR_DATA));
	ring_awake(&pair.b);
	ck_assert(!ring_must_wake(&pair.a, RING_SLEEPS_FOR_DATA));
	ck_assert(!ring_sleep(&pair.b, RING_SLEEPS_FOR_DATA));
	ck_assert(!ring_must_wake(&pair.a, RING_SLEEPS_FOR_DATA));
	receive_ok(&pair.b, 0);
	ck_assert(ring_sleep(&pair.b, RING_SLEEPS_FOR_DATA));
	ring_pair_fini(&pair);
}
END_TEST

START_TEST(sleep_for_space)
{
	ring_pair_init(&pair, 4, 0);
	ck_assert(!ring_sleep(&pair.a, RING_SLEEPS_FOR_SPACE));
	for (uint32_t i = 0; i < 4; i++)
		send_ok(&pair.a, i);
	ck_assert(ring_sleep(&pair.a, RING_SLEEPS_FOR_SPACE));
	ck_assert(!ring_must_wake(&pair.b, RING_SLEEPS_FOR_DATA));
	ck_assert(receive_ok(&pair.b, 0));
	ck_assert(ring_must_wake(&pair.b, RING_SLEEPS_FOR_SPACE));
	ring_awake(&pair.a);
	ck_assert(!ring_sleep(&pair.a, RING_SLEEPS_FOR_SPACE));
	ck_assert(!ring_must_wake(&pair.b, RING_SLEEPS_FOR_SPACE));
	ring_pair_fini(&pair);
}
END_TEST

START_TEST(sleep_for_both)
{
	const uint32_t both = RING_SLEEPS_FOR_DATA | RING_SLEEPS_FOR_SPACE;

	ring_pair_init(&pair, 2, 0);
	send_ok(&pair.a, 0);
	send_ok(&pair.a, 1);
	ck_assert(ring_sleep(&pair.a, both));
	ck_assert(ring_must_wake(&pair.b, RING_SLEEPS_FOR_DATA));
	ck_assert(ring_must_wake(&pair.b, RING_SLEEPS_FOR_SPACE));
	send_ok(&pair.b, 0);
	ck_assert(!ring_sleep(&pair.a, both));
	receive_ok(&pair.a, 0);
	ck_assert(ring_sleep(&pair.a, both));
	ck_assert(receive_ok(&pair.b, 0));
	ck_assert(!ring_sleep(&pair.a, both));
	ring_pair_fini(&pair);
}
END_TEST

START_TEST(garbage_is_not_slept_on)
{
	ring_pair_init(&pair, 4, 0);
	atomic_store(&slot_to_read(&pair.b)->head, 3);
	ck_assert(!ring_sleep(&pair.b, RING_SLEEPS_FOR_DATA));
	ck_assert(!ring_must_wake(&pair.a, RING_SLEEPS_FOR_DATA));
	ring_pair_fini(&pair);
}
END_TEST

static void *map(int fd, size_t size, int prot)
{
	void *at = mmap(NULL, size, prot, MAP_SHARED, fd, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

/* The other's half is mapped read-only: a single store to it would be a SIGSEGV. */
START_TEST(each_side_writes_its_own_half_alone)
{
	const size_t size = 4096;
	struct ring r[2];
	int fd[2];

	for (int i = 0; i < 2; i++) {
		fd[i] = memfd_create("ring", MFD_CLOEXEC);
		ck_assert_int_ge(fd[i], 0);
		ck_assert_int_eq(ftruncate(fd[i], (off_t)size), 0);
	}
	for (int i = 0; i < 2; i++)
		ring_init(&r[i], map(fd[i], size, PROT_READ | PROT_WRITE),
			  map(fd[!i], size, PROT_READ), size);
	ck_assert_uint_eq(r[0].n, 31);
	for (uint32_t i = 0; i < 200; i++) {
		ck_assert(ring_sleep(&r[1], RING_SLEEPS_FOR_DATA));
		send_ok(&r[0], i);
		ck_assert(ring_must_wake(&r[0], RING_SLEEPS_FOR_DATA));
		ring_awake(&r[1]);
		if (receive_ok(&r[1], i))
			ck_assert(!ring_must_wake(&r[1], RING_SLEEPS_FOR_SPACE));
	}
	close(fd[0]);
	close(fd[1]);
}
END_TEST

START_TEST(threads_that_spin)
{
	ck_assert_uint_eq(ring_pair_exchange(31, 1000000, false), 0);
}
END_TEST

START_TEST(threads_that_sleep)
{
	ck_assert_uint_gt(ring_pair_exchange(13, 1000000, true), 100);
}
END_TEST

START_TEST(threads_that_sleep_over_one_slot)
{
	ck_assert_uint_gt(ring_pair_exchange(1, 20000, true), 100);
}
END_TEST

static TCase *alone_case(void)
{
	TCase *tc = tcase_create("alone");

	tcase_add_test(tc, messages_arrive_in_order);
	tcase_add_test(tc, peek_alone_consumes_nothing);
	tcase_add_test(tc, reserve_alone_publishes_nothing);
	tcase_add_test(tc, full_ring_waits_for_a_release);
	tcase_add_test(tc, release_gives_back_a_single_slot);
	tcase_add_loop_test(tc, emptying_a_full_ring_releases, 0, array_size(sizes));
	tcase_add_test(tc, a_lap_visits_every_slot_once);
	tcase_add_loop_test(tc, laps_of_every_length, 0, array_size(sizes));
	tcase_add_loop_test(tc, positions_wrap_in_every_slot, 0, array_size(sizes));
	tcase_add_test(tc, sequence_number_zero);
	tcase_add_test(tc, zeroed_memory_is_empty_and_only_in_the_first_lap);
	tcase_add_test(tc, garbage_sequence_numbers);
	tcase_add_test(tc, garbage_positions);
	tcase_add_test(tc, position_does_not_go_back);
	tcase_add_test(tc, storm_of_garbage);
	tcase_add_test(tc, sleep_for_data);
	tcase_add_test(tc, sleep_for_space);
	tcase_add_test(tc, sleep_for_both);
	tcase_add_test(tc, garbage_is_not_slept_on);
	tcase_add_test(tc, each_side_writes_its_own_half_alone);
	return tc;
}

/* A lost wake-up is a test that hangs until its time is up. */
static TCase *threads_case(void)
{
	TCase *tc = tcase_create("threads");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, threads_that_spin);
	tcase_add_test(tc, threads_that_sleep);
	tcase_add_test(tc, threads_that_sleep_over_one_slot);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("ring");
	SRunner *sr;
	int failed;

	suite_add_tcase(s, alone_case());
	suite_add_tcase(s, threads_case());
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

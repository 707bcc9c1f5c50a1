#include "config.h"

#include "libos/buf.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core.h"

START_TEST(test_class)
{
	ck_assert_uint_eq(libos_class_shift(1), 6);
	ck_assert_uint_eq(libos_class_shift(64), 6);
	ck_assert_uint_eq(libos_class_shift(65), 7);
	for (unsigned s = 7; s <= 28; s++) {
		ck_assert_uint_eq(libos_class_shift((size_t)1 << s), s);
		ck_assert_uint_eq(libos_class_shift(((size_t)1 << s) + 1), s + 1);
		ck_assert_uint_eq(libos_class_shift(((size_t)1 << s) - 1), s);
	}
}
END_TEST

/* Every byte of a live buffer finds it; no byte outside, none of a free one. */
START_TEST(test_find)
{
	struct libos_buf *buf = libos_buf_alloc(&os->pool, 1000);
	struct libos_buf *next = libos_buf_alloc(&os->pool, 1000);
	uint8_t *base = buf->base;

	buf->app = next->app = 1; /* the program's: only such are found */
	ck_assert_uint_eq(buf->len, 1024);
	for (uint32_t i = 0; i < 1024; i++) {
		ck_assert_ptr_eq(libos_buf_find(os, base + i, 1024 - i), buf);
		ck_assert_ptr_null(libos_buf_find(os, base + i, 1025 - i));
	}
	ck_assert_ptr_ne(libos_buf_find(os, base + 1024, 1), buf);
	ck_assert_ptr_null(libos_buf_find(os, base, UINT32_MAX));
	ck_assert_ptr_null(libos_buf_find(os, &buf, 1));
	ck_assert_ptr_null(libos_buf_find(os, NULL, 1));
	ck_assert_ptr_null(libos_buf_find(os, (void *)(uintptr_t)-1, 1));
	buf->app = 0;
	libos_buf_put(buf);
	ck_assert_ptr_null(libos_buf_find(os, base, 1));
	ck_assert_ptr_eq(libos_buf_find(os, next->base, 1), next);
}
END_TEST

/* Each class at every size around its edge, all live at once, none shared. */
START_TEST(test_distinct)
{
	enum { N = 2000 };
	static struct libos_buf *bufs[N];

	for (unsigned i = 0; i < N; i++) {
		bufs[i] = libos_buf_alloc(&os->pool, 1 + (i * 337u) % 20000);
		ck_assert_ptr_nonnull(bufs[i]);
		memset(bufs[i]->base, (int)i, bufs[i]->len);
	}
	for (unsigned i = 0; i < N; i++) {
		ck_assert_uint_eq(bufs[i]->base[0], i & 0xff);
		ck_assert_uint_eq(bufs[i]->base[bufs[i]->len - 1], i & 0xff);
		ck_assert_uint_eq((uintptr_t)bufs[i]->base % 64, 0);
	}
	for (unsigned i = 0; i < N; i++)
		libos_buf_put(bufs[i]);
	ck_assert_uint_eq(os->count[LIBOS_C_BUFS_OUT], 0);
}
END_TEST

/* Held twice: given back by the second put only. */
START_TEST(test_refs)
{
	struct libos_buf *buf = libos_buf_alloc(&os->pool, 64);
	uint8_t *base = buf->base;

	buf->app = 1;
	libos_buf_get(buf);
	libos_buf_put(buf);
	ck_assert_ptr_eq(libos_buf_find(os, base, 1), buf);
	buf->app = 0; /* freed by the program, held by the libOS: not there for it */
	ck_assert_ptr_null(libos_buf_find(os, base, 1));
	libos_buf_put(buf);
	ck_assert_ptr_null(libos_buf_find(os, base, 1));
	ck_assert_ptr_eq(libos_buf_alloc(&os->pool, 64), buf);	/* the warm one */
}
END_TEST

START_TEST(test_limit)
{
	struct libos_buf *bufs[64];
	uint64_t failed = os->count[LIBOS_C_ALLOC_FAILED];
	int n = 0;

	os->pool_limit = os->pool_bytes + 8 * LIBOS_UNIT_SIZE;
	while (n < 64 && (bufs[n] = libos_buf_alloc(&os->pool, LIBOS_UNIT_SIZE)))
		n++;
	ck_assert_int_ge(n, 7);
	ck_assert_int_le(n, 8 + 1);	/* the end of stream's own unit may be given up */
	ck_assert_uint_eq(os->count[LIBOS_C_ALLOC_FAILED], failed + 1);
	ck_assert_ptr_null(libos_buf_alloc(&os->pool, 4 * LIBOS_UNIT_SIZE));
	while (n)
		libos_buf_put(bufs[--n]);
	/* what one size left behind serves another */
	bufs[0] = libos_buf_alloc(&os->pool, 4 * LIBOS_UNIT_SIZE);
	ck_assert_ptr_nonnull(bufs[0]);
	memset(bufs[0]->base, 1, bufs[0]->len);
	libos_buf_put(bufs[0]);
	ck_assert_uint_eq(os->count[LIBOS_C_BUFS_OUT], 0);
}
END_TEST

START_TEST(test_bad_sizes)
{
	ck_assert_ptr_null(libos_buf_alloc(&os->pool, 0));
	ck_assert_ptr_null(libos_buf_alloc(&os->pool, ((size_t)256 << 20) + 1));
	ck_assert_ptr_null(libos_buf_alloc(&os->pool, SIZE_MAX));
}
END_TEST

/* Areas of made-up addresses: found by any address inside, gone after del, with
 * collisions in the table on purpose. */
START_TEST(test_map)
{
	enum { N = 300 };
	static struct libos_area areas[N];
	uint32_t n_before = os->n_units;

	for (uintptr_t i = 0; i < N; i++) {
		areas[i].base = (uint8_t *)((i * 64 + 1024) << LIBOS_UNIT_SHIFT);
		areas[i].size = (1 + i % 3) * LIBOS_UNIT_SIZE;
		ck_assert_int_eq(libos_area_add(os, &areas[i]), 0);
	}
	for (int round = 0; round < 2; round++) {
		for (uintptr_t i = 0; i < N; i++) {
			bool there = !round || i % 2;
			uint8_t *base = areas[i].base;

			ck_assert_ptr_eq(libos_area_find(os, base), there ? &areas[i] : NULL);
			ck_assert_ptr_eq(libos_area_find(os, base + areas[i].size - 1),
					 there ? &areas[i] : NULL);
			ck_assert_ptr_null(libos_area_find(os, base + areas[i].size));
			ck_assert_ptr_null(libos_area_find(os, base - 1));
		}
		for (uintptr_t i = 0; !round && i < N; i += 2)
			libos_area_del(os, &areas[i]);
	}
	for (uintptr_t i = 1; i < N; i += 2)
		libos_area_del(os, &areas[i]);
	ck_assert_uint_eq(os->n_units, n_before);
}
END_TEST

Suite *buf_suite(void)
{
	Suite *suite = suite_create("buf");
	TCase *tc = tcase_create("buf");

	tcase_add_checked_fixture(tc, core_setup, core_teardown);
	tcase_add_test(tc, test_class);
	tcase_add_test(tc, test_find);
	tcase_add_test(tc, test_distinct);
	tcase_add_test(tc, test_refs);
	tcase_add_test(tc, test_limit);
	tcase_add_test(tc, test_bad_sizes);
	tcase_add_test(tc, test_map);
	suite_add_tcase(suite, tc);
	return suite;
}

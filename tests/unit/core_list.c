#include "config.h"

#include "base/list.h"

#include "tests/unit/core.h"

struct item {
	int n;
	struct list link;
};

static struct list head;
static struct item items[5];

static void setup(void)
{
	list_init(&head);
	for (int i = 0; i < 5; i++) {
		items[i].n = i;
		list_init(&items[i].link);
	}
}

static int digits(struct list *of)
{
	struct list *pos, *tmp;
	int n = 0;

	list_for_each_safe(pos, tmp, of)
		n = n * 10 + container_of(pos, struct item, link)->n;
	return n;
}

START_TEST(test_order)
{
	ck_assert(list_empty(&head));
	for (int i = 1; i < 4; i++)
		list_add_tail(&head, &items[i].link);
	list_add_head(&head, &items[4].link);
	ck_assert_int_eq(digits(&head), 4123);
	ck_assert_int_eq(list_first(&head, struct item, link)->n, 4);
	list_del(&items[2].link);
	ck_assert_int_eq(digits(&head), 413);
	list_del(&items[2].link);	/* in no list: harmless */
	ck_assert_int_eq(digits(&head), 413);
	ck_assert(list_empty(&items[2].link));
}
END_TEST

START_TEST(test_delete_while_walking)
{
	struct list *pos, *tmp;

	for (int i = 0; i < 5; i++)
		list_add_tail(&head, &items[i].link);
	list_for_each_safe(pos, tmp, &head)
		list_del(pos);
	ck_assert(list_empty(&head));
}
END_TEST

START_TEST(test_splice)
{
	struct list other = { &other, &other };

	list_splice_tail(&head, &other);
	ck_assert(list_empty(&head));
	list_add_tail(&other, &items[1].link);
	list_add_tail(&other, &items[2].link);
	list_splice_tail(&head, &other);
	ck_assert(list_empty(&other));
	ck_assert_int_eq(digits(&head), 12);
	list_add_tail(&other, &items[3].link);
	list_splice_tail(&head, &other);
	ck_assert_int_eq(digits(&head), 123);
}
END_TEST

Suite *list_suite(void)
{
	Suite *suite = suite_create("list");
	TCase *tc = tcase_create("list");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_delete_while_walking);
	tcase_add_test(tc, test_splice);
	suite_add_tcase(suite, tc);
	return suite;
}

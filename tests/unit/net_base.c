#include "config.h"

#include "tests/unit/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/conf.h"
#include "net/csum.h"
#include "net/rand.h"
#include "tests/unit/netbed.h"

/* What everything else stands on: settings, checksums, random choices. */

/* ---- settings */

static const struct {
	const char *text;
	const char *why;	/* NULL: it is right */
} settings[] = {
	{ "", NULL },
	{ " , ,", NULL },
	{ "mtu=1400,mss=1000 iw=4", NULL },
	{ "any_addr=1\nlink_loop=0\tarp_entries=4", NULL },
	{ "wscale=255", NULL },
	{ "reass_bytes=1073741824", NULL },
	{ "nonsense=1", "there is no key \"nonsense\"" },
	{ "mt=1400", "there is no key \"mt\"" },
	{ "mtuu=1400", "there is no key \"mtuu\"" },
	{ "mtu", "\"mtu\" is not key=value" },
	{ "=5", "there is no key \"\"" },
	{ "mtu=", "mtu=: wants a number from 0 to 65535" },
	{ "mtu=-1", "mtu=-1: wants a number from 0 to 65535" },
	{ "mtu=1400x", "mtu=1400x: wants a number from 0 to 65535" },
	{ "mtu=65536", "mtu=65536: wants a number from 0 to 65535" },
	{ "mtu=4294968796", "mtu=4294968796: wants a number from 0 to 65535" },
	{ "mtu=18446744073709553016", "mtu=18446744073709553016: wants a number from 0 to 65535" },
	{ "mtu=575", "mtu is below 576" },
	{ "any_addr=2", "any_addr=2: wants a number from 0 to 1" },
	{ "any_addr=yes", "any_addr=yes: wants a number from 0 to 1" },
	{ "arp_entries=3", "arp_entries=3: wants a number from 4 to 1048576" },
	{ "port_min=5000 port_max=4999", "port_min is above port_max" },
	{ "rto_min_ms=5000,rto_max_ms=4000", "rto_min_ms is above rto_max_ms" },
	{ "mss=87", "mss is below 88" },
	{ "wscale=15", "wscale is 0 to 14, or 255 for what rcvbuf wants" },
	{ "cc=none", "cc=none: there is no such congestion control" },
	{ "cc=a-name-of-more-than-sixteen-bytes",
	  "cc=a-name-of-more-: there is no such congestion control" },
};

START_TEST(test_settings)
{
	struct net_config config;
	char why[NET_WHY] = "untouched";
	int err = net_config_parse(&config, settings[_i].text, why);

	if (!settings[_i].why) {
		ck_assert_int_eq(err, 0);
		ck_assert_str_eq(why, "untouched");
	} else {
		ck_assert_int_eq(err, EINVAL);
		ck_assert_str_eq(why, settings[_i].why);
	}
}
END_TEST

START_TEST(test_settings_are_kept)
{
	struct net_config config;
	char why[NET_WHY];

	ck_assert_int_eq(net_config_parse(&config, NULL, why), 0);
	ck_assert_uint_eq(config.arp_retries, 3);
	ck_assert(config.nodelay);
	ck_assert(!config.any_addr);
	ck_assert_int_eq(net_config_parse(&config, "arp_retries=7,nodelay=0 any_addr=1 "
					  "arp_retries=8", why), 0);
	ck_assert_uint_eq(config.arp_retries, 8); /* the last one counts */
	ck_assert_uint_eq(config.arp_queue, 16);
	ck_assert(!config.nodelay);
	ck_assert(config.any_addr);
}
END_TEST

/* The stack refuses what the parser does, and says why. */
START_TEST(test_settings_of_stack)
{
	struct bed *bed = bed_prepare();
	struct net_stack *stack = NULL;
	char why[NET_WHY];

	ck_assert_int_eq(net_stack_new("nonsense=1", 1, NULL, &bed->dev, bed->count, 0, why,
				       &stack), EINVAL);
	ck_assert_str_eq(why, "there is no key \"nonsense\"");
	ck_assert_ptr_null(stack);
	free(bed);
}
END_TEST

/* ---- checksums */

/* Every length and alignment, against the sum byte by byte. */
START_TEST(test_csum)
{
	uint8_t data[400];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 151 + (i >> 3));
	memset(data + 100, 0xff, 120);
	for (uint32_t at = 0; at < 9; at++)
		for (uint32_t len = 0; len < 300; len++)
			ck_assert_uint_eq(net_csum_fold(net_csum_add(0, data + at, len)),
					  bed_sum(data + at, len, 0));
}
END_TEST

START_TEST(test_csum_carries)
{
	static uint8_t ones[65536];

	memset(ones, 0xff, sizeof(ones));
	ck_assert_uint_eq(net_csum_fold(net_csum_add(0, ones, sizeof(ones))), 0xffff);
	ck_assert_uint_eq(net_csum_fold(net_csum_add(UINT64_MAX, ones, sizeof(ones))), 0xffff);
	ck_assert_uint_eq(net_csum_fold(net_csum_add(UINT64_MAX, "\1\0", 2)),
			  bed_sum("\1\0", 2, 0));
	ck_assert_uint_eq(net_csum_fold(UINT64_MAX), 0xffff);
	ck_assert_uint_eq(net_csum_fold(UINT64_C(0xffffffff00000001)), 1);
}
END_TEST

/* Segments may begin at odd places. */
START_TEST(test_csum_segs)
{
	uint8_t data[600];
	struct net_out out;

	memset(&out, 0, sizeof(out));
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37 + 11);
	for (uint32_t a = 0; a < 40; a++) {
		for (uint32_t b = 1; b < 40; b++) {
			uint32_t c = 599 - a - b;

			out.n_segs = 3;
			out.segs[0] = (struct net_seg){ .data = data, .len = a };
			out.segs[1] = (struct net_seg){ .data = data + a, .len = b };
			out.segs[2] = (struct net_seg){ .data = data + a + b, .len = c };
			ck_assert_uint_eq(net_csum_fold(net_csum_segs(0x1234, &out)),
					  bed_sum(data, 599, 0x1234));
		}
	}
}
END_TEST

START_TEST(test_csum_update)
{
	uint16_t words[10] = { 0x4500, 0x1234, 0xffff, 0, 0xabcd, 0, 0x8000, 1, 2, 3 };
	static const uint16_t news[] = { 0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x1234 };

	for (size_t i = 0; i < sizeof(news) / sizeof(news[0]); i++) {
		uint16_t csum = (uint16_t)~bed_sum(words, sizeof(words), 0);

		csum = net_csum_update(csum, words[6], news[i]);
		words[6] = news[i];
		ck_assert_uint_eq(bed_sum(words, sizeof(words), csum), 0xffff);
	}
}
END_TEST

/* ---- random choices */

START_TEST(test_rand)
{
	struct net_rand a, b, c, d;
	uint8_t key[16] = { 1 };
	uint32_t seen = 0;

	net_rand_init(&a, 5, NULL);
	net_rand_init(&b, 5, NULL);
	net_rand_init(&c, 6, NULL);
	net_rand_init(&d, 5, key);
	ck_assert_uint_eq(net_rand_u32(&a), net_rand_u32(&b));
	ck_assert_uint_ne(net_rand_u32(&a), net_rand_u32(&c));
	ck_assert_uint_ne(net_rand_u32(&b), net_rand_u32(&d));
	ck_assert_uint_eq(net_hash(&a, "x", 1), net_hash(&b, "x", 1));
	ck_assert_uint_ne(net_hash(&a, "x", 1), net_hash(&d, "x", 1));
	ck_assert_uint_ne(net_hash(&a, "x", 1), net_hash(&a, "y", 1));
	ck_assert(a.table_key & 1);
	for (int i = 0; i < 1000; i++)
		seen |= 1u << net_rand_below(&a, 10);
	ck_assert_uint_eq(seen, (1u << 10) - 1);
}
END_TEST

/* SipHash-2-4's own test vector (Aumasson, Bernstein, appendix A). */
START_TEST(test_hash)
{
	struct net_rand r;
	uint8_t data[15];

	for (uint8_t i = 0; i < 16; i++)
		r.key[i] = i;
	for (uint8_t i = 0; i < 15; i++)
		data[i] = i;
	ck_assert_uint_eq(net_hash(&r, data, 15), UINT64_C(0xa129ca6149be45e5));
}
END_TEST

Suite *net_base_suite(void)
{
	Suite *s = suite_create("net_base");
	TCase *t = tcase_create("base");

	tcase_add_loop_test(t, test_settings, 0, sizeof(settings) / sizeof(settings[0]));
	tcase_add_test(t, test_settings_are_kept);
	tcase_add_test(t, test_settings_of_stack);
	tcase_add_test(t, test_csum);
	tcase_add_test(t, test_csum_carries);
	tcase_add_test(t, test_csum_segs);
	tcase_add_test(t, test_csum_update);
	tcase_add_test(t, test_rand);
	tcase_add_test(t, test_hash);
	suite_add_tcase(s, t);
	return s;
}

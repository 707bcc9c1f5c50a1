#include "config.h"

#include "tests/unit/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/stack.h"
#include "tests/unit/netbed.h"

/* Every allocation fails once, in turn (the linker puts these in front of libc's):
 * ENOMEM, or a counted drop, nothing leaked, and afterwards all works. */

static long until_failure = -1; /* allocations; < 0: none fails */
static bool failed;
static bool told;		/* by an errno */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **p, size_t align, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **p, size_t align, size_t size);

static bool fails(void)
{
	if (bed_device || until_failure < 0 || until_failure--)
		return false;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(align, size);
}

int __wrap_posix_memalign(void **p, size_t align, size_t size)
{
	return fails() ? ENOMEM : __real_posix_memalign(p, align, size);
}

static struct bed *bed;

static void ok_or_enomem(int err)
{
	bed_device++;
	ck_assert(!err || (failed && err == ENOMEM));
	told |= err;
	bed_device--;
}

static int send_seg(struct net_sock *s, const struct net_addr *to, uint32_t len)
{
	struct net_seg seg;
	int err;

	bed_device++;
	seg = bed_seg(len, 0);
	bed_device--;
	err = net_send(s, &seg, 1, to);
	if (err)
		bed_put(&seg);
	net_flush(bed->stack);
	return err;
}

static void input(const struct frame *f)
{
	struct net_pkt pkt = { .flags = 0 };

	bed->dev.ops->alloc(&bed->dev, f->len, &pkt.seg);
	memcpy(pkt.seg.data, f->data, f->len);
	pkt.seg.len = f->len;
	net_input(bed->stack, bed->now, &pkt, 1);
	bed_run(bed);
	bed_forget(bed);
}

static void fragment(uint32_t at, bool more)
{
	struct frame *f;

	bed_device++;
	f = bed_ip_packet(NET_IPPROTO_UDP, "10.0.0.2", "10.0.0.1", NULL, 24);
	frame_ip(f)->frag = htons((uint16_t)(at / 8 | (more ? NET_IP_MF : 0)));
	bed_fix(f);
	bed_device--;
	input(f);
}

static void question(void)
{
	struct frame *f;

	bed_device++;
	f = bed_arp(NET_ARP_REQUEST, 3, "10.0.0.3", 0, "10.0.0.1");
	bed_device--;
	input(f);
}

static void datagram(void)
{
	struct frame *f;

	bed_device++;
	f = bed_udp("10.0.0.2", 9, "10.0.0.1", 7, NULL, 20);
	bed_device--;
	input(f);
}

/* Something of everything, in which one allocation fails. */
static void live(long which)
{
	struct net_ip second = bed_ip("10.0.0.5"), net = bed_ip("8.0.0.0"), gw = bed_ip("10.0.0.2");
	struct net_addr any = { net_ip4(0), 0 }, taken = bed_addr("10.0.0.1", 7);
	struct net_addr nobody = bed_addr("10.0.0.77", 9), known = bed_addr("10.0.0.2", 9);
	struct net_sock *s = NULL, *other = NULL;

	failed = told = false;
	until_failure = which;
	ok_or_enomem(net_local_add(bed->stack, &second, 24, true));
	ok_or_enomem(net_route_add(bed->stack, &net, 8, &gw));
	ok_or_enomem(net_neigh_add(bed->stack, &gw, (const uint8_t[]){ 2, 0, 0, 0, 0, 2 }));
	ok_or_enomem(net_socket(bed->stack, NET_UDP, NULL, &s));
	ok_or_enomem(net_socket(bed->stack, NET_UDP, NULL, &other));
	if (s) {
		ok_or_enomem(net_bind(s, &taken));
		ok_or_enomem(send_seg(s, &nobody, 100));
		ok_or_enomem(send_seg(s, &known, 100));
	}
	if (other)
		ok_or_enomem(net_bind(other, &any));
	question();
	datagram();
	fragment(0, true);
	fragment(24, false);
	if (s)
		net_close(s, false);
	if (other)
		net_close(other, false);
	until_failure = -1;
}

START_TEST(test_each_fails)
{
	struct net_sock *s;

	bed = bed_open("any_addr=1");
	live(_i);
	ck_assert(!failed || told || bed_count(bed, NO_MEMORY));
	bed_learn(bed, 2);
	s = bed_udp_socket(bed, "10.0.0.1", 7);
	bed_input(bed, bed_udp("10.0.0.2", 9, "10.0.0.1", 7, NULL, 20));
	bed_expect_datagram(s, 20, 0);
	net_close(s, false);
	bed_close(bed);
}
END_TEST

/* The scenario has as many allocations as the loop assumes, or nothing is tested. */
START_TEST(test_enough_fail)
{
	bed = bed_open("any_addr=1");
	live(8);
	ck_assert(failed);
	bed_close(bed);
}
END_TEST

/* A stack that cannot be made. */
START_TEST(test_no_stack)
{
	struct net_stack *stack = NULL;
	char why[NET_WHY] = "";
	int err = ENOMEM;

	bed = bed_prepare();
	for (long n = 0; err; n++) {
		failed = false;
		until_failure = n;
		err = net_stack_new(NULL, 1, NULL, &bed->dev, bed->count, bed->now, why, &stack);
		until_failure = -1;
		ck_assert_int_eq(err, failed ? ENOMEM : 0);
		ck_assert(!err || stack == NULL);
		ck_assert(!err || !strcmp(why, "no memory"));
		ck_assert_int_lt(n, 100);
	}
	net_stack_free(stack);
	free(bed);
}
END_TEST

Suite *net_memory_suite(void)
{
	Suite *s = suite_create("net_memory");
	TCase *t = tcase_create("memory");

	tcase_add_loop_test(t, test_each_fails, 0, 24);
	tcase_add_test(t, test_enough_fail);
	tcase_add_test(t, test_no_stack);
	suite_add_tcase(s, t);
	return s;
}

/*
 * Buffers: allocation and its limits, what may be pushed, who owns the bytes
 * and for how long, and that the checks of CLOWDER_DEBUG=buffers see what they
 * are for.
 */
#include "tests/conform/conform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static bool is_null(const demi_sgarray_t *sga)
{
	return !sga->sga_numsegs && !sga->sga_buf;
}

START_TEST(test_sizes)
{
	static const size_t bad[] = { 0, (size_t)-1, (size_t)1 << 40, ((size_t)256 << 20) + 1 };

	for (int shift = 0; shift <= 20; shift++) {
		for (int d = -1; d <= 1; d++) {
			size_t len = ((size_t)1 << shift) + (size_t)d;
			demi_sgarray_t sga;

			if (!len || len > MIB)
				continue;
			sga = alloc_filled(len, 7, 0);
			ck_assert_uint_eq(mismatch(sga.sga_segs[0].sgaseg_buf, len, 7, 0), len);
			expect_ok(demi_sgafree(&sga));
		}
	}
	for (size_t i = 0; i < array_size(bad); i++) {
		demi_sgarray_t sga = demi_sgaalloc(bad[i]);

		ck_assert(is_null(&sga));
	}
	expect_bufs_out(0);
}
END_TEST

/* Buffers never overlap, whatever the order of freeing. */
START_TEST(test_no_overlap)
{
	enum { N = 300 };
	static demi_sgarray_t sga[N];

	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < N; i++) {
			if (!round || (i * 7 + round) % 3 == 0)
				sga[i] = alloc(1 + (i * 97 + round * 31) % 9000);
			fill(sga[i].sga_segs[0].sgaseg_buf, sga[i].sga_segs[0].sgaseg_len, i, 0);
		}
		for (unsigned i = 0; i < N; i++) {
			uint32_t len = sga[i].sga_segs[0].sgaseg_len;

			ck_assert_uint_eq(mismatch(sga[i].sga_segs[0].sgaseg_buf, len, i, 0), len);
			if (round == 3 || (i * 7 + round + 1) % 3 == 0)
				expect_ok(demi_sgafree(&sga[i]));
		}
	}
	expect_bufs_out(0);
}
END_TEST

START_TEST(test_free_twice)
{
	demi_sgarray_t sga = alloc(100), copy = sga, composed = { 0 }, stack = sga;

	compose(&composed, &sga, 0, 50);
	expect(EINVAL, "composed sga", demi_sgafree(&composed));
	stack.sga_buf = &stack;
	expect(EINVAL, "not a buffer", demi_sgafree(&stack));
	stack.sga_buf = (char *)sga.sga_buf + 1;
	expect(EINVAL, "not a buffer", demi_sgafree(&stack));
	expect_ok(demi_sgafree(&sga));
	expect(EINVAL, "already freed", demi_sgafree(&copy));
	sga = alloc(100);
	expect_ok(demi_sgafree(&sga));
	expect_bufs_out(0);
}
END_TEST

/* ---- what a push takes */

static struct pair p;
static demi_sgarray_t sga;

static void setup(void)
{
	conform_start();
	pair_open(&p);
	sga = alloc_filled(4096, 1, 0);
}

static void teardown(void)
{
	expect_ok(demi_sgafree(&sga));
	pair_close(&p);
	expect_bufs_out(0);
	conform_stop();
}

/* Pushes [from, from + len) of sga, on either call. */
static int push_range(bool to, ptrdiff_t from, uint32_t len)
{
	demi_sgarray_t part = sga;
	demi_qtoken_t qt;

	part.sga_segs[0].sgaseg_buf = (uint8_t *)sga.sga_segs[0].sgaseg_buf + from;
	part.sga_segs[0].sgaseg_len = len;
	return to ? demi_pushto(&qt, p.client, &part, SA(&p.addr), sizeof(p.addr)) :
		    demi_push(&qt, p.client, &part);
}

START_TEST(test_outside)
{
	static const struct {
		ptrdiff_t from;
		uint32_t len;
	} outside[] = {
		{ 0, 4097 }, { 1, 4096 }, { -1, 10 }, { 4096, 1 }, { 4095, 2 },
		{ 0, UINT32_MAX }, { 100, UINT32_MAX - 50 }, { -4096, 4096 },
	};

	for (size_t i = 0; i < array_size(outside); i++) {
		conform_returned(__FILE__, (int)i, "demi_push", EINVAL,
				 (errno = ERRNO_CANARY,
				  push_range(false, outside[i].from, outside[i].len)),
				 "segment outside its buffer");
		conform_returned(__FILE__, (int)i, "demi_pushto", EINVAL,
				 (errno = ERRNO_CANARY,
				  push_range(true, outside[i].from, outside[i].len)),
				 "segment outside its buffer");
	}
	expect_ok(push_range(false, 0, 4096));
	expect_ok(push_range(true, 4095, 1));
	recv_bytes(p.server, 4096, 1, 0);
	recv_bytes(p.server, 1, 1, 4095);
}
END_TEST

/* Also where the size that was asked for is not that of the memory behind it,
 * in memory that is no buffer at all, and in one that was freed. */
START_TEST(test_not_a_buffer)
{
	demi_sgarray_t odd = alloc(100), bad = odd;
	uint8_t on_stack[64] = { 0 };
	demi_qtoken_t qt;

	bad.sga_segs[0].sgaseg_len = 101;
	expect(EINVAL, "segment outside its buffer", demi_push(&qt, p.client, &bad));
	bad.sga_segs[0].sgaseg_len = 64;
	bad.sga_segs[0].sgaseg_buf = on_stack;
	expect(EINVAL, "not a buffer", demi_push(&qt, p.client, &bad));
	bad.sga_segs[0].sgaseg_buf = NULL;
	expect(EINVAL, "not a buffer", demi_push(&qt, p.client, &bad));
	expect_ok(demi_sgafree(&odd));
	expect(EINVAL, "not a buffer", demi_push(&qt, p.client, &odd));
	expect(EINVAL, "not a buffer",
	       demi_pushto(&qt, p.client, &odd, SA(&p.addr), sizeof(p.addr)));
	settle();
}
END_TEST

/* A wrong last segment: nothing of the others is pushed. */
START_TEST(test_last_segment_wrong)
{
	demi_sgarray_t composed = { 0 };
	demi_qtoken_t qt;

	compose(&composed, &sga, 0, 10);
	compose(&composed, &sga, 10, 10);
	compose(&composed, &sga, 4090, 10);
	expect(EINVAL, "segment outside its buffer", demi_push(&qt, p.client, &composed));
	composed.sga_segs[2].sgaseg_len = 6;
	finish_ok(push(p.client, &composed), DEMI_OPC_PUSH);
	recv_bytes(p.server, 20, 1, 0);
	recv_bytes(p.server, 6, 1, 4090);
	settle();
}
END_TEST

/* A segment cut at either end; the free looks at sga_buf alone. */
START_TEST(test_trimmed)
{
	demi_sgarray_t cut = alloc_filled(10000, 2, 0);

	for (unsigned from = 0; from < 9000; from += 1777) {
		cut.sga_segs[0].sgaseg_buf = (uint8_t *)cut.sga_buf + from;
		cut.sga_segs[0].sgaseg_len = 1000;
		finish_ok(push(p.client, &cut), DEMI_OPC_PUSH);
		recv_bytes(p.server, 1000, 2, from);
	}
	cut.sga_segs[0].sgaseg_buf = NULL;
	cut.sga_segs[0].sgaseg_len = 0;
	cut.sga_numsegs = 0;
	expect_ok(demi_sgafree(&cut));
}
END_TEST

/* Four segments of four allocations, empty ones among others. */
START_TEST(test_composed)
{
	static const uint32_t lens[][4] = {
		{ 1, 1, 1, 1 }, { 100, 5000, 3, 70000 }, { 0, 10, 0, 10 },
		{ 64, 0, 0, 0 }, { 300000, 300000, 300000, 1 }, { 0, 0, 0, 1 },
	};

	for (unsigned k = 0; k < array_size(lens); k++) {
		demi_sgarray_t part[4], composed = { 0 };
		size_t total = 0;
		demi_qtoken_t qt;

		for (int i = 0; i < 4; i++) {
			part[i] = alloc_filled(lens[k][i] + 20, k, total - 10);
			compose(&composed, &part[i], 10, lens[k][i]);
			total += lens[k][i];
		}
		qt = push(p.client, &composed);
		for (int i = 0; i < 4; i++)
			expect_ok(demi_sgafree(&part[i]));
		recv_bytes(p.server, total, k, 0);
		finish_ok(qt, DEMI_OPC_PUSH);
	}
}
END_TEST

/* Header, a popped value, trailer: what came in goes out again uncopied. */
START_TEST(test_popped_pushed_on)
{
	demi_sgarray_t head = alloc_filled(16, 3, 0), tail = alloc_filled(16, 3, 2016);
	size_t done = 16;

	send_bytes(p.client, 2000, 3, 16);
	finish_ok(push(p.server, &head), DEMI_OPC_PUSH);
	while (done < 2016) {
		demi_sgarray_t value = popped(p.server), whole = { 0 };
		uint32_t len = value.sga_segs[0].sgaseg_len;

		compose(&whole, &value, 0, len);
		done += len;
		if (done == 2016)
			compose(&whole, &tail, 0, 16);
		finish_ok(push(p.server, &whole), DEMI_OPC_PUSH);
		expect_ok(demi_sgafree(&value));
	}
	recv_bytes(p.client, 2032, 3, 0);
	expect_ok(demi_sgafree(&head));
	expect_ok(demi_sgafree(&tail));
}
END_TEST

/* Freed before the push completes, and the memory asked for again at once. */
START_TEST(test_freed_before_done)
{
	enum { N = 40, LEN = 100000 };
	demi_qtoken_t qts[N];

	for (unsigned i = 0; i < N; i++) {
		demi_sgarray_t one = alloc_filled(LEN, 9, i * LEN), other;

		qts[i] = push(p.client, &one);
		expect_ok(demi_sgafree(&one));
		expect(EINVAL, "already freed", demi_sgafree(&one));
		other = alloc(LEN);
		memset(other.sga_buf, 0xee, LEN);
		expect_ok(demi_sgafree(&other));
	}
	recv_bytes(p.server, N * LEN, 9, 0);
	for (unsigned i = 0; i < N; i++)
		finish_ok(qts[i], DEMI_OPC_PUSH);
}
END_TEST

/* The same bytes again, to the same and to another queue. */
START_TEST(test_pushed_again)
{
	struct pair other;

	pair_open(&other);
	for (int i = 0; i < 3; i++) {
		finish_ok(push(p.client, &sga), DEMI_OPC_PUSH);
		finish_ok(push(other.client, &sga), DEMI_OPC_PUSH);
		finish_ok(push(p.server, &sga), DEMI_OPC_PUSH);
	}
	for (int i = 0; i < 3; i++) {
		recv_bytes(p.client, 4096, 1, 0);
		recv_bytes(other.server, 4096, 1, 0);
		recv_bytes(p.server, 4096, 1, 0);
	}
	ck_assert_uint_eq(mismatch(sga.sga_buf, 4096, 1, 0), 4096);
	pair_close(&other);
}
END_TEST

/* Bytes that the program holds do not change, whatever else is popped, pushed
 * or closed meanwhile; also not after the close of their own queue. */
START_TEST(test_popped_stay)
{
	enum { N = 20, LEN = 3000 };
	demi_sgarray_t held[2000];
	size_t at[2000], done = 0;
	int n = 0;

	for (unsigned i = 0; i < N; i++)
		send_bytes(p.client, LEN, 5, (size_t)i * LEN);
	while (done < N * LEN) {
		held[n] = popped(p.server);
		at[n] = done;
		done += held[n++].sga_segs[0].sgaseg_len;
	}
	pump(p.client, p.server, 500000, 10000, 6);
	pump(p.server, p.client, 500000, 10000, 6);
	expect_ok(demi_close(p.client));
	expect_ok(demi_close(p.server));
	settle();
	for (int i = 0; i < n; i++) {
		uint32_t len = held[i].sga_segs[0].sgaseg_len;

		ck_assert_uint_eq(mismatch(held[i].sga_segs[0].sgaseg_buf, len, 5, at[i]), len);
		expect_ok(demi_sgafree(&held[i]));
	}
	for (int i = 0; i < n; i++)
		expect(EINVAL, "already freed", demi_sgafree(&held[i]));
	expect_ok(demi_close(p.listener));
	pair_open(&p);
}
END_TEST

/* One buffer pushed in pieces that begin at one place: each pop of it is a buffer of
 * its own, in whatever order they are freed, and none once it is freed. */
START_TEST(test_popped_of_one)
{
	static const uint32_t lens[] = { 1000, 2000, 3000 };
	static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 },
					 { 2, 0, 1 }, { 2, 1, 0 } };
	demi_sgarray_t got[3], part;
	demi_qtoken_t qt;

	for (int i = 0; i < 3; i++) {
		part = sga;
		part.sga_segs[0].sgaseg_len = lens[i];
		finish_ok(push(p.client, &part), DEMI_OPC_PUSH);
		got[i] = popped(p.server);
		ck_assert_uint_eq(got[i].sga_segs[0].sgaseg_len, lens[i]);
	}
	for (int i = 0; i < 3; i++) {
		for (int k = i; k < 3; k++)
			finish_ok(push(p.server, &got[orders[_i][k]]), DEMI_OPC_PUSH);
		for (int k = i; k < 3; k++)
			recv_bytes(p.client, lens[orders[_i][k]], 1, 0);
		expect_ok(demi_sgafree(&got[orders[_i][i]]));
	}
	for (int i = 0; i < 3; i++) {
		expect(EINVAL, "already freed", demi_sgafree(&got[i]));
		expect(EINVAL, "not a buffer", demi_push(&qt, p.server, &got[i]));
	}
}
END_TEST

/* An end of stream is a buffer to be freed once, too. */
START_TEST(test_eof_freed)
{
	demi_sgarray_t one, two;

	expect_ok(demi_shutdown(p.client, SHUT_WR));
	one = popped(p.server);
	two = popped(p.server);
	expect_ok(demi_sgafree(&one));
	expect_ok(demi_sgafree(&two));
}
END_TEST

/* ---- another instance's */

static void foreigner(int ctl)
{
	struct sockaddr_in addr;
	demi_sgarray_t theirs, mine;
	demi_qtoken_t qt;
	int qd;

	conform_start();
	mine = alloc(64);
	hear(ctl, &theirs, sizeof(theirs));
	hear(ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	expect(EINVAL, "of another instance", demi_sgafree(&theirs));
	expect(EINVAL, "of another instance", demi_push(&qt, qd, &theirs));
	expect(EINVAL, "of another instance",
	       demi_pushto(&qt, qd, &theirs, SA(&addr), sizeof(addr)));
	expect_ok(demi_sgafree(&mine));
	expect_ok(demi_close(qd));
	conform_stop();
}

START_TEST(test_foreign)
{
	struct peer peer;

	peer_start(&peer, IN_THREAD, foreigner);
	say(peer.ctl, &sga, sizeof(sga));
	say(peer.ctl, &p.addr, sizeof(p.addr));
	recv_eof(accept_one(p.listener));
	peer_join(&peer);
}
END_TEST

/* ---- the pool's limit */

START_TEST(test_pool_limit)
{
	enum { MAX = 4096, LEN = 65536 };
	static demi_sgarray_t got[MAX];
	int n, again = 0;

	setenv("CLOWDER_POOL_MAX_BYTES", "16M", 1);
	conform_start();
	for (n = 0; n < MAX; n++) {
		got[n] = demi_sgaalloc(LEN);
		if (is_null(&got[n]))
			break;
		memset(got[n].sga_buf, n, LEN);
	}
	ck_assert_int_gt(n, 16);
	ck_assert_int_le(n, 256);
	ck_assert_uint_ge(counter("libos.alloc_failed"), 1);
	ck_assert_uint_le(counter("libos.pool_bytes"), 16 * MIB);
	for (int i = 0; i < n; i += 2)
		expect_ok(demi_sgafree(&got[i]));
	for (int i = 0; i < n; i += 2) {
		got[i] = demi_sgaalloc(LEN);
		again += !is_null(&got[i]);
	}
	ck_assert_int_eq(again, (n + 1) / 2);
	for (int i = 0; i < n; i++)
		expect_ok(demi_sgafree(&got[i]));
	expect_bufs_out(0);
	conform_stop();
	unsetenv("CLOWDER_POOL_MAX_BYTES");
}
END_TEST

/* At the limit nothing is lost on connections: they wait, and go on. */
START_TEST(test_pool_limit_traffic)
{
	enum { MAX = 4096, LEN = 65536 };
	static demi_sgarray_t got[MAX];
	struct pair pair;
	int n;

	setenv("CLOWDER_POOL_MAX_BYTES", "16M", 1);
	conform_start();
	pair_open(&pair);
	send_bytes(pair.client, 30000, 3, 0);
	for (n = 0; n < MAX; n++) {
		got[n] = demi_sgaalloc(LEN);
		if (is_null(&got[n]))
			break;
	}
	ck_assert_int_lt(n, MAX);
	settle();
	for (int i = 0; i < n; i++)
		expect_ok(demi_sgafree(&got[i]));
	recv_bytes(pair.server, 30000, 3, 0);
	pump(pair.server, pair.client, 3 * MIB, MIB, 4);
	pair_close(&pair);
	expect_bufs_out(0);
	conform_stop();
	unsetenv("CLOWDER_POOL_MAX_BYTES");
}
END_TEST

/* ---- CLOWDER_DEBUG=buffers */

enum sin { NO_SIN, NOT_TAKEN, WRITE_PUSHED, WRITE_POPPED, FREE_TWICE, LEAK, LEAK_POPPED, N_SINS };

/* A push that failed at once has frozen nothing. */
static void write_not_taken(void)
{
	struct sockaddr_in addr;
	int qd = bound_socket(SOCK_DGRAM, &addr);
	demi_sgarray_t mine = alloc_filled(70000, 1, 0);
	demi_qtoken_t qt;

	expect(EMSGSIZE, "too large", demi_pushto(&qt, qd, &mine, SA(&addr), sizeof(addr)));
	*(char *)mine.sga_buf ^= 1;
	expect_ok(demi_sgafree(&mine));
}

/* Pops of several segments: nothing wrong, or freed twice, or never. */
static void commit_segs(enum sin which)
{
	demi_sgarray_t mine = alloc_filled(3000, 1, 0);
	struct pair pair;
	int on = 1;

	pair_open(&pair);
	expect_ok(demi_setsockopt(pair.server, SOL_DEMI, DEMI_POP_SEGS, &on, sizeof(on)));
	for (int i = 0; i < 3; i++)
		finish_ok(push(pair.client, &mine), DEMI_OPC_PUSH);
	expect_ok(demi_sgafree(&mine));
	settle();
	for (size_t done = 0; done < 9000;) {
		mine = finish_ok(pop(pair.server), DEMI_OPC_POP).qr_value.sga;
		for (uint32_t i = 0; i < mine.sga_numsegs; i++)
			done += mine.sga_segs[i].sgaseg_len;
		if (which != LEAK_POPPED)
			expect_ok(demi_sgafree(&mine));
	}
	if (which == FREE_TWICE)
		expect(EINVAL, "already freed", demi_sgafree(&mine));
	pair_close(&pair);
}

static bool f_segs;		/* of DEMI_POP_SEGS */

static void commit(void *arg)
{
	enum sin which = *(enum sin *)arg;
	demi_sgarray_t mine, theirs;
	struct pair pair;

	setenv("CLOWDER_DEBUG", "buffers", 1);
	conform_start();
	if (which == NOT_TAKEN)
		write_not_taken();
	if (f_segs) {
		commit_segs(which);
		conform_stop();
		return;
	}
	pair_open(&pair);
	mine = alloc_filled(100, 1, 0);
	finish_ok(push(pair.client, &mine), DEMI_OPC_PUSH);
	if (which == WRITE_PUSHED)
		*(char *)mine.sga_buf ^= 1;
	theirs = popped(pair.server);
	if (which == WRITE_POPPED)
		*(char *)theirs.sga_segs[0].sgaseg_buf ^= 1;
	if (which != LEAK_POPPED)
		expect_ok(demi_sgafree(&theirs));
	if (which != LEAK)
		expect_ok(demi_sgafree(&mine));
	if (which == FREE_TWICE)
		expect(EINVAL, "already freed", demi_sgafree(&mine));
	pair_close(&pair);
	conform_stop();
}

/* Popped bytes may lie where a write is a fault: then that tells, at once. */
START_TEST(test_debug)
{
	static const char *const words[N_SINS] = {
		[WRITE_PUSHED] = "written after demi_push",
		[WRITE_POPPED] = "written after demi_pop",
		[FREE_TWICE] = "freed already",
		[LEAK] = "never freed",
		[LEAK_POPPED] = "never freed",
	};
	enum sin which = (enum sin)(_i % N_SINS);
	char text[4096];
	int status;

	f_segs = _i >= N_SINS;
	if (f_segs && (which == WRITE_PUSHED || which == WRITE_POPPED || which == LEAK))
		return; /* no other than without */
	status = run_captured(commit, &which, text, sizeof(text));

	if (which == WRITE_POPPED && WIFSIGNALED(status))
		return;
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%s", text);
	if (which == NO_SIN || which == NOT_TAKEN)
		ck_assert_str_eq(text, "");
	else
		ck_assert_msg(strstr(text, words[which]) != NULL, "said: %s", text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("buffers");
	TCase *tc = conform_tcase(suite, "allocation", true);

	tcase_add_test(tc, test_sizes);
	tcase_add_test(tc, test_no_overlap);
	tcase_add_test(tc, test_free_twice);

	tc = conform_tcase(suite, "ownership", false);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_outside);
	tcase_add_test(tc, test_not_a_buffer);
	tcase_add_test(tc, test_last_segment_wrong);
	tcase_add_test(tc, test_trimmed);
	tcase_add_test(tc, test_composed);
	tcase_add_test(tc, test_popped_pushed_on);
	tcase_add_test(tc, test_freed_before_done);
	tcase_add_test(tc, test_pushed_again);
	tcase_add_test(tc, test_popped_stay);
	tcase_add_loop_test(tc, test_popped_of_one, 0, 6);
	tcase_add_test(tc, test_eof_freed);
	if (conform_parties(1, "buffers of another instance"))
		tcase_add_test(tc, test_foreign);

	tc = conform_tcase(suite, "limits", false);
	tcase_add_test(tc, test_pool_limit);
	tcase_add_test(tc, test_pool_limit_traffic);
	tcase_add_loop_test(tc, test_debug, 0, 2 * N_SINS);
	return conform_main(suite);
}

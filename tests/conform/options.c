/*
 * Socket options, one row each, and the addresses of a queue.
 */
#include "tests/conform/conform.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { INT, BOOL, LINGER, NAME, INFO };

#define SETS 1u
#define GETS 2u
#define DGRAM 4u		/* datagram queues have it too */
#define TCP_ONLY 8u		/* only where there is TCP; others remember the rest */

static const struct option {
	const char *label;
	int level, name;
	enum kind kind;
	unsigned flags;
	int value;		/* one that can be set */
	int bad;		/* one out of range; 0: none */
} options[] = {
	{ "SO_LINGER", SOL_SOCKET, SO_LINGER, LINGER, SETS | GETS, 3, 0 },
	{ "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, BOOL, SETS | GETS, 1, 0 },
	{ "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, BOOL, SETS | GETS | DGRAM, 1, 0 },
	{ "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, INT, SETS | GETS | DGRAM, 100000, 0 },
	{ "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, INT, SETS | GETS | DGRAM, 100000, 0 },
	{ "SO_ERROR", SOL_SOCKET, SO_ERROR, INT, GETS | DGRAM, 0, 0 },
	{ "SO_TYPE", SOL_SOCKET, SO_TYPE, INT, GETS | DGRAM, 0, 0 },
	{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, BOOL, SETS | GETS, 1, 0 },
	{ "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, INT, SETS | GETS, 77, -1 },
	{ "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, INT, SETS | GETS, 7, -1 },
	{ "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, INT, SETS | GETS, 5, -1 },
	{ "TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, INT, SETS | GETS | TCP_ONLY, 1200, -1 },
	{ "TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION, NAME, SETS | GETS | TCP_ONLY, 0, 0 },
	{ "TCP_INFO", IPPROTO_TCP, TCP_INFO, INFO, GETS | TCP_ONLY, 0, 0 },
	{ "DEMI_POP_SEGS", SOL_DEMI, DEMI_POP_SEGS, BOOL, SETS | GETS | DGRAM, 1, 2 },
};

static bool here(const struct option *o)
{
	return !(o->flags & TCP_ONLY) || conform_has(CAP_TCP);
}

static socklen_t length_of(const struct option *o)
{
	switch (o->kind) {
	case INT:
	case BOOL:
		return sizeof(int);
	case LINGER:
		return sizeof(struct linger);
	case NAME:
		return 16;
	case INFO:
		return sizeof(struct tcp_info);
	}
	return 0;
}

static void value_of(const struct option *o, int value, void *buf)
{
	struct linger linger = { .l_onoff = 1, .l_linger = value };

	memset(buf, 0, 256);
	if (o->kind == LINGER)
		memcpy(buf, &linger, sizeof(linger));
	else if (o->kind == NAME)
		strcpy(buf, "reno");
	else
		memcpy(buf, &value, sizeof(value));
}

static void expect_value(const struct option *o, const void *buf, socklen_t len)
{
	struct linger linger;
	int value;

	memcpy(&value, buf, sizeof(value));
	if (o->kind == LINGER) {
		memcpy(&linger, buf, sizeof(linger));
		ck_assert(linger.l_onoff && linger.l_linger == o->value);
	} else if (o->kind == NAME) {
		ck_assert_str_eq((const char *)buf, "reno");
	} else if (o->name == SO_SNDBUF || o->name == SO_RCVBUF) {
		ck_assert_int_ge(value, o->value);
	} else if (o->kind == BOOL) {
		ck_assert_int_ne(value, 0);
	} else if (o->flags & SETS && o->name != TCP_MAXSEG) {
		ck_assert_int_eq(value, o->value);
	}
	ck_assert_uint_gt(len, 0);
}

static void set_and_get(const struct option *o, int qd)
{
	char buf[256];
	socklen_t len = length_of(o);

	value_of(o, o->value, buf);
	if (o->kind == NAME)
		expect_ok(demi_setsockopt(qd, o->level, o->name, buf, 4));
	else if (o->flags & SETS)
		expect_ok(demi_setsockopt(qd, o->level, o->name, buf, len));
	else
		expect(ENOPROTOOPT, "only to get",
		       demi_setsockopt(qd, o->level, o->name, buf, len));
	memset(buf, 0, sizeof(buf));
	expect_ok(demi_getsockopt(qd, o->level, o->name, buf, &len));
	expect_value(o, buf, len);
}

/* Set, and read back, on a new queue and on a connected one. */
START_TEST(test_option)
{
	const struct option *o = &options[_i];
	struct pair p;

	if (!here(o))
		return;
	pair_open(&p);
	set_and_get(o, p.client);
	set_and_get(o, p.server);
	set_and_get(o, stream_socket());
	if (o->flags & DGRAM)
		set_and_get(o, dgram_socket());
	if (o->name != TCP_MAXSEG && o->kind != LINGER)
		pump(p.client, p.server, 10000, 3000, 1);
}
END_TEST

/* Everything that may be wrong with the arguments of that option. */
START_TEST(test_option_refused)
{
	const struct option *o = &options[_i];
	socklen_t len = length_of(o), one = 1;
	int qd = stream_socket();
	char buf[256];

	if (!here(o)) {
		int rc;

		value_of(o, o->value, buf);
		rc = demi_getsockopt(qd, o->level, o->name, buf, &len);
		ck_assert(rc == ENOTSUP || rc == ENOPROTOOPT);
		return;
	}
	value_of(o, o->value, buf);
	expect(EINVAL, "optval NULL", demi_setsockopt(qd, o->level, o->name, NULL, len));
	expect(EINVAL, "optval NULL", demi_getsockopt(qd, o->level, o->name, NULL, &len));
	expect(EINVAL, "optlen NULL", demi_getsockopt(qd, o->level, o->name, buf, NULL));
	expect(EBADF, "qd", demi_setsockopt(77777, o->level, o->name, buf, len));
	expect(EBADF, "qd", demi_getsockopt(77777, o->level, o->name, buf, &len));
	if (o->kind == NAME || o->kind == INFO)
		return;
	expect(EINVAL, "wrong length", demi_getsockopt(qd, o->level, o->name, buf, &one));
	if (!(o->flags & SETS))
		return;
	expect(EINVAL, "wrong length", demi_setsockopt(qd, o->level, o->name, buf, len - 1));
	expect(EINVAL, "wrong length", demi_setsockopt(qd, o->level, o->name, buf, 0));
	if (!o->bad)
		return;
	value_of(o, o->bad, buf);
	expect(EINVAL, "out of range", demi_setsockopt(qd, o->level, o->name, buf, len));
}
END_TEST

START_TEST(test_unknown)
{
	int val = 1, qd = _i ? dgram_socket() : stream_socket();
	socklen_t len = sizeof(val);

	expect(ENOPROTOOPT, "name", demi_setsockopt(qd, SOL_SOCKET, 9999, &val, len));
	expect(ENOPROTOOPT, "name", demi_getsockopt(qd, SOL_SOCKET, 9999, &val, &len));
	expect(ENOPROTOOPT, "name", demi_setsockopt(qd, SOL_DEMI, 9999, &val, len));
	expect(ENOPROTOOPT, "name", demi_getsockopt(qd, SOL_DEMI, 9999, &val, &len));
	expect(ENOTSUP, "level", demi_setsockopt(qd, 9999, SO_KEEPALIVE, &val, len));
	expect(ENOTSUP, "level", demi_getsockopt(qd, 9999, SO_KEEPALIVE, &val, &len));
	expect(ENOTSUP, "level", demi_setsockopt(qd, IPPROTO_IP, 1, &val, len));
	if (conform_has(CAP_TCP) && !_i)
		expect(ENOPROTOOPT, "name", demi_setsockopt(qd, IPPROTO_TCP, 9999, &val, len));
	expect_ok(demi_setsockopt(qd, SOL_SOCKET, SO_REUSEADDR, &val, len));
}
END_TEST

START_TEST(test_type)
{
	int val = 0, qd = _i ? dgram_socket() : stream_socket();
	socklen_t len = sizeof(val);

	expect_ok(demi_getsockopt(qd, SOL_SOCKET, SO_TYPE, &val, &len));
	ck_assert_int_eq(val, _i ? SOCK_DGRAM : SOCK_STREAM);
	ck_assert_uint_eq(len, sizeof(val));
	expect_ok(demi_getsockopt(qd, SOL_SOCKET, SO_ERROR, &val, &len));
	ck_assert_int_eq(val, 0);
}
END_TEST

/* Options of a listener hold for it, and it goes on to accept. */
START_TEST(test_before_connect)
{
	struct sockaddr_in addr;
	int one = 1, size = 200000, lqd, qd;

	lqd = bound_socket(SOCK_STREAM, &addr);
	expect_ok(demi_setsockopt(lqd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	expect_ok(demi_setsockopt(lqd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
	expect_ok(demi_listen(lqd, 4));
	qd = connect_to(&addr);
	pump(qd, accept_one(lqd), 100000, 30000, 1);
}
END_TEST

/* SO_REUSEADDR: a port whose last connections linger may be bound at once. */
START_TEST(test_reuseaddr)
{
	struct sockaddr_in addr;
	int one = 1, lqd, qd, server;

	for (int i = 0; i < 3; i++) {
		lqd = stream_socket();
		expect_ok(demi_setsockopt(lqd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
		if (!i)
			addr = address(0);
		expect_ok(demi_bind(lqd, SA(&addr), sizeof(addr)));
		addr = local_address(lqd);
		expect_ok(demi_listen(lqd, 4));
		qd = connect_to(&addr);
		server = accept_one(lqd);
		expect_ok(demi_close(server));	/* our side lingers */
		recv_eof(qd);
		expect_ok(demi_close(qd));
		expect_ok(demi_close(lqd));
		settle();
	}
}
END_TEST

START_TEST(test_names)
{
	struct sockaddr_in a, b;
	socklen_t len = sizeof(a);
	struct pair p;

	pair_open(&p);
	a = local_address(p.client);
	len = sizeof(b);
	expect_ok(demi_getpeername(p.server, SA_OUT(&b), &len));
	ck_assert_uint_eq(a.sin_port, b.sin_port);
	ck_assert_uint_eq(a.sin_addr.s_addr, b.sin_addr.s_addr);
	len = sizeof(b);
	expect_ok(demi_getpeername(p.client, SA_OUT(&b), &len));
	ck_assert_uint_eq(b.sin_port, p.addr.sin_port);
	a = local_address(p.server);
	ck_assert_uint_eq(a.sin_port, p.addr.sin_port);
}
END_TEST

/* A short buffer is filled as far as it goes, and told what it needed. */
START_TEST(test_short_name)
{
	struct sockaddr_in whole, part;
	struct pair p;
	socklen_t len;

	pair_open(&p);
	whole = local_address(p.client);
	for (socklen_t want = 0; want <= sizeof(whole); want++) {
		memset(&part, 0x77, sizeof(part));
		len = want;
		expect_ok(demi_getsockname(p.client, SA_OUT(&part), &len));
		ck_assert_uint_eq(len, sizeof(whole));
		ck_assert(!memcmp(&part, &whole, want));
		for (socklen_t i = want; i < sizeof(part); i++)
			ck_assert_uint_eq(((uint8_t *)&part)[i], 0x77);
		len = want;
		expect_ok(demi_getpeername(p.client, SA_OUT(&part), &len));
		ck_assert_uint_eq(len, sizeof(whole));
	}
	len = 200;
	expect_ok(demi_getsockname(p.client, SA_OUT(&part), &len));
	ck_assert_uint_eq(len, sizeof(whole));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");
	TCase *tc = conform_tcase(suite, "options", true);

	tcase_add_loop_test(tc, test_option, 0, array_size(options));
	tcase_add_loop_test(tc, test_option_refused, 0, array_size(options));
	tcase_add_loop_test(tc, test_unknown, 0, 2);
	tcase_add_loop_test(tc, test_type, 0, 2);
	tcase_add_test(tc, test_before_connect);
	tcase_add_test(tc, test_reuseaddr);
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_short_name);
	return conform_main(suite);
}

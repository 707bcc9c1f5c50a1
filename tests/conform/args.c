/*
 * Arguments: each refusal of a call that is wrong in itself, and beside it the
 * nearest call that is right. What depends on the state of a queue is states.c.
 */
#include "tests/conform/conform.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#define BAD_QT 0xabcdef0123456789u
#define BAD_QD 77777

/* What the rows work on; made anew for every row. */
static struct {
	int fresh, bound, dgram, listener;
	struct pair pair;
	struct sockaddr_in addr, far, v6;
	demi_sgarray_t sga, none, five, empty;
	demi_qtoken_t qt;
	int qd;
	int val;
	socklen_t len;
	uint64_t handle;
	int fd;
} f;

static void setup(void)
{
	struct sockaddr_in addr;

	conform_start();
	memset(&f, 0, sizeof(f));
	pair_open(&f.pair);
	f.fresh = stream_socket();
	f.bound = bound_socket(SOCK_STREAM, NULL);
	f.dgram = bound_socket(SOCK_DGRAM, &addr);
	expect_ok(demi_listen(f.listener = bound_socket(SOCK_STREAM, NULL), 8));
	f.addr = address(0);
	f.far = addr;
	f.v6 = address(0);
	f.v6.sin_family = AF_INET6;
	f.sga = alloc_filled(64, 1, 0);
	f.none = f.five = f.empty = f.sga;
	f.none.sga_numsegs = 0;
	f.five.sga_numsegs = DEMI_SGARRAY_MAXSIZE + 1;
	f.empty.sga_segs[0].sgaseg_len = 0;
	f.qt = BAD_QT;
	f.qd = BAD_QD;
	f.handle = BAD_QT;
	f.fd = BAD_QD;
	f.len = sizeof(f.val);
}

static void teardown(void)
{
	expect_ok(demi_sgafree(&f.sga));
	conform_stop();
}

static int socket_rows(int row)
{
	int n = 0;

	CASE(EINVAL, "qd_out NULL", demi_socket(NULL, AF_INET, SOCK_STREAM, 0));
	CASE(ENOTSUP, "domain AF_UNIX", demi_socket(&f.qd, AF_UNIX, SOCK_STREAM, 0));
	CASE(ENOTSUP, "domain -1", demi_socket(&f.qd, -1, SOCK_STREAM, 0));
	CASE(ENOTSUP, "type SOCK_RAW", demi_socket(&f.qd, AF_INET, SOCK_RAW, 0));
	CASE(ENOTSUP, "type 0", demi_socket(&f.qd, AF_INET, 0, 0));
	CASE(ENOTSUP, "protocol of the other type",
	     demi_socket(&f.qd, AF_INET, SOCK_STREAM, IPPROTO_UDP));
	CASE(ENOTSUP, "protocol of the other type",
	     demi_socket(&f.qd, AF_INET, SOCK_DGRAM, IPPROTO_TCP));

	CASE(EINVAL, "addr NULL", demi_bind(f.fresh, NULL, sizeof(f.addr)));
	CASE(EINVAL, "addr short", demi_bind(f.fresh, SA(&f.addr), sizeof(f.addr) - 1));
	CASE(EINVAL, "addr short", demi_bind(f.fresh, SA(&f.addr), 0));
	CASE(ENOTSUP, "family", demi_bind(f.fresh, SA(&f.v6), sizeof(f.v6)));
	CASE(EBADF, "qd", demi_bind(BAD_QD, SA(&f.addr), sizeof(f.addr)));
	CASE(EBADF, "qd", demi_bind(-1, SA(&f.addr), sizeof(f.addr)));
	CASE(EBADF, "qd", demi_bind(0, SA(&f.addr), sizeof(f.addr)));

	CASE(EINVAL, "backlog 0", demi_listen(f.bound, 0));
	CASE(EINVAL, "backlog 0", demi_listen(f.bound, -1));
	CASE(EBADF, "qd", demi_listen(BAD_QD, 1));

	CASE(EINVAL, "qt_out NULL", demi_accept(NULL, f.listener));
	CASE(EBADF, "qd", demi_accept(&f.qt, BAD_QD));

	CASE(EINVAL, "qt_out NULL", demi_connect(NULL, f.fresh, SA(&f.far), sizeof(f.far)));
	CASE(EINVAL, "addr NULL", demi_connect(&f.qt, f.fresh, NULL, sizeof(f.far)));
	CASE(EINVAL, "addr short", demi_connect(&f.qt, f.fresh, SA(&f.far), 4));
	CASE(ENOTSUP, "family", demi_connect(&f.qt, f.fresh, SA(&f.v6), sizeof(f.v6)));
	CASE(EBADF, "qd", demi_connect(&f.qt, BAD_QD, SA(&f.far), sizeof(f.far)));

	CASE(EBADF, "qd", demi_close(BAD_QD));
	CASE(EBADF, "qd", demi_close(-1));
	CASE(EBADF, "qd", demi_close(INT32_MIN));
	CASE(EINVAL, "qt_out NULL", demi_async_close(NULL, f.fresh));
	CASE(EBADF, "qd", demi_async_close(&f.qt, BAD_QD));

	CASE(EINVAL, "how", demi_shutdown(f.pair.client, 77));
	CASE(EINVAL, "how", demi_shutdown(f.pair.client, -1));
	CASE(EBADF, "qd", demi_shutdown(BAD_QD, SHUT_WR));
	CASE(ENOTCONN, "not connected", demi_shutdown(f.fresh, SHUT_WR));
	CASE(ENOTCONN, "not connected", demi_shutdown(f.listener, SHUT_RD));
	return n;
}

START_TEST(test_socket)
{
	socket_rows(_i);
	ck_assert_int_eq(f.qd, BAD_QD);
	ck_assert_uint_eq(f.qt, BAD_QT);
}
END_TEST

static int io_rows(int row)
{
	struct sockaddr_in port_0 = address(0);
	socklen_t alen = sizeof(f.far);
	int n = 0;

	CASE(EINVAL, "qt_out NULL", demi_pop(NULL, f.pair.client));
	CASE(EBADF, "qd", demi_pop(&f.qt, BAD_QD));

	CASE(EINVAL, "qt_out NULL", demi_push(NULL, f.pair.client, &f.sga));
	CASE(EINVAL, "sga NULL", demi_push(&f.qt, f.pair.client, NULL));
	CASE(EINVAL, "no segment", demi_push(&f.qt, f.pair.client, &f.none));
	CASE(EINVAL, "too many segments", demi_push(&f.qt, f.pair.client, &f.five));
	CASE(EINVAL, "no byte", demi_push(&f.qt, f.pair.client, &f.empty));
	CASE(EBADF, "qd", demi_push(&f.qt, BAD_QD, &f.sga));
	CASE(EBADF, "qd", demi_push(&f.qt, -1, &f.sga));

	CASE(EINVAL, "qt_out NULL", demi_pushto(NULL, f.dgram, &f.sga, SA(&f.far), alen));
	CASE(EINVAL, "sga NULL", demi_pushto(&f.qt, f.dgram, NULL, SA(&f.far), alen));
	CASE(EINVAL, "no segment", demi_pushto(&f.qt, f.dgram, &f.none, SA(&f.far), alen));
	CASE(EINVAL, "too many segments",
	     demi_pushto(&f.qt, f.dgram, &f.five, SA(&f.far), alen));
	CASE(EINVAL, "no byte", demi_pushto(&f.qt, f.dgram, &f.empty, SA(&f.far), alen));
	CASE(EINVAL, "addr NULL", demi_pushto(&f.qt, f.dgram, &f.sga, NULL, alen));
	CASE(EINVAL, "addr short", demi_pushto(&f.qt, f.dgram, &f.sga, SA(&f.far), 4));
	CASE(EINVAL, "port 0", demi_pushto(&f.qt, f.dgram, &f.sga, SA(&port_0), alen));
	CASE(ENOTSUP, "family", demi_pushto(&f.qt, f.dgram, &f.sga, SA(&f.v6), alen));
	CASE(EBADF, "qd", demi_pushto(&f.qt, BAD_QD, &f.sga, SA(&f.far), alen));

	CASE(EINVAL, "token", demi_cancel(0));
	CASE(EINVAL, "token", demi_cancel(UINT64_MAX));
	CASE(EINVAL, "token", demi_cancel(BAD_QT));

	CASE(EINVAL, "handle_out NULL", demi_wakehandle(NULL));
	CASE(EINVAL, "handle", demi_wake(0));
	CASE(EINVAL, "handle", demi_wake(BAD_QT));
	CASE(EINVAL, "fd_out NULL", demi_waitfd(NULL));

	CASE(EINVAL, "sga NULL", demi_sgafree(NULL));
	CASE(EINVAL, "null sga", demi_sgafree(&(demi_sgarray_t){ 0 }));
	return n;
}

START_TEST(test_io)
{
	io_rows(_i);
	ck_assert_uint_eq(f.qt, BAD_QT);
}
END_TEST

static int name_rows(int row)
{
	struct sockaddr_in a;
	socklen_t alen = sizeof(a);
	int n = 0;

	CASE(EINVAL, "addr NULL", demi_getsockname(f.bound, NULL, &alen));
	CASE(EINVAL, "addrlen NULL", demi_getsockname(f.bound, SA_OUT(&a), NULL));
	CASE(EBADF, "qd", demi_getsockname(BAD_QD, SA_OUT(&a), &alen));
	CASE(ENOTCONN, "not bound", demi_getsockname(f.fresh, SA_OUT(&a), &alen));
	CASE(0, NULL, demi_getsockname(f.bound, SA_OUT(&a), &alen));
	CASE(0, NULL, demi_getsockname(f.dgram, SA_OUT(&a), &alen));
	CASE(0, NULL, demi_getsockname(f.pair.client, SA_OUT(&a), &alen));

	CASE(EINVAL, "addr NULL", demi_getpeername(f.pair.client, NULL, &alen));
	CASE(EINVAL, "addrlen NULL", demi_getpeername(f.pair.client, SA_OUT(&a), NULL));
	CASE(EBADF, "qd", demi_getpeername(BAD_QD, SA_OUT(&a), &alen));
	CASE(ENOTCONN, "no peer", demi_getpeername(f.bound, SA_OUT(&a), &alen));
	CASE(ENOTCONN, "no peer", demi_getpeername(f.listener, SA_OUT(&a), &alen));
	CASE(ENOTCONN, "no peer", demi_getpeername(f.dgram, SA_OUT(&a), &alen));
	CASE(0, NULL, demi_getpeername(f.pair.client, SA_OUT(&a), &alen));
	CASE(0, NULL, demi_getpeername(f.pair.server, SA_OUT(&a), &alen));
	return n;
}

START_TEST(test_name)
{
	name_rows(_i);
}
END_TEST

static int pipe_rows(int row)
{
	char longest[202];
	int n = 0;

	memset(longest, 'x', sizeof(longest));
	longest[201] = '\0';
	CASE(EINVAL, "qd_out NULL", demi_create_pipe(NULL, "args"));
	CASE(EINVAL, "name NULL", demi_create_pipe(&f.qd, NULL));
	CASE(EINVAL, "name empty", demi_create_pipe(&f.qd, ""));
	CASE(EINVAL, "name with a slash", demi_create_pipe(&f.qd, "a/b"));
	CASE(EINVAL, "name over 200 bytes", demi_create_pipe(&f.qd, longest));
	CASE(EINVAL, "qd_out NULL", demi_open_pipe(NULL, "args"));
	CASE(EINVAL, "name NULL", demi_open_pipe(&f.qd, NULL));
	CASE(EINVAL, "name empty", demi_open_pipe(&f.qd, ""));
	CASE(EINVAL, "name with a slash", demi_open_pipe(&f.qd, "a/b"));
	CASE(EINVAL, "name over 200 bytes", demi_open_pipe(&f.qd, longest));
	CASE(ENOENT, "no such pipe", demi_open_pipe(&f.qd, "conform-args-none"));
	return n;
}

static int no_pipe_rows(int row)
{
	int n = 0;

	CASE(ENOTSUP, "no shared memory", demi_create_pipe(&f.qd, "args"));
	CASE(ENOTSUP, "no shared memory", demi_open_pipe(&f.qd, "args"));
	return n;
}

START_TEST(test_pipe)
{
	if (conform_has(CAP_PIPES))
		pipe_rows(_i);
	else
		no_pipe_rows(_i);
	ck_assert_int_eq(f.qd, BAD_QD);
}
END_TEST

/* The nearest calls that are right: each refused argument put in order. */
START_TEST(test_valid)
{
	demi_qtoken_t qt;
	int qd;

	expect_ok(demi_socket(&qd, AF_INET, SOCK_STREAM, IPPROTO_TCP));
	expect_ok(demi_socket(&qd, AF_INET, SOCK_DGRAM, IPPROTO_UDP));
	expect_ok(demi_bind(f.fresh, SA(&f.addr), sizeof(f.addr)));
	expect_ok(demi_listen(f.bound, 1));
	expect_ok(demi_accept(&qt, f.bound));
	expect_ok(demi_cancel(qt));
	finish_failed(qt, "demi_accept", ECANCELED, "cancelled");
	expect_ok(demi_pop(&qt, f.pair.server));
	finish_ok(push(f.pair.client, &f.sga), DEMI_OPC_PUSH);
	finish_bytes(qt, 64, 1, 0);
	expect_ok(demi_pushto(&qt, f.dgram, &f.sga, SA(&f.far), sizeof(f.far)));
	finish_ok(qt, DEMI_OPC_PUSH);
	expect_ok(demi_shutdown(f.pair.client, SHUT_WR));
	expect_ok(demi_wakehandle(&f.handle));
	expect_ok(demi_wake(f.handle));
	expect_ok(demi_async_close(&qt, f.fresh));
	expect(EINTR, "woken", demi_wait(&(demi_qresult_t){ 0 }, qt, NULL));
	finish_ok(qt, DEMI_OPC_CLOSE);
}
END_TEST

/* An address may be longer than a sockaddr_in. */
START_TEST(test_long_address)
{
	struct sockaddr_storage ss;

	memset(&ss, 0, sizeof(ss));
	memcpy(&ss, &f.addr, sizeof(f.addr));
	expect_ok(demi_bind(f.fresh, (struct sockaddr *)&ss, sizeof(ss)));
}
END_TEST

/* Over SOMAXCONN is cut, not refused. */
START_TEST(test_backlog_cut)
{
	expect_ok(demi_listen(f.bound, INT32_MAX));
}
END_TEST

/* The first descriptor is 500, the next ones go up, none comes again. */
START_TEST(test_descriptors)
{
	int last = 499;

	conform_start();
	for (int i = 0; i < 50; i++) {
		int qd = stream_socket();

		ck_assert_int_gt(qd, last);
		ck_assert(i || qd == 500);
		if (i % 2)
			expect_ok(demi_close(qd));
		last = qd;
	}
	conform_stop();
}
END_TEST

static void double_init(void)
{
	expect(EEXIST, "second in a thread", demi_init(NULL));
}

START_TEST(test_init_twice)
{
	struct demi_args args = { 0, NULL, NULL };

	expect_ok(demi_init(&args));
	double_init();
	stream_socket();
	expect_ok(demi_fini());
	expect_ok(demi_init(NULL));
	double_init();
	expect_ok(demi_fini());
}
END_TEST

/* Every call but demi_init, in a thread that has no instance. */
static int no_instance_rows(int row)
{
	struct sockaddr_in a = address(1);
	socklen_t len = sizeof(a);
	demi_sgarray_t sga = { .sga_numsegs = 1 };
	demi_qtoken_t qt = 12345;
	demi_qresult_t qr;
	uint64_t handle;
	int at, val = 1;
	int n = 0;

	sga.sga_buf = sga.sga_segs[0].sgaseg_buf = &val;
	sga.sga_segs[0].sgaseg_len = sizeof(val);
	CASE(ENOSYS, "no instance", demi_socket(&at, AF_INET, SOCK_STREAM, 0));
	CASE(ENOSYS, "no instance", demi_bind(500, SA(&a), len));
	CASE(ENOSYS, "no instance", demi_listen(500, 1));
	CASE(ENOSYS, "no instance", demi_accept(&qt, 500));
	CASE(ENOSYS, "no instance", demi_connect(&qt, 500, SA(&a), len));
	CASE(ENOSYS, "no instance", demi_close(500));
	CASE(ENOSYS, "no instance", demi_async_close(&qt, 500));
	CASE(ENOSYS, "no instance", demi_push(&qt, 500, &sga));
	CASE(ENOSYS, "no instance", demi_pushto(&qt, 500, &sga, SA(&a), len));
	CASE(ENOSYS, "no instance", demi_pop(&qt, 500));
	CASE(ENOSYS, "no instance", demi_wait(&qr, qt, &NO_TIME));
	CASE(ENOSYS, "no instance", demi_wait_any(&qr, &at, &qt, 1, &NO_TIME));
	CASE(ENOSYS, "no instance", demi_wait_next_n(&qr, 1, &at, &NO_TIME));
	CASE(ENOSYS, "no instance", demi_sgafree(&sga));
	CASE(ENOSYS, "no instance",
	     demi_setsockopt(500, SOL_SOCKET, SO_KEEPALIVE, &val, sizeof(val)));
	CASE(ENOSYS, "no instance", demi_getsockopt(500, SOL_SOCKET, SO_KEEPALIVE, &val, &len));
	CASE(ENOSYS, "no instance", demi_getpeername(500, SA_OUT(&a), &len));
	CASE(ENOSYS, "no instance", demi_getsockname(500, SA_OUT(&a), &len));
	CASE(ENOSYS, "no instance", demi_shutdown(500, SHUT_WR));
	CASE(ENOSYS, "no instance", demi_cancel(qt));
	CASE(ENOSYS, "no instance", demi_wakehandle(&handle));
	CASE(ENOSYS, "no instance", demi_waitfd(&at));
	CASE(ENOSYS, "no instance", demi_create_pipe(&at, "args"));
	CASE(ENOSYS, "no instance", demi_open_pipe(&at, "args"));
	CASE(ENOSYS, "no instance", demi_fini());
	return n;
}

static void null_sga_without_instance(void)
{
	demi_sgarray_t sga = demi_sgaalloc(64);

	ck_assert_uint_eq(sga.sga_numsegs, 0);
	ck_assert_ptr_null(sga.sga_buf);
}

START_TEST(test_no_instance)
{
	no_instance_rows(_i);
	null_sga_without_instance();
}
END_TEST

static void *no_instance_thread(void *arg)
{
	no_instance_rows(*(int *)arg);
	null_sga_without_instance();
	return NULL;
}

/* The same in a thread, while another thread of the process has an instance. */
START_TEST(test_other_thread)
{
	pthread_t thread;
	int i = _i;

	conform_start();
	pthread_create(&thread, NULL, no_instance_thread, &i);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	conform_stop();
}
END_TEST

/* And after the instance has ended. */
START_TEST(test_after_fini)
{
	conform_start();
	stream_socket();
	conform_stop();
	no_instance_rows(_i);
	null_sga_without_instance();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("args");
	TCase *tc = conform_tcase(suite, "arguments", false);

	tcase_add_checked_fixture(tc, setup, teardown);
	add_rows(tc, test_socket, socket_rows);
	add_rows(tc, test_io, io_rows);
	add_rows(tc, test_name, name_rows);
	add_rows(tc, test_pipe, conform_has(CAP_PIPES) ? pipe_rows : no_pipe_rows);
	tcase_add_test(tc, test_valid);
	tcase_add_test(tc, test_long_address);
	tcase_add_test(tc, test_backlog_cut);

	tc = conform_tcase(suite, "instance", false);
	tcase_add_test(tc, test_descriptors);
	tcase_add_test(tc, test_init_twice);
	add_rows(tc, test_no_instance, no_instance_rows);
	add_rows(tc, test_other_thread, no_instance_rows);
	add_rows(tc, test_after_fini, no_instance_rows);
	return conform_main(suite);
}

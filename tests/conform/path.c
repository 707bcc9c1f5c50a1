/*
 * What goes wrong on the way to a peer: no route, a port that is not for this
 * user, a peer that does not answer. Only over a kernel's network; the peer is a
 * plain socket with a filter that drops whatever comes.
 */
#include "tests/conform/conform.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- refused by this host */

/* A stream to a broadcast address has no route; a datagram may not go there. */
START_TEST(test_broadcast)
{
	struct sockaddr_in to = address(9);
	demi_sgarray_t sga;
	demi_qtoken_t qt;

	conform_start();
	inet_pton(AF_INET, "127.255.255.255", &to.sin_addr);
	expect_ok(demi_connect(&qt, stream_socket(), SA(&to), sizeof(to)));
	finish_failed(qt, "demi_connect", ENETUNREACH, "no route");
	sga = alloc(10);
	expect_ok(demi_pushto(&qt, dgram_socket(), &sga, SA(&to), sizeof(to)));
	finish_failed(qt, "demi_pushto", EACCES, "broadcast");
	expect_ok(demi_sgafree(&sga));
	conform_stop();
}
END_TEST

/* As a user of no privilege; a system may let anybody have every port. */
static void bind_low(void *arg)
{
	struct sockaddr_in addr = address(1);
	int rc;

	(void)arg;
	if (!geteuid())
		ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	expect_ok(demi_init(NULL)); /* its counters stay private */
	rc = demi_bind(stream_socket(), SA(&addr), sizeof(addr));
	if (rc == EACCES)
		conform_provoked("demi_bind", rc, "low port");
	else
		ck_assert(!rc || rc == EADDRINUSE);
	expect_ok(demi_fini());
}

START_TEST(test_low_port)
{
	char text[1024];
	int status = run_captured(bind_low, NULL, text, sizeof(text));

	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%s", text);
}
END_TEST

/* ---- a peer that does not answer */

static bool deafen(int fd)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { 1, &drop };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) == 0;
}

/* Some systems keep filters from users without privilege. */
static bool may_deafen(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool may = deafen(fd);

	close(fd);
	return may;
}

/* A connection to a plain socket, *fd_out. */
static int deaf_peer(int *fd_out)
{
	struct sockaddr_in addr;
	int lqd = listener(&addr), qd, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, SA(&addr), sizeof(addr)), 0);
	qd = accept_one(lqd);
	ck_assert(deafen(fd));
	*fd_out = fd;
	return qd;
}

/* Found out by SO_KEEPALIVE: the cause of this pop and of all that follows. */
START_TEST(test_keepalive)
{
	int fd, qd, one = 1;
	demi_sgarray_t sga;

	conform_start();
	qd = deaf_peer(&fd);
	expect_ok(demi_setsockopt(qd, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof(one)));
	expect_ok(demi_setsockopt(qd, IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof(one)));
	expect_ok(demi_setsockopt(qd, IPPROTO_TCP, TCP_KEEPCNT, &one, sizeof(one)));
	expect_ok(demi_setsockopt(qd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
	finish_failed(pop(qd), "demi_pop", ETIMEDOUT, "no answer");
	finish_failed(pop(qd), "demi_pop", ETIMEDOUT, "no answer");
	sga = alloc(10);
	finish_failed(push(qd, &sga), "demi_push", ETIMEDOUT, "no answer");
	expect_ok(demi_sgafree(&sga));
	close(fd);
	conform_stop();
}
END_TEST

static void set_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_msg(write(fd, value, 1) == 1, "%s", path);
	close(fd);
}

static void loopback_up(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

static void connect_deaf(void)
{
	struct sockaddr_in addr = address(0);
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	demi_qtoken_t qt;

	ck_assert_int_eq(bind(fd, SA(&addr), sizeof(addr)), 0);
	ck_assert_int_eq(getsockname(fd, SA_OUT(&addr), &len), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert(deafen(fd));
	expect_ok(demi_connect(&qt, stream_socket(), SA(&addr), sizeof(addr)));
	finish_failed(qt, "demi_connect", ETIMEDOUT, "no answer");
	close(fd);
}

/* In a network of its own, which gives up after seconds instead of minutes. */
static void gives_up(void *arg)
{
	struct sockaddr_in to = address(9);
	demi_sgarray_t sga;
	demi_qtoken_t qt;
	int fd, qd;

	(void)arg;
	if (unshare(CLONE_NEWNET) < 0)
		return; /* root of a container */
	set_sysctl("/proc/sys/net/ipv4/tcp_syn_retries", "1");
	set_sysctl("/proc/sys/net/ipv4/tcp_retries2", "3");
	conform_start();
	sga = alloc(10);
	expect_ok(demi_pushto(&qt, dgram_socket(), &sga, SA(&to), sizeof(to)));
	finish_failed(qt, "demi_pushto", ENETUNREACH, "no route");
	loopback_up();
	connect_deaf();
	qd = deaf_peer(&fd);
	finish_ok(push(qd, &sga), DEMI_OPC_PUSH);
	expect_ok(demi_async_close(&qt, qd));
	finish_failed(qt, "demi_async_close", ETIMEDOUT, "no answer");
	expect_ok(demi_sgafree(&sga));
	close(fd);
	conform_stop();
}

START_TEST(test_gives_up)
{
	char text[4096];
	int status = run_captured(gives_up, NULL, text, sizeof(text));

	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%s", text);
}
END_TEST

int main(void)
{
	Suite *suite;
	TCase *tc;

	if (!conform_has(CAP_KERNEL)) {
		conform_skip("path", "this backend is not on the kernel's network");
		return 0;
	}
	suite = suite_create("path");
	tc = conform_tcase(suite, "path", false);
	tcase_add_test(tc, test_broadcast);
	tcase_add_test(tc, test_low_port);
	if (may_deafen())
		tcase_add_test(tc, test_keepalive);
	else
		conform_skip("a peer that does not answer", "no socket filter is permitted");
	if (geteuid())
		conform_skip("time-outs of connect and close", "needs root for a network");
	else
		tcase_add_test(tc, test_gives_up);
	return conform_main(suite);
}

/*
 * Processes of several users: not talked to unless each names the other, and what
 * goes to another user lies in memory of its own. Needs root, to become somebody.
 */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OTHER 65534u
#define OTHERS "65534"
#define LARGE 300000u

static char dir[] = "/tmp/catmem-uids-XXXXXX";
static struct sockaddr_in addr;
static const struct timespec limit = { 10, 0 };

/* ---- the other user's process: its status is an errno, or 0 */

static void must(bool ok)
{
	if (!ok)
		_exit(255);
}

static demi_qresult_t wait_for(demi_qtoken_t qt)
{
	demi_qresult_t qr;

	must(demi_wait(&qr, qt, &limit) == 0);
	return qr;
}

static void echo(int qd, size_t size)
{
	demi_sgarray_t sga = demi_sgaalloc(size);
	size_t got = 0;
	demi_qtoken_t qt;

	must(sga.sga_buf != NULL);
	memset(sga.sga_segs[0].sgaseg_buf, 7, size);
	must(demi_push(&qt, qd, &sga) == 0);
	must(wait_for(qt).qr_opcode == DEMI_OPC_PUSH);
	must(demi_sgafree(&sga) == 0);
	while (got < size) {
		must(demi_pop(&qt, qd) == 0);
		sga = wait_for(qt).qr_value.sga;
		must(sga.sga_numsegs == 1 && sga.sga_segs[0].sgaseg_len);
		for (uint32_t i = 0; i < sga.sga_segs[0].sgaseg_len; i++)
			must(((uint8_t *)sga.sga_segs[0].sgaseg_buf)[i] == 7);
		got += sga.sga_segs[0].sgaseg_len;
		must(demi_sgafree(&sga) == 0);
	}
}

static int client(void)
{
	struct sockaddr_in mine = addr;
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int qd, bound;

	must(demi_socket(&qd, AF_INET, SOCK_STREAM, 0) == 0);
	must(demi_connect(&qt, qd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	qr = wait_for(qt);
	if (qr.qr_opcode == DEMI_OPC_FAILED)
		return (int)qr.qr_ret;
	echo(qd, 60);
	echo(qd, LARGE);
	mine.sin_port = 0; /* its files of the directory are for all, too */
	must(demi_socket(&bound, AF_INET, SOCK_STREAM, 0) == 0);
	must(demi_bind(bound, (struct sockaddr *)&mine, sizeof(mine)) == 0);
	return demi_close(qd);
}

static pid_t become(const char *peers)
{
	char own[64];
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	must(setresgid(OTHER, OTHER, OTHER) == 0 && setresuid(OTHER, OTHER, OTHER) == 0);
	snprintf(own, sizeof(own), "%s/other", dir);
	must(mkdir(own, 0700) == 0);
	setenv("CLOWDER_RUNTIME_DIR", own, 1);
	setenv("CLOWDER_CATMEM_PEER_UIDS", peers, 1);
	must(demi_init(NULL) == 0);
	status = client();
	must(demi_fini() == 0);
	_exit(status);
}

/* ---- ours */

static uint64_t copied, refused;

static void tell(const char *name, uint32_t len, uint64_t value)
{
	if (len == 18 && !memcmp(name, "libos.copied_bytes", 18))
		copied = value;
	if (len == 19 && !memcmp(name, "catmem.refused_uids", 19))
		refused = value;
}

static void start(const char *peers, int *lqd_out)
{
	struct demi_args args = { 0, NULL, tell };
	socklen_t len = sizeof(addr);

	if (peers)
		setenv("CLOWDER_CATMEM_PEER_UIDS", peers, 1);
	ck_assert_int_eq(demi_init(&args), 0);
	ck_assert_int_eq(demi_socket(lqd_out, AF_INET, SOCK_STREAM, 0), 0);
	ck_assert_int_eq(demi_bind(*lqd_out, (struct sockaddr *)&addr, len), 0);
	ck_assert_int_eq(demi_listen(*lqd_out, 8), 0);
}

static void serve(const demi_qresult_t *qr)
{
	demi_sgarray_t sga = qr->qr_value.sga;
	demi_qtoken_t qt;
	int qd = qr->qr_qd;

	if (qr->qr_opcode == DEMI_OPC_ACCEPT) {
		qd = qr->qr_value.ares.qd;
	} else if (qr->qr_opcode == DEMI_OPC_POP) {
		if (sga.sga_segs[0].sgaseg_len)
			ck_assert_int_eq(demi_push(&qt, qd, &sga), 0);
		ck_assert_int_eq(demi_sgafree(&sga), 0);
		if (!sga.sga_segs[0].sgaseg_len)
			return;
	} else {
		return;
	}
	ck_assert_int_eq(demi_pop(&qt, qd), 0);
}

/* Serves until the other process has ended: its status. */
static int serve_until(pid_t pid, int lqd)
{
	const struct timespec ts = { 0, 5000000 };
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int status, n;

	ck_assert_int_eq(demi_accept(&qt, lqd), 0);
	while (waitpid(pid, &status, WNOHANG) == 0)
		if (!demi_wait_next_n(&qr, 1, &n, &ts))
			serve(&qr);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* It cannot even reach our socket, or is told by the kernel who it is. */
START_TEST(strangers_are_refused)
{
	int lqd;

	start(_i ? "12345" : NULL, &lqd);
	ck_assert_int_eq(serve_until(become("0"), lqd), _i ? ECONNREFUSED : EACCES);
	ck_assert_int_eq(demi_fini(), 0);
	ck_assert_uint_eq(refused > 0, _i);
}
END_TEST

START_TEST(named_users_are_served)
{
	int lqd;

	umask(022);
	start(OTHERS, &lqd);
	ck_assert_int_eq(serve_until(become("0"), lqd), 0);
	ck_assert_int_eq(demi_fini(), 0);
	ck_assert_uint_eq(refused, 0);
	ck_assert_uint_eq(copied, 0); /* its own memory back */
}
END_TEST

/* What we allocate for all our peers may not be mapped by another user's. */
START_TEST(memory_is_apart)
{
	demi_sgarray_t sga;
	demi_qresult_t qr;
	demi_qtoken_t qt;
	pid_t pid;
	int lqd;

	start(OTHERS, &lqd);
	pid = become("0");
	ck_assert_int_eq(demi_accept(&qt, lqd), 0);
	ck_assert_int_eq(demi_wait(&qr, qt, &limit), 0);
	sga = demi_sgaalloc(60 + LARGE);
	memset(sga.sga_segs[0].sgaseg_buf, 7, 60 + LARGE);
	ck_assert_int_eq(demi_push(&qt, qr.qr_value.ares.qd, &sga), 0);
	ck_assert_int_eq(demi_sgafree(&sga), 0);
	ck_assert_int_eq(demi_pop(&qt, qr.qr_value.ares.qd), 0);
	ck_assert_int_eq(serve_until(pid, lqd), 0);
	ck_assert_int_eq(demi_fini(), 0);
	ck_assert_uint_eq(copied, 60 + LARGE);
}
END_TEST

static void setup(void)
{
	char own[64];

	copied = refused = 0;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 01777), 0);
	snprintf(own, sizeof(own), "%s/own", dir);
	ck_assert_int_eq(mkdir(own, 0700), 0);
	setenv("CLOWDER_RUNTIME_DIR", own, 1);
	setenv("CLOWDER_CATMEM_DIR", dir, 1);
	setenv("LIBOS", "catmem", 1);
	setenv("CLOWDER_LOG", "error", 1);
	addr.sin_family = AF_INET;
	addr.sin_port = htons(4711);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static void teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

int main(void)
{
	SRunner *sr;
	Suite *s;
	TCase *tc;
	int failed;

	if (geteuid()) {
		puts("1..0 # SKIP needs root, to become another user");
		return 0;
	}
	s = suite_create("catmem_uids");
	tc = tcase_create("users");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, strangers_are_refused, 0, 2);
	tcase_add_test(tc, named_users_are_served);
	tcase_add_test(tc, memory_is_apart);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

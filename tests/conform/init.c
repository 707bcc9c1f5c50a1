/*
 * Starting: what demi_init refuses and says, settings and their overrides, the
 * runtime directory, and limits of the system: descriptors, file sizes, a full
 * disk. A child process each, so that environment and limits are its own.
 */
#include "tests/conform/conform.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];		/* of this case, removed by the script around */

static void setup(void)
{
	snprintf(dir, sizeof(dir), "%.40s/iXXXXXX", getenv("CLOWDER_RUNTIME_DIR"));
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

/* ---- what demi_init refuses */

struct refusal {
	const char *tag;
	int err;
	const char *env;	/* NAME=value; "@" is this case's dir, "*" the first of
				 * the backends that the suite runs over */
	const char *yaml;	/* of the file config.yaml that CONFIG_PATH names */
	const char *says[3];	/* all in its one line */
};

static const struct refusal refusals[] = {
	{ "unknown LIBOS", EINVAL, "LIBOS=catfish", NULL, { "LIBOS", "catfish" } },
	{ "unknown LIBOS", EINVAL, "LIBOS=*+catfish", NULL, { "catfish" } },
	{ "unknown LIBOS", EINVAL, "LIBOS=*+*", NULL, { "twice" } },
	{ "unknown LIBOS", EINVAL, "LIBOS=+", NULL, { "LIBOS" } },
	{ "config missing", ENOENT, "CONFIG_PATH=@/none.yaml", NULL, { "none.yaml" } },
	{ "config malformed", EINVAL, NULL, "wait:\n  spin_us: [1\nfoo: }\n",
	  { "config.yaml", ":3" } },
	{ "config malformed", EINVAL, NULL, "\t\n", { "config.yaml", ":1" } },
	{ "config malformed", EINVAL, NULL, "- 1\n- 2\n", { "config.yaml", ":1" } },
	{ "unknown key", EINVAL, NULL, "wait:\n  spin_us: 5\n  spin_ms: 7\n",
	  { "config.yaml", ":3", "wait.spin_ms" } },
	{ "config malformed", EINVAL, NULL, "&a {\"\": *a}\n", { "config.yaml", ":1" } },
	{ "unknown key", EINVAL, NULL, "wiat:\n  spin_us: 5\n", { "config.yaml", ":1", "wiat" } },
	{ "unknown key", EINVAL, NULL, "tcp_socket_options:\n  nodelayy: true\n",
	  { "config.yaml", ":2", "tcp_socket_options.nodelayy" } },
	{ "config malformed", EINVAL, NULL, "wait:\n...\n---\nbogus: 1\n", { "config.yaml", ":3" } },
	{ "bad value", EINVAL, NULL, "tcp_socket_options: 7\n", { "config.yaml", ":1" } },
	{ "bad value", EINVAL, NULL, "demikernel:\n  local_ipv4_addr: banana\n",
	  { "config.yaml", ":2", "banana" } },
	{ "bad value", EINVAL, NULL, "\n\nwait:\n  spin_us: soon\n",
	  { "config.yaml", ":4", "wait.spin_us" } },
	{ "bad value", EINVAL, NULL, "wait:\n  spin_us: -2\n",
	  { "config.yaml", ":2", "wait.spin_us" } },
	{ "bad value", EINVAL, NULL, "push:\n  completes: maybe\n",
	  { "config.yaml", ":2", "push.completes" } },
	{ "bad value", EINVAL, NULL, "exit:\n  linger_ms: 99999999999999999999\n",
	  { "config.yaml", ":2", "exit.linger_ms" } },
	{ "bad value", EINVAL, "CLOWDER_WAIT_SPIN_US=soon", NULL, { "CLOWDER_WAIT_SPIN_US" } },
	{ "bad value", EINVAL, "CLOWDER_LOG=loud", NULL, { "CLOWDER_LOG" } },
	{ "bad value", EINVAL, "CLOWDER_POOL_MAX_BYTES=10Q", NULL, { "CLOWDER_POOL_MAX_BYTES" } },
	/* and what stands beside them */
	{ NULL, 0, "CLOWDER_WAIT_SPIN_US=0", NULL, { NULL } },
	{ NULL, 0, "CLOWDER_PUSH_COMPLETES=", NULL, { NULL } },
	{ NULL, 0, "CLOWDER_POOL_MAX_BYTES=64M", NULL, { NULL } },
	{ NULL, 0, NULL, "", { NULL } },
	{ NULL, 0, NULL, "# nothing\n", { NULL } },
	{ NULL, 0, NULL, "wait:\ncatnap:\ncatmem: {}\n", { NULL } },
	{ NULL, 0, NULL, "wait:\n  spin_us: -1\npush:\n  completes: released\n", { NULL } },
	{ NULL, 0, NULL, "demikernel:\n  local_ipv4_addr: 127.0.0.1\n"
			 "tcp_socket_options:\n  nodelay: true\n", { NULL } },
};

static void apply_env(const char *env)
{
	const char *own = conform_libos(), *set = strchr(env, '=') + 1;
	char *var = strndup(env, (size_t)(set - env - 1)), value[128];
	size_t n = 0;

	for (; *set; set++) {
		if (*set == '@')
			n += (size_t)snprintf(value + n, sizeof(value) - n, "%s", dir);
		else if (*set == '*')
			n += (size_t)snprintf(value + n, sizeof(value) - n, "%.*s",
					      (int)strcspn(own, "+"), own);
		else
			value[n++] = *set;
	}
	value[n] = '\0';
	setenv(var, value, 1);
	free(var);
}

static void apply(const struct refusal *r)
{
	char path[128];
	FILE *file;

	if (r->env)
		apply_env(r->env);
	if (!r->yaml)
		return;
	snprintf(path, sizeof(path), "%s/config.yaml", dir);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(r->yaml, file);
	fclose(file);
	setenv("CONFIG_PATH", path, 1);
}

static void init_refused(void *arg)
{
	const struct refusal *r = arg;

	apply(r);
	expect(r->err, r->tag, demi_init(NULL));
	if (r->err)
		expect(ENOSYS, "no instance", demi_fini());
	else
		conform_stop();
}

START_TEST(test_refused)
{
	const struct refusal *r = &refusals[_i];
	char text[4096];
	int status = run_captured(init_refused, (void *)(uintptr_t)r, text, sizeof(text));

	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "row %d: %s", _i, text);
	ck_assert_msg(count_lines(text) == (r->err ? 1u : 0u), "row %d said: %s", _i, text);
	for (size_t i = 0; i < array_size(r->says) && r->says[i]; i++)
		ck_assert_msg(strstr(text, r->says[i]) != NULL, "row %d: no \"%s\" in: %s", _i,
			      r->says[i], text);
}
END_TEST

/* A refused start may be tried again with everything put right. */
START_TEST(test_again_after_refusal)
{
	unsigned fds = count_fds_after_one();
	const char *libos = getenv("LIBOS");
	char *own = libos ? strdup(libos) : NULL;

	for (int i = 0; i < 20; i++) {
		setenv("LIBOS", "catfish", 1);
		expect(EINVAL, "unknown LIBOS", demi_init(NULL));
		setenv("LIBOS", own ? own : "catnap", 1);
		expect_ok(demi_init(NULL));
		expect_ok(demi_fini());
	}
	ck_assert_uint_le(count_fds(), fds + fds_forgotten(20));
	free(own);
}
END_TEST

static void unreadable(void *arg)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/secret.yaml", dir);
	close(open(path, O_CREAT | O_WRONLY, 0));
	setenv("CONFIG_PATH", path, 1);
	ck_assert_int_eq(chmod(dir, 0755), 0);
	if (!geteuid()) {
		ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
		ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	}
	expect(EACCES, "config unreadable", demi_init(NULL));
	(void)arg;
}

START_TEST(test_unreadable)
{
	char text[4096];
	int status = run_captured(unreadable, NULL, text, sizeof(text));

	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%s", text);
	ck_assert_uint_eq(count_lines(text), 1);
	ck_assert_ptr_nonnull(strstr(text, "secret.yaml"));
}
END_TEST

/* A kernel that does not permit io_uring, as in a sandbox; or a build without. */
static void without_uring(void *arg)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { array_size(code), code };

	(void)arg;
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
	setenv("CLOWDER_CATNAP_IO", "io_uring", 1);
	expect(ENOTSUP, "io_uring refused", demi_init(NULL));
}

START_TEST(test_without_uring)
{
	char text[1024];
	int status = run_captured(without_uring, NULL, text, sizeof(text));

	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%s", text);
	ck_assert_ptr_nonnull(strstr(text, "catnap.io is io_uring, but "));
}
END_TEST

/* Behind the library's own work at exit: no instance comes after it. */
static void init_late(void)
{
	int rc = demi_init(NULL);

	conform_provoked("demi_init", rc, "process exits");
	_exit(rc != ECANCELED);
}

static void exits(void *arg)
{
	(void)arg;
	atexit(init_late);
	conform_start();
	conform_stop();
}

START_TEST(test_init_at_exit)
{
	char text[1024];
	int status = run_captured(exits, NULL, text, sizeof(text));

	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%s", text);
}
END_TEST

/* ---- the runtime directory */

enum bad_dir { LINK, NOT_OURS, OPEN_TO_ALL, A_FILE, TRAILING_SLASH_LINK, N_BAD_DIRS };

static void make_bad_dir(enum bad_dir kind, char *path, size_t len)
{
	char target[100];

	snprintf(path, len, "%s/run", dir);
	snprintf(target, sizeof(target), "%s/target", dir);
	ck_assert_int_eq(mkdir(target, 0700), 0);
	switch (kind) {
	case LINK:
	case TRAILING_SLASH_LINK:
		ck_assert_int_eq(symlink(target, path), 0);
		if (kind == TRAILING_SLASH_LINK)
			strcat(path, "/");
		break;
	case NOT_OURS:
		ck_assert_int_eq(mkdir(path, 0700), 0);
		ck_assert_int_eq(chown(path, 12345, 12345), 0);
		break;
	case OPEN_TO_ALL:
		ck_assert_int_eq(mkdir(path, 0700), 0);
		ck_assert_int_eq(chmod(path, 0777), 0);
		break;
	case A_FILE:
		close(open(path, O_CREAT | O_WRONLY, 0600));
		break;
	case N_BAD_DIRS:
		break;
	}
}

static unsigned entries_of(const char *path)
{
	char cmd[160];
	unsigned n = 99;
	FILE *pipe;

	snprintf(cmd, sizeof(cmd), "find %s/ -mindepth 1 | wc -l", path);
	pipe = popen(cmd, "r");
	ck_assert_ptr_nonnull(pipe);
	ck_assert_int_eq(fscanf(pipe, "%u", &n), 1);
	pclose(pipe);
	return n;
}

/* Sockets that need no directory work without one; others say EACCES. */
static void use_bad_dir(void *arg)
{
	struct sockaddr_in addr = address(0);
	int rc, qd;

	setenv("CLOWDER_RUNTIME_DIR", arg, 1);
	rc = demi_init(NULL);
	if (rc) {
		ck_assert_int_eq(rc, EACCES);
		return;
	}
	qd = stream_socket();
	rc = demi_bind(qd, SA(&addr), sizeof(addr));
	ck_assert(!rc || rc == EACCES);
	conform_stop();
}

START_TEST(test_bad_dir)
{
	char path[100], text[4096];
	int status;

	make_bad_dir((enum bad_dir)_i, path, sizeof(path));
	status = run_captured(use_bad_dir, path, text, sizeof(text));
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%s", text);
	ck_assert_msg(strstr(text, path) || strstr(text, dir), "said: %s", text);
	if (_i != A_FILE)
		ck_assert_uint_eq(entries_of(path), 0);
}
END_TEST

static void use_dir(void *arg)
{
	struct pair p;

	setenv("CLOWDER_RUNTIME_DIR", arg, 1);
	conform_start();
	pair_open(&p);
	pump(p.client, p.server, 10000, 3000, 1);
	ck_assert_uint_gt(counter("libos.pushes"), 2);
	pair_close(&p);
	conform_stop();
}

/* It is made where there is none, with a long name as well, and private. */
START_TEST(test_good_dir)
{
	char path[400], text[4096];
	struct stat st;
	int status;

	if (_i)
		snprintf(path, sizeof(path), "%s/%0200d", dir, 7);
	else
		snprintf(path, sizeof(path), "%s/new", dir);
	status = run_captured(use_dir, path, text, sizeof(text));
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%s", text);
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0700);
}
END_TEST

static void use_xdg(void *arg)
{
	(void)arg;
	unsetenv("CLOWDER_RUNTIME_DIR");
	setenv("XDG_RUNTIME_DIR", dir, 1);
	conform_start();
	conform_stop();
}

START_TEST(test_xdg)
{
	char path[100], text[4096];
	struct stat st;

	run_captured(use_xdg, NULL, text, sizeof(text));
	ck_assert_str_eq(text, "");
	snprintf(path, sizeof(path), "%s/clowder", dir);
	ck_assert_int_eq(stat(path, &st), 0);
}
END_TEST

/* ---- limits of the system */

/* Ends the child, with a line about what went wrong. Check writes files of its
 * own, which the limits here do not allow. */
static void must(bool good, const char *what)
{
	if (good)
		return;
	dprintf(STDERR_FILENO, "went wrong: %s\n", what);
	_exit(1);
}

static demi_qresult_t done(demi_qtoken_t qt)
{
	demi_qresult_t qr = { .qr_opcode = DEMI_OPC_INVALID };

	must(!demi_wait(&qr, qt, &LONG_TIME), "wait");
	return qr;
}

/* One message from a queue to another of this instance. */
static void one_message(demi_sgarray_t *sga)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	demi_qtoken_t at, ct;
	demi_qresult_t qr;
	int lqd, qd;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(!demi_socket(&lqd, AF_INET, SOCK_STREAM, 0), "socket");
	must(!demi_bind(lqd, SA(&addr), len), "bind");
	must(!demi_getsockname(lqd, SA_OUT(&addr), &len), "getsockname");
	must(!demi_listen(lqd, 8), "listen");
	must(!demi_socket(&qd, AF_INET, SOCK_STREAM, 0), "socket");
	must(!demi_accept(&at, lqd), "accept");
	must(!demi_connect(&ct, qd, SA(&addr), len), "connect");
	qr = done(ct);
	if (qr.qr_opcode == DEMI_OPC_FAILED && qr.qr_ret != ECONNREFUSED)
		return;		/* no memory for a connection: said so */
	must(qr.qr_opcode == DEMI_OPC_CONNECT, "connect's result");
	must(done(at).qr_opcode == DEMI_OPC_ACCEPT, "accept's result");
	must(!demi_push(&ct, qd, sga), "push");
	must(done(ct).qr_opcode == DEMI_OPC_PUSH, "push's result");
}

/* Works as far as it can: what fails is an errno or the null sga, and nothing
 * is a signal. */
static void work_under_limits(void)
{
	demi_sgarray_t sga;
	int rc = demi_init(NULL);

	if (rc) {
		must(rc == ENOSPC || rc == EFBIG || rc == ENOMEM, strerror(rc));
		_exit(rc);
	}
	sga = demi_sgaalloc(MIB);
	if (sga.sga_numsegs) {
		memset(sga.sga_buf, 1, MIB);
		one_message(&sga);
		must(!demi_sgafree(&sga), "free");
	}
	must(!demi_fini(), "fini");
	_exit(0);
}

static void small_files(void *arg)
{
	struct rlimit lim = { *(rlim_t *)arg, RLIM_INFINITY };

	setenv("CLOWDER_RUNTIME_DIR", dir, 1);
	must(!setrlimit(RLIMIT_FSIZE, &lim), "setrlimit");
	work_under_limits();
}

START_TEST(test_file_size)
{
	static rlim_t sizes[] = { 0, 4096, 100000, 3u << 20 };
	char text[8192];
	int status;

	status = run_captured(small_files, &sizes[_i], text, sizeof(text));
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) != 1, "status 0x%x: %s", status,
		      text);
	if (WEXITSTATUS(status) == EFBIG)	/* the child must not write a log */
		conform_provoked("demi_init", EFBIG, "file size limit");
	if (!_i)
		ck_assert_msg(*text, "not a word about it");
}
END_TEST

static void full_disk(void *arg)
{
	char path[100];

	(void)arg;
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("tmpfs", dir, "tmpfs", 0, "size=16k,mode=0700"), 0);
	snprintf(path, sizeof(path), "%s/run", dir);
	setenv("CLOWDER_RUNTIME_DIR", path, 1);
	work_under_limits();
}

START_TEST(test_full_disk)
{
	char text[8192];
	int status = run_captured(full_disk, NULL, text, sizeof(text));

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) != 1, "status 0x%x: %s", status,
		      text);
	ck_assert_msg(*text, "not a word about it");
}
END_TEST

static void limit_fds(unsigned more)
{
	struct rlimit lim;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &lim), 0);
	lim.rlim_cur = lim.rlim_max;	/* counting takes a descriptor of its own */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
	lim.rlim_cur = count_fds() + more;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
}

/* Opens and connects a queue; why not, or ETIMEDOUT where it only waits. */
static int open_one(int *qd_out, const struct sockaddr_in *addr)
{
	const struct timespec ts = { 0, 200000000 };
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int rc = demi_socket(qd_out, AF_INET, SOCK_STREAM, 0);

	if (rc) {
		*qd_out = -1;
		conform_provoked("demi_socket", rc, "out of descriptors");
		return rc;
	}
	rc = demi_connect(&qt, *qd_out, SA(addr), sizeof(*addr));
	if (!rc)
		rc = demi_wait(&qr, qt, &ts);
	if (!rc && qr.qr_opcode == DEMI_OPC_FAILED)
		rc = (int)qr.qr_ret;
	return rc;
}

/* Out of descriptors: an errno, or a connect that nobody can take in. What was
 * closed can be had again. */
START_TEST(test_descriptors)
{
	static int qds[3000];
	struct sockaddr_in addr;
	int n = 0, rc = 0;
	struct pair p;

	conform_start();
	qds[0] = listener(&addr);
	limit_fds(20);
	while (!rc && n < 2999)
		rc = open_one(&qds[++n], &addr);
	ck_assert_msg(rc == EMFILE || rc == ENOMEM || (rc == ETIMEDOUT && !conform_has(CAP_KERNEL)),
		      "%s after %d", strerror(rc), n);
	for (; n >= 0; n--)
		expect(qds[n] < 0 ? EBADF : 0, "qd", demi_close(qds[n]));
	settle();
	pair_open(&p);
	pump(p.client, p.server, 10000, 3000, 1);
	conform_stop();
}
END_TEST

static void visitor(int ctl)
{
	struct sockaddr_in addr;
	int qd;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	send_bytes(qd, 10, 1, 0);
	recv_bytes(qd, 10, 2, 0);
	conform_stop();
}

/* An accept that finds no descriptor fails, once; the connection waits for the
 * next. */
START_TEST(test_accept_without_descriptor)
{
	struct sockaddr_in addr;
	int lqd, qd, taken[100], n = 0;
	struct rlimit was;
	struct peer peer;
	demi_qtoken_t qt;

	peer_start(&peer, IN_PROCESS, visitor);
	conform_start();
	lqd = listener(&addr);
	getrlimit(RLIMIT_NOFILE, &was);
	limit_fds(10);
	while (n < 100 && (taken[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	expect_ok(demi_accept(&qt, lqd));
	say(peer.ctl, &addr, sizeof(addr));
	finish_failed(qt, "demi_accept", EMFILE, "out of descriptors");
	expect_ok(demi_accept(&qt, lqd));
	finish_failed(qt, "demi_accept", EMFILE, "out of descriptors");
	while (n-- > 0)
		close(taken[n]);
	qd = accept_one(lqd);
	recv_bytes(qd, 10, 1, 0);
	send_bytes(qd, 10, 2, 0);
	recv_eof(qd);
	setrlimit(RLIMIT_NOFILE, &was);
	conform_stop();
	peer_join(&peer);
}
END_TEST

/* In catmem the first connection to an address takes some, the next ones none. */
START_TEST(test_connect_without_descriptor)
{
	int qd[2], lqd, taken[100], n = 0;
	struct sockaddr_in addr, other;
	struct rlimit was;
	demi_qtoken_t qt;

	conform_start();
	lqd = listener(&addr);
	listener(&other);
	connect_to(&addr);
	accept_one(lqd);
	qd[0] = stream_socket();
	qd[1] = stream_socket();
	getrlimit(RLIMIT_NOFILE, &was);
	limit_fds(10);
	while (n < 100 && (taken[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	expect_ok(demi_connect(&qt, qd[0], SA(&other), sizeof(other)));
	finish_failed(qt, "demi_connect", EMFILE, "out of descriptors");
	expect_ok(demi_connect(&qt, qd[1], SA(&addr), sizeof(addr)));
	finish_ok(qt, DEMI_OPC_CONNECT);
	while (n-- > 0)
		close(taken[n]);
	expect_ok(demi_connect(&qt, qd[0], SA(&other), sizeof(other)));
	finish_ok(qt, DEMI_OPC_CONNECT);
	setrlimit(RLIMIT_NOFILE, &was);
	conform_stop();
}
END_TEST

static void refused_twice(void *arg)
{
	struct sockaddr_in addr = address(1);
	demi_qtoken_t qt;
	int qd;

	(void)arg;
	conform_start();
	qd = stream_socket();
	for (int i = 0; i < 2; i++) {
		expect_ok(demi_connect(&qt, qd, SA(&addr), sizeof(addr)));
		finish_failed(qt, "demi_connect", ECONNREFUSED, "nobody listens");
	}
	conform_stop();
}

/* Two processes that look into two directories are told which, once. */
START_TEST(test_refused_says_where)
{
	char text[8192];
	int status = run_captured(refused_twice, NULL, text, sizeof(text));

	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "status 0x%x: %s", status, text);
	ck_assert_ptr_nonnull(strstr(text, getenv("CLOWDER_RUNTIME_DIR")));
	ck_assert_uint_eq(count_lines(text), 1);
}
END_TEST

static void late_sender(int ctl)
{
	struct sockaddr_in addr;
	int qd;

	conform_start();
	hear(ctl, &addr, sizeof(addr));
	qd = connect_to(&addr);
	send_bytes(qd, 10, 1, 0);
	hear_done(ctl);
	send_bytes(qd, MIB, 1, 10);
	recv_bytes(qd, 10, 2, 0);
	conform_stop();
}

/* A connection that is there needs none, whatever comes over it first. */
START_TEST(test_data_without_descriptor)
{
	int lqd, qd, taken[100], n = 0;
	struct sockaddr_in addr;
	struct rlimit was;
	struct peer peer;

	peer_start(&peer, IN_PROCESS, late_sender);
	conform_start();
	lqd = listener(&addr);
	getrlimit(RLIMIT_NOFILE, &was);
	say(peer.ctl, &addr, sizeof(addr));
	qd = accept_one(lqd);
	recv_bytes(qd, 10, 1, 0);
	limit_fds(10);
	while (n < 100 && (taken[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	say_done(peer.ctl);
	recv_bytes(qd, MIB, 1, 10);
	while (n-- > 0)
		close(taken[n]);
	send_bytes(qd, 10, 2, 0);
	recv_eof(qd);
	setrlimit(RLIMIT_NOFILE, &was);
	conform_stop();
	peer_join(&peer);
}
END_TEST

static void *one_too_many(void *arg)
{
	(void)arg;
	expect(EBUSY, "every link taken", demi_init(NULL));
	return NULL;
}

/* An instance takes a link for itself, and each has as many as it has ends. */
START_TEST(test_links_taken)
{
	pthread_t thread;
	struct pair p;

	setenv("CLOWDER_CATNIP_LINK", "ring:only", 1);
	conform_start();
	pthread_create(&thread, NULL, one_too_many, NULL);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	pair_open(&p);
	pump(p.client, p.server, 10000, 3000, 1);
	conform_stop();
}
END_TEST

/* Not even enough to start: an errno and a line, again and again. */
START_TEST(test_init_without_descriptors)
{
	for (unsigned more = 0; more < 12; more++) {
		int rc;

		limit_fds(more);
		rc = demi_init(NULL);
		if (!rc) {
			rc = demi_fini();
			ck_assert_int_eq(rc, 0);
			continue;
		}
		ck_assert_msg(rc == EMFILE || rc == ENOMEM, "%s with %u", strerror(rc), more);
		if (rc == EMFILE)
			conform_provoked("demi_init", rc, "out of descriptors");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("init");
	TCase *tc = conform_tcase(suite, "init", false);

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, test_refused, 0, array_size(refusals));
	tcase_add_test(tc, test_again_after_refusal);
	tcase_add_test(tc, test_unreadable);
	if (conform_has(CAP_KERNEL))
		tcase_add_test(tc, test_without_uring);
	tcase_add_test(tc, test_init_at_exit);
	for (int i = 0; i < N_BAD_DIRS; i++) {
		if (i == NOT_OURS && geteuid())
			conform_skip("a runtime directory of another user", "needs root");
		else
			tcase_add_loop_test(tc, test_bad_dir, i, i + 1);
	}
	tcase_add_loop_test(tc, test_good_dir, 0, 2);
	tcase_add_test(tc, test_xdg);

	tc = conform_tcase(suite, "limits", false);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, test_file_size, 0, 4);
	if (geteuid())
		conform_skip("a full disk", "needs root to mount one");
	else
		tcase_add_test(tc, test_full_disk);
	tcase_add_test(tc, test_descriptors);
	if (conform_has(CAP_FDS))
		tcase_add_test(tc, test_accept_without_descriptor);
	if (conform_parties(1, "data without descriptors"))
		tcase_add_test(tc, test_data_without_descriptor);
	if (!conform_has(CAP_TCP)) {
		tcase_add_test(tc, test_connect_without_descriptor);
		tcase_add_test(tc, test_refused_says_where);
	}
	tcase_add_test(tc, test_init_without_descriptors);
	if (!strcmp(conform_libos(), "catnip"))
		tcase_add_test(tc, test_links_taken);
	return conform_main(suite);
}

/*
 * catnap against plain sockets: what the queue API promises and only a peer on
 * the other side of the kernel can see. Every case runs over epoll and, where
 * the kernel has it, over io_uring.
 */
#include <check.h>
#include <demi/ext.h>
#include <demi/libos.h>
#include <demi/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1u << 20)
#define READ_AHEAD 65536u
#define ZC_PIECE (256u << 10)

static const char *const modes[] = { "epoll", "io_uring" };
static char rundir[64];

/* ---- the instance */

static void start(int mode)
{
	ck_assert_int_eq(setenv("CLOWDER_CATNAP_IO", modes[mode], 1), 0);
	ck_assert_int_eq(demi_init(NULL), 0);
}

/* The value of a counter, read as any other process would. */
static uint64_t counter(const char *name)
{
	const struct demi_stat_header *h;
	const struct demi_stat_entry *e;
	char path[128];
	uint64_t value = 0;
	int fd, found = 0;

	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "%s/stat/%d.%d", rundir, getpid(), i);
		fd = open(path, O_RDONLY);
		if (fd >= 0)
			break;
	}
	ck_assert_int_ge(fd, 0);
	h = mmap(NULL, 65536, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(h, MAP_FAILED);
	close(fd);
	e = (const void *)((const char *)h + h->entries_offset);
	for (uint32_t i = 0; i < h->n_entries; i++) {
		if (strcmp(e[i].name, name) != 0)
			continue;
		memcpy(&value, (const char *)h + e[i].value_offset, sizeof(value));
		found = 1;
	}
	munmap((void *)(uintptr_t)h, 65536);
	ck_assert_msg(found, "no counter %s", name);
	return value;
}

static int try_wait(demi_qresult_t *qr, demi_qtoken_t qt, long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	return demi_wait(qr, qt, &ts);
}

static demi_qresult_t done(demi_qtoken_t qt)
{
	demi_qresult_t qr;

	ck_assert_int_eq(try_wait(&qr, qt, 10000), 0);
	return qr;
}

/* A pass or two over the devices. */
static void turn(void)
{
	static const struct timespec ts = { 0, 200000 };
	demi_qresult_t qr;
	int n;

	ck_assert_int_eq(demi_wait_next_n(&qr, 1, &n, &ts), ETIMEDOUT);
}

static struct sockaddr_in at_port(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = port };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sin;
}

static int bound_queue(int type, struct sockaddr_in *sin)
{
	socklen_t len = sizeof(*sin);
	int qd;

	ck_assert_int_eq(demi_socket(&qd, AF_INET, type, 0), 0);
	ck_assert_int_eq(demi_bind(qd, (struct sockaddr *)sin, sizeof(*sin)), 0);
	ck_assert_int_eq(demi_getsockname(qd, (struct sockaddr *)sin, &len), 0);
	return qd;
}

static int listening_queue(struct sockaddr_in *sin)
{
	int qd;

	*sin = at_port(0);
	qd = bound_queue(SOCK_STREAM, sin);
	ck_assert_int_eq(demi_listen(qd, 1024), 0);
	return qd;
}

static demi_sgarray_t filled(uint32_t len, uint32_t seed)
{
	demi_sgarray_t sga = demi_sgaalloc(len);

	ck_assert_uint_eq(sga.sga_numsegs, 1);
	for (uint32_t i = 0; i < len; i++)
		((uint8_t *)sga.sga_segs[0].sgaseg_buf)[i] = (uint8_t)((i + seed) * 131 >> 3);
	return sga;
}

static bool matches(const void *p, size_t len, size_t off)
{
	for (size_t i = 0; i < len; i++)
		if (((const uint8_t *)p)[i] != (uint8_t)((uint32_t)(off + i) * 131 >> 3))
			return false;
	return true;
}

static demi_qtoken_t pushed(int qd, uint32_t len, uint32_t off)
{
	demi_sgarray_t sga = filled(len, off);
	demi_qtoken_t qt;

	ck_assert_int_eq(demi_push(&qt, qd, &sga), 0);
	ck_assert_int_eq(demi_sgafree(&sga), 0); /* before it completes */
	return qt;
}

static demi_qtoken_t popping(int qd)
{
	demi_qtoken_t qt;

	ck_assert_int_eq(demi_pop(&qt, qd), 0);
	return qt;
}

/* Checks and frees what was popped at `off` of the stream; its length. */
static uint32_t popped(const demi_qresult_t *qr, size_t off)
{
	demi_sgarray_t sga = qr->qr_value.sga;
	uint32_t len = sga.sga_segs[0].sgaseg_len;

	ck_assert_int_eq(qr->qr_opcode, DEMI_OPC_POP);
	ck_assert_uint_eq(sga.sga_numsegs, 1);
	ck_assert(matches(sga.sga_segs[0].sgaseg_buf, len, off));
	ck_assert_int_eq(demi_sgafree(&sga), 0);
	return len;
}

/* ---- plain sockets */

static int plain(int type)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int plain_connect(const struct sockaddr_in *sin)
{
	int fd = plain(SOCK_STREAM);

	ck_assert_int_eq(connect(fd, (const struct sockaddr *)sin, sizeof(*sin)), 0);
	return fd;
}

static int plain_listen(struct sockaddr_in *sin)
{
	socklen_t len = sizeof(*sin);
	int fd = plain(SOCK_STREAM);

	*sin = at_port(0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)sin, len), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)sin, &len), 0);
	return fd;
}

static void plain_reset(int fd)
{
	struct linger now = { 1, 0 };

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(fd);
}

/* Sends what fits of a pattern of `len` bytes; the new offset. */
static size_t plain_send(int fd, size_t off, size_t len)
{
	uint8_t piece[16384];

	while (off < len) {
		size_t n = len - off < sizeof(piece) ? len - off : sizeof(piece);
		ssize_t sent;

		for (size_t i = 0; i < n; i++)
			piece[i] = (uint8_t)((uint32_t)(off + i) * 131 >> 3);
		sent = send(fd, piece, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0) {
			ck_assert_int_eq(errno, EAGAIN);
			break;
		}
		off += (size_t)sent;
	}
	return off;
}

/* Reads and checks what is there; the new offset. *end_out: end of stream. */
static size_t plain_recv(int fd, size_t off, bool *end_out)
{
	uint8_t piece[65536];
	ssize_t n;

	*end_out = false;
	while ((n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0) {
		ck_assert(matches(piece, (size_t)n, off));
		off += (size_t)n;
	}
	if (n < 0)
		ck_assert_msg(errno == EAGAIN, "recv: %s at %zu", strerror(errno), off);
	*end_out = n == 0;
	return off;
}

static int accepted(int listener, const struct sockaddr_in *sin, int *fd_out)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	ck_assert_int_eq(demi_accept(&qt, listener), 0);
	*fd_out = plain_connect(sin);
	qr = done(qt);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_ACCEPT);
	return qr.qr_value.ares.qd;
}

static int pair(int mode, int *fd_out)
{
	struct sockaddr_in sin;
	int listener, qd;

	start(mode);
	listener = listening_queue(&sin);
	qd = accepted(listener, &sin, fd_out);
	ck_assert_int_eq(demi_close(listener), 0);
	return qd;
}

/* ---- receiving */

START_TEST(test_stream_ends)
{
	demi_qresult_t qr;
	int fd, qd = pair(_i, &fd);
	demi_qtoken_t first = popping(qd);

	ck_assert_uint_eq(plain_send(fd, 0, 5), 5);
	qr = done(first);
	ck_assert_uint_eq(popped(&qr, 0), 5);
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 3; i++) {
		qr = done(popping(qd));
		ck_assert_uint_eq(popped(&qr, 5), 0);
	}
	ck_assert_int_eq(done(pushed(qd, 1000, 0)).qr_opcode, DEMI_OPC_PUSH);
	ck_assert_int_eq(demi_close(qd), 0);
	for (size_t off = 0, end = 0; !end; end = off == 1000) {
		bool e;

		turn();
		off = plain_recv(fd, off, &e);
	}
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

START_TEST(test_reset_after_data)
{
	demi_qresult_t qr;
	int fd, qd = pair(_i, &fd);
	size_t off = 0;

	ck_assert_uint_eq(plain_send(fd, 0, 30000), 30000);
	plain_reset(fd);
	while (off < 30000) {
		qr = done(popping(qd));
		off += popped(&qr, off);
	}
	for (int i = 0; i < 3; i++) {
		qr = done(popping(qd));
		ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_FAILED);
		ck_assert_int_eq(qr.qr_ret, ECONNRESET);
		qr = done(pushed(qd, 10, 0));
		ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_FAILED);
		ck_assert_int_eq(qr.qr_ret, ECONNRESET);
	}
	ck_assert_int_eq(demi_close(qd), 0);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* A read stops short in front of an urgent byte: what comes behind it is found. */
START_TEST(test_urgent)
{
	int fd, qd = pair(_i, &fd);
	demi_qtoken_t qt = popping(qd);
	demi_qresult_t qr;
	size_t off = 0;

	turn();
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(plain_send(fd, off, off + 3), off + 3);
		ck_assert_int_eq(send(fd, "!", 1, MSG_OOB), 1);
		ck_assert_uint_eq(plain_send(fd, off + 3, off + 6), off + 6);
		usleep(10000);
		for (size_t end = off + 6; off < end; qt = popping(qd)) {
			qr = done(qt);
			off += popped(&qr, off);
		}
	}
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* The push meets the reset first: what had arrived is still there. */
START_TEST(test_reset_met_by_push)
{
	demi_qresult_t qr;
	int fd, qd = pair(_i, &fd);
	size_t off = 0;

	ck_assert_uint_eq(plain_send(fd, 0, 30000), 30000);
	plain_reset(fd);
	usleep(10000);
	qr = done(pushed(qd, 10, 0));
	ck_assert_int_eq(qr.qr_ret, ECONNRESET);
	while (off < 30000) {
		qr = done(popping(qd));
		off += popped(&qr, off);
	}
	qr = done(popping(qd));
	ck_assert_int_eq(qr.qr_ret, ECONNRESET);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

#define N_CONNS 100

/* 100 connections send 1 MiB each, the server pops one of them. */
START_TEST(test_read_ahead)
{
	static int fds[N_CONNS], qds[N_CONNS];
	static size_t sent[N_CONNS], got[N_CONNS];
	struct sockaddr_in sin;
	int listener, left = N_CONNS;
	uint64_t most = 0, ahead;
	demi_qresult_t qr;

	start(_i);
	listener = listening_queue(&sin);
	for (int i = 0; i < N_CONNS; i++) {
		qds[i] = accepted(listener, &sin, &fds[i]);
		/* A first byte, popped: from now on the ring may read ahead. */
		sent[i] = plain_send(fds[i], 0, 1);
		qr = done(popping(qds[i]));
		got[i] = popped(&qr, 0);
		ck_assert_uint_eq(got[i], 1);
	}
	while (got[0] < MIB) {
		for (int i = 0; i < N_CONNS; i++)
			sent[i] = plain_send(fds[i], sent[i], MIB);
		qr = done(popping(qds[0]));
		got[0] += popped(&qr, got[0]);
		ahead = counter("catnap.read_ahead_bytes");
		most = ahead > most ? ahead : most;
	}
	for (int i = 0; i < 50; i++)
		turn();
	ck_assert_uint_le(most, N_CONNS * READ_AHEAD);
	/* Twice that at most is pinned, beside the ring's own 4 MiB. */
	ck_assert_uint_le(counter("libos.pool_bytes"), 2 * N_CONNS * READ_AHEAD + 12 * MIB);
	for (left = N_CONNS - 1; left > 0;) {
		for (int i = 1; i < N_CONNS; i++) {
			if (got[i] == MIB)
				continue;
			sent[i] = plain_send(fds[i], sent[i], MIB);
			qr = done(popping(qds[i]));
			got[i] += popped(&qr, got[i]);
			left -= got[i] == MIB;
		}
	}
	ck_assert_uint_eq(counter("catnap.read_ahead_bytes"), 0);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* One queue, nothing popped: never over the bound, and many tiny segments do not
 * pin a buffer each. */
START_TEST(test_read_ahead_of_one)
{
	demi_qresult_t qr;
	int fd, qd = pair(_i, &fd);
	size_t sent = plain_send(fd, 0, 1), got = 0;

	qr = done(popping(qd));
	got = popped(&qr, 0);
	for (int i = 0; i < 2000; i++) {
		sent = plain_send(fd, sent, sent + 10);
		if (i % 8 == 0)
			turn();
	}
	ck_assert_uint_le(counter("libos.bufs_out"), 128 + 32);
	while (sent < MIB) {
		size_t before = sent;

		sent = plain_send(fd, sent, MIB);
		turn();
		ck_assert_uint_le(counter("catnap.read_ahead_bytes"), READ_AHEAD);
		if (sent == before)
			break;
	}
	while (got < MIB) {
		sent = plain_send(fd, sent, MIB);
		qr = done(popping(qd));
		got += popped(&qr, got);
		ck_assert_uint_le(counter("catnap.read_ahead_bytes"), READ_AHEAD);
	}
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* Short pops that the program keeps pin little, though the queues' buffers are
 * large. */
START_TEST(test_hoard_short)
{
	enum { N = 400 };
	static demi_sgarray_t held[N];
	struct sockaddr_in sin;
	demi_qresult_t qr;
	int fd, listener;

	start(_i);
	listener = listening_queue(&sin);
	for (int i = 0; i < N; i++) {
		int qd = accepted(listener, &sin, &fd);

		plain_send(fd, 0, 10);
		qr = done(popping(qd));
		held[i] = qr.qr_value.sga;
		ck_assert_uint_eq(held[i].sga_segs[0].sgaseg_len, 10);
	}
	ck_assert_uint_le(counter("libos.pool_bytes"), 10 * MIB);
	for (int i = 0; i < N; i++) {
		ck_assert(matches(held[i].sga_segs[0].sgaseg_buf, 10, 0));
		ck_assert_int_eq(demi_sgafree(&held[i]), 0);
	}
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* 160 clients whose bytes nobody pops fill the pool: a fresh one is served all the
 * same, awake and asleep, and they are too once they are popped. */
START_TEST(test_read_ahead_at_limit)
{
	enum { N = 200, EACH = 150000 };
	static int fds[N], qds[N];
	static size_t sent[N], got[N];
	struct sockaddr_in sin;
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int listener, fd, qd;
	size_t fresh = 0;

	setenv("CLOWDER_POOL_MAX_BYTES", "12M", 1);
	start(_i);
	listener = listening_queue(&sin);
	for (int i = 0; i < N; i++) {
		qds[i] = accepted(listener, &sin, &fds[i]);
		qt = popping(qds[i]);
		sent[i] = plain_send(fds[i], 0, EACH);
		qr = done(qt);
		got[i] = popped(&qr, 0);
	}
	qd = accepted(listener, &sin, &fd);
	for (int i = 0; i < 3; i++) {
		qt = popping(qd);
		ck_assert_int_eq(try_wait(&qr, qt, 10 * i), ETIMEDOUT);
		if (fork() == 0) {
			usleep(20000);
			plain_send(fd, fresh, fresh + 3000);
			_exit(0);
		}
		qr = done(qt);
		fresh += popped(&qr, fresh);
		wait(NULL);
	}
	ck_assert_uint_eq(fresh, 9000);
	for (int i = 0; i < N; i++) {
		while (got[i] < EACH) {
			sent[i] = plain_send(fds[i], sent[i], EACH);
			qr = done(popping(qds[i]));
			got[i] += popped(&qr, got[i]);
		}
	}
	qt = popping(qd); /* with the ring full again */
	ck_assert_uint_eq(plain_send(fd, fresh, 100000), 100000);
	while (fresh < 100000) {
		qr = done(qt);
		fresh += popped(&qr, fresh);
		qt = popping(qd);
	}
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* With many queues that wait for memory a pass is slow: a short wait makes one. */
START_TEST(test_starved_deadline)
{
	enum { N = 50 };
	static const struct timespec while_ = { 0, 20000000 }, shortest = { 0, 1 };
	static int fds[N], qds[N];
	static size_t sent[N];
	struct sockaddr_in sin;
	demi_qresult_t qr;
	uint64_t before;
	int listener, n;

	setenv("CLOWDER_POOL_MAX_BYTES", "12M", 1);
	start(_i);
	listener = listening_queue(&sin);
	for (int i = 0; i < N; i++) {
		qds[i] = accepted(listener, &sin, &fds[i]);
		popping(qds[i]);
	}
	do { /* all that is popped is kept */
		for (int i = 0; i < N; i++)
			sent[i] = plain_send(fds[i], sent[i], 8 * MIB);
		before = counter("libos.pops");
		while (!demi_wait_next_n(&qr, 1, &n, &while_))
			popping(qr.qr_qd);
	} while (counter("libos.pops") != before);
	before = counter("catnap.recv_no_buffer");
	ck_assert_int_eq(demi_wait_next_n(&qr, 1, &n, &shortest), ETIMEDOUT);
	ck_assert_uint_ge(counter("catnap.recv_no_buffer") - before, 1);
	ck_assert_uint_le(counter("catnap.recv_no_buffer") - before, 3 * N);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* Blocked, it sleeps: one block, no passes over the devices, then a wake-up. */
START_TEST(test_idle_sleeps)
{
	struct rusage before, after;
	struct timespec ts = { 0, 700000000 };
	demi_qresult_t qr;
	uint64_t sleeps, empty;
	int fd, qd = pair(_i, &fd), n;
	demi_qtoken_t qt = popping(qd);

	for (int i = 0; i < 20; i++)
		turn();
	sleeps = counter("libos.sleeps");
	empty = counter("catnap.recv_empty") + counter("catnap.ring_enters");
	getrusage(RUSAGE_THREAD, &before); /* a sanitizer has threads too */
	ck_assert_int_eq(demi_wait_next_n(&qr, 1, &n, &ts), ETIMEDOUT);
	getrusage(RUSAGE_THREAD, &after);
	ck_assert_uint_le(counter("libos.sleeps") - sleeps, 4);
	ck_assert_int_le(after.ru_nvcsw - before.ru_nvcsw, 8);
	/* what wait.spin_us (50) has room for, not what 0.7 s have */
	ck_assert_uint_le(counter("catnap.recv_empty") + counter("catnap.ring_enters") - empty,
			  20000);
	if (fork() == 0) {
		usleep(100000);
		plain_send(fd, 0, 3);
		_exit(0);
	}
	qr = done(qt);
	ck_assert_uint_eq(popped(&qr, 0), 3);
	wait(NULL);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* kill -9 in the middle of its sending: what came is intact, then it ends. */
START_TEST(test_peer_killed)
{
	struct sockaddr_in sin;
	demi_qresult_t qr;
	demi_qtoken_t qt;
	size_t got = 0;
	int listener, qd;
	pid_t pid;

	start(_i);
	listener = listening_queue(&sin);
	pid = fork();
	if (pid == 0) {
		int fd = plain_connect(&sin);

		for (size_t off = 0;;)
			off = plain_send(fd, off, off + 100000);
	}
	ck_assert_int_eq(demi_accept(&qt, listener), 0);
	qd = done(qt).qr_value.ares.qd;
	do {
		demi_qtoken_t push = pushed(qd, 100, 0);

		qr = done(popping(qd));
		try_wait(&(demi_qresult_t){ 0 }, push, 0);
		if (qr.qr_opcode == DEMI_OPC_FAILED)
			break;
		size_t n = popped(&qr, got);

		if (!n)
			break;
		if (got < MIB && got + n >= MIB)
			kill(pid, SIGKILL);
		got += n;
	} while (1);
	ck_assert_uint_ge(got, MIB);
	ck_assert(qr.qr_opcode == DEMI_OPC_POP || qr.qr_ret == ECONNRESET);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(demi_close(qd), 0);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* ---- sending and ending */

/* A full window: pushes complete, then stay pending, then one is cancelled. */
START_TEST(test_window)
{
	enum { PIECE = 100000 };
	demi_qtoken_t held[64];
	demi_qresult_t qr;
	int fd, qd = pair(_i, &fd), n_held = 0;
	size_t pushed_bytes = 0, got = 0;
	bool end = false;

	while (n_held < 3) {
		demi_qtoken_t qt = pushed(qd, PIECE, (uint32_t)pushed_bytes);

		pushed_bytes += PIECE;
		if (try_wait(&qr, qt, 0) == ETIMEDOUT)
			held[n_held++] = qt;
		else
			ck_assert_int_eq(n_held, 0);
		ck_assert_uint_lt(pushed_bytes, 100 * MIB);
	}
	ck_assert_uint_ge(counter("catnap.pushes_held"), 3);
	/* The last leaves whole; so its bytes are not part of the stream. */
	ck_assert_int_eq(demi_cancel(held[2]), 0);
	qr = done(held[2]);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_FAILED);
	ck_assert_int_eq(qr.qr_ret, ECANCELED);
	ck_assert_int_eq(demi_close(qd), 0);
	while (!end) {
		got = plain_recv(fd, got, &end);
		demi_wait_next_n(&qr, 1, &n_held, &(struct timespec){ 0, 100000 });
	}
	ck_assert_uint_eq(got, pushed_bytes - PIECE);
	for (int i = 0; i < 100 && counter("catnap.lingering"); i++)
		usleep(10000), demi_wait_next_n(&qr, 1, &n_held, &(struct timespec){ 0, 100000 });
	ck_assert_uint_eq(counter("catnap.lingering"), 0);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* An answer, then a close, with another request unread and more coming in. */
START_TEST(test_close_with_unread)
{
	int fd, qd = pair(_i, &fd);
	demi_qresult_t qr;
	size_t got = 0, total = 4 * MIB;
	bool end = false;
	int n;

	ck_assert_int_eq(send(fd, "request", 7, 0), 7);
	usleep(1000);
	ck_assert_int_eq(demi_pop(&(demi_qtoken_t){ 0 }, qd), 0);
	pushed(qd, (uint32_t)total, 0);
	ck_assert_int_eq(send(fd, "request", 7, 0), 7);
	usleep(1000);
	ck_assert_int_eq(demi_close(qd), 0);
	while (!end) {
		if (got > total / 4 && got < total / 2)
			ck_assert_int_eq(send(fd, "request", 7, MSG_NOSIGNAL), 7);
		demi_wait_next_n(&qr, 1, &n, &(struct timespec){ 0, 100000 });
		if (n && qr.qr_opcode == DEMI_OPC_POP)
			demi_sgafree(&qr.qr_value.sga);
		got = plain_recv(fd, got, &end);
	}
	ck_assert_uint_eq(got, total);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

START_TEST(test_async_close)
{
	int fd, qd = pair(_i, &fd);
	demi_qtoken_t qt;
	demi_qresult_t qr;
	size_t got = 0, total = 0;
	bool end = false;

	/* More than the kernel takes, so that it cannot have been acknowledged. */
	while (try_wait(&qr, pushed(qd, MIB, (uint32_t)total), 0) == 0)
		total += MIB;
	total += MIB;
	ck_assert_int_eq(demi_async_close(&qt, qd), 0);
	ck_assert_int_eq(demi_close(qd), EBADF);
	ck_assert_int_eq(try_wait(&qr, qt, 100), ETIMEDOUT);
	while (!end) {
		got = plain_recv(fd, got, &end);
		if (got < total)
			ck_assert_int_eq(try_wait(&qr, qt, 0), ETIMEDOUT);
		else
			break;
	}
	qr = done(qt);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_CLOSE);
	ck_assert_uint_eq(got, total);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

START_TEST(test_async_close_reset)
{
	int fd, qd = pair(_i, &fd);
	demi_qtoken_t qt, last = 0;
	demi_qresult_t qr;

	do
		last = pushed(qd, MIB, 0);
	while (try_wait(&qr, last, 0) == 0);
	ck_assert_int_eq(demi_async_close(&qt, qd), 0);
	plain_reset(fd);
	qr = done(qt);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_FAILED);
	ck_assert_int_eq(qr.qr_ret, ECONNRESET);
	qr = done(last);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_FAILED);
	ck_assert_int_eq(qr.qr_ret, ECONNRESET);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

START_TEST(test_linger_zero)
{
	int fd, qd = pair(_i, &fd);
	struct linger now = { 1, 0 };
	char c;

	popping(qd);
	turn();
	ck_assert_int_eq(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	ck_assert_int_eq(demi_close(qd), 0);
	ck_assert_int_eq(recv(fd, &c, 1, 0), -1);
	ck_assert_int_eq(errno, ECONNRESET);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

START_TEST(test_half_close)
{
	int fd, qd = pair(_i, &fd);
	demi_qresult_t qr;
	demi_qtoken_t qt;
	demi_sgarray_t sga;
	bool end = false;
	size_t got = 0;

	pushed(qd, 3 * MIB, 0);
	ck_assert_int_eq(demi_shutdown(qd, SHUT_WR), 0);
	sga = filled(1, 0);
	ck_assert_int_eq(demi_push(&qt, qd, &sga), EPIPE);
	demi_sgafree(&sga);
	while (!end) {
		int n;

		got = plain_recv(fd, got, &end);
		demi_wait_next_n(&qr, 1, &n, &(struct timespec){ 0, 100000 });
	}
	ck_assert_uint_eq(got, 3 * MIB);
	plain_send(fd, 0, 100);
	qr = done(popping(qd));
	ck_assert_uint_eq(popped(&qr, 0), 100);
	/* SHUT_RD: the end at once, and the peer can go on sending. */
	qt = popping(qd);
	ck_assert_int_eq(demi_shutdown(qd, SHUT_RD), 0);
	qr = done(qt);
	ck_assert_uint_eq(popped(&qr, 0), 0);
	for (got = 0; got < 20 * MIB;) {
		got = plain_send(fd, got, 20 * MIB);
		turn();
	}
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* The process returns from main with the peer's bytes unread and its own not yet
 * read by the peer. */
static void child_exits(int mode, const struct sockaddr_in *sin, bool closes)
{
	demi_qtoken_t qt;
	int qd;

	start(mode);
	ck_assert_int_eq(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), 0);
	ck_assert_int_eq(demi_connect(&qt, qd, (const struct sockaddr *)sin, sizeof(*sin)), 0);
	ck_assert_int_eq(done(qt).qr_opcode, DEMI_OPC_CONNECT);
	popping(qd);
	qt = pushed(qd, 10 * MIB, 0);
	usleep(50000); /* the peer's bytes come in */
	ck_assert_int_eq(done(qt).qr_opcode, DEMI_OPC_PUSH);
	if (closes)
		ck_assert_int_eq(demi_close(qd), 0);
	exit(0);
}

START_TEST(test_exit_delivers)
{
	struct sockaddr_in sin;
	int listener = plain_listen(&sin), fd, status;
	size_t got = 0;
	bool end = false;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		child_exits(_i / 2, &sin, _i % 2);
	fd = accept(listener, NULL, NULL);
	plain_send(fd, 0, 100000);
	usleep(200000);
	while (!end) {
		struct pollfd p = { fd, POLLIN, 0 };

		poll(&p, 1, -1);
		got = plain_recv(fd, got, &end);
	}
	ck_assert_uint_eq(got, 10 * MIB);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- beginning */

START_TEST(test_connect_again)
{
	struct sockaddr_in me = at_port(0), to;
	int probe = plain_listen(&to), qd, fd;
	socklen_t len = sizeof(to);
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int on = 1, got = 0;

	close(probe); /* nobody there now */
	start(_i);
	qd = bound_queue(SOCK_STREAM, &me);
	ck_assert_int_eq(demi_setsockopt(qd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(demi_connect(&qt, qd, (struct sockaddr *)&to, sizeof(to)), 0);
		qr = done(qt);
		ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_FAILED);
		ck_assert_int_eq(qr.qr_ret, ECONNREFUSED);
		ck_assert_int_eq(demi_pop(&qt, qd), ENOTCONN);
	}
	probe = plain_listen(&to);
	ck_assert_int_eq(demi_connect(&qt, qd, (struct sockaddr *)&to, sizeof(to)), 0);
	ck_assert_int_eq(done(qt).qr_opcode, DEMI_OPC_CONNECT);
	fd = accept(probe, (struct sockaddr *)&to, &len);
	ck_assert_int_eq(to.sin_port, me.sin_port); /* binding and options are kept */
	len = sizeof(got);
	ck_assert_int_eq(demi_getsockopt(qd, SOL_SOCKET, SO_KEEPALIVE, &got, &len), 0);
	ck_assert_int_eq(got, 1);
	plain_send(fd, 0, 10);
	qr = done(popping(qd));
	ck_assert_uint_eq(popped(&qr, 0), 10);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* SO_ERROR tells the cause and takes nothing from the connect it is about. */
START_TEST(test_connect_error_asked)
{
	struct sockaddr_in to;
	int probe = plain_listen(&to), qd, v = 0;
	socklen_t len = sizeof(v);
	demi_qresult_t qr;
	demi_qtoken_t qt;

	close(probe);
	start(_i);
	ck_assert_int_eq(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), 0);
	ck_assert_int_eq(demi_connect(&qt, qd, (struct sockaddr *)&to, sizeof(to)), 0);
	ck_assert_int_eq(demi_getsockopt(qd, SOL_SOCKET, SO_ERROR, &v, &len), 0);
	ck_assert_int_eq(v, ECONNREFUSED);
	ck_assert_int_eq(demi_getsockopt(qd, SOL_SOCKET, SO_ERROR, &v, &len), 0);
	ck_assert_int_eq(v, 0);
	qr = done(qt);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_FAILED);
	ck_assert_int_eq(qr.qr_ret, ECONNREFUSED);
	plain_listen(&to);
	ck_assert_int_eq(demi_connect(&qt, qd, (struct sockaddr *)&to, sizeof(to)), 0);
	ck_assert_int_eq(done(qt).qr_opcode, DEMI_OPC_CONNECT);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* To a full backlog a connect hangs; cancelled, the queue is as new. */
START_TEST(test_connect_cancel)
{
	struct sockaddr_in full, to;
	int lfd = plain(SOCK_STREAM), fill[4], qd, i;
	socklen_t len = sizeof(full);
	demi_qresult_t qr;
	demi_qtoken_t qt;

	full = at_port(0);
	ck_assert_int_eq(bind(lfd, (struct sockaddr *)&full, len), 0);
	ck_assert_int_eq(listen(lfd, 1), 0);
	ck_assert_int_eq(getsockname(lfd, (struct sockaddr *)&full, &len), 0);
	for (i = 0; i < 4; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fill[i], (struct sockaddr *)&full, len);
	}
	start(_i);
	ck_assert_int_eq(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), 0);
	ck_assert_int_eq(demi_connect(&qt, qd, (struct sockaddr *)&full, len), 0);
	ck_assert_int_eq(try_wait(&qr, qt, 50), ETIMEDOUT);
	ck_assert_int_eq(demi_cancel(qt), 0);
	ck_assert_int_eq(done(qt).qr_ret, ECANCELED);
	plain_listen(&to);
	ck_assert_int_eq(demi_connect(&qt, qd, (struct sockaddr *)&to, sizeof(to)), 0);
	ck_assert_int_eq(done(qt).qr_opcode, DEMI_OPC_CONNECT);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

START_TEST(test_port_taken)
{
	struct sockaddr_in sin = at_port(0), mine;
	int a, b, fd, qd;

	start(_i);
	a = bound_queue(SOCK_STREAM, &sin);
	ck_assert_int_eq(demi_socket(&b, AF_INET, SOCK_STREAM, 0), 0);
	ck_assert_int_eq(demi_bind(b, (struct sockaddr *)&sin, sizeof(sin)), EADDRINUSE);
	ck_assert_int_eq(demi_listen(a, 5), 0);
	ck_assert_int_eq(demi_bind(b, (struct sockaddr *)&sin, sizeof(sin)), EADDRINUSE);
	/* The server ends first, so TIME_WAIT stays on its port; and a connection
	 * of its lives on. Another may start at once. */
	qd = accepted(a, &sin, &fd);
	ck_assert_int_eq(demi_close(qd), 0);
	close(fd);
	qd = accepted(a, &sin, &fd);
	ck_assert_int_eq(demi_close(a), 0);
	turn();
	mine = sin;
	ck_assert_int_eq(demi_bind(b, (struct sockaddr *)&mine, sizeof(mine)), 0);
	ck_assert_int_eq(demi_listen(b, 5), 0);
	ck_assert_int_ge(accepted(b, &sin, &fd), 500);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

START_TEST(test_accept_no_descriptor)
{
	struct sockaddr_in sin;
	struct rlimit lim, tight;
	int listener, fds[3], spare, qd;
	demi_qresult_t qr;
	demi_qtoken_t qt;

	start(_i);
	listener = listening_queue(&sin);
	for (int i = 0; i < 3; i++)
		fds[i] = plain_connect(&sin);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &lim), 0);
	spare = dup(0);
	close(spare);
	tight = lim;
	tight.rlim_cur = (rlim_t)spare;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(demi_accept(&qt, listener), 0);
		qr = done(qt);
		ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_FAILED);
		ck_assert_int_eq(qr.qr_ret, EMFILE);
	}
	ck_assert_int_eq(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(demi_accept(&qt, listener), 0);
		qr = done(qt);
		ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_ACCEPT);
		plain_send(fds[i], 0, 10);
		qr = done(popping(qr.qr_value.ares.qd));
		ck_assert_uint_eq(popped(&qr, 0), 10);
	}
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

START_TEST(test_many)
{
	enum { N = 2000, AT_ONCE = 200 };
	static int qds[AT_ONCE], fds[AT_ONCE];
	struct sockaddr_in sin;
	demi_qresult_t qr;
	int listener, n;

	start(_i);
	listener = listening_queue(&sin);
	for (int i = 0; i < N; i++) {
		int at = i % AT_ONCE;

		if (i >= AT_ONCE) {
			if (i % 3 == 0)
				plain_reset(fds[at]);
			ck_assert_int_eq(demi_close(qds[at]), 0);
			if (i % 3)
				close(fds[at]);
		}
		qds[at] = accepted(listener, &sin, &fds[at]);
		plain_send(fds[at], 0, 64);
		qr = done(popping(qds[at]));
		ck_assert_uint_eq(popped(&qr, 0), 64);
		ck_assert_int_eq(done(pushed(qds[at], 64, 0)).qr_opcode, DEMI_OPC_PUSH);
	}
	for (int i = 0; i < AT_ONCE; i++)
		ck_assert_int_eq(demi_close(qds[i]), 0);
	for (int i = 0; i < AT_ONCE; i++)
		close(fds[i]);
	for (int i = 0; i < 1000 && counter("catnap.lingering"); i++)
		demi_wait_next_n(&qr, 1, &n, &(struct timespec){ 0, 1000000 });
	ck_assert_uint_eq(counter("catnap.lingering"), 0);
	ck_assert_uint_eq(counter("catnap.read_ahead_bytes"), 0);
	if (_i == 0)
		ck_assert_uint_eq(counter("libos.bufs_out"), 0);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* ---- a foreign loop */

START_TEST(test_waitfd)
{
	int fd, qd = pair(_i, &fd), wfd;
	size_t sent = 0, got = 0;
	demi_qresult_t qr;
	demi_qtoken_t qt;

	ck_assert_int_eq(demi_waitfd(&wfd), 0);
	while (got < MIB) {
		struct pollfd p = { wfd, POLLIN, 0 };
		struct timespec zero = { 0, 0 };

		sent = plain_send(fd, sent, MIB);
		qt = popping(qd);
		do
			ck_assert_int_eq(poll(&p, 1, 5000), 1);
		while (demi_wait(&qr, qt, &zero) == ETIMEDOUT);
		got += popped(&qr, got);
	}
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* ---- datagrams */

START_TEST(test_dgram)
{
	struct sockaddr_in sin = at_port(0), from;
	static uint8_t big[60000];
	demi_qresult_t qr;
	demi_qtoken_t qt;
	demi_sgarray_t sga;
	socklen_t len = sizeof(from);
	int qd, fd = plain(SOCK_DGRAM);

	start(_i);
	qd = bound_queue(SOCK_DGRAM, &sin);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&from, &len), 0);
	/* A datagram of no bytes is a datagram: length 0, and a source. */
	ck_assert_int_eq(send(fd, "", 0, 0), 0);
	qr = done(popping(qd));
	ck_assert_uint_eq(qr.qr_value.sga.sga_segs[0].sgaseg_len, 0);
	ck_assert_int_eq(qr.qr_value.sga.sga_addr.sin_port, from.sin_port);
	ck_assert_int_eq(demi_sgafree(&qr.qr_value.sga), 0);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)((uint32_t)i * 131 >> 3);
	for (int i = 0; i < 2; i++) { /* in pieces, then whole */
		ck_assert_int_eq(send(fd, big, sizeof(big), 0), sizeof(big));
		qr = done(popping(qd));
		ck_assert_uint_eq(popped(&qr, 0), sizeof(big));
	}
	ck_assert_uint_eq(counter("catnap.joined_bytes"), sizeof(big));
	sga = filled(65508, 0);
	ck_assert_int_eq(demi_pushto(&qt, qd, &sga, (struct sockaddr *)&from, len), EMSGSIZE);
	demi_sgafree(&sga);
	/* Nobody there: told by ICMP, and no harm done. */
	close(fd);
	for (int i = 0; i < 5; i++) {
		sga = filled(100, 0);
		ck_assert_int_eq(demi_pushto(&qt, qd, &sga, (struct sockaddr *)&from, len), 0);
		ck_assert_int_eq(done(qt).qr_opcode, DEMI_OPC_PUSH);
		demi_sgafree(&sga);
	}
	ck_assert_int_eq(demi_connect(&qt, qd, (struct sockaddr *)&from, len), 0);
	ck_assert_int_eq(done(qt).qr_opcode, DEMI_OPC_CONNECT);
	qt = popping(qd);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(done(pushed(qd, 100, 0)).qr_opcode, DEMI_OPC_PUSH);
		turn();
	}
	fd = plain(SOCK_DGRAM);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&from, len), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ck_assert_int_eq(send(fd, big, 77, 0), 77);
	qr = done(qt);
	ck_assert_uint_eq(popped(&qr, 0), 77);
	ck_assert_uint_ge(counter("catnap.icmp_errors"), 1);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* After a long datagram, short ones that the program keeps pin little, whether
 * they come one by one or several at once. */
START_TEST(test_dgram_hoard_short)
{
	enum { N = 1024 };
	static const int at_once[] = { 1, 32 };
	static demi_sgarray_t held[N];
	static uint8_t bytes[60000];
	int qd, fd = plain(SOCK_DGRAM), step = at_once[_i % 2];
	struct sockaddr_in sin = at_port(0);
	demi_qresult_t qr;

	start(_i / 2);
	qd = bound_queue(SOCK_DGRAM, &sin);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	for (int i = 0; i < N; i += step) {
		if (i % 128 == 0) {
			ck_assert_int_eq(send(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
			qr = done(popping(qd));
			ck_assert_uint_eq(qr.qr_value.sga.sga_segs[0].sgaseg_len, sizeof(bytes));
			ck_assert_int_eq(demi_sgafree(&qr.qr_value.sga), 0);
		}
		for (int k = 0; k < step; k++)
			ck_assert_int_eq(send(fd, &(int){ i + k }, sizeof(int), 0), sizeof(int));
		for (int k = 0; k < step; k++) {
			qr = done(popping(qd));
			held[i + k] = qr.qr_value.sga;
		}
	}
	ck_assert_uint_le(counter("libos.pool_bytes"), 12 * MIB);
	for (int i = 0; i < N; i++) {
		ck_assert_uint_eq(held[i].sga_segs[0].sgaseg_len, sizeof(int));
		ck_assert_mem_eq(held[i].sga_segs[0].sgaseg_buf, &i, sizeof(int));
		ck_assert_int_eq(demi_sgafree(&held[i]), 0);
	}
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

START_TEST(test_dgram_ephemeral)
{
	struct sockaddr_in sin = at_port(0), mine;
	socklen_t len = sizeof(mine);
	int qd, fd = plain(SOCK_DGRAM);
	demi_qresult_t qr;
	demi_qtoken_t qt;
	demi_sgarray_t sga = { 0 };
	char c[16];

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	start(_i);
	ck_assert_int_eq(demi_socket(&qd, AF_INET, SOCK_DGRAM, 0), 0);
	ck_assert_int_eq(demi_getsockname(qd, (struct sockaddr *)&mine, &len), ENOTCONN);
	ck_assert_int_eq(demi_pop(&qt, qd), EDESTADDRREQ);
	sga = filled(10, 0);
	ck_assert_int_eq(demi_pushto(&qt, qd, &sga, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ck_assert_int_eq(demi_getsockname(qd, (struct sockaddr *)&mine, &len), 0);
	ck_assert_int_eq(recvfrom(fd, c, sizeof(c), 0, (struct sockaddr *)&sin, &len), 10);
	ck_assert_int_eq(sin.sin_port, mine.sin_port);
	ck_assert_int_eq(sendto(fd, c, 10, 0, (struct sockaddr *)&sin, len), 10);
	qr = done(popping(qd));
	ck_assert_uint_eq(popped(&qr, 0), 10);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* The kernel binds a queue with its first datagram, also when it refuses that. */
START_TEST(test_dgram_refused)
{
	struct sockaddr_in sin = at_port(htons(9)), mine;
	socklen_t len = sizeof(mine);
	int qd, fd = plain(SOCK_DGRAM);
	demi_qresult_t qr;
	demi_qtoken_t qt;
	demi_sgarray_t sga;

	start(_i);
	ck_assert_int_eq(demi_socket(&qd, AF_INET, SOCK_DGRAM, 0), 0);
	sga = filled(10, 0);
	sin.sin_addr.s_addr = htonl(INADDR_BROADCAST);
	ck_assert_int_eq(demi_pushto(&qt, qd, &sga, (struct sockaddr *)&sin, sizeof(sin)), 0);
	qr = done(qt);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_FAILED);
	ck_assert_int_eq(qr.qr_ret, EACCES);
	ck_assert_int_eq(demi_getsockname(qd, (struct sockaddr *)&mine, &len), 0);
	ck_assert_int_ne(mine.sin_port, 0);
	qt = popping(qd);
	mine.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(sendto(fd, sga.sga_segs[0].sgaseg_buf, 10, 0, (struct sockaddr *)&mine,
				len), 10);
	qr = done(qt);
	ck_assert_uint_eq(popped(&qr, 0), 10);
	ck_assert_int_eq(demi_sgafree(&sga), 0);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* ---- options */

START_TEST(test_options)
{
	int fd, qd = pair(_i, &fd), udp, v, zero = 0;
	struct linger l = { 1, 5 };
	struct tcp_info info;
	char name[16];
	socklen_t len = sizeof(v);

	ck_assert_int_eq(demi_socket(&udp, AF_INET, SOCK_DGRAM, 0), 0);
	ck_assert_int_eq(demi_getsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &v, &len), 0);
	ck_assert_int_ne(v, 0); /* by default, and inherited */
	ck_assert_int_eq(demi_setsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &zero, 4), 0);
	ck_assert_int_eq(demi_getsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &v, &len), 0);
	ck_assert_int_eq(v, 0);
	ck_assert_int_eq(demi_setsockopt(qd, IPPROTO_TCP, TCP_NODELAY, &zero, 2), EINVAL);
	ck_assert_int_eq(demi_setsockopt(udp, IPPROTO_TCP, TCP_NODELAY, &zero, 4), ENOPROTOOPT);
	ck_assert_int_eq(demi_setsockopt(qd, IPPROTO_IP, 1, &zero, 4), ENOTSUP);
	ck_assert_int_eq(demi_setsockopt(qd, SOL_SOCKET, SO_TYPE, &zero, 4), ENOPROTOOPT);
	ck_assert_int_eq(demi_setsockopt(qd, SOL_SOCKET, SO_REUSEPORT, &zero, 4), ENOPROTOOPT);
	ck_assert_int_eq(demi_setsockopt(qd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	len = sizeof(l);
	ck_assert_int_eq(demi_getsockopt(qd, SOL_SOCKET, SO_LINGER, &l, &len), 0);
	ck_assert_int_eq(l.l_linger, 5);
	len = 2;
	ck_assert_int_eq(demi_getsockopt(qd, SOL_SOCKET, SO_TYPE, &v, &len), EINVAL);
	len = sizeof(v);
	ck_assert_int_eq(demi_getsockopt(udp, SOL_SOCKET, SO_TYPE, &v, &len), 0);
	ck_assert_int_eq(v, SOCK_DGRAM);
	len = sizeof(info);
	ck_assert_int_eq(demi_getsockopt(qd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	ck_assert_int_eq(info.tcpi_state, TCP_ESTABLISHED);
	len = sizeof(name);
	ck_assert_int_eq(demi_getsockopt(qd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
	ck_assert_int_eq(demi_setsockopt(qd, IPPROTO_TCP, TCP_CONGESTION, "none-such", 9), EINVAL);
	ck_assert_int_eq(demi_setsockopt(qd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
	/* SO_ERROR gives the cause once, and pops go on giving it. */
	plain_reset(fd);
	usleep(10000);
	len = sizeof(v);
	ck_assert_int_eq(demi_getsockopt(qd, SOL_SOCKET, SO_ERROR, &v, &len), 0);
	ck_assert_int_eq(v, ECONNRESET);
	ck_assert_int_eq(demi_getsockopt(qd, SOL_SOCKET, SO_ERROR, &v, &len), 0);
	ck_assert_int_eq(v, 0);
	ck_assert_int_eq(done(popping(qd)).qr_ret, ECONNRESET);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

static void received(int fd, size_t from, size_t to)
{
	demi_qresult_t qr;
	bool end = false;
	int n;

	while (from < to) {
		from = plain_recv(fd, from, &end);
		demi_wait_next_n(&qr, 1, &n, &(struct timespec){ 0, 100000 });
	}
}

/* Large pushes without a copy, where the ring can: what arrives is right, and
 * all buffers come back. They are small enough for the memory that any user may
 * lock. */
START_TEST(test_zero_copy)
{
	int fd, qd = pair(1, &fd), n;
	demi_qresult_t qr;

	for (uint32_t at = 0; at < 8 * MIB; at += ZC_PIECE) {
		pushed(qd, ZC_PIECE, at);
		received(fd, at, at + ZC_PIECE);
	}
	ck_assert_uint_ge(counter("catnap.zero_copy_sends"), 1);
	for (int i = 0; i < 1000 && counter("catnap.zero_copy_pending"); i++)
		demi_wait_next_n(&qr, 1, &n, &(struct timespec){ 0, 1000000 });
	ck_assert_uint_eq(counter("catnap.zero_copy_pending"), 0);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* As for a user who is not root: there is a limit, of this many bytes. */
static void limit_locked(rlim_t bytes)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	struct rlimit lim = { bytes, bytes };

	ck_assert_int_eq(syscall(SYS_capget, &head, data), 0);
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	data[0].permitted &= ~(1u << CAP_IPC_LOCK);
	ck_assert_int_eq(syscall(SYS_capset, &head, data), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &lim), 0);
}

/* A push that is more than may be locked is copied, and keeps none behind it from
 * being sent without. */
START_TEST(test_zero_copy_again)
{
	int fd, qd;
	size_t at = 8 * MIB;

	limit_locked(4 * MIB);
	setenv("CLOWDER_CATNAP_SEND_WINDOW", "16M", 1);
	qd = pair(1, &fd);
	pushed(qd, 8 * MIB, 0);
	ck_assert_uint_eq(counter("catnap.zero_copy_sends"), 0);
	received(fd, 0, at);
	for (int i = 0; i < 40 && !counter("catnap.zero_copy_sends"); i++, at += ZC_PIECE) {
		pushed(qd, ZC_PIECE, (uint32_t)at);
		received(fd, at, at + ZC_PIECE);
	}
	ck_assert_uint_ge(counter("catnap.zero_copy_sends"), 1);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

enum { CROWD = 144, CROWD_BYTES = 65536 };

/* Connections that fill the completion queue: each brings READ_AHEAD bytes in
 * pieces of 2 KiB, all of which come with the next entering. */
static void crowd_pops(int listener, const struct sockaddr_in *sin, demi_qtoken_t *qts)
{
	int fd, qds[CROWD];

	for (int i = 0; i < CROWD; i++) {
		qds[i] = accepted(listener, sin, &fd);
		ck_assert_uint_eq(plain_send(fd, 0, CROWD_BYTES), CROWD_BYTES);
	}
	for (int i = 0; i < CROWD; i++)
		qts[i] = popping(qds[i]);
}

/* A zero-copy send whose completions come out of an overflow, both at once: its
 * buffer is let go of once. */
START_TEST(test_zero_copy_overflow)
{
	static demi_qtoken_t qts[CROWD];
	struct sockaddr_in sin;
	int listener, fd, qd, one = 1, n;
	demi_sgarray_t sga, other;
	demi_qresult_t qr;
	demi_qtoken_t qt;

	setenv("CLOWDER_CATNAP_RING_BUFFER", "2K", 1);
	setenv("CLOWDER_CATNAP_RING_BUFFERS", "8K", 1);
	setenv("CLOWDER_CATNAP_ZERO_COPY", "16K", 1);
	start(1);
	listener = listening_queue(&sin);
	qd = accepted(listener, &sin, &fd);
	ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one)), 0);
	sga = filled(20000, 0);
	crowd_pops(listener, &sin, qts);
	ck_assert_int_eq(demi_push(&qt, qd, &sga), 0);
	ck_assert_int_eq(done(qt).qr_opcode, DEMI_OPC_PUSH);
	ck_assert_uint_eq(counter("catnap.zero_copy_sends"), 1);
	for (int i = 0; i < CROWD; i++) {
		qr = done(qts[i]);
		ck_assert_uint_gt(popped(&qr, 0), 0);
	}
	for (int i = 0; i < 1000 && counter("catnap.zero_copy_pending"); i++)
		demi_wait_next_n(&qr, 1, &n, &(struct timespec){ 0, 1000000 });
	ck_assert_uint_eq(counter("catnap.zero_copy_pending"), 0);
	other = filled(20000, 1);
	ck_assert_ptr_ne(other.sga_buf, sga.sga_buf); /* still ours */
	ck_assert_int_eq(demi_sgafree(&other), 0);
	ck_assert_int_eq(demi_sgafree(&sga), 0);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* One instance after the other needs no more than one needs. */
START_TEST(test_rings_in_turn)
{
	limit_locked(MIB);
	for (int i = 0; i < 100; i++) {
		start(1);
		ck_assert_int_eq(demi_fini(), 0);
	}
}
END_TEST

/* A kernel that says no to io_uring: told when it was asked for, no matter when
 * it was not. */
static void refuse_uring(int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

START_TEST(test_uring_refused)
{
	static const int said[] = { EPERM, ENOSYS, ENOMEM }, told[] = { ENOTSUP, ENOTSUP, ENOMEM };

	refuse_uring(said[_i]);
	setenv("CLOWDER_CATNAP_IO", "io_uring", 1);
	ck_assert_int_eq(demi_init(NULL), told[_i]);
	setenv("CLOWDER_CATNAP_IO", "auto", 1);
	ck_assert_int_eq(demi_init(NULL), 0);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* A pool that could not hold the ring's buffers and anything beside them. */
START_TEST(test_uring_small_pool)
{
	static const char *const limits[] = { "2M", "4M", "10M", "12M" };
	static const int told[] = { ENOMEM, ENOMEM, ENOMEM, 0 };
	struct sockaddr_in sin;
	demi_qresult_t qr;
	int fd, qd;

	setenv("CLOWDER_POOL_MAX_BYTES", limits[_i], 1);
	setenv("CLOWDER_CATNAP_IO", "io_uring", 1);
	ck_assert_int_eq(demi_init(NULL), told[_i]);
	if (told[_i])
		return;
	qd = accepted(listening_queue(&sin), &sin, &fd);
	plain_send(fd, 0, 100);
	qr = done(popping(qd));
	ck_assert_uint_eq(popped(&qr, 0), 100);
	ck_assert_int_eq(done(pushed(qd, 4096, 0)).qr_opcode, DEMI_OPC_PUSH);
	ck_assert_int_eq(demi_fini(), 0);
}
END_TEST

/* What else keeps it from starting is for the cases to find. */
static bool has_uring(void)
{
	int err;

	setenv("CLOWDER_CATNAP_IO", "io_uring", 1);
	err = demi_init(NULL);
	if (!err)
		err = demi_fini();
	return err != ENOTSUP;
}

static void cases(Suite *suite, bool uring)
{
	TCase *tc = tcase_create("catnap");
	int n = uring ? 2 : 1;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, test_stream_ends, 0, n);
	tcase_add_loop_test(tc, test_reset_after_data, 0, n);
	tcase_add_loop_test(tc, test_reset_met_by_push, 0, n);
	tcase_add_loop_test(tc, test_urgent, 0, n);
	tcase_add_loop_test(tc, test_read_ahead, 0, n);
	tcase_add_loop_test(tc, test_read_ahead_of_one, 0, n);
	tcase_add_loop_test(tc, test_hoard_short, 0, n);
	tcase_add_loop_test(tc, test_read_ahead_at_limit, 0, n);
	tcase_add_loop_test(tc, test_starved_deadline, 0, n);
	tcase_add_loop_test(tc, test_idle_sleeps, 0, n);
	tcase_add_loop_test(tc, test_peer_killed, 0, n);
	tcase_add_loop_test(tc, test_window, 0, n);
	tcase_add_loop_test(tc, test_close_with_unread, 0, n);
	tcase_add_loop_test(tc, test_async_close, 0, n);
	tcase_add_loop_test(tc, test_async_close_reset, 0, n);
	tcase_add_loop_test(tc, test_linger_zero, 0, n);
	tcase_add_loop_test(tc, test_half_close, 0, n);
	tcase_add_loop_test(tc, test_exit_delivers, 0, 2 * n);
	tcase_add_loop_test(tc, test_connect_again, 0, n);
	tcase_add_loop_test(tc, test_connect_error_asked, 0, n);
	tcase_add_loop_test(tc, test_connect_cancel, 0, n);
	tcase_add_loop_test(tc, test_port_taken, 0, n);
	tcase_add_loop_test(tc, test_accept_no_descriptor, 0, n);
	tcase_add_loop_test(tc, test_many, 0, n);
	tcase_add_loop_test(tc, test_waitfd, 0, n);
	tcase_add_loop_test(tc, test_dgram, 0, n);
	tcase_add_loop_test(tc, test_dgram_hoard_short, 0, 2 * n);
	tcase_add_loop_test(tc, test_dgram_ephemeral, 0, n);
	tcase_add_loop_test(tc, test_dgram_refused, 0, n);
	tcase_add_loop_test(tc, test_options, 0, n);
	if (!uring)
		return;
	tcase_add_test(tc, test_zero_copy);
	tcase_add_test(tc, test_zero_copy_again);
	tcase_add_test(tc, test_rings_in_turn);
	tcase_add_test(tc, test_zero_copy_overflow);
	tcase_add_loop_test(tc, test_uring_refused, 0, 3);
	tcase_add_loop_test(tc, test_uring_small_pool, 0, 4);
}

/* The runtime directory holds nothing but the instances' own files. */
static void rundir_remove(void)
{
	char cmd[96];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", rundir);
	if (system(cmd) != 0)
		fprintf(stderr, "%s is left behind\n", rundir);
}

int main(void)
{
	Suite *suite = suite_create("catnap");
	SRunner *runner;
	int failed;

	snprintf(rundir, sizeof(rundir), "/tmp/catnap-check-XXXXXX");
	if (!mkdtemp(rundir))
		return 99;
	setenv("CLOWDER_RUNTIME_DIR", rundir, 1);
	unsetenv("CONFIG_PATH");
	unsetenv("LIBOS");
	signal(SIGPIPE, SIG_IGN);
	cases(suite, has_uring());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	rundir_remove();
	return failed ? 1 : 0;
}

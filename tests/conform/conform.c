#include "tests/conform/conform.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <demi/stat.h>

const struct timespec NO_TIME = { 0, 0 };
const struct timespec LONG_TIME = { 15, 0 };

static const struct {
	const char *name;
	unsigned caps;
} backends[] = {
	{ "catnap", CAP_TCP | CAP_KERNEL | CAP_FDS | CAP_WAKES | CAP_FORKS },
	{ "catmem", CAP_PIPES | CAP_ANY_ADDR | CAP_FDS | CAP_WAKES | CAP_FORKS },
	{ "catnip", CAP_TCP | CAP_ANY_ADDR },
};

const char *conform_libos(void)
{
	const char *name = getenv("LIBOS");

	return name ? name : "catnap";
}

static unsigned caps_of(const char *name, size_t len)
{
	for (size_t i = 0; i < array_size(backends); i++)
		if (strlen(backends[i].name) == len && !strncmp(backends[i].name, name, len))
			return backends[i].caps;
	return 0;
}

/* Of "a+b" the first gives the sockets, and any the pipes. */
bool conform_has(enum conform_cap cap)
{
	const char *name = conform_libos(), *next = strchr(name, '+');
	unsigned caps = caps_of(name, strcspn(name, "+"));

	for (; next; next = strchr(next + 1, '+'))
		caps |= caps_of(next + 1, strcspn(next + 1, "+")) & CAP_PIPES;
	return caps & cap;
}

bool conform_slow(void)
{
	return getenv("CONFORM_SLOW") != NULL;
}

bool conform_tsan_uring(void)
{
#ifdef __SANITIZE_THREAD__
	const char *io = getenv("CLOWDER_CATNAP_IO");

	return io && !strcmp(io, "io_uring");
#else
	return false;
#endif
}

void conform_skip(const char *what, const char *why)
{
	printf("#SKIP %s: %s\n", what, why);
	fflush(stdout);
}

bool conform_parties(unsigned n, const char *what)
{
	const char *most = getenv("CONFORM_PARTIES");

	if (!most || n <= (unsigned)atoi(most))
		return true;
	conform_skip(what, "more parties than this link has");
	return false;
}

static void with_instance_setup(void)
{
	conform_start();
}

static void with_instance_teardown(void)
{
	conform_stop();
}

TCase *conform_tcase(Suite *suite, const char *name, bool with_instance)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, conform_slow() ? 120 : 30);
	if (with_instance)
		tcase_add_checked_fixture(tc, with_instance_setup, with_instance_teardown);
	suite_add_tcase(suite, tc);
	return tc;
}

void add_rows(TCase *tc, const TTest *test, int (*rows)(int row))
{
	tcase_add_loop_test(tc, test, 0, rows(-1));
}

/* A pop may bring more than was asked for: the rest, which the next one takes. */
static _Thread_local struct {
	int qd;			/* 0: none */
	demi_sgarray_t sga;
} rests[8];

static int rest_of(int qd)
{
	int i = 0;

	while (i < (int)array_size(rests) && rests[i].qd != qd)
		i++;
	return i < (int)array_size(rests) ? i : -1;
}

static void forget_rests(void)
{
	memset(rests, 0, sizeof(rests));
}

static DIR *stat_dir(void)
{
	char path[4096];
	DIR *dir;

	snprintf(path, sizeof(path), "%s/stat", getenv("CLOWDER_RUNTIME_DIR"));
	dir = opendir(path);
	ck_assert_msg(dir != NULL, "%s: %s", path, strerror(errno));
	return dir;
}

/* The number of this process's newest instance, which its counters file bears. */
static int newest_instance(void)
{
	DIR *dir = stat_dir();
	struct dirent *de;
	int newest = -1;

	while ((de = readdir(dir)) != NULL) {
		int pid, n;

		if (sscanf(de->d_name, "%d.%d", &pid, &n) == 2 && pid == getpid() && n > newest)
			newest = n;
	}
	closedir(dir);
	return newest;
}

/* Of the instance of this thread. */
static _Thread_local int own_number = -1;

void conform_start(void)
{
	static pthread_mutex_t one_by_one = PTHREAD_MUTEX_INITIALIZER;

	forget_rests();
	pthread_mutex_lock(&one_by_one);
	expect_ok(demi_init(NULL));
	own_number = newest_instance();
	pthread_mutex_unlock(&one_by_one);
}

void conform_stop(void)
{
	expect_ok(demi_fini());
	own_number = -1;
}

/* ---- what was provoked ---- */

/* Opened once: some cases leave no descriptor for it later. */
static int errno_log = -1;

static int errno_log_open(void)
{
	const char *path = getenv("CLOWDER_ERRNO_LOG");

	if (!path)
		return 0;
	errno_log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (errno_log < 0)
		perror(path);
	return errno_log < 0;
}

void conform_provoked(const char *call, int err, const char *tag)
{
	char line[160];
	int len;

	if (errno_log < 0 || !tag)
		return;
	len = snprintf(line, sizeof(line), "%.*s %s %s\n", (int)strcspn(call, "("), call,
		       strerrorname_np(err), tag);
	ck_assert_int_eq(write(errno_log, line, (size_t)len), len);
}

void conform_returned(const char *file, int line, const char *call, int want, int got,
		      const char *tag)
{
	int now = errno;

	if (got != want)
		ck_abort_msg("%s:%d: %s: %s returned %s, not %s", file, line, tag ? tag : "", call,
			     got ? strerrorname_np(got) : "0", want ? strerrorname_np(want) : "0");
	if (now != ERRNO_CANARY)
		ck_abort_msg("%s:%d: %s touched errno (%d)", file, line, call, now);
	if (want)
		conform_provoked(call, want, tag);
}

/* ---- waits ---- */

demi_qresult_t finish(demi_qtoken_t qt)
{
	demi_qresult_t qr;

	memset(&qr, 0xa5, sizeof(qr));
	expect_ok(demi_wait(&qr, qt, &LONG_TIME));
	ck_assert_uint_eq(qr.qr_qt, qt);
	return qr;
}

demi_qresult_t finish_ok(demi_qtoken_t qt, demi_opcode_t opcode)
{
	demi_qresult_t qr = finish(qt);

	if (qr.qr_opcode != opcode)
		ck_abort_msg("operation %d failed: %s", opcode, strerror((int)qr.qr_ret));
	ck_assert_int_eq(qr.qr_ret, 0);
	return qr;
}

static bool all_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	while (len && !*b) {
		b++;
		len--;
	}
	return !len;
}

void finish_failed(demi_qtoken_t qt, const char *call, int err, const char *tag)
{
	demi_qresult_t qr = finish(qt);

	ck_assert_msg(qr.qr_opcode == DEMI_OPC_FAILED, "%s: %s did not fail (opcode %d)", call, tag,
		      qr.qr_opcode);
	ck_assert_msg(qr.qr_ret == err, "%s: %s failed with %s, not %s", call, tag,
		      strerrorname_np((int)qr.qr_ret), strerrorname_np(err));
	ck_assert(all_zero(&qr.qr_value, sizeof(qr.qr_value)));
	conform_provoked(call, err, tag);
}

void still_pending(demi_qtoken_t qt)
{
	const struct timespec short_time = { 0, 2000000 };
	demi_qresult_t qr;

	for (int i = 0; i < 10; i++)
		expect(ETIMEDOUT, NULL, demi_wait(&qr, qt, i < 7 ? &NO_TIME : &short_time));
}

void settle(void)
{
	const struct timespec short_time = { 0, 2000000 };
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int qd = bound_socket(SOCK_DGRAM, NULL);

	expect_ok(demi_pop(&qt, qd));
	for (int i = 0; i < 10; i++)
		expect(ETIMEDOUT, NULL, demi_wait(&qr, qt, i < 7 ? &NO_TIME : &short_time));
	expect_ok(demi_close(qd));
	finish(qt);
}

/* ---- queues ---- */

struct sockaddr_in address(uint16_t port)
{
	const char *host = getenv("CONFORM_ADDR");
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
	};

	inet_pton(AF_INET, host ? host : "127.0.0.1", &addr.sin_addr);
	return addr;
}

int stream_socket(void)
{
	int qd = -1;

	expect_ok(demi_socket(&qd, AF_INET, SOCK_STREAM, 0));
	ck_assert_int_ge(qd, 500);
	return qd;
}

int dgram_socket(void)
{
	int qd = -1;

	expect_ok(demi_socket(&qd, AF_INET, SOCK_DGRAM, 0));
	ck_assert_int_ge(qd, 500);
	return qd;
}

struct sockaddr_in local_address(int qd)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	expect_ok(demi_getsockname(qd, SA_OUT(&addr), &len));
	ck_assert_uint_eq(len, sizeof(addr));
	return addr;
}

int bound_socket(int type, struct sockaddr_in *addr_out)
{
	struct sockaddr_in addr = address(0);
	int qd = type == SOCK_STREAM ? stream_socket() : dgram_socket();

	expect_ok(demi_bind(qd, SA(&addr), sizeof(addr)));
	if (addr_out)
		*addr_out = local_address(qd);
	return qd;
}

int listener(struct sockaddr_in *addr_out)
{
	int qd = bound_socket(SOCK_STREAM, addr_out);

	expect_ok(demi_listen(qd, 128));
	return qd;
}

int connect_to(const struct sockaddr_in *addr)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int qd = stream_socket();

	expect_ok(demi_connect(&qt, qd, SA(addr), sizeof(*addr)));
	qr = finish_ok(qt, DEMI_OPC_CONNECT);
	ck_assert_int_eq(qr.qr_qd, qd);
	return qd;
}

int accept_one(int lqd)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	expect_ok(demi_accept(&qt, lqd));
	qr = finish_ok(qt, DEMI_OPC_ACCEPT);
	ck_assert_int_eq(qr.qr_qd, lqd);
	ck_assert_int_ge(qr.qr_value.ares.qd, 500);
	return qr.qr_value.ares.qd;
}

void pair_open(struct pair *p)
{
	demi_qtoken_t at, ct;
	demi_qresult_t qr;

	p->listener = listener(&p->addr);
	p->client = stream_socket();
	expect_ok(demi_accept(&at, p->listener));
	expect_ok(demi_connect(&ct, p->client, SA(&p->addr), sizeof(p->addr)));
	finish_ok(ct, DEMI_OPC_CONNECT);
	qr = finish_ok(at, DEMI_OPC_ACCEPT);
	p->server = qr.qr_value.ares.qd;
}

void pair_close(struct pair *p)
{
	expect_ok(demi_close(p->client));
	expect_ok(demi_close(p->server));
	expect_ok(demi_close(p->listener));
}

/* ---- bytes ---- */

static uint8_t pattern(unsigned seed, size_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 17 + (at >> 16) * 7 + seed * 101);
}

void fill(void *buf, size_t len, unsigned seed, size_t offset)
{
	uint8_t *b = buf;

	for (size_t i = 0; i < len; i++)
		b[i] = pattern(seed, offset + i);
}

size_t mismatch(const void *buf, size_t len, unsigned seed, size_t offset)
{
	const uint8_t *b = buf;
	size_t i = 0;

	while (i < len && b[i] == pattern(seed, offset + i))
		i++;
	return i;
}

demi_sgarray_t alloc(size_t len)
{
	demi_sgarray_t sga = demi_sgaalloc(len);

	ck_assert_uint_eq(sga.sga_numsegs, 1);
	ck_assert_ptr_nonnull(sga.sga_buf);
	ck_assert_uint_eq(sga.sga_segs[0].sgaseg_len, len);
	return sga;
}

demi_sgarray_t alloc_filled(size_t len, unsigned seed, size_t offset)
{
	demi_sgarray_t sga = alloc(len);

	fill(sga.sga_segs[0].sgaseg_buf, len, seed, offset);
	return sga;
}

void compose(demi_sgarray_t *sga, const demi_sgarray_t *part, uint32_t from, uint32_t len)
{
	demi_sgaseg_t *seg = &sga->sga_segs[sga->sga_numsegs++];

	seg->sgaseg_buf = (uint8_t *)part->sga_segs[0].sgaseg_buf + from;
	seg->sgaseg_len = len;
}

demi_qtoken_t push(int qd, const demi_sgarray_t *sga)
{
	demi_qtoken_t qt = 0;

	expect_ok(demi_push(&qt, qd, sga));
	ck_assert(qt != 0 && qt != UINT64_MAX);
	return qt;
}

demi_qtoken_t pop(int qd)
{
	demi_qtoken_t qt = 0;

	expect_ok(demi_pop(&qt, qd));
	ck_assert(qt != 0 && qt != UINT64_MAX);
	return qt;
}

demi_sgarray_t popped(int qd)
{
	demi_qresult_t qr = finish_ok(pop(qd), DEMI_OPC_POP);

	ck_assert_int_eq(qr.qr_qd, qd);
	ck_assert_uint_eq(qr.qr_value.sga.sga_numsegs, 1);
	ck_assert_ptr_nonnull(qr.qr_value.sga.sga_buf);
	return qr.qr_value.sga;
}

void send_bytes(int qd, size_t len, unsigned seed, size_t offset)
{
	demi_sgarray_t sga = alloc_filled(len, seed, offset);

	finish_ok(push(qd, &sga), DEMI_OPC_PUSH);
	expect_ok(demi_sgafree(&sga));
}

/* Compares segments with a stream; their length. */
static size_t compare(const demi_sgarray_t *sga, unsigned seed, size_t offset)
{
	size_t len = 0;

	for (uint32_t i = 0; i < sga->sga_numsegs; i++) {
		const demi_sgaseg_t *seg = &sga->sga_segs[i];
		size_t same = mismatch(seg->sgaseg_buf, seg->sgaseg_len, seed, offset + len);

		ck_assert_msg(same == seg->sgaseg_len, "byte %zu of stream %u is wrong",
			      offset + len + same, seed);
		len += seg->sgaseg_len;
	}
	return len;
}

/* Compares what a pop gave and frees it; its length. */
static size_t take(demi_sgarray_t *sga, unsigned seed, size_t offset)
{
	size_t len = compare(sga, seed, offset);

	expect_ok(demi_sgafree(sga));
	return len;
}

void finish_bytes(demi_qtoken_t qt, size_t len, unsigned seed, size_t offset)
{
	demi_qresult_t qr = finish_ok(qt, DEMI_OPC_POP);

	ck_assert_uint_eq(take(&qr.qr_value.sga, seed, offset), len);
}

/* The next bytes of the stream: one segment. */
static demi_sgarray_t next_bytes(int qd)
{
	int i = rest_of(qd);
	demi_sgarray_t sga;

	if (i < 0)
		return popped(qd);
	sga = rests[i].sga;
	rests[i].qd = 0;
	return sga;
}

static void put_back(int qd, const demi_sgarray_t *sga, uint32_t used)
{
	int i = rest_of(0);

	ck_assert_int_ge(i, 0);
	rests[i].qd = qd;
	rests[i].sga = *sga;
	rests[i].sga.sga_segs[0].sgaseg_buf = (uint8_t *)sga->sga_segs[0].sgaseg_buf + used;
	rests[i].sga.sga_segs[0].sgaseg_len -= used;
}

void recv_bytes(int qd, size_t len, unsigned seed, size_t offset)
{
	size_t done = 0;

	while (done < len) {
		demi_sgarray_t sga = next_bytes(qd), mine = sga;
		uint32_t got = sga.sga_segs[0].sgaseg_len;

		ck_assert_msg(got > 0, "end of stream after %zu of %zu bytes", done, len);
		if (got > len - done)
			mine.sga_segs[0].sgaseg_len = (uint32_t)(len - done);
		done += compare(&mine, seed, offset + done);
		if (got > mine.sga_segs[0].sgaseg_len)
			put_back(qd, &sga, mine.sga_segs[0].sgaseg_len);
		else
			expect_ok(demi_sgafree(&sga));
	}
}

void drop_rest(int qd)
{
	int i = rest_of(qd);

	if (i < 0)
		return;
	rests[i].qd = 0;
	expect_ok(demi_sgafree(&rests[i].sga));
}

void recv_eof(int qd)
{
	demi_sgarray_t sga = next_bytes(qd);

	ck_assert_uint_eq(sga.sga_segs[0].sgaseg_len, 0);
	expect_ok(demi_sgafree(&sga));
}

static demi_qtoken_t pump_push(int qd, size_t at, size_t len, size_t chunk, unsigned seed)
{
	size_t n = len - at < chunk ? len - at : chunk;
	demi_sgarray_t sga = alloc_filled(n, seed, at);
	demi_qtoken_t qt = push(qd, &sga);

	expect_ok(demi_sgafree(&sga));
	return qt;
}

void pump(int from, int to, size_t len, size_t chunk, unsigned seed)
{
	demi_qtoken_t qts[2] = { pop(to), pump_push(from, 0, len, chunk, seed) };
	size_t pushed = len < chunk ? len : chunk, done = 0;
	bool pushing = true;

	while (done < len || pushing) {
		demi_qresult_t qr;
		int first = done == len, at;

		expect_ok(demi_wait_any(&qr, &at, qts + first, 1 + pushing - first, &LONG_TIME));
		ck_assert_int_ne(qr.qr_opcode, DEMI_OPC_FAILED);
		if (at + first == 0) {
			done += take(&qr.qr_value.sga, seed, done);
			if (done < len)
				qts[0] = pop(to);
		} else if (pushed < len) {
			qts[1] = pump_push(from, pushed, len, chunk, seed);
			pushed += len - pushed < chunk ? len - pushed : chunk;
		} else {
			pushing = false;
		}
	}
}

/* ---- counters ---- */

static uint64_t counter_of_file(int dirfd, const char *file, const char *name)
{
	const struct demi_stat_header *header;
	const struct demi_stat_entry *entry;
	uint64_t value = 0;
	struct stat st;
	void *map;
	int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	ck_assert_ptr_ne(map, MAP_FAILED);
	header = map;
	ck_assert_uint_eq(header->magic, DEMI_STAT_MAGIC);
	entry = (const void *)((const char *)map + header->entries_offset);
	for (uint32_t i = 0; i < header->n_entries; i++, entry++) {
		if (!strcmp(entry->name, name))
			memcpy(&value, (const char *)map + entry->value_offset, sizeof(value));
	}
	munmap(map, (size_t)st.st_size);
	return value;
}

uint64_t counter(const char *name)
{
	DIR *dir = stat_dir();
	char file[32];
	uint64_t value;

	ck_assert_int_ge(own_number, 0);
	snprintf(file, sizeof(file), "%d.%d", getpid(), own_number);
	value = counter_of_file(dirfd(dir), file, name);
	closedir(dir);
	return value;
}

void expect_bufs_out(uint64_t want)
{
	uint64_t out = counter("libos.bufs_out");

	for (int i = 0; i < 200 && out > want; i++) {
		settle();
		out = counter("libos.bufs_out");
	}
	ck_assert_msg(out <= want, "%lu buffers are out, %lu were before", (unsigned long)out,
		      (unsigned long)want);
}

/* ---- the other party ---- */

static void *peer_thread(void *arg)
{
	struct peer *p = arg;

	p->run(p->ctl_peer);
	return NULL;
}

void peer_start(struct peer *p, enum where where, void (*run)(int ctl))
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	*p = (struct peer){ .where = where, .ctl = fds[0], .ctl_peer = fds[1], .run = run };
	if (where == IN_THREAD) {
		ck_assert_int_eq(pthread_create(&p->thread, NULL, peer_thread, p), 0);
		return;
	}
	p->pid = fork();
	ck_assert_int_ge(p->pid, 0);
	if (!p->pid) {
		close(p->ctl);
		run(p->ctl_peer);
		exit(EXIT_SUCCESS);
	}
	close(p->ctl_peer);
}

void peer_join(struct peer *p)
{
	int status = 0;

	if (p->where == IN_THREAD) {
		ck_assert_int_eq(pthread_join(p->thread, NULL), 0);
		close(p->ctl_peer);
	} else {
		ck_assert_int_eq(waitpid(p->pid, &status, 0), p->pid);
		ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status),
			      "the peer's process ended with status 0x%x", status);
	}
	close(p->ctl);
}

void say(int ctl, const void *what, size_t len)
{
	ck_assert_int_eq(write(ctl, what, len), (ssize_t)len);
}

void hear(int ctl, void *what, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(ctl, (char *)what + done, len - done);

		ck_assert_msg(n > 0, "the peer has gone");
		done += (size_t)n;
	}
}

void say_done(int ctl)
{
	say(ctl, "!", 1);
}

void hear_done(int ctl)
{
	char c;

	hear(ctl, &c, 1);
}

int run_captured(void (*f)(void *arg), void *arg, char *err_out, size_t len)
{
	size_t done = 0;
	int fds[2], status;
	pid_t pid;
	ssize_t n;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		dup2(fds[1], STDERR_FILENO);
		f(arg);
		exit(EXIT_SUCCESS);
	}
	close(fds[1]);
	while (done < len - 1 && (n = read(fds[0], err_out + done, len - 1 - done)) > 0)
		done += (size_t)n;
	err_out[done] = '\0';
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

unsigned count_lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3;		/* ".", ".." and the directory's own */
}

unsigned count_fds_after_one(void)
{
	conform_start();
	conform_stop();
	return count_fds();
}

unsigned fds_forgotten(unsigned n)
{
	const char *link = getenv("CLOWDER_CATNIP_LINK");

	return !strcmp(conform_libos(), "catnip") && link && strstr(link, "memif") ? n : 0;
}

/* ---- the program ---- */

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

int conform_main(Suite *suite)
{
	char dir[] = "/tmp/clowder-conform-XXXXXX";
	bool own_dir = !getenv("CLOWDER_RUNTIME_DIR");
	SRunner *sr = srunner_create(suite);
	int failed;

	if (errno_log_open())
		return EXIT_FAILURE;
	if (own_dir) {
		if (!mkdtemp(dir)) {
			perror(dir);
			return EXIT_FAILURE;
		}
		setenv("CLOWDER_RUNTIME_DIR", dir, 1);
	}
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	if (own_dir)
		nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

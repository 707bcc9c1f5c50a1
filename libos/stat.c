#include "config.h"

#include "libos/stat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "libos/fds.h"
#include "libos/log.h"
#include "libos/rundir.h"

#define MAX_ENTRIES 512u
#define ENTRIES_OFFSET 128u
#define VALUES_OFFSET (ENTRIES_OFFSET + MAX_ENTRIES * (uint32_t)sizeof(struct demi_stat_entry))

_Static_assert(sizeof(struct demi_stat_header) <= ENTRIES_OFFSET, "header fits");
_Static_assert(VALUES_OFFSET < LIBOS_STAT_FILE_SIZE, "values fit");

static _Atomic uint32_t instances;

/* Removes the files of processes that died without removing them. */
static void sweep(int dirfd)
{
	int copy = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *d;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((d = readdir(dir))) {
		int pid = atoi(d->d_name);
		int fd;

		if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH)
			continue;
		fd = openat(dirfd, d->d_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			unlinkat(dirfd, d->d_name, 0);
		close(fd);
	}
	closedir(dir);
}

/* Allocated before it is written, so that a full disk is an errno, not SIGBUS,
 * and a file size limit not SIGXFSZ. */
static int file_fill(int fd, void **map_out)
{
	struct rlimit lim;
	void *map;
	int err;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno;
	if (getrlimit(RLIMIT_FSIZE, &lim) == 0 && lim.rlim_cur < LIBOS_STAT_FILE_SIZE)
		return EFBIG;
	err = posix_fallocate(fd, 0, LIBOS_STAT_FILE_SIZE);
	if (err)
		return err;
	map = mmap(NULL, LIBOS_STAT_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return errno;
	*map_out = map;
	return 0;
}

/* The caller has opened dirfd, and closes it. */
static int file_make(struct libos_stats *st, int dirfd, void **map_out)
{
	int fd, err;

	sweep(dirfd);
	unlinkat(dirfd, st->name, 0); /* of an earlier process with our pid */
	fd = libos_fd_own(openat(dirfd, st->name,
				 O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
	if (fd < 0)
		return errno;
	err = file_fill(fd, map_out);
	if (err) {
		unlinkat(dirfd, st->name, 0);
		libos_fd_close(fd);
		return err;
	}
	st->fd = fd;
	return 0;
}

/* NULL after one line about it. */
static void *file_map(struct libos_stats *st)
{
	char why[LIBOS_RUNDIR_WHY];
	void *map = NULL;
	int dirfd;
	int err = libos_rundir_try("stat", &dirfd, why);

	if (!err) {
		err = file_make(st, dirfd, &map);
		snprintf(why, sizeof(why), "%s", strerror(err));
		libos_fd_close(dirfd);
	}
	if (err)
		log_warn("counters stay private, clowder-stat will not see them: %s", why);
	return map;
}

static void header_fill(struct libos_stats *st, const char *libos, uint32_t n)
{
	struct demi_stat_header *h = st->header;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	h->version = DEMI_STAT_VERSION;
	h->size = LIBOS_STAT_FILE_SIZE;
	h->pid = (uint32_t)getpid();
	h->instance = n;
	h->start_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	h->entries_offset = ENTRIES_OFFSET;
	snprintf(h->libos, sizeof(h->libos), "%s", libos);
	snprintf(h->program, sizeof(h->program), "%s", program_invocation_short_name);
	__atomic_store_n(&h->magic, DEMI_STAT_MAGIC, __ATOMIC_RELEASE);
}

int libos_stats_init(struct libos_stats *st, const char *libos)
{
	uint32_t n = atomic_fetch_add(&instances, 1);
	void *map;

	st->fd = -1;
	st->next_value = VALUES_OFFSET;
	snprintf(st->name, sizeof(st->name), "%d.%u", (int)getpid(), n);
	map = file_map(st);
	if (!map) {
		map = mmap(NULL, LIBOS_STAT_FILE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED)
			return ENOMEM;
	}
	st->header = map;
	header_fill(st, libos, n);
	return 0;
}

static void file_remove(struct libos_stats *st)
{
	char why[LIBOS_RUNDIR_WHY];
	int dirfd;

	if (libos_rundir_try("stat", &dirfd, why) == 0) {
		unlinkat(dirfd, st->name, 0);
		libos_fd_close(dirfd);
	}
	libos_fd_close(st->fd);
}

static void report(const struct libos_stats *st, demi_callback_t callback)
{
	const char *base = (const char *)st->header;
	const struct demi_stat_entry *e = (const void *)(base + ENTRIES_OFFSET);

	for (uint32_t i = 0; i < st->header->n_entries; i++) {
		uint64_t value;

		memcpy(&value, base + e[i].value_offset, sizeof(value));
		callback(e[i].name, (uint32_t)strlen(e[i].name), value);
	}
}

void libos_stats_fini(struct libos_stats *st, demi_callback_t callback)
{
	if (!st->header)
		return;
	if (callback)
		report(st, callback);
	if (st->fd >= 0)
		file_remove(st);
	munmap(st->header, LIBOS_STAT_FILE_SIZE);
	st->header = NULL;
}

/* Where blocks go that the file has no room for: counted, shown to nobody. */
static uint64_t sink[256];

uint64_t *libos_stats_add(struct libos_stats *st, const struct libos_stat_name *names,
			  uint32_t n)
{
	struct demi_stat_header *h = st->header;
	struct demi_stat_entry *e = (void *)((char *)h + ENTRIES_OFFSET);
	uint32_t have = h->n_entries;
	uint32_t offset = st->next_value;
	uint32_t size = (n * 8u + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;

	if (have + n > MAX_ENTRIES || offset + size > LIBOS_STAT_FILE_SIZE || n > array_size(sink))
		return sink;
	for (uint32_t i = 0; i < n; i++) {
		snprintf(e[have + i].name, sizeof(e->name), "%s", names[i].name);
		e[have + i].kind = (uint32_t)names[i].kind;
		e[have + i].value_offset = offset + i * 8u;
	}
	st->next_value = offset + size;
	__atomic_store_n(&h->n_entries, have + n, __ATOMIC_RELEASE);
	return (uint64_t *)(void *)((char *)h + offset);
}

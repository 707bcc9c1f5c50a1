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
static int file_fill(int fd, uint32_t size, void **map_out)
{
	void *map;
	int err;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno;
	err = libos_stat_file_grow(fd, size);
	if (err)
		return err;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return errno;
	*map_out = map;
	return 0;
}

int libos_stat_file_grow(int fd, uint32_t size)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_FSIZE, &lim) == 0 && lim.rlim_cur < size)
		return EFBIG;
	return posix_fallocate(fd, 0, size);
}

/* The caller has opened dirfd, and closes it. */
static int file_make(int dirfd, const char *name, uint32_t size, int *fd_out, void **map_out)
{
	int fd, err;

	sweep(dirfd);
	unlinkat(dirfd, name, 0); /* of an earlier process with our pid */
	fd = libos_fd_own(openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				 0600));
	if (fd < 0)
		return errno;
	err = file_fill(fd, size, map_out);
	if (err) {
		unlinkat(dirfd, name, 0);
		libos_fd_close(fd);
		return err;
	}
	*fd_out = fd;
	return 0;
}

int libos_stat_file_open(const char *sub, const char *name, uint32_t size, int *fd_out,
			 void **map_out, char *why)
{
	int dirfd;
	int err = libos_rundir_try(sub, &dirfd, why);

	if (err)
		return err;
	err = file_make(dirfd, name, size, fd_out, map_out);
	snprintf(why, LIBOS_RUNDIR_WHY, "%s", strerror(err));
	libos_fd_close(dirfd);
	return err;
}

void libos_stat_file_remove(const char *sub, const char *name, int fd)
{
	char why[LIBOS_RUNDIR_WHY];
	int dirfd;

	if (libos_rundir_try(sub, &dirfd, why) == 0) {
		unlinkat(dirfd, name, 0);
		libos_fd_close(dirfd);
	}
	libos_fd_close(fd);
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
	char why[LIBOS_RUNDIR_WHY];
	void *map = NULL;

	st->fd = -1;
	st->next_value = VALUES_OFFSET;
	snprintf(st->name, sizeof(st->name), "%d.%u", (int)getpid(), n);
	if (libos_stat_file_open("stat", st->name, LIBOS_STAT_FILE_SIZE, &st->fd, &map, why)) {
		log_warn("counters stay private, clowder-stat will not see them: %s", why);
		map = mmap(NULL, LIBOS_STAT_FILE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED)
			return ENOMEM;
	}
	st->header = map;
	header_fill(st, libos, n);
	return 0;
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
		libos_stat_file_remove("stat", st->name, st->fd);
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

#include "config.h"

#include "apps/stat_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "apps/fail.h"

#define MAX_FILE (16u << 20)
#define MAX_ENTRIES 65536u

_Static_assert(sizeof(((struct stat_counter *)0)->name) ==
		       sizeof(((struct demi_stat_entry *)0)->name), "a name fits");

const char *stat_dir_path(void)
{
	static char path[PATH_MAX];
	const char *own = getenv("CLOWDER_RUNTIME_DIR");
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (own && *own)
		snprintf(path, sizeof(path), "%s/stat", own);
	else if (xdg && *xdg)
		snprintf(path, sizeof(path), "%s/clowder/stat", xdg);
	else
		snprintf(path, sizeof(path), "/tmp/clowder-%u/stat", (unsigned)geteuid());
	return path;
}

/* A mapped file that its owner cuts short is a signal and not an errno. */
static void on_sigbus(int sig)
{
	static const char text[] = "clowder-stat: a counters file was cut short while it was read\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)sig;
	(void)n;
	_exit(1);
}

/* The whole of "PID.N" and nothing else. */
static bool parse_name(const char *name, uint32_t *pid_out, uint32_t *instance_out)
{
	unsigned pid, instance;
	char again[32];

	if (sscanf(name, "%9u.%9u", &pid, &instance) != 2)
		return false;
	snprintf(again, sizeof(again), "%u.%u", pid, instance);
	if (strcmp(name, again) != 0)
		return false;
	*pid_out = pid;
	*instance_out = instance;
	return true;
}

/* Fixed-size text of the file, in `size` bytes with a NUL among them. What would
 * move a cursor or is no ASCII becomes a '?'. */
static bool copy_text(char *to, const char *from, size_t size)
{
	memcpy(to, from, size); /* once: it may change under us */
	if (!memchr(to, '\0', size))
		return false;
	for (; *to; to++)
		if (!isascii((unsigned char)*to) || !isprint((unsigned char)*to))
			*to = '?';
	return true;
}

static const char *check_header(const struct demi_stat_header *h, const struct stat_snapshot *s,
				size_t size)
{
	if (h->magic != DEMI_STAT_MAGIC)
		return "not a counters file";
	if (h->version != DEMI_STAT_VERSION)
		return "of another version";
	if (h->pid != s->pid || h->instance != s->instance)
		return "its content is another instance's";
	if (h->size > size || h->entries_offset < sizeof(*h) || h->entries_offset % 8 != 0)
		return "its sizes make no sense";
	if (h->n_entries > MAX_ENTRIES ||
	    h->entries_offset + (uint64_t)h->n_entries * sizeof(struct demi_stat_entry) > h->size)
		return "its counters do not fit into it";
	return NULL;
}

static const char *read_counter(struct stat_counter *c, const uint8_t *map, size_t size,
				const struct demi_stat_entry *entry)
{
	struct demi_stat_entry e = *entry;

	if (!copy_text(c->name, e.name, sizeof(c->name)) || !c->name[0])
		return "a counter has no proper name";
	if (e.kind != DEMI_STAT_COUNTER && e.kind != DEMI_STAT_GAUGE)
		return "a counter of an unknown kind";
	if (e.value_offset % 8 != 0 || e.value_offset > size - sizeof(uint64_t))
		return "a value lies outside of it";
	c->kind = e.kind;
	/* aligned, so that it is one load and never half a value */
	c->value = __atomic_load_n((const uint64_t *)(const void *)(map + e.value_offset),
				   __ATOMIC_RELAXED);
	return NULL;
}

/* NULL, or what is wrong with the map. */
static const char *read_map(struct stat_snapshot *s, const uint8_t *map, size_t size)
{
	const struct demi_stat_header *live = (const void *)map;
	const struct demi_stat_entry *entries;
	struct demi_stat_header h = *live;
	const char *wrong;

	/* pairs with the release of who adds counters: their entries are there */
	h.n_entries = __atomic_load_n(&live->n_entries, __ATOMIC_ACQUIRE);
	wrong = check_header(&h, s, size);
	if (wrong)
		return wrong;
	if (!copy_text(s->libos, h.libos, sizeof(s->libos)) ||
	    !copy_text(s->program, h.program, sizeof(s->program)))
		return "its names have no end";
	s->start_ns = h.start_ns;
	s->counters = calloc(h.n_entries + 1u, sizeof(*s->counters));
	if (!s->counters)
		fail("no memory");
	entries = (const void *)(map + h.entries_offset);
	for (s->n = 0; s->n < h.n_entries; s->n++) {
		wrong = read_counter(&s->counters[s->n], map, h.size, &entries[s->n]);
		if (wrong)
			return wrong;
	}
	return NULL;
}

enum file_state {
	FILE_LIVE,
	FILE_STALE,
	FILE_STARTING,
	FILE_BAD,		/* and *why_out says why */
};

/*
 * The owner holds the lock as long as it lives. Its magic is the last thing it
 * writes: before that we keep away from the lock, which it may be about to take.
 */
static enum file_state file_state(int fd, const uint8_t *map, const char **why_out)
{
	uint64_t magic = __atomic_load_n((const uint64_t *)(const void *)map, __ATOMIC_ACQUIRE);

	if (magic == 0)
		return FILE_STARTING;
	if (magic != DEMI_STAT_MAGIC) {
		*why_out = "not a counters file";
		return FILE_BAD;
	}
	if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
		flock(fd, LOCK_UN);
		return FILE_STALE;
	}
	return FILE_LIVE;
}

static const char *check_file(int fd, struct stat *st)
{
	if (fstat(fd, st) < 0)
		return strerror(errno);
	if (!S_ISREG(st->st_mode))
		return "not a regular file";
	if (st->st_uid != geteuid() && geteuid() != 0)
		return "belongs to another user";
	if ((size_t)st->st_size < sizeof(struct demi_stat_header))
		return st->st_size ? "too short" : "";
	if (st->st_size > (off_t)MAX_FILE)
		return "too large";
	return NULL;
}

static enum file_state read_fd(struct stat_snapshot *s, int fd, const char **why_out)
{
	enum file_state state = FILE_BAD;
	struct timespec ts;
	struct stat st;
	void *map;

	*why_out = check_file(fd, &st);
	if (*why_out) /* an empty file has just been made */
		return **why_out ? FILE_BAD : FILE_STARTING;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		*why_out = strerror(errno);
		return FILE_BAD;
	}
	state = file_state(fd, map, why_out);
	if (state == FILE_LIVE) {
		*why_out = read_map(s, map, (size_t)st.st_size);
		clock_gettime(CLOCK_MONOTONIC, &ts);
		s->read_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
		if (*why_out)
			state = FILE_BAD;
	}
	munmap(map, (size_t)st.st_size);
	return state;
}

static void read_file(struct stat_set *set, struct stat_snapshot *s, int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	enum file_state state = FILE_BAD;
	const char *why = NULL;

	if (fd < 0 && errno == ENOENT)
		return; /* it has just ended */
	if (fd < 0)
		why = errno == ELOOP ? "a symbolic link" : strerror(errno);
	else
		state = read_fd(s, fd, &why);
	if (fd >= 0)
		close(fd);
	if (state == FILE_LIVE) {
		set->n++;
		return;
	}
	free(s->counters);
	set->n_stale += state == FILE_STALE;
	if (state != FILE_BAD)
		return;
	fflush(stdout);
	fprintf(stderr, "clowder-stat: %s/%s: %s\n", stat_dir_path(), name, why);
	set->n_bad++;
}

static void read_entry(struct stat_set *set, uint32_t pid, int dirfd, const char *name)
{
	struct stat_snapshot *s;
	uint32_t file_pid, instance;

	if (!parse_name(name, &file_pid, &instance) || (pid && pid != file_pid))
		return;
	set->snaps = reallocarray(set->snaps, set->n + 1, sizeof(*set->snaps));
	if (!set->snaps)
		fail("no memory");
	s = &set->snaps[set->n];
	*s = (struct stat_snapshot){.pid = file_pid, .instance = instance};
	read_file(set, s, dirfd, name);
}

static int by_pid_and_instance(const void *a, const void *b)
{
	const struct stat_snapshot *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->instance < y->instance ? -1 : x->instance > y->instance;
}

/* -1: there is none, so nobody has counters. */
static int open_dir(void)
{
	const char *path = stat_dir_path();
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return -1;
	if (fd < 0 || fstat(fd, &st) < 0)
		fail("%s: %s", path, strerror(errno));
	if (st.st_uid != geteuid() && geteuid() != 0)
		fail("%s belongs to another user", path);
	return fd;
}

void stat_set_read(struct stat_set *set, uint32_t pid)
{
	struct sigaction action = {.sa_handler = on_sigbus};
	int fd = open_dir();
	struct dirent *d;
	DIR *dir;

	*set = (struct stat_set){0};
	if (fd < 0)
		return;
	sigaction(SIGBUS, &action, NULL);
	dir = fdopendir(fd);
	if (!dir)
		fail("%s: %s", stat_dir_path(), strerror(errno));
	while ((d = readdir(dir)))
		read_entry(set, pid, dirfd(dir), d->d_name);
	closedir(dir);
	if (set->n > 1)
		qsort(set->snaps, set->n, sizeof(*set->snaps), by_pid_and_instance);
}

void stat_set_free(struct stat_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		free(set->snaps[i].counters);
	free(set->snaps);
}

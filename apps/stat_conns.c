#include "config.h"

#include "apps/stat_conns.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "apps/fail.h"
#include "apps/stat_file.h"

#define MAX_FILE (64u << 20)
#define LOOKS 200		/* times 5 ms: so long is an answer waited for */
#define COPIES 10

struct table {
	struct demi_conns_header *header;
	size_t size;
};

/* ---- the file */

static const char *table_map(struct table *t, int fd)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st) < 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	if (st.st_uid != geteuid() && geteuid() != 0)
		return "belongs to another user";
	if ((size_t)st.st_size < sizeof(*t->header) || st.st_size > (off_t)MAX_FILE)
		return "its size makes no sense";
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return strerror(errno);
	t->header = map;
	t->size = (size_t)st.st_size;
	return NULL;
}

static void table_unmap(struct table *t)
{
	munmap(t->header, t->size);
}

/* NULL, or what is wrong with it. */
static const char *table_check(const struct table *t, const struct demi_conns_header *h,
			       uint32_t pid, uint32_t instance)
{
	if (__atomic_load_n(&t->header->magic, __ATOMIC_ACQUIRE) != DEMI_CONNS_MAGIC)
		return "not a table of connections";
	if (h->pid != pid || h->instance != instance)
		return "its content is another instance's";
	if (h->entries_offset < sizeof(*h) || h->entries_offset % 8 || h->entry_size % 8 ||
	    h->entry_size < sizeof(struct demi_conn_entry) || h->entry_size > 4096 ||
	    h->n_entries > MAX_FILE / sizeof(struct demi_conn_entry))
		return "its sizes make no sense";
	return NULL;
}

/* ---- asking */

static bool is_answered(const struct demi_conns_header *h, uint32_t asked)
{
	return (int32_t)(__atomic_load_n(&h->answered, __ATOMIC_ACQUIRE) - asked) >= 0;
}

/* Its owner holds the lock as long as it lives. */
static bool is_left(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return false;
	flock(fd, LOCK_UN);
	return true;
}

static enum stat_conns_age ask(struct table *t, int fd)
{
	const struct timespec ts = {0, 5000000};
	uint32_t asked = __atomic_add_fetch(&t->header->asked, 1, __ATOMIC_RELAXED);

	for (int i = 0; i < LOOKS; i++) {
		if (is_answered(t->header, asked))
			return STAT_CONNS_NEW;
		if (is_left(fd))
			return STAT_CONNS_LEFT;
		nanosleep(&ts, NULL);
	}
	return is_answered(t->header, asked) ? STAT_CONNS_NEW : STAT_CONNS_OLD;
}

/* Text in it may be anything. */
static void entry_clean(struct demi_conn_entry *e)
{
	e->congestion[sizeof(e->congestion) - 1] = '\0';
	for (char *p = e->congestion; *p; p++)
		if (!isascii((unsigned char)*p) || !isprint((unsigned char)*p))
			*p = '?';
}

static void copy_entries(struct stat_conns *c, const struct table *t,
			 const struct demi_conns_header *h)
{
	const uint8_t *from = (const uint8_t *)t->header + h->entries_offset;

	free(c->entries);
	c->entries = calloc(h->n_entries + 1u, sizeof(*c->entries));
	if (!c->entries)
		fail("no memory");
	c->n = h->n_entries;
	c->n_conns = h->n_conns;
	for (uint32_t i = 0; i < c->n; i++) {
		memcpy(&c->entries[i], from + (size_t)i * h->entry_size, sizeof(c->entries[i]));
		entry_clean(&c->entries[i]);
	}
}

enum copied {
	COPIED,
	TORN,			/* it was written meanwhile */
	GROWN,			/* it has more than is mapped */
};

static enum copied copy(struct stat_conns *c, const struct table *t, uint32_t pid,
			uint32_t instance, const char **why_out)
{
	uint32_t seq = __atomic_load_n(&t->header->seq, __ATOMIC_ACQUIRE);
	struct demi_conns_header h = *t->header;

	*why_out = table_check(t, &h, pid, instance);
	if (*why_out)
		return COPIED;
	if (h.entries_offset + (uint64_t)h.n_entries * h.entry_size > t->size)
		return GROWN;
	copy_entries(c, t, &h);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return seq % 2 || seq != __atomic_load_n(&t->header->seq, __ATOMIC_RELAXED) ? TORN : COPIED;
}

static const char *read_fd(struct stat_conns *c, int fd, uint32_t pid, uint32_t instance)
{
	const char *why = NULL;
	bool asked = false;
	struct table t = {0};

	for (int i = 0; i < COPIES; i++) {
		enum copied how;

		why = table_map(&t, fd);
		if (!why)
			why = table_check(&t, t.header, pid, instance);
		if (why)
			return why;
		if (!asked)
			c->age = ask(&t, fd);
		asked = true;
		how = copy(c, &t, pid, instance, &why);
		table_unmap(&t);
		if (how == COPIED)
			return why;
		why = "it is written again and again";
	}
	return why;
}

/* Whether an instance whose counters were there has them no more. */
static bool has_ended(uint32_t pid, uint32_t instance)
{
	char path[4096 + 64];

	snprintf(path, sizeof(path), "%s/%u.%u", stat_dir_path(), pid, instance);
	return access(path, F_OK) < 0;
}

bool stat_conns_read(struct stat_conns *c, uint32_t pid, uint32_t instance)
{
	char path[4096 + 64];
	const char *why;
	int fd;

	*c = (struct stat_conns){0};
	snprintf(path, sizeof(path), "%s/../conns/%u.%u", stat_dir_path(), pid, instance);
	fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		c->age = has_ended(pid, instance) ? STAT_CONNS_LEFT : STAT_CONNS_OLD;
		return false;
	}
	why = fd < 0 ? strerror(errno) : read_fd(c, fd, pid, instance);
	if (fd >= 0)
		close(fd);
	if (!why)
		return true;
	stat_conns_free(c);
	fflush(stdout);
	fprintf(stderr, "clowder-stat: %s: %s\n", path, why);
	return false;
}

void stat_conns_free(struct stat_conns *c)
{
	free(c->entries);
	*c = (struct stat_conns){0};
}

/* ---- in words */

const char *stat_conns_state(const struct demi_conn_entry *e)
{
	static const char *const names[] = {
		"?", "ESTABLISHED", "SYN_SENT", "SYN_RECEIVED", "FIN_WAIT_1", "FIN_WAIT_2",
		"TIME_WAIT", "CLOSED", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING",
	};

	return names[e->state < sizeof(names) / sizeof(names[0]) ? e->state : 0];
}

const char *stat_conns_addr(const uint8_t addr[16], uint16_t port, char buf[STAT_CONNS_ADDR])
{
	static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
	bool is_v4 = !memcmp(addr, v4, sizeof(v4));
	char text[INET6_ADDRSTRLEN];

	if (!port) {
		snprintf(buf, STAT_CONNS_ADDR, "*");
		return buf;
	}
	inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? addr + 12 : addr, text, sizeof(text));
	snprintf(buf, STAT_CONNS_ADDR, is_v4 ? "%s:%u" : "[%s]:%u", text, port);
	return buf;
}

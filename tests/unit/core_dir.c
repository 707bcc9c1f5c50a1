/* The runtime directory, and the counters file in it. */
#include "config.h"

#include <demi/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libos/fds.h"
#include "libos/rundir.h"
#include "libos/stat.h"
#include "tests/unit/core.h"

static char path[PATH_MAX];

static void use(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", core_dir(), name);
	setenv("CLOWDER_RUNTIME_DIR", path, 1);
}

static int open_dir(void *sub)
{
	int fd, err = libos_rundir_open(sub, &fd);

	if (!err)
		libos_fd_close(fd);
	return err;
}

START_TEST(test_made)
{
	struct stat st;

	use("run");
	ck_assert_int_eq(open_dir(NULL), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	strcat(path, "/sub");
	ck_assert_int_eq(open_dir("sub"), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
}
END_TEST

START_TEST(test_which)
{
	char buf[PATH_MAX], want[64];

	setenv("CLOWDER_RUNTIME_DIR", "/a", 1);
	setenv("XDG_RUNTIME_DIR", "/b", 1);
	ck_assert_str_eq(libos_rundir_path(buf, sizeof(buf)), "/a");
	unsetenv("CLOWDER_RUNTIME_DIR");
	ck_assert_str_eq(libos_rundir_path(buf, sizeof(buf)), "/b/clowder");
	unsetenv("XDG_RUNTIME_DIR");
	snprintf(want, sizeof(want), "/tmp/clowder-%u", (unsigned)geteuid());
	ck_assert_str_eq(libos_rundir_path(buf, sizeof(buf)), want);
}
END_TEST

static void refused(const char *sub, int err)
{
	char text[1024];

	ck_assert_int_eq(core_captured(open_dir, (void *)(uintptr_t)sub, text, sizeof(text)), err);
	ck_assert_msg(strstr(text, path), "said: %s", text);
	ck_assert(strchr(text, '\n') && !strchr(text, '\n')[1]);
}

START_TEST(test_link)
{
	use("run");
	ck_assert_int_eq(symlink("/tmp", path), 0);
	refused(NULL, EACCES);
	strcat(path, "/");
	setenv("CLOWDER_RUNTIME_DIR", path, 1);
	path[strlen(path) - 1] = '\0';
	refused(NULL, EACCES);
}
END_TEST

START_TEST(test_sub_link)
{
	char sub[PATH_MAX + 8];

	use("run");
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(sub, sizeof(sub), "%s/stat", path);
	ck_assert_int_eq(symlink("/tmp", sub), 0);
	refused("stat", EACCES);
}
END_TEST

START_TEST(test_writable_by_others)
{
	use("run");
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(chmod(path, 0770), 0);
	refused(NULL, EACCES);
	ck_assert_int_eq(chmod(path, 0755), 0);	/* readable only: made private */
	ck_assert_int_eq(open_dir(NULL), 0);
}
END_TEST

START_TEST(test_no_parent)
{
	use("not/there");
	refused(NULL, ENOENT);
}
END_TEST

Suite *rundir_suite(void)
{
	Suite *suite = suite_create("rundir");
	TCase *tc = tcase_create("rundir");

	tcase_add_test(tc, test_made);
	tcase_add_test(tc, test_which);
	tcase_add_test(tc, test_link);
	tcase_add_test(tc, test_sub_link);
	tcase_add_test(tc, test_writable_by_others);
	tcase_add_test(tc, test_no_parent);
	suite_add_tcase(suite, tc);
	return suite;
}

/* ---- counters */

static const struct libos_stat_name names[] = {
	{ "unit.events", DEMI_STAT_COUNTER },
	{ "unit.now", DEMI_STAT_GAUGE },
};

static int stats_init(void *st)
{
	return libos_stats_init(st, "unit");
}

/* The file as another process reads it. */
static void read_file(const struct libos_stats *st, void *buf)
{
	char name[PATH_MAX + 64];
	FILE *file;

	snprintf(name, sizeof(name), "%s/stat/%s", path, st->name);
	file = fopen(name, "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fread(buf, 1, LIBOS_STAT_FILE_SIZE, file), LIBOS_STAT_FILE_SIZE);
	fclose(file);
}

START_TEST(test_stat_file)
{
	static char buf[LIBOS_STAT_FILE_SIZE];
	const struct demi_stat_header *h = (const void *)buf;
	const struct demi_stat_entry *e;
	struct libos_stats st;
	uint64_t *words, value;

	use("run");
	ck_assert_int_eq(stats_init(&st), 0);
	words = libos_stats_add(&st, names, 2);
	ck_assert_uint_eq((uintptr_t)words % 64, 0);
	ck_assert_uint_eq(words[0], 0);
	words[0] = 42;
	words[1] = UINT64_MAX;
	read_file(&st, buf);
	ck_assert_uint_eq(h->magic, DEMI_STAT_MAGIC);
	ck_assert_uint_eq(h->version, DEMI_STAT_VERSION);
	ck_assert_uint_eq(h->pid, (uint32_t)getpid());
	ck_assert_str_eq(h->libos, "unit");
	ck_assert_uint_eq(h->n_entries, 2);
	e = (const void *)(buf + h->entries_offset);
	ck_assert_str_eq(e[1].name, "unit.now");
	ck_assert_uint_eq(e[1].kind, DEMI_STAT_GAUGE);
	memcpy(&value, buf + e[0].value_offset, sizeof(value));
	ck_assert_uint_eq(value, 42);
	libos_stats_fini(&st, NULL);
}
END_TEST

/* Locked while it lives, private to its user, removed at the end. */
START_TEST(test_stat_life)
{
	char name[PATH_MAX + 64];
	struct libos_stats st;
	struct stat sb;
	int fd;

	use("run");
	ck_assert_int_eq(stats_init(&st), 0);
	snprintf(name, sizeof(name), "%s/stat/%s", path, st.name);
	ck_assert_int_eq(stat(name, &sb), 0);
	ck_assert_uint_eq(sb.st_mode & 0777, 0600);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), -1);
	close(fd);
	libos_stats_fini(&st, NULL);
	ck_assert_int_eq(stat(name, &sb), -1);
}
END_TEST

/* Files of processes that died are swept, whatever else lies there is not. */
START_TEST(test_stat_sweep)
{
	char dead[PATH_MAX + 64], other[PATH_MAX + 64];
	struct libos_stats st;

	use("run");
	ck_assert_int_eq(stats_init(&st), 0);
	libos_stats_fini(&st, NULL);
	snprintf(dead, sizeof(dead), "%s/stat/%d.0", path, INT_MAX);
	snprintf(other, sizeof(other), "%s/stat/note", path);
	close(open(dead, O_CREAT | O_WRONLY, 0600));
	close(open(other, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(stats_init(&st), 0);
	ck_assert_int_eq(access(dead, F_OK), -1);
	ck_assert_int_eq(access(other, F_OK), 0);
	libos_stats_fini(&st, NULL);
}
END_TEST

static void limit_file_size(void)
{
	struct rlimit lim = { 4096, 4096 };

	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

/* No file to be had: private counters, with one line. */
START_TEST(test_stat_private)
{
	struct libos_stats st;
	char text[1024];
	uint64_t *words;

	use(_i == 2 ? "not/there" : "run");
	if (_i == 0)
		close(open(path, O_CREAT | O_WRONLY, 0600));
	if (_i == 1)
		limit_file_size();
	ck_assert_int_eq(core_captured(stats_init, &st, text, sizeof(text)), 0);
	ck_assert_ptr_nonnull(strstr(text, "counters stay private"));
	ck_assert_ptr_nonnull(strstr(text, _i == 1 ? strerror(EFBIG) : path));
	ck_assert_msg(strchr(text, '\n') && !strchr(text, '\n')[1], "not one line: %s", text);
	words = libos_stats_add(&st, names, 2);
	words[1]++;
	libos_stats_fini(&st, NULL);
}
END_TEST

static unsigned told;

static void tell(const char *name, uint32_t len, uint64_t value)
{
	told += len == 11 && !memcmp(name, "unit.events", 11) && value == 5;
}

/* More blocks than fit: counted somewhere, told for those that do. */
START_TEST(test_stat_full)
{
	struct libos_stats st;
	uint64_t *first;

	use("run");
	ck_assert_int_eq(stats_init(&st), 0);
	first = libos_stats_add(&st, names, 2);
	first[0] = 5;
	for (int i = 0; i < 1000; i++)
		libos_stats_add(&st, names, 2)[1] = 1;
	ck_assert_uint_eq(first[0], 5);
	libos_stats_fini(&st, tell);
	ck_assert_uint_eq(told, 1);
}
END_TEST

Suite *stat_suite(void)
{
	Suite *suite = suite_create("stat");
	TCase *tc = tcase_create("stat");

	tcase_add_test(tc, test_stat_file);
	tcase_add_test(tc, test_stat_life);
	tcase_add_test(tc, test_stat_sweep);
	tcase_add_loop_test(tc, test_stat_private, 0, 3);
	tcase_add_test(tc, test_stat_full);
	suite_add_tcase(suite, tc);
	return suite;
}

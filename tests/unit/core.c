#include "config.h"

#include "tests/unit/core.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[] = "/tmp/clowder-unit-XXXXXX";
struct libos *os;

void core_setup(void)
{
	ck_assert_int_eq(libos_open(NULL, &os), 0);
}

void core_teardown(void)
{
	libos_close(os, 0);
	free(os);
	os = NULL;
}

const char *core_dir(void)
{
	static char dir[64];

	snprintf(dir, sizeof(dir), "%s/XXXXXX", top);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	return dir;
}

int core_captured(int (*f)(void *arg), void *arg, char *text, size_t len)
{
	int saved = dup(STDERR_FILENO), fds[2], err;
	ssize_t n;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(fds[1], STDERR_FILENO);
	err = f(arg);
	dup2(saved, STDERR_FILENO);
	n = read(fds[0], text, len - 1);
	text[n > 0 ? n : 0] = '\0';
	close(saved);
	close(fds[0]);
	close(fds[1]);
	return err;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

int main(void)
{
	SRunner *sr = srunner_create(list_suite());
	int failed;

	if (!mkdtemp(top))
		return EXIT_FAILURE;
	setenv("CLOWDER_RUNTIME_DIR", top, 1);
	unsetenv("LIBOS");
	unsetenv("CONFIG_PATH");
	srunner_add_suite(sr, bell_suite());
	srunner_add_suite(sr, buf_suite());
	srunner_add_suite(sr, op_suite());
	srunner_add_suite(sr, queue_suite());
	srunner_add_suite(sr, rundir_suite());
	srunner_add_suite(sr, settings_suite());
	srunner_add_suite(sr, stat_suite());
	srunner_add_suite(sr, watch_suite());
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	nftw(top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

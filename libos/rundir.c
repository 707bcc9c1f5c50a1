#include "config.h"

#include "libos/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libos/fds.h"
#include "libos/log.h"

const char *libos_rundir_path(char *buf, size_t len)
{
	const char *own = getenv("CLOWDER_RUNTIME_DIR");
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (own && *own)
		snprintf(buf, len, "%s", own);
	else if (xdg && *xdg)
		snprintf(buf, len, "%s/clowder", xdg);
	else
		snprintf(buf, len, "/tmp/clowder-%u", (unsigned)geteuid());
	return buf;
}

__attribute__((__format__(__printf__, 3, 4)))
static int refuse(char *why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, LIBOS_RUNDIR_WHY, fmt, ap);
	va_end(ap);
	return err;
}

/* A directory that another user can write to, or owns, could hold anything. */
static int dir_check(int fd, const char *path, char *why)
{
	struct stat st;
	int err;

	if (fstat(fd, &st) < 0) {
		err = errno;
		return refuse(why, err, "runtime directory %s: %s", path, strerror(err));
	}
	if (st.st_uid != geteuid())
		return refuse(why, EACCES, "runtime directory %s belongs to uid %u, not to us; "
			      "set CLOWDER_RUNTIME_DIR to one of your own", path,
			      (unsigned)st.st_uid);
	if (st.st_mode & 0022)
		return refuse(why, EACCES, "runtime directory %s can be written by others; "
			      "chmod 0700 it", path);
	if ((st.st_mode & 0777) != 0700 && fchmod(fd, 0700) < 0) {
		err = errno;
		return refuse(why, err, "runtime directory %s: cannot chmod 0700 it: %s", path,
			      strerror(err));
	}
	return 0;
}

static int dir_open(int at, const char *name, const char *path, int *fd_out, char *why)
{
	int fd, err;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST) {
		err = errno;
		return refuse(why, err, "runtime directory %s: cannot make it: %s", path,
			      strerror(err));
	}
	fd = libos_fd_own(openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (fd < 0) {
		err = errno;
		if (err == ENOTDIR || err == ELOOP)
			return refuse(why, EACCES, "runtime directory %s is a symbolic link or "
				      "not a directory; remove it or set CLOWDER_RUNTIME_DIR", path);
		return refuse(why, err, "runtime directory %s: %s", path, strerror(err));
	}
	err = dir_check(fd, path, why);
	if (err) {
		libos_fd_close(fd);
		return err;
	}
	*fd_out = fd;
	return 0;
}

int libos_rundir_try(const char *sub, int *fd_out, char *why)
{
	char path[PATH_MAX];
	int fd, err;

	libos_rundir_path(path, sizeof(path));
	/* openat() has no NOFOLLOW for "name/": a trailing slash would follow */
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	err = dir_open(AT_FDCWD, path, path, &fd, why);
	if (err || !sub) {
		if (!err)
			*fd_out = fd;
		return err;
	}
	err = dir_open(fd, sub, path, fd_out, why);
	libos_fd_close(fd);
	return err;
}

int libos_rundir_open(const char *sub, int *fd_out)
{
	char why[LIBOS_RUNDIR_WHY];
	int err = libos_rundir_try(sub, fd_out, why);

	if (err)
		log_error("%s", why);
	return err;
}

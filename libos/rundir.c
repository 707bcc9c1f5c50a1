#include "config.h"

#include "libos/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* A directory that another user can write to, or owns, could hold anything. */
static int dir_check(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return errno;
	if (st.st_uid != geteuid()) {
		log_error("runtime directory %s belongs to uid %u, not to us; "
			  "set CLOWDER_RUNTIME_DIR to one of your own", path, (unsigned)st.st_uid);
		return EACCES;
	}
	if (st.st_mode & 0022) {
		log_error("runtime directory %s can be written by others; chmod 0700 it",
			  path);
		return EACCES;
	}
	if ((st.st_mode & 0777) != 0700 && fchmod(fd, 0700) < 0)
		return errno;
	return 0;
}

static int dir_open(int at, const char *name, const char *path, int *fd_out)
{
	int fd, err;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST) {
		err = errno;
		log_error("runtime directory %s: cannot make it: %s", path, strerror(err));
		return err;
	}
	fd = libos_fd_own(openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (fd < 0) {
		err = errno;
		if (err == ENOTDIR || err == ELOOP) {
			log_error("runtime directory %s is a symbolic link or not a directory; "
				  "remove it or set CLOWDER_RUNTIME_DIR", path);
			err = EACCES;
		} else {
			log_error("runtime directory %s: %s", path, strerror(err));
		}
		return err;
	}
	err = dir_check(fd, path);
	if (err) {
		libos_fd_close(fd);
		return err;
	}
	*fd_out = fd;
	return 0;
}

int libos_rundir_open(const char *sub, int *fd_out)
{
	char path[PATH_MAX];
	int fd, err;

	libos_rundir_path(path, sizeof(path));
	/* openat() has no NOFOLLOW for "name/": a trailing slash would follow */
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	err = dir_open(AT_FDCWD, path, path, &fd);
	if (err || !sub) {
		if (!err)
			*fd_out = fd;
		return err;
	}
	err = dir_open(fd, sub, path, fd_out);
	libos_fd_close(fd);
	return err;
}

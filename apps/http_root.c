#include "config.h"

#include "apps/http_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apps/fail.h"

#define TRIES 8		/* a rename elsewhere may have disturbed the kernel's look */

static int open_beneath(int root, const char *path, int *fd_out)
{
	struct open_how how = {
		/* a pipe without writer must not hold us up */
		.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	for (int i = 0; i < TRIES; i++) {
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd < 0)
		return errno;
	*fd_out = (int)fd;
	return 0;
}

int http_root_open(const char *dir)
{
	int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd, err;

	if (root < 0)
		fail("%s: %s", dir, strerror(errno));
	err = open_beneath(root, ".", &fd);
	if (err)
		fail("%s: %s%s", dir, strerror(err),
		     err == ENOSYS ? " (openat2 needs Linux 5.6)" : "");
	close(fd);
	return root;
}

int http_root_file(int root, const char *path, int *fd_out, struct stat *st_out)
{
	int fd = -1;
	int err = open_beneath(root, path, &fd);

	if (err)
		return err;
	if (fstat(fd, st_out))
		err = errno;
	else if (S_ISDIR(st_out->st_mode))
		err = EISDIR;
	else if (!S_ISREG(st_out->st_mode))
		err = EACCES;
	if (err)
		close(fd);
	else
		*fd_out = fd;
	return err;
}

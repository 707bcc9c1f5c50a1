#include "config.h"

#include "apps/http_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/http_type.h"

struct http_file *http_file_new(const char *path, int fd, const struct stat *st)
{
	struct http_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->path = strdup(path);
	if (!file->path) {
		free(file);
		return NULL;
	}
	file->fd = fd;
	file->refs = 1;
	file->size = (uint64_t)st->st_size;
	file->dev = st->st_dev;
	file->ino = st->st_ino;
	file->mtime = st->st_mtim;
	file->ctime = st->st_ctim;
	file->type = http_type_of(path);
	snprintf(file->etag, sizeof(file->etag), "\"%llx-%llx\"",
		 (unsigned long long)st->st_mtim.tv_sec * 1000000000ull +
			 (unsigned long long)st->st_mtim.tv_nsec,
		 (unsigned long long)st->st_size);
	http_date_format(file->last_modified, st->st_mtim.tv_sec);
	return file;
}

void http_file_free(struct http_file *file)
{
	close(file->fd);
	free(file->path);
	free(file);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool http_file_is(const struct http_file *file, const struct stat *st)
{
	return file->ino == st->st_ino && file->dev == st->st_dev &&
	       file->size == (uint64_t)st->st_size && same_time(&file->mtime, &st->st_mtim) &&
	       same_time(&file->ctime, &st->st_ctim);
}

/* As http_file_is(), of a file that has perhaps been renamed or removed meanwhile,
 * which changes its ctime and none of its bytes. */
static bool has_same_bytes(const struct http_file *file)
{
	struct stat st;

	return fstat(file->fd, &st) == 0 && file->size == (uint64_t)st.st_size &&
	       same_time(&file->mtime, &st.st_mtim);
}

int http_file_read(const struct http_file *file, void *buf, uint32_t len, uint64_t pos)
{
	uint32_t got = 0;

	while (got < len) {
		ssize_t n = pread(file->fd, (char *)buf + got, len - got, (off_t)(pos + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			return EIO;
		got += (uint32_t)n;
	}
	return has_same_bytes(file) ? 0 : EIO;
}

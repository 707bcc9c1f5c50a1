/* One version of a file: what its answers say of it, and where its bytes are. */
#ifndef APPS_HTTP_FILE_H
#define APPS_HTTP_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "apps/http_date.h"

struct http_chunk;

struct http_file {
	struct http_file *next;		/* of the cache's bucket */
	struct http_file *newer, *older; /* used after this one, and before */
	struct http_chunk *chunks;	/* those in memory */
	char *path;
	int fd;
	uint32_t refs;			/* answers under way, and the cache */
	uint64_t checked;		/* the cache's tick at which it was the file's last */
	uint64_t size;
	dev_t dev;
	ino_t ino;
	struct timespec mtime, ctime;
	const char *type;
	char etag[40];
	char last_modified[HTTP_DATE_ROOM];
};

/* Takes fd over; one reference. NULL: no memory, and fd is still the caller's. */
struct http_file *http_file_new(const char *path, int fd, const struct stat *st);
void http_file_free(struct http_file *file);
/* Whether this is what was found when it was opened. */
bool http_file_is(const struct http_file *file, const struct stat *st);
/* len bytes from pos on. EIO: the file has changed, and is not what was promised. */
int http_file_read(const struct http_file *file, void *buf, uint32_t len, uint64_t pos);

#endif /* APPS_HTTP_FILE_H */

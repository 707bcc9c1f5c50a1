/*
 * The directory that is served. Names lead to what is below it and nowhere else,
 * whatever dots, links and renames there are: the kernel sees to that (openat2).
 */
#ifndef APPS_HTTP_ROOT_H
#define APPS_HTTP_ROOT_H

#include <sys/stat.h>

/* Its descriptor. Says why not, and ends. */
int http_root_open(const char *dir);
/*
 * A regular file below the root, to be read. An errno: EXDEV for what leads outside,
 * EISDIR for a directory, EACCES also for what is neither.
 */
int http_root_file(int root, const char *path, int *fd_out, struct stat *st_out);

#endif /* APPS_HTTP_ROOT_H */

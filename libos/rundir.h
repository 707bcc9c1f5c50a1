/*
 * The runtime directory: CLOWDER_RUNTIME_DIR, else $XDG_RUNTIME_DIR/clowder,
 * else /tmp/clowder-UID. Mode 0700, owner checked, no symbolic link followed.
 */
#ifndef LIBOS_RUNDIR_H
#define LIBOS_RUNDIR_H

#include <stddef.h>

/* Opens (and makes) the directory, or sub below it ("stat"; NULL for itself);
 * *fd_out is O_DIRECTORY | O_CLOEXEC. EACCES after one line if it is not ours. */
int libos_rundir_open(const char *sub, int *fd_out);
/* The same without the line, which is left in why, for one of the caller's. */
#define LIBOS_RUNDIR_WHY 448
int libos_rundir_try(const char *sub, int *fd_out, char *why);
/* Its name, for messages. */
const char *libos_rundir_path(char *buf, size_t len);

#endif /* LIBOS_RUNDIR_H */

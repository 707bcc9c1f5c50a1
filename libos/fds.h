/*
 * The kernel descriptors that the library holds in this process, so that a
 * child made by fork() can close its copies: a forked child owns nothing, and a
 * peer must see the parent's close. Lock-free and async-signal-safe.
 */
#ifndef LIBOS_FDS_H
#define LIBOS_FDS_H

/* Every descriptor is registered right after it was made, and closed through
 * libos_fd_close(). Both take -1 in their stride. Returns fd. */
int libos_fd_own(int fd);
void libos_fd_close(int fd);
/* In the child, by pthread_atfork(). */
void libos_fds_close_all(void);

#endif /* LIBOS_FDS_H */

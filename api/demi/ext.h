/*
 * Extensions of Clowder's own to the queue API. Same rules: 0 or a positive
 * errno, errno untouched, ENOSYS in a thread without an instance.
 */
#ifndef DEMI_EXT_H
#define DEMI_EXT_H

#include <demi/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Level of the socket options of our own. */
#define SOL_DEMI 0x44454d49
/*
 * int, 0 (default) or 1: a pop may return up to DEMI_SGARRAY_MAXSIZE segments
 * instead of exactly one.
 */
#define DEMI_POP_SEGS 1

/*
 * Ends this thread's instance: closes everything it has open, serves what it
 * still owes its peers for at most exit.linger_ms (default 2000), and frees it.
 * Buffers the program still holds are gone. demi_init() works again afterwards.
 * The end of the thread does the same, and so does exit() for every instance.
 *
 * 0; ENOSYS.
 */
DEMI_EXPORT int demi_fini(void);

/*
 * As demi_close(), and completes (DEMI_OPC_CLOSE) once the peer has
 * acknowledged everything and the end of the stream; at once if the queue was
 * not connected.
 *
 * 0; EINVAL: qt_out NULL; EBADF; ENOMEM (the queue stays open); ENOSYS.
 * Completes FAILED with ECONNRESET or ETIMEDOUT.
 */
DEMI_EXPORT int demi_async_close(demi_qtoken_t *qt_out, int qd);

/*
 * The queue's own address.
 *
 * 0; EINVAL: a NULL argument; EBADF; ENOTCONN: neither bound nor connected;
 * ENOTSUP: a pipe; ENOSYS.
 */
DEMI_EXPORT int demi_getsockname(int qd, struct sockaddr *addr, socklen_t *addrlen);

/*
 * Half-close. SHUT_WR ends the stream after what was pushed, and later pushes
 * fail EPIPE; SHUT_RD drops what arrives, and pops give the end of the stream;
 * SHUT_RDWR does both.
 *
 * 0; EINVAL: another how; EBADF; ENOTCONN: not a connected queue; ENOSYS.
 */
DEMI_EXPORT int demi_shutdown(int qd, int how);

/*
 * Cancels a pending operation, which completes FAILED ECANCELED. No byte is
 * lost or sent twice: what the operation was to move has not moved. One that
 * has finished stays finished, and so does a push whose bytes are already in
 * the send window (push.completes: released).
 *
 * 0; EINVAL: a token never handed out or already consumed; ENOSYS.
 */
DEMI_EXPORT int demi_cancel(demi_qtoken_t qt);

/*
 * A handle by which any thread can end this instance's current or next wait,
 * which then returns EINTR. 0; EINVAL: NULL; ENOSYS.
 */
DEMI_EXPORT int demi_wakehandle(uint64_t *handle_out);

/*
 * Wakes the instance that the handle was made for. Safe from any thread and in
 * a signal handler; several wakes before a wait are one. errno is untouched.
 *
 * 0; EINVAL: not a handle, or its instance has ended.
 */
DEMI_EXPORT int demi_wake(uint64_t handle);

/*
 * A descriptor for a foreign epoll or poll loop, readable when a wait would make
 * progress. Watch it level-triggered for reading and nothing else; call a wait
 * with a zero timeout when it is readable. It belongs to the instance: do not
 * read or close it. A poll() that it is part of may be interrupted without a
 * signal, and should be retried.
 *
 * 0; EINVAL: NULL; ENOTSUP: this backend cannot; EMFILE; ENOMEM; ENOSYS.
 */
DEMI_EXPORT int demi_waitfd(int *fd_out);

#ifdef __cplusplus
}
#endif

#endif /* DEMI_EXT_H */

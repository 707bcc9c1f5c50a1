/*
 * The queue API: instances, queues, and the operations on them.
 *
 * Every call returns 0 or a positive errno and never sets errno; an _out
 * argument is written only on success. A call that is not valid fails at once.
 * A call that was valid but whose operation fails later is a completion: the
 * wait returns 0, qr_opcode is DEMI_OPC_FAILED, qr_ret the errno.
 *
 * Threads: an instance belongs to the thread that called demi_init(). In any
 * other thread, and in a child made by fork(), every call fails ENOSYS. Nothing
 * is shared between instances.
 *
 * States. A queue is new, bound, listening, connecting or connected; what each
 * call does in each state is the table in demi(7).
 */
#ifndef DEMI_LIBOS_H
#define DEMI_LIBOS_H

#include <demi/sga.h>
#include <demi/types.h>
#include <demi/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Creates this thread's instance. args may be NULL. The backend is the one of
 * the linked library, or the value of LIBOS ("catnap", "catnap+catmem") in
 * libclowder; settings come from the YAML file that CONFIG_PATH names, each with
 * an environment override and a default that works.
 *
 * 0; EEXIST: this thread has one already; EINVAL: LIBOS names a backend that is
 * not in this library, or a malformed setting; ENOENT, EACCES: CONFIG_PATH
 * cannot be read; ENOTSUP: catnap.io is io_uring, which this kernel has not or
 * does not permit; EBUSY: others have all that catnip.link lists; ENOSYS: with
 * catnip, in the forked child of a process that had an instance of it; ECANCELED: the
 * process is in exit(); ENOMEM, EMFILE, EFBIG (catmem, catnip: the limit on file
 * sizes), ENOSPC and others of the system, as of a device. Each failure
 * prints one line on stderr that names the file, line and key, or the remedy.
 */
DEMI_EXPORT int demi_init(const struct demi_args *args);

/*
 * Creates a queue on a socket. domain is AF_INET, type SOCK_STREAM or
 * SOCK_DGRAM, protocol 0 or the one of the type. The first descriptor is 500;
 * one is not used again after its close.
 *
 * 0; EINVAL: sockqd_out NULL; ENOTSUP: other domain, type or protocol; EMFILE,
 * ENFILE, ENOMEM: out of descriptors or memory; ENOSYS.
 */
DEMI_EXPORT int demi_socket(int *sockqd_out, int domain, int type, int protocol);

/*
 * Gives a queue its local address. Port 0 picks a free one; INADDR_ANY works.
 *
 * 0; EINVAL: addr NULL or size short, already bound, listening or connecting;
 * ENOTSUP: family not AF_INET; EBADF; EISCONN: connected; EADDRINUSE: taken;
 * EADDRNOTAVAIL: not an address of this host (catmem: every address is);
 * EACCES: a port that needs privilege; ENOTSUP: a pipe; EMFILE, ENFILE, ENOMEM,
 * ENOSPC: out of descriptors, memory or room (catmem makes files); EAGAIN: another
 * process keeps catmem's names locked; ENOSYS.
 */
DEMI_EXPORT int demi_bind(int sockqd, const struct sockaddr *addr, socklen_t size);

/*
 * Starts to listen. backlog counts connections that nobody has accepted yet;
 * over SOMAXCONN it is cut to that.
 *
 * 0; EINVAL: backlog < 1; EBADF; EDESTADDRREQ: not bound; EADDRINUSE: listening
 * or connecting already, or somebody else is on that port; EISCONN; EOPNOTSUPP:
 * a datagram queue; ENOTSUP: a pipe; ENOSYS.
 */
DEMI_EXPORT int demi_listen(int sockqd, int backlog);

/*
 * Accepts one connection. Result: DEMI_OPC_ACCEPT, the listener in qr_qd, the
 * new queue and its peer in qr_value.ares.
 *
 * 0; EINVAL: qt_out NULL, or not listening; EBADF; EOPNOTSUPP: a datagram
 * queue; ENOTSUP: a pipe; ENOMEM; ENOSYS. Completes FAILED with ECANCELED
 * (closed or cancelled), EMFILE, ENFILE or ENOMEM (out of descriptors or memory:
 * the connection waits in the backlog and the accept may be called again).
 */
DEMI_EXPORT int demi_accept(demi_qtoken_t *qt_out, int sockqd);

/*
 * Connects. A datagram queue is given its peer, and may be given another later.
 * After a failed connect the queue is as new and may be tried again.
 *
 * 0; EINVAL: qt_out or addr NULL, or size short; ENOTSUP: family, or a pipe;
 * EBADF; EOPNOTSUPP: listening; EINPROGRESS: connecting; EISCONN; ENOMEM; EAGAIN:
 * a datagram queue could not be bound, for another process keeps catmem's names
 * locked; ENOSYS. Completes FAILED with ECONNREFUSED, ETIMEDOUT, ENETUNREACH,
 * EHOSTUNREACH, ECONNRESET, ECANCELED, EADDRNOTAVAIL (no port left), EACCES,
 * EMFILE or ENFILE (catmem: the first connection to an address takes descriptors).
 */
DEMI_EXPORT int demi_connect(demi_qtoken_t *qt_out, int sockqd,
			     const struct sockaddr *addr, socklen_t size);

/*
 * Closes a queue, which is EBADF from then on. Does not wait: pushes made
 * before, pending ones included, are still delivered and complete as pushes,
 * then the peer sees the end of the stream. Pending accepts, connects and pops
 * complete FAILED ECANCELED. SO_LINGER with 0 seconds resets at once instead. A
 * pipe that nobody has opened has nobody to deliver to.
 *
 * 0; EBADF; ENOSYS.
 */
DEMI_EXPORT int demi_close(int qd);

/*
 * Pushes every byte of sga, in order; a datagram queue sends one datagram to
 * its peer. Bytes are not copied: they are frozen until nobody needs them. The
 * operation completes once the bytes are in the queue's send window, that is at
 * once unless the queue already holds SO_SNDBUF bytes that are unsent or not
 * acknowledged. (push.completes: released waits until nobody else holds them.)
 *
 * 0; EINVAL: qt_out or sga NULL, no segment, more than DEMI_SGARRAY_MAXSIZE, no
 * byte in all, or a segment that is not inside a live buffer of this instance;
 * EBADF; ENOTCONN: a stream that is not connected; EDESTADDRREQ: a datagram
 * queue with no peer; EMSGSIZE: larger than a datagram may be; EPIPE: after
 * SHUT_WR; ENOMEM; ENOSYS. Completes FAILED with ECONNRESET, ETIMEDOUT, EPIPE
 * or ECANCELED; a datagram with EACCES, ENETUNREACH, EHOSTUNREACH or EPERM, where
 * the kernel says so.
 */
DEMI_EXPORT int demi_push(demi_qtoken_t *qt_out, int qd, const demi_sgarray_t *sga);

/*
 * As demi_push(), to an address. On a stream queue, which has to be connected,
 * the address may be anything but NULL and is ignored. A datagram queue that is
 * not bound gets an ephemeral port from its first call.
 *
 * Errors as demi_push(); EINVAL also for addr NULL, and on a datagram queue for
 * size short or port 0; ENOTSUP: family of a datagram's address not AF_INET, or a
 * pipe; EADDRINUSE, EADDRNOTAVAIL (no port left), EMFILE, ENFILE, ENOSPC, EAGAIN
 * (catmem's names are kept locked): a datagram queue that is not bound could not be.
 */
DEMI_EXPORT int demi_pushto(demi_qtoken_t *qt_out, int sockqd,
			    const demi_sgarray_t *sga,
			    const struct sockaddr *dest_addr, socklen_t size);

/*
 * Pops what has arrived: DEMI_OPC_POP with exactly one segment of at least one
 * byte, frozen, to be freed by demi_sgafree(). A stream has no message
 * boundaries. Its end is a segment of length 0 (still to be freed), and so is
 * every later pop. A datagram queue pops one datagram, its source in sga_addr.
 * After a reset, pops first give what had arrived, then fail with the cause.
 *
 * 0; EINVAL: qt_out NULL; EBADF; ENOTCONN: a stream that is not connected;
 * EDESTADDRREQ: a datagram queue that is neither bound nor connected; ENOMEM;
 * ENOSYS. Completes FAILED with ECONNRESET, ETIMEDOUT or ECANCELED.
 */
DEMI_EXPORT int demi_pop(demi_qtoken_t *qt_out, int qd);

/*
 * Socket options. SOL_SOCKET: SO_LINGER (struct linger), SO_KEEPALIVE,
 * SO_REUSEADDR, SO_SNDBUF, SO_RCVBUF, and SO_ERROR and SO_TYPE to get (int).
 * IPPROTO_TCP, on stream queues: TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL,
 * TCP_KEEPCNT, TCP_MAXSEG (int), TCP_CONGESTION (a name), and TCP_INFO to get
 * (struct tcp_info), where there is TCP. SOL_DEMI: see <demi/ext.h>.
 *
 * 0; EINVAL: optval or optlen NULL, wrong length, value out of range; EBADF;
 * ENOTSUP: other level; ENOPROTOOPT: other name; ENOSYS.
 */
DEMI_EXPORT int demi_setsockopt(int qd, int level, int optname,
				const void *optval, socklen_t optlen);
DEMI_EXPORT int demi_getsockopt(int qd, int level, int optname, void *optval,
				socklen_t *optlen);

/*
 * Address of the peer. A short buffer is filled as far as it goes, and *addrlen
 * says what it would have needed, as in POSIX.
 *
 * 0; EINVAL: a NULL argument; EBADF; ENOTCONN: no peer; ENOTSUP: a pipe;
 * ENOSYS.
 */
DEMI_EXPORT int demi_getpeername(int qd, struct sockaddr *addr, socklen_t *addrlen);

/*
 * Pipes between the processes of one host, in shared memory: a connected queue
 * found by name, on whose two ends both sides may push and pop. What the creator
 * pushes before anybody has opened the pipe waits for the opener, and is dropped
 * if the creator closes first: there is nobody to deliver it to. The name lives
 * until the creator closes the pipe or dies; a pipe is opened once.
 *
 * 0; EINVAL: a NULL argument, an empty name, or one with '/' or over 200 bytes;
 * EEXIST: create of a living one; ENOENT: open of none; EBUSY: open of one that
 * is open, or was; ENOTSUP: a backend without shared memory; EACCES: a pipe of
 * another user, see catmem.peer_uids; EMFILE, ENOMEM, ENOSPC; EAGAIN: another
 * process keeps the names locked; ENOSYS.
 */
DEMI_EXPORT int demi_create_pipe(int *memqd_out, const char *name);
DEMI_EXPORT int demi_open_pipe(int *memqd_out, const char *name);

#ifdef __cplusplus
}
#endif

#endif /* DEMI_LIBOS_H */

/*
 * catnap: TCP and UDP on the kernel's sockets. One struct catnap_sock is one
 * queue on one descriptor; doc/catnap.md says how the parts play together.
 */
#ifndef CATNAP_CATNAP_H
#define CATNAP_CATNAP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "libos/backend.h"
#include "libos/watch.h"

struct catnap_uring;

#define CATNAP_IOV 16		/* pieces in one send */
#define CATNAP_BATCH 32u	/* datagrams in one receive or send */
#define CATNAP_RESERVE_BUF 4096u
#define CATNAP_RX_MIN_SHIFT 11	/* 2 KiB */
#define CATNAP_RX_START_SHIFT 12

enum catnap_count {
	CATNAP_C_RECV_CALLS,
	CATNAP_C_RECV_BYTES,
	CATNAP_C_RECV_EMPTY,	/* looked and found nothing */
	CATNAP_C_RECV_NO_BUFFER, /* a pop waited for memory */
	CATNAP_C_RESERVE_BYTES,	/* received into the reserve, io_uring's copies too */
	CATNAP_C_SEND_CALLS,
	CATNAP_C_SEND_BYTES,
	CATNAP_C_SEND_BLOCKED,	/* the kernel's buffer was full */
	CATNAP_C_SEND_LOST,	/* datagrams the kernel refused after their push */
	CATNAP_C_PUSHES_HELD,	/* waited for room in the send window */
	CATNAP_C_ZC_SENDS,
	CATNAP_C_ZC_COPIED,	/* sent zero-copy, and copied all the same */
	CATNAP_C_ZC_PENDING,	/* the kernel still reads their buffers */
	CATNAP_C_GATHERED_BYTES, /* short segments and datagrams, copied */
	CATNAP_C_JOINED_BYTES,	/* datagrams that came in pieces */
	CATNAP_C_READ_AHEAD,	/* bytes received that nobody has popped yet */
	CATNAP_C_AHEAD_STALLS,	/* the bound of read_ahead was met */
	CATNAP_C_ENOBUFS,	/* io_uring: no provided buffer was left */
	CATNAP_C_RING_ENTERS,
	CATNAP_C_ICMP_ERRORS,	/* of datagrams, told and forgotten */
	CATNAP_C_ACCEPT_NO_FD,
	CATNAP_C_RESETS,	/* connections that ended with an error */
	CATNAP_C_LINGERING,	/* closed queues with something left to do */
	CATNAP_N_COUNTS
};

/* Receive buffers for when the pool is at its limit. */
struct catnap_reserve {
	struct libos_pool pool;
	struct libos_area *area; /* NULL: there is no reserve */
	const struct catnap_sock **owners; /* who had each last; never followed */
	bool tried;
};

struct catnap_ctx {
	struct libos_ctx base;	/* first */
	uint64_t *count;	/* enum catnap_count */
	/*
	 * The queue whose pops have been the last two to complete: its socket is
	 * read without asking epoll first. last is only compared, never followed.
	 */
	struct catnap_sock *hot;
	const void *last;
	uint8_t passes;
	struct catnap_uring *uring; /* NULL: epoll */
	struct catnap_reserve reserve;
	struct list starved;	/* by their link: readable, popped, no memory */
	struct list sending;	/* by tx_link: something is not sent yet */
	struct list gathered;	/* by gather_link: the next flush sends it */
	struct list doubtful;	/* by doubt_link: popped, and probably empty */
	struct list zombies;	/* by their link: closed, not done */
	uint32_t n_owed;	/* zombies that must not be cut off by exit() */
	struct catnap_tx *tx_free;
	struct catnap_batch *batch_free;
	uint8_t *scratch;	/* the ends of long datagrams, 64 KiB for each of a batch */
	uint32_t n_watched;	/* sockets in the epoll set, listeners left out */

	/* settings */
	uint32_t read_ahead;
	uint32_t send_limit;
	uint32_t zc_threshold;
	uint32_t ring_bufs;
	uint32_t ring_buf_size;
	uint8_t rx_max_shift;
	bool nodelay, keepalive, linger;
	int keep_idle, keep_intvl, linger_s;
};

/* What one push has left to send; refs of the pieces from `at` on are held. */
struct catnap_tx {
	union {
		struct list link;	/* of the queue's tx */
		struct catnap_tx *next;	/* free */
	};
	uint32_t at;
	bool has_to;
	struct sockaddr_in to;
	struct libos_io io;
};

/* Where a datagram goes whose push waits in q->pushes. */
struct catnap_to {
	struct list link;
	const struct libos_op *op;
	struct sockaddr_in addr;
};

/* What has been received ahead of its pop (io_uring). */
struct catnap_slice {
	struct list link;
	struct libos_buf *buf;
	uint8_t *addr;
	uint32_t len;
};

/* Datagrams of one receive, the first of them for a pop that waited. */
struct catnap_batch {
	struct catnap_batch *next; /* free */
	uint32_t at, n;		/* d[at] to d[n - 1] are not popped yet */
	struct catnap_dgram {
		struct libos_buf *buf;
		uint32_t len;
		struct sockaddr_in from;
	} d[CATNAP_BATCH];
};

struct catnap_sock {
	struct libos_queue q;	/* first */
	struct libos_watch watch;
	int fd;
	uint32_t events;	/* watched for; 0: not watched */

	/* receiving */
	bool readable;		/* not known to be drained */
	bool rx_end;		/* end, error or urgent byte: short reads mean nothing */
	bool eof;		/* the stream's end has been read, or SHUT_RD */
	bool rd_shut;
	bool armed;		/* a multishot receive is in the ring */
	uint8_t rx_shift;	/* size of the next receive buffer */
	uint8_t rx_small;	/* reads in a row that used little of it; datagrams looked at */
	uint8_t rx_most;	/* datagrams: size for the longest of those */
	uint8_t rx_ask;		/* datagrams asked for at once */
	uint8_t rx_row;		/* came one by one, and none was the last */
	uint8_t rx_alone;	/* so many in a row before more are asked for */
	bool rx_many;		/* the last receive brought several */
	bool rx_doubt;		/* readable, but what came last came alone */
	bool rx_long;		/* the last datagram was not short */
	uint32_t ahead;		/* bytes in rx or batch */
	int rx_err;		/* what every pop fails with, once rx is empty */
	int tx_err;		/* what every push fails with */
	int so_error;		/* for SO_ERROR */
	struct list rx;		/* struct catnap_slice */
	struct catnap_batch *batch; /* datagrams ahead of their pops; NULL: none */

	/* sending */
	bool fin_due;		/* SHUT_WR once everything is sent */
	bool zc_off;		/* the path copies anyway */
	uint8_t zc_pause;	/* large sends until zero-copy is tried again */
	uint64_t unsent;	/* bytes in tx */
	uint64_t tx_limit;	/* a push completes while unsent is below */
	struct list tx;		/* struct catnap_tx */
	struct list tx_link;
	struct list gather_link;
	struct list doubt_link;
	struct list to;		/* struct catnap_to, of q.pushes */

	/* life */
	bool zombie;
	bool closing;		/* the receive is being taken back */
	bool owed;		/* counted in n_owed */
	bool fin_sent;
	bool reuse;		/* SO_REUSEADDR as the program set it */
	bool linger;
	int linger_s;
	struct list link;
	struct libos_op *close_op;
	struct sockaddr_in peer;
	struct sockaddr_in local; /* as bound by the program; family 0: not */
};

extern const struct libos_backend catnap_backend;

static inline struct catnap_ctx *catnap_ctx(const struct catnap_sock *s)
{
	return (struct catnap_ctx *)(void *)s->q.ctx;
}

static inline struct catnap_sock *catnap_sock(struct libos_queue *q)
{
	return (struct catnap_sock *)(void *)q;
}

/* sock.c: a queue and its descriptor */
int catnap_socket(struct libos_ctx *ctx, enum libos_queue_type type, struct libos_queue **q_out);
/* A queue without a descriptor; NULL: ENOMEM. */
struct catnap_sock *catnap_sock_alloc(struct catnap_ctx *cc, enum libos_queue_type type);
/* Drops everything it holds, its descriptor last. */
void catnap_sock_free(struct catnap_sock *s);
/* Watches for these events as well. */
int catnap_sock_watch(struct catnap_sock *s, uint32_t events);
void catnap_sock_unwatch(struct catnap_sock *s);
/* For room to send, if that was watched for, and nothing else. */
void catnap_sock_watch_out(struct catnap_sock *s);
int catnap_bind(struct libos_queue *q, const struct sockaddr_in *addr);
/* Gives an unconnected socket its old address again, where it has lost it. */
void catnap_sock_rebind(struct catnap_sock *s);
int catnap_getsockname(struct libos_queue *q, struct sockaddr_in *addr_out);
int catnap_getpeername(struct libos_queue *q, struct sockaddr_in *addr_out);
/* The connection has broken: pushes fail, pops do once what came is read. */
void catnap_sock_fail(struct catnap_sock *s, int err);

/* conn.c: how connections begin */
int catnap_listen(struct libos_queue *q, int backlog);
int catnap_accept(struct libos_queue *q, struct libos_op *op);
int catnap_connect(struct libos_queue *q, struct libos_op *op, const struct sockaddr_in *addr);
void catnap_connect_undo(struct catnap_sock *s);
void catnap_conn_ready(struct catnap_sock *s);
/* The connect that is under way ends, well or with an error. */
void catnap_conn_end(struct catnap_sock *s, struct libos_op *op, int err);
void catnap_listen_ready(struct catnap_sock *s);

/* end.c: how they end */
int catnap_shutdown(struct libos_queue *q, int how);
void catnap_close(struct libos_queue *q, struct libos_op *op);
/* Moves a closed queue on; it may be gone afterwards. */
void catnap_zombie_step(struct catnap_sock *s);
/* Reads what nobody will pop. */
void catnap_discard(struct catnap_sock *s);
/* Everything has been handed to the kernel: SHUT_WR if it is due. */
void catnap_sent_all(struct catnap_sock *s);

/* reserve.c: receive buffers that nothing else can use up */
void catnap_reserve_open(struct catnap_ctx *cc);
void catnap_reserve_close(struct catnap_ctx *cc);
/* One of CATNAP_RESERVE_BUF bytes; NULL: none for this queue. */
struct libos_buf *catnap_reserve_get(struct catnap_sock *s);

/* The buffer for so many bytes. Few sizes, since each takes a unit of the pool for
 * itself; the first is that of the core's own. */
static inline unsigned catnap_fit_shift(size_t n)
{
	return n <= 64 ? 6 : n <= 2048 ? 11 : 16;
}

/* rx.c: receiving */
int catnap_pop(struct libos_queue *q, struct libos_op *op);
/* Serves the pops that wait out of the socket. True if it moved anything. */
bool catnap_rx(struct catnap_sock *s);
void catnap_rx_ready(struct catnap_sock *s, uint32_t events);
/* io_uring: n bytes of buf came, whose reference becomes ours. */
void catnap_rx_ahead(struct catnap_sock *s, struct libos_buf *buf, uint32_t n);
/* io_uring: serves the pops that wait out of what came ahead of them. */
void catnap_rx_serve(struct catnap_sock *s);
/* io_uring: a pop waits and the ring has no buffer. Reads the socket as with
 * epoll, until it has: catnap_uring_arm() ends that. */
void catnap_rx_dry(struct catnap_sock *s);
/* The end of the stream (0) or of the connection has been read. */
void catnap_rx_finish(struct catnap_sock *s, int err);
void catnap_rx_drop(struct catnap_sock *s);

/* dgram.c: datagrams */
bool catnap_dgram_rx(struct catnap_sock *s);
/* A pop has been posted. */
void catnap_dgram_pop(struct catnap_sock *s);
/* Looks at up to max of the sockets that are probably empty, those first that have
 * waited longest. True if one was not. */
bool catnap_dgram_look(struct catnap_ctx *cc, uint32_t max);
/* Forgets what nobody has popped. */
void catnap_dgram_drop(struct catnap_sock *s);
int catnap_dgram_push(struct catnap_sock *s, struct libos_op *op, const struct libos_io *io,
		      const struct sockaddr_in *to);
int catnap_dgram_connect(struct catnap_sock *s, struct libos_op *op,
			 const struct sockaddr_in *addr);
/* Sends the first of tx, and some more if there are; EAGAIN: no room. *n_out of
 * them have been sent, or are lost as datagrams may be. */
int catnap_dgram_send_queued(struct catnap_sock *s, uint32_t *n_out);
/* Sends what pushes have left for the flush. */
void catnap_dgram_flush(struct catnap_sock *s);
/* The address of a push that waits; forgets it. */
bool catnap_dgram_to(struct catnap_sock *s, const struct libos_op *op, struct sockaddr_in *to);

/* tx.c: sending */
int catnap_push(struct libos_queue *q, struct libos_op *op, const struct libos_io *io,
		const struct sockaddr_in *to);
/* Goes on where the kernel had no room. */
void catnap_tx_run(struct catnap_sock *s);
/* Forgets what has not been sent. */
void catnap_tx_drop(struct catnap_sock *s);
/* Makes sure of memory for one catnap_tx_keep(). */
int catnap_tx_reserve(struct catnap_ctx *cc);
/* Takes over what `sent` bytes have left of io. */
void catnap_tx_keep(struct catnap_sock *s, const struct libos_io *io, size_t sent,
		    const struct sockaddr_in *to);
/* A push that finds something in front of it: taken, or it has to wait. */
int catnap_tx_queue(struct catnap_sock *s, struct libos_op *op, const struct libos_io *io,
		    const struct sockaddr_in *to);

/* opt.c: socket options */
int catnap_setsockopt(struct libos_queue *q, int level, int name, const void *val,
		      socklen_t len);
int catnap_getsockopt(struct libos_queue *q, int level, int name, void *val, socklen_t *len);
/* Those of the settings file, at birth. */
void catnap_opt_defaults(struct catnap_sock *s);

/* ring.c: io_uring. Without liburing open fails ENOTSUP and the rest is unused. */
int catnap_uring_open(struct catnap_ctx *cc, const char **why_out, struct catnap_uring **u_out);
void catnap_uring_close(struct catnap_ctx *cc);
/* Lets bytes come until catnap.read_ahead of them are here; no more than half of
 * that may be yet. s->armed says whether it worked. */
void catnap_uring_arm(struct catnap_sock *s);
/* Gives the kernel all the buffers there is room for. */
void catnap_uring_fill(struct catnap_ctx *cc);
/* The same, where the pool had nothing left: there may be something now. */
void catnap_uring_retry(struct catnap_ctx *cc);
/* Whether a buffer with data may go to the program: enough stay with the ring. */
bool catnap_uring_may_lend(struct catnap_ctx *cc);
/* One that came with data and is used up: the ring's again. */
void catnap_uring_give(struct catnap_ctx *cc, struct libos_buf *buf);
/* Takes the receive back. s->armed says whether it is still in the ring. */
void catnap_uring_disarm(struct catnap_sock *s);
bool catnap_uring_poll(struct catnap_ctx *cc);
bool catnap_uring_sleep(struct catnap_ctx *cc);
void catnap_uring_awake(struct catnap_ctx *cc);
/* As sendmsg(): bytes taken, or -1 and errno. ENOTSUP: not now, not here. It
 * holds bufs, one for each piece, until the kernel is through with them. */
ssize_t catnap_uring_send(struct catnap_sock *s, struct msghdr *msg,
			  struct libos_buf *const *bufs);
/* s is about to be freed. */
void catnap_uring_forget(struct catnap_sock *s);

#endif /* CATNAP_CATNAP_H */

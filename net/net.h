/*
 * The protocol stack as its embedder sees it: Ethernet, ARP, IPv4, ICMP, UDP and
 * TCP for one device and one thread. It has no clock (now is an argument, in
 * nanoseconds of any clock that never goes back), no globals, no locks, and makes
 * every random choice from its seed, so that the same calls give the same packets.
 *
 *	net_stack_new(config, seed, dev)
 *	for ever:
 *		net_input(stack, now, packets)		what the device received
 *		while ((s = net_next_ready(stack)))	what came of it for sockets
 *			...net_accept(), net_recv(), net_send()...
 *		deadline = net_poll(stack, now)		timers
 *		net_flush(stack)			one burst
 *
 * Errors are positive errnos; 0 is success. Outputs are written on success only.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/count.h"
#include "net/netdev.h"

struct net_sock;
struct net_stack;
struct tcp_info;		/* of <linux/tcp.h>; that of <netinet/tcp.h> is shorter */

#define NET_NEVER UINT64_MAX

/* ---- addresses: IPv6's size; IPv4 is ::ffff:a.b.c.d. Both parts as on the wire. */

typedef uint64_t net_ip_half __attribute__((__aligned__(4)));

struct net_ip {
	union {
		uint8_t b[16];
		uint32_t w[4];
		net_ip_half d[2]; /* so that an address and a port take 20 bytes */
	};
};

struct net_addr {
	struct net_ip ip;
	uint16_t port;
};

/* addr as in struct in_addr */
static inline struct net_ip net_ip4(uint32_t addr)
{
	struct net_ip ip = { .b = { [10] = 0xff, [11] = 0xff } };

	ip.w[3] = addr;
	return ip;
}

static inline uint32_t net_ip_v4(const struct net_ip *ip)
{
	return ip->w[3];
}

static inline bool net_ip_equal(const struct net_ip *a, const struct net_ip *b)
{
	return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}

/* 0.0.0.0 or :: */
static inline bool net_ip_is_any(const struct net_ip *ip)
{
	return !ip->w[3] && !ip->d[0];
}

/* ---- life */

/*
 * config: "key=value" pairs apart by spaces or commas, see doc/net.md; NULL or ""
 * for the defaults. A key that is unknown or a value out of range: EINVAL, and
 * why gets one line that names it. dev is the embedder's, filled, and stays valid
 * as long as the stack. count: NET_N_COUNTS zeroed words that the stack adds to.
 * key: 16 bytes of secret, from which, with the seed, every random choice comes;
 * NULL: derived from the seed alone (tests, the simulator).
 */
#define NET_WHY 128
int net_stack_new(const char *config, uint64_t seed, const uint8_t *key, struct net_dev *dev,
		  uint64_t *count, uint64_t now, char why[NET_WHY],
		  struct net_stack **stack_out);
/* Drops everything at once: sockets, packets, references. Nothing is sent. */
void net_stack_free(struct net_stack *stack);

/*
 * Our addresses. prefix: bits of the network that is on this link, 0 to 32. The
 * first one added is what unbound sockets get. Announced by gratuitous ARP when
 * announce. EEXIST, ENOMEM.
 */
int net_local_add(struct net_stack *stack, const struct net_ip *ip, unsigned prefix,
		  bool announce);
/* Its sockets live on; nothing is answered for it any more. ENOENT. */
int net_local_del(struct net_stack *stack, const struct net_ip *ip);
bool net_local_has(const struct net_stack *stack, const struct net_ip *ip);
/* Gratuitous ARP for every address of ours: the link has just come up. */
void net_announce(struct net_stack *stack);
/* A network behind a gateway (NULL: on this link). Longest prefix wins. */
int net_route_add(struct net_stack *stack, const struct net_ip *net, unsigned prefix,
		  const struct net_ip *gateway);
/* A static ARP entry: never asked for, never replaced. */
int net_neigh_add(struct net_stack *stack, const struct net_ip *ip, const uint8_t mac[6]);

/*
 * A link with one other end, for embedders that know of it. Lost: whoever was there
 * has gone, and what was connected over it with him: all but what is only being
 * opened by us fails with err, and hardware addresses are forgotten. Back: our
 * addresses are announced, and what waits for one asks for it again.
 */
void net_link_lost(struct net_stack *stack, int err);
void net_link_back(struct net_stack *stack);

/* ---- packets and time */

/* The stack takes over the reference of each packet. */
void net_input(struct net_stack *stack, uint64_t now, struct net_pkt *pkts, uint32_t n);
/* Runs every timer that is due and whatever waited for room; returns when to call
 * again if nothing comes in before (NET_NEVER: no timer; now: sockets are ready, or
 * packets to ourselves wait). */
uint64_t net_poll(struct net_stack *stack, uint64_t now);
/* What net_poll() would return, without doing anything. It may have come nearer by
 * whatever was called since. */
uint64_t net_deadline(const struct net_stack *stack);
/* Sends the acknowledgements that are owed now, then offers all packets to the
 * device, and those that waited for room in the ring; may make sockets ready. false:
 * some were not taken; call again (net_flush) soon. */
bool net_flush(struct net_stack *stack);
/* Whether net_flush() would find nothing to do. */
bool net_is_quiet(const struct net_stack *stack);
/* Whether packets wait that the device has not taken. */
bool net_has_unsent(const struct net_stack *stack);

/* ---- sockets */

enum net_type {
	NET_TCP,
	NET_UDP,
};

/* What may have become possible since it was last taken; edges, never levels. */
enum net_event {
	NET_READABLE = 1u << 0,	/* bytes, a datagram, a connection to accept, or the
				 * end of the stream */
	NET_WRITABLE = 1u << 1,	/* net_send() said EAGAIN, and would not now */
	NET_CONNECTED = 1u << 2,
	NET_FAILED = 1u << 3,	/* net_error() says why; nothing more will happen */
	NET_ACKED = 1u << 4,	/* all that was sent, and the FIN, is acknowledged */
};

/* user: comes back from net_user(). ENOMEM. */
int net_socket(struct net_stack *stack, enum net_type type, void *user,
	       struct net_sock **sock_out);
void *net_user(const struct net_sock *s);
void net_set_user(struct net_sock *s, void *user);

/*
 * Who takes what has just come, past the queue: called from within net_input() for a
 * socket of which nothing waits to be read, with the next bytes of a stream or with a
 * datagram (`from`: its source; NULL for a stream). true: they are taken, and charged as
 * by net_recv() and net_charge(). It calls nothing of the stack's.
 */
typedef bool net_take(void *user, const struct net_seg *seg, const struct net_addr *from);
void net_set_take(struct net_stack *stack, net_take *take);

/*
 * The next socket with events, or NULL; *events_out (enum net_event) are taken
 * from it. Only what happened since the last call makes one ready again. A socket
 * that net_close() gave back never comes up.
 */
struct net_sock *net_next_ready(struct net_stack *stack, uint32_t *events_out);
/* Whether there is one. */
bool net_has_ready(const struct net_stack *stack);

/*
 * Port 0: a random free one. Any (0.0.0.0) is every address of ours. Another
 * address than ours: EADDRNOTAVAIL, or, with any_addr=1 in the config, it becomes
 * ours and is announced. EADDRINUSE: somebody has it (TCP: a listener, a bound
 * socket or, without reuse, a connection or its TIME_WAIT), EINVAL: bound already.
 */
int net_bind(struct net_sock *s, const struct net_addr *addr);
/* EADDRINUSE. backlog bounds the connections nobody has accepted yet. */
int net_listen(struct net_sock *s, int backlog);
/* EAGAIN: none. Connections are given out in the order in which they were set up;
 * one that failed meanwhile is given out all the same if anything had come. */
int net_accept(struct net_sock *s, void *user, struct net_sock **sock_out,
	       struct net_addr *peer_out);
/*
 * TCP: 0, then NET_CONNECTED or NET_FAILED (ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH,
 * ENETUNREACH...); net_connect_cancel() goes back to before it, and so does a
 * failure, but for what net_error() says of it: the socket is as new (bound, if it
 * was) and may be tried again.
 * UDP: the peer, at once; again for another. ENETUNREACH: no route. EADDRNOTAVAIL:
 * no free port. EADDRINUSE: the same four-tuple exists.
 */
int net_connect(struct net_sock *s, const struct net_addr *peer);
void net_connect_cancel(struct net_sock *s);
/* ENOTCONN */
int net_peer(const struct net_sock *s, struct net_addr *addr_out);
/* ENOTCONN: not bound */
int net_name(const struct net_sock *s, struct net_addr *addr_out);

/*
 * The bytes of all segs, in order; on success their references are the stack's.
 * TCP: all or nothing: EAGAIN when the send buffer's limit of unsent and
 * unacknowledged bytes is reached, whatever the size of this one; then
 * NET_WRITABLE says when it is below. EPIPE after net_shutdown(); the cause after
 * a failure. UDP: one datagram to `to` (NULL: the peer); EMSGSIZE over 65,507;
 * EAGAIN: the transmit ring is full; ECONNREFUSED and the like from an earlier
 * one, told once.
 */
int net_send(struct net_sock *s, const struct net_seg *segs, uint32_t n,
	     const struct net_addr *to);
/*
 * TCP: what has arrived in order, up to the end of one buffer; len 0 (and no mem)
 * is the end of the stream. UDP: one datagram; `from` (may be NULL) its source.
 * The reference becomes the caller's. EAGAIN; the cause of a failure, after all
 * that had arrived before it.
 */
int net_recv(struct net_sock *s, struct net_seg *seg_out, struct net_addr *from);
/* As net_recv(), without taking anything: no reference. */
int net_peek(struct net_sock *s, struct net_seg *seg_out, struct net_addr *from);
/* Bytes that net_recv() would give now; bytes sent that are not acknowledged,
 * sent or not. */
uint64_t net_bytes_readable(const struct net_sock *s);
uint64_t net_bytes_unacked(const struct net_sock *s);

/*
 * Memory that the program still holds of what it received counts against the
 * receive buffer: the embedder adds what a delivered buffer pins, and takes it off
 * (negative) when it comes back. The window follows, without silly ones.
 */
void net_charge(struct net_sock *s, int64_t pinned);
/* Takes it off. true: an acknowledgement is owed now, to be flushed soon. */
bool net_uncharge(struct net_sock *s, uint32_t pinned);

/* Half-close. wr: FIN after all that was sent; rd: what is there and what comes is
 * dropped (and acknowledged). ENOTCONN. */
int net_shutdown(struct net_sock *s, bool rd, bool wr);
/*
 * Ends it. TCP: unread bytes, or linger 0: reset; else what was sent is delivered,
 * FIN, and the connection ends by itself. Bytes that come later are a reset, too; with
 * the receiving side shut, not before all that was sent, and FIN, is acknowledged. If `report`, it comes up with NET_ACKED
 * or NET_FAILED once and is freed with the next call of net_next_ready() after
 * that; without report the socket is gone for the caller on return.
 */
void net_close(struct net_sock *s, bool report);
/* Resets (TCP), and is gone. */
void net_abort(struct net_sock *s);
/* The positive errno of a failure or of an ICMP error; takes it back (SO_ERROR). */
int net_error(struct net_sock *s);
/* Sockets closed whose bytes or FIN are not acknowledged yet: what exit waits for. */
uint32_t net_n_lingering(const struct net_stack *stack);

enum net_opt {
	NET_OPT_NODELAY,	/* 0, 1; 1 by default */
	NET_OPT_QUICKACK,	/* 1: no acknowledgement is delayed */
	NET_OPT_KEEPALIVE,	/* 0, 1 */
	NET_OPT_KEEPIDLE,	/* s, 1 to 32767 */
	NET_OPT_KEEPINTVL,	/* s, 1 to 32767 */
	NET_OPT_KEEPCNT,	/* 1 to 127 */
	NET_OPT_MAXSEG,		/* set: 88 to 65495; get: what it is now */
	NET_OPT_USER_TIMEOUT,	/* ms; 0: off */
	NET_OPT_LINGER,		/* s; -1: off */
	NET_OPT_SNDBUF,		/* bytes */
	NET_OPT_RCVBUF,		/* bytes of pinned memory */
	NET_OPT_REUSEADDR,	/* 0, 1 */
	NET_N_OPTS
};

/* EINVAL: out of range. ENOPROTOOPT: not for this type. */
int net_set_opt(struct net_sock *s, enum net_opt opt, int64_t value);
int net_get_opt(const struct net_sock *s, enum net_opt opt, int64_t *value_out);
/* Congestion control by name. set: ENOENT. */
int net_set_congestion(struct net_sock *s, const char *name);
const char *net_congestion(const struct net_sock *s);
/* Linux's fields, as far as there is something to say; 0 elsewhere. */
void net_tcp_info(const struct net_sock *s, struct tcp_info *info_out);
/* All TCP sockets, TIME_WAIT left out, in no order: for tables of connections. */
struct net_sock *net_next_tcp(struct net_stack *stack, const struct net_sock *after);

#endif /* NET_NET_H */

/*
 * catnip: our own TCP and UDP over a DPDK port. One struct catnip_queue is one
 * queue on one socket of net/; doc/catnip.md says how the parts play together.
 */
#ifndef CATNIP_CATNIP_H
#define CATNIP_CATNIP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/time.h"
#include "catnip/port.h"
#include "libos/backend.h"
#include "libos/libos.h"
#include "libos/watch.h"
#include "net/net.h"

struct catnip_conns;
struct catnip_queue;

enum catnip_count {
	CATNIP_C_PUSHES_HELD,	/* waited for room in the send buffer, or the ring */
	CATNIP_C_TX_HELD,	/* passes after which the port had not taken all */
	CATNIP_C_PINNED,	/* bytes that the program holds of what it popped */
	CATNIP_C_ICMP_ERRORS,	/* of datagrams, told and forgotten */
	CATNIP_C_RESETS,	/* connections that ended with an error */
	CATNIP_C_LINGERING,	/* closed queues with something left to do */
	CATNIP_C_NAPS,		/* sleeps on a port without receive interrupts */
	CATNIP_N_COUNTS
};

struct catnip_ctx {
	struct libos_ctx base;	/* first */
	struct net_stack *stack; /* NULL: it has gone already */
	struct catnip_port *port;
	uint64_t deadline;	/* ns: when net_poll() is due */
	uint64_t cycles;	/* as of the last look at the clock */
	bool busy;		/* the next pass has something to do without a packet */
	bool armed;		/* the port's receive interrupt */
	bool up;		/* the other end is there, as of the last look */
	uint32_t losses;	/* of it, that have been dealt with */
	uint64_t *count;	/* enum catnip_count */
	uint64_t *net_count;	/* enum net_count */
	struct catnip_queue **chunks; /* places of queues, by libos_buf.origin */
	uint32_t n_chunks;
	uint32_t free_place;	/* first of a chain, by next_free; 0: none */
	uint32_t n_owed;	/* closed queues whose pushes still wait */

	uint64_t nap_max;	/* ns */
	uint64_t heard;		/* ns: when something came in last */
	struct libos_watch rx_watch; /* fd -1: the port has no receive interrupt */
	struct catnip_conns *conns; /* the table for clowder-stat; NULL: none */
	bool linger;
	int linger_s;
};

/* Where a datagram goes whose push waits in q->pushes. */
struct catnip_to {
	struct catnip_to *next;
	const struct libos_op *op;
	struct net_addr addr;
};

struct catnip_queue {
	struct libos_queue q;	/* first */
	struct net_sock *sock;	/* NULL: it has gone, the queue is freed with what it
				 * pins */
	uint32_t origin;	/* its place; 0: nobody has it */
	union {
		uint32_t n_pinned; /* buffers that the program holds of it */
		uint32_t next_free;
	};
	bool dry;		/* nothing to receive: NET_READABLE will tell */
	bool closed;		/* by the program */
	bool closing;		/* net_close() has been called, and will report */
	bool owed;		/* counted in n_owed */
	bool has_loopback;	/* holds 127.0.0.1 */
	uint8_t err;		/* what its connection broke with */
	uint8_t so_error;	/* not told yet */
	struct libos_op *close_op;
	struct catnip_to *to;	/* of q.pushes, in no order */
};

extern const struct libos_backend catnip_backend;

static inline struct catnip_ctx *catnip_ctx(const struct catnip_queue *s)
{
	return (struct catnip_ctx *)(void *)s->q.ctx;
}

static inline struct catnip_queue *catnip_queue(struct libos_queue *q)
{
	return (struct catnip_queue *)(void *)q;
}

static inline struct net_addr catnip_addr(const struct sockaddr_in *sin)
{
	return (struct net_addr){ net_ip4(sin->sin_addr.s_addr), sin->sin_port };
}

static inline struct sockaddr_in catnip_sin(const struct net_addr *addr)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = addr->port,
				     .sin_addr.s_addr = net_ip_v4(&addr->ip) };
}

/* ---- catnip.c: time */

/*
 * The wait loop looks at the clock now and then, and the program may be away for
 * long between its calls: what would arm a timer looks first. So many cycles are
 * well below a millisecond everywhere.
 */
#define CATNIP_STALE_CYCLES (1u << 18)

/* Looks at the clock, and runs what is due. */
void catnip_catch_up(struct catnip_ctx *cn);

static inline void catnip_now(struct catnip_ctx *cn)
{
	if (unlikely(time_cycles() - cn->cycles > CATNIP_STALE_CYCLES))
		catnip_catch_up(cn);
}

/* Everything that waits to be sent goes to the port, before the call ends. */
void catnip_send_now(struct catnip_ctx *cn);

/* ---- places.c: where queues live */

#define CATNIP_CHUNK 64u

static inline struct catnip_queue *catnip_queue_at(const struct catnip_ctx *cn, uint32_t place)
{
	return &cn->chunks[place / CATNIP_CHUNK][place % CATNIP_CHUNK];
}

/* Zeroed but for origin; NULL: ENOMEM. */
struct catnip_queue *catnip_place_take(struct catnip_ctx *cn);
void catnip_place_give(struct catnip_ctx *cn, struct catnip_queue *s);
/* All, one after the other: *place begins as 0. NULL: no more. */
struct catnip_queue *catnip_place_next(const struct catnip_ctx *cn, uint32_t *place);
void catnip_places_fini(struct catnip_ctx *cn);

/* What a push has sent goes now, or with the flush. */
void catnip_pushed(struct catnip_ctx *cn);

/* ---- queue.c: a queue and its socket */

int catnip_socket(struct libos_ctx *ctx, enum libos_queue_type type, struct libos_queue **q_out);
/* A queue without a socket; NULL: ENOMEM. */
struct catnip_queue *catnip_queue_alloc(struct catnip_ctx *cn, enum libos_queue_type type);
/* Its socket has gone. Freed now, or with the last buffer that is charged to it. */
void catnip_queue_free(struct catnip_queue *s);
/* At the end of the instance: all that are left. */
void catnip_queues_fini(struct catnip_ctx *cn);
int catnip_bind(struct libos_queue *q, const struct sockaddr_in *addr);
/* On the wildcard of a private link it serves 127.0.0.1 as well. */
void catnip_hold_loopback(struct catnip_queue *s);
int catnip_getsockname(struct libos_queue *q, struct sockaddr_in *addr_out);
int catnip_getpeername(struct libos_queue *q, struct sockaddr_in *addr_out);
/* What became possible for it. It may be gone afterwards. */
void catnip_queue_events(struct catnip_queue *s, uint32_t events);
int catnip_pop(struct libos_queue *q, struct libos_op *op);
/* A net_take of the stack. */
bool catnip_take(void *user, const struct net_seg *seg, const struct net_addr *from);
int catnip_shutdown(struct libos_queue *q, int how);
void catnip_close(struct libos_queue *q, struct libos_op *op);
bool catnip_cancel(struct libos_queue *q, struct libos_op *op);
void catnip_released(struct libos_ctx *ctx, struct libos_buf *buf);

/* ---- push.c */

int catnip_push(struct libos_queue *q, struct libos_op *op, const struct libos_io *io,
		const struct sockaddr_in *to);
/* Goes on with the pushes that wait. */
void catnip_push_more(struct catnip_queue *s);
/* Forgets where a push was to go. */
void catnip_to_drop(struct catnip_queue *s, const struct libos_op *op);

/* ---- stream.c: how connections begin */

int catnip_listen(struct libos_queue *q, int backlog);
int catnip_accept(struct libos_queue *q, struct libos_op *op);
int catnip_connect(struct libos_queue *q, struct libos_op *op, const struct sockaddr_in *addr);
/* Serves the accepts that wait. */
void catnip_accept_more(struct catnip_queue *s);
/* The connect that is under way ends, well or with an error. */
void catnip_connect_end(struct catnip_queue *s, int err);

/* ---- option.c */

int catnip_setsockopt(struct libos_queue *q, int level, int name, const void *val,
		      socklen_t len);
int catnip_getsockopt(struct libos_queue *q, int level, int name, void *val, socklen_t *len);
/* Those of the settings file that are not the stack's, at birth. */
void catnip_options_init(struct catnip_queue *s);

/* ---- setup.c: the stack's settings and addresses, out of ours */

/* EINVAL after a line that says which setting. */
int catnip_stack_open(struct catnip_ctx *cn);

/* ---- conns.c: the table of connections, for whoever looks from outside */

/* Without one after a line about why. */
void catnip_conns_open(struct catnip_ctx *cn);
void catnip_conns_close(struct catnip_ctx *cn);
/* Fills it if somebody has asked for it. */
void catnip_conns_look(struct catnip_ctx *cn);

#endif /* CATNIP_CATNIP_H */

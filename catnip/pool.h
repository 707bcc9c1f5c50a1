/*
 * A pool of mbufs in 2 MiB units of its own. Each mbuf has room behind its header
 * for what we know of it: a received one is a buffer of the instance (libos/buf.h)
 * whose area is the pool, and goes to the program as it is.
 */
#ifndef CATNIP_POOL_H
#define CATNIP_POOL_H

#include "libos/buf.h"

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

struct catnip_port;
struct libos;

struct pool {
	struct rte_mempool *mp;	/* NULL: there is none */
	struct libos_area area;	/* in the map of os, if that is not NULL */
	struct libos *os;
	bool eal;		/* its units are EAL's */
	uint32_t n;
	uint32_t out;		/* with the stack or the program */
	uint32_t room;		/* bytes of a frame */
	uint32_t stride;
	struct rte_mbuf **mbufs; /* by address */
	uint32_t *first;	/* by 2 KiB of the memory: the last mbuf that begins
				 * in it or before it */
};

/* Behind the header of each mbuf. */
union pool_priv {
	struct libos_buf buf;	/* received: refs is 0 while it is not out */
	struct {		/* a slice of a buffer, to be sent */
		struct rte_mbuf_ext_shared_info shared;
		struct libos_buf *lent;
		struct catnip_port *port;
	} slice;
};

#define POOL_PRIV 64u

/* n mbufs for frames of room bytes. os: received ones go to its program. ENOMEM,
 * after a line. */
int pool_open(struct pool *p, struct libos *os, uint32_t n, uint32_t room);
/* false: somebody else has some of its mbufs yet; try later. force: as it is. */
bool pool_close(struct pool *p, bool force);
/* A driver has forgotten what it had: takes back what is neither in the pool nor out. */
uint32_t pool_recover(struct pool *p);

static inline union pool_priv *pool_priv(struct rte_mbuf *m)
{
	return (union pool_priv *)rte_mbuf_to_priv(m);
}

static inline struct rte_mbuf *pool_mbuf(struct libos_buf *buf)
{
	return (struct rte_mbuf *)(void *)buf - 1;
}

/* m, received: a buffer with one reference. */
static inline struct libos_buf *pool_give_out(struct pool *p, struct rte_mbuf *m)
{
	struct libos_buf *buf = &pool_priv(m)->buf;

	buf->base = rte_pktmbuf_mtod(m, uint8_t *);
	buf->len = m->data_len;
	buf->refs = 1;
	buf->app = 0;
	buf->flags = 0;
	buf->origin = 0;
	buf->area = &p->area;
	buf->holds = NULL;
	p->out++;
	return buf;
}

#endif /* CATNIP_POOL_H */

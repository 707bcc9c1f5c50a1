/*
 * What conn.c, conn_open.c, conn_out.c and conn_in.c share of a connection.
 */
#ifndef CATMEM_CONN_H
#define CATMEM_CONN_H

#include "catmem/catmem.h"

#define CREDIT_BATCH 16384u	/* inline bytes consumed before we say so */

static inline struct conn *conn_of(struct libos_queue *q)
{
	return container_of(q, struct conn, q);
}

static inline uint32_t conn_charge(uint32_t len)
{
	return len + CATMEM_CHARGE;
}

/* ---- conn.c */
/* Others may have its name. */
void conn_name_release(struct conn *conn);
/* Takes its name on the link away: late messages meet nobody. */
void conn_detach(struct conn *conn);
/* Fails for good: a reset, or the other process is gone. */
void conn_fail(struct conn *conn, int err);
/* The end of an async close, if there is one; err 0: all was acknowledged. */
void conn_close_end(struct conn *conn, int err);
/* Nothing more is said either way. Peers may still hold bytes of it, and give them
 * back to its account; it is freed with the last. */
void conn_finish(struct conn *conn);
/* Closed by the program, and both sides have said all: true if it is gone. */
bool conn_maybe_finish(struct conn *conn);

/* ---- conn_open.c */
void conn_connect_fail(struct conn *conn, int err);
void conn_accept_in(struct conn *conn, const struct wire_data *msg);
void conn_connect_again(struct conn *conn);
void conn_refuse_in(struct conn *conn, uint32_t err);
/* Out of its listener's backlog, if it is in one. */
void conn_pending_del(struct conn *conn);
/* Refuses whoever waits, and ends the listening. */
void conn_unlisten(struct conn *conn);

/* ---- conn_out.c */
/* Its turn comes when the link sends. */
void conn_want_send(struct conn *conn);
void conn_out_drop(struct conn *conn);

/* ---- conn_in.c */
void conn_in_drop(struct conn *conn);

#endif /* CATMEM_CONN_H */

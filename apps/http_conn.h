/*
 * One client's connection. It has one operation under way at a time: it waits for
 * bytes, or for what it has pushed to be taken, so that a client that does not read
 * its answers is not read from either, and costs no more than one chunk.
 *
 * Requests are answered one after the other, in the order they came.
 */
#ifndef APPS_HTTP_CONN_H
#define APPS_HTTP_CONN_H

#include <demi/types.h>
#include <stdbool.h>

#include "apps/http_cache.h"
#include "apps/http_count.h"

/* What all connections of a server share. */
struct http_site {
	struct http_cache *cache;
	struct http_count count;
	uint64_t now_ns;	/* of the monotonic clock, once a batch of results */
	time_t now;
	char date[HTTP_DATE_ROOM];
	bool closing;		/* each answer is its connection's last */
};

enum http_state {
	HTTP_STATE_READING,	/* a pop is pending */
	HTTP_STATE_WRITING,	/* a push is pending */
	HTTP_STATE_STARVING,	/* there was no memory for the next answer or chunk */
	HTTP_STATE_LINGERING,	/* all is said; what still comes is passed over until
				 * the client has closed, lest a reset take the answer */
};

struct http_conn {
	struct http_conn *next;		/* of the server's bucket */
	struct http_conn *later, *earlier; /* of the server's clock */
	int qd;
	uint8_t state;			/* enum http_state */
	bool last;			/* after this answer the connection closes */
	uint64_t since;			/* what it may be given up for began then */
	uint64_t skip;			/* bytes of a request's body still to come */
	/* What has come and was not looked at: first what had to be gathered, then a
	 * part of a popped buffer. */
	char *gathered;			/* a buffer, or NULL */
	uint32_t gathered_at, n_gathered;
	uint32_t seen;			/* bytes of gathered without a head's end */
	bool partial;			/* a head has begun, and since is when */
	demi_sgarray_t sga;
	const char *bytes;
	uint32_t n_bytes;
	demi_sgarray_t room;		/* for the next answer's head */
	/* the answer's file, and its bytes that have not been pushed */
	struct http_file *file;
	uint64_t pos, end;
};

/* false in all of these: the connection is at its end, and is to be freed. */

struct http_conn *http_conn_new(struct http_site *site, int qd);
void http_conn_free(struct http_site *site, struct http_conn *conn);
bool http_conn_start(struct http_site *site, struct http_conn *conn);
/* Takes the sga. */
bool http_conn_on_pop(struct http_site *site, struct http_conn *conn, const demi_sgarray_t *sga);
bool http_conn_on_push(struct http_site *site, struct http_conn *conn);
/* STARVING: there may be memory now. */
bool http_conn_resume(struct http_site *site, struct http_conn *conn);
/* Its time is over. */
bool http_conn_on_timeout(struct http_site *site, struct http_conn *conn);
/* The server ends: false if nothing is under way. */
bool http_conn_on_end(const struct http_conn *conn);

#endif /* APPS_HTTP_CONN_H */

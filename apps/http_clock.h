/*
 * Connections in the order in which their time began. All in one clock have the same
 * time, so whoever is first is over first: no more is needed than a list.
 */
#ifndef APPS_HTTP_CLOCK_H
#define APPS_HTTP_CLOCK_H

#include "apps/http_conn.h"

struct http_clock {
	uint64_t limit_ns;
	struct http_conn *first, *last;
};

static inline void http_clock_add(struct http_clock *clock, struct http_conn *conn)
{
	conn->later = NULL;
	conn->earlier = clock->last;
	*(conn->earlier ? &conn->earlier->later : &clock->first) = conn;
	clock->last = conn;
}

static inline void http_clock_remove(struct http_clock *clock, struct http_conn *conn)
{
	*(conn->later ? &conn->later->earlier : &clock->last) = conn->earlier;
	*(conn->earlier ? &conn->earlier->later : &clock->first) = conn->later;
}

/* One whose time is over; NULL: none. */
static inline struct http_conn *http_clock_over(const struct http_clock *clock, uint64_t now)
{
	struct http_conn *conn = clock->first;

	return conn && now >= conn->since + clock->limit_ns ? conn : NULL;
}

#endif /* APPS_HTTP_CLOCK_H */

/*
 * One loop: results are handed to the connections they are about, and a connection
 * says whether it lives. Whatever a client does ends its own connection at most.
 */
#include "config.h"

#include "apps/http_server.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/clock.h"
#include "apps/fail.h"
#include "apps/http_clock.h"
#include "apps/http_conn.h"
#include "apps/http_report.h"
#include "apps/http_root.h"
#include "apps/instance.h"
#include "apps/option.h"

#define BATCH 64
#define BACKLOG 4096
#define TICK_NS (CLOCK_SECOND / 4)	/* how often time is looked after */
#define STARVING_TICK_NS (CLOCK_SECOND / 50)
#define LINGER_NS (2 * CLOCK_SECOND)	/* for the client to close, for the server to end */

struct server {
	const struct http_options *opt;
	struct http_site site;
	int root;
	int qd;				/* listens */
	bool accepting;			/* an accept is pending */
	uint32_t open;			/* connections */
	uint32_t mask;
	struct http_conn **buckets;	/* by queue descriptor */
	struct http_clock busy;		/* those that read or write */
	struct http_clock lingering;
	uint64_t tick_ns;		/* when to look after time again */
	uint64_t no_memory;		/* count.no_memory at the last look */
};

static void ask_accept(struct server *s)
{
	demi_qtoken_t qt;
	int err;

	if (s->accepting || s->site.closing || s->open >= s->opt->connections)
		return;
	err = demi_accept(&qt, s->qd);
	if (err)
		fail("accept: %s", strerror(err));
	s->accepting = true;
}

/* ---- the connections */

static struct http_conn **find(const struct server *s, int qd)
{
	struct http_conn **at = &s->buckets[(uint32_t)qd & s->mask];

	while (*at && (*at)->qd != qd)
		at = &(*at)->next;
	return at;
}

static struct http_clock *clock_of(struct server *s, const struct http_conn *conn)
{
	return conn->state == HTTP_STATE_LINGERING ? &s->lingering : &s->busy;
}

static void drop(struct server *s, struct http_conn *conn)
{
	*find(s, conn->qd) = conn->next;
	http_conn_free(&s->site, conn);
	s->open--;
	ask_accept(s);
}

/* What an event calls for: its time may have begun anew, or it is at its end. clock
 * and since: before the event. */
static void settle(struct server *s, struct http_conn *conn, bool alive,
		   struct http_clock *clock, uint64_t since)
{
	if (!alive) {
		http_clock_remove(clock, conn);
		drop(s, conn);
	} else if (clock != clock_of(s, conn) || since != conn->since) {
		http_clock_remove(clock, conn);
		http_clock_add(clock_of(s, conn), conn);
	}
}

static void on_event(struct server *s, struct http_conn *conn, demi_qresult_t *qr)
{
	struct http_clock *clock = clock_of(s, conn);
	uint64_t since = conn->since;
	bool alive = false;

	if (qr->qr_opcode == DEMI_OPC_POP)
		alive = http_conn_on_pop(&s->site, conn, &qr->qr_value.sga);
	else if (qr->qr_opcode == DEMI_OPC_PUSH)
		alive = http_conn_on_push(&s->site, conn);
	else
		s->site.count.resets++;
	settle(s, conn, alive, clock, since);
}

static void on_accept(struct server *s, int qd)
{
	struct http_conn *conn = http_conn_new(&s->site, qd);

	s->accepting = false;
	if (!conn) {
		demi_close(qd);
	} else if (http_conn_start(&s->site, conn)) {
		conn->next = s->buckets[(uint32_t)qd & s->mask];
		s->buckets[(uint32_t)qd & s->mask] = conn;
		http_clock_add(&s->busy, conn);
		s->open++;
	} else {
		http_conn_free(&s->site, conn);
	}
	ask_accept(s);
}

static void handle(struct server *s, demi_qresult_t *qr)
{
	struct http_conn *conn;

	if (qr->qr_opcode == DEMI_OPC_ACCEPT) {
		on_accept(s, qr->qr_value.ares.qd);
		return;
	}
	/* no descriptor or no memory: asked for again when one goes, or in a while */
	if (qr->qr_qd == s->qd) {
		s->accepting = false;
		return;
	}
	conn = *find(s, qr->qr_qd);
	if (conn)
		on_event(s, conn, qr);
	else if (qr->qr_opcode == DEMI_OPC_POP)
		demi_sgafree(&qr->qr_value.sga); /* came when it had been given up */
}

/* ---- time */

static void read_clock(struct server *s)
{
	time_t now = time(NULL);

	s->site.now_ns = clock_ns();
	http_cache_tick(s->site.cache);
	if (now == s->site.now)
		return;
	s->site.now = now;
	http_date_format(s->site.date, now);
}

static void expire(struct server *s, struct http_clock *clock)
{
	struct http_conn *conn;

	while ((conn = http_clock_over(clock, s->site.now_ns))) {
		uint64_t since = conn->since;

		settle(s, conn, http_conn_on_timeout(&s->site, conn), clock, since);
	}
}

static void feed_starving(struct server *s)
{
	struct http_conn *next;

	for (struct http_conn *conn = s->busy.first; conn; conn = next) {
		uint64_t since = conn->since;

		next = conn->later;
		if (conn->state == HTTP_STATE_STARVING)
			settle(s, conn, http_conn_resume(&s->site, conn), &s->busy, since);
	}
}

static void tick(struct server *s)
{
	bool starved = s->no_memory != s->site.count.no_memory;

	s->tick_ns = s->site.now_ns + TICK_NS;
	s->no_memory = s->site.count.no_memory;
	expire(s, &s->busy);
	expire(s, &s->lingering);
	if (starved)
		feed_starving(s);
	ask_accept(s);
}

/* Who found no memory tries again soon. */
static void set_tick(struct server *s)
{
	uint64_t soon = s->site.now_ns + STARVING_TICK_NS;

	if (s->no_memory != s->site.count.no_memory && soon < s->tick_ns)
		s->tick_ns = soon;
}

/* ---- its life */

static int wait_results(struct server *s, demi_qresult_t *qrs, int *n_out)
{
	uint64_t now = s->site.now_ns;
	const struct timespec rest = {.tv_nsec = s->tick_ns > now ? (long)(s->tick_ns - now) : 0};
	bool idle = s->open == 0 && s->accepting;
	int err = demi_wait_next_n(qrs, BATCH, n_out, idle ? NULL : &rest);

	if (err && err != EINTR && err != ETIMEDOUT)
		fail("wait: %s", strerror(err));
	return err;
}

static void step(struct server *s)
{
	demi_qresult_t qrs[BATCH];
	int n = 0;
	int err = wait_results(s, qrs, &n);

	read_clock(s);
	for (int i = 0; !err && i < n; i++)
		handle(s, &qrs[i]);
	if (s->site.now_ns >= s->tick_ns)
		tick(s);
	set_tick(s);
}

static void open_queue(struct server *s)
{
	const struct sockaddr_in *addr = &s->opt->addr;
	char text[32];
	int err;

	err = demi_socket(&s->qd, AF_INET, SOCK_STREAM, 0);
	if (err)
		fail("cannot make a queue: %s", strerror(err));
	err = demi_bind(s->qd, (const struct sockaddr *)addr, sizeof(*addr));
	if (!err)
		err = demi_listen(s->qd, BACKLOG);
	if (err)
		fail("cannot serve on %s: %s", option_addr_text(addr, text, sizeof(text)),
		     strerror(err));
	ask_accept(s);
}

/* Who starts a client by script waits for this line. */
static void announce(const struct server *s)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	char text[32];
	int err = demi_getsockname(s->qd, (struct sockaddr *)&addr, &len);

	if (err)
		fail("getsockname: %s", strerror(err));
	if (s->opt->quiet)
		return;
	fprintf(s->opt->json ? stderr : stdout, "listening on %s (http, %s)\n",
		option_addr_text(&addr, text, sizeof(text)), s->opt->root);
	fflush(stdout);
}

static void init(struct server *s)
{
	uint32_t buckets = 1024;

	s->root = http_root_open(s->opt->root);
	instance_start();
	while (buckets < s->opt->connections && buckets < 1u << 20)
		buckets *= 2;
	s->mask = buckets - 1;
	s->buckets = calloc(buckets, sizeof(struct http_conn *));
	s->site.cache = http_cache_new(s->root, s->opt->cache);
	if (!s->buckets || !s->site.cache)
		fail("no memory");
	s->busy.limit_ns = s->opt->timeout_ns;
	s->lingering.limit_ns = LINGER_NS;
	read_clock(s);
}

static void drop_all(struct server *s, struct http_clock *clock, bool all)
{
	struct http_conn *next;

	for (struct http_conn *conn = clock->first; conn; conn = next) {
		next = conn->later;
		if (!all && http_conn_on_end(conn))
			continue;
		http_clock_remove(clock, conn);
		drop(s, conn);
	}
}

/* Answers that are under way are finished, if their clients take them. */
static void end(struct server *s)
{
	uint64_t until;

	s->site.closing = true;
	demi_close(s->qd);
	s->accepting = true; /* and never again */
	drop_all(s, &s->busy, false);
	read_clock(s);
	until = s->site.now_ns + LINGER_NS;
	while (s->open > 0 && s->site.now_ns < until)
		step(s);
	drop_all(s, &s->busy, true);
	drop_all(s, &s->lingering, true);
}

int http_server_run(const struct http_options *opt)
{
	struct server s = {.opt = opt};
	struct http_cache_stat stat;

	init(&s);
	open_queue(&s);
	announce(&s);
	while (!instance_interrupted())
		step(&s);
	end(&s);
	http_cache_stat(s.site.cache, &stat);
	http_cache_free(s.site.cache);
	demi_fini(); /* serves what clients still wait for */
	free(s.buckets);
	close(s.root);
	http_report(opt, &s.site.count, &stat);
	return 0;
}

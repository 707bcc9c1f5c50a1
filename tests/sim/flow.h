/*
 * A flow is what two programs mean to do over TCP; a conn is one attempt at it; an
 * end is the program at either side. Polite flows have to come to their good end,
 * over as many conns as the network's harm excuses; others do what they like, and
 * what they get has to be right as far as it goes.
 */
#ifndef TESTS_SIM_FLOW_H
#define TESTS_SIM_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"
#include "tests/sim/ask.h"
#include "tests/sim/prog.h"
#include "tests/sim/rnd.h"

struct conn;
struct end;
struct flow;
struct host;
struct world;

enum flow_kind {
	FLOW_POLITE,
	FLOW_RUDE,
	FLOW_REFUSED,		/* nobody listens there */
	FLOW_NOBODY,		/* nobody has that address */
	FLOW_CANCELLED,		/* the connect is taken back */
	FLOW_CROSSED,		/* both connect */
	FLOW_STRANGE,		/* to a stranger, who answers as he likes */
	FLOW_KINDS
};
extern const char *const flow_kind_names[FLOW_KINDS];

enum finish {
	/* politely: */
	FINISH_SHUT,		/* shuts down when all is pushed, closes at the end of stream */
	FINISH_LAST,		/* pushes, and closes, after the peer has shut down */
	FINISH_CLOSE,		/* closes when all is pushed and all has come */
	/* not so, once finish_at bytes have passed: */
	FINISH_CLOSE_EARLY,	/* whatever comes still */
	FINISH_ABORT,
	FINISH_LINGER_0,
	FINISH_SHUT_RD,		/* reads no more; goes on pushing */
	FINISH_SILENT,		/* stops doing anything */
	FINISHES
};

#define END_OPTS 3u

struct end_plan {
	uint64_t total;		/* bytes to push */
	uint32_t chunk_min, chunk_max, segs_max;
	uint64_t think_ns;	/* between pushes, at most */
	uint64_t read_ns;	/* between pops, at most */
	uint64_t stop_at, stop_ns; /* stops reading there, for so long */
	uint64_t hoard, hoard_ns; /* bytes of pops it keeps, and how long at most */
	bool echo;		/* pushes what it pops */
	bool turns;		/* pushes no more than it has popped (the client: than came back) */
	bool peeks;
	bool reports;		/* wants to know how its close went */
	enum finish finish;
	uint64_t finish_at;
	uint32_t n_opts;
	struct {
		enum net_opt opt;
		int64_t value;
	} opts[END_OPTS];
};

struct flow_plan {
	enum flow_kind kind;
	uint32_t client, server; /* hosts */
	uint32_t client_ip, server_ip; /* which of theirs */
	uint16_t port;
	bool bind;		/* the client does, to a port of its choice */
	uint64_t start_at;
	uint64_t cancel_ns;
	struct end_plan end[2];	/* the client's, the server's */
};

struct flow {
	struct world *w;
	uint32_t nr;
	struct flow_plan plan;
	struct rnd rnd;
	struct conn *conns;	/* the newest first */
	uint32_t n_conns;
	bool done;
	uint64_t delivered;	/* bytes, of the conn that came to its end */
};

struct conn {
	struct conn *next;
	struct flow *flow;
	uint32_t nr;
	struct end *end[2];	/* [1]: NULL until it is accepted */
	struct net_addr client;	/* once it is known: port not 0 */
	uint64_t stream[2];	/* of what each pushes */
	uint64_t began, progress;
	bool over;
};

enum end_state {
	END_NEW,
	END_CONNECTING,
	END_OPEN,
	END_CLOSING,		/* closed, and waits for the report */
	END_DONE,
};

struct held {
	struct net_mem *mem;
	uint32_t pinned;
	uint64_t until;
};

struct end {
	struct prog prog;
	struct world *w;
	struct conn *conn;	/* NULL: of a stranger */
	struct end *next;	/* of the world, for the end */
	uint32_t side;
	enum end_state state;
	const struct end_plan *plan;
	struct net_sock *sock;
	struct net_sock *left;	/* closed, and its report is not waited for */
	struct rnd rnd, ask_rnd;
	struct asked asked;
	uint64_t pushed, popped;
	bool eof, shut, shut_rd, silent, stopped, blocked, finished;
	int err;		/* what ended it */
	uint64_t next_push, next_read, cancel_at;
	uint32_t n_connected, n_failed, n_reports, n_tries;
	struct held *held;	/* a ring */
	uint32_t held_first, held_n, held_room;
	uint64_t held_bytes;
	struct net_seg echo;	/* popped, to be pushed; mem NULL: none */
	int64_t charged;
	uint64_t sndbuf;
};

/* ---- flows */

void flow_init(struct flow *f, struct world *w, uint32_t nr, const struct flow_plan *plan);
void flow_free(struct flow *f);
/* Where it stands, in words. */
void flow_describe(const struct flow *f, char *text, size_t size);
/* Looks whether it still moves. */
void flow_watch(struct flow *f);
/* Whom a side connects to. */
struct net_addr conn_peer(const struct conn *c, uint32_t side);
/* An end has come to its end. */
void conn_end_done(struct conn *c);
/* The conn whose client has this address, for the server's port; NULL: a stranger's. */
struct conn *conn_find(struct world *w, const struct host *server, uint16_t port,
		       const struct net_addr *client);

/* Whether a server that accepts one from this address may take it for an older one. */
bool conn_may_be_mistaken(const struct conn *c, const struct net_addr *client);

/* ---- ends */

struct end *end_new(struct world *w, struct host *host, struct conn *conn, uint32_t side,
		    const struct end_plan *plan, uint64_t seed);
void end_free(struct end *e);
/* A client begins; a server's has been accepted. */
void end_connect(struct end *e);
void end_accepted(struct end *e, struct net_sock *sock);
/* Gives up at once: resets what there is. */
void end_abort(struct end *e);
/* ns at which it means to act by itself; 0: it waits for others. */
uint64_t end_acts_at(const struct end *e);

/* ---- listeners */

struct listener {
	struct prog prog;
	struct world *w;
	struct net_ip ip;
	uint16_t port;
	int backlog;
	uint64_t accept_ns;	/* between accepts, at most */
	uint64_t next_accept;
	struct net_sock *sock;
	struct rnd rnd;
	uint32_t n_accepted;
};

/* ip: any, or one of the host's */
void listener_init(struct listener *l, struct world *w, struct host *host, struct net_ip ip,
		   uint16_t port, int backlog, uint64_t accept_ns, uint64_t seed);
/* The host lives again. */
void listener_again(struct listener *l);
/* For good. */
void listener_close(struct listener *l);

#endif /* TESTS_SIM_FLOW_H */

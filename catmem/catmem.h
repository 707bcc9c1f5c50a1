/*
 * catmem: the queue API over shared memory, between processes of one host.
 *
 * An instance has a link for each address it talks to: a pair of rings
 * (catmem/ring.h) and a Unix socket, over which all connections and datagrams
 * there go. The socket carries descriptors and kicks, and its end says that the
 * other process is gone. See doc/catmem.md.
 */
#ifndef CATMEM_CATMEM_H
#define CATMEM_CATMEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "catmem/fifo.h"
#include "catmem/ring.h"
#include "catmem/wire.h"
#include "libos/backend.h"
#include "libos/libos.h"
#include "libos/watch.h"

struct catmem;
struct conn;
struct dsock;
struct link;
struct listener;
struct name;
struct ports;
struct uid_pool;

#define LINKS_HOT 8u		/* so many links are polled in any case */
#define CATMEM_ROUTES 1024u
#define MAX_LENT (1u << 20)	/* loans of one side of a link */
#define MEMORY_RETRY_NS 5000000u /* until it is looked whether there is some */
#define CATMEM_CHARGE 64u	/* what a message costs beside its bytes */

enum catmem_count {
	CATMEM_C_LINKS,
	CATMEM_C_CONNS,
	CATMEM_C_INLINE_MSGS,
	CATMEM_C_REF_MSGS,
	CATMEM_C_LENT,		/* references peers hold now */
	CATMEM_C_BORROWED,	/* references we hold now */
	CATMEM_C_KICKS,
	CATMEM_C_GATHERED_BYTES,
	CATMEM_C_DGRAM_DROPS,
	CATMEM_C_RESETS,
	CATMEM_C_PEER_DEATHS,
	CATMEM_C_PEER_ERRORS,	/* links ended because the peer made no sense */
	CATMEM_C_REFUSED_UIDS,
	CATMEM_N_COUNTS
};

/* One memfd of ours that peers may map; area->priv of its area. */
struct region {
	uint32_t id;		/* see wire.h */
	int fd;			/* read-only, to be sent to peers */
};

/* A peer's memory. */
struct foreign {
	struct libos_area area;	/* in the instance's map */
	struct link *link;	/* NULL once the link is gone */
	struct catmem *cm;
	uint32_t id;
	ino_t ino;		/* of its memfd */
	struct list loans;	/* of it that we hold, those of the program first */
	size_t size;		/* bytes mapped */
};

/* A reference to a peer's bytes that we hold. */
struct loan {
	struct libos_buf buf;
	struct foreign *foreign;
	uint32_t id;		/* the peer's name for it */
	bool shown;		/* the program has it, or had: in the hash */
	struct loan *next;	/* hash chain by buf.base; free list */
	struct list node;	/* of its foreign */
};

/* A reference to a buffer that a peer holds. */
struct lent {
	struct libos_buf *buf;	/* NULL: free */
	uint8_t *addr;
	uint32_t len;
	uint32_t charge;
	union {
		struct conn *conn; /* charged to it; NULL: the link's datagrams */
		uint32_t next_free;
	};
};

/* Bytes on their way out, or in, of a queue. */
struct piece {
	struct libos_buf *buf;
	uint8_t *addr;
	uint32_t len;
	uint32_t charge;	/* in: credit owed for it when consumed */
	uint32_t loan;		/* in: our own memory came back by reference: the
				 * peer's loan to return; else NO_LOAN */
};

#define NO_LOAN UINT32_MAX

/* A connection of a link. id is gen | slot, so that a late message never meets
 * a newer connection. */
struct conn_slot {
	struct conn *conn;
	uint32_t id;
};

#define CONN_SLOT_BITS 20u

/* REFUSE or RESET to a name of the peer's. */
struct reply {
	enum wire_type type;
	uint32_t conn;
	uint32_t value;
};

enum link_state {
	LINK_HELLO,		/* waits for the other's half of the ring */
	LINK_UP,
	LINK_DEAD,
};

struct link {
	struct libos_watch watch; /* of the socket */
	int fd;			/* the socket */
	struct catmem *cm;
	struct ring ring;
	enum link_state state;
	bool usable;		/* up and not broken */
	bool hot;		/* polled; else it kicks us */
	bool touched;		/* on cm->touched: published or released */
	bool published;
	bool released;
	bool want_out;		/* the socket was full */
	bool blocked;		/* the ring was full */
	bool stalled;		/* no memory to take in the next message */
	bool given_back;	/* ... but what it gives back is ours again */
	bool broken;		/* made no sense: ended at the next safe point */
	bool gone;		/* the other end has closed the socket */
	bool doomed;		/* broken or gone: counted in cm->n_doomed */
	uint32_t last;		/* gone: it has published nothing from here on */
	uid_t uid;		/* of the peer */
	pid_t pid;		/* and its process; 0: of another namespace */
	uint32_t idle_passes;
	void *mine, *theirs;	/* halves of the ring */
	uint32_t *returns;	/* loans to give back */
	uint32_t n_returns, cap_returns;
	struct lent *lent;
	uint32_t n_lent, cap_lent, free_lent;
	struct conn_slot *conns; /* by the low bits of the peer's name for it */
	uint32_t n_conns, cap_conns;
	struct fifo free_conns;	/* uint32_t: slots to use again, the oldest first */
	struct fifo replies;	/* struct reply: to what belongs to no connection */
	struct list sending;	/* connections with something to say */
	struct fifo dgrams;	/* datagrams that wait for room */
	uint32_t dgram_charge;	/* of datagrams that the peer holds */
	struct foreign **foreigns; /* by the low bits of their names */
	uint32_t n_foreigns, n_mapped;
	uint8_t *announced;	/* bitmap of our regions, by the same */
	uint32_t n_announced;
	uint32_t n_gathers;	/* buffers of small messages that nobody has popped */
	uint32_t borrowed;	/* loans of the peer that we hold, `returns` apart */
	struct list node;	/* of cm->links */
	struct list hot_node;	/* of cm->hot */
	struct list touched_node;
	struct list routes;	/* names that lead here */
	uint32_t n_routes;
};

struct catmem {
	struct libos_ctx ctx;	/* first */
	struct libos *os;
	uint64_t *count;
	struct list links;
	struct list hot;
	struct list touched;
	struct list closing;	/* connections closed by the program, not done */
	struct list dsocks;	/* bound */
	struct list listeners;
	struct list pipes;	/* created, not yet opened */
	struct list hoards;	/* connections whose program frees nothing */
	uint64_t chores_at;	/* when hoards and closing are looked at next, ns */
	uint64_t fin_wait;	/* ns */
	struct list routes[CATMEM_ROUTES];
	uint32_t n_hot;
	struct region **regions; /* by the low bits of their names */
	uint32_t n_regions;	/* slots */
	uint32_t next_region;	/* high bits of the next name */
	/* names */
	const char *dir;	/* catmem.dir, or NULL: below the runtime directory */
	int dirfd;		/* of it; -1: not yet */
	int reserve_fd;		/* given up when there is no other */
	struct ports *ports;
	/* loans */
	struct loan *free_loans;
	struct loan **loan_hash;
	uint32_t loan_mask, n_loans, n_loan_chunks; /* n_loans: in the hash */
	void **loan_chunks;
	uid_t uid;		/* our own */
	uid_t *uids;		/* whose processes we talk to beside our own */
	uint32_t n_uids;
	struct uid_pool *uid_pools; /* memory that only they may map */
	struct libos_pool reserve; /* for small messages at the pool's limit */
	uint32_t n_doomed;
	uint32_t next_origin;
	uint32_t sndbuf, rcvbuf; /* defaults */
	bool told_refused;
};

static inline struct catmem *catmem_of(struct libos_ctx *ctx)
{
	return (struct catmem *)ctx;
}

static inline void chores_within(struct catmem *cm, uint64_t ns)
{
	if (cm->chores_at > cm->os->now + ns)
		cm->chores_at = cm->os->now + ns;
}

static inline void catmem_count(struct catmem *cm, enum catmem_count what, int64_t n)
{
	cm->count[what] += (uint64_t)n;
}

/* ---- region.c: memory that peers can map, and theirs */
extern const struct libos_mem_ops catmem_mem;
/* A sealed memfd of size bytes, mapped writable at addr (or anywhere), its
 * read-only descriptor. */
int region_make(const char *what, size_t size, void *at, void **addr_out, int *fd_out);
/* Maps a peer's memfd read-only after checking that it can neither shrink, nor
 * be written or punched through another mapping, and is all there. */
int region_map_foreign(int fd, size_t size, size_t align, void **addr_out);
/* A region the peer announced. */
int foreign_add(struct link *link, uint32_t id, size_t size, int fd);
struct libos_buf *foreign_find_buf(struct libos_area *area, const void *addr, uint32_t len);
/* The pool whose memory processes of that user may map; made when needed. */
struct libos_pool *uid_pool(struct catmem *cm, uid_t uid);
void uid_pools_fini(struct catmem *cm);
/* For a message that came in a slot, when the pool has nothing; NULL. */
struct libos_buf *reserve_alloc(struct catmem *cm);
struct foreign *foreign_find(struct link *link, uint32_t id);
/* The peer has all of it back, or the link ends. */
void foreign_withdraw(struct link *link, uint32_t id);
/* The link is gone: each goes when its last loan does. */
void foreign_orphan_all(struct link *link);

/* ---- loan.c: references across the link */
int loans_init(struct catmem *cm);
/* Buffers that the program still holds are gone: their memory is unmapped. */
void loans_drop(struct catmem *cm);
void loans_fini(struct catmem *cm);
/* A buffer for [offset, offset + len) of a peer's region: one reference. */
struct loan *loan_take(struct foreign *f, uint32_t id, uint32_t offset, uint32_t len);
/* The program gets it: from now on it is found by its address. */
void loan_show(struct loan *loan);
static inline void loan_show_buf(struct libos_buf *buf)
{
	if (buf->area->kind == LIBOS_AREA_FOREIGN)
		loan_show(container_of(buf, struct loan, buf));
}
void link_return(struct link *link, uint32_t loan);
/* Lends a buffer, whose reference it takes over: its name. ENOMEM. */
int lent_add(struct link *link, const struct piece *p, struct conn *conn, uint32_t *id_out);
uint32_t loan_slot(const struct catmem *cm, const void *base);
void loan_free(struct catmem *cm, struct loan *loan);
struct lent *lent_find(struct link *link, uint32_t id);
/* Gives up the reference; the charge goes back to whom it was charged. */
void lent_end(struct link *link, uint32_t id);
void lent_end_all(struct link *link);

/* ---- link.c */
/* A link over a connected socket, which it takes over; in LINK_HELLO. EACCES:
 * not a user we talk to. */
int link_open(struct catmem *cm, int fd, struct link **link_out);
/* Marks as unusable, with one line; it ends at the next safe point. */
void link_break(struct link *link, const char *why);
void link_end(struct link *link);
void link_reply(struct link *link, enum wire_type type, uint32_t conn, uint32_t err);
uint8_t *link_reserve_anew(struct link *link);
void link_touch_anew(struct link *link);

/* On the list of those that catmem_flush() looks at. */
static inline void link_touch(struct link *link)
{
	if (!link->touched)
		link_touch_anew(link);
}

/* A slot to fill; NULL: full, or the link is broken. */
static inline uint8_t *link_reserve(struct link *link)
{
	if (likely(link->usable && link->ring.prod != link->ring.prod_limit))
		return link->ring.slots[link->ring.prod_at].data;
	return link_reserve_anew(link);
}

static inline void link_publish(struct link *link, uint32_t tag)
{
	ring_publish(&link->ring, tag);
	link->published = true;
	link_touch(link);
}

/* Stream bytes, and with them a loan that the peer may have back. */
static inline void link_publish_data(struct link *link, struct wire_data *msg, uint32_t tag)
{
	if (link->n_returns) {
		msg->loan = link->returns[--link->n_returns];
		tag |= WIRE_GIVES_BACK;
	}
	link_publish(link, tag);
}

/* It has something to say, and room for it, but no memory: nobody will kick it. */
static inline bool link_waits_for_memory(const struct link *link)
{
	return (!list_empty(&link->sending) || link->dgrams.n) && !link->blocked &&
	       !link->want_out;
}

/* Nothing has come and nothing waits to go; every 64th pass looks closely. */
static inline bool link_is_quiet(const struct link *link)
{
	return ring_is_quiet(&link->ring) && !link->n_returns && !link->blocked &&
	       list_empty(&link->sending) && !link->dgrams.n && link->idle_passes % 64 != 63;
}

/* Makes sure that the peer knows a region of ours: 0, EAGAIN. */
int link_announce(struct link *link, const struct region *region);
int link_note(struct link *link, const struct wire_note *note, const void *tail, size_t len,
	      int fd);
/* Reads what is on the socket, so many at most. */
void link_read_notes(struct link *link, uint32_t max);
bool link_poll(struct link *link);
/* Until nothing is left: true if something stays because there is no memory. */
bool link_poll_all(struct link *link);
/* Says what waits to be said, as far as there is room. */
void link_send(struct link *link);
/* Kicks the peer if it sleeps for what we did. */
void link_flush(struct link *link);
bool link_sleep(struct link *link);
void link_wake(struct link *link);
/* Fills one reference to a piece; ENOMEM, EAGAIN. Takes the piece's hold. */
int link_lend(struct link *link, struct piece *p, struct conn *conn, struct wire_ref *ref);
/* A piece out of a reference that came in; EPROTO. */
int link_borrow(struct link *link, const struct wire_ref *ref, struct piece *piece_out);
/* Takes an idle link among many off the polled ones, and back. */
void link_cool(struct link *link);
void link_make_hot(struct link *link);

/* ---- name.c: who is where */
enum name_kind {
	NAME_STREAM = 't',
	NAME_DGRAM = 'u',
	NAME_PIPE = 'p',
};

/* Ours for as long as its lock file's descriptor is open. */
struct name {
	char file[224];		/* "t-127.0.0.1:80", below the directory */
	int lock;		/* descriptor of its lock file */
	const char *prefix;	/* of the lock file's name */
	uint16_t port;		/* from name_port(); 0: chosen by the program */
	bool deaf;		/* no descriptor for who knocks: until the next accept */
	struct libos_watch watch; /* the rendezvous socket, when it listens */
	struct catmem *cm;
};

/* Takes the name of an address; port 0 picks one. EADDRINUSE; EAGAIN: the
 * directory stays locked. */
int name_bind(struct catmem *cm, enum name_kind kind, struct sockaddr_in *addr,
	      struct name *name);
/* Takes a pipe's name. EEXIST. */
int name_bind_pipe(struct catmem *cm, const char *pipe, struct name *name);
/* EBUSY: somebody else has it open; ENOENT. Connects: link_out. */
int name_open_pipe(struct catmem *cm, const char *pipe, struct name *name,
		   struct link **link_out);
/* "t-127.0.0.1:80" of a bound name without its kind: what was given. */
const char *name_pipe(const struct name *name);
/* Opens the rendezvous socket of a name that was bound. */
int name_listen(struct name *name);
/* Lets in whoever knocks. */
void name_admit(struct name *name);
void name_stop(struct name *name);
void name_drop(struct name *name);
/* A port for a client that needs no name of its own. */
int name_port(struct catmem *cm, uint16_t *port_out);
void name_port_free(struct catmem *cm, uint16_t port);
/* The link to whoever holds an address: known, if not the stale one, or made now.
 * ECONNREFUSED. */
int name_route(struct catmem *cm, enum name_kind kind, const struct sockaddr_in *addr,
	       const struct link *stale, struct link **link_out);
/* A datagram came from there: answers go the same way. */
void name_learn(struct link *link, enum name_kind kind, uint32_t ip, uint16_t port);
void name_unlearn(struct link *link, enum name_kind kind, uint32_t ip, uint16_t port);
void name_forget(struct link *link);
void names_fini(struct catmem *cm);
/* The one descriptor that is kept for when there is no other, and its use. */
void reserve_fd_keep(struct catmem *cm);
void reserve_fd_give(struct catmem *cm);
void name_log_refused(struct catmem *cm, const struct sockaddr_in *addr);

/* ---- option.c: what is remembered; only SNDBUF, RCVBUF and LINGER do anything */
struct sock_options {
	int linger_s;		/* -1: off */
	int keepidle, keepintvl, keepcnt;
	bool keepalive, reuseaddr, nodelay;
	bool error_told;	/* SO_ERROR tells it once */
};

void options_init(struct sock_options *o);
int option_set(struct libos_queue *q, int level, int name, const void *val, socklen_t len);
int option_get(struct libos_queue *q, int level, int name, void *val, socklen_t *len);

/* ---- conn.c, conn_open.c, conn_out.c, conn_in.c: stream queues and pipes */
struct conn {
	struct libos_queue q;	/* first */
	struct catmem *cm;
	struct link *link;	/* NULL: none yet, or gone */
	uint32_t id;		/* our name for it, on this link */
	uint32_t peer;		/* the peer's; valid when `open` */
	bool open;		/* both names are known */
	bool closed;		/* the program has closed it */
	bool finished;		/* nothing more to be said either way */
	bool fin_owed, fin_sent, fin_acked;
	bool fin_seen, finack_owed;
	bool rd_shut;
	bool connect_owed, accept_owed, reset_owed, need_owed, need_sent;
	bool reset_late;	/* data came in after our close */
	bool quiet;		/* the peer closed, then went: one more push is ok */
	bool quiet_pushed;	/* ... and has been made */
	bool wild;		/* bound to any address, until it connected */
	bool eager;		/* the sender is short of window: credit at once */
	bool retried;		/* a connect that was refused by a stale route */
	bool in_accept;		/* in its listener's list */
	bool linger0;
	int err;		/* why it failed: every later push and pop */
	struct fifo out;	/* pieces taken, not yet in the ring */
	struct fifo in;		/* pieces arrived, not yet popped */
	struct libos_buf *gather; /* the last of `in`, while it has room */
	uint32_t gathered;	/* bytes in it */
	uint32_t n_gathers;	/* of link->n_gathers */
	uint32_t outstanding;	/* charge of what rode in slots, not credited yet */
	uint32_t lent_charge;	/* charge of what the peer has not given back */
	uint32_t n_lent;	/* references of it that the peer holds */
	uint32_t queued;	/* charge of what is in `out` */
	uint32_t credit;	/* to give back to the peer */
	uint32_t origin;	/* of the buffers that its small messages fill */
	uint32_t unfreed;	/* the program holds so much of them at most, but for
				 * what `credit` is for */
	uint32_t sndbuf;
	struct list sending_node; /* of link->sending */
	struct list hoard_node;	/* of cm->hoards: its credit is kept back */
	struct list node;	/* of cm->closing, or of its listener */
	struct listener *listener;
	struct libos_op *close_op;
	uint64_t fin_since;	/* when it was closed, and its FIN out, ns; 0: not yet */
	struct sock_options options;
	struct sockaddr_in local, remote;
	uint16_t port;		/* from name_port(); 0: none */
	struct name *name;	/* bound, or a pipe's */
};

struct listener {
	struct list node;	/* of cm->listeners */
	struct conn *conn;	/* the listening queue */
	struct list pending;	/* connections nobody has accepted yet */
	uint32_t n_pending;
	uint32_t n_told;	/* of them, those whose peers know */
	uint32_t backlog;
};

int conn_new(struct catmem *cm, enum libos_queue_type type, struct conn **conn_out);
int conn_attach(struct conn *conn, struct link *link);
struct conn *conn_find(struct link *link, uint32_t id);
/* A slot of the ring for a connection. */
void conn_input(struct link *link, uint32_t tag, const struct wire_data *msg);
bool conn_input_waited(struct link *link, uint32_t tag, const struct wire_data *msg);
void conn_connect_in(struct link *link, const struct wire_connect *msg);
void conn_pipe_in(struct link *link, uint32_t peer_conn, const char *pipe);
/* Fails the accepts of the queue that listens there; false: none does. */
bool conn_starved(const struct name *name, int err);
/* Says what it has to say; false when the ring is full. */
bool conn_send(struct conn *conn);
/* The peer has given back what was charged for a loan; may free conn. */
void conn_lent_back(struct conn *conn, uint32_t charge);
void conn_credit_in(struct conn *conn, uint32_t charge);
/* Whether those whose credit is kept back may have it. */
void hoards_look(struct catmem *cm);
/* A push that waited has been cancelled. */
void conn_push_cancelled(struct conn *conn);
void conn_link_gone(struct conn *conn);
/* Who waits takes the place of those that have gone from backlogs. */
void conn_backlogs_move(struct catmem *cm);
/* Resets who was closed long ago and still has no answer. */
void closing_look(struct catmem *cm);
void conn_free(struct conn *conn);
bool conn_owes(const struct conn *conn);

int conn_bind(struct libos_queue *q, const struct sockaddr_in *addr);
int conn_listen(struct libos_queue *q, int backlog);
int conn_accept(struct libos_queue *q, struct libos_op *op);
int conn_connect(struct libos_queue *q, struct libos_op *op, const struct sockaddr_in *addr);
void conn_connect_cancel(struct conn *conn);
int conn_push(struct libos_queue *q, struct libos_op *op, const struct libos_io *io);
int conn_pop(struct libos_queue *q, struct libos_op *op);
int conn_shutdown(struct libos_queue *q, int how);
void conn_close(struct libos_queue *q, struct libos_op *op);
int conn_pipe(struct catmem *cm, const char *name, bool create, struct libos_queue **q_out);

/* ---- dgram.c */
struct dsock {
	struct libos_queue q;	/* first */
	struct catmem *cm;
	struct sockaddr_in local, remote;
	struct name *name;
	struct fifo in;		/* struct dgram_in */
	uint32_t pinned;	/* charge of `in` */
	uint32_t sndbuf, rcvbuf;
	bool rd_shut;
	struct sock_options options;
	struct list node;	/* of cm->dsocks */
};

int dsock_new(struct catmem *cm, struct dsock **s_out);
int dsock_bind(struct libos_queue *q, const struct sockaddr_in *addr);
int dsock_connect(struct libos_queue *q, struct libos_op *op, const struct sockaddr_in *addr);
int dsock_push(struct libos_queue *q, struct libos_op *op, const struct libos_io *io,
	       const struct sockaddr_in *to);
int dsock_pop(struct libos_queue *q, struct libos_op *op);
int dsock_shutdown(struct libos_queue *q, int how);
void dsock_close(struct libos_queue *q, struct libos_op *op);
void dgram_input(struct link *link, uint32_t tag, const struct wire_dgram *msg);
/* Sends what waits in link->dgrams; false when the ring is full. */
bool dgrams_send(struct link *link);
void dgrams_drop(struct link *link);

extern const struct libos_backend catmem_backend;

#endif /* CATMEM_CATMEM_H */

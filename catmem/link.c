#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "catmem/catmem.h"
#include "libos/fds.h"
#include "libos/log.h"

#define COLD_AFTER 1024u	/* empty passes until a link may grow cold */
#define POLL_BATCH 256u
#define NOTE_TAIL 256u
#define NOTES 64u		/* at a time: what is left wakes us again */
#define MAX_NOTES 4096u		/* more than a socket holds */

/* Ended at the next safe point, with nothing of it on the stack. */
static void doom(struct link *link)
{
	link->cm->n_doomed += !link->doomed;
	link->doomed = true;
	link->cm->os->dirty = true;
}

/* ---- the socket beside the ring */

int link_note(struct link *link, const struct wire_note *note, const void *tail, size_t len,
	      int fd)
{
	struct iovec iov[2] = { { (void *)(uintptr_t)note, sizeof(*note) },
				{ (void *)(uintptr_t)tail, len } };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} u;
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	int saved = errno, err = 0;

	if (fd >= 0) {
		struct cmsghdr *c;

		memset(&u, 0, sizeof(u));
		msg.msg_control = u.buf;
		msg.msg_controllen = sizeof(u.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(link->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		err = errno == EWOULDBLOCK ? EAGAIN : errno;
	errno = saved; /* on the way of a push */
	return err;
}

static int announced_grow(struct link *link, uint32_t slot)
{
	uint32_t n = link->n_announced ? link->n_announced : 64;
	uint8_t *bits;

	while (n <= slot)
		n *= 2;
	bits = realloc(link->announced, n / 8);
	if (!bits)
		return ENOMEM;
	memset(bits + link->n_announced / 8, 0, (n - link->n_announced) / 8);
	link->announced = bits;
	link->n_announced = n;
	return 0;
}

static int announce(struct link *link, const struct region *region, uint32_t slot)
{
	off_t size = lseek(region->fd, 0, SEEK_END);
	struct wire_note note = { .type = WIRE_NOTE_REGION, .value = region->id,
				  .size = (uint64_t)size };
	int err = link_note(link, &note, NULL, 0, region->fd);

	if (err == EAGAIN && !link->want_out) {
		link->want_out = true;
		libos_watch_mod(link->cm->os, &link->watch, EPOLLIN | EPOLLOUT);
	}
	if (!err)
		link->announced[slot / 8] |= (uint8_t)(1u << slot % 8);
	return err == 0 || err == ENOMEM ? err : EAGAIN; /* a dead peer shows soon */
}

int link_announce(struct link *link, const struct region *region)
{
	uint32_t slot = wire_region_slot(region->id);
	int err = 0;

	if (slot >= link->n_announced)
		err = announced_grow(link, slot);
	if (err)
		return err;
	if (likely(link->announced[slot / 8] & 1u << slot % 8))
		return 0;
	return announce(link, region, slot);
}

void link_make_hot(struct link *link)
{
	if (link->hot || link->state != LINK_UP)
		return;
	link->hot = true;
	link->idle_passes = 0;
	ring_awake(&link->ring);
	list_add_tail(&link->cm->hot, &link->hot_node);
	link->cm->n_hot++;
}

static void link_make_cold(struct link *link)
{
	if (!link->hot)
		return;
	link->hot = false;
	list_del(&link->hot_node);
	link->cm->n_hot--;
}

/* The other's half of the ring: now messages can go both ways. */
static void hello_in(struct link *link, uint32_t magic, int fd)
{
	void *theirs;
	int err;

	if (link->state != LINK_HELLO || magic != WIRE_MAGIC || fd < 0) {
		link_break(link, "speaks another version");
		return;
	}
	err = region_map_foreign(fd, WIRE_HALF_SIZE, 4096, &theirs);
	if (err) {
		link_break(link, strerror(err));
		return;
	}
	link->theirs = theirs;
	ring_init(&link->ring, link->mine, link->theirs, WIRE_HALF_SIZE);
	link->state = LINK_UP;
	link->usable = true;
	link_make_hot(link);
	link_touch(link);
}

static void note_in(struct link *link, const struct wire_note *note, char *tail, size_t len,
		    int fd)
{
	int err;

	switch (note->type) {
	case WIRE_NOTE_HELLO:
		hello_in(link, note->value, fd);
		return;
	case WIRE_NOTE_REGION:
		err = fd < 0 ? EMFILE : foreign_add(link, note->value, note->size, fd);
		if (err)
			link_break(link, strerror(err));
		return;
	case WIRE_NOTE_WITHDRAW:
		foreign_withdraw(link, note->value);
		return;
	case WIRE_NOTE_PIPE:
		tail[len] = '\0';
		if (link->state == LINK_UP)
			conn_pipe_in(link, note->value, tail);
		return;
	case WIRE_NOTE_KICK:
		return;
	default:
		link_break(link, "sent an unknown note");
	}
}

/* Keeps the first descriptor, closes what else a peer may have sent. */
static int fds_in(struct msghdr *msg)
{
	int first = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (first < 0)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

/* False when there is none, or the other end is gone. */
static bool note_take(struct link *link)
{
	struct wire_note note;
	char tail[NOTE_TAIL + 1];
	struct iovec iov[2] = { { &note, sizeof(note) }, { tail, NOTE_TAIL } };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(4 * sizeof(int))];
	} u;
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2, .msg_control = u.buf,
			      .msg_controllen = sizeof(u.buf) };
	ssize_t n = recvmsg(link->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0 && errno == ECONNRESET)
		return true; /* said once; what was sent before can still be read */
	if (n <= 0) {
		link->gone = true;
		return false;
	}
	fd = fds_in(&msg);
	if ((size_t)n < sizeof(note))
		link_break(link, "sent half a note");
	else
		note_in(link, &note, tail, (size_t)n - sizeof(note), fd);
	if (fd >= 0)
		close(fd);
	return true;
}

/* One note. A descriptor that finds no number is lost, and with it the link, so
 * there is a number for what brings one: until its memory has been mapped. */
static bool note_read(struct link *link)
{
	uint32_t type = 0;
	ssize_t n = recv(link->fd, &type, sizeof(type), MSG_PEEK | MSG_DONTWAIT);
	bool brings = type == WIRE_NOTE_HELLO || type == WIRE_NOTE_REGION, more;

	if (n < 0 && errno == EAGAIN)
		return false;
	if (brings)
		reserve_fd_give(link->cm);
	more = note_take(link);
	if (brings)
		reserve_fd_keep(link->cm);
	return more;
}

void link_read_notes(struct link *link, uint32_t max)
{
	for (uint32_t n = 0; n < max && !link->broken && !link->gone && note_read(link); n++)
		;
}

/* ---- life */

static void ready(struct libos_watch *w, uint32_t events)
{
	struct link *link = container_of(w, struct link, watch);

	if (events & EPOLLOUT && link->want_out) {
		link->want_out = false;
		libos_watch_mod(link->cm->os, w, EPOLLIN);
		link_touch(link);
	}
	link_read_notes(link, NOTES);
	link_make_hot(link);
	if (!link->gone || link->broken)
		return;
	link->last = link->ring.cons + link->ring.n;
	libos_watch_del(link->cm->os, w); /* it has no more to say */
	if (link_poll_all(link))
		doom(link); /* looked at again in every pass */
	else
		link_end(link);
}

static int hello_out(struct link *link)
{
	struct wire_note note = { .type = WIRE_NOTE_HELLO, .value = WIRE_MAGIC };
	int fd, err;

	err = region_make("clowder-ring", WIRE_HALF_SIZE, NULL, &link->mine, &fd);
	if (err)
		return err;
	err = link_note(link, &note, NULL, 0, fd);
	libos_fd_close(fd);
	return err;
}

static void link_free(struct link *link)
{
	if (link->mine)
		munmap(link->mine, WIRE_HALF_SIZE);
	if (link->theirs)
		munmap(link->theirs, WIRE_HALF_SIZE);
	free(link->returns);
	free(link->announced);
	free(link->conns);
	fifo_fini(&link->free_conns);
	fifo_fini(&link->replies);
	fifo_fini(&link->dgrams);
	free(link);
}

/* Takes over fd, also when it fails. */
static int link_new(struct catmem *cm, int fd, struct link **link_out)
{
	struct link *link = calloc(1, sizeof(*link));
	int err = ENOMEM;

	if (!link)
		goto err_fd;
	link->cm = cm;
	link->fd = fd;
	link->watch.ready = ready;
	link->free_lent = NO_LOAN;
	list_init(&link->sending);
	list_init(&link->routes);
	list_init(&link->hot_node);
	list_init(&link->touched_node);
	err = libos_watch_add(cm->os, &link->watch, fd, EPOLLIN);
	if (err)
		goto err_free;
	err = hello_out(link);
	if (err)
		goto err_watch;
	list_add_tail(&cm->links, &link->node);
	catmem_count(cm, CATMEM_C_LINKS, 1);
	*link_out = link;
	return 0;

err_watch:
	libos_watch_del(cm->os, &link->watch);
err_free:
	link_free(link);
err_fd:
	libos_fd_close(fd);
	return err;
}

/* By default only processes of our own user; catmem.peer_uids names others. */
static int uid_check(struct catmem *cm, int fd, struct ucred *cred_out)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return errno;
	*cred_out = cred;
	if (cred.uid == geteuid())
		return 0;
	for (uint32_t i = 0; i < cm->n_uids; i++)
		if (cm->uids[i] == cred.uid)
			return 0;
	catmem_count(cm, CATMEM_C_REFUSED_UIDS, 1);
	log_warn("catmem: a process of uid %u is not talked to; catmem.peer_uids could name it",
		 (unsigned)cred.uid);
	return EACCES;
}

int link_open(struct catmem *cm, int fd, struct link **link_out)
{
	struct link *link = NULL;
	struct ucred cred = { 0 };
	int err = uid_check(cm, fd, &cred);

	if (err) {
		libos_fd_close(fd);
		return err;
	}
	err = link_new(cm, fd, &link);
	if (err)
		return err;
	link->uid = cred.uid;
	link->pid = cred.pid;
	*link_out = link;
	return 0;
}

void link_break(struct link *link, const char *why)
{
	if (link->broken || link->state == LINK_DEAD)
		return;
	log_warn("catmem: a peer process is cut off: %s", why);
	catmem_count(link->cm, CATMEM_C_PEER_ERRORS, 1);
	link->broken = true;
	link->usable = false;
	doom(link);
}

/* Everything on it fails, everything lent comes back; what we borrowed stays
 * mapped until it is freed. */
void link_end(struct link *link)
{
	struct catmem *cm = link->cm;
	link_make_cold(link);
	if (link->gone && link->state == LINK_UP)
		catmem_count(cm, CATMEM_C_PEER_DEATHS, 1);
	link->state = LINK_DEAD;
	link->usable = false;
	cm->n_doomed -= link->doomed;
	libos_watch_del(cm->os, &link->watch);
	libos_fd_close(link->fd);
	list_del(&link->touched_node);
	list_del(&link->node);
	name_forget(link);
	for (uint32_t i = 0; i < link->n_conns; i++)
		if (link->conns[i].conn)
			conn_link_gone(link->conns[i].conn);
	conn_backlogs_move(cm);
	dgrams_drop(link);
	lent_end_all(link);
	foreign_orphan_all(link);
	catmem_count(cm, CATMEM_C_LINKS, -1);
	link_free(link);
}

/* ---- talking */

void link_touch_anew(struct link *link)
{
	if (link->state == LINK_DEAD)
		return;
	link->touched = true;
	list_add_tail(&link->cm->touched, &link->touched_node);
	link->cm->os->dirty = true;
}

uint8_t *link_reserve_anew(struct link *link)
{
	uint8_t *data;
	int err;

	if (!link->usable)
		return NULL;
	data = ring_reserve(&link->ring, &err);
	if (data) {
		link->blocked = false;
		return data;
	}
	if (err)
		link_break(link, "its ring position makes no sense");
	link->blocked = true;
	link_make_hot(link); /* polled, so that it is armed for room before a sleep */
	return NULL;
}

void link_reply(struct link *link, enum wire_type type, uint32_t conn, uint32_t err)
{
	struct reply *r = link->replies.n < 65536 ? fifo_push(&link->replies, sizeof(*r)) : NULL;

	if (!r)
		return; /* the peer waits until its own end */
	*r = (struct reply){ type, conn, err };
	link_touch(link);
}

static bool replies_send(struct link *link)
{
	while (link->replies.n) {
		struct reply *r = fifo_first(&link->replies, sizeof(*r));
		struct wire_data *msg = (void *)link_reserve(link);

		if (!msg)
			return false;
		msg->conn = r->conn;
		msg->word.peer_conn = 0;
		msg->word.value = r->value;
		link_publish(link, wire_tag(r->type, 0, 0));
		fifo_pop(&link->replies);
	}
	return true;
}

static bool returns_send(struct link *link)
{
	while (link->n_returns) {
		uint32_t n = link->n_returns < WIRE_RETURNS_MAX ? link->n_returns
								: WIRE_RETURNS_MAX;
		struct wire_return *msg = (void *)link_reserve(link);

		if (!msg)
			return false;
		link->n_returns -= n;
		memcpy(msg->loans, link->returns + link->n_returns, n * sizeof(msg->loans[0]));
		link_publish(link, wire_tag(WIRE_RETURN, n, 0));
	}
	return true;
}

static bool conns_send(struct link *link)
{
	uint32_t n = 0;

	while (!list_empty(&link->sending)) {
		struct conn *conn = list_first(&link->sending, struct conn, sending_node);

		list_del(&conn->sending_node);
		if (conn_send(conn))
			continue;
		/* Out of room, or of memory: the next turn is another's. */
		list_add_tail(&link->sending, &conn->sending_node);
		if (link->blocked || ++n >= 64)
			return false;
	}
	return true;
}

void link_send(struct link *link)
{
	if (link->state != LINK_UP || link->broken)
		return;
	link->blocked = false; /* unless it proves to be */
	if (returns_send(link) && replies_send(link) && conns_send(link))
		dgrams_send(link);
}

void link_flush(struct link *link)
{
	static const struct wire_note kick = { .type = WIRE_NOTE_KICK };
	uint32_t flags;

	list_del(&link->touched_node);
	if (link->state == LINK_UP && (!list_empty(&link->sending) || link->dgrams.n ||
				       link->replies.n || link->n_returns >= WIRE_RETURNS_MAX / 2))
		link_send(link);
	link->touched = false; /* what that published is seen to here */
	if (link->state != LINK_UP || link->broken)
		return;
	if (unlikely(!link->hot && link_waits_for_memory(link)))
		link_make_hot(link); /* its passes try again */
	flags = (link->published ? RING_SLEEPS_FOR_DATA : 0u) |
		(link->released ? RING_SLEEPS_FOR_SPACE : 0u);
	link->published = link->released = false;
	if (!flags || !ring_must_wake(&link->ring, flags))
		return;
	catmem_count(link->cm, CATMEM_C_KICKS, 1);
	link_note(link, &kick, NULL, 0, -1); /* full: it has unread notes already */
}

/* ---- listening */

static bool returned(struct link *link, uint32_t loan)
{
	if (likely(lent_find(link, loan))) {
		lent_end(link, loan);
		return true;
	}
	link_break(link, "returned what it was not lent");
	return false;
}

static void returns_in(struct link *link, uint32_t n, const struct wire_return *msg)
{
	if (n > WIRE_RETURNS_MAX) {
		link_break(link, "returned too much at once");
		return;
	}
	for (uint32_t i = 0; i < n && returned(link, msg->loans[i]); i++)
		;
}

/* One message. What could change under us is copied before it is looked at;
 * bytes for the program are copied once, straight to where they go. */
static void message_in(struct link *link, uint32_t tag, const uint8_t *data)
{
	union {
		struct wire_connect connect;
		struct wire_return ret;
		struct wire_data data;
	} u;

	switch (wire_tag_type(tag)) {
	case WIRE_DGRAM:
	case WIRE_DGRAM_REF:
		dgram_input(link, tag, (const void *)data);
		return;
	case WIRE_CONNECT:
		memcpy(&u.connect, data, sizeof(u.connect));
		conn_connect_in(link, &u.connect);
		return;
	case WIRE_GONE:
		memcpy(&u.data, data, sizeof(u.data));
		name_unlearn(link, NAME_DGRAM, u.data.conn, (uint16_t)u.data.word.value);
		return;
	case WIRE_RETURN:
		memcpy(&u.ret, data, sizeof(u.ret));
		returns_in(link, wire_tag_count(tag), &u.ret);
		return;
	default:
		conn_input(link, tag, (const void *)data);
	}
}

/* There was no memory for it. What it gives back does not wait for that, and may
 * be what was missing. */
static bool message_again(struct link *link, uint32_t tag, const uint8_t *data, bool *given)
{
	if (tag & WIRE_GIVES_BACK && !*given) {
		if (!returned(link, wire_read(&((const struct wire_data *)data)->loan)))
			return false;
		*given = true;
		link->stalled = false;
		message_in(link, tag, data);
	}
	link->given_back = link->stalled && *given;
	return !link->stalled;
}

bool link_poll(struct link *link)
{
	bool given = link->given_back;
	const uint8_t *data;
	uint32_t tag, n = 0;
	int err;

	link->stalled = link->given_back = false;
	while (n < POLL_BATCH && !(err = ring_peek(&link->ring, &tag, &data))) {
		if (wire_tag_type(tag) != WIRE_DATA ||
		    !conn_input_waited(link, tag, (const void *)data)) {
			message_in(link, tag, data);
			if (unlikely(link->stalled) && !message_again(link, tag, data, &given))
				break;
			if (unlikely(link->broken))
				break;
		}
		/* Only now: before, its reading might have to begin anew. */
		if (unlikely(tag & WIRE_GIVES_BACK) && !given &&
		    !returned(link, wire_read(&((const struct wire_data *)data)->loan)))
			break;
		given = false;
		n++;
		if (ring_advance(&link->ring)) {
			link->released = true;
			link_touch(link);
		}
	}
	if (n) {
		link->idle_passes = 0;
	} else {
		if (unlikely(err == EPROTO))
			link_break(link, "its ring makes no sense");
		link->idle_passes++;
		if (link->n_returns)
			returns_send(link);
	}
	if (unlikely(link->blocked || !list_empty(&link->sending) || link->dgrams.n))
		link_send(link);
	return n > 0;
}

/* What was said before the end still counts: no more than a ring holds, though who
 * has only closed the socket may go on. */
bool link_poll_all(struct link *link)
{
	while (link->state == LINK_UP && !link->broken &&
	       (int32_t)(link->last - link->ring.cons) > 0 && link_poll(link) && !link->stalled)
		;
	return link->stalled && !link->broken && (int32_t)(link->last - link->ring.cons) > 0;
}

/* What was freed is given back first: nobody may look after us for long. */
bool link_sleep(struct link *link)
{
	if (link->n_returns && !link->blocked) {
		returns_send(link);
		link_flush(link);
	}
	return !link->broken &&
	       ring_sleep(&link->ring, RING_SLEEPS_FOR_DATA |
					       (link->blocked ? RING_SLEEPS_FOR_SPACE : 0u));
}

void link_wake(struct link *link)
{
	ring_awake(&link->ring);
}

/* An idle link among many kicks us from now on instead of being polled. */
void link_cool(struct link *link)
{
	if (link->idle_passes < COLD_AFTER || link->cm->n_hot <= LINKS_HOT ||
	    link_waits_for_memory(link))
		return;
	link->idle_passes = 0;
	if (link_sleep(link))
		link_make_cold(link);
}

/* ---- references across */

static bool lends_as_foreign(const struct link *link, const struct libos_buf *buf)
{
	return buf->area->kind == LIBOS_AREA_FOREIGN && buf->area->find == foreign_find_buf &&
	       container_of(buf->area, struct foreign, area)->link == link;
}

/* A copy in memory that this peer may map; takes over the piece's hold. */
static int piece_copy(struct link *link, struct piece *p)
{
	struct libos_pool *pool = uid_pool(link->cm, link->uid);
	struct libos_buf *copy = pool ? libos_buf_alloc(pool, p->len) : NULL;

	if (!copy)
		return ENOMEM;
	memcpy(copy->base, p->addr, p->len);
	link->cm->os->count[LIBOS_C_COPIED_BYTES] += p->len;
	libos_buf_put(p->buf);
	p->buf = copy;
	p->addr = copy->base;
	return 0;
}

int link_lend(struct link *link, struct piece *p, struct conn *conn, struct wire_ref *ref)
{
	bool foreign = lends_as_foreign(link, p->buf);
	struct region *region;
	int err = 0;

	/* a third process's, or of another pool: one copy */
	if (!foreign && (p->buf->area->kind != LIBOS_AREA_OWN ||
			 p->buf->area->pool != uid_pool(link->cm, link->uid)))
		err = piece_copy(link, p);
	if (!err && !foreign) {
		region = p->buf->area->priv;
		err = link_announce(link, region);
		ref->region = region->id;
		ref->lent = 0;
		ref->offset = (uint32_t)(p->addr - p->buf->area->base);
	} else if (!err) {
		ref->region = WIRE_YOURS;
		ref->lent = container_of(p->buf, struct loan, buf)->id;
		ref->offset = (uint32_t)(p->addr - p->buf->base);
	}
	ref->len = p->len;
	return err ? err : lent_add(link, p, conn, &ref->loan);
}

/* Our own memory back, by reference: only what this peer holds of it now. */
static int borrow_own(struct link *link, const struct wire_ref *ref, struct piece *p)
{
	struct lent *l = lent_find(link, ref->lent);

	if (!l || l->buf->area->kind != LIBOS_AREA_OWN || ref->offset > l->len ||
	    ref->len > l->len - ref->offset)
		return EPROTO;
	link->borrowed++;
	libos_buf_get(l->buf);
	p->buf = l->buf;
	p->addr = l->addr + ref->offset;
	p->loan = ref->loan;
	return 0;
}

int link_borrow(struct link *link, const struct wire_ref *ref, struct piece *p)
{
	struct foreign *f;
	struct loan *loan;

	p->len = ref->len;
	p->charge = 0;
	p->loan = NO_LOAN;
	/* An honest peer's table of what it has lent has no more room. */
	if (!ref->len || link->borrowed + link->n_returns >= MAX_LENT)
		return EPROTO;
	if (ref->region == WIRE_YOURS)
		return borrow_own(link, ref, p);
	f = foreign_find(link, ref->region);
	if (unlikely(!f)) {
		link_read_notes(link, MAX_NOTES); /* announced before the message was sent */
		f = foreign_find(link, ref->region);
	}
	if (!f || ref->offset > f->size || ref->len > f->size - ref->offset)
		return EPROTO;
	loan = loan_take(f, ref->loan, ref->offset, ref->len);
	if (!loan)
		return ENOMEM;
	p->buf = &loan->buf;
	p->addr = loan->buf.base;
	return 0;
}

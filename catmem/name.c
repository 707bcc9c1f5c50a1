#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/time.h"
#include "catmem/catmem.h"
#include "libos/fds.h"
#include "libos/log.h"
#include "libos/rundir.h"

/*
 * A name is a file of the rendezvous directory: "t-127.0.0.1:80" is the socket
 * of a TCP-like queue, "l-t-127.0.0.1:80" says whose the name is, by an
 * flock() that dies with its holder. Taking and giving up names is serialised by
 * a lock on ".lock", so that a lock file is never removed under somebody.
 */

/* A pipe may be called anything, so what is not a name begins otherwise. */
#define LOCK_BOUND "l-"
#define LOCK_OPENS "o-"	/* of who opens a pipe */

#define TAKE_PATIENCE NSEC_PER_SEC
#define DROP_PATIENCE (10 * NSEC_PER_MSEC)

#define EPHEMERAL_FIRST 32768u
#define EPHEMERAL_LAST 60999u
#define N_PORTS (EPHEMERAL_LAST + 1 - EPHEMERAL_FIRST)

/* ---- the directory */

static int dir_open(struct catmem *cm)
{
	int err;

	if (cm->dirfd >= 0)
		return 0;
	if (!cm->dir)
		return libos_rundir_open("catmem", &cm->dirfd);
	cm->dirfd = libos_fd_own(open(cm->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (cm->dirfd >= 0)
		return 0;
	err = errno;
	log_error("catmem.dir: cannot open %s: %s", cm->dir, strerror(err));
	return err;
}

static const char *dir_path(struct catmem *cm, char *buf, size_t len)
{
	return cm->dir ? cm->dir : libos_rundir_path(buf, len);
}

/* Where several users share the directory, none may be kept out by our umask, and
 * a file of another's there must not be opened with O_CREAT (protected_regular). */
static int file_open(struct catmem *cm, const char *file)
{
	const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
	int fd;

	do {
		fd = openat(cm->dirfd, file, flags);
		if (fd >= 0 || errno != ENOENT)
			break;
		fd = openat(cm->dirfd, file, flags | O_CREAT | O_EXCL, 0600);
		if (fd >= 0 && cm->n_uids)
			fchmod(fd, 0666);
	} while (fd < 0 && errno == EEXIST);
	return libos_fd_own(fd);
}

/* EAGAIN if somebody else keeps it locked for so long: he may be stopped. */
static int lock_fd(int fd, uint64_t patience)
{
	uint64_t end = patience ? time_now() + patience : 0;
	struct timespec nap = { 0, 20000 };

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return errno;
		if (!end || time_now() >= end)
			return EAGAIN;
		nanosleep(&nap, NULL);
		nap.tv_nsec += nap.tv_nsec < 1000000 ? nap.tv_nsec : 0;
	}
	return 0;
}

/* Opens a file and locks it. */
static int lock_file(struct catmem *cm, const char *file, uint64_t patience, int *fd_out)
{
	int fd = file_open(cm, file);
	int err = fd < 0 ? errno : lock_fd(fd, patience);

	if (err)
		libos_fd_close(fd);
	else
		*fd_out = fd;
	return err;
}

static int dir_lock(struct catmem *cm, uint64_t patience, int *fd_out)
{
	int err = dir_open(cm);

	return err ? err : lock_file(cm, ".lock", patience, fd_out);
}

/* Is somebody alive behind this lock file? */
static bool is_locked(struct catmem *cm, const char *file)
{
	int fd = openat(cm->dirfd, file, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	bool locked;

	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_EX | LOCK_NB) < 0;
	close(fd);
	return locked;
}

/*
 * Ephemeral ports: a byte of the file "ports" each, locked by whoever has it. The
 * locks are the open file description's, so that instances of one process keep
 * apart, too, and all of them go with their holder. Our own do not conflict, so we
 * remember which they are. Neighbours cost the kernel one lock together.
 */

struct ports {
	int fd;
	uint32_t next;		/* where to look */
	uint8_t used[(N_PORTS + 7) / 8];
};

static int ports_open(struct catmem *cm)
{
	int err = cm->ports ? 0 : dir_open(cm);
	struct ports *p;

	if (err || cm->ports)
		return err;
	p = calloc(1, sizeof(*p));
	if (!p)
		return ENOMEM;
	p->fd = file_open(cm, "ports");
	if (p->fd < 0) {
		err = errno;
		free(p);
		return err;
	}
	if (getrandom(&p->next, sizeof(p->next), GRND_NONBLOCK) < 0)
		p->next = (uint32_t)getpid() * 101u;
	p->next %= N_PORTS;
	cm->ports = p;
	return 0;
}

/* The i-th: EAGAIN if it is another instance's. */
static int port_lock(const struct ports *p, uint32_t i, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET,
			      .l_start = EPHEMERAL_FIRST + i, .l_len = 1 };

	if (fcntl(p->fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno == EACCES)
		return EAGAIN;
	return errno == ENOLCK ? ENOMEM : errno;
}

int name_port(struct catmem *cm, uint16_t *port_out)
{
	int err = ports_open(cm);
	struct ports *p = cm->ports;

	if (err)
		return err;
	for (uint32_t n = 0; n < N_PORTS; n++) {
		uint32_t i = p->next;

		p->next = (i + 1) % N_PORTS;
		if (p->used[i / 8] & 1u << i % 8)
			continue;
		err = port_lock(p, i, F_WRLCK);
		if (err == EAGAIN)
			continue;
		if (err)
			return err;
		p->used[i / 8] |= (uint8_t)(1u << i % 8);
		*port_out = htons((uint16_t)(EPHEMERAL_FIRST + i));
		return 0;
	}
	return EADDRNOTAVAIL;
}

void name_port_free(struct catmem *cm, uint16_t port)
{
	uint32_t i = ntohs(port) - EPHEMERAL_FIRST;
	struct ports *p = cm->ports;

	if (!p || i >= N_PORTS || !(p->used[i / 8] & 1u << i % 8))
		return;
	if (port_lock(p, i, F_UNLCK))
		return; /* no memory to split a lock: ours until the end */
	p->used[i / 8] &= (uint8_t)~(1u << i % 8);
}

/* ---- taking a name */

static void file_of(char *buf, size_t len, enum name_kind kind, const struct sockaddr_in *addr)
{
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &addr->sin_addr, ip, sizeof(ip));
	snprintf(buf, len, "%c-%s:%u", (char)kind, ip, ntohs(addr->sin_port));
}

/* A wildcard of somebody's covers every address, and every address of
 * somebody's stands in the way of a wildcard. */
static bool conflicts(struct catmem *cm, enum name_kind kind, const struct sockaddr_in *addr)
{
	char file[64], head[8], tail[16];
	bool found = false;
	struct dirent *d;
	DIR *dir;
	int fd;

	if (addr->sin_addr.s_addr) {
		snprintf(file, sizeof(file), LOCK_BOUND "%c-0.0.0.0:%u", (char)kind,
			 ntohs(addr->sin_port));
		return is_locked(cm, file);
	}
	fd = openat(cm->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	snprintf(head, sizeof(head), LOCK_BOUND "%c-", (char)kind);
	snprintf(tail, sizeof(tail), ":%u", ntohs(addr->sin_port));
	while (dir && !found && (d = readdir(dir))) {
		size_t n = strlen(d->d_name), m = strlen(tail);

		found = !strncmp(d->d_name, head, strlen(head)) && n > m &&
			!strcmp(d->d_name + n - m, tail) && is_locked(cm, d->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int name_take(struct catmem *cm, struct name *name, const char *prefix)
{
	char file[sizeof(name->file) + 8];
	int err;

	snprintf(file, sizeof(file), "%s%s", prefix, name->file);
	err = lock_file(cm, file, 0, &name->lock);
	name->cm = cm;
	name->prefix = prefix;
	name->watch.fd = -1;
	return err == EAGAIN ? EADDRINUSE : err;
}

static int bind_locked(struct catmem *cm, enum name_kind kind, const struct sockaddr_in *addr,
		       struct name *name)
{
	if (conflicts(cm, kind, addr))
		return EADDRINUSE;
	file_of(name->file, sizeof(name->file), kind, addr);
	return name_take(cm, name, LOCK_BOUND);
}

/* Somebody may have bound a port by number: then the next one. */
static int bind_ephemeral(struct catmem *cm, enum name_kind kind, struct sockaddr_in *addr,
			  struct name *name)
{
	int err = EADDRINUSE;

	for (uint32_t n = 0; n < N_PORTS && err == EADDRINUSE; n++) {
		err = name_port(cm, &addr->sin_port);
		if (err)
			return err;
		err = bind_locked(cm, kind, addr, name);
		if (err)
			name_port_free(cm, addr->sin_port);
	}
	if (!err)
		name->port = addr->sin_port;
	return err;
}

int name_bind(struct catmem *cm, enum name_kind kind, struct sockaddr_in *addr,
	      struct name *name)
{
	int lock = -1, err = dir_lock(cm, TAKE_PATIENCE, &lock);

	if (err)
		return err;
	if (addr->sin_port)
		err = bind_locked(cm, kind, addr, name);
	else
		err = bind_ephemeral(cm, kind, addr, name);
	libos_fd_close(lock);
	return err;
}

int name_bind_pipe(struct catmem *cm, const char *pipe, struct name *name)
{
	int lock = -1, err = dir_lock(cm, TAKE_PATIENCE, &lock);

	if (err)
		return err;
	snprintf(name->file, sizeof(name->file), "%c-%s", NAME_PIPE, pipe);
	err = name_take(cm, name, LOCK_BOUND);
	libos_fd_close(lock);
	return err == EADDRINUSE ? EEXIST : err;
}

const char *name_pipe(const struct name *name)
{
	return name->file + 2;
}

void name_drop(struct name *name)
{
	char file[sizeof(name->file) + 8];
	int lock = -1, err;

	name_stop(name);
	snprintf(file, sizeof(file), "%s%s", name->prefix, name->file);
	err = dir_lock(name->cm, DROP_PATIENCE, &lock);
	if (!err) /* else it stays, for the next who takes the name */
		unlinkat(name->cm->dirfd, file, 0);
	libos_fd_close(name->lock);
	if (!err)
		libos_fd_close(lock);
	if (name->port)
		name_port_free(name->cm, name->port);
}

/* ---- the rendezvous socket */

static int unix_socket(int *fd_out)
{
	*fd_out = libos_fd_own(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	return *fd_out < 0 ? errno : 0;
}

void reserve_fd_keep(struct catmem *cm)
{
	cm->reserve_fd = libos_fd_own(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

void reserve_fd_give(struct catmem *cm)
{
	libos_fd_close(cm->reserve_fd);
	cm->reserve_fd = -1;
}

/* Out of descriptors, and nobody who could be told: whoever knocks is turned away
 * instead of being heard for ever. */
static void turn_away(struct catmem *cm, int listener)
{
	reserve_fd_give(cm);
	close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	reserve_fd_keep(cm);
}

/* A link takes one, and two more for as long as its ring is made: EMFILE before
 * the other side is let in rather than after. */
static int descriptors_left(const struct catmem *cm)
{
	int fds[3], n = 0, err = 0;

	while (n < 3 && (fds[n] = fcntl(cm->dirfd, F_DUPFD_CLOEXEC, 0)) >= 0)
		n++;
	if (n < 3)
		err = errno;
	while (n)
		close(fds[--n]);
	return err;
}

/* accept4() does not say: without a descriptor it fails before it looks. */
static bool somebody_knocks(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	return poll(&p, 1, 0) > 0 && p.revents & POLLIN;
}

static int admit_one(struct name *name)
{
	int fd, err = descriptors_left(name->cm);
	struct link *link;

	if (err)
		return err;
	fd = libos_fd_own(accept4(name->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	if (fd < 0)
		return errno;
	link_open(name->cm, fd, &link);
	return 0;
}

#define ADMITS 16	/* at a time: who still knocks wakes us again */

static void set_deaf(struct name *name, bool deaf)
{
	if (name->deaf == deaf)
		return;
	name->deaf = deaf;
	libos_watch_mod(name->cm->os, &name->watch, deaf ? 0 : EPOLLIN);
}

void name_admit(struct name *name)
{
	int err = 0;

	for (int i = 0; i < ADMITS && !err && somebody_knocks(name->watch.fd); i++)
		err = admit_one(name);
	if (err != EMFILE && err != ENFILE)
		set_deaf(name, false);
	else if (conn_starved(name, err))
		set_deaf(name, true);
	else
		turn_away(name->cm, name->watch.fd);
}

static void knock(struct libos_watch *w, uint32_t events)
{
	(void)events;
	name_admit(container_of(w, struct name, watch));
}

/* Made under another name and then moved into place: a path through our own
 * directory descriptor is short enough for any file name, and what a dead
 * process left behind is replaced in one step. */
static int socket_place(struct name *name, int fd)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct catmem *cm = name->cm;
	static _Atomic unsigned n;
	char tmp[48];
	int err = 0;

	snprintf(tmp, sizeof(tmp), ".new-%d-%u", (int)getpid(), n++);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/%s", cm->dirfd, tmp);
	unlinkat(cm->dirfd, tmp, 0);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, SOMAXCONN) < 0 ||
	    (cm->n_uids && fchmodat(cm->dirfd, tmp, 0666, 0) < 0) ||
	    renameat(cm->dirfd, tmp, cm->dirfd, name->file) < 0) {
		err = errno;
		unlinkat(cm->dirfd, tmp, 0);
	}
	return err;
}

int name_listen(struct name *name)
{
	int fd, err = unix_socket(&fd);

	if (err)
		return err;
	err = socket_place(name, fd);
	if (err)
		goto err_fd;
	name->watch.ready = knock;
	err = libos_watch_add(name->cm->os, &name->watch, fd, EPOLLIN);
	if (err)
		goto err_unlink;
	return 0;

err_unlink:
	unlinkat(name->cm->dirfd, name->file, 0);
err_fd:
	libos_fd_close(fd);
	return err;
}

void name_stop(struct name *name)
{
	int fd = name->watch.fd;

	if (fd < 0)
		return;
	libos_watch_del(name->cm->os, &name->watch);
	unlinkat(name->cm->dirfd, name->file, 0);
	libos_fd_close(fd);
}

/* Connects to a socket file, however long its name. */
static int knock_at(struct catmem *cm, const char *file, struct link **link_out)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int at = openat(cm->dirfd, file, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int fd, err;

	if (at < 0)
		return errno;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d", at);
	err = unix_socket(&fd);
	if (!err && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		err = errno;
		libos_fd_close(fd);
	}
	close(at);
	if (err)
		return err;
	err = link_open(cm, fd, link_out);
	return err == EPIPE || err == ECONNRESET ? ECONNREFUSED : err; /* turned away */
}

int name_open_pipe(struct catmem *cm, const char *pipe, struct name *name,
		   struct link **link_out)
{
	char file[sizeof(name->file) + 8];
	int lock = -1, err = dir_lock(cm, TAKE_PATIENCE, &lock);

	if (err)
		return err;
	snprintf(name->file, sizeof(name->file), "%c-%s", NAME_PIPE, pipe);
	snprintf(file, sizeof(file), LOCK_BOUND "%s", name->file);
	err = is_locked(cm, file) ? name_take(cm, name, LOCK_OPENS) : ENOENT;
	libos_fd_close(lock);
	if (err)
		return err == EADDRINUSE ? EBUSY : err;
	err = knock_at(cm, name->file, link_out);
	if (!err)
		return 0;
	name_drop(name);
	return err == ENOENT || err == ECONNREFUSED ? EBUSY : err; /* opened before */
}

/* ---- routes: which link leads to an address */

#define MAX_ROUTES 32768u	/* that one link may teach us */

#define ASK_AGAIN_NS 10000000u	/* the directory, whether a route still stands */

/* Who has a name, as its socket tells: 0, nobody. */
struct owner {
	ino_t ino;
	struct timespec since;
};

struct route {
	struct list node;	/* of its bucket */
	struct list of_link;
	struct link *link;
	struct owner owner;	/* of the name when the directory led there; 0: learned */
	uint64_t checked;	/* when it was last in doubt */
	uint32_t ip;
	uint16_t port;
	uint8_t kind;
	bool in_doubt;		/* somebody else says that it is there */
};

static struct list *bucket(struct catmem *cm, enum name_kind kind, uint32_t ip, uint16_t port)
{
	uint64_t h = ((uint64_t)ip << 24 ^ (uint64_t)port << 8 ^ (uint64_t)kind) *
		     UINT64_C(0x9e3779b97f4a7c15);

	return &cm->routes[h >> 32 & (CATMEM_ROUTES - 1)];
}

static struct route *route_find(struct catmem *cm, enum name_kind kind, uint32_t ip,
				uint16_t port)
{
	struct list *pos, *tmp, *head = bucket(cm, kind, ip, port);

	list_for_each_safe(pos, tmp, head) {
		struct route *r = container_of(pos, struct route, node);

		if (r->ip == ip && r->port == port && r->kind == kind)
			return r;
	}
	return NULL;
}

static void route_del(struct route *r)
{
	list_del(&r->node);
	list_del(&r->of_link);
	r->link->n_routes--;
	free(r);
}

static struct owner owner_of_file(struct catmem *cm, const char *file)
{
	struct owner owner = { 0 };
	struct stat st;

	if (fstatat(cm->dirfd, file, &st, AT_SYMLINK_NOFOLLOW) == 0)
		owner = (struct owner){ st.st_ino, st.st_ctim };
	return owner;
}

static struct owner owner_of(struct catmem *cm, enum name_kind kind, uint32_t ip, uint16_t port)
{
	struct sockaddr_in addr = { .sin_port = port, .sin_addr.s_addr = ip };
	struct owner owner;
	char file[64];

	file_of(file, sizeof(file), kind, &addr);
	owner = owner_of_file(cm, file);
	if (owner.ino)
		return owner;
	addr.sin_addr.s_addr = 0;
	file_of(file, sizeof(file), kind, &addr);
	return owner_of_file(cm, file);
}

static bool owner_stands(const struct route *r)
{
	struct owner now;

	if (!r->owner.ino)
		return false;
	now = owner_of(r->link->cm, r->kind, r->ip, r->port);
	return now.ino == r->owner.ino && now.since.tv_sec == r->owner.since.tv_sec &&
	       now.since.tv_nsec == r->owner.since.tv_nsec;
}

/* One process, two links. */
static void route_move(struct route *r, struct link *link)
{
	list_del(&r->of_link);
	r->link->n_routes--;
	r->link = link;
	list_add_tail(&link->routes, &r->of_link);
	link->n_routes++;
}

/* Another process sends from the same address. It may be a lie, or the name has
 * gone from one to the other: who answers next asks the directory, unless that
 * led there and still does. */
static void route_doubt(struct route *r)
{
	uint64_t now = r->link->cm->os->now;

	if (r->in_doubt || now - r->checked < ASK_AGAIN_NS)
		return;
	r->checked = now;
	r->in_doubt = !owner_stands(r);
}

static void route_add(struct link *link, enum name_kind kind, uint32_t ip, uint16_t port,
		      const struct owner *owner)
{
	struct route *r = calloc(1, sizeof(*r));

	if (!r)
		return; /* asked again next time */
	if (owner)
		r->owner = *owner;
	r->link = link;
	r->ip = ip;
	r->port = port;
	r->kind = (uint8_t)kind;
	list_add_head(bucket(link->cm, kind, ip, port), &r->node);
	list_add_tail(&link->routes, &r->of_link);
	link->n_routes++;
}

void name_learn(struct link *link, enum name_kind kind, uint32_t ip, uint16_t port)
{
	struct route *r = route_find(link->cm, kind, ip, port);

	if (likely(r && r->link == link))
		return;
	if (r && link->pid && r->link->pid == link->pid)
		route_move(r, link);
	else if (r)
		route_doubt(r);
	else if (link->n_routes < MAX_ROUTES) /* else the directory knows */
		route_add(link, kind, ip, port, NULL);
}

void name_unlearn(struct link *link, enum name_kind kind, uint32_t ip, uint16_t port)
{
	struct route *r = route_find(link->cm, kind, ip, port);

	if (r && r->link == link)
		route_del(r);
}

void name_forget(struct link *link)
{
	while (!list_empty(&link->routes))
		route_del(list_first(&link->routes, struct route, of_link));
}

int name_route(struct catmem *cm, enum name_kind kind, const struct sockaddr_in *addr,
	       const struct link *stale, struct link **link_out)
{
	struct route *r = route_find(cm, kind, addr->sin_addr.s_addr, addr->sin_port);
	struct sockaddr_in any = *addr;
	struct owner owner;
	char file[64];
	int err;

	if (likely(r && r->link != stale && !r->in_doubt && !r->link->broken &&
		   !r->link->gone)) {
		*link_out = r->link;
		return 0;
	}
	if (r)
		route_del(r);
	err = dir_open(cm);
	if (err)
		return err;
	owner = owner_of(cm, kind, addr->sin_addr.s_addr, addr->sin_port);
	file_of(file, sizeof(file), kind, addr);
	err = knock_at(cm, file, link_out);
	if (err == ENOENT || err == ECONNREFUSED) {
		any.sin_addr.s_addr = 0;
		file_of(file, sizeof(file), kind, &any);
		err = knock_at(cm, file, link_out);
	}
	if (!err)
		route_add(*link_out, kind, addr->sin_addr.s_addr, addr->sin_port, &owner);
	return err == ENOENT || err == EAGAIN ? ECONNREFUSED : err;
}

/* The usual reason is two processes that look into two directories. */
void name_log_refused(struct catmem *cm, const struct sockaddr_in *addr)
{
	char path[4096], ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &addr->sin_addr, ip, sizeof(ip));
	libos_log(cm->told_refused ? LIBOS_LOG_DEBUG : LIBOS_LOG_WARN,
		  "catmem: nobody listens on %s:%u in %s; the peer's CLOWDER_RUNTIME_DIR must be "
		  "the same", ip, ntohs(addr->sin_port), dir_path(cm, path, sizeof(path)));
	cm->told_refused = true;
}

void names_fini(struct catmem *cm)
{
	if (cm->ports)
		libos_fd_close(cm->ports->fd);
	free(cm->ports);
	libos_fd_close(cm->dirfd);
}

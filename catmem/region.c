#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "catmem/catmem.h"
#include "libos/fds.h"
#include "libos/log.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif

/*
 * What a reader needs in order to be safe from the owner: the file cannot shrink
 * or be punched, and every page is there. F_SEAL_FUTURE_WRITE forbids new
 * writable mappings, write() and hole punching, and leaves the owner's mapping
 * from before the seal writable.
 */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

#define MAX_MAPPED 32768u	/* of them at a time: half of what Linux maps for a process */
#define RESERVE_SIZE 128u	/* bytes of a buffer of the reserve */

/* Over RLIMIT_FSIZE is a signal, not an errno: asked first. */
static int memfd_fill(int fd, size_t size)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_FSIZE, &lim) == 0 && lim.rlim_cur < size)
		return EFBIG;
	if (fchmod(fd, 0600) < 0)
		return errno;
	return posix_fallocate(fd, 0, (off_t)size);
}

/* A read-only descriptor of the same file: what peers are given. */
static int reopen_readonly(int fd, int *fd_out)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*fd_out = libos_fd_own(open(path, O_RDONLY | O_CLOEXEC));
	return *fd_out < 0 ? errno : 0;
}

int region_make(const char *what, size_t size, void *at, void **addr_out, int *fd_out)
{
	int fd = memfd_create(what, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *addr = MAP_FAILED;
	int err;

	if (fd < 0)
		return errno;
	err = memfd_fill(fd, size);
	if (err)
		goto out;
	addr = mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | (at ? MAP_FIXED : 0), fd, 0);
	if (addr == MAP_FAILED) {
		err = errno;
		goto out;
	}
	err = fcntl(fd, F_ADD_SEALS, SEALS) < 0 ? errno : reopen_readonly(fd, fd_out);
	if (!err)
		*addr_out = addr;
	else if (!at)
		munmap(addr, size);
out:
	close(fd);
	return err;
}

/* Address space of whole units; pages come later. */
static void *reserve(size_t size, size_t align)
{
	uint8_t *raw = mmap(NULL, size + align, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *addr;

	if (raw == MAP_FAILED)
		return NULL;
	addr = (uint8_t *)(((uintptr_t)raw + align - 1) & ~(align - 1));
	if (addr > raw)
		munmap(raw, (size_t)(addr - raw));
	if (raw + align > addr)
		munmap(addr + size, (size_t)(raw + align - addr));
	return addr;
}

static int regions_add(struct catmem *cm, struct region *r)
{
	uint32_t slot = 0, n = cm->n_regions;
	struct region **regions;

	while (slot < n && cm->regions[slot])
		slot++;
	if (slot == WIRE_REGIONS_MAX)
		return ENOMEM;
	if (slot == n) {
		regions = realloc(cm->regions, (n ? n * 2 : 8) * sizeof(*regions));
		if (!regions)
			return ENOMEM;
		cm->n_regions = n ? n * 2 : 8;
		memset(regions + n, 0, (cm->n_regions - n) * sizeof(*regions));
		cm->regions = regions;
	}
	r->id = cm->next_region++ << WIRE_REGION_BITS | slot;
	cm->regions[slot] = r;
	return 0;
}

static int mem_map(void *arg, size_t size, void **addr_out, void **priv_out)
{
	struct catmem *cm = arg;
	struct region *r = calloc(1, sizeof(*r));
	void *at = reserve(size, LIBOS_UNIT_SIZE);
	int err;

	if (!r || !at) {
		err = ENOMEM;
		goto err_free;
	}
	err = region_make("clowder-region", size, at, addr_out, &r->fd);
	if (err)
		goto err_free;
	err = regions_add(cm, r);
	if (err)
		goto err_fd;
	*priv_out = r;
	return 0;

err_fd:
	libos_fd_close(r->fd);
err_free:
	if (at)
		munmap(at, size);
	free(r);
	return err;
}

static void mem_unmap(void *arg, void *addr, size_t size, void *priv)
{
	struct catmem *cm = arg;
	struct region *r = priv;
	struct wire_note note = { .type = WIRE_NOTE_WITHDRAW, .value = r->id };
	uint32_t slot = wire_region_slot(r->id);
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &cm->links) {
		struct link *link = container_of(pos, struct link, node);

		if (slot >= link->n_announced || !(link->announced[slot / 8] & 1u << slot % 8))
			continue;
		link_note(link, &note, NULL, 0, -1); /* lost: until its number is used again */
		link->announced[slot / 8] &= (uint8_t)~(1u << slot % 8);
	}
	cm->regions[slot] = NULL;
	libos_fd_close(r->fd);
	munmap(addr, size);
	free(r);
}

const struct libos_mem_ops catmem_mem = { mem_map, mem_unmap };

/* ---- memory for other users' processes, apart from our own user's */

struct uid_pool {
	struct uid_pool *next;
	uid_t uid;
	struct libos_pool pool;
};

static struct libos_pool *uid_pool_other(struct catmem *cm, uid_t uid)
{
	struct uid_pool *p = cm->uid_pools;

	while (p && p->uid != uid)
		p = p->next;
	if (p)
		return &p->pool;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->uid = uid;
	libos_pool_init(&p->pool, cm->os, &catmem_mem, cm);
	p->next = cm->uid_pools;
	cm->uid_pools = p;
	return &p->pool;
}

struct libos_pool *uid_pool(struct catmem *cm, uid_t uid)
{
	if (likely(uid == cm->uid && cm->os->pool.mem == &catmem_mem))
		return &cm->os->pool;
	return uid_pool_other(cm, uid);
}

void uid_pools_fini(struct catmem *cm)
{
	while (cm->uid_pools) {
		struct uid_pool *p = cm->uid_pools;

		cm->uid_pools = p->next;
		libos_pool_fini(&p->pool);
		free(p);
	}
}

/* What stands behind a message that finds no memory is not heard either, also
 * what would give memory back. So there is a unit more for the small ones, plain
 * pages, made when it is first needed. */
struct libos_buf *reserve_alloc(struct catmem *cm)
{
	struct libos *os = cm->os;
	bool first = !cm->reserve.os;
	struct libos_buf *buf;

	if (first) {
		libos_pool_init(&cm->reserve, os, NULL, NULL);
		os->pool_limit += LIBOS_UNIT_SIZE;
	}
	buf = libos_buf_alloc(&cm->reserve, RESERVE_SIZE);
	if (!buf && first) {
		os->pool_limit -= LIBOS_UNIT_SIZE;
		cm->reserve.os = NULL;
	}
	return buf;
}

/* ---- a peer's memory */

/* Are all pages there? Blocks do not say: some may lie past the end. Linux 6.5
 * counts the pages without touching them; ENOSYS: older, or not allowed. */
static int pages_count(int fd, size_t size)
{
	struct {
		uint64_t offset, len;
	} range = { 0, size };
	struct {
		uint64_t n_cached, n_dirty, n_writeback, n_evicted, n_recently_evicted;
	} pages;

	if (syscall(__NR_cachestat, fd, &range, &pages, 0) < 0)
		return errno == EPERM || errno == EACCES ? ENOSYS : errno;
	return (pages.n_cached + pages.n_evicted) * (uint64_t)sysconf(_SC_PAGESIZE) < size ?
		       EPROTO : 0;
}

/* The same by touching them: a hole is filled, and the file has grown by it. Linux
 * before 5.14 cannot without a signal. */
static int pages_touch(int fd, void *at, size_t size)
{
	struct stat before, after;

	if (fstat(fd, &before) < 0)
		return errno;
	if (madvise(at, size, MADV_POPULATE_READ) < 0)
		return errno == EINVAL ? 0 : EPROTO;
	if (fstat(fd, &after) < 0)
		return errno;
	return before.st_blocks != after.st_blocks ? EPROTO : 0;
}

static int pages_check(int fd, void *at, size_t size)
{
	int err = pages_count(fd, size);

	return err == ENOSYS ? pages_touch(fd, at, size) : err;
}

static int foreign_check(int fd, size_t size)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE)) !=
				 (F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE))
		return EPROTO;
	if (fstat(fd, &st) < 0)
		return errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size ||
	    (uint64_t)st.st_blocks * 512 < size)
		return EPROTO;
	return 0;
}

int region_map_foreign(int fd, size_t size, size_t align, void **addr_out)
{
	int err = foreign_check(fd, size);
	void *at;

	if (err)
		return err;
	at = reserve(size, align);
	if (!at)
		return ENOMEM;
	if (mmap(at, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		err = errno;
	else
		err = pages_check(fd, at, size);
	if (err) {
		munmap(at, size);
		return err;
	}
	*addr_out = at;
	return 0;
}

struct foreign *foreign_find(struct link *link, uint32_t id)
{
	uint32_t slot = wire_region_slot(id);
	struct foreign *f = slot < link->n_foreigns ? link->foreigns[slot] : NULL;

	return f && f->id == id ? f : NULL;
}

struct libos_buf *foreign_find_buf(struct libos_area *area, const void *addr, uint32_t len)
{
	struct foreign *f = container_of(area, struct foreign, area);
	struct catmem *cm = f->cm;
	struct libos_buf *found = NULL;
	struct list *pos, *tmp;

	/* The usual case is the very piece that was popped; len 0 asks for one that
	 * the program frees. Of several that begin here that is the shortest: in
	 * whatever order it frees them, what it still has lies in what is left. */
	for (struct loan *l = cm->loan_hash[loan_slot(cm, addr)]; l; l = l->next)
		if (l->buf.base == addr && l->buf.app && len <= l->buf.len &&
		    (!found || l->buf.len < found->len))
			found = &l->buf;
	if (found || !len)
		return found;
	/* A part of one. */
	list_for_each_safe(pos, tmp, &f->loans) {
		struct loan *l = container_of(pos, struct loan, node);

		if (l->buf.app && (const uint8_t *)addr >= l->buf.base &&
		    (const uint8_t *)addr + len <= l->buf.base + l->buf.len)
			return &l->buf;
	}
	return NULL;
}

static void foreign_free(struct foreign *f)
{
	libos_area_del(f->cm->os, &f->area);
	munmap(f->area.base, f->size);
	free(f);
}

static void foreign_maybe_free(struct foreign *f)
{
	if (!f->link && list_empty(&f->loans))
		foreign_free(f);
}

static void foreign_buf_release(struct libos_buf *buf)
{
	struct loan *loan = container_of(buf, struct loan, buf);
	struct foreign *f = loan->foreign;
	uint32_t id = loan->id;

	list_del(&loan->node);
	loan_free(f->cm, loan);
	if (f->link)
		link_return(f->link, id);
	foreign_maybe_free(f);
}

static int foreigns_grow(struct link *link, uint32_t slot)
{
	uint32_t n = link->n_foreigns ? link->n_foreigns : 8;
	struct foreign **foreigns;

	while (n <= slot)
		n *= 2;
	if (n == link->n_foreigns)
		return 0;
	foreigns = realloc(link->foreigns, n * sizeof(*foreigns));
	if (!foreigns)
		return ENOMEM;
	memset(foreigns + link->n_foreigns, 0, (n - link->n_foreigns) * sizeof(*foreigns));
	link->foreigns = foreigns;
	link->n_foreigns = n;
	return 0;
}

/* The same memory twice costs a peer nothing and us a mapping. */
static bool is_mapped(const struct link *link, ino_t ino)
{
	for (uint32_t i = 0; i < link->n_foreigns; i++)
		if (link->foreigns[i] && link->foreigns[i]->ino == ino)
			return true;
	return false;
}

int foreign_add(struct link *link, uint32_t id, size_t size, int fd)
{
	uint32_t slot = wire_region_slot(id);
	struct foreign *f;
	struct stat st;
	void *base;
	int err;

	if (fstat(fd, &st) < 0)
		return errno;
	if (link->n_mapped >= MAX_MAPPED || is_mapped(link, st.st_ino))
		return EPROTO;
	if (slot >= WIRE_REGIONS_MAX || foreign_find(link, id) || !size || size % LIBOS_UNIT_SIZE ||
	    size > (1ul << LIBOS_CLASS_MAX_SHIFT))
		return EPROTO;
	err = foreigns_grow(link, slot);
	if (err)
		return err;
	if (link->foreigns[slot]) /* the word that it was withdrawn was lost */
		foreign_withdraw(link, link->foreigns[slot]->id);
	if (link->broken)
		return EPROTO;
	f = calloc(1, sizeof(*f));
	if (!f)
		return ENOMEM;
	err = region_map_foreign(fd, size, LIBOS_UNIT_SIZE, &base);
	if (err)
		goto err_free;
	f->area.base = base;
	f->area.size = f->size = size;
	f->area.kind = LIBOS_AREA_FOREIGN;
	f->area.pool = &link->cm->os->pool;
	f->area.find = foreign_find_buf;
	f->area.release = foreign_buf_release;
	f->link = link;
	f->cm = link->cm;
	f->id = id;
	f->ino = st.st_ino;
	list_init(&f->loans);
	err = libos_area_add(link->cm->os, &f->area);
	if (err)
		goto err_unmap;
	link->foreigns[slot] = f;
	link->n_mapped++;
	return 0;

err_unmap:
	munmap(base, size);
err_free:
	free(f);
	return err;
}

void foreign_withdraw(struct link *link, uint32_t id)
{
	struct foreign *f = foreign_find(link, id);

	if (!f)
		return;
	if (!list_empty(&f->loans)) {
		link_break(link, "withdrew memory that it lends");
		return;
	}
	link->foreigns[wire_region_slot(id)] = NULL;
	link->n_mapped--;
	foreign_free(f);
}

void foreign_orphan_all(struct link *link)
{
	for (uint32_t i = 0; i < link->n_foreigns; i++) {
		struct foreign *f = link->foreigns[i];

		if (!f)
			continue;
		link->foreigns[i] = NULL;
		f->link = NULL;
		foreign_maybe_free(f);
	}
	free(link->foreigns);
	link->foreigns = NULL;
	link->n_foreigns = 0;
}

/*
 * Buffers: one allocation, one lifetime, reference-counted, from the device to
 * the program and back.
 *
 * Memory comes in areas, each a whole number of 2 MiB units at a 2 MiB-aligned
 * address, cut into objects of one power-of-two size. The instance's map finds
 * the area of any address in one probe, the area finds the object by a shift.
 * What describes an object (struct libos_buf) lies outside the memory itself, so
 * that memory shared with a peer holds nothing that the peer could spoil.
 */
#ifndef LIBOS_BUF_H
#define LIBOS_BUF_H

#include <demi/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"

struct libos;
struct libos_area;
struct libos_buf;
struct libos_ctx;
struct libos_op_hold;
struct libos_pool;

#define LIBOS_UNIT_SHIFT 21
#define LIBOS_UNIT_SIZE (1ul << LIBOS_UNIT_SHIFT)
#define LIBOS_CLASS_MIN_SHIFT 6		/* 64 B */
#define LIBOS_CLASS_MAX_SHIFT 28	/* 256 MiB */
#define LIBOS_N_CLASSES (LIBOS_CLASS_MAX_SHIFT + 1)

/*
 * refs counts every hold: those of the program (app) and those of the libOS.
 * At 0 the area's release() gets the object back.
 */
struct libos_buf {
	uint8_t *base;		/* first byte */
	uint32_t len;		/* bytes the program may use */
	uint32_t refs;
	uint32_t app;		/* demi_sgafree() calls owed by the program */
	uint32_t flags;		/* enum libos_buf_flag */
	uint32_t origin;	/* where a backend had its bytes from, 0: nowhere */
	uint32_t pinned;	/* CHARGED: bytes that origin is charged with */
	struct libos_area *area;
	union {
		struct libos_buf *next;		/* free list; chain of POP_SEGS */
		struct libos_op_hold *holds;	/* pushes waiting for its release */
	};
};

enum libos_buf_flag {
	LIBOS_BUF_CHAIN = 1u << 0,	/* a chain node of a multi-segment pop */
	LIBOS_BUF_WATCHED = 1u << 1,	/* CLOWDER_DEBUG=buffers looks at it */
	LIBOS_BUF_CHARGED = 1u << 2,	/* the backend os->charger is told of its end */
};

enum libos_area_kind {
	LIBOS_AREA_OWN,		/* objects of a pool of this instance */
	LIBOS_AREA_FOREIGN,	/* a peer's memory: its backend finds the buffer */
};

struct libos_area {
	uint8_t *base;
	size_t size;
	enum libos_area_kind kind;
	uint8_t shift;		/* log2 of the object's size */
	uint32_t n_objs;
	uint32_t n_carved;	/* objects ever handed out: below are live headers;
				 * 0 in FOREIGN */
	uint32_t n_used;
	struct libos_buf *bufs;	/* OWN: n_objs headers */
	struct libos_pool *pool; /* OWN; FOREIGN: any of the instance */
	struct list link;	/* of its pool */
	/*
	 * FOREIGN: the buffer that holds [addr, addr + len), or NULL if none;
	 * and what to do with one whose last hold has gone. OWN areas leave both
	 * to the pool.
	 */
	struct libos_buf *(*find)(struct libos_area *area, const void *addr, uint32_t len);
	void (*release)(struct libos_buf *buf);
	void *priv;		/* of who made the memory: a region, an MR */
};

/* Who makes a pool's memory: plain pages by default, catmem's sealed memfds. */
struct libos_mem_ops {
	/* size is a multiple of 2 MiB; *addr_out is 2 MiB-aligned. ENOMEM,
	 * ENOSPC, EFBIG, EMFILE. *priv_out goes to area->priv. */
	int (*map)(void *arg, size_t size, void **addr_out, void **priv_out);
	void (*unmap)(void *arg, void *addr, size_t size, void *priv);
};

struct libos_pool {
	struct libos *os;
	const struct libos_mem_ops *mem;
	void *mem_arg;
	struct list areas;
	struct libos_buf *free[LIBOS_N_CLASSES];
	struct libos_area *carve[LIBOS_N_CLASSES]; /* with objects never used yet */
};

/* One pushed segment, checked: the buffer it lies in and its bytes. */
struct libos_seg {
	struct libos_buf *buf;
	uint8_t *addr;
	uint32_t len;
};

/* What the program holds of the pool's buffers of one origin: the bytes they take
 * up, and `each` for every one. Looks at all that were ever used. */
uint64_t libos_pool_held(const struct libos_pool *pool, uint32_t origin, uint32_t each);

/* What a push moves: the segments that are not empty, each holding a reference
 * to its buffer, which the backend takes over if it returns 0. */
struct libos_io {
	uint32_t n;
	uint32_t total;
	struct libos_seg seg[DEMI_SGARRAY_MAXSIZE];
};

/* What lies in a buffer that is CHAIN: the others, up to a NULL, and what they are to
 * the program until it has been told. */
struct libos_chain {
	struct libos_buf *bufs[DEMI_SGARRAY_MAXSIZE + 1];
	demi_sgaseg_t segs[DEMI_SGARRAY_MAXSIZE];
};

void libos_pool_init(struct libos_pool *pool, struct libos *os,
		     const struct libos_mem_ops *mem, void *mem_arg);
/* Unmaps everything, held or not. */
void libos_pool_fini(struct libos_pool *pool);
/* libos_buf_alloc() is in libos/libos.h; this is its slow half: one that was
 * never used before. */
struct libos_buf *libos_buf_carve(struct libos_pool *pool, unsigned shift);

/* The instance's map: an area of the given base and size, whole units. */
int libos_area_add(struct libos *os, struct libos_area *area);
void libos_area_del(struct libos *os, struct libos_area *area);
/* The area found last may be gone: it is looked for anew. */
void libos_area_forget(struct libos *os);
void libos_buf_release(struct libos_buf *buf);	/* slow end of put */

static inline void libos_buf_get(struct libos_buf *buf)
{
	buf->refs++;
}

/* Drops one hold; the rest if it was the last, or somebody waits for it. */
static inline void libos_buf_put(struct libos_buf *buf)
{
	buf->refs--;
	if (unlikely(!buf->refs || buf->holds || buf->flags & LIBOS_BUF_WATCHED))
		libos_buf_release(buf);
}

static inline void libos_io_put(const struct libos_io *io)
{
	for (uint32_t i = 0; i < io->n; i++)
		libos_buf_put(io->seg[i].buf);
}

/* log2 of the object size that holds `size` bytes. */
static inline unsigned libos_class_shift(size_t size)
{
	if (size <= (1u << LIBOS_CLASS_MIN_SHIFT))
		return LIBOS_CLASS_MIN_SHIFT;
	return 64u - (unsigned)__builtin_clzl(size - 1);
}

#endif /* LIBOS_BUF_H */

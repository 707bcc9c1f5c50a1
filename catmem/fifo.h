/*
 * A queue of records of one size in one growing array; a new one owns no memory.
 */
#ifndef CATMEM_FIFO_H
#define CATMEM_FIFO_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct fifo {
	uint8_t *items;
	uint32_t cap;		/* a power of two, or 0 */
	uint32_t head, n;
};

static inline void *fifo_at(const struct fifo *f, uint32_t i, size_t size)
{
	return f->items + (size_t)((f->head + i) & (f->cap - 1)) * size;
}

static inline void *fifo_first(const struct fifo *f, size_t size)
{
	return fifo_at(f, 0, size);
}

static inline void *fifo_last(const struct fifo *f, size_t size)
{
	return fifo_at(f, f->n - 1, size);
}

static inline int fifo_grow(struct fifo *f, size_t size)
{
	uint32_t cap = f->cap ? f->cap * 2 : 4;
	uint8_t *items = malloc(cap * size);

	if (!items)
		return ENOMEM;
	for (uint32_t i = 0; i < f->n; i++)
		memcpy(items + i * size, fifo_at(f, i, size), size);
	free(f->items);
	f->items = items;
	f->cap = cap;
	f->head = 0;
	return 0;
}

/* A place at the end, to be filled; NULL when out of memory. */
static inline void *fifo_push(struct fifo *f, size_t size)
{
	if (f->n == f->cap && fifo_grow(f, size))
		return NULL;
	f->n++;
	return fifo_last(f, size);
}

/* Makes room for n more, so that as many fifo_push() will not fail. */
static inline int fifo_reserve(struct fifo *f, uint32_t n, size_t size)
{
	while (f->cap - f->n < n) {
		int err = fifo_grow(f, size);

		if (err)
			return err;
	}
	return 0;
}

static inline void fifo_pop(struct fifo *f)
{
	f->head++;
	f->n--;
}

static inline void fifo_fini(struct fifo *f)
{
	free(f->items);
	memset(f, 0, sizeof(*f));
}

#endif /* CATMEM_FIFO_H */

#include "config.h"

#include "libos/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/compiler.h"
#include "libos/backend.h"
#include "libos/buf_debug.h"
#include "libos/libos.h"
#include "libos/log.h"

/* ---- the map from addresses to areas: open addressing, at most half full */

#define FIRST_UNITS 64u

static uintptr_t unit_of(const void *addr)
{
	return (uintptr_t)addr >> LIBOS_UNIT_SHIFT;
}

static void unit_put(struct libos_unit *units, uint32_t mask, uintptr_t unit,
		     struct libos_area *area)
{
	uint32_t i = (uint32_t)unit & mask;

	while (units[i].unit != LIBOS_NO_UNIT)
		i = (i + 1) & mask;
	units[i].unit = unit;
	units[i].area = area;
}

static int units_reserve(struct libos *os, uint32_t more)
{
	uint32_t n = os->units ? os->units_mask + 1 : FIRST_UNITS;
	struct libos_unit *units;

	while ((os->n_units + more) * 2 > n)
		n *= 2;
	if (os->units && n == os->units_mask + 1)
		return 0;
	units = malloc(n * sizeof(*units));
	if (!units)
		return ENOMEM;
	memset(units, 0xff, n * sizeof(*units)); /* LIBOS_NO_UNIT */
	for (uint32_t i = 0; os->units && i <= os->units_mask; i++)
		if (os->units[i].unit != LIBOS_NO_UNIT)
			unit_put(units, n - 1, os->units[i].unit, os->units[i].area);
	free(os->units);
	os->units = units;
	os->units_mask = n - 1;
	return 0;
}

int libos_area_add(struct libos *os, struct libos_area *area)
{
	uint32_t n = (uint32_t)(area->size >> LIBOS_UNIT_SHIFT);
	int err = units_reserve(os, n);

	if (err)
		return err;
	for (uint32_t i = 0; i < n; i++)
		unit_put(os->units, os->units_mask, unit_of(area->base) + i, area);
	os->n_units += n;
	return 0;
}

/* Removes slot i and moves up what was displaced past it. */
static void unit_del(struct libos *os, uint32_t i)
{
	uint32_t mask = os->units_mask;

	for (uint32_t j = (i + 1) & mask; os->units[j].unit != LIBOS_NO_UNIT; j = (j + 1) & mask) {
		uint32_t home = (uint32_t)os->units[j].unit & mask;

		if (((j - home) & mask) < ((j - i) & mask))
			continue; /* its home lies behind the hole */
		os->units[i] = os->units[j];
		i = j;
	}
	os->units[i].unit = LIBOS_NO_UNIT;
	os->n_units--;
}

void libos_area_del(struct libos *os, struct libos_area *area)
{
	uint32_t n = (uint32_t)(area->size >> LIBOS_UNIT_SHIFT);

	for (uint32_t k = 0; k < n; k++) {
		uintptr_t unit = unit_of(area->base) + k;
		uint32_t i = (uint32_t)unit & os->units_mask;

		while (os->units[i].unit != unit)
			i = (i + 1) & os->units_mask;
		unit_del(os, i);
	}
}

/* Stands for "none found yet": nothing lies in it. */
static struct libos_area no_area;
static struct libos_buf no_buf;

void libos_area_forget(struct libos *os)
{
	os->hot_area = &no_area;
	os->hot_buf = &no_buf;
}

struct libos_buf *libos_buf_find(struct libos *os, const void *addr, uint32_t len)
{
	struct libos_area *area = libos_area_find(os, addr);
	struct libos_buf *buf;
	size_t off;
	uint32_t i;

	if (!area)
		return NULL;
	if (area->kind != LIBOS_AREA_OWN)
		return area->find(area, addr, len);
	os->hot_area = area;
	off = (size_t)((const uint8_t *)addr - area->base);
	i = (uint32_t)(off >> area->shift);
	if (i >= area->n_carved)
		return NULL;
	buf = &area->bufs[i];
	off = (size_t)((const uint8_t *)addr - buf->base);
	return buf->app && off + len <= buf->len ? buf : NULL;
}

/* ---- pools */

/* Plain pages, aligned by cutting them out of a larger mapping. */
static int plain_map(void *arg, size_t size, void **addr_out, void **priv_out)
{
	uint8_t *raw = mmap(NULL, size + LIBOS_UNIT_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *addr;

	(void)arg;
	if (raw == MAP_FAILED)
		return ENOMEM;
	addr = (uint8_t *)(((uintptr_t)raw + LIBOS_UNIT_SIZE - 1) & ~(LIBOS_UNIT_SIZE - 1));
	if (addr > raw)
		munmap(raw, (size_t)(addr - raw));
	if (addr + size < raw + size + LIBOS_UNIT_SIZE)
		munmap(addr + size, (size_t)(raw + LIBOS_UNIT_SIZE - addr));
	*addr_out = addr;
	*priv_out = NULL;
	return 0;
}

static void plain_unmap(void *arg, void *addr, size_t size, void *priv)
{
	(void)arg, (void)priv;
	munmap(addr, size);
}

static const struct libos_mem_ops plain_mem = { plain_map, plain_unmap };

void libos_pool_init(struct libos_pool *pool, struct libos *os,
		     const struct libos_mem_ops *mem, void *mem_arg)
{
	memset(pool, 0, sizeof(*pool));
	pool->os = os;
	pool->mem = mem ? mem : &plain_mem;
	pool->mem_arg = mem_arg;
	list_init(&pool->areas);
}

static void area_free(struct libos_area *area)
{
	struct libos_pool *pool = area->pool;
	struct libos *os = pool->os;

	libos_area_forget(os);
	libos_area_del(os, area);
	list_del(&area->link);
	pool->mem->unmap(pool->mem_arg, area->base, area->size, area->priv);
	os->pool_bytes -= area->size;
	os->count[LIBOS_C_POOL_BYTES] = os->pool_bytes;
	free(area->bufs);
	free(area);
}

void libos_pool_fini(struct libos_pool *pool)
{
	if (!pool->os)
		return;
	while (!list_empty(&pool->areas))
		area_free(list_first(&pool->areas, struct libos_area, link));
	memset(pool->free, 0, sizeof(pool->free));
	memset(pool->carve, 0, sizeof(pool->carve));
}

/* Takes the objects of an unused area off their free list. */
static void class_purge(struct libos_pool *pool, struct libos_area *area)
{
	struct libos_buf **link = &pool->free[area->shift];

	while (*link) {
		if ((*link)->area == area)
			*link = (*link)->next;
		else
			link = &(*link)->next;
	}
	if (pool->carve[area->shift] == area)
		pool->carve[area->shift] = NULL;
}

/* At the limit: memory that other sizes left behind goes back. */
static void pool_reclaim(struct libos_pool *pool)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &pool->areas) {
		struct libos_area *area = container_of(pos, struct libos_area, link);

		if (area->n_used)
			continue;
		class_purge(pool, area);
		area_free(area);
	}
}

static int area_map(struct libos_pool *pool, struct libos_area *area)
{
	struct libos *os = pool->os;
	void *base;
	int err;

	if (os->pool_bytes + area->size > os->pool_limit)
		pool_reclaim(pool);
	if (os->pool_bytes + area->size > os->pool_limit)
		return ENOMEM;
	err = pool->mem->map(pool->mem_arg, area->size, &base, &area->priv);
	if (err) {
		log_debug("pool: %s for %zu bytes", strerror(err), area->size);
		os->pool_err = err;
		return err;
	}
	area->base = base;
	err = libos_area_add(os, area);
	if (err) {
		pool->mem->unmap(pool->mem_arg, base, area->size, area->priv);
		return err;
	}
	os->pool_bytes += area->size;
	os->count[LIBOS_C_POOL_BYTES] = os->pool_bytes;
	return 0;
}

static struct libos_area *area_new(struct libos_pool *pool, unsigned shift)
{
	struct libos_area *area = calloc(1, sizeof(*area));

	if (!area)
		return NULL;
	area->kind = LIBOS_AREA_OWN;
	area->shift = (uint8_t)shift;
	area->pool = pool;
	area->size = shift > LIBOS_UNIT_SHIFT ? 1ul << shift : LIBOS_UNIT_SIZE;
	area->n_objs = (uint32_t)(area->size >> shift);
	area->bufs = calloc(area->n_objs, sizeof(*area->bufs));
	if (!area->bufs || area_map(pool, area)) {
		free(area->bufs);
		free(area);
		return NULL;
	}
	list_add_tail(&pool->areas, &area->link);
	pool->carve[shift] = area;
	return area;
}

struct libos_buf *libos_buf_carve(struct libos_pool *pool, unsigned shift)
{
	struct libos_area *area = pool->carve[shift];
	struct libos_buf *buf;
	int saved = errno;

	if (!area || area->n_carved == area->n_objs)
		area = area_new(pool, shift);
	errno = saved;
	if (!area) {
		pool->os->count[LIBOS_C_ALLOC_FAILED]++;
		return NULL;
	}
	buf = &area->bufs[area->n_carved];
	buf->base = area->base + ((size_t)area->n_carved << shift);
	buf->area = area;
	area->n_carved++;
	return buf;
}

static uint64_t area_held(const struct libos_area *area, uint32_t origin, uint32_t each)
{
	uint64_t n = 0;

	for (uint32_t i = 0; area->n_used && i < area->n_carved; i++)
		n += area->bufs[i].refs && area->bufs[i].app && area->bufs[i].origin == origin;
	return n * ((1ul << area->shift) + each);
}

uint64_t libos_pool_held(const struct libos_pool *pool, uint32_t origin, uint32_t each)
{
	uint64_t held = 0;

	if (!pool->os)
		return 0;
	for (struct list *pos = pool->areas.next; pos != &pool->areas; pos = pos->next)
		held += area_held(container_of(pos, struct libos_area, link), origin, each);
	return held;
}

/* A multi-segment pop: the buffers that its first bytes list. */
static void chain_put(struct libos_buf *chain)
{
	struct libos_buf **bufs = ((struct libos_chain *)(void *)chain->base)->bufs;

	for (; *bufs; bufs++) {
		(*bufs)->app--;
		libos_buf_put(*bufs);
	}
}

/* push.completes released: nobody but the program holds it any more. */
static void holds_finish(struct libos_buf *buf)
{
	struct libos_op_hold *hold = buf->holds, *next;

	buf->holds = NULL;
	for (; hold; hold = next) {
		next = hold->next;
		if (--hold->op->n_holds == 0)
			libos_op_done(hold->op);
	}
}

/* Somebody wants to know when nobody but the program holds it. */
static slow_path void release_told(struct libos_buf *buf)
{
	if (buf->refs > buf->app)
		return;
	if (buf->holds)
		holds_finish(buf);
	if (buf->flags & LIBOS_BUF_WATCHED)
		libos_buf_debug_released(buf->area->pool->os, buf);
}

void libos_buf_release(struct libos_buf *buf)
{
	if (unlikely(buf->holds || buf->flags & LIBOS_BUF_WATCHED))
		release_told(buf);
	if (unlikely(buf->refs))
		return;
	if (buf->flags & LIBOS_BUF_CHARGED) {
		struct libos_ctx *charger = buf->area->pool->os->charger;

		buf->flags &= ~(uint32_t)LIBOS_BUF_CHARGED;
		charger->be->released(charger, buf);
	}
	if (buf->area->kind == LIBOS_AREA_FOREIGN) {
		buf->area->release(buf);
		return;
	}
	if (unlikely(buf->flags & LIBOS_BUF_CHAIN))
		chain_put(buf);
	libos_buf_give_back(buf);
}

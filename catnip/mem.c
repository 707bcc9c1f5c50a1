#include "config.h"

#include "catnip/mem.h"

#include "libos/buf.h"
#include "libos/log.h"

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * EAL's allocator puts a header in front of each block, so that one unit of its own
 * would cost two of address space. It is asked for large arenas instead, whose pages
 * come when they are touched, and a bit says which unit is in use.
 */
#define MAX_ARENAS 64
#define ARENA_UNITS 512u	/* 1 GiB at most */
#define LEAST_UNITS 8u
#define LEFT_FOR_DRIVERS (16u << 20)

struct arena {
	uint8_t *base;
	uint32_t n_units;
	uint8_t used[ARENA_UNITS];
};

#define MAX_PAGES 256

/* EAL is one a process, and so is its memory. */
static struct {
	pthread_mutex_t lock;
	struct arena *arenas[MAX_ARENAS];
	uint32_t n_arenas;
	struct mem_range told[MAX_PAGES]; /* pages that a device reaches */
} mem = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- EAL's */

/* Hugepages come when they are asked for; without them there is what there is. */
static bool drivers_starve(void)
{
	struct rte_malloc_socket_stats st;

	return !rte_eal_has_hugepages() && !rte_malloc_get_socket_stats(0, &st) &&
	       st.heap_freesz_bytes < LEFT_FOR_DRIVERS;
}

static struct arena *arena_make(uint32_t n_units)
{
	struct arena *a = rte_zmalloc(NULL, sizeof(*a), 0);

	if (!a)
		return NULL;
	a->base = rte_malloc(NULL, (size_t)n_units << LIBOS_UNIT_SHIFT, LIBOS_UNIT_SIZE);
	if (!a->base || drivers_starve()) {
		rte_free(a->base);
		rte_free(a);
		return NULL;
	}
	a->n_units = n_units;
	return a;
}

/* As large as EAL still has it, but not all: drivers want some, too. */
static struct arena *arena_add(uint32_t n)
{
	struct arena *a = NULL;

	if (mem.n_arenas == MAX_ARENAS || n > ARENA_UNITS)
		return NULL;
	for (uint32_t units = ARENA_UNITS; !a && units >= n && units >= LEAST_UNITS; units /= 2) {
		a = arena_make(units);
		if (!a && units / 2 < n && units > n)
			a = arena_make(n);
	}
	if (a)
		mem.arenas[mem.n_arenas++] = a;
	return a;
}

static void *arena_take(struct arena *a, uint32_t n)
{
	uint32_t run = 0;

	for (uint32_t i = 0; i < a->n_units; i++) {
		run = a->used[i] ? 0 : run + 1;
		if (run < n)
			continue;
		i -= n - 1;
		memset(a->used + i, 1, n);
		return a->base + ((size_t)i << LIBOS_UNIT_SHIFT);
	}
	return NULL;
}

void *mem_eal_alloc(size_t size)
{
	uint32_t n = (uint32_t)(size >> LIBOS_UNIT_SHIFT);
	struct arena *a;
	void *addr = NULL;

	pthread_mutex_lock(&mem.lock);
	for (uint32_t i = 0; i < mem.n_arenas && !addr; i++)
		addr = arena_take(mem.arenas[i], n);
	if (!addr) {
		a = arena_add(n);
		addr = a ? arena_take(a, n) : NULL;
	}
	pthread_mutex_unlock(&mem.lock);
	return addr;
}

void mem_eal_free(void *addr, size_t size)
{
	uint32_t n = (uint32_t)(size >> LIBOS_UNIT_SHIFT);

	madvise(addr, size, MADV_REMOVE); /* the pages themselves; hugepages stay */
	pthread_mutex_lock(&mem.lock);
	for (uint32_t i = 0; i < mem.n_arenas; i++) {
		struct arena *a = mem.arenas[i];
		size_t off = (size_t)((uint8_t *)addr - a->base) >> LIBOS_UNIT_SHIFT;

		if ((uint8_t *)addr >= a->base && off < a->n_units)
			memset(a->used + off, 0, n);
	}
	pthread_mutex_unlock(&mem.lock);
}

/* Segments follow each other without a hole, or the rest is not counted. */
static int list_extend(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	struct mem_range *r = arg;
	uintptr_t addr = (uintptr_t)ms->addr;

	if (msl->external)
		return 0;
	if (!r->start) {
		r->start = addr;
		r->end = addr + ms->len;
	} else if (addr == r->end && addr + ms->len <= (uintptr_t)msl->base_va + msl->len &&
		   r->start == (uintptr_t)msl->base_va) {
		r->end += ms->len;
	}
	return 0;
}

void mem_first_list(struct mem_range *range_out)
{
	*range_out = (struct mem_range){ 0 };
	rte_memseg_walk(list_extend, range_out);
}

/* ---- other pages */

static void *pages(size_t size)
{
	size_t total = size + LIBOS_UNIT_SIZE;
	uint8_t *raw, *addr;

	addr = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (addr != MAP_FAILED)
		return addr;
	raw = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw == MAP_FAILED)
		return NULL;
	addr = (uint8_t *)(((uintptr_t)raw + LIBOS_UNIT_SIZE - 1) & ~(LIBOS_UNIT_SIZE - 1));
	if (addr > raw)
		munmap(raw, (size_t)(addr - raw));
	if (addr + size < raw + total)
		munmap(addr + size, (size_t)(raw + total - addr) - size);
	return addr;
}

/* Told or not: what it was not told of is copied. */
static void tell(struct rte_device *dev, void *addr, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint32_t i = 0;

	pthread_mutex_lock(&mem.lock);
	while (i < MAX_PAGES && mem.told[i].start)
		i++;
	if (i == MAX_PAGES || rte_extmem_register(addr, size, NULL, 0, page))
		goto out;
	if (rte_dev_dma_map(dev, addr, (uint64_t)(uintptr_t)addr, size)) {
		rte_extmem_unregister(addr, size);
		goto out;
	}
	mem.told[i] = (struct mem_range){ (uintptr_t)addr, (uintptr_t)addr + size };
out:
	pthread_mutex_unlock(&mem.lock);
}

int mem_pages_map(struct rte_device *dev, size_t size, void **addr_out)
{
	void *addr = pages(size);

	if (!addr)
		return ENOMEM;
	if (dev)
		tell(dev, addr, size);
	*addr_out = addr;
	return 0;
}

void mem_pages_unmap(struct rte_device *dev, void *addr, size_t size)
{
	pthread_mutex_lock(&mem.lock);
	for (uint32_t i = 0; dev && i < MAX_PAGES; i++) {
		if (mem.told[i].start != (uintptr_t)addr)
			continue;
		rte_dev_dma_unmap(dev, addr, (uint64_t)(uintptr_t)addr, size);
		rte_extmem_unregister(addr, size);
		mem.told[i] = (struct mem_range){ 0 };
	}
	pthread_mutex_unlock(&mem.lock);
	munmap(addr, size);
}

bool mem_is_for_dma(const void *addr, size_t len)
{
	bool found = false;

	/* EAL's own first: it takes a look at a few lists */
	if (rte_mem_virt2memseg_list(addr) && rte_mem_virt2memseg_list((const char *)addr + len - 1))
		return true;
	pthread_mutex_lock(&mem.lock);
	for (uint32_t i = 0; i < MAX_PAGES && !found; i++)
		found = mem.told[i].start && mem_in(&mem.told[i], addr, len);
	pthread_mutex_unlock(&mem.lock);
	return found;
}

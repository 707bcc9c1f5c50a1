/*
 * Memory for pools and for demi_sgaalloc(): whole 2 MiB units, out of EAL's memory
 * while there is some, else hugepages, else plain pages, which ports that do DMA are
 * told about.
 */
#ifndef CATNIP_MEM_H
#define CATNIP_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rte_device;

/* A range of addresses that a driver reaches. */
struct mem_range {
	uintptr_t start, end;
};

static inline bool mem_in(const struct mem_range *r, const void *addr, size_t len)
{
	return (uintptr_t)addr >= r->start && (uintptr_t)addr + len <= r->end;
}

/* size: a multiple of 2 MiB; so is the address. NULL: EAL has none left. Threads
 * may call these at the same time. */
void *mem_eal_alloc(size_t size);
void mem_eal_free(void *addr, size_t size);

/* EAL's first list of segments as it is now: what zero-copy memif shows its peer. */
void mem_first_list(struct mem_range *range_out);

/* Pages that EAL knows nothing of; dev (or NULL) is told where they are. */
int mem_pages_map(struct rte_device *dev, size_t size, void **addr_out);
void mem_pages_unmap(struct rte_device *dev, void *addr, size_t size);
/* Lies in memory of EAL or in pages that dev was told of. */
bool mem_is_for_dma(const void *addr, size_t len);

#endif /* CATNIP_MEM_H */

/*
 * malloc() and its kin as net/ calls them inside the simulator: counted, so that
 * nothing stays, and failing when it is told to; see netheap.h.
 */
#ifndef TESTS_SIM_HEAP_H
#define TESTS_SIM_HEAP_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

void *sim_malloc(size_t size);
void *sim_calloc(size_t n, size_t size);
void *sim_realloc(void *old, size_t size);
void *sim_aligned_alloc(size_t align, size_t size);
void sim_free(void *p);

/* Blocks and bytes that net/ has now. */
uint64_t sim_heap_blocks(void);
uint64_t sim_heap_bytes(void);
/* Of a million allocations so many fail from now on, as this seed has it. */
void sim_heap_fail(uint32_t ppm, uint64_t seed);
/* The nth from now on fails, and no other; 0: none. */
void sim_heap_fail_nth(uint64_t n);
uint64_t sim_heap_failed(void);

#endif /* TESTS_SIM_HEAP_H */

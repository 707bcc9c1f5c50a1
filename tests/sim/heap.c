#include "config.h"

#include "tests/sim/heap.h"

#include <malloc.h>
#include <string.h>

#include "tests/sim/rnd.h"

/* One heap a process: net/ cannot say which of its stacks asks. */
static struct {
	uint64_t blocks, bytes, failed;
	uint64_t countdown;
	uint32_t ppm;
	struct rnd rnd;
} heap;

static bool fails(void)
{
	bool no = rnd_ppm(&heap.rnd, heap.ppm);

	if (heap.countdown && !--heap.countdown)
		no = true;
	heap.failed += no;
	return no;
}

static void *counted(void *p)
{
	if (!p)
		abort();
	heap.blocks++;
	heap.bytes += malloc_usable_size(p);
	return p;
}

/* What is not zeroed holds no zeros. */
void *sim_malloc(size_t size)
{
	return fails() ? NULL : memset(counted(malloc(size)), 0xa5, size);
}

void *sim_calloc(size_t n, size_t size)
{
	return fails() ? NULL : counted(calloc(n, size));
}

void *sim_aligned_alloc(size_t align, size_t size)
{
	return fails() ? NULL : memset(counted(aligned_alloc(align, size)), 0xa5, size);
}

void sim_free(void *p)
{
	if (!p)
		return;
	heap.blocks--;
	heap.bytes -= malloc_usable_size(p);
	free(p);
}

void *sim_realloc(void *old, size_t size)
{
	if (fails())
		return NULL;
	if (old) {
		heap.blocks--;
		heap.bytes -= malloc_usable_size(old);
	}
	return counted(realloc(old, size));
}

uint64_t sim_heap_blocks(void)
{
	return heap.blocks;
}

uint64_t sim_heap_bytes(void)
{
	return heap.bytes;
}

uint64_t sim_heap_failed(void)
{
	return heap.failed;
}

void sim_heap_fail(uint32_t ppm, uint64_t seed)
{
	heap.ppm = ppm;
	rnd_init(&heap.rnd, seed, 77);
}

void sim_heap_fail_nth(uint64_t n)
{
	heap.countdown = n;
}

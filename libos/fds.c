#include "config.h"

#include "libos/fds.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* A bitmap in pages of 32,768 descriptors, made when first needed and kept. */
#define PAGE_BITS 32768u
#define N_PAGES 64u

struct fd_page {
	_Atomic uint64_t words[PAGE_BITS / 64];
};

static struct fd_page first_page;
static _Atomic(struct fd_page *) pages[N_PAGES] = { &first_page };

static struct fd_page *fd_page(unsigned fd)
{
	struct fd_page *page, *none = NULL;

	if (fd / PAGE_BITS >= N_PAGES)
		return NULL; /* over two million: the child keeps its copy */
	page = atomic_load_explicit(&pages[fd / PAGE_BITS], memory_order_acquire);
	if (page)
		return page;
	page = calloc(1, sizeof(*page));
	if (!page)
		return NULL;
	if (atomic_compare_exchange_strong(&pages[fd / PAGE_BITS], &none, page))
		return page;
	free(page);
	return none;
}

int libos_fd_own(int fd)
{
	struct fd_page *page = fd < 0 ? NULL : fd_page((unsigned)fd);
	unsigned bit = (unsigned)fd % PAGE_BITS;

	if (page)
		atomic_fetch_or_explicit(&page->words[bit / 64], UINT64_C(1) << (bit % 64),
					 memory_order_relaxed);
	return fd;
}

void libos_fd_close(int fd)
{
	struct fd_page *page = fd < 0 ? NULL : fd_page((unsigned)fd);
	unsigned bit = (unsigned)fd % PAGE_BITS;

	if (fd < 0)
		return;
	if (page)
		atomic_fetch_and_explicit(&page->words[bit / 64], ~(UINT64_C(1) << (bit % 64)),
					  memory_order_relaxed);
	close(fd);
}

static void page_close_all(struct fd_page *page, unsigned first)
{
	for (unsigned w = 0; w < PAGE_BITS / 64; w++) {
		uint64_t bits = atomic_exchange(&page->words[w], 0);

		while (bits) {
			close((int)(first + w * 64 + (unsigned)__builtin_ctzll(bits)));
			bits &= bits - 1;
		}
	}
}

void libos_fds_close_all(void)
{
	for (unsigned i = 0; i < N_PAGES; i++) {
		struct fd_page *page = atomic_load(&pages[i]);

		if (page)
			page_close_all(page, i * PAGE_BITS);
	}
}

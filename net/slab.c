#include "config.h"

#include "net/slab.h"

#include <stdlib.h>

/* Before the objects of a block, which are cache lines or parts of them. */
struct block {
	struct block *next;
} cacheline_aligned;

void net_slab_init(struct net_slab *slab, size_t size, uint32_t per_block)
{
	*slab = (struct net_slab){ .size = (uint32_t)size, .per_block = per_block };
}

void net_slab_fini(struct net_slab *slab)
{
	struct block *b = slab->blocks;

	while (b) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
	slab->blocks = NULL;
	slab->free = NULL;
}

#ifdef CLOWDER_SANITIZED
slow_path void *net_slab_grow(struct net_slab *slab)
{
	void *obj = aligned_alloc(CACHE_LINE, (slab->size + CACHE_LINE - 1) &
						      ~(size_t)(CACHE_LINE - 1));

	if (obj)
		slab->n_used++;
	return obj;
}

void net_slab_free_one(struct net_slab *slab, void *obj)
{
	free(obj);
	slab->n_used--;
}
#else
slow_path void *net_slab_grow(struct net_slab *slab)
{
	struct block *b;
	char *objs;

	b = aligned_alloc(CACHE_LINE, (sizeof(*b) + (size_t)slab->size * slab->per_block +
				       CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	if (!b)
		return NULL;
	b->next = slab->blocks;
	slab->blocks = b;
	objs = (char *)(b + 1);
	slab->n_used += slab->per_block;
	for (uint32_t i = slab->per_block; i > 0; i--)
		net_slab_free_one(slab, objs + (size_t)(i - 1) * slab->size);
	return net_slab_alloc(slab);
}

void net_slab_free_one(struct net_slab *slab, void *obj)
{
	*(void **)obj = slab->free;
	slab->free = obj;
	slab->n_used--;
}
#endif

/*
 * Objects of one size from blocks that are kept until the end: what was freed last
 * is given out first. Under a sanitizer each object is an allocation of its own.
 */
#ifndef NET_SLAB_H
#define NET_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct net_slab {
	void *free;		/* a stack, through the objects' first words */
	uint32_t n_used;
	uint32_t size;		/* of an object */
	uint32_t per_block;
	void *blocks;
};

void net_slab_init(struct net_slab *slab, size_t size, uint32_t per_block);
/* All objects are gone with it. */
void net_slab_fini(struct net_slab *slab);
/* Its slow half: NULL when there is no memory. */
void *net_slab_grow(struct net_slab *slab);

/* Not zeroed; NULL: no memory. */
static inline void *net_slab_alloc(struct net_slab *slab)
{
	void **obj = slab->free;

	if (unlikely(!obj))
		return net_slab_grow(slab);
	slab->free = *obj;
	slab->n_used++;
	return obj;
}

void net_slab_free_one(struct net_slab *slab, void *obj);

static inline void net_slab_free(struct net_slab *slab, void *obj)
{
#ifdef CLOWDER_SANITIZED
	net_slab_free_one(slab, obj);
#else
	*(void **)obj = slab->free;
	slab->free = obj;
	slab->n_used--;
#endif
}

#endif /* NET_SLAB_H */

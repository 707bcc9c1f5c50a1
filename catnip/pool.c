#include "config.h"

#include "catnip/pool.h"

#include "catnip/mem.h"
#include "libos/libos.h"
#include "libos/log.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRANULE_SHIFT 11	/* less than any mbuf for a whole frame */
#define CACHE 256

_Static_assert(sizeof(union pool_priv) <= POOL_PRIV, "fits between header and headroom");
_Static_assert(POOL_PRIV % RTE_MBUF_PRIV_ALIGN == 0, "as DPDK wants it");

/* ---- which mbuf an address lies in */

static struct libos_buf *find(struct libos_area *area, const void *addr, uint32_t len)
{
	struct pool *p = container_of(area, struct pool, area);
	uint32_t i = p->first[(size_t)((const uint8_t *)addr - area->base) >> GRANULE_SHIFT];
	struct libos_buf *buf;

	if (i && (const void *)p->mbufs[i] > addr)
		i--;
	buf = &pool_priv(p->mbufs[i])->buf;
	if (!buf->app || (const uint8_t *)addr < buf->base ||
	    (const uint8_t *)addr + len > buf->base + buf->len)
		return NULL;
	return buf;
}

static void release(struct libos_buf *buf)
{
	struct pool *p = container_of(buf->area, struct pool, area);

	p->out--;
	rte_mbuf_raw_free(pool_mbuf(buf));
}

static void note_mbuf(struct rte_mempool *mp, void *arg, void *obj, unsigned i)
{
	struct pool *p = arg;

	(void)mp;
	memset(rte_mbuf_to_priv(obj), 0, POOL_PRIV);
	p->mbufs[i] = obj;
}

static int by_address(const void *a, const void *b)
{
	const void *x = *(void *const *)a, *y = *(void *const *)b;

	return x < y ? -1 : x > y;
}

static int index_make(struct pool *p)
{
	uint32_t n = (uint32_t)(p->area.size >> GRANULE_SHIFT), i = 0;

	p->mbufs = calloc(p->n, sizeof(*p->mbufs));
	p->first = calloc(n, sizeof(*p->first));
	if (!p->mbufs || !p->first)
		return ENOMEM;
	rte_mempool_obj_iter(p->mp, note_mbuf, p);
	qsort(p->mbufs, p->n, sizeof(*p->mbufs), by_address);
	for (uint32_t g = 0; g < n; g++) {
		const uint8_t *end = p->area.base + ((size_t)(g + 1) << GRANULE_SHIFT);

		while (i + 1 < p->n && (const uint8_t *)p->mbufs[i + 1] < end)
			i++;
		p->first[g] = i;
	}
	return 0;
}

/* ---- life */

static size_t units_for(const struct pool *p)
{
	size_t size = (size_t)p->stride * p->n;

	/* where pages are not contiguous for the device, the last of one is lost */
	if (rte_eal_iova_mode() == RTE_IOVA_PA)
		size += (size >> LIBOS_UNIT_SHIFT) * p->stride;
	return (size + 2 * LIBOS_UNIT_SIZE - 1) & ~(LIBOS_UNIT_SIZE - 1);
}

static int units_get(struct pool *p)
{
	void *base;

	p->area.size = units_for(p);
	base = mem_eal_alloc(p->area.size);
	p->eal = base;
	p->area.base = base;
	return base ? 0 : ENOMEM;
}

static int populate(struct pool *p)
{
	int ret;

	if (rte_eal_iova_mode() == RTE_IOVA_VA)
		ret = rte_mempool_populate_iova(p->mp, (char *)p->area.base,
						(rte_iova_t)(uintptr_t)p->area.base, p->area.size,
						NULL, NULL);
	else
		ret = rte_mempool_populate_virt(p->mp, (char *)p->area.base, p->area.size,
						LIBOS_UNIT_SIZE, NULL, NULL);
	if (ret < 0)
		return -ret;
	return p->mp->populated_size < p->n ? ENOMEM : 0;
}

static int make(struct pool *p)
{
	struct rte_pktmbuf_pool_private priv = {
		.mbuf_data_room_size = (uint16_t)(RTE_PKTMBUF_HEADROOM + p->room),
		.mbuf_priv_size = POOL_PRIV,
	};
	uint32_t elt = (uint32_t)sizeof(struct rte_mbuf) + POOL_PRIV + priv.mbuf_data_room_size;
	/* where addresses are what the device sees, an mbuf may lie across pages */
	unsigned flags = rte_eal_iova_mode() == RTE_IOVA_VA ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
	static _Atomic unsigned id;
	char name[32];
	int err;

	p->stride = rte_mempool_calc_obj_size(elt, flags, NULL);
	err = units_get(p);
	if (err)
		return err;
	snprintf(name, sizeof(name), "clowder-%u", id++);
	p->mp = rte_mempool_create_empty(name, p->n, elt, p->n < 2 * CACHE ? 0 : CACHE, sizeof(priv),
					 SOCKET_ID_ANY, flags);
	if (!p->mp)
		return rte_errno;
	if (rte_mempool_set_ops_byname(p->mp, "ring_mp_mc", NULL))
		return EINVAL;
	rte_pktmbuf_pool_init(p->mp, &priv);
	err = populate(p);
	if (err)
		return err;
	rte_mempool_obj_iter(p->mp, rte_pktmbuf_init, NULL);
	return index_make(p);
}

int pool_open(struct pool *p, struct libos *os, uint32_t n, uint32_t room)
{
	int err;

	*p = (struct pool){ .n = n, .room = room };
	p->area.kind = LIBOS_AREA_FOREIGN;
	p->area.find = find;
	p->area.release = release;
	err = make(p);
	if (!err && os) {
		p->area.pool = &os->pool;
		err = libos_area_add(os, &p->area);
		if (!err)
			p->os = os;
	}
	if (err) {
		log_error("catnip: no memory for %u packets of %u bytes (catnip.memory): %s", n,
			  room, strerror(err));
		pool_close(p, true);
	}
	return err;
}

bool pool_close(struct pool *p, bool force)
{
	if (p->mp && !force && !rte_mempool_full(p->mp))
		return false;
	if (p->os) {
		libos_area_forget(p->os);
		libos_area_del(p->os, &p->area);
	}
	rte_mempool_free(p->mp);
	if (p->area.base)
		mem_eal_free(p->area.base, p->area.size);
	free(p->mbufs);
	free(p->first);
	*p = (struct pool){ 0 };
	return true;
}

/* ---- after a driver that forgot */

static uint32_t index_of(const struct pool *p, const struct rte_mbuf *m)
{
	uint32_t lo = 0, hi = p->n;

	while (hi - lo > 1) {
		uint32_t mid = (lo + hi) / 2;

		if (p->mbufs[mid] > m)
			hi = mid;
		else
			lo = mid;
	}
	return lo;
}

/* In the state in which an mbuf lies in its pool. */
static void mbuf_undo(struct rte_mbuf *m)
{
	m->next = NULL;
	m->nb_segs = 1;
	rte_mbuf_refcnt_set(m, 1);
	if (RTE_MBUF_HAS_EXTBUF(m))
		rte_pktmbuf_detach(m); /* drops the reference to what it shows */
}

uint32_t pool_recover(struct pool *p)
{
	bool *in_pool = p->mp ? calloc(p->n, sizeof(*in_pool)) : NULL;
	uint32_t n = 0;
	void *obj;

	if (!in_pool)
		return 0;
	while (rte_mempool_get(p->mp, &obj) == 0)
		in_pool[index_of(p, obj)] = true;
	for (uint32_t i = 0; i < p->n; i++) {
		struct rte_mbuf *m = p->mbufs[i];

		if (!in_pool[i] && p->os && pool_priv(m)->buf.refs)
			continue; /* out */
		if (!in_pool[i]) {
			mbuf_undo(m);
			n++;
		}
		rte_mempool_put(p->mp, m);
	}
	free(in_pool);
	return n;
}

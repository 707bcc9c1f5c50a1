#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "catmem/catmem.h"

#define LOAN_CHUNK 128u
#define FIRST_BUCKETS 256u

/* ---- what we hold of others: loans; those that the program has are hashed by their
 * first byte */

uint32_t loan_slot(const struct catmem *cm, const void *base)
{
	uint64_t h = (uint64_t)(uintptr_t)base * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> 32) & cm->loan_mask;
}

int loans_init(struct catmem *cm)
{
	cm->loan_hash = calloc(FIRST_BUCKETS, sizeof(*cm->loan_hash));
	cm->loan_mask = FIRST_BUCKETS - 1;
	return cm->loan_hash ? 0 : ENOMEM;
}

void loans_fini(struct catmem *cm)
{
	for (uint32_t i = 0; i < cm->n_loan_chunks; i++)
		free(cm->loan_chunks[i]);
	free(cm->loan_chunks);
	free(cm->loan_hash);
}

void loans_drop(struct catmem *cm)
{
	uint64_t out = cm->os->count[LIBOS_C_BUFS_OUT];

	for (uint32_t i = 0; i < cm->n_loan_chunks * LOAN_CHUNK; i++) {
		struct loan *chunk = cm->loan_chunks[i / LOAN_CHUNK];
		struct libos_buf *buf = &chunk[i % LOAN_CHUNK].buf;

		if (!buf->refs)
			continue;
		buf->holds = NULL;
		buf->refs = buf->app = 0;
		buf->area->release(buf);
	}
	cm->os->count[LIBOS_C_BUFS_OUT] = out; /* it did not free them */
}

static int chunk_add(struct catmem *cm)
{
	void **chunks = realloc(cm->loan_chunks, (cm->n_loan_chunks + 1) * sizeof(*chunks));
	struct loan *chunk;

	if (!chunks)
		return ENOMEM;
	cm->loan_chunks = chunks;
	chunk = calloc(LOAN_CHUNK, sizeof(*chunk));
	if (!chunk)
		return ENOMEM;
	chunks[cm->n_loan_chunks++] = chunk;
	for (uint32_t i = 0; i < LOAN_CHUNK; i++) {
		chunk[i].next = cm->free_loans;
		cm->free_loans = &chunk[i];
	}
	return 0;
}

static void hash_grow(struct catmem *cm)
{
	uint32_t n = (cm->loan_mask + 1) * 2, old_n = cm->loan_mask + 1;
	struct loan **old = cm->loan_hash;
	struct loan **hash = calloc(n, sizeof(*hash));

	if (!hash)
		return; /* longer chains, nothing worse */
	cm->loan_hash = hash;
	cm->loan_mask = n - 1;
	for (uint32_t i = 0; i < old_n; i++) {
		while (old[i]) {
			struct loan *l = old[i];
			uint32_t slot = loan_slot(cm, l->buf.base);

			old[i] = l->next;
			l->next = hash[slot];
			hash[slot] = l;
		}
	}
	free(old);
}

struct loan *loan_take(struct foreign *f, uint32_t id, uint32_t offset, uint32_t len)
{
	struct catmem *cm = f->cm;
	struct loan *l;

	if (unlikely(!cm->free_loans) && chunk_add(cm))
		return NULL;
	l = cm->free_loans;
	cm->free_loans = l->next;
	l->buf.base = f->area.base + offset;
	l->buf.len = len;
	l->buf.refs = 1;
	l->buf.app = 0;
	l->buf.flags = 0;
	l->buf.area = &f->area;
	l->buf.holds = NULL;
	l->foreign = f;
	l->id = id;
	l->shown = false;
	list_add_tail(&f->loans, &l->node);
	if (f->link)
		f->link->borrowed++;
	catmem_count(cm, CATMEM_C_BORROWED, 1);
	cm->os->count[LIBOS_C_BUFS_OUT]++;
	return l;
}

void loan_show(struct loan *loan)
{
	struct catmem *cm = loan->foreign->cm;
	uint32_t slot;

	if (unlikely(cm->n_loans > cm->loan_mask))
		hash_grow(cm);
	slot = loan_slot(cm, loan->buf.base);
	loan->next = cm->loan_hash[slot];
	cm->loan_hash[slot] = loan;
	cm->n_loans++;
	loan->shown = true;
	list_del(&loan->node);
	list_add_head(&loan->foreign->loans, &loan->node);
}

static void loan_hide(struct catmem *cm, struct loan *loan)
{
	struct loan **link = &cm->loan_hash[loan_slot(cm, loan->buf.base)];

	while (*link != loan)
		link = &(*link)->next;
	*link = loan->next;
	cm->n_loans--;
}

void loan_free(struct catmem *cm, struct loan *loan)
{
	if (likely(loan->shown))
		loan_hide(cm, loan);
	loan->next = cm->free_loans;
	cm->free_loans = loan;
	catmem_count(cm, CATMEM_C_BORROWED, -1);
	cm->os->count[LIBOS_C_BUFS_OUT]--;
}

/* The loan is told to its owner with the next slot of returns. There is room:
 * grown when a loan is taken, it fails only if that did. */
void link_return(struct link *link, uint32_t loan)
{
	if (unlikely(link->n_returns == link->cap_returns)) {
		uint32_t cap = link->cap_returns ? link->cap_returns * 2 : 64;
		uint32_t *returns = realloc(link->returns, cap * sizeof(*returns));

		if (!returns) {
			link_break(link, "out of memory");
			return;
		}
		link->returns = returns;
		link->cap_returns = cap;
	}
	link->borrowed--;
	link->returns[link->n_returns++] = loan;
	if (unlikely(!link->hot))
		link_make_hot(link); /* its next pass gives it back */
	if (link->n_returns >= WIRE_RETURNS_MAX / 2)
		link_touch(link);
}

/* ---- what others hold of ours */

static int lent_grow(struct link *link)
{
	uint32_t cap = link->cap_lent ? link->cap_lent * 2 : 64;
	struct lent *lent;

	if (cap > MAX_LENT)
		return ENOMEM;
	lent = realloc(link->lent, cap * sizeof(*lent));
	if (!lent)
		return ENOMEM;
	for (uint32_t i = cap; i-- > link->cap_lent;) {
		lent[i].buf = NULL;
		lent[i].next_free = link->free_lent;
		link->free_lent = i;
	}
	link->lent = lent;
	link->cap_lent = cap;
	return 0;
}

int lent_add(struct link *link, const struct piece *p, struct conn *conn, uint32_t *id_out)
{
	struct lent *l;

	if (unlikely(link->free_lent == NO_LOAN) && lent_grow(link))
		return ENOMEM;
	*id_out = link->free_lent;
	l = &link->lent[link->free_lent];
	link->free_lent = l->next_free;
	l->buf = p->buf;
	l->addr = p->addr;
	l->len = p->len;
	l->charge = p->charge;
	l->conn = conn;
	if (conn)
		conn->n_lent++;
	link->n_lent++;
	catmem_count(link->cm, CATMEM_C_LENT, 1);
	return 0;
}

struct lent *lent_find(struct link *link, uint32_t id)
{
	return id < link->cap_lent && link->lent[id].buf ? &link->lent[id] : NULL;
}

void lent_end(struct link *link, uint32_t id)
{
	struct lent *l = &link->lent[id];
	struct libos_buf *buf = l->buf;
	struct conn *conn = l->conn;
	uint32_t charge = l->charge;

	l->buf = NULL;
	l->next_free = link->free_lent;
	link->free_lent = id;
	link->n_lent--;
	catmem_count(link->cm, CATMEM_C_LENT, -1);
	libos_buf_put(buf);
	if (conn) {
		conn->n_lent--;
		conn_lent_back(conn, charge);
	} else {
		link->dgram_charge -= charge;
	}
}

void lent_end_all(struct link *link)
{
	for (uint32_t i = 0; i < link->cap_lent; i++)
		if (link->lent[i].buf)
			lent_end(link, i);
	free(link->lent);
	link->lent = NULL;
	link->cap_lent = 0;
	link->free_lent = NO_LOAN;
}

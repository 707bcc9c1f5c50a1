/*
 * The memory behind struct net_mem: what programs push, frames on links and in
 * hosts, what a stack asks its device for. Each is counted at the host that holds
 * it. When its last reference goes it has to be as it was: a program's bytes are
 * made anew from their stream and compared.
 */
#ifndef TESTS_SIM_MEM_H
#define TESTS_SIM_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/netdev.h"

struct host;
struct world;

enum mem_kind {
	MEM_PROGRAM,		/* pushed */
	MEM_FRAME,		/* on a link, or received */
	MEM_STACK,		/* what the device's alloc gave */
	MEM_KINDS
};

struct net_mem {
	struct list all;
	struct world *world;
	struct host *host;	/* where it counts; NULL: a link has it */
	uint8_t kind;		/* enum mem_kind */
	bool frozen;		/* popped: sum is of what must not change */
	bool spoilt;		/* a link has changed a byte */
	uint32_t refs;
	uint32_t n_lost;	/* how often the link had been lost when it was made */
	uint32_t size, len;	/* bytes at data; of those used */
	uint32_t pinned;
	uint64_t stream, offset; /* MEM_PROGRAM: what is in it */
	uint64_t sum;
	uint32_t frozen_len;
	const uint8_t *frozen_at;
	uint8_t *data;
};

/* What one host's device has given out and has not back. */
struct mem_use {
	uint32_t n[MEM_KINDS];
	uint64_t pinned;	/* frames and the stack's */
	uint64_t pinned_peak;
};

#define MEM_QUARANTINE 256u

struct mems {
	struct list all;
	struct net_mem *gone[MEM_QUARANTINE]; /* the last ones freed: not to be touched */
	uint32_t next_gone;
};

void mems_init(struct mems *m);
/* Whatever is left. */
void mems_fini(struct mems *m);

struct net_mem *mem_new(struct world *w, struct host *host, enum mem_kind kind, uint32_t size);
void mem_get(struct net_mem *mem);
void mem_put(struct net_mem *mem);
/* A frame arrives at a host, or (NULL) is dropped on the way. */
void mem_give(struct net_mem *mem, struct host *host);
/* A program has it: the bytes stay as they are until the last reference goes. */
void mem_freeze(struct net_mem *mem, const uint8_t *at, uint32_t len);

/* Byte i of a stream is a function of both. */
void stream_fill(uint64_t stream, uint64_t offset, uint8_t *to, uint32_t len);
/* The first byte that is not right, or len. */
uint32_t stream_check(uint64_t stream, uint64_t offset, const uint8_t *at, uint32_t len);

/* Which of the stream's words these 8 bytes are. */
uint64_t stream_where(uint64_t stream, const uint8_t bytes[8]);

#endif /* TESTS_SIM_MEM_H */

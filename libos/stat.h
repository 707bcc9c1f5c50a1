/*
 * Counters, readable from outside while the process runs: a file in the runtime
 * directory whose format is <demi/stat.h>. A module registers a block of names
 * once and then adds to plain 64-bit words on cache lines of its own.
 */
#ifndef LIBOS_STAT_H
#define LIBOS_STAT_H

#include <demi/stat.h>
#include <demi/types.h>
#include <stdint.h>

#define LIBOS_STAT_FILE_SIZE 65536u

struct libos_stats {
	struct demi_stat_header *header; /* the mapped file, or private memory */
	uint32_t next_value;	/* offset of the next free block */
	int fd;			/* -1: private */
	char name[32];		/* "PID.N" */
};

struct libos_stat_name {
	const char *name;	/* "catnap.recv_bytes" */
	enum demi_stat_kind kind;
};

/* Never fails for want of a file: counters then stay private, with one line. */
int libos_stats_init(struct libos_stats *st, const char *libos);
void libos_stats_fini(struct libos_stats *st, demi_callback_t callback);

/* A block of n counters, zero, cache-line aligned; index as in names. Private
 * zeroed words when the file is full. Never NULL: falls back to a sink. */
uint64_t *libos_stats_add(struct libos_stats *st, const struct libos_stat_name *names,
			  uint32_t n);

/*
 * A file of this instance in a folder of the runtime directory, which the counters
 * and what else is shown to others are in: made, locked, allocated, mapped to be
 * shared. Those of dead processes are removed. why: LIBOS_RUNDIR_WHY bytes.
 */
int libos_stat_file_open(const char *sub, const char *name, uint32_t size, int *fd_out,
			 void **map_out, char *why);
/* Allocates it to be larger. EFBIG, ENOSPC. */
int libos_stat_file_grow(int fd, uint32_t size);
/* Removes and closes it; the mapping is the caller's. */
void libos_stat_file_remove(const char *sub, const char *name, int fd);

#endif /* LIBOS_STAT_H */

/*
 * The counters file, for programs that look into a running process.
 *
 * Each instance keeps one file, RUNTIME_DIR/stat/PID.N (mode 0600, N counts the
 * instances of the process), locked with flock() for as long as it lives.
 * RUNTIME_DIR is CLOWDER_RUNTIME_DIR, else $XDG_RUNTIME_DIR/clowder, else
 * /tmp/clowder-UID. Map it read-only and shared:
 *
 *	struct demi_stat_header, at 0
 *	struct demi_stat_entry[n_entries], at entries_offset
 *	uint64_t values, each at its entry's value_offset
 *
 * Entries are only ever added: read n_entries with an acquire load. Values are
 * written by one thread with plain 64-bit stores; each is exact by itself, two
 * of them are not a snapshot. Everything is in the machine's byte order.
 */
#ifndef DEMI_STAT_H
#define DEMI_STAT_H

#include <stdint.h>

#define DEMI_STAT_MAGIC UINT64_C(0x31544154534f4c43) /* "CLOSTAT1" */
#define DEMI_STAT_VERSION 1

enum demi_stat_kind {
	DEMI_STAT_COUNTER = 0,	/* only grows: events since the start */
	DEMI_STAT_GAUGE = 1	/* goes up and down: what there is now */
};

struct demi_stat_header {
	uint64_t magic;		/* DEMI_STAT_MAGIC, written last */
	uint32_t version;	/* DEMI_STAT_VERSION */
	uint32_t size;		/* of the file, bytes */
	uint32_t pid;
	uint32_t instance;	/* N of the file's name */
	uint64_t start_ns;	/* CLOCK_REALTIME of demi_init(), nanoseconds */
	uint32_t entries_offset; /* bytes from the start of the file */
	uint32_t n_entries;
	char libos[32];		/* "catnap+catmem", NUL-terminated */
	char program[32];	/* its name, cut, NUL-terminated */
};

struct demi_stat_entry {
	char name[48];		/* "catnap.recv_bytes", NUL-terminated */
	uint32_t kind;		/* enum demi_stat_kind */
	uint32_t value_offset;	/* bytes from the start of the file */
};

#endif /* DEMI_STAT_H */

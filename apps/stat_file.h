/*
 * Counters of running processes, read from the files that <demi/stat.h>
 * describes. A file is input like any other: nothing in it is believed before
 * it has been checked, and what a set holds is fit to be printed.
 */
#ifndef APPS_STAT_FILE_H
#define APPS_STAT_FILE_H

#include <demi/stat.h>
#include <stddef.h>
#include <stdint.h>

struct stat_counter {
	char name[48];
	uint32_t kind;		/* enum demi_stat_kind */
	uint64_t value;
};

/* One instance, as it was at read_ns. */
struct stat_snapshot {
	uint32_t pid;
	uint32_t instance;
	uint64_t start_ns;	/* CLOCK_REALTIME */
	uint64_t read_ns;	/* CLOCK_MONOTONIC */
	char libos[32];
	char program[32];
	uint32_t n;
	struct stat_counter *counters;
};

/* Ordered by process and instance. */
struct stat_set {
	struct stat_snapshot *snaps;
	size_t n;
	unsigned n_bad;		/* files that were not what they should be: each was
				 * named in one line on stderr */
	unsigned n_stale;	/* left behind by processes that died */
};

/* The directory with the files, for messages. */
const char *stat_dir_path(void);

/* Reads every live instance, or those of one process if pid is not 0. Ends the
 * program if the directory is somebody else's; none is an empty set. */
void stat_set_read(struct stat_set *set, uint32_t pid);
void stat_set_free(struct stat_set *set);

#endif /* APPS_STAT_FILE_H */

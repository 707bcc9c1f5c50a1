/*
 * Tables of connections of running processes, asked for and read as <demi/stat.h>
 * describes. Like the counters' files they are input: what a table holds has been
 * checked and is fit to be printed.
 */
#ifndef APPS_STAT_CONNS_H
#define APPS_STAT_CONNS_H

#include <demi/stat.h>
#include <stdbool.h>
#include <stdint.h>

enum stat_conns_age {
	STAT_CONNS_NEW,		/* the program has just filled it */
	STAT_CONNS_OLD,		/* from an earlier time: it makes no calls */
	STAT_CONNS_LEFT,	/* ... and it has ended since */
};

struct stat_conns {
	struct demi_conn_entry *entries;
	uint32_t n;
	uint32_t n_conns;	/* that there are; more than n: the table is full */
	enum stat_conns_age age;
};

/* false: the instance has none, which it says in one line on stderr if it is not
 * simply that its backend keeps no such table, or that it has ended (LEFT). */
bool stat_conns_read(struct stat_conns *c, uint32_t pid, uint32_t instance);
void stat_conns_free(struct stat_conns *c);

/* "ESTABLISHED" */
const char *stat_conns_state(const struct demi_conn_entry *e);
/* "10.0.0.1:80" or "[::1]:80"; "*" for who listens to nobody in particular. */
#define STAT_CONNS_ADDR 64
const char *stat_conns_addr(const uint8_t addr[16], uint16_t port, char buf[STAT_CONNS_ADDR]);

#endif /* APPS_STAT_CONNS_H */

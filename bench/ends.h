/*
 * Programs whose two ends are started apart, each where it is wanted (another core,
 * another network namespace, another backend): their options, and the few calls
 * that all of them begin with.
 */
#ifndef BENCH_ENDS_H
#define BENCH_ENDS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct ends {
	struct sockaddr_in addr;	/* --addr (127.0.0.1), --port (7070) */
	int cpu;			/* --cpu, to be pinned to; -1: none */
	bool client;
	bool udp;			/* --proto tcp|udp */
	char **rest;			/* what stands behind "--"; ends with NULL */
};

/* An option of the program's own: a number, or one of some words by its index. */
struct ends_option {
	const char *name;
	uint32_t *value;		/* holds the default */
	uint32_t min, max;
	const char *const *words;	/* ends with NULL; NULL: a number */
};

/* options end with a NULL name. Exits on --help (0) and on a mistake (2). Pins. */
void ends_options(struct ends *ends, const struct ends_option *options, int argc, char **argv);
/* The line by which whoever started a server knows that it is there, and its port. */
void ends_listening(const struct sockaddr_in *addr);
/* As many descriptors as there may be. */
void ends_raise_descriptors(void);

#endif /* BENCH_ENDS_H */

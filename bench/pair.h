/*
 * Two processes, each pinned to a core of its own and with an instance of its own,
 * joined by one stream connection. The client is the program itself, the server a
 * child that dies with it.
 */
#ifndef BENCH_PAIR_H
#define BENCH_PAIR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/types.h>

struct pair {
	bool client;
	int qd;			/* the connection */
	int listener;		/* server */
	struct sockaddr_in addr; /* client: of the server */
	pid_t server;		/* client */
};

/* Returns in both processes; exits with a message when anything fails. */
void pair_start(struct pair *pair);
/* Client: closes the connection; the exit status, 1 if the server failed. */
int pair_end(struct pair *pair);

/* Another connection: server accepts, client connects. Its descriptor. */
int pair_accept(const struct pair *pair);
int pair_connect(const struct pair *pair);

#endif /* BENCH_PAIR_H */

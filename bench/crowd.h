/*
 * Clients in processes of their own: each connects to the server once and then
 * does nothing. They come from a helper that is forked before this process has an
 * instance, since a child of one that has may make no call.
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include <netinet/in.h>
#include <stdint.h>

void crowd_start(void);
/* n processes, each connected and with a pop that waits. */
void crowd_connect(const struct sockaddr_in *addr, uint32_t n);
/* Ends them. */
void crowd_leave(void);

#endif /* BENCH_CROWD_H */

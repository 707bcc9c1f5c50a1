/* The two halves of sockrpc: each runs a server or a client to its end. */
#ifndef BENCH_FLOORS_SOCKRPC_H
#define BENCH_FLOORS_SOCKRPC_H

#include "bench/load.h"

#define SOCKRPC_PATIENCE_NS UINT64_C(3000000000) /* for a server that is starting */

void sockrpc_tcp_server(const struct load_opts *opts);
void sockrpc_tcp_client(struct load *load, const struct load_opts *opts);
void sockrpc_udp_server(const struct load_opts *opts);
void sockrpc_udp_client(struct load *load, const struct load_opts *opts);
/* Prints where the server listens, on stdout, once it does. */
void sockrpc_listening(int fd);

#endif /* BENCH_FLOORS_SOCKRPC_H */

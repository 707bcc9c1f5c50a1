/* The two halves of clowder-rpc, and what they share. */
#ifndef APPS_RPC_H
#define APPS_RPC_H

#include "apps/rpc_options.h"

/* Each returns the exit status; a failure says so and ends the program. */
int rpc_server_run(const struct rpc_options *opt);
int rpc_client_run(const struct rpc_options *opt);

/* A new queue of the protocol. Says why not, and ends. */
int rpc_socket(const struct rpc_options *opt);
/* Small messages leave at once: no Nagle where there is such a thing. */
void rpc_no_delay(int qd);

#endif /* APPS_RPC_H */

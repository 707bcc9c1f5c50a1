/* The command line of clowder-rpc. */
#ifndef APPS_RPC_OPTIONS_H
#define APPS_RPC_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* A request's number has room for so many (rpc_client.c). */
#define RPC_MAX_CONNECTIONS 10000u
#define RPC_MAX_INFLIGHT 4096u
#define RPC_MAX_SIZE (256u << 20)
#define RPC_MAX_DATAGRAM 65507u		/* what IPv4 can carry */
#define RPC_MIN_DATAGRAM 8u		/* it has to name its request */

struct rpc_options {
	bool server;
	bool udp;
	bool json;
	bool once;		/* server: until its first clients have gone */
	struct sockaddr_in addr;
	uint32_t size;		/* of a message, bytes */
	uint32_t connections;
	uint32_t inflight;	/* requests of one connection without an answer */
	uint64_t duration_ns;	/* UINT64_MAX: until count */
	uint64_t warmup_ns;	/* client: requests before this do not count */
	uint64_t count;		/* requests, of all connections; UINT64_MAX: no limit */
	uint64_t timeout_ns;	/* UDP: when a request counts as lost */
};

/* Ends the program on --help, --version and a wrong command line. --libos has been
 * put into the environment. */
void rpc_options_parse(struct rpc_options *opt, int argc, char **argv);

const char *rpc_options_proto(const struct rpc_options *opt);

#endif /* APPS_RPC_OPTIONS_H */

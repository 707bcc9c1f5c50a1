/*
 * What tests/system/kpeer (kernel sockets) and tests/system/dpeer (the queue API) say
 * to each other: a client asks for bytes to be put, got, or both at once, and every
 * byte has its place in a pattern, so that nothing need be kept to compare it with.
 *
 * The client sends a header, then its bytes; the server its bytes, then, once it has
 * all of the client's, a receipt with the hashes of both. Of several connections that
 * put and get, none sends its second half before all of them got something: so all are
 * in the middle of it at once.
 */
#ifndef TESTS_SYSTEM_PEER_H
#define TESTS_SYSTEM_PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apps/sha256.h"

enum peer_op {
	PEER_PUT = 1,		/* to the server */
	PEER_GET = 2,
	PEER_BOTH = 3,
};

struct peer_header {
	char magic[8];
	uint64_t op;
	uint64_t seed;
	uint64_t len;		/* in each direction */
};

/* Of the server's. */
struct peer_receipt {
	uint64_t in;		/* bytes that came */
	char in_hash[SHA256_TEXT];
	char out_hash[SHA256_TEXT];
	char pad[6];
};

/* One connection's bytes; who moves them is the program's business. */
struct peer_flow {
	bool server;
	struct peer_header header;
	uint32_t n_header;	/* bytes of it that have passed */
	uint32_t n_receipt;
	uint64_t out, out_len;	/* of the pattern */
	bool held;		/* no more than half of it yet */
	uint64_t in, in_len;
	struct sha256 out_sha, in_sha;
	struct peer_receipt receipt; /* as it is sent, or came */
};

void peer_flow_client(struct peer_flow *flow, enum peer_op op, uint64_t seed, uint64_t len);
void peer_flow_server(struct peer_flow *flow);
/* The next bytes to send, at most room; 0: none at present. They count as sent only
 * when peer_flow_sent() says so. */
size_t peer_flow_peek(struct peer_flow *flow, void *buf, size_t room);
void peer_flow_sent(struct peer_flow *flow, const void *bytes, size_t n);
/* NULL, or what is wrong with what came. */
const char *peer_flow_take(struct peer_flow *flow, const void *bytes, size_t len);
/* All that was to pass has. */
bool peer_flow_done(const struct peer_flow *flow);

/* The command line of both: "serve ADDR PORT", "transfer ADDR PORT put|get|both
 * CONNECTIONS BYTES [STALL_SECONDS]". */
struct peer_args {
	struct sockaddr_in addr;
	enum peer_op op;
	uint32_t connections;
	uint64_t len;
	uint64_t stall_ns;	/* without a byte in any connection, it fails */
};

void peer_args_parse(struct peer_args *args, int argc, char **argv);
_Noreturn void peer_fail(const char *fmt, ...) __attribute__((__format__(__printf__, 1, 2)));
uint64_t peer_now(void);

/* How a client's transfer goes. Prints "under way" when a tenth has passed. */
struct peer_progress {
	const struct peer_args *args;
	uint64_t began, moved_ns;
	uint64_t moved, total;	/* bytes, both directions */
	uint32_t begun;		/* connections that got something */
	uint32_t done;
	bool told;
};

void peer_progress_begin(struct peer_progress *p, const struct peer_args *args);
void peer_progress_add(struct peer_progress *p, uint64_t bytes);
/* A client's flow has begun to get. true: it was the last of them, and all may be told
 * to go on. */
bool peer_progress_begun(struct peer_progress *p);
/* Fails if nothing has moved for too long. */
void peer_progress_check(const struct peer_progress *p);
/* "N connections, ..."; extra: a word more, or "". */
void peer_progress_end(const struct peer_progress *p, const char *extra);

#endif /* TESTS_SYSTEM_PEER_H */

/* A node of a TCP queue: some bytes of memory that it holds a reference to. */
#ifndef NET_TCP_CHUNK_H
#define NET_TCP_CHUNK_H

#include <stdint.h>

#include "net/netdev.h"

struct tcp_chunk {
	struct tcp_chunk *next;
	struct net_seg seg;
	uint32_t seq;		/* of its first byte; receive queues only */
	uint32_t room;		/* bytes that may be added: a gathering buffer's */
};

#endif /* NET_TCP_CHUNK_H */

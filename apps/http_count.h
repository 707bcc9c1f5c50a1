/* What a server has done. */
#ifndef APPS_HTTP_COUNT_H
#define APPS_HTTP_COUNT_H

#include <stdint.h>

struct http_count {
	uint64_t connections;
	uint64_t requests;	/* answered */
	uint64_t bytes;		/* of bodies, given to the library */
	uint64_t by_class[6];	/* answers by the first digit of their status */
	uint64_t timeouts;	/* connections given up, of whatever kind */
	uint64_t resets;	/* that failed */
	uint64_t cut;		/* answers that could not be finished */
	uint64_t no_memory;	/* times that a chunk had to wait for memory */
};

#endif /* APPS_HTTP_COUNT_H */

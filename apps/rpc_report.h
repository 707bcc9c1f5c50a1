/* What clowder-rpc tells people and programs. */
#ifndef APPS_RPC_REPORT_H
#define APPS_RPC_REPORT_H

#include <stdint.h>

#include "apps/histogram.h"
#include "apps/rpc_options.h"

struct rpc_result {
	uint64_t requests;	/* answered, every byte of it right */
	uint64_t lost;		/* udp: no answer in time */
	uint64_t late;		/* udp: an answer after that, or a second one */
	uint64_t elapsed_ns;	/* from the first request to the last answer */
	const struct histogram *latency;
};

void rpc_report_client(const struct rpc_options *opt, const struct rpc_result *res);
void rpc_report_server(const struct rpc_options *opt, uint64_t requests, uint64_t bytes,
		       uint64_t connections);

/* A line on stderr if that is a terminal: how it goes, and what time is left. */
void rpc_progress(const struct rpc_options *opt, uint64_t requests, uint64_t elapsed_ns);
void rpc_progress_clear(void);

#endif /* APPS_RPC_REPORT_H */

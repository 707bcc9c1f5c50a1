/*
 * The workload of the request-response programs: their options, what a request
 * holds, and the figures at the end. bench/rpc puts it through the queue API and
 * bench/floors/sockrpc through plain sockets, so that nothing else differs.
 *
 * A request is `size` bytes: its number on its connection in the first eight, then
 * a pattern that depends on the number. The answer is the same bytes again, and
 * every one of them is looked at. A connection keeps `inflight` requests under way:
 * the answer to number n makes room for number n + inflight.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/hist.h"

#define LOAD_MIN_SIZE 8u
#define LOAD_MAX_DGRAM 60000u
#define LOAD_LOST_NS UINT64_C(500000000) /* UDP: an answer this late is lost */

/* How the program waits for the network. */
enum load_loop {
	LOAD_SPIN,
	LOAD_BLOCK,
	LOAD_SPIN_BLOCK,	/* spins for 50 us, then blocks */
};

struct load_opts {
	struct sockaddr_in addr;
	uint32_t size;
	uint32_t connections;
	uint32_t inflight;
	double seconds;
	enum load_loop loop;
	int cpu;		/* to be pinned to; -1: none */
	bool client;
	bool udp;
	bool json;
};

struct load {
	struct load_opts opts;
	uint8_t *pattern;
	uint64_t begin_ns;	/* what is sent from here on counts */
	uint64_t end_ns;
	uint64_t requests;
	uint64_t errors;	/* wrong answers, lost answers */
	struct hist hist;
};

struct load_conn {
	uint64_t next_in;	/* TCP: number of the answer that is arriving */
	uint32_t in_at;		/* TCP: bytes of it that are here */
	struct load_slot *slots; /* number % inflight */
};

struct load_slot {
	uint64_t number;
	uint64_t sent_ns;
};

/* Exits on --help (0) and on a mistake (2). */
void load_options(struct load_opts *opts, int argc, char **argv, const char *about);

/* Exits when out of memory. The clock starts now. */
void load_start(struct load *load, const struct load_opts *opts, uint64_t now);
void load_conn_init(const struct load *load, struct load_conn *conn);
void load_conn_fini(struct load_conn *conn);

static inline bool load_over(const struct load *load, uint64_t now)
{
	return now >= load->end_ns;
}

/* Writes request `number` into buf, opts.size bytes. */
void load_request(struct load *load, struct load_conn *conn, uint8_t *buf, uint64_t number,
		  uint64_t now);
/* Bytes of a stream: returns how many answers are now complete; their requests'
 * numbers begin at *first_out. */
uint32_t load_stream(struct load *load, struct load_conn *conn, const uint8_t *data, size_t len,
		     uint64_t now, uint64_t *first_out);
/* One datagram: true if it answers a request under way, whose number is *number_out. */
bool load_datagram(struct load *load, struct load_conn *conn, const uint8_t *data, size_t len,
		   uint64_t now, uint64_t *number_out);
/* UDP: the number of a request that has been lost, to be replaced; false if none. */
bool load_lost(struct load *load, struct load_conn *conn, uint64_t now, uint64_t *number_out);

/* Prints the figures; the exit status of the program. */
int load_report(const struct load *load);

#endif /* BENCH_LOAD_H */

/*
 * The counters file, for programs that look into a running process.
 *
 * Each instance keeps one file, RUNTIME_DIR/stat/PID.N (mode 0600, N counts the
 * instances of the process), locked with flock() for as long as it lives.
 * RUNTIME_DIR is CLOWDER_RUNTIME_DIR, else $XDG_RUNTIME_DIR/clowder, else
 * /tmp/clowder-UID. Map it read-only and shared:
 *
 *	struct demi_stat_header, at 0
 *	struct demi_stat_entry[n_entries], at entries_offset
 *	uint64_t values, each at its entry's value_offset
 *
 * Entries are only ever added: read n_entries with an acquire load. Values are
 * written by one thread with plain 64-bit stores; each is exact by itself, two
 * of them are not a snapshot. Everything is in the machine's byte order.
 */
#ifndef DEMI_STAT_H
#define DEMI_STAT_H

#include <stdint.h>

#define DEMI_STAT_MAGIC UINT64_C(0x31544154534f4c43) /* "CLOSTAT1" */
#define DEMI_STAT_VERSION 1

enum demi_stat_kind {
	DEMI_STAT_COUNTER = 0,	/* only grows: events since the start */
	DEMI_STAT_GAUGE = 1	/* goes up and down: what there is now */
};

struct demi_stat_header {
	uint64_t magic;		/* DEMI_STAT_MAGIC, written last */
	uint32_t version;	/* DEMI_STAT_VERSION */
	uint32_t size;		/* of the file, bytes */
	uint32_t pid;
	uint32_t instance;	/* N of the file's name */
	uint64_t start_ns;	/* CLOCK_REALTIME of demi_init(), nanoseconds */
	uint32_t entries_offset; /* bytes from the start of the file */
	uint32_t n_entries;
	char libos[32];		/* "catnap+catmem", NUL-terminated */
	char program[32];	/* its name, cut, NUL-terminated */
};

struct demi_stat_entry {
	char name[48];		/* "catnap.recv_bytes", NUL-terminated */
	uint32_t kind;		/* enum demi_stat_kind */
	uint32_t value_offset;	/* bytes from the start of the file */
};

/*
 * The table of connections, of a backend that has a TCP of its own.
 *
 * Each instance of such a backend keeps one file, RUNTIME_DIR/conns/PID.N, which
 * is that of its counters in all else. Map it shared, to be written:
 *
 *	struct demi_conns_header, at 0
 *	struct demi_conn_entry[n_entries], at entries_offset, entry_size apart
 *
 * It is filled when somebody asks: add one to asked, and wait for answered to be
 * that. A program that makes no call does not answer. While seq is odd the entries
 * are being written: copy them, and look whether seq is what it was before. When
 * size has grown map it anew.
 */
#define DEMI_CONNS_MAGIC UINT64_C(0x31534e4e4f434c43) /* "CLCONNS1" */

struct demi_conns_header {
	uint64_t magic;		/* DEMI_CONNS_MAGIC, written last */
	uint32_t size;		/* of the file, bytes */
	uint32_t pid;
	uint32_t instance;	/* N of the file's name */
	uint32_t entries_offset; /* bytes from the start of the file */
	uint32_t entry_size;
	uint32_t asked;
	uint32_t answered;
	uint32_t seq;
	uint32_t n_entries;	/* in the file */
	uint32_t n_conns;	/* that there are; more than fit */
	uint64_t filled_ns;	/* CLOCK_REALTIME */
};

struct demi_conn_entry {
	uint8_t local_addr[16];	/* as in IPv6; IPv4 is ::ffff:a.b.c.d */
	uint8_t remote_addr[16];
	uint16_t local_port;
	uint16_t remote_port;	/* 0: listens */
	uint8_t state;		/* as TCP_INFO has it: TCP_ESTABLISHED... */
	uint8_t pad[3];
	uint32_t srtt_us;
	uint32_t rttvar_us;
	uint32_t rto_us;
	uint32_t mss;
	uint32_t cwnd;		/* segments */
	uint32_t ssthresh;
	uint32_t unacked;	/* segments under way */
	uint32_t retrans;	/* segments sent again, all told */
	uint64_t unacked_bytes;	/* sent or not */
	uint64_t readable_bytes;
	char congestion[16];	/* NUL-terminated */
};

#endif /* DEMI_STAT_H */

#include "config.h"

#include "catnip/catnip.h"

#include <errno.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "libos/log.h"
#include "libos/rundir.h"

/*
 * The table of connections that <demi/stat.h> describes. Nothing is written to it
 * until somebody asks, and then at most every 100 ms: connections cost nothing here.
 */

#define FIRST_SIZE 8192u
#define MOST_ENTRIES 65536u
#define APART (100 * NSEC_PER_MSEC)

struct catnip_conns {
	struct demi_conns_header *header; /* the mapped file */
	uint32_t size;		/* of it */
	uint32_t answered;
	uint64_t next;		/* ns: not before */
	int fd;
	char name[32];
};

static struct demi_conn_entry *entries(struct catnip_conns *c)
{
	return (void *)((char *)c->header + sizeof(*c->header));
}

static uint32_t room(const struct catnip_conns *c)
{
	return (uint32_t)((c->size - sizeof(*c->header)) / sizeof(struct demi_conn_entry));
}

/* ---- life */

static void header_fill(struct catnip_conns *c, const struct libos *os)
{
	struct demi_conns_header *h = c->header;

	h->size = c->size;
	h->pid = os->stats.header->pid;
	h->instance = os->stats.header->instance;
	h->entries_offset = sizeof(*h);
	h->entry_size = sizeof(struct demi_conn_entry);
	__atomic_store_n(&h->magic, DEMI_CONNS_MAGIC, __ATOMIC_RELEASE);
}

void catnip_conns_open(struct catnip_ctx *cn)
{
	struct libos *os = cn->base.os;
	struct catnip_conns *c = calloc(1, sizeof(*c));
	char why[LIBOS_RUNDIR_WHY] = "no memory";
	void *map;

	if (os->stats.fd < 0) {
		free(c);
		return; /* that is no news: the counters are private, too */
	}
	if (c)
		snprintf(c->name, sizeof(c->name), "%s", os->stats.name);
	if (!c || libos_stat_file_open("conns", c->name, FIRST_SIZE, &c->fd, &map, why)) {
		log_warn("connections stay private, clowder-stat will not see them: %s", why);
		free(c);
		return;
	}
	c->header = map;
	c->size = FIRST_SIZE;
	header_fill(c, os);
	cn->conns = c;
}

void catnip_conns_close(struct catnip_ctx *cn)
{
	struct catnip_conns *c = cn->conns;

	if (!c)
		return;
	cn->conns = NULL;
	munmap(c->header, c->size);
	libos_stat_file_remove("conns", c->name, c->fd);
	free(c);
}

/* ---- filling it */

static uint32_t count(struct net_stack *stack)
{
	uint32_t n = 0;

	for (struct net_sock *s = net_next_tcp(stack, NULL); s; s = net_next_tcp(stack, s))
		n++;
	return n;
}

/* A full disk leaves it as large as it is. */
static void grow(struct catnip_conns *c, uint32_t n)
{
	uint32_t size = c->size;
	void *map;

	n = n < MOST_ENTRIES ? n : MOST_ENTRIES;
	while ((size - sizeof(*c->header)) / sizeof(struct demi_conn_entry) < n)
		size *= 2;
	if (size == c->size || libos_stat_file_grow(c->fd, size))
		return;
	map = mremap(c->header, c->size, size, MREMAP_MAYMOVE);
	if (map == MAP_FAILED)
		return;
	c->header = map;
	c->header->size = c->size = size;
}

static void fill(struct net_sock *s, struct demi_conn_entry *e)
{
	struct net_addr local = { 0 }, peer = { 0 };
	struct tcp_info info;

	net_name(s, &local);
	net_peer(s, &peer);
	net_tcp_info(s, &info);
	memset(e, 0, sizeof(*e));
	memcpy(e->local_addr, local.ip.b, sizeof(e->local_addr));
	memcpy(e->remote_addr, peer.ip.b, sizeof(e->remote_addr));
	e->local_port = ntohs(local.port);
	e->remote_port = ntohs(peer.port);
	e->state = info.tcpi_state;
	e->srtt_us = info.tcpi_rtt;
	e->rttvar_us = info.tcpi_rttvar;
	e->rto_us = info.tcpi_rto;
	e->mss = info.tcpi_snd_mss;
	e->cwnd = info.tcpi_snd_cwnd;
	e->ssthresh = info.tcpi_snd_ssthresh;
	e->unacked = info.tcpi_unacked;
	e->retrans = info.tcpi_total_retrans;
	e->unacked_bytes = net_bytes_unacked(s);
	e->readable_bytes = net_bytes_readable(s);
	strncpy(e->congestion, net_congestion(s), sizeof(e->congestion) - 1);
}

static void fill_all(struct catnip_conns *c, struct net_stack *stack)
{
	uint32_t n = 0, most = room(c);

	for (struct net_sock *s = net_next_tcp(stack, NULL); s && n < most;
	     s = net_next_tcp(stack, s))
		fill(s, &entries(c)[n++]);
	c->header->n_entries = n;
}

static void answer(struct catnip_ctx *cn, uint32_t asked)
{
	struct catnip_conns *c = cn->conns;
	struct demi_conns_header *h;
	uint32_t n = count(cn->stack);
	struct timespec ts;

	grow(c, n);
	clock_gettime(CLOCK_REALTIME, &ts);
	h = c->header;
	__atomic_store_n(&h->seq, h->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	fill_all(c, cn->stack);
	h->n_conns = n;
	h->filled_ns = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
	__atomic_store_n(&h->seq, h->seq + 1, __ATOMIC_RELEASE);
	c->answered = asked;
	__atomic_store_n(&h->answered, asked, __ATOMIC_RELEASE);
	c->next = cn->base.os->now + APART;
}

void catnip_conns_look(struct catnip_ctx *cn)
{
	struct catnip_conns *c = cn->conns;
	uint32_t asked;

	if (!c)
		return;
	asked = __atomic_load_n(&c->header->asked, __ATOMIC_RELAXED);
	if (likely(asked == c->answered) || cn->base.os->now < c->next)
		return;
	answer(cn, asked);
}

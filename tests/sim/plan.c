/* What the seed makes of hosts, cables and programs, before anything happens. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "tests/sim/rnd.h"
#include "tests/sim/world.h"

#define US NSEC_PER_USEC
#define MS NSEC_PER_MSEC
#define SEC NSEC_PER_SEC

#define MAIN_FLOWS 2u
#define MAIN_BYTES (256u << 10)

/* What this seed is about; each makes its own kind of trouble likely. */
enum theme {
	THEME_MIXED,
	THEME_LOSS,
	THEME_CUTS,
	THEME_DISORDER,
	THEME_TAMPER,
	THEME_CROWD,
	THEME_HOARD,
	THEME_SMALL,
	THEME_DEATH,
	THEME_NO_MEMORY,
	THEME_GIVES_UP,
	THEME_RUDE,
	THEME_DATAGRAMS,
	THEME_STRANGER,
	THEME_CALLS,
	THEME_PAIR,
	THEME_LINK,
	THEME_SELF,
	THEME_CALM,		/* nothing at all: then nobody may do anything twice */
	THEMES
};
static const char *const theme_names[THEMES] = {
	"mixed", "loss", "cuts", "disorder", "tamper", "crowd", "hoard", "small", "death",
	"no memory", "gives up", "rude", "datagrams", "stranger",
	"calls", "pair", "link", "self", "calm",
};

const char *plan_theme(uint64_t seed)
{
	return theme_names[seed % THEMES];
}

struct maker {
	struct rnd r;
	struct plan *p;
	enum theme theme;
	bool bare;		/* the direct link has no Ethernet */
	uint64_t cut_max;	/* ns: what every host sits out */
	uint64_t delay_max;	/* ns, of one lane */
	uint64_t drain_max;	/* ns, of its queue */
	uint32_t rtt_ms;	/* at most, over two cables with full queues */
	uint32_t rto_max_ms;	/* of all hosts */
};

static bool often(struct maker *m, enum theme theme, uint32_t else_one_in)
{
	return m->theme == theme || rnd_one_in(&m->r, else_one_in);
}

static uint32_t pick(struct maker *m, const uint32_t *of, uint32_t n)
{
	return of[rnd_below(&m->r, n)];
}
#define PICK(m, ...) \
	pick(m, (const uint32_t[]){ __VA_ARGS__ }, \
	     sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* ---- configuration of a stack */

struct config {
	char *text;
	size_t n, size;
};

__attribute__((__format__(__printf__, 2, 3)))
static void set(struct config *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	c->n += (size_t)vsnprintf(c->text + c->n, c->size - c->n, format, args);
	va_end(args);
	if (c->n >= c->size)
		abort();
}

/* ns of retransmissions before it gives a connection up, at least. */
static uint64_t gives_up_after(uint64_t rto_min, uint64_t rto_max, uint32_t retries)
{
	uint64_t sum = 0, rto = rto_min;

	for (uint32_t i = 0; i < retries; i++) {
		sum += rto;
		rto = rto * 2 < rto_max ? rto * 2 : rto_max;
	}
	return sum * MS;
}

static void config_timers(struct maker *m, struct host_plan *h, struct config *c)
{
	uint32_t rto_min = (uint32_t)rnd_log(&m->r, m->p->gives_up ? 50 : 1, 400);
	uint32_t rto_max = (uint32_t)rnd_log(&m->r, 1000, 16000);
	uint32_t retries = 15 + rnd_below(&m->r, 5);
	uint64_t sits_out;

	if (m->p->gives_up)
		retries = 3 + rnd_below(&m->r, 4);
	sits_out = gives_up_after(rto_min, rto_max, retries) / 3;
	if (sits_out < m->cut_max)
		m->cut_max = sits_out;
	if (rto_max > m->rto_max_ms)
		m->rto_max_ms = rto_max;
	h->rto_max_ms = rto_max;
	/* sooner than an answer may come, but not so soon that none ever does */
	set(c, " rto_min_ms=%u rto_max_ms=%u rto_initial_ms=%u retries=%u", rto_min, rto_max,
	    rnd_one_in(&m->r, 10) ? rto_max : (uint32_t)rnd_log(&m->r, m->rtt_ms / 8 + 1, 1000),
	    retries);
	if (rnd_one_in(&m->r, 2))
		set(c, " delack_ms=%u", PICK(m, 0, 1, 10, 40, 200, 500));
	if (m->p->gives_up)
		set(c, " syn_retries=%u synack_retries=%u", 1 + rnd_below(&m->r, 4),
		    1 + rnd_below(&m->r, 4));
	h->time_wait_ms = rnd_one_in(&m->r, 16) ? 0 : (uint32_t)rnd_log(&m->r, 1000, 60000);
	set(c, " time_wait_ms=%u fin_wait2_ms=%u", h->time_wait_ms,
	    (uint32_t)rnd_log(&m->r, 5000, 60000));
	if (rnd_one_in(&m->r, 8))
		set(c, " time_waits=%u", rnd_below(&m->r, 4));
	if (rnd_one_in(&m->r, 6))
		set(c, " keepalive=1 keepidle_s=1 keepintvl_s=%u keepcnt=%u",
		    1 + rnd_below(&m->r, 3), m->p->gives_up ? 2 : 100);
	if (m->p->gives_up && rnd_one_in(&m->r, 3))
		set(c, " user_timeout_ms=%u", (uint32_t)rnd_log(&m->r, 5000, 20000));
}

static void config_sizes(struct maker *m, struct host_plan *h, struct config *c)
{
	bool small = often(m, THEME_SMALL, 8);

	h->rcvbuf = (uint32_t)rnd_log(&m->r, small ? 2048 : 16384, small ? 20000 : 2 << 20);
	h->sndbuf = (uint32_t)rnd_log(&m->r, small ? 1 : 8192, small ? 8192 : 1 << 20);
	set(c, " rcvbuf=%u sndbuf=%u", h->rcvbuf, h->sndbuf);
	if (rnd_one_in(&m->r, 60))
		set(c, " rcvbuf=1073741824");
	if (rnd_one_in(&m->r, 8))
		set(c, " mtu=%u", (uint32_t)rnd_log(&m->r, 576, 9000));
	if (rnd_one_in(&m->r, 5))
		set(c, " mss=%u", (uint32_t)rnd_log(&m->r, small ? 88 : 200, h->mtu));
	if (rnd_one_in(&m->r, 3))
		set(c, " iw=%u", 1 + rnd_below(&m->r, 20));
	if (rnd_one_in(&m->r, 4))
		set(c, " wscale=%u", rnd_below(&m->r, 15));
	if (rnd_one_in(&m->r, 4))
		set(c, " nodelay=0");
	if (rnd_one_in(&m->r, 5))
		set(c, " quickack=1");
	if (rnd_one_in(&m->r, 3))
		set(c, " timestamps=0");
	else if (rnd_one_in(&m->r, 2))
		set(c, " ts_tick_us=%u", PICK(m, 1, 10, 100, 10000, 100000));
	if (rnd_one_in(&m->r, 10))
		set(c, " half_open=%u", 1 + rnd_below(&m->r, 8));
	h->few_ports = rnd_one_in(&m->r, 8) && m->theme != THEME_CROWD;
	if (h->few_ports)
		set(c, " port_min=40000 port_max=%u", 40010 + rnd_below(&m->r, 60));
}

static void config_ip(struct maker *m, struct host_plan *h, struct config *c)
{
	if (rnd_one_in(&m->r, 3))
		set(c, " arp_reachable_ms=%u arp_retry_ms=%u arp_retries=%u arp_queue=%u",
		    (uint32_t)rnd_log(&m->r, 100, 30000),
		    (uint32_t)rnd_log(&m->r, m->rtt_ms / 2 + 1, 1000), 3 + rnd_below(&m->r, 5), 1 + rnd_below(&m->r, 16));
	/* static ones must leave room for the router's */
	h->few_neighs = rnd_one_in(&m->r, 6) && !h->static_arp;
	if (h->few_neighs)
		set(c, " arp_entries=%u", 4 + rnd_below(&m->r, 4));
	if (rnd_one_in(&m->r, 4)) {
		set(c, " reass_bytes=%u", rnd_one_in(&m->r, 5) ? 0 :
		    (uint32_t)rnd_log(&m->r, 20000, 2000000));
		m->p->tampers &= ~(1u << TAMPER_FRAGMENT | 1u << TAMPER_ICMP);
	}
	if (rnd_one_in(&m->r, 2))
		set(c, " reass_ms=%u", (uint32_t)rnd_log(&m->r, 100, 15000));
	if (rnd_one_in(&m->r, 4))
		set(c, " icmp_rate=%u", rnd_below(&m->r, 20));
}

/* ---- hosts */

/* Near where what is made of it wraps: timestamps of 1 ms in 32 bits, all 64 bits. */
static uint64_t a_clock(struct maker *m)
{
	switch (rnd_below(&m->r, 5)) {
	case 0:
		return 0;
	case 1:
		return (UINT64_C(1) << 32) * MS - rnd_in(&m->r, 0, 20 * SEC);
	case 2:
		return (UINT64_C(1) << 31) * MS - rnd_in(&m->r, 0, 20 * SEC);
	case 3:
		return UINT64_C(1) << 62;
	default:
		return rnd_in(&m->r, 0, UINT64_C(1) << 56);
	}
}

static void make_device(struct maker *m, struct host_plan *h)
{
	h->mtu = (uint16_t)(rnd_one_in(&m->r, 2) ? 1500 : rnd_log(&m->r, 576, 9000));
	h->caps = rnd_one_in(&m->r, 2) ? rnd_below(&m->r, 16) : 0;
	if (h->caps & NET_DEV_TSO)
		h->caps |= NET_DEV_TCP_CSUM | NET_DEV_IP_CSUM;
	h->tso_max = (uint32_t)rnd_in(&m->r, 2 * h->mtu, 65000);
	h->rx_csum = rnd_one_in(&m->r, 2);
	h->tx_ring = (uint32_t)rnd_log(&m->r, 1, 250);
	h->shy = rnd_one_in(&m->r, 3) ? (uint32_t)rnd_log(&m->r, 1000, 500000) : 0;
	h->dma_ns = rnd_log(&m->r, 1, 30 * US);
	h->pass_ns = rnd_log(&m->r, 1, 50 * US);
	h->late_ns = rnd_one_in(&m->r, 4) ? rnd_log(&m->r, 1, 5 * MS) : 100;
	h->buf_size = PICK(m, 0, 512, 2048, 2048, 4096, 10000);
}

/* A link with one other end, or with none, where addresses are names. */
static void make_direct(struct maker *m, struct host_plan *h, struct config *c)
{
	h->ethernet = !m->bare;
	h->segment = m->bare ? 2 : 0;
	h->link_loop = m->p->n_hosts == 1;
	h->any_addr = !h->link_loop || rnd_one_in(&m->r, 2);
	if (h->any_addr)
		h->n_ips = 1 + rnd_below(&m->r, 3);
	set(c, "any_addr=%d link_loop=%d", h->any_addr, h->link_loop);
}

/* Nothing is dropped for want of room, and no answer takes as long as a timer. */
static void make_calm(struct maker *m, struct host_plan *h, struct config *c)
{
	h->mtu = 1500;
	h->rto_max_ms = 60000;
	h->time_wait_ms = 1000;
	if (m->rto_max_ms < h->rto_max_ms)
		m->rto_max_ms = h->rto_max_ms;
	h->rcvbuf = (uint32_t)rnd_log(&m->r, 65536, 2 << 20);
	h->sndbuf = (uint32_t)rnd_log(&m->r, 8192, 1 << 20);
	set(c, "rto_min_ms=3000 rto_max_ms=60000 rto_initial_ms=3000 time_wait_ms=1000 rcvbuf=%u "
	    "sndbuf=%u delack_ms=%u nodelay=%u timestamps=%u", h->rcvbuf, h->sndbuf,
	    PICK(m, 0, 10, 40, 200), rnd_below(&m->r, 2), rnd_below(&m->r, 2));
}

static void make_host(struct maker *m, uint32_t nr)
{
	struct host_plan *h = &m->p->hosts[nr];
	struct config c = { h->config, 0, sizeof(h->config) };

	h->seed = rnd_u64(&m->r);
	h->clock = a_clock(m);
	h->ethernet = !rnd_one_in(&m->r, 6);
	h->segment = nr && rnd_one_in(&m->r, 3) ? 1 : 0;
	if (!h->ethernet)
		h->segment = 2;
	h->static_arp = rnd_one_in(&m->r, 4);
	h->announce = rnd_one_in(&m->r, 2);
	h->n_ips = 1 + rnd_below(&m->r, 2);
	h->iss_wraps = rnd_one_in(&m->r, 4);
	h->starves = rnd_one_in(&m->r, 8);
	make_device(m, h);
	if (m->p->calm) {
		make_calm(m, h, &c);
		return;
	}
	if (m->p->direct)
		make_direct(m, h, &c);
	config_sizes(m, h, &c);
	config_timers(m, h, &c);
	config_ip(m, h, &c);
	if (often(m, THEME_NO_MEMORY, 12))
		h->alloc_fail = (uint32_t)rnd_log(&m->r, 1000, 300000);
}

/* ---- cables */

static uint32_t fault(struct maker *m, enum theme theme, uint32_t lo, uint32_t hi)
{
	return often(m, theme, 5) ? (uint32_t)rnd_log(&m->r, lo, hi) : 0;
}

static void make_lane(struct maker *m, struct lane_plan *l, const struct lane_plan *like)
{
	*l = *like;
	l->loss = fault(m, THEME_LOSS, 100, 100000);
	l->burst = fault(m, THEME_LOSS, 100, 5000);
	l->burst_len = 1 + rnd_below(&m->r, 30);
	l->dup = fault(m, THEME_DISORDER, 100, 200000);
	l->reorder = fault(m, THEME_DISORDER, 100, 300000);
	l->reorder_ns = rnd_log(&m->r, 1 * US, 50 * MS);
	l->corrupt = fault(m, THEME_LOSS, 100, 20000);
	l->truncate = rnd_one_in(&m->r, 2) ? fault(m, THEME_LOSS, 100, 5000) : 0;
	l->tamper = fault(m, THEME_TAMPER, 1000, 300000);
	l->tampers = rnd_one_in(&m->r, 2) ? TAMPER_ALL : (uint32_t)rnd_u64(&m->r);
	l->tampers &= m->p->tampers;
	if (l->dup || (l->tamper && l->tampers & (1u << TAMPER_REPLAY | 1u << TAMPER_FRAGMENT)))
		m->p->repeats = true;
}

static void make_cable(struct maker *m, struct host_plan *h)
{
	struct lane_plan l = { .delay = rnd_log(&m->r, 1 * US, m->delay_max), .queue = 1 << 20 };

	if (rnd_one_in(&m->r, 4))
		l.jitter = rnd_log(&m->r, 1, l.delay);
	if (m->p->calm) {
		h->tx = h->rx = l;
		return;
	}
	if (rnd_one_in(&m->r, 2)) {
		l.queue = (uint32_t)rnd_log(&m->r, 20000, 500000);
		/* 10 Gbit/s to 2 Mbit/s */
		l.ps_per_byte = rnd_log(&m->r, 800, m->drain_max * 1000 / l.queue);
	}
	make_lane(m, &h->tx, &l);
	make_lane(m, &h->rx, &l);
	h->tx.lose_nth = 5 + rnd_below(&m->r, 40); /* one fault at least */
	if (often(m, THEME_CUTS, 6) || m->theme == THEME_GIVES_UP) {
		h->n_cuts = 1 + rnd_below(&m->r, 6);
		h->cut_every = rnd_log(&m->r, 10 * MS, 5 * SEC);
		h->cut_ns = rnd_log(&m->r, 1 * MS, m->p->gives_up ? 60 * SEC : m->cut_max);
		/* between long ones there is time for more than one attempt */
		if (h->cut_ns * h->n_cuts > m->cut_max && h->cut_every < 8 * m->rto_max_ms * MS)
			h->cut_every = 8 * m->rto_max_ms * MS;
	}
	if (often(m, THEME_HOARD, 8)) {
		h->n_dry = 1 + rnd_below(&m->r, 6);
		h->dry_every = rnd_log(&m->r, 10 * MS, 2 * SEC);
		h->dry_ns = rnd_log(&m->r, 1 * MS, m->cut_max / 12 < SEC ? m->cut_max / 12 : SEC);
	}
	if (rnd_one_in(&m->r, 12)) {
		h->n_hangs = 1 + rnd_below(&m->r, 5);
		h->hang_every = rnd_log(&m->r, 1 * MS, 1 * SEC);
		h->hang_ns = rnd_log(&m->r, 1 * MS, m->cut_max / 12 < SEC ? m->cut_max / 12 : SEC);
	}
	if (often(m, THEME_DEATH, 30) && m->theme != THEME_NO_MEMORY) {
		h->dies_at = rnd_log(&m->r, 1 * MS, 5 * SEC);
		h->dead_ns = rnd_log(&m->r, 1 * MS, 3 * SEC);
	}
}

/* ---- programs */

static void make_opts(struct maker *m, struct end_plan *e)
{
	static const struct {
		enum net_opt opt;
		int64_t lo, hi;
	} opts[] = {
		{ NET_OPT_NODELAY, 0, 1 },
		{ NET_OPT_QUICKACK, 0, 1 },
		{ NET_OPT_MAXSEG, 200, 9000 },
		{ NET_OPT_SNDBUF, 4096, 300000 },
		{ NET_OPT_RCVBUF, 8192, 300000 },
		{ NET_OPT_KEEPALIVE, 0, 1 },
		{ NET_OPT_KEEPIDLE, 1, 5 },
		{ NET_OPT_REUSEADDR, 0, 1 },
	};

	e->n_opts = rnd_one_in(&m->r, 3) ? 1 + rnd_below(&m->r, END_OPTS) : 0;
	for (uint32_t i = 0; i < e->n_opts; i++) {
		uint32_t k = rnd_below(&m->r, sizeof(opts) / sizeof(opts[0]));

		e->opts[i].opt = opts[k].opt;
		e->opts[i].value = (int64_t)rnd_in(&m->r, (uint64_t)opts[k].lo,
						   (uint64_t)opts[k].hi);
	}
}

static void make_end(struct maker *m, struct end_plan *e, uint64_t total)
{
	uint64_t least = total / 2000 + 1;

	e->total = total;
	e->chunk_max = (uint32_t)rnd_log(&m->r, least < 64 ? 64 : least, 1 << 20);
	e->chunk_min = rnd_one_in(&m->r, 2) ? e->chunk_max : (e->chunk_max + 7) / 8;
	e->segs_max = 1 + rnd_below(&m->r, 4);
	if (rnd_one_in(&m->r, 4))
		e->think_ns = rnd_log(&m->r, 1 * US, 2 * MS);
	if (rnd_one_in(&m->r, 6))
		e->read_ns = rnd_log(&m->r, 1 * US, 500 * US);
	if (often(m, THEME_HOARD, 5) && !m->p->calm) {
		e->stop_at = rnd_in(&m->r, 0, total + 1);
		/* who gives up soon does so on a reader that pauses, too */
		e->stop_ns = rnd_log(&m->r, 1 * MS, m->p->gives_up ? 200 * MS : 20 * SEC);
	}
	if (often(m, THEME_HOARD, 5) && !m->p->calm) {
		e->hoard = rnd_log(&m->r, 1000, 4 << 20);
		e->hoard_ns = rnd_log(&m->r, 1 * US, m->p->gives_up ? 50 * MS : 1 * SEC);
	}
	e->peeks = rnd_one_in(&m->r, 4);
	e->reports = !rnd_one_in(&m->r, 4);
	if (!m->p->calm)
		make_opts(m, e);
}

static const struct lane_plan *lane_of(const struct maker *m, uint32_t host)
{
	return &m->p->hosts[host].tx;
}

static void choose_hosts(struct maker *m, struct flow_plan *f, uint32_t nr)
{
	uint32_t n = m->p->n_hosts;

	f->client = nr < MAIN_FLOWS ? nr % n : rnd_below(&m->r, n);
	do
		f->server = rnd_below(&m->r, n);
	while (n > 1 && f->server == f->client && (nr < MAIN_FLOWS || rnd_one_in(&m->r, 2)));
	f->client_ip = rnd_below(&m->r, m->p->hosts[f->client].n_ips);
	f->server_ip = rnd_below(&m->r, m->p->hosts[f->server].n_ips);
}

/* Two ends that wait for each other as they should. */
static void make_polite(struct maker *m, struct flow_plan *f, uint64_t bytes)
{
	uint64_t there = rnd_in(&m->r, 0, bytes);
	struct end_plan *client = &f->end[0], *server = &f->end[1];
	uint32_t how = rnd_below(&m->r, 8);

	make_end(m, client, how < 3 ? bytes / 2 + 1 : there);
	make_end(m, server, how < 3 ? client->total : bytes - there);
	client->finish = rnd_one_in(&m->r, 3) ? FINISH_CLOSE : FINISH_SHUT;
	server->finish = rnd_one_in(&m->r, 3) ? FINISH_CLOSE : FINISH_SHUT;
	if (how == 0) {
		server->echo = true;
		server->total = client->total;
	} else if (how == 1) {
		client->turns = server->turns = true;
	} else if (how == 3 && client->finish == FINISH_SHUT) {
		server->finish = FINISH_LAST;
	}
	f->bind = rnd_one_in(&m->r, 6);
}

/* The port of a listener on a host that the flow goes to. */
static void choose_port(struct maker *m, struct flow_plan *f)
{
	struct plan *p = m->p;
	uint32_t k = rnd_below(&m->r, 2);

	for (uint32_t i = 0; i < p->n_listeners; i++)
		if (p->listeners[i].host == f->server && !k--) {
			f->port = p->listeners[i].port;
			if (p->listeners[i].ip)
				f->server_ip = p->listeners[i].ip - 1;
			else if (p->hosts[f->server].any_addr)
				f->server_ip = 0; /* the others nobody may have bound */
		}
}

static bool is_strangers(const struct maker *m, uint32_t host)
{
	return m->p->hosts[host].ethernet && m->p->hosts[host].segment == m->p->intruder.segment;
}

static void make_side_flow(struct maker *m, struct flow_plan *f)
{
	uint64_t bytes = rnd_log(&m->r, 1, m->theme == THEME_CROWD ? 4000 : 60000);
	uint32_t k = rnd_below(&m->r, 16), side = rnd_below(&m->r, 2);

	make_polite(m, f, bytes);
	f->kind = FLOW_POLITE;
	if (k < (m->theme == THEME_RUDE ? 8u : 3u)) {
		f->kind = FLOW_RUDE;
		f->end[side].finish = (enum finish)rnd_in(&m->r, FINISH_CLOSE_EARLY, FINISH_SILENT);
		f->end[side].finish_at = rnd_in(&m->r, 0, bytes);
	} else if (k == 8) {
		f->kind = FLOW_REFUSED;
		f->port = 6;
	} else if (k == 9) {
		f->kind = FLOW_NOBODY;
	} else if (k == 10) {
		f->kind = FLOW_CANCELLED;
		f->cancel_ns = rnd_log(&m->r, 1, 3 * lane_of(m, f->client)->delay + 1000);
	} else if (m->p->has_intruder && k < 15 && is_strangers(m, f->client)) {
		f->kind = FLOW_STRANGE;
	} else if (k == 11 && f->client != f->server) {
		f->kind = FLOW_CROSSED;
		f->end[0].echo = f->end[1].echo = false;
	}
}

/* Of two SYNs that cross, one that has lost its options makes each end believe
 * something else. */
static void keep_syns(struct plan *p)
{
	for (uint32_t i = 0; i < p->n_hosts; i++) {
		p->hosts[i].tx.tampers &= ~(1u << TAMPER_SYN_OPTIONS);
		p->hosts[i].rx.tampers &= ~(1u << TAMPER_SYN_OPTIONS);
	}
}

static void make_flows(struct maker *m)
{
	struct plan *p = m->p;
	uint32_t more = rnd_below(&m->r, m->theme == THEME_STRANGER ? 10 : 4);

	if (m->theme == THEME_CROWD)
		more = (uint32_t)rnd_log(&m->r, 40, 400);
	else if (m->theme == THEME_RUDE)
		more += 10;
	p->n_flows = MAIN_FLOWS + more;
	p->flows = calloc(p->n_flows, sizeof(*p->flows));
	if (!p->flows)
		abort();
	for (uint32_t i = 0; i < p->n_flows; i++) {
		struct flow_plan *f = &p->flows[i];

		choose_hosts(m, f, i);
		choose_port(m, f);
		f->start_at = rnd_log(&m->r, 1, m->theme == THEME_CROWD ? 2 * SEC : 300 * MS);
		if (i < MAIN_FLOWS || p->calm)
			make_polite(m, f, rnd_log(&m->r, MAIN_BYTES, MAIN_BYTES * 2));
		else
			make_side_flow(m, f);
		if (f->kind == FLOW_CROSSED) {
			/* nobody could tell the two directions apart */
			if (p->hosts[f->server].any_addr && f->server_ip == HOST_SHARED_IP)
				f->server_ip = 0;
			f->port = (uint16_t)(20000 + i * 16);
			keep_syns(p);
		}
	}
}

static void make_listeners(struct maker *m)
{
	struct plan *p = m->p;

	for (uint32_t host = 0; host < p->n_hosts; host++) {
		for (uint32_t k = 0; k < 2; k++) {
			uint32_t i = p->n_listeners++;

			p->listeners[i].host = host;
			p->listeners[i].port = (uint16_t)(7000 + 10 * host + k);
			if (p->hosts[host].any_addr)
				p->listeners[i].ip = rnd_below(&m->r, p->hosts[host].n_ips + 1);
			p->listeners[i].backlog = rnd_one_in(&m->r, 4) && !p->calm ?
						  1 + (int)rnd_below(&m->r, 4) : 128;
			if (rnd_one_in(&m->r, 4))
				p->listeners[i].accept_ns = rnd_log(&m->r, 1 * US, 50 * MS);
		}
	}
}

static void make_dgrams(struct maker *m)
{
	struct plan *p = m->p;

	p->n_dgrams = m->theme == THEME_DATAGRAMS ? 2 + rnd_below(&m->r, 4) :
						    rnd_below(&m->r, 3);
	if (p->calm)
		p->n_dgrams = 0; /* they fill what waits for ARP */
	p->dgrams = calloc(p->n_dgrams + 1, sizeof(*p->dgrams));
	if (!p->dgrams)
		abort();
	for (uint32_t i = 0; i < p->n_dgrams; i++) {
		struct dgram_plan *d = &p->dgrams[i];

		d->from = rnd_below(&m->r, p->n_hosts);
		d->to = rnd_below(&m->r, p->n_hosts);
		d->from_ip = rnd_below(&m->r, p->hosts[d->from].n_ips);
		d->to_ip = rnd_below(&m->r, p->hosts[d->to].n_ips);
		d->port = (uint16_t)(5300 + i);
		d->n = (uint32_t)rnd_log(&m->r, 10, 200);
		d->size_min = rnd_one_in(&m->r, 4) ? 0 : 8;
		d->size_max = (uint32_t)rnd_log(&m->r, 64, rnd_one_in(&m->r, 3) ? 65507 : 1400);
		d->gap_ns = rnd_log(&m->r, 1 * US, 20 * MS);
		d->start_at = rnd_log(&m->r, 1, 100 * MS);
		d->connects = rnd_one_in(&m->r, 2);
		d->echoes = rnd_one_in(&m->r, 2);
		d->closed = rnd_one_in(&m->r, 6);
		d->hoard_ns = rnd_one_in(&m->r, 3) ? rnd_log(&m->r, 1 * US, 1 * SEC) : 0;
		d->read_ns = rnd_one_in(&m->r, 4) ? rnd_log(&m->r, 1 * US, 10 * MS) : 0;
		d->rcvbuf = rnd_one_in(&m->r, 3) ? (int64_t)rnd_log(&m->r, 4096, 100000) : 0;
	}
}

static void make_stranger(struct maker *m)
{
	struct plan *p = m->p;

	p->has_intruder = often(m, THEME_STRANGER, 5) && !p->direct && !p->calm;
	p->intruder.floods = rnd_one_in(&m->r, 6);
	p->intruder.every = rnd_log(&m->r, 20 * US, 5 * MS);
	p->intruder.n = 50 + rnd_below(&m->r, m->theme == THEME_STRANGER ? 2000 : 300);
}

/* Where memory is short a call may always say ENOMEM. */
static void make_callers(struct maker *m)
{
	struct plan *p = m->p;

	for (uint32_t i = 0; i < p->n_hosts; i++) {
		struct caller_plan *c = &p->callers[i];

		c->start_at = rnd_log(&m->r, 1, 300 * MS);
		c->gap_ns = rnd_log(&m->r, 10 * US, 200 * MS);
		if (often(m, THEME_CALLS, 3) && !p->heap_fail && !p->calm)
			c->n = 5 + rnd_below(&m->r, m->theme == THEME_CALLS ? 200 : 40);
	}
}

static void make_losses(struct maker *m)
{
	struct plan *p = m->p;

	if (!p->direct || !often(m, THEME_LINK, 4))
		return;
	p->n_losses = 1 + rnd_below(&m->r, 6);
	p->loss_every = rnd_log(&m->r, 10 * MS, 5 * SEC);
	p->loss_ns = rnd_log(&m->r, 1 * MS, m->cut_max < 5 * SEC ? m->cut_max : 5 * SEC);
}

/* How long anything can take that goes on by itself. */
static void make_limits(struct maker *m)
{
	struct plan *p = m->p;
	uint64_t rto_max = m->rto_max_ms * MS;

	p->patience_ns = 3 * rto_max + 30 * SEC;
	p->quiet_ns = 25 * rto_max + 300 * SEC;
}

void plan_make(struct plan *p, uint64_t seed)
{
	struct maker m = { .p = p, .cut_max = 10 * SEC };

	memset(p, 0, sizeof(*p));
	rnd_init(&m.r, seed, 0);
	m.theme = (enum theme)(seed % THEMES);
	p->gives_up = m.theme == THEME_GIVES_UP;
	p->tampers = TAMPER_ALL;
	m.delay_max = rnd_log(&m.r, 2 * US, 60 * MS);
	m.drain_max = rnd_log(&m.r, 1 * MS, 80 * MS);
	m.rtt_ms = (uint32_t)((8 * m.delay_max + 4 * m.drain_max) / MS);
	p->n_hosts = 2 + rnd_below(&m.r, HOSTS_MOST - 1);
	p->dumb_router = rnd_one_in(&m.r, 2);
	p->direct = m.theme >= THEME_PAIR && m.theme <= THEME_SELF;
	p->calm = m.theme == THEME_CALM;
	m.bare = rnd_one_in(&m.r, 4);
	if (p->direct)
		p->n_hosts = m.theme == THEME_SELF ? 1 : 2;
	if (m.theme == THEME_NO_MEMORY)
		p->heap_fail = (uint32_t)rnd_log(&m.r, 1000, 300000);
	else if (m.theme == THEME_CROWD && rnd_one_in(&m.r, 4))
		p->heap_fail = (uint32_t)rnd_log(&m.r, 1000, 100000);
	for (uint32_t i = 0; i < p->n_hosts; i++)
		make_host(&m, i);
	for (uint32_t i = 0; i < p->n_hosts; i++)
		make_cable(&m, &p->hosts[i]);
	make_stranger(&m);
	make_listeners(&m);
	make_flows(&m);
	make_dgrams(&m);
	make_callers(&m);
	make_losses(&m);
	make_limits(&m);
}

void plan_free(struct plan *p)
{
	free(p->flows);
	free(p->dgrams);
}

/* ---- for people */

static void print_lane(const char *name, const struct lane_plan *l)
{
	printf("  %s: delay %llu us + %llu, %llu ps/byte, queue %u; ppm: loss %u burst %u dup %u "
	       "reorder %u (%llu us) corrupt %u truncate %u tamper %u (%x)\n", name,
	       (unsigned long long)(l->delay / US), (unsigned long long)(l->jitter / US),
	       (unsigned long long)l->ps_per_byte, l->queue, l->loss, l->burst, l->dup, l->reorder,
	       (unsigned long long)(l->reorder_ns / US), l->corrupt, l->truncate, l->tamper,
	       l->tampers);
}

static void print_host(const struct host_plan *h, uint32_t nr)
{
	printf("h%u: %s segment %u mtu %u caps %x tx_ring %u shy %u alloc_fail %u bufs %u\n"
	       "  cuts %u dry %u dies %llu ms\n  %s\n", nr, h->ethernet ? "ethernet" : "bare",
	       h->segment, h->mtu, h->caps, h->tx_ring, h->shy, h->alloc_fail, h->buf_size,
	       h->n_cuts, h->n_dry, (unsigned long long)(h->dies_at / MS), h->config);
	print_lane("out", &h->tx);
	print_lane("in", &h->rx);
}

static void print_end(const struct end_plan *e)
{
	printf("    %llu bytes by %u to %u, think %llu us, read %llu us, stop %llu ms, hoard %llu "
	       "(%llu ms)%s%s finish %d at %llu\n", (unsigned long long)e->total, e->chunk_min,
	       e->chunk_max, (unsigned long long)(e->think_ns / US),
	       (unsigned long long)(e->read_ns / US), (unsigned long long)(e->stop_ns / MS),
	       (unsigned long long)e->hoard, (unsigned long long)(e->hoard_ns / MS),
	       e->echo ? " echo" : "", e->turns ? " turns" : "", e->finish,
	       (unsigned long long)e->finish_at);
}

void plan_print(const struct plan *p)
{
	for (uint32_t i = 0; i < p->n_hosts; i++)
		print_host(&p->hosts[i], i);
	for (uint32_t i = 0; i < p->n_flows && i < 12; i++) {
		const struct flow_plan *f = &p->flows[i];

		printf("  flow %u: %s h%u to h%u port %u\n", i, flow_kind_names[f->kind], f->client,
		       f->server, f->port);
		print_end(&f->end[0]);
		print_end(&f->end[1]);
	}
	for (uint32_t i = 0; i < p->n_dgrams; i++)
		printf("  dgrams %u: h%u to h%u, %u of %u to %u bytes\n", i, p->dgrams[i].from,
		       p->dgrams[i].to, p->dgrams[i].n, p->dgrams[i].size_min,
		       p->dgrams[i].size_max);
}

#include "config.h"

#include "tests/sim/intruder.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "tests/sim/frame.h"
#include "tests/sim/host.h"
#include "tests/sim/mem.h"
#include "tests/sim/wire.h"
#include "tests/sim/world.h"

#define ARP_LEN 28u

/* ---- making packets */

struct packet {
	struct net_mem *m;
	struct frame f;
};

static struct host *somebody(struct intruder *x)
{
	struct host *h = &x->w->hosts[rnd_below(&x->rnd, x->w->n_hosts)];

	return h->plan.ethernet && h->plan.segment == x->segment ? h : NULL;
}

static uint32_t any_ip(struct intruder *x, const struct host *h)
{
	return wire_ip(h->plan.segment, h->nr) + 50 * rnd_below(&x->rnd, h->plan.n_ips);
}

static struct net_mem *eth(struct intruder *x, const uint8_t dst[6], uint16_t type, uint32_t len)
{
	struct net_mem *m = mem_new(x->w, NULL, MEM_FRAME, ETH_LEN + len);

	memset(m->data, 0, m->len);
	memcpy(m->data, dst, 6);
	memcpy(m->data + 6, x->mac, 6);
	put16(m->data + 12, type);
	return m;
}

/* An IP packet with n bytes of its protocol's, zero or random; to be finished by seal(). */
static struct packet ip_packet(struct intruder *x, struct host *h, uint8_t proto, uint32_t n,
			       bool random)
{
	struct packet p = { .m = eth(x, h->dev.mac, 0x0800, IP_LEN + n) };
	uint8_t *ip = p.m->data + ETH_LEN;

	ip[0] = 0x45;
	put16(ip + 2, IP_LEN + n);
	put16(ip + 4, (uint32_t)rnd_u64(&x->rnd));
	ip[8] = 64;
	ip[9] = proto;
	put32(ip + 12, x->ip);
	put32(ip + 16, any_ip(x, h));
	for (uint32_t i = 0; i < n && random; i++)
		ip[IP_LEN + i] = (uint8_t)rnd_u64(&x->rnd);
	frame_parse(&p.f, p.m->data, p.m->len, true);
	return p;
}

static void launch(struct intruder *x, struct net_mem *m)
{
	trace_frame(x->w, -1, "evil", m->data, m->len, true);
	wire_from_segment(x->w, x->segment, m);
}

/* Checksums right, and off it goes. */
static void seal(struct intruder *x, struct packet *p)
{
	frame_parse(&p->f, p->m->data, p->m->len, true);
	if (p->f.ip)
		frame_fix(&p->f);
	launch(x, p->m);
}

/* ---- ARP */

static void arp(struct intruder *x, struct host *h)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
	static const uint32_t odd[] = { 0xe0000001, 0x01020304, 0xffffffff, 0x7f000001 };
	uint32_t what = rnd_below(&x->rnd, 10);
	struct net_mem *m = eth(x, what < 3 ? all : h->dev.mac, 0x0806, ARP_LEN);
	uint8_t *a = m->data + ETH_LEN;

	put16(a, 1);
	put16(a + 2, 0x0800);
	a[4] = 6;
	a[5] = 4;
	put16(a + 6, what == 3 ? 2 : 1);
	memcpy(a + 8, x->mac, 6);
	put32(a + 14, x->ip);
	put32(a + 24, any_ip(x, h));
	switch (what) {
	case 4:
		a[rnd_below(&x->rnd, 8)] ^= (uint8_t)(1 + rnd_below(&x->rnd, 255));
		break;
	case 5:
		put32(a + 14, any_ip(x, h)); /* says that it has what is the host's */
		break;
	case 6:
		m->len = ETH_LEN + rnd_below(&x->rnd, ARP_LEN);
		break;
	case 7:
		put32(a + 24, wire_ip(x->segment, 180)); /* of somebody else */
		put32(a + 14, rnd_one_in(&x->rnd, 2) ? 0 : x->ip);
		break;
	case 8:
		put32(a + 14, odd[rnd_below(&x->rnd, array_size(odd))]);
		break;
	case 9:
		memset(a + 8, rnd_one_in(&x->rnd, 2) ? 0 : 0xff, 6); /* at no address */
		break;
	default:
		break;
	}
	launch(x, m);
}

/* ---- ICMP */

static void echo(struct intruder *x, struct host *h)
{
	struct packet p = ip_packet(x, h, PROTO_ICMP, 8 + rnd_below(&x->rnd, 1400), true);

	p.f.l4[0] = 8;
	p.f.l4[1] = 0;
	if (rnd_one_in(&x->rnd, 10))
		put32(p.f.ip + 16, wire_ip(x->segment, 254)); /* to all */
	else
		x->n_echo_asked++;
	seal(x, &p);
}

static void icmp_garbage(struct intruder *x, struct host *h)
{
	static const uint8_t types[] = { 0, 3, 3, 3, 4, 5, 8, 11, 12, 13, 42 };
	struct packet p = ip_packet(x, h, PROTO_ICMP, rnd_below(&x->rnd, 80), true);
	uint8_t *l4 = p.f.l4;

	if (p.f.l4_len >= 2) {
		l4[0] = types[rnd_below(&x->rnd, sizeof(types))];
		l4[1] = (uint8_t)rnd_below(&x->rnd, 16);
	}
	if (p.f.l4_len >= ICMP_LEN + IP_LEN && rnd_one_in(&x->rnd, 2)) {
		uint8_t *quote = l4 + ICMP_LEN;

		quote[0] = rnd_one_in(&x->rnd, 4) ? 0x4f : 0x45;
		put16(quote + 6, rnd_one_in(&x->rnd, 4) ? 100 : 0);
		quote[9] = rnd_one_in(&x->rnd, 2) ? PROTO_TCP : PROTO_UDP;
		put32(quote + 12, any_ip(x, h));
		put32(quote + 16, any_ip(x, h) + 1);
	}
	if (rnd_one_in(&x->rnd, 4))
		launch(x, p.m);	/* its checksums are wrong */
	else
		seal(x, &p);
}

/* ---- UDP */

static void udp(struct intruder *x, struct host *h)
{
	uint32_t n = rnd_below(&x->rnd, 600), what = rnd_below(&x->rnd, 8);
	struct packet p = ip_packet(x, h, PROTO_UDP, UDP_LEN + n, true);

	put16(p.f.l4, rnd_one_in(&x->rnd, 20) ? 0 : 1000 + what);
	put16(p.f.l4 + 2, rnd_one_in(&x->rnd, 2) ? 53 : world_udp_port(x->w, h));
	put16(p.f.l4 + 4, UDP_LEN + n);
	if (what == 0)
		put16(p.f.l4 + 4, rnd_below(&x->rnd, 1500));
	else if (what == 1)
		put16(p.f.l4 + 6, 0);
	else if (what == 2)
		put16(p.f.l4 + 6, 1);
	if (what == 2) {
		frame_fix_ip(&p.f);
		launch(x, p.m);
		return;
	}
	if (what == 3)
		put16(p.f.ip + 2, IP_LEN + rnd_below(&x->rnd, UDP_LEN));
	if (what == 4)
		put32(p.f.ip + 16, wire_ip(x->segment, 254));
	seal(x, &p);
}

/* ---- IP */

static void ip_garbage(struct intruder *x, struct host *h)
{
	static const uint32_t odd[] = {
		0, 0xffffffff, 0xe0000001, 0x7f000001, 0xf0000001, 0x01020304, 0x0a0000ff,
	};
	struct packet p = ip_packet(x, h, (uint8_t)rnd_u64(&x->rnd), rnd_below(&x->rnd, 100), true);
	uint8_t *ip = p.f.ip;

	switch (rnd_below(&x->rnd, 9)) {
	case 0:
		ip[0] = (uint8_t)rnd_u64(&x->rnd);
		break;
	case 1:
		put16(ip + 2, (uint32_t)rnd_u64(&x->rnd));
		break;
	case 2:
		ip[8] = (uint8_t)rnd_below(&x->rnd, 2);
		break;
	case 3:
		put32(ip + 12, odd[rnd_below(&x->rnd, array_size(odd))]);
		break;
	case 4:
		put32(ip + 16, odd[rnd_below(&x->rnd, array_size(odd))]);
		break;
	case 5:
		put32(ip + 12, any_ip(x, h)); /* from itself */
		break;
	case 6:
		p.m->len = ETH_LEN + rnd_below(&x->rnd, IP_LEN);
		break;
	case 7:
		put16(ip + 10, 1);
		launch(x, p.m);
		return;
	default:
		break;
	}
	frame_parse(&p.f, p.m->data, p.m->len, true);
	if (p.m->len >= ETH_LEN + IP_LEN) {
		p.f.ip = ip;
		p.f.ihl = IP_LEN;
		frame_fix_ip(&p.f);
	}
	launch(x, p.m);
}

/* Well formed or not: END early, a route to go by, one that is cut off. */
static void ip_options(struct intruder *x, struct host *h)
{
	static const uint8_t options[][8] = {
		{ 0, 9, 9, 9, 9, 9, 9, 9 },
		{ 1, 1, 1, 1, 1, 1, 1, 0 },
		{ 137, 7, 4, 10, 0, 0, 1, 0 },
		{ 131, 7, 4, 10, 0, 0, 1, 0 },
		{ 1, 1, 1, 1, 1, 1, 1, 68 },
		{ 68, 8, 5, 0, 0, 0, 0, 0 },
		{ 68, 9, 5, 0, 0, 0, 0, 0 },
		{ 68, 1, 5, 0, 0, 0, 0, 0 },
	};
	struct packet p = ip_packet(x, h, PROTO_ICMP, 8 + 40, true);

	p.f.ip[0] = 0x47;
	memcpy(p.f.ip + IP_LEN, options[rnd_below(&x->rnd, array_size(options))], 8);
	frame_parse(&p.f, p.m->data, p.m->len, true);
	if (p.f.l4) {
		p.f.l4[0] = 8;
		p.f.l4[1] = 0;
	}
	seal(x, &p);
}

/* Many that never become whole: each of a datagram of its own, or all of one. */
static void fragment_of_flood(struct intruder *x, struct host *h)
{
	struct packet p = ip_packet(x, h, PROTO_UDP, 8, true);
	uint32_t nr = x->n_flood++;
	bool one = nr / 256 % 2;

	if (rnd_one_in(&x->rnd, 100))
		put32(p.f.ip + 16, wire_ip(x->segment, 254)); /* to all */
	put16(p.f.ip + 4, one ? 7 : 1000 + nr);
	put16(p.f.ip + 6, 0x2000 | (one ? nr % 256 : 0));
	seal(x, &p);
}

/* The last one of more than a datagram may have. */
static void fragment_too_long(struct intruder *x, struct host *h)
{
	struct packet p = ip_packet(x, h, PROTO_UDP, 7 + rnd_below(&x->rnd, 9), true);

	put16(p.f.ip + 6, 8190);
	seal(x, &p);
}

static void fragment(struct intruder *x, struct host *h)
{
	static const uint8_t protos[] = { PROTO_UDP, PROTO_ICMP, PROTO_TCP, 99 };
	struct rnd *r = &x->rnd;
	struct packet p = ip_packet(x, h, protos[rnd_below(r, 4)], 8 * rnd_below(r, 40), true);
	uint32_t offset = rnd_one_in(r, 8) ? 8100 + rnd_below(r, 92) : rnd_below(r, 60);

	if (rnd_one_in(r, 8))
		p.m->len -= p.f.l4_len ? 1 + rnd_below(r, 7) : 0;
	put16(p.f.ip + 2, p.m->len - ETH_LEN);
	put16(p.f.ip + 4, rnd_below(r, 6)); /* few names, so that they meet */
	put16(p.f.ip + 6, (rnd_one_in(r, 3) ? 0 : 0x2000) | offset);
	seal(x, &p);
}

static void eth_garbage(struct intruder *x, struct host *h)
{
	struct packet p = ip_packet(x, h, PROTO_UDP, 20, true);

	switch (rnd_below(&x->rnd, 4)) {
	case 0:
		p.m->len = ETH_LEN - 1 - rnd_below(&x->rnd, 1);
		lane_send(&h->rx, p.m);
		return;
	case 1:
		put16(p.m->data + 12, (uint32_t)rnd_u64(&x->rnd));
		break;
	case 2:
		p.m->data[0] |= 1; /* to many, for the link */
		break;
	default:
		p.m->data[5] ^= 0x80; /* to a stranger, by a switch that floods */
		lane_send(&h->rx, p.m);
		return;
	}
	launch(x, p.m);
}

/* ---- TCP */

static struct packet segment(struct intruder *x, struct host *h, uint16_t sport, uint16_t dport,
			     uint32_t n)
{
	struct packet p = ip_packet(x, h, PROTO_TCP, TCP_LEN + n, true);
	uint8_t *l4 = p.f.l4;

	put16(l4, sport);
	put16(l4 + 2, dport);
	l4[12] = 5 << 4;
	put16(l4 + 18, 0);
	return p;
}

static void stray(struct intruder *x, struct host *h)
{
	uint32_t n = rnd_one_in(&x->rnd, 2) ? 0 : rnd_below(&x->rnd, 200);
	uint16_t port = rnd_one_in(&x->rnd, 2) ? world_tcp_port(x->w, h) : 4;
	struct packet p = segment(x, h, (uint16_t)rnd_in(&x->rnd, 0, 2000), port, n);

	p.f.l4[13] = (uint8_t)rnd_below(&x->rnd, 64);
	switch (rnd_below(&x->rnd, 6)) {
	case 0:
		p.f.l4[12] = (uint8_t)rnd_u64(&x->rnd);
		break;
	case 1:
		put16(p.f.ip + 2, IP_LEN + rnd_below(&x->rnd, TCP_LEN));
		break;
	case 2:
		frame_fix_ip(&p.f); /* its checksum is wrong */
		launch(x, p.m);
		return;
	case 3:
		p.f.l4[13] = TCP_SYN; /* one of a flood */
		break;
	default:
		break;
	}
	seal(x, &p);
}

static void syn(struct intruder *x, struct talk *t)
{
	struct host *h = &x->w->hosts[t->host];
	struct packet p = segment(x, h, t->sport, t->dport, 24);
	uint8_t *opt = p.f.l4 + TCP_LEN;

	memcpy(opt, (uint8_t[24]){ 2, 4, 5, 180, 3, 3, 14, 1, 8, 10, 0, 0, 0, 1 }, 24);
	switch (rnd_below(&x->rnd, 6)) {
	case 0:
		put16(opt + 2, rnd_below(&x->rnd, 100)); /* a tiny mss */
		break;
	case 1:
		opt[6] = (uint8_t)rnd_u64(&x->rnd); /* a wild scale */
		break;
	case 2:
		for (int i = 0; i < 24; i++)
			opt[i] = (uint8_t)rnd_below(&x->rnd, 12);
		break;
	case 3:
		memset(opt, 1, 24);
		break;
	default:
		break;
	}
	t->seq = (uint32_t)rnd_u64(&x->rnd) | (rnd_one_in(&x->rnd, 2) ? 0xffffff00 : 0);
	put32(p.f.l4 + 4, t->seq++);
	put32(p.f.l4 + 8, 0);
	p.f.l4[12] = 11 << 4;
	p.f.l4[13] = TCP_SYN;
	if (rnd_one_in(&x->rnd, 20))
		p.f.l4[13] |= TCP_FIN;
	seal(x, &p);
}

static void talk_begin(struct intruder *x, struct talk *t, struct host *h)
{
	*t = (struct talk){
		.used = true,
		.host = h->nr,
		.sport = (uint16_t)rnd_in(&x->rnd, 3000, 60000),
		.dport = world_tcp_port(x->w, h),
	};
	syn(x, t);
}

/* A number near one that is right. */
static uint32_t near(struct intruder *x, uint32_t nr)
{
	static const int32_t by[] = { 1, -1, 2, 10, -10, 500, -500, 5000, 65536, 1 << 20, -(1 << 20) };

	return nr + (uint32_t)by[rnd_below(&x->rnd, array_size(by))];
}

static void talk_on(struct intruder *x, struct talk *t)
{
	static const uint8_t flags[] = {
		TCP_ACK, TCP_ACK, TCP_ACK, TCP_ACK | TCP_PSH, TCP_ACK | TCP_FIN, TCP_RST,
		TCP_RST | TCP_ACK, TCP_SYN, TCP_SYN | TCP_ACK, 0, TCP_FIN, TCP_ACK | TCP_URG,
	};
	struct rnd *r = &x->rnd;
	struct host *h = &x->w->hosts[t->host];
	uint32_t n = rnd_one_in(r, 2) ? 0 : rnd_one_in(r, 2) ? 1 + rnd_below(r, 3) :
							       rnd_below(r, 1200);
	uint32_t ts = t->has_ts ? 12 : 0;
	uint8_t flag = flags[rnd_below(r, rnd_one_in(r, 4) ? sizeof(flags) : 4)];
	struct packet p = segment(x, h, t->sport, t->dport, ts + n);
	uint8_t *l4 = p.f.l4;

	put32(l4 + 4, rnd_one_in(r, 3) ? near(x, t->seq) : t->seq);
	put32(l4 + 8, rnd_one_in(r, 8) ? near(x, t->ack) : t->ack);
	l4[12] = (uint8_t)((20 + ts) / 4 << 4);
	l4[13] = flag;
	put16(l4 + 14, rnd_one_in(r, 4) ? 0 : (uint32_t)rnd_u64(r));
	if (ts) {
		memcpy(l4 + TCP_LEN, (uint8_t[4]){ 1, 1, 8, 10 }, 4);
		put32(l4 + 24, (uint32_t)(x->w->events.now / 1000000) - (rnd_one_in(r, 10) ? 9 : 0));
		put32(l4 + 28, t->ts);
	}
	if (get32(l4 + 4) == t->seq && !(flag & (TCP_RST | TCP_SYN)) && !rnd_one_in(r, 8))
		t->seq += n + (flag & TCP_FIN ? 1 : 0);
	seal(x, &p);
	if (flag & TCP_RST || rnd_one_in(r, 60))
		t->used = false;
}

static void talk(struct intruder *x, struct host *h)
{
	struct talk *t = &x->talks[rnd_below(&x->rnd, INTRUDER_TALKS)];

	if (!t->used)
		talk_begin(x, t, h);
	else if (t->connected)
		talk_on(x, t);
	else if (rnd_one_in(&x->rnd, 4))
		t->used = false;
	else if (rnd_one_in(&x->rnd, 4))
		talk_on(x, t);
}

/* ---- what it does next */

static void act(struct intruder *x, struct host *h)
{
	switch (rnd_below(&x->rnd, 20)) {
	case 0:
		arp(x, h);
		return;
	case 1:
		echo(x, h);
		return;
	case 2:
		icmp_garbage(x, h);
		return;
	case 3:
		udp(x, h);
		return;
	case 4:
		if (rnd_one_in(&x->rnd, 4))
			ip_options(x, h);
		else
			ip_garbage(x, h);
		return;
	case 5:
	case 6:
		if (x->plan.floods)
			fragment_of_flood(x, h);
		else if (rnd_one_in(&x->rnd, 16))
			fragment_too_long(x, h);
		else
			fragment(x, h);
		return;
	case 7:
		eth_garbage(x, h);
		return;
	case 8:
	case 9:
		stray(x, h);
		return;
	default:
		talk(x, h);
		return;
	}
}

static void wake(void *who, void *what)
{
	struct intruder *x = who;
	struct host *h = somebody(x);

	(void)what;
	if (world_is_over(x->w))
		return;
	if (h && h->stack) {
		act(x, h);
		for (uint32_t i = 0; x->plan.floods && i < 6; i++)
			fragment_of_flood(x, h);
	}
	if (++x->sent < x->plan.n)
		events_add(&x->w->events, x->w->events.now + rnd_in(&x->rnd, 0, 2 * x->plan.every),
			   wake, x, NULL);
}

struct intruder *intruder_new(struct world *w, uint64_t seed, const struct intruder_plan *plan)
{
	struct intruder *x = calloc(1, sizeof(*x));

	if (!x)
		abort();
	x->w = w;
	x->plan = *plan;
	x->segment = plan->segment;
	x->ip = wire_ip(x->segment, 199);
	rnd_init(&x->rnd, seed, 8);
	memcpy(x->mac, (uint8_t[6]){ 2, 0xbb, 0, 0, 0, 1 }, 6);
	events_add(&w->events, w->events.now + plan->every, wake, x, NULL);
	return x;
}

void intruder_free(struct intruder *x)
{
	free(x);
}

/* ---- what comes back */

static void arp_back(struct intruder *x, const uint8_t *a, uint32_t len)
{
	struct net_mem *m;

	if (len < ARP_LEN)
		return;
	x->n_arp_answered += get16(a + 6) == 2;
	if (get16(a + 6) != 1 || get32(a + 24) != x->ip)
		return;
	m = eth(x, a + 8, 0x0806, ARP_LEN);
	memcpy(m->data + ETH_LEN, a, ARP_LEN);
	put16(m->data + ETH_LEN + 6, 2);
	memcpy(m->data + ETH_LEN + 8, x->mac, 6);
	put32(m->data + ETH_LEN + 14, x->ip);
	memcpy(m->data + ETH_LEN + 18, a + 8, 10);
	launch(x, m);
}

static struct host *host_with(struct intruder *x, uint32_t ip)
{
	for (uint32_t i = 0; i < x->w->n_hosts; i++) {
		struct host *h = &x->w->hosts[i];

		if (h->plan.ethernet && h->plan.segment == x->segment && host_has_ip(h, ip))
			return h;
	}
	return NULL;
}

/* One of what a SYN may be answered with; the last two are as they should be. */
static void answer_syn(struct intruder *x, struct host *h, const struct frame *f, uint32_t what)
{
	static const uint8_t flags[] = {
		TCP_RST, TCP_RST | TCP_ACK, TCP_SYN | TCP_ACK, TCP_ACK, TCP_ACK | TCP_FIN, 0,
		TCP_SYN, TCP_SYN | TCP_FIN, TCP_RST | TCP_ACK, TCP_SYN | TCP_ACK,
	};
	uint32_t n = rnd_one_in(&x->rnd, 3) ? rnd_below(&x->rnd, 100) : 0;
	struct packet p = segment(x, h, f->dport, f->sport, n);
	struct talk *t = &x->talks[rnd_below(&x->rnd, INTRUDER_TALKS)];
	bool wrong = what == 1 || what == 2;
	uint32_t seq = get32(p.f.l4 + 4);

	put32(p.f.ip + 16, f->src);
	put32(p.f.l4 + 8, wrong ? near(x, f->seq + 1) : f->seq + 1);
	p.f.l4[13] = flags[what];
	if (flags[what] & TCP_SYN && !t->used)
		*t = (struct talk){
			.used = true, .connected = true, .host = h->nr, .sport = f->dport,
			.dport = f->sport, .seq = seq + 1 + n, .ack = f->seq + 1,
		};
	seal(x, &p);
}

/* Somebody connects: a few wrong answers, and perhaps a right one. */
static bool greeted(struct intruder *x, const struct frame *f)
{
	struct host *h = host_with(x, f->src);
	uint32_t n = rnd_below(&x->rnd, 4);

	if ((f->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN || f->dst != x->ip || !h)
		return false;
	while (n--)
		answer_syn(x, h, f, rnd_below(&x->rnd, 8));
	if (rnd_one_in(&x->rnd, 3))
		answer_syn(x, h, f, 8 + rnd_below(&x->rnd, 2));
	return true;
}

static void tcp_back(struct intruder *x, const struct frame *f)
{
	const uint8_t *opt = frame_tcp_opt(f, 8);

	if (greeted(x, f))
		return;
	x->n_rst += f->flags & TCP_RST ? 1 : 0;
	for (uint32_t i = 0; i < INTRUDER_TALKS; i++) {
		struct talk *t = &x->talks[i];

		if (!t->used || t->sport != f->dport || t->dport != f->sport)
			continue;
		if (f->flags & TCP_RST) {
			t->used = false;
			return;
		}
		if (f->flags & TCP_SYN) {
			t->connected = true;
			t->has_ts = opt != NULL;
		}
		t->ack = f->seq + f->payload_len + (f->flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
		if (opt)
			t->ts = get32(opt + 2);
	}
}

void intruder_input(struct intruder *x, uint8_t *data, uint32_t len)
{
	struct frame f;

	if (!frame_parse(&f, data, len, true)) {
		if (f.type == 0x0806)
			arp_back(x, data + ETH_LEN, len - ETH_LEN);
		return;
	}
	if (!f.whole)
		return;
	if (f.proto == PROTO_TCP)
		tcp_back(x, &f);
	else if (f.proto == PROTO_ICMP && f.l4[0] == 0)
		x->n_echo_answered++;
	else if (f.proto == PROTO_ICMP && f.l4[0] == 3)
		x->n_unreachable++;
}

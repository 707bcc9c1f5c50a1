#include "config.h"

#include "tests/sim/tamper.h"

#include <string.h>

#include "tests/sim/frame.h"
#include "tests/sim/mem.h"
#include "tests/sim/wire.h"
#include "tests/sim/world.h"

/* One packet in hand, and where those go that it becomes. */
struct job {
	struct tamper *t;
	struct net_mem *frame;
	struct frame f;
	struct tampered *out;
	uint32_t n;
};

void tamper_init(struct tamper *t, struct world *w, uint64_t seed, uint32_t kinds, bool ethernet)
{
	memset(t, 0, sizeof(*t));
	t->w = w;
	t->kinds = kinds;
	t->ethernet = ethernet;
	t->id = (uint16_t)seed;
	rnd_init(&t->rnd, seed, 7);
}

/* ---- making frames */

static void add(struct job *j, struct net_mem *frame, uint64_t later)
{
	if (j->n == TAMPER_MAX) {
		mem_put(frame);
		return;
	}
	j->out[j->n++] = (struct tampered){ frame, later };
}

/* A copy with room for more behind it. */
static struct net_mem *copy(struct job *j, uint32_t more, struct frame *f_out)
{
	struct net_mem *m = mem_new(j->t->w, NULL, MEM_FRAME, j->frame->len + more);

	memcpy(m->data, j->frame->data, j->frame->len);
	m->len = j->frame->len;
	frame_parse(f_out, m->data, m->len, j->t->ethernet);
	return m;
}

/* Payload that nobody sent, so that it shows where it gets in. */
static void garble(struct job *j, struct frame *f)
{
	for (uint32_t i = 0; i < f->payload_len; i++)
		f->payload[i] = (uint8_t)rnd_u64(&j->t->rnd);
}

/* Outside every window; what comes of two such boxes, one behind the other, is too. */
static uint32_t far(struct job *j)
{
	return (UINT32_C(1) << 29) + rnd_below(&j->t->rnd, UINT32_C(1) << 30);
}

/* So much later, as numbers that wrap go, that nobody has come there; twice, too. */
static uint32_t ahead(struct job *j)
{
	return (UINT32_C(1) << 28) + rnd_below(&j->t->rnd, UINT32_C(1) << 29);
}

static void resize(struct net_mem *m, struct frame *f, uint32_t l4_len)
{
	f->l4_len = (uint16_t)l4_len;
	f->ip_len = (uint16_t)(f->ihl + l4_len);
	put16(f->ip + 2, f->ip_len);
	m->len = (uint32_t)(f->ip - m->data) + f->ip_len;
}

/* ---- TCP in other pieces */

static struct net_mem *piece(struct job *j, uint32_t from, uint32_t to)
{
	struct frame f;
	struct net_mem *m = copy(j, 0, &f);

	memmove(f.payload, f.payload + from, to - from);
	put32(f.l4 + 4, f.seq + from);
	if (to < f.payload_len)
		f.l4[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
	resize(m, &f, f.doff + to - from);
	frame_fix(&f);
	return m;
}

static void shuffle(struct job *j, uint32_t from)
{
	for (uint32_t i = j->n; i > from + 1; i--) {
		uint32_t k = from + rnd_below(&j->t->rnd, i - from);
		struct tampered other = j->out[k];

		j->out[k] = j->out[i - 1];
		j->out[i - 1] = other;
	}
}

static bool resegment(struct job *j)
{
	struct rnd *r = &j->t->rnd;
	uint32_t len = j->f.payload_len, most = 2 + rnd_below(r, 30), from = 0, first = j->n;

	if (!j->f.whole || j->f.proto != PROTO_TCP || len < 2 ||
	    j->f.flags & (TCP_SYN | TCP_RST | TCP_URG))
		return false;
	while (from < len && j->n + 2 < TAMPER_MAX) {
		uint32_t to = from + 1 + rnd_below(r, 1 + 2 * len / most);
		uint32_t begin = rnd_one_in(r, 3) ? rnd_below(r, from + 1) : from;

		if (to > len || j->n + 3 == TAMPER_MAX)
			to = len;
		add(j, piece(j, begin, to), 0);
		from = to;
	}
	if (rnd_one_in(r, 2))
		shuffle(j, first);
	mem_put(j->frame);
	return true;
}

/* ---- fragments */

static struct net_mem *fragment(struct job *j, uint16_t id, uint32_t from, uint32_t to)
{
	struct frame f;
	struct net_mem *m = copy(j, 0, &f);
	uint32_t more = to < f.l4_len ? 0x2000 : 0;

	memmove(f.l4, f.l4 + from, to - from);
	put16(f.ip + 4, id);
	put16(f.ip + 6, more | from / 8);
	resize(m, &f, to - from);
	frame_fix_ip(&f);
	return m;
}

static bool fragments(struct job *j)
{
	struct rnd *r = &j->t->rnd;
	uint32_t len = j->f.l4_len, from = 0, first = j->n;
	uint16_t id = j->t->id++;

	if (!j->f.whole || len < 16)
		return false;
	while (from < len) {
		uint32_t to = from + 8 * (1 + rnd_below(r, 1 + len / 32));

		if (to >= len || j->n + 4 >= TAMPER_MAX)
			to = len;
		if (!rnd_one_in(r, 50))
			add(j, fragment(j, id, from, to), 0);
		if (rnd_one_in(r, 20))
			add(j, fragment(j, id, from, to), 0);
		if (rnd_one_in(r, 50) && from >= 8)
			add(j, fragment(j, id, from - 8, to), 0);
		from = to;
	}
	if (rnd_one_in(r, 2))
		shuffle(j, first);
	mem_put(j->frame);
	return true;
}

/* ---- headers */

static bool ip_options(struct job *j)
{
	uint32_t n = 4 * (1 + rnd_below(&j->t->rnd, 4));
	struct net_mem *m;
	struct frame f;

	if (!j->f.whole || j->f.ihl != IP_LEN)
		return false;
	m = copy(j, n, &f);
	memmove(f.l4 + n, f.l4, f.l4_len);
	memset(f.l4, 1, n);	/* no operation */
	f.ip[0] = (uint8_t)(0x45 + n / 4);
	put16(f.ip + 2, f.ip_len + n);
	m->len = (uint32_t)(f.ip - m->data) + f.ip_len + n;
	frame_parse(&f, m->data, m->len, j->t->ethernet);
	frame_fix(&f);
	add(j, m, 0);
	mem_put(j->frame);
	return true;
}

static bool syn_options(struct job *j)
{
	static const uint8_t kinds[] = { 2, 3, 4, 8 };
	uint8_t *opt;

	if (!j->f.whole || j->f.proto != PROTO_TCP ||
	    (j->f.flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return false;
	opt = frame_tcp_opt(&j->f, kinds[rnd_below(&j->t->rnd, 4)]);
	if (opt)
		memset(opt, 1, opt[1]);
	frame_fix(&j->f);
	add(j, j->frame, 0);
	return true;
}

/* In place, for what says true. */
static bool change(struct job *j, enum tamper_kind kind)
{
	struct frame *f = &j->f;
	struct rnd *r = &j->t->rnd;

	if (!f->whole || (f->proto != PROTO_TCP && kind != TAMPER_ECN))
		return false;
	if (kind == TAMPER_URGENT) {
		if (f->flags & (TCP_SYN | TCP_RST))
			return false;
		f->l4[13] |= TCP_URG;
		put16(f->l4 + 18, 1 + rnd_below(r, 2000));
	} else if (kind == TAMPER_ECN) {
		f->ip[1] = (uint8_t)(f->ip[1] | (1 + rnd_below(r, 3)));
		if (f->proto == PROTO_TCP)
			f->l4[13] |= (uint8_t)(rnd_below(r, 4) << 6);
	} else {
		put16(f->l4 + 14, rnd_one_in(r, 3) ? 0 : rnd_below(r, f->wnd + 1u));
	}
	frame_fix(f);
	add(j, j->frame, 0);
	return true;
}

/* ---- packets beside it */

static void bad_options(struct job *j, struct frame *f)
{
	uint32_t n = f->doff - TCP_LEN;
	uint8_t *opts = f->l4 + TCP_LEN;

	for (uint32_t i = 0; i < n; i++)
		opts[i] = (uint8_t)rnd_below(&j->t->rnd, 12);
	garble(j, f);
	put32(f->l4 + 4, f->seq + far(j));
}

static bool beside(struct job *j, enum tamper_kind kind)
{
	struct net_mem *m;
	struct frame f;
	uint8_t *opt;

	if (!j->f.whole || j->f.proto != PROTO_TCP || j->f.flags & (TCP_SYN | TCP_RST))
		return false;
	m = copy(j, 0, &f);
	if (kind == TAMPER_BAD_OPTIONS) {
		bad_options(j, &f);
	} else if (kind == TAMPER_FORGED_SEQ) {
		put32(f.l4 + 4, f.seq + far(j));
		garble(j, &f);
	} else if (kind == TAMPER_FORGED_ACK) {
		put32(f.l4 + 8, f.ack + ahead(j));
		garble(j, &f);
	} else if (kind == TAMPER_FORGED_RST) {
		put32(f.l4 + 4, f.seq + far(j));
		f.l4[13] = TCP_RST | TCP_ACK;
	} else if (kind == TAMPER_FORGED_SYN) {
		put32(f.l4 + 4, f.seq + far(j));
		f.l4[13] = TCP_SYN;
	} else {
		opt = frame_tcp_opt(&f, 8);
		if (opt && opt[1] == 10)
			put32(opt + 2, get32(opt + 2) - ahead(j));
		else
			put32(f.l4 + 4, f.seq + far(j));
		garble(j, &f);
	}
	frame_fix(&f);
	add(j, m, 0);
	add(j, j->frame, 0);
	if (rnd_one_in(&j->t->rnd, 2))
		shuffle(j, j->n - 2);
	return true;
}

/* Soft ones for everybody; what ends a connection only for one that begins. */
static bool icmp_back(struct job *j)
{
	static const uint8_t soft[] = { 0, 1, 4, 5, 6, 7, 11, 12, 13 };
	struct rnd *r = &j->t->rnd;
	uint8_t type = rnd_one_in(r, 4) ? 11 : 3, code = soft[rnd_below(r, sizeof(soft))];
	uint16_t mtu = 0;

	if (!j->f.whole || j->f.proto == PROTO_ICMP)
		return false;
	if (j->f.proto == PROTO_UDP || (j->f.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		if (rnd_one_in(r, 3))
			code = (uint8_t)(2 + rnd_below(r, 2));
		if (rnd_one_in(r, 6))
			type = 12;
	}
	if (type == 3 && code == 4 && rnd_one_in(r, 2))
		mtu = (uint16_t)rnd_log(r, 60, 9000);
	wire_icmp_back(j->t->w, &j->f, type, code, mtu);
	add(j, j->frame, 0);
	return true;
}

static bool replay(struct job *j)
{
	struct frame f;

	add(j, copy(j, 0, &f), rnd_log(&j->t->rnd, 1000, UINT64_C(2000000000)));
	add(j, j->frame, 0);
	return true;
}

static bool apply(struct job *j, enum tamper_kind kind)
{
	switch (kind) {
	case TAMPER_RESEGMENT:
		return resegment(j);
	case TAMPER_FRAGMENT:
		return fragments(j);
	case TAMPER_IP_OPTIONS:
		return ip_options(j);
	case TAMPER_SYN_OPTIONS:
		return syn_options(j);
	case TAMPER_URGENT:
	case TAMPER_ECN:
	case TAMPER_WINDOW:
		return change(j, kind);
	case TAMPER_BAD_OPTIONS:
	case TAMPER_FORGED_SEQ:
	case TAMPER_FORGED_ACK:
	case TAMPER_FORGED_RST:
	case TAMPER_FORGED_SYN:
	case TAMPER_OLD_TIMESTAMP:
		return beside(j, kind);
	case TAMPER_ICMP:
		return icmp_back(j);
	case TAMPER_REPLAY:
		return replay(j);
	case TAMPER_KINDS:
		break;
	}
	return false;
}

uint32_t tamper(struct tamper *t, struct net_mem *frame, struct tampered out[TAMPER_MAX])
{
	struct job j = { .t = t, .frame = frame, .out = out };

	/* what is spoilt already stays so: a checksum made anew would hide it */
	if (t->kinds && frame_parse(&j.f, frame->data, frame->len, t->ethernet) &&
	    frame_ip_csum_good(&j.f) && frame_l4_csum_good(&j.f)) {
		enum tamper_kind kind;

		do
			kind = (enum tamper_kind)rnd_below(&t->rnd, TAMPER_KINDS);
		while (!(t->kinds >> kind & 1));
		if (apply(&j, kind)) {
			t->n[kind]++;
			return j.n;
		}
	}
	j.n = 0;
	add(&j, frame, 0);
	return j.n;
}

#include "config.h"

#include "tests/unit/tcpbed.h"

#include <stdlib.h>
#include <string.h>

#include "net/csum.h"
#include "net/tcp_conn.h"

#define PINNED 2304u

struct net_mem {
	uint32_t refs;
	uint32_t len;
	bool lent;		/* for sending: never written */
	uint32_t sum;
	uint8_t data[];
};

int tbed_wrap;
static uint32_t refs;
static const uint32_t isses[TBED_SEQS] = { 1000, UINT32_MAX - 1200 };
static const uint32_t irss[TBED_SEQS] = { 500000, UINT32_MAX - 700 };

uint32_t tbed_refs(void)
{
	return refs;
}

static uint32_t sum_of(const uint8_t *data, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i++)
		sum = sum * 31 + data[i];
	return sum;
}

static struct net_mem *mem_new(uint32_t len)
{
	struct net_mem *mem = malloc(sizeof(*mem) + len);

	ck_assert_ptr_nonnull(mem);
	*mem = (struct net_mem){ .refs = 1, .len = len };
	refs++;
	return mem;
}

static void mem_get(struct net_mem *mem)
{
	ck_assert_uint_gt(mem->refs, 0);
	mem->refs++;
}

static void mem_put(struct net_mem *mem)
{
	ck_assert_uint_gt(mem->refs, 0);
	if (--mem->refs)
		return;
	if (mem->lent)
		ck_assert_uint_eq(sum_of(mem->data, mem->len), mem->sum);
	refs--;
	memset(mem->data, 0xee, mem->len); /* whoever reads it now */
	free(mem);
}

struct net_seg tbed_seg(uint32_t at, uint32_t len)
{
	struct net_mem *mem = mem_new(len);

	for (uint32_t i = 0; i < len; i++)
		mem->data[i] = tbed_byte(at + i);
	mem->lent = true;
	mem->sum = sum_of(mem->data, len);
	return (struct net_seg){ .mem = mem, .data = mem->data, .len = len };
}

void tbed_put(struct net_seg *seg)
{
	mem_put(seg->mem);
}

/* ---- the device */

static struct net_mem *dev_alloc(struct net_dev *dev, uint32_t size, struct net_seg *seg_out)
{
	struct tbed *b = container_of(dev, struct tbed, dev);
	struct net_mem *mem;

	if (!b->allocs)
		return NULL;
	b->allocs--;
	mem = mem_new(size);
	*seg_out = (struct net_seg){ .mem = mem, .data = mem->data, .len = size, .pinned = size };
	return mem;
}

static void check_sums(const struct tbed *b, const struct tpkt *p)
{
	const struct net_ip_hdr *ip = (const struct net_ip_hdr *)p->data;
	uint32_t len = p->len - NET_IP_LEN;

	ck_assert_uint_eq(__builtin_bswap16(ip->len), p->len);
	if (p->out_flags & (NET_OUT_TSO | NET_OUT_TCP_CSUM))
		return;
	ck_assert_uint_le(p->len, b->dev.mtu);
	ck_assert_uint_eq(net_csum_finish(net_csum_add(net_csum_pseudo(ip->src, ip->dst, 6,
				(uint16_t)len), p->data + NET_IP_LEN, len)), 0);
}

static void keep(struct tbed *b, const struct net_out *out)
{
	struct tpkt *p = malloc(sizeof(*p) + out->hdr_len + out->len);
	uint32_t at = out->hdr_len;

	ck_assert_ptr_nonnull(p);
	*p = (struct tpkt){ .len = at + out->len, .out_flags = out->flags, .out_mss = out->mss };
	memcpy(p->data, out->hdr, at);
	for (uint32_t i = 0; i < out->n_segs; i++) {
		ck_assert_uint_gt(out->segs[i].len, 0);
		memcpy(p->data + at, out->segs[i].data, out->segs[i].len);
		at += out->segs[i].len;
		mem_put(out->segs[i].mem);
	}
	ck_assert_uint_eq(at, p->len);
	check_sums(b, p);
	if (b->sent)
		b->sent_last->next = p;
	else
		b->sent = p;
	b->sent_last = p;
}

static uint32_t dev_transmit(struct net_dev *dev, struct net_out *const *outs, uint32_t n)
{
	struct tbed *b = container_of(dev, struct tbed, dev);
	uint32_t took = n < b->take ? n : b->take;

	for (uint32_t i = 0; i < took; i++)
		keep(b, outs[i]);
	if (b->take != UINT32_MAX)
		b->take -= took;
	return took;
}

static const struct net_dev_ops dev_ops = {
	.transmit = dev_transmit,
	.alloc = dev_alloc,
	.get = mem_get,
	.put = mem_put,
};

/* ---- life */

struct tbed *tbed_new_host(const char *config, uint8_t host, uint64_t seed, uint32_t caps)
{
	struct tbed *b = calloc(1, sizeof(*b));
	char why[NET_WHY] = "";
	struct net_ip ip;

	ck_assert_ptr_nonnull(b);
	b->dev.ops = &dev_ops;
	b->dev.mtu = 1500;
	b->dev.caps = caps;
	b->dev.tso_max = 65000;
	b->take = b->allocs = UINT32_MAX;
	b->now = SECOND;
	b->host = host;
	b->wnd = 65535;
	ck_assert_msg(!net_stack_new(config, seed, NULL, &b->dev, b->count, b->now, why,
				     &b->stack), "%s", why);
	ip = tbed_addr(host, 0).ip;
	ck_assert_int_eq(net_local_add(b->stack, &ip, 24, false), 0);
	b->stack->tcp.iss = &isses[tbed_wrap];
	return b;
}

struct tbed *tbed_new(const char *config)
{
	return tbed_new_host(config, 1, 1, 0);
}

void tbed_free(struct tbed *b)
{
	net_stack_free(b->stack);
	tbed_forget(b);
	free(b);
	ck_assert_uint_eq(refs, 0);
}

/* ---- by hand: made */

static uint32_t write_opts(uint8_t *p, const struct tseg *seg)
{
	uint8_t *from = p;

	if (seg->has_mss) {
		memcpy(p, (uint8_t[]){ 2, 4, (uint8_t)(seg->mss >> 8), (uint8_t)seg->mss }, 4);
		p += 4;
	}
	if (seg->has_ts) {
		uint32_t v[2] = { __builtin_bswap32(seg->tsval), __builtin_bswap32(seg->tsecr) };

		memcpy(p, (uint8_t[]){ 1, 1, 8, 10 }, 4);
		memcpy(p + 4, v, 8);
		p += 12;
	}
	if (seg->has_wscale) {
		memcpy(p, (uint8_t[]){ 1, 3, 3, seg->wscale }, 4);
		p += 4;
	}
	return (uint32_t)(p - from);
}

static void finish(const struct tbed *b, const struct tseg *seg, struct net_mem *mem)
{
	struct net_ip_hdr *ip = (struct net_ip_hdr *)mem->data;
	struct net_tcp_hdr *tcp = (struct net_tcp_hdr *)(mem->data + NET_IP_LEN);
	struct net_addr from = tbed_addr((uint8_t)(3 - b->host), 0), to = tbed_addr(b->host, 0);
	uint32_t len = mem->len - NET_IP_LEN;

	*ip = (struct net_ip_hdr){
		.ver_ihl = 0x45, .len = __builtin_bswap16((uint16_t)mem->len), .ttl = 64,
		.proto = NET_IPPROTO_TCP,
		.src = net_ip_v4(&from.ip), .dst = net_ip_v4(&to.ip),
	};
	ip->csum = net_csum_ip20(ip);
	tcp->csum = 0;
	tcp->csum = net_csum_finish(net_csum_add(net_csum_pseudo(ip->src, ip->dst, 6,
				(uint16_t)len), tcp, len));
	tcp->csum ^= seg->bad_csum;
}

static struct net_mem *make(const struct tbed *b, const struct tseg *seg)
{
	uint8_t opts[40];
	uint32_t opts_len = write_opts(opts, seg), at = NET_IP_LEN + NET_TCP_LEN + opts_len;
	struct net_mem *mem = mem_new(at + seg->len);
	struct net_tcp_hdr *tcp = (struct net_tcp_hdr *)(mem->data + NET_IP_LEN);
	uint16_t wnd = seg->wnd || seg->wnd_0 ? seg->wnd : b->wnd;

	*tcp = (struct net_tcp_hdr){
		.sport = __builtin_bswap16(seg->sport ? seg->sport : PEERS),
		.dport = __builtin_bswap16(seg->dport ? seg->dport : MINE),
		.seq = __builtin_bswap32(seg->seq),
		.ack = __builtin_bswap32(seg->ack),
		.off = (uint8_t)((NET_TCP_LEN + opts_len) << 2),
		.flags = seg->flags,
		.wnd = __builtin_bswap16(wnd),
	};
	memcpy(tcp + 1, opts, opts_len);
	for (uint32_t i = 0; i < seg->len; i++)
		mem->data[at + i] = tbed_byte(seg->at + i);
	finish(b, seg, mem);
	return mem;
}

void tbed_in_only(struct tbed *b, const struct tseg *seg)
{
	struct net_mem *mem = make(b, seg);
	struct net_pkt pkt = {
		.seg = { .mem = mem, .data = mem->data, .len = mem->len,
			 .pinned = seg->pinned ? seg->pinned : PINNED },
	};

	net_input(b->stack, b->now, &pkt, 1);
}

void tbed_flush(struct tbed *b)
{
	net_poll(b->stack, b->now);
	net_flush(b->stack);
}

void tbed_in(struct tbed *b, const struct tseg *seg)
{
	tbed_in_only(b, seg);
	tbed_flush(b);
}

void tbed_pass(struct tbed *b, uint64_t ns)
{
	uint64_t end = b->now + ns;

	for (;;) {
		uint64_t next;

		tbed_flush(b);
		next = wheel_deadline(&b->stack->wheel); /* whatever events are not taken */
		if (next > end)
			break;
		b->now = next > b->now ? next : b->now + 1000;
	}
	b->now = end;
	tbed_flush(b);
}

void tbed_pass_until_sent(struct tbed *b, uint64_t ns)
{
	for (uint64_t end = b->now + ns; !b->sent && b->now < end;)
		tbed_pass(b, MS / 10);
}

/* ---- by hand: taken apart */

static void read_opts(struct tseg *seg, const uint8_t *p, uint32_t len)
{
	seg->opts_len = len;
	memcpy(seg->opts, p, len);
	for (uint32_t i = 0; i < len;) {
		uint32_t v[2];

		if (p[i] == 1) {
			i++;
			continue;
		}
		ck_assert_uint_ge(p[i], 2);
		if (p[i] == 2) {
			seg->has_mss = true;
			seg->mss = (uint16_t)(p[i + 2] << 8 | p[i + 3]);
		} else if (p[i] == 3) {
			seg->has_wscale = true;
			seg->wscale = p[i + 2];
		} else if (p[i] == 4) {
			seg->has_sack_ok = true;
		} else if (p[i] == 8) {
			memcpy(v, p + i + 2, 8);
			seg->has_ts = true;
			seg->tsval = __builtin_bswap32(v[0]);
			seg->tsecr = __builtin_bswap32(v[1]);
		}
		i += p[i + 1];
	}
}

bool tbed_sent(struct tbed *b, struct tseg *seg)
{
	static struct tpkt *last;
	const struct net_tcp_hdr *tcp;
	uint32_t hdr_len;

	memset(seg, 0, sizeof(*seg));
	if (!b->sent)
		return false;
	free(last);
	last = b->sent;
	b->sent = last->next;
	tcp = (const struct net_tcp_hdr *)(last->data + NET_IP_LEN);
	hdr_len = (tcp->off >> 4) * 4u;
	seg->seq = __builtin_bswap32(tcp->seq);
	seg->ack = __builtin_bswap32(tcp->ack);
	seg->flags = tcp->flags;
	seg->wnd = __builtin_bswap16(tcp->wnd);
	seg->sport = __builtin_bswap16(tcp->sport);
	seg->dport = __builtin_bswap16(tcp->dport);
	seg->len = last->len - NET_IP_LEN - hdr_len;
	seg->data = last->data + NET_IP_LEN + hdr_len;
	seg->out_flags = last->out_flags;
	seg->out_mss = last->out_mss;
	read_opts(seg, (const uint8_t *)(tcp + 1), hdr_len - NET_TCP_LEN);
	return true;
}

struct tseg tbed_expect(struct tbed *b, uint8_t flags)
{
	struct tseg seg;

	ck_assert_msg(tbed_sent(b, &seg), "nothing was sent; flags 0x%x expected", flags);
	ck_assert_msg((seg.flags & ~PSH) == (flags & ~PSH),
		      "flags 0x%x, not 0x%x; len %u", seg.flags, flags, seg.len);
	return seg;
}

void tbed_expect_nothing(struct tbed *b)
{
	struct tseg seg;

	if (tbed_sent(b, &seg))
		ck_abort_msg("flags 0x%x seq %u ack %u len %u was sent", seg.flags,
			     seg.seq - b->iss, seg.ack - b->irs, seg.len);
}

void tbed_forget(struct tbed *b)
{
	struct tseg seg;

	while (tbed_sent(b, &seg))
		;
}

/* ---- sockets */

uint32_t tbed_events(struct tbed *b, struct net_sock *s)
{
	uint32_t events = 0, all = 0;
	struct net_sock *ready;

	while ((ready = net_next_ready(b->stack, &events)))
		if (ready == s)
			all |= events;
	return all;
}

int tbed_send(struct tbed *b, uint32_t at, uint32_t len)
{
	struct net_seg seg = tbed_seg(at, len);
	int err = net_send(b->s, &seg, 1, NULL);

	if (err)
		tbed_put(&seg);
	net_flush(b->stack);
	return err;
}

uint32_t tbed_read(struct tbed *b, struct net_sock *s, uint32_t at, int *err_out)
{
	struct net_seg seg;
	uint32_t n = 0;

	(void)b;
	while (!(*err_out = net_recv(s, &seg, NULL)) && seg.len) {
		for (uint32_t i = 0; i < seg.len; i++)
			ck_assert_uint_eq(seg.data[i], tbed_byte(at + n + i));
		n += seg.len;
		tbed_put(&seg);
	}
	return n;
}

/* ---- a connection by hand */

void tbed_rel(struct tbed *b, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	struct tseg seg = {
		.flags = flags, .seq = b->irs + seq, .len = len, .at = seq - 1,
		.wnd = b->wnd, .wnd_0 = true,
		.has_ts = b->ts, .tsval = ++b->tsval,
	};
	if (flags & ACK)
		seg.ack = b->iss + ack;
	seg.tsecr = b->stack->tcp.ts;
	if (b->s)
		seg.tsecr += container_of(b->s, struct tcp_conn, s)->ts_offset;
	tbed_in(b, &seg);
}

struct tseg tbed_expect_rel(struct tbed *b, uint8_t flags, uint32_t seq, uint32_t ack,
			    uint32_t len)
{
	struct tseg seg = tbed_expect(b, flags);

	ck_assert_msg(seg.seq - b->iss == seq && seg.ack - b->irs == ack && seg.len == len,
		      "seq %u ack %u len %u, not %u %u %u", seg.seq - b->iss, seg.ack - b->irs,
		      seg.len, seq, ack, len);
	if (!(flags & (SYN | RST)))
		ck_assert_uint_eq(seg.has_ts, b->ts);
	for (uint32_t i = 0; i < seg.len; i++)
		ck_assert_uint_eq(seg.data[i], tbed_byte(seq - 1 + i));
	return seg;
}

static struct tseg peer_syn(struct tbed *b, const struct tbed_opts *o)
{
	b->irs = irss[tbed_wrap];
	b->ts = !o->no_ts;
	b->tsval = 7000;
	b->wnd = o->wnd ? o->wnd : 65535;
	return (struct tseg){
		.seq = b->irs, .wnd = b->wnd,
		.has_mss = true, .mss = o->mss ? o->mss : 1460,
		.has_ts = !o->no_ts, .tsval = b->tsval,
		.has_wscale = !o->no_wscale, .wscale = o->wscale,
	};
}

struct tbed *tbed_connected(const char *config, const struct tbed_opts *o)
{
	struct net_addr mine = tbed_addr(1, MINE), peer = tbed_addr(2, PEERS);
	struct tbed *b = tbed_new(config);
	struct tbed_opts none = { .no_ts = false };
	struct tseg syn, answer;

	o = o ? o : &none;
	ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &b->s), 0);
	ck_assert_int_eq(net_bind(b->s, &mine), 0);
	ck_assert_int_eq(net_connect(b->s, &peer), 0);
	net_flush(b->stack);
	syn = tbed_expect(b, SYN);
	b->iss = syn.seq;
	answer = peer_syn(b, o);
	answer.flags = SYN | ACK;
	answer.ack = b->iss + 1;
	answer.tsecr = syn.tsval;
	tbed_in(b, &answer);
	tbed_expect_rel(b, ACK, 1, 1, 0);
	ck_assert_uint_eq(tbed_events(b, b->s) & NET_CONNECTED, NET_CONNECTED);
	return b;
}

struct tbed *tbed_accepted(const char *config, const struct tbed_opts *o)
{
	struct net_addr mine = tbed_addr(1, MINE), peer;
	struct tbed *b = tbed_new(config);
	struct tbed_opts none = { .no_ts = false };
	struct tseg syn;

	o = o ? o : &none;
	ck_assert_int_eq(net_socket(b->stack, NET_TCP, NULL, &b->listener), 0);
	ck_assert_int_eq(net_bind(b->listener, &mine), 0);
	ck_assert_int_eq(net_listen(b->listener, 5), 0);
	syn = peer_syn(b, o);
	syn.flags = SYN;
	tbed_in(b, &syn);
	b->iss = tbed_expect(b, SYN | ACK).seq;
	tbed_rel(b, ACK, 1, 1, 0);
	ck_assert_uint_eq(tbed_events(b, b->listener), NET_READABLE);
	ck_assert_int_eq(net_accept(b->listener, b, &b->s, &peer), 0);
	tbed_expect_nothing(b);
	return b;
}

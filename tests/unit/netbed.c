#include "config.h"

#include "tests/unit/netbed.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

struct net_mem {
	uint32_t refs;
	uint32_t len;
	uint16_t sum;		/* of frozen bytes */
	bool frozen;
	uint8_t data[];
};

#define UNSET 0x5a5a5a5au	/* len of new memory is for its user to say */

static uint32_t mems_out;
unsigned bed_device;

/* ---- memory */

static struct net_mem *mem_new(uint32_t len)
{
	struct net_mem *mem = malloc(sizeof(*mem) + len);

	ck_assert_ptr_nonnull(mem);
	mem->refs = 1;
	mem->len = len;
	mem->frozen = false;
	mems_out++;
	return mem;
}

static void mem_get(struct net_mem *mem)
{
	bed_device++;
	ck_assert_uint_gt(mem->refs, 0);
	mem->refs++;
	bed_device--;
}

static void mem_put(struct net_mem *mem)
{
	bed_device++;
	ck_assert_uint_gt(mem->refs, 0);
	if (!--mem->refs) {
		if (mem->frozen)
			ck_assert_uint_eq(bed_sum(mem->data, mem->len, 0), mem->sum);
		mems_out--;
		memset(mem->data, 0xee, mem->len); /* whoever reads it now */
		free(mem);
	}
	bed_device--;
}

uint32_t bed_refs(void)
{
	return mems_out;
}

struct net_seg bed_seg(uint32_t len, uint8_t first)
{
	struct net_mem *mem = mem_new(len);

	for (uint32_t i = 0; i < len; i++)
		mem->data[i] = (uint8_t)(first + i);
	mem->sum = bed_sum(mem->data, len, 0);
	mem->frozen = true;
	return (struct net_seg){ .mem = mem, .data = mem->data, .len = len };
}

void bed_put(struct net_seg *seg)
{
	mem_put(seg->mem);
}

bool bed_is_pattern(const uint8_t *data, uint32_t len, uint8_t first)
{
	for (uint32_t i = 0; i < len; i++)
		if (data[i] != (uint8_t)(first + i))
			return false;
	return true;
}

/* ---- the device */

static struct bed *bed_of(struct net_dev *dev)
{
	return container_of(dev, struct bed, dev);
}

static struct net_mem *dev_alloc(struct net_dev *dev, uint32_t size, struct net_seg *seg_out)
{
	struct bed *bed = bed_of(dev);
	struct net_mem *mem;

	if (!bed->allocs)
		return NULL;
	bed->allocs--;
	bed_device++;
	ck_assert_uint_gt(size, 0);
	ck_assert_uint_le(size, 65536);
	mem = mem_new(size);
	bed_device--;
	*seg_out = (struct net_seg){
		.mem = mem, .data = mem->data, .len = UNSET, .pinned = size,
	};
	return mem;
}

/* What a device does that sums up by itself; the field holds the pseudo header's. */
static void checksum_fill(struct frame *f, uint32_t at, uint32_t field)
{
	uint16_t sum = (uint16_t)~bed_sum(f->data + at, f->len - at, 0);

	if (!sum)
		sum = 0xffff;
	memcpy(f->data + at + field, &sum, 2);
}

static void ip_check(const struct bed *bed, struct frame *f, const struct net_out *out)
{
	struct net_ip_hdr *ip = frame_ip(f);
	uint32_t l3 = out->l2_len, l4 = l3 + NET_IP_LEN;

	ck_assert_uint_eq(out->l3_len, NET_IP_LEN);
	ck_assert_uint_eq(ip->ver_ihl, 0x45);
	ck_assert_uint_eq(ntohs(ip->len), f->len - l3);
	ck_assert_uint_gt(ip->ttl, 0);
	if (out->flags & NET_OUT_IP_CSUM) {
		ck_assert(bed->dev.caps & NET_DEV_IP_CSUM);
		ck_assert_uint_eq(ip->csum, 0);
		ip->csum = (uint16_t)~bed_sum(ip, NET_IP_LEN, 0);
	}
	ck_assert_uint_eq(bed_sum(ip, NET_IP_LEN, 0), 0xffff);
	if (!(out->flags & NET_OUT_TSO))
		ck_assert_uint_le(f->len - l3, bed->dev.mtu);
	if (out->flags & NET_OUT_TCP_CSUM && !(out->flags & NET_OUT_TSO)) {
		ck_assert(bed->dev.caps & NET_DEV_TCP_CSUM);
		checksum_fill(f, l4, offsetof(struct net_tcp_hdr, csum));
	}
	if (out->flags & NET_OUT_UDP_CSUM) {
		ck_assert(bed->dev.caps & NET_DEV_UDP_CSUM);
		checksum_fill(f, l4, offsetof(struct net_udp_hdr, csum));
	}
}

/* Of a datagram in one piece: its own checksum too. */
static void l4_check(const struct frame *f)
{
	const struct net_ip_hdr *ip = frame_ip(f);
	uint32_t len = frame_l4_len(f), sum;

	if (ip->frag & htons(NET_IP_MF | NET_IP_OFFSET) || f->flags & NET_OUT_TSO)
		return;
	sum = bed_sum(&ip->src, 8, htons(ip->proto));
	sum += htons((uint16_t)len);
	if (ip->proto == NET_IPPROTO_ICMP)
		sum = 0;
	ck_assert_uint_eq(bed_sum(frame_l4(f), len, sum), 0xffff);
}

static void out_check(const struct bed *bed, struct frame *f, const struct net_out *out)
{
	uint32_t len = 0;

	ck_assert(out->hdr >= out->room);
	ck_assert(out->hdr + out->hdr_len <= out->room + NET_HDR_ROOM);
	ck_assert_uint_le(out->n_segs, NET_OUT_SEGS);
	for (uint32_t i = 0; i < out->n_segs; i++) {
		ck_assert_uint_gt(out->segs[i].len, 0);
		len += out->segs[i].len;
	}
	ck_assert_uint_eq(len, out->len);
	ck_assert_uint_eq(out->l2_len, bed->dev.ethernet ? NET_ETH_LEN : 0);
	if (bed->dev.ethernet)
		ck_assert(!memcmp(frame_eth(f)->src, bed->dev.mac, 6));
	if (bed->dev.ethernet && frame_eth(f)->type != htons(NET_ETHERTYPE_IPV4))
		return;
	ip_check(bed, f, out);
	l4_check(f);
}

static void frame_copy(struct frame *f, const struct net_out *out)
{
	uint32_t at = out->hdr_len;

	*f = (struct frame){ .len = at + out->len, .flags = out->flags, .mss = out->mss };
	f->data = malloc(f->len);
	ck_assert_ptr_nonnull(f->data);
	memcpy(f->data, out->hdr, at);
	for (uint32_t i = 0; i < out->n_segs; i++) {
		memcpy(f->data + at, out->segs[i].data, out->segs[i].len);
		at += out->segs[i].len;
	}
}

static uint32_t dev_transmit(struct net_dev *dev, struct net_out *const *outs, uint32_t n)
{
	struct bed *bed = bed_of(dev);
	uint32_t took = n < bed->take ? n : bed->take;

	bed_device++;
	for (uint32_t i = 0; i < took; i++) {
		struct frame *f = &bed->sent[bed->n_sent++];

		ck_assert_uint_le(bed->n_sent, BED_FRAMES);
		frame_copy(f, outs[i]);
		out_check(bed, f, outs[i]);
		for (uint32_t k = 0; k < outs[i]->n_segs; k++)
			mem_put(outs[i]->segs[k].mem);
		memset(outs[i]->segs, 0xee, sizeof(outs[i]->segs));
	}
	bed_device--;
	return took;
}

static const struct net_dev_ops dev_ops = {
	.transmit = dev_transmit,
	.alloc = dev_alloc,
	.get = mem_get,
	.put = mem_put,
};

/* ---- life */

struct bed *bed_prepare(void)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	ck_assert_ptr_nonnull(bed);
	bed->dev.ops = &dev_ops;
	memcpy(bed->dev.mac, bed_mac(1), 6);
	bed->dev.ethernet = true;
	bed->dev.mtu = 1500;
	bed->take = bed->allocs = UINT32_MAX;
	bed->now = BED_SECOND;
	return bed;
}

void bed_start(struct bed *bed, const char *config, uint64_t seed)
{
	struct net_ip ip = bed_ip("10.0.0.1");
	char why[NET_WHY] = "";

	ck_assert_msg(!net_stack_new(config, seed, NULL, &bed->dev, bed->count, bed->now, why,
				     &bed->stack), "%s", why);
	ck_assert_int_eq(net_local_add(bed->stack, &ip, 24, false), 0);
}

struct bed *bed_open(const char *config)
{
	struct bed *bed = bed_prepare();

	bed_start(bed, config, 1);
	return bed;
}

void bed_close(struct bed *bed)
{
	net_stack_free(bed->stack);
	ck_assert_uint_eq(bed_refs(), 0);
	bed_forget(bed);
	free(bed);
}

/* ---- addresses */

uint32_t bed_v4(const char *text)
{
	struct in_addr addr;

	ck_assert_int_eq(inet_pton(AF_INET, text, &addr), 1);
	return addr.s_addr;
}

struct net_ip bed_ip(const char *text)
{
	return net_ip4(bed_v4(text));
}

struct net_addr bed_addr(const char *text, uint16_t port)
{
	return (struct net_addr){ bed_ip(text), htons(port) };
}

const uint8_t *bed_mac(uint8_t n)
{
	static uint8_t macs[4][6];
	static unsigned at;
	uint8_t *mac = macs[at++ % 4];

	if (n == 0xff)
		memset(mac, 0xff, 6);
	else
		memcpy(mac, (uint8_t[]){ n ? 2 : 0, 0, 0, 0, 0, n }, 6);
	return mac;
}

/* ---- time and packets */

void bed_run(struct bed *bed)
{
	net_poll(bed->stack, bed->now);
	net_flush(bed->stack);
}

void bed_pass(struct bed *bed, uint64_t ns)
{
	uint64_t end = bed->now + ns, deadline;

	for (;;) {
		deadline = net_poll(bed->stack, bed->now);
		net_flush(bed->stack);
		if (deadline > end || bed->now >= end)
			break;
		/* now: for sockets are ready, whom the test may leave so */
		bed->now = deadline > bed->now ? deadline : bed->now + BED_MS;
	}
	bed->now = end;
	bed_run(bed);
}

static void give(struct bed *bed, const struct frame *f, uint32_t pinned, uint32_t flags)
{
	struct net_mem *mem = mem_new(f->len);
	struct net_pkt pkt = {
		.seg = { .mem = mem, .data = mem->data, .len = f->len,
			 .pinned = pinned ? pinned : f->len },
		.flags = flags,
	};

	memcpy(mem->data, f->data, f->len);
	net_input(bed->stack, bed->now, &pkt, 1);
}

void bed_input_pinned(struct bed *bed, const struct frame *f, uint32_t pinned, uint32_t flags)
{
	give(bed, f, pinned, flags);
	bed_run(bed);
}

void bed_input(struct bed *bed, const struct frame *f)
{
	bed_input_pinned(bed, f, 0, 0);
}

/* All that `from` has sent. */
static bool carry(struct bed *from, struct bed *to)
{
	struct frame frames[BED_FRAMES];
	uint32_t n = from->n_sent;

	memcpy(frames, from->sent, sizeof(frames));
	memset(from->sent, 0, sizeof(from->sent));
	from->n_sent = 0;
	for (uint32_t i = 0; i < n; i++) {
		give(to, &frames[i], 0, 0);
		free(frames[i].data);
	}
	bed_run(to);
	return n > 0;
}

void bed_talk(struct bed *a, struct bed *b)
{
	bool busy;

	bed_run(a);
	bed_run(b);
	do {
		busy = carry(a, b);
		busy |= carry(b, a);
	} while (busy);
}

const struct frame *bed_sent(struct bed *bed)
{
	static struct frame f;

	if (!bed->n_sent)
		return NULL;
	free(f.data);
	f = bed->sent[0];
	bed->n_sent--;
	memmove(bed->sent, bed->sent + 1, (BED_FRAMES - 1) * sizeof(f));
	bed->sent[BED_FRAMES - 1].data = NULL;
	return &f;
}

void bed_forget(struct bed *bed)
{
	while (bed_sent(bed))
		;
}

/* ---- frames by hand */

static struct frame made;
static uint8_t made_data[NET_ETH_LEN + 65535];

static uint8_t *begin(uint16_t type, uint32_t len)
{
	struct net_eth_hdr *eth = (struct net_eth_hdr *)made_data;

	memcpy(eth->dst, bed_mac(1), 6);
	memcpy(eth->src, bed_mac(2), 6);
	eth->type = htons(type);
	made = (struct frame){ .data = made_data, .len = NET_ETH_LEN + len };
	return made_data + NET_ETH_LEN;
}

struct frame *bed_arp(uint16_t op, uint8_t sha, const char *spa, uint8_t tha, const char *tpa)
{
	struct net_arp_hdr *arp = (struct net_arp_hdr *)begin(NET_ETHERTYPE_ARP, NET_ARP_LEN);

	*arp = (struct net_arp_hdr){
		.hrd = htons(1), .pro = htons(NET_ETHERTYPE_IPV4), .hln = 6, .pln = 4,
		.op = htons(op), .spa = bed_v4(spa), .tpa = bed_v4(tpa),
	};
	memcpy(arp->sha, bed_mac(sha), 6);
	memcpy(arp->tha, bed_mac(tha), 6);
	memcpy(made_data + 6, bed_mac(sha), 6);
	return &made;
}

struct frame *bed_ip_packet(uint8_t proto, const char *src, const char *dst,
			    const void *payload, uint32_t len)
{
	uint8_t *data = begin(NET_ETHERTYPE_IPV4, NET_IP_LEN + len);
	struct net_ip_hdr *ip = (struct net_ip_hdr *)data;

	ck_assert_uint_le(NET_IP_LEN + len, 65535);
	*ip = (struct net_ip_hdr){
		.ver_ihl = 0x45, .len = htons((uint16_t)(NET_IP_LEN + len)), .id = htons(7),
		.ttl = 64, .proto = proto, .src = bed_v4(src), .dst = bed_v4(dst),
	};
	for (uint32_t i = 0; i < len; i++)
		data[NET_IP_LEN + i] = payload ? ((const uint8_t *)payload)[i] : (uint8_t)i;
	bed_fix(&made);
	return &made;
}

struct frame *bed_udp(const char *src, uint16_t sport, const char *dst, uint16_t dport,
		      const void *payload, uint32_t len)
{
	static uint8_t data[65535];
	struct net_udp_hdr *udp = (struct net_udp_hdr *)data;
	uint32_t sum;

	*udp = (struct net_udp_hdr){
		.sport = htons(sport), .dport = htons(dport),
		.len = htons((uint16_t)(NET_UDP_LEN + len)),
	};
	for (uint32_t i = 0; i < len; i++)
		data[NET_UDP_LEN + i] = payload ? ((const uint8_t *)payload)[i] : (uint8_t)i;
	bed_ip_packet(NET_IPPROTO_UDP, src, dst, data, NET_UDP_LEN + len);
	sum = bed_sum(&frame_ip(&made)->src, 8, htons(NET_IPPROTO_UDP)) + udp->len;
	udp = (struct net_udp_hdr *)frame_l4(&made);
	udp->csum = (uint16_t)~bed_sum(udp, NET_UDP_LEN + len, sum);
	if (!udp->csum)
		udp->csum = 0xffff;
	return &made;
}

struct frame *bed_icmp(const char *src, const char *dst, uint8_t type, uint8_t code,
		       const void *rest, uint32_t len)
{
	struct net_icmp_hdr *icmp;

	bed_ip_packet(NET_IPPROTO_ICMP, src, dst, rest, len);
	icmp = (struct net_icmp_hdr *)frame_l4(&made);
	icmp->type = type;
	icmp->code = code;
	icmp->csum = 0;
	icmp->csum = (uint16_t)~bed_sum(icmp, len, 0);
	return &made;
}

void bed_fix(struct frame *f)
{
	struct net_ip_hdr *ip = frame_ip(f);

	ip->csum = 0;
	ip->csum = (uint16_t)~bed_sum(ip, (ip->ver_ihl & 0xfu) * 4, 0);
}

/* ---- frames taken apart */

struct net_eth_hdr *frame_eth(const struct frame *f)
{
	ck_assert_uint_ge(f->len, NET_ETH_LEN);
	return (struct net_eth_hdr *)f->data;
}

struct net_arp_hdr *frame_arp(const struct frame *f)
{
	ck_assert_uint_ge(f->len, NET_ETH_LEN + NET_ARP_LEN);
	ck_assert_uint_eq(frame_eth(f)->type, htons(NET_ETHERTYPE_ARP));
	return (struct net_arp_hdr *)(f->data + NET_ETH_LEN);
}

/* With Ethernet or without: in a bare packet from 10.0.x.x no 0800 is in that place. */
struct net_ip_hdr *frame_ip(const struct frame *f)
{
	if (frame_eth(f)->type != htons(NET_ETHERTYPE_IPV4)) {
		ck_assert_uint_eq(f->data[0], 0x45);
		return (struct net_ip_hdr *)f->data;
	}
	ck_assert_uint_ge(f->len, NET_ETH_LEN + NET_IP_LEN);
	return (struct net_ip_hdr *)(f->data + NET_ETH_LEN);
}

uint8_t *frame_l4(const struct frame *f)
{
	struct net_ip_hdr *ip = frame_ip(f);

	return (uint8_t *)ip + (ip->ver_ihl & 0xfu) * 4;
}

uint32_t frame_l4_len(const struct frame *f)
{
	return (uint32_t)(f->data + f->len - frame_l4(f));
}

uint16_t bed_sum(const void *data, uint32_t len, uint32_t sum)
{
	const uint8_t *p = data;
	uint64_t total = sum;

	for (uint32_t i = 0; i < len; i++)
		total += i & 1 ? (uint32_t)htons(p[i]) : (uint32_t)htons((uint16_t)(p[i] << 8));
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

/* ---- sockets */

struct net_sock *bed_udp_socket(struct bed *bed, const char *ip, uint16_t port)
{
	struct net_addr addr = bed_addr(ip, port);
	struct net_sock *s;

	ck_assert_int_eq(net_socket(bed->stack, NET_UDP, NULL, &s), 0);
	ck_assert_int_eq(net_bind(s, &addr), 0);
	return s;
}

void bed_learn(struct bed *bed, uint8_t n)
{
	char ip[16];

	snprintf(ip, sizeof(ip), "10.0.0.%u", n);
	bed_input(bed, bed_arp(NET_ARP_REQUEST, n, ip, 0, "10.0.0.1"));
	bed_forget(bed);
}

void bed_expect_datagram(struct net_sock *s, uint32_t len, uint8_t first)
{
	struct net_seg seg;

	ck_assert_int_eq(net_recv(s, &seg, NULL), 0);
	ck_assert_uint_eq(seg.len, len);
	ck_assert(bed_is_pattern(seg.data, len, first));
	bed_put(&seg);
}

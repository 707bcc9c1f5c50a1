#include "config.h"

#include "tests/sim/frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- checksums */

uint32_t csum_add(uint32_t sum, const uint8_t *data, uint32_t len)
{
	uint64_t wide = 0, word;
	uint32_t half;

	/* RFC 1071: in any byte order, in words of any size */
	for (; len >= 8; data += 8, len -= 8) {
		memcpy(&word, data, 8);
		wide += word;
		wide += wide < word;
	}
	if (len >= 4) {
		memcpy(&half, data, 4);
		wide += half;
		wide += wide < half;
		data += 4, len -= 4;
	}
	wide = (wide & 0xffffffff) + (wide >> 32);
	wide = (wide & 0xffffffff) + (wide >> 32);
	wide = (wide & 0xffff) + (wide >> 16);
	wide = (wide & 0xffff) + (wide >> 16);
	wide = (wide & 0xffff) + (wide >> 16);
	sum += (uint32_t)((wide & 0xff) << 8 | wide >> 8);
	for (; len >= 2; data += 2, len -= 2)
		sum += get16(data);
	if (len)
		sum += (uint32_t)data[0] << 8;
	return sum;
}

uint16_t csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint32_t csum_pseudo(const struct frame *f, uint32_t len)
{
	return (f->src >> 16) + (f->src & 0xffff) + (f->dst >> 16) + (f->dst & 0xffff) +
	       f->proto + len;
}

bool frame_ip_csum_good(const struct frame *f)
{
	return csum_fold(csum_add(0, f->ip, f->ihl)) == 0xffff;
}

static uint8_t *l4_csum_field(const struct frame *f)
{
	switch (f->proto) {
	case PROTO_ICMP:
		return f->l4 + 2;
	case PROTO_TCP:
		return f->l4 + 16;
	case PROTO_UDP:
		return f->l4 + 6;
	default:
		return NULL;
	}
}

static uint16_t l4_sum(const struct frame *f)
{
	uint32_t sum = f->proto == PROTO_ICMP ? 0 : csum_pseudo(f, f->l4_len);

	return csum_fold(csum_add(sum, f->l4, f->l4_len));
}

bool frame_l4_csum_good(const struct frame *f)
{
	const uint8_t *field = f->whole ? l4_csum_field(f) : NULL;

	if (!field || (f->proto == PROTO_UDP && !get16(field)))
		return true;
	return l4_sum(f) == 0xffff;
}

void frame_fix_ip(struct frame *f)
{
	put16(f->ip + 10, 0);
	put16(f->ip + 10, (uint16_t)~csum_fold(csum_add(0, f->ip, f->ihl)));
}

void frame_fix(struct frame *f)
{
	uint8_t *field = f->whole ? l4_csum_field(f) : NULL;

	frame_fix_ip(f);
	if (!field || (f->proto == PROTO_UDP && !get16(field)))
		return;
	put16(field, 0);
	put16(field, (uint16_t)~l4_sum(f));
	if (f->proto == PROTO_UDP && !get16(field))
		put16(field, 0xffff);
}

/* ---- parsing */

static bool parse_tcp(struct frame *f)
{
	if (f->l4_len < TCP_LEN)
		return false;
	f->doff = (uint8_t)(f->l4[12] >> 4) * 4;
	if (f->doff < TCP_LEN || f->doff > f->l4_len)
		return false;
	f->seq = get32(f->l4 + 4);
	f->ack = get32(f->l4 + 8);
	f->flags = f->l4[13] & 0x3f;
	f->wnd = get16(f->l4 + 14);
	f->payload = f->l4 + f->doff;
	f->payload_len = (uint16_t)(f->l4_len - f->doff);
	return true;
}

static bool parse_l4(struct frame *f)
{
	if (f->proto == PROTO_TCP || f->proto == PROTO_UDP) {
		if (f->l4_len < 4)
			return false;
		f->sport = get16(f->l4);
		f->dport = get16(f->l4 + 2);
	}
	if (f->proto == PROTO_TCP)
		return parse_tcp(f);
	if (f->l4_len < 8)
		return false;
	f->payload = f->l4 + 8;
	f->payload_len = (uint16_t)(f->l4_len - 8);
	return f->proto != PROTO_UDP || get16(f->l4 + 4) == f->l4_len;
}

bool frame_parse(struct frame *f, uint8_t *data, uint32_t len, bool ethernet)
{
	memset(f, 0, sizeof(*f));
	f->type = 0x0800;
	if (ethernet) {
		if (len < ETH_LEN)
			return false;
		f->eth = data;
		f->type = get16(data + 12);
		data += ETH_LEN;
		len -= ETH_LEN;
	}
	if (f->type != 0x0800 || len < IP_LEN || data[0] >> 4 != 4)
		return false;
	f->ip = data;
	f->ihl = (data[0] & 0xf) * 4;
	f->ip_len = get16(data + 2);
	if (f->ihl < IP_LEN || f->ip_len < f->ihl || f->ip_len > len)
		return false;
	f->frag_offset = (uint16_t)((get16(data + 6) & 0x1fff) * 8);
	f->more = data[6] & 0x20;
	f->ttl = data[8];
	f->proto = data[9];
	f->src = get32(data + 12);
	f->dst = get32(data + 16);
	f->l4 = data + f->ihl;
	f->l4_len = f->ip_len - f->ihl;
	f->whole = !f->frag_offset && !f->more && parse_l4(f);
	return true;
}

uint8_t *frame_tcp_opt(const struct frame *f, uint8_t kind)
{
	uint8_t *at = f->l4 + TCP_LEN, *end = f->l4 + f->doff;

	while (at < end && *at != 0) {
		if (*at == 1) {
			at++;
			continue;
		}
		if (at + 1 >= end || at[1] < 2 || at + at[1] > end)
			return NULL;
		if (*at == kind)
			return at;
		at += at[1];
	}
	return NULL;
}

/* ---- for people */

struct text {
	char *at;
	size_t left;
};

__attribute__((__format__(__printf__, 2, 3)))
static void add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->at, t->left, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= t->left)
		n = (int)t->left - 1;
	t->at += n;
	t->left -= (size_t)n;
}

static void add_ip(struct text *t, uint32_t ip)
{
	add(t, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

static void add_arp(struct text *t, const uint8_t *arp, uint32_t len)
{
	if (len < 28) {
		add(t, "ARP, short");
		return;
	}
	add(t, "ARP op %u, ", get16(arp + 6));
	add_ip(t, get32(arp + 14));
	add(t, " at %02x:%02x, for ", arp[12], arp[13]);
	add_ip(t, get32(arp + 24));
}

static void add_tcp_opts(struct text *t, const struct frame *f)
{
	const uint8_t *opt;

	opt = frame_tcp_opt(f, 2);
	if (opt)
		add(t, " mss %u", get16(opt + 2));
	opt = frame_tcp_opt(f, 3);
	if (opt)
		add(t, " wscale %u", opt[2]);
	opt = frame_tcp_opt(f, 8);
	if (opt)
		add(t, " ts %u/%u", get32(opt + 2), get32(opt + 6));
}

static void add_tcp(struct text *t, const struct frame *f)
{
	static const char letters[] = "FSRPAU";

	add(t, " ");
	for (int i = 0; i < 6; i++)
		if (f->flags & 1 << i)
			add(t, "%c", letters[i]);
	add(t, " seq %u", f->seq);
	if (f->payload_len)
		add(t, "+%u", f->payload_len);
	if (f->flags & TCP_ACK)
		add(t, " ack %u", f->ack);
	add(t, " win %u", f->wnd);
	add_tcp_opts(t, f);
}

static void add_ip_packet(struct text *t, const struct frame *f)
{
	add_ip(t, f->src);
	if (f->sport)
		add(t, ":%u", f->sport);
	add(t, " > ");
	add_ip(t, f->dst);
	if (f->dport)
		add(t, ":%u", f->dport);
	if (f->frag_offset || f->more)
		add(t, " proto %u id %u frag %u+%u%s", f->proto, get16(f->ip + 4), f->frag_offset,
		    f->l4_len, f->more ? "..." : "");
	else if (!f->whole)
		add(t, " proto %u len %u", f->proto, f->l4_len);
	else if (f->proto == PROTO_TCP)
		add_tcp(t, f);
	else if (f->proto == PROTO_ICMP)
		add(t, " ICMP type %u code %u len %u", f->l4[0], f->l4[1], f->l4_len);
	else
		add(t, " proto %u +%u", f->proto, f->payload_len);
}

void frame_print(char *line, size_t size, const uint8_t *data, uint32_t len, uint32_t full_len,
		 bool ethernet)
{
	struct text t = { line, size };
	uint8_t copy[192] = { 0 };
	struct frame f;

	/* the beginning is what we have; lengths say how long it was */
	if (len > sizeof(copy))
		len = sizeof(copy);
	memcpy(copy, data, len);
	line[0] = '\0';
	if (frame_parse(&f, copy, full_len, ethernet))
		add_ip_packet(&t, &f);
	else if (ethernet && f.type == 0x0806)
		add_arp(&t, copy + ETH_LEN, len - ETH_LEN);
	else
		add(&t, "type %04x, %u bytes", f.type, full_len);
}

#include "config.h"

#include "tests/sim/wire.h"

#include <string.h>

#include "tests/sim/frame.h"
#include "tests/sim/host.h"
#include "tests/sim/intruder.h"
#include "tests/sim/mem.h"
#include "tests/sim/world.h"

#define ARP_LEN 28u

uint32_t wire_ip(uint32_t segment, uint32_t nr)
{
	return UINT32_C(0x0a000000) + (segment << 8) + nr + 1;
}

uint32_t wire_router_ip(uint32_t segment)
{
	return UINT32_C(0x0a0000fe) + (segment << 8);
}

void wire_host_mac(uint8_t mac[6], uint32_t nr)
{
	memcpy(mac, (uint8_t[6]){ 2, 0, 0, 0, 0, (uint8_t)(nr + 1) }, 6);
}

void wire_router_mac(uint8_t mac[6], uint32_t segment)
{
	memcpy(mac, (uint8_t[6]){ 2, 0xee, 0, 0, 0, (uint8_t)segment }, 6);
}

/* ---- the switch */

static struct net_mem *copy_of(const struct net_mem *frame)
{
	struct net_mem *copy = mem_new(frame->world, NULL, MEM_FRAME, frame->len);

	memcpy(copy->data, frame->data, frame->len);
	copy->spoilt = frame->spoilt;
	return copy;
}

static void arp_answer(struct world *w, uint32_t segment, const uint8_t *arp)
{
	struct net_mem *m = mem_new(w, NULL, MEM_FRAME, ETH_LEN + ARP_LEN);
	uint8_t mac[6], *reply = m->data + ETH_LEN;

	wire_router_mac(mac, segment);
	memcpy(m->data, arp + 8, 6);
	memcpy(m->data + 6, mac, 6);
	put16(m->data + 12, 0x0806);
	memcpy(reply, arp, ARP_LEN);
	put16(reply + 6, 2);
	memcpy(reply + 8, mac, 6);
	memcpy(reply + 14, arp + 24, 4);
	memcpy(reply + 18, arp + 8, 10);
	wire_from_segment(w, segment, m);
}

static void router_input(struct world *w, uint32_t segment, struct net_mem *frame)
{
	const uint8_t *arp = frame->data + ETH_LEN;
	uint16_t type = get16(frame->data + 12);
	struct net_mem *packet;

	if (type == 0x0806 && frame->len >= ETH_LEN + ARP_LEN && get16(arp + 6) == 1 &&
	    get32(arp + 24) == wire_router_ip(segment))
		arp_answer(w, segment, arp);
	if (type != 0x0800 || frame->data[0] & 1) {
		mem_put(frame);
		return;
	}
	packet = mem_new(w, NULL, MEM_FRAME, frame->len - ETH_LEN);
	memcpy(packet->data, arp, packet->len);
	packet->spoilt = frame->spoilt;
	mem_put(frame);
	wire_route(w, packet);
}

void wire_from_segment(struct world *w, uint32_t segment, struct net_mem *frame)
{
	bool to_all;
	uint8_t mac[6];

	if (frame->len < ETH_LEN) {
		mem_put(frame);
		return;
	}
	to_all = frame->data[0] & 1;
	for (uint32_t i = 0; i < w->n_hosts; i++) {
		struct host *h = &w->hosts[i];

		if (!h->plan.ethernet || h->plan.segment != segment)
			continue;
		if (to_all && memcmp(frame->data + 6, h->dev.mac, 6)) {
			lane_send(&h->rx, copy_of(frame));
		} else if (!memcmp(frame->data, h->dev.mac, 6)) {
			lane_send(&h->rx, frame);
			return;
		}
	}
	if (w->intruder && w->intruder->segment == segment &&
	    (to_all || !memcmp(frame->data, w->intruder->mac, 6))) {
		intruder_input(w->intruder, frame->data, frame->len);
		if (!to_all) {
			mem_put(frame);
			return;
		}
	}
	wire_router_mac(mac, segment);
	if (to_all || !memcmp(frame->data, mac, 6)) {
		router_input(w, segment, frame);
		return;
	}
	w->wire.n_unknown++;
	trace_frame(w, -1, "astray", frame->data, frame->len, true);
	trace_note(w, -1, "astray: to %02x:%02x:%02x:%02x:%02x:%02x", frame->data[0],
		   frame->data[1], frame->data[2], frame->data[3], frame->data[4], frame->data[5]);
	mem_put(frame);
}

uint64_t wire_last_lost(const struct world *w)
{
	return w->wire.is_lost ? w->events.now : w->wire.back_at;
}

bool wire_has_lost(const struct net_mem *frame)
{
	const struct wire *wire = &frame->world->wire;

	return wire->is_lost || frame->n_lost != wire->n_lost;
}

/* What has no other end comes back. */
static void across(struct host *h, struct net_mem *frame)
{
	struct world *w = h->w;

	if (wire_has_lost(frame))
		mem_put(frame);
	else
		lane_send(&w->hosts[w->n_hosts - 1 - h->nr].rx, frame);
}

void wire_from_host(void *arg, struct net_mem *frame)
{
	struct host *h = arg;

	if (h->w->wire.is_direct)
		across(h, frame);
	else if (h->plan.ethernet)
		wire_from_segment(h->w, h->plan.segment, frame);
	else
		wire_route(h->w, frame);
}

/* ---- the router */

static struct host *host_of(struct world *w, uint32_t ip)
{
	for (uint32_t i = 0; i < w->n_hosts; i++)
		if (host_has_ip(&w->hosts[i], ip))
			return &w->hosts[i];
	return NULL;
}

static struct net_mem *with_eth(struct net_mem *packet, const uint8_t dst[6], uint32_t segment)
{
	struct net_mem *frame = mem_new(packet->world, NULL, MEM_FRAME, ETH_LEN + packet->len);

	memcpy(frame->data, dst, 6);
	wire_router_mac(frame->data + 6, segment);
	put16(frame->data + 12, 0x0800);
	memcpy(frame->data + ETH_LEN, packet->data, packet->len);
	frame->spoilt = packet->spoilt;
	mem_put(packet);
	return frame;
}

void wire_route(struct world *w, struct net_mem *packet)
{
	struct host *h;
	struct frame f;

	if (!frame_parse(&f, packet->data, packet->len, false) || f.ttl < 2) {
		mem_put(packet);
		return;
	}
	w->wire.n_routed++;
	f.ip[8]--;
	frame_fix_ip(&f);
	h = host_of(w, f.dst);
	if (!h) {
		if (!w->wire.router_is_dumb)
			wire_icmp_back(w, &f, 3, 1, 0);
		mem_put(packet);
	} else if (h->plan.ethernet) {
		lane_send(&h->rx, with_eth(packet, h->dev.mac, h->plan.segment));
	} else {
		lane_send(&h->rx, packet);
	}
}

void wire_icmp_back(struct world *w, const struct frame *f, uint8_t type, uint8_t code,
		    uint16_t mtu)
{
	uint32_t quote = f->ip_len < f->ihl + 8u ? f->ip_len : f->ihl + 8u;
	uint32_t len = IP_LEN + ICMP_LEN + quote;
	struct net_mem *m;
	struct frame e;

	if (f->proto == PROTO_ICMP || f->frag_offset || !host_of(w, f->src))
		return;
	m = mem_new(w, NULL, MEM_FRAME, len);
	memset(m->data, 0, len);
	m->data[0] = 0x45;
	put16(m->data + 2, len);
	put16(m->data + 4, w->wire.id++);
	m->data[8] = 64;
	m->data[9] = PROTO_ICMP;
	put32(m->data + 12, wire_router_ip(0));
	put32(m->data + 16, f->src);
	m->data[IP_LEN] = type;
	m->data[IP_LEN + 1] = code;
	put16(m->data + IP_LEN + 6, mtu);
	memcpy(m->data + IP_LEN + ICMP_LEN, f->ip, quote);
	frame_parse(&e, m->data, len, false);
	frame_fix(&e);
	wire_route(w, m);
}

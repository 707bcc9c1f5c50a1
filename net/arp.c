#include "config.h"

#include "net/neigh.h"

#include <string.h>

#include "base/time.h"
#include "net/eth.h"
#include "net/stack.h"

#define DEFEND_INTERVAL (10 * NSEC_PER_SEC)

static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t nobody[6];

static void send(struct net_stack *stack, uint16_t op, const uint8_t *to, const uint8_t *tha,
		 uint32_t spa, uint32_t tpa)
{
	struct net_out *out;
	struct net_arp_hdr *arp;

	if (!stack->dev->ethernet)
		return;
	out = net_out_new(stack, NET_ARP_LEN, true);
	if (!out)
		return;
	arp = (struct net_arp_hdr *)out->hdr;
	arp->hrd = __builtin_bswap16(1);
	arp->pro = __builtin_bswap16(NET_ETHERTYPE_IPV4);
	arp->hln = 6;
	arp->pln = 4;
	arp->op = __builtin_bswap16(op);
	memcpy(arp->sha, stack->dev->mac, 6);
	arp->spa = spa;
	memcpy(arp->tha, tha, 6);
	arp->tpa = tpa;
	out->l4_len = 0;
	net_eth_header(out, to, stack->dev->mac, NET_ETHERTYPE_ARP);
	net_out_queue(stack, out);
	stack->count[op == NET_ARP_REQUEST ? NET_C_ARP_REQUESTS : NET_C_ARP_REPLIES]++;
}

/* Asked in the name of an address that the other end can answer: one of the same
 * network, if there is one. */
static uint32_t asker(const struct net_stack *stack, const struct net_ip *ip)
{
	const struct net_ips *ips = &stack->ip;

	for (uint32_t i = 0; i < ips->n_locals; i++) {
		unsigned prefix = ips->locals[i].prefix;
		uint32_t mask = prefix ? __builtin_bswap32(~0u << (32 - prefix)) : 0;

		if (!((net_ip_v4(&ips->locals[i].ip) ^ net_ip_v4(ip)) & mask))
			return net_ip_v4(&ips->locals[i].ip);
	}
	return ips->n_locals ? net_ip_v4(&ips->locals[0].ip) : 0;
}

void net_arp_request(struct net_stack *stack, const struct net_ip *ip, const uint8_t *mac)
{
	send(stack, NET_ARP_REQUEST, mac ? mac : everybody, nobody, asker(stack, ip),
	     net_ip_v4(ip));
}

/* RFC 5227 3: a request for the address itself. */
void net_arp_announce(struct net_stack *stack, const struct net_ip *ip)
{
	send(stack, NET_ARP_REQUEST, everybody, nobody, net_ip_v4(ip), net_ip_v4(ip));
}

static bool is_wellformed(const struct net_arp_hdr *arp, uint32_t len)
{
	return len >= NET_ARP_LEN && arp->hrd == __builtin_bswap16(1) &&
	       arp->pro == __builtin_bswap16(NET_ETHERTYPE_IPV4) && arp->hln == 6 &&
	       arp->pln == 4 &&
	       (arp->op == __builtin_bswap16(NET_ARP_REQUEST) ||
		arp->op == __builtin_bswap16(NET_ARP_REPLY)) &&
	       !(arp->sha[0] & 1) && memcmp(arp->sha, nobody, 6);
}

/* Whether packets to it would go to it, and not by way of a gateway. */
static bool is_neighbour(struct net_stack *stack, const struct net_ip *ip)
{
	struct net_path path;
	struct net_ip any = net_ip4(0), hop;

	return !net_path_find(stack, &any, ip, &path) && !net_path_hop(stack, &path, &hop) &&
	       net_ip_equal(&hop, ip);
}

/* Another host claims an address of ours: everybody is told whose it is, but not so
 * often that two who both believe so fill the link (RFC 5227 2.4 (b)). */
static void conflict(struct net_stack *stack, const struct net_ip *ip)
{
	stack->count[NET_C_ARP_CONFLICTS]++;
	if (stack->ip.defended && stack->now - stack->ip.defended < DEFEND_INTERVAL)
		return;
	stack->ip.defended = stack->now;
	net_arp_announce(stack, ip);
}

/* RFC 826, "Packet Reception": an entry that is there is brought up to date by
 * whatever comes; one is made only of a question for us. */
void net_arp_input(struct net_stack *stack, const uint8_t *data, uint32_t len)
{
	const struct net_arp_hdr *arp = (const struct net_arp_hdr *)data;
	struct net_ip sender, target;
	bool asks_us;

	if (!is_wellformed(arp, len)) {
		stack->count[NET_C_ARP_BAD]++;
		return;
	}
	if (!memcmp(arp->sha, stack->dev->mac, 6))
		return;	/* our own, back again; the address may be ours no more */
	sender = net_ip4(arp->spa);
	target = net_ip4(arp->tpa);
	asks_us = arp->op == __builtin_bswap16(NET_ARP_REQUEST) && net_local_has(stack, &target);
	if (net_local_has(stack, &sender) && (!stack->config.any_addr || stack->config.link_loop)) {
		conflict(stack, &sender);
		return;
	} else if (net_ip_is_unicast(stack, &sender)) {
		net_neigh_confirm(stack, &sender, arp->sha, asks_us && is_neighbour(stack, &sender));
	} else if (arp->spa) {
		stack->count[NET_C_ARP_BAD]++;
		return;
	}
	if (asks_us)
		send(stack, NET_ARP_REPLY, arp->sha, arp->sha, arp->tpa, arp->spa);
}

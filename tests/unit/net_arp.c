#include "config.h"

#include "tests/unit/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/stack.h"
#include "tests/unit/netbed.h"

/* ARP (RFC 826, 5227) and what waits for it. */

static struct bed *bed;
static struct net_sock *sock;

#define CONFIG "arp_reachable_ms=10000,arp_retry_ms=1000,arp_retries=3,arp_queue=4,arp_entries=8"

static void setup(void)
{
	bed = bed_open(CONFIG);
	sock = bed_udp_socket(bed, "10.0.0.1", 7);
}

static void teardown(void)
{
	bed_close(bed);
}

static int send_to(const char *ip, uint8_t first)
{
	struct net_addr to = bed_addr(ip, 9);
	struct net_seg seg = bed_seg(20, first);
	int err = net_send(sock, &seg, 1, &to);

	if (err)
		bed_put(&seg);
	net_flush(bed->stack);
	return err;
}

static bool mac_is(const uint8_t *mac, uint8_t n)
{
	return !memcmp(mac, bed_mac(n), 6);
}

/* A request for ip; unicast: to 02:..:unicast. */
static void expect_request(const char *ip, uint8_t unicast)
{
	const struct frame *f = bed_sent(bed);
	struct net_arp_hdr *arp;

	ck_assert_ptr_nonnull(f);
	arp = frame_arp(f);
	ck_assert_uint_eq(f->len, NET_ETH_LEN + NET_ARP_LEN);
	ck_assert(mac_is(frame_eth(f)->dst, unicast ? unicast : 0xff));
	ck_assert(mac_is(frame_eth(f)->src, 1));
	ck_assert_uint_eq(arp->hrd, htons(1));
	ck_assert_uint_eq(arp->pro, htons(NET_ETHERTYPE_IPV4));
	ck_assert_uint_eq(arp->hln, 6);
	ck_assert_uint_eq(arp->pln, 4);
	ck_assert_uint_eq(arp->op, htons(NET_ARP_REQUEST));
	ck_assert(mac_is(arp->sha, 1));
	ck_assert(mac_is(arp->tha, 0));
	ck_assert_uint_eq(arp->tpa, bed_v4(ip));
}

static void expect_data(uint8_t mac, uint8_t first)
{
	const struct frame *f = bed_sent(bed);

	ck_assert_ptr_nonnull(f);
	ck_assert(mac_is(frame_eth(f)->dst, mac));
	ck_assert(bed_is_pattern(frame_l4(f) + NET_UDP_LEN, 20, first));
}

static void expect_nothing(void)
{
	ck_assert_ptr_null(bed_sent(bed));
}

static void answer(uint8_t mac, const char *ip)
{
	bed_input(bed, bed_arp(NET_ARP_REPLY, mac, ip, 1, "10.0.0.1"));
}

/* ---- questions of others */

START_TEST(test_answers_for_ours)
{
	const struct frame *f;
	struct net_arp_hdr *arp;

	bed_input(bed, bed_arp(NET_ARP_REQUEST, 2, "10.0.0.2", 0, "10.0.0.1"));
	f = bed_sent(bed);
	ck_assert_ptr_nonnull(f);
	arp = frame_arp(f);
	ck_assert(mac_is(frame_eth(f)->dst, 2));
	ck_assert_uint_eq(arp->op, htons(NET_ARP_REPLY));
	ck_assert(mac_is(arp->sha, 1));
	ck_assert_uint_eq(arp->spa, bed_v4("10.0.0.1"));
	ck_assert(mac_is(arp->tha, 2));
	ck_assert_uint_eq(arp->tpa, bed_v4("10.0.0.2"));
	expect_nothing();
	/* and it knows who asked */
	ck_assert_int_eq(send_to("10.0.0.2", 1), 0);
	expect_data(2, 1);
	expect_nothing();
}
END_TEST

START_TEST(test_no_answer_for_others)
{
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 2, "10.0.0.2", 0, "10.0.0.9"));
	expect_nothing();
	/* nor does it keep who asked */
	ck_assert_int_eq(send_to("10.0.0.2", 1), 0);
	expect_request("10.0.0.2", 0);
	bed_expect_count(bed, ARP_BAD, 0);
}
END_TEST

/* Who asks whether an address is free (RFC 5227 2.1) is told, and is not learnt. */
START_TEST(test_probe_is_answered)
{
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 2, "0.0.0.0", 0, "10.0.0.1"));
	ck_assert_uint_eq(frame_arp(bed_sent(bed))->op, htons(NET_ARP_REPLY));
	ck_assert_uint_eq(bed->stack->neigh.n, 0);
}
END_TEST

/* From outside the network: answered, not kept. */
START_TEST(test_asker_off_link)
{
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 2, "192.168.5.5", 0, "10.0.0.1"));
	ck_assert_uint_eq(frame_arp(bed_sent(bed))->op, htons(NET_ARP_REPLY));
	ck_assert_uint_eq(bed->stack->neigh.n, 0);
}
END_TEST

static const struct {
	uint32_t at;
	uint8_t value;
} spoilt[] = {
	{ 1, 6 },	/* hardware: not Ethernet */
	{ 2, 0x86 },	/* protocol */
	{ 4, 8 },	/* lengths of addresses */
	{ 5, 16 },
	{ 7, 0 },	/* operation */
	{ 7, 3 },
	{ 6, 1 },
	{ 8, 3 },	/* sender: a group of link addresses */
	{ 14, 224 },	/* sender: a multicast address */
	{ 17, 255 },	/* everybody on our network */
};

START_TEST(test_malformed)
{
	struct frame *f = bed_arp(NET_ARP_REQUEST, 2, "10.0.0.2", 0, "10.0.0.1");

	f->data[NET_ETH_LEN + spoilt[_i].at] = spoilt[_i].value;
	bed_input(bed, f);
	expect_nothing();
	bed_expect_count(bed, ARP_BAD, 1);
	ck_assert_uint_eq(bed->stack->neigh.n, 0);
}
END_TEST

START_TEST(test_truncated)
{
	struct frame *f = bed_arp(NET_ARP_REQUEST, 2, "10.0.0.2", 0, "10.0.0.1");

	for (f->len--; f->len >= NET_ETH_LEN; f->len--)
		bed_input(bed, f);
	bed_expect_count(bed, ARP_BAD, NET_ARP_LEN);
	for (; f->len; f->len--)
		bed_input(bed, f);
	bed_expect_count(bed, ETH_BAD, NET_ETH_LEN - 1);
	expect_nothing();
}
END_TEST

/* ---- our own questions */

START_TEST(test_asks_and_waits)
{
	for (uint8_t i = 0; i < 3; i++)
		ck_assert_int_eq(send_to("10.0.0.2", i), 0);
	expect_request("10.0.0.2", 0);
	expect_nothing();
	answer(2, "10.0.0.2");
	for (uint8_t i = 0; i < 3; i++)
		expect_data(2, i);
	expect_nothing();
	ck_assert_int_eq(send_to("10.0.0.2", 9), 0);
	expect_data(2, 9);
	bed_expect_count(bed, ARP_DROPPED, 0);
}
END_TEST

/* More than may wait: the oldest go (RFC 1122 2.3.2.2). */
START_TEST(test_queue_is_bounded)
{
	for (uint8_t i = 0; i < 7; i++)
		ck_assert_int_eq(send_to("10.0.0.2", i), 0);
	bed_expect_count(bed, ARP_DROPPED, 3);
	ck_assert_uint_eq(bed_refs(), 4);
	expect_request("10.0.0.2", 0);
	answer(2, "10.0.0.2");
	for (uint8_t i = 3; i < 7; i++)
		expect_data(2, i);
	expect_nothing();
}
END_TEST

/* A datagram of many fragments waits as one, and arrives whole. */
START_TEST(test_long_datagram_waits)
{
	struct net_addr to = bed_addr("10.0.0.2", 9);
	struct net_seg seg = bed_seg(20000, 0);

	ck_assert_int_eq(net_send(sock, &seg, 1, &to), 0);
	net_flush(bed->stack);
	expect_request("10.0.0.2", 0);
	expect_nothing();
	answer(2, "10.0.0.2");
	ck_assert_uint_eq(bed->n_sent, 14);
	bed_expect_count(bed, ARP_DROPPED, 0);
}
END_TEST

/* The ring has no place for what waited: it goes out when there is one. */
START_TEST(test_resolved_while_ring_is_full)
{
	bed_learn(bed, 3);
	ck_assert_int_eq(send_to("10.0.0.2", 77), 0);
	expect_request("10.0.0.2", 0);
	bed->take = 0;
	while (!send_to("10.0.0.3", 1))
		;
	for (int i = 0; i < 40; i++)
		bed_input(bed, bed_arp(NET_ARP_REQUEST, 3, "10.0.0.3", 0, "10.0.0.1"));
	ck_assert_uint_eq(bed->stack->out.n_free, 0);
	answer(2, "10.0.0.2");
	ck_assert_uint_eq(bed->stack->out.n, NET_OUT_RING);
	bed_pass(bed, 20 * BED_MS);	/* ... not yet */
	bed->take = UINT32_MAX;
	bed_run(bed);
	bed_forget(bed);
	bed_pass(bed, 20 * BED_MS);
	expect_data(2, 77);
	ck_assert_int_eq(send_to("10.0.0.2", 78), 0);
	expect_data(2, 78);
}
END_TEST

/* Asked three times, a second apart; then senders are told, for a second; then it is
 * tried anew. */
START_TEST(test_nobody_answers)
{
	struct net_addr peer = bed_addr("10.0.0.2", 9);
	struct net_sock *connected;
	struct net_seg seg = bed_seg(20, 0);
	uint32_t events;

	ck_assert_int_eq(net_socket(bed->stack, NET_UDP, NULL, &connected), 0);
	ck_assert_int_eq(net_connect(connected, &peer), 0);
	ck_assert_int_eq(net_send(connected, &seg, 1, NULL), 0);
	ck_assert_int_eq(send_to("10.0.0.2", 0), 0);
	for (int i = 0; i < 3; i++) {
		expect_request("10.0.0.2", 0);
		expect_nothing();
		bed_pass(bed, 990 * BED_MS);
		expect_nothing();
		ck_assert_ptr_null(net_next_ready(bed->stack, &events));
		bed_pass(bed, 10 * BED_MS);
	}
	expect_nothing();
	bed_expect_count(bed, ARP_FAILED, 1);
	bed_expect_count(bed, ARP_DROPPED, 2);
	ck_assert_uint_eq(bed_refs(), 0);
	ck_assert_uint_eq(list_first(&bed->stack->neigh.all, struct net_neigh, link)->n_waiting, 0);
	ck_assert_ptr_eq(net_next_ready(bed->stack, &events), connected);
	ck_assert_int_eq(net_error(connected), EHOSTUNREACH);
	ck_assert_int_eq(net_error(connected), 0);
	ck_assert_ptr_null(net_next_ready(bed->stack, &events));
	/* for a second everybody is told at once, who can be told */
	send_to("10.0.0.2", 1);
	seg = bed_seg(20, 0);
	ck_assert_int_eq(net_send(connected, &seg, 1, NULL), 0);
	ck_assert_int_eq(net_error(connected), EHOSTUNREACH);
	bed_expect_count(bed, ARP_DROPPED, 4);
	bed_run(bed);
	expect_nothing();
	bed_pass(bed, BED_SECOND);
	ck_assert_int_eq(send_to("10.0.0.2", 2), 0);
	expect_request("10.0.0.2", 0);
	answer(2, "10.0.0.2");
	expect_data(2, 2);
}
END_TEST

/* An answer to what was never asked makes no entry; nor does a gratuitous one. */
START_TEST(test_unsolicited)
{
	answer(2, "10.0.0.2");
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 3, "10.0.0.3", 0, "10.0.0.3"));
	bed_input(bed, bed_arp(NET_ARP_REPLY, 3, "10.0.0.3", 3, "10.0.0.3"));
	ck_assert_uint_eq(bed->stack->neigh.n, 0);
	expect_nothing();
}
END_TEST

/* A gratuitous one changes an entry that is there, at once. */
START_TEST(test_moves)
{
	bed_learn(bed, 2);
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 5, "10.0.0.2", 0, "10.0.0.2"));
	ck_assert_int_eq(send_to("10.0.0.2", 1), 0);
	expect_data(5, 1);
	answer(6, "10.0.0.2");
	ck_assert_int_eq(send_to("10.0.0.2", 2), 0);
	expect_data(6, 2);
}
END_TEST

START_TEST(test_static)
{
	struct net_ip ip = bed_ip("10.0.0.2");

	ck_assert_int_eq(send_to("10.0.0.2", 1), 0);
	expect_request("10.0.0.2", 0);
	ck_assert_int_eq(net_neigh_add(bed->stack, &ip, bed_mac(9)), 0);
	net_flush(bed->stack);
	expect_data(9, 1);
	answer(2, "10.0.0.2");
	bed_pass(bed, 100 * BED_SECOND);
	ck_assert_int_eq(send_to("10.0.0.2", 2), 0);
	expect_data(9, 2);
	expect_nothing();
	ck_assert_int_eq(net_neigh_add(bed->stack, &ip, bed_mac(8)), 0);
	ck_assert_int_eq(send_to("10.0.0.2", 3), 0);
	expect_data(8, 3);
}
END_TEST

/* ---- time */

/* One in use is asked before it ends, by unicast, and nothing that is sent waits. */
START_TEST(test_in_use_is_probed)
{
	bed_learn(bed, 2);
	for (uint8_t round = 0; round < 3; round++) {
		ck_assert_int_eq(send_to("10.0.0.2", 1), 0);
		expect_data(2, 1);
		bed_pass(bed, 10 * BED_SECOND);
		expect_request("10.0.0.2", 2);
		ck_assert_int_eq(send_to("10.0.0.2", 2), 0);
		expect_data(2, 2);
		answer(2, "10.0.0.2");
		expect_nothing();
	}
}
END_TEST

/* One that is not is only asked when it is used again, and the packet does not wait. */
START_TEST(test_idle_is_left_alone)
{
	bed_learn(bed, 2);
	bed_pass(bed, 1000 * BED_SECOND);
	expect_nothing();
	ck_assert_int_eq(send_to("10.0.0.2", 1), 0);
	expect_request("10.0.0.2", 2);
	expect_data(2, 1);
	answer(2, "10.0.0.2");
	bed_pass(bed, 100 * BED_SECOND);	/* nobody has used it since */
	expect_nothing();
}
END_TEST

/* It has gone: after the questions to it, one to everybody, for the address may be
 * another's now. */
START_TEST(test_gone)
{
	bed_learn(bed, 2);
	ck_assert_int_eq(send_to("10.0.0.2", 1), 0);
	expect_data(2, 1);
	bed_pass(bed, 10 * BED_SECOND);
	for (int i = 0; i < 3; i++) {
		expect_request("10.0.0.2", 2);
		ck_assert_int_eq(send_to("10.0.0.2", 2), 0);
		expect_data(2, 2);
		expect_nothing();
		bed_pass(bed, 1001 * BED_MS);
	}
	expect_request("10.0.0.2", 0);
	ck_assert_int_eq(send_to("10.0.0.2", 3), 0);
	expect_nothing();
	answer(7, "10.0.0.2");
	expect_data(7, 3);
}
END_TEST

/* ---- the table */

START_TEST(test_table_is_bounded)
{
	char ip[16];

	for (unsigned i = 10; i < 110; i++) {
		snprintf(ip, sizeof(ip), "10.0.0.%u", i);
		send_to(ip, (uint8_t)i);
		ck_assert_uint_le(bed->stack->neigh.n, 8);
		ck_assert_uint_le(bed_refs(), 8);
	}
	answer(5, "10.0.0.109");
	bed_forget(bed);
	ck_assert_int_eq(send_to("10.0.0.109", 1), 0);
	expect_data(5, 1);
}
END_TEST

/* Whoever asks us from ever new addresses drives out nobody who is in use. */
START_TEST(test_askers_do_not_evict)
{
	char ip[16];

	for (uint8_t i = 2; i < 10; i++) {
		bed_learn(bed, i);
		snprintf(ip, sizeof(ip), "10.0.0.%u", i);
		ck_assert_int_eq(send_to(ip, i), 0);
		expect_data(i, i);
	}
	for (unsigned i = 100; i < 200; i++) {
		snprintf(ip, sizeof(ip), "10.0.0.%u", i);
		bed_input(bed, bed_arp(NET_ARP_REQUEST, 50, ip, 0, "10.0.0.1"));
	}
	bed_forget(bed);
	for (uint8_t i = 2; i < 10; i++) {
		snprintf(ip, sizeof(ip), "10.0.0.%u", i);
		ck_assert_int_eq(send_to(ip, i), 0);
		expect_data(i, i);
		expect_nothing();
	}
}
END_TEST

/* More of them than chains, and more in use than may be: the latest are known. */
START_TEST(test_large_table)
{
	struct net_ip second = bed_ip("10.1.0.1");
	uint8_t mac = 0;
	char ip[16];

	bed_close(bed);
	bed = bed_open("arp_entries=700");
	ck_assert_int_eq(net_local_add(bed->stack, &second, 16, false), 0);
	sock = bed_udp_socket(bed, "10.1.0.1", 7);
	for (unsigned i = 0; i < 1000; i++) {
		mac = (uint8_t)(2 + i % 200);
		snprintf(ip, sizeof(ip), "10.1.%u.%u", i / 200, mac);
		ck_assert_int_eq(send_to(ip, 1), 0);
		expect_request(ip, 0);
		bed_input(bed, bed_arp(NET_ARP_REPLY, mac, ip, 1, "10.1.0.1"));
		expect_data(mac, 1);
		ck_assert_int_eq(send_to(ip, 2), 0);
		expect_data(mac, 2);
		ck_assert_uint_le(bed->stack->neigh.n, 700);
	}
	ck_assert_int_eq(send_to(ip, 5), 0);
	expect_data(mac, 5);
}
END_TEST

/* Of all packets that wait, too, there are only so many. */
START_TEST(test_waiting_is_bounded)
{
	char ip[16];

	bed_close(bed);
	bed = bed_open(NULL);
	sock = bed_udp_socket(bed, "10.0.0.1", 7);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(ip, sizeof(ip), "10.0.0.%u", 20 + i);
		for (int k = 0; k < 10; k++)
			send_to(ip, 1);
		bed_forget(bed);
	}
	ck_assert_uint_eq(bed_refs(), NET_NEIGH_WAITING);
	bed_expect_count(bed, ARP_DROPPED, 1000 - NET_NEIGH_WAITING);
	bed_pass(bed, 5 * BED_SECOND);
	ck_assert_uint_eq(bed_refs(), 0);
	ck_assert_uint_eq(bed->stack->neigh.n_waiting, 0);
	bed_expect_count(bed, ARP_DROPPED, 1000);
}
END_TEST

#define CALLS 40u		/* arp_queue is 4 */

static struct net_sock *calls[CALLS];

static void call_all(const char *ip)
{
	struct net_addr to = bed_addr(ip, 80);

	for (uint32_t i = 0; i < CALLS; i++) {
		ck_assert_int_eq(net_socket(bed->stack, NET_TCP, NULL, &calls[i]), 0);
		ck_assert_int_eq(net_connect(calls[i], &to), 0);
		net_flush(bed->stack);
	}
	expect_request(ip, 0);
	expect_nothing();
}

/* n SYNs, all from ports of their own. */
static void expect_syns(uint32_t n)
{
	static bool seen[UINT16_MAX + 1];
	const struct net_tcp_hdr *tcp;

	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < n; i++) {
		const struct frame *f = bed_sent(bed);

		ck_assert_ptr_nonnull(f);
		tcp = (const struct net_tcp_hdr *)frame_l4(f);
		ck_assert_uint_eq(tcp->flags, NET_TCP_SYN);
		ck_assert(!seen[tcp->sport]);
		seen[tcp->sport] = true;
	}
	expect_nothing();
}

/* More connects than packets may wait: all go as soon as it answers, each once. */
START_TEST(test_syns_do_not_wait_for_their_timers)
{
	call_all("10.0.0.2");
	bed_expect_count(bed, ARP_DROPPED, CALLS - 4);
	bed_input(bed, bed_arp(NET_ARP_REPLY, 2, "10.0.0.2", 1, "10.0.0.1"));
	expect_syns(CALLS);
	ck_assert(list_empty(&bed->stack->tcp.unresolved));
	bed_pass(bed, 1100 * BED_MS);
	expect_syns(CALLS); /* nobody has answered them */
}
END_TEST

/* Their timers were faster: those of four at a time went after all. */
START_TEST(test_syns_that_go_by_timer_go_once)
{
	struct list *unresolved;
	uint32_t n = 0;

	bed_close(bed);
	bed = bed_open(CONFIG ",rto_initial_ms=100");
	unresolved = &bed->stack->tcp.unresolved;
	sock = bed_udp_socket(bed, "10.0.0.1", 7);
	call_all("10.0.0.2");
	bed_pass(bed, 250 * BED_MS);
	bed_expect_count(bed, ARP_DROPPED, 2 * CALLS - 4);
	for (struct list *pos = unresolved->next; pos != unresolved; pos = pos->next)
		n++;
	ck_assert_uint_eq(n, CALLS - 4);
	bed_input(bed, bed_arp(NET_ARP_REPLY, 2, "10.0.0.2", 1, "10.0.0.1"));
	expect_syns(CALLS);
}
END_TEST

START_TEST(test_syns_to_nobody_fail)
{
	call_all("10.0.0.2");
	bed_pass(bed, 3100 * BED_MS);
	for (uint32_t i = 0; i < CALLS; i++)
		ck_assert_int_eq(net_error(calls[i]), EHOSTUNREACH);
	ck_assert(list_empty(&bed->stack->tcp.unresolved));
}
END_TEST

/* Whoever was there has gone: nothing is sent to his hardware address any more; when
 * somebody has come, what waits asks for him, and he is told who we are. */
START_TEST(test_link_lost)
{
	struct net_ip fixed = bed_ip("10.0.0.9");

	ck_assert_int_eq(net_neigh_add(bed->stack, &fixed, bed_mac(9)), 0);
	bed_learn(bed, 2);
	ck_assert_int_eq(send_to("10.0.0.3", 3), 0);
	expect_request("10.0.0.3", 0);
	net_link_lost(bed->stack, ECONNRESET);
	ck_assert_int_eq(send_to("10.0.0.2", 2), 0);
	expect_request("10.0.0.2", 0);
	ck_assert_int_eq(send_to("10.0.0.9", 9), 0);
	expect_data(9, 9);
	bed_pass(bed, 3001 * BED_MS);	/* both have failed, and one is tried anew */
	bed_forget(bed);
	bed_pass(bed, BED_SECOND);
	ck_assert_int_eq(send_to("10.0.0.2", 2), 0);
	bed_forget(bed);
	net_link_back(bed->stack);
	net_flush(bed->stack);
	ck_assert_uint_eq(frame_arp(bed_sent(bed))->tpa, bed_v4("10.0.0.1"));
	expect_request("10.0.0.2", 0);
	answer(5, "10.0.0.2");
	expect_data(5, 2);
}
END_TEST

/* Static entries only: nobody can be evicted, and that is said. */
START_TEST(test_table_of_static_ones)
{
	char text[16];

	for (unsigned i = 20; i < 28; i++) {
		struct net_ip ip;

		snprintf(text, sizeof(text), "10.0.0.%u", i);
		ip = bed_ip(text);
		ck_assert_int_eq(net_neigh_add(bed->stack, &ip, bed_mac((uint8_t)i)), 0);
	}
	send_to("10.0.0.2", 1);
	expect_nothing();
	ck_assert_uint_gt(bed_count(bed, NO_MEMORY), 0);
	ck_assert_uint_eq(bed_refs(), 0);
}
END_TEST

/* ---- our own addresses */

START_TEST(test_announces)
{
	struct net_ip ip = bed_ip("10.0.0.42");
	const struct frame *f;

	ck_assert_int_eq(net_local_add(bed->stack, &ip, 24, true), 0);
	net_flush(bed->stack);
	f = bed_sent(bed);
	ck_assert(mac_is(frame_eth(f)->dst, 0xff));
	ck_assert_uint_eq(frame_arp(f)->spa, bed_v4("10.0.0.42"));
	ck_assert_uint_eq(frame_arp(f)->tpa, bed_v4("10.0.0.42"));
	net_announce(bed->stack);
	net_flush(bed->stack);
	ck_assert_uint_eq(bed->n_sent, 2);
	bed_forget(bed);
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 2, "10.0.0.2", 0, "10.0.0.42"));
	ck_assert_uint_eq(frame_arp(bed_sent(bed))->spa, bed_v4("10.0.0.42"));
	ck_assert_int_eq(net_local_del(bed->stack, &ip), 0);
	ck_assert_int_eq(net_local_del(bed->stack, &ip), ENOENT);
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 2, "10.0.0.2", 0, "10.0.0.42"));
	expect_nothing();
}
END_TEST

/* RFC 5227 2.4: another has our address. It is counted, said whose it is, but only
 * every ten seconds; and nothing is sent to it in our own name. */
START_TEST(test_conflict)
{
	const struct frame *f;

	bed_input(bed, bed_arp(NET_ARP_REQUEST, 6, "10.0.0.1", 0, "10.0.0.1"));
	bed_expect_count(bed, ARP_CONFLICTS, 1);
	f = bed_sent(bed);
	ck_assert(mac_is(frame_eth(f)->dst, 0xff));
	ck_assert_uint_eq(frame_arp(f)->spa, bed_v4("10.0.0.1"));
	expect_nothing();
	bed_input(bed, bed_arp(NET_ARP_REPLY, 6, "10.0.0.1", 2, "10.0.0.2"));
	bed_expect_count(bed, ARP_CONFLICTS, 2);
	expect_nothing();
	bed_pass(bed, 11 * BED_SECOND);
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 6, "10.0.0.1", 0, "10.0.0.1"));
	ck_assert_uint_eq(bed->n_sent, 1);
	ck_assert_uint_eq(bed->stack->neigh.n, 0);
}
END_TEST

/* Our own, brought back by the link, is no conflict. */
START_TEST(test_own_comes_back)
{
	bed_input(bed, bed_arp(NET_ARP_REQUEST, 1, "10.0.0.1", 0, "10.0.0.1"));
	bed_expect_count(bed, ARP_CONFLICTS, 0);
	expect_nothing();
}
END_TEST

/* ---- two of them */

START_TEST(test_two_stacks)
{
	struct bed *other = bed_prepare();
	struct net_addr to = bed_addr("10.0.0.2", 9);
	struct net_ip ip = bed_ip("10.0.0.2"), first = bed_ip("10.0.0.1");
	struct net_seg seg = bed_seg(3000, 5);
	struct net_sock *s;

	memcpy(other->dev.mac, bed_mac(2), 6);
	bed_start(other, NULL, 2);
	ck_assert_int_eq(net_local_add(other->stack, &ip, 24, false), 0);
	ck_assert_int_eq(net_local_del(other->stack, &first), 0);
	s = bed_udp_socket(other, "10.0.0.2", 9);
	ck_assert_int_eq(net_send(sock, &seg, 1, &to), 0);
	bed_talk(bed, other);
	bed_expect_datagram(s, 3000, 5);
	bed_close(other);
}
END_TEST

Suite *net_arp_suite(void)
{
	Suite *s = suite_create("net_arp");
	TCase *t = tcase_create("arp");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_answers_for_ours);
	tcase_add_test(t, test_no_answer_for_others);
	tcase_add_test(t, test_probe_is_answered);
	tcase_add_test(t, test_asker_off_link);
	tcase_add_loop_test(t, test_malformed, 0, sizeof(spoilt) / sizeof(spoilt[0]));
	tcase_add_test(t, test_truncated);
	tcase_add_test(t, test_asks_and_waits);
	tcase_add_test(t, test_queue_is_bounded);
	tcase_add_test(t, test_long_datagram_waits);
	tcase_add_test(t, test_resolved_while_ring_is_full);
	tcase_add_test(t, test_nobody_answers);
	tcase_add_test(t, test_unsolicited);
	tcase_add_test(t, test_moves);
	tcase_add_test(t, test_static);
	tcase_add_test(t, test_in_use_is_probed);
	tcase_add_test(t, test_idle_is_left_alone);
	tcase_add_test(t, test_gone);
	tcase_add_test(t, test_table_is_bounded);
	tcase_add_test(t, test_askers_do_not_evict);
	tcase_add_test(t, test_large_table);
	tcase_add_test(t, test_waiting_is_bounded);
	tcase_add_test(t, test_syns_do_not_wait_for_their_timers);
	tcase_add_test(t, test_syns_that_go_by_timer_go_once);
	tcase_add_test(t, test_syns_to_nobody_fail);
	tcase_add_test(t, test_link_lost);
	tcase_add_test(t, test_table_of_static_ones);
	tcase_add_test(t, test_announces);
	tcase_add_test(t, test_conflict);
	tcase_add_test(t, test_own_comes_back);
	tcase_add_test(t, test_two_stacks);
	suite_add_tcase(s, t);
	return s;
}

/*
 * A stack on a table: a device in memory that keeps what is sent and checks every
 * header and checksum of it, packets made by hand, and a clock that only moves when
 * it is told to. Every reference is counted; bed_close() asserts that all came back,
 * and that nobody wrote into what was lent for sending.
 */
#ifndef TESTS_UNIT_NETBED_H
#define TESTS_UNIT_NETBED_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/net.h"
#include "net/wire.h"

#define BED_SECOND UINT64_C(1000000000)
#define BED_MS UINT64_C(1000000)
#define BED_FRAMES 1024u

/* A frame, as it was sent or as it is to come in. */
struct frame {
	uint8_t *data;
	uint32_t len;
	uint32_t flags;		/* enum net_out_flag: left to the device */
	uint16_t mss;		/* of a TSO packet */
};

struct bed {
	struct net_dev dev;	/* first */
	struct net_stack *stack;
	uint64_t count[NET_N_COUNTS];
	uint64_t now;
	struct frame sent[BED_FRAMES];	/* and not given out by bed_sent() */
	uint32_t n_sent;
	uint32_t take;		/* packets that the device takes in one transmit */
	uint32_t allocs;	/* that succeed before there is no memory */
};

/* ---- life. The stack is 10.0.0.1/24 (02:00:00:00:00:01) and knows nobody yet. */

struct bed *bed_open(const char *config);
/* The same with what bed_prepare() left to be filled in: caps, mtu, ethernet. */
struct bed *bed_prepare(void);
void bed_start(struct bed *bed, const char *config, uint64_t seed);
/* Frees it, and asserts that no reference is out. */
void bed_close(struct bed *bed);
/* Not 0: the device works, not the stack. */
extern unsigned bed_device;
/* References to memory that are out, of all beds. */
uint32_t bed_refs(void);

/* ---- addresses: a.b.c.d, and 10.0.0.n */

uint32_t bed_v4(const char *text);
struct net_ip bed_ip(const char *text);
struct net_addr bed_addr(const char *text, uint16_t port);
/* 02:00:00:00:00:n */
const uint8_t *bed_mac(uint8_t n);

/* ---- memory for sending */

/* len bytes that begin with `first` and count up; one reference, frozen: written to
 * before it goes, it fails the test. */
struct net_seg bed_seg(uint32_t len, uint8_t first);
void bed_put(struct net_seg *seg);
bool bed_is_pattern(const uint8_t *data, uint32_t len, uint8_t first);

/* ---- time and packets */

/* Polls and flushes at the time that it is; then at ns later, deadline by deadline. */
void bed_run(struct bed *bed);
void bed_pass(struct bed *bed, uint64_t ns);
/* As the device got it, without its reference; pinned: 0 for len. Then bed_run(). */
void bed_input(struct bed *bed, const struct frame *f);
void bed_input_pinned(struct bed *bed, const struct frame *f, uint32_t pinned, uint32_t flags);
/* Lets two talk to each other until neither has anything to say. */
void bed_talk(struct bed *a, struct bed *b);
/* What was sent: the oldest that bed_sent() has not given out yet; NULL: none. It is
 * valid until the next. */
const struct frame *bed_sent(struct bed *bed);
void bed_forget(struct bed *bed);

/* ---- frames by hand, to 02:..:01 from 02:..:02. Each is valid until the next. */

struct frame *bed_arp(uint16_t op, uint8_t sha, const char *spa, uint8_t tha, const char *tpa);
/* payload NULL: the pattern that begins with 0 */
struct frame *bed_ip_packet(uint8_t proto, const char *src, const char *dst,
			    const void *payload, uint32_t len);
struct frame *bed_udp(const char *src, uint16_t sport, const char *dst, uint16_t dport,
		      const void *payload, uint32_t len);
/* icmp: 8 bytes and what follows; its checksum is filled in */
struct frame *bed_icmp(const char *src, const char *dst, uint8_t type, uint8_t code,
		       const void *rest, uint32_t len);
/* After a change: the IP header's checksum is right again. */
void bed_fix(struct frame *f);

/* ---- frames taken apart */

struct net_eth_hdr *frame_eth(const struct frame *f);
struct net_arp_hdr *frame_arp(const struct frame *f);
struct net_ip_hdr *frame_ip(const struct frame *f);
/* Behind the IP header, options too. */
uint8_t *frame_l4(const struct frame *f);
uint32_t frame_l4_len(const struct frame *f);
/* The reference's one's complement sum, byte by byte. */
uint16_t bed_sum(const void *data, uint32_t len, uint32_t sum);

/* ---- sockets */

struct net_sock *bed_udp_socket(struct bed *bed, const char *ip, uint16_t port);
/* The stack learns that 10.0.0.n is at 02:..:n, as it would from a request. */
void bed_learn(struct bed *bed, uint8_t n);
/* Asserts that a datagram with this pattern has come; gives it back. */
void bed_expect_datagram(struct net_sock *s, uint32_t len, uint8_t first);
/* Counters since the beginning. */
#define bed_count(bed, name) ((bed)->count[NET_C_##name])
#define bed_expect_count(bed, name, n) ck_assert_uint_eq(bed_count(bed, name), (n))

#endif /* TESTS_UNIT_NETBED_H */

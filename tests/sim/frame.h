/* What is in a frame: for links that look inside, for who listens, for people. */
#ifndef TESTS_SIM_FRAME_H
#define TESTS_SIM_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETH_LEN 14u
#define IP_LEN 20u
#define TCP_LEN 20u
#define UDP_LEN 8u
#define ICMP_LEN 8u

enum {
	TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32,
};

enum {
	PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17,
};

static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* All numbers in host order. */
struct frame {
	uint8_t *eth;		/* NULL: a bare IP packet */
	uint8_t *ip, *l4, *payload;
	uint32_t src, dst;
	uint16_t type;		/* Ethernet's; 0x0800 for a bare packet */
	uint16_t ip_len;	/* total */
	uint16_t ihl;		/* bytes */
	uint16_t frag_offset;	/* bytes */
	bool more;		/* fragments follow */
	uint8_t proto, ttl;
	uint16_t l4_len;	/* header and payload */
	bool whole;		/* not a fragment, and the protocol's header is sane */
	uint16_t sport, dport;
	uint16_t payload_len;
	uint32_t seq, ack;	/* TCP */
	uint16_t wnd;
	uint8_t flags;
	uint8_t doff;		/* bytes */
};

/* false: no IPv4 packet that makes sense (type is set if there is an Ethernet header). */
bool frame_parse(struct frame *f, uint8_t *data, uint32_t len, bool ethernet);
/* A TCP option's first byte, or NULL. */
uint8_t *frame_tcp_opt(const struct frame *f, uint8_t kind);
/* Both checksums anew, as far as there are any. */
void frame_fix(struct frame *f);
void frame_fix_ip(struct frame *f);
bool frame_ip_csum_good(const struct frame *f);
/* Of what is whole; true for protocols without one, and UDP's 0. */
bool frame_l4_csum_good(const struct frame *f);

/* RFC 1071, not complemented; the sum of the pseudo header. */
uint32_t csum_add(uint32_t sum, const uint8_t *data, uint32_t len);
uint16_t csum_fold(uint32_t sum);
uint32_t csum_pseudo(const struct frame *f, uint32_t len);

/* One line as tcpdump has it, without the time. */
void frame_print(char *line, size_t size, const uint8_t *data, uint32_t len, uint32_t full_len,
		 bool ethernet);

#endif /* TESTS_SIM_FRAME_H */

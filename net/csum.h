/*
 * The Internet checksum (RFC 1071): one's complement sums of 16-bit words, as they
 * lie in memory. A sum is kept in 64 bits and folded at the end.
 */
#ifndef NET_CSUM_H
#define NET_CSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct net_out;

/* Adds len bytes at p to sum, an even number of them having come before. */
uint64_t net_csum_add(uint64_t sum, const void *p, size_t len);
/* Adds the payload of a packet, which may start at an odd place. */
uint64_t net_csum_segs(uint64_t sum, const struct net_out *out);

/* Two sums, each of whole words of 16 bits. */
static inline uint64_t net_csum_join(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

#define NET_CSUM_BLOCK 32u

/* Words of 8 bytes; the carry goes around to the end. */
#ifdef __x86_64__
static inline uint64_t net_csum_block(uint64_t sum, const uint8_t *p)
{
	__asm__("addq 0(%1), %0\n\t"
		"adcq 8(%1), %0\n\t"
		"adcq 16(%1), %0\n\t"
		"adcq 24(%1), %0\n\t"
		"adcq $0, %0"
		: "+r"(sum)
		: "r"(p), "m"(*(const uint8_t(*)[NET_CSUM_BLOCK])p)
		: "cc");
	return sum;
}
#else
/* The upper half collects the carries. */
static inline uint64_t net_csum_block(uint64_t sum, const uint8_t *p)
{
	unsigned __int128 wide = sum;
	uint64_t w[NET_CSUM_BLOCK / 8];

	memcpy(w, p, sizeof(w));
	for (uint32_t i = 0; i < NET_CSUM_BLOCK / 8; i++)
		wide += w[i];
	return net_csum_join((uint64_t)wide, (uint64_t)(wide >> 64));
}
#endif

static inline uint16_t net_csum_fold(uint64_t sum)
{
	uint32_t half;

	/* both halves are added in the upper one, the lower one's carry with them */
	sum += sum << 32 | sum >> 32;
	half = (uint32_t)(sum >> 32);
	half += half << 16 | half >> 16;
	return (uint16_t)(half >> 16);
}

/* A protocol's header: whole words of 32 bits. */
static inline uint64_t net_csum_header(const uint8_t *p, uint32_t len)
{
	uint64_t sum = 0, two;
	uint32_t one;

	for (; len >= NET_CSUM_BLOCK; len -= NET_CSUM_BLOCK, p += NET_CSUM_BLOCK)
		sum = net_csum_block(sum, p);
	for (; len >= sizeof(two); len -= (uint32_t)sizeof(two), p += sizeof(two)) {
		memcpy(&two, p, sizeof(two));
		sum = net_csum_join(sum, two);
	}
	if (!len)
		return sum;
	memcpy(&one, p, sizeof(one));
	return net_csum_join(sum, one);
}

/* What goes into the field. */
static inline uint16_t net_csum_finish(uint64_t sum)
{
	return (uint16_t)~net_csum_fold(sum);
}

/* Of an IPv4 header without options, whose field is 0 or, to check it, as it came:
 * then the result is 0 if it is right. */
static inline uint16_t net_csum_ip20(const void *header)
{
	uint32_t w[5];
	uint64_t sum = 0;

	memcpy(w, header, sizeof(w));
	for (int i = 0; i < 5; i++)
		sum += w[i];
	return net_csum_finish(sum);
}

/* What comes of a header that changes in one word of 16 bits (RFC 1624, eqn. 3). */
static inline uint16_t net_csum_update(uint16_t csum, uint16_t was, uint16_t is)
{
	return net_csum_finish((uint64_t)(uint16_t)~csum + (uint16_t)~was + is);
}

/* The pseudo header of TCP and UDP over IPv4 (RFC 9293 3.1); len: of header and
 * payload; addresses as on the wire. */
static inline uint64_t net_csum_pseudo(uint32_t src, uint32_t dst, uint8_t proto, uint16_t len)
{
	return (uint64_t)src + dst + ((uint32_t)proto << 8) + __builtin_bswap16(len);
}

#endif /* NET_CSUM_H */

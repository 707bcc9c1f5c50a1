#include "config.h"

#include "apps/sha256.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

/* 4.2.2: of the cube roots of the first 64 primes */
static const uint32_t constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static uint32_t rotr(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

/* 6.2.2, step 1 */
static void schedule(uint32_t w[64], const uint8_t *block)
{
	for (unsigned t = 0; t < 16; t++, block += 4)
		w[t] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 |
		       (uint32_t)block[2] << 8 | block[3];
	for (unsigned t = 16; t < 64; t++) {
		uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
		uint32_t s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10;

		w[t] = w[t - 16] + s0 + w[t - 7] + s1;
	}
}

/* 6.2.2, steps 2 to 4 */
static void compress(uint32_t hash[8], const uint8_t *block)
{
	uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3];
	uint32_t e = hash[4], f = hash[5], g = hash[6], h = hash[7];
	uint32_t w[64];

	schedule(w, block);
	for (unsigned t = 0; t < 64; t++) {
		uint32_t s1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
		uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + constants[t] + w[t];
		uint32_t s0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
		uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));

		h = g;
		g = f;
		f = e;
		e = d + t1;
		d = c;
		c = b;
		b = a;
		a = t1 + t2;
	}
	hash[0] += a;
	hash[1] += b;
	hash[2] += c;
	hash[3] += d;
	hash[4] += e;
	hash[5] += f;
	hash[6] += g;
	hash[7] += h;
}

/* ---- the same by the processor's instructions, two rounds each */

#ifdef __x86_64__
static bool has_instructions(void)
{
	static int known = -1;	/* in a guest it takes the hypervisor to tell */
	unsigned eax, ebx, ecx, edx;

	if (known < 0)
		known = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && ebx & bit_SHA &&
			__get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_SSE4_1;
	return known;
}

/* Words 4 i to 4 i + 3 of the schedule; of the 16 before them w has four in each. */
__attribute__((target("sha,sse4.1"))) static __m128i next_words(const __m128i w[4], unsigned i)
{
	__m128i last = w[(i + 3) % 4];
	__m128i s0 = _mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]);

	return _mm_sha256msg2_epu32(_mm_add_epi32(s0, _mm_alignr_epi8(last, w[(i + 2) % 4], 4)),
				    last);
}

/* The instructions have the eight variables as ABEF and CDGH, A and C on top; what
 * was ABEF is CDGH two rounds later. */
__attribute__((target("sha,sse4.1"))) static void compress_x86(uint32_t hash[8],
							       const uint8_t *block)
{
	const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128((const void *)hash), 0x1b);
	__m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const void *)(hash + 4)), 0x1b);
	__m128i abef = _mm_unpackhi_epi64(hgfe, dcba), first_abef = abef;
	__m128i cdgh = _mm_unpacklo_epi64(hgfe, dcba), first_cdgh = cdgh;
	__m128i w[4];

	for (unsigned i = 0; i < 16; i++) {
		__m128i wk;

		if (i < 4)
			w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(block + 16 * i)),
						big_endian);
		else
			w[i % 4] = next_words(w, i);
		wk = _mm_add_epi32(w[i % 4], _mm_loadu_si128((const void *)(constants + 4 * i)));
		cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
		abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));
	}
	abef = _mm_add_epi32(abef, first_abef);
	cdgh = _mm_add_epi32(cdgh, first_cdgh);
	dcba = _mm_unpackhi_epi64(cdgh, abef);
	hgfe = _mm_unpacklo_epi64(cdgh, abef);
	_mm_storeu_si128((void *)hash, _mm_shuffle_epi32(dcba, 0x1b));
	_mm_storeu_si128((void *)(hash + 4), _mm_shuffle_epi32(hgfe, 0x1b));
}
#endif

void sha256_begin(struct sha256 *sha)
{
	sha256_begin_plain(sha);
#ifdef __x86_64__
	if (has_instructions())
		sha->compress = compress_x86;
#endif
}

void sha256_begin_plain(struct sha256 *sha)
{
	static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	memcpy(sha->hash, first, sizeof(first));
	sha->len = 0;
	sha->compress = compress;
}

void sha256_add(struct sha256 *sha, const void *bytes, size_t len)
{
	size_t have = sha->len % sizeof(sha->block);
	const uint8_t *in = bytes;

	sha->len += len;
	if (have > 0) {
		size_t n = sizeof(sha->block) - have;

		if (len < n)
			n = len;
		memcpy(sha->block + have, in, n);
		if (have + n < sizeof(sha->block))
			return;
		sha->compress(sha->hash, sha->block);
		in += n;
		len -= n;
	}
	for (; len >= sizeof(sha->block); in += sizeof(sha->block), len -= sizeof(sha->block))
		sha->compress(sha->hash, in);
	memcpy(sha->block, in, len);
}

/* 5.1.1: a bit, zeroes, the length in bits, so that blocks are whole */
void sha256_end(struct sha256 *sha, char text_out[SHA256_TEXT])
{
	static const uint8_t padding[64] = {0x80};
	uint64_t bits = sha->len * 8;
	size_t have = sha->len % sizeof(sha->block);
	uint8_t len[8];

	sha256_add(sha, padding, (have < 56 ? 56 : 120) - have);
	for (unsigned i = 0; i < 8; i++)
		len[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_add(sha, len, sizeof(len));
	for (unsigned i = 0; i < 8; i++)
		snprintf(text_out + 8 * i, 9, "%08x", sha->hash[i]);
}

#include "config.h"

#include "net/csum.h"

#include "net/netdev.h"

static uint64_t add_carry(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

/* Words of 8 bytes with the carry end-around; two sums, so that one add does not
 * wait for the other. */
static uint64_t add_words(const uint8_t **p, size_t *len)
{
	uint64_t a = 0, b = 0, low = 0, high = 0, w[4];

	/* halves of 32 bits cannot overflow a 64-bit sum in 4 GiB */
	for (; *len >= sizeof(w); *len -= sizeof(w), *p += sizeof(w)) {
		memcpy(w, *p, sizeof(w));
		for (int i = 0; i < 4; i++) {
			low += w[i] & 0xffffffff;
			high += w[i] >> 32;
		}
	}
	for (; *len >= 8; *len -= 8, *p += 8) {
		memcpy(w, *p, 8);
		a += w[0] & 0xffffffff;
		b += w[0] >> 32;
	}
	return add_carry(low + a, high + b);
}

uint64_t net_csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t last = 0;

	sum = add_carry(sum, add_words(&p, &len));
	if (len) {
		memcpy(&last, p, len);
		sum = add_carry(sum, last);
	}
	return sum;
}

/* A piece that begins at an odd place counts with its bytes swapped (RFC 1071 2B). */
uint64_t net_csum_segs(uint64_t sum, const struct net_out *out)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < out->n_segs; i++) {
		const struct net_seg *seg = &out->segs[i];
		uint64_t part = net_csum_add(0, seg->data, seg->len);

		if (at & 1)
			part = __builtin_bswap16(net_csum_fold(part));
		sum = add_carry(sum, part);
		at += seg->len;
	}
	return sum;
}

#include "config.h"

#include "net/csum.h"

#include "net/netdev.h"

/* Words of 8 bytes; the upper half of the sum collects the carries, which go around
 * to the end. */
static inline uint64_t add_words(uint64_t sum, const uint8_t **p, size_t *len)
{
	unsigned __int128 wide = sum;
	uint64_t w[4];

	for (; *len >= sizeof(w); *len -= sizeof(w), *p += sizeof(w)) {
		memcpy(w, *p, sizeof(w));
		wide += w[0];
		wide += w[1];
		wide += w[2];
		wide += w[3];
	}
	for (; *len >= sizeof(w[0]); *len -= sizeof(w[0]), *p += sizeof(w[0])) {
		memcpy(w, *p, sizeof(w[0]));
		wide += w[0];
	}
	return net_csum_join((uint64_t)wide, (uint64_t)(wide >> 64));
}

/* The last bytes, fewer than 8, as if zeroes came behind. */
static uint64_t last_bytes(const uint8_t *p, size_t len)
{
	uint8_t bytes[8] = { 0 };
	uint64_t w;

	if (len & 4)
		memcpy(bytes, p, 4);
	if (len & 2)
		memcpy(bytes + (len & 4), p + (len & 4), 2);
	if (len & 1)
		bytes[len - 1] = p[len - 1];
	memcpy(&w, bytes, sizeof(w));
	return w;
}

uint64_t net_csum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	sum = add_words(sum, &p, &len);
	return len ? net_csum_join(sum, last_bytes(p, len)) : sum;
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
		sum = net_csum_join(sum, part);
		at += seg->len;
	}
	return sum;
}

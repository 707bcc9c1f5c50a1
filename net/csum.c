#include "config.h"

#include "net/csum.h"

#include "base/compiler.h"
#include "net/netdev.h"

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
	uint64_t w;

	for (; len >= NET_CSUM_BLOCK; len -= NET_CSUM_BLOCK, p += NET_CSUM_BLOCK)
		sum = net_csum_block(sum, p);
	for (; len >= sizeof(w); len -= sizeof(w), p += sizeof(w)) {
		memcpy(&w, p, sizeof(w));
		sum = net_csum_join(sum, w);
	}
	return len ? net_csum_join(sum, last_bytes(p, len)) : sum;
}

/* A piece that begins at an odd place counts with its bytes swapped (RFC 1071 2B). */
uint64_t net_csum_segs(uint64_t sum, const struct net_out *out)
{
	uint32_t at = 0;

	if (likely(out->n_segs == 1))
		return net_csum_add(sum, out->segs[0].data, out->segs[0].len);
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

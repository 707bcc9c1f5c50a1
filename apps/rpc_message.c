#include "config.h"

#include "apps/rpc_message.h"

#include <string.h>

#define WORD sizeof(uint64_t)
#define STEP UINT64_C(0x9e3779b97f4a7c15) /* odd: words repeat after 2^64 steps only */

/* Mixes every bit of the number into every bit of the key (splitmix64). */
static uint64_t message_key(uint64_t number)
{
	uint64_t x = number + STEP;

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint64_t message_word(uint64_t number, uint64_t key, size_t i)
{
	return i == 0 ? number : key + i * STEP;
}

void rpc_message_fill(void *buf, size_t size, uint64_t number)
{
	uint64_t key = message_key(number);
	uint64_t word = number;
	uint8_t *out = buf;

	for (; size >= WORD; size -= WORD, out += WORD) {
		memcpy(out, &word, WORD);
		key += STEP;
		word = key;
	}
	memcpy(out, &word, size);
}

/* A part of one word, of which the first `skip` bytes are not looked at. */
static bool check_part(uint64_t word, size_t skip, const void *bytes, size_t len)
{
	return memcmp((const uint8_t *)&word + skip, bytes, len) == 0;
}

bool rpc_message_check(uint64_t number, size_t offset, const void *bytes, size_t len)
{
	uint64_t key = message_key(number);
	const uint8_t *in = bytes;
	size_t skip = offset % WORD;
	size_t i = offset / WORD;
	uint64_t diff = 0;

	if (skip > 0) {
		size_t n = len < WORD - skip ? len : WORD - skip;

		if (!check_part(message_word(number, key, i++), skip, in, n))
			return false;
		in += n;
		len -= n;
	}
	for (; len >= WORD; len -= WORD, in += WORD, i++) {
		uint64_t word;

		memcpy(&word, in, WORD);
		diff |= word ^ message_word(number, key, i);
	}
	return diff == 0 && (len == 0 || check_part(message_word(number, key, i), 0, in, len));
}

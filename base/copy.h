/*
 * Copies of a few cache lines, where a call of memcpy() costs as much as the copy.
 */
#ifndef BASE_COPY_H
#define BASE_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* n up to about 128; overlaps nothing. */
static inline void copy_small(void *to, const void *from, size_t n)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if (n == 64) { /* the usual one, without a loop */
		memcpy(d, s, 64);
		return;
	}
	if (n < 16) {
		while (n--)
			*d++ = *s++;
		return;
	}
	for (size_t i = 0; i + 16 <= n; i += 16)
		memcpy(d + i, s + i, 16);
	memcpy(d + n - 16, s + n - 16, 16); /* the rest, over what was copied */
}

#endif /* BASE_COPY_H */

#include "config.h"

#include "bench/touch.h"

void touch_write(void *buf, size_t len, uint64_t value)
{
	uint64_t *word = buf;
	size_t n = len / 8;

	for (size_t i = 0; i < n; i++)
		word[i] = value + i;
}

uint64_t touch_read(const void *buf, size_t len)
{
	const uint64_t *word = buf;
	uint64_t sum[4] = { 0 };
	size_t n = len / 8, i;

	for (i = 0; i + 4 <= n; i += 4)
		for (size_t k = 0; k < 4; k++)
			sum[k] += word[i + k];
	for (; i < n; i++)
		sum[0] += word[i];
	return sum[0] + sum[1] + sum[2] + sum[3];
}

uint64_t touch_sum(size_t len, uint64_t value)
{
	uint64_t n = len / 8;

	return n * value + n * (n - 1) / 2;
}

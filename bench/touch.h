/*
 * The two passes over a message that the program itself makes: the sender writes
 * every byte and the receiver reads every byte. One pair of functions, for the
 * measurement and for its floor.
 */
#ifndef BENCH_TOUCH_H
#define BENCH_TOUCH_H

#include <stddef.h>
#include <stdint.h>

/* buf and len are multiples of 8; value makes each message another. */
void touch_write(void *buf, size_t len, uint64_t value);
/* The sum of the words, which depends on every byte. */
uint64_t touch_read(const void *buf, size_t len);
/* What touch_read() returns for what touch_write() wrote. */
uint64_t touch_sum(size_t len, uint64_t value);

#endif /* BENCH_TOUCH_H */

/* Hints for the compiler that several folders use. */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* Of a function that is a part of its callers, whatever it costs in room. */
#define force_inline inline __attribute__((__always_inline__))
/* Of a function that a fast one leaves to: it stays out of its way. */
#define slow_path __attribute__((__noinline__, __cold__))
#define CACHE_LINE 64
#define cacheline_aligned __attribute__((__aligned__(CACHE_LINE)))
#define array_size(a) (sizeof(a) / sizeof((a)[0]))

#endif /* BASE_COMPILER_H */

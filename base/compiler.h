/* Hints for the compiler that several folders use. */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* Of a function that a fast one leaves to: it stays out of its way. */
#define slow_path __attribute__((__noinline__, __cold__))
/* In a loop that waits for another core: leaves its resources to whoever shares
 * this one. */
#if defined(__x86_64__) || defined(__i386__)
#define cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define cpu_relax() __asm__ volatile("yield" ::: "memory")
#else
#define cpu_relax() __asm__ volatile("" ::: "memory")
#endif
#define CACHE_LINE 64
#define cacheline_aligned __attribute__((__aligned__(CACHE_LINE)))
#define array_size(a) (sizeof(a) / sizeof((a)[0]))

#endif /* BASE_COMPILER_H */

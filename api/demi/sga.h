/*
 * Buffers. Memory that the devices can reach, allocated by the libOS.
 *
 * Who owns the bytes: an sga from demi_sgaalloc() or from a completed pop is
 * the program's until one demi_sgafree(). From its first push on, and from the
 * start for popped ones, its bytes are frozen: they may be read, pushed again
 * and freed at any moment (also before the push completes), never written.
 */
#ifndef DEMI_SGA_H
#define DEMI_SGA_H

#include <demi/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Allocates one contiguous segment of `size` bytes, 1 to the backend's limit
 * (at least 1 MiB everywhere; 256 MiB in catnap and catmem). Its content is
 * undefined. Returns the null sga (sga_numsegs 0, sga_buf NULL) if size is 0 or
 * over the limit, if the pool has reached pool.max_bytes or the system is out
 * of memory, and in a thread without an instance.
 * Call it from the thread that called demi_init().
 */
DEMI_EXPORT demi_sgarray_t demi_sgaalloc(size_t size);

/*
 * Frees a buffer from demi_sgaalloc() or a pop. Looks at sga_buf alone, so
 * segments that the program has trimmed do no harm. The bytes stay alive inside
 * the libOS for as long as a push still needs them.
 *
 * 0; EINVAL: sga is NULL, the null sga, not a buffer of this thread's instance,
 * or already freed; ENOSYS: this thread has no instance.
 */
DEMI_EXPORT int demi_sgafree(demi_sgarray_t *sga);

#ifdef __cplusplus
}
#endif

#endif /* DEMI_SGA_H */

/*
 * CLOWDER_DEBUG=buffers: checks that frozen bytes stay as they were (API rule
 * 2), double frees and leaks, and says which call broke it. Finds are logged as
 * errors and counted; nothing is aborted.
 */
#ifndef LIBOS_BUF_DEBUG_H
#define LIBOS_BUF_DEBUG_H

#include <stdint.h>

struct libos;
struct libos_buf;

int libos_buf_debug_init(struct libos *os);
/* Reports what the program still holds. */
void libos_buf_debug_leaks(struct libos *os);
void libos_buf_debug_fini(struct libos *os);

void libos_buf_debug_alloced(struct libos *os, struct libos_buf *buf);
void libos_buf_debug_popped(struct libos *os, int qd, struct libos_buf *buf,
			    const void *addr, uint32_t len);
void libos_buf_debug_pushed(struct libos *os, int qd, struct libos_buf *buf);
/* before the program's hold is dropped */
void libos_buf_debug_freed(struct libos *os, struct libos_buf *buf);
/* nobody but the program holds it now, or nobody at all */
void libos_buf_debug_released(struct libos *os, struct libos_buf *buf);
/* sga_buf that names no live buffer was freed */
void libos_buf_debug_bad_free(struct libos *os, const void *sga_buf);

#endif /* LIBOS_BUF_DEBUG_H */

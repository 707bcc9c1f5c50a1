#include "config.h"

#include <demi/sga.h>
#include <errno.h>
#include <string.h>

#include "api/call.h"
#include "libos/buf_debug.h"

static inline void do_alloc(struct libos *os, size_t size, demi_sgarray_t *sga)
{
	struct libos_buf *buf = libos_buf_alloc(&os->pool, size);

	if (unlikely(!buf))
		return;
	buf->app = 1;
	buf->len = (uint32_t)size;
	sga->sga_buf = buf->base;
	sga->sga_numsegs = 1;
	sga->sga_segs[0].sgaseg_buf = buf->base;
	sga->sga_segs[0].sgaseg_len = (uint32_t)size;
	if (unlikely(os->debug_buffers))
		libos_buf_debug_alloced(os, buf);
}

demi_sgarray_t demi_sgaalloc(size_t size)
{
	struct libos *os = call_enter();
	demi_sgarray_t sga;

	memset(&sga, 0, sizeof(sga));
	if (unlikely(!os))
		return sga;
	do_alloc(os, size, &sga);
	call_leave(os, 0);
	return sga;
}

static int do_free(struct libos *os, demi_sgarray_t *sga)
{
	struct libos_buf *buf;

	if (!sga || !sga->sga_buf)
		return EINVAL;
	buf = libos_buf_find(os, sga->sga_buf, 0);
	if (!buf || buf->base != sga->sga_buf) {
		if (os->debug_buffers)
			libos_buf_debug_bad_free(os, sga->sga_buf);
		return EINVAL;
	}
	if (buf->flags & LIBOS_BUF_WATCHED)
		libos_buf_debug_freed(os, buf);
	buf->app--;
	libos_buf_put(buf);
	return 0;
}

static slow_path int free_other(struct libos *os, demi_sgarray_t *sga)
{
	int saved = errno, err = call_end(os, do_free(os, sga));

	errno = saved;
	return err;
}

static slow_path int free_attend(struct libos *os, demi_sgarray_t *sga)
{
	int saved = errno, err;

	os = call_attend(os);
	err = os ? call_leave(os, do_free(os, sga)) : ENOSYS;
	errno = saved;
	return err;
}

/* One that its backend wants back, or that somebody looks at. */
static __attribute__((__noinline__)) int free_flagged(struct libos *os, struct libos_buf *buf)
{
	if (unlikely(buf->flags & LIBOS_BUF_WATCHED))
		libos_buf_debug_freed(os, buf);
	buf->app--;
	libos_buf_put(buf);
	return call_end(os, 0);
}

/* Nobody holds it any more. */
static inline int free_last(struct libos *os, struct libos_buf *buf)
{
	if (unlikely(buf->flags))
		libos_buf_release(buf);
	else
		libos_buf_give_back(buf);
	return call_end(os, 0);
}

/* The usual one: a buffer of our own, in the area that was found last, that
 * nobody waits for. */
int demi_sgafree(demi_sgarray_t *sga)
{
	struct libos *os = call_begin();
	struct libos_buf *buf;

	if (call_wants_attention(os))
		return free_attend(os, sga);
	if (unlikely(!sga))
		return free_other(os, sga);
	buf = libos_buf_find_hot(os, sga->sga_buf, 1);
	if (unlikely(!buf || buf->base != sga->sga_buf || buf->holds))
		return free_other(os, sga);
	if (unlikely(buf->flags & ~(uint32_t)LIBOS_BUF_CHARGED))
		return free_flagged(os, buf);
	buf->app--;
	if (!--buf->refs)
		return free_last(os, buf);
	return call_end(os, 0);
}

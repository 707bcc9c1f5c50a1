/*
 * How values of socket options come in and go out, for every backend that keeps its
 * own (POSIX getsockopt(), setsockopt()).
 */
#ifndef LIBOS_OPTION_H
#define LIBOS_OPTION_H

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* EINVAL: not of this size. */
static inline int libos_opt_take(void *to, size_t size, const void *val, socklen_t len)
{
	if (len != size)
		return EINVAL;
	memcpy(to, val, size);
	return 0;
}

static inline int libos_opt_take_int(int *n_out, const void *val, socklen_t len)
{
	return libos_opt_take(n_out, sizeof(*n_out), val, len);
}

/* SO_LINGER. EINVAL: less than no time, too. */
static inline int libos_opt_take_linger(struct linger *l_out, const void *val, socklen_t len)
{
	int err = libos_opt_take(l_out, sizeof(*l_out), val, len);

	return !err && l_out->l_onoff && l_out->l_linger < 0 ? EINVAL : err;
}

/* EINVAL: *len is less; else it becomes size. */
static inline int libos_opt_give(void *val, socklen_t *len, const void *from, socklen_t size)
{
	if (*len < size)
		return EINVAL;
	memcpy(val, from, size);
	*len = size;
	return 0;
}

static inline int libos_opt_give_int(void *val, socklen_t *len, int n)
{
	return libos_opt_give(val, len, &n, sizeof(n));
}

#endif /* LIBOS_OPTION_H */

#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <string.h>

#include "api/call.h"
#include "libos/backend.h"

/* SOL_DEMI is the core's own. */
static int demi_set(struct libos_queue *q, int name, const void *val, socklen_t len)
{
	int n;

	if (name != DEMI_POP_SEGS)
		return ENOPROTOOPT;
	if (len != sizeof(n))
		return EINVAL;
	memcpy(&n, val, sizeof(n));
	if (n != 0 && n != 1)
		return EINVAL;
	q->pop_segs = n;
	return 0;
}

static int demi_get(const struct libos_queue *q, int name, void *val, socklen_t *len)
{
	int n = q->pop_segs;

	if (name != DEMI_POP_SEGS)
		return ENOPROTOOPT;
	if (*len < sizeof(n))
		return EINVAL;
	memcpy(val, &n, sizeof(n));
	*len = sizeof(n);
	return 0;
}

int demi_setsockopt(int qd, int level, int optname, const void *optval, socklen_t optlen)
{
	struct libos *os = call_enter();
	struct libos_queue *q;
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	q = libos_queues_find(&os->queues, qd);
	if (!optval)
		err = EINVAL;
	else if (!q)
		err = EBADF;
	else if (level == SOL_DEMI)
		err = demi_set(q, optname, optval, optlen);
	else
		err = q->be->setsockopt(q, level, optname, optval, optlen);
	call_leave(os, 0);
	errno = saved;
	return err;
}

int demi_getsockopt(int qd, int level, int optname, void *optval, socklen_t *optlen)
{
	struct libos *os = call_enter();
	struct libos_queue *q;
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	q = libos_queues_find(&os->queues, qd);
	if (!optval || !optlen)
		err = EINVAL;
	else if (!q)
		err = EBADF;
	else if (level == SOL_DEMI)
		err = demi_get(q, optname, optval, optlen);
	else
		err = q->be->getsockopt(q, level, optname, optval, optlen);
	call_leave(os, 0);
	errno = saved;
	return err;
}

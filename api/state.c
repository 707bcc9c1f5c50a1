#include "config.h"

#include "api/state.h"

#include <errno.h>

#include "libos/queue.h"

#define N_STATES (LIBOS_CONNECTED + 1)

/* bind, listen, accept, connect, push, pop */
static const int stream[N_STATES][N_CALLS] = {
	[LIBOS_NEW] = { 0, EDESTADDRREQ, EINVAL, 0, ENOTCONN, ENOTCONN },
	[LIBOS_BOUND] = { EINVAL, 0, EINVAL, 0, ENOTCONN, ENOTCONN },
	[LIBOS_LISTENING] = { EINVAL, EADDRINUSE, 0, EOPNOTSUPP, ENOTCONN, ENOTCONN },
	[LIBOS_CONNECTING] = { EINVAL, EADDRINUSE, EINVAL, EINPROGRESS, ENOTCONN, ENOTCONN },
	[LIBOS_CONNECTED] = { EISCONN, EISCONN, EINVAL, EISCONN, 0, 0 },
};

static const int dgram_new[N_CALLS] = {
	0, EOPNOTSUPP, EOPNOTSUPP, 0, EDESTADDRREQ, EDESTADDRREQ
};
static const int dgram_bound[N_CALLS] = {
	EINVAL, EOPNOTSUPP, EOPNOTSUPP, 0, EDESTADDRREQ, 0
};
static const int dgram_connected[N_CALLS] = {
	EISCONN, EOPNOTSUPP, EOPNOTSUPP, 0, 0, 0
};
static const int pipe_any[N_CALLS] = {
	ENOTSUP, ENOTSUP, ENOTSUP, ENOTSUP, 0, 0
};

int state_check(const struct libos_queue *q, enum api_call call)
{
	if (q->type == LIBOS_STREAM)
		return stream[q->state][call];
	if (q->type == LIBOS_PIPE)
		return pipe_any[call];
	if (q->has_peer)
		return dgram_connected[call];
	return q->state == LIBOS_NEW ? dgram_new[call] : dgram_bound[call];
}

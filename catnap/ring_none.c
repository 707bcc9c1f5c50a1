/* catnap without liburing: epoll alone. */
#include "config.h"

#include "catnap/catnap.h"

#include <errno.h>

int catnap_uring_open(struct catnap_ctx *cc, const char **why_out, struct catnap_uring **u_out)
{
	(void)cc, (void)u_out;
	*why_out = "this library was built without liburing";
	return ENOTSUP;
}

void catnap_uring_close(struct catnap_ctx *cc)
{
	(void)cc;
}

void catnap_uring_arm(struct catnap_sock *s)
{
	(void)s;
}

void catnap_uring_fill(struct catnap_ctx *cc)
{
	(void)cc;
}

void catnap_uring_retry(struct catnap_ctx *cc)
{
	(void)cc;
}

bool catnap_uring_may_lend(struct catnap_ctx *cc)
{
	(void)cc;
	return true;
}

void catnap_uring_give(struct catnap_ctx *cc, struct libos_buf *buf)
{
	(void)cc;
	libos_buf_put(buf);
}

void catnap_uring_disarm(struct catnap_sock *s)
{
	(void)s;
}

bool catnap_uring_poll(struct catnap_ctx *cc)
{
	(void)cc;
	return false;
}

bool catnap_uring_sleep(struct catnap_ctx *cc)
{
	(void)cc;
	return true;
}

void catnap_uring_awake(struct catnap_ctx *cc)
{
	(void)cc;
}

ssize_t catnap_uring_send(struct catnap_sock *s, struct msghdr *msg, struct libos_buf *const *bufs)
{
	(void)s, (void)msg, (void)bufs;
	errno = ENOTSUP;
	return -1;
}

void catnap_uring_forget(struct catnap_sock *s)
{
	(void)s;
}

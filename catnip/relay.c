#include "config.h"

#include "catnip/relay.h"

#include "base/compiler.h"
#include "catnip/eal.h"
#include "libos/fds.h"
#include "libos/log.h"

#include <rte_interrupts.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX 512u	/* memif's are 128 bytes */

/* A socket that the interrupt thread looks at. Events may come late: for a descriptor
 * that has its number by then. */
struct side {
	int fd;			/* -1: none */
	struct rte_intr_handle *handle;
};

struct relay {
	int dir;
	char private[96];
	struct side listener;
	struct side caller;	/* the peer */
	struct side driver;	/* our call to the driver, for it */
	bool greeted;		/* the driver has spoken */
};

static int call_private(const struct relay *r, int *fd_out)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return errno;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/%.80s", r->dir, r->private);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0) {
		*fd_out = libos_fd_own(fd);
		return 0;
	}
	err = errno;
	close(fd);
	return err;
}

/* ---- sides */

static int side_open(struct side *side, int fd, rte_intr_callback_fn ready, struct relay *r)
{
	side->fd = fd;
	side->handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (side->handle && !rte_intr_fd_set(side->handle, fd) &&
	    !rte_intr_type_set(side->handle, RTE_INTR_HANDLE_EXT) &&
	    !rte_intr_callback_register(side->handle, ready, r))
		return 0;
	rte_intr_instance_free(side->handle);
	side->fd = -1;
	return ENOMEM;
}

/* EAL has forgotten it; the handle is a copy of EAL's. */
static void let_go(struct rte_intr_handle *handle, void *arg)
{
	(void)arg;
	libos_fd_close(rte_intr_fd_get(handle));
}

/* Now, or after the callback in which we are. */
static void side_close(struct side *side, rte_intr_callback_fn ready, struct relay *r)
{
	if (side->fd < 0)
		return;
	if (rte_intr_callback_unregister_pending(side->handle, ready, r, let_go) < 0 &&
	    rte_intr_callback_unregister(side->handle, ready, r) > 0)
		libos_fd_close(side->fd);
	rte_intr_instance_free(side->handle);
	side->fd = -1;
}

/* ---- messages */

static void from_caller(void *arg);
static void from_driver(void *arg);

static void call_end(struct relay *r)
{
	side_close(&r->caller, from_caller, r);
	if (r->greeted)
		side_close(&r->driver, from_driver, r);
}

enum passed {
	PASSED_NOTHING,		/* there is none: an event of who had its number before */
	PASSED_ONE,
	PASSED_END,		/* one of the two has gone */
};

/* One message, with the descriptor it may carry. */
static enum passed pass_on(int from, int to)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} in, out;
	char data[MESSAGE_MAX];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = in.buf,
			      .msg_controllen = sizeof(in.buf) };
	ssize_t n = recvmsg(from, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct cmsghdr *c;
	int fd = -1;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? PASSED_NOTHING : PASSED_END;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	iov.iov_len = (size_t)n;
	msg = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	if (fd >= 0) {
		memset(&out, 0, sizeof(out));
		msg.msg_control = out.buf;
		msg.msg_controllen = sizeof(out.buf);
		c = CMSG_FIRSTHDR(&msg);
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
				       .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	n = sendmsg(to, &msg, MSG_NOSIGNAL);
	if (fd >= 0)
		close(fd);
	return n < 0 ? PASSED_END : PASSED_ONE;
}

static void from_caller(void *arg)
{
	struct relay *r = arg;

	if (r->caller.fd >= 0 && pass_on(r->caller.fd, r->driver.fd) == PASSED_END)
		call_end(r);
}

/* The greeting, for a caller who did not stay to hear it. */
static void hear(struct relay *r)
{
	char greeting[MESSAGE_MAX];

	if (recv(r->driver.fd, greeting, sizeof(greeting), MSG_DONTWAIT) < 0 && errno == EAGAIN)
		return;
	r->greeted = true;
	call_end(r);
}

static void from_driver(void *arg)
{
	struct relay *r = arg;
	enum passed passed;

	if (r->driver.fd < 0)
		return;
	if (r->caller.fd < 0) {
		hear(r);
		return;
	}
	passed = pass_on(r->driver.fd, r->caller.fd);
	r->greeted |= passed != PASSED_NOTHING;
	if (passed == PASSED_END)
		call_end(r);
}

/* ---- callers */

static bool is_gone(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* One at a time. Who is dead makes room for who comes anew. */
static void admit(struct relay *r, int fd)
{
	int to = -1;

	if (r->caller.fd >= 0 && is_gone(r->caller.fd))
		call_end(r);
	if (r->caller.fd >= 0 || r->driver.fd >= 0 || call_private(r, &to)) {
		libos_fd_close(fd); /* it calls again */
		return;
	}
	r->greeted = false;
	if (side_open(&r->driver, to, from_driver, r)) {
		libos_fd_close(fd); /* the driver's stays open: it is not greeted yet */
		return;
	}
	if (side_open(&r->caller, fd, from_caller, r))
		libos_fd_close(fd);
}

static void knock(void *arg)
{
	struct relay *r = arg;
	int fd = libos_fd_own(accept4(r->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));

	if (fd >= 0)
		admit(r, fd);
}

/* ---- life */

static int listen_at(int dir, const char *name, int *fd_out)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return errno;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/%.80s", dir, name);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 && listen(fd, 4) == 0) {
		*fd_out = libos_fd_own(fd);
		return 0;
	}
	err = errno;
	close(fd);
	return err;
}

int relay_open(int dir, const char *public, const char *private, struct relay **relay_out)
{
	struct relay *r = calloc(1, sizeof(*r));
	int fd = -1, err;

	if (!r)
		return ENOMEM;
	r->dir = dir;
	r->caller.fd = r->driver.fd = -1;
	snprintf(r->private, sizeof(r->private), "%s", private);
	err = listen_at(dir, public, &fd);
	if (!err)
		err = side_open(&r->listener, fd, knock, r);
	if (err) {
		libos_fd_close(fd);
		free(r);
	}
	if (!err)
		*relay_out = r;
	return err;
}

static void end(void *arg)
{
	struct relay *r = arg;

	side_close(&r->listener, knock, r);
	r->greeted = true;
	call_end(r);
}

void relay_close(struct relay *relay)
{
	struct eal_job job = { .fn = end, .arg = relay };

	if (!relay)
		return;
	if (!eal_run(&job) && eal_finish(&job))
		free(relay);
}

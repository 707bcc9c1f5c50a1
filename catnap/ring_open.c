/* The ring's life: what the kernel must have, and how it is set up. */
#include "config.h"

#include "catnap/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libos/fds.h"

#define SQ_ENTRIES 256u
#define CQ_ENTRIES 4096u

static int buf_ring_open(struct catnap_uring *u)
{
	struct io_uring_buf_reg reg = { .bgid = CATNAP_BUF_GROUP, .ring_entries = u->n_bufs };
	int ret;

	u->br_size = u->n_bufs * sizeof(struct io_uring_buf);
	u->bufs = calloc(u->n_bufs, sizeof(*u->bufs));
	u->free_bids = calloc(u->n_bufs, sizeof(*u->free_bids));
	u->br = mmap(NULL, u->br_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (u->br == MAP_FAILED)
		u->br = NULL;
	if (!u->br || !u->bufs || !u->free_bids)
		return ENOMEM;
	/* A child's copy would make ours another page than the kernel's. */
	madvise(u->br, u->br_size, MADV_DONTFORK);
	io_uring_buf_ring_init(u->br);
	for (uint32_t i = 0; i < u->n_bufs; i++)
		u->free_bids[u->n_free++] = (uint16_t)(u->n_bufs - 1 - i);
	reg.ring_addr = (uint64_t)(uintptr_t)u->br;
	ret = io_uring_register_buf_ring(&u->ring, &reg, 0);
	return -ret;
}

/* A ring that was closed counts against the user's locked memory until the kernel
 * comes round to freeing it. */
static int ring_init(struct catnap_uring *u)
{
	const struct timespec nap = { 0, 2000000 };

	for (int tries = 0;; tries++) {
		struct io_uring_params p = {
			.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
				 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
				 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
			.cq_entries = CQ_ENTRIES,
		};
		int err = -io_uring_queue_init_params(SQ_ENTRIES, &u->ring, &p);

		if (err != ENOMEM || tries == 100)
			return err;
		nanosleep(&nap, NULL);
	}
}

static int setup(struct catnap_uring *u, const char **why_out)
{
	int err = ring_init(u);

	switch (err) {
	case 0:
		libos_fd_own(u->ring.ring_fd);
		io_uring_ring_dontfork(&u->ring);
		io_uring_register_ring_fd(&u->ring);
		return 0;
	case ENOSYS:
		*why_out = "this kernel has no io_uring";
		return ENOTSUP;
	case EPERM:
		*why_out = "it is not permitted (kernel.io_uring_disabled, or a sandbox)";
		return ENOTSUP;
	case EINVAL:
		*why_out = "this kernel is older than 6.1";
		return ENOTSUP;
	case ENOMEM:
		*why_out = "no memory that may be locked is left (ulimit -l)";
		return ENOMEM;
	default:
		*why_out = strerror(err);
		return err;
	}
}

static void ring_free(struct catnap_uring *u)
{
	int fd = u->ring.ring_fd;

	if (fd >= 0) {
		io_uring_unregister_ring_fd(&u->ring);
		libos_fd_close(fd);
		u->ring.ring_fd = -1; /* closed already */
		io_uring_queue_exit(&u->ring);
	}
	if (u->br)
		munmap(u->br, u->br_size);
	free(u->bufs);
	free(u->free_bids);
}

static int wait_one(struct catnap_uring *u, struct io_uring_cqe *cqe_out)
{
	struct __kernel_timespec limit = { .tv_sec = 1 };
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &limit, NULL);

	if (ret < 0)
		return -ret;
	return catnap_cqe_next(u, cqe_out) ? 0 : ETIME;
}

/*
 * One byte through a pair of sockets by a multishot receive that may take one:
 * an older kernel refuses the bound (before 6.17), or does not keep it.
 */
static int try_bound(struct catnap_uring *u, const int fds[2])
{
	static uint8_t byte[64];
	struct io_uring_cqe cqe;
	int err;

	io_uring_buf_ring_add(u->br, byte, sizeof(byte), 0, io_uring_buf_ring_mask(u->n_bufs), 0);
	io_uring_buf_ring_advance(u->br, 1);
	catnap_recv_prep(io_uring_get_sqe(&u->ring), fds[0], 1, CATNAP_TAG_NONE);
	if (send(fds[1], "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	err = wait_one(u, &cqe);
	if (err)
		return err;
	if (cqe.res < 0)
		return -cqe.res;
	return cqe.res != 1 || cqe.flags & IORING_CQE_F_MORE ? EINVAL : 0;
}

static int probe(struct catnap_uring *u, const char **why_out)
{
	struct io_uring_probe *p = io_uring_get_probe_ring(&u->ring);
	bool ops = p && io_uring_opcode_supported(p, IORING_OP_SENDMSG_ZC) &&
		   io_uring_opcode_supported(p, IORING_OP_ASYNC_CANCEL);
	int fds[2], err;

	io_uring_free_probe(p);
	*why_out = "this kernel has no bounded multishot receive (Linux 6.17)";
	if (!ops)
		return ENOTSUP;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
		err = errno;
		*why_out = strerror(err);
		return err;
	}
	err = try_bound(u, fds);
	close(fds[0]);
	close(fds[1]);
	return err ? ENOTSUP : 0;
}

/* On a ring of its own, which takes with it whatever a kernel leaves behind. */
static int probe_kernel(const char **why_out)
{
	struct catnap_uring u = { .n_bufs = 8, .ring.ring_fd = -1 };
	int err = setup(&u, why_out);

	if (err)
		return err;
	err = buf_ring_open(&u);
	if (err)
		*why_out = strerror(err);
	else
		err = probe(&u, why_out);
	ring_free(&u);
	return err;
}

static int bell_open(struct catnap_uring *u)
{
	u->efd = libos_fd_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (u->efd < 0)
		return errno;
	u->watch.ready = catnap_bell_ready;
	io_uring_cq_eventfd_toggle(&u->ring, false);
	if (io_uring_register_eventfd(&u->ring, u->efd) < 0)
		return ENOTSUP;
	return libos_watch_add(u->cc->base.os, &u->watch, u->efd, EPOLLIN);
}

static void uring_free(struct catnap_uring *u)
{
	libos_watch_del(u->cc->base.os, &u->watch);
	ring_free(u);
	libos_fd_close(u->efd);
	free(u);
}

int catnap_uring_open(struct catnap_ctx *cc, const char **why_out, struct catnap_uring **u_out)
{
	struct catnap_uring *u;
	int err = probe_kernel(why_out);

	if (err)
		return err;
	u = calloc(1, sizeof(*u));
	if (!u)
		return ENOMEM;
	u->cc = cc;
	u->efd = u->watch.fd = u->ring.ring_fd = -1;
	u->n_bufs = cc->ring_bufs;
	u->buf_size = cc->ring_buf_size;
	list_init(&u->zc_busy);
	list_init(&u->zc_free);
	err = setup(u, why_out);
	if (!err)
		err = buf_ring_open(u);
	if (!err)
		err = bell_open(u);
	if (err) {
		uring_free(u);
		return err;
	}
	*u_out = u;
	return 0;
}

static void zc_free_all(struct list *head)
{
	while (!list_empty(head)) {
		struct catnap_zc *z = list_first(head, struct catnap_zc, link);

		list_del(&z->link);
		free(z);
	}
}

/* The ring goes first: the kernel writes into the buffers until then. */
void catnap_uring_close(struct catnap_ctx *cc)
{
	struct catnap_uring *u = cc->uring;
	uint32_t n_bufs = u->n_bufs;
	struct libos_buf **bufs = u->bufs;

	u->bufs = NULL;
	while (!list_empty(&u->zc_busy))
		catnap_zc_put(u, list_first(&u->zc_busy, struct catnap_zc, link));
	zc_free_all(&u->zc_free);
	uring_free(u);
	for (uint32_t i = 0; i < n_bufs; i++) {
		if (!bufs[i])
			continue;
		cc->base.os->count[LIBOS_C_BUFS_OUT]++;
		libos_buf_put(bufs[i]);
	}
	free(bufs);
	cc->uring = NULL;
}

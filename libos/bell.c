#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/compiler.h"
#include "libos/fds.h"
#include "libos/libos.h"
#include "libos/process.h"

#define N_BELLS 4096u

static struct libos_bell bells[N_BELLS];
static _Atomic uint64_t next_id = 1;

int libos_bell_open(_Atomic uint8_t *attention, struct libos_bell **bell_out)
{
	static const uint64_t taken = UINT64_MAX;
	int fd = libos_fd_own(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

	if (fd < 0)
		return errno;
	for (uint32_t i = 0; i < N_BELLS; i++) {
		struct libos_bell *bell = &bells[i];
		uint64_t none = 0;

		if (!atomic_compare_exchange_strong(&bell->id, &none, taken))
			continue;
		bell->fd = fd;
		bell->attention = attention;
		atomic_store(&bell->rang, false);
		atomic_store(&bell->id, atomic_fetch_add(&next_id, 1) * N_BELLS + i);
		*bell_out = bell;
		return 0;
	}
	libos_fd_close(fd);
	return EMFILE;
}

void libos_bell_close(struct libos_bell *bell)
{
	int fd = bell->fd;

	atomic_store(&bell->id, UINT64_MAX);
	while (atomic_load(&bell->ringers))
		sched_yield();
	libos_fd_close(fd);
	atomic_store(&bell->id, 0);
}

uint64_t libos_bell_handle(const struct libos_bell *bell)
{
	return atomic_load(&bell->id);
}

int libos_bell_fd(const struct libos_bell *bell)
{
	return bell->fd;
}

bool libos_bell_quiet(struct libos_bell *bell)
{
	int saved = errno;
	uint64_t n;

	if (read(bell->fd, &n, sizeof(n)) < 0)
		errno = saved; /* the flag is set before the eventfd: not yet written */
	atomic_fetch_and(bell->attention, (uint8_t)~LIBOS_RANG);
	return atomic_exchange(&bell->rang, false);
}

int libos_bell_ring(uint64_t handle)
{
	struct libos_bell *bell = &bells[handle % N_BELLS];
	static const uint64_t one = 1;
	int saved = errno, err = EINVAL;

	if (!handle || handle == UINT64_MAX)
		return EINVAL;
	atomic_fetch_add(&bell->ringers, 1);
	if (atomic_load(&bell->id) == handle) {
		atomic_store(&bell->rang, true);
		atomic_fetch_or(bell->attention, LIBOS_RANG);
		if (write(bell->fd, &one, sizeof(one)) < 0)
			(void)0; /* full: readable already */
		err = 0;
	}
	atomic_fetch_sub(&bell->ringers, 1);
	errno = saved;
	return err;
}

void libos_bells_forget(void)
{
	for (uint32_t i = 0; i < N_BELLS; i++) {
		atomic_store_explicit(&bells[i].id, 0, memory_order_relaxed);
		/* a thread that was ringing at the fork is not in the child */
		atomic_store_explicit(&bells[i].ringers, 0, memory_order_relaxed);
	}
}

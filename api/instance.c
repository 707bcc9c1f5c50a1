#include "config.h"

#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "base/time.h"
#include "libos/log.h"

struct libos *call_attend(struct libos *os)
{
	uint8_t attention = atomic_load_explicit(&os->attention, memory_order_relaxed);

	if (attention & LIBOS_SEIZED) {
		atomic_store_explicit(&os->busy, false, memory_order_release);
		return NULL;
	}
	if (attention & LIBOS_FOREIGN)
		libos_foreign_enter(os);
	return os;
}

int demi_init(const struct demi_args *args)
{
	int saved = errno, err;
	struct libos *os;

	if (libos_self != &libos_none)
		return EEXIST;
	err = libos_open(args, &os);
	if (!err) {
		err = libos_process_adopt(os);
		if (err) {
			libos_close(os, 0);
			free(os);
			log_error("cannot start: %s", strerror(err));
		}
	}
	errno = saved;
	return err;
}

int demi_fini(void)
{
	struct libos *os = call_enter();
	int saved = errno;

	if (!os)
		return ENOSYS;
	call_leave(os, 0);
	libos_process_leave();
	errno = saved;
	return 0;
}

int demi_wakehandle(uint64_t *handle_out)
{
	struct libos *os = call_enter();

	if (!os)
		return ENOSYS;
	if (!handle_out)
		return call_leave(os, EINVAL);
	*handle_out = libos_bell_handle(os->bell);
	return call_leave(os, 0);
}

int demi_wake(uint64_t handle)
{
	return libos_bell_ring(handle);
}

int demi_waitfd(int *fd_out)
{
	struct libos *os = call_enter();
	int saved = errno, err;

	if (!os)
		return ENOSYS;
	if (!fd_out)
		return call_leave(os, EINVAL);
	err = call_leave(os, libos_foreign_open(os, fd_out));
	errno = saved;
	return err;
}

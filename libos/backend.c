#include "config.h"

#include "libos/backend.h"

#include <errno.h>

int libos_no_pipe(struct libos_ctx *ctx, const char *name, bool create,
		  struct libos_queue **q_out)
{
	(void)ctx, (void)name, (void)create, (void)q_out;
	return ENOTSUP;
}

void libos_no_flush(struct libos_ctx *ctx)
{
	(void)ctx;
}

bool libos_no_sleep_prepare(struct libos_ctx *ctx, uint64_t *deadline)
{
	(void)ctx, (void)deadline;
	return true;
}

void libos_no_sleep_done(struct libos_ctx *ctx)
{
	(void)ctx;
}

#include "config.h"

#include "tests/system/catnip_bare.h"

#include "base/time.h"
#include "libos/backend.h"
#include "libos/registry.h"

#include <errno.h>
#include <stdlib.h>

struct bare {
	struct libos_ctx base;
	struct catnip_port *port;
};

static int bare_map(void *arg, size_t size, void **addr_out, void **priv_out)
{
	return catnip_mem_map(((struct bare *)arg)->port, size, addr_out, priv_out);
}

static void bare_unmap(void *arg, void *addr, size_t size, void *priv)
{
	catnip_mem_unmap(((struct bare *)arg)->port, addr, size, priv);
}

static int bare_init(struct libos *os, struct libos_ctx **ctx_out)
{
	struct bare *b = calloc(1, sizeof(*b));
	int err = b ? catnip_port_open(os, &b->port) : ENOMEM;

	if (err)
		free(b);
	else
		*ctx_out = &b->base;
	return err;
}

static void bare_fini(struct libos_ctx *ctx)
{
	catnip_port_close(((struct bare *)(void *)ctx)->port);
}

static void bare_done(struct libos_ctx *ctx)
{
	catnip_port_free(((struct bare *)(void *)ctx)->port);
	free(ctx);
}

static bool bare_owes(struct libos_ctx *ctx)
{
	return catnip_port_owes(((struct bare *)(void *)ctx)->port);
}

static bool bare_poll(struct libos_ctx *ctx, uint64_t now)
{
	(void)ctx, (void)now;
	return false;
}

static const struct libos_key keys[] = { CATNIP_PORT_KEYS, { .name = NULL } };
static const struct libos_mem_ops bare_mem = { bare_map, bare_unmap };
static const struct libos_backend bare_backend = {
	.name = "bare",
	.keys = keys,
	.init = bare_init,
	.fini = bare_fini,
	.mem = &bare_mem,
	.mem_done = bare_done,
	.poll = bare_poll,
	.flush = libos_no_flush,
	.sleep_prepare = libos_no_sleep_prepare,
	.sleep_done = libos_no_sleep_done,
	.owes = bare_owes,
};
const struct libos_backend *const libos_registry[] = { &bare_backend, NULL };

struct catnip_port *bare_port(struct libos *os)
{
	return ((struct bare *)(void *)os->backends[0])->port;
}

struct libos *bare_open_or_exit(void)
{
	struct libos *os;
	int err = libos_open(NULL, &os);

	if (err)
		exit(err);
	return os;
}

void bare_close(struct libos *os)
{
	libos_close(os, time_now() + NSEC_PER_SEC);
	free(os);
}

/*
 * The reserve: memory for what arrives when the program's pool is at its limit,
 * because it hoards what it popped: packets that have to be copied, and those that
 * are put together. It is a pool of its own, so that nothing else takes it. What a
 * queue gets of it is charged to that queue, so no hoarder gets much.
 */
#include "config.h"

#include "catnip/device.h"

#include "libos/libos.h"

#define LEAST_LIMIT (4 * LIBOS_UNIT_SIZE) /* of a pool that can spare as much */

void port_reserve_open(struct catnip_port *port)
{
	struct libos_buf *first = NULL;

	libos_pool_init(&port->reserve, port->os, NULL, NULL);
	if (port->os->pool_limit >= LEAST_LIMIT)
		first = libos_buf_alloc(&port->reserve, RESERVE_BUF);
	if (!first)
		return;
	port->reserve_area = first->area;
	libos_buf_put(first);
}

void port_reserve_close(struct catnip_port *port)
{
	libos_pool_fini(&port->reserve);
}

struct libos_buf *port_reserve_alloc(struct catnip_port *port, uint32_t size)
{
	const struct libos_area *area = port->reserve_area;

	if (!area || size > RESERVE_BUF || area->n_used == area->n_objs)
		return NULL;
	return libos_buf_alloc(&port->reserve, RESERVE_BUF);
}

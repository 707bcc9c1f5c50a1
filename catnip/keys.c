#include "config.h"

#include "catnip/keys.h"

#include <stddef.h>
#include <stdint.h>

#include "catnip/port.h"
#include "libos/settings.h"

const struct libos_key catnip_keys[] = {
	/* the port */
	CATNIP_PORT_KEYS,
	/* addresses; demikernel.local_ipv4_addr is the core's */
	{ .name = "catnip.prefix", .type = LIBOS_KEY_INT, .def = "24", .min = 0, .max = 32 },
	{ .name = "catnip.gateway", .type = LIBOS_KEY_IPV4 },
	{ .name = "catnip.arp", .type = LIBOS_KEY_LIST },
	/* the stack */
	{ .name = "catnip.stack", .type = LIBOS_KEY_STRING },
	{ .name = NULL },
};

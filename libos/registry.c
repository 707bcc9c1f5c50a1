#include "config.h"

#include "libos/registry.h"

#include <stddef.h>

extern const struct libos_backend catnap_backend;
extern const struct libos_backend catmem_backend;
extern const struct libos_backend catnip_backend;

const struct libos_backend *const libos_registry[] = {
#ifdef REGISTRY_CATNAP
	&catnap_backend,
#endif
#ifdef REGISTRY_CATMEM
	&catmem_backend,
#endif
#ifdef REGISTRY_CATNIP
	&catnip_backend,
#endif
	NULL,
};

/*
 * The backends of one library. Each library compiles registry.c for itself with
 * REGISTRY_NAME defined for each backend it holds.
 */
#ifndef LIBOS_REGISTRY_H
#define LIBOS_REGISTRY_H

struct libos_backend;

/* NULL-terminated; the first is what no LIBOS means. */
extern const struct libos_backend *const libos_registry[];

#endif /* LIBOS_REGISTRY_H */

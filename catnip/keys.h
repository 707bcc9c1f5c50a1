/* The settings of catnip; clowder.conf(5) says what they mean. */
#ifndef CATNIP_KEYS_H
#define CATNIP_KEYS_H

#include "libos/settings.h"

extern const struct libos_key catnip_keys[];

#endif /* CATNIP_KEYS_H */

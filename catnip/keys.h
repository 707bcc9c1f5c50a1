/* The settings of catnip; clowder.conf(5) says what they mean. */
#ifndef CATNIP_KEYS_H
#define CATNIP_KEYS_H

struct libos_key;

extern const struct libos_key catnip_keys[];

#endif /* CATNIP_KEYS_H */

/*
 * A backend that is one of catnip's ports and nothing else, to test ports without the
 * stack. The program's registry has only this one.
 */
#ifndef TESTS_SYSTEM_CATNIP_BARE_H
#define TESTS_SYSTEM_CATNIP_BARE_H

#include "catnip/port.h"
#include "libos/libos.h"

/* An instance; an open that fails ends the process with its errno. */
struct libos *bare_open_or_exit(void);
void bare_close(struct libos *os);
struct catnip_port *bare_port(struct libos *os);

#endif /* TESTS_SYSTEM_CATNIP_BARE_H */

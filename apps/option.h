/* What the command lines of the programs have in common. */
#ifndef APPS_OPTION_H
#define APPS_OPTION_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* Each ends the program when the text is not what --name takes. */

/* A number from min to max; K and M behind it are understood. */
uint64_t option_number(const char *name, const char *text, uint64_t min, uint64_t max);
/* Seconds with a fraction, from min to 1000000, in ns. */
uint64_t option_seconds(const char *name, const char *text, double min);
void option_addr(const char *name, const char *text, struct in_addr *addr_out);
/* --libos: as LIBOS in the environment. */
void option_libos(const char *name);

/* What getopt_long() answered with '?' or ':', with opterr 0. */
_Noreturn void option_bad(int key, char *const *argv);
/* --help and --version: the text, and the end. */
_Noreturn void option_print(const char *text);

/* The address as people write it, in a buffer of at least 22 bytes. */
const char *option_addr_text(const struct sockaddr_in *addr, char *buf, size_t len);

#endif /* APPS_OPTION_H */

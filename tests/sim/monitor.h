/*
 * Listens at each host's device and holds what a stack sends against the RFCs'
 * words, whatever the programs make of it: checksums, acknowledgements of what was
 * sent and no more, windows that are kept and not taken back, segments in order.
 */
#ifndef TESTS_SIM_MONITOR_H
#define TESTS_SIM_MONITOR_H

#include <stdint.h>

struct host;
struct monitor;
struct world;

struct monitor *monitor_new(void);
void monitor_free(struct monitor *m);
/* A frame that a host's stack sends; one that it is given. */
void monitor_out(struct world *w, struct host *h, uint8_t *data, uint32_t len);
void monitor_in(struct world *w, struct host *h, uint8_t *data, uint32_t len);

#endif /* TESTS_SIM_MONITOR_H */

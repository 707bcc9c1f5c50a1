/*
 * CLOWDER_PCAP: what crosses a port, as a pcapng file for Wireshark. The second port
 * of the process writes to the same name with .1 behind it, and so on.
 */
#ifndef CATNIP_PCAP_H
#define CATNIP_PCAP_H

#include <stdbool.h>
#include <stdint.h>

struct catnip_port;
struct pcap;
struct rte_mbuf;

/* NULL if nobody asks for one. Any errno of open(), after a line. */
int pcap_open(const struct catnip_port *port, struct pcap **pcap_out);
void pcap_close(struct pcap *pcap);
/* A write that fails ends it, with one line; the port goes on. */
void pcap_write(struct catnip_port *port, struct rte_mbuf **mbufs, uint32_t n, bool received);

#endif /* CATNIP_PCAP_H */

/*
 * One DPDK port (or one queue pair of it) as the device of one stack: received
 * mbufs become packets, packets become mbufs. doc/catnip.md has the table of what
 * each driver may be handed.
 *
 * struct net_mem is struct libos_buf here. A buffer that a pop gives out lies in
 * the private area of its mbuf; what demi_sgaalloc() gives is a buffer of the
 * instance's pool, whose memory comes from EAL while there is some (catnip_mem).
 *
 * A received buffer starts with refs 1 and app, flags, origin, holds 0; the pool of
 * its FOREIGN area is &os->pool. What a pop pins is charged to its queue by the
 * backend, which hears of the end through LIBOS_BUF_CHARGED; the port need not know.
 */
#ifndef CATNIP_PORT_H
#define CATNIP_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "libos/buf.h"
#include "net/netdev.h"

struct libos;

#define CATNIP_BURST 32u

/* Settings of the port's, for the backend's table of keys. */
#define CATNIP_PORT_KEYS \
	{ .name = "catnip.link", .type = LIBOS_KEY_LIST, .def = "memif" }, \
	{ .name = "catnip.memory", .type = LIBOS_KEY_INT, .def = "512M", \
	  .min = 64 << 20, .max = INT64_C(1) << 40 }, \
	{ .name = "catnip.hugepages", .type = LIBOS_KEY_BOOL, .def = "no" }, \
	{ .name = "catnip.rx_buffers", .type = LIBOS_KEY_INT, .def = "2048", \
	  .min = 64, .max = 1 << 20 }, \
	{ .name = "catnip.checksums", .type = LIBOS_KEY_CHOICE, .def = "auto", \
	  .choices = catnip_checksums }, \
	{ .name = "catnip.pcap", .type = LIBOS_KEY_STRING, .env = "CLOWDER_PCAP" }

struct catnip_port;

/* auto: not where the link is memory; always */
extern const char *const catnip_checksums[];

/*
 * Starts EAL if nobody has, and takes the next port or queue that no instance has.
 * EBUSY: all are taken; every error comes after one line that says what to do.
 */
int catnip_port_open(struct libos *os, struct catnip_port **port_out);
/* Stops it; buffers that the program or others still hold stay valid until
 * catnip_port_free(). */
void catnip_port_close(struct catnip_port *port);
void catnip_port_free(struct catnip_port *port);

/* What the stack sees of it; ops, mac, mtu, caps are filled. */
struct net_dev *catnip_port_dev(struct catnip_port *port);
/* This end's role on a link that has two: 0 (server) or 1; picks the address. */
unsigned catnip_port_end(const struct catnip_port *port);
/* Whether every address is ours to bind there (memif and other private links), and
 * whether it brings back what it is sent (a ring with itself). */
bool catnip_port_is_private(const struct catnip_port *port);
bool catnip_port_loops(const struct catnip_port *port);
/* Whether the other end is there (memif: connected). */
bool catnip_port_is_up(struct catnip_port *port);
/* How often it has gone; what it had sent was given out before. */
uint32_t catnip_port_losses(const struct catnip_port *port);

/* Up to CATNIP_BURST packets, each with one reference. */
uint32_t catnip_port_receive(struct catnip_port *port, struct net_pkt *pkts);
/* What earlier transmits left with the port. true: something is left still. */
bool catnip_port_flush(struct catnip_port *port);
/* Whether something that was taken could still be lost with this process. */
bool catnip_port_owes(struct catnip_port *port);
/* A descriptor that becomes readable (an edge: it stays so) when packets come and it
 * is armed; -1: none, it has to be napped on. rx_arm: false, it is not armed. */
int catnip_port_rx_fd(struct catnip_port *port);
bool catnip_port_rx_arm(struct catnip_port *port, bool on);

/* The instance's pool: areas from EAL's memory, then plain pages. arg is the port. */
int catnip_mem_map(struct catnip_port *port, size_t size, void **addr_out, void **priv_out);
void catnip_mem_unmap(struct catnip_port *port, void *addr, size_t size, void *priv);

static inline struct libos_buf *catnip_buf(struct net_mem *mem)
{
	return (struct libos_buf *)(void *)mem;
}

static inline struct net_mem *catnip_net_mem(struct libos_buf *buf)
{
	return (struct net_mem *)(void *)buf;
}

#endif /* CATNIP_PORT_H */

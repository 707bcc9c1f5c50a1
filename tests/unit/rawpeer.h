/*
 * A peer of catmem made by hand, so that it can lie: it speaks the wire format
 * of catmem/wire.h over a socket and a half of a ring of its own.
 */
#ifndef TESTS_UNIT_RAWPEER_H
#define TESTS_UNIT_RAWPEER_H

#include <stdbool.h>
#include <stdint.h>

#include "catmem/ring.h"
#include "catmem/wire.h"

struct rawpeer {
	int sock;
	uint8_t *mine;
	uint8_t *theirs;	/* NULL until raw_hello_in() */
	struct ring ring;
};

enum raw_seals {
	RAW_SEALED,
	RAW_UNSEALED,
	RAW_NO_WRITE_SEAL,	/* cannot shrink, but could be written by others */
};

/* A memfd of `size` bytes, allocated or full of holes, mapped at *addr_out. */
int raw_memfd(uint32_t size, bool allocated, enum raw_seals seals, uint8_t **addr_out);
/* Connects to the rendezvous socket of 127.0.0.1:port. */
void raw_connect(struct rawpeer *p, uint16_t port);
void raw_note(struct rawpeer *p, uint32_t type, uint32_t value, uint64_t size, int fd);
/* Both halves of the ring are in place afterwards. */
void raw_hello(struct rawpeer *p);
/* Fills and publishes a slot, and kicks. */
void raw_slot(struct rawpeer *p, uint32_t tag, const void *data, size_t len);
/* The same, kicking only when the ring is full; false: it stays full. */
bool raw_fill(struct rawpeer *p, uint32_t tag, const void *data, size_t len);
/* The next slot of the wanted type, copied; others are skipped. */
void raw_expect(struct rawpeer *p, enum wire_type type, uint32_t *tag_out, void *data_out);
/* Asks for a connection to 127.0.0.1:port: the other's name for it. */
uint32_t raw_open(struct rawpeer *p, uint16_t port, uint32_t my_name);
/* Whether the other side closes the socket before long. */
bool raw_is_cut_off(struct rawpeer *p);
void raw_close(struct rawpeer *p);

#endif /* TESTS_UNIT_RAWPEER_H */

/*
 * What one instance says to another: slots of the ring, and messages on the
 * Unix socket beside it. Both ends are processes of one host and of one build or
 * another, so the layout has a version. Nothing here is trusted when it comes in.
 */
#ifndef CATMEM_WIRE_H
#define CATMEM_WIRE_H

#include <stdint.h>

#include "catmem/ring.h"

#define WIRE_MAGIC 0x636c6d32u	/* changes with the layout */
#define WIRE_HALF_SIZE 8192u	/* of a ring: control and 63 slots */
#define WIRE_INLINE_MAX 112u	/* bytes that ride in the slot itself */
#define WIRE_REFS_MAX 5u
#define WIRE_RETURNS_MAX 30u

/* A slot's tag: type (8 bits), count of refs or loans (7), WIRE_GIVES_BACK (1),
 * inline bytes (16). */
enum wire_type {
	WIRE_DATA = 1,		/* stream bytes in the slot */
	WIRE_REFS,		/* stream bytes by reference */
	WIRE_DGRAM,		/* one datagram in the slot */
	WIRE_DGRAM_REF,		/* one datagram by reference */
	WIRE_CONNECT,
	WIRE_ACCEPT,
	WIRE_REFUSE,
	WIRE_FIN,
	WIRE_FINACK,
	WIRE_RESET,
	WIRE_CREDIT,		/* inline bytes that were consumed */
	WIRE_NEED,		/* the sender is stalled: give credit at once */
	WIRE_RETURN,		/* loans given back */
	WIRE_GONE,		/* nobody here has that datagram address */
};

/* DATA and REFS: `loan` names a loan given back, which so costs no slot of its own
 * and is there before the answer that it rides with. */
#define WIRE_GIVES_BACK (1u << 15)

static inline uint32_t wire_tag(enum wire_type type, uint32_t count, uint32_t len)
{
	return (uint32_t)type | count << 8 | len << 16;
}

static inline uint32_t wire_tag_type(uint32_t tag)
{
	return tag & 0xff;
}

static inline uint32_t wire_tag_count(uint32_t tag)
{
	return tag >> 8 & 0x7f;
}

static inline uint32_t wire_tag_len(uint32_t tag)
{
	return tag >> 16;
}

/* A region's name: the low bits are used again, with others above them, so that a
 * reference never meets the memory that had them before. */
#define WIRE_REGION_BITS 16u
#define WIRE_REGIONS_MAX 0xffffu /* live at once */

static inline uint32_t wire_region_slot(uint32_t id)
{
	return id & ((1u << WIRE_REGION_BITS) - 1);
}

/*
 * Bytes by reference. region is the sender's, or WIRE_YOURS: then they lie in
 * what the receiver itself lent as `lent`. loan names this reference until it is
 * given back with WIRE_RETURN.
 */
#define WIRE_YOURS UINT32_MAX

struct wire_ref {
	uint32_t region;
	uint32_t lent;
	uint32_t loan;
	uint32_t offset;
	uint32_t len;
};

/* Every stream message begins with the receiver's name for the connection. */
struct wire_data {
	uint32_t conn;
	uint32_t loan;			/* with WIRE_GIVES_BACK */
	union {
		uint8_t bytes[WIRE_INLINE_MAX];
		struct wire_ref refs[WIRE_REFS_MAX];
		struct {
			uint32_t peer_conn;	/* ACCEPT: the sender's name */
			uint32_t value;		/* REFUSE, RESET: errno; CREDIT: bytes */
		} word;
	};
};

struct wire_dgram {
	uint32_t src_ip, dst_ip;	/* network order, as ports are */
	uint16_t src_port, dst_port;
	uint32_t pad;
	union {
		uint8_t bytes[WIRE_INLINE_MAX - 8];
		struct wire_ref ref;
	};
};

#define WIRE_DGRAM_INLINE_MAX (WIRE_INLINE_MAX - 8u)

struct wire_connect {
	uint32_t peer_conn;		/* the sender's name for it */
	uint32_t src_ip, dst_ip;
	uint16_t src_port, dst_port;
};

struct wire_return {
	uint32_t loans[WIRE_RETURNS_MAX];
};

/* A word that the peer may change at any time, read exactly once. */
static inline uint32_t wire_read(const uint32_t *word)
{
	return *(const volatile uint32_t *)word;
}

/* Where in `bytes` a message of so many lies: 49 to 64 fill the slot's second
 * cache line, where they can be fetched beside the first and not after it. */
static inline uint32_t wire_inline_at(uint32_t len)
{
	return len > 48 && len <= 64 ? 48 : 0;
}

_Static_assert(sizeof(struct wire_data) <= RING_SLOT_DATA, "fits a slot");
_Static_assert(sizeof(struct wire_dgram) <= RING_SLOT_DATA, "fits a slot");
_Static_assert(sizeof(struct wire_return) <= RING_SLOT_DATA, "fits a slot");

/* Messages on the socket. HELLO and REGION carry one descriptor. */
enum wire_note_type {
	WIRE_NOTE_HELLO = 1,	/* value: WIRE_MAGIC; my half of the ring */
	WIRE_NOTE_REGION,	/* value: its number; the memory */
	WIRE_NOTE_WITHDRAW,	/* value: its number; no longer used */
	WIRE_NOTE_PIPE,		/* value: the sender's name for the connection */
	WIRE_NOTE_KICK,		/* look at the ring */
};

struct wire_note {
	uint32_t type;
	uint32_t value;
	uint64_t size;		/* REGION: bytes */
};

#endif /* CATMEM_WIRE_H */

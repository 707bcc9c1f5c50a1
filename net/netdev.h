/*
 * What the stack asks of a device, and how packets pass between the two. A
 * device is DPDK's port, the simulator's link, a test's array: whoever embeds
 * the stack fills a struct net_dev and calls net_input() with what it received.
 *
 * Memory belongs to the embedder. The stack only holds references: net_mem is
 * whatever the embedder counts them on, and data is where the bytes are. What the
 * stack was lent for sending it never writes.
 */
#ifndef NET_NETDEV_H
#define NET_NETDEV_H

#include <stdbool.h>
#include <stdint.h>

struct net_dev;
struct net_mem;

/* Some bytes and what keeps them alive. Who holds a seg holds one reference. */
struct net_seg {
	struct net_mem *mem;
	uint8_t *data;
	uint32_t len;
	uint32_t pinned;	/* bytes of memory that the reference keeps from
				 * being used again; only of received ones */
};

/* ---- received */

enum net_pkt_flag {
	NET_PKT_IP_GOOD = 1u << 0,	/* the device has checked this checksum */
	NET_PKT_L4_GOOD = 1u << 1,
	NET_PKT_IP_BAD = 1u << 2,
	NET_PKT_L4_BAD = 1u << 3,
	/* the stack's own: */
	NET_PKT_GROUP = 1u << 4,	/* to a group of link addresses, or all */
	NET_PKT_LOOPED = 1u << 5,	/* ours, around inside the stack */
};

/* One frame (or, from a device without Ethernet, one IP packet), contiguous. The
 * stack may write into it: it is nobody else's. */
struct net_pkt {
	struct net_seg seg;
	uint32_t flags;
};

/* ---- to be sent */

#define NET_HDR_ROOM 128	/* Ethernet, IP and TCP at their longest, and more */
#define NET_OUT_SEGS 16

enum net_out_flag {
	NET_OUT_IP_CSUM = 1u << 0,	/* the device is to fill the IPv4 checksum in */
	NET_OUT_TCP_CSUM = 1u << 1,	/* ... of TCP; the field holds the pseudo header's
					 * (its length 0 if NET_OUT_TSO) */
	NET_OUT_UDP_CSUM = 1u << 2,
	NET_OUT_TSO = 1u << 3,		/* cut into segments of mss bytes of payload */
};

/*
 * One packet: headers by value, payload by reference. The device copies the
 * headers, and references the payload, or copies that too where it cannot reach
 * it or where that is quicker.
 */
struct net_out {
	uint8_t *hdr;		/* the first byte, inside room */
	uint16_t hdr_len;
	uint8_t l2_len, l3_len, l4_len;
	uint8_t n_segs;
	uint16_t mss;		/* TSO */
	uint32_t flags;		/* enum net_out_flag */
	uint32_t len;		/* payload bytes in segs */
	struct net_seg segs[NET_OUT_SEGS];
	uint8_t room[NET_HDR_ROOM] __attribute__((__aligned__(16)));
};

/* ---- the device */

enum net_dev_cap {
	NET_DEV_IP_CSUM = 1u << 0,
	NET_DEV_TCP_CSUM = 1u << 1,
	NET_DEV_UDP_CSUM = 1u << 2,
	NET_DEV_TSO = 1u << 3,		/* and TCP_CSUM, IP_CSUM */
	NET_DEV_NO_SUMS = 1u << 4,	/* nobody looks at them: the fields stay 0 */
};

struct net_dev_ops {
	/*
	 * Takes the first packets, as many as there is room for, and says how many;
	 * their references are the device's, and the structs are free again on
	 * return. The rest stays with the stack, which offers it again in the next
	 * net_flush(). May take a packet and drop it (no memory: counted there).
	 */
	uint32_t (*transmit)(struct net_dev *dev, struct net_out *const *outs, uint32_t n);
	/* Memory of at least size bytes (up to 64 KiB) with one reference, for
	 * reassembled packets, short pieces copied together and the loopback; NULL:
	 * none left, which is counted. */
	struct net_mem *(*alloc)(struct net_dev *dev, uint32_t size, struct net_seg *seg_out);
	void (*get)(struct net_mem *mem);
	void (*put)(struct net_mem *mem);
};

struct net_dev {
	const struct net_dev_ops *ops;
	uint8_t mac[6];
	bool ethernet;		/* false: bare IP packets in both directions */
	uint16_t mtu;		/* bytes of the longest IP packet, at least 576 */
	uint32_t caps;		/* enum net_dev_cap */
	uint32_t tso_max;	/* bytes of payload in one TSO packet */
};

#endif /* NET_NETDEV_H */

/*
 * catnip.link: what a port is to be, item by item, as a DPDK virtual device; and the
 * lock that says which end of a private link between two processes is ours.
 */
#ifndef CATNIP_LINK_H
#define CATNIP_LINK_H

#include <stdbool.h>
#include <stdint.h>

enum catnip_link_kind {
	LINK_FOUND,		/* a port that EAL found, by dpdk.eal_init or pci: */
	LINK_MEMIF,
	LINK_AF_XDP,
	LINK_AF_PACKET,
	LINK_TAP,
	LINK_RING,
	LINK_VHOST,
	LINK_VIRTIO,
	LINK_VDEV,
};

#define LINK_MEMIF_ROOM 9216u	/* bytes of the longest frame; both ends have to agree */

struct catnip_link {
	enum catnip_link_kind kind;
	char arg[128];		/* behind the colon; "" */
	char vdev[32];		/* "net_memif0" */
	char args[320];		/* of the vdev */
	unsigned end;		/* 0: server, 1: client */
	bool zero_copy;
	int lock;		/* the descriptor that holds our end, -1 */
	int dir;		/* where its socket is, -1 */
};

/* What item says. EINVAL, after a line. */
int catnip_link_parse(const char *item, struct catnip_link *link_out);
/*
 * Makes ready what the i-th port of this process needs: takes an end, fills vdev and
 * args. EBUSY (both ends are taken), ENODEV, EPERM..., after a line.
 */
int catnip_link_open(struct catnip_link *link, uint32_t i);
void catnip_link_close(struct catnip_link *link);
/* The names of a memif's socket: the one that peers call at, and the driver's. */
#define LINK_SOCK_NAME 96
void catnip_link_sockets(const struct catnip_link *link, char public[LINK_SOCK_NAME],
			 char private[LINK_SOCK_NAME]);
/* Nobody can come any more: the server of a memif takes its sockets away. */
void catnip_link_withdraw(const struct catnip_link *link);
/* Its device is to be made again without zero-copy. */
void catnip_link_copy(struct catnip_link *link);
/* Why a device could not be made, in one line; returns the errno to give. */
int catnip_link_refuse(const struct catnip_link *link, int err);
/* As it was written. */
const char *catnip_link_name(const struct catnip_link *link, char *buf, unsigned len);

#endif /* CATNIP_LINK_H */

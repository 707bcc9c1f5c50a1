/*
 * What each driver may be handed, by its name: tried, not what its capability flags
 * say (tests/system/catnip_drivers.sh). What is not in the table gets nothing but
 * single mbufs of the port's own pool, which every driver takes.
 */
#ifndef CATNIP_DRIVER_H
#define CATNIP_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

/* Memory of a payload that it reaches where it lies. */
enum driver_reach {
	REACH_NONE,		/* all is copied */
	REACH_FIRST_LIST,	/* EAL's first segment list, as of link-up */
	REACH_DMA,		/* EAL's, and pages it was told of */
	REACH_ANY,		/* it copies, or asks the kernel to */
};

struct driver {
	const char *name;	/* as in rte_eth_dev_info */
	const char *with;	/* in its arguments, for one that behaves in two ways */
	enum driver_reach reach;
	bool chain;		/* takes packets of several segments */
	bool rx_pool;		/* takes only mbufs of its receive pool */
	bool passes_on;		/* gives its mbufs to another port, instead of freeing them */
	bool keeps;		/* frees what was sent only in a later call */
	bool gate;		/* its control thread takes things away (catnip/eal.h) */
	bool is_private;	/* between two of us: all addresses are ours to bind */
	bool memory;		/* nothing can be damaged on the way */
	bool interrupt;		/* receive interrupts */
	bool offloads;		/* its capabilities are to be believed */
	uint16_t room;		/* bytes of the longest frame, 0: what the MTU asks for */
	uint16_t mtu;		/* unless it is set */
	uint16_t max_mtu;	/* 0: what the device says */
	uint16_t n_rx, n_tx;	/* descriptors */
};

/* args: of the device, or NULL. Never NULL. */
const struct driver *driver_find(const char *name, const char *args);

#endif /* CATNIP_DRIVER_H */

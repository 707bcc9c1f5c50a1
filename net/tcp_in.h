/* A TCP segment that has arrived, in host order. */
#ifndef NET_TCP_IN_H
#define NET_TCP_IN_H

#include <stdbool.h>
#include <stdint.h>

#include "net/netdev.h"
#include "net/wire.h"

struct net_addr;
struct net_stack;
struct tcp_conn;

struct tcp_in {
	uint32_t seq, ack;
	uint32_t wnd;		/* as in the header, not scaled */
	uint8_t flags;		/* NET_TCP_* */
	bool has_ts;
	bool has_wscale;
	uint8_t wscale;
	uint16_t mss;		/* 0: no such option */
	uint32_t tsval, tsecr;
	struct net_seg seg;	/* the payload; mem NULL: somebody has taken it over */
};

/* SEG.LEN */
static inline uint32_t tcp_in_len(const struct tcp_in *in)
{
	return in->seg.len + !!(in->flags & NET_TCP_SYN) + !!(in->flags & NET_TCP_FIN);
}

/* RFC 9293 3.10.7.3 and 3.10.7.4. */
void tcp_in_arrives(struct tcp_conn *c, struct tcp_in *in);

#endif /* NET_TCP_IN_H */

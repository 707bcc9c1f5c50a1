/* RFC 5681's congestion control, with RFC 3465's counting of bytes; RFC 6582's recovery
 * is the same for all and in tcp_ack.c. */
#include "config.h"

#include "net/tcp_cc.h"

#include "net/tcp_conn.h"

static void init(struct tcp_conn *c)
{
	c->cc_acked = 0;
}

static void slow_start(struct tcp_conn *c, uint32_t bytes)
{
	/* after a timeout one segment per ACK (RFC 3465 2.3) */
	if (c->ca == TCP_CA_IS_LOSS && bytes > c->mss)
		bytes = c->mss;
	c->cwnd += bytes;
}

static void avoid_congestion(struct tcp_conn *c, uint32_t bytes)
{
	c->cc_acked += bytes;
	if (c->cc_acked < c->cwnd)
		return;
	c->cc_acked -= c->cwnd;
	c->cwnd += c->mss;
}

/* A window that was not used says nothing of the path (RFC 7661's reason): slow start
 * goes on while half of it is, as a burst that fills it may be about to come. */
static void acked(struct tcp_conn *c, uint32_t bytes, uint32_t flight)
{
	if (c->cwnd < c->ssthresh) {
		if (flight >= c->cwnd / 2)
			slow_start(c, bytes);
	} else if (flight + c->mss > c->cwnd) {
		avoid_congestion(c, bytes);
	}
}

static uint32_t ssthresh(struct tcp_conn *c, uint32_t flight)
{
	uint32_t half = flight / 2;

	return half > 2u * c->mss ? half : 2u * c->mss;
}

static void recovered(struct tcp_conn *c)
{
	c->cc_acked = 0;
}

static void timeout(struct tcp_conn *c)
{
	c->cc_acked = 0;
}

static void marked(struct tcp_conn *c, uint32_t bytes)
{
	(void)c;
	(void)bytes;
}

static void idle(struct tcp_conn *c)
{
	uint32_t iw = tcp_stack(c)->config.iw * c->mss;

	if (c->cwnd > iw)
		c->cwnd = iw;
	c->cc_acked = 0;
}

const struct net_tcp_cc net_tcp_newreno = {
	.name = "reno",
	.init = init,
	.acked = acked,
	.ssthresh = ssthresh,
	.recovered = recovered,
	.timeout = timeout,
	.marked = marked,
	.idle = idle,
};

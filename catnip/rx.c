#include "config.h"

#include "catnip/device.h"
#include "catnip/pcap.h"
#include "libos/libos.h"

#include <rte_ethdev.h>
#include <rte_memcpy.h>

#define IDLE_PASSES 16u	/* until the driver is asked for what it has sent */

static inline uint32_t flags_of(const struct catnip_port *port, const struct rte_mbuf *m)
{
	uint64_t ip = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	if (!port->sums)
		return NET_PKT_IP_GOOD | NET_PKT_L4_GOOD;
	return (ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD ? NET_PKT_IP_GOOD : 0) |
	       (ip == RTE_MBUF_F_RX_IP_CKSUM_BAD ? NET_PKT_IP_BAD : 0) |
	       (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD ? NET_PKT_L4_GOOD : 0) |
	       (l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD ? NET_PKT_L4_BAD : 0);
}

/* All segments of m, in memory of the program's pool, or of the reserve: that may
 * run out, and the port's does not. */
static slow_path bool copy_in(struct catnip_port *port, struct rte_mbuf *m, struct net_pkt *pkt)
{
	struct libos_buf *buf = libos_buf_alloc(&port->os->pool, m->pkt_len);
	uint32_t off = 0;

	if (unlikely(!buf))
		buf = port_reserve_alloc(port, m->pkt_len);
	if (unlikely(!buf)) {
		port->count[PORT_C_RX_DROPPED]++;
		rte_pktmbuf_free(m);
		return false;
	}
	port->count[m->nb_segs > 1 ? PORT_C_RX_JOINED : PORT_C_RX_COPIED] += m->pkt_len;
	pkt->flags = flags_of(port, m);
	for (struct rte_mbuf *s = m; s && off + s->data_len <= m->pkt_len; s = s->next) {
		rte_memcpy(buf->base + off, rte_pktmbuf_mtod(s, void *), s->data_len);
		off += s->data_len;
	}
	pkt->seg = (struct net_seg){ .mem = catnip_net_mem(buf), .data = buf->base, .len = off,
				     .pinned = buf->len };
	rte_pktmbuf_free(m);
	return true;
}

/* What may go up as it is: one segment, ours, while there are plenty. */
static force_inline bool take(struct catnip_port *port, struct rte_mbuf *m, struct net_pkt *pkt)
{
	struct libos_buf *buf;

	port->count[PORT_C_RX_BYTES] += m->pkt_len;
	if (unlikely(m->nb_segs > 1 || m->pool != port->rx.mp || port->rx.out >= port->rx_out_max ||
		     m->data_len > port->rx.room))
		return copy_in(port, m, pkt);
	buf = pool_give_out(&port->rx, m);
	pkt->flags = flags_of(port, m);
	pkt->seg = (struct net_seg){ .mem = catnip_net_mem(buf), .data = buf->base,
				     .len = buf->len, .pinned = port->rx.stride };
	return true;
}

static __attribute__((__noinline__)) uint32_t take_all(struct catnip_port *port, struct rte_mbuf **mbufs, uint32_t n,
			 struct net_pkt *pkts)
{
	uint32_t taken = 0;

	for (uint32_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	for (uint32_t i = 0; i < n; i++)
		taken += take(port, mbufs[i], &pkts[taken]);
	return taken;
}

/* Now and then: is the peer there? What has been sent? */
static void idle(struct catnip_port *port)
{
	if (++port->idle % IDLE_PASSES)
		return;
	if (port->n_shown)
		port_reclaim(port);
	if (port->gated)
		port_look(port);
}

static uint32_t nothing(struct catnip_port *port)
{
	if (unlikely(port->gated && eal_gates_drain()))
		atomic_store(&port->gate.drained, true);
	idle(port);
	return 0;
}

uint32_t catnip_port_receive(struct catnip_port *port, struct net_pkt *pkts)
{
	struct rte_mbuf *mbufs[CATNIP_BURST];
	uint32_t n;

	if (unlikely(!port_enter(port))) {
		port_look(port);
		return 0;
	}
	n = rte_eth_rx_burst(port->id, 0, mbufs, CATNIP_BURST);
	port_leave(port);
	if (!n)
		return nothing(port);
	port->count[PORT_C_RX_PACKETS] += n;
	if (unlikely(port->pcap))
		pcap_write(port, mbufs, n, true);
	if (likely(n == 1))
		return take(port, mbufs[0], pkts);
	return take_all(port, mbufs, n, pkts);
}

int catnip_port_rx_fd(struct catnip_port *port)
{
	if (!port->drv->interrupt)
		return -1;
	return rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, 0);
}

/* A driver whose peer has not come has nobody who would wake us. */
bool catnip_port_rx_arm(struct catnip_port *port, bool on)
{
	struct rte_eth_link link = { 0 };

	if (!on)
		return rte_eth_dev_rx_intr_disable(port->id, 0) == 0;
	return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status &&
	       rte_eth_dev_rx_intr_enable(port->id, 0) == 0;
}

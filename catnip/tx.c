#include "config.h"

#include "catnip/device.h"
#include "catnip/pcap.h"
#include "libos/libos.h"

#include <rte_ethdev.h>

#include <assert.h>
#include <string.h>

/* ---- memory that is shown where it lies */

static bool reaches(const struct catnip_port *port, const struct net_seg *seg)
{
	switch (port->drv->reach) {
	case REACH_NONE:
		return false;
	case REACH_FIRST_LIST:
		return mem_in(&port->range, seg->data, seg->len);
	case REACH_DMA:
		return mem_is_for_dma(seg->data, seg->len);
	case REACH_ANY:
		return true;
	}
	return false;
}

static void slice_done(void *addr, void *opaque)
{
	union pool_priv *priv = opaque;

	(void)addr;
	priv->slice.port->n_shown--;
	libos_buf_put(priv->slice.lent);
}

/* The seg's reference goes to the mbuf. */
static struct rte_mbuf *show(struct catnip_port *port, const struct net_seg *seg)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(port->small.mp);
	union pool_priv *priv;

	if (unlikely(!m))
		return NULL;
	priv = pool_priv(m);
	priv->slice.shared.free_cb = slice_done;
	priv->slice.shared.fcb_opaque = priv;
	priv->slice.lent = catnip_buf(seg->mem);
	priv->slice.port = port;
	rte_mbuf_ext_refcnt_set(&priv->slice.shared, 1);
	rte_pktmbuf_attach_extbuf(m, seg->data,
				  rte_eal_iova_mode() == RTE_IOVA_VA ?
					  (rte_iova_t)(uintptr_t)seg->data :
					  rte_mem_virt2iova(seg->data),
				  (uint16_t)seg->len, &priv->slice.shared);
	m->data_off = 0;
	m->data_len = (uint16_t)seg->len;
	m->pkt_len = seg->len;
	port->n_shown++;
	port->count[PORT_C_TX_SHOWN] += seg->len;
	return m;
}

/* ---- a packet becomes a chain of mbufs */

static void append(struct rte_mbuf *head, struct rte_mbuf **tail, struct rte_mbuf *m)
{
	(*tail)->next = m;
	*tail = m;
	head->nb_segs++;
	head->pkt_len += m->data_len;
}

/* To the end of m, which has the room. */
static void copy_bytes(struct catnip_port *port, struct rte_mbuf *head, struct rte_mbuf *m,
		       const uint8_t *data, uint32_t len)
{
	memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len), data, len);
	m->data_len = (uint16_t)(m->data_len + len);
	head->pkt_len += len;
	port->count[PORT_C_TX_COPIED] += len;
}

static uint32_t tail_room(const struct rte_mbuf *tail)
{
	return RTE_MBUF_DIRECT(tail) ? rte_pktmbuf_tailroom(tail) : 0;
}

/* Fills the tail, then as many more as it takes. */
static bool copy_seg(struct catnip_port *port, struct rte_mbuf *head, struct rte_mbuf **tail,
		     const struct net_seg *seg)
{
	uint32_t done = 0;

	while (done < seg->len) {
		uint32_t n = tail_room(*tail);

		if (!n) {
			struct rte_mbuf *m = rte_pktmbuf_alloc(port->full.mp);

			if (unlikely(!m))
				return false;
			append(head, tail, m);
			continue;
		}
		if (n > seg->len - done)
			n = seg->len - done;
		copy_bytes(port, head, *tail, seg->data + done, n);
		done += n;
	}
	libos_buf_put(catnip_buf(seg->mem));
	return true;
}

static bool show_seg(struct catnip_port *port, struct rte_mbuf *head, struct rte_mbuf **tail,
		     const struct net_seg *seg)
{
	struct rte_mbuf *m = show(port, seg);

	if (unlikely(!m))
		return false;
	append(head, tail, m);
	return true;
}

/* The segs from *done on; it counts those whose reference is gone. */
static bool payload_chain(struct catnip_port *port, struct rte_mbuf *head,
			  const struct net_out *out, uint32_t *done)
{
	struct rte_mbuf *tail = head;

	for (; *done < out->n_segs; ++*done) {
		const struct net_seg *seg = &out->segs[*done];
		bool ok, small = seg->len <= COPY_MAX && seg->len <= tail_room(tail);

		if (small || seg->len > UINT16_MAX || !reaches(port, seg))
			ok = copy_seg(port, head, &tail, seg);
		else
			ok = show_seg(port, head, &tail, seg);
		if (unlikely(!ok))
			return false;
	}
	return true;
}

/* Into head alone. */
static bool payload_copy(struct catnip_port *port, struct rte_mbuf *head,
			 const struct net_out *out, uint32_t *done)
{
	if (unlikely(out->len > tail_room(head)))
		return false;
	for (; *done < out->n_segs; ++*done) {
		const struct net_seg *seg = &out->segs[*done];

		copy_bytes(port, head, head, seg->data, seg->len);
		libos_buf_put(catnip_buf(seg->mem));
	}
	return true;
}

static void offload(struct rte_mbuf *m, const struct net_out *out)
{
	m->l2_len = out->l2_len;
	m->l3_len = out->l3_len;
	m->l4_len = out->l4_len;
	m->ol_flags |= RTE_MBUF_F_TX_IPV4;
	if (out->flags & NET_OUT_IP_CSUM)
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	if (out->flags & NET_OUT_TCP_CSUM)
		m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	if (out->flags & NET_OUT_UDP_CSUM)
		m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
	if (out->flags & NET_OUT_TSO) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		m->tso_segsz = out->mss;
	}
}

/* Where the headers go, and the payload too if it is to be copied. */
static struct rte_mempool *pool_for(const struct catnip_port *port, const struct net_out *out)
{
	if (port->drv->rx_pool)
		return port->rx.mp;
	if (out->len <= COPY_MAX || port->chain)
		return port->small.mp;
	return port->full.mp;
}

/* Takes the references of out over, unless it returns NULL: there is no mbuf. */
static struct rte_mbuf *build(struct catnip_port *port, const struct net_out *out)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool_for(port, out));
	uint32_t done = 0;
	bool ok;

	if (unlikely(!m))
		return NULL;
	memcpy(rte_pktmbuf_mtod(m, void *), out->hdr, out->hdr_len);
	m->data_len = out->hdr_len;
	m->pkt_len = out->hdr_len;
	if (unlikely(out->flags))
		offload(m, out);
	if (port->chain)
		ok = payload_chain(port, m, out, &done);
	else
		ok = payload_copy(port, m, out, &done);
	if (likely(ok))
		return m;
	/* The first have gone with their mbufs: as good as lost on the wire. */
	rte_pktmbuf_free(m);
	port->count[PORT_C_TX_NO_MBUF]++;
	for (; done < out->n_segs; done++)
		libos_buf_put(catnip_buf(out->segs[done].mem));
	return (struct rte_mbuf *)-1;
}

/* What most packets are: headers, and one short payload that is quicker copied.
 * NULL: something else. */
#define HEADERS 80u	/* of Ethernet, IPv4, and TCP with timestamps, in whole 16 bytes */

static force_inline void copy_short(uint8_t *to, const uint8_t *from, uint32_t len)
{
	uint32_t at = 0;

	if (unlikely(len < 16)) {
		while (at < len) {
			to[at] = from[at];
			at++;
		}
		return;
	}
	for (; at + 16 <= len; at += 16)
		memcpy(to + at, from + at, 16);
	memcpy(to + len - 16, from + len - 16, 16);
}

static force_inline struct rte_mbuf *build_short(struct catnip_port *port, const struct net_out *out)
{
	const struct net_seg *seg = &out->segs[0];
	struct rte_mbuf *m;
	uint8_t *to;

	if (out->n_segs != 1 || out->len > COPY_MAX || unlikely(out->flags) ||
	    unlikely(out->hdr_len > HEADERS))
		return NULL;
	m = rte_pktmbuf_alloc(port->drv->rx_pool ? port->rx.mp : port->small.mp);
	if (unlikely(!m))
		return NULL;
	to = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(to, out->hdr, HEADERS); /* out->room and the mbuf go on behind them */
	copy_short(to + out->hdr_len, seg->data, seg->len);
	m->data_len = (uint16_t)(out->hdr_len + seg->len);
	m->pkt_len = m->data_len;
	port->count[PORT_C_TX_COPIED] += seg->len;
	libos_buf_put(catnip_buf(seg->mem));
	return m;
}

/* ---- to the driver */

static void sent(struct catnip_port *port, struct rte_mbuf **mbufs, uint32_t n)
{
	port->count[PORT_C_TX_PACKETS] += n;
	for (uint32_t i = 0; i < n; i++)
		port->count[PORT_C_TX_BYTES] += mbufs[i]->pkt_len;
	if (unlikely(port->pcap))
		pcap_write(port, mbufs, n, false);
}

static force_inline uint32_t burst(struct catnip_port *port, struct rte_mbuf **mbufs, uint32_t n)
{
	uint32_t taken;

	if (unlikely(!port_enter(port)))
		return 0;
	taken = rte_eth_tx_burst(port->id, 0, mbufs, (uint16_t)n);
	port_leave(port);
	return taken;
}

bool port_push_waiting(struct catnip_port *port)
{
	uint32_t n;

	if (!port->n_waiting || (port->gated && !port->up))
		return false;
	n = burst(port, port->waiting, port->n_waiting);
	port->n_waiting -= n;
	memmove(port->waiting, port->waiting + n, port->n_waiting * sizeof(*port->waiting));
	return port->n_waiting;
}

void port_drop_waiting(struct catnip_port *port, bool all)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < port->n_waiting; i++) {
		struct rte_mbuf *m = port->waiting[i];

		if (!all && m->nb_segs == 1) {
			port->waiting[kept++] = m;
			continue;
		}
		rte_pktmbuf_free(m);
		port->count[PORT_C_TX_NO_LINK]++;
	}
	port->n_waiting = kept;
}

/* Nobody is there. A few that show nobody's memory are kept for who comes: the
 * first question is then answered at once. */
static void no_link(struct catnip_port *port, struct rte_mbuf **mbufs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (mbufs[i]->nb_segs == 1 && port->n_waiting < MAX_WAITING / 2) {
			port->waiting[port->n_waiting++] = mbufs[i];
			continue;
		}
		rte_pktmbuf_free(mbufs[i]);
		port->count[PORT_C_TX_NO_LINK]++;
	}
}

static void give(struct catnip_port *port, struct rte_mbuf **mbufs, uint32_t n)
{
	uint32_t taken;

	if (unlikely(port->gated && !port->up)) {
		no_link(port, mbufs, n);
		return;
	}
	sent(port, mbufs, n); /* counted before they are the driver's to free */
	taken = burst(port, mbufs, n);
	if (likely(taken == n))
		return;
	port->count[PORT_C_TX_FULL]++;
	memcpy(port->waiting, mbufs + taken, (n - taken) * sizeof(*mbufs));
	port->n_waiting = n - taken;
}

static uint32_t transmit_some(struct catnip_port *port, struct net_out *const *outs, uint32_t n)
{
	struct rte_mbuf *mbufs[CATNIP_BURST];
	uint32_t n_mbufs = 0, i;

	for (i = 0; i < n; i++) {
		struct rte_mbuf *m = build(port, outs[i]);

		if (unlikely(!m))
			break;
		if (likely(m != (struct rte_mbuf *)-1))
			mbufs[n_mbufs++] = m;
	}
	if (n_mbufs)
		give(port, mbufs, n_mbufs);
	if (unlikely(i < n)) {
		port->count[PORT_C_TX_NO_MBUF]++;
		port_reclaim(port);
	}
	return i;
}

/* A driver that takes nothing may have lost its peer. */
bool catnip_port_flush(struct catnip_port *port)
{
	if (likely(!port->n_waiting) || !port_push_waiting(port))
		return false;
	if (port->gated)
		port_look(port);
	return port->n_waiting && (!port->gated || port->up);
}

/* One short one. false: it goes the long way. */
static force_inline bool transmit_short(struct catnip_port *port, const struct net_out *out)
{
	struct rte_mbuf *m;

	if (unlikely(port->pcap) || (port->gated && unlikely(!port->up)))
		return false;
	m = build_short(port, out);
	if (unlikely(!m))
		return false;
	port->count[PORT_C_TX_PACKETS]++;
	port->count[PORT_C_TX_BYTES] += m->pkt_len;
	if (likely(burst(port, &m, 1)))
		return true;
	port->count[PORT_C_TX_FULL]++;
	port->waiting[port->n_waiting++] = m;
	return true;
}

static __attribute__((__noinline__)) uint32_t transmit_many(struct catnip_port *port, struct net_out *const *outs,
					uint32_t n)
{
	uint32_t done = 0, some;

	if (unlikely(port->n_waiting) && catnip_port_flush(port))
		return 0;
	while (done < n) {
		some = n - done < CATNIP_BURST ? n - done : CATNIP_BURST;
		some = transmit_some(port, outs + done, some);
		done += some;
		if (!some || (port->n_waiting && !(port->gated && !port->up)))
			break;
	}
	return done;
}

static uint32_t transmit(struct net_dev *dev, struct net_out *const *outs, uint32_t n)
{
	struct catnip_port *port = container_of(dev, struct catnip_port, dev);

	if (n == 1 && likely(!port->n_waiting) && likely(transmit_short(port, outs[0])))
		return 1;
	return transmit_many(port, outs, n);
}

/* Drivers look at what was sent when they are given more, if it is none. */
void port_reclaim(struct catnip_port *port)
{
	if (!port_enter(port))
		return;
	if (rte_eth_tx_done_cleanup(port->id, 0, 0) < 0)
		rte_eth_tx_burst(port->id, 0, NULL, 0);
	port_leave(port);
}

bool catnip_port_owes(struct catnip_port *port)
{
	if (!port->drv->keeps || (port->gated && !port->up))
		return port->n_waiting && !(port->gated && !port->up);
	port_push_waiting(port);
	port_reclaim(port);
	return port->n_waiting || port->n_shown ||
	       (port->drv->gate && !rte_mempool_full(port->small.mp));
}

/* ---- the rest of struct net_dev_ops */

static struct net_mem *alloc(struct net_dev *dev, uint32_t size, struct net_seg *seg_out)
{
	struct catnip_port *port = container_of(dev, struct catnip_port, dev);
	struct libos_buf *buf = libos_buf_alloc(&port->os->pool, size);

	if (unlikely(!buf))
		buf = port_reserve_alloc(port, size);
	if (unlikely(!buf))
		return NULL;
	*seg_out = (struct net_seg){ .mem = catnip_net_mem(buf), .data = buf->base, .len = size,
				     .pinned = buf->len };
	return catnip_net_mem(buf);
}

static void get(struct net_mem *mem)
{
	libos_buf_get(catnip_buf(mem));
}

static void put(struct net_mem *mem)
{
	libos_buf_put(catnip_buf(mem));
}

const struct net_dev_ops port_dev_ops = {
	.transmit = transmit,
	.alloc = alloc,
	.get = get,
	.put = put,
};

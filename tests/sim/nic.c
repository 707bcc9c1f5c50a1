/*
 * The device: it reads what it was given to send a while later, from memory that
 * only references keep; fills checksums in and cuts segments where it said it can;
 * and does not always take all.
 */
#include "config.h"

#include <string.h>

#include "tests/sim/frame.h"
#include "tests/sim/host.h"
#include "tests/sim/monitor.h"
#include "tests/sim/world.h"

#define ETH_MIN 60u

static struct host *host_of(struct net_dev *dev)
{
	return container_of(dev, struct host, dev);
}

/* ---- what the stack hands over has to be what netdev.h says */

static void check_segs(struct host *h, const struct net_out *out)
{
	uint32_t len = 0;

	if (out->n_segs > NET_OUT_SEGS)
		world_fail(h->w, "h%u: a packet of %u segments", h->nr, out->n_segs);
	for (uint32_t i = 0; i < out->n_segs; i++) {
		const struct net_seg *seg = &out->segs[i];

		if (!seg->mem->refs)
			world_fail(h->w, "h%u: a packet of memory that is free", h->nr);
		if (seg->data < seg->mem->data ||
		    seg->data + seg->len > seg->mem->data + seg->mem->size)
			world_fail(h->w, "h%u: a segment outside its memory", h->nr);
		if (!seg->len)
			world_fail(h->w, "h%u: an empty segment", h->nr);
		len += seg->len;
	}
	if (len != out->len)
		world_fail(h->w, "h%u: %u bytes in segments, %u announced", h->nr, len, out->len);
}

static void check_out(struct host *h, const struct net_out *out)
{
	uint32_t caps = h->plan.caps, flags = out->flags;
	uint32_t ip_len = out->hdr_len - out->l2_len + out->len;

	check_segs(h, out);
	if (out->hdr < out->room || out->hdr + out->hdr_len > out->room + NET_HDR_ROOM ||
	    out->hdr_len < out->l2_len + out->l3_len)
		world_fail(h->w, "h%u: headers outside their room", h->nr);
	if (out->l2_len != (h->plan.ethernet ? ETH_LEN : 0))
		world_fail(h->w, "h%u: a link header of %u bytes", h->nr, out->l2_len);
	if ((flags & NET_OUT_IP_CSUM && !(caps & NET_DEV_IP_CSUM)) ||
	    (flags & NET_OUT_TCP_CSUM && !(caps & NET_DEV_TCP_CSUM)) ||
	    (flags & NET_OUT_UDP_CSUM && !(caps & NET_DEV_UDP_CSUM)) ||
	    (flags & NET_OUT_TSO && !(caps & NET_DEV_TSO)))
		world_fail(h->w, "h%u: asks the device for what it cannot: %x of %x", h->nr, flags,
			   caps);
	if (flags & NET_OUT_TSO && (!out->mss || !out->len || out->len > h->plan.tso_max))
		world_fail(h->w, "h%u: TSO of %u bytes by %u", h->nr, out->len, out->mss);
	if (!(flags & NET_OUT_TSO) && ip_len > h->plan.mtu)
		world_fail(h->w, "h%u: %u bytes over an mtu of %u", h->nr, ip_len, h->plan.mtu);
}

/* ---- making frames */

/* len bytes of the payload from `from` on */
static void gather(const struct net_out *out, uint32_t from, uint32_t len, uint8_t *to)
{
	for (uint32_t i = 0; i < out->n_segs && len; i++) {
		const struct net_seg *seg = &out->segs[i];
		uint32_t n = seg->len > from ? seg->len - from : 0;

		if (n > len)
			n = len;
		memcpy(to, seg->data + from, n);
		to += n;
		len -= n;
		from = n ? 0 : from - seg->len;
	}
}

/* The field holds the pseudo header's sum. */
static void check_pseudo(struct host *h, const struct net_out *out, const struct frame *f,
			 const uint8_t *field)
{
	uint32_t len = out->flags & NET_OUT_TSO ? 0 : f->l4_len;

	if (get16(field) != csum_fold(csum_pseudo(f, len)))
		world_fail(h->w, "h%u: the checksum left to the device begins wrong", h->nr);
}

static void offload(struct host *h, const struct net_out *out, struct frame *f)
{
	if (!f->whole && out->flags & (NET_OUT_TCP_CSUM | NET_OUT_UDP_CSUM))
		world_fail(h->w, "h%u: a checksum left to the device in a fragment", h->nr);
	if (out->flags & NET_OUT_TCP_CSUM) {
		put16(f->l4 + 16, 0);
		put16(f->l4 + 16, (uint16_t)~csum_fold(csum_add(csum_pseudo(f, f->l4_len), f->l4,
								f->l4_len)));
	}
	if (out->flags & NET_OUT_UDP_CSUM) {
		uint16_t sum;

		put16(f->l4 + 6, 0);
		sum = (uint16_t)~csum_fold(csum_add(csum_pseudo(f, f->l4_len), f->l4, f->l4_len));
		put16(f->l4 + 6, sum ? sum : 0xffff);
	}
	if (out->flags & NET_OUT_IP_CSUM)
		frame_fix_ip(f);
}

static void on_the_link(struct host *h, struct net_mem *frame)
{
	if (h->plan.ethernet && frame->len < ETH_MIN) {
		memset(frame->data + frame->len, 0, ETH_MIN - frame->len);
		frame->len = ETH_MIN;
	}
	trace_frame(h->w, (int)h->nr, "out", frame->data, frame->len, h->plan.ethernet);
	monitor_out(h->w, h, frame->data, frame->len);
	lane_send(&h->tx, frame);
}

static struct net_mem *make(struct host *h, const struct net_out *out, uint32_t from, uint32_t len)
{
	uint32_t size = out->hdr_len + len;
	struct net_mem *m = mem_new(h->w, NULL, MEM_FRAME, size < ETH_MIN ? ETH_MIN : size);

	m->len = size;
	memcpy(m->data, out->hdr, out->hdr_len);
	gather(out, from, len, m->data + out->hdr_len);
	return m;
}

static void send_whole(struct host *h, const struct net_out *out)
{
	struct net_mem *m = make(h, out, 0, out->len);
	struct frame f;

	if (!frame_parse(&f, m->data, m->len, h->plan.ethernet)) {
		if (f.type == 0x0800 || out->flags)
			world_fail(h->w, "h%u: sends what is no packet", h->nr);
	} else {
		if (out->flags & NET_OUT_TCP_CSUM)
			check_pseudo(h, out, &f, f.l4 + 16);
		if (out->flags & NET_OUT_UDP_CSUM)
			check_pseudo(h, out, &f, f.l4 + 6);
		offload(h, out, &f);
	}
	on_the_link(h, m);
}

static void send_cut(struct host *h, const struct net_out *out)
{
	uint32_t id = 0, len;

	for (uint32_t from = 0; from < out->len; from += len, id++) {
		struct net_mem *m;
		struct frame f;

		len = out->len - from < out->mss ? out->len - from : out->mss;
		m = make(h, out, from, len);
		put16(m->data + out->l2_len + 2, out->hdr_len - out->l2_len + len);
		if (!frame_parse(&f, m->data, m->len, h->plan.ethernet) || !f.whole ||
		    f.proto != PROTO_TCP)
			world_fail(h->w, "h%u: TSO of what is no segment", h->nr);
		if (!from)
			check_pseudo(h, out, &f, f.l4 + 16);
		if (f.ip_len > h->plan.mtu)
			world_fail(h->w, "h%u: TSO beyond the mtu", h->nr);
		put16(f.ip + 4, get16(f.ip + 4) + id);
		put32(f.l4 + 4, f.seq + from);
		if (from + len < out->len)
			f.l4[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
		frame_parse(&f, m->data, m->len, h->plan.ethernet);
		offload(h, out, &f);
		on_the_link(h, m);
	}
}

/* ---- the ring */

static void forget(struct net_out *out)
{
	for (uint32_t i = 0; i < out->n_segs; i++)
		mem_put(out->segs[i].mem);
}

static void dma(void *who, void *what);

static void dma_next(struct host *h)
{
	uint64_t at = h->w->events.now + rnd_in(&h->rnd, 0, h->plan.dma_ns);
	uint64_t backlog = lane_backlog(&h->tx);
	uint64_t most = h->plan.tx.ps_per_byte * h->plan.tx.queue / 1000;

	/* a device sends no faster than its cable: the ring fills first */
	if (h->plan.tx.ps_per_byte && backlog > most / 2)
		at += backlog - most / 2;
	h->dma_runs = true;
	events_add(&h->w->events, at, dma, h, NULL);
}

static void dma(void *who, void *what)
{
	struct host *h = who;
	struct net_out *out = &h->ring[h->ring_first];

	(void)what;
	h->dma_runs = false;
	if (!h->ring_n)
		return;		/* it was reset meanwhile */
	if (out->flags & NET_OUT_TSO)
		send_cut(h, out);
	else
		send_whole(h, out);
	forget(out);
	h->ring_first = (h->ring_first + 1) % HOST_TX_MAX;
	h->ring_n--;
	if (h->ring_n)
		dma_next(h);
	if (h->stack && net_has_unsent(h->stack))
		host_wake(h, h->w->events.now);
}

bool nic_hangs(struct host *h)
{
	if (!h->plan.n_hangs || !cuts_are_on(&h->hangs, h->w->events.now))
		return false;
	h->last_dry = h->w->events.now;
	return true;
}

static uint32_t transmit(struct net_dev *dev, struct net_out *const *outs, uint32_t n)
{
	struct host *h = host_of(dev);
	uint32_t room = h->plan.tx_ring - h->ring_n;

	if (nic_hangs(h))
		return 0;
	if (n > room)
		n = room;
	if (rnd_ppm(&h->rnd, h->plan.shy))
		n = rnd_below(&h->rnd, n + 1);
	for (uint32_t i = 0; i < n; i++) {
		struct net_out *slot = &h->ring[(h->ring_first + h->ring_n++) % HOST_TX_MAX];

		check_out(h, outs[i]);
		*slot = *outs[i];
		slot->hdr = slot->room + (outs[i]->hdr - outs[i]->room);
	}
	h->n_taken += n;
	if (h->ring_n && !h->dma_runs)
		dma_next(h);
	return n;
}

static struct net_mem *alloc(struct net_dev *dev, uint32_t size, struct net_seg *seg_out)
{
	struct host *h = host_of(dev);
	struct net_mem *mem;

	if (size > 65536 + 128)
		world_fail(h->w, "h%u: asks for %u bytes", h->nr, size);
	if (rnd_ppm(&h->rnd, h->plan.alloc_fail))
		return NULL;
	mem = mem_new(h->w, h, MEM_STACK, size);
	*seg_out = (struct net_seg){ mem, mem->data, size, mem->pinned };
	return mem;
}

static const struct net_dev_ops ops = { transmit, alloc, mem_get, mem_put };

void nic_init(struct host *h)
{
	h->dev.ops = &ops;
	h->dev.ethernet = h->plan.ethernet;
	h->dev.mtu = h->plan.mtu;
	h->dev.caps = h->plan.caps;
	h->dev.tso_max = h->plan.tso_max;
	wire_host_mac(h->dev.mac, h->nr);
}

void nic_reset(struct host *h)
{
	for (; h->ring_n; h->ring_n--) {
		forget(&h->ring[h->ring_first]);
		h->ring_first = (h->ring_first + 1) % HOST_TX_MAX;
	}
	for (; h->received_n; h->received_n--) {
		mem_put(h->received[h->received_first]);
		h->received_first = (h->received_first + 1) % HOST_RX_MAX;
	}
}

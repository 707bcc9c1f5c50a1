#include "config.h"

#include "base/time.h"
#include "catnip/device.h"
#include "catnip/pcap.h"
#include "catnip/relay.h"
#include "libos/libos.h"
#include "libos/log.h"

#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_SLOTS 32u
#define RING_SIZE 512u
#define N_SMALL 2047u
#define N_FULL 511u

/* What catnip.link lists, or EAL has found: one for each instance. */
struct slot {
	struct catnip_link link;
	bool taken;
	uint16_t id;		/* LINK_FOUND */
};

/* The rings behind ring:NAME, one for each direction; they stay. */
struct ring_pair {
	char name[64];
	struct rte_ring *rings[2];
	uint32_t slots[2];	/* who has which end */
};

const char *const catnip_checksums[] = { "auto", "always", NULL };

/* EAL's ports are the process's, so is who has which. */
static struct {
	pthread_mutex_t lock;
	bool listed;
	uint32_t n_slots;
	struct slot slots[MAX_SLOTS];
	struct ring_pair pairs[MAX_SLOTS];
	uint32_t n_pairs;
	struct pool left[MAX_SLOTS * 2]; /* of ended instances; another's ring has some of it */
} ports = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const struct libos_stat_name count_names[PORT_N_COUNTS] = {
	[PORT_C_RX_PACKETS] = { "catnip.rx_packets", DEMI_STAT_COUNTER },
	[PORT_C_RX_BYTES] = { "catnip.rx_bytes", DEMI_STAT_COUNTER },
	[PORT_C_RX_JOINED] = { "catnip.rx_joined_bytes", DEMI_STAT_COUNTER },
	[PORT_C_RX_COPIED] = { "catnip.rx_copied_bytes", DEMI_STAT_COUNTER },
	[PORT_C_RX_DROPPED] = { "catnip.rx_no_memory", DEMI_STAT_COUNTER },
	[PORT_C_TX_PACKETS] = { "catnip.tx_packets", DEMI_STAT_COUNTER },
	[PORT_C_TX_BYTES] = { "catnip.tx_bytes", DEMI_STAT_COUNTER },
	[PORT_C_TX_COPIED] = { "catnip.tx_copied_bytes", DEMI_STAT_COUNTER },
	[PORT_C_TX_SHOWN] = { "catnip.tx_shown_bytes", DEMI_STAT_COUNTER },
	[PORT_C_TX_NO_MBUF] = { "catnip.tx_no_mbuf", DEMI_STAT_COUNTER },
	[PORT_C_TX_FULL] = { "catnip.tx_full", DEMI_STAT_COUNTER },
	[PORT_C_TX_NO_LINK] = { "catnip.tx_no_link", DEMI_STAT_COUNTER },
	[PORT_C_LINK_UPS] = { "catnip.link_ups", DEMI_STAT_COUNTER },
	[PORT_C_RECOVERED] = { "catnip.mbufs_recovered", DEMI_STAT_COUNTER },
	[PORT_C_PCAP_PACKETS] = { "catnip.pcap_packets", DEMI_STAT_COUNTER },
	[PORT_C_PCAP_LOST] = { "catnip.pcap_lost", DEMI_STAT_COUNTER },
};

/* ---- which ports there are */

static int slots_from_links(const struct libos_settings *s)
{
	const char *const *items;
	uint32_t n = libos_settings_list(s, "catnip.link", &items);
	static const char *const none[] = { "memif" };
	int err;

	if (!n) {
		items = none;
		n = 1;
	}
	if (n > MAX_SLOTS) {
		log_error("catnip.link: more than %u links", MAX_SLOTS);
		return EINVAL;
	}
	for (uint32_t i = 0; i < n; i++) {
		err = catnip_link_parse(items[i], &ports.slots[i].link);
		if (err)
			return err;
	}
	ports.n_slots = n;
	return 0;
}

static int slots_from_eal(void)
{
	uint16_t id;

	ports.n_slots = 0;
	RTE_ETH_FOREACH_DEV(id) {
		if (ports.n_slots == MAX_SLOTS)
			break;
		ports.slots[ports.n_slots].link =
			(struct catnip_link){ .kind = LINK_FOUND, .lock = -1, .dir = -1 };
		ports.slots[ports.n_slots++].id = id;
	}
	if (ports.n_slots)
		return 0;
	log_error("dpdk.eal_init: EAL found no port with these arguments: %s", eal_said());
	return ENODEV;
}

static int slots_list(const struct libos_settings *s)
{
	bool given = false;
	int err;

	if (!ports.listed && !libos_settings_given(s, "dpdk.eal_init")) {
		err = slots_from_links(s); /* what is wrong is told before EAL starts */
		if (err)
			return err;
	}
	err = eal_start(s, &given);
	if (!err && given && !ports.listed)
		err = slots_from_eal();
	if (!err)
		ports.listed = true;
	return err;
}

static int slot_take(uint32_t *i_out)
{
	char name[160];

	for (uint32_t i = 0; i < ports.n_slots; i++) {
		if (ports.slots[i].taken)
			continue;
		ports.slots[i].taken = true;
		*i_out = i;
		return 0;
	}
	if (ports.slots[0].link.kind == LINK_FOUND)
		log_error("catnip: each port that EAL found has an instance already (%u): name one "
			  "more device in dpdk.eal_init", ports.n_slots);
	else
		log_error("catnip: each link has an instance already (%u, %s first): add one to "
			  "catnip.link", ports.n_slots,
			  catnip_link_name(&ports.slots[0].link, name, sizeof(name)));
	return EBUSY;
}

/* ---- the device of a link */

static struct ring_pair *pair_find(const char *name)
{
	for (uint32_t i = 0; i < ports.n_pairs; i++)
		if (!strcmp(ports.pairs[i].name, name))
			return &ports.pairs[i];
	return NULL;
}

static struct rte_ring *ring_make(const char *what, uint32_t i)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "clowder-%s%u", what, i);
	return rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, 0);
}

static int pair_make(const char *name, uint32_t slot, struct ring_pair **pair_out)
{
	struct ring_pair *p = &ports.pairs[ports.n_pairs];

	if (ports.n_pairs == MAX_SLOTS)
		return ENOSPC;
	snprintf(p->name, sizeof(p->name), "%.63s", name);
	p->rings[0] = ring_make("a", ports.n_pairs);
	p->rings[1] = ring_make("b", ports.n_pairs);
	if (!p->rings[0] || !p->rings[1])
		return ENOMEM;
	p->slots[0] = p->slots[1] = UINT32_MAX;
	p->slots[0] = slot;
	ports.n_pairs++;
	*pair_out = p;
	return 0;
}

/* What an instance that has ended left there. */
static void ring_empty(struct rte_ring *ring)
{
	void *m = NULL;

	while (rte_ring_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
}

static bool is_twice(const struct catnip_link *link)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ports.n_slots; i++)
		n += ports.slots[i].link.kind == link->kind &&
		     !strcmp(ports.slots[i].link.arg, link->arg);
	return n > 1;
}

/* A ring that is there once loops; of two ring:NAME each has one end. */
static int ring_open(struct catnip_port *port)
{
	struct catnip_link *link = &port->link;
	char name[RTE_RING_NAMESIZE];
	struct ring_pair *p;
	int id, err = 0;

	snprintf(name, sizeof(name), "%.16s%u", *link->arg ? link->arg : "self", port->slot);
	snprintf(link->vdev, sizeof(link->vdev), "net_ring_%.20s", name);
	p = pair_find(*link->arg ? link->arg : name);
	if (!p)
		err = pair_make(*link->arg ? link->arg : name, port->slot, &p);
	if (err)
		return err;
	link->end = p->slots[0] != port->slot;
	if (link->end && p->slots[1] != UINT32_MAX && p->slots[1] != port->slot) {
		log_error("catnip.link: ring:%s is there three times", link->arg);
		return EINVAL;
	}
	if (link->end)
		p->slots[1] = port->slot;
	port->loops = !*link->arg || !is_twice(link);
	if (port->loops)
		ring_empty(p->rings[0]);
	id = rte_eth_from_rings(link->vdev + strlen("net_ring_"), &p->rings[link->end], 1,
				&p->rings[port->loops ? 0 : !link->end], 1, 0);
	if (id < 0)
		return rte_errno ? rte_errno : EIO;
	port->id = (uint16_t)id;
	return 0;
}

static int vdev_open(struct catnip_port *port)
{
	struct catnip_link *link = &port->link;
	int ret;

	eal_hush();
	ret = rte_vdev_init(link->vdev, link->args);
	if (!ret)
		ret = rte_eth_dev_get_port_by_name(link->vdev, &port->id);
	return ret < 0 ? catnip_link_refuse(link, -ret) : 0;
}

static int pci_open(struct catnip_port *port)
{
	int ret = rte_eth_dev_get_port_by_name(port->link.arg, &port->id);

	if (ret < 0) {
		log_error("catnip.link: pci:%s: DPDK has no port there (write it as in lspci -D, and "
			  "see that it is bound to vfio-pci or has mlx5): %s", port->link.arg,
			  eal_said());
		return ENODEV;
	}
	return 0;
}

static bool has_pci(void)
{
	for (uint32_t i = 0; i < ports.n_slots; i++)
		if (ports.slots[i].link.kind == LINK_FOUND)
			return true;
	return false;
}

static int device_open(struct catnip_port *port)
{
	struct slot *slot = &ports.slots[port->slot];
	int err;

	port->link = slot->link;
	port->id = slot->id;
	/* memif shows its peer what it finds, pages that a NIC was told of, too */
	port->link.zero_copy = port->link.kind == LINK_MEMIF && !has_pci();
	err = catnip_link_open(&port->link, port->slot);
	if (err)
		return err;
	switch (port->link.kind) {
	case LINK_FOUND:
		err = *port->link.arg ? pci_open(port) : 0;
		break;
	case LINK_RING:
		err = ring_open(port);
		break;
	case LINK_MEMIF:
	case LINK_AF_XDP:
	case LINK_AF_PACKET:
	case LINK_TAP:
	case LINK_VHOST:
	case LINK_VIRTIO:
	case LINK_VDEV:
		err = vdev_open(port);
		break;
	}
	if (err)
		catnip_link_close(&port->link);
	return err;
}

static void stop(struct catnip_port *port)
{
	if (port->started)
		rte_eth_dev_stop(port->id);
	port->started = false;
}

static void uninit(void *arg)
{
	struct catnip_port *port = arg;

	stop(port); /* what EAL's thread had no time for */
	rte_vdev_uninit(port->link.vdev);
}

/* What its control thread looks at goes in that thread. */
static void device_uninit(struct catnip_port *port)
{
	port->call.fn = uninit;
	port->call.arg = port;
	if (port->drv && port->drv->gate && !eal_run(&port->call) && eal_finish(&port->call))
		return;
	if (port->link.kind != LINK_FOUND)
		uninit(port);
}

static void device_close(struct catnip_port *port)
{
	device_uninit(port);
	catnip_link_close(&port->link);
}

/* ---- its shape */

/* Of the kernel's interface; no limit where there is none. */
static uint16_t iface_mtu(const struct catnip_link *link)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { 0 };
	uint16_t mtu = UINT16_MAX;

	if (fd < 0)
		return mtu;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", link->arg);
	if (ioctl(fd, SIOCGIFMTU, &ifr) == 0 && ifr.ifr_mtu > 0 && ifr.ifr_mtu < UINT16_MAX)
		mtu = (uint16_t)ifr.ifr_mtu;
	close(fd);
	return mtu;
}

static int mtu_choose(struct catnip_port *port, const struct rte_eth_dev_info *info)
{
	const struct libos_settings *s = port->os->settings;
	bool given = libos_settings_given(s, "inetstack_config.mtu");
	int64_t mtu = given ? libos_settings_int(s, "inetstack_config.mtu") : port->drv->mtu;
	uint16_t most = port->drv->max_mtu ? port->drv->max_mtu : info->max_mtu;

	if (port->link.kind == LINK_AF_XDP || port->link.kind == LINK_AF_PACKET)
		most = RTE_MIN(most, iface_mtu(&port->link));
	if (mtu > most && given) {
		log_error("inetstack_config.mtu: %lld is more than the %u of this port",
			  (long long)mtu, most);
		return EINVAL;
	}
	port->dev.mtu = (uint16_t)(mtu > most ? most : mtu);
	return 0;
}

/* Only what hardware says of itself: of the virtual ones, tap computes checksums in
 * software and others set flags without a meaning here. */
static void offloads_choose(struct catnip_port *port, const struct rte_eth_dev_info *info)
{
	static const struct {
		uint64_t tx;
		uint32_t cap;
	} all[] = {
		{ RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, NET_DEV_IP_CSUM },
		{ RTE_ETH_TX_OFFLOAD_TCP_CKSUM, NET_DEV_TCP_CSUM },
		{ RTE_ETH_TX_OFFLOAD_UDP_CKSUM, NET_DEV_UDP_CSUM },
		{ RTE_ETH_TX_OFFLOAD_TCP_TSO, NET_DEV_TSO },
	};
	const uint32_t tso = NET_DEV_TSO | NET_DEV_TCP_CSUM | NET_DEV_IP_CSUM;

	for (uint32_t i = 0; port->drv->offloads && i < RTE_DIM(all); i++) {
		if (!(info->tx_offload_capa & all[i].tx))
			continue;
		port->offloads |= all[i].tx;
		port->dev.caps |= all[i].cap;
	}
	port->sums = !port->drv->memory || libos_settings_choice(port->os->settings,
								 "catnip.checksums") != 0;
	if (!port->sums)
		port->dev.caps |= NET_DEV_NO_SUMS;
	port->chain = port->drv->chain;
	if (port->drv->offloads && !(info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS))
		port->chain = false;
	if ((port->dev.caps & tso) != tso || !port->chain) {
		port->offloads &= ~(uint64_t)RTE_ETH_TX_OFFLOAD_TCP_TSO;
		port->dev.caps &= ~(uint32_t)NET_DEV_TSO;
	}
	port->dev.tso_max = 60000;
	if (port->chain)
		port->offloads |= info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
}

/* Locally administered, one station's. */
static void mac_random(uint8_t mac[6])
{
	if (getrandom(mac, 6, GRND_NONBLOCK) < 6) {
		uint64_t now = time_now() ^ (uint64_t)getpid() << 32;

		memcpy(mac, &now, 6);
	}
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

static void mac_choose(struct catnip_port *port)
{
	struct rte_ether_addr mac = { { 0 } };

	/* A tap's is the kernel interface's, which is the other end; rings have none. */
	/* where DPDK invents them it may give processes that were forked the same */
	if (port->link.kind == LINK_TAP || port->drv->is_private || rte_eth_macaddr_get(port->id, &mac) ||
	    rte_is_zero_ether_addr(&mac))
		mac_random(mac.addr_bytes);
	memcpy(port->dev.mac, mac.addr_bytes, sizeof(port->dev.mac));
}

static uint32_t room_for(const struct catnip_port *port, const struct rte_eth_dev_info *info)
{
	uint32_t room = port->dev.mtu + RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN;

	if (port->drv->room)
		return port->drv->room;
	room = RTE_ALIGN(room, 1024); /* the grain of some hardware */
	return RTE_MAX(room, info->min_rx_bufsize);
}

static int pools_open(struct catnip_port *port, const struct rte_eth_dev_info *info)
{
	uint32_t held = (uint32_t)libos_settings_int(port->os->settings, "catnip.rx_buffers");
	uint32_t room = room_for(port, info);
	uint32_t n = held + port->drv->n_rx + 2 * CATNIP_BURST;
	int err;

	if (port->drv->rx_pool)
		n += port->drv->n_tx + 2 * CATNIP_BURST;
	port->rx_out_max = held;
	err = pool_open(&port->rx, port->os, n, room);
	if (err || port->drv->rx_pool)
		return err;
	err = pool_open(&port->small, NULL, N_SMALL, SMALL_ROOM);
	if (!err && port->drv->reach != REACH_ANY)
		err = pool_open(&port->full, NULL, N_FULL, room);
	return err;
}

/* One that another port's ring still has some of is left to the process. */
static void pool_leave(struct pool *p)
{
	for (uint32_t i = 0; i < RTE_DIM(ports.left); i++) {
		if (ports.left[i].mp && !pool_close(&ports.left[i], false))
			continue;
		if (!p->mp)
			continue;
		if (p->os)
			libos_area_del(p->os, &p->area);
		p->os = NULL;
		if (pool_close(p, false))
			continue;
		ports.left[i] = *p;
		*p = (struct pool){ 0 };
	}
}

static void pools_close(struct catnip_port *port)
{
	if (port->drv->passes_on)
		pool_leave(&port->rx);
	else
		pool_close(&port->rx, true);
	pool_close(&port->small, true);
	pool_close(&port->full, true);
}

static int queues_open(struct catnip_port *port, const struct rte_eth_dev_info *info)
{
	struct rte_eth_conf conf = { 0 };
	uint16_t n_rx = port->drv->n_rx, n_tx = port->drv->n_tx;
	int socket = rte_eth_dev_socket_id(port->id), ret;

	conf.txmode.offloads = port->offloads;
	conf.intr_conf.rxq = port->drv->interrupt;
	if (port->drv->offloads) {
		conf.rxmode.mtu = port->dev.mtu;
		conf.rxmode.offloads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_CHECKSUM;
	}
	ret = rte_eth_dev_configure(port->id, 1, 1, &conf);
	if (!ret)
		ret = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &n_rx, &n_tx);
	if (!ret)
		ret = rte_eth_rx_queue_setup(port->id, 0, n_rx, (unsigned)socket, NULL, port->rx.mp);
	if (!ret)
		ret = rte_eth_tx_queue_setup(port->id, 0, n_tx, (unsigned)socket, NULL);
	return -ret;
}

/* A memif's peers may call from here on. */
static int receive_calls(struct catnip_port *port)
{
	char public[LINK_SOCK_NAME], private[LINK_SOCK_NAME];

	if (port->link.kind != LINK_MEMIF)
		return 0;
	catnip_link_sockets(&port->link, public, private);
	return relay_open(port->link.dir, public, private, &port->relay);
}

static int start(struct catnip_port *port)
{
	int ret;

	if (!port->gated || !port->link.end) {
		ret = rte_eth_dev_start(port->id);
		port->started = ret == 0;
		return ret ? -ret : receive_calls(port);
	}
	return port_call(port); /* the server may come later */
}

static int shape(struct catnip_port *port)
{
	struct rte_eth_dev_info info;
	const struct rte_devargs *da;
	int err;

	eal_hush();
	err = -rte_eth_dev_info_get(port->id, &info);
	if (err)
		return catnip_link_refuse(&port->link, err);
	da = info.device ? rte_dev_devargs(info.device) : NULL;
	port->drv = driver_find(info.driver_name, da ? da->args : NULL);
	port->gated = port->drv->gate;
	if (port->drv->reach == REACH_DMA)
		port->rte_dev = info.device;
	err = mtu_choose(port, &info);
	if (err)
		return err;
	offloads_choose(port, &info);
	mac_choose(port);
	err = pools_open(port, &info);
	if (err)
		goto err_pools;
	err = pcap_open(port, &port->pcap);
	if (err)
		goto err_pools;
	err = queues_open(port, &info);
	if (!err)
		err = start(port);
	if (!err)
		return 0;
	err = catnip_link_refuse(&port->link, err);
	pcap_close(port->pcap);
err_pools:
	pools_close(port);
	return err;
}

/* The pools stay, and so does what the program has of them. If it cannot be, there is
 * no link. */
void port_copy_from_now(struct catnip_port *port)
{
	struct rte_eth_dev_info info;
	int err;

	log_warn("catnip: %s: the descriptor of DPDK's memory was closed, and is another file's: "
		 "from now on packets are copied", port->link.vdev);
	pthread_mutex_lock(&ports.lock);
	device_uninit(port);
	catnip_link_copy(&port->link);
	err = vdev_open(port);
	if (!err)
		err = -rte_eth_dev_info_get(port->id, &info);
	if (!err) {
		port->drv = driver_find(info.driver_name, port->link.args);
		err = queues_open(port, &info);
	}
	pthread_mutex_unlock(&ports.lock);
	if (err)
		log_error("catnip: %s: it does not come back: %s", port->link.vdev, strerror(err));
}

/* ---- life */

static int open_locked(struct catnip_port *port)
{
	int err = slots_list(port->os->settings);

	if (!err)
		err = eal_enter();
	if (err)
		return err;
	err = slot_take(&port->slot);
	if (err)
		goto err_enter;
	err = device_open(port);
	if (err)
		goto err_slot;
	err = shape(port);
	if (err)
		goto err_device;
	return 0;

err_device:
	device_close(port);
err_slot:
	ports.slots[port->slot].taken = false;
err_enter:
	eal_leave();
	return err;
}

/* A peer that is there already is greeted before the first packet. */
static void meet(struct catnip_port *port)
{
	const struct timespec nap = { 0, 100000 };
	uint64_t end = time_now() + 20 * NSEC_PER_MSEC;

	if (port->gated && port->link.end)
		eal_wait(&port->call, 20);
	while (port->gated && port->link.end && port->started && !port->up && time_now() < end) {
		nanosleep(&nap, NULL);
		port->looks = UINT8_MAX;
		port_look(port);
	}
}

int catnip_port_open(struct libos *os, struct catnip_port **port_out)
{
	struct catnip_port *port = aligned_alloc(64, RTE_ALIGN(sizeof(*port), 64));
	int err;

	if (!port)
		return ENOMEM;
	memset(port, 0, sizeof(*port));
	port->os = os;
	port->dev.ops = &port_dev_ops;
	port->dev.ethernet = true;
	port->count = libos_stats_add(&os->stats, count_names, PORT_N_COUNTS);
	list_init(&port->gate.link);
	eal_gate_add(&port->gate);
	pthread_mutex_lock(&ports.lock);
	err = open_locked(port);
	pthread_mutex_unlock(&ports.lock);
	if (err)
		goto err_gate;
	port_reserve_open(port);
	meet(port);
	*port_out = port;
	return 0;

err_gate:
	eal_gate_del(&port->gate);
	free(port);
	return err;
}

void catnip_port_close(struct catnip_port *port)
{
	port_drop_waiting(port, true);
	if (port->gated)
		port_hang_up(port);
	else
		stop(port);
	pthread_mutex_lock(&ports.lock);
	device_close(port);
	pool_recover(&port->small);
	pool_recover(&port->full);
	ports.slots[port->slot].taken = false;
	pthread_mutex_unlock(&ports.lock);
	eal_gate_del(&port->gate);
	pcap_close(port->pcap);
	port->pcap = NULL;
}

void catnip_port_free(struct catnip_port *port)
{
	pthread_mutex_lock(&ports.lock);
	pools_close(port);
	pthread_mutex_unlock(&ports.lock);
	port_reserve_close(port);
	eal_leave();
	free(port);
}

struct net_dev *catnip_port_dev(struct catnip_port *port)
{
	return &port->dev;
}

unsigned catnip_port_end(const struct catnip_port *port)
{
	return port->link.end;
}

bool catnip_port_is_private(const struct catnip_port *port)
{
	return port->drv->is_private;
}

bool catnip_port_loops(const struct catnip_port *port)
{
	return port->loops;
}

bool catnip_port_is_up(struct catnip_port *port)
{
	return !port->gated || port->up;
}

uint32_t catnip_port_losses(const struct catnip_port *port)
{
	return port->n_losses;
}

/* ---- memory for the program's buffers */

enum mem_kind {
	MEM_EAL = 1,
	MEM_PAGES,
};

/* EAL's where that is what the driver reaches. */
int catnip_mem_map(struct catnip_port *port, size_t size, void **addr_out, void **priv_out)
{
	void *addr = NULL;
	int err = 0;

	if (port->drv->reach == REACH_FIRST_LIST || port->drv->reach == REACH_DMA)
		addr = mem_eal_alloc(size);
	*priv_out = (void *)(uintptr_t)(addr ? MEM_EAL : MEM_PAGES);
	if (!addr)
		err = mem_pages_map(port->rte_dev, size, &addr);
	if (!err)
		*addr_out = addr;
	return err;
}

void catnip_mem_unmap(struct catnip_port *port, void *addr, size_t size, void *priv)
{
	if ((uintptr_t)priv == MEM_EAL)
		mem_eal_free(addr, size);
	else
		mem_pages_unmap(port->rte_dev, addr, size);
}

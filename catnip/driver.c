#include "config.h"

#include "catnip/driver.h"

#include "catnip/link.h"

#include <stddef.h>
#include <string.h>

#define MEMIF_MTU 9000

/* The first that fits. */
static const struct driver drivers[] = {
	/* The server copies straight out of what it is shown; anything else crashes it. */
	{ .name = "net_memif", .with = "zero-copy=yes", .reach = REACH_FIRST_LIST, .chain = true,
	  .keeps = true, .gate = true, .is_private = true, .memory = true,
	  .room = LINK_MEMIF_ROOM, .mtu = MEMIF_MTU, .max_mtu = LINK_MEMIF_ROOM - 14,
	  .n_rx = 512, .n_tx = 512 },
	{ .name = "net_memif", .reach = REACH_ANY, .chain = true, .gate = true,
	  .is_private = true, .memory = true, .room = LINK_MEMIF_ROOM, .mtu = MEMIF_MTU,
	  .max_mtu = LINK_MEMIF_ROOM - 14, .n_rx = 512, .n_tx = 512 },
	/* The mbuf itself goes to the other port, whose thread frees it. */
	{ .name = "net_ring", .reach = REACH_NONE, .rx_pool = true, .passes_on = true,
	  .is_private = true, .memory = true, .room = LINK_MEMIF_ROOM, .mtu = MEMIF_MTU,
	  .max_mtu = LINK_MEMIF_ROOM - 14, .n_rx = 512, .n_tx = 512 },
	/* Of a chain it sends what lies behind the first segment. */
	{ .name = "net_af_xdp", .reach = REACH_NONE, .rx_pool = true, .keeps = true,
	  .mtu = 1500, .max_mtu = 1500, .n_rx = 2048, .n_tx = 2048 },
	{ .name = "net_af_packet", .reach = REACH_ANY, .chain = true, .mtu = 1500,
	  .max_mtu = 1500, .n_rx = 512, .n_tx = 512 },
	{ .name = "net_tap", .reach = REACH_ANY, .chain = true, .mtu = 1500, .max_mtu = 1500,
	  .n_rx = 512, .n_tx = 512 },
	{ .name = "net_vhost", .reach = REACH_ANY, .chain = true, .is_private = true,
	  .interrupt = true, .mtu = 1500, .max_mtu = 1500, .n_rx = 512, .n_tx = 512 },
	{ .name = "net_virtio_user", .reach = REACH_FIRST_LIST, .chain = true, .keeps = true,
	  .is_private = true, .mtu = 1500, .max_mtu = 1500, .n_rx = 512, .n_tx = 512 },
	{ .name = "net_null", .reach = REACH_ANY, .chain = true, .mtu = 1500, .max_mtu = 1500,
	  .n_rx = 512, .n_tx = 512 },
	{ .name = "net_pcap", .reach = REACH_NONE, .mtu = 1500, .max_mtu = 1500, .n_rx = 512,
	  .n_tx = 512 },
};

/* Hardware: DMA, and what it says of itself. Virtual devices that nobody tried: */
static const struct driver nic = { .name = "a NIC", .reach = REACH_DMA, .chain = true,
				   .keeps = true, .interrupt = false, .offloads = true,
				   .mtu = 1500, .n_rx = 1024, .n_tx = 1024 };
static const struct driver unknown = { .name = "unknown", .reach = REACH_NONE, .keeps = true,
				       .mtu = 1500, .max_mtu = 1500, .n_rx = 512, .n_tx = 512 };

static const char *const nics[] = {
	"mlx5_pci", "mlx5_auxiliary", "net_mlx4", "net_ena", "net_ixgbe", "net_ixgbe_vf",
	"net_i40e", "net_iavf", "net_ice", "net_e1000_igb", "net_e1000_em", "net_e1000_igb_vf",
	"net_igc", "net_bnxt", "net_gve", "net_vmxnet3", "net_virtio", "net_netvsc", NULL,
};

const struct driver *driver_find(const char *name, const char *args)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!strcmp(drivers[i].name, name) &&
		    (!drivers[i].with || (args && strstr(args, drivers[i].with))))
			return &drivers[i];
	for (size_t i = 0; nics[i]; i++)
		if (!strcmp(nics[i], name))
			return &nic;
	return &unknown;
}

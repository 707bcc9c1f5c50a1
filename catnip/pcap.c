#include "config.h"

#include "catnip/pcap.h"

#include "catnip/device.h"
#include "libos/libos.h"
#include "libos/log.h"

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_pcapng.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_EXTRA 128u	/* what a packet's block has beside the packet, at most */
#define N_COPIES 63u

struct pcap {
	rte_pcapng_t *file;	/* NULL: it has ended */
	int fd;
	uint64_t size;		/* whole blocks */
	uint64_t limit;		/* RLIMIT_FSIZE: over it would be a signal */
	struct pool copies;
	char path[PATH_MAX];
};

/* DPDK's library keeps its clock in one place, without a lock. */
static pthread_mutex_t clock_lock = PTHREAD_MUTEX_INITIALIZER;

static struct rte_mbuf *copy(struct pcap *pcap, uint16_t id, const struct rte_mbuf *m,
			     uint64_t cycles, bool received)
{
	struct rte_mbuf *block;

	pthread_mutex_lock(&clock_lock);
	block = rte_pcapng_copy(id, 0, m, pcap->copies.mp, UINT32_MAX, cycles,
				received ? RTE_PCAPNG_DIRECTION_IN : RTE_PCAPNG_DIRECTION_OUT);
	pthread_mutex_unlock(&clock_lock);
	return block;
}

/* Its clock starts with the first packet (22.11), and is wrong for ever if that lies
 * before it. */
static void clock_start(struct pcap *pcap, uint16_t id)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pcap->copies.mp);

	if (m && rte_pktmbuf_append(m, 64))
		rte_pktmbuf_free(copy(pcap, id, m, rte_get_tsc_cycles() + rte_get_tsc_hz() / 8,
				      true));
	rte_pktmbuf_free(m);
}

static int file_open(struct pcap *pcap, uint16_t id)
{
	struct rlimit lim;
	struct stat st;
	int err;

	pcap->fd = open(pcap->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (pcap->fd < 0)
		return errno;
	errno = rte_errno = 0;
	pcap->file = rte_pcapng_fdopen(pcap->fd, NULL, NULL, program_invocation_short_name, NULL);
	if (!pcap->file) {
		err = rte_errno ? rte_errno : errno ? errno : EIO;
		close(pcap->fd);
		return err;
	}
	pcap->limit = getrlimit(RLIMIT_FSIZE, &lim) < 0 ? RLIM_INFINITY : lim.rlim_cur;
	pcap->size = fstat(pcap->fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
	clock_start(pcap, id);
	return 0;
}

int pcap_open(const struct catnip_port *port, struct pcap **pcap_out)
{
	const char *path = libos_settings_str(port->os->settings, "catnip.pcap");
	struct pcap *pcap;
	int err;

	*pcap_out = NULL;
	if (!path || !*path)
		return 0;
	pcap = calloc(1, sizeof(*pcap));
	if (!pcap)
		return ENOMEM;
	if (port->slot)
		snprintf(pcap->path, sizeof(pcap->path), "%s.%u", path, port->slot);
	else
		snprintf(pcap->path, sizeof(pcap->path), "%s", path);
	err = pool_open(&pcap->copies, NULL, N_COPIES, port->rx.room + BLOCK_EXTRA);
	if (err)
		goto err_free;
	err = file_open(pcap, port->id);
	if (err) {
		log_error("catnip.pcap (CLOWDER_PCAP): cannot write %s: %s", pcap->path,
			  strerror(err));
		goto err_pool;
	}
	*pcap_out = pcap;
	return 0;

err_pool:
	pool_close(&pcap->copies, true);
err_free:
	free(pcap);
	return err;
}

void pcap_close(struct pcap *pcap)
{
	if (!pcap)
		return;
	if (pcap->file)
		rte_pcapng_close(pcap->file);
	pool_close(&pcap->copies, true);
	free(pcap);
}

/* What is there stays readable: whole blocks. */
static void give_up(struct pcap *pcap, int err)
{
	log_warn("catnip.pcap (CLOWDER_PCAP): %s ends here: %s", pcap->path, strerror(err));
	if (ftruncate(pcap->fd, (off_t)pcap->size) < 0)
		log_debug("catnip: %s keeps half a packet: %s", pcap->path, strerror(errno));
	rte_pcapng_close(pcap->file);
	pcap->file = NULL;
}

static int write_one(struct pcap *pcap, struct rte_mbuf *block)
{
	uint32_t len = block->pkt_len;
	ssize_t n;

	if (pcap->size + len > pcap->limit)
		return EFBIG;
	n = rte_pcapng_write_packets(pcap->file, &block, 1);
	if (n < 0)
		return rte_errno ? rte_errno : EIO;
	if ((size_t)n < len)
		return ENOSPC;
	pcap->size += len;
	return 0;
}

void pcap_write(struct catnip_port *port, struct rte_mbuf **mbufs, uint32_t n, bool received)
{
	struct pcap *pcap = port->pcap;

	for (uint32_t i = 0; i < n; i++) {
		struct rte_mbuf *block = NULL;
		int err = ENOSPC;

		if (pcap->file)
			block = copy(pcap, port->id, mbufs[i], rte_get_tsc_cycles(), received);
		if (block)
			err = write_one(pcap, block);
		if (block && err)
			give_up(pcap, err);
		rte_pktmbuf_free(block);
		port->count[err ? PORT_C_PCAP_LOST : PORT_C_PCAP_PACKETS]++;
	}
}

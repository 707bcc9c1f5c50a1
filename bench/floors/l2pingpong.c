/*
 * A 64-byte Ethernet frame there and back over a DPDK port, with nothing else in
 * between: the floor of a stack on such a port.
 *
 *	l2pingpong server|client [--cpu N] [--ms N] [--rounds N] [--batch N]
 *		[--room BYTES] -- EAL's arguments, with one --vdev
 *
 * The server sends each frame back as it is, until it is ended. --room: of the
 * mbufs, which zero-copy memif wants as large as the link's buffers.
 */
#include "config.h"

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/ends.h"
#include "bench/pong.h"

#define BURST 32
#define MBUFS 4095
#define RING 512
#define ETHERTYPE 0xb588	/* 88b5: for experiments; as it is in memory */
#define PATIENCE_NS UINT64_C(10000000000)
#define AGAIN_NS UINT64_C(100000000)

struct frame {
	uint8_t dst[6], src[6];
	uint16_t type;
	uint16_t pad;
	uint32_t number;
	uint8_t rest[64 - 20];
};

static struct rte_mempool *pool;
static uint16_t port;

static void check(const char *what, int ret)
{
	if (ret < 0)
		errx(1, "%s: %s", what, rte_strerror(-ret));
}

static void port_open(uint32_t room)
{
	const struct rte_eth_conf conf = { 0 };
	uint16_t n_rx = RING, n_tx = RING;

	if (rte_eth_dev_count_avail() != 1)
		errx(1, "EAL's arguments make no port, or more than one");
	port = (uint16_t)rte_eth_find_next(0);
	pool = rte_pktmbuf_pool_create("pingpong", MBUFS, 128, 0,
				       (uint16_t)(room + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
	if (!pool)
		errx(1, "a pool of mbufs: %s", rte_strerror(rte_errno));
	check("configuring the port", rte_eth_dev_configure(port, 1, 1, &conf));
	check("the size of its rings", rte_eth_dev_adjust_nb_rx_tx_desc(port, &n_rx, &n_tx));
	check("its receive queue", rte_eth_rx_queue_setup(port, 0, n_rx, SOCKET_ID_ANY, NULL, pool));
	check("its transmit queue", rte_eth_tx_queue_setup(port, 0, n_tx, SOCKET_ID_ANY, NULL));
	check("starting the port", rte_eth_dev_start(port));
}

static void await_link(void)
{
	uint64_t give_up = clock_ns() + PATIENCE_NS;
	struct rte_eth_link link;

	for (;;) {
		rte_eth_link_get_nowait(port, &link);
		if (link.link_status)
			return;
		if (clock_ns() > give_up)
			errx(1, "the link does not come up");
		usleep(1000);
	}
}

static void send_all(struct rte_mbuf **mbufs, uint16_t n)
{
	uint16_t sent = 0;

	while (sent < n)
		sent = (uint16_t)(sent + rte_eth_tx_burst(port, 0, mbufs + sent,
							  (uint16_t)(n - sent)));
}

static void server(void)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t n;

	await_link();
	for (;;) {
		n = rte_eth_rx_burst(port, 0, mbufs, BURST);
		if (n)
			send_all(mbufs, n);
	}
}

static void request(uint32_t number)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
	struct frame *frame;

	if (__builtin_expect(!mbuf, 0))
		errx(1, "no mbuf is left");
	mbuf->data_len = sizeof(*frame);
	mbuf->pkt_len = sizeof(*frame);
	frame = rte_pktmbuf_mtod(mbuf, struct frame *);
	memset(frame->dst, 0xff, sizeof(frame->dst));
	memset(frame->src, 2, sizeof(frame->src));
	frame->type = ETHERTYPE;
	frame->number = number;
	memset(frame->rest, (int)number, sizeof(frame->rest));
	send_all(&mbuf, 1);
}

/* Others than the answer that is waited for are dropped. */
static bool answer(uint32_t number)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t n = rte_eth_rx_burst(port, 0, mbufs, BURST);
	bool here = false;

	for (uint16_t i = 0; i < n; i++) {
		const struct frame *frame = rte_pktmbuf_mtod(mbufs[i], const struct frame *);

		here |= mbufs[i]->pkt_len == sizeof(*frame) && frame->type == ETHERTYPE &&
			frame->number == number &&
			frame->rest[sizeof(frame->rest) - 1] == (uint8_t)number;
		rte_pktmbuf_free(mbufs[i]);
	}
	return here;
}

static void round_trip(uint32_t number)
{
	request(number);
	while (!answer(number))
		;
}

/* The first ones may find nobody. */
static void first_trip(void)
{
	uint64_t give_up = clock_ns() + PATIENCE_NS, again;

	do {
		if (clock_ns() > give_up)
			errx(1, "nobody answers");
		request(UINT32_MAX);
		again = clock_ns() + AGAIN_NS;
		while (clock_ns() < again)
			if (answer(UINT32_MAX))
				return;
	} while (true);
}

static void client(const struct pong *pong)
{
	await_link();
	first_trip();
	pong_run(pong, round_trip);
	rte_eth_dev_stop(port);
}

int main(int argc, char **argv)
{
	struct pong pong = PONG_DEFAULTS;
	uint32_t room = 2048;
	const struct ends_option options[] = {
		{ "ms", &pong.ms, 1, 100000, NULL },
		{ "rounds", &pong.rounds, 1, 100000, NULL },
		{ "batch", &pong.batch, 1, 100000, NULL },
		{ "room", &room, 128, 16384, NULL },
		{ 0 },
	};
	char **eal = argv;
	struct ends ends;
	int n = 0;

	ends_options(&ends, options, argc, argv);
	while (ends.rest[n])
		n++;
	eal = ends.rest - 1; /* EAL wants a name first */
	eal[0] = argv[0];
	if (rte_eal_init(n + 1, eal) < 0)
		errx(1, "EAL does not start: %s", rte_strerror(rte_errno));
	cpu_pin(ends.cpu);
	port_open(room);
	if (!ends.client)
		ends_listening(&ends.addr);
	if (ends.client)
		client(&pong);
	else
		server();
	return 0;
}

/*
 * What catnip's ports are handed, byte by byte, without the stack:
 *
 *	catnip_port echo	sends back what comes, by reference, until killed
 *	catnip_port push	pushes every kind of buffer, and compares what comes back
 *	catnip_port open N	opens N ports (1), and closes the last
 *	catnip_port knock N S	calls at the socket S of a memif N times, and leaves
 *	catnip_port slow MS	closes while EAL's thread sleeps so long, and opens anew
 *	catnip_port survive N	push to an echo that comes N times, and is killed between
 *	catnip_port loop	push, over a port that brings back what it sends
 *	catnip_port pair	push to an echo of its own, over the second link
 *
 * The settings come from the environment (CLOWDER_CATNIP_LINK). Exit status: 0, 1
 * after a line, or the errno of an open that failed.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "catnip/eal.h"
#include "tests/system/catnip_bare.h"

#define HDR 18u			/* Ethernet and a number */
#define TYPE_ASK 0x88b5
#define TYPE_ANSWER 0x88b6
#define UNIT (2u << 20)
#define PATIENCE (10 * NSEC_PER_SEC)

/* ---- helpers */

__attribute__((__noreturn__, __format__(__printf__, 1, 2)))
static void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static uint8_t byte_of(uint32_t n, uint32_t i)
{
	return (uint8_t)(n * 31 + i * 7 + (i >> 8));
}

static void fill(uint8_t *at, uint32_t n, uint32_t from, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		at[i] = byte_of(n, from + i);
}

/* ---- buffers that are not of a pool */

struct odd {
	struct libos_area area;
	struct libos_buf buf;
	bool gone;
};

static void odd_release(struct libos_buf *buf)
{
	container_of(buf, struct odd, buf)->gone = true;
}

static struct libos_buf *odd_buf(struct odd *odd, struct libos *os, void *base, uint32_t len)
{
	*odd = (struct odd){ .area = { .kind = LIBOS_AREA_FOREIGN, .release = odd_release,
				       .pool = &os->pool, .base = base, .size = len } };
	odd->buf = (struct libos_buf){ .base = base, .len = len, .refs = 1, .area = &odd->area };
	return &odd->buf;
}

/* ---- frames */

static void header(struct net_out *out, const struct net_dev *dev, uint16_t type, uint32_t n)
{
	out->hdr = out->room + 32;
	memset(out->hdr, 0xff, 6);
	memcpy(out->hdr + 6, dev->mac, 6);
	out->hdr[12] = (uint8_t)(type >> 8);
	out->hdr[13] = (uint8_t)type;
	memcpy(out->hdr + 14, &n, 4);
	out->hdr_len = HDR;
}

static void add(struct net_out *out, struct libos_buf *buf, uint32_t off, uint32_t len)
{
	out->segs[out->n_segs++] =
		(struct net_seg){ .mem = catnip_net_mem(buf), .data = buf->base + off, .len = len };
	out->len += len;
}

static void transmit(struct libos *os, struct net_out *out)
{
	struct net_dev *dev = catnip_port_dev(bare_port(os));
	uint64_t end = time_now() + PATIENCE;

	while (!dev->ops->transmit(dev, &out, 1)) {
		if (time_now() > end)
			fail("the port takes nothing");
		sched_yield();
	}
	while (catnip_port_flush(bare_port(os)))
		if (time_now() > end)
			fail("the driver takes nothing");
}

static uint16_t type_of(const struct net_pkt *pkt)
{
	return pkt->seg.len < HDR ? 0 : (uint16_t)(pkt->seg.data[12] << 8 | pkt->seg.data[13]);
}

static void drop(struct libos *os, struct net_pkt *pkt)
{
	catnip_port_dev(bare_port(os))->ops->put(pkt->seg.mem);
}

/* ---- echo */

static void answer(struct libos *os, struct net_pkt *pkt)
{
	struct net_dev *dev = catnip_port_dev(bare_port(os));
	struct net_out out = { 0 };
	uint32_t n;

	if (type_of(pkt) != TYPE_ASK) {
		drop(os, pkt);
		return;
	}
	memcpy(&n, pkt->seg.data + 14, 4);
	header(&out, dev, TYPE_ANSWER, n);
	out.segs[0] = (struct net_seg){ .mem = pkt->seg.mem, .data = pkt->seg.data + HDR,
					.len = pkt->seg.len - HDR };
	out.n_segs = out.segs[0].len ? 1 : 0;
	out.len = out.segs[0].len;
	if (!out.n_segs)
		drop(os, pkt);
	transmit(os, &out);
}

static uint32_t echo_pass(struct libos *os)
{
	struct net_pkt pkts[CATNIP_BURST];
	uint32_t n = catnip_port_receive(bare_port(os), pkts);

	for (uint32_t i = 0; i < n; i++)
		answer(os, &pkts[i]);
	catnip_port_flush(bare_port(os));
	return n;
}

static int echo(void)
{
	struct libos *os = bare_open_or_exit();
	const struct timespec nap = { 0, 50000 };

	puts("ready");
	fflush(stdout);
	for (uint64_t idle = 0;; idle++) {
		if (echo_pass(os))
			idle = 0;
		else if (idle > 1000)
			nanosleep(&nap, NULL);
		if (idle > 1000 && getppid() == 1)
			return 0;
	}
}

static _Atomic bool echo_ends;

static void *echo_thread(void *arg)
{
	struct libos *os = bare_open_or_exit();

	atomic_store((_Atomic bool *)arg, true);
	while (!atomic_load(&echo_ends))
		echo_pass(os);
	bare_close(os);
	return NULL;
}

/* ---- push: ask, and compare */

static void compare(const struct net_pkt *pkt, uint32_t n, uint32_t len, const char *what)
{
	const uint8_t *data = pkt->seg.data + HDR;

	if (pkt->seg.len - HDR < len)
		fail("%s: %u bytes of %u came back", what, pkt->seg.len - HDR, len);
	for (uint32_t i = 0; i < len; i++)
		if (data[i] != byte_of(n, i))
			fail("%s: byte %u of %u is %02x, not %02x", what, i, len, data[i],
			     byte_of(n, i));
}

static void await_answer(struct libos *os, uint32_t n, uint32_t len, uint16_t type,
			 const char *what)
{
	uint64_t end = time_now() + PATIENCE;
	struct net_pkt pkts[CATNIP_BURST];
	bool found = false;

	while (!found) {
		uint32_t got = catnip_port_receive(bare_port(os), pkts);

		for (uint32_t i = 0; i < got; i++) {
			uint32_t m = ~n;

			if (type_of(&pkts[i]) == type)
				memcpy(&m, pkts[i].seg.data + 14, 4);
			if (m == n && !found) {
				compare(&pkts[i], n, len, what);
				found = true;
			}
			drop(os, &pkts[i]);
		}
		if (time_now() > end)
			fail("%s of %u bytes: nothing came back", what, len);
	}
}

struct pusher {
	struct libos *os;
	struct libos *other;	/* a ring with itself, for a popped mbuf of another port */
	uint16_t type;		/* of what comes back */
	uint32_t n;
	uint32_t mtu;
};

static void ask(struct pusher *p, struct net_out *out, const char *what)
{
	uint32_t len = out->len;

	header(out, catnip_port_dev(bare_port(p->os)), TYPE_ASK, p->n);
	transmit(p->os, out);
	await_answer(p->os, p->n, len, p->type, what);
	p->n++;
}

static struct libos_buf *pool_buf(struct pusher *p, uint32_t from, uint32_t len)
{
	struct libos_buf *buf = libos_buf_alloc(&p->os->pool, len);

	if (!buf)
		fail("no memory");
	fill(buf->base, p->n, from, len);
	return buf;
}

static void push_pool(struct pusher *p, uint32_t len)
{
	struct net_out out = { 0 };

	add(&out, pool_buf(p, 0, len), 0, len);
	ask(p, &out, "a pool buffer");
}

/* Some of a large one, and its last bytes. */
static void push_slice(struct pusher *p, uint32_t len)
{
	struct libos_buf *buf = libos_buf_alloc(&p->os->pool, 3 * UNIT);
	const uint32_t offs[] = { 1, UNIT - 100, 2 * UNIT + 4093, 3 * UNIT - len };

	if (!buf)
		fail("no memory");
	for (unsigned i = 0; i < 4; i++) {
		struct net_out out = { 0 };

		fill(buf->base + offs[i], p->n, 0, len);
		libos_buf_get(buf);
		add(&out, buf, offs[i], len);
		ask(p, &out, "a slice");
	}
	libos_buf_put(buf);
}

static void push_four(struct pusher *p, uint32_t len)
{
	struct net_out out = { 0 };
	uint32_t done = 0;

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t some = i == 3 ? len - done : len / 4;

		add(&out, pool_buf(p, done, some), 0, some);
		done += some;
	}
	ask(p, &out, "an sga of four");
}

static void wait_gone(struct pusher *p, struct odd *odd, const char *what)
{
	uint64_t end = time_now() + PATIENCE;

	while (!odd->gone) {
		struct net_pkt pkts[CATNIP_BURST];
		uint32_t n = catnip_port_receive(bare_port(p->os), pkts);

		for (uint32_t i = 0; i < n; i++)
			drop(p->os, &pkts[i]);
		if (time_now() > end)
			fail("%s is never given back", what);
	}
}

static bool push_pages(struct pusher *p, uint32_t len, int flags, const char *what)
{
	uint8_t *at = mmap(NULL, UNIT, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	const uint32_t offs[] = { 0, 4096 - 7, UNIT - len };
	struct odd odd;

	if (at == MAP_FAILED)
		return false;
	for (unsigned i = 0; i < 3; i++) {
		struct net_out out = { 0 };

		fill(at + offs[i], p->n, 0, len);
		add(&out, odd_buf(&odd, p->os, at, UNIT), offs[i], len);
		ask(p, &out, what);
		wait_gone(p, &odd, what);
	}
	munmap(at, UNIT);
	return true;
}

/* What came over another port, whose mbuf it is. */
static void push_popped(struct pusher *p, uint32_t len)
{
	struct net_dev *dev = catnip_port_dev(bare_port(p->other));
	struct net_out out = { 0 }, again = { 0 };
	struct libos_buf *buf = libos_buf_alloc(&p->other->pool, len);
	struct net_pkt pkts[CATNIP_BURST];

	fill(buf->base, p->n, 0, len);
	header(&out, dev, TYPE_ASK, p->n);
	add(&out, buf, 0, len);
	transmit(p->other, &out);
	while (!catnip_port_receive(bare_port(p->other), pkts))
		;
	again.segs[0] = pkts[0].seg;
	again.segs[0].data += HDR;
	again.segs[0].len = len;
	again.n_segs = 1;
	again.len = len;
	ask(p, &again, "a popped mbuf of another port");
}

/* How many times a hugepage could be had. */
static uint32_t push_all(struct pusher *p)
{
	uint32_t n_huge = 0;
	const uint32_t lens[] = { 42, 100, 256, 257, 600, 1400, p->mtu - 4 };

	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		push_pool(p, lens[i]);
		push_slice(p, lens[i]);
		push_four(p, lens[i]);
		push_pages(p, lens[i], 0, "plain pages");
		n_huge += push_pages(p, lens[i], MAP_HUGETLB, "a hugepage");
		if (p->other && lens[i] <= 1400)
			push_popped(p, lens[i]);
	}
	return n_huge;
}

/* As fast as it goes: nothing is lost that the port has taken, and nothing stays. */
static void push_many(struct pusher *p)
{
	uint64_t end = time_now() + PATIENCE;
	uint32_t sent = 0, came = 0, window = 64, total = 20000;
	struct net_pkt pkts[CATNIP_BURST];
	uint32_t first = p->n;

	while (came < total) {
		struct net_out out = { 0 };
		uint32_t len = 42 + sent % (p->mtu - 46), n;

		if (sent < total && sent - came < window) {
			add(&out, pool_buf(p, 0, len), 0, len);
			header(&out, catnip_port_dev(bare_port(p->os)), TYPE_ASK, p->n++);
			transmit(p->os, &out);
			sent++;
		}
		n = catnip_port_receive(bare_port(p->os), pkts);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t m;

			m = UINT32_MAX; /* a late answer to a hello */
			if (type_of(&pkts[i]) == p->type)
				memcpy(&m, pkts[i].seg.data + 14, 4);
			if (m != UINT32_MAX) {
				if (m != first + came)
					fail("packet %u came for %u", m - first, came);
				compare(&pkts[i], m, 42 + came % (p->mtu - 46), "one of many");
				came++;
				end = time_now() + PATIENCE;
			}
			drop(p->os, &pkts[i]);
		}
		if (time_now() > end)
			fail("%u of %u came back", came, sent);
	}
}

static void push_counts(struct pusher *p, bool other_too)
{
	uint64_t end = time_now() + PATIENCE;
	uint64_t *out = &p->os->count[LIBOS_C_BUFS_OUT];

	while (*out && time_now() < end) {
		struct net_pkt pkts[CATNIP_BURST];
		uint32_t n = catnip_port_receive(bare_port(p->os), pkts);

		for (uint32_t i = 0; i < n; i++)
			drop(p->os, &pkts[i]);
	}
	if (*out || (other_too && p->other->count[LIBOS_C_BUFS_OUT]))
		fail("%llu buffers are out at the end", (unsigned long long)*out);
}

static void wait_up(struct libos *os)
{
	uint64_t end = time_now() + PATIENCE;
	struct net_pkt pkts[CATNIP_BURST];

	while (!catnip_port_is_up(bare_port(os))) {
		uint32_t n = catnip_port_receive(bare_port(os), pkts);

		for (uint32_t i = 0; i < n; i++)
			drop(os, &pkts[i]);
		if (time_now() > end)
			fail("the peer does not come");
	}
}

/* Until somebody answers at all: the other end may not be there yet. */
static void hello(struct pusher *p)
{
	uint64_t end = time_now() + PATIENCE, again = 0;
	struct net_pkt pkts[CATNIP_BURST];
	bool found = false;

	while (!found) {
		uint32_t n = catnip_port_receive(bare_port(p->os), pkts);

		for (uint32_t i = 0; i < n; i++) {
			found |= type_of(&pkts[i]) == p->type;
			drop(p->os, &pkts[i]);
		}
		if (time_now() > end)
			fail("nobody answers");
		if (time_now() > again) {
			struct net_out out = { 0 };

			add(&out, pool_buf(p, 0, 42), 0, 42);
			header(&out, catnip_port_dev(bare_port(p->os)), TYPE_ASK, UINT32_MAX);
			transmit(p->os, &out);
			again = time_now() + 50 * NSEC_PER_MSEC;
		}
	}
}

static int push(bool loops, bool with_other)
{
	struct pusher p = { .type = loops ? TYPE_ASK : TYPE_ANSWER };
	uint32_t n_huge;

	p.os = bare_open_or_exit();
	if (with_other)
		p.other = bare_open_or_exit();
	p.mtu = catnip_port_dev(bare_port(p.os))->mtu;
	wait_up(p.os);
	hello(&p);
	n_huge = push_all(&p);
	push_many(&p);
	push_counts(&p, with_other);
	if (p.other)
		bare_close(p.other);
	bare_close(p.os);
	printf("pushed %u packets, %u hugepages, mtu %u\n", p.n, n_huge, p.mtu);
	return 0;
}

/* The peer may go at any moment, and come back: what is on its way is lost, and
 * nothing else. */
static void exchange(struct pusher *p, uint32_t wanted)
{
	uint32_t answers = 0;

	while (answers < wanted && catnip_port_is_up(bare_port(p->os))) {
		struct net_pkt pkts[CATNIP_BURST];
		struct net_out out = { 0 };
		uint32_t len = 42 + p->n % (p->mtu - 46), n;

		add(&out, pool_buf(p, 0, len), 0, len);
		header(&out, catnip_port_dev(bare_port(p->os)), TYPE_ASK, p->n++);
		transmit(p->os, &out);
		n = catnip_port_receive(bare_port(p->os), pkts);
		for (uint32_t i = 0; i < n; i++) {
			uint32_t m;

			if (type_of(&pkts[i]) == p->type) {
				memcpy(&m, pkts[i].seg.data + 14, 4);
				compare(&pkts[i], m, 42 + m % (p->mtu - 46), "of a survivor");
				answers++;
			}
			drop(p->os, &pkts[i]);
		}
	}
}

/* The program closes what it does not know, and opens something. */
static void steal_memory_fd(void)
{
	char path[64], target[64];

	for (int fd = 3; fd < 256; fd++) {
		ssize_t n;
		int null;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		if (!strstr(target, "memfd:nohuge"))
			continue;
		null = open("/dev/null", O_RDONLY);
		dup2(null, fd);
		close(null);
		return; /* the first is EAL's, the second our copy */
	}
	fail("EAL's memory has no descriptor");
}

static int survive(uint32_t times, bool steal)
{
	struct pusher p = { .type = TYPE_ANSWER, .os = bare_open_or_exit() };

	p.mtu = catnip_port_dev(bare_port(p.os))->mtu;
	for (uint32_t i = 1; i <= times; i++) {
		wait_up(p.os);
		printf("up %u\n", i);
		fflush(stdout);
		if (steal && i == 2)
			steal_memory_fd();
		exchange(&p, i < times ? UINT32_MAX : 10000);
	}
	push_counts(&p, false);
	bare_close(p.os);
	return 0;
}

/* Callers who leave at every moment of the conversation, or talk nonsense. */
static int knock(uint32_t times, const char *path)
{
	const struct timespec nap = { 0, 200000 };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char junk[600] = { 3 }; /* as in an INIT */

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	for (uint32_t i = 0; i < times; i++) {
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
			fail("connect: %s", strerror(errno));
		if (i % 4 == 1)
			nanosleep(&nap, NULL);
		if (i % 4 >= 2)
			junk[1] = (char)send(fd, junk, i % 4 == 2 ? 128 : i % 600 + 1,
					     MSG_NOSIGNAL); /* it may have hung up */
		if (i % 8 == 2)
			recv(fd, junk, sizeof(junk), 0);
		close(fd);
	}
	return 0;
}

static void sleep_ms(void *arg)
{
	poll(NULL, 0, (int)(intptr_t)arg);
}

static int slow(int ms)
{
	struct eal_job job = { .fn = sleep_ms, .arg = (void *)(intptr_t)ms };
	struct libos *os = bare_open_or_exit();

	wait_up(os);
	if (eal_run(&job))
		fail("no alarm");
	bare_close(os);
	if (!eal_finish(&job))
		fail("it did not wake");
	poll(NULL, 0, 100); /* whatever was put off has its time */
	bare_close(bare_open_or_exit());
	return 0;
}

static int pair(void)
{
	_Atomic bool ready = false;
	pthread_t thread;
	int ret;

	if (pthread_create(&thread, NULL, echo_thread, &ready))
		fail("no thread");
	while (!atomic_load(&ready))
		poll(NULL, 0, 1);
	ret = push(false, false);
	atomic_store(&echo_ends, true);
	pthread_join(thread, NULL);
	return ret;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "echo"))
		return echo();
	if (!strcmp(what, "push"))
		return push(false, argc > 2);
	if (!strcmp(what, "loop"))
		return push(true, argc > 2);
	if (!strcmp(what, "pair"))
		return pair();
	if (!strcmp(what, "slow") && argc > 2)
		return slow(atoi(argv[2]));
	if (!strcmp(what, "survive") && argc > 2)
		return survive((uint32_t)atoi(argv[2]), argc > 3);
	if (!strcmp(what, "knock") && argc > 3)
		return knock((uint32_t)atoi(argv[2]), argv[3]);
	for (int i = atoi(argc > 2 ? argv[2] : "1"); !strcmp(what, "open"); i--) {
		struct libos *os = bare_open_or_exit();

		if (i > 1)
			continue; /* the last one or the one that fails */
		bare_close(os);
		return 0;
	}
	fprintf(stderr, "usage: catnip_port echo|push|loop|pair|open|slow|survive [other|N]\n");
	return 2;
}

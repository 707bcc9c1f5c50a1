#include "config.h"

#include "tests/unit/rawpeer.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

int raw_memfd(uint32_t size, bool allocated, enum raw_seals seals, uint8_t **addr_out)
{
	int fd = memfd_create("raw", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int bits = F_SEAL_SHRINK | F_SEAL_GROW;

	ck_assert_int_ge(fd, 0);
	if (allocated)
		ck_assert_int_eq(posix_fallocate(fd, 0, size), 0);
	else
		ck_assert_int_eq(ftruncate(fd, size), 0);
	*addr_out = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(*addr_out, MAP_FAILED);
	if (seals == RAW_SEALED)
		bits |= F_SEAL_FUTURE_WRITE;
	if (seals != RAW_UNSEALED)
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, bits), 0);
	return fd;
}

void raw_connect(struct rawpeer *p, uint16_t port)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	memset(p, 0, sizeof(*p));
	p->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(p->sock, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/catmem/t-127.0.0.1:%u",
		 getenv("CLOWDER_RUNTIME_DIR"), port);
	ck_assert_int_eq(connect(p->sock, (struct sockaddr *)&sun, sizeof(sun)), 0);
}

void raw_note(struct rawpeer *p, uint32_t type, uint32_t value, uint64_t size, int fd)
{
	struct wire_note note = { type, value, size };
	struct iovec iov = { &note, sizeof(note) };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} u;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c;

		memset(&u, 0, sizeof(u));
		msg.msg_control = u.buf;
		msg.msg_controllen = sizeof(u.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	/* It may have cut us off already. */
	if (sendmsg(p->sock, &msg, MSG_NOSIGNAL) < 0)
		return;
}

static void hello_in(struct rawpeer *p)
{
	struct wire_note note;
	struct iovec iov = { &note, sizeof(note) };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} u;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf,
			      .msg_controllen = sizeof(u.buf) };
	int fd;

	ck_assert_int_eq(recvmsg(p->sock, &msg, MSG_CMSG_CLOEXEC), sizeof(note));
	ck_assert_uint_eq(note.type, WIRE_NOTE_HELLO);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	p->theirs = mmap(NULL, WIRE_HALF_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(p->theirs, MAP_FAILED);
	/* What we are given cannot be written by us in any way. */
	ck_assert_ptr_eq(mmap(NULL, WIRE_HALF_SIZE, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	ck_assert_int_ne(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	ck_assert_int_ne(ftruncate(fd, 0), 0);
	close(fd);
}

void raw_hello(struct rawpeer *p)
{
	int fd = raw_memfd(WIRE_HALF_SIZE, true, RAW_SEALED, &p->mine);

	raw_note(p, WIRE_NOTE_HELLO, WIRE_MAGIC, 0, fd);
	close(fd);
	hello_in(p);
	ring_init(&p->ring, p->mine, p->theirs, WIRE_HALF_SIZE);
}

static void nap(void)
{
	const struct timespec ts = { 0, 200000 };

	nanosleep(&ts, NULL);
}

void raw_slot(struct rawpeer *p, uint32_t tag, const void *data, size_t len)
{
	uint8_t *slot;
	int err = 0;

	while (!(slot = ring_reserve(&p->ring, &err)) && !err)
		nap();
	ck_assert_int_eq(err, 0);
	memcpy(slot, data, len);
	ring_publish(&p->ring, tag);
	raw_note(p, WIRE_NOTE_KICK, 0, 0, -1);
}

bool raw_fill(struct rawpeer *p, uint32_t tag, const void *data, size_t len)
{
	uint8_t *slot;
	int err = 0;

	for (int i = 0; !(slot = ring_reserve(&p->ring, &err)); i++) {
		if (err || i == 5000)
			return false;
		raw_note(p, WIRE_NOTE_KICK, 0, 0, -1);
		nap();
	}
	memcpy(slot, data, len);
	ring_publish(&p->ring, tag);
	return true;
}

void raw_expect(struct rawpeer *p, enum wire_type type, uint32_t *tag_out, void *data_out)
{
	const uint8_t *data;

	for (int i = 0; i < 20000; i++) {
		while (ring_peek(&p->ring, tag_out, &data) == 0) {
			memcpy(data_out, data, RING_SLOT_DATA);
			ring_advance(&p->ring);
			ring_release(&p->ring);
			if (wire_tag_type(*tag_out) == type)
				return;
		}
		nap();
	}
	ck_abort_msg("no slot of type %d came", (int)type);
}

uint32_t raw_open(struct rawpeer *p, uint16_t port, uint32_t my_name)
{
	struct wire_connect msg = { .peer_conn = my_name, .src_ip = htonl(INADDR_LOOPBACK),
				    .dst_ip = htonl(INADDR_LOOPBACK), .src_port = htons(40000),
				    .dst_port = htons(port) };
	union {
		struct wire_data data;
		uint8_t bytes[RING_SLOT_DATA];
	} answer;
	uint32_t tag;

	raw_slot(p, wire_tag(WIRE_CONNECT, 0, 0), &msg, sizeof(msg));
	raw_expect(p, WIRE_ACCEPT, &tag, &answer);
	ck_assert_uint_eq(answer.data.conn, my_name);
	return answer.data.word.peer_conn;
}

bool raw_is_cut_off(struct rawpeer *p)
{
	struct pollfd pfd = { .fd = p->sock, .events = POLLIN };
	char buf[512];

	for (int i = 0; i < 50; i++) {
		if (poll(&pfd, 1, 100) != 1)
			continue;
		ssize_t n = recv(p->sock, buf, sizeof(buf), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
	}
	return false;
}

void raw_close(struct rawpeer *p)
{
	close(p->sock);
	if (p->mine)
		munmap(p->mine, WIRE_HALF_SIZE);
	if (p->theirs)
		munmap(p->theirs, WIRE_HALF_SIZE);
}

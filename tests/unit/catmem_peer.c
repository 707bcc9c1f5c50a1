/*
 * A peer process that lies. Whatever it does, it is cut off or ignored, its own
 * queues fail, and the server goes on serving an honest client.
 */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <demi/ext.h>
#include <demi/libos.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "tests/unit/rawpeer.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define PORT 4711
#define PORT_DEAF (PORT + 2)	/* of a listener that accepts nobody */
#define BACKLOG_DEAF 4
#define REGION_SIZE (2u << 20)

static struct sockaddr_in server_addr = { .sin_family = AF_INET };
static char dir[64];

/* ---- an echo server in a thread, and an honest client */

static _Atomic uint64_t server_handle;
static _Atomic bool server_up;

/* Check's own assertions belong to one thread. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

static int server_dgrams = -1;

/* An answer to those that begin with a 1. */
static void serve_dgram(const demi_qresult_t *qr)
{
	demi_sgarray_t sga = qr->qr_value.sga;
	demi_qtoken_t qt;

	if (qr->qr_opcode == DEMI_OPC_PUSH)
		return;
	must(qr->qr_opcode == DEMI_OPC_POP);
	if (*(uint8_t *)sga.sga_segs[0].sgaseg_buf == 1)
		must(demi_pushto(&qt, server_dgrams, &sga, (struct sockaddr *)&sga.sga_addr,
				 sizeof(sga.sga_addr)) == 0);
	must(demi_sgafree(&sga) == 0);
	must(demi_pop(&qt, server_dgrams) == 0);
}

static void serve(const demi_qresult_t *qr)
{
	demi_sgarray_t sga = qr->qr_value.sga;
	demi_qtoken_t qt;

	if (qr->qr_opcode == DEMI_OPC_ACCEPT) {
		must((demi_accept(&qt, qr->qr_qd)) == 0);
		must((demi_pop(&qt, qr->qr_value.ares.qd)) == 0);
	} else if (qr->qr_opcode == DEMI_OPC_POP) {
		if (!sga.sga_segs[0].sgaseg_len)
			demi_close(qr->qr_qd);
		else if (demi_push(&qt, qr->qr_qd, &sga) || demi_pop(&qt, qr->qr_qd))
			demi_close(qr->qr_qd);
		must((demi_sgafree(&sga)) == 0);
	} else if (qr->qr_opcode == DEMI_OPC_FAILED && qr->qr_ret != ECANCELED) {
		demi_close(qr->qr_qd);
	}
}

static int server_listen(uint16_t port, int backlog)
{
	struct sockaddr_in addr = server_addr;
	int qd;

	addr.sin_port = htons(port);
	must((demi_socket(&qd, AF_INET, SOCK_STREAM, 0)) == 0);
	must((demi_bind(qd, (struct sockaddr *)&addr, sizeof(addr))) == 0);
	must((demi_listen(qd, backlog)) == 0);
	return qd;
}

static bool old_kernel;

/* As before Linux 6.5, or in a container that forbids it: no cachestat(). */
static void pages_uncounted(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 451, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { array_size(code), code };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
}

static void *server(void *arg)
{
	demi_qresult_t qrs[16];
	demi_qtoken_t qt;
	uint64_t handle;
	int n;

	(void)arg;
	if (old_kernel)
		pages_uncounted();
	must((demi_init(NULL)) == 0);
	must((demi_wakehandle(&handle)) == 0);
	server_listen(PORT_DEAF, BACKLOG_DEAF);
	must(demi_socket(&server_dgrams, AF_INET, SOCK_DGRAM, 0) == 0);
	must(demi_bind(server_dgrams, (struct sockaddr *)&server_addr, sizeof(server_addr)) == 0);
	must(demi_pop(&qt, server_dgrams) == 0);
	must((demi_accept(&qt, server_listen(PORT, 16))) == 0);
	atomic_store(&server_handle, handle);
	atomic_store(&server_up, true);
	while (demi_wait_next_n(qrs, 16, &n, NULL) == 0)
		for (int i = 0; i < n; i++)
			(qrs[i].qr_qd == server_dgrams ? serve_dgram : serve)(&qrs[i]);
	must((demi_fini()) == 0);
	return NULL;
}

static void wait_for(demi_qtoken_t qt, demi_qresult_t *qr)
{
	const struct timespec limit = { 10, 0 };

	ck_assert_int_eq(demi_wait(qr, qt, &limit), 0);
}

static void echo_once(int qd, size_t size, uint8_t fill)
{
	demi_sgarray_t sga = demi_sgaalloc(size);
	demi_qresult_t qr;
	demi_qtoken_t qt;
	size_t got = 0;

	ck_assert_ptr_nonnull(sga.sga_buf);
	memset(sga.sga_segs[0].sgaseg_buf, fill, size);
	ck_assert_int_eq(demi_push(&qt, qd, &sga), 0);
	wait_for(qt, &qr);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_PUSH);
	ck_assert_int_eq(demi_sgafree(&sga), 0);
	while (got < size) {
		ck_assert_int_eq(demi_pop(&qt, qd), 0);
		wait_for(qt, &qr);
		ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_POP);
		sga = qr.qr_value.sga;
		for (uint32_t i = 0; i < sga.sga_segs[0].sgaseg_len; i++)
			must(((uint8_t *)sga.sga_segs[0].sgaseg_buf)[i] == fill);
		got += sga.sga_segs[0].sgaseg_len;
		ck_assert_int_eq(demi_sgafree(&sga), 0);
	}
}

static int honest_open(void)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;
	int qd;

	ck_assert_int_eq(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), 0);
	ck_assert_int_eq(demi_connect(&qt, qd, (struct sockaddr *)&server_addr,
				      sizeof(server_addr)), 0);
	wait_for(qt, &qr);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_CONNECT);
	return qd;
}

/* ---- what a liar does once it has a connection */

struct liar {
	struct rawpeer p;
	uint32_t conn;		/* the server's name for its connection */
	uint8_t *region;	/* our region 0, announced */
};

static void send_data(struct liar *l, uint32_t count, uint32_t len)
{
	struct wire_data msg = { .conn = l->conn };

	raw_slot(&l->p, wire_tag(WIRE_DATA, count, len), &msg, sizeof(msg));
}

static void send_ref(struct liar *l, uint32_t count, struct wire_ref ref)
{
	struct wire_data msg = { .conn = l->conn, .refs = { ref } };

	raw_slot(&l->p, wire_tag(WIRE_REFS, count, 0), &msg, sizeof(msg));
}

static void announce(struct liar *l, uint32_t id, uint64_t size, uint32_t real, bool allocated,
		     enum raw_seals seals)
{
	uint8_t *addr;
	int fd = raw_memfd(real, allocated, seals, &addr);

	raw_note(&l->p, WIRE_NOTE_REGION, id, size, fd);
	close(fd);
}

static void bad_note(struct liar *l)
{
	raw_note(&l->p, 99, 0, 0, -1);
}

static void half_note(struct liar *l)
{
	ck_assert_int_eq(send(l->p.sock, "abc", 3, 0), 3);
}

static void second_hello(struct liar *l)
{
	raw_note(&l->p, WIRE_NOTE_HELLO, WIRE_MAGIC, 0, -1);
}

static void region_without_descriptor(struct liar *l)
{
	raw_note(&l->p, WIRE_NOTE_REGION, 1, REGION_SIZE, -1);
}

static void region_unsealed(struct liar *l)
{
	announce(l, 1, REGION_SIZE, REGION_SIZE, true, RAW_UNSEALED);
}

static void region_writable(struct liar *l)
{
	announce(l, 1, REGION_SIZE, REGION_SIZE, true, RAW_NO_WRITE_SEAL);
}

static void region_with_holes(struct liar *l)
{
	announce(l, 1, REGION_SIZE, REGION_SIZE, false, RAW_SEALED);
}

/* As many blocks as it should have, but past the end. */
static void region_with_blocks_elsewhere(struct liar *l)
{
	uint8_t *addr;
	int fd = raw_memfd(REGION_SIZE, false, RAW_UNSEALED, &addr);

	ck_assert_int_eq(fallocate(fd, FALLOC_FL_KEEP_SIZE, REGION_SIZE, REGION_SIZE), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE),
			 0);
	raw_note(&l->p, WIRE_NOTE_REGION, 1, REGION_SIZE, fd);
	close(fd);
}

static void region_too_short(struct liar *l)
{
	announce(l, 1, 2 * REGION_SIZE, REGION_SIZE, true, RAW_SEALED);
}

static void region_odd(struct liar *l)
{
	announce(l, 1, 4096, 4096, true, RAW_SEALED);
}

static void region_empty(struct liar *l)
{
	announce(l, 1, 0, REGION_SIZE, true, RAW_SEALED);
}

static void region_twice(struct liar *l)
{
	announce(l, 0, REGION_SIZE, REGION_SIZE, true, RAW_SEALED);
}

static void region_under_two_numbers(struct liar *l)
{
	uint8_t *addr;
	int fd = raw_memfd(REGION_SIZE, true, RAW_SEALED, &addr);

	raw_note(&l->p, WIRE_NOTE_REGION, 1, REGION_SIZE, fd);
	raw_note(&l->p, WIRE_NOTE_REGION, 2, REGION_SIZE, fd);
	close(fd);
}

static void region_far(struct liar *l)
{
	announce(l, WIRE_REGIONS_MAX, REGION_SIZE, REGION_SIZE, true, RAW_SEALED);
}

static void bad_sequence(struct liar *l)
{
	l->p.ring.prod += 5;
	send_data(l, 0, 8);
}

static void bad_type(struct liar *l)
{
	struct wire_data msg = { .conn = l->conn };

	raw_slot(&l->p, wire_tag((enum wire_type)77, 0, 0), &msg, sizeof(msg));
}

static void data_empty(struct liar *l)
{
	send_data(l, 0, 0);
}

static void data_too_long(struct liar *l)
{
	send_data(l, 0, WIRE_INLINE_MAX + 1);
}

static void data_far_too_long(struct liar *l)
{
	send_data(l, 0, 65535);
}

static void refs_none(struct liar *l)
{
	send_ref(l, 0, (struct wire_ref){ 0, 0, 1, 0, 4096 });
}

static void refs_too_many(struct liar *l)
{
	send_ref(l, WIRE_REFS_MAX + 1, (struct wire_ref){ 0, 0, 1, 0, 4096 });
}

static void ref_unknown_region(struct liar *l)
{
	send_ref(l, 1, (struct wire_ref){ 7, 0, 1, 0, 4096 });
}

static void ref_past_the_end(struct liar *l)
{
	send_ref(l, 1, (struct wire_ref){ 0, 0, 1, REGION_SIZE - 16, 4096 });
}

static void ref_that_wraps(struct liar *l)
{
	send_ref(l, 1, (struct wire_ref){ 0, 0, 1, 4096, UINT32_MAX });
}

static void ref_empty(struct liar *l)
{
	send_ref(l, 1, (struct wire_ref){ 0, 0, 1, 0, 0 });
}

static void ref_yours_never_lent(struct liar *l)
{
	send_ref(l, 1, (struct wire_ref){ WIRE_YOURS, 0, 1, 0, 64 });
}

static void return_never_lent(struct liar *l)
{
	struct wire_return msg = { { 3 } };

	raw_slot(&l->p, wire_tag(WIRE_RETURN, 1, 0), &msg, sizeof(msg));
}

static void return_too_many(struct liar *l)
{
	struct wire_return msg = { { 0 } };

	raw_slot(&l->p, wire_tag(WIRE_RETURN, 255, 0), &msg, sizeof(msg));
}

union slot {
	struct wire_data data;
	uint8_t bytes[RING_SLOT_DATA];
};

/* Lends as loan 1 and gets the echo of it, "yours", on a loan of the server's. */
static uint32_t be_lent(struct liar *l)
{
	union slot answer;
	uint32_t tag;

	send_ref(l, 1, (struct wire_ref){ 0, 0, 1, 0, 4096 });
	raw_expect(&l->p, WIRE_REFS, &tag, &answer);
	ck_assert_uint_eq(answer.data.refs[0].region, WIRE_YOURS);
	ck_assert_uint_eq(answer.data.refs[0].lent, 1);
	return answer.data.refs[0].loan;
}

/* Eight bytes, and with them a loan given back. */
static void give_back(struct liar *l, uint32_t loan)
{
	struct wire_data msg = { .conn = l->conn, .loan = loan };

	raw_slot(&l->p, wire_tag(WIRE_DATA, 0, 8) | WIRE_GIVES_BACK, &msg, sizeof(msg));
}

static void return_twice(struct liar *l)
{
	struct wire_return msg;

	msg.loans[0] = msg.loans[1] = be_lent(l);
	raw_slot(&l->p, wire_tag(WIRE_RETURN, 2, 0), &msg, sizeof(msg));
}

/* What it lent itself, and has back by reference, is not ours. */
static void yours_that_is_its_own(struct liar *l)
{
	send_ref(l, 1, (struct wire_ref){ WIRE_YOURS, be_lent(l), 2, 0, 64 });
}

static void give_back_never_lent(struct liar *l)
{
	give_back(l, 3);
}

static void give_back_twice(struct liar *l)
{
	uint32_t loan = be_lent(l);

	give_back(l, loan);
	give_back(l, loan);
}

/* What is lent cannot be credited away. */
static void credit_for_a_loan(struct liar *l)
{
	struct wire_data msg = { .conn = l->conn, .word = { 0, 1 } };

	be_lent(l);
	raw_slot(&l->p, wire_tag(WIRE_CREDIT, 0, 0), &msg, sizeof(msg));
}

static void accept_unasked(struct liar *l)
{
	struct wire_data msg = { .conn = l->conn, .word = { 1, 0 } };

	raw_slot(&l->p, wire_tag(WIRE_ACCEPT, 0, 0), &msg, sizeof(msg));
}

/* Its name is the next slot's: the backlog is full, so we have not been told. */
static void accept_of_our_own(struct liar *l)
{
	struct wire_connect connect = { .peer_conn = 9, .dst_ip = htonl(INADDR_LOOPBACK),
					.dst_port = htons(PORT_DEAF) };
	struct wire_data msg = { .word = { 1, 0 } };

	for (uint32_t i = 0; i < BACKLOG_DEAF; i++)
		msg.conn = raw_open(&l->p, PORT_DEAF, 2 + i) + 1;
	raw_slot(&l->p, wire_tag(WIRE_CONNECT, 0, 0), &connect, sizeof(connect));
	raw_slot(&l->p, wire_tag(WIRE_ACCEPT, 0, 0), &msg, sizeof(msg));
}

/* Lent to a connection that nobody pops: held when the note comes. */
static void withdraw_what_is_lent(struct liar *l)
{
	l->conn = raw_open(&l->p, PORT_DEAF, 2);
	send_ref(l, 1, (struct wire_ref){ 0, 0, 1, 0, 4096 });
	raw_open(&l->p, PORT_DEAF, 3);
	raw_note(&l->p, WIRE_NOTE_WITHDRAW, 0, 0, -1);
}

/* Until it is cut off, or has lent more often than anybody may. */
static void lend_for_ever(struct liar *l, uint32_t conn)
{
	struct wire_data msg = { .conn = conn };

	for (uint32_t i = 0; i < WIRE_REFS_MAX; i++)
		msg.refs[i] = (struct wire_ref){ 0, 0, i, i * 64, 1 };
	for (uint32_t i = 0; i < (1u << 20) / WIRE_REFS_MAX + 1000; i++)
		if (!raw_fill(&l->p, wire_tag(WIRE_REFS, WIRE_REFS_MAX, 0), &msg, sizeof(msg)))
			return;
	raw_note(&l->p, WIRE_NOTE_KICK, 0, 0, -1);
}

static void lend_to_nobody(struct liar *l)
{
	lend_for_ever(l, 0x7ff00001);
}

static void lend_and_never_stop(struct liar *l)
{
	lend_for_ever(l, raw_open(&l->p, PORT_DEAF, 2));
}

static void datagram_too_long(struct liar *l)
{
	struct wire_dgram msg = { .dst_port = htons(PORT) };

	raw_slot(&l->p, wire_tag(WIRE_DGRAM, 0, 120), &msg, sizeof(msg));
}

/* The server looks how far we have read when its ring is full. */
static void bad_position(struct liar *l)
{
	atomic_store(&l->p.ring.control->cons, 0x40000000u);
	for (uint32_t i = 0; i < 100; i++)
		send_ref(l, 1, (struct wire_ref){ 0, 0, i, i * 4096, 4096 });
}

#define REGION_LIES 11	/* of them, the first */

static const struct {
	const char *what;
	void (*act)(struct liar *l);
} lies[] = {
	{ "a region without its descriptor", region_without_descriptor },
	{ "a region that can shrink", region_unsealed },
	{ "a region others may write", region_writable },
	{ "a region full of holes", region_with_holes },
	{ "a region of blocks that lie elsewhere", region_with_blocks_elsewhere },
	{ "a region shorter than it says", region_too_short },
	{ "a region of an odd size", region_odd },
	{ "a region of no size", region_empty },
	{ "a region announced twice", region_twice },
	{ "a region under two numbers", region_under_two_numbers },
	{ "a region with a far too high number", region_far },
	{ "an unknown note", bad_note },
	{ "half a note", half_note },
	{ "a second hello", second_hello },
	{ "a sequence number out of order", bad_sequence },
	{ "an unknown message", bad_type },
	{ "a message of no bytes", data_empty },
	{ "a message over the slot", data_too_long },
	{ "a message far over the slot", data_far_too_long },
	{ "no reference", refs_none },
	{ "too many references", refs_too_many },
	{ "a reference to an unknown region", ref_unknown_region },
	{ "a reference past the region's end", ref_past_the_end },
	{ "a reference that wraps", ref_that_wraps },
	{ "a reference to nothing", ref_empty },
	{ "a reference to what was never lent", ref_yours_never_lent },
	{ "a return of what was never lent", return_never_lent },
	{ "too many returns", return_too_many },
	{ "a loan returned twice", return_twice },
	{ "given back with data, what was never lent", give_back_never_lent },
	{ "given back with data twice", give_back_twice },
	{ "its own memory named as ours", yours_that_is_its_own },
	{ "credit for a loan", credit_for_a_loan },
	{ "an accept nobody asked for", accept_unasked },
	{ "an accept of its own connection", accept_of_our_own },
	{ "memory withdrawn while it is lent", withdraw_what_is_lent },
	{ "loans to nobody, none taken back", lend_to_nobody },
	{ "a million loans to who does not pop", lend_and_never_stop },
	{ "a datagram over the slot", datagram_too_long },
	{ "a position nobody has reached", bad_position },
};

static void liar_open(struct liar *l)
{
	int fd;

	raw_connect(&l->p, PORT);
	raw_hello(&l->p);
	fd = raw_memfd(REGION_SIZE, true, RAW_SEALED, &l->region);
	raw_note(&l->p, WIRE_NOTE_REGION, 0, REGION_SIZE, fd);
	close(fd);
	l->conn = raw_open(&l->p, PORT, 1);
}

START_TEST(liar_is_cut_off)
{
	int qd = honest_open();
	struct liar l;

	echo_once(qd, 100, 1);
	liar_open(&l);
	lies[_i].act(&l);
	ck_assert_msg(raw_is_cut_off(&l.p), "still connected after %s", lies[_i].what);
	echo_once(qd, 100, 2);
	echo_once(qd, 300000, 3);
	raw_close(&l.p);
	echo_once(honest_open(), 5000, 4);
}
END_TEST

/* What the program frees before it answers is the peer's again with the answer: its
 * next buffer is the one that its caches still hold. */
START_TEST(memory_rides_with_the_answer)
{
	union slot answer;
	struct liar l;
	uint32_t tag;

	liar_open(&l);
	give_back(&l, be_lent(&l));
	raw_expect(&l.p, WIRE_DATA, &tag, &answer);
	ck_assert_uint_eq(tag, wire_tag(WIRE_DATA, 0, 8) | WIRE_GIVES_BACK);
	ck_assert_uint_eq(answer.data.loan, 1);
	raw_close(&l.p);
}
END_TEST

/* A loan of memory that is the server's own: gathered, it came back by reference. */
static uint32_t be_lent_gathered(struct liar *l)
{
	struct wire_data msg = { .conn = l->conn };
	union slot answer;
	uint32_t tag;

	for (int i = 0; i < 40; i++)
		ck_assert(raw_fill(&l->p, wire_tag(WIRE_DATA, 0, 100), &msg, sizeof(msg)));
	raw_slot(&l->p, wire_tag(WIRE_DATA, 0, 100), &msg, sizeof(msg));
	raw_expect(&l->p, WIRE_REFS, &tag, &answer);
	ck_assert_uint_ne(answer.data.refs[0].region, WIRE_YOURS);
	return answer.data.refs[0].loan;
}

/* What it holds of ours when it is reset is the program's to pop, and no longer
 * lent by the peer. */
START_TEST(reset_returns_loans)
{
	union slot answer;
	struct liar l;
	uint32_t loan, tag;

	liar_open(&l);
	loan = be_lent_gathered(&l);
	l.conn = raw_open(&l.p, PORT_DEAF, 2);
	send_ref(&l, 1, (struct wire_ref){ WIRE_YOURS, loan, 77, 0, 100 });
	raw_slot(&l.p, wire_tag(WIRE_RESET, 0, 0), &(struct wire_data){ .conn = l.conn }, 12);
	raw_expect(&l.p, WIRE_RETURN, &tag, &answer);
	ck_assert_uint_eq(answer.data.conn, 77); /* the first of the loans */
	raw_close(&l.p);
}
END_TEST

/* The loan goes back, and so does ours that the echo was made of. */
static void all_back(struct liar *l, uint32_t loan)
{
	struct wire_return msg = { { loan } };
	union slot answer;
	uint32_t tag;

	raw_slot(&l->p, wire_tag(WIRE_RETURN, 1, 0), &msg, sizeof(msg));
	raw_expect(&l->p, WIRE_RETURN, &tag, &answer);
}

/* A peer whose memory comes and goes uses the numbers of its regions again; what
 * stands above them says which is meant, also if no word came of the end of the
 * one before. */
START_TEST(region_number_used_again)
{
	struct liar l;

	liar_open(&l);
	all_back(&l, be_lent(&l));
	for (uint32_t i = 1; i < 9; i++) {
		uint32_t id = i << WIRE_REGION_BITS, tag;
		union slot answer;

		if (i % 2)
			raw_note(&l.p, WIRE_NOTE_WITHDRAW, id - (1u << WIRE_REGION_BITS), 0, -1);
		announce(&l, id, REGION_SIZE, REGION_SIZE, true, RAW_SEALED);
		send_ref(&l, 1, (struct wire_ref){ id, 0, 1 + i, 0, 4096 });
		raw_expect(&l.p, WIRE_REFS, &tag, &answer);
		ck_assert_uint_eq(answer.data.refs[0].region, WIRE_YOURS);
		ck_assert_uint_eq(answer.data.refs[0].lent, 1 + i);
		all_back(&l, answer.data.refs[0].loan);
	}
	send_ref(&l, 1, (struct wire_ref){ 0, 0, 99, 0, 4096 }); /* long withdrawn */
	ck_assert(raw_is_cut_off(&l.p));
	raw_close(&l.p);
}
END_TEST

/* ---- datagrams */

/* Eight bytes from there to the server; first 1: to be answered. */
static void send_dgram(struct liar *l, uint32_t ip, uint16_t port, uint8_t first)
{
	struct wire_dgram msg = { .src_ip = htonl(ip), .src_port = htons(port),
				  .dst_ip = htonl(INADDR_LOOPBACK), .dst_port = htons(PORT),
				  .bytes = { first } };

	ck_assert(raw_fill(&l->p, wire_tag(WIRE_DGRAM, 0, 8), &msg, sizeof(msg)));
}

/* The last one is not learned: in the directory there is none, and no answer. */
START_TEST(routes_are_bounded)
{
	union {
		struct wire_dgram dgram;
		uint8_t bytes[RING_SLOT_DATA];
	} answer;
	struct liar l;
	uint32_t tag;

	liar_open(&l);
	for (uint32_t i = 0; i < 32768; i++)
		send_dgram(&l, 0x0a000000 + i, 9, 0);
	for (int i = 0; i < 5; i++) { /* what its SO_RCVBUF has no room for is dropped */
		usleep(100000);
		send_dgram(&l, 0x0b000000, 9, 1);
		send_dgram(&l, 0x0a000000, 9, 1);
		raw_note(&l.p, WIRE_NOTE_KICK, 0, 0, -1);
	}
	raw_expect(&l.p, WIRE_DGRAM, &tag, &answer);
	ck_assert_uint_eq(ntohl(answer.dgram.dst_ip), 0x0a000000);
	raw_close(&l.p);
}
END_TEST

/* In a process of its own: what one process says of its addresses is its own affair. */
static pid_t liar_elsewhere(uint16_t port)
{
	pid_t pid = fork();
	struct liar l;

	if (pid)
		return pid;
	raw_connect(&l.p, PORT);
	raw_hello(&l.p);
	send_dgram(&l, INADDR_LOOPBACK, port, 1);
	send_dgram(&l, INADDR_LOOPBACK, port, 1);
	raw_note(&l.p, WIRE_NOTE_KICK, 0, 0, -1);
	pause();
	_exit(0);
}

static void expect_dgram(int qd)
{
	demi_qresult_t qr;
	demi_qtoken_t qt;

	ck_assert_int_eq(demi_pop(&qt, qd), 0);
	wait_for(qt, &qr);
	ck_assert_int_eq(qr.qr_opcode, DEMI_OPC_POP);
	ck_assert_uint_eq(qr.qr_value.sga.sga_segs[0].sgaseg_len, 8);
	ck_assert_int_eq(demi_sgafree(&qr.qr_value.sga), 0);
}

/* Answers to somebody else's address go to who has it. */
START_TEST(forged_source)
{
	struct sockaddr_in addr = server_addr;
	demi_sgarray_t sga = demi_sgaalloc(8);
	demi_qresult_t qr;
	demi_qtoken_t qt;
	pid_t pid;
	int qd;

	addr.sin_port = htons(5000);
	memset(sga.sga_segs[0].sgaseg_buf, 1, 8);
	ck_assert_int_eq(demi_socket(&qd, AF_INET, SOCK_DGRAM, 0), 0);
	ck_assert_int_eq(demi_bind(qd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(demi_pushto(&qt, qd, &sga, (struct sockaddr *)&server_addr,
					     sizeof(server_addr)), 0);
		wait_for(qt, &qr);
		expect_dgram(qd);
		pid = liar_elsewhere(5000);
		expect_dgram(qd);
		expect_dgram(qd);
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	}
	ck_assert_int_eq(demi_sgafree(&sga), 0);
}
END_TEST

/* ---- halves of a ring that cannot be trusted */

static const struct {
	const char *what;
	uint32_t size;
	bool allocated;
	enum raw_seals seals;
	uint32_t magic;
} halves[] = {
	{ "unsealed", WIRE_HALF_SIZE, true, RAW_UNSEALED, WIRE_MAGIC },
	{ "writable", WIRE_HALF_SIZE, true, RAW_NO_WRITE_SEAL, WIRE_MAGIC },
	{ "with holes", WIRE_HALF_SIZE, false, RAW_SEALED, WIRE_MAGIC },
	{ "too short", 4096, true, RAW_SEALED, WIRE_MAGIC },
	{ "too long", 2 * WIRE_HALF_SIZE, true, RAW_SEALED, WIRE_MAGIC },
	{ "of another version", WIRE_HALF_SIZE, true, RAW_SEALED, WIRE_MAGIC + 1 },
};

START_TEST(bad_half_is_refused)
{
	struct rawpeer p;
	uint8_t *addr;
	int fd, qd = honest_open();

	raw_connect(&p, PORT);
	fd = raw_memfd(halves[_i].size, halves[_i].allocated, halves[_i].seals, &addr);
	raw_note(&p, WIRE_NOTE_HELLO, halves[_i].magic, 0, fd);
	ck_assert_msg(raw_is_cut_off(&p), "talks over a half that is %s", halves[_i].what);
	close(fd);
	echo_once(qd, 1000, 5);
	raw_close(&p);
}
END_TEST

/* ---- what is strange but does no harm */

START_TEST(late_messages_are_ignored)
{
	int qd = honest_open();
	static const enum wire_type types[] = { WIRE_DATA, WIRE_FIN, WIRE_FINACK, WIRE_RESET,
						WIRE_CREDIT, WIRE_NEED, WIRE_REFUSE, WIRE_GONE };
	struct wire_data msg = { .conn = 0x7ff00001, .word = { 0, UINT32_MAX } };
	struct liar l;

	liar_open(&l);
	for (size_t i = 0; i < array_size(types); i++)
		raw_slot(&l.p, wire_tag(types[i], 0, types[i] == WIRE_DATA ? 8 : 0), &msg,
			 sizeof(msg));
	msg.conn = l.conn;
	raw_slot(&l.p, wire_tag(WIRE_FINACK, 0, 0), &msg, sizeof(msg)); /* of no FIN */
	raw_open(&l.p, PORT, 2);
	echo_once(qd, 1000, 6);
	raw_close(&l.p);
}
END_TEST

/* In 16 MiB (setup_small). Messages of a new size then want a new piece of it. */
START_TEST(flood_leaves_memory_for_others)
{
	struct wire_data msg = { 0 };
	struct liar l;
	int qd;

	liar_open(&l);
	msg.conn = raw_open(&l.p, PORT_DEAF, 2);
	for (uint32_t i = 0; i < 1000000; i++)
		if (!raw_fill(&l.p, wire_tag(WIRE_DATA, 0, 100), &msg, sizeof(msg)))
			break;
	qd = honest_open();
	echo_once(qd, 100, 7);
	echo_once(qd, 100000, 8);
	raw_close(&l.p);
}
END_TEST

/* Its memory stays readable for as long as the program holds a piece of it. */
START_TEST(dies_while_its_bytes_are_read)
{
	int qd = honest_open();
	struct liar l;

	liar_open(&l);
	for (uint32_t i = 0; i < 20; i++)
		send_ref(&l, 1, (struct wire_ref){ 0, 0, i, i * 65536, 65536 });
	raw_close(&l.p);
	munmap(l.region, REGION_SIZE);
	for (uint8_t i = 0; i < 20; i++)
		echo_once(qd, 10000, i);
}
END_TEST

/* The server closes after our end of stream; it does not wait for ever for what we
 * say to that. */
START_TEST(end_is_not_acknowledged)
{
	struct wire_data msg = { .conn = 0 };
	union slot answer;
	struct liar l;
	uint32_t tag;

	liar_open(&l);
	msg.conn = l.conn;
	raw_slot(&l.p, wire_tag(WIRE_FIN, 0, 0), &msg, sizeof(msg));
	raw_expect(&l.p, WIRE_FIN, &tag, &answer);
	raw_expect(&l.p, WIRE_RESET, &tag, &answer);
	ck_assert_uint_eq(answer.data.conn, 1);
	echo_once(honest_open(), 1000, 7);
	raw_close(&l.p);
}
END_TEST

START_TEST(connection_nobody_listens_for)
{
	union {
		struct wire_data data;
		uint8_t bytes[RING_SLOT_DATA];
	} answer;
	struct wire_connect msg = { .peer_conn = 9, .dst_ip = htonl(INADDR_LOOPBACK),
				    .dst_port = htons(PORT + 1) };
	struct rawpeer p;
	uint32_t tag;

	raw_connect(&p, PORT);
	raw_hello(&p);
	raw_slot(&p, wire_tag(WIRE_CONNECT, 0, 0), &msg, sizeof(msg));
	raw_expect(&p, WIRE_REFUSE, &tag, &answer);
	ck_assert_uint_eq(answer.data.conn, 9);
	ck_assert_uint_eq(answer.data.word.value, ECONNREFUSED);
	raw_close(&p);
}
END_TEST

/* ---- who never stops, in processes of their own */

static void knock_for_ever(void)
{
	struct rawpeer p;

	for (;;) {
		raw_connect(&p, PORT);
		close(p.sock);
	}
}

static void *kick(void *p)
{
	for (;;)
		raw_note(p, WIRE_NOTE_KICK, 0, 0, -1);
	return NULL;
}

static void kick_for_ever(void)
{
	struct rawpeer p;
	pthread_t thread;

	raw_connect(&p, PORT);
	raw_hello(&p);
	for (int i = 0; i < 3; i++)
		must(pthread_create(&thread, NULL, kick, &p) == 0);
	kick(&p);
}

/* With its socket closed, as if it had died. */
static void fill_for_ever(void)
{
	struct wire_connect msg = { .dst_ip = htonl(INADDR_LOOPBACK), .dst_port = htons(PORT + 1) };
	struct rawpeer p;
	uint8_t *slot;
	int err;

	raw_connect(&p, PORT);
	raw_hello(&p);
	raw_slot(&p, wire_tag(WIRE_CONNECT, 0, 0), &msg, sizeof(msg));
	close(p.sock);
	for (;;) {
		slot = ring_reserve(&p.ring, &err);
		if (!slot)
			continue;
		memcpy(slot, &msg, sizeof(msg));
		ring_publish(&p.ring, wire_tag(WIRE_CONNECT, 0, 0));
	}
}

static const struct {
	void (*act)(void);
	uint32_t n;		/* processes at once: as many as it takes on two cores */
} endless[] = { { knock_for_ever, 3 }, { kick_for_ever, 1 }, { fill_for_ever, 1 } };

START_TEST(nobody_is_kept_from_others)
{
	int qd = honest_open();
	pid_t pids[3];

	echo_once(qd, 100, 1);
	for (uint32_t i = 0; i < endless[_i].n; i++) {
		pids[i] = fork();
		if (!pids[i])
			endless[_i].act();
	}
	usleep(200000);
	for (int i = 0; i < 20; i++)
		echo_once(qd, 100, 2);
	for (uint32_t i = 0; i < endless[_i].n; i++) {
		kill(pids[i], SIGKILL);
		ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
	}
}
END_TEST

/* ---- a server that lies to who connects */

static int liar_listen(uint16_t port)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/catmem/t-127.0.0.1:%u", dir, port);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

static const enum wire_type early[] = { WIRE_DATA, WIRE_REFS, WIRE_FIN, WIRE_FINACK, WIRE_CREDIT,
					WIRE_NEED };

START_TEST(speaks_before_it_accepts)
{
	union {
		struct wire_connect connect;
		uint8_t bytes[RING_SLOT_DATA];
	} asked;
	const struct timespec while_it_asks = { 0, 200000000 };
	struct sockaddr_in addr = server_addr;
	int fd = liar_listen(PORT + 3), qd;
	struct wire_data msg = { 0 };
	struct rawpeer p = { 0 };
	demi_qresult_t qr;
	demi_qtoken_t qt;
	uint32_t tag;

	addr.sin_port = htons(PORT + 3);
	ck_assert_int_eq(demi_socket(&qd, AF_INET, SOCK_STREAM, 0), 0);
	ck_assert_int_eq(demi_connect(&qt, qd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	p.sock = accept(fd, NULL, NULL);
	close(fd); /* nobody is there for a second try */
	raw_hello(&p);
	ck_assert_int_eq(demi_wait(&qr, qt, &while_it_asks), ETIMEDOUT);
	raw_expect(&p, WIRE_CONNECT, &tag, &asked);
	msg.conn = asked.connect.peer_conn;
	raw_slot(&p, wire_tag(early[_i], early[_i] == WIRE_REFS, 8), &msg, sizeof(msg));
	wait_for(qt, &qr);
	ck_assert_int_eq(qr.qr_ret, ECONNREFUSED);
	ck_assert(raw_is_cut_off(&p));
	raw_close(&p);
}
END_TEST

static pthread_t server_thread;

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/catmem-peer-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	setenv("CLOWDER_RUNTIME_DIR", dir, 1);
	setenv("LIBOS", "catmem", 1);
	setenv("CLOWDER_LOG", "error", 1);
	setenv("CLOWDER_CATMEM_FIN_WAIT_S", "1", 1);
	server_addr.sin_port = htons(PORT);
	server_addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	atomic_store(&server_up, false);
	ck_assert_int_eq(pthread_create(&server_thread, NULL, server, NULL), 0);
	while (!atomic_load(&server_up))
		usleep(1000);
	ck_assert_int_eq(demi_init(NULL), 0);
}

static void setup_small(void)
{
	setenv("CLOWDER_POOL_MAX_BYTES", "16M", 1);
	setup();
}

static void setup_old(void)
{
	old_kernel = true;
	setup();
}

static void teardown(void)
{
	char cmd[128];

	ck_assert_int_eq(demi_fini(), 0);
	ck_assert_int_eq(demi_wake(atomic_load(&server_handle)), 0);
	pthread_join(server_thread, NULL);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

int main(void)
{
	Suite *s = suite_create("catmem_peer");
	TCase *tc = tcase_create("peer"), *small = tcase_create("small");
	TCase *old = tcase_create("old");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, liar_is_cut_off, 0, (int)array_size(lies));
	tcase_add_test(tc, memory_rides_with_the_answer);
	tcase_add_test(tc, reset_returns_loans);
	tcase_add_test(tc, routes_are_bounded);
	tcase_add_test(tc, forged_source);
	tcase_add_test(tc, region_number_used_again);
	tcase_add_loop_test(tc, bad_half_is_refused, 0, (int)array_size(halves));
	tcase_add_test(tc, late_messages_are_ignored);
	tcase_add_test(tc, dies_while_its_bytes_are_read);
	tcase_add_test(tc, end_is_not_acknowledged);
	tcase_add_test(tc, connection_nobody_listens_for);
	tcase_add_loop_test(tc, nobody_is_kept_from_others, 0, (int)array_size(endless));
	tcase_add_loop_test(tc, speaks_before_it_accepts, 0, (int)array_size(early));
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(small, setup_small, teardown);
	tcase_set_timeout(small, 60);
	tcase_add_test(small, flood_leaves_memory_for_others);
	suite_add_tcase(s, small);
	tcase_add_checked_fixture(old, setup_old, teardown);
	tcase_set_timeout(old, 60);
	tcase_add_loop_test(old, liar_is_cut_off, 0, REGION_LIES);
	suite_add_tcase(s, old);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

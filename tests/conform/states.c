/*
 * The table of states: what each call does in each state of a queue. Every cell
 * is a case, for streams and for datagrams.
 */
#include "tests/conform/conform.h"

#include <stdio.h>
#include <string.h>

enum call { BIND, LISTEN, ACCEPT, CONNECT, PUSH, POP, N_CALLS };
static const char *const call_names[] = {
	"demi_bind", "demi_listen", "demi_accept", "demi_connect", "demi_push", "demi_pop",
};

enum state { NEW, BOUND, LISTENING, CONNECTING, CONNECTED, N_STATES };
static const char *const state_names[] = {
	"new", "bound", "listening", "connecting", "connected",
};

static const int stream_table[N_STATES][N_CALLS] = {
	/*		  bind     listen        accept  connect      push      pop */
	[NEW]		= { 0, EDESTADDRREQ, EINVAL, 0, ENOTCONN, ENOTCONN },
	[BOUND]		= { EINVAL, 0, EINVAL, 0, ENOTCONN, ENOTCONN },
	[LISTENING]	= { EINVAL, EADDRINUSE, 0, EOPNOTSUPP, ENOTCONN, ENOTCONN },
	[CONNECTING]	= { EINVAL, EADDRINUSE, EINVAL, EINPROGRESS, ENOTCONN, ENOTCONN },
	[CONNECTED]	= { EISCONN, EISCONN, EINVAL, EISCONN, 0, 0 },
};

enum dgram_state { D_NEW, D_BOUND, D_CONNECTED, D_BOUND_CONNECTED, N_DGRAM_STATES };
static const char *const dgram_state_names[] = {
	"new", "bound", "connected", "bound and connected",
};

static const int dgram_table[N_DGRAM_STATES][N_CALLS] = {
	[D_NEW]		= { 0, EOPNOTSUPP, EOPNOTSUPP, 0, EDESTADDRREQ, EDESTADDRREQ },
	[D_BOUND]	= { EINVAL, EOPNOTSUPP, EOPNOTSUPP, 0, EDESTADDRREQ, 0 },
	[D_CONNECTED]	= { EISCONN, EOPNOTSUPP, EOPNOTSUPP, 0, 0, 0 },
	[D_BOUND_CONNECTED] = { EISCONN, EOPNOTSUPP, EOPNOTSUPP, 0, 0, 0 },
};

static struct {
	struct sockaddr_in free_addr;	/* port 0 */
	struct sockaddr_in far;		/* somebody listens, or receives, there */
	int far_qd;
	demi_sgarray_t sga;
	demi_qtoken_t connecting;	/* the connect under way */
	demi_qtoken_t qt;		/* of the call in question */
} f;

/* The errno of a call is the cell; a success goes on as operation f.qt. */
static int call(enum call what, int qd)
{
	f.qt = 0;
	switch (what) {
	case BIND:
		return demi_bind(qd, SA(&f.free_addr), sizeof(f.free_addr));
	case LISTEN:
		return demi_listen(qd, 4);
	case ACCEPT:
		return demi_accept(&f.qt, qd);
	case CONNECT:
		return demi_connect(&f.qt, qd, SA(&f.far), sizeof(f.far));
	case PUSH:
		return demi_push(&f.qt, qd, &f.sga);
	case POP:
		return demi_pop(&f.qt, qd);
	case N_CALLS:
		break;
	}
	ck_abort_msg("no such call");
}

static void setup(void)
{
	conform_start();
	f.free_addr = address(0);
	f.sga = alloc_filled(100, 3, 0);
}

static void teardown(void)
{
	expect_ok(demi_sgafree(&f.sga));
	expect_bufs_out(0);
	conform_stop();
}

/* A stream queue in that state. One that connects is left before any wait. */
static int stream_in(enum state state)
{
	int qd;

	f.far_qd = listener(&f.far);
	if (state == CONNECTED)
		return connect_to(&f.far);
	qd = state == NEW || state == CONNECTING ? stream_socket() :
						   bound_socket(SOCK_STREAM, NULL);
	if (state == LISTENING)
		expect_ok(demi_listen(qd, 4));
	if (state == CONNECTING)
		expect_ok(demi_connect(&f.connecting, qd, SA(&f.far), sizeof(f.far)));
	return qd;
}

/* What succeeded works: the call's operation, or the state it leads to. */
static void stream_goes_on(enum call what, int qd)
{
	int server;

	switch (what) {
	case BIND:
		ck_assert_uint_ne(local_address(qd).sin_port, 0);
		break;
	case LISTEN:
		f.far = local_address(qd);
		expect_ok(demi_close(connect_to(&f.far)));
		expect_ok(demi_close(accept_one(qd)));
		break;
	case ACCEPT:
		f.far = local_address(qd);
		expect_ok(demi_close(connect_to(&f.far)));
		expect_ok(demi_close(finish_ok(f.qt, DEMI_OPC_ACCEPT).qr_value.ares.qd));
		break;
	case CONNECT:
		finish_ok(f.qt, DEMI_OPC_CONNECT);
		break;
	case PUSH:
		finish_ok(f.qt, DEMI_OPC_PUSH);
		server = accept_one(f.far_qd);
		recv_bytes(server, 100, 3, 0);
		expect_ok(demi_close(server));
		break;
	case POP:
		server = accept_one(f.far_qd);
		finish_ok(push(server, &f.sga), DEMI_OPC_PUSH);
		finish_bytes(f.qt, 100, 3, 0);
		expect_ok(demi_close(server));
		break;
	case N_CALLS:
		break;
	}
}

static void provoke(int want, int got, enum call what, const char *type, const char *state)
{
	char tag[64];

	snprintf(tag, sizeof(tag), "%s %s", type, state);
	errno = ERRNO_CANARY;
	conform_returned(__FILE__, __LINE__, call_names[what], want, got, tag);
}

START_TEST(test_stream)
{
	enum state state = (enum state)(_i / N_CALLS);
	enum call what = (enum call)(_i % N_CALLS);
	int want = stream_table[state][what];
	int qd = stream_in(state);

	provoke(want, call(what, qd), what, "stream", state_names[state]);
	ck_assert(!want || !f.qt);
	if (state == CONNECTING)
		finish_ok(f.connecting, DEMI_OPC_CONNECT);
	if (!want)
		stream_goes_on(what, qd);
	expect_ok(demi_close(qd));
	expect_ok(demi_close(f.far_qd));
}
END_TEST

static int dgram_in(enum dgram_state state)
{
	int qd = state == D_BOUND || state == D_BOUND_CONNECTED ? bound_socket(SOCK_DGRAM, NULL) :
								   dgram_socket();

	f.far_qd = bound_socket(SOCK_DGRAM, &f.far);
	if (state == D_CONNECTED || state == D_BOUND_CONNECTED) {
		expect_ok(demi_connect(&f.qt, qd, SA(&f.far), sizeof(f.far)));
		finish_ok(f.qt, DEMI_OPC_CONNECT);
	}
	return qd;
}

static void dgram_goes_on(enum call what, int qd)
{
	struct sockaddr_in addr;

	if (what == CONNECT)
		finish_ok(f.qt, DEMI_OPC_CONNECT);
	if (what == PUSH) {
		finish_ok(f.qt, DEMI_OPC_PUSH);
		recv_bytes(f.far_qd, 100, 3, 0);
	}
	if (what != POP)
		return;
	addr = local_address(qd);
	expect_ok(demi_pushto(&f.connecting, f.far_qd, &f.sga, SA(&addr), sizeof(addr)));
	finish_ok(f.connecting, DEMI_OPC_PUSH);
	finish_bytes(f.qt, 100, 3, 0);
}

START_TEST(test_dgram)
{
	enum dgram_state state = (enum dgram_state)(_i / N_CALLS);
	enum call what = (enum call)(_i % N_CALLS);
	int want = dgram_table[state][what];
	int qd = dgram_in(state);

	provoke(want, call(what, qd), what, "datagram", dgram_state_names[state]);
	ck_assert(!want || !f.qt);
	if (!want)
		dgram_goes_on(what, qd);
	expect_ok(demi_close(qd));
	expect_ok(demi_close(f.far_qd));
}
END_TEST

/* pushto stands where push stands, except that a datagram needs no peer. */
START_TEST(test_stream_pushto)
{
	enum state state = (enum state)_i;
	int qd = stream_in(state);
	int want = stream_table[state][PUSH], got;

	got = demi_pushto(&f.qt, qd, &f.sga, SA(&f.far), sizeof(f.far));
	errno = ERRNO_CANARY;
	conform_returned(__FILE__, __LINE__, "demi_pushto", want, got,
			 "stream not connected");
	if (!want)
		stream_goes_on(PUSH, qd);
}
END_TEST

/* After the peer has closed, pushes are still taken and pops are the end. */
START_TEST(test_peer_closed)
{
	struct pair p;

	pair_open(&p);
	expect_ok(demi_close(p.server));
	recv_eof(p.client);
	recv_eof(p.client);
	finish_ok(push(p.client, &f.sga), DEMI_OPC_PUSH);
	expect(EISCONN, "stream connected", demi_bind(p.client, SA(&f.free_addr), 16));
	expect_ok(demi_close(p.client));
	expect_ok(demi_close(p.listener));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("states");
	TCase *tc = conform_tcase(suite, "states", false);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_stream, 0, N_STATES * N_CALLS);
	tcase_add_loop_test(tc, test_dgram, 0, N_DGRAM_STATES * N_CALLS);
	tcase_add_loop_test(tc, test_stream_pushto, 0, N_STATES);
	tcase_add_test(tc, test_peer_closed);
	return conform_main(suite);
}

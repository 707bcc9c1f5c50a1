/*
 * TCP on a table: a stack over a device of bare IP packets in memory, segments made by
 * hand and taken apart, a clock that moves when it is told to. Every reference is
 * counted, and must be back in tbed_free(). The stack is 10.0.0.1, its peer (made by
 * hand, or another stack) 10.0.0.2.
 */
#ifndef TESTS_UNIT_TCPBED_H
#define TESTS_UNIT_TCPBED_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"
#include "net/stack.h"
#include "net/wire.h"

#define FIN NET_TCP_FIN
#define SYN NET_TCP_SYN
#define RST NET_TCP_RST
#define PSH NET_TCP_PSH
#define ACK NET_TCP_ACK

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define MINE 1000	/* our port, and the peer's */
#define PEERS 2000

/* A segment, in host order. Ports, window and data have defaults when it is made. */
struct tseg {
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t wnd;
	bool wnd_0;		/* made: really 0 */
	uint16_t sport, dport;
	uint32_t len;		/* of payload: the stream's pattern, see tbed_byte() */
	uint32_t at;		/* made: the stream's offset of its first byte */
	bool has_ts, has_mss, has_wscale, has_sack_ok;
	uint32_t tsval, tsecr;
	uint16_t mss;
	uint8_t wscale;
	uint32_t pinned;	/* made; 0: 2304 */
	bool bad_csum;		/* made */
	uint32_t out_flags;	/* taken apart: enum net_out_flag */
	uint16_t out_mss;
	uint8_t opts[40];	/* taken apart */
	uint32_t opts_len;
	const uint8_t *data;	/* taken apart; valid until the next */
};

struct tpkt {
	struct tpkt *next;
	uint64_t at;		/* when it arrives */
	uint32_t out_flags;
	uint16_t out_mss;
	uint32_t len;
	uint8_t data[];
};

struct tbed {
	struct net_dev dev;
	struct net_stack *stack;
	uint64_t count[NET_N_COUNTS];
	uint64_t now;
	uint8_t host;		/* 10.0.0.host */
	struct tpkt *sent, *sent_last;
	uint32_t take;		/* packets the device still takes */
	uint32_t allocs;	/* allocations that still succeed */
	uint32_t iss, irs;	/* of our SYN and the peer's, in a connection by hand */
	uint32_t tsval;		/* of the peer's next segment, if ts */
	bool ts;		/* the connection by hand has timestamps */
	uint16_t wnd;		/* what the peer announces */
	struct net_sock *s, *listener;
};

/* What runs in tests: 0 plain, 1 both sequence numbers about to wrap. */
#define TBED_SEQS 2
extern int tbed_wrap;

struct tbed *tbed_new(const char *config);
struct tbed *tbed_new_host(const char *config, uint8_t host, uint64_t seed, uint32_t caps);
void tbed_free(struct tbed *b);
uint32_t tbed_refs(void);

/* The byte at an offset of the stream. */
static inline uint8_t tbed_byte(uint32_t at)
{
	return (uint8_t)(at * 131 + (at >> 8) * 17 + 7);
}

/* Memory with len bytes of the stream from `at`; one reference. */
struct net_seg tbed_seg(uint32_t at, uint32_t len);
void tbed_put(struct net_seg *seg);

/* ---- by hand */

/* Comes in, then a poll and a flush. */
void tbed_in(struct tbed *b, const struct tseg *seg);
#define tbed_give(b, ...) tbed_in((b), &(struct tseg){ __VA_ARGS__ })
/* Without the flush and the poll. */
void tbed_in_only(struct tbed *b, const struct tseg *seg);
void tbed_flush(struct tbed *b);
/* Time goes on by ns, deadline by deadline, flushed each time. */
void tbed_pass(struct tbed *b, uint64_t ns);
/* ... by up to ns, until something is sent. */
void tbed_pass_until_sent(struct tbed *b, uint64_t ns);
/* The oldest segment sent, taken apart; false: none. */
bool tbed_sent(struct tbed *b, struct tseg *seg_out);
/* ... asserted, with these flags. */
struct tseg tbed_expect(struct tbed *b, uint8_t flags);
void tbed_expect_nothing(struct tbed *b);
void tbed_forget(struct tbed *b);

/* Events of a socket since last asked; 0: none. */
uint32_t tbed_events(struct tbed *b, struct net_sock *s);

/* ---- a connection by hand, from the peer's side: sequence numbers relative */

/* The peer's next segment of a connection: seq and ack relative to the two ISNs, with
 * timestamps if the connection has them. */
void tbed_rel(struct tbed *b, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
struct tseg tbed_expect_rel(struct tbed *b, uint8_t flags, uint32_t seq, uint32_t ack,
			    uint32_t len);
struct tbed_opts {
	bool no_ts, no_wscale;
	uint16_t mss;		/* of the peer; 0: 1460 */
	uint8_t wscale;		/* of the peer */
	uint16_t wnd;		/* 0: 65535 */
};
/* ESTABLISHED, by connect or accept; seq 1 and ack 1 are next. */
struct tbed *tbed_connected(const char *config, const struct tbed_opts *o);
struct tbed *tbed_accepted(const char *config, const struct tbed_opts *o);
/* Sends len bytes of the stream from `at`. */
int tbed_send(struct tbed *b, uint32_t at, uint32_t len);
/* Reads all there is, checks it against the stream from `at`; how many bytes, and the
 * error that ended it (0: end of stream). */
uint32_t tbed_read(struct tbed *b, struct net_sock *s, uint32_t at, int *err_out);

static inline struct net_addr tbed_addr(uint8_t host, uint16_t port)
{
	return (struct net_addr){ .ip = net_ip4(__builtin_bswap32(0x0a000000u | host)),
				  .port = __builtin_bswap16(port) };
}

#define tbed_counted(b, name) ((b)->count[NET_C_##name])

#endif /* TESTS_UNIT_TCPBED_H */

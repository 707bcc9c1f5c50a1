/* The round-trip time and what follows from it (RFC 6298). */
#ifndef NET_TCP_RTT_H
#define NET_TCP_RTT_H

#include <stdint.h>

struct tcp_conn;

/* us: of a segment that was sent once (Karn), or by its timestamp. */
void tcp_rtt_sample(struct tcp_conn *c, uint32_t us);
/* By what the peer echoes; nonsense is ignored. */
void tcp_rtt_sample_ts(struct tcp_conn *c, uint32_t tsecr);
/* rto with its back-off, in ns. */
uint64_t tcp_rtt_rto_ns(const struct tcp_conn *c);
void tcp_rtt_back_off(struct tcp_conn *c);
void tcp_rtt_init(struct tcp_conn *c);

#endif /* NET_TCP_RTT_H */

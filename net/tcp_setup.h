/* How a connection begins: its ISN, its options, its first windows. */
#ifndef NET_TCP_SETUP_H
#define NET_TCP_SETUP_H

#include <stdint.h>

struct tcp_conn;
struct tcp_in;

/* Addresses and path are known: the sequence numbers of our SYN (RFC 6528), not below
 * iss_min if that is given, the timestamps' offset, what we announce. */
void tcp_setup_begin(struct tcp_conn *c, const uint32_t *iss_min);
/* The peer's SYN has come: rcv_nxt, its options. */
void tcp_setup_syn(struct tcp_conn *c, const struct tcp_in *in);
/* Our SYN is acknowledged by in: ESTABLISHED. */
void tcp_setup_established(struct tcp_conn *c, const struct tcp_in *in);

#endif /* NET_TCP_SETUP_H */

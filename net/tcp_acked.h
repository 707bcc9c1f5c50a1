/* What an acknowledgement tells: snd_una, the window, losses (RFC 9293 3.10.7.4 fifth,
 * RFC 5681, RFC 6582). */
#ifndef NET_TCP_ACKED_H
#define NET_TCP_ACKED_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_conn;
struct tcp_in;

/* Everything before ack, which is beyond snd_una and not beyond snd_max, has arrived.
 * in: for its timestamp; NULL where there is nothing to make up for. */
void tcp_acked_new(struct tcp_conn *c, uint32_t ack, const struct tcp_in *in);
/* RFC 5681's duplicate ACK. */
void tcp_acked_dup(struct tcp_conn *c);
/* The retransmission timer has expired: all that is out counts as lost. */
void tcp_acked_timeout(struct tcp_conn *c);

/* What is out was longer than the path takes: again, which says nothing of congestion. */
void tcp_acked_too_long(struct tcp_conn *c);

#endif /* NET_TCP_ACKED_H */

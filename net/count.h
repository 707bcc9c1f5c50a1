/*
 * Every counter of the stack: its name for people and its number. Where a packet
 * is dropped, exactly one of them says why.
 */
#ifndef NET_COUNT_H
#define NET_COUNT_H

#define NET_COUNTS(X)                                                          \
	/* the link */                                                         \
	X(RX_PACKETS, "rx_packets")                                            \
	X(RX_BYTES, "rx_bytes")                                                \
	X(TX_PACKETS, "tx_packets")                                            \
	X(TX_BYTES, "tx_bytes")                                                \
	X(TX_STALLS, "tx_stalls")		/* the device took less than all */ \
	X(TX_NO_ROOM, "tx_no_room")	/* a packet without a place in the ring */ \
	X(NO_MEMORY, "no_memory")		/* of whatever kind */         \
	X(ETH_BAD, "eth_bad")			/* too short, not ours, other type */ \
	/* ARP */                                                              \
	X(ARP_BAD, "arp_bad")                                                  \
	X(ARP_REQUESTS, "arp_requests")                                        \
	X(ARP_REPLIES, "arp_replies")                                          \
	X(ARP_FAILED, "arp_failed")		/* nobody answered */          \
	X(ARP_CONFLICTS, "arp_conflicts")	/* another claims an address of ours */ \
	X(ARP_DROPPED, "arp_dropped")		/* packets that waited for it */ \
	/* IPv4 */                                                             \
	X(IP_BAD, "ip_bad")			/* header */                   \
	X(IP_BAD_CSUM, "ip_bad_csum")                                          \
	X(IP_BAD_SOURCE, "ip_bad_source")	/* an address that cannot send */ \
	X(IP_NOT_OURS, "ip_not_ours")                                          \
	X(IP_NO_PROTO, "ip_no_proto")                                          \
	X(IP_NO_ROUTE, "ip_no_route")                                          \
	X(IP_FRAGS_IN, "ip_frags_in")                                          \
	X(IP_FRAGS_OUT, "ip_frags_out")                                        \
	X(IP_REASSEMBLED, "ip_reassembled")                                    \
	X(IP_REASS_BAD, "ip_reass_bad")	/* overlaps, too long, too many */ \
	X(IP_REASS_TIMEOUT, "ip_reass_timeout")                                \
	/* ICMP */                                                             \
	X(ICMP_BAD, "icmp_bad")                                                \
	X(ICMP_ECHOS, "icmp_echos")                                            \
	X(ICMP_UNREACH_IN, "icmp_unreach_in")                                  \
	X(ICMP_UNREACH_OUT, "icmp_unreach_out")                                \
	X(ICMP_LIMITED, "icmp_limited")	/* not sent, for there were too many */ \
	/* UDP */                                                              \
	X(UDP_IN, "udp_in")                                                    \
	X(UDP_OUT, "udp_out")                                                  \
	X(UDP_BAD, "udp_bad")                                                  \
	X(UDP_BAD_CSUM, "udp_bad_csum")                                        \
	X(UDP_NO_PORT, "udp_no_port")                                          \
	X(UDP_FULL, "udp_full")		/* receive buffer */           \
	X(UDP_GATHERED_BYTES, "udp_gathered_bytes")                            \
	/* TCP */                                                              \
	X(TCP_IN, "tcp_in")                                                    \
	X(TCP_OUT, "tcp_out")                                                  \
	X(TCP_BYTES_IN, "tcp_bytes_in")                                        \
	X(TCP_BYTES_OUT, "tcp_bytes_out")                                      \
	X(TCP_FAST_PATH, "tcp_fast_path")                                      \
	X(TCP_BAD, "tcp_bad")			/* header */                   \
	X(TCP_BAD_CSUM, "tcp_bad_csum")                                        \
	X(TCP_NO_PORT, "tcp_no_port")                                          \
	X(TCP_OUT_OF_WINDOW, "tcp_out_of_window")                              \
	X(TCP_PAWS, "tcp_paws")                                                \
	X(TCP_ACK_BAD, "tcp_ack_bad")                                          \
	X(TCP_ACK_DUP, "tcp_ack_dup")                                          \
	X(TCP_OOO, "tcp_ooo")			/* queued out of order */      \
	X(TCP_OOO_DROPPED, "tcp_ooo_dropped")                                  \
	X(TCP_DUP_BYTES, "tcp_dup_bytes")	/* arrived already */          \
	X(TCP_RCV_FULL, "tcp_rcv_full")	/* receive buffer */           \
	X(TCP_GATHERED_BYTES, "tcp_gathered_bytes")                            \
	X(TCP_JOINED_BYTES, "tcp_joined_bytes")                                \
	X(TCP_RETRANS, "tcp_retrans")                                          \
	X(TCP_FAST_RETRANS, "tcp_fast_retrans")                                \
	X(TCP_TIMEOUTS, "tcp_timeouts")                                        \
	X(TCP_PROBES, "tcp_probes")		/* of a zero window */         \
	X(TCP_KEEPALIVES, "tcp_keepalives")                                    \
	X(TCP_DELAYED_ACKS, "tcp_delayed_acks")                                \
	X(TCP_ACTIVE_OPENS, "tcp_active_opens")                                \
	X(TCP_PASSIVE_OPENS, "tcp_passive_opens")                              \
	X(TCP_OPEN_FAILED, "tcp_open_failed")                                  \
	X(TCP_BACKLOG_FULL, "tcp_backlog_full")                                \
	X(TCP_RST_IN, "tcp_rst_in")                                            \
	X(TCP_RST_OUT, "tcp_rst_out")                                          \
	X(TCP_RST_BAD, "tcp_rst_bad")		/* outside the window */       \
	X(TCP_DROPPED, "tcp_dropped")		/* connections: retries are used up */ \
	X(TCP_TIME_WAIT, "tcp_time_wait")                                      \
	X(TCP_TIME_WAIT_FULL, "tcp_time_wait_full")

enum net_count {
#define X(name, text) NET_C_##name,
	NET_COUNTS(X)
#undef X
	NET_N_COUNTS
};

/* By number; without a prefix. */
extern const char *const net_count_names[NET_N_COUNTS];

#endif /* NET_COUNT_H */

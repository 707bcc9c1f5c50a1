/*
 * Everything about the stack that can be set, from one string of key=value pairs.
 * Each key has the name of its field; doc/net.md says what they mean.
 */
#ifndef NET_CONF_H
#define NET_CONF_H

#include <stdbool.h>
#include <stdint.h>

struct net_tcp_cc;

struct net_config {
	/* link and IP */
	uint32_t mtu;		/* bytes; 0: the device's */
	bool any_addr;		/* whatever is bound becomes ours */
	bool link_loop;		/* packets to ourselves go out all the same: the
				 * link brings them back (a ring) */
	uint32_t arp_reachable_ms; /* an entry is asked for again after */
	uint32_t arp_retry_ms;	/* between requests */
	uint32_t arp_retries;
	uint32_t arp_entries;	/* at most */
	uint32_t arp_queue;	/* packets that wait for one address */
	uint32_t reass_bytes;	/* pinned by fragments, at most */
	uint32_t reass_ms;
	uint32_t icmp_rate;	/* errors sent a second, at most */
	uint32_t port_min, port_max; /* ephemeral */

	/* sockets */
	uint32_t rcvbuf;	/* bytes of memory pinned */
	uint32_t sndbuf;	/* bytes */

	/* TCP */
	uint32_t mss;		/* at most; 0: by the mtu */
	uint32_t iw;		/* segments: initial window */
	const struct net_tcp_cc *cc;
	uint32_t rto_min_ms, rto_max_ms, rto_initial_ms;
	uint32_t delack_ms;	/* 0: never delayed */
	bool quickack;
	bool nodelay;
	bool timestamps;
	uint32_t ts_tick_us;
	uint32_t wscale;	/* 0 to 14; 255: as rcvbuf wants it */
	uint32_t syn_retries, synack_retries;
	uint32_t retries;	/* of data, before the connection is given up */
	uint32_t keepidle_s, keepintvl_s, keepcnt;
	bool keepalive;
	uint32_t user_timeout_ms; /* 0: by retries */
	uint32_t time_wait_ms, fin_wait2_ms;
	uint32_t time_waits;	/* at most */
	uint32_t half_open;	/* connections in SYN_RECEIVED, at most, all listeners */
};

struct net_stack;
/* EINVAL and a line in why (NET_WHY bytes). */
int net_config_parse(struct net_config *config, const char *text, char *why);

#endif /* NET_CONF_H */

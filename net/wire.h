/*
 * Packets as they are on the wire. Fields of more than a byte are in network order.
 */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include <stdint.h>

#define NET_WIRE __attribute__((__packed__, __may_alias__))

/* Ethernet II */
#define NET_ETH_LEN 14u
#define NET_ETHERTYPE_IPV4 0x0800
#define NET_ETHERTYPE_ARP 0x0806

struct net_eth_hdr {
	uint8_t dst[6];
	uint8_t src[6];
	uint16_t type;
} NET_WIRE;

/* RFC 826, for Ethernet and IPv4 */
#define NET_ARP_LEN 28u
#define NET_ARP_REQUEST 1
#define NET_ARP_REPLY 2

struct net_arp_hdr {
	uint16_t hrd;		/* 1 */
	uint16_t pro;		/* NET_ETHERTYPE_IPV4 */
	uint8_t hln;		/* 6 */
	uint8_t pln;		/* 4 */
	uint16_t op;
	uint8_t sha[6];
	uint32_t spa;
	uint8_t tha[6];
	uint32_t tpa;
} NET_WIRE;

/* RFC 791 */
#define NET_IP_LEN 20u
#define NET_IP_DF 0x4000
#define NET_IP_MF 0x2000
#define NET_IP_OFFSET 0x1fff	/* of 8 bytes */
#define NET_IP_TTL 64
#define NET_IPPROTO_ICMP 1
#define NET_IPPROTO_TCP 6
#define NET_IPPROTO_UDP 17

struct net_ip_hdr {
	uint8_t ver_ihl;	/* 4 bits each; ihl of 4 bytes */
	uint8_t tos;
	uint16_t len;		/* all of it */
	uint16_t id;
	uint16_t frag;		/* flags and offset */
	uint8_t ttl;
	uint8_t proto;
	uint16_t csum;
	uint32_t src;
	uint32_t dst;
} NET_WIRE;

/* RFC 792 */
#define NET_ICMP_LEN 8u
#define NET_ICMP_ECHO_REPLY 0
#define NET_ICMP_UNREACH 3
#define NET_ICMP_ECHO 8
#define NET_ICMP_TIME_EXCEEDED 11
#define NET_ICMP_PARAM_PROBLEM 12
#define NET_ICMP_UNREACH_NET 0
#define NET_ICMP_UNREACH_HOST 1
#define NET_ICMP_UNREACH_PROTO 2
#define NET_ICMP_UNREACH_PORT 3
#define NET_ICMP_UNREACH_FRAG 4

struct net_icmp_hdr {
	uint8_t type;
	uint8_t code;
	uint16_t csum;
	uint16_t id;		/* echo; 0 in errors */
	uint16_t seq;		/* echo; next-hop mtu of UNREACH_FRAG */
} NET_WIRE;

/* RFC 768 */
#define NET_UDP_LEN 8u

struct net_udp_hdr {
	uint16_t sport;
	uint16_t dport;
	uint16_t len;
	uint16_t csum;		/* 0: none */
} NET_WIRE;

/* RFC 9293 3.1 */
#define NET_TCP_LEN 20u
#define NET_TCP_FIN 0x01
#define NET_TCP_SYN 0x02
#define NET_TCP_RST 0x04
#define NET_TCP_PSH 0x08
#define NET_TCP_ACK 0x10
#define NET_TCP_URG 0x20
#define NET_TCP_ECE 0x40
#define NET_TCP_CWR 0x80

struct net_tcp_hdr {
	uint16_t sport;
	uint16_t dport;
	uint32_t seq;
	uint32_t ack;
	uint8_t off;		/* high 4 bits: header length of 4 bytes */
	uint8_t flags;
	uint16_t wnd;
	uint16_t csum;
	uint16_t urg;
} NET_WIRE;

#endif /* NET_WIRE_H */

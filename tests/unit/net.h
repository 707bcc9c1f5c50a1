/* Unit tests of net/: a suite per part, one program, on tests/unit/netbed.h. */
#ifndef TESTS_UNIT_NET_H
#define TESTS_UNIT_NET_H

#include <check.h>

Suite *net_arp_suite(void);
Suite *net_base_suite(void);
Suite *net_icmp_suite(void);
Suite *net_ip_suite(void);
Suite *net_loop_suite(void);
Suite *net_memory_suite(void);
Suite *net_out_suite(void);
Suite *net_port_suite(void);
Suite *net_reass_suite(void);
Suite *net_udp_suite(void);

#endif /* TESTS_UNIT_NET_H */

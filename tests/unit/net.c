#include "config.h"

#include "tests/unit/net.h"

#include <stdlib.h>

int main(void)
{
	SRunner *sr = srunner_create(net_base_suite());
	int failed;

	srunner_add_suite(sr, net_out_suite());
	srunner_add_suite(sr, net_arp_suite());
	srunner_add_suite(sr, net_ip_suite());
	srunner_add_suite(sr, net_reass_suite());
	srunner_add_suite(sr, net_icmp_suite());
	srunner_add_suite(sr, net_port_suite());
	srunner_add_suite(sr, net_udp_suite());
	srunner_add_suite(sr, net_loop_suite());
	srunner_add_suite(sr, net_memory_suite());
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

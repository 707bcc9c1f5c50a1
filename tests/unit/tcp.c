/* net/'s TCP, a suite per theme. */
#include "config.h"

#include "tests/unit/tcp.h"

#include <stdlib.h>

int main(void)
{
	SRunner *sr = srunner_create(tcp_open_suite());
	int failed;

	srunner_add_suite(sr, tcp_states_suite());
	srunner_add_suite(sr, tcp_data_suite());
	srunner_add_suite(sr, tcp_queue_suite());
	srunner_add_suite(sr, tcp_loss_suite());
	srunner_add_suite(sr, tcp_close_suite());
	srunner_add_suite(sr, tcp_crowd_suite());
	srunner_add_suite(sr, tcp_link_suite());
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The suites of tcp.test, one a file. */
#ifndef TESTS_UNIT_TCP_H
#define TESTS_UNIT_TCP_H

#include <check.h>

Suite *tcp_open_suite(void);
Suite *tcp_data_suite(void);
Suite *tcp_loss_suite(void);
Suite *tcp_close_suite(void);
Suite *tcp_states_suite(void);
Suite *tcp_queue_suite(void);
Suite *tcp_link_suite(void);
Suite *tcp_crowd_suite(void);

#endif /* TESTS_UNIT_TCP_H */

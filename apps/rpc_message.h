/*
 * The content of a request, which its answer repeats. It starts with the
 * request's number, as far as the size goes, and every later word depends on
 * that number and on its place, so that a stale, shifted or mixed answer shows.
 */
#ifndef APPS_RPC_MESSAGE_H
#define APPS_RPC_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void rpc_message_fill(void *buf, size_t size, uint64_t number);

/* Whether these are the bytes from offset on of message `number`. */
bool rpc_message_check(uint64_t number, size_t offset, const void *bytes, size_t len);

#endif /* APPS_RPC_MESSAGE_H */

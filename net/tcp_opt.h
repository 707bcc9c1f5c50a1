/* TCP options (RFC 9293 3.2, RFC 7323), read and written. */
#ifndef NET_TCP_OPT_H
#define NET_TCP_OPT_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_in;

#define TCP_OPT_TS_LEN 12u	/* nop, nop, timestamps */
#define TCP_OPT_SYN_MAX 20u
/* The first word of the usual layout, as on the wire read big-endian. */
#define TCP_OPT_TS_WORD 0x0101080au
#define TCP_WSCALE_MAX 14

/* Into in, which has none yet. What is malformed ends the list (RFC 9293 MUST-7). */
void tcp_opt_parse(struct tcp_in *in, const uint8_t *opts, uint32_t len);

struct tcp_opt_syn {
	uint16_t mss;
	bool ts, wscale;
	uint8_t shift;
	uint32_t tsval, tsecr;
};

/* In Linux's order: mss, timestamps, nop, wscale. How many bytes, a multiple of 4. */
uint32_t tcp_opt_write_syn(uint8_t *to, const struct tcp_opt_syn *opt);

static inline void tcp_opt_write_ts(uint8_t *to, uint32_t tsval, uint32_t tsecr)
{
	uint32_t w[3] = { __builtin_bswap32(TCP_OPT_TS_WORD), __builtin_bswap32(tsval),
			  __builtin_bswap32(tsecr) };

	__builtin_memcpy(to, w, sizeof(w));
}

#endif /* NET_TCP_OPT_H */

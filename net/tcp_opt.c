#include "config.h"

#include "net/tcp_opt.h"

#include <string.h>

#include "net/tcp_in.h"

enum {
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_WSCALE = 3,
	OPT_SACK_PERMITTED = 4,
	OPT_TS = 8,
};

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static void put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

/* One option of the right length; others are skipped. */
static void parse_one(struct tcp_in *in, const uint8_t *opt, uint32_t len)
{
	if (opt[0] == OPT_MSS && len == 4 && in->flags & NET_TCP_SYN) {
		in->mss = (uint16_t)(opt[2] << 8 | opt[3]);
	} else if (opt[0] == OPT_WSCALE && len == 3 && in->flags & NET_TCP_SYN) {
		in->has_wscale = true;
		/* RFC 7323 2.3 */
		in->wscale = opt[2] > TCP_WSCALE_MAX ? TCP_WSCALE_MAX : opt[2];
	} else if (opt[0] == OPT_TS && len == 10) {
		in->has_ts = true;
		in->tsval = get32(opt + 2);
		in->tsecr = get32(opt + 6);
	}
}

void tcp_opt_parse(struct tcp_in *in, const uint8_t *opts, uint32_t len)
{
	while (len) {
		uint32_t n;

		if (opts[0] == OPT_END)
			return;
		if (opts[0] == OPT_NOP) {
			opts++;
			len--;
			continue;
		}
		if (len < 2)
			return;
		n = opts[1];
		if (n < 2 || n > len)
			return;
		parse_one(in, opts, n);
		opts += n;
		len -= n;
	}
}

uint32_t tcp_opt_write_syn(uint8_t *to, const struct tcp_opt_syn *opt)
{
	uint8_t *p = to;

	put32(p, OPT_MSS << 24 | 4 << 16 | opt->mss);
	p += 4;
	if (opt->ts) {
		tcp_opt_write_ts(p, opt->tsval, opt->tsecr);
		p += TCP_OPT_TS_LEN;
	}
	if (opt->wscale) {
		put32(p, (uint32_t)OPT_NOP << 24 | OPT_WSCALE << 16 | 3 << 8 | opt->shift);
		p += 4;
	}
	return (uint32_t)(p - to);
}

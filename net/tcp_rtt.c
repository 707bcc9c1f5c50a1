#include "config.h"

#include "net/tcp_rtt.h"

#include "net/tcp_clock.h"
#include "net/tcp_conn.h"

#define US_PER_MS 1000u
#define BACKOFF_MAX 16
#define SAMPLE_MAX 60000000u	/* us: twice the longest path, and srtt * 8 fits */

static uint32_t clamp(const struct tcp_conn *c, uint64_t us)
{
	const struct net_config *config = &tcp_stack(c)->config;

	if (us < (uint64_t)config->rto_min_ms * US_PER_MS)
		return config->rto_min_ms * US_PER_MS;
	if (us > (uint64_t)config->rto_max_ms * US_PER_MS)
		return config->rto_max_ms * US_PER_MS;
	return (uint32_t)us;
}

void tcp_rtt_init(struct tcp_conn *c)
{
	c->srtt = c->rttvar = 0;
	c->rto = tcp_stack(c)->config.rto_initial_ms * US_PER_MS;
	c->backoff = 0;
}

/* RFC 6298 2.2, 2.3: srtt is kept times 8, rttvar times 4. */
void tcp_rtt_sample(struct tcp_conn *c, uint32_t us)
{
	int32_t err;

	if (unlikely(us - 1 >= SAMPLE_MAX))
		us = us ? SAMPLE_MAX : 1;
	c->backoff = 0; /* Karn: only a sample ends a back-off */
	if (likely(c->srtt)) {
		err = (int32_t)us - (int32_t)(c->srtt >> 3);
		c->srtt += (uint32_t)err;
		c->rttvar += (uint32_t)((err < 0 ? -err : err) - (int32_t)(c->rttvar >> 2));
		if (unlikely(!c->srtt))
			c->srtt = 1;
	} else {
		c->srtt = us << 3;
		c->rttvar = us << 1;
	}
	/* srtt + max(G, 4 rttvar), the floor being far above G */
	c->rto = clamp(c, (uint64_t)(c->srtt >> 3) + c->rttvar);
}

void tcp_rtt_sample_ts(struct tcp_conn *c, uint32_t tsecr)
{
	struct net_stack *stack = tcp_stack(c);
	uint32_t ticks = tcp_clock(stack)->ts + c->ts_offset - tsecr;
	uint64_t us = (uint64_t)(ticks ? ticks : 1) * stack->config.ts_tick_us;

	if (us <= UINT32_MAX)
		tcp_rtt_sample(c, (uint32_t)us);
}

uint64_t tcp_rtt_rto_ns(const struct tcp_conn *c)
{
	uint64_t us = (uint64_t)c->rto << c->backoff;
	uint64_t max = (uint64_t)tcp_stack(c)->config.rto_max_ms * US_PER_MS;

	return (us > max ? max : us) * 1000;
}

void tcp_rtt_back_off(struct tcp_conn *c)
{
	if (c->backoff < BACKOFF_MAX)
		c->backoff++;
}

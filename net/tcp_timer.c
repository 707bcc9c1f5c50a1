#include "config.h"

#include "net/tcp_timer.h"

#include <errno.h>

#include "net/tcp_acked.h"
#include "net/tcp_clock.h"
#include "net/tcp_conn.h"
#include "net/tcp_out.h"
#include "net/tcp_rtt.h"

#define MS_PER_S 1000u

static void arm(struct tcp_conn *c, enum tcp_purpose purpose, uint64_t ns)
{
	c->purpose = (uint8_t)purpose;
	net_timer_arm(tcp_stack(c), &c->timer, tcp_stack(c)->now + ns);
}

/* ms that what is out has waited */
static uint32_t waited_ms(const struct tcp_conn *c)
{
	return tcp_clock(tcp_stack(c))->ms - c->progress_ms;
}

/* No later than the user timeout (RFC 5482). */
static uint64_t rto_ns(const struct tcp_conn *c)
{
	uint64_t ns = tcp_rtt_rto_ns(c), left;
	uint32_t waited;

	if (!c->user_timeout)
		return ns;
	waited = waited_ms(c);
	left = (waited < c->user_timeout ? c->user_timeout - waited : 0) * NS_PER_MS;
	return ns < left ? ns : left;
}

void tcp_timer_rtx(struct tcp_conn *c)
{
	c->progress_ms = tcp_clock(tcp_stack(c))->ms;
	arm(c, TCP_FOR_RTX, tcp_rtt_rto_ns(c));
	if (unlikely(c->user_timeout))
		arm(c, TCP_FOR_RTX, rto_ns(c));
}

void tcp_timer_persist(struct tcp_conn *c)
{
	c->progress_ms = tcp_clock(tcp_stack(c))->ms;
	c->backoff = 0;
	c->retries = 0;
	arm(c, TCP_FOR_PERSIST, rto_ns(c));
}

void tcp_timer_fin_wait_2(struct tcp_conn *c)
{
	arm(c, TCP_FOR_FIN_WAIT_2, tcp_stack(c)->config.fin_wait2_ms * NS_PER_MS);
}

static void arm_keepalive(struct tcp_conn *c, uint32_t ms)
{
	c->retries = 0;
	arm(c, TCP_FOR_KEEPALIVE, ms * NS_PER_MS);
}

void tcp_timer_idle(struct tcp_conn *c)
{
	if (likely(!c->keepalive)) {
		c->purpose = TCP_FOR_NOTHING;
		net_timer_disarm(&c->timer);
		return;
	}
	arm_keepalive(c, c->keepidle * MS_PER_S);
}

/* ---- due */

/* Given up: an ICMP error that was remembered says more than ETIMEDOUT. */
static void give_up(struct tcp_conn *c)
{
	tcp_count(c, NET_C_TCP_DROPPED);
	tcp_conn_fail(c, c->soft_error ? c->soft_error : ETIMEDOUT);
}

static bool is_over(const struct tcp_conn *c, uint32_t most)
{
	if (c->user_timeout)
		return waited_ms(c) >= c->user_timeout;
	return c->retries >= most;
}

static void syn_due(struct tcp_conn *c)
{
	const struct net_config *config = &tcp_stack(c)->config;
	uint32_t most = c->state == TCPS_SYN_SENT ? config->syn_retries : config->synack_retries;
	int err;

	if (c->retries >= most || (c->user_timeout && waited_ms(c) >= c->user_timeout)) {
		give_up(c);
		return;
	}
	c->retries++;
	c->syn_again = true;
	c->rtt_timed = false;
	tcp_count(c, NET_C_TCP_TIMEOUTS);
	tcp_count(c, NET_C_TCP_RETRANS);
	c->total_retrans++;
	tcp_rtt_back_off(c);
	arm(c, TCP_FOR_RTX, rto_ns(c));
	err = tcp_out_syn(c);
	if (err && c->state == TCPS_SYN_SENT)
		tcp_conn_fail(c, err);
}

/* RFC 6298 5.4 to 5.7 */
static void rtx_due(struct tcp_conn *c)
{
	if (c->state == TCPS_SYN_SENT || c->state == TCPS_SYN_RECEIVED) {
		syn_due(c);
		return;
	}
	if (is_over(c, tcp_stack(c)->config.retries)) {
		give_up(c);
		return;
	}
	c->retries++;
	tcp_count(c, NET_C_TCP_TIMEOUTS);
	tcp_acked_timeout(c);
	tcp_rtt_back_off(c);
	/* a peer that has taken its window back is probed (RFC 9293 3.8.6) */
	if (!c->snd_wnd && c->sq.bytes) {
		arm(c, TCP_FOR_PERSIST, rto_ns(c));
		tcp_out_probe(c);
		return;
	}
	arm(c, TCP_FOR_RTX, rto_ns(c));
	tcp_output(c);
}

/* As long as they are answered, probes go on (RFC 9293 MUST-36). */
static void persist_due(struct tcp_conn *c)
{
	if (is_over(c, tcp_stack(c)->config.retries)) {
		give_up(c);
		return;
	}
	c->retries++;
	tcp_rtt_back_off(c);
	arm(c, TCP_FOR_PERSIST, rto_ns(c));
	tcp_out_probe(c);
}

static void keepalive_due(struct tcp_conn *c)
{
	uint32_t idle = tcp_clock(tcp_stack(c))->ms - c->rcv_ms;
	uint32_t wanted = c->keepidle * MS_PER_S;

	if (!c->keepalive) {
		tcp_timer_idle(c);
		return;
	}
	if (idle < wanted) {
		arm_keepalive(c, wanted - idle);
		return;
	}
	if (c->user_timeout ? c->retries && idle >= c->user_timeout : c->retries >= c->keepcnt) {
		tcp_out_reset(c);
		give_up(c);
		return;
	}
	c->retries++;
	arm(c, TCP_FOR_KEEPALIVE, c->keepintvl * NS_PER_S);
	tcp_out_keepalive(c);
}

void tcp_timer_fire(struct net_stack *stack, struct net_timer *timer)
{
	struct tcp_conn *c = container_of(timer, struct tcp_conn, timer);

	(void)stack;
	switch ((enum tcp_purpose)c->purpose) {
	case TCP_FOR_NOTHING:
		return;
	case TCP_FOR_RTX:
		rtx_due(c);
		return;
	case TCP_FOR_PERSIST:
		persist_due(c);
		return;
	case TCP_FOR_KEEPALIVE:
		keepalive_due(c);
		return;
	case TCP_FOR_FIN_WAIT_2:
		tcp_conn_done(c);
		return;
	}
}

#include "config.h"

#include "net/icmp.h"

#include <errno.h>
#include <string.h>

#include "base/time.h"
#include "net/csum.h"
#include "net/stack.h"
#include "net/wire.h"

#define QUOTE_MAX (576u - NET_IP_LEN - NET_ICMP_LEN) /* RFC 1812 4.3.2.3 */

/* An ICMP message, its payload by reference (which it gets one more of). */
static void send(struct net_stack *stack, const struct net_ip *from, const struct net_ip *to,
		 const struct net_icmp_hdr *header, const struct net_seg *payload)
{
	struct net_path path;
	struct net_icmp_hdr *icmp;
	struct net_out *out;

	if (net_path_find_back(stack, from, to, &path))
		return;
	if (net_outs_room(&stack->out) <= net_ip_n_fragments(path.mtu, NET_ICMP_LEN + payload->len)) {
		stack->count[NET_C_TX_NO_ROOM]++;
		return;
	}
	out = net_out_new(stack, NET_ICMP_LEN, false);
	icmp = (struct net_icmp_hdr *)out->hdr;
	*icmp = *header;
	icmp->csum = 0;
	if (payload->len) {
		net_get(stack, payload->mem);
		out->segs[0] = *payload;
		out->n_segs = 1;
		out->len = payload->len;
	}
	icmp->csum = net_csum_finish(net_csum_segs(net_csum_add(0, icmp, NET_ICMP_LEN), out));
	net_ip_output(stack, &path, out, NET_IPPROTO_ICMP, 0, true);
}

/* ---- errors that go out */

static bool may_send(struct net_stack *stack)
{
	struct net_icmps *icmp = &stack->icmp;
	uint32_t rate = stack->config.icmp_rate;
	uint64_t each = rate ? NSEC_PER_SEC / rate : NSEC_PER_SEC;
	uint64_t more = (stack->now - icmp->refilled) / each;

	icmp->refilled += more * each;
	more += icmp->tokens;
	icmp->tokens = more < rate ? (uint32_t)more : rate;
	if (!icmp->tokens) {
		stack->count[NET_C_ICMP_LIMITED]++;
		return false;
	}
	icmp->tokens--;
	return true;
}

static void error_send(struct net_stack *stack, const struct net_ip *from,
		       const struct net_ip *to, uint8_t type, uint8_t code, struct net_seg quote)
{
	struct net_icmp_hdr header = { .type = type, .code = code };

	if (!may_send(stack))
		return;
	if (quote.len > QUOTE_MAX)
		quote.len = QUOTE_MAX;
	stack->count[NET_C_ICMP_UNREACH_OUT]++;
	send(stack, from, to, &header, &quote);
}

/* RFC 1122 3.2.2: never about what went to many. Who it came from is a single host,
 * or it would not have come so far. */
void net_icmp_unreachable(struct net_stack *stack, const struct net_pkt *pkt,
			  const struct net_ip_in *ip, uint8_t code)
{
	uint32_t ip_len = (uint32_t)(pkt->seg.data - ip->header);
	struct net_seg quote = pkt->seg;

	if (ip->broadcast)
		return;
	quote.data -= ip_len;
	quote.len = ip_len + ip->len;
	error_send(stack, &ip->dst, &ip->src, NET_ICMP_UNREACH, code, quote);
}

void net_icmp_reass_timeout(struct net_stack *stack, const struct net_ip *from,
			    const struct net_ip *to, const struct net_seg *quote)
{
	error_send(stack, from, to, NET_ICMP_TIME_EXCEEDED, 1, *quote);
}

/* ---- errors that come in */

/* Who sent what is quoted, and to whom. */
struct sender {
	struct net_addr local, peer;
	uint8_t proto;
	uint32_t seq;		/* TCP */
};

static struct sender sender_of(const uint8_t *quoted)
{
	const struct net_ip_hdr *ip = (const struct net_ip_hdr *)quoted;
	const uint8_t *l4 = quoted + (quoted[0] & 0xfu) * 4;
	struct sender s = { { net_ip4(ip->src), 0 }, { net_ip4(ip->dst), 0 }, ip->proto, 0 };

	memcpy(&s.local.port, l4, 2);
	memcpy(&s.peer.port, l4 + 2, 2);
	memcpy(&s.seq, l4 + 4, 4);
	s.seq = __builtin_bswap32(s.seq);
	return s;
}

/* Whether it may be on its way now: who cannot see our packets cannot say so much
 * (RFC 5927 7.2). */
static bool has_sent(struct net_stack *stack, const struct sender *s)
{
	if (s->proto == NET_IPPROTO_TCP)
		return net_tcp_has_sent(stack, &s->local, &s->peer, s->seq);
	return s->proto == NET_IPPROTO_UDP &&
	       net_port_find(stack, NET_UDP, &s->local, &s->peer);
}

void net_icmp_tell(struct net_stack *stack, const uint8_t *quoted, uint32_t len, int err,
		   bool hard)
{
	const struct net_ip_hdr *ip = (const struct net_ip_hdr *)quoted;
	struct sender s;

	if (len < (quoted[0] & 0xfu) * 4 + 8 || ip->frag & __builtin_bswap16(NET_IP_OFFSET))
		return;
	s = sender_of(quoted);
	if (s.proto == NET_IPPROTO_UDP)
		net_udp_unreachable(stack, &s.local, &s.peer, err);
	else if (s.proto == NET_IPPROTO_TCP)
		net_tcp_unreachable(stack, &s.local, &s.peer, s.seq, err, hard);
}

void net_icmp_gave_way(struct net_stack *stack, const uint8_t *packet, uint32_t len)
{
	struct sender s;

	if (len < NET_IP_LEN + 8)
		return;
	s = sender_of(packet);
	if (s.proto == NET_IPPROTO_TCP)
		net_tcp_gave_way(stack, &s.local, &s.peer, s.seq);
}

static void shrink(struct net_stack *stack, const struct net_icmp_hdr *icmp,
		   const uint8_t *quoted)
{
	const struct net_ip_hdr *ip = (const struct net_ip_hdr *)quoted;
	struct sender s = sender_of(quoted);

	if (has_sent(stack, &s))
		net_ip_shrink(stack, ip->dst, __builtin_bswap16(icmp->seq),
			      __builtin_bswap16(ip->len));
}

/* RFC 1122 3.2.2.1, 4.2.3.9; the errnos are Linux's. */
static int unreach_errno(uint8_t code, bool *hard)
{
	*hard = code == NET_ICMP_UNREACH_PROTO || code == NET_ICMP_UNREACH_PORT;
	switch (code) {
	case NET_ICMP_UNREACH_NET:
	case 6: /* destination network unknown */
	case 9: /* network administratively prohibited */
	case 11: /* network unreachable for the type of service */
		return ENETUNREACH;
	case NET_ICMP_UNREACH_PROTO:
		return ENOPROTOOPT;
	case NET_ICMP_UNREACH_PORT:
		return ECONNREFUSED;
	case NET_ICMP_UNREACH_FRAG:
		return EMSGSIZE;
	default:
		return EHOSTUNREACH;
	}
}

/* What is quoted has to be something that we can have sent: not a later fragment,
 * from the address that is told of it, with the whole of the two ports. */
static bool quote_is_ours(const uint8_t *quoted, uint32_t len, const struct net_ip *told)
{
	const struct net_ip_hdr *ip = (const struct net_ip_hdr *)quoted;

	return len >= NET_IP_LEN && quoted[0] >> 4 == 4 && (quoted[0] & 0xf) >= 5 &&
	       !(ip->frag & __builtin_bswap16(NET_IP_OFFSET)) &&
	       len >= (quoted[0] & 0xfu) * 4 + 8 && ip->src == net_ip_v4(told);
}

static void error_input(struct net_stack *stack, const struct net_icmp_hdr *icmp,
			const uint8_t *quoted, uint32_t len, const struct net_ip_in *ip)
{
	bool hard = false;
	int err = EHOSTUNREACH;

	if (ip->broadcast || !quote_is_ours(quoted, len, &ip->dst)) {
		stack->count[NET_C_ICMP_BAD]++;
		return;
	}
	stack->count[NET_C_ICMP_UNREACH_IN]++;
	if (icmp->type == NET_ICMP_UNREACH)
		err = unreach_errno(icmp->code, &hard);
	else if (icmp->type == NET_ICMP_PARAM_PROBLEM)
		err = EPROTO;
	if (err == EMSGSIZE)
		shrink(stack, icmp, quoted);
	net_icmp_tell(stack, quoted, len, err, hard);
}

/* ---- input */

static void echo_input(struct net_stack *stack, struct net_pkt *pkt, const struct net_ip_in *ip)
{
	struct net_icmp_hdr header = *(const struct net_icmp_hdr *)pkt->seg.data;
	struct net_seg payload = pkt->seg;

	if (ip->broadcast)
		return;	/* RFC 1122 3.2.2.6 allows it */
	stack->count[NET_C_ICMP_ECHOS]++;
	header.type = NET_ICMP_ECHO_REPLY;
	payload.data += NET_ICMP_LEN;
	payload.len = ip->len - NET_ICMP_LEN;
	send(stack, &ip->dst, &ip->src, &header, &payload);
}

void net_icmp_input(struct net_stack *stack, struct net_pkt *pkt, const struct net_ip_in *ip)
{
	const struct net_icmp_hdr *icmp = (const struct net_icmp_hdr *)pkt->seg.data;

	if (ip->len < NET_ICMP_LEN ||
	    (!(pkt->flags & NET_PKT_L4_GOOD) &&
	     net_csum_finish(net_csum_add(0, pkt->seg.data, ip->len)))) {
		stack->count[NET_C_ICMP_BAD]++;
	} else if (icmp->type == NET_ICMP_ECHO && !icmp->code) {
		echo_input(stack, pkt, ip);
	} else if (icmp->type == NET_ICMP_UNREACH || icmp->type == NET_ICMP_TIME_EXCEEDED ||
		   icmp->type == NET_ICMP_PARAM_PROBLEM) {
		error_input(stack, icmp, pkt->seg.data + NET_ICMP_LEN, ip->len - NET_ICMP_LEN,
			    ip);
	}
	net_put(stack, pkt->seg.mem);
}

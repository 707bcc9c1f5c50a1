#include "config.h"

#include "catnip/catnip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "libos/log.h"
#include "libos/settings.h"

/*
 * What the settings say about the stack, in its words, and its addresses. On a
 * private link an end owns whatever it binds; anywhere else it has the one address
 * that it is given.
 */

#define TEXT_MAX 2048
#define PRIVATE_NET 0x0afe0000u	/* 10.254.0.0; .1 and .2 are the two ends */

__attribute__((__format__(__printf__, 2, 3)))
static void add(char *text, const char *fmt, ...)
{
	size_t n = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + n, TEXT_MAX - n, fmt, ap);
	va_end(ap);
}

static unsigned seconds(const struct libos_settings *set, const char *name_ms)
{
	int64_t s = (libos_settings_int(set, name_ms) + 999) / 1000;

	return (unsigned)(s < 1 ? 1 : s > 32767 ? 32767 : s);
}

/* The original's settings and ours; catnip.stack comes last and so has the say. */
static void config_text(const struct catnip_ctx *cn, char *text)
{
	const struct libos_settings *set = cn->base.os->settings;
	const char *own = libos_settings_str(set, "catnip.stack");

	text[0] = '\0';
	if (catnip_port_is_private(cn->port))
		add(text, "any_addr=1 ");
	if (catnip_port_loops(cn->port))
		add(text, "link_loop=1 ");
	if (libos_settings_given(set, "inetstack_config.mtu"))
		add(text, "mtu=%d ", (int)libos_settings_int(set, "inetstack_config.mtu"));
	add(text, "nodelay=%d ", libos_settings_bool(set, "tcp_socket_options.nodelay"));
	add(text, "keepalive=%d keepidle_s=%u keepintvl_s=%u ",
	    libos_settings_bool(set, "tcp_socket_options.keepalive.enabled"),
	    seconds(set, "tcp_socket_options.keepalive.time_millis"),
	    seconds(set, "tcp_socket_options.keepalive.interval"));
	add(text, "%s", own ? own : "");
}

static int stack_new(struct catnip_ctx *cn)
{
	struct libos *os = cn->base.os;
	char text[TEXT_MAX], why[NET_WHY] = "";
	struct {
		uint64_t seed;
		uint8_t key[16];
	} secret;
	int err;

	if (getrandom(&secret, sizeof(secret), 0) != (ssize_t)sizeof(secret)) {
		log_error("catnip: no random numbers from the kernel");
		return EIO;
	}
	config_text(cn, text);
	os->now = time_now();
	err = net_stack_new(text, secret.seed, secret.key, catnip_port_dev(cn->port),
			    cn->net_count, os->now, why, &cn->stack);
	if (err) {
		log_error("catnip: catnip.stack: %s", why);
		return err;
	}
	net_set_take(cn->stack, catnip_take);
	return 0;
}

static bool ip_get(const struct libos_settings *set, const char *name, struct net_ip *ip_out)
{
	const char *text = libos_settings_str(set, name);
	struct in_addr addr;

	if (!text)
		return false;
	inet_pton(AF_INET, text, &addr); /* it is one: the settings have looked */
	*ip_out = net_ip4(addr.s_addr);
	return true;
}

/* One's own, and everything is on this link. */
static int private_address(struct catnip_ctx *cn)
{
	struct net_ip own = net_ip4(htonl(PRIVATE_NET + 1 + catnip_port_end(cn->port)));
	struct net_ip all = net_ip4(0);
	int err = net_local_add(cn->stack, &own, 32, false);

	return err ? err : net_route_add(cn->stack, &all, 0, NULL);
}

static int given_address(struct catnip_ctx *cn)
{
	const struct libos_settings *set = cn->base.os->settings;
	unsigned prefix = (unsigned)libos_settings_int(set, "catnip.prefix");
	struct net_ip own, gateway, all = net_ip4(0);
	int err;

	if (!ip_get(set, "demikernel.local_ipv4_addr", &own)) {
		log_error("catnip: this port has no address of its own; set "
			  "demikernel.local_ipv4_addr (CLOWDER_DEMIKERNEL_LOCAL_IPV4_ADDR)");
		return EINVAL;
	}
	err = net_local_add(cn->stack, &own, prefix, true);
	if (!err && ip_get(set, "catnip.gateway", &gateway))
		err = net_route_add(cn->stack, &all, 0, &gateway);
	return err;
}

/* "10.0.0.2=02:00:00:00:00:02" */
static int neigh_add(struct catnip_ctx *cn, const char *item)
{
	const char *mac = strchr(item, '=');
	struct in_addr addr;
	struct net_ip ip;
	char text[INET_ADDRSTRLEN];
	unsigned b[6];
	uint8_t bytes[6];
	int end = 0;

	if (mac)
		snprintf(text, sizeof(text), "%.*s", (int)(mac - item), item);
	if (!mac || inet_pton(AF_INET, text, &addr) != 1 ||
	    sscanf(mac + 1, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4],
		   &b[5], &end) != 6 || mac[1 + end]) {
		log_error("catnip.arp: \"%s\" is not ADDRESS=MAC, as in "
			  "10.0.0.2=02:00:00:00:00:02", item);
		return EINVAL;
	}
	for (int i = 0; i < 6; i++)
		bytes[i] = (uint8_t)b[i];
	ip = net_ip4(addr.s_addr);
	return net_neigh_add(cn->stack, &ip, bytes);
}

static int addresses_add(struct catnip_ctx *cn)
{
	const struct libos_settings *set = cn->base.os->settings;
	const char *const *items;
	uint32_t n = libos_settings_list(set, "catnip.arp", &items);
	int err;

	if (catnip_port_is_private(cn->port) &&
	    !libos_settings_given(set, "demikernel.local_ipv4_addr"))
		err = private_address(cn);
	else
		err = given_address(cn);
	for (uint32_t i = 0; i < n && !err; i++)
		err = neigh_add(cn, items[i]);
	return err;
}

int catnip_stack_open(struct catnip_ctx *cn)
{
	int err = stack_new(cn);

	return err ? err : addresses_add(cn);
}

#include "config.h"

#include "net/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "net/net.h"
#include "net/tcp_cc.h"

struct key {
	const char *name;
	size_t at;		/* of its field */
	bool is_bool;
	uint32_t def, min, max;
};

#define NUMBER(name, def, min, max) \
	{ #name, offsetof(struct net_config, name), false, def, min, max }
#define FLAG(name, def) { #name, offsetof(struct net_config, name), true, def, 0, 1 }

static const struct key keys[] = {
	NUMBER(mtu, 0, 0, 65535),
	FLAG(any_addr, 0),
	FLAG(link_loop, 0),
	NUMBER(arp_reachable_ms, 30000, 100, 86400000),
	NUMBER(arp_retry_ms, 1000, 1, 60000),
	NUMBER(arp_retries, 3, 1, 100),
	NUMBER(arp_entries, 1024, 4, 1048576),
	NUMBER(arp_queue, 16, 1, 1024),
	NUMBER(reass_bytes, 4194304, 0, 1073741824),
	NUMBER(reass_ms, 15000, 1, 120000),
	NUMBER(icmp_rate, 1000, 0, 1000000),
	NUMBER(port_min, 32768, 1, 65535),
	NUMBER(port_max, 60999, 1, 65535),
	NUMBER(rcvbuf, 4194304, 2048, 1073741824),
	NUMBER(sndbuf, 1048576, 1, 1073741824),
	NUMBER(mss, 0, 0, 65495),
	NUMBER(iw, 10, 1, 1000),
	NUMBER(rto_min_ms, 200, 1, 60000),
	NUMBER(rto_max_ms, 120000, 1000, 3600000),
	NUMBER(rto_initial_ms, 1000, 1, 60000),
	NUMBER(delack_ms, 40, 0, 500),
	FLAG(quickack, 0),
	FLAG(nodelay, 1),
	FLAG(timestamps, 1),
	NUMBER(ts_tick_us, 1000, 1, 1000000),
	NUMBER(wscale, 255, 0, 255),
	NUMBER(syn_retries, 6, 0, 255),
	NUMBER(synack_retries, 5, 0, 255),
	NUMBER(retries, 15, 1, 255),
	NUMBER(keepidle_s, 7200, 1, 32767),
	NUMBER(keepintvl_s, 75, 1, 32767),
	NUMBER(keepcnt, 9, 1, 127),
	FLAG(keepalive, 0),
	NUMBER(user_timeout_ms, 0, 0, 2147483647),
	NUMBER(time_wait_ms, 60000, 0, 240000),
	NUMBER(fin_wait2_ms, 60000, 1, 3600000),
	NUMBER(time_waits, 65536, 0, 16777216),
	NUMBER(half_open, 4096, 1, 1048576),
};

static void field_set(struct net_config *config, const struct key *key, uint32_t value)
{
	uint8_t *field = (uint8_t *)config + key->at;
	bool flag = value != 0;

	if (key->is_bool)
		memcpy(field, &flag, sizeof(flag));
	else
		memcpy(field, &value, sizeof(value));
}

static const struct key *key_find(const char *name, size_t len)
{
	for (size_t i = 0; i < array_size(keys); i++)
		if (strlen(keys[i].name) == len && !memcmp(keys[i].name, name, len))
			return &keys[i];
	return NULL;
}

static int number_set(struct net_config *config, const struct key *key, const char *text,
		      size_t len, char *why)
{
	unsigned long long n = 0;
	size_t i = 0;

	for (; i < len && isdigit((unsigned char)text[i]) && n <= UINT32_MAX; i++)
		n = n * 10 + (unsigned)(text[i] - '0');
	if (!len || i < len || n < key->min || n > key->max) {
		snprintf(why, NET_WHY, "%s=%.*s: wants a number from %u to %u", key->name,
			 (int)(len < 32 ? len : 32), text, key->min, key->max);
		return EINVAL;
	}
	field_set(config, key, (uint32_t)n);
	return 0;
}

static int cc_set(struct net_config *config, const char *text, size_t len, char *why)
{
	char name[16];

	snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : sizeof(name)), text);
	config->cc = len < sizeof(name) ? net_tcp_cc_find(name) : NULL;
	if (config->cc)
		return 0;
	snprintf(why, NET_WHY, "cc=%s: there is no such congestion control", name);
	return EINVAL;
}

static int pair_set(struct net_config *config, const char *pair, size_t len, char *why)
{
	const char *eq = memchr(pair, '=', len);
	size_t n = eq ? (size_t)(eq - pair) : len;
	const struct key *key;

	if (!eq) {
		snprintf(why, NET_WHY, "\"%.*s\" is not key=value", (int)(len < 64 ? len : 64),
			 pair);
		return EINVAL;
	}
	if (n == 2 && !memcmp(pair, "cc", 2))
		return cc_set(config, eq + 1, len - n - 1, why);
	key = key_find(pair, n);
	if (!key) {
		snprintf(why, NET_WHY, "there is no key \"%.*s\"", (int)(n < 64 ? n : 64), pair);
		return EINVAL;
	}
	return number_set(config, key, eq + 1, len - n - 1, why);
}

/* What no single key can be told. */
static int together_check(const struct net_config *c, char *why)
{
	const char *wrong = NULL;

	if (c->port_min > c->port_max)
		wrong = "port_min is above port_max";
	else if (c->rto_min_ms > c->rto_max_ms)
		wrong = "rto_min_ms is above rto_max_ms";
	else if (c->rto_initial_ms > c->rto_max_ms)
		wrong = "rto_initial_ms is above rto_max_ms";
	else if (c->mtu && c->mtu < 576)
		wrong = "mtu is below 576";
	else if (c->mss && c->mss < 88)
		wrong = "mss is below 88";
	else if (c->wscale > 14 && c->wscale != 255)
		wrong = "wscale is 0 to 14, or 255 for what rcvbuf wants";
	if (!wrong)
		return 0;
	snprintf(why, NET_WHY, "%s", wrong);
	return EINVAL;
}

int net_config_parse(struct net_config *config, const char *text, char *why)
{
	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < array_size(keys); i++)
		field_set(config, &keys[i], keys[i].def);
	config->cc = net_tcp_cc_find("newreno");
	while (text && *text) {
		size_t len = strcspn(text, " ,\t\n");
		int err = len ? pair_set(config, text, len, why) : 0;

		if (err)
			return err;
		text += len + (text[len] != '\0');
	}
	return together_check(config, why);
}

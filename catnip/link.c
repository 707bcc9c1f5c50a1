#include "config.h"

#include "catnip/link.h"

#include "base/compiler.h"
#include "catnip/eal.h"
#include "libos/fds.h"
#include "libos/log.h"
#include "libos/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ZERO_COPY ",zero-copy=yes"
#define MEMIF_RING_LOG2 9	/* 512 descriptors in each direction */

static const struct {
	const char *name;
	enum catnip_link_kind kind;
	bool needs_arg;
} kinds[] = {
	{ "memif", LINK_MEMIF, false },	      { "af_xdp", LINK_AF_XDP, true },
	{ "af_packet", LINK_AF_PACKET, true }, { "tap", LINK_TAP, true },
	{ "ring", LINK_RING, false },	      { "vhost", LINK_VHOST, true },
	{ "virtio", LINK_VIRTIO, true },      { "pci", LINK_FOUND, true },
	{ "vdev", LINK_VDEV, true },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

const char *catnip_link_name(const struct catnip_link *link, char *buf, unsigned len)
{
	const char *name = "dpdk.eal_init";

	for (unsigned i = 0; i < N_KINDS; i++)
		if (kinds[i].kind == link->kind && (link->kind != LINK_FOUND || *link->arg))
			name = kinds[i].name;
	snprintf(buf, len, "%s%s%s", name, *link->arg ? ":" : "", link->arg);
	return buf;
}

/* ---- what it says */

/* Part of a file's name, or of an argument where a comma ends it. */
static bool is_name(const char *s)
{
	return *s != '.' && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-") == strlen(s);
}

static bool arg_is_good(enum catnip_link_kind kind, const char *arg)
{
	switch (kind) {
	case LINK_MEMIF:
	case LINK_RING:
		return is_name(arg) && strlen(arg) < 64;
	case LINK_AF_XDP:
	case LINK_AF_PACKET:
	case LINK_TAP:
		return strlen(arg) < IFNAMSIZ && !strpbrk(arg, ",/= ");
	case LINK_VHOST:
	case LINK_VIRTIO:
		return !strpbrk(arg, ",") && strlen(arg) < 108;
	case LINK_FOUND:
	case LINK_VDEV:
		return true;
	}
	return false;
}

int catnip_link_parse(const char *item, struct catnip_link *link_out)
{
	size_t len = strcspn(item, ":");
	const char *arg = item[len] ? item + len + 1 : "";

	*link_out = (struct catnip_link){ .lock = -1, .dir = -1 };
	for (unsigned i = 0; i < N_KINDS; i++) {
		if (strlen(kinds[i].name) != len || memcmp(kinds[i].name, item, len))
			continue;
		link_out->kind = kinds[i].kind;
		if ((!*arg && (kinds[i].needs_arg || item[len])) ||
		    strlen(arg) >= sizeof(link_out->arg) || !arg_is_good(kinds[i].kind, arg))
			break;
		snprintf(link_out->arg, sizeof(link_out->arg), "%s", arg);
		return 0;
	}
	log_error("catnip.link: \"%s\" is none of memif, memif:NAME, af_xdp:IFACE, "
		  "af_packet:IFACE, tap:IFACE, ring, ring:NAME, vhost:PATH, virtio:PATH, "
		  "pci:ADDRESS, vdev:STRING", item);
	return EINVAL;
}

/* ---- the two ends of a memif */

static int end_take(struct catnip_link *link, const char *end)
{
	char file[96];
	int fd, err;

	snprintf(file, sizeof(file), "memif-%.64s.%s", link->arg, end);
	fd = libos_fd_own(openat(link->dir, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
	if (fd < 0) {
		err = errno;
		log_error("catnip: cannot make %s in the runtime directory: %s", file,
			  strerror(err));
		return err;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		link->lock = fd;
		return 0;
	}
	err = errno;
	libos_fd_close(fd);
	return err == EWOULDBLOCK ? EBUSY : err;
}

void catnip_link_sockets(const struct catnip_link *link, char public[LINK_SOCK_NAME],
			 char private[LINK_SOCK_NAME])
{
	snprintf(public, LINK_SOCK_NAME, "memif-%.64s.sock", link->arg);
	snprintf(private, LINK_SOCK_NAME, "memif-%.64s.driver", link->arg);
}

void catnip_link_withdraw(const struct catnip_link *link)
{
	char public[LINK_SOCK_NAME], private[LINK_SOCK_NAME];

	if (link->kind != LINK_MEMIF || link->end || link->dir < 0)
		return;
	catnip_link_sockets(link, public, private);
	unlinkat(link->dir, public, 0);
	unlinkat(link->dir, private, 0);
}

/* The first to come is the server; who comes again takes the end that is free. A
 * socket that a dead server left would be in the way. */
static int memif_open(struct catnip_link *link, uint32_t i)
{
	char dir[PATH_MAX], public[LINK_SOCK_NAME], private[LINK_SOCK_NAME];
	int err = libos_rundir_open("catnip", &link->dir);

	if (err)
		return err;
	catnip_link_sockets(link, public, private);
	err = end_take(link, "server");
	if (!err)
		catnip_link_withdraw(link);
	if (err == EBUSY) {
		link->end = 1;
		err = end_take(link, "client");
	}
	if (err == EBUSY) {
		log_error("catnip: two processes are on the link memif%s%s in %s already: give this "
			  "one another in catnip.link, such as memif:NAME, and the peer the same",
			  *link->arg ? ":" : "", link->arg, libos_rundir_path(dir, sizeof(dir)));
		return EBUSY;
	}
	if (err)
		return err;
	link->zero_copy &= link->end == 1;
	snprintf(link->vdev, sizeof(link->vdev), "net_memif%u", i);
	snprintf(link->args, sizeof(link->args),
		 "role=%s,socket=/proc/self/fd/%d/%s,socket-abstract=no,bsize=%u,rsize=%u"
		 "%s",
		 link->end ? "client" : "server", link->dir, link->end ? public : private,
		 LINK_MEMIF_ROOM, MEMIF_RING_LOG2, link->zero_copy ? ZERO_COPY : "");
	return 0;
}

/* ---- interfaces of the kernel's */

static int iface_check(const struct catnip_link *link)
{
	char name[160];

	if (if_nametoindex(link->arg))
		return 0;
	log_error("catnip.link: %s: there is no interface %s here (in this network namespace)",
		  catnip_link_name(link, name, sizeof(name)), link->arg);
	return ENODEV;
}

static int refuse_permission(const struct catnip_link *link, const char *what)
{
	char name[160];

	log_error("catnip.link: %s: no permission: %s", catnip_link_name(link, name, sizeof(name)), what);
	return EPERM;
}

static int packet_check(const struct catnip_link *link)
{
	int err = iface_check(link), fd;

	if (err)
		return err;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return refuse_permission(link, "run as root or with CAP_NET_RAW");
	close(fd);
	return 0;
}

#ifndef AF_XDP
#define AF_XDP 44
#endif

static int xdp_check(const struct catnip_link *link)
{
	int err = iface_check(link), fd;
	char name[160];

	if (err)
		return err;
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	err = errno;
	if (fd >= 0)
		close(fd);
	if (fd < 0 && err != EPERM) {
		log_error("catnip.link: %s: this kernel has no AF_XDP: %s",
			  catnip_link_name(link, name, sizeof(name)), strerror(err));
		return err;
	}
	if (fd < 0)
		return refuse_permission(link, "run as root (CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF)");
	return 0;
}

/* Made for a moment: /dev/net/tun opens for everybody. */
static int tap_check(const struct catnip_link *link)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), err = errno;
	char name[160];

	if (fd >= 0) {
		memcpy(ifr.ifr_name, link->arg, strlen(link->arg));
		err = ioctl(fd, TUNSETIFF, &ifr) < 0 ? errno : 0;
		close(fd);
	}
	if (err == EPERM || err == EACCES)
		return refuse_permission(link, "run as root or with CAP_NET_ADMIN");
	if (err)
		log_error("catnip.link: %s: /dev/net/tun: %s", catnip_link_name(link, name, sizeof(name)),
			  strerror(err));
	return err;
}

/* ---- vhost-user */

/* A socket that a dead process left is in the way; a live one's is told by DPDK. */
static void stale_remove(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%.107s", path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 && errno == ECONNREFUSED)
		unlink(path);
	close(fd);
}

/* ---- opening */

int catnip_link_open(struct catnip_link *link, uint32_t i)
{
	int err = 0;

	link->end = 0;
	switch (link->kind) {
	case LINK_MEMIF:
		err = memif_open(link, i);
		break;
	case LINK_AF_XDP:
		err = xdp_check(link);
		snprintf(link->vdev, sizeof(link->vdev), "net_af_xdp%u", i);
		snprintf(link->args, sizeof(link->args), "iface=%s", link->arg);
		break;
	case LINK_AF_PACKET:
		err = packet_check(link);
		snprintf(link->vdev, sizeof(link->vdev), "net_af_packet%u", i);
		snprintf(link->args, sizeof(link->args), "iface=%s,blocksz=65536,framesz=2048,"
			 "framecnt=512,qdisc_bypass=0", link->arg);
		break;
	case LINK_TAP:
		err = tap_check(link);
		snprintf(link->vdev, sizeof(link->vdev), "net_tap%u", i);
		snprintf(link->args, sizeof(link->args), "iface=%s", link->arg);
		break;
	case LINK_VHOST:
		stale_remove(link->arg);
		snprintf(link->vdev, sizeof(link->vdev), "net_vhost%u", i);
		snprintf(link->args, sizeof(link->args), "iface=%s,queues=1", link->arg);
		break;
	case LINK_VIRTIO:
		link->end = 1;
		snprintf(link->vdev, sizeof(link->vdev), "net_virtio_user%u", i);
		snprintf(link->args, sizeof(link->args), "path=%s,queues=1,queue_size=512",
			 link->arg);
		break;
	case LINK_VDEV:
		snprintf(link->vdev, sizeof(link->vdev), "%.*s",
			 (int)(strcspn(link->arg, ",") % sizeof(link->vdev)), link->arg);
		snprintf(link->args, sizeof(link->args), "%s",
			 strchr(link->arg, ',') ? strchr(link->arg, ',') + 1 : "");
		break;
	case LINK_RING:
	case LINK_FOUND:
		break;
	}
	if (err)
		catnip_link_close(link);
	return err;
}

void catnip_link_copy(struct catnip_link *link)
{
	char *at = strstr(link->args, ZERO_COPY);

	if (at)
		*at = '\0'; /* it is the last */
	link->zero_copy = false;
}

void catnip_link_close(struct catnip_link *link)
{
	libos_fd_close(link->lock);
	libos_fd_close(link->dir);
	link->lock = link->dir = -1;
}

int catnip_link_refuse(const struct catnip_link *link, int err)
{
	char name[160];

	log_error("catnip.link: %s: DPDK cannot open it: %s",
		  catnip_link_name(link, name, sizeof(name)),
		  *eal_said() ? eal_said() : "there is no such device");
	if (err > 1)
		return err;
	return *eal_said() ? EIO : ENODEV; /* -1 says nothing */
}

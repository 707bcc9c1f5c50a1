/* Addresses as they come in from the program. */
#ifndef API_ADDRESS_H
#define API_ADDRESS_H

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

/* EINVAL: NULL or short; ENOTSUP: another family. */
static inline int address_get(const struct sockaddr *addr, socklen_t len,
			      struct sockaddr_in *addr_out)
{
	sa_family_t family;

	if (!addr || len < sizeof(family))
		return EINVAL;
	memcpy(&family, addr, sizeof(family));
	if (family == AF_INET && len < sizeof(*addr_out))
		return EINVAL;
	if (family != AF_INET)
		return ENOTSUP;
	memcpy(addr_out, addr, sizeof(*addr_out));
	return 0;
}

#endif /* API_ADDRESS_H */

/*
 * apps_slow SIZE PIECES MS: a server for one client of clowder-rpc. It answers the
 * first SIZE bytes (to 64 KiB) in so many pieces, which divide it, with a pause
 * before each, and nothing after.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char bytes[1 << 16];

static int accept_one(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len))
		exit(1);
	printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return accept(fd, NULL, NULL);
}

int main(int argc, char **argv)
{
	size_t size, pieces, got = 0;
	int fd;

	if (argc != 4)
		return 2;
	size = strtoul(argv[1], NULL, 10);
	pieces = strtoul(argv[2], NULL, 10);
	if (size > sizeof(bytes))
		return 2;
	fd = accept_one();
	while (got < size) {
		ssize_t n = recv(fd, bytes + got, size - got, 0);

		if (n <= 0)
			return 1;
		got += (size_t)n;
	}
	printf("asked\n");
	fflush(stdout);
	for (size_t i = 0; i < pieces; i++) {
		usleep(1000 * (useconds_t)atoi(argv[3]));
		if (send(fd, bytes + i * size / pieces, size / pieces, MSG_NOSIGNAL) < 0)
			return 1;
	}
	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
	return 0;
}

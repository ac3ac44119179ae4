/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/status_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/control_protocol.h"
#include "common/xalloc.h"

/* For being let in and for the answer, each; the daemon gives up on us after 5. */
#define PATIENCE_S 7
#define READ_BYTES 65536

/* Returns a descriptor. */
static int connect_to(const char *path)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return steal_fd(&fd);
}

static int wait_for_answer(int fd, uint64_t end_ns)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	uint64_t now_ns = clock_monotonic_ns();
	int n;

	if (now_ns >= end_ns)
		return -ETIMEDOUT;
	n = poll(&poll_fd, 1, (int)((end_ns - now_ns) / NS_PER_MS) + 1);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n;
}

static int read_answer(int fd, char **ret, size_t *ret_len)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_S * NS_PER_S;
	auto_free char *text = NULL;
	size_t cap = 0, len = 0;
	ssize_t n;
	int r;

	do {
		r = wait_for_answer(fd, end_ns);
		if (r < 0)
			return r;
		text = xgrow(text, &cap, len + READ_BYTES + 1, 1);
		n = r ? recv(fd, text + len, READ_BYTES, MSG_DONTWAIT) : -1;
		if (n < 0 && r && errno != EAGAIN && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
		if (len > CONTROL_ANSWER_MAX)
			return -EMSGSIZE;
	} while (n != 0);
	text[len] = '\0';
	*ret = steal_ptr(text);
	*ret_len = len;
	return 0;
}

int status_client_ask(const char *path, const char *request, char **ret, size_t *ret_len)
{
	auto_free char *line = xasprintf("%s\n", request);
	auto_close int fd = connect_to(path);

	if (fd < 0)
		return fd;
	/* It is short, so that it goes in one piece; when it does not, there will be no answer. */
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return read_answer(fd, ret, ret_len);
}

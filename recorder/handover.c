/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/handover.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What travels as bytes. */
#define MESSAGE_BYTES offsetof(struct message, fds)

/* As the kernel has it: a status below is none, and its sign could not even be changed. */
#define ERRNO_MAX 4095

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(MESSAGE_FDS_MAX * sizeof(int))];
};

void message_init(struct message *m, enum message_type type)
{
	memset(m, 0, sizeof(*m));
	m->type = type;
}

int message_send(int sock, struct message *m)
{
	union control control = {0};
	struct iovec iov = {.iov_base = m, .iov_len = MESSAGE_BYTES};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (m->n_fds > 0) {
		size_t len = (size_t)m->n_fds * sizeof(int);
		struct cmsghdr *c;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(len);
		c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(len);
		memcpy(CMSG_DATA(c), m->fds, len);
	}
	do
		n = sendmsg(sock, &header, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *header, struct message *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (ret->n_fds < MESSAGE_FDS_MAX)
				ret->fds[ret->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

int message_receive(int sock, struct message *ret)
{
	union control control;
	struct iovec iov = {.iov_base = ret, .iov_len = MESSAGE_BYTES};
	struct msghdr header = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	do
		n = recvmsg(sock, &header, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	ret->n_fds = 0;
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	take_fds(&header, ret);
	if ((size_t)n != MESSAGE_BYTES || header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		message_close_fds(ret);
		return -EBADMSG;
	}
	if (ret->status < -ERRNO_MAX)
		ret->status = -EBADMSG;
	ret->path[sizeof(ret->path) - 1] = '\0';
	ret->text[sizeof(ret->text) - 1] = '\0';
	return 0;
}

void message_close_fds(struct message *m)
{
	for (int i = 0; i < m->n_fds; i++)
		close(m->fds[i]);
	m->n_fds = 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/proc_events.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

/* Enough for some 10,000 events while the loop is busy; the default would hold a few hundred. */
#define RECEIVE_BUFFER_BYTES (4 << 20)
/* Datagrams are below 100 bytes. */
#define DATAGRAM_MAX 1024
/* The kernel answers before send() returns. */
#define ANSWER_MS 200

#define HEADER_LEN (NLMSG_HDRLEN + sizeof(struct cn_msg))

static int send_operation(int fd, enum proc_cn_mcast_op op)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	unsigned char request[HEADER_LEN + sizeof(op)] = {0};
	struct nlmsghdr header = {.nlmsg_len = sizeof(request), .nlmsg_type = NLMSG_DONE};
	struct cn_msg message = {.id = {.idx = CN_IDX_PROC, .val = CN_VAL_PROC}, .len = sizeof(op)};

	memcpy(request, &header, sizeof(header));
	memcpy(request + NLMSG_HDRLEN, &message, sizeof(message));
	memcpy(request + HEADER_LEN, &op, sizeof(op));
	if (sendto(fd, request, sizeof(request), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

/* The event inside a datagram. Returns its length, at most `size`, or -EBADMSG. */
static int unwrap(const void *data, size_t len, struct proc_event *ret, uint32_t *ret_ack)
{
	const unsigned char *bytes = data;
	struct nlmsghdr header;
	struct cn_msg message;
	size_t event_len;

	if (len < HEADER_LEN)
		return -EBADMSG;
	memcpy(&header, bytes, sizeof(header));
	memcpy(&message, bytes + NLMSG_HDRLEN, sizeof(message));
	if (header.nlmsg_len < HEADER_LEN || header.nlmsg_len > len ||
	    header.nlmsg_type != NLMSG_DONE)
		return -EBADMSG;
	if (message.id.idx != CN_IDX_PROC || message.id.val != CN_VAL_PROC)
		return -EBADMSG;
	event_len = header.nlmsg_len - HEADER_LEN;
	if (message.len > event_len)
		return -EBADMSG;
	event_len = message.len;
	if (event_len > sizeof(*ret))
		event_len = sizeof(*ret);
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, bytes + HEADER_LEN, event_len);
	*ret_ack = message.ack;
	return (int)event_len;
}

#define HAS(len, member)                                            \
	((size_t)(len) >= offsetof(struct proc_event, event_data) + \
			      sizeof(((struct proc_event *)0)->event_data.member))

static int set_event(struct process_event *ret, enum process_event_kind kind, bool whole, pid_t pid,
		     pid_t tid, pid_t parent_pid)
{
	if (!whole || pid <= 0 || tid <= 0)
		return -EBADMSG;
	*ret =
	    (struct process_event){.kind = kind, .pid = pid, .tid = tid, .parent_pid = parent_pid};
	return 1;
}

int proc_events_parse(const void *data, size_t len, struct process_event *ret)
{
	struct proc_event e;
	uint32_t ack;
	int n = unwrap(data, len, &e, &ack);

	if (n < 0)
		return n;
	if ((size_t)n < offsetof(struct proc_event, event_data))
		return -EBADMSG;
	/* Not an enum's value where the kernel is newer than this. */
	switch ((uint32_t)e.what) {
	case PROC_EVENT_FORK:
		return set_event(ret, PROCESS_FORKED, HAS(n, fork), e.event_data.fork.child_tgid,
				 e.event_data.fork.child_pid, e.event_data.fork.parent_tgid);
	case PROC_EVENT_EXEC:
		return set_event(ret, PROCESS_EXECED, HAS(n, exec), e.event_data.exec.process_tgid,
				 e.event_data.exec.process_pid, 0);
	case PROC_EVENT_COMM:
		return set_event(ret, PROCESS_RENAMED, HAS(n, comm), e.event_data.comm.process_tgid,
				 e.event_data.comm.process_pid, 0);
	case (uint32_t)PROC_EVENT_EXIT:
		/* Older kernels do not name the parent, so less than the whole is enough. */
		return set_event(ret, PROCESS_ENDED, HAS(n, exec), e.event_data.exit.process_tgid,
				 e.event_data.exit.process_pid, 0);
	default:
		return 0;
	}
}

/* Returns the length; 0 when it is not from the kernel. */
static ssize_t receive(int fd, unsigned char buf[static DATAGRAM_MAX])
{
	struct sockaddr_nl from = {0};
	socklen_t from_len = sizeof(from);
	ssize_t n;

	do
		n = recvfrom(fd, buf, DATAGRAM_MAX, 0, (struct sockaddr *)&from, &from_len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return from_len == sizeof(from) && from.nl_pid == 0 ? n : 0;
}

int proc_events_read(int fd, struct process_event *ret)
{
	unsigned char buf[DATAGRAM_MAX];
	ssize_t n = receive(fd, buf);

	if (n == -ENOBUFS) {
		*ret = (struct process_event){.kind = PROCESS_EVENTS_LOST};
		return 1;
	}
	if (n < 0)
		return (int)n;
	/* What can't be understood tells nothing. */
	return n > 0 && proc_events_parse(buf, (size_t)n, ret) > 0;
}

/*
 * Where we are in a namespace of our own, the kernel takes the request and stays silent for ever:
 * only its answer shows that it will tell. News of others may come before it.
 */
static int wait_for_answer(int fd)
{
	uint64_t end_ns = clock_monotonic_ns() + ANSWER_MS * NS_PER_MS;

	while (clock_monotonic_ns() < end_ns) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		unsigned char buf[DATAGRAM_MAX];
		struct proc_event e;
		uint32_t ack;
		ssize_t n;

		if (poll(&p, 1, ANSWER_MS) == 0)
			break;
		n = receive(fd, buf);
		if (n == -ENOBUFS) /* so there is news, for someone who listened before us */
			return 0;
		if (n < 0 && n != -EAGAIN)
			return (int)n;
		if (n <= 0 || unwrap(buf, (size_t)n, &e, &ack) < 0)
			continue;
		if (e.what == PROC_EVENT_NONE)
			return e.event_data.ack.err ? -(int)e.event_data.ack.err : 0;
	}
	return -EOPNOTSUPP;
}

int proc_events_begin(int fd)
{
	int r = send_operation(fd, PROC_CN_MCAST_LISTEN);

	if (r == 0)
		r = wait_for_answer(fd);
	/* Nobody has the connector's other end: the kernel was built without it. */
	return r == -ECONNREFUSED ? -EOPNOTSUPP : r;
}

int proc_events_open(void)
{
	struct sockaddr_nl us = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
	int size = RECEIVE_BUFFER_BYTES;
	auto_close int fd =
	    socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
	int r;

	if (fd < 0)
		return errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT ? -EOPNOTSUPP : -errno;
	/* The first one needs CAP_NET_ADMIN; the other one is limited by net.core.rmem_max. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&us, sizeof(us)) < 0)
		return -errno;
	r = proc_events_begin(fd);
	return r < 0 ? r : steal_fd(&fd);
}

void proc_events_close(int fd)
{
	if (fd < 0)
		return;
	send_operation(fd, PROC_CN_MCAST_IGNORE);
	close(fd);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/proc_events.h"

#include <check.h>
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define PATIENCE_NS (20 * NS_PER_S)
#define HEADER_LEN  (NLMSG_HDRLEN + sizeof(struct cn_msg))
#define EVENT_LEN   sizeof(struct proc_event)

struct datagram {
	size_t len;
	unsigned char bytes[HEADER_LEN + EVENT_LEN];
};

static struct datagram compose(const struct proc_event *event)
{
	struct datagram d = {.len = sizeof(d.bytes)};
	struct nlmsghdr header = {.nlmsg_len = sizeof(d.bytes), .nlmsg_type = NLMSG_DONE};
	struct cn_msg message = {.id = {.idx = CN_IDX_PROC, .val = CN_VAL_PROC},
				 .len = (uint16_t)EVENT_LEN};

	memcpy(d.bytes, &header, sizeof(header));
	memcpy(d.bytes + NLMSG_HDRLEN, &message, sizeof(message));
	memcpy(d.bytes + HEADER_LEN, event, EVENT_LEN);
	return d;
}

static struct datagram compose_fork(void)
{
	struct proc_event e = {.what = PROC_EVENT_FORK};

	e.event_data.fork.parent_pid = 11;
	e.event_data.fork.parent_tgid = 10;
	e.event_data.fork.child_pid = 21;
	e.event_data.fork.child_tgid = 20;
	return compose(&e);
}

START_TEST(events_of_interest_are_told)
{
	struct proc_event e = {.what = PROC_EVENT_EXEC};
	struct datagram d = compose_fork();
	struct process_event event;

	ck_assert_int_eq(proc_events_parse(d.bytes, d.len, &event), 1);
	ck_assert_int_eq(event.kind, PROCESS_FORKED);
	ck_assert_int_eq(event.pid, 20);
	ck_assert_int_eq(event.tid, 21);
	ck_assert_int_eq(event.parent_pid, 10);

	e.event_data.exec.process_pid = 31;
	e.event_data.exec.process_tgid = 30;
	d = compose(&e);
	ck_assert_int_eq(proc_events_parse(d.bytes, d.len, &event), 1);
	ck_assert_int_eq(event.kind, PROCESS_EXECED);
	ck_assert_int_eq(event.pid, 30);
	ck_assert_int_eq(event.tid, 31);
	e.what = PROC_EVENT_COMM;
	d = compose(&e);
	ck_assert_int_eq(proc_events_parse(d.bytes, d.len, &event), 1);
	ck_assert_int_eq(event.kind, PROCESS_RENAMED);
	e.what = PROC_EVENT_EXIT;
	d = compose(&e);
	ck_assert_int_eq(proc_events_parse(d.bytes, d.len, &event), 1);
	ck_assert_int_eq(event.kind, PROCESS_ENDED);
}
END_TEST

START_TEST(other_events_tell_nothing)
{
	static const uint32_t kinds[] = {PROC_EVENT_NONE,     PROC_EVENT_UID, PROC_EVENT_SID,
					 PROC_EVENT_COREDUMP, 0x400,	      UINT32_MAX};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct proc_event e = {0};
		struct process_event event;
		struct datagram d;

		memcpy(&e, &kinds[i], sizeof(kinds[i]));
		d = compose(&e);
		ck_assert_int_eq(proc_events_parse(d.bytes, d.len, &event), 0);
	}
}
END_TEST

START_TEST(cut_datagrams_are_refused)
{
	struct datagram d = compose_fork();
	size_t needed = HEADER_LEN + offsetof(struct proc_event, event_data) +
			sizeof(((struct proc_event *)0)->event_data.fork);

	for (size_t len = 0; len < d.len; len++) {
		struct process_event event;

		/* What the header promises is not there. */
		ck_assert_int_eq(proc_events_parse(d.bytes, len, &event), -EBADMSG);
	}
	for (size_t len = 0; len <= EVENT_LEN; len++) {
		struct cn_msg message;
		struct process_event event;
		int r;

		memcpy(&message, d.bytes + NLMSG_HDRLEN, sizeof(message));
		message.len = (uint16_t)len;
		memcpy(d.bytes + NLMSG_HDRLEN, &message, sizeof(message));
		r = proc_events_parse(d.bytes, d.len, &event);
		ck_assert_int_eq(r, HEADER_LEN + len >= needed ? 1 : -EBADMSG);
	}
}
END_TEST

START_TEST(nonsense_is_refused)
{
	struct datagram good = compose_fork(), d;
	struct process_event event;
	struct nlmsghdr header;
	struct cn_msg message;

	memcpy(&header, good.bytes, sizeof(header));
	memcpy(&message, good.bytes + NLMSG_HDRLEN, sizeof(message));
	d = good;
	header.nlmsg_type = NLMSG_ERROR;
	memcpy(d.bytes, &header, sizeof(header));
	ck_assert_int_eq(proc_events_parse(d.bytes, d.len, &event), -EBADMSG);
	d = good;
	header.nlmsg_type = NLMSG_DONE;
	header.nlmsg_len = UINT32_MAX;
	memcpy(d.bytes, &header, sizeof(header));
	ck_assert_int_eq(proc_events_parse(d.bytes, d.len, &event), -EBADMSG);
	d = good;
	message.id.idx++;
	memcpy(d.bytes + NLMSG_HDRLEN, &message, sizeof(message));
	ck_assert_int_eq(proc_events_parse(d.bytes, d.len, &event), -EBADMSG);
	d = good;
	message.id.idx--;
	message.len = UINT16_MAX;
	memcpy(d.bytes + NLMSG_HDRLEN, &message, sizeof(message));
	ck_assert_int_eq(proc_events_parse(d.bytes, d.len, &event), -EBADMSG);
	/* No process. */
	d = good;
	memset(d.bytes + HEADER_LEN + offsetof(struct proc_event, event_data), 0,
	       sizeof(((struct proc_event *)0)->event_data));
	ck_assert_int_eq(proc_events_parse(d.bytes, d.len, &event), -EBADMSG);
}
END_TEST

static int open_or_skip(void)
{
	int fd = proc_events_open();

	if (fd == -EOPNOTSUPP || fd == -EPERM) {
		printf("skipped: no process events: %s\n", strerror(-fd));
		return -1;
	}
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Read until an event of this kind about the process. */
static struct process_event wait_for(int fd, enum process_event_kind kind, pid_t pid)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct process_event event = {0};

	while (clock_monotonic_ns() < end_ns) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int r;

		poll(&p, 1, 100);
		r = proc_events_read(fd, &event);
		ck_assert(r >= 0 || r == -EAGAIN);
		if (r == 1 && event.kind == kind && (pid == 0 || event.pid == pid))
			return event;
	}
	ck_abort_msg("no event of kind %d", (int)kind);
	return event;
}

START_TEST(a_process_is_followed_from_fork_to_end)
{
	struct process_event event;
	int fd = open_or_skip();
	pid_t pid;

	if (fd < 0)
		return;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, "renamed");
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	event = wait_for(fd, PROCESS_FORKED, pid);
	ck_assert_int_eq(event.tid, pid);
	ck_assert_int_eq(event.parent_pid, getpid());
	wait_for(fd, PROCESS_RENAMED, pid);
	wait_for(fd, PROCESS_EXECED, pid);
	event = wait_for(fd, PROCESS_ENDED, pid);
	ck_assert_int_eq(event.tid, pid);
	waitpid(pid, NULL, 0);
	proc_events_close(fd);
}
END_TEST

START_TEST(losing_events_is_told)
{
	int fd = open_or_skip(), size = 1;

	if (fd < 0)
		return;
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	wait_for(fd, PROCESS_EVENTS_LOST, 0);
	proc_events_close(fd);
}
END_TEST

START_TEST(what_is_not_from_the_kernel_is_not_believed)
{
	struct sockaddr_nl us = {.nl_family = AF_NETLINK};
	struct datagram d = compose_fork();
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	socklen_t len = sizeof(us);
	int fd = open_or_skip(), forger, n_ignored = 0;
	pid_t pid;

	if (fd < 0)
		return;
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&us, &len), 0);
	us.nl_groups = 0;
	forger = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
	ck_assert_int_ge(forger, 0);
	ck_assert_int_eq(sendto(forger, d.bytes, d.len, 0, (struct sockaddr *)&us, sizeof(us)),
			 (ssize_t)d.len);
	pid = fork();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	for (;;) {
		struct process_event event;
		int r = proc_events_read(fd, &event);

		ck_assert(clock_monotonic_ns() < end_ns);
		n_ignored += r == 0;
		if (r != 1)
			continue;
		ck_assert(event.pid != 20);
		if (event.kind == PROCESS_ENDED && event.pid == pid)
			break;
	}
	ck_assert_int_ge(n_ignored, 1);
	close(forger);
	proc_events_close(fd);
}
END_TEST

START_TEST(namespaces_that_are_told_nothing_are_refused)
{
	int flags[] = {CLONE_NEWNET, CLONE_NEWUSER};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			int r;

			if (unshare(flags[i]) < 0)
				_exit(77);
			r = proc_events_open();
			_exit(r == -EOPNOTSUPP || r == -EPERM ? 0 : 1);
		}
		waitpid(pid, &status, 0);
		ck_assert(WIFEXITED(status));
		if (WEXITSTATUS(status) == 77)
			printf("skipped: no namespace of our own\n");
		else
			ck_assert_int_eq(WEXITSTATUS(status), 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proc_events");
	TCase *tc = tcase_create("proc_events");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, events_of_interest_are_told);
	tcase_add_test(tc, other_events_tell_nothing);
	tcase_add_test(tc, cut_datagrams_are_refused);
	tcase_add_test(tc, nonsense_is_refused);
	tcase_add_test(tc, a_process_is_followed_from_fork_to_end);
	tcase_add_test(tc, losing_events_is_told);
	tcase_add_test(tc, what_is_not_from_the_kernel_is_not_believed);
	tcase_add_test(tc, namespaces_that_are_told_nothing_are_refused);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What the service manager hears. */
#include "recorder/notify.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "tests/support/tree.h"

static char *top;
static char *path;
static int manager_fd; /* ours: the service manager's end */
static char heard[4096];

static void setup(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	top = tree_new();
	path = xasprintf("%s/notify", top);
	ck_assert_uint_lt(strlen(path), sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(manager_fd, 0);
	ck_assert_int_eq(bind(manager_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
}

static void teardown(void)
{
	close(manager_fd);
	tree_free(top);
	free(path);
}

/* The message that has come: sending is done when it returns. */
static void assert_heard(const char *expected)
{
	ssize_t n = recv(manager_fd, heard, sizeof(heard) - 1, 0);

	ck_assert_int_ge(n, 0);
	heard[n] = '\0';
	ck_assert_str_eq(heard, expected);
	ck_assert_int_lt(recv(manager_fd, heard, sizeof(heard), 0), 0);
}

START_TEST(states_are_told)
{
	ck_assert_int_eq(notify_ready(), 1);
	assert_heard("READY=1");
	ck_assert_int_eq(notify_watchdog(), 1);
	assert_heard("WATCHDOG=1");
	ck_assert_int_eq(notify_stopping(), 1);
	assert_heard("STOPPING=1");
}
END_TEST

START_TEST(a_reload_has_its_time)
{
	uint64_t before_us = clock_monotonic_ns() / NS_PER_US, us = 0;
	ssize_t n;

	ck_assert_int_eq(notify_reloading(), 1);
	n = recv(manager_fd, heard, sizeof(heard) - 1, 0);
	ck_assert_int_gt(n, 0);
	heard[n] = '\0';
	ck_assert_int_eq(sscanf(heard, "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &us), 1);
	ck_assert_uint_ge(us, before_us);
	ck_assert_uint_le(us, clock_monotonic_ns() / NS_PER_US);
}
END_TEST

START_TEST(a_status_is_one_line)
{
	ck_assert_int_eq(notify_status("%d targets, one is %s", 3, "server-main"), 1);
	assert_heard("STATUS=3 targets, one is server-main");
	ck_assert_int_eq(notify_status("%s", "a\nMAINPID=1\nb\xff\x1b"), 1);
	assert_heard("STATUS=a?MAINPID=1?b??");
}
END_TEST

START_TEST(a_long_status_is_cut)
{
	char text[3000];
	ssize_t n;

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(notify_status("%s", text), 1);
	n = recv(manager_fd, heard, sizeof(heard), 0);
	ck_assert_int_gt(n, 100);
	ck_assert_int_lt(n, 600);
}
END_TEST

START_TEST(without_a_service_manager_nothing_happens)
{
	unsetenv("NOTIFY_SOCKET");
	ck_assert_int_eq(notify_ready(), 0);
	ck_assert_int_eq(notify_reloading(), 0);
	ck_assert_int_eq(notify_status("fine"), 0);
	ck_assert_int_eq(notify_watchdog(), 0);
	ck_assert_int_eq(notify_stopping(), 0);
	ck_assert_int_lt(recv(manager_fd, heard, sizeof(heard), 0), 0);
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	ck_assert_int_lt(notify_ready(), 0);
}
END_TEST

START_TEST(the_watchdog_interval_is_ours)
{
	auto_free char *ours = xasprintf("%d", (int)getpid());
	auto_free char *other = xasprintf("%d", (int)getppid());

	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	ck_assert_uint_eq(notify_watchdog_interval_ns(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	ck_assert_uint_eq(notify_watchdog_interval_ns(), 30 * NS_PER_S);
	setenv("WATCHDOG_PID", other, 1);
	ck_assert_uint_eq(notify_watchdog_interval_ns(), 0);
	setenv("WATCHDOG_PID", ours, 1);
	ck_assert_uint_eq(notify_watchdog_interval_ns(), 30 * NS_PER_S);
	setenv("WATCHDOG_USEC", "soon", 1);
	ck_assert_uint_eq(notify_watchdog_interval_ns(), 0);
}
END_TEST

/* In a process of its own, as the numbers of passed descriptors are fixed. */
static void pass_descriptors(const char *names, const char *pid)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	ck_assert_int_eq(dup2(fds[0], 10), 10);
	ck_assert_int_eq(dup2(fds[1], 11), 11);
	dup2(10, 3);
	dup2(11, 4);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

START_TEST(passed_descriptors_are_found_by_name)
{
	auto_free char *ours = xasprintf("%d", (int)getpid());
	int fd;

	pass_descriptors("other:" NOTIFY_PROCESS_EVENTS, ours);
	fd = notify_take_descriptor(NOTIFY_PROCESS_EVENTS);
	ck_assert_int_eq(fd, 4);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(notify_take_descriptor("unknown"), -ENOENT);
}
END_TEST

START_TEST(descriptors_for_others_are_not_ours)
{
	auto_free char *other = xasprintf("%d", (int)getppid());

	pass_descriptors(NOTIFY_PROCESS_EVENTS ":other", other);
	ck_assert_int_eq(notify_take_descriptor(NOTIFY_PROCESS_EVENTS), -ENOENT);
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	ck_assert_int_eq(notify_take_descriptor(NOTIFY_PROCESS_EVENTS), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify");
	TCase *tc = tcase_create("notify");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, states_are_told);
	tcase_add_test(tc, a_reload_has_its_time);
	tcase_add_test(tc, a_status_is_one_line);
	tcase_add_test(tc, a_long_status_is_cut);
	tcase_add_test(tc, without_a_service_manager_nothing_happens);
	tcase_add_test(tc, the_watchdog_interval_is_ours);
	tcase_add_test(tc, passed_descriptors_are_found_by_name);
	tcase_add_test(tc, descriptors_for_others_are_not_ours);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

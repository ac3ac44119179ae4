/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers are this program: see tests/support/fake_worker.h. */
#include "recorder/worker_process.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/handover.h"
#include "tests/support/fake_worker.h"

#define PATIENCE_MS 20000
#define PATIENCE_NS (PATIENCE_MS * NS_PER_MS)
#define NOBODY	    ((uid_t)-1)

static void setup(void)
{
	/* As the collector does. */
	signal(SIGCHLD, SIG_IGN);
}

static struct worker_process start(const char *name)
{
	struct worker_process w = WORKER_PROCESS_NONE;
	int r = worker_process_start(name, NOBODY, &w);

	ck_assert_msg(r == 0, "%s", strerror(-r));
	ck_assert_int_gt(w.pid, 0);
	return w;
}

static void wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
}

static bool has_ended(const struct worker_process *w)
{
	struct pollfd p = {.fd = w->pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* What is said next; its end is said, too. */
static int next_message(const struct worker_process *w, struct message *ret)
{
	wait_readable(w->sock);
	return message_receive(w->sock, ret);
}

START_TEST(a_worker_begins_with_nothing_of_ours)
{
	struct worker_process w;
	struct message m;
	sigset_t set;

	/* Those of Check are not, and come with it. */
	for (int fd = STDERR_FILENO + 1; fd < 256; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	w = start("reports");
	ck_assert_int_eq(next_message(&w, &m), 0);
	ck_assert_str_eq(m.text, "input /dev/null, descriptors 0, group own, signal default and "
				 "open");
	wait_readable(w.pidfd);
	worker_process_done(&w);
}
END_TEST

START_TEST(its_name_is_shown_in_lists_of_processes)
{
	struct worker_process w = start("mute-server-main");
	auto_free char *path = xasprintf("/proc/%d/cmdline", (int)w.pid);
	static const char expected[] = "trackexec-collector\0" WORKER_OPTION "\0mute-server-main";
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	char text[256];
	ssize_t n;

	/* Empty for a moment: we go on as soon as it has left our memory. */
	do {
		auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

		ck_assert_int_ge(fd, 0);
		n = read(fd, text, sizeof(text));
	} while (n == 0 && clock_monotonic_ns() < end_ns);
	ck_assert_int_eq(n, (ssize_t)sizeof(expected));
	ck_assert_mem_eq(text, expected, sizeof(expected));
	worker_process_done(&w);
}
END_TEST

START_TEST(listening_to_it_does_not_block)
{
	struct worker_process w = start("mute");
	struct message m;

	ck_assert_int_eq(message_receive(w.sock, &m), -EAGAIN);
	ck_assert(!has_ended(&w));
	worker_process_done(&w);
}
END_TEST

START_TEST(one_that_dies_at_once_is_noticed)
{
	struct worker_process w = start("dies");
	struct message m;

	ck_assert_int_eq(next_message(&w, &m), -EPIPE);
	wait_readable(w.pidfd);
	message_init(&m, MSG_STOP);
	ck_assert_int_eq(message_send(w.sock, &m), -EPIPE);
	/* Of one that is gone nothing is killed. */
	worker_process_kill(&w);
	worker_process_done(&w);
}
END_TEST

START_TEST(garbage_is_no_message)
{
	struct worker_process w = start("garbage");
	struct message m;

	message_init(&m, MSG_TARGET);
	ck_assert_int_eq(message_send(w.sock, &m), 0);
	ck_assert_int_eq(next_message(&w, &m), -EBADMSG);
	ck_assert(!has_ended(&w));
	worker_process_done(&w);
}
END_TEST

START_TEST(what_is_said_last_can_be_read_after_its_end)
{
	struct worker_process w = start("mute");
	struct message m;

	message_init(&m, MSG_STOP);
	ck_assert_int_eq(message_send(w.sock, &m), 0);
	wait_readable(w.pidfd);
	ck_assert_int_eq(message_receive(w.sock, &m), 0);
	ck_assert_uint_eq(m.type, MSG_DONE);
	ck_assert_int_eq(message_receive(w.sock, &m), -EPIPE);
	worker_process_done(&w);
}
END_TEST

START_TEST(it_ends_when_we_let_go)
{
	struct worker_process w = start("stubborn");
	auto_close int pidfd = fcntl(w.pidfd, F_DUPFD_CLOEXEC, 0);

	worker_process_done(&w);
	ck_assert_int_eq(w.pid, 0);
	ck_assert_int_eq(w.sock, -1);
	ck_assert_int_eq(w.pidfd, -1);
	wait_readable(pidfd);
	worker_process_done(&w);
}
END_TEST

START_TEST(it_can_be_killed)
{
	struct worker_process w = start("stubborn");

	ck_assert(!has_ended(&w));
	worker_process_kill(&w);
	wait_readable(w.pidfd);
	worker_process_done(&w);
}
END_TEST

START_TEST(none_is_nobody_to_be_killed)
{
	struct worker_process none = WORKER_PROCESS_NONE;

	worker_process_kill(&none);
	worker_process_done(&none);
	ck_assert_int_eq(none.sock, -1);
}
END_TEST

START_TEST(without_descriptors_there_is_no_worker)
{
	struct worker_process w = WORKER_PROCESS_NONE;
	int first = open("/dev/null", O_RDONLY | O_CLOEXEC), last = first, fd;

	while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		last = fd;
	ck_assert_int_eq(worker_process_start("mute", NOBODY, &w), -EMFILE);
	/* Enough for its sockets, not for watching it. */
	close(last);
	close(last - 1);
	ck_assert_int_eq(worker_process_start("mute", NOBODY, &w), -EMFILE);
	ck_assert_int_eq(w.pid, 0);
	/* None of the two was lost. */
	ck_assert_int_ge(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	ck_assert_int_ge(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	for (fd = first; fd <= last; fd++)
		close(fd);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tc;
	SRunner *runner;
	int failed = fake_worker_main(argc, argv);

	if (failed >= 0)
		return failed;
	suite = suite_create("worker_process");
	tc = tcase_create("worker_process");
	runner = srunner_create(suite);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_worker_begins_with_nothing_of_ours);
	tcase_add_test(tc, its_name_is_shown_in_lists_of_processes);
	tcase_add_test(tc, listening_to_it_does_not_block);
	tcase_add_test(tc, one_that_dies_at_once_is_noticed);
	tcase_add_test(tc, garbage_is_no_message);
	tcase_add_test(tc, what_is_said_last_can_be_read_after_its_end);
	tcase_add_test(tc, it_ends_when_we_let_go);
	tcase_add_test(tc, it_can_be_killed);
	tcase_add_test(tc, none_is_nobody_to_be_killed);
	tcase_add_test(tc, without_descriptors_there_is_no_worker);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

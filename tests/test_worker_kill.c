/* SPDX-License-Identifier: BSD-3-Clause */
/* Ending a process of another user without CAP_KILL. */
#include "recorder/worker_kill.h"

#include <check.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recorder/privileges.h"

#define WORKER	 54321
#define STRANGER 54322

static bool is_root(const char *test)
{
	if (geteuid() == 0 && privileges_have(CAP_SETUID))
		return true;
	fprintf(stderr, "%s: skipped, needs root\n", test);
	return false;
}

/* A process of that user, which sleeps; returns its pidfd. */
static int start_worker(uid_t uid, pid_t *ret_pid)
{
	int fds[2], pidfd;
	char byte;

	ck_assert_int_eq(pipe(fds), 0);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		if (setresuid(uid, uid, uid) < 0 || write(fds[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	pidfd = (int)syscall(SYS_pidfd_open, *ret_pid, 0);
	ck_assert_int_ge(pidfd, 0);
	return pidfd;
}

/* All but what is needed to become another user, as in the unit. */
static void drop_cap_kill(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
	data[0].permitted &= ~CAP_TO_MASK(CAP_KILL);
	data[0].effective &= ~CAP_TO_MASK(CAP_KILL);
	ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
	ck_assert(!privileges_have(CAP_KILL));
}

static void assert_killed(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}

START_TEST(a_worker_of_another_user_is_ended)
{
	pid_t pid;
	int pidfd;

	if (!is_root("a_worker_of_another_user_is_ended"))
		return;
	pidfd = start_worker(WORKER, &pid);
	drop_cap_kill();
	ck_assert_int_eq(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(worker_kill(pidfd, WORKER, SIGKILL), 0);
	assert_killed(pid);
	ck_assert_int_eq(worker_kill(pidfd, WORKER, SIGKILL), -ESRCH);
	ck_assert_int_eq(geteuid(), 0);
	ck_assert(privileges_have(CAP_SETUID));
	close(pidfd);
}
END_TEST

START_TEST(others_are_not_ended)
{
	pid_t pid;
	int pidfd;

	if (!is_root("others_are_not_ended"))
		return;
	pidfd = start_worker(STRANGER, &pid);
	drop_cap_kill();
	ck_assert_int_eq(worker_kill(pidfd, WORKER, SIGKILL), -EPERM);
	ck_assert_int_eq(geteuid(), 0);
	ck_assert(privileges_have(CAP_SETUID));
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	ck_assert_int_eq(worker_kill(pidfd, STRANGER, SIGKILL), 0);
	assert_killed(pid);
	close(pidfd);
}
END_TEST

START_TEST(an_own_one_is_ended_as_we_are)
{
	pid_t pid;
	int pidfd = start_worker(geteuid(), &pid);

	ck_assert_int_eq(worker_kill(pidfd, geteuid(), SIGKILL), 0);
	assert_killed(pid);
	close(pidfd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker_kill");
	TCase *tc = tcase_create("worker_kill");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, a_worker_of_another_user_is_ended);
	tcase_add_test(tc, others_are_not_ended);
	tcase_add_test(tc, an_own_one_is_ended_as_we_are);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/target/identity.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start_child(const char *comm)
{
	int ready[2];
	char c;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, comm);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

START_TEST(a_name_with_parentheses_does_not_shift_fields)
{
	static const char text[] =
	    "4242 (a) R 1 (b c) S 1 4242 4242 0 -1 4194560 9 0 0 0 1 2 3 4 20 0 7 0 123456 99";
	struct process_stat stat;

	ck_assert_int_eq(process_stat_parse(text, strlen(text), &stat), 0);
	ck_assert_int_eq(stat.pid, 4242);
	ck_assert_str_eq(stat.comm, "a) R 1 (b c");
	ck_assert_int_eq(stat.state, 'S');
	ck_assert_uint_eq(stat.start_ticks, 123456);
	ck_assert(!process_is_kernel_thread(&stat) && !process_is_exiting(&stat));
}
END_TEST

START_TEST(kernel_threads_and_zombies_are_told)
{
	static const char thread[] =
	    "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 7 0";
	static const char zombie[] = "9 (x) Z 1 9 9 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 7 0";
	struct process_stat stat;

	ck_assert_int_eq(process_stat_parse(thread, strlen(thread), &stat), 0);
	ck_assert(process_is_kernel_thread(&stat));
	ck_assert_int_eq(process_stat_parse(zombie, strlen(zombie), &stat), 0);
	ck_assert(process_is_exiting(&stat));
}
END_TEST

START_TEST(nonsense_is_refused)
{
	static const char *const texts[] = {
	    "", "4242", "4242 (a", "4242 a) S 1 2 3", ") (", "4242 (a) S 1 2 3", "x (a) S 1 2",
	};
	struct process_stat stat;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_int_eq(process_stat_parse(texts[i], strlen(texts[i]), &stat), -EINVAL);
}
END_TEST

START_TEST(a_live_process_is_held)
{
	pid_t pid = start_child("x) (y z");
	struct process_stat stat;
	struct identity id;

	ck_assert_int_eq(identity_open(pid, &id), 0);
	ck_assert_int_eq(identity_read_stat(&id, &stat), 0);
	ck_assert_int_eq(stat.pid, pid);
	ck_assert_str_eq(stat.comm, "x) (y z");
	ck_assert_uint_eq(stat.start_ticks, id.start_ticks);
	ck_assert(!identity_has_ended(&id));
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT);
	ck_assert(identity_has_ended(&id));
	ck_assert_int_eq(identity_read_stat(&id, &stat), 0);
	ck_assert(process_is_exiting(&stat));
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(identity_read_stat(&id, &stat), -ESRCH);
	identity_close(&id);
}
END_TEST

START_TEST(a_process_that_has_the_same_id_now_is_another_one)
{
	pid_t pid = start_child("child");
	struct process_stat stat;
	struct identity id;

	ck_assert_int_eq(identity_open(pid, &id), 0);
	id.start_ticks--;
	ck_assert_int_eq(identity_read_stat(&id, &stat), -ESRCH);
	identity_close(&id);
	end_child(pid);
}
END_TEST

START_TEST(no_process_is_told)
{
	pid_t pid = start_child("child");
	struct identity id;

	end_child(pid);
	ck_assert_int_eq(identity_open(pid, &id), -ESRCH);
	ck_assert_int_eq(identity_open(0, &id), -ESRCH);
	ck_assert_int_eq(identity_open(-1, &id), -ESRCH);
}
END_TEST

START_TEST(credentials_are_those_for_files)
{
	static const char text[] = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"
				   "FDSize:\t64\nGroups:\t10 20 30 \nNStgid:\t1\n";
	struct credentials c;

	ck_assert_int_eq(credentials_parse(text, &c), 0);
	ck_assert_uint_eq(c.euid, 2);
	ck_assert_uint_eq(c.fsuid, 4);
	ck_assert_uint_eq(c.fsgid, 8);
	ck_assert_uint_eq(c.n_groups, 3);
	ck_assert_uint_eq(c.groups[2], 30);
	ck_assert_int_eq(credentials_parse("Name:\tx\n", &c), -EINVAL);
	ck_assert_int_eq(credentials_parse("\nUid:\t1\t2\n", &c), -EINVAL);
}
END_TEST

START_TEST(command_and_executable_are_read)
{
	char command[512], executable[PATH_MAX];
	struct identity id;

	ck_assert_int_eq(identity_open(getpid(), &id), 0);
	ck_assert_int_eq(identity_read_command(&id, command, sizeof(command)), 0);
	ck_assert_ptr_nonnull(strstr(command, "test_identity"));
	identity_read_executable(&id, executable);
	ck_assert_ptr_nonnull(strstr(executable, "test_identity"));
	identity_close(&id);
}
END_TEST

START_TEST(base_names_are_file_names)
{
	static const struct {
		const char *command, *name;
	} cases[] = {
	    {"/usr/bin/python3 app.py", "python3"},
	    {"server-main", "server-main"},
	    {"-bash", "bash"},
	    {"-", "-"},
	    {"/", "_"},
	    {"", "process"},
	    {"..", "process"},
	    {"/a/..", "process"},
	    {"a\nb c", "a_b"},
	    {"/opt/x/", "x_"},
	    {"[kworker]", "[kworker]"},
	    {"longer-than-the-buffer", "longer-than-the"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char name[16];

		identity_base_name(cases[i].command, name, sizeof(name));
		ck_assert_str_eq(name, cases[i].name);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("identity");
	TCase *tc = tcase_create("identity");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, a_name_with_parentheses_does_not_shift_fields);
	tcase_add_test(tc, kernel_threads_and_zombies_are_told);
	tcase_add_test(tc, nonsense_is_refused);
	tcase_add_test(tc, a_live_process_is_held);
	tcase_add_test(tc, a_process_that_has_the_same_id_now_is_another_one);
	tcase_add_test(tc, no_process_is_told);
	tcase_add_test(tc, credentials_are_those_for_files);
	tcase_add_test(tc, command_and_executable_are_read);
	tcase_add_test(tc, base_names_are_file_names);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

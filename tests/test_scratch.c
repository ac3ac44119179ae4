/* SPDX-License-Identifier: BSD-3-Clause */
/* That tests which fail leave nothing behind: seen from outside, at the end of another program. */
#include "tests/support/scratch.h"

#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

/* What this program does instead when it is called with such a word. */
#define FAIL  "--fail"
#define CRASH "--crash"

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* As Check does with a test: in a child, which is given up where it failed. */
static int be_a_failing_test(bool crashes)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		auto_free char *folder = scratch_new("/tmp");
		auto_free char *sub = xasprintf("%s/sub", folder);
		auto_free char *file = xasprintf("%s/file", sub);
		auto_fclose FILE *f = NULL;

		if (mkdir(sub, 0755) == 0)
			f = fopen(file, "we");
		if (!f || !exists(file))
			_exit(2);
		dprintf(STDOUT_FILENO, "%s\n", folder);
		if (crashes)
			raise(SIGKILL);
		_exit(1);
	}
	return waitpid(pid, &status, 0) == pid && status != 0 ? 0 : 1;
}

static void assert_nothing_left(const char *word)
{
	char program[4096], path[4096];
	auto_free char *command = NULL;
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	FILE *f;

	ck_assert_int_gt(n, 0);
	program[n] = '\0';
	command = xasprintf("'%s' %s", program, word);
	f = popen(command, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(path, sizeof(path), f));
	ck_assert_int_eq(pclose(f), 0);
	path[strcspn(path, "\n")] = '\0';
	ck_assert_ptr_nonnull(strstr(path, "/trackexec-test-"));
	ck_assert_msg(!exists(path), "%s is left", path);
}

START_TEST(a_test_that_fails_leaves_nothing)
{
	assert_nothing_left(FAIL);
}
END_TEST

START_TEST(a_test_that_is_killed_leaves_nothing)
{
	assert_nothing_left(CRASH);
}
END_TEST

START_TEST(folders_of_others_stay)
{
	auto_free char *one = scratch_new("/tmp");
	auto_free char *other = scratch_new("/tmp");

	assert_nothing_left(FAIL);
	ck_assert(exists(one) && exists(other));
	scratch_remove(one);
	ck_assert(!exists(one) && exists(other));
	scratch_remove(other);
}
END_TEST

START_TEST(what_a_link_leads_to_stays)
{
	auto_free char *kept = scratch_new("/tmp");
	auto_free char *file = xasprintf("%s/file", kept);
	auto_free char *removed = scratch_new("/tmp");
	auto_free char *link = xasprintf("%s/link", removed);
	FILE *f = fopen(file, "we");

	ck_assert_ptr_nonnull(f);
	fclose(f);
	ck_assert_int_eq(symlink(kept, link), 0);
	scratch_remove(removed);
	ck_assert(!exists(removed));
	ck_assert(exists(file));
	scratch_remove(kept);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tc;
	SRunner *runner;
	int failed;

	if (argc > 1)
		return be_a_failing_test(strcmp(argv[1], CRASH) == 0);
	suite = suite_create("scratch");
	tc = tcase_create("scratch");
	runner = srunner_create(suite);
	tcase_add_test(tc, a_test_that_fails_leaves_nothing);
	tcase_add_test(tc, a_test_that_is_killed_leaves_nothing);
	tcase_add_test(tc, folders_of_others_stay);
	tcase_add_test(tc, what_a_link_leads_to_stays);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

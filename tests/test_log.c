/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages on a terminal or in a file, and in the journal. */
#include "common/log.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

static int read_fd; /* what goes to standard error comes out here */
static int old_stderr;

static void setup(void)
{
	int fds[2];

	/* As the journal's: a stream socket. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	old_stderr = dup(STDERR_FILENO);
	read_fd = fds[0];
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	unsetenv("JOURNAL_STREAM");
}

static void teardown(void)
{
	dup2(old_stderr, STDERR_FILENO);
	close(old_stderr);
	close(read_fd);
}

static void set_stream(int64_t device_more, const char *behind)
{
	auto_free char *stream = NULL;
	struct stat st;

	ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
	stream = xasprintf("%" PRIu64 ":%" PRIu64 "%s", (uint64_t)st.st_dev + (uint64_t)device_more,
			   (uint64_t)st.st_ino, behind);
	setenv("JOURNAL_STREAM", stream, 1);
}

static void log_all(void)
{
	log_error("cannot %s", "go");
	log_warning("slow");
	log_info("fine");
	log_debug("details");
}

static void assert_logged(const char *expected)
{
	char text[1024];
	ssize_t n = recv(read_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	ck_assert_str_eq(text, expected);
}

START_TEST(people_are_told_who_speaks)
{
	log_set_program("tester");
	log_set_verbosity(1);
	ck_assert(!log_use_journal());
	log_all();
	assert_logged("tester: cannot go\ntester: warning: slow\ntester: fine\ntester: details\n");
}
END_TEST

START_TEST(the_journal_is_told_how_grave_it_is)
{
	log_set_program("tester");
	log_set_verbosity(1);
	set_stream(0, "");
	ck_assert(log_use_journal());
	log_all();
	assert_logged("<3>cannot go\n<4>slow\n<6>fine\n<7>details\n");
}
END_TEST

START_TEST(less_is_said_on_request)
{
	log_set_verbosity(0);
	log_all();
	assert_logged("trackexec: cannot go\ntrackexec: warning: slow\ntrackexec: fine\n");
	log_set_verbosity(-1);
	log_all();
	assert_logged("trackexec: cannot go\n");
}
END_TEST

/* The variable is inherited by programs whose standard error goes elsewhere. */
START_TEST(another_stream_is_not_the_journal)
{
	set_stream(1, "");
	ck_assert(!log_use_journal());
	set_stream(0, "0");
	ck_assert(!log_use_journal());
	log_error("cannot go");
	assert_logged("trackexec: cannot go\n");
}
END_TEST

START_TEST(nonsense_is_not_the_journal)
{
	static const char *const values[] = {"", ":", "8", "8:", "x:y", "-1:-1"};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		setenv("JOURNAL_STREAM", values[i], 1);
		ck_assert_msg(!log_use_journal(), "%s", values[i]);
	}
	set_stream(0, " ");
	ck_assert(!log_use_journal());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("log");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, people_are_told_who_speaks);
	tcase_add_test(tc, the_journal_is_told_how_grave_it_is);
	tcase_add_test(tc, less_is_said_on_request);
	tcase_add_test(tc, another_stream_is_not_the_journal);
	tcase_add_test(tc, nonsense_is_not_the_journal);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

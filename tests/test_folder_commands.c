/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec list and trackexec prune: folders in, exact text out. */
#include "cli/command.h"

#include <check.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/trace_folder.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/folder_make.h"
#include "tests/support/read_back.h"
#include "tests/support/trace_records.h"
#include "tests/support/tree.h"

#define NOTE	 "pid 4711\nstart_ticks 1\nboot_id 0fb2f0d7-7c2b-4a4e-9c27-1f6a41c7b1a5\n"
#define RUN	 "251123-000000"
#define DAY	 86400
#define MAX_ARGS 8

static char *root;

/* A folder of a trace, without a trace. */
static char *add_folder(const char *run, const char *name)
{
	auto_free char *note = xasprintf("%s/run", run);
	auto_free char *folder = xasprintf("%s/%s", run, name);
	auto_free char *target = xasprintf("%s/target", folder);

	tree_write(root, note, NOTE);
	tree_write(root, target, NOTE);
	return xasprintf("%s/%s", root, folder);
}

static struct trace_writer *begin_trace(const char *run, const char *name)
{
	auto_free char *folder = add_folder(run, name);
	struct trace_writer *w = test_writer_new(folder);

	put_thread(w, 1, TEST_START_NS);
	put_code(w, 1, "/app/a.py", "main");
	put_stack(w, 1, TEST_START_NS, 0, FRAMES({1, 2}), 1);
	put_stack(w, 1, TEST_START_NS + UINT64_C(1000000000), 0, FRAMES({1, 3}), 1);
	ck_assert_int_eq(trace_writer_tick(w, TEST_START_NS + UINT64_C(3000000000)), 0);
	return w;
}

static void add_trace(const char *run, const char *name)
{
	ck_assert_int_eq(trace_writer_close(begin_trace(run, name),
					    TEST_START_NS + UINT64_C(5000000000), "target exited"),
			 0);
}

/* All files of RUN/NAME as if last written that long ago. */
static void age(const char *run, const char *name, int64_t days)
{
	auto_free char *run_note = xasprintf("%s/run", run);
	auto_free char *note = xasprintf("%s/%s/target", run, name);
	auto_free char *db = xasprintf("%s/%s/trace.db", run, name);
	int64_t then_s = time(NULL) - days * DAY;

	tree_touch(root, run_note, then_s);
	tree_touch(root, note, then_s);
	tree_touch(root, db, then_s);
}

static int lock_trace(const char *path)
{
	auto_close int fd = tree_open(root, path);
	int lock_fd = folder_note_lock(fd, TARGET_NOTE_NAME, NOTE_EXCLUSIVE);

	ck_assert_int_ge(lock_fd, 0);
	return lock_fd;
}

static void setup(void)
{
	root = tree_new();
	setenv("TZ", "UTC", 1);
}

static void teardown(void)
{
	tree_free(root);
}

/* Run with `--root=DIR` and these options (ends with NULL); output and errors in one text. */
static char *run_at(const struct command *cmd, int expected_status, const char *dir,
		    const char *const *options)
{
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), argc = 0, status;
	char *argv[MAX_ARGS + 3];
	FILE *f = tmpfile();
	char *text;

	argv[argc++] = xstrdup(cmd->name);
	argv[argc++] = xasprintf("--root=%s", dir);
	for (; *options && argc < MAX_ARGS; options++)
		argv[argc++] = xstrdup(*options);
	argv[argc] = NULL;
	ck_assert_ptr_nonnull(f);
	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	dup2(fileno(f), STDERR_FILENO);
	/* getopt() is to start anew. */
	optind = 0;
	status = cmd->run(argc, argv);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	text = read_back(f);
	ck_assert_msg(status == expected_status, "status %d:\n%s", status, text);
	return text;
}

/* With up to two options. */
static char *run2(const struct command *cmd, int expected_status, const char *first,
		  const char *second)
{
	const char *const options[] = {first, first ? second : NULL, NULL};

	return run_at(cmd, expected_status, root, options);
}

static void assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "'%s' is not in:\n%s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
	ck_assert_msg(!strstr(text, part), "'%s' is in:\n%s", part, text);
}

/* --- list --- */

START_TEST(traces_are_listed_with_their_states)
{
	struct trace_writer *live, *killed;
	auto_free char *text = NULL;
	int lock_fd;

	add_trace(RUN, "ended");
	live = begin_trace(RUN, "live");
	lock_fd = lock_trace(RUN "/live");
	killed = begin_trace(RUN, "victim");
	free(add_folder(RUN, "none"));
	free(add_folder(RUN, "broken"));
	tree_write(root, RUN "/broken/trace.db", "this is no database, whatever it says it is\n");
	text = run2(&cmd_list, EXIT_OK, NULL, NULL);
	assert_has(text, "RUN            NAME        PID  PYTHON  START                   DURATION "
			 "      SIZE  STATE\n");
	assert_has(text, RUN "  ended        42  3.11.2  2025-11-23 01:00:00       5.00 s");
	assert_has(text, "  ended: target exited\n");
	assert_has(text, RUN "  live         42  3.11.2  2025-11-23 01:00:00");
	assert_has(text, "  recording\n");
	assert_has(text, "  killed: ended without a word\n");
	assert_has(text, RUN "  broken     4711  -       -                              -");
	assert_has(text, "  damaged: not a trace: not an SQLite database\n");
	assert_has(text, "  empty: nothing was recorded\n");
	trace_writer_close(live, TEST_START_NS, "stopped");
	trace_writer_close(killed, TEST_START_NS, "stopped");
	close(lock_fd);
}
END_TEST

/* Nothing of it can be read, so it is not said to be recorded; nor to be empty for good. */
START_TEST(a_trace_that_is_just_beginning_is_told_as_such)
{
	auto_free char *without = NULL;
	auto_free char *blank = NULL;
	auto_free char *json = NULL;
	int lock_fd;

	free(add_folder(RUN, "main"));
	lock_fd = lock_trace(RUN "/main");
	without = run2(&cmd_list, EXIT_OK, NULL, NULL);
	assert_has(without, "  starting: nothing is recorded yet\n");
	assert_lacks(without, "recording");
	json = run2(&cmd_list, EXIT_OK, "--json", NULL);
	assert_has(json, "\"state\": \"starting\",");
	tree_write(root, RUN "/main/trace.db", "");
	blank = run2(&cmd_list, EXIT_OK, NULL, NULL);
	assert_has(blank, "  starting: nothing is recorded yet\n");
	close(lock_fd);
}
END_TEST

START_TEST(a_newer_trace_is_told)
{
	auto_free char *path = xasprintf("%s/" RUN "/main/trace.db", root);
	auto_free char *text = NULL;
	int fd;

	add_trace(RUN, "main");
	/* Bytes 60 to 63 of an SQLite file are its user_version. */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, "\0\0\0\x63", 4, 60), 4);
	close(fd);
	text = run2(&cmd_list, EXIT_OK, NULL, NULL);
	assert_has(text, "  newer: written by a newer trackexec (format 99");
}
END_TEST

START_TEST(list_says_all_for_programs)
{
	static const char *const members[] = {
	    "\"latest\": \"251123-000000\",",
	    "\"traces\": [",
	    "\"run\": \"251123-000000\",",
	    "\"name\": \"main\",",
	    "\"state\": \"ended\",",
	    "\"detail\": \"target exited\",",
	    "\"pid\": 42,",
	    "\"python\": \"3.11.2\",",
	    "\"start_unix_s\": 1763856000.000000,",
	    "\"duration_s\": 5.000000,",
	    "\"state\": \"empty\",",
	    "\"python\": null,",
	};
	auto_free char *text = NULL;

	add_trace(RUN, "main");
	free(add_folder("251124-000000", "none"));
	tree_link(root, "latest", RUN);
	text = run2(&cmd_list, EXIT_OK, "--json", NULL);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		assert_has(text, members[i]);
	ck_assert_int_eq(text[0], '{');
	ck_assert_str_eq(text + strlen(text) - 12, "    }\n  ]\n}\n");
}
END_TEST

START_TEST(nothing_to_list_is_an_empty_list)
{
	auto_free char *text = run2(&cmd_list, EXIT_OK, NULL, NULL);
	auto_free char *json = run2(&cmd_list, EXIT_OK, "--json", NULL);

	assert_has(text, "no traces in ");
	assert_has(json, "\"traces\": []\n}\n");
}
END_TEST

START_TEST(a_missing_root_says_how_to_record)
{
	auto_free char *missing = xasprintf("%s/missing", root);
	auto_free char *text =
	    run_at(&cmd_list, EXIT_NO_TRACE, missing, (const char *const[]){NULL});

	assert_has(text, "/missing does not exist");
	assert_has(text, "start trackexec-collector, and `mkdir -p ");
}
END_TEST

START_TEST(planted_links_are_not_listed)
{
	auto_free char *text = NULL;

	add_trace(RUN, "main");
	free(add_folder(RUN, "linked"));
	tree_link(root, RUN "/linked/trace.db", "../main/trace.db");
	tree_link(root, RUN "/twin", "main");
	tree_link(root, "251124-000000", RUN);
	tree_write(root, RUN "/folder/notes.txt", "");
	text = run2(&cmd_list, EXIT_OK, NULL, NULL);
	assert_has(text, "damaged: trace.db is not a file");
	assert_lacks(text, "twin");
	assert_lacks(text, "251124");
	assert_lacks(text, "folder");
}
END_TEST

/* As a user who is not in the group. */
START_TEST(who_may_not_read_is_told)
{
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		fputs("who_may_not_read_is_told: skipped, needs root\n", stderr);
		return;
	}
	add_trace(RUN, "main");
	pid = fork();
	if (pid == 0) {
		auto_free char *text = NULL;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(9);
		text = run2(&cmd_list, EXIT_NOT_ALLOWED, NULL, NULL);
		_exit(strstr(text, "cannot read 1 run in ") && strstr(text, "(adm)") ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* --- prune --- */

static void three_runs(void)
{
	add_trace("251101-000000", "main");
	age("251101-000000", "main", 30);
	add_trace("251102-000000", "main");
	age("251102-000000", "main", 20);
	add_trace("251103-000000", "main");
	add_trace("251103-000000", "db");
	age("251103-000000", "db", 15);
}

START_TEST(prune_deletes_what_is_too_old_and_says_so)
{
	auto_free char *text = NULL;
	int lock_fd;

	three_runs();
	tree_link(root, "latest", "251101-000000");
	lock_fd = lock_trace("251103-000000/main");
	text = run2(&cmd_prune, EXIT_OK, "--max-age", "10d");
	assert_has(text, "deleted 251101-000000  ");
	assert_has(text, "deleted 251102-000000  ");
	assert_has(text, "deleted 251103-000000/db  ");
	assert_has(text, ": too old\n");
	assert_has(text, "deleted 2 runs and 1 trace of runs that go on, ");
	ck_assert(!tree_has(root, "251101-000000") && !tree_has(root, "251102-000000") &&
		  !tree_has(root, "251103-000000/db") &&
		  tree_has(root, "251103-000000/main/trace.db"));
	ck_assert_str_eq(tree_readlink(root, "latest"), "251103-000000");
	close(lock_fd);
}
END_TEST

START_TEST(a_dry_run_deletes_nothing)
{
	auto_free char *text = NULL;

	three_runs();
	text = run2(&cmd_prune, EXIT_OK, "--max-age=25d", "--dry-run");
	assert_has(text, "would delete 251101-000000  ");
	assert_has(text, "would delete 1 run, ");
	ck_assert(tree_has(root, "251101-000000/main/trace.db"));
}
END_TEST

START_TEST(prune_obeys_sizes)
{
	auto_free char *text = NULL, *again = NULL;

	three_runs();
	text = run2(&cmd_prune, EXIT_OK, "--max-use=1K", NULL);
	assert_has(text, "deleted 3 runs, ");
	assert_has(text, "traces use too much\n");
	again = run2(&cmd_prune, EXIT_OK, "--max-use=1K", NULL);
	ck_assert_str_eq(again, "nothing to delete\n");
}
END_TEST

START_TEST(prune_can_be_quiet)
{
	auto_free char *text = NULL;

	three_runs();
	text = run2(&cmd_prune, EXIT_OK, "--max-use=1K", "-q");
	ck_assert_str_eq(text, "");
	ck_assert(!tree_has(root, "251101-000000"));
}
END_TEST

START_TEST(what_is_recorded_is_told_to_be_too_much)
{
	int lock_fd;
	auto_free char *text = NULL;

	add_trace(RUN, "main");
	lock_fd = lock_trace(RUN "/main");
	text = run2(&cmd_prune, EXIT_OK, "--max-use=1K", NULL);
	assert_has(text, "nothing to delete\n");
	assert_has(text, "of traces are left, more than --max-use: they are being recorded");
	ck_assert(tree_has(root, RUN "/main/trace.db"));
	close(lock_fd);
}
END_TEST

START_TEST(a_full_disk_is_pruned_by_hand_only)
{
	auto_free char *text = NULL;

	three_runs();
	text = run2(&cmd_prune, EXIT_OK, "--keep-free=1000T", NULL);
	assert_has(text, "deleted 3 runs, ");
	assert_has(text, "too little is free\n");
	assert_has(text, "are free, less than --keep-free");
}
END_TEST

START_TEST(an_unsafe_root_is_not_pruned)
{
	auto_free char *text = NULL;

	three_runs();
	ck_assert_int_eq(chmod(root, 0777), 0);
	text = run2(&cmd_prune, EXIT_NOT_ALLOWED, "--max-use=1K", NULL);
	assert_has(text, "chmod go-w ");
	ck_assert(tree_has(root, "251101-000000/main/trace.db"));
}
END_TEST

START_TEST(a_missing_root_has_nothing_to_prune)
{
	auto_free char *missing = xasprintf("%s/missing", root);
	auto_free char *text =
	    run_at(&cmd_prune, EXIT_NO_TRACE, missing, (const char *const[]){"--max-use=1K", NULL});

	assert_has(text, "/missing does not exist");
	assert_has(text, "nothing to prune");
}
END_TEST

START_TEST(a_root_may_be_relative)
{
	auto_free char *text = NULL;

	three_runs();
	ck_assert_int_eq(chdir(root), 0);
	text = run_at(&cmd_prune, EXIT_OK, ".",
		      (const char *const[]){"--max-age=1y", "--max-use=1G", NULL});
	ck_assert_str_eq(text, "nothing to delete\n");
}
END_TEST

START_TEST(wrong_options_are_usage_errors)
{
	free(run2(&cmd_prune, EXIT_USAGE, NULL, NULL));
	free(run2(&cmd_prune, EXIT_USAGE, "--max-use=lots", NULL));
	free(run2(&cmd_prune, EXIT_USAGE, "--max-use=0", NULL));
	free(run2(&cmd_prune, EXIT_USAGE, "--max-age=soon", NULL));
	free(run2(&cmd_prune, EXIT_USAGE, "--keep-free=-1", NULL));
	free(run2(&cmd_prune, EXIT_USAGE, "--max-use=1G", "extra"));
	free(run2(&cmd_prune, EXIT_USAGE, "--nonsense", NULL));
	free(run2(&cmd_list, EXIT_USAGE, "extra", NULL));
	free(run2(&cmd_list, EXIT_USAGE, "--nonsense", NULL));
}
END_TEST

START_TEST(help_fits_a_terminal)
{
	static const struct command *const commands[] = {&cmd_list, &cmd_prune};
	auto_free char *text = run2(commands[_i], EXIT_OK, "--help", NULL);
	char *line, *rest = NULL;

	assert_has(text, "Usage: trackexec ");
	assert_has(text, "Examples:\n");
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		ck_assert_msg(strlen(line) <= 80, "%s", line);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("list and prune");
	TCase *tc = tcase_create("list and prune");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, traces_are_listed_with_their_states);
	tcase_add_test(tc, a_trace_that_is_just_beginning_is_told_as_such);
	tcase_add_test(tc, a_newer_trace_is_told);
	tcase_add_test(tc, list_says_all_for_programs);
	tcase_add_test(tc, nothing_to_list_is_an_empty_list);
	tcase_add_test(tc, a_missing_root_says_how_to_record);
	tcase_add_test(tc, planted_links_are_not_listed);
	tcase_add_test(tc, who_may_not_read_is_told);
	tcase_add_test(tc, prune_deletes_what_is_too_old_and_says_so);
	tcase_add_test(tc, a_dry_run_deletes_nothing);
	tcase_add_test(tc, prune_obeys_sizes);
	tcase_add_test(tc, prune_can_be_quiet);
	tcase_add_test(tc, what_is_recorded_is_told_to_be_too_much);
	tcase_add_test(tc, a_full_disk_is_pruned_by_hand_only);
	tcase_add_test(tc, an_unsafe_root_is_not_pruned);
	tcase_add_test(tc, a_missing_root_has_nothing_to_prune);
	tcase_add_test(tc, a_root_may_be_relative);
	tcase_add_test(tc, wrong_options_are_usage_errors);
	tcase_add_loop_test(tc, help_fits_a_terminal, 0, 2);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

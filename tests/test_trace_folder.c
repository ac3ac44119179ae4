/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/trace_folder.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "tests/support/tree.h"

#define BOOT "0fb2f0d7-7c2b-4a4e-9c27-1f6a41c7b1a5"

static char *root;

static void setup(void)
{
	root = tree_new();
}

static void teardown(void)
{
	tree_free(root);
}

static int parse(const char *text, struct folder_note *ret)
{
	return folder_note_parse(text, strlen(text), ret);
}

START_TEST(a_note_says_what_was_written)
{
	struct folder_note note = {.process = {4242, UINT64_MAX, BOOT}, .started_s = 1795371540};
	struct folder_note same = {0};
	char text[FOLDER_NOTE_SIZE];
	size_t len = folder_note_format(&note, text);

	ck_assert_uint_lt(len, FOLDER_NOTE_SIZE);
	ck_assert_int_eq(folder_note_parse(text, len, &same), 0);
	ck_assert(process_key_equal(&note.process, &same.process));
	ck_assert_int_eq(same.started_s, 1795371540);
}
END_TEST

START_TEST(lines_of_newer_programs_are_skipped)
{
	struct folder_note note;

	ck_assert_int_eq(parse("colour red\npid 7\nboot_id " BOOT "\nstart_ticks 9\n", &note), 0);
	ck_assert_int_eq(note.process.pid, 7);
	ck_assert_uint_eq(note.process.start_ticks, 9);
}
END_TEST

START_TEST(what_is_no_note_is_refused)
{
	static const char *const texts[] = {
	    "",
	    "\n\n",
	    "pid 7\n",
	    "boot_id " BOOT "\n",
	    "pid 0\nboot_id " BOOT "\n",
	    "pid -7\nboot_id " BOOT "\n",
	    "pid 99999999999\nboot_id " BOOT "\n",
	    "pid 7x\nboot_id " BOOT "\n",
	    "pid\nboot_id " BOOT "\n",
	    "pid 7\nboot_id ../../../../../../../etc/passwd/xxxxxx\n",
	    "pid 7\nboot_id " BOOT "\nstart_ticks 18446744073709551616\n",
	};
	struct folder_note note;
	char large[FOLDER_NOTE_SIZE + 1];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_msg(parse(texts[i], &note) == -EBADMSG, "%s", texts[i]);
	ck_assert_int_eq(folder_note_parse("pid 7\0\n", 7, &note), -EBADMSG);
	memset(large, 'a', sizeof(large));
	ck_assert_int_eq(folder_note_parse(large, sizeof(large), &note), -EBADMSG);
}
END_TEST

/* None of these may be followed, block, or be read beyond a note's size. */
START_TEST(what_is_planted_as_a_note_is_none)
{
	auto_free char *fifo = xasprintf("%s/fifo", root);
	auto_close int fd = tree_open(root, ".");
	struct folder_note note;

	tree_write(root, "real", "pid 7\nboot_id " BOOT "\n");
	tree_link(root, "link", "real");
	tree_mkdir(root, "folder");
	tree_fill(root, "huge", 1 << 20);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(folder_note_read(fd, "real", &note), 0);
	ck_assert_int_eq(folder_note_read(fd, "link", &note), -EBADMSG);
	ck_assert_int_eq(folder_note_read(fd, "folder", &note), -EBADMSG);
	ck_assert_int_eq(folder_note_read(fd, "huge", &note), -EBADMSG);
	ck_assert_int_eq(folder_note_read(fd, "fifo", &note), -EBADMSG);
	ck_assert_int_eq(folder_note_read(fd, "missing", &note), -ENOENT);
}
END_TEST

START_TEST(names_are_told)
{
	static const char *const runs[] = {"261122-181900", "261122-181900.2",
					   "991231-235959.9999"};
	static const char *const no_runs[] = {"",
					      "latest",
					      "261122",
					      "261122-18190",
					      "261122-1819000",
					      "261122_181900",
					      "261122-181900.",
					      "261122-181900.x",
					      "261122-181900.0",
					      ".261122-181900",
					      "261122-181900.123456"};

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		ck_assert_msg(folder_name_is_run(runs[i]), "%s", runs[i]);
	for (size_t i = 0; i < sizeof(no_runs) / sizeof(no_runs[0]); i++)
		ck_assert_msg(!folder_name_is_run(no_runs[i]), "%s", no_runs[i]);
	ck_assert(folder_name_is_trace("server-main") && folder_name_is_trace("a.b c\u00e9.2"));
	ck_assert(!folder_name_is_trace("") && !folder_name_is_trace(".") &&
		  !folder_name_is_trace("..") && !folder_name_is_trace("-x") &&
		  !folder_name_is_trace("a/b") && !folder_name_is_trace("a\nb") &&
		  !folder_name_is_trace("a\033[1m"));
}
END_TEST

START_TEST(numbers_behind_names_are_numbers)
{
	static const char *const ordered[] = {"a", "a.2", "a.9", "a.10", "a.b", "ab", "b"};
	size_t n = sizeof(ordered) / sizeof(ordered[0]);

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n; k++) {
			int order = folder_name_compare(ordered[i], ordered[k]);

			ck_assert_msg(i < k   ? order < 0
				      : i > k ? order > 0
					      : order == 0,
				      "%s %s", ordered[i], ordered[k]);
		}
	}
}
END_TEST

START_TEST(names_come_in_order_and_bounded)
{
	auto_close int fd = tree_open(root, ".");
	auto_folder_names struct folder_names names = {0};

	for (int i = 12; i > 0; i--) {
		auto_free char *name = xasprintf("261122-181900.%d", i);

		tree_mkdir(root, name);
	}
	tree_write(root, "notes.txt", "");
	ck_assert_int_eq(folder_names_read(fd, folder_name_is_run, 100, &names), 0);
	ck_assert_uint_eq(names.n, 12);
	ck_assert_str_eq(names.names[0], "261122-181900.1");
	ck_assert_str_eq(names.names[11], "261122-181900.12");
	folder_names_done(&names);
	ck_assert_int_eq(folder_names_read(fd, folder_name_is_run, 5, &names), 0);
	ck_assert_uint_eq(names.n, 5);
}
END_TEST

/* As another process would see it: the lock is of another open file. */
static int lock(const char *path, int type)
{
	auto_free char *p = xasprintf("%s/%s", root, path);
	struct flock whole = {.l_type = (short)type, .l_whence = SEEK_SET};
	int fd = open(p, type == F_WRLCK ? O_RDWR | O_CLOEXEC : O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &whole), 0);
	return fd;
}

START_TEST(a_trace_is_recorded_while_its_note_is_locked)
{
	auto_close int fd = -1;
	int lock_fd, copy;

	tree_write(root, "trace/target", "");
	fd = tree_open(root, "trace");
	ck_assert_int_eq(trace_folder_is_recorded(fd), 0);
	lock_fd = lock("trace/target", F_WRLCK);
	ck_assert_int_eq(trace_folder_is_recorded(fd), 1);
	/* It lives as long as any copy of the descriptor. */
	copy = dup(lock_fd);
	close(lock_fd);
	ck_assert_int_eq(trace_folder_is_recorded(fd), 1);
	close(copy);
	ck_assert_int_eq(trace_folder_is_recorded(fd), 0);
}
END_TEST

START_TEST(who_may_only_read_makes_no_trace_look_recorded)
{
	auto_close int fd = -1;
	int lock_fd;

	tree_write(root, "trace/target", "");
	fd = tree_open(root, "trace");
	lock_fd = lock("trace/target", F_RDLCK);
	ck_assert_int_eq(trace_folder_is_recorded(fd), 0);
	close(lock_fd);
}
END_TEST

START_TEST(a_folder_without_note_is_not_recorded)
{
	auto_close int fd = tree_open(root, ".");
	int lock_fd;

	ck_assert_int_eq(trace_folder_is_recorded(fd), 0);
	tree_write(root, "other/file", "");
	lock_fd = lock("other/file", F_WRLCK);
	tree_link(root, "target", "other/file");
	ck_assert_int_eq(trace_folder_is_recorded(fd), 0);
	close(lock_fd);
}
END_TEST

START_TEST(links_are_not_opened_as_folders)
{
	auto_close int fd = tree_open(root, ".");

	tree_link(root, "etc", "/etc");
	ck_assert_int_eq(folder_open(fd, "etc"), -ENOTDIR);
	ck_assert_int_eq(folder_open(fd, "nothing"), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_folder");
	TCase *tc = tcase_create("trace_folder");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_note_says_what_was_written);
	tcase_add_test(tc, lines_of_newer_programs_are_skipped);
	tcase_add_test(tc, what_is_no_note_is_refused);
	tcase_add_test(tc, what_is_planted_as_a_note_is_none);
	tcase_add_test(tc, names_are_told);
	tcase_add_test(tc, numbers_behind_names_are_numbers);
	tcase_add_test(tc, names_come_in_order_and_bounded);
	tcase_add_test(tc, a_trace_is_recorded_while_its_note_is_locked);
	tcase_add_test(tc, who_may_only_read_makes_no_trace_look_recorded);
	tcase_add_test(tc, a_folder_without_note_is_not_recorded);
	tcase_add_test(tc, links_are_not_opened_as_folders);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

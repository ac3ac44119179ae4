/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/trace_store.h"

#include <check.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "tests/support/scratch.h"
#include "tests/support/trace_records.h"

#define SOMEBODY 65534

/* TOP/above/folder, entered; who stands there owns it and has no right to `above`. */
static int enter_closed_folder(const char *top)
{
	if (chdir(top) < 0 || mkdir("above", 0700) < 0 || mkdir("above/folder", 0700) < 0)
		return -errno;
	if (chown("above/folder", SOMEBODY, SOMEBODY) < 0 || chdir("above/folder") < 0)
		return -errno;
	if (setresgid(SOMEBODY, SOMEBODY, SOMEBODY) < 0 ||
	    setresuid(SOMEBODY, SOMEBODY, SOMEBODY) < 0)
		return -errno;
	return access("..", X_OK) < 0 && errno == EACCES ? 0 : -EPERM;
}

/* Written, with a -wal, closed, and opened again. */
static int store(void)
{
	struct trace_store *s = NULL;
	int r = trace_store_create("./trace.db", &test_about, &s);

	if (r == 0)
		r = trace_store_start(s);
	if (r == 0)
		r = trace_store_meta_text(s, "name", "closed");
	if (r == 0 && access("trace.db-wal", F_OK) < 0)
		r = -ENOENT;
	if (r == 0)
		r = trace_store_close(s);
	if (r == 0)
		r = trace_store_open("./trace.db", &s);
	if (r == 0)
		trace_store_leave(s);
	return r;
}

START_TEST(folders_above_need_not_be_passable)
{
	auto_free char *top = NULL;
	int status = -1, r;
	pid_t pid;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return;
	}
	top = scratch_new("/tmp");
	ck_assert_int_eq(chmod(top, 0755), 0);
	pid = fork();
	if (pid == 0) {
		r = enter_closed_folder(top);
		_exit(r < 0 ? -r : -store());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	scratch_remove(top);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* What was opened stays the same file, whatever the working folder is afterwards: path is absolute.
 */
START_TEST(absolute_paths_do_not_depend_on_the_working_folder)
{
	auto_free char *top = scratch_new("/tmp");
	auto_free char *path = xasprintf("%s/trace.db", top);
	struct trace_store *s = NULL;

	ck_assert_int_eq(trace_store_create(path, &test_about, &s), 0);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(trace_store_start(s), 0);
	ck_assert_int_eq(trace_store_meta_text(s, "name", "absolute"), 0);
	ck_assert_int_eq(trace_store_close(s), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(top), 0);
}
END_TEST

/* Transactions in a -wal: frames that say how large the database is after them. */
static unsigned count_commits(const char *wal_path)
{
	/* https://www.sqlite.org/fileformat2.html#walformat; numbers are big-endian. */
	unsigned char header[32], frame[24];
	auto_fclose FILE *wal = fopen(wal_path, "re");
	unsigned n = 0;
	uint32_t page_size, pages;

	ck_assert_ptr_nonnull(wal);
	ck_assert_uint_eq(fread(header, sizeof(header), 1, wal), 1);
	memcpy(&page_size, header + 8, sizeof(page_size));
	while (fread(frame, sizeof(frame), 1, wal) == 1) {
		memcpy(&pages, frame + 4, sizeof(pages));
		n += pages != 0;
		ck_assert_int_eq(fseek(wal, (long)be32toh(page_size), SEEK_CUR), 0);
	}
	return n;
}

/* Whoever is killed meanwhile, or looks in, leaves or finds no tables with nothing in them. */
START_TEST(a_trace_begins_with_one_transaction)
{
	auto_free char *top = scratch_new("/tmp");
	auto_free char *path = xasprintf("%s/trace.db", top);
	auto_free char *wal_path = xasprintf("%s-wal", path);
	struct trace_store *s = NULL;

	ck_assert_int_eq(trace_store_create(path, &test_about, &s), 0);
	ck_assert_uint_eq(count_commits(wal_path), 1);
	ck_assert_int_eq(trace_store_close(s), 0);
	scratch_remove(top);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_store_vfs");
	TCase *tc = tcase_create("core");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, folders_above_need_not_be_passable);
	tcase_add_test(tc, absolute_paths_do_not_depend_on_the_working_folder);
	tcase_add_test(tc, a_trace_begins_with_one_transaction);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

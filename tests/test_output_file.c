/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/output_file.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "tests/support/read_back.h"
#include "tests/support/scratch.h"

static char *folder, *path;

static void setup(void)
{
	folder = scratch_new("/tmp");
	path = xasprintf("%s/out", folder);
}

static void teardown(void)
{
	scratch_remove(folder);
	free(folder);
	free(path);
}

static struct output_file *begin(const char *at, const char *text)
{
	struct output_file *o = NULL;

	ck_assert_int_eq(output_file_open(at, &o), 0);
	fputs(text, output_file_stream(o));
	fflush(output_file_stream(o));
	return o;
}

static void assert_is(const char *expected)
{
	FILE *f = fopen(path, "re");
	auto_free char *text = NULL;

	ck_assert_ptr_nonnull(f);
	text = read_back(f);
	ck_assert_str_eq(text, expected);
}

static unsigned count_files(void)
{
	DIR *d = opendir(folder);
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

START_TEST(it_is_there_when_it_is_complete)
{
	struct output_file *o = begin(path, "new");

	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(output_file_commit(o), 0);
	output_file_free(o);
	assert_is("new");
	ck_assert_uint_eq(count_files(), 1);
}
END_TEST

START_TEST(what_was_before_stays_until_then)
{
	struct output_file *o = begin(path, "before");

	ck_assert_int_eq(output_file_commit(o), 0);
	output_file_free(o);
	o = begin(path, "half");
	assert_is("before");
	output_file_free(o);
	assert_is("before");
	o = begin(path, "after");
	ck_assert_int_eq(output_file_commit(o), 0);
	output_file_free(o);
	assert_is("after");
	ck_assert_uint_eq(count_files(), 1);
}
END_TEST

START_TEST(it_has_the_usual_mode)
{
	mode_t mask = umask(027);
	struct output_file *o = begin(path, "x");
	struct stat st;

	ck_assert_int_eq(output_file_commit(o), 0);
	output_file_free(o);
	umask(mask);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
}
END_TEST

START_TEST(a_link_stays_one)
{
	auto_free char *link = xasprintf("%s/link", folder);
	struct output_file *o = begin(path, "before");
	struct stat st;

	ck_assert_int_eq(output_file_commit(o), 0);
	output_file_free(o);
	ck_assert_int_eq(symlink("out", link), 0);
	o = begin(link, "after");
	ck_assert_int_eq(output_file_commit(o), 0);
	output_file_free(o);
	assert_is("after");
	ck_assert_int_eq(lstat(link, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
}
END_TEST

START_TEST(errors_are_told)
{
	auto_free char *nowhere = xasprintf("%s/no/out", folder);
	struct output_file *o = NULL;

	ck_assert_int_eq(output_file_open(nowhere, &o), -ENOENT);
	ck_assert_int_eq(output_file_open(folder, &o), -EISDIR);
	ck_assert_int_eq(output_file_open("/dev/full", &o), 0);
	fputs("x", output_file_stream(o));
	ck_assert_int_eq(output_file_commit(o), -ENOSPC);
	output_file_free(o);
	output_file_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("output_file");
	TCase *tc = tcase_create("output_file");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, it_is_there_when_it_is_complete);
	tcase_add_test(tc, what_was_before_stays_until_then);
	tcase_add_test(tc, it_has_the_usual_mode);
	tcase_add_test(tc, a_link_stays_one);
	tcase_add_test(tc, errors_are_told);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

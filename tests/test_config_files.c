/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/config_files.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/xalloc.h"
#include "recorder/config.h"
#include "tests/support/trace_records.h"

#define NOBODY 65534

/* Three folders stand for those in /etc, /run and /usr/lib. */
static char *base;
static char *etc, *run, *lib;
static const char *folders[4];
static struct config_errors errors;
static struct config_files files;

static void setup(void)
{
	umask(022);
	base = test_folder_new();
	etc = xasprintf("%s/etc", base);
	run = xasprintf("%s/run", base);
	lib = xasprintf("%s/lib", base);
	folders[0] = etc;
	folders[1] = run;
	folders[2] = lib;
	for (size_t i = 0; i < 3; i++) {
		auto_free char *drop_ins = xasprintf("%s/collector.conf.d", folders[i]);

		ck_assert_int_eq(mkdir(folders[i], 0755), 0);
		ck_assert_int_eq(mkdir(drop_ins, 0755), 0);
	}
}

static void remove_all(const char *folder)
{
	auto_free char *command =
	    xasprintf("rm -rf '%s/etc' '%s/run' '%s/lib'", folder, folder, folder);

	ck_assert_int_eq(system(command), 0);
}

static void teardown(void)
{
	config_files_done(&files);
	config_errors_done(&errors);
	remove_all(base);
	test_folder_remove(base);
	free(etc);
	free(run);
	free(lib);
}

static void put(const char *folder, const char *name, const char *text)
{
	auto_free char *path = xasprintf("%s/%s", folder, name);
	auto_fclose FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
}

static void put_link(const char *folder, const char *name, const char *target)
{
	auto_free char *path = xasprintf("%s/%s", folder, name);

	ck_assert_int_eq(symlink(target, path), 0);
}

static void read_again(void)
{
	config_files_done(&files);
	config_errors_done(&errors);
	config_files_read(folders, &errors, &files);
}

/* The texts of all files, one after the other. */
static void assert_read(const char *wanted)
{
	auto_free char *all = xcalloc(1, 65536);

	read_again();
	for (size_t i = 0; i < files.n; i++)
		strncat(all, files.items[i].text, files.items[i].len);
	ck_assert_msg(errors.n == 0, "%s", errors.n ? errors.lines[0] : "");
	ck_assert_str_eq(all, wanted);
}

static void assert_refused(const char *file, const char *reason)
{
	read_again();
	ck_assert_uint_eq(errors.n, 1);
	ck_assert_msg(strstr(errors.lines[0], file) && strstr(errors.lines[0], reason), "%s",
		      errors.lines[0]);
}

START_TEST(no_folders_are_no_files)
{
	remove_all(base);
	assert_read("");
	ck_assert_uint_eq(files.n, 0);
}
END_TEST

START_TEST(the_first_main_file_counts)
{
	put(lib, "collector.conf", "lib ");
	assert_read("lib ");
	put(run, "collector.conf", "run ");
	assert_read("run ");
	put(etc, "collector.conf", "etc ");
	assert_read("etc ");
	ck_assert_uint_eq(files.n, 1);
	ck_assert_str_eq(files.items[0].path + strlen(base), "/etc/collector.conf");
}
END_TEST

START_TEST(drop_ins_are_sorted_by_name_over_all_folders)
{
	put(lib, "collector.conf", "main ");
	put(etc, "collector.conf.d/50-c.conf", "c ");
	put(lib, "collector.conf.d/10-a.conf", "a ");
	put(run, "collector.conf.d/20-b.conf", "b ");
	put(lib, "collector.conf.d/90-d.conf", "d ");
	assert_read("main a b c d ");
}
END_TEST

START_TEST(of_the_same_name_the_first_folder_counts)
{
	put(lib, "collector.conf.d/10-a.conf", "lib ");
	put(lib, "collector.conf.d/20-b.conf", "lib-b ");
	put(run, "collector.conf.d/10-a.conf", "run ");
	assert_read("run lib-b ");
	put(etc, "collector.conf.d/10-a.conf", "");
	assert_read("lib-b ");
}
END_TEST

START_TEST(a_link_to_dev_null_hides)
{
	put(lib, "collector.conf", "main ");
	put(lib, "collector.conf.d/10-a.conf", "a ");
	put(lib, "collector.conf.d/20-b.conf", "b ");
	put_link(etc, "collector.conf.d/10-a.conf", "/dev/null");
	assert_read("main b ");
	put_link(etc, "collector.conf", "/dev/null");
	assert_read("b ");
}
END_TEST

START_TEST(other_files_do_not_count)
{
	put(etc, "collector.conf.d/README", "x");
	put(etc, "collector.conf.d/a.conf~", "x");
	put(etc, "collector.conf.d/.hidden.conf", "x");
	put(etc, "collector.conf.d/.conf", "x");
	put(etc, "collector.conf.dpkg-old", "x");
	assert_read("");
}
END_TEST

START_TEST(other_links_are_refused)
{
	put(etc, "elsewhere", "x");
	put_link(etc, "collector.conf", "elsewhere");
	put(lib, "collector.conf", "x");
	assert_refused("/etc/collector.conf: ", "is a symbolic link");
	ck_assert_uint_eq(files.n, 0);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused)
{
	auto_free char *path = xasprintf("%s/collector.conf.d/a.conf", etc);

	ck_assert_int_eq(mkfifo(path, 0644), 0);
	assert_refused("a.conf", "is not a regular file");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	assert_refused("a.conf", "is not a regular file");
}
END_TEST

START_TEST(what_others_can_write_is_refused)
{
	auto_free char *path = xasprintf("%s/collector.conf", etc);

	put(etc, "collector.conf", "x");
	ck_assert_int_eq(chmod(path, 0664), 0);
	assert_refused("/etc/collector.conf", "chmod go-w");
	ck_assert_int_eq(chmod(path, 0646), 0);
	assert_refused("/etc/collector.conf", "chmod go-w");
	ck_assert_int_eq(chmod(path, 0600), 0);
	assert_read("x");
	ck_assert_int_eq(chmod(etc, 01777), 0);
	assert_refused("/etc: ", "chmod go-w");
	ck_assert_uint_eq(files.n, 0);
}
END_TEST

START_TEST(what_belongs_to_others_is_refused)
{
	auto_free char *path = xasprintf("%s/collector.conf", etc);

	if (geteuid() != 0) {
		puts("skipped: only root can give files away");
		return;
	}
	put(etc, "collector.conf", "x");
	ck_assert_int_eq(chown(path, NOBODY, 0), 0);
	assert_refused("/etc/collector.conf", "belongs to user 65534");
	ck_assert_int_eq(chown(path, 0, 0), 0);
	ck_assert_int_eq(chown(etc, NOBODY, 0), 0);
	assert_refused("/etc: ", "must belong to root");
}
END_TEST

START_TEST(size_has_a_limit)
{
	auto_free char *path = xasprintf("%s/collector.conf", etc);

	put(etc, "collector.conf", "x");
	ck_assert_int_eq(truncate(path, (off_t)CONFIG_FILE_MAX_BYTES), 0);
	read_again();
	ck_assert_uint_eq(errors.n, 0);
	ck_assert_uint_eq(files.items[0].len, CONFIG_FILE_MAX_BYTES);
	ck_assert_int_eq(truncate(path, (off_t)CONFIG_FILE_MAX_BYTES + 1), 0);
	assert_refused("/etc/collector.conf", "larger than 1 MiB");
}
END_TEST

START_TEST(the_number_of_files_has_a_limit)
{
	for (int i = 0; i < CONFIG_FILES_MAX; i++) {
		char name[64];

		snprintf(name, sizeof(name), "collector.conf.d/%03d.conf", i);
		put(etc, name, "");
	}
	assert_refused("/etc/collector.conf.d: ", "more than 256 files");
	ck_assert_uint_eq(files.n, CONFIG_FILES_MAX - 1);
}
END_TEST

START_TEST(a_hostile_file_name_harms_no_terminal)
{
	put_link(etc, "collector.conf.d/a\x1b[2J\nb.conf", "/etc/passwd");
	assert_refused("a?[2J?b.conf", "is a symbolic link");
}
END_TEST

START_TEST(later_files_override_and_all_are_checked)
{
	struct collector_config *c = NULL;

	put(etc, "collector.conf", "[Sampling]\nRate=1\nCPUBudget=1%\n[Target w]\nTitle=w:*\n");
	put(lib, "collector.conf.d/a.conf", "[Sampling]\nRate=2\n[Target w]\nPackages=w\n");
	put(run, "collector.conf.d/b.conf", "[Sampling]\nRate=3\n");
	ck_assert_int_eq(collector_config_load(folders, &c, &errors), 0);
	ck_assert_double_eq(c->rate_hz, 3);
	ck_assert_double_eq(c->cpu_budget_percent, 1);
	ck_assert_uint_eq(c->n_targets, 2);
	ck_assert_str_eq(c->targets[0].title, "w:*");
	ck_assert_str_eq(c->targets[0].packages_text, "w");
	collector_config_free(c);

	/* A section does not go on in the next file. */
	put(run, "collector.conf.d/b.conf", "Rate=3\n");
	put(lib, "collector.conf.d/a.conf", "[Sampling]\nRate=fast\n");
	ck_assert_int_eq(collector_config_load(folders, &c, &errors), -EINVAL);
	ck_assert_uint_eq(errors.n, 2);
	ck_assert_ptr_nonnull(strstr(errors.lines[0], "/lib/collector.conf.d/a.conf:2: Rate=fast"));
	ck_assert_ptr_nonnull(strstr(errors.lines[1], "/run/collector.conf.d/b.conf:1: Rate= "));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_files");
	TCase *tc = tcase_create("config_files");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, no_folders_are_no_files);
	tcase_add_test(tc, the_first_main_file_counts);
	tcase_add_test(tc, drop_ins_are_sorted_by_name_over_all_folders);
	tcase_add_test(tc, of_the_same_name_the_first_folder_counts);
	tcase_add_test(tc, a_link_to_dev_null_hides);
	tcase_add_test(tc, other_files_do_not_count);
	tcase_add_test(tc, other_links_are_refused);
	tcase_add_test(tc, what_is_no_regular_file_is_refused);
	tcase_add_test(tc, what_others_can_write_is_refused);
	tcase_add_test(tc, what_belongs_to_others_is_refused);
	tcase_add_test(tc, size_has_a_limit);
	tcase_add_test(tc, the_number_of_files_has_a_limit);
	tcase_add_test(tc, a_hostile_file_name_harms_no_terminal);
	tcase_add_test(tc, later_files_override_and_all_are_checked);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Watching the root of all traces, and root_open.c, which decides whether it is safe. */
#include "recorder/root_watch.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/root_open.h"
#include "tests/support/tree.h"

#define PATIENCE_S 5

static char *top;  /* exists */
static char *path; /* TOP/var/log/walt/trackexec */
static struct event_base *base;
static struct root_watch *watch;
static char why[4096];

/* What was called: '+' appeared, '-' gone, '!' refused. */
static char calls[64];
static int last_fd;
static int last_error;
static ino_t last_ino;

static void call(char c)
{
	size_t len = strlen(calls);

	ck_assert_uint_lt(len, sizeof(calls) - 1);
	calls[len] = c;
	calls[len + 1] = '\0';
}

static void on_appeared(void *ctx, int root_fd)
{
	struct stat st;

	(void)ctx;
	call('+');
	last_fd = root_fd;
	ck_assert_int_eq(fstat(root_fd, &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	last_ino = st.st_ino;
}

static void on_gone(void *ctx)
{
	struct stat st;

	(void)ctx;
	call('-');
	/* It can still be used. */
	ck_assert_int_eq(fstat(last_fd, &st), 0);
}

static void on_refused(void *ctx, int error, const char *text)
{
	(void)ctx;
	call('!');
	last_error = error;
	snprintf(why, sizeof(why), "%s", text);
}

static const struct root_watch_ops ops = {
    .on_appeared = on_appeared,
    .on_gone = on_gone,
    .on_refused = on_refused,
};

static void setup(void)
{
	umask(022);
	top = tree_new();
	path = xasprintf("%s/var/log/walt/trackexec", top);
	base = event_base_new();
	calls[0] = '\0';
}

static void teardown(void)
{
	root_watch_free(watch);
	watch = NULL;
	event_base_free(base);
	tree_free(top);
	free(path);
}

/* Handle what has happened so far. */
static void settle(void)
{
	while (event_base_loop(base, EVLOOP_NONBLOCK) == 0 &&
	       event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE))
		;
}

/* inotify queues its events before the system call that caused them returns. */
static void assert_calls(const char *expected)
{
	settle();
	ck_assert_str_eq(calls, expected);
	calls[0] = '\0';
}

static void start(void)
{
	ck_assert_int_eq(root_watch_new(base, path, &ops, NULL, &watch), 0);
	ck_assert_str_eq(calls, "");
	settle();
}

static void make_root(void)
{
	tree_mkdir(top, "var");
	tree_mkdir(top, "var/log");
	tree_mkdir(top, "var/log/walt");
	tree_mkdir(top, "var/log/walt/trackexec");
}

static char *below(const char *name)
{
	return xasprintf("%s/%s", top, name);
}

static void move(const char *from, const char *to)
{
	auto_free char *a = below(from);
	auto_free char *b = below(to);

	ck_assert_msg(rename(a, b) == 0, "%s %s: %s", from, to, strerror(errno));
}

static void change_mode(const char *name, mode_t mode)
{
	auto_free char *p = below(name);

	ck_assert_int_eq(chmod(p, mode), 0);
}

static void change_owner(const char *name, uid_t uid)
{
	auto_free char *p = below(name);

	ck_assert_int_eq(chown(p, uid, (gid_t)-1), 0);
}

static void remove_folder(const char *name)
{
	auto_free char *p = below(name);

	ck_assert_int_eq(rmdir(p), 0);
}

static bool is_root(const char *test)
{
	if (geteuid() == 0)
		return true;
	fprintf(stderr, "%s: skipped, needs root\n", test);
	return false;
}

START_TEST(a_root_that_is_there_is_told_at_once)
{
	make_root();
	start();
	assert_calls("+");
}
END_TEST

START_TEST(it_appears_step_by_step)
{
	start();
	tree_mkdir(top, "var");
	assert_calls("");
	tree_mkdir(top, "var/log");
	assert_calls("");
	tree_mkdir(top, "var/log/walt");
	assert_calls("");
	tree_mkdir(top, "var/log/walt/trackexec");
	assert_calls("+");
}
END_TEST

START_TEST(it_appears_all_at_once)
{
	start();
	make_root();
	assert_calls("+");
}
END_TEST

START_TEST(it_appears_by_a_rename_of_what_is_above)
{
	tree_mkdir(top, "elsewhere");
	tree_mkdir(top, "elsewhere/log");
	tree_mkdir(top, "elsewhere/log/walt");
	tree_mkdir(top, "elsewhere/log/walt/trackexec");
	start();
	assert_calls("");
	move("elsewhere", "var");
	assert_calls("+");
}
END_TEST

START_TEST(it_goes_away_with_whatever_is_above)
{
	static const char *const parts[] = {"var", "var/log", "var/log/walt",
					    "var/log/walt/trackexec"};
	int n = 0;

	make_root();
	start();
	assert_calls("+");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		move(parts[i], "away");
		assert_calls("-");
		move("away", parts[i]);
		assert_calls("+");
		n++;
	}
	ck_assert_int_eq(n, 4);
	remove_folder("var/log/walt/trackexec");
	assert_calls("-");
	remove_folder("var/log/walt");
	remove_folder("var/log");
	make_root();
	assert_calls("+");
}
END_TEST

/* Also while others have the folder above open, who thereby keep its end from being told. */
START_TEST(what_is_above_may_be_held_open)
{
	int fd;

	tree_mkdir(top, "var");
	tree_mkdir(top, "var/log");
	fd = tree_open(top, "var/log");
	start();
	remove_folder("var/log");
	assert_calls("");
	make_root();
	assert_calls("+");
	close(fd);
}
END_TEST

START_TEST(a_new_folder_at_its_place_is_another_one)
{
	ino_t first;

	make_root();
	start();
	assert_calls("+");
	first = last_ino;
	remove_folder("var/log/walt/trackexec");
	tree_mkdir(top, "var/log/walt/trackexec");
	assert_calls("-+");
	ck_assert(last_ino != first);
	/* Renamed over it. */
	first = last_ino;
	tree_mkdir(top, "var/log/walt/new");
	move("var/log/walt/new", "var/log/walt/trackexec");
	assert_calls("-+");
	ck_assert(last_ino != first);
	/* The same one is back before we looked. */
	move("var/log/walt/trackexec", "var/log/walt/away");
	move("var/log/walt/away", "var/log/walt/trackexec");
	assert_calls("");
}
END_TEST

START_TEST(other_names_are_nothing_to_us)
{
	make_root();
	start();
	assert_calls("+");
	tree_mkdir(top, "var/log/walt/other");
	tree_write(top, "var/log/walt/trackexec/file", "");
	remove_folder("var/log/walt/other");
	tree_mkdir(top, "var/trackexec");
	assert_calls("");
}
END_TEST

START_TEST(waiting_costs_nothing)
{
	struct rusage before, after;

	tree_mkdir(top, "var");
	start();
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &before), 0);
	/* No timer: only the time-out that we set here ends it. */
	ck_assert_int_eq(event_base_loopexit(base, &(struct timeval){.tv_usec = 300000}), 0);
	event_base_dispatch(base);
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &after), 0);
	ck_assert_int_le(after.ru_nvcsw - before.ru_nvcsw, 10);
	assert_calls("");
}
END_TEST

/* mkdir -p and rm -r by another process, while we look. */
START_TEST(races_end_with_what_is_the_case)
{
	uint64_t end_ns;
	pid_t pid;
	int status;

	start();
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 300; i++) {
			make_root();
			remove_folder("var/log/walt/trackexec");
			remove_folder("var/log/walt");
			remove_folder("var/log");
			remove_folder("var");
		}
		make_root();
		_exit(0);
	}
	do {
		settle();
		calls[0] = '\0';
	} while (waitpid(pid, &status, WNOHANG) == 0);
	end_ns = clock_monotonic_ns() + PATIENCE_S * NS_PER_S;
	settle();
	calls[0] = '\0';
	ck_assert_uint_lt(clock_monotonic_ns(), end_ns);
	/* It is there, and we know it: so its removal is news. */
	remove_folder("var/log/walt/trackexec");
	assert_calls("-");
}
END_TEST

START_TEST(an_unsafe_root_is_refused_until_it_is_safe)
{
	make_root();
	change_mode("var/log/walt/trackexec", 0770);
	start();
	assert_calls("!");
	ck_assert_int_eq(last_error, -EPERM);
	ck_assert_ptr_nonnull(strstr(why, "chmod go-w "));
	change_mode("var/log/walt/trackexec", 0772);
	assert_calls("");
	change_mode("var/log/walt/trackexec", 0755);
	assert_calls("+");
	change_mode("var/log/walt/trackexec", 0757);
	assert_calls("-!");
	change_mode("var/log/walt/trackexec", 0750);
	assert_calls("+");
}
END_TEST

START_TEST(a_root_of_others_is_refused_until_it_is_ours)
{
	if (!is_root("a_root_of_others_is_refused_until_it_is_ours"))
		return;
	make_root();
	change_owner("var/log/walt/trackexec", 65534);
	start();
	assert_calls("!");
	ck_assert_ptr_nonnull(strstr(why, "chown root: "));
	change_owner("var/log/walt/trackexec", 0);
	assert_calls("+");
	change_owner("var/log", 65534);
	assert_calls("-!");
	ck_assert_ptr_nonnull(strstr(why, "/var/log belongs to someone else"));
	change_owner("var/log", 0);
	assert_calls("+");
}
END_TEST

START_TEST(folders_above_must_be_safe_or_sticky)
{
	make_root();
	start();
	assert_calls("+");
	change_mode("var/log", 0777);
	assert_calls("-!");
	ck_assert_ptr_nonnull(strstr(why, "chmod o-w "));
	change_mode("var/log", 01777);
	assert_calls("+");
	change_mode("var/log", 0775);
	assert_calls("");
	/* Not there at all: nothing to be said about. */
	change_mode("var/log", 0777);
	remove_folder("var/log/walt/trackexec");
	assert_calls("-");
}
END_TEST

START_TEST(links_are_refused_until_they_are_folders)
{
	auto_free char *link = below("var/log");

	tree_mkdir(top, "var");
	tree_link(top, "var/log", "/etc");
	start();
	assert_calls("!");
	ck_assert_int_eq(last_error, -ELOOP);
	ck_assert_ptr_nonnull(strstr(why, "is a symbolic link"));
	ck_assert_int_eq(unlink(link), 0);
	assert_calls("");
	tree_mkdir(top, "var/log");
	tree_mkdir(top, "var/log/walt");
	tree_link(top, "var/log/walt/trackexec", "/etc");
	assert_calls("!");
	free(link);
	link = below("var/log/walt/trackexec");
	ck_assert_int_eq(unlink(link), 0);
	tree_write(top, "var/log/walt/trackexec", "a file");
	assert_calls("!");
	ck_assert_int_eq(last_error, -ENOTDIR);
	ck_assert_int_eq(unlink(link), 0);
	make_root();
	assert_calls("+");
}
END_TEST

START_TEST(a_mount_over_it_is_seen)
{
	auto_free char *log = below("var/log");

	make_root();
	start();
	assert_calls("+");
	if (mount("none", log, "tmpfs", 0, "size=64k,mode=755") < 0) {
		fprintf(stderr, "a_mount_over_it_is_seen: skipped, cannot mount: %s\n",
			strerror(errno));
		return;
	}
	settle();
	umount2(log, MNT_DETACH);
	settle();
	ck_assert_str_eq(calls, "-+");
}
END_TEST

START_TEST(nothing_is_left_behind)
{
	auto_close int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat before, after;

	make_root();
	start();
	root_watch_free(watch);
	watch = NULL;
	/* Number of entries, from Linux 6.2 on; before, both are 0. */
	ck_assert_int_eq(fstat(fd, &before), 0);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(root_watch_new(base, path, &ops, NULL, &watch), 0);
		settle();
		root_watch_free(watch);
		watch = NULL;
		calls[0] = '\0';
	}
	ck_assert_int_eq(fstat(fd, &after), 0);
	ck_assert_int_eq(before.st_size, after.st_size);
}
END_TEST

/* --- root_open() --- */

START_TEST(paths_that_can_be_no_root_are_refused)
{
	static const struct {
		const char *path;
		int error;
	} cases[] = {
	    {"", -EINVAL},
	    {"relative/path", -EINVAL},
	    {"/", -EINVAL},
	    {"//./", -EINVAL},
	    {"/tmp/../etc", -EINVAL},
	    {"/nonexistent/x", -ENOENT},
	    {"/etc/passwd/x", -ENOTDIR},
	};
	int fd = -1;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why[0] = '\0';
		ck_assert_msg(root_open(cases[i].path, &fd, why, sizeof(why)) == cases[i].error,
			      "%s", cases[i].path);
		ck_assert_msg(why[0], "%s", cases[i].path);
		ck_assert_int_eq(fd, -1);
	}
}
END_TEST

START_TEST(slashes_and_points_do_not_matter)
{
	auto_free char *odd = xasprintf("/%s//var/./log/walt/trackexec/", top);
	auto_close int fd = -1;
	struct stat a, b;

	make_root();
	ck_assert_msg(root_open(odd, &fd, why, sizeof(why)) == 0, "%s", why);
	ck_assert(fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino);
}
END_TEST

START_TEST(messages_hold_no_control_characters)
{
	int fd = -1;

	ck_assert_int_eq(root_open("/nonexistent\033[2J\n", &fd, why, sizeof(why)), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "/nonexistent\\x1b[2J\\x0a does not exist"));
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("root_watch");
	TCase *tc = tcase_create("root_watch");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_root_that_is_there_is_told_at_once);
	tcase_add_test(tc, it_appears_step_by_step);
	tcase_add_test(tc, it_appears_all_at_once);
	tcase_add_test(tc, it_appears_by_a_rename_of_what_is_above);
	tcase_add_test(tc, it_goes_away_with_whatever_is_above);
	tcase_add_test(tc, what_is_above_may_be_held_open);
	tcase_add_test(tc, a_new_folder_at_its_place_is_another_one);
	tcase_add_test(tc, other_names_are_nothing_to_us);
	tcase_add_test(tc, waiting_costs_nothing);
	tcase_add_test(tc, races_end_with_what_is_the_case);
	tcase_add_test(tc, an_unsafe_root_is_refused_until_it_is_safe);
	tcase_add_test(tc, a_root_of_others_is_refused_until_it_is_ours);
	tcase_add_test(tc, folders_above_must_be_safe_or_sticky);
	tcase_add_test(tc, links_are_refused_until_they_are_folders);
	tcase_add_test(tc, a_mount_over_it_is_seen);
	tcase_add_test(tc, nothing_is_left_behind);
	tcase_add_test(tc, paths_that_can_be_no_root_are_refused);
	tcase_add_test(tc, slashes_and_points_do_not_matter);
	tcase_add_test(tc, messages_hold_no_control_characters);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

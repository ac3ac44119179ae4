/* SPDX-License-Identifier: BSD-3-Clause */
/* Run folders, with folder_make.c, which makes them, and latest_link.c, which points to them. */
#include "recorder/run_folder.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/folder_make.h"
#include "recorder/latest_link.h"
#include "recorder/privileges.h"
#include "recorder/target/identity.h"
#include "tests/support/tree.h"

#define BOOT	  "0fb2f0d7-7c2b-4a4e-9c27-1f6a41c7b1a5"
#define STARTED	  INT64_C(1795371540) /* 2026-11-22 18:19:00 UTC */
#define N_AT_ONCE 8

static const struct folder_access own = {.worker_uid = (uid_t)-1, .gid = (gid_t)-1};
static const struct process_key daemon_key = {100, 5000, BOOT};
static const struct process_key target_key = {101, 5100, BOOT};

static char *root;
static int root_fd;
static char why[1024];

static void setup(void)
{
	setenv("TZ", "UTC", 1);
	root = tree_new();
	root_fd = tree_open(root, ".");
}

static void teardown(void)
{
	close(root_fd);
	tree_free(root);
}

static struct run_folder open_run(const struct process_key *key, int64_t started_s)
{
	struct run_folder run = RUN_FOLDER_NONE;
	int r = run_folder_open(root_fd, key, started_s, &own, &run, why, sizeof(why));

	ck_assert_msg(r >= 0, "%s", why);
	return run;
}

static int try_trace(const struct run_folder *run, const char *name,
		     const struct process_key *target, struct trace_folder *ret)
{
	why[0] = '\0';
	return run_folder_open_trace(run, name, target, &own, ret, why, sizeof(why));
}

static struct trace_folder open_trace(const struct run_folder *run, const char *name,
				      const struct process_key *target)
{
	struct trace_folder trace = TRACE_FOLDER_NONE;

	ck_assert_msg(try_trace(run, name, target, &trace) == 0, "%s", why);
	return trace;
}

static struct process_key other_process(int n)
{
	struct process_key key = target_key;

	key.pid += n;
	return key;
}

/* --- runs --- */

START_TEST(a_run_is_named_after_its_start)
{
	auto_run_folder struct run_folder run = open_run(&daemon_key, STARTED);

	ck_assert_str_eq(run.name, "261122-181900");
	ck_assert(tree_has(root, "261122-181900/run"));
}
END_TEST

START_TEST(its_name_is_local_time)
{
	auto_run_folder struct run_folder run = RUN_FOLDER_NONE;

	setenv("TZ", "CET-1", 1);
	run = open_run(&daemon_key, STARTED);
	ck_assert_str_eq(run.name, "261122-191900");
}
END_TEST

/* Also by a collector that is restarted after the clock was set. */
START_TEST(the_same_daemon_has_one_run)
{
	auto_run_folder struct run_folder first = open_run(&daemon_key, STARTED);
	auto_run_folder struct run_folder again = RUN_FOLDER_NONE;

	ck_assert_int_eq(
	    run_folder_open(root_fd, &daemon_key, STARTED + 3599, &own, &again, why, sizeof(why)),
	    0);
	ck_assert_str_eq(again.name, "261122-181900");
	ck_assert_int_eq(again.started_s, first.started_s);
}
END_TEST

START_TEST(other_daemons_have_other_runs)
{
	struct process_key keys[3] = {daemon_key, daemon_key, daemon_key};
	static const char *const names[] = {"261122-181900", "261122-181900.2", "261122-181900.3"};

	keys[1].start_ticks++;
	keys[2].boot_id[0] = '1';
	for (size_t i = 0; i < 3; i++) {
		struct run_folder run = open_run(&keys[i], STARTED);

		ck_assert_str_eq(run.name, names[i]);
		run_folder_close(&run);
	}
}
END_TEST

START_TEST(a_run_never_lies_where_a_link_or_a_file_leads)
{
	auto_free char *elsewhere = xasprintf("%s/elsewhere", root);
	auto_run_folder struct run_folder run = RUN_FOLDER_NONE;
	struct process_key other = other_process(5);
	auto_run_folder struct run_folder next = RUN_FOLDER_NONE;

	tree_mkdir(root, "elsewhere");
	tree_link(root, "261122-181900", elsewhere);
	tree_write(root, "261122-181900.2", "a file");
	tree_mkdir(root, "261122-181900.3");
	tree_link(root, "261122-181900.4", "/nonexistent");
	run = open_run(&daemon_key, STARTED);
	ck_assert_str_eq(run.name, "261122-181900.5");
	ck_assert(!tree_has(root, "elsewhere/run") && !tree_has(root, "261122-181900.3/run"));
	/* A note that is a link is none, wherever it leads. */
	tree_link(root, "261122-181900.6/run", "../261122-181900.5/run");
	next = open_run(&other, STARTED);
	ck_assert_str_eq(next.name, "261122-181900.7");
}
END_TEST

static void assert_access(int fd, uid_t uid, mode_t mode)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, mode);
	ck_assert_uint_eq(st.st_uid, uid);
	ck_assert_uint_eq(st.st_gid, 4);
}

/* With the capabilities of the unit, of which none gives files away. */
static void drop_cap_chown(void)
{
	uint64_t now = 0;

	ck_assert_int_eq(privileges_get_effective(&now), 0);
	now &= ~(UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_FOWNER | UINT64_C(1) << CAP_FSETID);
	ck_assert_int_eq(privileges_set_effective(now), 0);
}

static void assert_made_for(const struct folder_access *access, const char *name)
{
	auto_run_folder struct run_folder run = RUN_FOLDER_NONE;
	auto_trace_folder struct trace_folder trace = TRACE_FOLDER_NONE;
	int r = run_folder_open(root_fd, &daemon_key, STARTED, access, &run, why, sizeof(why));

	ck_assert_msg(r >= 0, "%s", why);
	r = run_folder_open_trace(&run, name, &target_key, access, &trace, why, sizeof(why));
	ck_assert_msg(r == 0, "%s", why);
	assert_access(run.fd, 0, 0750);
	assert_access(run.lock_fd, 0, 0640);
	assert_access(trace.fd, access->worker_uid, 0750);
	assert_access(trace.lock_fd, 0, 0640);
}

START_TEST(folders_are_for_root_worker_and_group)
{
	const struct folder_access access = {.worker_uid = 65534, .gid = 4};
	const struct folder_access changed = {.worker_uid = 65533, .gid = 4};

	if (geteuid() != 0) {
		fputs("folders_are_for_root_worker_and_group: skipped, needs root\n", stderr);
		return;
	}
	/* Only root can get into it, and all in it gets another group. */
	ck_assert_int_eq(fchown(root_fd, 0, 5), 0);
	ck_assert_int_eq(fchmod(root_fd, 02700), 0);
	umask(0);
	assert_made_for(&access, "db");
	drop_cap_chown();
	umask(077);
	assert_made_for(&access, "main");
	/* As it is already. */
	assert_made_for(&access, "main");
	ck_assert(!tree_has(root, "261122-181900/main.2"));
	/* One of another user is left alone: the worker could not write there. */
	assert_made_for(&changed, "main");
	ck_assert(tree_has(root, "261122-181900/main.2/target"));
}
END_TEST

static bool is_any(const char *name)
{
	return name[0] != '\0';
}

START_TEST(root_without_rights_leaves_nothing)
{
	const struct folder_access access = {.worker_uid = 65534, .gid = 4};
	auto_run_folder struct run_folder run = RUN_FOLDER_NONE;
	auto_folder_names struct folder_names names = {0};

	if (geteuid() != 0) {
		fputs("root_without_rights_leaves_nothing: skipped, needs root\n", stderr);
		return;
	}
	ck_assert_int_eq(privileges_set_effective(0), 0);
	ck_assert_int_eq(
	    run_folder_open(root_fd, &daemon_key, STARTED, &access, &run, why, sizeof(why)),
	    -EPERM);
	ck_assert_ptr_nonnull(strstr(why, "run as root"));
	ck_assert_int_eq(folder_names_read(root_fd, is_any, 10, &names), 0);
	ck_assert_uint_eq(names.n, 0);
}
END_TEST

START_TEST(leftovers_go_when_they_are_old)
{
	struct run_folder run = RUN_FOLDER_NONE;

	tree_write(root, ".new.0000000000000001/run", "half");
	tree_link(root, ".latest.0000000000000002", "261122-181900");
	tree_mkdir(root, ".new.0000000000000003");
	tree_mkdir(root, ".newer");
	tree_touch(root, ".new.0000000000000001", STARTED - 100000);
	tree_touch(root, ".latest.0000000000000002", STARTED - 100000);
	tree_touch(root, ".newer", STARTED - 100000);
	run = open_run(&daemon_key, STARTED);
	run_folder_close(&run);
	ck_assert(!tree_has(root, ".new.0000000000000001"));
	ck_assert(!tree_has(root, ".latest.0000000000000002"));
	ck_assert(tree_has(root, ".new.0000000000000003") && tree_has(root, ".newer"));
}
END_TEST

/* CPU time: how long a disk takes for it is not ours to say. */
START_TEST(a_run_is_found_among_thousands)
{
	struct process_key key = daemon_key;
	auto_run_folder struct run_folder oldest = RUN_FOLDER_NONE;
	uint64_t start_ns;

	for (int i = 0; i < 3000; i++) {
		auto_free char *name = xasprintf("25%02d%02d-%02d%02d00/run", 1 + i / 28 % 12,
						 1 + i % 28, i / 60 % 24, i % 60);
		auto_free char *note =
		    xasprintf("pid %d\nstart_ticks 1\nboot_id " BOOT "\n", 1000 + i);

		tree_write(root, name, note);
	}
	start_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
	key.pid = 1000;
	key.start_ticks = 1;
	oldest = open_run(&key, STARTED);
	ck_assert_str_eq(oldest.name, "250101-000000");
	ck_assert_uint_lt(clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - start_ns, 2 * NS_PER_S);
}
END_TEST

/* --- traces --- */

START_TEST(a_trace_is_continued_by_the_same_process_only)
{
	auto_run_folder struct run_folder run = open_run(&daemon_key, STARTED);
	struct trace_folder trace = open_trace(&run, "server-main", &target_key);
	struct process_key next = other_process(1);

	ck_assert_str_eq(trace.name, "server-main");
	ck_assert_int_eq(trace.state, TRACE_FOLDER_NEW);
	trace_folder_close(&trace);
	/* Nothing was written yet. */
	trace = open_trace(&run, "server-main", &target_key);
	ck_assert_int_eq(trace.state, TRACE_FOLDER_NEW);
	trace_folder_close(&trace);
	tree_write(root, "261122-181900/server-main/trace.db", "");
	trace = open_trace(&run, "server-main", &target_key);
	ck_assert_str_eq(trace.name, "server-main");
	ck_assert_int_eq(trace.state, TRACE_FOLDER_CONTINUE);
	trace_folder_close(&trace);
	trace = open_trace(&run, "server-main", &next);
	ck_assert_str_eq(trace.name, "server-main.2");
	ck_assert_int_eq(trace.state, TRACE_FOLDER_NEW);
	trace_folder_close(&trace);
}
END_TEST

START_TEST(a_trace_is_found_behind_one_that_was_deleted)
{
	auto_run_folder struct run_folder run = open_run(&daemon_key, STARTED);
	struct process_key next = other_process(1), third = other_process(2);
	struct trace_folder trace;

	tree_write(root, "261122-181900/db.2/trace.db", "");
	tree_write(root, "261122-181900/db.2/target",
		   "pid 102\nstart_ticks 5100\nboot_id " BOOT "\n");
	trace = open_trace(&run, "db", &next);
	ck_assert_str_eq(trace.name, "db.2");
	ck_assert_int_eq(trace.state, TRACE_FOLDER_CONTINUE);
	trace_folder_close(&trace);
	trace = open_trace(&run, "db", &third);
	ck_assert_str_eq(trace.name, "db.3");
	trace_folder_close(&trace);
}
END_TEST

START_TEST(a_process_is_recorded_once)
{
	auto_run_folder struct run_folder run = open_run(&daemon_key, STARTED);
	auto_trace_folder struct trace_folder trace = open_trace(&run, "db", &target_key);
	struct trace_folder again = TRACE_FOLDER_NONE;

	ck_assert_int_eq(trace_folder_is_recorded(trace.fd), 1);
	ck_assert_int_eq(try_trace(&run, "db", &target_key, &again), -EBUSY);
	ck_assert_ptr_nonnull(strstr(why, "trace db is locked"));
	ck_assert_int_eq(run_folder_lock(trace.fd), -EBUSY);
	close(trace.lock_fd);
	trace.lock_fd = -1;
	ck_assert_int_eq(trace_folder_is_recorded(trace.fd), 0);
	trace.lock_fd = run_folder_lock(trace.fd);
	ck_assert_int_ge(trace.lock_fd, 0);
	ck_assert_int_eq(trace_folder_is_recorded(trace.fd), 1);
}
END_TEST

START_TEST(a_trace_never_lies_where_a_link_leads)
{
	auto_free char *elsewhere = xasprintf("%s/elsewhere", root);
	auto_run_folder struct run_folder run = open_run(&daemon_key, STARTED);
	auto_trace_folder struct trace_folder trace = TRACE_FOLDER_NONE;

	tree_write(root, "elsewhere/target", "pid 101\nstart_ticks 5100\nboot_id " BOOT "\n");
	tree_link(root, "261122-181900/db", elsewhere);
	tree_link(root, "261122-181900/db.2", "/etc");
	/* A worker that turned bad can do this to a folder of its own. */
	tree_link(root, "261122-181900/db.3/target", "../../elsewhere/target");
	tree_link(root, "261122-181900/db.4/target", "/etc/passwd");
	trace = open_trace(&run, "db", &target_key);
	ck_assert_str_eq(trace.name, "db.5");
	ck_assert_str_eq(tree_readlink(root, "261122-181900/db.4/target"), "/etc/passwd");
}
END_TEST

START_TEST(names_that_are_none_are_refused)
{
	static const char *const names[] = {
	    "",	       ".",
	    "..",      "../../etc",
	    "a/b",     "/etc",
	    ".hidden", "-rf",
	    "a\nb",    "\033c",
	    "a\177b",  "0123456789012345678901234567890123456789012345678901234567890123x",
	};
	auto_run_folder struct run_folder run = open_run(&daemon_key, STARTED);
	auto_trace_folder struct trace_folder trace = TRACE_FOLDER_NONE;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_msg(try_trace(&run, names[i], &target_key, &trace) == -EINVAL, "%s",
			      names[i]);
		ck_assert_ptr_nonnull(strstr(why, "the name for the trace "));
	}
	trace = open_trace(&run, "0123456789012345678901234567890123456789012345678901234567890123",
			   &target_key);
	ck_assert_uint_eq(strlen(trace.name), 64);
}
END_TEST

START_TEST(a_run_that_was_removed_is_told)
{
	auto_run_folder struct run_folder run = open_run(&daemon_key, STARTED);
	auto_trace_folder struct trace_folder trace = TRACE_FOLDER_NONE;

	ck_assert_int_eq(unlinkat(run.fd, "run", 0), 0);
	ck_assert_int_eq(unlinkat(root_fd, run.name, AT_REMOVEDIR), 0);
	ck_assert_int_eq(try_trace(&run, "db", &target_key, &trace), -ENOENT);
}
END_TEST

/* --- at once --- */

/* All begin when `start` is closed, say in `tried` that they are through, and end with `stop`. */
struct gates {
	int start[2], tried[2], stop[2];
};

static void wait_for_close(const int gate[2])
{
	char c;

	close(gate[1]);
	if (read(gate[0], &c, 1) != 0)
		_exit(9);
}

/* Exits with 0 when it got the trace, 1 when it found it locked. */
static void open_in_child(int n, const struct gates *gates, bool same_target)
{
	struct run_folder run = RUN_FOLDER_NONE;
	struct trace_folder trace = TRACE_FOLDER_NONE;
	struct process_key target = other_process(same_target ? 0 : n);
	int r;

	wait_for_close(gates->start);
	r = run_folder_open(root_fd, &daemon_key, STARTED, &own, &run, why, sizeof(why));
	if (r < 0 || strcmp(run.name, "261122-181900") != 0)
		_exit(2);
	r = try_trace(&run, "db", &target, &trace);
	if (r == 0)
		tree_write(root, trace.name, "won");
	if (write(gates->tried[1], "x", 1) != 1)
		_exit(9);
	/* Those who got the lock keep it until all have tried. */
	wait_for_close(gates->stop);
	_exit(r == 0 ? 0 : r == -EBUSY ? 1 : 3);
}

/* Returns how many got a trace; the others found it locked. */
static int open_at_once(bool same_target)
{
	struct gates gates;
	int status, n_won = 0;
	char c;

	ck_assert(pipe(gates.start) == 0 && pipe(gates.tried) == 0 && pipe(gates.stop) == 0);
	for (int i = 0; i < N_AT_ONCE; i++) {
		if (fork() == 0)
			open_in_child(i, &gates, same_target);
	}
	close(gates.start[1]);
	close(gates.tried[1]);
	for (int i = 0; i < N_AT_ONCE && read(gates.tried[0], &c, 1) == 1; i++)
		;
	close(gates.stop[1]);
	for (int i = 0; i < N_AT_ONCE; i++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) <= 1, "%x", status);
		n_won += WEXITSTATUS(status) == 0;
	}
	return n_won;
}

START_TEST(several_at_once_make_one_run_and_one_trace)
{
	ck_assert_int_eq(open_at_once(true), 1);
	ck_assert(tree_has(root, "db") && !tree_has(root, "261122-181900.2") &&
		  !tree_has(root, "261122-181900/db.2"));
}
END_TEST

START_TEST(several_at_once_do_not_share_a_trace)
{
	ck_assert_int_eq(open_at_once(false), N_AT_ONCE);
	ck_assert(tree_has(root, "db") && tree_has(root, "db.8") && !tree_has(root, "db.9"));
}
END_TEST

/* --- latest --- */

static int point(const char *name, int64_t started_s)
{
	return latest_link_update(root_fd, name, started_s, why, sizeof(why));
}

START_TEST(latest_is_the_run_that_started_last)
{
	struct process_key next = other_process(9);
	auto_run_folder struct run_folder old = open_run(&daemon_key, STARTED);
	auto_run_folder struct run_folder new = open_run(&next, STARTED + 60);

	ck_assert_int_eq(point(old.name, old.started_s), 1);
	ck_assert_str_eq(tree_readlink(root, "latest"), "261122-181900");
	ck_assert_int_eq(point(old.name, old.started_s), 0);
	ck_assert_int_eq(point(new.name, new.started_s), 1);
	ck_assert_str_eq(tree_readlink(root, "latest"), "261122-182000");
	ck_assert_int_eq(point(old.name, old.started_s), 0);
	ck_assert_str_eq(tree_readlink(root, "latest"), "261122-182000");
}
END_TEST

START_TEST(latest_is_replaced_wherever_it_leads)
{
	static const char *const targets[] = {"/etc", "..", "261122-181900/../../x", "missing",
					      "991231-235959"};
	auto_run_folder struct run_folder run = open_run(&daemon_key, STARTED);

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		unlinkat(root_fd, "latest", 0);
		tree_link(root, "latest", targets[i]);
		ck_assert_int_eq(point(run.name, run.started_s), 1);
		ck_assert_str_eq(tree_readlink(root, "latest"), "261122-181900");
	}
}
END_TEST

START_TEST(what_is_no_link_is_not_replaced)
{
	auto_run_folder struct run_folder run = open_run(&daemon_key, STARTED);

	tree_write(root, "latest", "somebody's");
	ck_assert_int_eq(point(run.name, run.started_s), -EEXIST);
	ck_assert_ptr_nonnull(strstr(why, "not a symbolic link"));
	unlinkat(root_fd, "latest", 0);
	tree_mkdir(root, "latest");
	ck_assert_int_eq(point(run.name, run.started_s), -EEXIST);
}
END_TEST

START_TEST(latest_is_repaired_when_its_run_is_gone)
{
	auto_run_folder struct run_folder run = open_run(&daemon_key, STARTED);

	tree_mkdir(root, "261122-190000"); /* not ours */
	tree_link(root, "latest", "261122-200000");
	ck_assert_int_eq(latest_link_repair(root_fd), 1);
	ck_assert_str_eq(tree_readlink(root, "latest"), "261122-181900");
	ck_assert_int_eq(latest_link_repair(root_fd), 0);
	unlinkat(run.fd, "run", 0);
	ck_assert_int_eq(latest_link_repair(root_fd), 1);
	ck_assert(!tree_has(root, "latest"));
	ck_assert_int_eq(latest_link_repair(root_fd), 0);
}
END_TEST

/* --- the disk --- */

/* Returns false, with a notice, where one may not. */
static bool mount_small(const char *test, const char *options)
{
	if (mount("none", root, "tmpfs", 0, options) < 0) {
		fprintf(stderr, "%s: skipped, cannot mount: %s\n", test, strerror(errno));
		return false;
	}
	close(root_fd);
	root_fd = tree_open(root, ".");
	return true;
}

static void unmount(void)
{
	close(root_fd);
	umount2(root, MNT_DETACH);
	root_fd = tree_open(root, ".");
}

START_TEST(a_full_disk_is_told_and_nothing_is_left)
{
	struct run_folder run = RUN_FOLDER_NONE;
	struct folder_names names = {0};
	char fill[4096] = "x";
	int fd, r;

	if (!mount_small("a_full_disk_is_told_and_nothing_is_left", "size=64k,mode=755"))
		return;
	fd = openat(root_fd, "filler", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	while (write(fd, fill, sizeof(fill)) > 0)
		;
	close(fd);
	r = run_folder_open(root_fd, &daemon_key, STARTED, &own, &run, why, sizeof(why));
	ck_assert_int_eq(folder_names_read(root_fd, folder_name_is_run, 10, &names), 0);
	ck_assert_uint_eq(names.n, 0);
	fd = openat(root_fd, "filler", O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	close(fd);
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_ptr_nonnull(strstr(why, "make room"));
	/* As soon as there is room again. */
	r = run_folder_open(root_fd, &daemon_key, STARTED, &own, &run, why, sizeof(why));
	ck_assert_int_eq(r, 1);
	run_folder_close(&run);
	unmount();
}
END_TEST

START_TEST(a_read_only_disk_is_told)
{
	struct run_folder run = RUN_FOLDER_NONE;
	int r;

	if (!mount_small("a_read_only_disk_is_told", "size=64k,mode=755"))
		return;
	ck_assert_int_eq(mount("none", root, "tmpfs", MS_REMOUNT | MS_RDONLY, ""), 0);
	r = run_folder_open(root_fd, &daemon_key, STARTED, &own, &run, why, sizeof(why));
	unmount();
	ck_assert_int_eq(r, -EROFS);
	ck_assert_ptr_nonnull(strstr(why, "mount that file system writable"));
}
END_TEST

/* --- times --- */

START_TEST(a_process_started_when_it_did)
{
	auto_identity struct identity id = IDENTITY_NONE;
	struct process_key key, again;
	int64_t started_s = 0, same_s = 0, now_s = (int64_t)(clock_realtime_ns() / NS_PER_S);
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	ck_assert_int_eq(identity_open(pid, &id), 0);
	ck_assert_int_eq(process_start_realtime(id.start_ticks, &started_s), 0);
	ck_assert_int_eq(process_start_realtime(id.start_ticks, &same_s), 0);
	ck_assert_int_eq(process_key_init(pid, id.start_ticks, &key), 0);
	ck_assert_int_eq(process_key_init(pid, id.start_ticks, &again), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(started_s, same_s);
	ck_assert_int_le(started_s, now_s + 2);
	ck_assert_int_ge(started_s, now_s - 2);
	ck_assert(process_key_equal(&key, &again));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run_folder");
	TCase *tc = tcase_create("run_folder");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_run_is_named_after_its_start);
	tcase_add_test(tc, its_name_is_local_time);
	tcase_add_test(tc, the_same_daemon_has_one_run);
	tcase_add_test(tc, other_daemons_have_other_runs);
	tcase_add_test(tc, a_run_never_lies_where_a_link_or_a_file_leads);
	tcase_add_test(tc, folders_are_for_root_worker_and_group);
	tcase_add_test(tc, root_without_rights_leaves_nothing);
	tcase_add_test(tc, leftovers_go_when_they_are_old);
	tcase_add_test(tc, a_run_is_found_among_thousands);
	tcase_add_test(tc, a_trace_is_continued_by_the_same_process_only);
	tcase_add_test(tc, a_trace_is_found_behind_one_that_was_deleted);
	tcase_add_test(tc, a_process_is_recorded_once);
	tcase_add_test(tc, a_trace_never_lies_where_a_link_leads);
	tcase_add_test(tc, names_that_are_none_are_refused);
	tcase_add_test(tc, a_run_that_was_removed_is_told);
	tcase_add_test(tc, several_at_once_make_one_run_and_one_trace);
	tcase_add_test(tc, several_at_once_do_not_share_a_trace);
	tcase_add_test(tc, latest_is_the_run_that_started_last);
	tcase_add_test(tc, latest_is_replaced_wherever_it_leads);
	tcase_add_test(tc, what_is_no_link_is_not_replaced);
	tcase_add_test(tc, latest_is_repaired_when_its_run_is_gone);
	tcase_add_test(tc, a_full_disk_is_told_and_nothing_is_left);
	tcase_add_test(tc, a_read_only_disk_is_told);
	tcase_add_test(tc, a_process_started_when_it_did);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Storage limits, with retention_delete.c. */
#include "recorder/retention.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/trace_folder.h"
#include "common/xalloc.h"
#include "recorder/folder_make.h"
#include "tests/support/tree.h"

#define NOTE "pid 7\nstart_ticks 1\nboot_id 0fb2f0d7-7c2b-4a4e-9c27-1f6a41c7b1a5\nstarted 5\n"
#define NOW  INT64_C(1800000000)
#define DAY  INT64_C(86400)
#define KIB  UINT64_C(1024)

static char *root;
static int root_fd;
static struct retention_scan scan;
static struct retention_plan plan;

static void setup(void)
{
	root = tree_new();
	root_fd = tree_open(root, ".");
}

static void teardown(void)
{
	retention_plan_done(&plan);
	retention_scan_done(&scan);
	close(root_fd);
	tree_free(root);
}

/* RUN/TRACE with a trace.db of n bytes, last written at newest_s. */
static void add_trace(const char *run, const char *trace, size_t n, int64_t newest_s)
{
	static const char *const files[] = {"trace.db", "target"};

	for (size_t i = 0; i < 2; i++) {
		auto_free char *folder = xasprintf("%s/%s", run, trace);
		auto_free char *path = xasprintf("%s/%s", folder, files[i]);
		auto_free char *run_note = xasprintf("%s/run", run);

		tree_write(root, run_note, NOTE);
		tree_touch(root, run_note, newest_s);
		tree_mkdir(root, folder);
		if (i == 0)
			tree_fill(root, path, n);
		else
			tree_write(root, path, NOTE);
		tree_touch(root, path, newest_s);
	}
}

static int lock_trace(const char *path)
{
	auto_close int fd = tree_open(root, path);
	int lock_fd = folder_note_lock(fd, "target", NOTE_EXCLUSIVE);

	ck_assert_int_ge(lock_fd, 0);
	return lock_fd;
}

static void look_and_plan(struct retention_limits limits, const char *const *live, size_t n_live)
{
	retention_plan_done(&plan);
	retention_scan_done(&scan);
	ck_assert_int_eq(retention_scan(root_fd, live, n_live, &scan), 0);
	retention_plan(&scan, &limits, NOW, false, &plan);
}

/* What on_left was told, in one line. */
static char left[4096];
static int n_deleted;

static void on_deleted(void *ctx, const struct retention_deletion *deletion)
{
	(void)ctx;
	(void)deletion;
	n_deleted++;
}

static void on_left(void *ctx, const char *path, int error)
{
	size_t len = strlen(left);

	(void)ctx;
	snprintf(left + len, sizeof(left) - len, "%s %d;", path, -error);
}

static const struct retention_ops ops = {.on_deleted = on_deleted, .on_left = on_left};

static int apply(void)
{
	uint64_t bytes;

	left[0] = '\0';
	n_deleted = 0;
	return retention_apply(root_fd, &plan, &ops, NULL, &bytes);
}

/* --- looking --- */

START_TEST(runs_and_traces_are_seen_with_their_sizes)
{
	add_trace("261101-100000", "main", 40 * KIB, NOW - 5);
	add_trace("261101-100000", "db", 20 * KIB, NOW - 9);
	look_and_plan((struct retention_limits){0}, NULL, 0);
	ck_assert_uint_eq(scan.n_runs, 1);
	ck_assert_uint_eq(scan.runs[0].n_traces, 2);
	ck_assert_str_eq(scan.runs[0].traces[1].name, "main");
	ck_assert_uint_ge(scan.runs[0].traces[1].bytes, 40 * KIB);
	ck_assert_uint_lt(scan.runs[0].traces[1].bytes, 60 * KIB);
	ck_assert_int_eq(scan.runs[0].newest_s, NOW - 5);
	ck_assert_uint_ge(scan.bytes, 60 * KIB);
	ck_assert(!scan.runs[0].is_open && !scan.runs[0].traces[0].is_live);
	ck_assert_uint_gt(scan.free_bytes, 0);
	ck_assert(plan.n_deletions == 0 && plan.n_shrinks == 0 && !plan.stop_growing);
}
END_TEST

START_TEST(what_others_keep_there_is_not_seen)
{
	auto_free char *elsewhere = xasprintf("%s/elsewhere", root);

	add_trace("261101-100000", "main", 8 * KIB, NOW - 100 * DAY);
	tree_write(root, "notes.txt", "mine");
	tree_fill(root, "backup/trace.db", 64 * KIB);
	tree_fill(root, "261102-100000/trace.db", 64 * KIB); /* no note */
	tree_mkdir(root, "elsewhere");
	add_trace("elsewhere", "main", 8 * KIB, NOW - 100 * DAY);
	tree_link(root, "261103-100000", elsewhere);
	tree_link(root, "261101-100000/linked", "../elsewhere/main");
	tree_write(root, "261101-100000/mine/file", "mine");
	look_and_plan((struct retention_limits){.max_age_s = 1}, NULL, 0);
	ck_assert_uint_eq(scan.n_runs, 1);
	ck_assert_uint_eq(scan.runs[0].n_traces, 1);
	ck_assert_uint_lt(scan.bytes, 30 * KIB);
	ck_assert_int_eq(apply(), 0);
	ck_assert(tree_has(root, "notes.txt") && tree_has(root, "backup/trace.db") &&
		  tree_has(root, "261102-100000/trace.db") &&
		  tree_has(root, "elsewhere/main/trace.db") && tree_has(root, "261103-100000"));
	/* In a run of ours they are left, with the folder, and told. */
	ck_assert(tree_has(root, "261101-100000/mine/file") &&
		  tree_has(root, "261101-100000/linked") && !tree_has(root, "261101-100000/main"));
	ck_assert_str_eq(left, "261101-100000/linked 17;261101-100000/mine 17;");
	/* But only once. */
	look_and_plan((struct retention_limits){.max_age_s = 1}, NULL, 0);
	ck_assert_uint_eq(scan.n_runs, 0);
}
END_TEST

START_TEST(what_is_recorded_is_live)
{
	static const char *const live[] = {"261101-100000/db", "261101-10000/x", "261101-100000"};
	int lock_fd;

	add_trace("261101-100000", "main", KIB, NOW - 100 * DAY);
	add_trace("261101-100000", "db", KIB, NOW - 100 * DAY);
	add_trace("261101-100000", "ended", KIB, NOW - 100 * DAY);
	lock_fd = lock_trace("261101-100000/main");
	look_and_plan((struct retention_limits){.max_age_s = DAY}, live, 3);
	ck_assert(scan.runs[0].is_open);
	ck_assert_uint_eq(plan.n_deletions, 1);
	ck_assert_str_eq(plan.deletions[0].trace, "ended");
	ck_assert_int_eq(plan.deletions[0].reason, RETENTION_TOO_OLD);
	ck_assert_int_eq(apply(), 0);
	ck_assert(tree_has(root, "261101-100000/main/trace.db") &&
		  tree_has(root, "261101-100000/db/trace.db") &&
		  !tree_has(root, "261101-100000/ended") && tree_has(root, "261101-100000/run"));
	close(lock_fd);
}
END_TEST

START_TEST(a_run_that_is_held_stays_without_traces)
{
	auto_close int fd = -1;
	int lock_fd;

	tree_write(root, "261101-100000/run", NOTE);
	tree_touch(root, "261101-100000/run", NOW - 100 * DAY);
	fd = tree_open(root, "261101-100000");
	lock_fd = folder_note_lock(fd, "run", NOTE_SHARED);
	look_and_plan((struct retention_limits){.max_age_s = DAY}, NULL, 0);
	ck_assert_uint_eq(plan.n_deletions, 0);
	close(lock_fd);
	look_and_plan((struct retention_limits){.max_age_s = DAY}, NULL, 0);
	ck_assert_uint_eq(plan.n_deletions, 1);
	ck_assert_int_eq(apply(), 0);
	ck_assert(!tree_has(root, "261101-100000"));
}
END_TEST

/* --- deciding: scans that are invented --- */

static struct retention_trace traces[4] = {
    {.name = (char[]){"a"}, .bytes = 100},
    {.name = (char[]){"b"}, .bytes = 100},
    {.name = (char[]){"c"}, .bytes = 600, .is_live = true},
    {.name = (char[]){"d"}, .bytes = 200, .is_live = true},
};

static struct retention_run runs[4] = {
    {.name = (char[]){"261101-100000"}, .bytes = 100, .traces = &traces[0], .n_traces = 1},
    {.name = (char[]){"261102-100000"}, .bytes = 300, .traces = &traces[0], .n_traces = 1},
    {.name = (char[]){"261103-100000"}, .bytes = 200, .traces = &traces[0], .n_traces = 1},
    {.name = (char[]){"261104-100000"},
     .bytes = 900,
     .traces = &traces[1],
     .n_traces = 3,
     .is_open = true},
};

static const struct retention_scan invented = {
    .runs = runs, .n_runs = 4, .bytes = 1500, .free_bytes = 5000};

static void decide(struct retention_limits limits, bool is_stopped)
{
	/* The second run has been written last before the one that goes on. */
	runs[0].newest_s = NOW - 40 * DAY;
	runs[1].newest_s = NOW - 10 * DAY;
	runs[2].newest_s = NOW - 20 * DAY;
	runs[3].newest_s = NOW;
	traces[1].newest_s = NOW - 30 * DAY;
	retention_plan_done(&plan);
	retention_plan(&invented, &limits, NOW, is_stopped, &plan);
}

/* "261101-100000 261104-100000/b" */
static const char *planned(void)
{
	static char text[512];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < plan.n_deletions; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%s%s", i ? " " : "",
					plan.deletions[i].run, plan.deletions[i].trace ? "/" : "",
					plan.deletions[i].trace ? plan.deletions[i].trace : "");
	return text;
}

START_TEST(no_limit_deletes_nothing)
{
	decide((struct retention_limits){0}, false);
	ck_assert_str_eq(planned(), "");
	ck_assert_uint_eq(plan.left_bytes, 1500);
}
END_TEST

START_TEST(the_oldest_go_first_and_no_more_than_needed)
{
	decide((struct retention_limits){.max_use_bytes = 1500}, false);
	ck_assert_str_eq(planned(), "");
	decide((struct retention_limits){.max_use_bytes = 1499}, false);
	ck_assert_str_eq(planned(), "261101-100000");
	decide((struct retention_limits){.max_use_bytes = 1301}, false);
	ck_assert_str_eq(planned(), "261101-100000 261104-100000/b");
	decide((struct retention_limits){.max_use_bytes = 1299}, false);
	ck_assert_str_eq(planned(), "261101-100000 261104-100000/b 261103-100000");
	ck_assert_uint_eq(plan.delete_bytes, 400);
	ck_assert_uint_eq(plan.left_bytes, 1100);
	ck_assert_uint_eq(plan.n_shrinks, 0);
}
END_TEST

START_TEST(what_is_too_old_goes_whatever_the_space)
{
	decide((struct retention_limits){.max_age_s = 25 * DAY, .max_use_bytes = 1000000}, false);
	ck_assert_str_eq(planned(), "261101-100000 261104-100000/b");
	ck_assert_int_eq(plan.deletions[0].reason, RETENTION_TOO_OLD);
	decide((struct retention_limits){.max_age_s = 40 * DAY}, false);
	ck_assert_str_eq(planned(), "");
}
END_TEST

START_TEST(live_traces_lose_in_proportion_when_only_they_are_left)
{
	decide((struct retention_limits){.max_use_bytes = 640}, false);
	ck_assert_uint_eq(plan.n_deletions, 4);
	ck_assert_uint_eq(plan.left_bytes, 800);
	/* Down to 600: a little less than allowed. */
	ck_assert_uint_eq(plan.n_shrinks, 2);
	ck_assert_str_eq(plan.shrinks[0].trace, "c");
	ck_assert_uint_eq(plan.shrinks[0].lose_bytes, 150);
	ck_assert_uint_eq(plan.shrinks[1].lose_bytes, 50);
	decide((struct retention_limits){.max_use_bytes = 1}, false);
	ck_assert_uint_eq(plan.shrinks[0].lose_bytes + plan.shrinks[1].lose_bytes, 800);
}
END_TEST

START_TEST(a_disk_filled_by_others_deletes_nothing_but_stops_growth)
{
	decide((struct retention_limits){.keep_free_bytes = 5000}, false);
	ck_assert(!plan.stop_growing);
	decide((struct retention_limits){.keep_free_bytes = 5001}, false);
	ck_assert(plan.stop_growing);
	ck_assert_str_eq(planned(), "");
	ck_assert_uint_eq(plan.n_shrinks, 0);
}
END_TEST

START_TEST(growth_is_resumed_with_room_to_spare)
{
	decide((struct retention_limits){.keep_free_bytes = 4800}, false);
	ck_assert(!plan.stop_growing);
	decide((struct retention_limits){.keep_free_bytes = 4800}, true);
	ck_assert(plan.stop_growing);
	decide((struct retention_limits){.keep_free_bytes = 4400}, true);
	ck_assert(!plan.stop_growing);
}
END_TEST

START_TEST(by_hand_keep_free_deletes)
{
	decide((struct retention_limits){.keep_free_bytes = 5150, .delete_to_keep_free = true},
	       false);
	ck_assert_str_eq(planned(), "261101-100000 261104-100000/b");
	ck_assert_int_eq(plan.deletions[0].reason, RETENTION_DISK_FULL);
	ck_assert(!plan.stop_growing);
	decide((struct retention_limits){.keep_free_bytes = 9999, .delete_to_keep_free = true},
	       false);
	ck_assert_uint_eq(plan.n_deletions, 4);
	ck_assert(plan.stop_growing);
}
END_TEST

/* --- doing --- */

static void plan_all(void)
{
	look_and_plan((struct retention_limits){.max_age_s = DAY}, NULL, 0);
}

START_TEST(all_files_of_a_run_go)
{
	add_trace("261101-100000", "main", KIB, NOW - 9 * DAY);
	tree_write(root, "261101-100000/main/trace.db-wal", "");
	tree_write(root, "261101-100000/main/trace.db-shm", "");
	tree_write(root, "261101-100000/main/trace.db-journal", "");
	for (int i = 0; i < 3; i++) {
		static const char *const endings[] = {"wal", "shm", "journal"};
		auto_free char *path = xasprintf("261101-100000/main/trace.db-%s", endings[i]);

		tree_touch(root, path, NOW - 9 * DAY);
	}
	add_trace("261102-100000", "main", KIB, NOW);
	tree_link(root, "latest", "261101-100000");
	plan_all();
	ck_assert_int_eq(apply(), 0);
	ck_assert_int_eq(n_deleted, 1);
	ck_assert_str_eq(left, "");
	ck_assert(!tree_has(root, "261101-100000"));
	ck_assert_str_eq(tree_readlink(root, "latest"), "261102-100000");
}
END_TEST

START_TEST(files_that_are_not_ours_are_left_and_told)
{
	add_trace("261101-100000", "main", KIB, NOW - 9 * DAY);
	add_trace("261101-100000", "db", KIB, NOW - 9 * DAY);
	tree_write(root, "261101-100000/main/notes.txt", "mine");
	plan_all();
	ck_assert_int_eq(apply(), 0);
	ck_assert_str_eq(left, "261101-100000/main/notes.txt 17;261101-100000/main 17;");
	ck_assert(tree_has(root, "261101-100000/main/notes.txt") &&
		  !tree_has(root, "261101-100000/main/trace.db") &&
		  !tree_has(root, "261101-100000/db") && !tree_has(root, "261101-100000/run"));
}
END_TEST

/* The folder of a trace belongs to the worker, which may turn bad. */
START_TEST(planted_links_and_folders_lead_nowhere)
{
	auto_free char *victim = xasprintf("%s/victim", root);

	tree_write(root, "victim/trace.db", "precious");
	tree_write(root, "victim/target", NOTE);
	add_trace("261101-100000", "a", KIB, NOW - 9 * DAY);
	add_trace("261101-100000", "b", KIB, NOW - 9 * DAY);
	tree_link(root, "261101-100000/a/trace.db-wal", "/etc/passwd");
	tree_link(root, "261101-100000/a/trace.db-shm", victim);
	unlinkat(root_fd, "261101-100000/b/target", 0);
	tree_link(root, "261101-100000/b/target", "../../victim/target");
	tree_mkdir(root, "261101-100000/b/trace.db-wal");
	tree_link(root, "261101-100000/c", victim);
	plan_all();
	ck_assert_uint_eq(plan.n_deletions, 1);
	ck_assert_int_eq(apply(), 0);
	ck_assert(tree_has(root, "victim/trace.db") && tree_has(root, "victim/target"));
	ck_assert_int_eq(access("/etc/passwd", R_OK), 0);
	ck_assert(!tree_has(root, "261101-100000/a"));
	ck_assert_ptr_nonnull(strstr(left, "261101-100000/b/trace.db-wal 17;"));
	/* The folder itself is replaced by a link between looking and deleting. */
	add_trace("261102-100000", "x", KIB, NOW - 9 * DAY);
	plan_all();
	ck_assert_int_eq(renameat(root_fd, "261102-100000", root_fd, "moved"), 0);
	tree_link(root, "261102-100000", victim);
	ck_assert_int_lt(apply(), 0);
	ck_assert(tree_has(root, "victim/trace.db") && tree_has(root, "moved/x/trace.db"));
}
END_TEST

START_TEST(what_is_recorded_since_is_not_deleted)
{
	int lock_fd;

	add_trace("261101-100000", "main", KIB, NOW - 9 * DAY);
	add_trace("261101-100000", "db", KIB, NOW - 9 * DAY);
	plan_all();
	ck_assert_uint_eq(plan.n_deletions, 1);
	lock_fd = lock_trace("261101-100000/main");
	ck_assert_int_eq(apply(), -EBUSY);
	ck_assert_str_eq(left, "261101-100000/main 16;");
	ck_assert_int_eq(n_deleted, 0);
	ck_assert(tree_has(root, "261101-100000/main/trace.db") &&
		  tree_has(root, "261101-100000/run"));
	close(lock_fd);
}
END_TEST

START_TEST(names_that_are_none_are_not_deleted)
{
	static const struct retention_deletion wrong[] = {
	    {.run = ".."},
	    {.run = "victim"},
	    {.run = "261101-100000", .trace = ".."},
	    {.run = "261101-100000", .trace = "../victim"},
	};

	tree_write(root, "victim/run", NOTE);
	tree_write(root, "victim/target", NOTE);
	add_trace("261101-100000", "main", KIB, NOW);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_int_eq(retention_delete(root_fd, &wrong[i], &ops, NULL), -EINVAL);
	ck_assert(tree_has(root, "victim/run") && tree_has(root, "victim/target"));
}
END_TEST

START_TEST(an_interrupted_deletion_is_finished)
{
	add_trace("261101-100000", "main", KIB, NOW - 9 * DAY);
	unlinkat(root_fd, "261101-100000/main/trace.db", 0);
	plan_all();
	ck_assert_int_eq(apply(), 0);
	ck_assert(!tree_has(root, "261101-100000"));
}
END_TEST

static uint64_t lost_bytes;

static void shrink(void *ctx, const struct retention_shrink *s)
{
	(void)ctx;
	ck_assert_str_eq(s->run, "261101-100000");
	lost_bytes += s->lose_bytes;
}

START_TEST(live_traces_are_told_to_shrink)
{
	static const struct retention_ops shrinking = {
	    .on_deleted = on_deleted, .on_left = on_left, .shrink = shrink};
	int a_fd, b_fd;
	uint64_t bytes;

	add_trace("261101-100000", "a", 64 * KIB, NOW);
	add_trace("261101-100000", "b", 64 * KIB, NOW);
	a_fd = lock_trace("261101-100000/a");
	b_fd = lock_trace("261101-100000/b");
	look_and_plan((struct retention_limits){.max_use_bytes = 100 * KIB}, NULL, 0);
	lost_bytes = 0;
	ck_assert_int_eq(retention_apply(root_fd, &plan, &shrinking, NULL, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	ck_assert_uint_ge(lost_bytes, scan.bytes - 100 * KIB);
	ck_assert_uint_lt(lost_bytes, scan.bytes - 80 * KIB);
	close(a_fd);
	close(b_fd);
}
END_TEST

/* --- a long time, many runs --- */

static void name_run(int64_t time_s, char buf[static 32])
{
	time_t t = (time_t)time_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	snprintf(buf, 32, "%02d%02d%02d-%02d%02d%02d", tm.tm_year % 100, tm.tm_mon + 1, tm.tm_mday,
		 tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Two runs a day that grow by 8 KiB an hour, looked at every hour. */
START_TEST(thirty_days_stay_inside_the_limits)
{
	const struct retention_limits limits = {.max_use_bytes = 1024 * KIB, .max_age_s = 7 * DAY};
	auto_close int lock_fd = -1;
	char run[32] = "", trace[48] = "";
	uint64_t bytes, most = 0;
	size_t n_runs_most = 0;

	for (int64_t now_s = NOW; now_s < NOW + 30 * DAY; now_s += 3600) {
		int64_t hour = (now_s - NOW) / 3600 % 12;

		if (hour == 0) {
			if (lock_fd >= 0)
				close(lock_fd);
			name_run(now_s, run);
			snprintf(trace, sizeof(trace), "%s/main", run);
			add_trace(run, "main", KIB, now_s);
			lock_fd = lock_trace(trace);
		}
		snprintf(trace, sizeof(trace), "%s/main/trace.db", run);
		tree_fill(root, trace, (size_t)(hour + 1) * 8 * KIB);
		tree_touch(root, trace, now_s);
		retention_plan_done(&plan);
		retention_scan_done(&scan);
		ck_assert_int_eq(retention_scan(root_fd, NULL, 0, &scan), 0);
		retention_plan(&scan, &limits, now_s, false, &plan);
		ck_assert_uint_eq(plan.n_shrinks, 0);
		ck_assert_int_eq(retention_apply(root_fd, &plan, &ops, NULL, &bytes), 0);
		ck_assert_uint_le(scan.bytes - bytes, limits.max_use_bytes);
		ck_assert(tree_has(root, trace));
		most = scan.bytes - bytes > most ? scan.bytes - bytes : most;
		n_runs_most = scan.n_runs > n_runs_most ? scan.n_runs : n_runs_most;
	}
	/* The space is used, not merely kept below. */
	ck_assert_uint_gt(most, limits.max_use_bytes * 8 / 10);
	ck_assert_uint_ge(n_runs_most, 9);
}
END_TEST

/* CPU time: how long a disk takes for it is not ours to say. */
START_TEST(thousands_of_runs_take_no_time)
{
	uint64_t start_ns;
	char run[32];

	for (int i = 0; i < 3000; i++) {
		name_run(NOW - i * INT64_C(3600), run);
		add_trace(run, "main", 16, NOW - i * INT64_C(3600));
	}
	start_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
	look_and_plan((struct retention_limits){.max_age_s = 25 * UINT64_C(3600)}, NULL, 0);
	ck_assert_uint_eq(scan.n_runs, 3000);
	ck_assert_uint_eq(plan.n_deletions, 3000 - 26);
	ck_assert_int_eq(apply(), 0);
	ck_assert_uint_lt(clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - start_ns, 3 * NS_PER_S);
	look_and_plan((struct retention_limits){0}, NULL, 0);
	ck_assert_uint_eq(scan.n_runs, 26);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("retention");
	TCase *tc = tcase_create("retention");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, runs_and_traces_are_seen_with_their_sizes);
	tcase_add_test(tc, what_others_keep_there_is_not_seen);
	tcase_add_test(tc, what_is_recorded_is_live);
	tcase_add_test(tc, a_run_that_is_held_stays_without_traces);
	tcase_add_test(tc, no_limit_deletes_nothing);
	tcase_add_test(tc, the_oldest_go_first_and_no_more_than_needed);
	tcase_add_test(tc, what_is_too_old_goes_whatever_the_space);
	tcase_add_test(tc, live_traces_lose_in_proportion_when_only_they_are_left);
	tcase_add_test(tc, a_disk_filled_by_others_deletes_nothing_but_stops_growth);
	tcase_add_test(tc, growth_is_resumed_with_room_to_spare);
	tcase_add_test(tc, by_hand_keep_free_deletes);
	tcase_add_test(tc, all_files_of_a_run_go);
	tcase_add_test(tc, files_that_are_not_ours_are_left_and_told);
	tcase_add_test(tc, planted_links_and_folders_lead_nowhere);
	tcase_add_test(tc, what_is_recorded_since_is_not_deleted);
	tcase_add_test(tc, names_that_are_none_are_not_deleted);
	tcase_add_test(tc, an_interrupted_deletion_is_finished);
	tcase_add_test(tc, live_traces_are_told_to_shrink);
	tcase_add_test(tc, thirty_days_stay_inside_the_limits);
	tcase_add_test(tc, thousands_of_runs_take_no_time);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

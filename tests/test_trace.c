/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening traces in all the states in which they are found. */
#include "reader/trace.h"

#include <check.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "tests/support/trace_records.h"
#include "tests/support/whole_sums.h"

#define N_EVENTS 200000

static char *folder, *other;
static char why[512];

static void setup(void)
{
	folder = test_folder_new();
	other = test_folder_new();
	ck_assert_int_eq(chmod(other, 0755), 0);
}

static void teardown(void)
{
	chmod(other, 0700);
	test_folder_remove(folder);
	test_folder_remove(other);
}

/* A trace that has some blocks, not ended yet. */
static struct trace_writer *write_some(void)
{
	struct trace_writer *w = test_writer_new(folder);
	uint64_t now_ns = TEST_START_NS;
	unsigned seed = 1;

	put_thread(w, 1, now_ns);
	put_code(w, 1, "/app/a.py", "main");
	for (unsigned i = 0; i < N_EVENTS; i++) {
		seed = seed * 1664525u + 1013904223u;
		now_ns += 2000 + seed % 3000;
		put_stack(w, 1, now_ns, 0,
			  (struct record_frame[]){{1, (int32_t)(i % 2 * 100 + (seed >> 24))}}, 1);
	}
	ck_assert_int_eq(trace_writer_tick(w, now_ns + 2 * TEST_START_NS), 0);
	return w;
}

static void write_whole(void)
{
	ck_assert_int_eq(
	    trace_writer_close(write_some(), TEST_START_NS + UINT64_C(1000000000), "stopped"), 0);
}

static int try_open(const char *path, struct trace **ret)
{
	why[0] = 0;
	return trace_open(path, ret, why, sizeof(why));
}

static void assert_refused(const char *path, int error, const char *reason)
{
	struct trace *t = NULL;

	ck_assert_int_eq(try_open(path, &t), error);
	ck_assert_ptr_null(t);
	ck_assert_msg(strstr(why, reason), "'%s' is not in '%s'", reason, why);
}

static uint64_t count_events(const char *path)
{
	struct trace_summary summary;
	struct trace *t = NULL;

	ck_assert_msg(try_open(path, &t) == 0, "%s", why);
	ck_assert_int_eq(trace_summarise(t, &summary), 0);
	trace_close(t);
	return summary.n_events;
}

static void copy_file(const char *name, size_t limit)
{
	auto_free char *from = xasprintf("%s/%s", folder, name);
	auto_free char *to = xasprintf("%s/%s", other, name);
	auto_fclose FILE *in = fopen(from, "re");
	auto_fclose FILE *out = fopen(to, "we");
	char buf[4096];
	size_t n;

	ck_assert(in && out);
	while (limit && (n = fread(buf, 1, limit < sizeof(buf) ? limit : sizeof(buf), in)) > 0) {
		ck_assert_uint_eq(fwrite(buf, 1, n, out), n);
		limit -= n;
	}
}

static void run_sql(const char *path, const char *sql)
{
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

START_TEST(a_folder_and_its_database_are_the_same)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	auto_free char *slash = xasprintf("%s/", folder);

	write_whole();
	ck_assert_uint_eq(count_events(folder), N_EVENTS);
	ck_assert_uint_eq(count_events(path), N_EVENTS);
	ck_assert_uint_eq(count_events(slash), N_EVENTS);
}
END_TEST

START_TEST(what_is_not_there_is_told)
{
	assert_refused("/nonexistent/trace", -ENOENT, "No such file");
	assert_refused("", -ENOENT, "No such file");
	assert_refused(folder, -ENOENT, "trace.db");
}
END_TEST

START_TEST(what_is_not_a_trace_is_told)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	auto_fclose FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	assert_refused("/dev/null", -EBADMSG, "not a trace");
	assert_refused(folder, -EBADMSG, "not a trace");
	for (int i = 0; i < 1000; i++)
		fputs("This is a text, not a trace.\n", f);
	fflush(f);
	assert_refused(folder, -EBADMSG, "not a trace");
}
END_TEST

START_TEST(another_program_s_database_is_not_a_trace)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);

	run_sql(path, "CREATE TABLE blocks (id)");
	assert_refused(path, -EBADMSG, "another program");
}
END_TEST

START_TEST(a_newer_or_older_trace_is_refused)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);

	write_whole();
	run_sql(path, "PRAGMA user_version = 1");
	assert_refused(folder, -EPROTONOSUPPORT, "older");
	run_sql(path, "PRAGMA user_version = 3");
	assert_refused(folder, -EPROTONOSUPPORT, "newer");
}
END_TEST

START_TEST(a_trace_is_read_while_it_is_written)
{
	struct trace_writer *w = write_some();

	ck_assert_uint_eq(count_events(folder), N_EVENTS);
	ck_assert_int_eq(trace_writer_close(w, 3 * TEST_START_NS, "stopped"), 0);
}
END_TEST

START_TEST(a_killed_recorder_s_trace_is_read)
{
	struct trace_writer *w = write_some();

	/* What a kill leaves: the files as they are at this moment. */
	copy_file("trace.db", SIZE_MAX);
	copy_file("trace.db-wal", SIZE_MAX);
	copy_file("trace.db-shm", SIZE_MAX);
	ck_assert_int_eq(trace_writer_close(w, 3 * TEST_START_NS, "stopped"), 0);
	ck_assert_uint_eq(count_events(other), N_EVENTS);
}
END_TEST

/* In a child without the right to write to the folder. Returns the events read, 0 on error. */
static uint64_t count_as_nobody(const char *path)
{
	uint64_t n = 0;
	int fds[2];
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct trace_summary summary = {0};
		struct trace *t = NULL;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		if (try_open(path, &t) == 0)
			trace_summarise(t, &summary);
		else
			fprintf(stderr, "%s: %s\n", path, why);
		_exit(write(fds[1], &summary.n_events, 8) == 8 ? 0 : 1);
	}
	close(fds[1]);
	if (read(fds[0], &n, sizeof(n)) != sizeof(n))
		n = 0;
	close(fds[0]);
	waitpid(pid, NULL, 0);
	return n;
}

START_TEST(reading_needs_no_right_to_write)
{
	struct trace_writer *w;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: reading as another user needs root\n");
		return;
	}
	ck_assert_int_eq(chmod(folder, 0755), 0);
	w = write_some();
	ck_assert_uint_eq(count_as_nobody(folder), N_EVENTS);

	copy_file("trace.db", SIZE_MAX);
	copy_file("trace.db-wal", SIZE_MAX);
	ck_assert_uint_eq(count_as_nobody(other), N_EVENTS);
	copy_file("trace.db-shm", SIZE_MAX);
	ck_assert_uint_eq(count_as_nobody(other), N_EVENTS);

	ck_assert_int_eq(trace_writer_close(w, 3 * TEST_START_NS, "stopped"), 0);
	ck_assert_uint_eq(count_as_nobody(folder), N_EVENTS);
}
END_TEST

START_TEST(a_database_without_its_wal_gives_what_it_has)
{
	struct trace_writer *w = write_some();
	struct trace_summary summary = {0};
	struct trace *t = NULL;

	copy_file("trace.db", SIZE_MAX);
	ck_assert_int_eq(trace_writer_close(w, 3 * TEST_START_NS, "stopped"), 0);
	/* How much that is depends on the last checkpoint; it may be no trace yet. */
	if (try_open(other, &t) == 0)
		trace_summarise(t, &summary);
	ck_assert_uint_le(summary.n_events, N_EVENTS);
	trace_close(t);
}
END_TEST

START_TEST(a_trace_cut_off_anywhere_gives_what_is_left)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	size_t best = 0;
	struct stat st;

	write_whole();
	ck_assert_int_eq(stat(path, &st), 0);
	for (size_t cut = 0; cut < (size_t)st.st_size; cut += (size_t)st.st_size / 23) {
		struct trace_summary summary;
		struct whole_sums sums;
		struct trace_line *lines = NULL;
		struct trace *t = NULL;
		size_t n_lines;

		copy_file("trace.db", cut);
		if (try_open(other, &t) < 0)
			continue;
		/* A last page that is there in part is only noticed by what is in it. */
		ck_assert(trace_is_damaged(t) || cut + 4096 > (size_t)st.st_size);
		trace_summarise(t, &summary);
		trace_sum_lines(t, &lines, &n_lines);
		whole_sums_read(t, &sums);
		if (sums.n_nodes > best)
			best = sums.n_nodes;
		free(lines);
		trace_close(t);
	}
	ck_assert_uint_gt(best, 100);
}
END_TEST

START_TEST(a_damaged_block_costs_only_itself)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	struct whole_sums sums;
	struct trace *t = NULL;

	write_whole();
	run_sql(path, "UPDATE blocks SET data = zeroblob(length(data)) WHERE id = 2");
	ck_assert_int_eq(try_open(folder, &t), 0);
	ck_assert_int_eq(whole_sums_read(t, &sums), -EBADMSG);
	ck_assert_uint_eq(sums.totals.n_lost_blocks, 1);
	ck_assert_uint_eq(sums.totals.n_lost_events, 65536);
	ck_assert_uint_gt(sums.n_nodes, 100);
	trace_close(t);
}
END_TEST

START_TEST(rows_that_make_no_sense_do_no_harm)
{
	static const char *const damage[] = {
	    "UPDATE blocks SET data = 'text', first_ns = 'x', last_ns = -1",
	    "UPDATE OR REPLACE lines SET self_ns = 'x', visits = -1, file = -1, line = 1e300",
	    "UPDATE code SET file = 99, qualname = x'ff00'",
	    "UPDATE files SET path = 1.5, source = x'00', state = 99",
	    "UPDATE meta SET value = x'ff00ff'",
	    "DELETE FROM meta",
	    "DELETE FROM threads; DELETE FROM code; DELETE FROM files",
	    "DROP TABLE counters; DROP TABLE gaps",
	    "DROP TABLE blocks",
	};
	auto_free char *path = xasprintf("%s/trace.db", folder);
	struct trace_gaps gaps[N_GAP_REASONS];
	struct trace_summary summary;
	struct whole_sums sums;
	struct trace_line *lines = NULL;
	struct trace *t = NULL;
	uint64_t start, end;
	size_t n;

	write_whole();
	run_sql(path, damage[_i]);
	ck_assert_int_eq(try_open(folder, &t), 0);
	trace_summarise(t, &summary);
	trace_span(t, &start, &end);
	trace_sum_gaps(t, gaps);
	trace_sum_lines(t, &lines, &n);
	whole_sums_read(t, &sums);
	free(lines);
	trace_close(t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace");
	TCase *tc = tcase_create("trace");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_folder_and_its_database_are_the_same);
	tcase_add_test(tc, what_is_not_there_is_told);
	tcase_add_test(tc, what_is_not_a_trace_is_told);
	tcase_add_test(tc, another_program_s_database_is_not_a_trace);
	tcase_add_test(tc, a_newer_or_older_trace_is_refused);
	tcase_add_test(tc, a_trace_is_read_while_it_is_written);
	tcase_add_test(tc, a_killed_recorder_s_trace_is_read);
	tcase_add_test(tc, reading_needs_no_right_to_write);
	tcase_add_test(tc, a_database_without_its_wal_gives_what_it_has);
	tcase_add_test(tc, a_trace_cut_off_anywhere_gives_what_is_left);
	tcase_add_test(tc, a_damaged_block_costs_only_itself);
	tcase_add_loop_test(tc, rows_that_make_no_sense_do_no_harm, 0, 9);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

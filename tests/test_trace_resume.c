/* SPDX-License-Identifier: BSD-3-Clause */
/* Traces that another recorder goes on with, after an end and after a kill at any moment. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/trace_writer.h"
#include "reader/trace_lines.h"
#include "tests/support/trace_check.h"
#include "tests/support/trace_records.h"

#define T(ms) (TEST_START_NS + (uint64_t)(ms)*NS_PER_MS)

static char *folder, *path;

static void setup(void)
{
	folder = test_folder_new();
	path = xasprintf("%s/trace.db", folder);
}

static void teardown(void)
{
	test_folder_remove(folder);
	free(path);
}

static struct trace_about about_at(uint64_t now_ns)
{
	struct trace_about about = test_about;

	about.start_monotonic_ns = now_ns;
	about.start_realtime_ns += now_ns - TEST_START_NS;
	return about;
}

static int try_resume(uint64_t now_ns, struct trace_writer **ret)
{
	const struct trace_about about = about_at(now_ns);

	return trace_writer_resume(path, &about, test_read_source, NULL, ret);
}

static struct trace_writer *resume(uint64_t now_ns)
{
	struct trace_writer *w = NULL;
	int r = try_resume(now_ns, &w);

	ck_assert_msg(r == 0, "%s", strerror(-r));
	return w;
}

static void close_writer(struct trace_writer *w, uint64_t end_ns)
{
	ck_assert_int_eq(trace_writer_close(w, end_ns, "stopped"), 0);
}

/* Two threads, two functions, a second of each. */
static struct trace_writer *record_some(void)
{
	struct trace_writer *w = test_writer_new(folder);

	put_thread(w, 1, T(0));
	put_thread(w, 2, T(0));
	put_code(w, 1, "/app/a.py", "main");
	put_code(w, 2, "/app/a.py", "work");
	put_stack(w, 1, T(0), 0, FRAMES({1, 10}), 1);
	put_stack(w, 2, T(0), 0, FRAMES({2, 20}), 1);
	put_stack(w, 1, T(500), 1, FRAMES({2, 21}), 1);
	put_counters(w, T(1000), 100);
	return w;
}

/* In a child that gets no further than that; what it has stored stays as a kill leaves it. */
static void killed_after(void (*write)(void))
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		write();
		kill(getpid(), SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void record_and_store(void)
{
	trace_writer_tick(record_some(), T(1000));
}

START_TEST(numbers_go_on)
{
	struct trace_writer *w;

	killed_after(record_and_store);
	w = resume(T(5000));
	ck_assert_uint_eq(trace_writer_next_code(w), 3);
	ck_assert_uint_eq(trace_writer_next_thread(w), 3);
	ck_assert_int_eq(put_code(w, 1, "/app/a.py", "main"), -EINVAL);
	ck_assert_int_eq(put_thread(w, 2, T(5000)), -EINVAL);
	ck_assert_int_eq(put_thread(w, 3, T(5000)), 0);
	ck_assert_int_eq(put_stack(w, 3, T(5000), 0, FRAMES({2, 20}), 1), -EINVAL);
	ck_assert_int_eq(put_code(w, 3, "/app/b.py", "main"), 0);
	ck_assert_int_eq(put_stack(w, 3, T(5000), 0, FRAMES({3, 30}), 1), 0);
	ck_assert_uint_eq(trace_writer_next_code(w), 4);
	ck_assert_uint_eq(trace_writer_next_thread(w), 4);
	close_writer(w, T(6000));
	check_integrity(folder);
	ck_assert_int_eq(check_number(folder, "SELECT file FROM code WHERE id = 3"), 2);
	ck_assert_int_eq(check_number(folder, "SELECT count(*) FROM threads"), 3);
	ck_assert_int_eq(check_number(folder, "SELECT self_ns FROM lines WHERE file = 2"),
			 (int64_t)NS_PER_S);
}
END_TEST

START_TEST(the_time_between_is_a_gap)
{
	struct trace_writer *w;
	struct trace *t;

	killed_after(record_and_store);
	w = resume(T(5000));
	put_thread(w, 3, T(5000));
	close_writer(w, T(7000));
	t = check_open(folder);
	ck_assert_uint_eq(check_gaps(t, GAP_RECORDER_ABSENT).n, 1);
	ck_assert_uint_eq(check_gaps(t, GAP_RECORDER_ABSENT).ns, 4 * NS_PER_S);
	ck_assert_uint_eq(check_summary(t).observed_ns, 4 * NS_PER_S);
	trace_close(t);
	ck_assert_int_eq(
	    check_number(folder, "SELECT count(*) FROM threads WHERE last_ns = 2000000000"), 2);
	ck_assert_int_eq(check_number(folder, "SELECT count(*) FROM anchors"), 2);
	ck_assert_int_eq(check_number(folder, "SELECT max(monotonic_ns) FROM anchors"),
			 (int64_t)T(5000));
}
END_TEST

START_TEST(an_end_is_taken_back)
{
	struct trace_writer *w;
	struct trace *t;
	char *reason;

	close_writer(record_some(), T(1500));
	t = check_open(folder);
	ck_assert_int_eq(trace_has_ended(t), 1);
	trace_close(t);
	w = resume(T(2000));
	t = check_open(folder);
	ck_assert_int_eq(trace_has_ended(t), 0);
	ck_assert_int_eq(trace_meta_text(t, META_END_REASON, &reason), -ENOENT);
	/* From the end that was written, which is later than all else. */
	ck_assert_uint_eq(check_gaps(t, GAP_RECORDER_ABSENT).ns, NS_PER_S / 2);
	trace_close(t);
	close_writer(w, T(3000));
	t = check_open(folder);
	ck_assert_int_eq(trace_has_ended(t), 1);
	trace_close(t);
	check_integrity(folder);
}
END_TEST

START_TEST(counters_go_on)
{
	struct trace_writer_totals totals;
	struct trace_writer *w;
	struct trace *t;
	uint64_t n = 0;

	killed_after(record_and_store);
	w = resume(T(5000));
	trace_writer_totals(w, &totals);
	ck_assert_uint_eq(totals.transitions, 3);
	ck_assert_uint_eq(totals.blocks, 2);
	put_counters(w, T(6000), 10);
	put_counters(w, T(7000), 20);
	close_writer(w, T(7000));
	t = check_open(folder);
	ck_assert_int_eq(trace_counter(t, COUNTER_SNAPSHOTS, &n), 0);
	ck_assert_uint_eq(n, 120);
	ck_assert_int_eq(trace_counter(t, COUNTER_CUT "depth", &n), 0);
	ck_assert_uint_eq(n, 6);
	ck_assert_int_eq(trace_counter(t, COUNTER_TIME, &n), 0);
	ck_assert_uint_eq(n, T(7000));
	trace_close(t);
}
END_TEST

/* As earlier programs made it. */
static void drop_news(void)
{
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(db,
			 "ALTER TABLE blocks DROP COLUMN provenance; DROP TABLE functions;"
			 "DROP TABLE shared_lines",
			 NULL, NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
}

static int64_t n_provenance_columns(void)
{
	return check_number(folder, "SELECT count(*) FROM pragma_table_info('blocks')"
				    " WHERE name = 'provenance'");
}

static int64_t functions_from(void)
{
	struct trace *t = check_open(folder);
	int64_t from = 0;

	ck_assert_int_eq(trace_functions_from(t, &from), 0);
	trace_close(t);
	return from;
}

START_TEST(a_trace_of_an_earlier_program_gets_what_it_lacks)
{
	uint64_t counts[N_PROVENANCES];
	struct trace_writer *w;
	struct trace *t;

	killed_after(record_and_store);
	drop_news();
	t = check_open(folder); /* can be read as it is */
	ck_assert_uint_eq(check_summary(t).n_events, 3);
	trace_close(t);
	ck_assert(functions_from() == INT64_MAX);
	/* Refused: then it stays what it was. */
	ck_assert_int_eq(try_resume(T(1), &w), -EEXIST);
	ck_assert_int_eq(n_provenance_columns(), 0);
	ck_assert(functions_from() == INT64_MAX);

	w = resume(T(5000));
	ck_assert_int_eq(n_provenance_columns(), 1);
	put_code(w, 3, "/app/a.py", "main");
	put_thread(w, 3, T(5000));
	put_code(w, 4, "/app/a.py", "main.<locals>.<lambda>");
	put_thread(w, 4, T(5000));
	put_stack(w, 4, T(5001), 0, FRAMES({3, 1}, {4, 1}), 2);
	put_told(w, 3, T(5001), PROVENANCE_EXACT | TOLD_FIRST, 0, FRAMES({3, 1}), 1);
	put_told(w, 3, T(5002), PROVENANCE_EXACT, 0, FRAMES({3, 1}), 1);
	close_writer(w, T(6000));
	check_integrity(folder);
	t = check_open(folder);
	ck_assert_int_eq(trace_count_provenances(t, counts), 0);
	ck_assert_uint_eq(counts[PROVENANCE_OBSERVED], 4);
	ck_assert_uint_eq(counts[PROVENANCE_EXACT], 2);
	trace_close(t);
	ck_assert_int_eq(check_number(folder, "SELECT count(*) FROM shared_lines"), 2);
	/* Of the two blocks that were there the functions are not known. */
	ck_assert_int_eq(functions_from(), 3);
	ck_assert_int_eq(check_number(folder, "SELECT min(block) FROM functions"), 3);

	/* Counted on. */
	w = resume(T(7000));
	put_thread(w, 5, T(7000));
	put_told(w, 5, T(7001), PROVENANCE_PRECISE | TOLD_FIRST, 0, FRAMES({3, 1}), 0);
	put_code(w, 5, "/app/a.py", "main");
	put_told(w, 5, T(7002), PROVENANCE_PRECISE, 0, FRAMES({5, 1}), 1);
	close_writer(w, T(8000));
	t = check_open(folder);
	ck_assert_int_eq(trace_count_provenances(t, counts), 0);
	ck_assert_uint_eq(counts[PROVENANCE_OBSERVED], 4);
	ck_assert_uint_eq(counts[PROVENANCE_PRECISE], 1);
	ck_assert_uint_eq(counts[PROVENANCE_EXACT], 2);
	trace_close(t);
}
END_TEST

START_TEST(one_of_an_earlier_program_that_is_ended_stays_as_it_is)
{
	killed_after(record_and_store);
	drop_news();
	ck_assert_int_eq(trace_writer_end_abandoned(path, "recorder died"), 0);
	ck_assert_int_eq(n_provenance_columns(), 0);
	ck_assert(functions_from() == INT64_MAX);
	check_integrity(folder);
}
END_TEST

START_TEST(another_process_s_trace_is_left_alone)
{
	struct trace_about about = about_at(T(5000));
	struct trace_writer *w = NULL;

	close_writer(record_some(), T(1500));
	about.pid++;
	ck_assert_int_eq(trace_writer_resume(path, &about, NULL, NULL, &w), -EEXIST);
	about = about_at(T(5000));
	about.process_start_ticks++;
	ck_assert_int_eq(trace_writer_resume(path, &about, NULL, NULL, &w), -EEXIST);
	/* Time has begun anew. */
	about = about_at(T(1000));
	ck_assert_int_eq(trace_writer_resume(path, &about, NULL, NULL, &w), -EEXIST);
	ck_assert_ptr_null(w);
	ck_assert_int_eq(check_number(folder, "SELECT count(*) FROM meta WHERE key = 'end_ns'"), 1);
	ck_assert_int_eq(check_number(folder, "SELECT count(*) FROM gaps"), 0);
	check_integrity(folder);
}
END_TEST

static void run_sql(const char *sql)
{
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

START_TEST(what_can_t_be_gone_on_with_is_refused)
{
	static const struct {
		const char *sql;
		int error;
	} cases[] = {
	    {"PRAGMA user_version = 3", -EPROTONOSUPPORT},
	    {"PRAGMA user_version = 1", -EPROTONOSUPPORT},
	    {"PRAGMA application_id = 7", -EBADMSG},
	    {"DROP TABLE lines", -EBADMSG},
	    {"UPDATE counters SET value = 'many'", -EBADMSG},
	    {"UPDATE code SET id = 5000000000 WHERE id = 2", -EBADMSG},
	    {"PRAGMA foreign_keys = OFF; UPDATE threads SET id = -id", -EBADMSG},
	    {"UPDATE files SET id = 4000000000", -EBADMSG},
	    {"DELETE FROM meta", -EEXIST},
	};
	struct trace_writer *w = NULL;
	int r;

	close_writer(record_some(), T(1500));
	run_sql(cases[_i].sql);
	r = try_resume(T(5000), &w);
	ck_assert_msg(r == cases[_i].error, "%s: %s", cases[_i].sql, strerror(-r));
	ck_assert_ptr_null(w);
}
END_TEST

START_TEST(what_is_no_trace_is_refused)
{
	auto_free char *text = NULL;
	auto_free char *elsewhere = xasprintf("%s/other.db", folder);
	struct trace_writer *w = NULL;

	ck_assert_int_eq(try_resume(T(5000), &w), -ENOENT);
	check_write_file(path, "");
	ck_assert_int_eq(try_resume(T(5000), &w), -ENODATA);
	text = xcalloc(1, 20001);
	memset(text, 'x', 20000);
	check_write_file(path, text);
	ck_assert_int_eq(try_resume(T(5000), &w), -EBADMSG);
	unlink(path);
	close_writer(record_some(), T(1500));
	ck_assert_int_eq(rename(path, elsewhere), 0);
	ck_assert_int_eq(symlink(elsewhere, path), 0);
	ck_assert_int_eq(try_resume(T(5000), &w), -EBADMSG);
	ck_assert_ptr_null(w);
}
END_TEST

static int is_file_of_code(int code, int file)
{
	auto_free char *sql = xasprintf("SELECT file FROM code WHERE id = %d", code);

	return check_number(folder, sql) == file;
}

START_TEST(sources_that_are_the_same_keep_their_row)
{
	auto_free char *same = xasprintf("%s/same.py", folder);
	auto_free char *changed = xasprintf("%s/changed.py", folder);
	auto_free char *late = xasprintf("%s/late.py", folder);
	auto_free char *text = NULL;
	struct trace_writer *w;
	struct trace *t;
	size_t len;

	check_write_file(same, "same = 1\n");
	check_write_file(changed, "before = 1\n");
	w = test_writer_new(folder);
	put_code(w, 1, same, "f");
	put_code(w, 2, changed, "f");
	put_code(w, 3, late, "f");
	put_code(w, 4, "<string>", "f");
	close_writer(w, T(1000));
	check_write_file(changed, "after = 1\n");
	check_write_file(late, "late = 1\n");

	w = resume(T(2000));
	put_code(w, 5, same, "f");
	/* A function that was there before came from the text of before. */
	put_code(w, 6, changed, "f");
	put_code(w, 7, changed, "g");
	put_code(w, 8, changed, "g");
	put_code(w, 9, late, "h");
	put_code(w, 10, "<string>", "f");
	close_writer(w, T(3000));
	ck_assert(is_file_of_code(5, 1));
	ck_assert(is_file_of_code(6, 2));
	ck_assert(is_file_of_code(7, 5));
	ck_assert(is_file_of_code(8, 5));
	ck_assert(is_file_of_code(9, 6));
	ck_assert(is_file_of_code(10, 4));
	t = check_open(folder);
	ck_assert_uint_eq(trace_get_file(t, 1)->state, FILE_STORED);
	ck_assert_uint_eq(trace_get_file(t, 2)->state, FILE_CHANGED);
	ck_assert_uint_eq(trace_get_file(t, 3)->state, FILE_MISSING);
	ck_assert_uint_eq(trace_get_file(t, 5)->state, FILE_STORED);
	ck_assert_str_eq(trace_get_file(t, 5)->path, changed);
	ck_assert_int_eq(trace_file_source(t, 2, &text, &len), 0);
	ck_assert_str_eq(text, "before = 1\n");
	free(text);
	ck_assert_int_eq(trace_file_source(t, 5, &text, &len), 0);
	ck_assert_str_eq(text, "after = 1\n");
	trace_close(t);
	/* Once more: the newest row of a path is the one to go on with. */
	w = resume(T(4000));
	put_code(w, 11, changed, "i");
	close_writer(w, T(5000));
	ck_assert(is_file_of_code(11, 5));
	check_integrity(folder);
	unlink(same);
	unlink(changed);
	unlink(late);
}
END_TEST

START_TEST(a_reader_may_hold_the_trace_meanwhile)
{
	struct trace_writer *w;
	struct trace *t, *held;

	killed_after(record_and_store);
	held = check_open(folder);
	ck_assert_uint_eq(check_summary(held).n_threads, 2);
	w = resume(T(5000));
	put_thread(w, 3, T(5000));
	ck_assert_int_eq(trace_writer_tick(w, T(6000)), 0);
	ck_assert_uint_eq(check_summary(held).n_threads, 2);
	ck_assert_uint_eq(check_gaps(held, GAP_RECORDER_ABSENT).n, 0);
	t = check_open(folder);
	ck_assert_uint_eq(check_summary(t).n_threads, 3);
	trace_close(t);
	close_writer(w, T(7000));
	trace_close(held);
	check_integrity(folder);
}
END_TEST

START_TEST(an_abandoned_trace_gets_its_end)
{
	auto_free char *wal = xasprintf("%s/trace.db-wal", folder);
	auto_free char *reason = NULL;
	uint64_t start_ns, end_ns;
	struct trace *t;

	killed_after(record_and_store);
	ck_assert_int_eq(access(wal, F_OK), 0);
	ck_assert_int_eq(trace_writer_end_abandoned(path, "recorder killed"), 0);
	ck_assert_int_eq(access(wal, F_OK), -1);
	t = check_open(folder);
	ck_assert_int_eq(trace_has_ended(t), 1);
	ck_assert_int_eq(trace_meta_text(t, META_END_REASON, &reason), 0);
	ck_assert_str_eq(reason, "recorder killed");
	ck_assert_int_eq(trace_span(t, &start_ns, &end_ns), 0);
	ck_assert_uint_eq(end_ns, T(1000));
	trace_close(t);
	/* The first end stays. */
	ck_assert_int_eq(trace_writer_end_abandoned(path, "again"), 0);
	ck_assert_int_eq(check_number(folder, "SELECT value = 'recorder killed' FROM meta"
					      " WHERE key = 'end_reason'"),
			 1);
	ck_assert_int_eq(trace_writer_end_abandoned("/nonexistent/trace.db", ""), -ENOENT);
}
END_TEST

/* --- killed at any moment --- */

/* What a kill loses is no matter of a sanitizer, which reads the traces slowly. */
#ifdef __SANITIZE_ADDRESS__
#define N_KILLS 8
#else
#define N_KILLS 40
#endif
#define N_THREADS   4
#define N_CODES	    20
#define STEP_NS	    (20 * NS_PER_US)
#define KILL_MS	    25 /* at most so late */
#define LOST_NS_MAX (2 * NS_PER_S)

/*
 * What a recorder of a busy process puts, a hundred times faster than in life, for ever. The
 * time that it has got to is told before what happens in it.
 */
static void record_for_ever(struct trace_writer *w, uint64_t now_ns, int fd)
{
	uint32_t code = trace_writer_next_code(w), next_code = code;
	uint16_t thread = (uint16_t)trace_writer_next_thread(w);
	unsigned seed = (unsigned)getpid();

	for (uint16_t i = 0; i < N_THREADS; i++)
		put_thread(w, (uint16_t)(thread + i), now_ns);
	for (unsigned n = 0;; n++) {
		struct record_frame frames[2];

		seed = seed * 1664525u + 1013904223u;
		now_ns += STEP_NS;
		if (n % 5000 == 0 && pwrite(fd, &now_ns, sizeof(now_ns), 0) != sizeof(now_ns))
			_exit(1);
		/* Functions turn up all the time. */
		if (n % 500 == 0)
			put_code(w, next_code++, seed & 1024 ? "/app/a.py" : "/app/b.py", "f");
		for (unsigned i = 0; i < 2; i++)
			frames[i] =
			    (struct record_frame){.code = code + (seed >> 8) % (next_code - code),
						  .line = (int32_t)(seed >> (12 + i) & 31) + 1};
		/* The last thread only waits. */
		put_stack(w, (uint16_t)(thread + (n > 10 ? n % (N_THREADS - 1) : n % N_THREADS)),
			  now_ns, 0, frames, 1 + n % 2);
		if (n % 5000 == 0)
			put_counters(w, now_ns, n);
		if (n % 2500 == 0)
			trace_writer_tick(w, now_ns);
	}
}

/* Wait until the recorder has got so far, which takes long on a slow disk. */
static void wait_until(uint64_t until_ns, int fd, pid_t pid)
{
	uint64_t deadline_ns = clock_monotonic_ns() + 20 * NS_PER_S, now_ns = 0;

	while (pread(fd, &now_ns, sizeof(now_ns), 0) != sizeof(now_ns) || now_ns < until_ns) {
		ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
		ck_assert_uint_lt(clock_monotonic_ns(), deadline_ns);
		usleep(500);
	}
}

/* Killed once it has got to until_ns (0: at its beginning) and then some time later. */
static uint64_t killed_recorder(uint64_t start_ns, uint64_t until_ns, unsigned usleep_for)
{
	auto_fclose FILE *told = tmpfile();
	uint64_t now_ns = start_ns;
	int status;
	pid_t pid;

	ck_assert_ptr_nonnull(told);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct trace_writer *w = NULL;

		if (access(path, F_OK) < 0)
			w = test_writer_new(folder);
		else if (try_resume(start_ns, &w) < 0)
			_exit(1);
		record_for_ever(w, start_ns, fileno(told));
	}
	if (until_ns)
		wait_until(until_ns, fileno(told), pid);
	usleep(usleep_for);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status), "the recorder ended by itself: %d", WEXITSTATUS(status));
	/* When it was killed before it told anything, it had got nowhere. */
	if (pread(fileno(told), &now_ns, sizeof(now_ns), 0) != sizeof(now_ns))
		return start_ns;
	return now_ns;
}

/* bool: not a trace yet. Asked as another process, so that nothing is gone on with. */
static int is_empty(void)
{
	struct trace_about about = about_at(TEST_START_NS);
	struct trace_writer *w = NULL;

	about.pid++;
	return trace_writer_resume(path, &about, NULL, NULL, &w) != -EEXIST;
}

START_TEST(a_kill_at_any_moment_loses_two_seconds_at_most)
{
	uint64_t start_ns = TEST_START_NS, span_ns = 0;
	unsigned seed = (unsigned)getpid();

	for (unsigned i = 0; i < N_KILLS; i++) {
		uint64_t killed_ns, begun_ns, known_ns;
		struct trace_gaps gaps;
		struct trace *t;

		seed = seed * 1664525u + 1013904223u;
		/* Each fourth at its beginning. */
		killed_ns =
		    killed_recorder(start_ns, i % 4 ? start_ns + (seed >> 8) % 3000 * NS_PER_MS : 0,
				    (seed >> 4) % (KILL_MS * 1000u));
		/* A recorder may not even have come to creating its tables. */
		if (start_ns == TEST_START_NS && is_empty()) {
			test_folder_remove(folder);
			free(path);
			setup();
			continue;
		}
		check_integrity(folder);
		t = check_open(folder);
		ck_assert_int_eq(trace_has_ended(t), 0);
		ck_assert_int_eq(trace_span(t, &begun_ns, &known_ns), 0);
		ck_assert_msg(known_ns + LOST_NS_MAX >= killed_ns, "%g s lost",
			      (double)(killed_ns - known_ns) / (double)NS_PER_S);
		/* Of all threads that are still there, the one that waits too. */
		ck_assert_int_eq(
		    check_number(folder, "SELECT count(*) FROM threads WHERE last_ns IS NULL"
					 " AND (SELECT max(last_ns) FROM blocks WHERE thread ="
					 " threads.id) < (SELECT value FROM counters WHERE name ="
					 " 'time_ns') - 2000000000"),
		    0);
		gaps = check_gaps(t, GAP_RECORDER_ABSENT);
		ck_assert_uint_le(gaps.n, i);
		trace_close(t);
		span_ns += killed_ns - start_ns;
		start_ns = killed_ns + NS_PER_S;
	}
	/* The kills did not all come before anything had happened. */
	ck_assert_uint_gt(span_ns, N_KILLS * NS_PER_S / 2);
	close_writer(resume(start_ns), start_ns);
	check_integrity(folder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_resume");
	TCase *tc = tcase_create("trace_resume");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, numbers_go_on);
	tcase_add_test(tc, the_time_between_is_a_gap);
	tcase_add_test(tc, an_end_is_taken_back);
	tcase_add_test(tc, counters_go_on);
	tcase_add_test(tc, a_trace_of_an_earlier_program_gets_what_it_lacks);
	tcase_add_test(tc, one_of_an_earlier_program_that_is_ended_stays_as_it_is);
	tcase_add_test(tc, another_process_s_trace_is_left_alone);
	tcase_add_loop_test(tc, what_can_t_be_gone_on_with_is_refused, 0, 8);
	tcase_add_test(tc, what_is_no_trace_is_refused);
	tcase_add_test(tc, sources_that_are_the_same_keep_their_row);
	tcase_add_test(tc, a_reader_may_hold_the_trace_meanwhile);
	tcase_add_test(tc, an_abandoned_trace_gets_its_end);
	tcase_add_test(tc, a_kill_at_any_moment_loses_two_seconds_at_most);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

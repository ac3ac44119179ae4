/* SPDX-License-Identifier: BSD-3-Clause */
/* An invented trace with waits, and the subcommands run on it. For tests; a failure ends them. */
#ifndef TESTS_SUPPORT_WAITS_TRACE_H
#define TESTS_SUPPORT_WAITS_TRACE_H

#include <check.h>
#include <getopt.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "reader/trace_waits.h"
#include "recorder/oncpu/edge_events.h"
#include "tests/support/read_back.h"
#include "tests/support/trace_records.h"

DEFINE_CLEANUP(struct trace *, trace_close)
#define auto_trace auto_release(trace_close)

/* Milliseconds since the start. */
#define AT(ms)	 (TEST_START_NS + (uint64_t)(ms)*NS_PER_MS)
#define ARGS_MAX 16

/* Set by setup(). */
static char *folder, *source_path, *db_path;

static const struct wait_about a_recv = {
    .kind = "read",
    .call = "recvfrom",
    .what = "recv from 10.0.0.5:5432",
    .polled = 1,
    .native = "recv+0x10 (libc.so.6)\nPQconsumeInput+0x20 (libpq.so.5)\n_start+0x21 (python3)\n",
    .is_native_complete = 1,
};
static const struct wait_about another_stack = {
    .kind = "read",
    .call = "recvfrom",
    .what = "recv from 10.0.0.5:5432",
    .polled = 1,
    .native = "recv+0x10 (libc.so.6)\n... (no unwind table)\n",
};
static const struct wait_about a_poll = {
    .kind = "poll",
    .call = "epoll_wait",
    .what = "epoll: 3 descriptors",
    .polled = 3,
};

static inline void write_source(void)
{
	FILE *f = fopen(source_path, "we");

	ck_assert_ptr_nonnull(f);
	fputs("def main():\n    while poller.poll(): work()\n\ndef work():\n"
	      "    return sock.recv(4096)\n    y = 2\n",
	      f);
	fclose(f);
}

/*
 * Thread 1: polls at line 2 up to 400 ms, idle; then in work, line 5: it receives from 500 to 700,
 * from 710 to 1010 (another native stack), is ready up to 1030, waits for nothing known for 2 ms;
 * line 6 runs. Thread 2 is on line 6, and waits from 1500 on.
 */
static inline struct trace_writer *write_waits(void)
{
	struct trace_about about = test_about;
	struct trace_writer *w;

	about.edges = "exact";
	ck_assert_int_eq(trace_writer_create(db_path, &about, test_read_source, NULL, &w), 0);
	put_thread(w, 1, AT(0));
	put_thread(w, 2, AT(0));
	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "work");
	put_stack(w, 1, AT(0), 0, FRAMES({1, 2}), 1);
	put_stack(w, 2, AT(0), 0, FRAMES({2, 6}), 1);
	trace_writer_wait(w, 1, AT(100), AT(101), &a_poll);
	put_off(w, 1, AT(100), AT(400), EDGE_WAITING, 0);
	put_stack(w, 1, AT(450), 1, FRAMES({2, 5}), 1);
	trace_writer_wait(w, 1, AT(500), AT(501), &a_recv);
	put_off(w, 1, AT(500), AT(700), EDGE_WAITING, 0);
	trace_writer_wait(w, 1, AT(710), AT(711), &another_stack);
	put_off(w, 1, AT(710), AT(1010), EDGE_WAITING, 0);
	put_off(w, 1, AT(1010), AT(1030), EDGE_READY, 0);
	put_off(w, 1, AT(1040), AT(1042), EDGE_WAITING, 0);
	put_stack(w, 1, AT(1050), 1, FRAMES({2, 6}), 1);
	trace_writer_wait(w, 2, AT(1500), AT(1501), &a_recv);
	put_off(w, 2, AT(1500), AT(1600), EDGE_WAITING, 1);
	put_counters(w, AT(3500), 100);
	ck_assert_int_eq(trace_writer_tick(w, AT(5000)), 0);
	return w;
}

static inline void write_whole(void)
{
	ck_assert_int_eq(trace_writer_close(write_waits(), AT(4000), "stopped"), 0);
}

static inline void setup(void)
{
	folder = test_folder_new();
	source_path = xasprintf("%s/app.py", folder);
	db_path = xasprintf("%s/trace.db", folder);
	write_source();
	unsetenv("COLUMNS");
}

static inline void teardown(void)
{
	test_folder_remove(folder);
	free(source_path);
	free(db_path);
}

static inline struct trace *open_trace(void)
{
	struct trace *t = NULL;
	char why[512] = "";

	ck_assert_msg(trace_open(folder, &t, why, sizeof(why)) == 0, "%s", why);
	return t;
}

static inline void run_sql(const char *sql)
{
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open(db_path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* With these options, which NULL ends; output and errors in one text, the caller frees. */
static inline char *run(const struct command *cmd, int expected, const char *const *options)
{
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), argc = 0, status;
	char *argv[ARGS_MAX];
	FILE *f = tmpfile();
	char *text;

	argv[argc++] = xstrdup(cmd->name);
	while (*options)
		argv[argc++] = xstrdup(*options++);
	argv[argc++] = xstrdup(folder);
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
	ck_assert_msg(status == expected, "status %d:\n%s", status, text);
	return text;
}

#define RUN(cmd, expected, ...) run(&(cmd), expected, (const char *const[]){__VA_ARGS__, NULL})
#define RUN_PLAIN(cmd)		run(&(cmd), EXIT_OK, (const char *const[]){NULL})

static inline void assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "'%s' is not in:\n%s", part, text);
}

static inline void assert_lacks(const char *text, const char *part)
{
	ck_assert_msg(!strstr(text, part), "'%s' is in:\n%s", part, text);
}

#endif

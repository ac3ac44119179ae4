/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec status, against a collector's socket in another process: status in, exact text out. */
#include "cli/command.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/control_protocol.h"
#include "common/text.h"
#include "common/trace_folder.h"
#include "common/xalloc.h"
#include "recorder/control.h"
#include "recorder/control_socket.h"
#include "recorder/oncpu/edge_events.h"
#include "recorder/status.h"
#include "tests/support/read_back.h"
#include "tests/support/trace_records.h"
#include "tests/support/tree.h"

#define ARGS_MAX 8

static char *top;
static char *path;
static pid_t server;
/* What is answered: a text, or if that is NULL, the status. */
static const char *answer;
static struct status status;

static int on_request(void *ctx, const char *request, FILE *out)
{
	(void)ctx;
	if (strcmp(request, CONTROL_REQUEST_STATUS) != 0)
		return -EOPNOTSUPP;
	if (answer)
		fputs(answer, out);
	else
		status_write_json(&status, out);
	return 0;
}

/* Until it is killed; says on a pipe when it is there. */
static void serve(int ready_fd, gid_t gid)
{
	struct event_base *base = event_base_new();
	struct control *control;
	char why[512];

	if (control_new(base, path, gid, on_request, NULL, &control, why, sizeof(why)) < 0) {
		fprintf(stderr, "%s\n", why);
		_exit(1);
	}
	if (write(ready_fd, "", 1) != 1)
		_exit(1);
	event_base_dispatch(base);
	_exit(1);
}

static void start_server(gid_t gid)
{
	int fds[2];
	char byte;

	ck_assert_int_eq(pipe(fds), 0);
	server = fork();
	ck_assert_int_ge(server, 0);
	if (server == 0)
		serve(fds[1], gid);
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	close(fds[0]);
}

static void setup(void)
{
	umask(022);
	setenv("TZ", "UTC", 1);
	setenv("COLUMNS", "80", 1);
	top = tree_new();
	path = xasprintf("%s/run/collector.sock", top);
	answer = NULL;
	server = 0;
	status = (struct status){
	    .version = "0.1.0",
	    .pid = 812,
	    .since_unix_s = time(NULL) - 11045,
	    .root = "/var/log/walt/trackexec",
	    .root_state = STATUS_ROOT_PRESENT,
	    .rate_asked_hz = 5000,
	    .cpu_budget_percent = 5,
	    .cpu_percent = 2.104,
	    .rss_bytes = 14890000,
	    .is_disk_known = true,
	    .disk_use_bytes = UINT64_C(1288490189),
	    .max_use_bytes = UINT64_C(4) << 30,
	    .free_bytes = UINT64_C(33285996544),
	    .keep_free_bytes = UINT64_C(1) << 30,
	};
}

static void teardown(void)
{
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	tree_free(top);
	free(path);
}

/* With --socket, --root=TOP/log and one more option or NULL; output and errors in one text. */
static char *run(int expected, const char *option)
{
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), argc = 0, result;
	char *argv[ARGS_MAX];
	FILE *f = tmpfile();
	char *text;

	argv[argc++] = xstrdup("status");
	argv[argc++] = xasprintf("--socket=%s", path);
	argv[argc++] = xasprintf("--root=%s/log", top);
	if (option)
		argv[argc++] = xstrdup(option);
	argv[argc] = NULL;
	ck_assert_ptr_nonnull(f);
	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	dup2(fileno(f), STDERR_FILENO);
	optind = 0;
	result = cmd_status.run(argc, argv);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	text = read_back(f);
	ck_assert_msg(result == expected, "status %d:\n%s", result, text);
	return text;
}

static void assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "'%s' is not in:\n%s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
	ck_assert_msg(!strstr(text, part), "'%s' is in:\n%s", part, text);
}

static struct status_session sessions[] = {
    {
	.name = "server-main",
	.run = "261124-204711",
	.pid = 4242,
	.title = "walt-server-daemon:server-main",
	.python = "3.11.2",
	.state = STATUS_SESSION_RECORDING,
	.rate_asked_hz = 5000,
	.rate_allowed_hz = 2500,
	.rate_hz = 2487.4,
	.snapshots = 12345678,
	.dropped = 0,
	.bytes = 3365000,
    },
    {
	.name = "server-db",
	.run = "261124-204711",
	.pid = 1004243,
	.title = "walt-server-daemon:server-db",
	.python = "3.11.2",
	.state = STATUS_SESSION_WAITING,
	.rate_asked_hz = 0,
	.rate_allowed_hz = 20000,
	.rate_hz = 0,
	.snapshots = 999,
	.dropped = 10250,
	.bytes = 512,
	.gaps = 2,
	.restarts = 1,
	.edges = "coarse",
	.last_error = "worker 813 was killed by signal 11",
    },
};

static void add_sessions(void)
{
	sessions[0].since_unix_s = time(NULL) - 11045;
	sessions[1].since_unix_s = time(NULL) - 45;
	status.sessions = sessions;
	status.n_sessions = 2;
}

/* A clock may have moved on by a second since. */
START_TEST(all_is_shown_in_80_columns)
{
	auto_free char *text = NULL;
	char *line, *rest = NULL;

	add_sessions();
	start_server((gid_t)-1);
	text = run(EXIT_OK, NULL);
	if (getenv("SHOW"))
		fputs(text, stderr);
	assert_has(text, "trackexec-collector 0.1.0, pid 812, since 20");
	assert_has(text, "(3 h 04 min)\n"
			 "  root       /var/log/walt/trackexec\n"
			 "  effort     CPU 2.1 % of 5 % of a core; memory 14.2 MiB\n"
			 "  disk       1.20 GiB of 4.00 GiB used; 31.0 GiB free, keeps 1.00 GiB "
			 "free\n"
			 "  discovery  by the kernel's process events\n"
			 "  run        261124-204711\n"
			 "\n");
	assert_has(text, "NAME            PID  SINCE            RATE  SNAPSHOTS  DROPPED  BYTES  "
			 "STATE\n");
	assert_has(text, "   4242  3h04m  5000/2500/2487      12.3M        0  3.21M  recording\n");
	assert_has(text, "       max/20k/0        999    10.2k    512  waiting\n");
	assert_has(text, "server-db: 2 gaps, worker restarted 1 time, waits known to 20 ms only; "
			 "last error: worker 813 was killed by signal 11\n");
	assert_lacks(text, "server-main:");
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (!strstr(line, "last error"))
			ck_assert_msg(text_width(line) <= 80, "%s", line);
}
END_TEST

START_TEST(names_are_cut_to_fit)
{
	auto_free char *narrow = NULL, *wide = NULL;

	add_sessions();
	status.n_sessions = 1;
	sessions[0].name = "a-sub-process-with-a-long-name";
	start_server((gid_t)-1);
	narrow = run(EXIT_OK, NULL);
	assert_has(narrow, "\na-sub-proces\u2026  4242  ");
	unsetenv("COLUMNS");
	wide = run(EXIT_OK, NULL);
	assert_has(wide, "\na-sub-process-with-a-long-name  4242  ");
}
END_TEST

START_TEST(several_runs_are_told_apart)
{
	auto_free char *text = NULL;

	unsetenv("COLUMNS");
	add_sessions();
	sessions[1].run = "261120-101010";
	start_server((gid_t)-1);
	text = run(EXIT_OK, NULL);
	assert_lacks(text, "  run  ");
	assert_has(text, "\n261124-204711/server-main  ");
	assert_has(text, "\n261120-101010/server-db    ");
}
END_TEST

START_TEST(who_is_not_followed_is_shown_with_the_reason)
{
	static const struct status_refused refused[] = {
	    {
		.pid = 999,
		.uid = 0,
		.title = "walt-server-daemon:\x1b[2Jmine",
		.reason = "of another pid namespace",
	    },
	    {
		.pid = 1000,
		.uid = 3999999999,
		.title = "walt-server-daemon:..",
		.reason = "the name '..' is no name of a trace",
	    },
	};
	auto_free char *text = NULL;

	unsetenv("COLUMNS");
	status.refused = refused;
	status.n_refused = 2;
	start_server((gid_t)-1);
	text = run(EXIT_OK, NULL);
	assert_has(text, "\nNo process is being recorded.\n\n");
	assert_has(text, " PID  USER        TITLE                           NOT FOLLOWED BECAUSE\n"
			 " 999  root        walt-server-daemon:\\x1b[2Jmine  of another pid "
			 "namespace\n"
			 "1000  3999999999  walt-server-daemon:..           the name '..' is no "
			 "name of a trace\n");
	assert_lacks(text, "\x1b");
}
END_TEST

START_TEST(what_stands_in_the_way_is_shown)
{
	auto_free char *text = NULL;

	status.root_state = STATUS_ROOT_REFUSED;
	status.root_why = "/var/log belongs to someone else: chown it";
	status.events_error = -EPERM;
	status.cpu_percent = (double)NAN;
	start_server((gid_t)-1);
	text = run(EXIT_OK, NULL);
	assert_has(text, "  root       refused, nothing is recorded: /var/log belongs to someone "
			 "else: chown it\n"
			 "  effort     CPU - of 5 % of a core; memory 14.2 MiB\n"
			 "  discovery  by scanning; process events cannot be used: Operation not "
			 "permitted\n");
	assert_lacks(text, "disk");
}
END_TEST

START_TEST(an_absent_root_says_how_to_begin)
{
	auto_free char *text = NULL;

	status.root_state = STATUS_ROOT_ABSENT;
	start_server((gid_t)-1);
	text = run(EXIT_OK, NULL);
	assert_has(text, "  root       /var/log/walt/trackexec does not exist: nothing is "
			 "recorded;\n             to begin, make this folder as root\n");
}
END_TEST

START_TEST(a_full_disk_is_shown)
{
	auto_free char *text = NULL;

	status.is_growth_stopped = true;
	status.max_use_bytes = 0;
	status.keep_free_bytes = 0;
	start_server((gid_t)-1);
	text = run(EXIT_OK, NULL);
	assert_has(text,
		   "  disk       1.20 GiB used; 31.0 GiB free\n"
		   "             stopped: others fill the disk; goes on when there is room\n");
}
END_TEST

START_TEST(a_disk_that_was_not_looked_at_is_not_empty)
{
	auto_free char *text = NULL;

	status.is_disk_known = false;
	start_server((gid_t)-1);
	text = run(EXIT_OK, NULL);
	assert_has(text, "  disk       not looked at yet\n");
}
END_TEST

START_TEST(json_is_printed_as_it_is)
{
	auto_free char *text = NULL;
	auto_free char *expected = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&expected, &len);

	add_sessions();
	status_write_json(&status, f);
	fclose(f);
	/* But for what is known of the threads: nothing here. */
	expected[len - strlen("\n}\n")] = '\0';
	start_server((gid_t)-1);
	text = run(EXIT_OK, "--json");
	ck_assert_int_eq(strncmp(text, expected, strlen(expected)), 0);
	ck_assert_str_eq(text + strlen(expected), ",\n  \"now\": []\n}\n");
}
END_TEST

/* As of another version: what is missing or has another type is not known. */
START_TEST(other_answers_are_taken_as_far_as_they_go)
{
	static const char *const answers[] = {
	    "{}",
	    "{\"version\": 1, \"pid\": \"x\", \"since_unix_s\": -1, \"root\": [], \"disk\": 1}",
	    "{\"root\": {\"path\": 1, \"state\": {}}, \"disk\": {\"use_bytes\": \"much\"}}",
	    "{\"sessions\": {}, \"refused\": \"none\"}",
	    "{\"sessions\": [1, null, {}, []], \"refused\": [{}, 2, {\"uid\": 1e300}]}",
	    ("{\"sessions\": [{\"rate_hz\": 1e308, \"since_unix_s\": 9223372036854775807,"
	     " \"snapshots\": 1e300, \"bytes\": 1e300, \"restarts\": 1e300}]}"),
	};
	auto_free char *text = NULL;

	answer = answers[_i];
	start_server((gid_t)-1);
	text = run(EXIT_OK, NULL);
	assert_has(text, "trackexec-collector ");
}
END_TEST

START_TEST(broken_answers_are_told)
{
	static const char *const answers[] = {
	    "", "{", "{\"a\": 1} x", "[]", "null", "12", "{\"a\": \"\xff\"}",
	};
	auto_free char *text = NULL, *json = NULL;

	answer = answers[_i];
	start_server((gid_t)-1);
	text = run(EXIT_FAILED, NULL);
	assert_has(text, "the answer of the collector is not complete");
	json = run(EXIT_FAILED, "--json");
	assert_has(json, "the answer of the collector is not complete");
}
END_TEST

START_TEST(an_error_of_the_collector_is_told)
{
	auto_free char *text = NULL;

	answer = "{\"error\": \"no such request\"}";
	start_server((gid_t)-1);
	text = run(EXIT_FAILED, NULL);
	assert_has(text, "the collector cannot answer: no such request; is it of another version");
}
END_TEST

static void add_trace(const char *run_name, const char *name)
{
	auto_free char *note = xasprintf("log/%s/run", run_name);
	auto_free char *folder = xasprintf("log/%s/%s", run_name, name);
	auto_free char *target = xasprintf("%s/target", folder);
	auto_free char *full = xasprintf("%s/%s", top, folder);
	const char *text = "pid 4711\nstart_ticks 1\n"
			   "boot_id 0fb2f0d7-7c2b-4a4e-9c27-1f6a41c7b1a5\n";
	struct trace_writer *w;

	tree_write(top, note, text);
	tree_write(top, target, text);
	w = test_writer_new(full);
	put_thread(w, 1, TEST_START_NS);
	ck_assert_int_eq(trace_writer_close(w, TEST_START_NS + 1000, "stopped"), 0);
}

/* Of 10 threads, one waits; the trace goes on being written. */
static struct trace_writer *write_live(const char *folder)
{
	static const struct wait_about about = {
	    .kind = "read", .call = "recvfrom", .what = "recv from 10.0.0.5:5432", .polled = 1};
	struct trace_about with_edges = test_about;
	auto_free char *db_path = xasprintf("%s/trace.db", folder);
	struct trace_writer *w;

	with_edges.edges = "exact";
	ck_assert_int_eq(trace_writer_create(db_path, &with_edges, test_read_source, NULL, &w), 0);
	put_code(w, 1, "/app/server.py", "Main.serve");
	for (uint16_t i = 1; i <= 10; i++) {
		put_thread(w, i, TEST_START_NS);
		put_stack(w, i, TEST_START_NS, 0, FRAMES({1, 10 + i}), 1);
	}
	trace_writer_wait(w, 2, TEST_START_NS + 1000, TEST_START_NS + 2000, &about);
	put_off(w, 2, TEST_START_NS + 1000, TEST_START_NS + 2000, EDGE_WAITING, 1);
	put_counters(w, 3 * TEST_START_NS, 100);
	ck_assert_int_eq(trace_writer_tick(w, 5 * TEST_START_NS), 0);
	return w;
}

START_TEST(who_may_read_a_trace_sees_what_goes_on_now)
{
	auto_free char *root = xasprintf("%s/log", top);
	auto_free char *folder = xasprintf("%s/261124-204711/server-main", root);
	auto_free char *text = NULL, *json = NULL, *gone = NULL;
	struct trace_writer *w;

	tree_mkdir(top, "log");
	tree_write(top, "log/261124-204711/run", "");
	tree_write(top, "log/261124-204711/server-main/target", "");
	w = write_live(folder);
	add_sessions();
	status.root = root;
	start_server((gid_t)-1);
	text = run(EXIT_OK, NULL);
	assert_has(text, "\n\nserver-main:\n"
			 "  thread 1001  running, on this line for 2.00 s\n"
			 "    /app/server.py:11 in Main.serve\n"
			 "  thread 1002  waiting for 2.00 s: recv from 10.0.0.5:5432\n"
			 "    /app/server.py:12 in Main.serve\n");
	assert_has(text, "  thread 1008  running");
	assert_lacks(text, "thread 1009");
	assert_has(text, "  and 2 more threads\n");
	assert_lacks(text, "\nserver-db:\n");
	json = run(EXIT_OK, "--json");
	assert_has(json, "  \"refused_not_listed\": 0,\n"
			 "  \"now\": [\n"
			 "    {\n"
			 "      \"run\": \"261124-204711\",\n"
			 "      \"name\": \"server-main\",\n"
			 "      \"thread\": 1,\n");
	assert_has(json, "\"reason\": \"recv from 10.0.0.5:5432\",");
	assert_has(json, "\"thread\": 10,\n");
	ck_assert_str_eq(json + strlen(json) - strlen("    }\n  ]\n}\n"), "    }\n  ]\n}\n");
	ck_assert_int_eq(trace_writer_close(w, 4 * TEST_START_NS, "stopped"), 0);
	gone = run(EXIT_OK, NULL);
	assert_lacks(gone, "thread 1001");
}
END_TEST

/* A name that leads elsewhere is no trace's. */
START_TEST(only_what_lies_in_the_root_is_read)
{
	auto_free char *folder = xasprintf("%s/log/elsewhere", top);
	auto_free char *text = NULL;
	auto_free char *crafted = NULL;
	struct trace_writer *w;

	tree_mkdir(top, "log");
	tree_mkdir(top, "log/261124-204711");
	tree_write(top, "log/elsewhere/target", "");
	w = write_live(folder);
	crafted =
	    xasprintf("{\"root\": {\"path\": \"%s/log\"}, \"sessions\": [{\"run\": "
		      "\"261124-204711\", \"name\": \"../elsewhere\"}, {\"run\": \"elsewhere\","
		      " \"name\": \".\"}]}",
		      top);
	answer = crafted;
	start_server((gid_t)-1);
	text = run(EXIT_OK, NULL);
	assert_lacks(text, "thread 1001");
	ck_assert_int_eq(trace_writer_close(w, 4 * TEST_START_NS, "stopped"), 0);
}
END_TEST

START_TEST(without_a_collector_the_newest_run_is_shown)
{
	auto_free char *text = NULL, *json = NULL;

	tree_mkdir(top, "log");
	add_trace("251123-000000", "old");
	add_trace("251124-000000", "main");
	add_trace("251124-000000", "db");
	text = run(EXIT_FAILED, NULL);
	assert_has(text, "The newest run on disk:\nRUN  ");
	assert_has(text, "\n251124-000000  db    ");
	assert_has(text, "\n251124-000000  main  ");
	assert_lacks(text, "251123-000000");
	assert_has(text, "the collector does not run: nobody answers at ");
	assert_has(text, "systemctl start trackexec-collector");
	assert_has(text, "`trackexec list`");
	json = run(EXIT_FAILED, "--json");
	assert_has(json, "{\n  \"running\": false,");
	assert_has(json, "\"name\": \"main\"");
}
END_TEST

START_TEST(without_anything_it_says_what_to_do)
{
	struct control_socket dead;
	auto_free char *missing = run(EXIT_FAILED, NULL);
	auto_free char *stale = NULL;
	char why[512];

	assert_has(missing, "the collector does not run: nobody answers at ");
	assert_lacks(missing, "on disk:");
	ck_assert_int_eq(control_socket_open(path, (gid_t)-1, &dead, why, sizeof(why)), 0);
	close(dead.fd);
	close(dead.folder_fd);
	free(dead.name);
	stale = run(EXIT_FAILED, NULL);
	assert_has(stale, "the collector does not run: nobody answers at ");
}
END_TEST

START_TEST(who_may_not_ask_is_told_the_group)
{
	int result;
	pid_t pid;

	if (geteuid() != 0) {
		fputs("who_may_not_ask_is_told_the_group: skipped, needs root\n", stderr);
		return;
	}
	start_server(4);
	pid = fork();
	if (pid == 0) {
		auto_free char *text = NULL;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(9);
		text = run(EXIT_NOT_ALLOWED, NULL);
		assert_has(text, "not permitted to ask the collector at ");
		assert_has(text, "as a member of the group adm\n");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &result, 0), pid);
	ck_assert_int_eq(result, 0);
}
END_TEST

START_TEST(who_is_in_the_group_may_ask)
{
	int result;
	pid_t pid;

	if (geteuid() != 0) {
		fputs("who_is_in_the_group_may_ask: skipped, needs root\n", stderr);
		return;
	}
	start_server(4);
	pid = fork();
	if (pid == 0) {
		if (setgid(4) < 0 || setuid(65534) < 0)
			_exit(9);
		free(run(EXIT_OK, NULL));
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &result, 0), pid);
	ck_assert_int_eq(result, 0);
}
END_TEST

/* It listens, but does nothing: as a daemon that hangs. */
START_TEST(a_collector_that_hangs_is_not_waited_for)
{
	struct control_socket deaf;
	auto_free char *text = NULL;
	char why[512];

	ck_assert_int_eq(control_socket_open(path, (gid_t)-1, &deaf, why, sizeof(why)), 0);
	text = run(EXIT_FAILED, NULL);
	assert_has(text, "does not answer in time");
	control_socket_close(&deaf);
}
END_TEST

START_TEST(wrong_options_are_usage_errors)
{
	auto_free char *unknown = run(EXIT_USAGE, "--nonsense");
	auto_free char *extra = run(EXIT_USAGE, "extra");
	auto_free char *help = run(EXIT_OK, "--help");
	char *line, *rest = NULL;

	assert_has(unknown, "Try `trackexec status --help`.\n");
	assert_has(extra, "'extra' is one argument too many");
	for (line = strtok_r(help, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		ck_assert_msg(text_width(line) <= 80, "%s", line);
	free(path);
	path = xstrdup("/a-path-that-is-longer-than-the-address-of-a-socket-can-be/which-has-room-"
		       "for-one-hundred-and-eight-bytes/at-most");
	free(run(EXIT_FAILED, NULL));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trackexec status");
	TCase *tc = tcase_create("trackexec status");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, all_is_shown_in_80_columns);
	tcase_add_test(tc, names_are_cut_to_fit);
	tcase_add_test(tc, several_runs_are_told_apart);
	tcase_add_test(tc, who_is_not_followed_is_shown_with_the_reason);
	tcase_add_test(tc, what_stands_in_the_way_is_shown);
	tcase_add_test(tc, an_absent_root_says_how_to_begin);
	tcase_add_test(tc, a_full_disk_is_shown);
	tcase_add_test(tc, a_disk_that_was_not_looked_at_is_not_empty);
	tcase_add_test(tc, json_is_printed_as_it_is);
	tcase_add_loop_test(tc, other_answers_are_taken_as_far_as_they_go, 0, 6);
	tcase_add_loop_test(tc, broken_answers_are_told, 0, 7);
	tcase_add_test(tc, an_error_of_the_collector_is_told);
	tcase_add_test(tc, who_may_read_a_trace_sees_what_goes_on_now);
	tcase_add_test(tc, only_what_lies_in_the_root_is_read);
	tcase_add_test(tc, without_a_collector_the_newest_run_is_shown);
	tcase_add_test(tc, without_anything_it_says_what_to_do);
	tcase_add_test(tc, who_may_not_ask_is_told_the_group);
	tcase_add_test(tc, who_is_in_the_group_may_ask);
	tcase_add_test(tc, a_collector_that_hangs_is_not_waited_for);
	tcase_add_test(tc, wrong_options_are_usage_errors);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions with session_attach.c and session_look.c. Workers are this program, see
 * tests/support/fake_worker.h: what one does is in the name of the trace. The target is a child
 * that sleeps.
 */
#include "recorder/session.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/look.h"
#include "recorder/session_private.h"
#include "recorder/target/identity.h"
#include "tests/support/fake_worker.h"
#include "tests/support/jail.h"
#include "tests/support/log_capture.h"
#include "tests/support/tree.h"

#define PATIENCE_NS (20 * NS_PER_S)
#define RATE_HZ	    5000
#define DIED	    "its worker ended unexpectedly"

static char *root;
static int root_fd;   /* what get_root() says */
static int opened_fd; /* ours */
static struct event_base *base;
static struct look_pool *looks;
static struct event *looks_event;
static struct session *session;
static pid_t target;
static uint64_t start_ticks;
static bool is_allowed;
static unsigned n_over, n_asked;

static void on_looks(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	look_pool_collect(looks);
}

static int get_root(void *ctx)
{
	(void)ctx;
	return root_fd;
}

static bool on_asked(void *ctx, const struct session *s, const struct credentials *c)
{
	(void)ctx;
	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(c->euid, geteuid());
	n_asked++;
	return is_allowed;
}

static void on_over(void *ctx, struct session *s)
{
	(void)ctx;
	ck_assert(!session || s == session);
	n_over++;
}

static void start_target(void)
{
	auto_identity struct identity id = IDENTITY_NONE;

	target = fork();
	if (target == 0) {
		for (;;)
			pause();
	}
	ck_assert_int_gt(target, 0);
	ck_assert_int_eq(identity_open(target, &id), 0);
	start_ticks = id.start_ticks;
}

static void setup(void)
{
	signal(SIGCHLD, SIG_IGN);
	log_capture_begin();
	root = tree_new();
	root_fd = opened_fd = tree_open(root, ".");
	base = event_base_new();
	looks = look_pool_new(4);
	looks_event = event_new(base, look_pool_fd(looks), EV_READ | EV_PERSIST, on_looks, NULL);
	event_add(looks_event, NULL);
	session = NULL;
	is_allowed = true;
	n_over = n_asked = 0;
	start_target();
}

static void teardown(void)
{
	session_free(session);
	kill(target, SIGKILL);
	event_free(looks_event);
	look_pool_free(looks);
	event_base_free(base);
	close(opened_fd);
	tree_free(root);
}

static void begin(const char *name)
{
	static const struct session_ops ops = {
	    .get_root = get_root, .is_allowed = on_asked, .on_over = on_over};
	static struct session_ops own_ops;
	const bool is_root = geteuid() == 0;
	const struct session_target what = {
	    .pid = target,
	    .start_ticks = start_ticks,
	    .parent_pid = getpid(),
	    .title = "walt-server-daemon:it",
	    .name = name,
	    .follow = FOLLOW_PACKAGES,
	    .packages_text = "walt,other",
	    .rate_asked_hz = RATE_HZ,
	    .access = {.worker_uid = is_root ? JAIL_UID : (uid_t)-1, .gid = (gid_t)-1},
	    .worker_gid = is_root ? JAIL_GID : (gid_t)-1,
	};

	own_ops = ops;
	own_ops.base = base;
	own_ops.looks = looks;
	session = session_new(&own_ops, &what);
}

static struct session_status status(void)
{
	struct session_status s;

	session_get_status(session, &s);
	return s;
}

/* --- waiting --- */

/* One turn of the loop, some milliseconds at most. */
static void turn(void)
{
	struct timeval moment = {.tv_usec = 5000};

	event_base_loopexit(base, &moment);
	event_base_dispatch(base);
}

static void wait_until(bool (*condition)(void), const char *what)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;

	while (!condition() && clock_monotonic_ns() < end_ns)
		turn();
	ck_assert_msg(condition(), "waited in vain for: %s; it is %s, \"%s\"; log:\n%s", what,
		      session_state_name(status().state), status().error, log_capture_text());
}
#define wait_for(condition) wait_until(condition, #condition)

static bool it_records(void)
{
	return status().state == SESSION_RECORDING && status().has_totals;
}

static bool it_is_over(void)
{
	return n_over > 0;
}

static bool it_has_a_worker(void)
{
	return status().worker_pid > 0;
}

static bool it_awaits_a_reply(void)
{
	return session->awaits_reply;
}

static bool two_workers_have_gone(void)
{
	return status().n_restarts >= 2;
}

static bool a_worker_has_gone(void)
{
	return status().n_restarts >= 1;
}

static bool there_is_an_error(void)
{
	return status().error[0] != '\0';
}

/* What its worker was told, in all, also when it is over. Valid until the next call. */
static const char *heard(void)
{
	static char text[8192], path[4096];
	struct session_status s = status();
	auto_close int fd = -1;
	ssize_t n;

	if (*s.run)
		snprintf(path, sizeof(path), "%s/%s/%s/" FAKE_HEARD, root, s.run, s.name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static const char *awaited;

static bool it_was_heard(void)
{
	return strstr(heard(), awaited) != NULL;
}

static void wait_heard(const char *line)
{
	awaited = line;
	wait_until(it_was_heard, line);
}

static void assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "'%s' is not in:\n%s", part, text);
}

static void stop(void)
{
	session_stop(session, "enough");
	wait_for(it_is_over);
	ck_assert_uint_eq(n_over, 1);
}

static unsigned count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int is_run(const struct dirent *entry)
{
	return folder_name_is_run(entry->d_name);
}

/* The folders of traces beneath the only run. */
static int count_traces(void)
{
	struct dirent **names = NULL;
	auto_free char *path = NULL;
	int n = scandir(root, &names, is_run, NULL);
	DIR *dir;
	struct dirent *entry;

	ck_assert_int_eq(n, 1);
	path = xasprintf("%s/%s", root, names[0]->d_name);
	free(names[0]);
	free(names);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	n = 0;
	while ((entry = readdir(dir)))
		n += folder_name_is_trace(entry->d_name) && entry->d_type == DT_DIR;
	closedir(dir);
	return n;
}

/* --- as it should be --- */

START_TEST(a_target_is_recorded_until_it_is_stopped)
{
	struct session_status s;

	begin("good");
	ck_assert_int_eq(status().state, SESSION_STARTING);
	ck_assert_str_eq(status().run, "");
	wait_for(it_records);
	s = status();
	ck_assert_str_eq(s.python, FAKE_PYTHON);
	ck_assert_str_eq(s.name, "good");
	ck_assert_str_eq(s.title, "walt-server-daemon:it");
	ck_assert(folder_name_is_run(s.run));
	ck_assert_uint_eq(s.totals.snapshots, 5000);
	ck_assert_uint_eq(s.totals.gaps, 2);
	ck_assert_str_eq(s.error, "");
	ck_assert_uint_eq(s.n_restarts, 0);
	ck_assert_uint_ge(n_asked, 2);
	assert_has(heard(), "setup good walt,other 5000\n");
	assert_has(heard(), "target 3\n");
	session_stop(session, "enough");
	session_stop(session, "twice");
	wait_heard("stop enough\n");
	wait_for(it_is_over);
	ck_assert_uint_eq(n_over, 1);
	ck_assert_uint_eq(log_capture_count("recording process"), 1);
}
END_TEST

START_TEST(rate_growth_and_trim_reach_the_worker)
{
	begin("good");
	wait_for(it_records);
	wait_heard("growth 1\n");
	session_set_rate(session, 300);
	session_set_rate(session, 300);
	wait_heard("rate 300\n");
	ck_assert_double_eq(status().rate_allowed_hz, 300);
	ck_assert_double_eq(status().rate_asked_hz, RATE_HZ);
	session_set_growth(session, false);
	wait_heard("growth 0\n");
	session_trim(session, 4096);
	wait_heard("trim 4096\n");
	ck_assert_ptr_null(strstr(strstr(heard(), "rate 300") + 1, "rate 300"));
	stop();
}
END_TEST

/* Also what was set while there was none. */
START_TEST(the_next_worker_is_told_as_well)
{
	begin("good");
	session_set_rate(session, 400);
	session_set_growth(session, false);
	wait_for(it_records);
	assert_has(heard(), "setup good walt,other 400\n");
	wait_heard("growth 0\n");
	stop();
}
END_TEST

START_TEST(the_end_of_the_target_ends_it)
{
	begin("good");
	wait_for(it_records);
	heard();
	kill(target, SIGKILL);
	wait_heard("stop target exited\n");
	wait_for(it_is_over);
}
END_TEST

START_TEST(a_folder_that_was_removed_ends_it)
{
	begin("good");
	wait_for(it_records);
	session_check(session);
	ck_assert_int_eq(status().state, SESSION_RECORDING);
	{
		struct session_status s = status();
		auto_free char *path = xasprintf("%s/%s/%s", root, s.run, s.name);
		auto_free char *command = xasprintf("rm -rf '%s'", path);

		signal(SIGCHLD, SIG_DFL);
		ck_assert_int_eq(system(command), 0);
		signal(SIGCHLD, SIG_IGN);
	}
	session_check(session);
	ck_assert_int_eq(status().state, SESSION_ENDING);
	wait_for(it_is_over);
	assert_has(log_capture_text(), "was removed; its trace ends");
}
END_TEST

START_TEST(it_waits_for_the_root)
{
	root_fd = -1;
	begin("good");
	for (int i = 0; i < 5; i++)
		turn();
	ck_assert_int_eq(status().state, SESSION_STARTING);
	ck_assert_int_eq(status().worker_pid, 0);
	root_fd = opened_fd;
	wait_for(it_records);
	stop();
}
END_TEST

START_TEST(the_configuration_decides_whether_it_goes_on)
{
	begin("good");
	ck_assert(session_goes_on(session, "good", FOLLOW_PACKAGES, "walt,other", 100));
	ck_assert_double_eq(status().rate_asked_hz, 100);
	ck_assert(!session_goes_on(session, "other", FOLLOW_PACKAGES, "walt,other", 1));
	ck_assert(!session_goes_on(session, "good", FOLLOW_ALL, "walt,other", 1));
	ck_assert(!session_goes_on(session, "good", FOLLOW_PACKAGES, "walt", 1));
	ck_assert_double_eq(status().rate_asked_hz, 100);
}
END_TEST

/* --- who is not recorded --- */

START_TEST(another_process_with_its_number_is_left_alone)
{
	start_ticks++;
	begin("good");
	wait_for(it_is_over);
	ck_assert_int_eq(status().worker_pid, 0);
	ck_assert_uint_eq(n_asked, 0);
}
END_TEST

START_TEST(who_may_not_be_recorded_leaves_no_folder)
{
	is_allowed = false;
	begin("good");
	wait_for(it_is_over);
	ck_assert_int_eq(status().worker_pid, 0);
	ck_assert_uint_eq(n_asked, 1);
	ck_assert_int_eq(count_traces(), 0);
}
END_TEST

/* It may change its user at any time. */
START_TEST(rights_are_checked_before_its_memory_is_handed_over)
{
	begin("mute");
	wait_for(it_has_a_worker);
	is_allowed = false;
	/* One that is under way may have been asked for before. */
	wait_until(session->awaits_reply ? it_awaits_a_reply : there_is_an_error, "a decision");
	if (there_is_an_error()) {
		assert_has(status().error, "Users=");
		ck_assert_ptr_null(strstr(heard(), "target"));
	}
	stop();
}
END_TEST

/* --- workers that misbehave --- */

START_TEST(a_worker_that_dies_is_replaced_and_told_of_once)
{
	begin("dies");
	wait_for(two_workers_have_gone);
	ck_assert_uint_eq(log_capture_count(DIED), 1);
	assert_has(status().error, DIED);
	ck_assert_int_eq(status().state, SESSION_WAITING);
	stop();
	ck_assert_int_eq(count_traces(), 0);
}
END_TEST

static bool it_has_told_figures(void)
{
	return status().totals.snapshots == 5000;
}

static bool both_have_told_figures(void)
{
	return status().totals.snapshots == 10000;
}

START_TEST(a_worker_that_is_killed_is_replaced_with_the_same_trace)
{
	pid_t first;

	begin("good");
	wait_for(it_records);
	wait_for(it_has_told_figures);
	first = status().worker_pid;
	kill(first, SIGKILL);
	wait_for(a_worker_has_gone);
	wait_for(it_records);
	ck_assert_int_ne(status().worker_pid, first);
	ck_assert_str_eq(status().name, "good");
	ck_assert_uint_eq(status().n_restarts, 1);
	ck_assert_str_eq(status().error, "");
	wait_for(both_have_told_figures);
	ck_assert_uint_ge(status().totals.gaps, 4);
	stop();
}
END_TEST

/* At once, not when it has been silent for long. */
START_TEST(a_worker_that_says_nonsense_is_replaced)
{
	uint64_t since_ns = clock_monotonic_ns();

	begin("garbage");
	wait_for(a_worker_has_gone);
	ck_assert_uint_lt(clock_monotonic_ns() - since_ns, 10 * NS_PER_S);
	ck_assert(there_is_an_error());
	stop();
}
END_TEST

START_TEST(a_worker_that_hangs_is_killed)
{
	begin("mute");
	wait_for(it_awaits_a_reply);
	session_check(session);
	ck_assert_str_eq(status().error, "");
	/* Long ago. */
	session->heard_ns = 0;
	session_check(session);
	assert_has(status().error, "hangs and is killed");
	wait_for(a_worker_has_gone);
	stop();
}
END_TEST

START_TEST(a_worker_that_does_not_end_is_killed_in_time)
{
	uint64_t since_ns;

	begin("stubborn");
	wait_for(it_records);
	since_ns = clock_monotonic_ns();
	session_stop(session, "enough");
	wait_for(it_is_over);
	ck_assert_uint_ge(clock_monotonic_ns() - since_ns, NS_PER_S);
	assert_has(log_capture_text(), "does not end: killed");
}
END_TEST

START_TEST(a_worker_may_want_one_file_at_a_time)
{
	begin("asks");
	wait_for(it_records);
	assert_has(heard(), "file 0 1\n");
	stop();
	session_free(session);
	session = NULL;
	n_over = 0;
	begin("hasty");
	wait_for(a_worker_has_gone);
	ck_assert_int_ne(status().state, SESSION_RECORDING);
	stop();
}
END_TEST

START_TEST(descriptors_from_a_worker_are_closed)
{
	unsigned before;

	begin("gives");
	wait_for(it_records);
	before = count_descriptors();
	for (int i = 0; i < 3; i++) {
		struct message m;

		message_init(&m, MSG_TARGET);
		session->has_totals = false;
		session_send(session, &m);
		wait_for(it_records);
	}
	ck_assert_uint_eq(count_descriptors(), before);
	stop();
}
END_TEST

START_TEST(why_a_trace_cannot_be_written_is_told)
{
	begin("full");
	wait_for(there_is_an_error);
	ck_assert_str_eq(status().error, "cannot create the trace: No space left on device");
	wait_for(two_workers_have_gone);
	ck_assert_uint_eq(log_capture_count("cannot create the trace"), 1);
	stop();
}
END_TEST

/* What it was found to be is text of the target. */
START_TEST(what_is_no_python_is_told_after_a_while_without_commands_for_terminals)
{
	begin("refuses");
	wait_for(there_is_an_error);
	assert_has(status().error, "it is not a CPython");
	assert_has(status().error, "red");
	ck_assert_ptr_null(strchr(status().error, '\x1b'));
	ck_assert_ptr_null(strchr(log_capture_text(), '\x1b'));
	ck_assert_int_eq(status().state, SESSION_WAITING);
	ck_assert_int_gt(status().worker_pid, 0);
	stop();
	ck_assert_int_eq(count_traces(), 0);
}
END_TEST

/* --- the end --- */

START_TEST(nothing_is_left_of_sessions)
{
	unsigned before = count_descriptors();

	for (int i = 0; i < 20; i++) {
		n_over = 0;
		begin(i % 2 ? "good" : "dies");
		wait_until(i % 2 ? it_records : a_worker_has_gone, "a beginning");
		stop();
		session_free(session);
		session = NULL;
	}
	ck_assert_uint_le(count_descriptors(), before);
}
END_TEST

START_TEST(one_that_is_freed_at_any_time_ends_its_worker)
{
	for (int n_turns = 0; n_turns < 10; n_turns++) {
		uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
		pid_t worker;

		begin("stubborn");
		for (int i = 0; i < n_turns; i++)
			turn();
		worker = status().worker_pid;
		session_free(session);
		session = NULL;
		while (worker && kill(worker, 0) == 0 && clock_monotonic_ns() < end_ns)
			turn();
		ck_assert(!worker || kill(worker, 0) < 0);
	}
	ck_assert_uint_eq(n_over, 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tc;
	SRunner *runner;
	int failed = fake_worker_main(argc, argv);

	if (failed >= 0)
		return failed;
	suite = suite_create("session");
	tc = tcase_create("session");
	runner = srunner_create(suite);
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_target_is_recorded_until_it_is_stopped);
	tcase_add_test(tc, rate_growth_and_trim_reach_the_worker);
	tcase_add_test(tc, the_next_worker_is_told_as_well);
	tcase_add_test(tc, the_end_of_the_target_ends_it);
	tcase_add_test(tc, a_folder_that_was_removed_ends_it);
	tcase_add_test(tc, it_waits_for_the_root);
	tcase_add_test(tc, the_configuration_decides_whether_it_goes_on);
	tcase_add_test(tc, another_process_with_its_number_is_left_alone);
	tcase_add_test(tc, who_may_not_be_recorded_leaves_no_folder);
	tcase_add_test(tc, rights_are_checked_before_its_memory_is_handed_over);
	tcase_add_test(tc, a_worker_that_dies_is_replaced_and_told_of_once);
	tcase_add_test(tc, a_worker_that_is_killed_is_replaced_with_the_same_trace);
	tcase_add_test(tc, a_worker_that_says_nonsense_is_replaced);
	tcase_add_test(tc, a_worker_that_hangs_is_killed);
	tcase_add_test(tc, a_worker_that_does_not_end_is_killed_in_time);
	tcase_add_test(tc, a_worker_may_want_one_file_at_a_time);
	tcase_add_test(tc, descriptors_from_a_worker_are_closed);
	tcase_add_test(tc, why_a_trace_cannot_be_written_is_told);
	tcase_add_test(tc, what_is_no_python_is_told_after_a_while_without_commands_for_terminals);
	tcase_add_test(tc, nothing_is_left_of_sessions);
	tcase_add_test(tc, one_that_is_freed_at_any_time_ends_its_worker);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers are this program: see tests/support/fake_worker.h. */
#include "recorder/repair.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/trace_folder.h"
#include "common/xalloc.h"
#include "reader/trace.h"
#include "recorder/look.h"
#include "recorder/run_folder.h"
#include "recorder/target/identity.h"
#include "tests/support/fake_worker.h"
#include "tests/support/jail.h"
#include "tests/support/log_capture.h"
#include "tests/support/trace_check.h"
#include "tests/support/trace_records.h"
#include "tests/support/tree.h"

#define RUN	    "261122-181900"
#define DEAD_NOTE   "pid 4711\nstart_ticks 1\nboot_id 0fb2f0d7-7c2b-4a4e-9c27-1f6a41c7b1a5\n"
#define PATIENCE_NS (30 * NS_PER_S)
#define COMPLETE    ": its recorder was killed; it is complete up to then\n"
#define NO_END	    ": cannot be given an end: "
#define LAST_NS	    (TEST_START_NS + NS_PER_S)

static char *root;
static int root_fd;
static struct event_base *base;
static struct look_pool *looks;
static struct event *looks_event;
static struct repair *repair;

static void on_looks(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	look_pool_collect(looks);
}

static void setup(void)
{
	bool is_root = geteuid() == 0;

	signal(SIGCHLD, SIG_IGN);
	log_capture_begin();
	root = tree_new();
	root_fd = tree_open(root, ".");
	tree_write(root, RUN "/run", DEAD_NOTE);
	base = event_base_new();
	looks = look_pool_new(2);
	looks_event = event_new(base, look_pool_fd(looks), EV_READ | EV_PERSIST, on_looks, NULL);
	event_add(looks_event, NULL);
	repair =
	    repair_new(base, looks, is_root ? JAIL_UID : (uid_t)-1, is_root ? JAIL_GID : (gid_t)-1);
}

static void teardown(void)
{
	repair_free(repair);
	event_free(looks_event);
	look_pool_free(looks);
	event_base_free(base);
	close(root_fd);
	tree_free(root);
}

/* One turn of the loop, some milliseconds at most. */
static void turn(void)
{
	struct timeval moment = {.tv_usec = 10000};

	event_base_loopexit(base, &moment);
	event_base_dispatch(base);
}

static void wait_for_log(const char *text)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;

	while (!strstr(log_capture_text(), text) && clock_monotonic_ns() < end_ns)
		turn();
	ck_assert_msg(strstr(log_capture_text(), text), "'%s' is not in:\n%s", text,
		      log_capture_text());
}

/* --- traces --- */

static char *path_of(const char *name, const char *file)
{
	return xasprintf("%s/" RUN "/%s%s", root, name, file);
}

static void give_to_worker(const char *name)
{
	static const char *const files[] = {"", "/trace.db", "/trace.db-wal", "/trace.db-shm"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		auto_free char *path = path_of(name, files[i]);

		if (access(path, F_OK) == 0)
			jail_give(path);
	}
}

static void make_folder(const char *name, const char *note)
{
	auto_free char *target = xasprintf(RUN "/%s/target", name);

	tree_write(root, target, note);
	give_to_worker(name);
}

static struct trace_writer *record_a_second(const char *folder)
{
	struct trace_writer *w = test_writer_new(folder);

	put_thread(w, 1, TEST_START_NS);
	put_code(w, 1, "/app/a.py", "main");
	put_stack(w, 1, TEST_START_NS, 0, FRAMES({1, 10}), 1);
	put_stack(w, 1, TEST_START_NS + NS_PER_S / 2, 0, FRAMES({1, 11}), 1);
	put_counters(w, LAST_NS, 100);
	trace_writer_tick(w, LAST_NS);
	return w;
}

/* As its recorder leaves it when it is killed. */
static void add_killed(const char *name, const char *note)
{
	auto_free char *folder = path_of(name, "");
	pid_t pid;

	make_folder(name, note);
	signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (pid == 0) {
		record_a_second(folder);
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	signal(SIGCHLD, SIG_IGN);
	give_to_worker(name);
}

static void add_abandoned(const char *name)
{
	add_killed(name, DEAD_NOTE);
}

static char *note_of_this_process(void)
{
	auto_identity struct identity id = IDENTITY_NONE;
	struct folder_note note = {0};
	char text[FOLDER_NOTE_SIZE];

	ck_assert_int_eq(identity_open(getpid(), &id), 0);
	ck_assert_int_eq(process_key_init(getpid(), id.start_ticks, &note.process), 0);
	folder_note_format(&note, text);
	return xstrdup(text);
}

static bool has_wal(const char *name)
{
	auto_free char *path = path_of(name, "/trace.db-wal");

	return access(path, F_OK) == 0;
}

static void assert_ended(const char *name)
{
	auto_free char *folder = path_of(name, "");
	auto_free char *reason = NULL;
	struct trace *t = check_open(folder);
	uint64_t start_ns = 0, end_ns = 0;

	ck_assert_int_eq(trace_meta_text(t, META_END_REASON, &reason), 0);
	ck_assert_str_eq(reason, "recorder was killed");
	ck_assert_int_eq(trace_span(t, &start_ns, &end_ns), 0);
	ck_assert_uint_eq(end_ns, LAST_NS);
	trace_close(t);
	ck_assert(!has_wal(name));
	check_integrity(folder);
}

static void assert_without_end(const char *name)
{
	auto_free char *folder = path_of(name, "");
	auto_free char *reason = NULL;
	struct trace *t;

	ck_assert(has_wal(name));
	t = check_open(folder);
	ck_assert_int_lt(trace_meta_text(t, META_END_REASON, &reason), 0);
	trace_close(t);
}

/* When nobody has a descriptor of it any more, it can be locked. */
static void wait_until_released(const char *name)
{
	auto_free char *path = xasprintf(RUN "/%s", name);
	auto_close int fd = tree_open(root, path);
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	int lock_fd;

	while ((lock_fd = run_folder_lock(fd)) == -EBUSY && clock_monotonic_ns() < end_ns)
		turn();
	ck_assert_int_ge(lock_fd, 0);
	close(lock_fd);
}

/* A sentinel: the last of the names, so it is the first that is repaired. */
static void repair_all_but(const char *left)
{
	add_abandoned("real-z");
	repair_start(repair, root_fd);
	wait_for_log(RUN "/real-z" COMPLETE);
	wait_until_released(left);
	ck_assert_ptr_null(strstr(log_capture_text(), left));
}

/* --- what is repaired --- */

START_TEST(abandoned_traces_get_their_ends)
{
	add_abandoned("real-1");
	add_abandoned("real-2");
	add_abandoned("real-3");
	repair_start(repair, root_fd);
	wait_for_log(RUN "/real-1" COMPLETE);
	wait_for_log(RUN "/real-2" COMPLETE);
	wait_for_log(RUN "/real-3" COMPLETE);
	assert_ended("real-1");
	assert_ended("real-2");
	assert_ended("real-3");
	wait_until_released("real-1");
}
END_TEST

START_TEST(the_trace_of_a_process_that_lives_is_left_to_it)
{
	auto_free char *note = note_of_this_process();

	add_killed("real-a", note);
	repair_all_but("real-a");
	assert_without_end("real-a");
}
END_TEST

START_TEST(a_trace_that_somebody_has_is_left_to_him)
{
	int fd, lock_fd;

	add_abandoned("real-a");
	fd = tree_open(root, RUN "/real-a");
	lock_fd = run_folder_lock(fd);
	ck_assert_int_ge(lock_fd, 0);
	add_abandoned("real-z");
	repair_start(repair, root_fd);
	wait_for_log(RUN "/real-z" COMPLETE);
	ck_assert_uint_eq(log_capture_count("real-a"), 0);
	assert_without_end("real-a");
	close(lock_fd);
	close(fd);
}
END_TEST

START_TEST(what_has_an_end_is_not_touched)
{
	auto_free char *folder = path_of("real-a", "");
	auto_free char *reason = NULL;
	struct trace *t;

	make_folder("real-a", DEAD_NOTE);
	ck_assert_int_eq(trace_writer_close(record_a_second(folder), LAST_NS, "target exited"), 0);
	repair_all_but("real-a");
	t = check_open(folder);
	ck_assert_int_eq(trace_meta_text(t, META_END_REASON, &reason), 0);
	ck_assert_str_eq(reason, "target exited");
	trace_close(t);
}
END_TEST

START_TEST(a_folder_without_a_trace_is_left_alone)
{
	make_folder("real-a", DEAD_NOTE);
	repair_all_but("real-a");
	ck_assert(tree_has(root, RUN "/real-a/target"));
	ck_assert(!tree_has(root, RUN "/real-a/trace.db"));
}
END_TEST

START_TEST(planted_links_are_not_followed)
{
	add_abandoned("real-a");
	tree_mkdir(root, "elsewhere");
	tree_link(root, RUN "/real-b", "../" RUN "/real-a");
	tree_link(root, "261122-181901", RUN);
	repair_start(repair, root_fd);
	wait_for_log(RUN "/real-a" COMPLETE);
	ck_assert_uint_eq(log_capture_count("real-b"), 0);
	ck_assert_uint_eq(log_capture_count("261122-181901"), 0);
	assert_ended("real-a");
}
END_TEST

/* --- what cannot be --- */

START_TEST(a_damaged_trace_stays_as_it_is_and_stops_no_other)
{
	auto_free char *garbage = xmalloc(8193);
	auto_free char *path = path_of("real-b", "/trace.db");
	char back[64];
	int fd;

	memset(garbage, 'x', 8192);
	garbage[8192] = '\0';
	make_folder("real-b", DEAD_NOTE);
	tree_write(root, RUN "/real-b/trace.db", garbage);
	tree_write(root, RUN "/real-b/trace.db-wal", "");
	give_to_worker("real-b");
	add_abandoned("real-a");
	add_abandoned("real-c");
	repair_start(repair, root_fd);
	wait_for_log(RUN "/real-b" NO_END "Bad message\n");
	wait_for_log(RUN "/real-a" COMPLETE);
	assert_ended("real-a");
	assert_ended("real-c");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, back, sizeof(back)), (ssize_t)sizeof(back));
	ck_assert_mem_eq(back, garbage, sizeof(back));
	close(fd);
}
END_TEST

START_TEST(a_worker_that_dies_stops_no_other)
{
	add_abandoned("dies-b");
	add_abandoned("real-a");
	add_abandoned("real-c");
	repair_start(repair, root_fd);
	wait_for_log(RUN "/dies-b" NO_END);
	wait_for_log(RUN "/real-a" COMPLETE);
	assert_ended("real-c");
	assert_without_end("dies-b");
	wait_until_released("dies-b");
}
END_TEST

START_TEST(a_worker_that_says_nonsense_is_not_believed)
{
	add_abandoned("babbles-b");
	add_abandoned("real-a");
	repair_start(repair, root_fd);
	wait_for_log(RUN "/babbles-b" NO_END);
	assert_without_end("babbles-b");
	ck_assert_uint_eq(log_capture_count("babbles-b" COMPLETE), 0);
}
END_TEST

START_TEST(a_root_that_is_gone_is_no_matter)
{
	auto_close int gone = -1;
	uint64_t end_ns = clock_monotonic_ns() + NS_PER_S / 5;

	tree_mkdir(root, "other");
	gone = tree_open(root, "other");
	ck_assert_int_eq(unlinkat(root_fd, "other", AT_REMOVEDIR), 0);
	repair_start(repair, gone);
	while (clock_monotonic_ns() < end_ns)
		turn();
	repair_start(repair, -1);
	turn();
	ck_assert_str_eq(log_capture_text(), "");
	/* It still works. */
	add_abandoned("real-a");
	repair_start(repair, root_fd);
	wait_for_log(RUN "/real-a" COMPLETE);
}
END_TEST

/* --- the end --- */

START_TEST(stopping_lets_go_of_everything)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	auto_close int fd = -1;

	add_abandoned("mute-a");
	add_abandoned("mute-b");
	fd = tree_open(root, RUN "/mute-a");
	repair_start(repair, root_fd);
	/* Found, when it is locked. */
	while (trace_folder_is_recorded(fd) != 1 && clock_monotonic_ns() < end_ns)
		turn();
	ck_assert_int_eq(trace_folder_is_recorded(fd), 1);
	turn();
	repair_stop(repair);
	wait_until_released("mute-a");
	wait_until_released("mute-b");
	ck_assert_str_eq(log_capture_text(), "");
}
END_TEST

START_TEST(a_search_under_way_may_be_given_up)
{
	add_abandoned("real-a");
	repair_start(repair, root_fd);
	repair_stop(repair);
	repair_start(repair, root_fd);
	repair_stop(repair);
	wait_until_released("real-a");
	assert_without_end("real-a");
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
	suite = suite_create("repair");
	tc = tcase_create("repair");
	runner = srunner_create(suite);
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, abandoned_traces_get_their_ends);
	tcase_add_test(tc, the_trace_of_a_process_that_lives_is_left_to_it);
	tcase_add_test(tc, a_trace_that_somebody_has_is_left_to_him);
	tcase_add_test(tc, what_has_an_end_is_not_touched);
	tcase_add_test(tc, a_folder_without_a_trace_is_left_alone);
	tcase_add_test(tc, planted_links_are_not_followed);
	tcase_add_test(tc, a_damaged_trace_stays_as_it_is_and_stops_no_other);
	tcase_add_test(tc, a_worker_that_dies_stops_no_other);
	tcase_add_test(tc, a_worker_that_says_nonsense_is_not_believed);
	tcase_add_test(tc, a_root_that_is_gone_is_no_matter);
	tcase_add_test(tc, stopping_lets_go_of_everything);
	tcase_add_test(tc, a_search_under_way_may_be_given_up);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

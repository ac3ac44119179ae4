/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * With real processes, each once with the kernel's events, where it offers them, and once without.
 * A title is that of a target when it begins with this test process's own prefix.
 */
#include "recorder/discover.h"

#include <check.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/support/hung_file.h"
#include "tests/support/task_checks.h"
#include "tests/support/titles.h"

#define PATIENCE_NS (20 * NS_PER_S)
#define NOTED_MAX   256
#define LINE_MAX_   128

struct note {
	pid_t pid;
	uint64_t start_ticks;
	pid_t parent_pid;
	uid_t uid;
	char title[64];
};

struct notes {
	int n;
	struct note notes[NOTED_MAX];
};

struct test {
	struct event_base *base;
	struct discover *discover;
	struct discover_options options;
	char prefix[32];
	struct notes candidates, refused;
	pid_t hung_pid;
	int n_stuck, n_others_stuck;
	bool stops_when_told;
};

/* --- children that do as they are told --- */

struct child {
	pid_t pid;
	int command, reply;
};

static void reply_pid(int fd, pid_t pid)
{
	if (write(fd, &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
}

static void sleep_for_good(void)
{
	alarm(60);
	for (;;)
		pause();
}

/* fork, fork-late TITLE, exec TITLE, orphan: each returns the new one's process id. */
static pid_t make_child(const char *what, const char *title)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (strcmp(what, "fork-late") == 0) {
		poll(NULL, 0, 300);
		title_set(title);
	} else if (strcmp(what, "exec") == 0) {
		execl("/proc/self/exe", "test_discover", "--titled", title, NULL);
		_exit(1);
	}
	sleep_for_good();
	return 0;
}

static void obey(int command, int reply)
{
	char line[LINE_MAX_], *title;
	ssize_t n;

	alarm(60);
	while ((n = read(command, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		title = strchr(line, ' ');
		if (title)
			*title++ = '\0';
		if (strcmp(line, "title") == 0) {
			title_set(title);
			reply_pid(reply, getpid());
		} else {
			reply_pid(reply, make_child(line, title));
		}
		/* The child that it made is alone now. */
		if (strcmp(line, "orphan") == 0)
			_exit(0);
	}
	_exit(0);
}

static struct child start_child(void)
{
	int command[2], reply[2];
	struct child child;

	ck_assert_int_eq(pipe(command), 0);
	ck_assert_int_eq(pipe(reply), 0);
	child.pid = fork();
	ck_assert_int_ge(child.pid, 0);
	if (child.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(command[1]);
		obey(command[0], reply[1]);
	}
	close(command[0]);
	close(reply[1]);
	child.command = command[1];
	child.reply = reply[0];
	return child;
}

static pid_t tell(const struct child *child, const char *what, const struct test *t,
		  const char *title)
{
	char line[LINE_MAX_];
	pid_t pid;

	if (title)
		snprintf(line, sizeof(line), "%s %s%s", what, t->prefix, title);
	else
		snprintf(line, sizeof(line), "%s", what);
	ck_assert_int_eq(write(child->command, line, strlen(line)), (ssize_t)strlen(line));
	ck_assert_int_eq(read(child->reply, &pid, sizeof(pid)), sizeof(pid));
	return pid;
}

static void end_child(struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	close(child->command);
	close(child->reply);
}

/* --- what discovery tells --- */

static int match(void *ctx, const char *title, size_t len)
{
	const struct test *t = ctx;

	ck_assert_uint_eq(strlen(title), len);
	return strncmp(title, t->prefix, strlen(t->prefix)) == 0;
}

static void note(struct notes *notes, const struct test *t, const struct discover_process *p)
{
	struct note *n = &notes->notes[notes->n++];

	ck_assert_int_lt(notes->n, NOTED_MAX);
	n->pid = p->pid;
	n->start_ticks = p->start_ticks;
	n->parent_pid = p->parent_pid;
	n->uid = p->uids.effective;
	ck_assert_uint_eq(strlen(p->title), p->title_len);
	snprintf(n->title, sizeof(n->title), "%s", p->title + strlen(t->prefix));
}

static void on_candidate(void *ctx, const struct discover_process *process)
{
	struct test *t = ctx;

	note(&t->candidates, t, process);
	if (t->stops_when_told)
		discover_stop(t->discover);
}

static void on_refused(void *ctx, const struct discover_process *process, const char *reason)
{
	struct test *t = ctx;

	ck_assert_ptr_nonnull(strstr(reason, "forked from"));
	note(&t->refused, t, process);
}

static void on_stuck(void *ctx, pid_t pid)
{
	struct test *t = ctx;

	/* There may be others on this machine. */
	t->n_stuck += pid == t->hung_pid;
	t->n_others_stuck += pid != t->hung_pid;
}

static const struct discover_callbacks callbacks = {
    .match = match,
    .on_candidate = on_candidate,
    .on_refused = on_refused,
    .on_stuck = on_stuck,
};

/* How often this process was noted, with this title or any. */
static int count(const struct notes *notes, pid_t pid, const char *title)
{
	int n = 0;

	for (int i = 0; i < notes->n; i++)
		n += notes->notes[i].pid == pid &&
		     (!title || strcmp(notes->notes[i].title, title) == 0);
	return n;
}

/* Returns false when this machine can't do it. */
static bool begin(struct test *t, int without_events)
{
	struct discover_status status;

	*t = (struct test){
	    .options = {.without_events = without_events, .scan_interval_ns = 100 * NS_PER_MS}};
	snprintf(t->prefix, sizeof(t->prefix), "tx-%d:", (int)getpid());
	t->base = event_base_new();
	ck_assert_ptr_nonnull(t->base);
	t->discover = discover_new(t->base, &callbacks, t, &t->options);
	ck_assert_int_eq(discover_start(t->discover), 0);
	discover_get_status(t->discover, &status);
	ck_assert(status.is_running);
	if (!without_events && status.events_error) {
		printf("skipped: no process events: %s\n", strerror(-status.events_error));
		discover_free(t->discover);
		event_base_free(t->base);
		return false;
	}
	return true;
}

static void end(struct test *t)
{
	discover_free(t->discover);
	event_base_free(t->base);
}

static void run_for(struct test *t, uint64_t ns)
{
	uint64_t end_ns = clock_monotonic_ns() + ns;

	do {
		struct timeval tick = {.tv_usec = 5000};

		event_base_loopexit(t->base, &tick);
		event_base_dispatch(t->base);
	} while (clock_monotonic_ns() < end_ns);
}

/* Run until the process was noted so often; returns how long it took. */
static uint64_t wait_for(struct test *t, const struct notes *notes, pid_t pid, const char *title,
			 int n)
{
	uint64_t start_ns = clock_monotonic_ns();

	while (count(notes, pid, title) < n && clock_monotonic_ns() - start_ns < PATIENCE_NS)
		run_for(t, 0);
	ck_assert_int_eq(count(notes, pid, title), n);
	return clock_monotonic_ns() - start_ns;
}

/* Until so many more scans have ended. */
static void wait_for_scans(struct test *t, uint64_t n)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct discover_status status;

	discover_get_status(t->discover, &status);
	n += status.n_scans;
	while (status.n_scans < n) {
		ck_assert(clock_monotonic_ns() < end_ns);
		run_for(t, 0);
		discover_get_status(t->discover, &status);
	}
}

/* --- tests --- */

START_TEST(one_that_is_there_is_found)
{
	struct child child = start_child();
	struct test t;

	snprintf(t.prefix, sizeof(t.prefix), "tx-%d:", (int)getpid());
	tell(&child, "title", &t, "main");
	if (!begin(&t, _i)) {
		end_child(&child);
		return;
	}
	wait_for(&t, &t.candidates, child.pid, "main", 1);
	ck_assert_uint_gt(t.candidates.notes[0].start_ticks, 0);
	ck_assert_int_eq(t.candidates.notes[0].parent_pid, getpid());
	ck_assert_uint_eq(t.candidates.notes[0].uid, geteuid());
	wait_for_scans(&t, 3);
	ck_assert_int_eq(t.candidates.n, 1);
	ck_assert_int_eq(t.refused.n, 0);
	end_child(&child);
	end(&t);
}
END_TEST

START_TEST(a_title_that_comes_late_is_seen)
{
	struct child child;
	uint64_t took_ns;
	struct test t;

	if (!begin(&t, _i))
		return;
	child = start_child();
	/* Later than all looks that follow its birth, and settled. */
	wait_for_scans(&t, 4);
	ck_assert_int_eq(t.candidates.n, 0);
	tell(&child, "title", &t, "late");
	took_ns = wait_for(&t, &t.candidates, child.pid, "late", 1);
	/* Two scans; the rest is for a busy machine. */
	ck_assert_uint_lt(took_ns, 6 * NS_PER_S);
	end_child(&child);
	end(&t);
}
END_TEST

START_TEST(another_title_that_matches_is_told_again)
{
	struct child child = start_child();
	struct test t;

	if (!begin(&t, _i)) {
		end_child(&child);
		return;
	}
	tell(&child, "title", &t, "one");
	wait_for(&t, &t.candidates, child.pid, "one", 1);
	tell(&child, "title", &t, "two");
	wait_for(&t, &t.candidates, child.pid, "two", 1);
	wait_for_scans(&t, 2);
	ck_assert_int_eq(t.candidates.n, 2);
	end_child(&child);
	end(&t);
}
END_TEST

START_TEST(a_fork_that_keeps_the_title_is_left_alone)
{
	struct child child = start_child();
	struct test t;
	pid_t fork_pid;

	if (!begin(&t, _i)) {
		end_child(&child);
		return;
	}
	tell(&child, "title", &t, "main");
	wait_for(&t, &t.candidates, child.pid, "main", 1);
	fork_pid = tell(&child, "fork", &t, NULL);
	wait_for(&t, &t.refused, fork_pid, "main", 1);
	/* Its parent ends; it stays what it is. */
	end_child(&child);
	wait_for_scans(&t, 8);
	ck_assert_int_eq(count(&t.candidates, fork_pid, NULL), 0);
	ck_assert_int_eq(t.refused.n, 1);
	kill(fork_pid, SIGKILL);
	end(&t);
}
END_TEST

START_TEST(a_fork_that_renames_itself_late_is_found)
{
	struct child child = start_child();
	struct test t;
	pid_t fork_pid;

	if (!begin(&t, _i)) {
		end_child(&child);
		return;
	}
	tell(&child, "title", &t, "main");
	wait_for(&t, &t.candidates, child.pid, "main", 1);
	fork_pid = tell(&child, "fork-late", &t, "worker");
	wait_for(&t, &t.candidates, fork_pid, "worker", 1);
	ck_assert_int_eq(count(&t.candidates, fork_pid, "main"), 0);
	kill(fork_pid, SIGKILL);
	end_child(&child);
	end(&t);
}
END_TEST

START_TEST(a_spawned_one_that_renames_itself_late_is_found)
{
	struct child child = start_child();
	struct test t;
	pid_t pid;

	if (!begin(&t, _i)) {
		end_child(&child);
		return;
	}
	tell(&child, "title", &t, "main");
	wait_for(&t, &t.candidates, child.pid, "main", 1);
	pid = tell(&child, "exec", &t, "spawned");
	wait_for(&t, &t.candidates, pid, "spawned", 1);
	ck_assert_int_eq(count(&t.candidates, pid, NULL), 1);
	kill(pid, SIGKILL);
	end_child(&child);
	end(&t);
}
END_TEST

START_TEST(one_that_ran_exec_is_of_its_own_whatever_its_title)
{
	struct child child = start_child();
	struct test t;
	pid_t pid;

	if (personality(UINT32_MAX) & ADDR_NO_RANDOMIZE) {
		printf("skipped: addresses are not randomised\n");
		end_child(&child);
		return;
	}
	if (!begin(&t, _i)) {
		end_child(&child);
		return;
	}
	tell(&child, "title", &t, "main");
	wait_for(&t, &t.candidates, child.pid, "main", 1);
	pid = tell(&child, "exec", &t, "main");
	wait_for(&t, &t.candidates, pid, "main", 1);
	kill(pid, SIGKILL);
	end_child(&child);
	end(&t);
}
END_TEST

START_TEST(siblings_may_have_the_same_title)
{
	struct child one = start_child(), two = start_child();
	struct test t;

	if (!begin(&t, _i)) {
		end_child(&one);
		end_child(&two);
		return;
	}
	tell(&one, "title", &t, "worker");
	tell(&two, "title", &t, "worker");
	wait_for(&t, &t.candidates, one.pid, "worker", 1);
	wait_for(&t, &t.candidates, two.pid, "worker", 1);
	wait_for_scans(&t, 2);
	ck_assert_int_eq(t.refused.n, 0);
	end_child(&one);
	end_child(&two);
	end(&t);
}
END_TEST

START_TEST(a_fork_whose_parent_is_gone_before_we_look_is_left_alone)
{
	struct child child = start_child();
	struct test t;
	pid_t fork_pid;

	if (!begin(&t, _i)) {
		end_child(&child);
		return;
	}
	tell(&child, "title", &t, "main");
	wait_for(&t, &t.candidates, child.pid, "main", 1);
	fork_pid = tell(&child, "orphan", &t, NULL);
	waitpid(child.pid, NULL, 0); /* the loop does not run meanwhile */
	wait_for(&t, &t.refused, fork_pid, "main", 1);
	ck_assert_int_eq(count(&t.candidates, fork_pid, NULL), 0);
	ck_assert_int_ne(t.refused.notes[0].parent_pid, child.pid);
	kill(fork_pid, SIGKILL);
	close(child.command);
	close(child.reply);
	end(&t);
}
END_TEST

START_TEST(a_successor_with_the_same_title_is_found)
{
	struct test t;

	if (!begin(&t, _i))
		return;
	for (int i = 0; i < 3; i++) {
		struct child child = start_child();

		tell(&child, "title", &t, "main");
		wait_for(&t, &t.candidates, child.pid, "main", 1);
		end_child(&child);
	}
	ck_assert_int_eq(t.candidates.n, 3);
	end(&t);
}
END_TEST

START_TEST(many_come_and_go)
{
	struct child children[20];
	struct discover_status status;
	char name[16];
	struct test t;

	if (!begin(&t, _i))
		return;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20; i++) {
			children[i] = start_child();
			snprintf(name, sizeof(name), "sub-%d", i);
			tell(&children[i], "title", &t, name);
		}
		for (int i = 0; i < 20; i++)
			wait_for(&t, &t.candidates, children[i].pid, NULL, 1);
		for (int i = 0; i < 20; i++)
			end_child(&children[i]);
	}
	ck_assert_int_eq(t.candidates.n, 60);
	ck_assert_int_eq(t.refused.n, 0);
	wait_for_scans(&t, 3);
	discover_get_status(t.discover, &status);
	ck_assert_uint_lt(status.n_suspects, 20 + 20 * !_i);
	end(&t);
}
END_TEST

START_TEST(after_a_pause_all_is_told_anew)
{
	struct child child = start_child();
	struct discover_status status;
	struct test t;

	if (!begin(&t, _i)) {
		end_child(&child);
		return;
	}
	tell(&child, "title", &t, "main");
	wait_for(&t, &t.candidates, child.pid, "main", 1);
	discover_stop(t.discover);
	discover_get_status(t.discover, &status);
	ck_assert(!status.is_running);
	/* There is nothing that the loop would wait for. */
	ck_assert_int_eq(event_base_dispatch(t.base), 1);
	ck_assert_int_eq(discover_start(t.discover), 0);
	wait_for(&t, &t.candidates, child.pid, "main", 2);
	t.stops_when_told = true;
	discover_stop(t.discover);
	ck_assert_int_eq(discover_start(t.discover), 0);
	wait_for(&t, &t.candidates, child.pid, "main", 3);
	ck_assert_int_eq(event_base_dispatch(t.base), 1);
	end_child(&child);
	end(&t);
}
END_TEST

START_TEST(other_titles_of_interest_are_found_by_a_rescan)
{
	struct child child = start_child();
	struct test t;

	if (!begin(&t, _i)) {
		end_child(&child);
		return;
	}
	tell(&child, "title", &t, "main");
	snprintf(t.prefix, sizeof(t.prefix), "no such");
	wait_for_scans(&t, 3);
	ck_assert_int_eq(t.candidates.n, 0);
	snprintf(t.prefix, sizeof(t.prefix), "tx-%d:", (int)getpid());
	discover_rescan(t.discover);
	wait_for(&t, &t.candidates, child.pid, "main", 1);
	/* What is known is told once more. */
	discover_rescan(t.discover);
	wait_for(&t, &t.candidates, child.pid, "main", 2);
	wait_for_scans(&t, 2);
	ck_assert_int_eq(t.candidates.n, 2);
	end_child(&child);
	end(&t);
}
END_TEST

START_TEST(nothing_is_left_behind)
{
	int n_threads = count_threads(), n_fds;
	struct child child = start_child();
	struct test t;

	if (!begin(&t, _i)) {
		end_child(&child);
		return;
	}
	tell(&child, "title", &t, "main");
	discover_stop(t.discover);
	/* Threads that are on their way out have files open. */
	wait_for_threads(n_threads);
	n_fds = count_entries("/proc/self/fd");
	for (int i = 0; i < 200; i++) {
		t.candidates.n = 0;
		ck_assert_int_eq(discover_start(t.discover), 0);
		/* Some to the end, some in the middle of it. */
		if (i % 4 == 0)
			wait_for(&t, &t.candidates, child.pid, "main", 1);
		else if (i % 4 == 1)
			event_base_loop(t.base, EVLOOP_ONCE);
		discover_stop(t.discover);
	}
	wait_for_threads(n_threads);
	ck_assert_int_eq(count_entries("/proc/self/fd"), n_fds);
	end_child(&child);
	end(&t);
}
END_TEST

/* A child that hangs in the kernel, and has a target's title when it comes back. */
static pid_t start_hung_child(const struct hung_file *file, const struct test *t)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		hung_file_hang(file);
		title_set(t->prefix);
		sleep_for_good();
	}
	return pid;
}

START_TEST(one_that_blocks_does_not_delay_others)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	int n_threads = count_threads(), r;
	struct discover_status status;
	struct hung_file file;
	struct child other;
	pid_t hung;
	struct test t;

	r = hung_file_start(&file);
	if (r < 0) {
		printf("skipped: no file that hangs: %s\n", strerror(-r));
		return;
	}
	if (!begin(&t, _i)) {
		hung_file_release(&file);
		return;
	}
	hung = start_hung_child(&file, &t);
	t.hung_pid = hung;
	while (t.n_stuck == 0 && clock_monotonic_ns() < end_ns)
		run_for(&t, 0);
	ck_assert_int_eq(t.n_stuck, 1);
	for (int i = 0; i < 3; i++) {
		other = start_child();
		tell(&other, "title", &t, "other");
		ck_assert_uint_lt(wait_for(&t, &t.candidates, other.pid, "other", 1), 5 * NS_PER_S);
		end_child(&other);
	}
	wait_for_scans(&t, 5);
	discover_get_status(t.discover, &status);
	/* Not one more for each try. */
	ck_assert_uint_ge(status.n_stuck, 1);
	ck_assert_uint_le(status.n_stuck, 2 + 2 * (uintmax_t)t.n_others_stuck);
	ck_assert_int_eq(t.n_stuck, 1);
	/* Its look is left alone when we end, and returns when it can. */
	discover_stop(t.discover);
	hung_file_release(&file);
	kill(hung, SIGKILL);
	waitpid(hung, NULL, 0);
	wait_for_threads(n_threads);
	end(&t);
}
END_TEST

START_TEST(one_that_blocked_is_found_once_it_answers)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct hung_file file;
	pid_t hung;
	struct test t;
	int r;

	r = hung_file_start(&file);
	if (r < 0) {
		printf("skipped: no file that hangs: %s\n", strerror(-r));
		return;
	}
	if (!begin(&t, _i)) {
		hung_file_release(&file);
		return;
	}
	hung = start_hung_child(&file, &t);
	t.hung_pid = hung;
	while (t.n_stuck == 0 && clock_monotonic_ns() < end_ns)
		run_for(&t, 0);
	ck_assert_int_eq(t.n_stuck, 1);
	hung_file_release(&file);
	wait_for(&t, &t.candidates, hung, "", 1);
	kill(hung, SIGKILL);
	waitpid(hung, NULL, 0);
	end(&t);
}
END_TEST

/* test_discover --titled TITLE: takes the title after a while, as a spawned process does. */
static void be_titled(const char *title)
{
	char copy[LINE_MAX_];

	snprintf(copy, sizeof(copy), "%s", title);
	poll(NULL, 0, 300);
	title_set(copy);
	sleep_for_good();
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("discover");
	TCase *tc = tcase_create("discover");
	SRunner *runner = srunner_create(suite);
	int failed;

	titles_init(argc, argv);
	if (argc > 2 && strcmp(argv[1], "--titled") == 0)
		be_titled(argv[2]);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, one_that_is_there_is_found, 0, 2);
	tcase_add_loop_test(tc, a_title_that_comes_late_is_seen, 0, 2);
	tcase_add_loop_test(tc, another_title_that_matches_is_told_again, 0, 2);
	tcase_add_loop_test(tc, a_fork_that_keeps_the_title_is_left_alone, 0, 2);
	tcase_add_loop_test(tc, a_fork_that_renames_itself_late_is_found, 0, 2);
	tcase_add_loop_test(tc, a_spawned_one_that_renames_itself_late_is_found, 0, 2);
	tcase_add_loop_test(tc, one_that_ran_exec_is_of_its_own_whatever_its_title, 0, 2);
	tcase_add_loop_test(tc, siblings_may_have_the_same_title, 0, 2);
	tcase_add_loop_test(tc, a_fork_whose_parent_is_gone_before_we_look_is_left_alone, 0, 2);
	tcase_add_loop_test(tc, a_successor_with_the_same_title_is_found, 0, 2);
	tcase_add_loop_test(tc, many_come_and_go, 0, 2);
	tcase_add_loop_test(tc, after_a_pause_all_is_told_anew, 0, 2);
	tcase_add_loop_test(tc, other_titles_of_interest_are_found_by_a_rescan, 0, 2);
	tcase_add_loop_test(tc, nothing_is_left_behind, 0, 2);
	tcase_add_loop_test(tc, one_that_blocks_does_not_delay_others, 0, 2);
	tcase_add_loop_test(tc, one_that_blocked_is_found_once_it_answers, 0, 2);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

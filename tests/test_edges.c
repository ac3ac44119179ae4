/* SPDX-License-Identifier: BSD-3-Clause */
/* Edges of children of ours, which note by their own clock what they do. */
#include "recorder/oncpu/edges.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/xalloc.h"

#define DEADLINE_NS (20 * NS_PER_S)
#define SLEEPS	    20
#define SLEEP_NS    (10 * NS_PER_MS)

/* What the child tells; shared. */
struct told {
	atomic_int go, is_ready, is_done;
	atomic_int tid;
	uint64_t before[SLEEPS], after[SLEEPS];
};

/* A stretch that ended. */
struct stretch {
	uint32_t tid;
	enum edge_state state;
	uint64_t start_ns, end_ns;
};

struct seen {
	struct stretch *stretches;
	size_t n, cap;
	unsigned n_exits;
};

static struct told *told;

static void on_change(void *ctx, struct edge_thread *t, enum edge_state was, uint64_t start_ns,
		      uint64_t end_ns)
{
	struct seen *seen = ctx;

	seen->stretches = xgrow(seen->stretches, &seen->cap, seen->n + 1, sizeof(*seen->stretches));
	seen->stretches[seen->n++] = (struct stretch){t->tid, was, start_ns, end_ns};
}

static void on_exit_of(void *ctx, struct edge_thread *t)
{
	struct seen *seen = ctx;

	ck_assert_uint_ne(t->tid, 0);
	seen->n_exits++;
}

static void nap(uint64_t ns)
{
	struct timespec t = {.tv_nsec = (long)ns};

	nanosleep(&t, NULL);
}

static void wait_for(atomic_int *what)
{
	uint64_t end = clock_monotonic_ns() + DEADLINE_NS;

	while (!atomic_load(what)) {
		ck_assert_uint_lt(clock_monotonic_ns(), end);
		nap(NS_PER_MS / 10);
	}
}

/* It is in a call that sleeps. */
static void wait_until_asleep(pid_t pid)
{
	uint64_t end = clock_monotonic_ns() + DEADLINE_NS;
	struct process_stat stat = {0};
	struct identity id;

	ck_assert_int_eq(identity_open(pid, &id), 0);
	do {
		ck_assert_uint_lt(clock_monotonic_ns(), end);
		nap(NS_PER_MS);
		ck_assert_int_eq(identity_read_stat(&id, &stat), 0);
	} while (stat.state != 'S');
	identity_close(&id);
}

static pid_t start_child(void (*body)(void))
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	body();
	_exit(0);
}

static void end_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

/* NULL: this machine does not let us. */
static struct edges *follow(pid_t pid, struct seen *seen, struct edge_events **events)
{
	struct edges_ops ops = {.on_change = on_change, .on_exit = on_exit_of, .ctx = seen};
	struct identity id;
	struct edges *e;
	int *fds, r;

	ck_assert_int_eq(identity_open(pid, &id), 0);
	r = edge_events_open(&id, events);
	identity_close(&id);
	if (r == -EACCES || r == -EPERM || r == -ENOSYS || r == -ENOENT) {
		fprintf(stderr, "skipped: no context-switch records here: %s\n", strerror(-r));
		return NULL;
	}
	ck_assert_int_eq(r, 0);
	fds = xcalloc(2 * (size_t)edge_events_n_cpus(*events), sizeof(*fds));
	for (unsigned i = 0; i < edge_events_n_cpus(*events); i++) {
		fds[(size_t)2 * i] = dup(edge_events_ring(*events, i));
		fds[(size_t)2 * i + 1] = dup(edge_events_alarm(*events, i));
	}
	ck_assert_int_eq(
	    edges_new(fds, edge_events_n_cpus(*events), edge_events_tasks(*events), &ops, &e), 0);
	free(fds);
	return e;
}

static void unfollow(struct edges *e, struct edge_events *events, struct seen *seen)
{
	edges_free(e);
	edge_events_free(events);
	free(seen->stretches);
}

static void setup(void)
{
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(told, MAP_FAILED);
}

static void teardown(void)
{
	munmap(told, sizeof(*told));
}

static void sleep_often(void)
{
	atomic_store(&told->tid, gettid());
	for (int i = 0; i < SLEEPS; i++) {
		told->before[i] = clock_monotonic_ns();
		nap(SLEEP_NS);
		told->after[i] = clock_monotonic_ns();
	}
	atomic_store(&told->is_done, 1);
}

static void wait_to_go(void)
{
	atomic_store(&told->is_ready, 1);
	while (!atomic_load(&told->go))
		nap(NS_PER_MS);
}

static void body_sleeps(void)
{
	wait_to_go();
	sleep_often();
	for (;;)
		pause();
}

static void read_until_done(struct edges *e)
{
	uint64_t end = clock_monotonic_ns() + DEADLINE_NS;

	while (!atomic_load(&told->is_done)) {
		ck_assert_uint_lt(clock_monotonic_ns(), end);
		edges_wait(e, -1, 50 * NS_PER_MS);
		edges_read(e, clock_monotonic_ns());
	}
	nap(2 * NS_PER_MS);
	edges_read(e, clock_monotonic_ns());
}

/* Each sleep of the child is a stretch of waiting that lies within what the child noted. */
static void check_sleeps(const struct seen *seen)
{
	uint32_t tid = (uint32_t)atomic_load(&told->tid);

	for (int i = 0; i < SLEEPS; i++) {
		unsigned n = 0;

		for (size_t k = 0; k < seen->n; k++) {
			const struct stretch *s = &seen->stretches[k];

			if (s->tid != tid || s->state != EDGE_WAITING ||
			    s->end_ns < told->before[i] || s->start_ns > told->after[i] ||
			    s->end_ns - s->start_ns < SLEEP_NS / 2)
				continue;
			n++;
			ck_assert_uint_ge(s->start_ns, told->before[i]);
			ck_assert_uint_le(s->end_ns, told->after[i]);
			/* It slept for that long, whatever the clock of the child made of it. */
			ck_assert_uint_ge(s->end_ns - s->start_ns, SLEEP_NS - 100 * NS_PER_US);
		}
		ck_assert_uint_eq(n, 1);
	}
}

START_TEST(sleeps_are_known)
{
	pid_t pid = start_child(body_sleeps);
	struct edge_events *events = NULL;
	struct seen seen = {0};
	struct edges *e;

	wait_for(&told->is_ready);
	e = follow(pid, &seen, &events);
	if (e) {
		atomic_store(&told->go, 1);
		read_until_done(e);
		check_sleeps(&seen);
		ck_assert_uint_eq(edges_n_lost(e), 0);
		unfollow(e, events, &seen);
	}
	end_child(pid);
}
END_TEST

static void *sleep_in_thread(void *arg)
{
	(void)arg;
	sleep_often();
	return NULL;
}

static void body_thread(void)
{
	pthread_t thread;

	wait_to_go();
	pthread_create(&thread, NULL, sleep_in_thread, NULL);
	for (;;)
		pause();
}

/* Threads that start later are followed, and their end is told. */
START_TEST(later_threads_are_followed)
{
	pid_t pid = start_child(body_thread);
	struct edge_events *events = NULL;
	struct seen seen = {0};
	struct edges *e;

	wait_for(&told->is_ready);
	e = follow(pid, &seen, &events);
	if (e) {
		uint64_t end = clock_monotonic_ns() + DEADLINE_NS;

		atomic_store(&told->go, 1);
		read_until_done(e);
		check_sleeps(&seen);
		while (!seen.n_exits) {
			ck_assert_uint_lt(clock_monotonic_ns(), end);
			edges_wait(e, -1, NS_PER_MS);
			edges_read(e, clock_monotonic_ns());
		}
		ck_assert_ptr_null(edges_find(e, (uint32_t)atomic_load(&told->tid)));
		ck_assert_ptr_nonnull(edges_find(e, (uint32_t)pid));
		unfollow(e, events, &seen);
	}
	end_child(pid);
}
END_TEST

static void body_asleep(void)
{
	atomic_store(&told->is_ready, 1);
	for (;;)
		pause();
}

/* One that sleeps when it is attached to is known to, and nothing wakes us meanwhile. */
START_TEST(who_sleeps_at_first_is_known)
{
	pid_t pid = start_child(body_asleep);
	struct edge_events *events = NULL;
	struct seen seen = {0};
	struct edges *e;

	wait_for(&told->is_ready);
	wait_until_asleep(pid);
	e = follow(pid, &seen, &events);
	if (e) {
		uint64_t start = clock_monotonic_ns();
		struct edge_thread *t = edges_find(e, (uint32_t)pid);

		ck_assert_ptr_nonnull(t);
		ck_assert_int_eq(t->state, EDGE_WAITING);
		ck_assert(!edges_wait(e, -1, 30 * NS_PER_MS));
		ck_assert_uint_ge(clock_monotonic_ns() - start, 30 * NS_PER_MS);
		ck_assert_uint_eq(edges_read(e, clock_monotonic_ns()), 0);
		unfollow(e, events, &seen);
	}
	end_child(pid);
}
END_TEST

static void body_busy(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	atomic_store(&told->is_ready, 1);
	for (;;)
		;
}

/* Two that want the same CPU all the time wait for nothing else than for it. */
START_TEST(preempted_is_not_waiting)
{
	pid_t pid = start_child(body_busy), other = start_child(body_busy);
	struct edge_events *events = NULL;
	struct seen seen = {0};
	struct edges *e;

	wait_for(&told->is_ready);
	e = follow(pid, &seen, &events);
	if (e) {
		uint64_t end = clock_monotonic_ns() + DEADLINE_NS;
		unsigned n_ready = 0;

		while (seen.n < 50) {
			ck_assert_uint_lt(clock_monotonic_ns(), end);
			edges_wait(e, -1, 50 * NS_PER_MS);
			edges_read(e, clock_monotonic_ns());
		}
		/* Not the first one: it may have been on its way to the other CPU. */
		for (size_t i = 1; i < seen.n; i++) {
			ck_assert_int_ne(seen.stretches[i].state, EDGE_WAITING);
			n_ready += seen.stretches[i].state == EDGE_READY;
		}
		ck_assert_uint_ge(n_ready, 20);
		unfollow(e, events, &seen);
	}
	end_child(pid);
	end_child(other);
}
END_TEST

static void body_switches(void)
{
	int there[2], back[2];
	char c = 0;

	if (pipe(there) || pipe(back))
		_exit(1);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1)
			;
		_exit(0);
	}
	wait_to_go();
	for (int i = 0; i < 5000; i++) {
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			_exit(1);
	}
	sleep_often();
	for (;;)
		pause();
}

/* A ring that nobody reads overflows: said so, and what comes later is right again. */
START_TEST(overflow_is_told)
{
	pid_t pid = start_child(body_switches);
	struct edge_events *events = NULL;
	struct seen seen = {0};
	struct edges *e;

	wait_for(&told->is_ready);
	e = follow(pid, &seen, &events);
	if (e) {
		atomic_store(&told->go, 1);
		wait_for(&told->tid);
		read_until_done(e);
		ck_assert_uint_gt(edges_n_lost(e), 0);
		/* The first sleeps may have been lost with the rest. */
		told->before[0] = told->before[SLEEPS - 1];
		told->after[0] = told->after[SLEEPS - 1];
		for (int i = 1; i < SLEEPS / 2; i++) {
			told->before[i] = told->before[SLEEPS - 1];
			told->after[i] = told->after[SLEEPS - 1];
		}
		check_sleeps(&seen);
		unfollow(e, events, &seen);
	}
	end_child(pid);
}
END_TEST

/* What was lost may have been the last that there is: whoever knows better can say so. */
START_TEST(who_waits_after_a_loss_can_be_told)
{
	pid_t pid = start_child(body_switches);
	struct edge_events *events = NULL;
	struct seen seen = {0};
	struct edges *e;

	wait_for(&told->is_ready);
	e = follow(pid, &seen, &events);
	if (e) {
		struct edge_delivery d = {
		    .tid = (uint32_t)pid, .target_tid = (uint32_t)pid, .fd = -1};
		struct edge_thread *t;

		atomic_store(&told->go, 1);
		wait_for(&told->is_done);
		wait_until_asleep(pid);
		edges_read(e, clock_monotonic_ns());
		t = edges_find(e, (uint32_t)pid);
		ck_assert_ptr_nonnull(t);
		ck_assert_int_eq(t->state, EDGE_UNKNOWN);
		ck_assert_uint_gt(edges_lost_ns(e), 0);
		/* An answer from before the loss says nothing. */
		d.asked_ns = edges_lost_ns(e);
		edges_note_waiting(e, &d);
		ck_assert_int_eq(t->state, EDGE_UNKNOWN);
		d.asked_ns++;
		edges_note_waiting(e, &d);
		ck_assert_int_eq(t->state, EDGE_WAITING);
		ck_assert_uint_eq(t->since_ns, edges_lost_ns(e));
		unfollow(e, events, &seen);
	}
	end_child(pid);
}
END_TEST

static bool sleep_returns_early(struct edges *e, uint64_t limit_ns)
{
	uint64_t start_ns = clock_monotonic_ns();

	edges_sleep(e, limit_ns);
	return clock_monotonic_ns() - start_ns < limit_ns;
}

/* Whoever sleeps for long is woken before anything is lost. */
START_TEST(a_ring_that_fills_ends_a_sleep)
{
	pid_t pid = start_child(body_switches);
	struct edge_events *events = NULL;
	struct seen seen = {0};
	struct edges *e;

	wait_for(&told->is_ready);
	e = follow(pid, &seen, &events);
	if (e) {
		/* Half a ring: some hundred records. A nap a millisecond is not many. */
		ck_assert(!sleep_returns_early(e, 20 * NS_PER_MS));
		edges_read(e, clock_monotonic_ns());
		atomic_store(&told->go, 1);
		ck_assert(sleep_returns_early(e, DEADLINE_NS));
		unfollow(e, events, &seen);
	}
	end_child(pid);
}
END_TEST

/* After the end of the process its edges are over, also for who waits for more of them. */
START_TEST(end_of_process_is_seen)
{
	pid_t pid = start_child(body_asleep);
	struct edge_events *events = NULL;
	struct seen seen = {0};
	struct edges *e;

	wait_for(&told->is_ready);
	e = follow(pid, &seen, &events);
	end_child(pid);
	if (e) {
		uint64_t end = clock_monotonic_ns() + DEADLINE_NS;

		while (!edges_are_over(e)) {
			ck_assert_uint_lt(clock_monotonic_ns(), end);
			edges_wait(e, -1, 50 * NS_PER_MS);
			edges_read(e, clock_monotonic_ns());
		}
		unfollow(e, events, &seen);
	}
}
END_TEST

START_TEST(no_process)
{
	struct edge_events *events = NULL;
	struct identity id;
	pid_t pid = start_child(body_asleep);

	ck_assert_int_eq(identity_open(pid, &id), 0);
	end_child(pid);
	ck_assert_int_eq(edge_events_open(&id, &events), -ESRCH);
	ck_assert_ptr_null(events);
	identity_close(&id);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("edges");
	TCase *tc = tcase_create("edges");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, sleeps_are_known);
	tcase_add_test(tc, later_threads_are_followed);
	tcase_add_test(tc, who_sleeps_at_first_is_known);
	tcase_add_test(tc, preempted_is_not_waiting);
	tcase_add_test(tc, overflow_is_told);
	tcase_add_test(tc, who_waits_after_a_loss_can_be_told);
	tcase_add_test(tc, a_ring_that_fills_ends_a_sleep);
	tcase_add_test(tc, end_of_process_is_seen);
	tcase_add_test(tc, no_process);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Guessing from invented figures, and from those of a child that notes what it does. */
#include "recorder/oncpu/edges_coarse.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/oncpu/edge_inbox.h"
#include "recorder/oncpu/wait_source.h"

#define MS	    NS_PER_MS
#define START_NS    (1000 * MS)
#define READ_NS	    (10 * MS)
#define STEPS	    6
#define STEP_NS	    (150 * MS)
#define DEADLINE_NS (30 * NS_PER_S)
#define NOBODY	    65534

struct stretch {
	enum edge_state state;
	uint64_t start_ns, end_ns;
};

/* What was told, and the thread that it is about with the figures that it has now. */
struct seen {
	struct stretch stretches[256];
	size_t n;
	unsigned n_exits;
	uint64_t last_ns;
	struct edges_coarse *edges;
	struct edge_thread *thread;
	struct sched_figures f;
	uint64_t now_ns;
};

static struct seen seen;

static void on_change(void *ctx, struct edge_thread *t, enum edge_state was, uint64_t start_ns,
		      uint64_t end_ns)
{
	struct seen *s = ctx;

	ck_assert(t->is_guess);
	ck_assert_uint_le(start_ns, end_ns);
	ck_assert_uint_ge(start_ns, s->last_ns);
	ck_assert_uint_eq(t->since_ns, end_ns);
	s->last_ns = end_ns;
	if (was == EDGE_UNKNOWN || s->n == sizeof(s->stretches) / sizeof(s->stretches[0]))
		return;
	s->stretches[s->n++] = (struct stretch){was, start_ns, end_ns};
}

static void on_exit_of(void *ctx, struct edge_thread *t)
{
	struct seen *s = ctx;

	ck_assert_ptr_eq(t->owner, s);
	s->n_exits++;
}

static void setup(void)
{
	const struct edges_ops ops = {.on_change = on_change, .on_exit = on_exit_of, .ctx = &seen};

	seen = (struct seen){.now_ns = START_NS, .f = {.run_ns = 5 * MS, .n_slices = 7}};
	seen.edges = edges_coarse_new(&ops);
}

static void teardown(void)
{
	edges_coarse_free(seen.edges);
}

/* --- invented figures --- */

static void begin(void)
{
	seen.thread = edges_coarse_add(seen.edges, 42, 42, -1, &seen);
	ck_assert_ptr_nonnull(seen.thread);
	edges_coarse_take(seen.edges, seen.thread, &seen.f, seen.now_ns);
}

/* The next read: it has run for so long since the last one, in so many new turns. */
static void step(uint64_t ran_ns, uint64_t ready_ns, uint64_t slices)
{
	seen.now_ns += READ_NS;
	seen.f.run_ns += ran_ns;
	seen.f.ready_ns += ready_ns;
	seen.f.n_slices += slices;
	edges_coarse_take(seen.edges, seen.thread, &seen.f, seen.now_ns);
}

static void steps(int n, uint64_t ran_ns, uint64_t slices)
{
	while (n--)
		step(ran_ns, 0, slices);
}

static void assert_stretch(size_t i, enum edge_state state, uint64_t start_ns, uint64_t end_ns)
{
	ck_assert_uint_lt(i, seen.n);
	ck_assert_int_eq(seen.stretches[i].state, state);
	ck_assert_uint_eq(seen.stretches[i].start_ns, START_NS + start_ns);
	ck_assert_uint_eq(seen.stretches[i].end_ns, START_NS + end_ns);
}

START_TEST(one_that_computes_is_on)
{
	begin();
	steps(50, READ_NS, 0);
	ck_assert_int_eq(seen.thread->state, EDGE_ON);
	ck_assert_uint_eq(seen.n, 0);
}
END_TEST

START_TEST(one_that_sleeps_from_the_beginning_is_off_since_then)
{
	begin();
	step(0, 0, 0);
	ck_assert_int_eq(seen.thread->state, EDGE_UNKNOWN);
	step(0, 0, 0);
	ck_assert_int_eq(seen.thread->state, EDGE_WAITING);
	ck_assert_uint_eq(seen.thread->since_ns, START_NS);
}
END_TEST

START_TEST(sleep_after_computing_has_its_times)
{
	begin();
	steps(5, READ_NS, 0);
	step(4 * MS, 0, 0); /* to sleep at 54 ms */
	step(0, 0, 0);
	ck_assert_int_eq(seen.thread->state, EDGE_ON);
	step(0, 0, 0);
	ck_assert_int_eq(seen.thread->state, EDGE_WAITING);
	assert_stretch(0, EDGE_ON, 0, 54 * MS);
	steps(10, 0, 0);
	ck_assert_uint_eq(seen.n, 1);
	step(3 * MS, 0, 1); /* woken at 187 ms */
	ck_assert_int_eq(seen.thread->state, EDGE_ON);
	assert_stretch(1, EDGE_WAITING, 54 * MS, 187 * MS);
}
END_TEST

START_TEST(short_pauses_are_not_seen)
{
	begin();
	for (int i = 0; i < 50; i++)
		step(i % 2 ? 0 : MS, 0, i % 2 ? 0 : 1);
	ck_assert_int_eq(seen.thread->state, EDGE_ON);
	ck_assert_uint_eq(seen.n, 0);
}
END_TEST

START_TEST(brief_work_between_sleeps_is_no_longer_than_it_was)
{
	begin();
	steps(5, 0, 0);
	step(MS / 10, 0, 1);
	steps(5, 0, 0);
	ck_assert_int_eq(seen.thread->state, EDGE_WAITING);
	ck_assert_uint_eq(seen.n, 2);
	assert_stretch(0, EDGE_WAITING, 0, 60 * MS - MS / 10);
	assert_stretch(1, EDGE_ON, 60 * MS - MS / 10, 60 * MS);
}
END_TEST

/* A tick that comes late: it has not got the CPU anew, so it never was off it. */
START_TEST(late_figures_take_a_wait_back)
{
	begin();
	steps(3, READ_NS, 0);
	steps(4, 0, 0);
	ck_assert_int_eq(seen.thread->state, EDGE_WAITING);
	step(5 * READ_NS, 0, 0);
	ck_assert_int_eq(seen.thread->state, EDGE_ON);
	ck_assert_uint_eq(seen.n, 2);
	assert_stretch(1, EDGE_WAITING, 30 * MS, 30 * MS);
}
END_TEST

START_TEST(waiting_for_a_cpu_is_told_apart)
{
	begin();
	steps(3, READ_NS, 0);
	steps(9, 0, 0);
	step(2 * MS, 88 * MS, 1);
	ck_assert_int_eq(seen.thread->state, EDGE_ON);
	assert_stretch(0, EDGE_ON, 0, 30 * MS);
	assert_stretch(1, EDGE_WAITING, 30 * MS, 40 * MS);
	assert_stretch(2, EDGE_READY, 40 * MS, 128 * MS);
}
END_TEST

/* Nothing but a kernel of another kind can do that: times stay in order all the same. */
START_TEST(figures_that_make_no_sense_do_no_harm)
{
	static const uint64_t odd[] = {0, 1, MS, UINT64_MAX, UINT64_MAX / 2, 1000 * NS_PER_S};
	enum { N = sizeof(odd) / sizeof(odd[0]) };

	begin();
	srand(1);
	for (int i = 0; i < 20000; i++) {
		step(odd[rand() % N] * (unsigned)(rand() % 2), odd[rand() % N], rand() % 3 == 0);
		if (rand() % 3 == 0)
			steps(4, 0, 0);
		ck_assert_uint_le(seen.last_ns, seen.now_ns);
	}
}
END_TEST

START_TEST(too_many_threads_are_refused)
{
	for (unsigned i = 0; i < EDGES_COARSE_MAX; i++)
		ck_assert_ptr_nonnull(edges_coarse_add(seen.edges, i + 1, i + 1, -1, &seen));
	ck_assert_ptr_null(edges_coarse_add(seen.edges, 9999, 9999, -1, &seen));
}
END_TEST

/* --- of the kernel --- */

struct told {
	atomic_int is_done;
	uint64_t ends[2 * STEPS + 1]; /* of sleeping, of computing, by turns */
};

static struct told *told;

static void nap(uint64_t ns)
{
	struct timespec t = {.tv_nsec = (long)ns};

	nanosleep(&t, NULL);
}

static void compute(uint64_t ns)
{
	uint64_t end = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) + ns;

	while (clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) < end)
		;
}

static void sleep_and_compute(void)
{
	told->ends[0] = clock_monotonic_ns();
	for (int i = 0; i < STEPS; i++) {
		nap(STEP_NS);
		told->ends[2 * i + 1] = clock_monotonic_ns();
		compute(STEP_NS);
		told->ends[2 * i + 2] = clock_monotonic_ns();
	}
	atomic_store(&told->is_done, 1);
}

static pid_t start_child(void (*body)(void))
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	body();
	for (;;)
		pause();
}

static void end_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

/* -1: this kernel has no figures. */
static int open_figures(pid_t pid)
{
	struct identity id;
	uint32_t tid = 0;
	int fd;

	ck_assert_int_eq(identity_open(pid, &id), 0);
	fd = wait_source_open_sched(&id, pid, &tid);
	identity_close(&id);
	if (fd < 0)
		fprintf(stderr, "skipped: no scheduler's figures here: %s\n", strerror(-fd));
	else
		ck_assert_uint_eq(tid, (uint32_t)pid);
	return fd < 0 ? -1 : fd;
}

/* As far as it lies within what is asked for. */
static uint64_t time_off(uint64_t start_ns, uint64_t end_ns)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < seen.n; i++) {
		uint64_t from = seen.stretches[i].start_ns, to = seen.stretches[i].end_ns;

		if (seen.stretches[i].state == EDGE_ON)
			continue;
		from = from > start_ns ? from : start_ns;
		to = to < end_ns ? to : end_ns;
		sum += to > from ? to - from : 0;
	}
	return sum;
}

START_TEST(sleeps_of_a_child_are_seen)
{
	uint64_t end_ns = clock_monotonic_ns() + DEADLINE_NS, before_ns, longest_ns = 0;
	pid_t pid = start_child(sleep_and_compute);
	int fd = open_figures(pid);

	if (fd >= 0)
		seen.thread = edges_coarse_add(seen.edges, (uint32_t)pid, (uint32_t)pid, fd, &seen);
	before_ns = clock_monotonic_ns();
	while (fd >= 0 && !atomic_load(&told->is_done)) {
		uint64_t now_ns = clock_monotonic_ns();

		ck_assert_uint_lt(now_ns, end_ns);
		/* We may not get a CPU as often as we want to. */
		if (now_ns - before_ns > longest_ns)
			longest_ns = now_ns - before_ns;
		before_ns = now_ns;
		edges_coarse_read(seen.edges, now_ns);
		nap(MS);
	}
	for (int i = 1; fd >= 0 && i < STEPS; i++) {
		const uint64_t *at = &told->ends[(size_t)2 * (size_t)i];

		ck_assert_uint_ge(time_off(at[0], at[1]), at[1] - at[0] - 20 * MS - longest_ns);
		/* What it did not get a CPU for is not told apart for certain. */
		ck_assert_uint_le(time_off(at[1], at[2]),
				  at[2] - at[1] - STEP_NS + 20 * MS + longest_ns);
	}
	end_child(pid);
}
END_TEST

static void do_nothing(void)
{
}

START_TEST(its_end_is_noticed)
{
	pid_t pid = start_child(do_nothing);
	int fd = open_figures(pid);

	if (fd >= 0)
		seen.thread = edges_coarse_add(seen.edges, (uint32_t)pid, (uint32_t)pid, fd, &seen);
	edges_coarse_read(seen.edges, START_NS);
	ck_assert_uint_eq(seen.n_exits, 0);
	end_child(pid);
	edges_coarse_read(seen.edges, START_NS + NS_PER_S);
	ck_assert_uint_eq(seen.n_exits, fd >= 0);
}
END_TEST

START_TEST(one_without_owner_is_given_up)
{
	edges_coarse_add(seen.edges, 1, 1, open("/proc/self/schedstat", O_RDONLY), NULL);
	edges_coarse_read(seen.edges, START_NS);
	ck_assert_uint_eq(seen.n_exits, 0);
	for (unsigned i = 0; i < EDGES_COARSE_MAX; i++)
		ck_assert_ptr_nonnull(edges_coarse_add(seen.edges, i + 1, i + 1, -1, &seen));
}
END_TEST

static int read_as_nobody(int fd)
{
	uint64_t end_ns = clock_monotonic_ns() + DEADLINE_NS;
	struct sched_figures f = {0};

	if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0)
		return 2;
	/* It may have just been started. */
	while (f.n_slices == 0 && clock_monotonic_ns() < end_ns)
		if (sched_figures_read(fd, &f) != 0)
			return 3;
	return f.n_slices == 0;
}

/* The worker has given up its privileges, and has the descriptor only. */
START_TEST(nobody_can_read_figures_through_a_descriptor)
{
	pid_t target = start_child(do_nothing), reader;
	int fd = open_figures(target), status = 0;

	if (getuid() != 0 || fd < 0) {
		fprintf(stderr, "skipped: needs root\n");
	} else {
		reader = fork();
		if (reader == 0)
			_exit(read_as_nobody(fd));
		ck_assert_int_eq(waitpid(reader, &status, 0), reader);
		ck_assert_int_eq(status, 0);
	}
	close_p(&fd);
	end_child(target);
}
END_TEST

START_TEST(a_thread_of_another_process_is_refused)
{
	pid_t other = start_child(do_nothing);
	struct identity id;
	uint32_t tid;

	ck_assert_int_eq(identity_open(getpid(), &id), 0);
	ck_assert_int_eq(wait_source_open_sched(&id, other, &tid), -ESRCH);
	ck_assert_int_eq(wait_source_open_sched(&id, 0, &tid), -ESRCH);
	ck_assert_int_eq(wait_source_open_sched(&id, -1, &tid), -ESRCH);
	identity_close(&id);
	end_child(other);
}
END_TEST

START_TEST(what_is_no_figures_is_refused)
{
	auto_close int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_RDONLY);
	struct sched_figures f;

	ck_assert_int_eq(sched_figures_read(zero, &f), -EBADMSG);
	ck_assert_int_eq(sched_figures_read(null, &f), -ESRCH);
	ck_assert_int_eq(sched_figures_read(-1, &f), -EBADF);
}
END_TEST

START_TEST(deliveries_arrive_and_are_bounded)
{
	struct edge_inbox *box = edge_inbox_new();
	struct edge_delivery d = {.tid = 3, .target_tid = 2};
	unsigned n = 0;

	ck_assert(!edge_inbox_take(box, &d));
	for (int i = 0; i < 100; i++) {
		d.fd = open("/dev/null", O_RDONLY);
		edge_inbox_put(box, &d);
	}
	while (n < 10 && edge_inbox_take(box, &d)) {
		ck_assert_uint_eq(d.tid, 3);
		ck_assert_int_eq(close(d.fd), 0);
		n++;
	}
	ck_assert_uint_eq(n, 10);
	edge_inbox_free(box);
	/* All are closed, those without room and those that nobody took. */
	ck_assert_int_eq(fcntl(d.fd, F_GETFD), -1);
}
END_TEST

static void map_told(void)
{
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(told, MAP_FAILED);
	setup();
}

static void unmap_told(void)
{
	teardown();
	munmap(told, sizeof(*told));
}

static Suite *suite(void)
{
	Suite *suite = suite_create("edges_coarse");
	TCase *guess = tcase_create("guess"), *real = tcase_create("real");

	tcase_add_checked_fixture(guess, setup, teardown);
	tcase_add_test(guess, one_that_computes_is_on);
	tcase_add_test(guess, one_that_sleeps_from_the_beginning_is_off_since_then);
	tcase_add_test(guess, sleep_after_computing_has_its_times);
	tcase_add_test(guess, short_pauses_are_not_seen);
	tcase_add_test(guess, brief_work_between_sleeps_is_no_longer_than_it_was);
	tcase_add_test(guess, late_figures_take_a_wait_back);
	tcase_add_test(guess, waiting_for_a_cpu_is_told_apart);
	tcase_add_test(guess, figures_that_make_no_sense_do_no_harm);
	tcase_add_test(guess, too_many_threads_are_refused);
	suite_add_tcase(suite, guess);
	tcase_add_checked_fixture(real, map_told, unmap_told);
	tcase_set_timeout(real, 60);
	tcase_add_test(real, sleeps_of_a_child_are_seen);
	tcase_add_test(real, its_end_is_noticed);
	tcase_add_test(real, one_without_owner_is_given_up);
	tcase_add_test(real, nobody_can_read_figures_through_a_descriptor);
	tcase_add_test(real, a_thread_of_another_process_is_refused);
	tcase_add_test(real, what_is_no_figures_is_refused);
	tcase_add_test(real, deliveries_arrive_and_are_bounded);
	suite_add_tcase(suite, real);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/cpu_placement.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define DEADLINE_NS (20 * NS_PER_S)

static cpu_set_t allowed;

static void begin(void)
{
	ck_assert_int_eq(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
}

/* The n-th CPU that we may use. */
static size_t nth_cpu(int n)
{
	size_t cpu = 0;

	while (!CPU_ISSET(cpu, &allowed) || n-- > 0)
		cpu++;
	return cpu;
}

static void pin(pid_t pid, size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	ck_assert_int_eq(sched_setaffinity(pid, sizeof(set), &set), 0);
}

/* A process that is busy, or asleep, until it is ended. */
static pid_t start(bool busy)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			if (!busy)
				pause();
		}
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static bool may_use(size_t cpu)
{
	cpu_set_t now;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(now), &now), 0);
	return CPU_ISSET(cpu, &now);
}

static void check_nothing_changed(void)
{
	cpu_set_t now;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(now), &now), 0);
	ck_assert(CPU_EQUAL(&now, &allowed));
}

static void wait_until_left(struct cpu_placement *p, pid_t tid, size_t cpu)
{
	uint64_t end_ns = clock_monotonic_ns() + DEADLINE_NS;

	while (may_use(cpu) && clock_monotonic_ns() < end_ns) {
		cpu_placement_update(p, (uint64_t)tid);
		sched_yield();
	}
	ck_assert(!may_use(cpu));
}

START_TEST(the_cpu_of_a_busy_thread_is_left_to_it)
{
	struct cpu_placement *p;
	pid_t pid;

	begin();
	if (CPU_COUNT(&allowed) < 2)
		return; /* nowhere to go */
	pid = start(true);
	p = cpu_placement_new(pid, -1);
	pin(pid, nth_cpu(0));
	wait_until_left(p, pid, nth_cpu(0));
	ck_assert(may_use(nth_cpu(1)));
	/* It moves, and so do we. */
	pin(pid, nth_cpu(1));
	wait_until_left(p, pid, nth_cpu(1));
	ck_assert(may_use(nth_cpu(0)));
	cpu_placement_free(p);
	check_nothing_changed();
	end(pid);
}
END_TEST

START_TEST(a_thread_whose_id_is_unknown_is_the_main_one)
{
	struct cpu_placement *p;
	pid_t pid;

	begin();
	if (CPU_COUNT(&allowed) < 2)
		return;
	pid = start(true);
	p = cpu_placement_new(pid, -1);
	pin(pid, nth_cpu(1));
	wait_until_left(p, 0, nth_cpu(1));
	cpu_placement_free(p);
	end(pid);
}
END_TEST

START_TEST(without_a_second_cpu_nothing_happens)
{
	struct cpu_placement *p;
	pid_t pid;

	begin();
	pid = start(true);
	pin(0, nth_cpu(0));
	p = cpu_placement_new(pid, -1);
	pin(pid, nth_cpu(0));
	cpu_placement_update(p, (uint64_t)pid);
	ck_assert(may_use(nth_cpu(0)));
	cpu_placement_free(p);
	end(pid);
}
END_TEST

START_TEST(threads_that_cannot_be_asked_change_nothing)
{
	struct cpu_placement *p;
	pid_t pid;

	begin();
	pid = start(false);
	end(pid);
	p = cpu_placement_new(pid, -1);
	cpu_placement_update(p, (uint64_t)pid);
	cpu_placement_update(p, 0);
	cpu_placement_free(p);
	p = cpu_placement_new(0, -1); /* not known */
	cpu_placement_update(p, 1);
	cpu_placement_free(p);
	cpu_placement_free(NULL);
	check_nothing_changed();
}
END_TEST

static int open_stat(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(a_descriptor_will_do_where_nothing_can_be_opened)
{
	struct cpu_placement *p;
	pid_t pid;
	int fd;

	begin();
	if (CPU_COUNT(&allowed) < 2)
		return;
	pid = start(true);
	fd = open_stat(pid);
	p = cpu_placement_new(0, fd); /* not even the process's id is needed */
	pin(pid, nth_cpu(0));
	wait_until_left(p, pid, nth_cpu(0));
	/* Whatever thread is asked for. */
	pin(pid, nth_cpu(1));
	wait_until_left(p, pid + 1, nth_cpu(1));
	ck_assert_int_eq(cpu_placement_update(p, 0), PLACEMENT_RUNNING);
	end(pid);
	ck_assert_int_eq(cpu_placement_update(p, 0), PLACEMENT_UNKNOWN);
	cpu_placement_free(p);
	check_nothing_changed();
	/* It was lent. */
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	close(fd);
}
END_TEST

static void wait_for_state(struct cpu_placement *p, pid_t tid, enum cpu_placement_state wanted)
{
	uint64_t end_ns = clock_monotonic_ns() + DEADLINE_NS;

	while (cpu_placement_update(p, (uint64_t)tid) != wanted) {
		ck_assert_uint_lt(clock_monotonic_ns(), end_ns);
		poll(NULL, 0, 1);
	}
}

START_TEST(whether_a_thread_runs_is_told)
{
	struct cpu_placement *p;
	int fd = -1;
	pid_t pid;

	begin();
	if (CPU_COUNT(&allowed) < 2)
		return;
	pid = start(false);
	if (_i)
		fd = open_stat(pid);
	p = cpu_placement_new(pid, fd);
	wait_for_state(p, pid, PLACEMENT_WAITING);
	kill(pid, SIGSTOP);
	wait_for_state(p, pid, PLACEMENT_WAITING);
	cpu_placement_free(p);
	end(pid);
	if (fd >= 0)
		close(fd);
}
END_TEST

/* The fields between the state and the processor. */
#define FIVE "1 1 1 1 1 "
#define ONES FIVE FIVE FIVE FIVE FIVE FIVE FIVE

/* What lies in a pipe, a file or a device is not what we expect, but it is no harm. */
START_TEST(a_descriptor_of_something_else_changes_nothing)
{
	static const char *const texts[] = {
	    "",
	    "1 (x",
	    "1 (x)",
	    "1 (x) ",
	    "1 (x) R",
	    "1 (x) R 1 2 3",
	    ") R",
	    "1 (x)R 1",
	    "1 (x) R " ONES "-7 0",
	    "1 (x) R " ONES "99999 0",
	};
	int devices[] = {open("/dev/null", O_RDONLY), open("/dev/zero", O_RDONLY)};

	begin();
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		struct cpu_placement *p = cpu_placement_new(0, devices[i]);

		ck_assert_int_eq(cpu_placement_update(p, 0), PLACEMENT_UNKNOWN);
		check_nothing_changed();
		cpu_placement_free(p);
		close(devices[i]);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		FILE *file = tmpfile();
		struct cpu_placement *p;

		ck_assert_ptr_nonnull(file);
		fputs(texts[i], file);
		fflush(file);
		p = cpu_placement_new(0, fileno(file));
		cpu_placement_update(p, 0);
		check_nothing_changed();
		cpu_placement_free(p);
		fclose(file);
	}
}
END_TEST

/* As in a chroot: after some attempts there are no more, also once they would succeed. */
START_TEST(what_cannot_be_opened_is_not_tried_for_ever)
{
	struct cpu_placement *p;
	pid_t pid;

	begin();
	if (CPU_COUNT(&allowed) < 2)
		return;
	pid = start(true);
	p = cpu_placement_new(pid, -1);
	pin(pid, nth_cpu(0));
	for (uint64_t i = 1; i <= 100; i++)
		ck_assert_int_eq(cpu_placement_update(p, UINT64_MAX - i), PLACEMENT_UNKNOWN);
	ck_assert_int_eq(cpu_placement_update(p, (uint64_t)pid), PLACEMENT_UNKNOWN);
	check_nothing_changed();
	cpu_placement_free(p);
	/* A few that fail, as threads end, do not count. */
	p = cpu_placement_new(pid, -1);
	for (uint64_t i = 1; i <= 100; i++) {
		cpu_placement_update(p, UINT64_MAX - i);
		ck_assert_int_eq(cpu_placement_update(p, (uint64_t)pid), PLACEMENT_RUNNING);
	}
	cpu_placement_free(p);
	end(pid);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cpu_placement");
	TCase *tc = tcase_create("cpu_placement");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_cpu_of_a_busy_thread_is_left_to_it);
	tcase_add_test(tc, a_thread_whose_id_is_unknown_is_the_main_one);
	tcase_add_test(tc, without_a_second_cpu_nothing_happens);
	tcase_add_test(tc, threads_that_cannot_be_asked_change_nothing);
	tcase_add_test(tc, a_descriptor_will_do_where_nothing_can_be_opened);
	tcase_add_loop_test(tc, whether_a_thread_runs_is_told, 0, 2);
	tcase_add_test(tc, a_descriptor_of_something_else_changes_nothing);
	tcase_add_test(tc, what_cannot_be_opened_is_not_tried_for_ever);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

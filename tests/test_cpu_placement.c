/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/cpu_placement.h"

#include <check.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
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
	p = cpu_placement_new(pid);
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
	p = cpu_placement_new(pid);
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
	p = cpu_placement_new(pid);
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
	p = cpu_placement_new(pid);
	cpu_placement_update(p, (uint64_t)pid);
	cpu_placement_update(p, 0);
	cpu_placement_free(p);
	p = cpu_placement_new(0); /* not known */
	cpu_placement_update(p, 1);
	cpu_placement_free(p);
	cpu_placement_free(NULL);
	check_nothing_changed();
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
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

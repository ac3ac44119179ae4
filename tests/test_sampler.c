/* SPDX-License-Identifier: BSD-3-Clause */
/* The sampler on a live interpreter; what it tells of a stack is tested in tests/e2e. */
#include "recorder/sampler.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/support/live.h"

#define DEADLINE_NS (20 * NS_PER_S)

/* Waits in a system call until it is written a line. */
#define WAIT "import sys\ndef wait():\n return sys.stdin.readline()\nwait()\n"
#define BUSY "def f(n):\n return n and f(n - 1)\nwhile True:\n f(5)\n"
/* On one line for ever, and never seen to get on. */
#define STUCK "sum(range(10 ** 15))\n"

static struct {
	pid_t pid;
	int input; /* of the Python */
	struct memory mem;
	struct py_runtime py;
	struct ring *ring;
	struct sampler_config config;
	struct sampler *sampler;
	const struct sampler_progress *progress;
	pthread_t thread;
	atomic_bool stop, is_over;
	int result;
} t;

static void *sample(void *arg)
{
	(void)arg;
	t.result = sampler_run(t.sampler, &t.stop);
	atomic_store(&t.is_over, true);
	return NULL;
}

static void start_python(const char *script)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	t.pid = fork();
	ck_assert_int_ge(t.pid, 0);
	if (t.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[0], STDIN_FILENO);
		close(ends[0]);
		close(ends[1]);
		execlp("python3", "python3", "-S", "-c", script, NULL);
		_exit(127);
	}
	close(ends[0]);
	t.input = ends[1];
}

static void end_python(void)
{
	kill(t.pid, SIGKILL);
	waitpid(t.pid, NULL, 0);
	close(t.input);
}

/* Returns whether there is something to test with. */
static bool begin(const char *script, double rate_hz, bool slows_when_idle)
{
	char found[256];
	int r;

	memset(&t, 0, sizeof(t));
	start_python(script);
	r = live_open(t.pid, &t.mem, &t.py, found, sizeof(found));
	if (r < 0) {
		fprintf(stderr, "skipped: no Python to read: %s: %s\n", found, strerror(-r));
		end_python();
		return false;
	}
	t.config = (struct sampler_config){
	    .rate_hz = rate_hz,
	    .slows_when_idle = slows_when_idle,
	    .follow = FOLLOW_ALL,
	    .pid = t.pid,
	    .stat_fd = -1,
	};
	t.ring = ring_new(1u << 22);
	t.sampler = sampler_new(&t.mem, &t.py, t.ring, &t.config, 1, 1);
	t.progress = sampler_get_progress(t.sampler);
	ck_assert_double_eq(atomic_load(&t.progress->rate_hz), rate_hz);
	ck_assert_int_eq(pthread_create(&t.thread, NULL, sample, NULL), 0);
	return true;
}

static void end(void)
{
	atomic_store(&t.stop, true);
	pthread_join(t.thread, NULL);
	ck_assert_int_eq(t.result, 0);
	sampler_free(t.sampler);
	ring_free(t.ring);
	memory_done(&t.mem);
	end_python();
}

static void drain(void)
{
	while (ring_peek(t.ring))
		ring_consume(t.ring);
}

static uint64_t n_snapshots(void)
{
	return atomic_load(&t.progress->snapshots);
}

static bool is_backed_off(void)
{
	return atomic_load(&t.progress->is_backed_off);
}

static void wait_a_bit(uint64_t since_ns)
{
	ck_assert(!atomic_load(&t.is_over));
	ck_assert_uint_lt(clock_monotonic_ns() - since_ns, DEADLINE_NS);
	drain();
	poll(NULL, 0, 1);
}

/* Returns the rate at which the next n snapshots were taken. */
static double rate_of(uint64_t n)
{
	uint64_t start_ns = clock_monotonic_ns(), first = n_snapshots(), now;

	while ((now = n_snapshots()) - first < n)
		wait_a_bit(start_ns);
	return (double)(now - first) * 1e9 / (double)(clock_monotonic_ns() - start_ns);
}

static void wait_until_backed_off(bool wanted)
{
	uint64_t start_ns = clock_monotonic_ns();

	while (is_backed_off() != wanted)
		wait_a_bit(start_ns);
}

/* Until the interpreter has begun, and waits. */
static void settle(void)
{
	uint64_t start_ns = clock_monotonic_ns();

	while (n_snapshots() < 10)
		wait_a_bit(start_ns);
}

START_TEST(the_rate_follows_what_is_set)
{
	double slow, fast;

	if (!begin(BUSY, 200, false))
		return;
	settle();
	slow = rate_of(60);
	/* Never more than asked for, but for rounds that are made up for. */
	ck_assert_double_gt(slow, 200 / 4.0);
	ck_assert_double_lt(slow, 200 * 2.0);
	sampler_set_rate(t.sampler, 4000);
	rate_of(100);
	ck_assert_double_eq(atomic_load(&t.progress->rate_hz), 4000);
	fast = rate_of(1200);
	ck_assert_double_gt(fast, 4 * slow);
	ck_assert_double_lt(fast, 4000 * 2.0);
	sampler_set_rate(t.sampler, 100);
	rate_of(20);
	ck_assert_double_eq(atomic_load(&t.progress->rate_hz), 100);
	ck_assert_double_lt(rate_of(30), 100 * 2.0);
	sampler_set_rate(t.sampler, 0);
	rate_of(100);
	ck_assert_double_gt(rate_of(5000), 4 * slow);
	end();
}
END_TEST

START_TEST(a_slow_rate_does_not_delay_a_fast_one)
{
	uint64_t start_ns;

	if (!begin(BUSY, 200, false))
		return;
	settle();
	sampler_set_rate(t.sampler, 0.01); /* each 100 s */
	start_ns = clock_monotonic_ns();
	while (atomic_load(&t.progress->rate_hz) > 1)
		wait_a_bit(start_ns);
	sampler_set_rate(t.sampler, 1000);
	rate_of(100); /* before the deadline */
	end();
}
END_TEST

START_TEST(what_waits_is_looked_at_less_often_until_it_wakes_up)
{
	double idle;

	if (!begin(WAIT BUSY, 5000, true))
		return;
	settle();
	wait_until_backed_off(true);
	idle = rate_of(100);
	ck_assert_double_lt(idle, 1000);
	/* The rate is what was set all the same, and setting another one wakes nobody. */
	ck_assert_double_eq(atomic_load(&t.progress->rate_hz), 5000);
	sampler_set_rate(t.sampler, 2000);
	ck_assert_double_lt(rate_of(100), 1000);
	ck_assert_double_eq(atomic_load(&t.progress->rate_hz), 2000);
	ck_assert_int_eq(write(t.input, "\n", 1), 1);
	wait_until_backed_off(false);
	ck_assert_double_gt(rate_of(1000), 2 * idle);
	ck_assert(!is_backed_off());
	end();
}
END_TEST

START_TEST(what_waits_is_looked_at_as_often_unless_asked)
{
	uint64_t start_ns = clock_monotonic_ns();

	if (!begin(WAIT, 5000, false))
		return;
	settle();
	while (n_snapshots() < 2000) {
		ck_assert(!is_backed_off());
		wait_a_bit(start_ns);
	}
	end();
}
END_TEST

START_TEST(what_computes_on_one_line_does_not_wait)
{
	uint64_t start_ns = clock_monotonic_ns(), n_backed_off = 0;

	if (!begin(STUCK, 5000, true))
		return;
	settle();
	while (n_snapshots() < 5000) {
		n_backed_off += is_backed_off();
		wait_a_bit(start_ns);
	}
	ck_assert_uint_eq(n_backed_off, 0);
	end();
}
END_TEST

START_TEST(a_target_that_ends_is_told_also_while_it_is_idle)
{
	uint64_t start_ns;

	if (!begin(WAIT, 5000, true))
		return;
	settle();
	wait_until_backed_off(true);
	kill(t.pid, SIGKILL);
	start_ns = clock_monotonic_ns();
	while (!atomic_load(&t.is_over)) {
		ck_assert_uint_lt(clock_monotonic_ns() - start_ns, DEADLINE_NS);
		poll(NULL, 0, 1);
	}
	ck_assert_int_eq(t.result, -ESRCH);
	t.result = 0;
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sampler");
	TCase *tc = tcase_create("sampler");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, the_rate_follows_what_is_set);
	tcase_add_test(tc, a_slow_rate_does_not_delay_a_fast_one);
	tcase_add_test(tc, what_waits_is_looked_at_less_often_until_it_wakes_up);
	tcase_add_test(tc, what_waits_is_looked_at_as_often_unless_asked);
	tcase_add_test(tc, what_computes_on_one_line_does_not_wait);
	tcase_add_test(tc, a_target_that_ends_is_told_also_while_it_is_idle);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

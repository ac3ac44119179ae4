/* SPDX-License-Identifier: BSD-3-Clause */
/* A real probe, in this process; skipped where that is not possible. */
#include "recorder/exact/line_events.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "recorder/exact/line_rings.h"
#include "tests/support/own_probe.h"

static struct line_request request;
static struct line_events *events;

static void setup(void)
{
	request = own_probe_request();
	events = NULL;
	ck_assert_uint_eq(own_probe_semaphore(), 0);
}

static void teardown(void)
{
	line_events_free(events);
	ck_assert_uint_eq(own_probe_semaphore(), 0);
}

static bool open_events(void)
{
	char why[512];
	int r = own_probe_open(&request, &events);

	if (r == 0)
		return true;
	line_events_explain(r, why, sizeof(why));
	fprintf(stderr, "skipped: %s\n", why);
	ck_assert(r == -EACCES || r == -EPERM || r == -ENOENT || r == -ENOSYS || r == -EOPNOTSUPP);
	return false;
}

static struct line_rings *read_rings(void)
{
	unsigned n = line_events_n_cpus(events);
	struct line_rings *rings;
	int fds[LINE_CPUS_MAX];

	for (unsigned i = 0; i < n; i++) {
		fds[i] = fcntl(line_events_ring(events, i), F_DUPFD_CLOEXEC, 0);
		ck_assert_int_ge(fds[i], 0);
	}
	ck_assert_int_eq(
	    line_rings_new(fds, n, line_events_ring_bytes(events), request.regs, &rings), 0);
	return rings;
}

/* How often the probe was reached since, by this thread (0: by any). */
static unsigned count(struct line_rings *rings, uint32_t tid)
{
	struct line_sample sample;
	uint64_t last_ns = 0;
	unsigned n = 0;

	while (line_rings_next(rings, UINT64_MAX, &sample) == LINE_REACHED) {
		ck_assert_uint_eq(sample.ip, own_probe_ip());
		ck_assert_uint_ge(sample.time_ns, last_ns);
		ck_assert_uint_le(sample.time_ns, clock_monotonic_ns());
		last_ns = sample.time_ns;
		n += !tid || sample.tid == tid;
	}
	return n;
}

START_TEST(each_time_is_told)
{
	struct line_rings *rings;

	if (!open_events())
		return;
	rings = read_rings();
	ck_assert_uint_eq(own_probe_semaphore(), 1);
	for (int i = 0; i < 1000; i++)
		own_probe_reach();
	ck_assert_uint_eq(count(rings, (uint32_t)getpid()), 1000);
	line_rings_free(rings);
}
END_TEST

static void *reach_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 500; i++)
		own_probe_reach();
	return NULL;
}

START_TEST(threads_that_start_later)
{
	struct line_rings *rings;
	pthread_t thread;
	unsigned n;

	if (!open_events())
		return;
	rings = read_rings();
	ck_assert_int_eq(pthread_create(&thread, NULL, reach_often, NULL), 0);
	pthread_join(thread, NULL);
	n = count(rings, 0);
	ck_assert_uint_eq(n, line_events_are_inherited(events) ? 500 : 0);
	line_rings_free(rings);
}
END_TEST

/* The probe is taken out of it; what it does is not told. */
START_TEST(a_child_is_left_alone)
{
	struct line_rings *rings;
	int status;
	pid_t pid;

	if (!open_events())
		return;
	rings = read_rings();
	pid = fork();
	if (pid == 0) {
		reach_often(NULL);
		_exit(own_probe_semaphore() ? 1 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert_uint_eq(count(rings, 0), 0);
	line_rings_free(rings);
}
END_TEST

START_TEST(who_only_reads_keeps_no_probe)
{
	struct line_rings *rings;

	if (!open_events())
		return;
	rings = read_rings();
	own_probe_reach();
	line_events_free(events);
	events = NULL;
	ck_assert_uint_eq(own_probe_semaphore(), 0);
	own_probe_reach();
	/* What came until then is there still. */
	ck_assert_uint_eq(count(rings, 0), 1);
	line_rings_free(rings);
}
END_TEST

START_TEST(two_at_a_time)
{
	struct line_events *others = NULL;

	if (!open_events())
		return;
	ck_assert_int_eq(own_probe_open(&request, &others), 0);
	ck_assert_uint_ge(own_probe_semaphore(), 1);
	line_events_free(others);
	own_probe_reach();
	ck_assert_uint_ge(own_probe_semaphore(), 1);
}
END_TEST

/* --- requests that make no sense: whoever makes them interprets what a target's file says --- */

static void refuse(void)
{
	ck_assert_int_eq(own_probe_open(&request, &events), -EINVAL);
	ck_assert_ptr_null(events);
	ck_assert_uint_eq(own_probe_semaphore(), 0);
	request = own_probe_request();
}

START_TEST(places_outside_of_what_is_mapped)
{
	uint64_t len = request.map_end - request.map_start;

	request.probes[0].offset += len;
	refuse();
	request.probes[0].offset = UINT64_MAX;
	refuse();
	request.probes[0].offset = 0; /* the file's header, which is not mapped there */
	refuse();
	request.map_end += 4096;
	refuse();
	request.map_start = request.map_end = 0;
	refuse();
}
END_TEST

static int data = 1;

START_TEST(a_mapping_that_is_not_executed)
{
	uint64_t here = (uint64_t)(uintptr_t)&data & ~UINT64_C(4095);

	ck_assert_int_eq(data, 1);
	request.map_start = here;
	request.map_end = here + 4096;
	refuse();
}
END_TEST

START_TEST(semaphores_that_cannot_be)
{
	request.probes[0].semaphore++;
	refuse();
	request.probes[0].semaphore = UINT64_C(1) << 32;
	refuse();
}
END_TEST

START_TEST(numbers_that_cannot_be)
{
	request.n_probes = 0;
	refuse();
	request.n_probes = LINE_PROBES_MAX + 1;
	refuse();
	request.stack_bytes = LINE_STACK_MAX + 8;
	refuse();
	request.stack_bytes = 12;
	refuse();
}
END_TEST

/* A breakpoint there would break the program. */
START_TEST(a_place_where_no_probe_is)
{
	uint64_t elsewhere = (uint64_t)(uintptr_t)&reach_often;

	request.probes[0].offset += elsewhere - own_probe_ip();
	refuse();
}
END_TEST

START_TEST(a_process_that_has_ended)
{
	auto_identity struct identity id = IDENTITY_NONE;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	ck_assert_int_eq(identity_open(pid, &id), 0);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(line_events_open(&id, &request, &events), -ESRCH);
	line_events_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("line_events");
	TCase *tc = tcase_create("line_events");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_time_is_told);
	tcase_add_test(tc, threads_that_start_later);
	tcase_add_test(tc, a_child_is_left_alone);
	tcase_add_test(tc, who_only_reads_keeps_no_probe);
	tcase_add_test(tc, two_at_a_time);
	tcase_add_test(tc, places_outside_of_what_is_mapped);
	tcase_add_test(tc, a_mapping_that_is_not_executed);
	tcase_add_test(tc, semaphores_that_cannot_be);
	tcase_add_test(tc, numbers_that_cannot_be);
	tcase_add_test(tc, a_place_where_no_probe_is);
	tcase_add_test(tc, a_process_that_has_ended);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

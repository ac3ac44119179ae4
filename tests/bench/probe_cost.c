/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * probe_cost: CPU in microseconds each time that a thread reaches a probe: none; one that the
 * kernel only counts, which is the least that a probe can cost; one as exact mode opens it. All in
 * turn, several times; the least of each.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "recorder/exact/trace_fs.h"
#include "recorder/exact/usdt_args.h"
#include "tests/support/own_probe.h"

#define ROUNDS 10
#define REACH  20000

static void fail(const char *what, int r)
{
	fprintf(stderr, "probe_cost: %s: %s\n", what, strerror(-r));
	exit(1);
}

static double measure_us(void)
{
	uint64_t start_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);

	for (int i = 0; i < REACH; i++)
		own_probe_reach();
	return (double)(clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns) / REACH / 1e3;
}

static double measure_counted_us(const struct line_request *request)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr)};
	int dir = trace_fs_open(), exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fd, r;
	char name[TRACE_FS_NAME_MAX];
	uint64_t id;
	double us;

	if (dir < 0 || exe < 0)
		fail("no tracefs", dir);
	r = trace_fs_define(dir, exe, request->probes[0].offset, request->probes[0].semaphore, name,
			    &id);
	if (r < 0)
		fail("no probe", r);
	attr.config = id;
	fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	us = measure_us();
	close(fd);
	trace_fs_remove(dir, name);
	close(dir);
	close(exe);
	if (r < 0)
		fail("no event", r);
	return us;
}

static double measure_told_us(const struct line_request *request)
{
	struct line_events *events;
	int r = own_probe_open(request, &events);
	double us;

	if (r < 0)
		fail("no line events", r);
	us = measure_us();
	line_events_free(events);
	return us;
}

static void keep_least(double *least, double us)
{
	if (*least < 0 || us < *least)
		*least = us;
}

int main(void)
{
	struct line_request request = own_probe_request();
	double none = -1, counted = -1, told = -1;

	/* Arguments in three registers, and those that may point to the frame. */
	request.regs = UINT64_C(0xd) | usdt_kept_regs(USDT_MACHINE);
	for (int i = 0; i < ROUNDS; i++) {
		keep_least(&none, measure_us());
		keep_least(&counted, measure_counted_us(&request));
		keep_least(&told, measure_told_us(&request));
	}
	printf("none     %.3f us\ncounted  %.3f us\ntold     %.3f us\n", none, counted, told);
	return 0;
}

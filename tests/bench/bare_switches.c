/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bare_switches TID: let the kernel record when the thread goes on and off a CPU, into one ring for
 * each CPU, and throw the records away; until standard input ends. Prints "ready". What the target
 * pays for that is the least that exact edges cost on this machine.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/units.h"
#include "common/xalloc.h"

#define RING_BYTES ((size_t)32 * 1024)
/* Often enough at 50,000 switches a second. */
#define EMPTY_MS 2

static struct perf_event_mmap_page *open_ring(pid_t tid, int cpu)
{
	struct perf_event_attr attr = {
	    .type = PERF_TYPE_SOFTWARE,
	    .size = sizeof(attr),
	    .config = PERF_COUNT_SW_DUMMY,
	    .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
	    .sample_id_all = 1,
	    .context_switch = 1,
	    .use_clockid = 1,
	    .clockid = CLOCK_MONOTONIC,
	    .watermark = 1,
	    .wakeup_watermark = RING_BYTES,
	};
	long fd = syscall(SYS_perf_event_open, &attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	void *map;

	if (fd < 0)
		return NULL;
	map = mmap(NULL, RING_BYTES + (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		   MAP_SHARED, (int)fd, 0);
	return map == MAP_FAILED ? NULL : map;
}

int main(int argc, char **argv)
{
	struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	struct perf_event_mmap_page **rings =
	    xcalloc((size_t)n, sizeof(struct perf_event_mmap_page *));
	uint64_t tid;

	if (argc != 2 || parse_count(argv[1], INT32_MAX, &tid) < 0) {
		fprintf(stderr, "usage: bare_switches TID\n");
		return 2;
	}
	for (long i = 0; i < n; i++) {
		rings[i] = open_ring((pid_t)tid, (int)i);
		if (!rings[i]) {
			fprintf(stderr, "bare_switches: %s\n", strerror(errno));
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	while (poll(&end, 1, EMPTY_MS) == 0) {
		for (long i = 0; i < n; i++)
			__atomic_store_n(&rings[i]->data_tail,
					 __atomic_load_n(&rings[i]->data_head, __ATOMIC_ACQUIRE),
					 __ATOMIC_RELEASE);
	}
	return 0;
}

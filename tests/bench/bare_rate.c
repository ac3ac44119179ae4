/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bare_rate PID HZ SECONDS: wake up HZ times a second and read 1 KiB of the process's memory each
 * time, nothing else. Prints the CPU that this took, in percent of a core, and the rate reached:
 * what any recorder that reads so often takes at least on this machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"

/* The start of the first writable mapping, 0 when there is none. */
static uint64_t find_writable(const char *pid)
{
	auto_free char *path = xasprintf("/proc/%s/maps", pid);
	auto_fclose FILE *maps = fopen(path, "re");
	uint64_t start;
	char line[4096], mode[5];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%*x %4s", &start, mode) == 2 && mode[1] == 'w')
			return start;
	}
	return 0;
}

static void sleep_until(uint64_t ns)
{
	struct timespec at = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

int main(int argc, char **argv)
{
	uint64_t addr, interval_ns, start_ns, end_ns, cpu_ns, n = 0;
	auto_free char *path = NULL;
	auto_close int fd = -1;
	char buf[1024];

	if (argc != 4 || atof(argv[2]) <= 0 || atof(argv[3]) <= 0) {
		fprintf(stderr, "usage: bare_rate PID HZ SECONDS\n");
		return 2;
	}
	path = xasprintf("/proc/%s/mem", argv[1]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	addr = find_writable(argv[1]);
	if (fd < 0 || !addr) {
		fprintf(stderr, "bare_rate: cannot read %s: %s\n", path, strerror(errno));
		return 1;
	}
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	interval_ns = (uint64_t)(1e9 / atof(argv[2]));
	start_ns = clock_monotonic_ns();
	end_ns = start_ns + (uint64_t)(atof(argv[3]) * 1e9);
	cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (uint64_t due_ns = start_ns; due_ns < end_ns; due_ns += interval_ns) {
		sleep_until(due_ns);
		if (pread(fd, buf, sizeof(buf), (off_t)addr) <= 0) {
			fprintf(stderr, "bare_rate: the process has ended\n");
			return 1;
		}
		n++;
	}
	cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
	end_ns = clock_monotonic_ns();
	printf("%.4f %.1f\n", 100.0 * (double)cpu_ns / (double)(end_ns - start_ns),
	       (double)n * 1e9 / (double)(end_ns - start_ns));
	return 0;
}

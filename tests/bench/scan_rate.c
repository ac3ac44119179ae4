/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scan_rate [PROCESSES]: start so many sleeping processes (default 1,000) and print what looking
 * for titles among them takes, in milliseconds of CPU, the median of many: a scan that knows
 * nothing yet, one with a table, one that reads settled titles every second time; beside them what
 * can't be had for less: reading the folder /proc, and opening and reading each command line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/proc_scan.h"

#define DEFAULT_PROCESSES 1000
#define ROUNDS		  51

struct bench {
	int proc_fd;
	unsigned stride;
	struct proc_table table, list;
	struct proc_batch batch;
};

static void scan(struct bench *b)
{
	size_t at = 0;

	if (proc_list_read(b->proc_fd, &b->list) < 0)
		return;
	proc_table_update(&b->table, &b->list);
	while (proc_table_take(&b->table, &at, b->stride, NULL, NULL, &b->batch)) {
		proc_batch_read(b->proc_fd, &b->batch);
		proc_table_put(&b->table, &b->batch, b->batch.n_read);
		if (b->batch.n_read < b->batch.n)
			at = proc_table_seek(&b->table, b->batch.entries[b->batch.n_read].pid);
	}
}

static void scan_cold(struct bench *b)
{
	proc_table_done(&b->table);
	scan(b);
}

static void list_folder(struct bench *b)
{
	DIR *dir = opendir("/proc");

	(void)b;
	while (dir && readdir(dir))
		;
	if (dir)
		closedir(dir);
}

static void read_all(struct bench *b)
{
	for (size_t i = 0; i < b->list.n; i++) {
		char path[64], buf[PROC_TITLE_MAX];
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)b->list.entries[i].pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, buf, sizeof(buf)) < 0)
			fprintf(stderr, "scan_rate: %s: %s\n", path, strerror(errno));
		close(fd);
	}
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void measure(struct bench *b, const char *what, void (*run)(struct bench *b))
{
	uint64_t cpu_ns[ROUNDS], *median;

	for (int i = 0; i < ROUNDS; i++) {
		cpu_ns[i] = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
		run(b);
		cpu_ns[i] = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns[i];
	}
	median = &cpu_ns[ROUNDS / 2];
	qsort(cpu_ns, ROUNDS, sizeof(cpu_ns[0]), compare_numbers);
	printf("%-44s %8.3f %8.3f %8.3f\n", what, (double)cpu_ns[0] / 1e6, (double)*median / 1e6,
	       (double)cpu_ns[ROUNDS - 1] / 1e6);
}

static void start_sleepers(pid_t *pids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		pids[i] = fork();
		if (pids[i] < 0) {
			fprintf(stderr, "scan_rate: only %zu processes: %s\n", i, strerror(errno));
			return;
		}
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : DEFAULT_PROCESSES;
	auto_free pid_t *pids = xcalloc(n, sizeof(*pids));
	auto_free struct bench *b = xcalloc(1, sizeof(*b));

	b->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->proc_fd < 0) {
		fprintf(stderr, "scan_rate: cannot open /proc: %s\n", strerror(errno));
		return 1;
	}
	start_sleepers(pids, n);
	b->stride = 1;
	scan(b);
	printf("%zu processes; ms of CPU: %18s %8s %8s\n", b->table.n, "least", "median", "most");
	measure(b, "reading the folder /proc", list_folder);
	measure(b, "open, read, close of each command line", read_all);
	measure(b, "scan, nothing known", scan_cold);
	measure(b, "scan, with a table", scan);
	b->stride = 2;
	measure(b, "scan, settled titles every second time", scan);
	for (size_t i = 0; i < n; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	proc_table_done(&b->table);
	proc_table_done(&b->list);
	close(b->proc_fd);
	return 0;
}

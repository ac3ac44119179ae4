/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/edge_events.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/read_fully.h"
#include "common/xalloc.h"
#include "recorder/oncpu/online_cpus.h"
#include "recorder/target/thread_list.h"

/* A wake-up comes when so many bytes of the record ring are full, which should never be. */
#define RING_WATERMARK (EDGE_RING_BYTES / 2)

DEFINE_CLEANUP(struct edge_events *, edge_events_free)

struct edge_events {
	int *cpus;
	unsigned n_cpus;
	int *
	    fds; /* by thread, then CPU, then records and alarm; the first thread's are the rings */
	size_t n_fds, cap_fds;
	void **maps; /* of the rings: without one, they take no records */
	size_t n_maps;
	struct edge_task *tasks;
	size_t n_tasks, cap_tasks;
	int tasks_fd;
	bool excludes_kernel; /* all that those without privilege may have */
	bool inherits_all;    /* processes that it forks as well: what old kernels can */
};

static size_t map_bytes(bool is_alarm)
{
	return (size_t)sysconf(_SC_PAGESIZE) + (is_alarm ? EDGE_ALARM_BYTES : EDGE_RING_BYTES);
}

void edge_events_free(struct edge_events *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->n_maps; i++)
		munmap(e->maps[i], map_bytes(i % 2 == 1));
	for (size_t i = 0; i < e->n_fds; i++)
		close(e->fds[i]);
	if (e->tasks_fd >= 0)
		close(e->tasks_fd);
	free(e->fds);
	free(e->maps);
	free(e->cpus);
	free(e->tasks);
	free(e);
}

unsigned edge_events_n_cpus(const struct edge_events *e)
{
	return e->n_cpus;
}

int edge_events_ring(const struct edge_events *e, unsigned i)
{
	return e->fds[2 * (size_t)i];
}

int edge_events_alarm(const struct edge_events *e, unsigned i)
{
	return e->fds[2 * (size_t)i + 1];
}

int edge_events_tasks(const struct edge_events *e)
{
	return e->tasks_fd;
}

static int read_text_at(int dir_fd, const char *path, char *buf, size_t size)
{
	auto_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	size_t len;
	int r;

	if (fd < 0)
		return -errno;
	r = read_fully(fd, buf, size - 1, &len);
	if (r == 0)
		buf[len] = '\0';
	return r;
}

static int open_event(const struct edge_events *e, uint32_t tid, int cpu, bool is_alarm)
{
	struct perf_event_attr attr = {
	    .type = PERF_TYPE_SOFTWARE,
	    .size = sizeof(attr),
	    .config = PERF_COUNT_SW_DUMMY,
	    .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
	    .sample_id_all = 1,
	    .context_switch = 1,
	    .task = !is_alarm,
	    .inherit = 1,
	    .inherit_thread = !e->inherits_all,
	    .exclude_kernel = e->excludes_kernel,
	    .exclude_hv = e->excludes_kernel,
	    .use_clockid = 1,
	    .clockid = CLOCK_MONOTONIC,
	    .watermark = 1,
	    .wakeup_watermark = is_alarm ? 1 : RING_WATERMARK,
	};
	long fd = syscall(SYS_perf_event_open, &attr, (pid_t)tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

/* The most that this kernel gives us. */
static int open_first(struct edge_events *e, uint32_t tid, int cpu, bool is_alarm)
{
	int fd = open_event(e, tid, cpu, is_alarm);

	if ((fd == -EACCES || fd == -EPERM) && !e->excludes_kernel) {
		e->excludes_kernel = true;
		fd = open_event(e, tid, cpu, is_alarm);
	}
	/* inherit_thread came with Linux 5.13. */
	if (fd == -EINVAL && !e->inherits_all) {
		e->inherits_all = true;
		fd = open_event(e, tid, cpu, is_alarm);
	}
	return fd;
}

/*
 * The rings are those of the first thread's events. They are there as long as they are mapped
 * somewhere, and what writes into them must be told so after that.
 */
static int make_rings(struct edge_events *e)
{
	e->maps = xcalloc(e->n_fds, sizeof(*e->maps));
	for (size_t i = 0; i < e->n_fds; i++) {
		void *map = mmap(NULL, map_bytes(i % 2 == 1), PROT_READ | PROT_WRITE, MAP_SHARED,
				 e->fds[i], 0);

		if (map == MAP_FAILED)
			return -errno;
		e->maps[e->n_maps++] = map;
		if (i % 2 == 1 && ioctl(e->fds[i], PERF_EVENT_IOC_PAUSE_OUTPUT, 1) < 0)
			return -errno;
	}
	return 0;
}

static int share_rings(const struct edge_events *e, size_t at)
{
	for (size_t i = 0; i < 2 * (size_t)e->n_cpus; i++) {
		if (ioctl(e->fds[at + i], PERF_EVENT_IOC_SET_OUTPUT, e->fds[i]) < 0)
			return -errno;
	}
	return 0;
}

/* One thread's. Returns 0 also for a thread that has ended. */
static int open_thread(struct edge_events *e, uint32_t tid)
{
	size_t at = e->n_fds;

	if (at + 2 * (size_t)e->n_cpus > EDGE_EVENTS_MAX)
		return -E2BIG;
	e->fds = xgrow(e->fds, &e->cap_fds, at + 2 * (size_t)e->n_cpus, sizeof(*e->fds));
	for (size_t i = 0; i < 2 * (size_t)e->n_cpus; i++) {
		int fd = open_first(e, tid, e->cpus[i / 2], i % 2 == 1);

		if (fd < 0) {
			/* What is opened of it is not complete: it is as if it had none. */
			while (e->n_fds > at)
				close(e->fds[--e->n_fds]);
			return fd == -ESRCH && at > 0 ? 0 : fd;
		}
		e->fds[e->n_fds++] = fd;
	}
	return at == 0 ? make_rings(e) : share_rings(e, at);
}

/* The last number of the line that begins with `key`, 0 when there is none. */
static uint32_t last_number(const char *status, const char *key)
{
	const char *line = strstr(status, key), *at;

	if (!line)
		return 0;
	line += strlen(key);
	at = line + strcspn(line, "\n");
	while (at > line && at[-1] >= '0' && at[-1] <= '9')
		at--;
	return (uint32_t)strtoul(at, NULL, 10);
}

static void note_task(struct edge_events *e, int task_fd, uint32_t tid)
{
	struct edge_task t = {.tid = tid};
	char path[32], status[4096];
	const char *state;

	snprintf(path, sizeof(path), "%u/status", tid);
	if (read_text_at(task_fd, path, status, sizeof(status)) < 0)
		return;
	/* The first NSpid is in the namespace of this /proc, the last one in its own. */
	t.target_tid = last_number(status, "\nNSpid:");
	if (!t.target_tid)
		t.target_tid = tid;
	state = strstr(status, "\nState:\t");
	if (state && (state[8] == 'S' || state[8] == 'D'))
		t.state = EDGE_WAITING;
	e->tasks = xgrow(e->tasks, &e->cap_tasks, e->n_tasks + 1, sizeof(*e->tasks));
	e->tasks[e->n_tasks++] = t;
}

/*
 * A thread that a known one has started meanwhile has the events of that one already, and gets a
 * second pair here; its records then come twice, which does no harm.
 */
static int open_listed(void *arg, int task_fd, uint32_t tid)
{
	struct edge_events *e = arg;
	int r = open_thread(e, tid);

	if (r == 0)
		note_task(e, task_fd, tid);
	return r;
}

static int write_tasks(struct edge_events *e)
{
	size_t size = e->n_tasks * sizeof(*e->tasks);

	e->tasks_fd = memfd_create("edge-tasks", MFD_CLOEXEC);
	if (e->tasks_fd < 0)
		return -errno;
	/* Not short: it is memory. */
	return write(e->tasks_fd, e->tasks, size) == (ssize_t)size ? 0 : -ENOMEM;
}

int edge_events_open(const struct identity *id, struct edge_events **ret)
{
	auto_release(edge_events_free) struct edge_events *e = xcalloc(1, sizeof(*e));
	int r;

	e->tasks_fd = -1;
	r = online_cpus_read(EDGE_CPUS_MAX, &e->cpus, &e->n_cpus);
	if (r == 0)
		r = thread_list_visit(id, open_listed, e);
	if (r == 0)
		r = e->n_tasks ? write_tasks(e) : -ESRCH;
	if (r < 0)
		return r;
	*ret = steal_ptr(e);
	return 0;
}

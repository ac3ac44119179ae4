/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/line_events.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
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
#include "recorder/exact/trace_fs.h"
#include "recorder/oncpu/online_cpus.h"
#include "recorder/target/mappings.h"
#include "recorder/target/thread_list.h"
#include "recorder/target_files.h"

/* Threads that close them. */
#define CLOSERS_MAX 16

#define PMU "/sys/bus/event_source/devices/uprobe/"

DEFINE_CLEANUP(struct line_events *, line_events_free)

struct line_events {
	const struct line_request *request; /* while they are opened */
	int image_fd;
	int trace_fs; /* -1: by the PMU */
	struct {
		char name[TRACE_FS_NAME_MAX];
		uint64_t id;
	} defined[LINE_PROBES_MAX];
	unsigned n_defined;
	uint32_t pmu_type;
	unsigned semaphore_shift; /* in perf_event_attr.config */
	int *cpus;
	unsigned n_cpus;
	int *rings; /* by CPU; -1: not open */
	void **maps;
	bool has_rings; /* of events of the first thread that had not ended */
	size_t ring_bytes;
	int *fds; /* of the probes */
	size_t n_fds, cap_fds;
	bool inherits_all; /* processes that it forks as well: what old kernels can */
};

bool line_events_are_inherited(const struct line_events *e)
{
	return e->trace_fs >= 0;
}

static size_t map_bytes(const struct line_events *e)
{
	return (size_t)sysconf(_SC_PAGESIZE) + e->ring_bytes;
}

struct closing {
	struct line_events *events;
	atomic_size_t next;
};

static void *close_some(void *arg)
{
	struct closing *c = arg;
	size_t i;

	while ((i = atomic_fetch_add(&c->next, 1)) < c->events->n_fds)
		close(c->events->fds[i]);
	return NULL;
}

/*
 * With each the kernel waits until nobody can be in the probe any more, for some ten milliseconds:
 * so it waits for several at a time.
 */
static void close_probes(struct line_events *e)
{
	struct closing c = {.events = e};
	pthread_t threads[CLOSERS_MAX];
	sigset_t all, old;
	size_t n = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (n < CLOSERS_MAX && n + 1 < e->n_fds &&
	       pthread_create(&threads[n], NULL, close_some, &c) == 0)
		n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close_some(&c);
	while (n)
		pthread_join(threads[--n], NULL);
}

void line_events_free(struct line_events *e)
{
	if (!e)
		return;
	close_probes(e);
	for (unsigned i = 0; e->rings && i < e->n_cpus; i++) {
		if (e->maps[i])
			munmap(e->maps[i], map_bytes(e));
		close_p(&e->rings[i]);
	}
	for (unsigned i = 0; i < e->n_defined; i++)
		trace_fs_remove(e->trace_fs, e->defined[i].name);
	close_p(&e->trace_fs);
	close_p(&e->image_fd);
	free(e->rings);
	free(e->maps);
	free(e->cpus);
	free(e->fds);
	free(e);
}

unsigned line_events_n_cpus(const struct line_events *e)
{
	return e->n_cpus;
}

int line_events_ring(const struct line_events *e, unsigned i)
{
	return e->rings[i];
}

size_t line_events_ring_bytes(const struct line_events *e)
{
	return e->ring_bytes;
}

/* --- the kernel's side --- */

static int read_text(const char *path, char *buf, size_t size)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len;
	int r;

	if (fd < 0)
		return -errno;
	r = read_fully(fd, buf, size - 1, &len);
	if (r == 0)
		buf[len] = '\0';
	return r;
}

/* Its number, and where a semaphore is put: "config:32-63". */
static int find_pmu(struct line_events *e)
{
	char text[64];
	int r;

	r = read_text(PMU "type", text, sizeof(text));
	if (r < 0)
		return r;
	e->pmu_type = (uint32_t)strtoul(text, NULL, 10);
	r = read_text(PMU "format/ref_ctr_offset", text, sizeof(text));
	if (r < 0)
		return r;
	return sscanf(text, "config:%u-", &e->semaphore_shift) == 1 && e->semaphore_shift < 64
		   ? 0
		   : -EOPNOTSUPP;
}

/* By way of tracefs, if that can be had. */
static int define_probes(struct line_events *e)
{
	int r = 0;

	e->trace_fs = trace_fs_open();
	for (unsigned i = 0; e->trace_fs >= 0 && r == 0 && i < e->request->n_probes; i++) {
		r = trace_fs_define(e->trace_fs, e->image_fd, e->request->probes[i].offset,
				    e->request->probes[i].semaphore, e->defined[i].name,
				    &e->defined[i].id);
		e->n_defined += r == 0;
	}
	if (e->trace_fs >= 0 && r == 0)
		return 0;
	while (e->n_defined)
		trace_fs_remove(e->trace_fs, e->defined[--e->n_defined].name);
	close_p(&e->trace_fs);
	e->trace_fs = -1;
	return find_pmu(e);
}

static long open_event(struct perf_event_attr *attr, uint32_t tid, int cpu)
{
	long fd = syscall(SYS_perf_event_open, attr, (pid_t)tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Counts nothing; the ring is its own. */
static int open_ring_event(uint32_t tid, int cpu, size_t ring_bytes)
{
	struct perf_event_attr attr = {
	    .type = PERF_TYPE_SOFTWARE,
	    .size = sizeof(attr),
	    .config = PERF_COUNT_SW_DUMMY,
	    .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
	    .sample_id_all = 1,
	    .use_clockid = 1,
	    .clockid = CLOCK_MONOTONIC,
	    .watermark = 1,
	    .wakeup_watermark = (uint32_t)(ring_bytes / 2),
	};

	return (int)open_event(&attr, tid, cpu);
}

static int open_probe(struct line_events *e, unsigned i, uint32_t tid, int cpu)
{
	const struct line_request *request = e->request;
	bool is_defined = e->trace_fs >= 0;
	char path[32];
	struct perf_event_attr attr = {
	    .type = is_defined ? PERF_TYPE_TRACEPOINT : e->pmu_type,
	    .size = sizeof(attr),
	    .config =
		is_defined ? e->defined[i].id : request->probes[i].semaphore << e->semaphore_shift,
	    .uprobe_path = is_defined ? 0 : (uint64_t)(uintptr_t)path,
	    .probe_offset = is_defined ? 0 : request->probes[i].offset,
	    .sample_period = 1,
	    .sample_type = LINE_SAMPLE_TYPE | (request->stack_bytes ? PERF_SAMPLE_STACK_USER : 0),
	    .sample_regs_user = request->regs,
	    .sample_stack_user = request->stack_bytes,
	    .sample_id_all = 1,
	    .inherit = is_defined,
	    .inherit_thread = is_defined && !e->inherits_all,
	    .use_clockid = 1,
	    .clockid = CLOCK_MONOTONIC,
	};
	long fd;

	/* A link to the file itself, whatever its name means to whom by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", e->image_fd);
	fd = open_event(&attr, tid, cpu);
	/* inherit_thread came with Linux 5.13. */
	if (fd == -EINVAL && attr.inherit_thread) {
		attr.inherit_thread = 0;
		fd = open_event(&attr, tid, cpu);
		e->inherits_all = fd >= 0;
	}
	return (int)fd;
}

/* --- rings --- */

static void drop_rings(struct line_events *e)
{
	for (unsigned i = 0; i < e->n_cpus; i++) {
		if (e->maps[i])
			munmap(e->maps[i], map_bytes(e));
		e->maps[i] = NULL;
		close_p(&e->rings[i]);
		e->rings[i] = -1;
	}
}

static int make_rings_of_size(struct line_events *e, uint32_t tid)
{
	for (unsigned i = 0; i < e->n_cpus; i++) {
		void *map;

		e->rings[i] = open_ring_event(tid, e->cpus[i], e->ring_bytes);
		if (e->rings[i] < 0)
			return e->rings[i];
		map = mmap(NULL, map_bytes(e), PROT_READ | PROT_WRITE, MAP_SHARED, e->rings[i], 0);
		if (map == MAP_FAILED)
			return -errno;
		e->maps[i] = map;
	}
	return 0;
}

/* As large as they may be: what is locked counts (kernel.perf_event_mlock_kb, RLIMIT_MEMLOCK). */
static int make_rings(struct line_events *e, uint32_t tid)
{
	int r;

	e->ring_bytes = LINE_RING_BYTES;
	while (e->ring_bytes > LINE_RING_MIN_BYTES && e->ring_bytes * e->n_cpus > LINE_RINGS_BYTES)
		e->ring_bytes /= 2;
	for (;; e->ring_bytes /= 2) {
		r = make_rings_of_size(e, tid);
		e->has_rings = r == 0;
		if (r == 0)
			return 0;
		drop_rings(e);
		if ((r != -EPERM && r != -ENOMEM) || e->ring_bytes <= LINE_RING_MIN_BYTES)
			return r;
	}
}

/* --- threads --- */

/* One thread's, for one probe on all CPUs. */
static int open_thread_probe(struct line_events *e, uint32_t tid, unsigned probe)
{
	for (unsigned i = 0; i < e->n_cpus; i++) {
		int fd = open_probe(e, probe, tid, e->cpus[i]);

		if (fd < 0)
			return fd;
		e->fds = xgrow(e->fds, &e->cap_fds, e->n_fds + 1, sizeof(*e->fds));
		e->fds[e->n_fds++] = fd;
		if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, e->rings[i]) < 0)
			return -errno;
	}
	return 0;
}

/*
 * A thread that a known one has started meanwhile has the events of that one already, and would be
 * told twice: who reads the rings leaves out what comes twice. One that has ended needs none.
 */
static int open_thread(void *arg, int task_fd, uint32_t tid)
{
	struct line_events *e = arg;
	size_t max = e->trace_fs >= 0 ? LINE_EVENTS_MAX : LINE_EVENTS_PMU_MAX;
	size_t n = (size_t)e->n_cpus * e->request->n_probes;
	int r = 0;

	(void)task_fd;
	if (e->n_fds + n > max)
		return -E2BIG;
	if (!e->has_rings)
		r = make_rings(e, tid);
	for (unsigned i = 0; r == 0 && i < e->request->n_probes; i++)
		r = open_thread_probe(e, tid, i);
	return r == -ESRCH ? 0 : r;
}

/* --- the request --- */

static int check_places(const struct line_request *request, const struct mapping *map)
{
	uint64_t len = map->end - map->start;

	for (unsigned i = 0; i < request->n_probes; i++) {
		uint64_t semaphore = request->probes[i].semaphore;

		if (request->probes[i].offset < map->offset ||
		    request->probes[i].offset - map->offset >= len)
			return -EINVAL;
		/* That it is in memory which the process may write is checked by the kernel. */
		if (semaphore > UINT32_MAX || semaphore % sizeof(uint16_t))
			return -EINVAL;
	}
	return 0;
}

/*
 * What a compiler leaves where a probe is does nothing. Notes can be wrong (of a program that was
 * rearranged after it was linked, say), and a breakpoint within an instruction would make another
 * one of it.
 */
static bool is_nop(int image_fd, uint64_t offset)
{
#if defined(__aarch64__)
	static const uint8_t nops[][5] = {{0x1f, 0x20, 0x03, 0xd5}};
	static const size_t lens[] = {4};
#else
	static const uint8_t nops[][5] = {{0x90}, {0x0f, 0x1f, 0x44, 0x00, 0x00}};
	static const size_t lens[] = {1, 5};
#endif
	uint8_t found[5] = {0};
	ssize_t n = pread(image_fd, found, sizeof(found), (off_t)offset);

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		if (n >= (ssize_t)lens[i] && memcmp(found, nops[i], lens[i]) == 0)
			return true;
	}
	return false;
}

/* Open the file, if all that is asked for is in what is mapped of it for execution. */
static int check_request(struct line_events *e, const struct identity *id)
{
	const struct line_request *request = e->request;
	auto_mappings struct mappings maps = {0};
	auto_close int fd = openat(id->proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	const struct mapping *map;
	int r;

	if (request->n_probes == 0 || request->n_probes > LINE_PROBES_MAX ||
	    request->stack_bytes > LINE_STACK_MAX || request->stack_bytes % 8)
		return -EINVAL;
	r = fd < 0 ? -errno : mappings_read(fd, &maps);
	if (r < 0)
		return r;
	map = mappings_find(&maps, request->map_start, request->map_end);
	if (!map || !map->executable)
		return -EINVAL;
	r = check_places(request, map);
	if (r < 0)
		return r;
	e->image_fd = target_open_image(id, request->map_start, request->map_end);
	if (e->image_fd < 0)
		return e->image_fd;
	for (unsigned i = 0; i < request->n_probes; i++) {
		if (!is_nop(e->image_fd, request->probes[i].offset))
			return -EINVAL;
	}
	return 0;
}

int line_events_open(const struct identity *id, const struct line_request *request,
		     struct line_events **ret)
{
	auto_release(line_events_free) struct line_events *e = xcalloc(1, sizeof(*e));
	int r;

	e->image_fd = e->trace_fs = -1;
	e->request = request;
	r = check_request(e, id);
	if (r == 0)
		r = define_probes(e);
	if (r == 0)
		r = online_cpus_read(LINE_CPUS_MAX, &e->cpus, &e->n_cpus);
	if (r < 0)
		return r;
	e->rings = xcalloc(e->n_cpus, sizeof(*e->rings));
	e->maps = xcalloc(e->n_cpus, sizeof(*e->maps));
	for (unsigned i = 0; i < e->n_cpus; i++)
		e->rings[i] = -1;
	r = thread_list_visit(id, open_thread, e);
	if (r == 0 && !e->n_fds)
		r = -ESRCH;
	if (r < 0)
		return r;
	e->request = NULL;
	*ret = steal_ptr(e);
	return 0;
}

void line_events_explain(int status, char *buf, size_t size)
{
	switch (status) {
	case -EACCES:
	case -EPERM:
		snprintf(buf, size,
			 "probes in a process are not permitted (%s): the recorder needs root, or "
			 "CAP_PERFMON and a tracefs to which it may write (/sys/kernel/tracing)",
			 strerror(-status));
		break;
	case -ENOENT:
	case -ENOSYS:
	case -ENODEV:
	case -EOPNOTSUPP:
		snprintf(buf, size,
			 "this kernel has no probes with semaphores for processes (%s): it needs "
			 "Linux 4.20 with CONFIG_UPROBE_EVENTS",
			 strerror(-status));
		break;
	case -EINVAL:
		snprintf(buf, size,
			 "what its interpreter's file says of the probes cannot be true: they are "
			 "not set");
		break;
	case -E2BIG:
		snprintf(buf, size, "it has too many threads, on a machine with that many CPUs");
		break;
	case -EMFILE:
	case -ENFILE:
		snprintf(buf, size,
			 "probes need more open files than are permitted (%s): raise the limit "
			 "(ulimit -n, LimitNOFILE=)",
			 strerror(-status));
		break;
	default:
		snprintf(buf, size, "the probes cannot be set: %s", strerror(-status));
	}
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many self-consistent snapshots per second one thread takes of a running Python, beside a
 * bare pread() loop on the same memory, in turns; and, with -p, every distinct stack with how
 * often it was seen, in the collapsed format, for tests that judge them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/python/py_frames.h"
#include "recorder/python/py_threads.h"
#include "tests/support/live.h"

struct seen {
	uint64_t hash, count;
	uint32_t n;
	struct {
		char *file, *name;
		int32_t line;
	} * frames;
};

static struct seen *table;
static size_t table_size = 1 << 16, n_seen;

static void note(struct py_codes *codes, const struct py_snapshot *snap)
{
	uint64_t h = 1469598103934665603u;
	int32_t lines[256];
	uint32_t n = snap->n < 256 ? snap->n : 256;
	size_t i;

	for (uint32_t k = 0; k < snap->n; k++) {
		int32_t line = py_frame_line(codes, &snap->frames[k]);

		if (k < 256)
			lines[k] = line;
		h = (h ^ (uint64_t)snap->frames[k].code->addr) * 1099511628211u;
		h = (h ^ (uint64_t)line) * 1099511628211u;
		h ^= h >> 29;
	}
	for (i = h & (table_size - 1); table[i].count; i = (i + 1) & (table_size - 1)) {
		if (table[i].hash == h) {
			table[i].count++;
			return;
		}
	}
	if (n_seen * 2 > table_size)
		return;
	n_seen++;
	table[i].hash = h;
	table[i].count = 1;
	table[i].n = n;
	table[i].frames = xcalloc(n, sizeof(table[i].frames[0]));
	for (uint32_t k = 0; k < n; k++) {
		table[i].frames[k].file = xstrdup(snap->frames[k].code->file);
		table[i].frames[k].name = xstrdup(snap->frames[k].code->name);
		table[i].frames[k].line = lines[k];
	}
}

static void print_seen(void)
{
	for (size_t i = 0; i < table_size; i++) {
		if (!table[i].count || !table[i].n)
			continue;
		for (uint32_t k = 0; k < table[i].n; k++)
			printf("%s%s:%s:%d", k ? ";" : "", table[i].frames[k].file,
			       table[i].frames[k].name, table[i].frames[k].line);
		printf(" %llu\n", (unsigned long long)table[i].count);
	}
}

struct tally {
	uint64_t n, cut[8], again, failed, ns, preads, pread_ns, frames;
};

static void sample_for(struct memory *mem, struct py_stacks *stacks, struct py_stack *stack,
		       struct py_codes *codes, uint64_t ns, struct py_snapshot *snap,
		       struct tally *t, int print)
{
	uint64_t start = clock_monotonic_ns(), now = start;

	(void)mem;
	while (now - start < ns) {
		int r = py_stack_read(stacks, stack, now, snap);

		now = clock_monotonic_ns();
		if (r == 0) {
			t->n++;
			t->cut[snap->cut]++;
			t->frames += snap->n;
			if (print)
				note(codes, snap);
		} else if (r == -EAGAIN) {
			t->again++;
		} else {
			t->failed++;
			if (r == -ESRCH)
				break;
		}
		py_codes_collect(codes);
	}
	t->ns += now - start;
}

static void pread_for(struct memory *mem, remote_addr addr, uint64_t ns, struct tally *t)
{
	uint64_t start = clock_monotonic_ns(), now = start;
	char buf[1024];

	while (now - start < ns) {
		for (int i = 0; i < 64; i++)
			memory_read(mem, addr, buf, sizeof(buf));
		t->preads += 64;
		now = clock_monotonic_ns();
	}
	t->pread_ns += now - start;
}

int main(int argc, char **argv)
{
	int print = argc > 1 && strcmp(argv[1], "-p") == 0;
	int pid, n, busiest = 0;
	double seconds;
	struct memory mem;
	struct py_runtime py;
	struct py_thread *threads = NULL;
	struct py_snapshot snap = {0};
	struct tally t = {0};
	struct py_codes *codes;
	struct py_stacks *stacks;
	struct py_stack *stack;
	struct py_gil gil;
	remote_addr chunk = 0;
	char found[256];
	size_t cap = 0;
	int r;

	argv += print;
	argc -= print;
	if (argc != 3) {
		fprintf(stderr, "usage: snapshots [-p] PID SECONDS\n");
		return 2;
	}
	pid = atoi(argv[1]);
	seconds = atof(argv[2]);
	r = live_open(pid, &mem, &py, found, sizeof(found));
	if (r < 0) {
		fprintf(stderr, "snapshots: %d: %s: %s\n", pid, found, strerror(-r));
		return 1;
	}
	do
		n = py_threads_list(&mem, &py.layout, py.addr, &threads, &cap);
	while (n == -EAGAIN);
	if (n <= 0)
		return 1;
	py_gil_read(&mem, &py.layout, threads[0].gil, &gil);
	for (int i = 0; i < n; i++) {
		if (threads[i].tstate == gil.last_holder)
			busiest = i;
	}
	table = xcalloc(table_size, sizeof(*table));
	codes = py_codes_new(&mem, &py.layout);
	stacks = py_stacks_new(&mem, &py.layout, codes);
	stack = py_stack_new(threads[busiest].tstate);
	if (py.layout.thread.datastack_chunk != LAYOUT_ABSENT)
		memory_read_u64(&mem, threads[busiest].tstate + py.layout.thread.datastack_chunk,
				&chunk);
	for (int turn = 0; turn < 10; turn++) {
		uint64_t ns = (uint64_t)(seconds * 1e9 / 10);

		pread_for(&mem, chunk ? chunk : threads[busiest].tstate & ~UINT64_C(4095), ns / 4,
			  &t);
		sample_for(&mem, stacks, stack, codes, ns * 3 / 4, &snap, &t, print);
	}
	fprintf(
	    stderr,
	    "%s: %llu snapshots, %.0f/s; bare pread %.0f/s; ratio %.2f; cut %.3f %% "
	    "(torn %llu unreadable %llu depth %llu code %llu), again %llu, failed %llu, "
	    "reads/snapshot %.2f, depth %.1f, tails %llu disturbed %llu attempts %llu again %llu\n",
	    py.version, (unsigned long long)t.n, (double)t.n * 1e9 / (double)t.ns,
	    (double)t.preads * 1e9 / (double)t.pread_ns,
	    (double)t.n / (double)t.ns * (double)t.pread_ns / (double)t.preads,
	    100.0 * (double)(t.n - t.cut[0]) / (double)t.n, (unsigned long long)t.cut[1],
	    (unsigned long long)t.cut[2], (unsigned long long)t.cut[3],
	    (unsigned long long)t.cut[4], (unsigned long long)t.again, (unsigned long long)t.failed,
	    (double)(mem.n_reads - t.preads) / (double)t.n, (double)t.frames / (double)t.n,
	    (unsigned long long)py_stacks_get_counters(stacks)->tail_walks,
	    (unsigned long long)py_stacks_get_counters(stacks)->disturbed,
	    (unsigned long long)py_stacks_get_counters(stacks)->attempts,
	    (unsigned long long)py_stacks_get_counters(stacks)->looked_again);
	if (print)
		print_seen();
	return 0;
}

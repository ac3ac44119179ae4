/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quiet_trace FOLDER MINUTES IDLE BUSY CHANGES: what a trace costs in which little happens: IDLE
 * threads whose stacks never change and BUSY ones that change CHANGES times a second each, through
 * the real writer, ticked as the recorder does. Prints bytes per minute, bytes on disk while it is
 * written, and the writer's CPU time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "tests/support/trace_records.h"

#define N_CODES	  12
#define N_LINES	  8 /* of each function */
#define MAX_DEPTH 6
#define TICK_NS	  (50 * NS_PER_MS)

static uint64_t random_state = UINT64_C(0x853c49e6748fea9b);

/* xorshift: the same trace every time. */
static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) * limit >> 32);
}

static void change_stack(struct trace_writer *w, uint16_t thread, uint64_t now_ns)
{
	struct record_frame frames[MAX_DEPTH];
	uint32_t depth = 2 + random_below(MAX_DEPTH - 1);

	for (uint32_t i = 0; i < depth; i++) {
		uint32_t code = 1 + (thread + i * 2 + random_below(2)) % N_CODES;

		frames[i] = (struct record_frame){
		    .code = code, .line = (int32_t)(code * 10 + random_below(N_LINES))};
	}
	put_stack(w, thread, now_ns, 0, frames, depth);
}

static uint64_t size_of(const char *folder)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	struct stat st = {0};

	stat(path, &st);
	return (uint64_t)st.st_size;
}

struct load {
	uint64_t minutes, n_idle, n_busy, changes;
};

static void write_load(struct trace_writer *w, const struct load *load, const char *folder)
{
	uint64_t now_ns = TEST_START_NS, end_ns = now_ns + load->minutes * 60 * NS_PER_S;
	uint64_t next_ns = now_ns, next_minute_ns = now_ns + 60 * NS_PER_S, n = 0;
	uint64_t busy_changes = load->n_busy * load->changes;
	struct trace_writer_totals totals = {0};

	for (uint32_t i = 1; i <= N_CODES; i++)
		put_code(w, i, i % 2 ? "/srv/app/server.py" : "/srv/app/loop.py", "Server.serve");
	for (uint16_t t = 1; t <= load->n_idle + load->n_busy; t++) {
		put_thread(w, t, now_ns);
		change_stack(w, t, now_ns);
	}
	for (; now_ns < end_ns; now_ns += TICK_NS) {
		for (; busy_changes && next_ns < now_ns; next_ns += NS_PER_S / busy_changes)
			change_stack(w, (uint16_t)(1 + load->n_idle + n++ % load->n_busy), next_ns);
		if (now_ns % NS_PER_S == 0)
			put_counters(w, now_ns, now_ns / NS_PER_MS);
		trace_writer_tick(w, now_ns);
		if (now_ns < next_minute_ns)
			continue;
		next_minute_ns += 60 * NS_PER_S;
		trace_writer_anchor(w, now_ns, now_ns);
		trace_writer_totals(w, &totals);
		printf("minute %-2" PRIu64 "  database %7" PRIu64 " bytes, with -wal %7" PRIu64
		       "\n",
		       (now_ns - TEST_START_NS) / NS_PER_S / 60, size_of(folder), totals.bytes);
	}
	trace_writer_close(w, end_ns, "stopped");
}

int main(int argc, char **argv)
{
	struct load load;
	uint64_t cpu_ns, bytes;

	if (argc != 6 || parse_count(argv[2], 1000, &load.minutes) < 0) {
		fprintf(stderr, "usage: quiet_trace FOLDER MINUTES IDLE BUSY CHANGES\n");
		return 2;
	}
	load.n_idle = strtoul(argv[3], NULL, 10);
	load.n_busy = strtoul(argv[4], NULL, 10);
	load.changes = strtoul(argv[5], NULL, 10);
	mkdir(argv[1], 0777);
	cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
	write_load(test_writer_new(argv[1]), &load, argv[1]);
	cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
	bytes = size_of(argv[1]);
	printf("at the end %" PRIu64 " bytes, %" PRIu64 " a minute; CPU %.3f ms a second\n", bytes,
	       bytes / load.minutes,
	       (double)cpu_ns / (double)NS_PER_MS / (double)load.minutes / 60);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store_day ROOT HOURS CHANGES MAX_USE_KIB: a busy target recorded for so many hours at speed: its
 * stack changes CHANGES times a second, it starts anew every four hours, and every ten seconds the
 * limit on all traces is kept as the collector does. Through the real writer and the real
 * retention, with simulated time. Prints how much there was and what became of it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "recorder/retention.h"
#include "recorder/run_folder.h"
#include "recorder/storage.h"
#include "tests/support/trace_records.h"

#define N_CODES	  12
#define N_LINES	  8 /* of each function */
#define MAX_DEPTH 6
/* The real one is 50 ms; what it does besides the line of a trim is due every second. */
#define TICK_NS (100 * NS_PER_MS)
#define LOOK_S	10
#define LIFE_S	INT64_C(14400)

static uint64_t random_state = UINT64_C(0x853c49e6748fea9b);

/* xorshift: the same traces every time. */
static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) * limit >> 32);
}

struct day {
	const char *root;
	int root_fd;
	uint64_t changes; /* a second */
	struct retention_limits limits;
	struct run_folder run;
	struct trace_folder folder;
	struct trace_writer *writer;
	char *live; /* RUN/TRACE */
	uint64_t n_changes, n_trims, n_deletions, peak_bytes;
};

static void fail(const char *what, int r)
{
	fprintf(stderr, "store_day: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void begin_life(struct day *d, uint64_t number)
{
	struct process_key parent = {.pid = 2, .start_ticks = number * 2};
	struct process_key target = {.pid = 3, .start_ticks = number * 2 + 1};
	struct folder_access access = {.worker_uid = (uid_t)-1, .gid = (gid_t)-1};
	int64_t started_s = INT64_C(1760000000) + (int64_t)number * (int64_t)LIFE_S;
	auto_free char *path = NULL;
	char why[256];
	int r = run_folder_open(d->root_fd, &parent, started_s, &access, &d->run, why, sizeof(why));

	if (r >= 0)
		r = run_folder_open_trace(&d->run, "server-main", &target, &access, &d->folder, why,
					  sizeof(why));
	if (r < 0)
		fail(why, r);
	d->live = xasprintf("%s/%s", d->run.name, d->folder.name);
	path = xasprintf("%s/%s", d->root, d->live);
	d->writer = test_writer_new(path);
	for (uint32_t i = 1; i <= N_CODES; i++)
		put_code(d->writer, i, i % 2 ? "/srv/app/server.py" : "/srv/app/loop.py", "serve");
	put_thread(d->writer, 1, TEST_START_NS);
}

static void end_life(struct day *d, uint64_t now_ns)
{
	trace_writer_close(d->writer, now_ns, "target exited");
	trace_folder_close(&d->folder);
	run_folder_close(&d->run);
	free(d->live);
}

static void change_stack(struct day *d, uint64_t now_ns)
{
	struct record_frame frames[MAX_DEPTH];
	uint32_t depth = 2 + random_below(MAX_DEPTH - 1);

	for (uint32_t i = 0; i < depth; i++) {
		uint32_t code = 1 + (i * 2 + random_below(2)) % N_CODES;

		frames[i] = (struct record_frame){
		    .code = code, .line = (int32_t)(code * 10 + random_below(N_LINES))};
	}
	put_stack(d->writer, 1, now_ns, 0, frames, depth);
	d->n_changes++;
}

/* Between two looks as well, while a trim is under way. */
static void note_size(struct day *d)
{
	auto_retention_scan struct retention_scan scan = {0};
	const char *live[] = {d->live};

	if (retention_scan(d->root_fd, live, 1, &scan) == 0 && scan.bytes > d->peak_bytes)
		d->peak_bytes = scan.bytes;
}

static void keep_limits(struct day *d)
{
	const char *live[] = {d->live};
	auto_retention_scan struct retention_scan scan = {0};
	auto_retention_plan struct retention_plan plan = {0};
	int r = retention_scan(d->root_fd, live, 1, &scan);

	if (r < 0)
		fail("cannot look at the traces", r);
	retention_plan(&scan, &d->limits, time(NULL), false, &plan);
	for (size_t i = 0; i < plan.n_deletions; i++)
		retention_delete(d->root_fd, &plan.deletions[i], &retention_log_ops, NULL);
	for (size_t i = 0; i < plan.n_shrinks; i++)
		trace_writer_trim(d->writer, plan.shrinks[i].lose_bytes);
	d->n_deletions += plan.n_deletions;
	d->n_trims += plan.n_shrinks;
}

static void live_for(struct day *d, uint64_t seconds)
{
	uint64_t now_ns = TEST_START_NS, end_ns = now_ns + seconds * NS_PER_S, next_ns = now_ns;
	uint64_t next_look_ns = now_ns;

	for (; now_ns < end_ns; now_ns += TICK_NS) {
		for (; next_ns < now_ns; next_ns += NS_PER_S / d->changes)
			change_stack(d, next_ns);
		if (now_ns % NS_PER_S == 0)
			put_counters(d->writer, now_ns, now_ns / NS_PER_MS);
		trace_writer_tick(d->writer, now_ns);
		if (now_ns % NS_PER_S == 0)
			note_size(d);
		if (now_ns < next_look_ns)
			continue;
		next_look_ns += LOOK_S * NS_PER_S;
		keep_limits(d);
	}
	end_life(d, now_ns);
}

int main(int argc, char **argv)
{
	struct day d = {.run = RUN_FOLDER_NONE, .folder = TRACE_FOLDER_NONE};
	uint64_t hours, kib, left_s, cpu_ns;

	if (argc != 5 || parse_count(argv[2], 10000, &hours) < 0 ||
	    parse_count(argv[3], 100000, &d.changes) < 0 ||
	    parse_count(argv[4], UINT32_MAX, &kib) < 0) {
		fprintf(stderr, "usage: store_day ROOT HOURS CHANGES MAX_USE_KIB\n");
		return 2;
	}
	d.root = argv[1];
	d.limits.max_use_bytes = storage_threshold(kib * 1024);
	d.root_fd = open(d.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d.root_fd < 0) {
		fprintf(stderr, "store_day: cannot open %s\n", d.root);
		return 1;
	}
	cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
	left_s = (uint64_t)hours * 3600;
	for (uint64_t number = 1; left_s; number++) {
		uint64_t life_s = left_s < (uint64_t)LIFE_S ? left_s : (uint64_t)LIFE_S;

		begin_life(&d, number);
		live_for(&d, life_s);
		left_s -= life_s;
	}
	cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
	printf("{\"changes\": %" PRIu64 ", \"peak_bytes\": %" PRIu64 ", \"max_use_bytes\": %" PRIu64
	       ", \"deletions\": %" PRIu64 ", \"trims\": %" PRIu64 ", \"cpu_s\": %.3f}\n",
	       d.n_changes, d.peak_bytes, kib * 1024, d.n_deletions, d.n_trims,
	       (double)cpu_ns / 1e9);
	close(d.root_fd);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * make_trace FOLDER [TRANSITIONS [STACKS]]: write a trace as a tight-call program would give it
 * when sampled as fast as possible (default 50 million transitions), through the real writer. With
 * STACKS, a multiple of 10000, it goes between so many distinct stacks, all as often. Prints the
 * writer's cost and the trace's size per transition. For measuring the writer and the reader.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "recorder/ring.h"
#include "recorder/trace_writer.h"

#define DEFAULT_TRANSITIONS 50000000
/* Between two events: 2 to 5 us, evenly. */
#define INTERVAL_MIN_NS	   2000
#define INTERVAL_JITTER_NS 3000
#define MAX_DEPTH	   6

/*
 * The program: main calls a and b in turn, both call c, which calls d in one of its lines. Each
 * function has a few lines; which one is seen next is chance, weighted by time. All of it is one
 * call by `program`, whose line before it is the first event and whose line after it the last one.
 * After two thirds of all events `rarely` is seen, once.
 */
static const struct function {
	const char *name;
	int32_t first_line;
	int32_t n_lines;
} functions[] = {
    {"program", 1, 3},	    {"main", 10, 2},   {"run_a", 20, 3},  {"run_b", 30, 3},
    {"Worker.step", 40, 4}, {"helper", 50, 3}, {"rarely", 55, 1},
};

/* By number, in this order. */
enum { PROGRAM, MAIN, RUN_A, RUN_B, STEP, HELPER, RARELY };

#define N_FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

static uint64_t random_state = UINT64_C(0x853c49e6748fea9b);

/* xorshift: the same trace every time. */
static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) * limit >> 32);
}

static int read_source(void *ctx, const char *path, char **ret_text, size_t *ret_len)
{
	size_t size = 0;
	FILE *text = open_memstream(ret_text, ret_len);

	(void)ctx;
	(void)path;
	if (!text)
		return -ENOMEM;
	for (int line = 1; line <= 60; line++)
		size += (size_t)fprintf(text, "    statement_%d(of, make_trace)\n", line);
	fclose(text);
	return size == *ret_len ? 0 : -ENOMEM;
}

static void put(struct trace_writer *w, const struct record_header *h)
{
	int r = trace_writer_put(w, h);

	if (r < 0) {
		fprintf(stderr, "make_trace: cannot write: %s\n", strerror(-r));
		exit(1);
	}
}

static void put_codes(struct trace_writer *w, uint64_t now_ns)
{
	static const char path[] = "/srv/app/tight.py";

	for (uint32_t i = 0; i < N_FUNCTIONS; i++) {
		uint32_t name_len = (uint32_t)strlen(functions[i].name);
		size_t size = sizeof(struct record_code) + sizeof(path) - 1 + name_len;
		auto_free struct record_code *r = xcalloc(1, (size + 7) & ~(size_t)7);

		r->h = (struct record_header){.size = (uint32_t)((size + 7) & ~(size_t)7),
					      .kind = RECORD_CODE,
					      .time_ns = now_ns};
		r->id = i + 1;
		r->first_line = functions[i].first_line;
		r->file_len = sizeof(path) - 1;
		r->name_len = name_len;
		memcpy(r->text, path, sizeof(path) - 1);
		memcpy(r->text + sizeof(path) - 1, functions[i].name, name_len);
		put(w, &r->h);
	}
}

struct stack {
	struct record_frame frames[MAX_DEPTH];
	uint32_t depth;
};

static void push(struct stack *s, uint32_t function, uint32_t line)
{
	s->frames[s->depth++] = (struct record_frame){
	    .code = function + 1,
	    .line = functions[function].first_line + (int32_t)line,
	};
}

/* Four deep, each with its own lines. */
static struct stack any_of(uint32_t n_stacks)
{
	struct stack s = {.depth = 0};
	uint32_t which = random_below(n_stacks);

	push(&s, PROGRAM, 1);
	push(&s, MAIN, which % 100);
	push(&s, RUN_A, which / 100 % 100);
	push(&s, STEP, which / 10000);
	return s;
}

/* One of about 20 states, 3 to 6 deep. */
static struct stack random_stack(void)
{
	struct stack s = {.depth = 0};
	uint32_t which = random_below(2), deep = random_below(8);

	push(&s, PROGRAM, 1);
	push(&s, MAIN, which);
	if (deep == 0) {
		push(&s, RUN_A + which, random_below(3));
		return s;
	}
	push(&s, RUN_A + which, 1);
	push(&s, STEP, deep < 4 ? random_below(4) : 2);
	if (deep >= 4)
		push(&s, HELPER, random_below(3));
	return s;
}

static struct stack next_stack(uint64_t i, uint64_t n, uint32_t n_stacks)
{
	struct stack s = {.depth = 0};

	if (i > 0 && i < n - 1 && i != n / 3 * 2)
		return n_stacks ? any_of(n_stacks) : random_stack();
	push(&s, PROGRAM, i == n - 1 ? 2 : i > 0);
	if (i > 0 && i < n - 1)
		push(&s, RARELY, 0);
	return s;
}

static uint32_t common_depth(const struct stack *a, const struct stack *b)
{
	uint32_t n = 0;

	while (n < a->depth && n < b->depth && a->frames[n].code == b->frames[n].code &&
	       a->frames[n].line == b->frames[n].line)
		n++;
	return n;
}

static void put_stacks(struct trace_writer *w, uint64_t n, uint32_t n_stacks, uint64_t *now_ns)
{
	auto_free struct record_stack *record =
	    xcalloc(1, sizeof(*record) + MAX_DEPTH * sizeof(record->frames[0]));
	struct stack last = {.depth = 0}, next;
	uint64_t next_tick_ns = *now_ns;

	record->h.kind = RECORD_STACK;
	record->h.thread = 1;
	for (uint64_t i = 0; i < n;) {
		uint32_t keep;

		*now_ns += INTERVAL_MIN_NS + random_below(INTERVAL_JITTER_NS);
		next = next_stack(i, n, n_stacks);
		keep = common_depth(&last, &next);
		if (keep == last.depth && keep == next.depth)
			continue;
		record->keep = keep;
		record->n_frames = next.depth - keep;
		record->h.time_ns = *now_ns;
		record->h.size =
		    (uint32_t)(sizeof(*record) + record->n_frames * sizeof(struct record_frame));
		memcpy(record->frames, next.frames + keep,
		       record->n_frames * sizeof(struct record_frame));
		put(w, &record->h);
		last = next;
		i++;
		if (*now_ns >= next_tick_ns) {
			trace_writer_tick(w, *now_ns);
			next_tick_ns = *now_ns + 100 * NS_PER_MS;
		}
	}
}

static struct trace_writer *create(const char *folder, uint64_t start_ns)
{
	const struct trace_about about = {
	    .name = "make_trace",
	    .pid = 1,
	    .command = "make_trace",
	    .executable = "/usr/bin/python3",
	    .python = "3.11.2",
	    .python_hexversion = 0x030b02f0,
	    .host = "localhost",
	    .packages = "",
	    .start_monotonic_ns = start_ns,
	    .start_realtime_ns = UINT64_C(1760000000) * NS_PER_S,
	    .time_zone = "UTC",
	};
	auto_free char *path = xasprintf("%s/trace.db", folder);
	struct trace_writer *w;
	int r;

	mkdir(folder, 0777);
	r = trace_writer_create(path, &about, read_source, NULL, &w);
	if (r < 0) {
		fprintf(stderr, "make_trace: cannot create %s: %s\n", path, strerror(-r));
		exit(1);
	}
	return w;
}

static void report(uint64_t n, uint64_t cpu_ns, const char *folder)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	struct rusage usage;
	struct stat st = {0};

	stat(path, &st);
	getrusage(RUSAGE_SELF, &usage);
	printf("transitions          %" PRIu64 "\n", n);
	printf("ns CPU/transition    %.1f\n", (double)cpu_ns / (double)n);
	printf("bytes/transition     %.3f\n", (double)st.st_size / (double)n);
	printf("peak memory MiB      %.1f\n", (double)usage.ru_maxrss / 1024);
}

int main(int argc, char **argv)
{
	uint64_t n = DEFAULT_TRANSITIONS, n_stacks = 0, start_ns = NS_PER_S, now_ns = start_ns,
		 cpu_ns;
	struct record_counters counters = {
	    .h = {.size = sizeof(counters), .kind = RECORD_COUNTERS}};
	struct record_thread thread = {
	    .h = {.size = sizeof(thread), .kind = RECORD_THREAD, .thread = 1, .time_ns = start_ns},
	    .native_id = 1};
	struct trace_writer *w;
	int r;

	if (argc < 2 || argc > 4 || (argc > 2 && parse_count(argv[2], UINT32_MAX, &n) < 0) ||
	    (argc > 3 && parse_count(argv[3], INT32_MAX, &n_stacks) < 0)) {
		fprintf(stderr, "usage: make_trace FOLDER [TRANSITIONS [STACKS]]\n");
		return 2;
	}
	w = create(argv[1], start_ns);
	put(w, &thread.h);
	put_codes(w, start_ns);
	cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
	put_stacks(w, n, (uint32_t)n_stacks, &now_ns);
	counters.h.time_ns = now_ns;
	counters.snapshots = n;
	put(w, &counters.h);
	r = trace_writer_close(w, now_ns, "all written");
	cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
	if (r < 0) {
		fprintf(stderr, "make_trace: cannot close: %s\n", strerror(-r));
		return 1;
	}
	report(n, cpu_ns, argv[1]);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * exact_rate FOLDER [EVENTS/S|max [SECONDS]]: exact mode without the probes. One thread writes
 * records into a ring as the kernel would, at this rate (default 400,000; max: whenever there is
 * room), one takes them as the sampler does, one writes the trace. What is left out is what this
 * bench is not about: the breakpoint in the program, which is what real probes cost.
 *
 * The program: a loop that calls a function of three lines.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "recorder/trace_writer.h"
#include "tests/support/exact_scene.h"

#define DEFAULT_RATE	400000
#define DEFAULT_SECONDS 10
/* As on a machine with two CPUs; and as the worker has it. */
#define LINE_BYTES LINE_RING_BYTES
#define RING_BYTES ((size_t)4 << 20)
#define SLICE_NS   NS_PER_MS

#define CYCLE 10
#define BUNCH 100 /* records, when it goes as fast as it can */

struct bench {
	struct exact_scene scene;
	struct trace_writer *writer;
	struct line_write cycle[CYCLE];
	uint64_t rate; /* 0: as fast as it goes */
	uint64_t duration_ns;
	atomic_bool is_over, is_taken; /* nothing more is written, or told */
	uint64_t n_written, n_refused, most_waiting;
	uint64_t took_ns, taken_cpu_ns, written_cpu_ns;
	uint64_t n_stacks;
};

static void fail(const char *what, int r)
{
	fprintf(stderr, "exact_rate: %s: %s\n", what, strerror(-r));
	exit(1);
}

static uint64_t own_cpu_ns(void)
{
	return clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void sleep_until(uint64_t ns)
{
	const struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S),
				   .tv_nsec = (long)(ns % NS_PER_S)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* --- the kernel --- */

static void make_cycle(struct bench *b)
{
	struct exact_function loop = exact_scene_function(&b->scene, "loop", 10, true);
	struct exact_function work = exact_scene_function(&b->scene, "Class.work", 30, true);
	remote_addr loop_at = exact_scene_frame(&b->scene, &loop);
	remote_addr work_at = exact_scene_frame(&b->scene, &work);
	struct line_write *at = b->cycle;

	exact_scene_fill(&b->scene, at++, PROBE_ENTRY, &loop, loop_at, 10);
	exact_scene_fill(&b->scene, at++, PROBE_LINE, &loop, loop_at, 11);
	exact_scene_fill(&b->scene, at++, PROBE_LINE, &loop, loop_at, 12);
	exact_scene_fill(&b->scene, at++, PROBE_ENTRY, &work, work_at, 30);
	exact_scene_fill(&b->scene, at++, PROBE_LINE, &work, work_at, 31);
	exact_scene_fill(&b->scene, at++, PROBE_LINE, &work, work_at, 32);
	exact_scene_fill(&b->scene, at++, PROBE_LINE, &work, work_at, 33);
	exact_scene_fill(&b->scene, at++, PROBE_RETURN, &work, work_at, 33);
	exact_scene_fill(&b->scene, at++, PROBE_LINE, &loop, loop_at, 13);
	exact_scene_fill(&b->scene, at++, PROBE_RETURN, &loop, loop_at, 13);
}

/* xorshift: the same each time. */
static uint64_t random_below(uint64_t limit)
{
	static uint64_t state = UINT64_C(0x853c49e6748fea9b);

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 32) * limit >> 32;
}

/* So many, between these times, at irregular intervals. */
static void write_some(struct bench *b, uint64_t n, uint64_t from_ns, uint64_t to_ns)
{
	for (uint64_t i = 0; i < n; i++) {
		struct line_write *what = &b->cycle[b->n_written % CYCLE];
		size_t fill;

		what->time_ns =
		    from_ns + (to_ns - from_ns) * i / n + random_below((to_ns - from_ns) / n + 1);
		b->n_refused += !line_writer_sample(&b->scene.writer, what);
		b->n_written++;
		fill = line_writer_fill(&b->scene.writer);
		if (fill > b->most_waiting)
			b->most_waiting = fill;
	}
}

static void *be_kernel(void *arg)
{
	struct bench *b = arg;
	uint64_t start_ns = clock_monotonic_ns(), last_ns = start_ns, due = 0;

	while (last_ns - start_ns < b->duration_ns) {
		uint64_t now_ns, n = BUNCH;

		if (b->rate)
			sleep_until(last_ns + SLICE_NS);
		now_ns = clock_monotonic_ns();
		if (b->rate) {
			/* Also what was due while others had the CPU. */
			due = (now_ns - start_ns) / 1000 * b->rate / (NS_PER_S / 1000);
			n = due - b->n_written;
		} else if (line_writer_fill(&b->scene.writer) > LINE_BYTES / 2) {
			sleep_until(now_ns + SLICE_NS);
			continue;
		}
		write_some(b, n, last_ns, now_ns);
		last_ns = now_ns;
	}
	b->took_ns = last_ns - start_ns;
	atomic_store(&b->is_over, true);
	return NULL;
}

/* --- the sampler --- */

static void *be_sampler(void *arg)
{
	struct bench *b = arg;
	struct sampler *s = b->scene.sampler;
	bool is_over = false, is_all = false;

	while (!is_over || !is_all) {
		is_over = atomic_load(&b->is_over);
		is_all = sampler_exact_take(s, clock_monotonic_ns());
		if (is_all)
			sleep_until(clock_monotonic_ns() + sampler_exact_pause(s));
		else if (ring_room(b->scene.ring) < RING_BYTES / 4)
			sleep_until(clock_monotonic_ns() + NS_PER_MS);
	}
	sampler_exact_finish(s);
	b->taken_cpu_ns = own_cpu_ns();
	atomic_store(&b->is_taken, true);
	return NULL;
}

/* --- the writer --- */

static void write_all(struct bench *b)
{
	const struct record_header *h;
	int r = 0;

	while (r == 0 && (h = ring_peek(b->scene.ring))) {
		b->n_stacks += h->kind == RECORD_STACK;
		r = trace_writer_put(b->writer, h);
		ring_consume(b->scene.ring);
	}
	if (r == 0)
		r = trace_writer_tick(b->writer, clock_monotonic_ns());
	if (r < 0)
		fail("cannot write", r);
}

static void *be_writer(void *arg)
{
	struct bench *b = arg;
	bool is_last = false;
	int r;

	while (!is_last) {
		is_last = atomic_load(&b->is_taken);
		write_all(b);
		sleep_until(clock_monotonic_ns() + NS_PER_MS);
	}
	r = trace_writer_close(b->writer, clock_monotonic_ns(), "all written");
	if (r < 0)
		fail("cannot close", r);
	b->written_cpu_ns = own_cpu_ns();
	return NULL;
}

static int no_source(void *ctx, const char *path, char **ret_text, size_t *ret_len)
{
	(void)ctx;
	(void)path;
	(void)ret_text;
	(void)ret_len;
	return -ENOENT;
}

static struct trace_writer *create(const char *path)
{
	const struct trace_about about = {
	    .name = "exact_rate",
	    .pid = 1,
	    .command = "exact_rate",
	    .executable = "/usr/bin/python3",
	    .python = "3.11.2",
	    .host = "localhost",
	    .packages = "",
	    .start_monotonic_ns = clock_monotonic_ns(),
	    .start_realtime_ns = clock_realtime_ns(),
	    .time_zone = "UTC",
	};
	struct trace_writer *w;
	int r = trace_writer_create(path, &about, no_source, NULL, &w);

	if (r < 0)
		fail(path, r);
	return w;
}

static void report(const struct bench *b)
{
	const struct exact_progress *p = sampler_get_exact_progress(b->scene.sampler);

	printf("events            %" PRIu64 "\n", b->n_written);
	printf("events/s          %.0f\n", (double)b->n_written * 1e9 / (double)b->took_ns);
	printf("taken             %" PRIu64 "\n", (uint64_t)p->events);
	printf("lost              %" PRIu64 "\n", b->n_refused);
	printf("resyncs           %" PRIu64 "\n", (uint64_t)p->resyncs);
	printf("stacks            %" PRIu64 "\n", b->n_stacks);
	printf("ring in use       %.1f %%\n", 100.0 * (double)b->most_waiting / LINE_BYTES);
	printf("CPU of the sampler %.1f ns/event\n",
	       (double)b->taken_cpu_ns / (double)b->n_written);
	printf("CPU of the writer %.1f ns/event\n",
	       (double)b->written_cpu_ns / (double)b->n_written);
}

int main(int argc, char **argv)
{
	void *(*const parts[])(void *) = {be_writer, be_sampler, be_kernel};
	uint64_t rate = DEFAULT_RATE, seconds = DEFAULT_SECONDS;
	auto_free char *path = NULL;
	static struct bench b;
	pthread_t threads[3];

	if (argc > 2 && strcmp(argv[2], "max") == 0)
		rate = 0;
	else if (argc > 2 && parse_count(argv[2], 100000000, &rate) < 0)
		argc = 0;
	if (argc < 2 || argc > 4 || (argc > 3 && parse_count(argv[3], 3600, &seconds) < 0)) {
		fprintf(stderr, "usage: exact_rate FOLDER [EVENTS/S|max [SECONDS]]\n");
		return 2;
	}
	mkdir(argv[1], 0777);
	path = xasprintf("%s/trace.db", argv[1]);
	b.rate = rate;
	b.duration_ns = seconds * NS_PER_S;
	exact_scene_begin(&b.scene, LINE_BYTES, RING_BYTES);
	make_cycle(&b);
	sampler_exact_take(b.scene.sampler, clock_monotonic_ns());
	b.writer = create(path);
	for (size_t i = 0; i < 3; i++) {
		if (pthread_create(&threads[i], NULL, parts[i], &b) != 0)
			fail("no thread", -EAGAIN);
	}
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	report(&b);
	exact_scene_end(&b.scene);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * told_rate FOLDER [EVENTS]: how many events a second of CPU the way into the trace takes that
 * others than the sampler's looks tell of (default 5 million): first in the sampler's thread, into
 * the ring, then in the writer's, into a trace. The program: a loop that calls a function of three
 * lines, one of which runs many times, a new line every 1.5 to 3.5 us.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "recorder/sampler_private.h"
#include "recorder/trace_writer.h"

#define DEFAULT_EVENTS	   5000000
#define INTERVAL_MIN_NS	   1500
#define INTERVAL_JITTER_NS 2000
#define RING_BYTES	   ((size_t)4 << 20)
#define BUNCH		   4000 /* events, which are told before the writer has its turn */

struct bench {
	struct sampler *sampler;
	struct ring *ring;
	struct trace_writer *writer;
	struct track *track;
	uint32_t codes[2];
	uint64_t now_ns;
	uint64_t told_ns, written_ns; /* CPU */
};

static int no_memory(void *ctx, remote_addr addr, void *buf, size_t len)
{
	(void)ctx;
	(void)addr;
	(void)buf;
	(void)len;
	return -EFAULT;
}

static int no_source(void *ctx, const char *path, char **ret_text, size_t *ret_len)
{
	(void)ctx;
	(void)path;
	(void)ret_text;
	(void)ret_len;
	return -ENOENT;
}

static void fail(const char *what, int r)
{
	fprintf(stderr, "told_rate: %s: %s\n", what, strerror(-r));
	exit(1);
}

/* xorshift: the same trace every time. */
static uint64_t random_below(uint64_t limit)
{
	static uint64_t state = UINT64_C(0x853c49e6748fea9b);

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 32) * limit >> 32;
}

/* The i-th event of the program. */
static void tell(struct bench *b, uint64_t i)
{
	static const int32_t inner[] = {21, 22, 22, 22, 22, 23};
	unsigned at = (unsigned)(i % 9);
	struct record_frame frame = {b->codes[0], 10 + (int32_t)at};
	uint32_t keep = 0, n = 1;

	b->now_ns += INTERVAL_MIN_NS + random_below(INTERVAL_JITTER_NS);
	if (at >= 2 && at < 8) {
		frame = (struct record_frame){b->codes[1], inner[at - 2]};
		keep = 1;
	} else if (at == 8) {
		keep = 1; /* back in the loop */
		n = 0;
	}
	if (!sampler_told_stack(b->sampler, b->track, b->now_ns, keep, &frame, n))
		fail("the ring is full", -ENOBUFS);
}

static void write_all(struct bench *b)
{
	const struct record_header *h;
	int r;

	while ((h = ring_peek(b->ring))) {
		r = trace_writer_put(b->writer, h);
		if (r < 0)
			fail("cannot write", r);
		ring_consume(b->ring);
	}
	r = trace_writer_tick(b->writer, b->now_ns);
	if (r < 0)
		fail("cannot write", r);
}

static void run(struct bench *b, uint64_t n)
{
	for (uint64_t i = 0; i < n;) {
		uint64_t start_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID), middle_ns;

		for (uint64_t end = i + BUNCH; i < end && i < n; i++)
			tell(b, i);
		sampler_told_until(b->sampler, b->track, b->now_ns);
		middle_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
		write_all(b);
		b->told_ns += middle_ns - start_ns;
		b->written_ns += clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - middle_ns;
	}
}

static struct trace_writer *create(const char *path, uint64_t start_ns)
{
	const struct trace_about about = {
	    .name = "told_rate",
	    .pid = 1,
	    .command = "told_rate",
	    .executable = "/usr/bin/python3",
	    .python = "3.11.2",
	    .host = "localhost",
	    .packages = "",
	    .start_monotonic_ns = start_ns,
	    .start_realtime_ns = UINT64_C(1760000000) * NS_PER_S,
	    .time_zone = "UTC",
	};
	struct trace_writer *w;
	int r = trace_writer_create(path, &about, no_source, NULL, &w);

	if (r < 0)
		fail(path, r);
	return w;
}

static void report(const char *what, uint64_t n, uint64_t cpu_ns)
{
	printf("%-20s %.1f ns CPU/event, %.0f events/s of CPU\n", what, (double)cpu_ns / (double)n,
	       (double)n * 1e9 / (double)cpu_ns);
}

int main(int argc, char **argv)
{
	static struct sampler_config config = {.stat_fd = -1};
	static struct py_runtime py;
	struct memory mem;
	struct bench b = {.now_ns = NS_PER_S};
	auto_free char *path = NULL;
	uint64_t n = DEFAULT_EVENTS, end_ns;
	struct stat st = {0};
	int r;

	if (argc < 2 || argc > 3 || (argc == 3 && parse_count(argv[2], UINT32_MAX, &n) < 0)) {
		fprintf(stderr, "usage: told_rate FOLDER [EVENTS]\n");
		return 2;
	}
	mkdir(argv[1], 0777);
	path = xasprintf("%s/trace.db", argv[1]);
	memory_init_image(&mem, no_memory, NULL);
	b.ring = ring_new(RING_BYTES);
	b.writer = create(path, b.now_ns);
	b.sampler = sampler_new(&mem, &py, b.ring, &config, 1, 1);
	b.track = xcalloc(1, sizeof(*b.track));
	b.sampler->tracks = xgrow(NULL, &b.sampler->tracks_cap, 1, sizeof(b.sampler->tracks[0]));
	b.sampler->tracks[b.sampler->n_tracks++] = b.track;
	sampler_told_begin(b.sampler, b.track, PROVENANCE_EXACT, b.now_ns);
	b.codes[0] = sampler_told_code(b.sampler, "/srv/a.py", 9, "loop", 4, 9, b.now_ns);
	b.codes[1] = sampler_told_code(b.sampler, "/srv/a.py", 9, "work", 4, 20, b.now_ns);
	run(&b, n);
	end_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
	r = trace_writer_close(b.writer, b.now_ns, "all written");
	if (r < 0)
		fail("cannot close", r);
	b.written_ns += clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - end_ns;
	stat(path, &st);
	printf("events               %" PRIu64 "\n", n);
	report("told", n, b.told_ns);
	report("written", n, b.written_ns);
	printf("bytes/event          %.3f\n", (double)st.st_size / (double)n);
	sampler_free(b.sampler);
	ring_free(b.ring);
	return 0;
}

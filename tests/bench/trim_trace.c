/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trim_trace FOLDER PERCENT: delete so much of a trace of make_trace, through the real writer.
 * Prints how long resuming, the longest step and all steps took, and the sizes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "recorder/trace_writer.h"

static uint64_t size_of(const char *path)
{
	struct stat st = {0};

	stat(path, &st);
	return (uint64_t)st.st_size;
}

static double milliseconds(uint64_t since_ns)
{
	return (double)(clock_monotonic_ns() - since_ns) / (double)NS_PER_MS;
}

static int trim(struct trace_writer *w, uint64_t bytes, uint64_t now_ns)
{
	struct trace_writer_totals totals = {.is_trimming = 1};
	uint64_t start_ns = clock_monotonic_ns();
	double longest = 0;
	unsigned steps = 0;
	int r = 0;

	trace_writer_trim(w, bytes);
	for (; r == 0 && totals.is_trimming; steps++) {
		uint64_t step_ns = clock_monotonic_ns();

		r = trace_writer_tick(w, now_ns);
		if (milliseconds(step_ns) > longest)
			longest = milliseconds(step_ns);
		trace_writer_totals(w, &totals);
	}
	printf("steps     %u, %.1f ms in all, the longest %.1f ms\n", steps, milliseconds(start_ns),
	       longest);
	return r;
}

int main(int argc, char **argv)
{
	/* As make_trace says; later than all in it. */
	const struct trace_about about = {.pid = 1,
					  .packages = "",
					  .start_monotonic_ns = UINT64_C(1) << 60,
					  .start_realtime_ns = UINT64_C(1) << 60};
	auto_free char *path = NULL;
	struct trace_writer *w;
	uint64_t percent, size, start_ns;
	int r;

	if (argc != 3 || parse_count(argv[2], 100, &percent) < 0) {
		fprintf(stderr, "usage: trim_trace FOLDER PERCENT\n");
		return 2;
	}
	path = xasprintf("%s/trace.db", argv[1]);
	size = size_of(path);
	start_ns = clock_monotonic_ns();
	r = trace_writer_resume(path, &about, NULL, NULL, &w);
	if (r == 0) {
		printf("resume    %.1f ms\n", milliseconds(start_ns));
		r = trim(w, size / 100 * percent, about.start_monotonic_ns);
		start_ns = clock_monotonic_ns();
		trace_writer_close(w, about.start_monotonic_ns, "trimmed");
		printf("close     %.1f ms\n", milliseconds(start_ns));
	}
	if (r < 0) {
		fprintf(stderr, "trim_trace: %s: %s\n", path, strerror(-r));
		return 1;
	}
	printf("bytes     %" PRIu64 " before, %" PRIu64 " after\n", size, size_of(path));
	return 0;
}

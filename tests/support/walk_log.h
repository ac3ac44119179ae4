/* SPDX-License-Identifier: BSD-3-Clause */
/* A walk over a trace as text, a line for each call, with times in us since the start. For tests.
 */
#ifndef TESTS_SUPPORT_WALK_LOG_H
#define TESTS_SUPPORT_WALK_LOG_H

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "reader/trace.h"
#include "reader/trace_waits.h"
#include "reader/walk.h"
#include "tests/support/trace_records.h"

struct walk_log {
	struct trace *trace;
	struct walk *walk;
	FILE *out;
};

static inline double log_us(uint64_t time_ns)
{
	return (double)(time_ns - TEST_START_NS) / (double)NS_PER_US;
}

static inline int log_thread(void *ctx, struct walk *w, const struct trace_thread *thread)
{
	struct walk_log *log = ctx;

	log->walk = w;
	fprintf(log->out, "thread %u\n", (unsigned)thread->id);
	return 0;
}

static inline int log_change(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places,
			     uint32_t n)
{
	struct walk_log *log = ctx;

	fprintf(log->out, "%.0f -%" PRIu32, log_us(time_ns), pop);
	for (uint32_t i = 0; i < n; i++) {
		const struct walk_place *place = walk_place(log->walk, places[i]);
		const struct trace_code *code = trace_get_code(log->trace, place->code);

		fprintf(log->out, " %s:%" PRId32, code ? code->name : "?", place->line);
	}
	putc('\n', log->out);
	return 0;
}

static inline int log_time(void *ctx, uint64_t start_ns, uint64_t end_ns,
			   enum thread_activity activity, const struct wait_kind *wait)
{
	static const char *const names[] = {
	    [ACTIVITY_UNKNOWN] = "time",
	    [ACTIVITY_ON_CPU] = "cpu",
	    [ACTIVITY_WAITING] = "wait",
	    [ACTIVITY_READY] = "ready",
	};
	struct walk_log *log = ctx;
	const struct trace_reason *reason =
	    wait ? trace_get_reason(log->trace, wait->reason) : NULL;

	fprintf(log->out, "%.0f to %.0f %s%s%s\n", log_us(start_ns), log_us(end_ns),
		names[activity], reason ? " " : "", reason ? reason->what : "");
	return 0;
}

static inline int log_gap(void *ctx, uint64_t start_ns, uint64_t end_ns)
{
	struct walk_log *log = ctx;

	fprintf(log->out, "%.0f to %.0f gap\n", log_us(start_ns), log_us(end_ns));
	return 0;
}

/* The caller frees. */
static inline char *walk_as_text(struct trace *t, const struct selection_options *options,
				 int expected, struct walk_totals *totals)
{
	static const struct walk_calls calls = {.on_thread = log_thread,
						.on_change = log_change,
						.on_time = log_time,
						.on_gap = log_gap};
	struct walk_log log = {.trace = t};
	struct selection s;
	char *text = NULL, why[256];
	size_t len;

	ck_assert_msg(selection_resolve(t, options, &s, why, sizeof(why)) == 0, "%s", why);
	log.out = open_memstream(&text, &len);
	ck_assert_ptr_nonnull(log.out);
	ck_assert_int_eq(walk_trace(t, &s, &calls, &log, totals), expected);
	fclose(log.out);
	selection_done(&s);
	return text;
}

#endif

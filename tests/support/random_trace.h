/* SPDX-License-Identifier: BSD-3-Clause */
/* A trace of many blocks, the same one each time. For tests; a failure ends them. */
#ifndef TESTS_SUPPORT_RANDOM_TRACE_H
#define TESTS_SUPPORT_RANDOM_TRACE_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "recorder/oncpu/edge_events.h"
#include "tests/support/waits_trace.h"

static inline uint32_t random_below(uint32_t limit)
{
	static uint32_t seed = 1;

	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)seed * limit >> 32);
}

/* Code objects 2 and 4 are one function, and 5 is of that name in another file. */
static inline struct trace_writer *writer_of_five_codes(void)
{
	struct trace_about about = test_about;
	struct trace_writer *w;

	about.edges = "exact";
	ck_assert_int_eq(trace_writer_create(db_path, &about, test_read_source, NULL, &w), 0);
	put_thread(w, 1, AT(0));
	put_thread(w, 2, AT(0));
	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "work");
	put_code(w, 3, source_path, "f");
	put_code(w, 4, source_path, "work");
	put_code(w, 5, "/other/app.py", "work");
	return w;
}

/* A line of it at random; @is_shared: f also stands on two of work's. */
static inline struct record_frame random_frame(bool is_shared)
{
	uint32_t code = 1 + random_below(5);

	if (is_shared && code == 3 && random_below(2))
		return (struct record_frame){3, 20 + (int32_t)random_below(2)};
	return (struct record_frame){code, (int32_t)(code * 10 + random_below(3))};
}

/* Calls, returns, recursion, lines that change, waits, gaps, and many blocks. */
static inline void write_at_random(bool is_shared)
{
	struct trace_writer *w = writer_of_five_codes();
	uint32_t depth[3] = {0};
	uint64_t now_ns = AT(0);

	for (int i = 0; i < 20000; i++) {
		uint16_t thread = (uint16_t)(1 + random_below(2));
		uint32_t keep =
		    depth[thread] - random_below(depth[thread] < 3 ? depth[thread] + 1 : 3);
		uint32_t n = random_below(keep > 12 ? 1 : 3);
		struct record_frame frames[2];

		for (uint32_t k = 0; k < n; k++)
			frames[k] = random_frame(is_shared);
		now_ns += 1000 + random_below(900000);
		ck_assert_int_eq(put_stack(w, thread, now_ns, keep, frames, n), 0);
		depth[thread] = keep + n;
		if (random_below(3) == 0) {
			uint64_t start_ns = now_ns + random_below(5000);

			now_ns = start_ns + random_below(random_below(9) ? 400000 : 9000000);
			put_off(w, thread, start_ns, now_ns,
				random_below(3) ? EDGE_WAITING : EDGE_READY, 0);
		}
		/* A block that has an event, but no length. */
		if (i % 5000 == 2499) {
			put_gap(w, 0, now_ns, now_ns + 1000000, GAP_RING_FULL);
			now_ns += 1000000;
			frames[0] = random_frame(is_shared);
			ck_assert_int_eq(put_stack(w, thread, now_ns, depth[thread], frames, 1), 0);
			depth[thread]++;
		}
		if (i % 2500 == 2499) {
			put_gap(w, 0, now_ns, now_ns + 1000000, GAP_RING_FULL);
			now_ns += 1000000;
		}
		ck_assert_int_eq(trace_writer_tick(w, now_ns), 0);
	}
	ck_assert_int_eq(trace_writer_close(w, now_ns + 1000, "stopped"), 0);
}

#endif

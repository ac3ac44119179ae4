/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole trace with bytes changed: the input is a list of (position, value) pairs laid over a
 * good trace, so that the fuzzer need not invent SQLite's format. All that the subcommands read
 * is read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/export.h"
#include "reader/now.h"
#include "reader/selection.h"
#include "reader/span_cursor.h"
#include "reader/trace_line_rows.h"
#include "reader/trace_waits.h"
#include "recorder/oncpu/edge_events.h"
#include "reader/cursor.h"
#include "reader/trace.h"
#include "tests/support/trace_records.h"
#include "tests/support/whole_sums.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_EVENTS 300
#define N_WAITS	 20

static char *good;
static size_t good_len;
/* What is exported goes there. */
static FILE *nowhere;

/* One every 3 ms, from the third on. */
static void put_waits(struct trace_writer *w)
{
	static const struct wait_about about = {
	    .kind = "poll",
	    .call = "poll",
	    .what = "poll: 2 descriptors",
	    .polled = 2,
	    .native = "poll+0x1 (libc.so.6)\n",
	    .is_native_complete = 1,
	};

	for (uint64_t i = 0; i < N_WAITS; i++) {
		uint64_t start_ns = TEST_START_NS + (i + 1) * 3000000;

		trace_writer_wait(w, 1, start_ns, start_ns + 1000, &about);
		put_off(w, 1, start_ns, start_ns + 2000000, i % 2 ? EDGE_READY : EDGE_WAITING, 0);
	}
}

static void make_good_trace(void)
{
	char *made = test_folder_new();
	auto_free char *path = xasprintf("%s/trace.db", made);
	struct trace_writer *w = test_writer_new(made);
	struct stat st;
	FILE *f;

	put_thread(w, 1, TEST_START_NS);
	put_code(w, 1, "/proc/self/comm", "main");
	put_code(w, 2, "<string>", "work");
	for (uint32_t i = 0; i < N_EVENTS; i++)
		put_stack(w, 1, TEST_START_NS + i * UINT64_C(3000), i % 3 == 2,
			  FRAMES({1 + i % 2, (int32_t)i % 20}, {2, 7}), 1 + i % 2);
	put_gap(w, 0, TEST_START_NS + 1000000, TEST_START_NS + 2000000, GAP_EXEC);
	put_counters(w, TEST_START_NS + 2000000, 5);
	put_waits(w);
	if (trace_writer_close(w, TEST_START_NS + 100000000, "stopped") < 0 || stat(path, &st) < 0)
		abort();
	good_len = (size_t)st.st_size;
	good = xmalloc(good_len);
	f = fopen(path, "re");
	if (!f || fread(good, 1, good_len, f) != good_len)
		abort();
	fclose(f);
	test_folder_remove(made);
}

/* Whatever the trace says, movements end. */
static void move_around(struct trace *t)
{
	uint32_t file = 1;
	struct stop stop = {.files = &file, .n_files = 1, .line = 7};
	auto_release(cursor_free) struct cursor *c = cursor_new(t);
	struct cursor_frame *stack = NULL;
	struct hit hit;

	cursor_end(c, BACKWARDS);
	for (int i = 0; i < 2 * N_EVENTS && cursor_step(c, FORWARDS) == 1; i++)
		;
	for (int i = 0; i < 2 * N_EVENTS && cursor_step(c, BACKWARDS) == 1; i++)
		;
	cursor_jump(c, TEST_START_NS + N_EVENTS * UINT64_C(1500));
	for (int i = 0; i < N_EVENTS && cursor_run(c, FORWARDS, &stop, 1, &hit) == 1; i++)
		;
	for (int i = 0; i < N_EVENTS && cursor_next(c, BACKWARDS, 1) == 1; i++)
		;
	cursor_leave(c, FORWARDS, 1);
	if (cursor_has_spot(c) && cursor_stack(c, &stack) == 0)
		free(stack);
}

/* Nor does a walk over what it says that threads did. */
static void read_stretches(struct trace *t)
{
	auto_block_cache struct block_cache *cache = block_cache_new(t);
	struct selection s;
	char why[256];

	for (uint16_t thread = 0; thread < 3; thread++) {
		const struct span_cursor_options options = {
		    .thread = thread,
		    .since_ns = thread == 2 ? TEST_START_NS + 1500000 : 0,
		    .until_ns = UINT64_MAX,
		    .only_waits = thread == 0,
		    .has_edges = true,
		};
		auto_release(span_cursor_free) struct span_cursor *c =
		    span_cursor_new(cache, &options);
		auto_release(trace_line_rows_free) struct trace_line_rows *rows = NULL;
		const struct span *span;
		struct block_row row;
		struct trace_line line;
		uint64_t last_ns = 0;

		while (span_cursor_next(c, &span) == 1) {
			if (span->start_ns < last_ns || span->end_ns <= span->start_ns)
				abort();
			last_ns = span->end_ns;
		}
		if (trace_line_rows_new(t, thread, 0, UINT64_MAX, &rows) == 0) {
			while (trace_line_rows_next(rows, &row, &line) == 1)
				;
		}
	}
	if (selection_resolve(t, &(struct selection_options){0}, &s, why, sizeof(why)) < 0)
		return;
	export_callgrind.write(t, &s, nowhere, &(struct walk_totals){0});
	export_pprof.write(t, &s, nowhere, &(struct walk_totals){0});
	selection_done(&s);
}

static void read_all(const char *path)
{
	struct trace_gaps gaps[N_GAP_REASONS];
	struct trace_summary summary;
	struct whole_sums sums;
	struct now now;
	struct trace_wait *waits = NULL;
	struct trace_line *lines = NULL;
	struct trace *t = NULL;
	uint64_t start, end;
	char *text = NULL;
	char why[256];
	size_t n;

	if (trace_open(path, &t, why, sizeof(why)) < 0)
		return;
	trace_summarise(t, &summary);
	trace_span(t, &start, &end);
	trace_sum_gaps(t, gaps);
	trace_sum_lines(t, &lines, &n);
	trace_sum_waits(t, &waits, &n);
	for (size_t i = 0; i < n; i++) {
		char *frames;

		if (trace_native_frames(t, waits[i].kind.native, &frames) == 0)
			free(frames);
	}
	now_read(t, &now);
	now_done(&now);
	whole_sums_read(t, &sums);
	if (trace_file_source(t, 1, &text, &n) == 0)
		free(text);
	free(lines);
	free(waits);
	move_around(t);
	read_stretches(t);
	trace_close(t);
}

static char *folder;

static void remove_folder(void)
{
	test_folder_remove(folder);
}

/* SQLite follows links and wants a name, so a memfd would not do. */
static int make_file(void)
{
	auto_free char *path = NULL;
	int fd;

	folder = test_folder_new();
	atexit(remove_folder);
	path = xasprintf("%s/" TRACE_FILE_NAME, folder);
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		abort();
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;

	if (fd < 0) {
		nowhere = fopen("/dev/null", "we");
		if (!nowhere)
			abort();
		make_good_trace();
		fd = make_file();
	}
	/* Three bytes a change: where and what. */
	if (pwrite(fd, good, good_len, 0) != (ssize_t)good_len)
		abort();
	for (size_t i = 0; i + 2 < size; i += 3) {
		size_t at = ((size_t)data[i] << 8 | data[i + 1]) % good_len;

		if (pwrite(fd, &data[i + 2], 1, (off_t)at) != 1)
			abort();
	}
	read_all(folder);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole trace with bytes changed: the input is a list of (position, value) pairs laid over a
 * good trace, so that the fuzzer need not invent SQLite's format. All that the subcommands read
 * is read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/call_tree.h"
#include "reader/trace.h"
#include "tests/support/trace_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_EVENTS 300

static char *good;
static size_t good_len;

static void make_good_trace(void)
{
	char *folder = test_folder_new();
	auto_free char *path = xasprintf("%s/trace.db", folder);
	struct trace_writer *w = test_writer_new(folder);
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
	if (trace_writer_close(w, TEST_START_NS + 3000000, "stopped") < 0 || stat(path, &st) < 0)
		abort();
	good_len = (size_t)st.st_size;
	good = xmalloc(good_len);
	f = fopen(path, "re");
	if (!f || fread(good, 1, good_len, f) != good_len)
		abort();
	fclose(f);
	test_folder_remove(folder);
}

static void read_all(const char *path)
{
	struct trace_gaps gaps[N_GAP_REASONS];
	struct trace_summary summary;
	struct call_tree *tree = NULL;
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
	call_tree_new(t, &tree);
	if (trace_file_source(t, 1, &text, &n) == 0)
		free(text);
	call_tree_free(tree);
	free(lines);
	trace_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	char path[64];

	if (fd < 0) {
		make_good_trace();
		fd = memfd_create("trace", MFD_CLOEXEC);
		if (fd < 0)
			abort();
	}
	/* Three bytes a change: where and what. */
	if (pwrite(fd, good, good_len, 0) != (ssize_t)good_len)
		abort();
	for (size_t i = 0; i + 2 < size; i += 3) {
		size_t at = ((size_t)data[i] << 8 | data[i + 1]) % good_len;

		if (pwrite(fd, &data[i + 2], 1, (off_t)at) != 1)
			abort();
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_all(path);
	return 0;
}

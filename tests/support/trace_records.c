/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/trace_records.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "tests/support/scratch.h"

static size_t padded(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

int put_thread(struct trace_writer *w, uint16_t thread, uint64_t time_ns)
{
	struct record_thread r = {
	    .h = {.size = sizeof(r), .kind = RECORD_THREAD, .thread = thread},
	    .native_id = 1000u + thread,
	    .python_id = 2000u + thread,
	};

	r.h.time_ns = time_ns;
	return trace_writer_put(w, &r.h);
}

int put_thread_end(struct trace_writer *w, uint16_t thread, uint64_t time_ns)
{
	struct record_header h = {
	    .size = sizeof(h), .kind = RECORD_THREAD_END, .thread = thread, .time_ns = time_ns};

	return trace_writer_put(w, &h);
}

int put_code_bytes(struct trace_writer *w, uint32_t id, const char *file, size_t file_len,
		   const char *name, size_t name_len)
{
	size_t size = padded(sizeof(struct record_code) + file_len + name_len);
	auto_free struct record_code *r = xcalloc(1, size);

	r->h = (struct record_header){.size = (uint32_t)size, .kind = RECORD_CODE};
	r->id = id;
	r->first_line = 1;
	r->file_len = (uint32_t)file_len;
	r->name_len = (uint32_t)name_len;
	memcpy(r->text, file, file_len);
	memcpy(r->text + file_len, name, name_len);
	return trace_writer_put(w, &r->h);
}

int put_code(struct trace_writer *w, uint32_t id, const char *file, const char *name)
{
	return put_code_bytes(w, id, file, strlen(file), name, strlen(name));
}

int put_stack(struct trace_writer *w, uint16_t thread, uint64_t time_ns, uint32_t keep,
	      const struct record_frame *frames, uint32_t n_frames)
{
	return put_told(w, thread, time_ns, PROVENANCE_OBSERVED, keep, frames, n_frames);
}

int put_told(struct trace_writer *w, uint16_t thread, uint64_t time_ns, unsigned provenance,
	     uint32_t keep, const struct record_frame *frames, uint32_t n_frames)
{
	size_t size = sizeof(struct record_stack) + n_frames * sizeof(*frames);
	auto_free struct record_stack *r = xcalloc(1, size);

	r->h = (struct record_header){
	    .size = (uint32_t)size, .kind = RECORD_STACK, .thread = thread, .time_ns = time_ns};
	r->provenance = (uint16_t)(provenance & ~TOLD_FIRST);
	r->is_first = (provenance & TOLD_FIRST) != 0;
	r->keep = keep;
	r->n_frames = n_frames;
	if (n_frames)
		memcpy(r->frames, frames, n_frames * sizeof(*frames));
	return trace_writer_put(w, &r->h);
}

int put_gap(struct trace_writer *w, uint16_t thread, uint64_t start_ns, uint64_t end_ns,
	    enum gap_reason reason)
{
	struct record_gap r = {
	    .h = {.size = sizeof(r), .kind = RECORD_GAP, .thread = thread, .time_ns = end_ns},
	    .start_ns = start_ns,
	    .reason = reason,
	    .lost = 7,
	};

	return trace_writer_put(w, &r.h);
}

int put_off(struct trace_writer *w, uint16_t thread, uint64_t start_ns, uint64_t end_ns,
	    uint32_t state, int is_open)
{
	struct record_off r = {
	    .h = {.size = sizeof(r), .kind = RECORD_OFF, .thread = thread, .time_ns = end_ns},
	    .start_ns = start_ns,
	    .state = state,
	    .is_open = (uint32_t)is_open,
	};

	return trace_writer_put(w, &r.h);
}

int put_counters(struct trace_writer *w, uint64_t time_ns, uint64_t snapshots)
{
	struct record_counters r = {
	    .h = {.size = sizeof(r), .kind = RECORD_COUNTERS, .time_ns = time_ns},
	    .snapshots = snapshots,
	    .cut = {[CUT_DEPTH] = 3},
	    .dropped = {[DROP_TORN] = 1, [DROP_CODE] = 1},
	};

	return trace_writer_put(w, &r.h);
}

char *test_folder_new(void)
{
	return scratch_new("/tmp");
}

void test_folder_remove(char *folder)
{
	scratch_remove(folder);
	free(folder);
}

int test_read_source(void *ctx, const char *path, char **ret_text, size_t *ret_len)
{
	auto_fclose FILE *f = fopen(path, "re");
	size_t size = 0;
	ssize_t n;

	(void)ctx;
	if (!f)
		return -errno;
	*ret_text = NULL;
	n = getdelim(ret_text, &size, 0, f);
	if (n < 0) {
		free(*ret_text);
		return -EIO;
	}
	*ret_len = (size_t)n;
	return 0;
}

const struct trace_about test_about = {
    .name = "a test",
    .pid = 42,
    .process_start_ticks = 4711,
    .command = "python3 -c \"a\\b\"",
    .executable = "/usr/bin/python3",
    .python = "3.11.2",
    .python_hexversion = 0x030b02f0,
    .host = "somewhere",
    .packages = "walt",
    .rate_asked_hz = 5000,
    .start_monotonic_ns = TEST_START_NS,
    .start_realtime_ns = UINT64_C(1763856000000000000),
    .utc_offset_s = 3600,
    .time_zone = "CET",
};

struct trace_writer *test_writer_new(const char *folder)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	struct trace_writer *w;
	int r = trace_writer_create(path, &test_about, test_read_source, NULL, &w);

	if (r < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
		abort();
	}
	return w;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Records as the sampler would send them, and a trace in a folder of its own. For tests. */
#ifndef TESTS_SUPPORT_TRACE_RECORDS_H
#define TESTS_SUPPORT_TRACE_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/ring.h"
#include "recorder/trace_writer.h"

/* Each returns what trace_writer_put() returns. Times in ns. */
int put_thread(struct trace_writer *w, uint16_t thread, uint64_t time_ns);
int put_thread_end(struct trace_writer *w, uint16_t thread, uint64_t time_ns);
int put_code(struct trace_writer *w, uint32_t id, const char *file, const char *name);
int put_code_bytes(struct trace_writer *w, uint32_t id, const char *file, size_t file_len,
		   const char *name, size_t name_len);
int put_stack(struct trace_writer *w, uint16_t thread, uint64_t time_ns, uint32_t keep,
	      const struct record_frame *frames, uint32_t n_frames);
/*
 * As others than looks tell it.
 * @provenance  enum provenance, with TOLD_FIRST where a stretch begins
 */
#define TOLD_FIRST 0x100u
int put_told(struct trace_writer *w, uint16_t thread, uint64_t time_ns, unsigned provenance,
	     uint32_t keep, const struct record_frame *frames, uint32_t n_frames);
int put_gap(struct trace_writer *w, uint16_t thread, uint64_t start_ns, uint64_t end_ns,
	    enum gap_reason reason);
/* Off the CPU from start_ns to end_ns; if is_open, it still is then. @state: EDGE_WAITING … */
int put_off(struct trace_writer *w, uint16_t thread, uint64_t start_ns, uint64_t end_ns,
	    uint32_t state, int is_open);
int put_counters(struct trace_writer *w, uint64_t time_ns, uint64_t snapshots);

#define FRAMES(...) ((const struct record_frame[]){__VA_ARGS__})

/* A new empty folder under TMPDIR or /tmp; the caller removes and frees it. */
char *test_folder_new(void);
void test_folder_remove(char *folder);

/*
 * A writer for FOLDER/trace.db that starts at time 1 s, as PID 42, asked for 5000 Hz. Sources are
 * read from the file system. Aborts on failure.
 */
#define TEST_START_NS UINT64_C(1000000000)
struct trace_writer *test_writer_new(const char *folder);
int test_read_source(void *ctx, const char *path, char **ret_text, size_t *ret_len);
extern const struct trace_about test_about;

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A trace to read: the only place in the reader that knows SQL. Works on a trace that is still
 * being written (all of one open trace is read as it was when it was opened), on one whose
 * recorder was killed, and without write permission; never writes to the trace.
 *
 * Functions return 0 (or what they say) or a negative errno: -EBADMSG means that the trace is
 * damaged there; what was read before that is then returned nevertheless, where noted.
 */
#ifndef READER_TRACE_H
#define READER_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "common/trace_schema.h"

struct trace;

/*
 * @path  a trace's folder or its database
 * @why   on error: what is wrong with it, for people, without the path
 * Returns 0, or -ENOENT, -EACCES, -EBADMSG (not a trace, or damaged), -EPROTONOSUPPORT (newer).
 */
int trace_open(const char *path, struct trace **ret, char *why, size_t why_size);
void trace_close(struct trace *t);

/*
 * See what was written since the trace was opened, or last refreshed: from here on it is read as
 * it is now. What was lent before (files, code objects) is not valid any more. Returns 0 or a
 * negative errno.
 */
int trace_refresh(struct trace *t);
/*
 * Hold on to no moment of the trace until trace_refresh(), which has to come before the next
 * query. A reader that stays, but does not let go of what it reads, makes the recorder's files
 * grow.
 */
void trace_release(struct trace *t);

/* bool: parts are known to be missing, though not which; queries return what there is. */
int trace_is_damaged(const struct trace *t);
/* The database's path, lent. */
const char *trace_path(const struct trace *t);
/* Bytes on disk. */
uint64_t trace_size(const struct trace *t);

/* Of table meta. -ENOENT when there is no such key. The text is the caller's to free. */
int trace_meta_text(struct trace *t, const char *key, char **ret);
int trace_meta_int(struct trace *t, const char *key, int64_t *ret);
int trace_meta_real(struct trace *t, const char *key, double *ret);
/* Of table counters; 0 when there is no such counter. */
int trace_counter(struct trace *t, const char *name, uint64_t *ret);
/*
 * How many events of each provenance were stored, deleted ones included. All 0: they are not
 * counted, because all are observed.
 */
int trace_count_provenances(struct trace *t, uint64_t ret[static N_PROVENANCES]);

/*
 * Returns 1 when the end was written; 0 when not: it is still being recorded, or its recorder was
 * killed; or a negative errno.
 */
int trace_has_ended(struct trace *t);
/*
 * When something was last written to its files, in seconds since 1970, 0 when not known. While a
 * trace is recorded that is about every second, except when its growth is held back.
 */
int64_t trace_last_written_s(const struct trace *t);

/* What was deleted of it to save space. */
struct trace_trimmed {
	uint64_t until_ns; /* monotonic: from then on all is there; 0: nothing was deleted */
	uint64_t n_blocks;
	uint64_t n_events;
	uint64_t bytes;
};
int trace_get_trimmed(struct trace *t, struct trace_trimmed *ret);

struct trace_summary {
	uint64_t n_threads;
	uint64_t n_blocks;
	uint64_t n_events;
	uint64_t observed_ns; /* time that blocks cover, of all threads together */
	uint64_t last_ns;     /* of the last block */
};
/* Of all threads and blocks; also on error, as far as they could be read. */
int trace_summarise(struct trace *t, struct trace_summary *ret);

struct trace_gaps {
	uint64_t n;
	uint64_t ns;
	uint64_t lost;
};
/* By enum gap_reason; [0] counts those with a reason that is not known here. */
int trace_sum_gaps(struct trace *t, struct trace_gaps ret[static N_GAP_REASONS]);
/* For how long there was a gap, of one thread or more. */
int trace_gaps_ns(struct trace *t, uint64_t *ret);

/*
 * When the recording began, and its end, or for one that has not ended the last known time.
 * Monotonic.
 */
int trace_span(struct trace *t, uint64_t *ret_start_ns, uint64_t *ret_end_ns);

/* Names may hold any bytes but are followed by a NUL byte. */
struct trace_file {
	uint32_t id;
	char *path;
	size_t path_len;
	unsigned state; /* enum file_state, or one that is not known here */
};
struct trace_code {
	uint32_t id;
	uint32_t file;
	int32_t first_line;
	char *name;
	size_t name_len;
};
/* NULL when there is none, or it can't be read. Lent until trace_close() or trace_refresh(). */
const struct trace_file *trace_get_file(struct trace *t, uint32_t id);
const struct trace_code *trace_get_code(struct trace *t, uint32_t id);
/* All of them, by id; NULL from trace_n_…() on. */
size_t trace_n_files(struct trace *t);
const struct trace_file *trace_file_nth(struct trace *t, size_t i);
size_t trace_n_codes(struct trace *t);
const struct trace_code *trace_code_nth(struct trace *t, size_t i);

/* A file's text, malloc()ed, a NUL byte behind it. -ENOENT when it is missing. */
int trace_file_source(struct trace *t, uint32_t id, char **ret, size_t *ret_len);

/* A line's totals over the whole trace; see docs/trace-format.md, table lines. */
struct trace_line {
	uint32_t file;
	int32_t line;
	uint64_t visits;
	uint64_t self_ns;
	uint64_t total_ns;
	/* Parts of self_ns, where the trace has edges: */
	uint64_t wait_ns;  /* waiting for something */
	uint64_t ready_ns; /* for a CPU */
	uint64_t gil_ns;   /* of wait_ns: known to be for the GIL, a millisecond or more each */
};
/* The sum of the line index, in no order; the caller frees. Also on error, as far as read. */
int trace_sum_lines(struct trace *t, struct trace_line **ret, size_t *ret_n);

struct trace_block {
	int64_t id;
	uint16_t thread;
	uint64_t first_ns;
	uint64_t last_ns;
	uint32_t lowest_depth;
	uint32_t n_events;
	const void *data; /* for block_decoder_new(); lent for the call */
	size_t data_len;
	const void *waits; /* for wait_codec_decode(); NULL: none; lent for the call */
	size_t waits_len;
};
/* Call on_block for all blocks in the order of their writing, until it returns not 0. */
int trace_each_block(struct trace *t, int (*on_block)(void *ctx, const struct trace_block *block),
		     void *ctx);

#endif

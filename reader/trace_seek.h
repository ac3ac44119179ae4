/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding places in a trace by its indexes, without decoding what lies between: blocks by time, by
 * depth and by the lines that are entered in them; gaps, threads, clock anchors. A part of
 * reader/trace.h, with its conventions.
 *
 * What finds something returns 1, 0 when there is nothing, or a negative errno.
 */
#ifndef READER_TRACE_SEEK_H
#define READER_TRACE_SEEK_H

#include <stddef.h>
#include <stdint.h>

struct block_decoder;
struct line_sums;
struct provenance_runs;
struct trace;
struct wait_list;

enum direction { BACKWARDS = -1, FORWARDS = 1 };

/* A row of blocks without its data. Of one thread, blocks are ordered by time, then by id. */
struct block_row {
	int64_t id;
	uint16_t thread;
	uint64_t first_ns;
	uint64_t last_ns; /* not before first_ns: other rows are as if they were not there */
	uint32_t lowest_depth;
	uint32_t n_events;
};

/* A thread's last block that begins at or before time_ns. */
int trace_block_at(struct trace *t, uint16_t thread, uint64_t time_ns, struct block_row *ret);
/* A thread's first block (FORWARDS), or its last one. */
int trace_block_end(struct trace *t, uint16_t thread, enum direction way, struct block_row *ret);
/* The one after or before another of the same thread. Here and below @ret may be @from. */
int trace_block_beside(struct trace *t, const struct block_row *from, enum direction way,
		       struct block_row *ret);
/* The nearest after or before it in which the stack is at some time at most max_depth deep. */
int trace_block_at_depth(struct trace *t, const struct block_row *from, enum direction way,
			 uint32_t max_depth, struct block_row *ret);
/*
 * The nearest after or before it in which a line of a file is entered.
 */
int trace_block_entering(struct trace *t, const struct block_row *from, enum direction way,
			 uint32_t file, int32_t line, struct block_row *ret);

enum idle_choice { IDLE_NOT, IDLE_TOO, IDLE_ONLY };
/*
 * The nearest after or before it with a wait of at least min_ns, counting what of it lies in
 * earlier blocks, but not in later ones.
 */
int trace_block_waiting(struct trace *t, const struct block_row *from, enum direction way,
			uint64_t min_ns, enum idle_choice idle, struct block_row *ret);

/* A block's data. Returns 0 or a negative errno; the caller frees the decoder. */
int trace_decode_block(struct trace *t, int64_t id, struct block_decoder **ret);

/*
 * How a block's events are known; no runs: all are observed, which is also what damage makes of
 * them. Returns 0 or a negative errno; free with provenance_runs_done().
 * @n_events  of the block
 */
int trace_decode_provenance(struct trace *t, int64_t id, uint32_t n_events,
			    struct provenance_runs *ret);

/* A block's waits, none when it has none. The same; free with wait_list_done(), also on error. */
int trace_decode_waits(struct trace *t, int64_t id, struct wait_list *ret);

/*
 * Of the lines on which a block's thread was off the CPU: self_ns, wait_ns and ready_ns, as the
 * line index has them. Returns 0 or a negative errno.
 */
int trace_block_off(struct trace *t, int64_t id, struct line_sums *ret);

/* For how long a block's thread waited in it for something. Returns 0 or a negative errno. */
int trace_block_waited(struct trace *t, int64_t id, double *ret_ns);

/* Whether a line of a file is entered anywhere. Returns 1, 0 or a negative errno. */
int trace_line_ran(struct trace *t, uint32_t file, int32_t line);
/* All lines of a file that are entered somewhere, ascending; the caller frees. */
int trace_lines_run(struct trace *t, uint32_t file, int32_t **ret, size_t *ret_n);

struct trace_thread {
	uint16_t id;
	uint64_t native_id; /* 0: not known */
	uint64_t python_id;
	uint64_t first_ns;
	uint64_t last_ns; /* 0: it was there to the end */
};
/* All of them by id; the caller frees. Also on error, as far as read. */
int trace_threads(struct trace *t, struct trace_thread **ret, size_t *ret_n);

struct trace_anchor {
	uint64_t monotonic_ns;
	int64_t realtime_ns; /* since 1970 */
};
/* Ascending; at least one unless there is an error. The caller frees. */
int trace_anchors(struct trace *t, struct trace_anchor **ret, size_t *ret_n);

struct trace_gap {
	uint16_t thread; /* 0: all */
	uint64_t start_ns;
	uint64_t end_ns;
	unsigned reason; /* enum gap_reason, or one that is not known here */
	uint64_t lost;
};
/* The first gap of a thread (0: of any) that starts after time_ns; BACKWARDS: the last before. */
int trace_gap_beside(struct trace *t, uint16_t thread, uint64_t time_ns, enum direction way,
		     struct trace_gap *ret);
/* A gap of this thread or of all that has a part in start_ns up to end_ns. */
int trace_gap_within(struct trace *t, uint16_t thread, uint64_t start_ns, uint64_t end_ns,
		     struct trace_gap *ret);
int trace_each_gap(struct trace *t, int (*on_gap)(void *ctx, const struct trace_gap *gap),
		   void *ctx);

/*
 * From the begin of the recording to its last known moment, as trace_span() does, but without
 * reading all blocks. Monotonic. Returns 0 or a negative errno.
 */
int trace_bounds(struct trace *t, uint64_t *ret_start_ns, uint64_t *ret_end_ns);

#endif

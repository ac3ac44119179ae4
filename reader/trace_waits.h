/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What threads waited for, and what they do at the last known moment. A part of reader/trace.h,
 * with its conventions.
 */
#ifndef READER_TRACE_WAITS_H
#define READER_TRACE_WAITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wait_codec.h"
#include "reader/trace.h"

/* Returns 1 when the trace knows when threads were on a CPU, 0 when not, or a negative errno. */
int trace_has_edges(struct trace *t);
/* Whether that is to some milliseconds only. The same. */
int trace_has_coarse_edges(struct trace *t);

/* Why something was waited for. The texts can hold any bytes but NUL. */
struct trace_reason {
	uint32_t id;
	uint32_t same_as; /* the least id with the same texts */
	char *kind;	  /* a word: "sleep", "poll" */
	char *call;	  /* the system call's name; "": none */
	char *what;	  /* for people */
	char *peer;	  /* trace of the same run whose process was at the other end; "": none */
	uint32_t polled;  /* so many descriptors at once */
};
/* NULL when there is none, or it can't be read. Lent until trace_close(). */
const struct trace_reason *trace_get_reason(struct trace *t, uint32_t id);

/*
 * A native stack: a line for each frame, the innermost first; see docs/trace-format.md.
 * @ret  malloc()ed text, the caller frees
 * Returns 0, -ENOENT or another negative errno.
 */
int trace_native_frames(struct trace *t, uint32_t id, char **ret);
/* Whether it goes down to where its thread began. */
bool trace_native_is_complete(struct trace *t, uint32_t id);

/* The waits of one kind in the whole trace. */
struct trace_wait {
	struct wait_kind kind; /* equal reasons and native stacks have one id; 0: not known */
	/*
	 * How many began. One whose reason was found out only in its next block counts there for
	 * its time, but was counted before: it can be 0.
	 */
	uint64_t n;
	uint64_t total_ns;
	uint64_t longest_ns;
	uint64_t longest_start_ns; /* monotonic */
};
/*
 * Of equal texts the same id, as trace_sum_waits() has them; what a kind refers to and is not there
 * becomes 0. For kinds as trace_block_waits() has them.
 */
void trace_unify_kind(struct trace *t, struct wait_kind *kind);
/* The sum over table waits, in no order; the caller frees. Also on error, as far as read. */
int trace_sum_waits(struct trace *t, struct trace_wait **ret, size_t *ret_n);

/*
 * The waits of a block one by one; none when it has none. Their kinds are as stored: texts that are
 * equal can have several ids. Returns 0, -ENOENT or another negative errno. Free with
 * wait_list_done(), also then.
 */
int trace_block_waits(struct trace *t, int64_t block, struct wait_list *ret);

/* A monotonic time by the nearest earlier clock anchor, in ns since 1970. */
int trace_realtime(struct trace *t, uint64_t monotonic_ns, int64_t *ret_ns);

/* A thread of which no end is known, and its last block. */
struct trace_live {
	uint16_t thread;
	uint64_t native_id; /* 0: not known */
	struct trace_block block;
};
/* Call on_thread for all of them by id, until it returns not 0. Those without a block are left out.
 */
int trace_each_live(struct trace *t, int (*on_thread)(void *ctx, const struct trace_live *live),
		    void *ctx);
/* When the wait began that goes on through the whole of a block. -ENOENT when there is none. */
int trace_wait_start(struct trace *t, int64_t block, uint64_t *ret_ns);

#endif

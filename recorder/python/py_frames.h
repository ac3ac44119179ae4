/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Snapshots: the Python stack of one thread of a process that keeps running while we read.
 *
 * What is published is self-consistent. Between two reads, and even within one, calls and returns
 * happen; so each frame is accepted above its caller only when the memory itself says that this
 * call can have been in progress: the caller's frame is marked as waiting in a call (or as
 * executing an instruction that can call through C), the callee's frame is marked as alive, links
 * back to it, and, for plain calls, is a call of the very function that stands in the caller's
 * operand stack. Frames are read from the outermost to the innermost; where that proof fails, the
 * stack ends: a prefix of a stack that existed did exist too.
 */
#ifndef RECORDER_PYTHON_PY_FRAMES_H
#define RECORDER_PYTHON_PY_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/python/py_codes.h"
#include "recorder/python/py_layout.h"
#include "recorder/target/memory.h"

/* Deeper stacks are cut there (the outermost frames are kept). */
#define PY_MAX_FRAMES 32768

#define PY_UNIT_BEFORE_START UINT32_MAX

struct py_frame {
	struct py_code *code;
	remote_addr addr;
	uint32_t unit;	 /* the current instruction, in code units; PY_UNIT_BEFORE_START */
	uint32_t serial; /* of the code object */
};

enum py_cut {
	PY_NOT_CUT,
	PY_CUT_TORN,	 /* what was read at different moments does not fit together */
	PY_CUT_UNSTEADY, /* generators of a loop that is over too fast to tell one from the next */
	PY_CUT_UNREADABLE, /* a frame's memory is not mapped (any more) */
	PY_CUT_DEPTH,	   /* PY_MAX_FRAMES */
	PY_CUT_CODE,	   /* a frame's code object can't be read */
};

struct py_snapshot {
	struct py_frame *frames; /* outermost first */
	uint32_t n;
	/* When cut: with those that could not be proven, though nothing was seen to change. */
	uint32_t n_seen;
	enum py_cut cut;
	size_t cap;
};

/* The line of a frame, 0 when it is not known. Loads the code's line table when needed. */
int32_t py_frame_line(struct py_codes *codes, const struct py_frame *frame);

struct py_stacks; /* reads the stacks of one process, one thread of ours */
struct py_stack;  /* what is known of where one thread's frames lie */

struct py_stacks_counters {
	uint64_t bytes_read, tail_walks, reread, multi_chunk, disturbed, attempts, looked_again;
};

struct py_stacks *py_stacks_new(struct memory *mem, const struct py_layout *l,
				struct py_codes *codes);
void py_stacks_free(struct py_stacks *stacks);
const struct py_stacks_counters *py_stacks_get_counters(const struct py_stacks *stacks);

/* Whether code objects that are new are loaded (as at first), or end the stack instead. */
void py_stacks_set_loading(struct py_stacks *stacks, bool loading);

/*
 * Whether the thread that is looked at next is known not to run for as long as the look takes.
 * Then what is read is of one moment, however long it takes, and nothing is read twice. The caller
 * finds out afterwards whether that was so, and otherwise drops what was read.
 */
void py_stacks_set_still(struct py_stacks *stacks, bool still);

struct py_stack *py_stack_new(remote_addr tstate);
void py_stack_free(struct py_stack *stack);

/*
 * Take a snapshot of one thread.
 * @now_ns  for the cache of code objects
 * @ret     frames is kept and grown between calls; free() it at last
 * Returns 0; -EAGAIN when a code object had to be loaded first, or what was read changed too much
 * (take another one; ret holds the frames that are certain all the same); -EFAULT when the thread's
 * memory can't be read; -ESRCH when the address space is gone. Does not allocate unless the stack
 * is deeper than ever before or a code object is new.
 */
int py_stack_read(struct py_stacks *stacks, struct py_stack *stack, uint64_t now_ns,
		  struct py_snapshot *ret);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data stack of a thread (3.11 and later): a list of chunks, each mapped and unmapped as the
 * stack grows and shrinks. Private to the reading of frames.
 */
#ifndef RECORDER_PYTHON_PY_DATASTACK_H
#define RECORDER_PYTHON_PY_DATASTACK_H

#include "recorder/python/py_stacks_private.h"

/*
 * Begin a snapshot: read the first bytes of the root chunk, after finding it when need be.
 * Returns 0, 1 when the thread has no data stack (never ran Python code), or an error.
 */
int py_datastack_begin(struct py_stacks *s);

/* Remember how many bytes of the root chunk were needed. */
void py_datastack_end(struct py_stacks *s, uint32_t used_bytes);

/* Bring the list of chunks up to date, newest being the last. Returns 0 or an error. */
int py_datastack_refresh(struct py_stacks *s, remote_addr newest);

/*
 * len bytes at addr in chunk number i as of this snapshot; *available is how many bytes are
 * readable from there on. NULL when that is outside the chunk (*error 0) or can't be read.
 */
const uint8_t *py_datastack_view(struct py_stacks *s, uint32_t i, remote_addr addr, uint32_t len,
				 uint32_t *available, int *error);

/* The same, of what has been read already; NULL when that does not reach there. */
const uint8_t *py_datastack_peek(const struct py_stacks *s, uint32_t i, remote_addr addr,
				 uint32_t len, uint32_t *available);

/* Forget what was read at and above addr, in chunk i and later ones: it is read again. */
void py_datastack_forget_above(struct py_stacks *s, uint32_t i, remote_addr addr);

/* The chunk in which addr lies; n_chunks when in none. */
uint32_t py_datastack_chunk_of(const struct py_stack *stack, remote_addr addr);

/* Where the first frame of chunk i begins. */
remote_addr py_datastack_first(const struct py_stack *stack, uint32_t i);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* What wait_states.c and wait_turns.c share. */
#ifndef READER_WAIT_STATES_PRIVATE_H
#define READER_WAIT_STATES_PRIVATE_H

#include "reader/thread_state.h"
#include "reader/trace_waits.h"

#define auto_waits __attribute__((cleanup(wait_list_done)))

/* The end of a wait, or of that part of it which lies in its block. */
uint64_t wait_item_end(const struct block_row *row, const struct wait_item *item);

/* The waits of a block; of a damaged one none. Returns 0 or a negative errno. */
int wait_states_decode(struct trace *t, const struct block_row *row, struct wait_list *ret);

/* See struct thread_states. */
int wait_states_find_turn(void *ctx, uint16_t thread, uint64_t time_ns, enum direction way,
			  uint64_t min_ns, struct cancel cancel, struct thread_turn *ret);

#endif

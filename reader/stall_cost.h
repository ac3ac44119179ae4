/* SPDX-License-Identifier: BSD-3-Clause */
/* Which line a stretch of a thread's time went to. */
#ifndef READER_STALL_COST_H
#define READER_STALL_COST_H

#include "common/cleanup.h"
#include "reader/stalls.h"

struct trace;
struct stall_costs;

struct stall_costs *stall_costs_new(struct trace *t);
void stall_costs_free(struct stall_costs *c);
DEFINE_CLEANUP(struct stall_costs *, stall_costs_free)

/*
 * @stall  thread, start_ns and end_ns in; line, cause and what belongs to them out
 * Returns 0; -EBADMSG when a block of it is damaged, and what is known of the rest was taken; or
 * another negative errno.
 */
int stall_costs_find(struct stall_costs *c, struct stall *stall);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* What threads do at a moment (reader/thread_state.h), by the waits of a trace. */
#ifndef READER_WAIT_STATES_H
#define READER_WAIT_STATES_H

#include "reader/thread_state.h"

struct trace;

/*
 * Times of waits are known to a microsecond: one is said to begin when it has surely begun. It is
 * whole though it may lie in several blocks. Shorter ones than the recorder notes are time on a
 * CPU. Damaged waits are not known.
 * @trace  lent for as long as what is returned is used
 */
struct thread_states wait_states(struct trace *trace);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding the ring of the shim (shim_ring.h) among a target's descriptors, for the half of the
 * recorder that may look there. It opens memory that the target made for that, and nothing else.
 */
#ifndef RECORDER_SHIM_FIND_H
#define RECORDER_SHIM_FIND_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/handover.h"
#include "recorder/target/identity.h"

/* After a look that found none, the next one comes so much later. */
uint64_t shim_find_pause_ns(unsigned n_looks);

/*
 * @ret_pid  the target's number in its own PID namespace
 * Returns a descriptor for reading and writing, of memory whose size can't change any more; -ENOENT
 * when there is none, or another negative errno.
 */
int shim_find(const struct identity *id, uint64_t *ret_pid);

/*
 * Whether the shim can tell each line of all followed code in this version of Python, as in
 * "3.12.1"; the interpreter's probes can do so in earlier ones.
 */
bool shim_tells_lines(const char *python);

/* What is sent to a worker so that its target's shim tells each line, or does not any more. */
void shim_ask_for_lines(struct message *ret, bool is_wanted);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* Replay without a terminal: commands in, lines out. */
#ifndef READER_REPLAY_BATCH_H
#define READER_REPLAY_BATCH_H

#include <stdbool.h>
#include <stdio.h>

struct answer;
struct replay;

/*
 * Do the commands of a file, one a line, and print the answer to each. Empty lines and those that
 * begin with # are skipped.
 * @as_json  one object a line
 * Returns whether all succeeded.
 */
bool replay_batch(struct replay *r, FILE *in, FILE *out, bool as_json);

/* One answer. */
void replay_batch_print(struct replay *r, const struct answer *a, FILE *out);
void replay_batch_print_json(struct replay *r, const struct answer *a, FILE *out);

#endif

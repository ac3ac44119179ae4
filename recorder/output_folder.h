/* SPDX-License-Identifier: BSD-3-Clause */
/* The folder that a trace goes to. */
#ifndef RECORDER_OUTPUT_FOLDER_H
#define RECORDER_OUTPUT_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Make the folder, for this user alone (traces hold source code), or take one that is empty.
 * Returns 0; -ENOTEMPTY, -ENOTDIR, -EACCES, -ENOENT (its parent is missing), or another negative
 * errno; then a sentence for the user is in `why`.
 */
int output_folder_prepare(const char *path, bool *ret_created, char *why, size_t why_size);

/* Take back a folder in which no trace came to be. */
void output_folder_discard(const char *path, bool created);

#endif

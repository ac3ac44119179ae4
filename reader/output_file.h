/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that is there when it is complete, or not at all: what was there before stays until then.
 * Something that is no regular file (a pipe, /dev/full) is written to as it is.
 */
#ifndef READER_OUTPUT_FILE_H
#define READER_OUTPUT_FILE_H

#include <stdio.h>

struct output_file;

/* @path  "-": standard output. Returns 0 or a negative errno. */
int output_file_open(const char *path, struct output_file **ret);
/* Lent. */
FILE *output_file_stream(struct output_file *o);
/* All was written: put it in its place. Returns 0 or the negative errno of whatever failed. */
int output_file_commit(struct output_file *o);
/* Without a commit, nothing is left of it. */
void output_file_free(struct output_file *o);

#endif

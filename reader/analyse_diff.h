/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec analyse --diff: what changed from one trace to another. */
#ifndef READER_ANALYSE_DIFF_H
#define READER_ANALYSE_DIFF_H

#include <stdbool.h>
#include <stddef.h>

#include "common/text.h"

struct diff_arguments {
	const char *old_path, *new_path; /* a trace's folder or its trace.db */
	size_t n_items;			 /* functions, and lines */
	bool as_json;
	enum text_charset charset;
	size_t width; /* of the terminal, 0: any */
};

/* Says all that went wrong; returns the exit status. */
int analyse_diff(const struct diff_arguments *a);

/* For the help of analyse. */
#define DIFF_HELP                                                                            \
	"      --diff OLD NEW      what became slower, faster, new or gone from one trace\n" \
	"                          to another, if it is more than noise: by 1.25 at\n"       \
	"                          least, more on a busy machine or for few calls; by\n"     \
	"                          chance there is one row in 100 comparisons\n"

#define DIFF_COLUMNS_HELP                                                                   \
	"Columns with --diff:\n"                                                            \
	"  CHANGE      slower or faster: the time for each call; new, gone: the function\n" \
	"              or line is in one trace only\n"                                      \
	"  FACTOR      the new time for each call by the old one\n"                         \
	"  OLD, NEW    this time; calls into other followed code, waiting for a CPU, and\n" \
	"              what an event loop was idle do not count\n"                          \
	"  SHARE       of the time observed, all threads together: 10 % are 100 ms in\n"    \
	"              each second\n"

#endif

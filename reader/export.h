/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A format of other tools that `trackexec export` writes: a file export_NAME.c each, with a row in
 * the table of reader/cmd_export.c. Formats walk over the trace (reader/walk.h) and write as they
 * go, so that the memory does not grow with the trace.
 */
#ifndef READER_EXPORT_H
#define READER_EXPORT_H

#include <stdint.h>
#include <stdio.h>

#include "reader/walk.h"

struct export_format {
	const char *name;
	const char *help; /* lines for --help: what it is; each but the last ends with \n */
	/*
	 * Write what is selected. Whether writing succeeded is the caller's to check in the end;
	 * a format asks export_check() now and then, so that it stops early.
	 * @totals  of the walk
	 * Returns 0, -EBADMSG when parts are lost (all else was written), or another negative
	 * errno.
	 */
	int (*write)(struct trace *t, const struct selection *s, FILE *out,
		     struct walk_totals *totals);
};

extern const struct export_format export_collapsed;
extern const struct export_format export_speedscope;
extern const struct export_format export_chrome;
extern const struct export_format export_jsonl;
extern const struct export_format export_pprof;
extern const struct export_format export_callgrind;

/* Right after writing: 0, or the negative errno of what failed. */
int export_check(FILE *out);

#endif

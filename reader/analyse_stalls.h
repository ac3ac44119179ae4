/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec analyse --stalls: the long turns of event loops, of one trace or of many. */
#ifndef READER_ANALYSE_STALLS_H
#define READER_ANALYSE_STALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"
#include "reader/selection.h"

#define STALLS_DEFAULT_MIN_NS (UINT64_C(100) * 1000000)

struct stalls_arguments {
	/* A trace's folder or its trace.db, the folder of a run, or that of all runs. */
	const char *path;
	uint64_t min_ns;
	struct selection_options selection; /* threads of one trace only */
	size_t n_items;
	bool as_json;
	enum text_charset charset;
	size_t width; /* of the terminal, 0: any */
};

/*
 * MIN of --stalls[=MIN], also when it is the next word: that is taken when it is a duration and
 * there is no such file.
 * @value  NULL: not given with an equals sign
 * @next   the next word, or NULL
 * Returns how many words were taken, 0 or 1; or -EINVAL, having said what is wrong.
 */
int stalls_parse_min(const char *value, const char *next, uint64_t *ret_ns);

/* Says all that went wrong; returns the exit status. */
int analyse_stalls(const struct stalls_arguments *a);

/* For the help of analyse. */
#define STALLS_HELP                                                                         \
	"      --stalls[=MIN]      the turns of event loops that took longer than MIN\n"    \
	"                          (default 100ms), by the line that cost them. TRACE\n"    \
	"                          may also be the folder of a run, or of all runs; then\n" \
	"                          --since and --until are on this machine's clock, and\n"  \
	"                          count from now: -1d\n"

#define STALLS_COLUMNS_HELP                                                              \
	"Columns with --stalls:\n"                                                       \
	"  COUNT       how many turns were mostly spent on this line\n"                  \
	"  TOTAL       time of these turns\n"                                            \
	"  WORST       the longest of them\n"                                            \
	"  BEGAN       when that one began, in the time zone of where it was recorded\n" \
	"  below       what the thread did on this line most of the time, the text of\n" \
	"              the line, and the command that goes to the worst turn\n"

#endif

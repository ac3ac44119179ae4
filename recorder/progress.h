/* SPDX-License-Identifier: BSD-3-Clause */
/* What the user sees of a recording while it runs, on a terminal, and the line at its end. */
#ifndef RECORDER_PROGRESS_H
#define RECORDER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/handover.h"

struct progress {
	bool is_shown; /* standard error is a terminal that can go back to a line's start */
	bool has_line;
	uint64_t last_elapsed_ns, last_snapshots;
};

void progress_init(struct progress *p, bool quiet);
/* Replace the line. */
void progress_show(struct progress *p, const struct record_totals *totals);
/* Take the line away, before anything else is printed. */
void progress_clear(struct progress *p);

/* One message that sums the recording up. */
void progress_summary(const struct record_totals *totals, int pid, const char *python,
		      const char *folder);

#endif

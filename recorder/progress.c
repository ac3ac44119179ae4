/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/units.h"

static uint64_t per_second(uint64_t count, uint64_t elapsed_ns)
{
	return elapsed_ns ? (uint64_t)((double)count * 1e9 / (double)elapsed_ns) : 0;
}

void progress_init(struct progress *p, bool quiet)
{
	const char *term = getenv("TERM");

	*p = (struct progress){
	    .is_shown = !quiet && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0,
	};
}

void progress_show(struct progress *p, const struct record_totals *totals)
{
	char rate[UNITS_MAX], transitions[UNITS_MAX], dropped[UNITS_MAX], bytes[UNITS_MAX];
	uint64_t elapsed = totals->elapsed_ns - p->last_elapsed_ns;
	uint64_t snapshots = totals->snapshots - p->last_snapshots;

	p->last_elapsed_ns = totals->elapsed_ns;
	p->last_snapshots = totals->snapshots;
	if (!p->is_shown)
		return;
	format_count(per_second(snapshots, elapsed), rate);
	format_count(totals->transitions, transitions);
	format_count(totals->dropped, dropped);
	format_bytes(totals->bytes, bytes);
	fprintf(stderr, "\r\033[K%.0f s  %s snapshots/s  %s transitions  %s dropped  %s",
		(double)totals->elapsed_ns / 1e9, rate, transitions, dropped, bytes);
	fflush(stderr);
	p->has_line = true;
}

void progress_clear(struct progress *p)
{
	if (!p->has_line)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->has_line = false;
}

void progress_summary(const struct record_totals *totals, int pid, const char *python,
		      const char *folder)
{
	char snapshots[UNITS_MAX], rate[UNITS_MAX], cut[UNITS_MAX], dropped[UNITS_MAX];
	char transitions[UNITS_MAX], bytes[UNITS_MAX], duration[UNITS_MAX];

	format_duration(totals->elapsed_ns, "u", duration);
	format_count(totals->snapshots, snapshots);
	format_count(per_second(totals->snapshots, totals->elapsed_ns), rate);
	format_count(totals->cut, cut);
	format_count(totals->dropped, dropped);
	format_count(totals->transitions, transitions);
	format_bytes(totals->bytes, bytes);
	log_info("recorded %s of process %d (CPython %s): %s snapshots (%s/s, %s cut, %s "
		 "dropped), %s transitions, %s in %s",
		 duration, pid, python, snapshots, rate, cut, dropped, transitions, bytes, folder);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

/* "12,345,678" */
static const char *group_digits(uint64_t value, char buf[static 32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, value);
	int n = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf[n++] = ',';
		buf[n++] = digits[i];
	}
	buf[n] = '\0';
	return buf;
}

static const char *format_bytes(uint64_t bytes, char buf[static 32])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes / 1024;
	size_t i = 0;

	while (value >= 1024 && i + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		i++;
	}
	snprintf(buf, 32, "%.1f %s", value, units[i]);
	return buf;
}

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
	char rate[32], transitions[32], dropped[32], bytes[32];
	uint64_t elapsed = totals->elapsed_ns - p->last_elapsed_ns;
	uint64_t snapshots = totals->snapshots - p->last_snapshots;

	if (!p->is_shown)
		return;
	fprintf(stderr, "\r\033[K%.0f s  %s snapshots/s  %s transitions  %s dropped  %s",
		(double)totals->elapsed_ns / 1e9,
		group_digits(per_second(snapshots, elapsed), rate),
		group_digits(totals->transitions, transitions),
		group_digits(totals->dropped, dropped), format_bytes(totals->bytes, bytes));
	fflush(stderr);
	p->has_line = true;
	p->last_elapsed_ns = totals->elapsed_ns;
	p->last_snapshots = totals->snapshots;
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
	char snapshots[32], rate[32], transitions[32], cut[32], dropped[32], bytes[32];

	log_info("recorded %.1f s of process %d (CPython %s): %s snapshots (%s/s, %s cut, %s "
		 "dropped), %s transitions, %s in %s",
		 (double)totals->elapsed_ns / 1e9, pid, python,
		 group_digits(totals->snapshots, snapshots),
		 group_digits(per_second(totals->snapshots, totals->elapsed_ns), rate),
		 group_digits(totals->cut, cut), group_digits(totals->dropped, dropped),
		 group_digits(totals->transitions, transitions), format_bytes(totals->bytes, bytes),
		 folder);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/clock_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "reader/trace.h"
#include "reader/trace_seek.h"

/* No zone is further away; other values in a trace are nonsense. */
#define OFFSET_MAX_S (INT64_C(26) * 3600)

int clock_map_init(struct clock_map *m, struct trace *t)
{
	int r;

	*m = (struct clock_map){0};
	r = trace_anchors(t, &m->anchors, &m->n_anchors);
	if (r < 0) {
		free(m->anchors);
		m->anchors = NULL;
		return r;
	}
	if (trace_meta_int(t, META_UTC_OFFSET, &m->utc_offset_s) < 0 ||
	    m->utc_offset_s < -OFFSET_MAX_S || m->utc_offset_s > OFFSET_MAX_S)
		m->utc_offset_s = 0;
	return 0;
}

void clock_map_done(struct clock_map *m)
{
	free(m->anchors);
	*m = (struct clock_map){0};
}

/* Modulo 2^64 where the numbers of a trace are absurd. */
static uint64_t monotonic_by(const struct trace_anchor *a, int64_t realtime_ns)
{
	return a->monotonic_ns + ((uint64_t)realtime_ns - (uint64_t)a->realtime_ns);
}

int64_t clock_map_real(const struct clock_map *m, uint64_t monotonic_ns)
{
	size_t low = 0, high = m->n_anchors;

	/* The number of anchors at or before. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->anchors[middle].monotonic_ns <= monotonic_ns)
			low = middle + 1;
		else
			high = middle;
	}
	if (low)
		low--;
	return (int64_t)((uint64_t)m->anchors[low].realtime_ns +
			 (monotonic_ns - m->anchors[low].monotonic_ns));
}

uint64_t clock_map_monotonic(const struct clock_map *m, int64_t realtime_ns)
{
	const struct trace_anchor *a = m->anchors;
	size_t i;

	if (realtime_ns < a[0].realtime_ns) {
		uint64_t before = (uint64_t)a[0].realtime_ns - (uint64_t)realtime_ns;

		return before < a[0].monotonic_ns ? a[0].monotonic_ns - before : 0;
	}
	for (i = 0; i + 1 < m->n_anchors; i++) {
		if (a[i].realtime_ns <= realtime_ns &&
		    monotonic_by(&a[i], realtime_ns) < a[i + 1].monotonic_ns)
			return monotonic_by(&a[i], realtime_ns);
	}
	if (a[i].realtime_ns <= realtime_ns)
		return monotonic_by(&a[i], realtime_ns);
	/* It jumped over that time. */
	for (; i > 0 && a[i].realtime_ns > realtime_ns; i--)
		;
	return a[i + 1].monotonic_ns;
}

static void format_date(const struct clock_map *m, uint64_t monotonic_ns, char between, int digits,
			char buf[static CLOCK_TEXT_SIZE])
{
	int64_t real = clock_map_real(m, monotonic_ns);
	int64_t ns = real % (int64_t)NS_PER_S, s = real / (int64_t)NS_PER_S;
	time_t local;
	struct tm tm;

	if (ns < 0) {
		ns += (int64_t)NS_PER_S;
		s--;
	}
	for (int i = digits; i < 9; i++)
		ns /= 10;
	local = (time_t)(s + m->utc_offset_s);
	if (!gmtime_r(&local, &tm))
		tm = (struct tm){.tm_mday = 1};
	snprintf(buf, CLOCK_TEXT_SIZE, "%04d-%02d-%02d%c%02d:%02d:%02d.%0*d",
		 (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, between, tm.tm_hour,
		 tm.tm_min, tm.tm_sec, digits, (int)ns);
}

void clock_map_format_zone(const struct clock_map *m, char buf[static CLOCK_TEXT_SIZE])
{
	int64_t minutes = m->utc_offset_s / 60;
	char sign = minutes < 0 ? '-' : '+';

	if (minutes < 0)
		minutes = -minutes;
	snprintf(buf, CLOCK_TEXT_SIZE, "%c%02d:%02d", sign, (int)(minutes / 60),
		 (int)(minutes % 60));
}

void clock_map_format_exact(const struct clock_map *m, uint64_t monotonic_ns,
			    char buf[static CLOCK_TEXT_SIZE])
{
	char date[CLOCK_TEXT_SIZE], zone[CLOCK_TEXT_SIZE];

	format_date(m, monotonic_ns, 'T', 9, date);
	clock_map_format_zone(m, zone);
	snprintf(buf, CLOCK_TEXT_SIZE, "%.38s%.8s", date, zone);
}

void clock_map_format(const struct clock_map *m, uint64_t monotonic_ns,
		      char buf[static CLOCK_TEXT_SIZE])
{
	format_date(m, monotonic_ns, ' ', 6, buf);
}

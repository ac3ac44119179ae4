/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/trace_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/text.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/trace_list.h"

static char *shown(const char *text)
{
	return text ? text_escape(text, strlen(text), "", text_locale_charset()) : xstrdup("-");
}

static void print_json_trace(struct json_writer *j, const struct listed_trace *t)
{
	json_object(j, NULL);
	json_string(j, "run", t->run);
	json_string(j, "name", t->name);
	json_string(j, "state", listed_state_name(t->state));
	json_string(j, "detail", t->detail);
	if (t->pid)
		json_int(j, "pid", t->pid);
	else
		json_null(j, "pid");
	json_string(j, "python", t->python);
	if (t->start_realtime_ns) {
		json_real(j, "start_unix_s", (double)t->start_realtime_ns / (double)NS_PER_S, 6);
		json_real(j, "duration_s", (double)t->duration_ns / (double)NS_PER_S, 6);
	} else {
		json_null(j, "start_unix_s");
		json_null(j, "duration_s");
	}
	json_int(j, "utc_offset_s", t->utc_offset_s);
	json_count(j, "bytes", t->bytes);
	json_object_end(j);
}

void trace_table_json(struct json_writer *j, const struct listed_trace *traces, size_t n)
{
	for (size_t i = 0; i < n; i++)
		print_json_trace(j, &traces[i]);
}

struct widths {
	size_t run, name, python;
};

static void widen(size_t *width, const char *text)
{
	auto_free char *s = shown(text);
	size_t n = text_width(s);

	if (n > *width)
		*width = n;
}

/* A cell and two blanks. printf() would count bytes. */
static void print_cell(const char *text, size_t width)
{
	auto_free char *s = shown(text);
	size_t n = text_width(s);

	printf("%s%*s", s, (int)(n < width ? width - n : 0) + 2, "");
}

/* In the zone of where it was recorded, as the names of runs are. */
static void format_start(const struct listed_trace *t, char *buf, size_t size)
{
	time_t local = (time_t)(t->start_realtime_ns / (int64_t)NS_PER_S + t->utc_offset_s);
	struct tm tm;

	snprintf(buf, size, "-");
	if (t->start_realtime_ns && gmtime_r(&local, &tm))
		strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm);
}

static void print_state(const struct listed_trace *t)
{
	auto_free char *detail = shown(t->detail);

	if (t->state == LISTED_KILLED)
		puts("killed: ended without a word");
	else if (t->state == LISTED_STARTING)
		puts("starting: nothing is recorded yet");
	else if (t->state == LISTED_EMPTY)
		puts("empty: nothing was recorded");
	else if (t->detail)
		printf("%s: %s\n", listed_state_name(t->state), detail);
	else
		puts(listed_state_name(t->state));
}

static void print_trace(const struct listed_trace *t, const struct widths *widths)
{
	const char *micro = text_locale_charset() == TEXT_UTF8 ? "\u00b5" : "u";
	char pid[24] = "-", start[32], duration[UNITS_MAX] = "-", bytes[UNITS_MAX];

	if (t->pid)
		snprintf(pid, sizeof(pid), "%" PRId64, t->pid);
	format_start(t, start, sizeof(start));
	if (t->start_realtime_ns)
		format_duration(t->duration_ns, micro, duration);
	format_bytes(t->bytes, bytes);
	print_cell(t->run, widths->run);
	print_cell(t->name, widths->name);
	printf("%7s  ", pid);
	print_cell(t->python, widths->python);
	printf("%-19s  %11s  %9s  ", start, duration, bytes);
	print_state(t);
}

void trace_table_print(const struct listed_trace *traces, size_t n)
{
	struct widths widths = {.run = 3, .name = 4, .python = 6};

	for (size_t i = 0; i < n; i++) {
		widen(&widths.run, traces[i].run);
		widen(&widths.name, traces[i].name);
		widen(&widths.python, traces[i].python);
	}
	print_cell("RUN", widths.run);
	print_cell("NAME", widths.name);
	printf("%7s  ", "PID");
	print_cell("PYTHON", widths.python);
	printf("%-19s  %11s  %9s  STATE\n", "START", "DURATION", "SIZE");
	for (size_t i = 0; i < n; i++)
		print_trace(&traces[i], &widths);
}

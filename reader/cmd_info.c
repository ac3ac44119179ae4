/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec info: what was recorded, how, and how well; and what goes on now. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/text.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/info_threads.h"
#include "reader/info_waits.h"
#include "reader/now.h"
#include "reader/report.h"
#include "reader/trace.h"
#include "reader/trace_seek.h"

DEFINE_CLEANUP(struct trace *, trace_close)

enum {
	TEXT_NAME,
	TEXT_COMMAND,
	TEXT_EXECUTABLE,
	TEXT_PYTHON,
	TEXT_HOST,
	TEXT_PACKAGES,
	TEXT_TIME_ZONE,
	TEXT_END_REASON,
	TEXT_RECORDER,
	N_TEXTS,
};

static const char *const text_keys[N_TEXTS] = {
    [TEXT_NAME] = META_NAME,
    [TEXT_COMMAND] = META_COMMAND,
    [TEXT_EXECUTABLE] = META_EXECUTABLE,
    [TEXT_PYTHON] = META_PYTHON,
    [TEXT_HOST] = META_HOST,
    [TEXT_PACKAGES] = META_PACKAGES,
    [TEXT_TIME_ZONE] = META_TIME_ZONE,
    [TEXT_END_REASON] = META_END_REASON,
    [TEXT_RECORDER] = META_RECORDER,
};

struct info {
	const char *path;
	char *texts[N_TEXTS]; /* as stored, NULL when not there */
	int64_t pid;
	int64_t start_realtime_ns;
	int64_t utc_offset_s;
	double rate_hz; /* 0: as fast as it goes */
	double seconds;
	int has_ended; /* bool */
	int64_t last_written_s;
	uint64_t bytes;
	uint64_t snapshots;
	uint64_t cut[N_CUT_REASONS], all_cut;
	uint64_t dropped[N_DROP_REASONS], all_dropped;
	uint64_t lines_unknown, names_truncated;
	uint64_t sections, section_records, section_lost;
	uint64_t n_of[N_PROVENANCES]; /* events */
	struct trace_trimmed trimmed;
	double complete_from_s; /* since the start; 0: nothing was deleted */
	struct trace_summary summary;
	struct trace_gaps gaps[N_GAP_REASONS], all_gaps;
	struct trace_thread *threads;
	size_t n_threads;
	uint64_t start_ns; /* monotonic */
	struct info_waits waits;
	struct now now;
};

static void note(int *error, int r)
{
	if (r < 0 && r != -ENOENT && *error == 0)
		*error = r;
}

static void collect_counters(struct trace *t, struct info *ret, int *error)
{
	char name[64];

	note(error, trace_counter(t, COUNTER_SNAPSHOTS, &ret->snapshots));
	note(error, trace_counter(t, COUNTER_LINES_UNKNOWN, &ret->lines_unknown));
	note(error, trace_counter(t, COUNTER_NAMES_TRUNCATED, &ret->names_truncated));
	note(error, trace_counter(t, COUNTER_SECTIONS, &ret->sections));
	note(error, trace_counter(t, COUNTER_SECTION_RECORDS, &ret->section_records));
	note(error, trace_counter(t, COUNTER_SECTION_LOST, &ret->section_lost));
	note(error, trace_count_provenances(t, ret->n_of));
	for (unsigned i = 0; i < N_CUT_REASONS; i++) {
		snprintf(name, sizeof(name), COUNTER_CUT "%s", cut_reason_name(i));
		note(error, trace_counter(t, name, &ret->cut[i]));
		ret->all_cut += ret->cut[i];
	}
	for (unsigned i = 0; i < N_DROP_REASONS; i++) {
		snprintf(name, sizeof(name), COUNTER_DROPPED "%s", drop_reason_name(i));
		note(error, trace_counter(t, name, &ret->dropped[i]));
		ret->all_dropped += ret->dropped[i];
	}
}

static uint64_t sum_of(const uint64_t *counts, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += counts[i];
	return sum;
}

/* Returns the first error; what could be read is there nevertheless. */
static int collect(struct trace *t, struct info *ret)
{
	uint64_t start_ns = 0, end_ns = 0;
	int error = trace_is_damaged(t) ? -EBADMSG : 0;

	*ret = (struct info){.path = trace_path(t), .bytes = trace_size(t)};
	for (int i = 0; i < N_TEXTS; i++)
		note(&error, trace_meta_text(t, text_keys[i], &ret->texts[i]));
	note(&error, trace_meta_int(t, META_PID, &ret->pid));
	note(&error, trace_meta_int(t, META_START_REALTIME, &ret->start_realtime_ns));
	note(&error, trace_meta_int(t, META_UTC_OFFSET, &ret->utc_offset_s));
	note(&error, trace_meta_real(t, META_RATE, &ret->rate_hz));
	note(&error, trace_span(t, &start_ns, &end_ns));
	ret->start_ns = start_ns;
	ret->seconds = (double)(end_ns - start_ns) / (double)NS_PER_S;
	ret->has_ended = trace_has_ended(t) == 1;
	ret->last_written_s = trace_last_written_s(t);
	note(&error, trace_get_trimmed(t, &ret->trimmed));
	if (ret->trimmed.until_ns > start_ns)
		ret->complete_from_s =
		    (double)(ret->trimmed.until_ns - start_ns) / (double)NS_PER_S;
	note(&error, trace_summarise(t, &ret->summary));
	note(&error, trace_sum_gaps(t, ret->gaps));
	for (unsigned i = 0; i < N_GAP_REASONS; i++) {
		ret->all_gaps.n += ret->gaps[i].n;
		ret->all_gaps.lost += ret->gaps[i].lost;
	}
	/* Gaps of several threads can be at the same time. */
	note(&error, trace_gaps_ns(t, &ret->all_gaps.ns));
	note(&error, trace_threads(t, &ret->threads, &ret->n_threads));
	collect_counters(t, ret, &error);
	/* They are counted from the moment on when there are others. */
	if (!sum_of(ret->n_of, N_PROVENANCES))
		ret->n_of[PROVENANCE_OBSERVED] = ret->summary.n_events + ret->trimmed.n_events;
	note(&error, info_waits_read(t, &ret->waits));
	note(&error, now_read(t, &ret->now));
	return error;
}

static void info_done(struct info *info)
{
	for (int i = 0; i < N_TEXTS; i++)
		free(info->texts[i]);
	now_done(&info->now);
	free(info->threads);
}

/* While somebody recorded. */
static double per_second(const struct info *info)
{
	double absent = (double)info->gaps[GAP_RECORDER_ABSENT].ns / (double)NS_PER_S;

	return info->seconds > absent ? (double)info->snapshots / (info->seconds - absent) : 0;
}

/* --- JSON --- */

static void print_json_gaps(struct json_writer *j, const struct info *info)
{
	json_count(j, "gaps", info->all_gaps.n);
	json_real(j, "gaps_s", (double)info->all_gaps.ns / (double)NS_PER_S, 6);
	json_count(j, "lost", info->all_gaps.lost);
	json_object(j, "gaps_by_reason");
	for (unsigned i = 0; i < N_GAP_REASONS; i++) {
		if (info->gaps[i].n)
			json_count(j, gap_reason_name(i), info->gaps[i].n);
	}
	json_object_end(j);
}

static void print_json_now(struct json_writer *j, struct trace *t, const struct info *info)
{
	json_array(j, "now");
	for (size_t i = 0; i < info->now.n; i++) {
		json_object(j, NULL);
		now_json_thread(t, &info->now.threads[i], j);
		json_object_end(j);
	}
	json_array_end(j);
}

static void print_json(struct trace *t, const struct info *info)
{
	struct json_writer j;

	json_begin(&j, stdout);
	json_string(&j, "trace", info->path);
	for (int i = 0; i < N_TEXTS; i++)
		json_string(&j, text_keys[i], info->texts[i]);
	json_int(&j, "pid", info->pid);
	json_real(&j, "start_unix_s", (double)info->start_realtime_ns / (double)NS_PER_S, 6);
	json_int(&j, "utc_offset_s", info->utc_offset_s);
	json_real(&j, "duration_s", info->seconds, 6);
	json_bool(&j, "ended", info->has_ended);
	json_int(&j, "last_written_unix_s", info->last_written_s);
	json_count(&j, "threads", info->summary.n_threads);
	info_threads_json(info->threads, info->n_threads, info->start_ns, &j);
	if (info->rate_hz > 0) {
		json_real(&j, "rate_asked_hz", info->rate_hz, 3);
	} else {
		json_null(&j, "rate_asked_hz");
		json_string(&j, "rate_asked", "max");
	}
	json_count(&j, "snapshots", info->snapshots);
	json_real(&j, "snapshots_per_s", per_second(info), 3);
	json_count(&j, "cut", info->all_cut);
	json_object(&j, "cut_by_reason");
	for (unsigned i = 0; i < N_CUT_REASONS; i++)
		json_count(&j, cut_reason_name(i), info->cut[i]);
	json_object_end(&j);
	json_count(&j, "dropped", info->all_dropped);
	json_object(&j, "dropped_by_reason");
	for (unsigned i = 0; i < N_DROP_REASONS; i++)
		json_count(&j, drop_reason_name(i), info->dropped[i]);
	json_object_end(&j);
	json_count(&j, "lines_unknown", info->lines_unknown);
	json_count(&j, "names_truncated", info->names_truncated);
	json_count(&j, "sections", info->sections);
	json_count(&j, "section_records", info->section_records);
	json_count(&j, "section_records_lost", info->section_lost);
	json_real(&j, "complete_from_s", info->complete_from_s, 6);
	json_count(&j, "trimmed_blocks", info->trimmed.n_blocks);
	json_count(&j, "trimmed_transitions", info->trimmed.n_events);
	json_count(&j, "trimmed_bytes", info->trimmed.bytes);
	json_count(&j, "transitions", info->summary.n_events);
	json_object(&j, "transitions_by_provenance");
	for (unsigned i = 0; i < N_PROVENANCES; i++)
		json_count(&j, provenance_name(i), info->n_of[i]);
	json_object_end(&j);
	json_count(&j, "blocks", info->summary.n_blocks);
	json_count(&j, "bytes", info->bytes);
	json_real(&j, "observed_s", (double)info->summary.observed_ns / (double)NS_PER_S, 6);
	print_json_gaps(&j, info);
	info_waits_json(&info->waits, &j);
	print_json_now(&j, t, info);
	json_end(&j);
}

/* --- for people --- */

static char *shown(const char *text)
{
	if (!text)
		return xstrdup("?");
	return text_escape(text, strlen(text), "", text_locale_charset());
}

/* In the recording machine's zone: the reading one may be elsewhere. */
static void format_local(const struct info *info, int64_t unix_s, char *ret, size_t size)
{
	time_t local = (time_t)(unix_s + info->utc_offset_s);
	struct tm tm;

	snprintf(ret, size, "?");
	if (gmtime_r(&local, &tm))
		strftime(ret, size, "%Y-%m-%d %H:%M:%S", &tm);
}

static void print_start(const struct info *info)
{
	auto_free char *zone = shown(info->texts[TEXT_TIME_ZONE]);
	int64_t minutes = info->utc_offset_s / 60;
	char text[64];

	format_local(info, info->start_realtime_ns / (int64_t)NS_PER_S, text, sizeof(text));
	printf("Started      %s %c%02d%02d (%s)\n", text, minutes < 0 ? '-' : '+',
	       (int)((minutes < 0 ? -minutes : minutes) / 60 % 100),
	       (int)((minutes < 0 ? -minutes : minutes) % 60), zone);
}

static void print_process(const struct info *info)
{
	auto_free char *path =
	    text_escape(info->path, strlen(info->path), "", text_locale_charset());
	auto_free char *name = shown(info->texts[TEXT_NAME]);
	auto_free char *host = shown(info->texts[TEXT_HOST]);
	auto_free char *command = shown(info->texts[TEXT_COMMAND]);
	auto_free char *python = shown(info->texts[TEXT_PYTHON]);
	auto_free char *executable = shown(info->texts[TEXT_EXECUTABLE]);
	auto_free char *packages = shown(info->texts[TEXT_PACKAGES]);
	char bytes[UNITS_MAX];

	format_bytes(info->bytes, bytes);
	printf("Trace        %s (%s)\n", path, bytes);
	printf("Process      %s, PID %" PRId64 ", on %s\n", name, info->pid, host);
	printf("Command      %s\n", command);
	printf("Interpreter  Python %s (%s)\n", python, executable);
	printf("Followed     %s\n", strcmp(packages, "") == 0	 ? "own code"
				    : strcmp(packages, "*") == 0 ? "all code"
								 : packages);
	print_start(info);
}

static void print_span(const struct info *info)
{
	auto_free char *reason = shown(info->texts[TEXT_END_REASON]);
	const char *micro = text_locale_charset() == TEXT_UTF8 ? "\u00b5" : "u";
	char span[UNITS_MAX], asked[UNITS_MAX], reached[UNITS_MAX];
	char written[64];

	format_duration((uint64_t)(info->seconds * (double)NS_PER_S), micro, span);
	format_local(info, info->last_written_s, written, sizeof(written));
	if (info->has_ended)
		printf("Span         %s; %s\n", span, reason);
	else
		printf("Span         %s; not ended: still being recorded, or the recorder died "
		       "(last written %s)\n",
		       span, written);
	info_threads_print(info->threads, info->n_threads, info->start_ns, micro);
	format_count((uint64_t)(info->rate_hz + 0.5), asked);
	format_count((uint64_t)(per_second(info) + 0.5), reached);
	printf("Rate         %s%s asked, %s/s reached\n", info->rate_hz > 0 ? asked : "maximum",
	       info->rate_hz > 0 ? "/s" : "", reached);
}

/* "12 (0.05 %): torn 10, depth 2" */
static void print_reasons(const char *label, uint64_t all, uint64_t of, const uint64_t *counts,
			  unsigned n, const char *(*name)(unsigned))
{
	const char *separator = ": ";
	char count[UNITS_MAX];

	format_count(all, count);
	printf("%-12s %s (%.2f %%)", label, count, of ? 100.0 * (double)all / (double)of : 0);
	for (unsigned i = 0; i < n; i++) {
		if (!counts[i])
			continue;
		format_count(counts[i], count);
		printf("%s%s %s", separator, name(i), count);
		separator = ", ";
	}
	putchar('\n');
}

static const char *cut_name(unsigned i)
{
	return cut_reason_name(i);
}

static const char *drop_name(unsigned i)
{
	return drop_reason_name(i);
}

static void print_gaps(const struct info *info)
{
	const char *micro = text_locale_charset() == TEXT_UTF8 ? "\u00b5" : "u";
	const char *separator = ": ";
	char time[UNITS_MAX], lost[UNITS_MAX];

	if (!info->all_gaps.n) {
		puts("Gaps         none");
		return;
	}
	format_duration(info->all_gaps.ns, micro, time);
	format_count(info->all_gaps.lost, lost);
	printf("Gaps         %" PRIu64 ", %s in all, %s transitions known to be lost",
	       info->all_gaps.n, time, lost);
	for (unsigned i = 0; i < N_GAP_REASONS; i++) {
		if (!info->gaps[i].n)
			continue;
		format_duration(info->gaps[i].ns, micro, time);
		printf("%s%s %" PRIu64 " (%s)", separator, gap_reason_name(i), info->gaps[i].n,
		       time);
		separator = ", ";
	}
	putchar('\n');
}

static void print_trimmed(const struct info *info)
{
	const char *micro = text_locale_charset() == TEXT_UTF8 ? "\u00b5" : "u";
	char time[UNITS_MAX], events[UNITS_MAX], blocks[UNITS_MAX], bytes[UNITS_MAX];

	if (!info->trimmed.until_ns)
		return;
	format_duration((uint64_t)(info->complete_from_s * (double)NS_PER_S), micro, time);
	format_count(info->trimmed.n_events, events);
	format_count(info->trimmed.n_blocks, blocks);
	format_bytes(info->trimmed.bytes, bytes);
	printf("Deleted      the first %s are not complete: %s transitions in %s blocks (%s) were "
	       "deleted to save space\n",
	       time, events, blocks, bytes);
}

/* That all are observed goes without saying. */
static void print_provenances(const struct info *info)
{
	const char *separator = "";
	char count[UNITS_MAX];

	if (sum_of(info->n_of, N_PROVENANCES) == info->n_of[PROVENANCE_OBSERVED])
		return;
	printf("Known how    ");
	for (unsigned i = 0; i < N_PROVENANCES; i++) {
		if (!info->n_of[i])
			continue;
		format_count(info->n_of[i], count);
		printf("%s%s %s", separator, provenance_name(i), count);
		separator = ", ";
	}
	putchar('\n');
}

static void print_sections(const struct info *info)
{
	char sections[UNITS_MAX], records[UNITS_MAX], lost[UNITS_MAX];

	if (!info->section_records && !info->section_lost)
		return;
	format_count(info->sections, sections);
	format_count(info->section_records, records);
	format_count(info->section_lost, lost);
	printf("Sections     %s precise ones, %s records from the shim, %s lost\n", sections,
	       records, lost);
}

static void print_counts(const struct info *info)
{
	uint64_t looked = info->snapshots + info->all_dropped;
	char count[UNITS_MAX], blocks[UNITS_MAX];

	format_count(info->snapshots, count);
	printf("Snapshots    %s\n", count);
	print_reasons("Cut", info->all_cut, looked, info->cut, N_CUT_REASONS, cut_name);
	print_reasons("Dropped", info->all_dropped, looked, info->dropped, N_DROP_REASONS,
		      drop_name);
	format_count(info->summary.n_events, count);
	format_count(info->summary.n_blocks, blocks);
	printf("Transitions  %s in %s blocks", count, blocks);
	if (info->summary.n_events)
		printf(", %.2f bytes each on disk",
		       (double)info->bytes / (double)info->summary.n_events);
	putchar('\n');
	print_provenances(info);
	if (info->lines_unknown) {
		format_count(info->lines_unknown, count);
		printf("Unknown      %s frames without a line\n", count);
	}
	if (info->names_truncated) {
		format_count(info->names_truncated, count);
		printf("Shortened    %s names longer than the limit\n", count);
	}
	print_sections(info);
	print_gaps(info);
	print_trimmed(info);
	info_waits_print(&info->waits);
}

/* Of a trace whose recorder is gone that was some time ago. */
static void print_now(struct trace *t, const struct info *info)
{
	int64_t now_s = (int64_t)(clock_realtime_ns() / NS_PER_S);
	bool is_written = now_s - info->last_written_s <= NOW_FRESH_S;

	now_print(t, &info->now, is_written ? "Now          " : "Last seen    ", SIZE_MAX,
		  report_width());
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {0},
	};
	auto_release(trace_close) struct trace *t = NULL;
	struct info info;
	int as_json = 0, option, status, r;

	while ((option = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			as_json = 1;
			break;
		case 'h':
			fputs(cmd_info.help, stdout);
			return EXIT_OK;
		default:
			return command_usage_error(&cmd_info);
		}
	}
	status = report_open(&cmd_info, argc, argv, optind, &t);
	if (status != EXIT_OK)
		return status;
	r = collect(t, &info);
	if (as_json) {
		print_json(t, &info);
	} else {
		print_process(&info);
		print_span(&info);
		print_counts(&info);
		print_now(t, &info);
	}
	info_done(&info);
	return r < 0 ? report_damage(t, r, "what could be read is shown") : EXIT_OK;
}

const struct command cmd_info = {
    .name = "info",
    .summary = "show what was recorded, how, and how well",
    .help = "Usage: trackexec info [--json] TRACE\n"
	    "\n"
	    "Show what was recorded, how, and how well: process, interpreter, span, threads,\n"
	    "snapshots taken, cut and dropped, transitions, gaps, waits. TRACE is a trace's\n"
	    "folder or its trace.db; it may still be being recorded: then it is also shown on\n"
	    "which line each thread is now, and what it waits for.\n"
	    "\n"
	    "Options:\n"
	    "  -j, --json  as one JSON object; times in seconds, rates per second\n"
	    "  -h, --help  show this help\n"
	    "\n"
	    "Words:\n"
	    "  snapshot    one look at one running thread\n"
	    "  cut         more of the stack was there than could be proven\n"
	    "  dropped     nothing of it could be proven\n"
	    "  transition  a difference between two snapshots of a thread\n"
	    "  gap         time in which we know that we did not look\n"
	    "  edges       when threads went on and off a CPU, from the kernel\n"
	    "  wait        a thread was off the CPU for a millisecond or more\n"
	    "  idle        what an event loop does when it has nothing to do\n"
	    "\n"
	    "Examples:\n"
	    "  trackexec info trackexec-app-4242\n"
	    "  trackexec info --json trackexec-app-4242 | jq .dropped\n",
    .run = run,
};

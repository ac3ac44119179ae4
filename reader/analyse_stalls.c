/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One trace is asked for, all those of a run, or all those of all runs. Of several one that can't
 * be read is told, and does not stop the others.
 */
#include "reader/analyse_stalls.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/trace_folder.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/clock_map.h"
#include "reader/report.h"
#include "reader/stall_table.h"
#include "reader/trace.h"
#include "reader/trace_seek.h"
#include "reader/when.h"

DEFINE_CLEANUP(struct trace *, trace_close)
#define auto_clock_map __attribute__((cleanup(clock_map_done)))

/* On the wall clock, in ns since 1970. */
struct interval {
	int64_t since_ns, until_ns;
};

struct job {
	const struct stalls_arguments *a;
	bool is_many; /* traces, not one */
	struct interval interval;
	struct stall_table table;
	struct stall_trace here;
	size_t n_traces; /* looked at */
	size_t n_loops;
	size_t n_without_edges;
	int status; /* the first one that is not EXIT_OK */
};

int stalls_parse_min(const char *value, const char *next, uint64_t *ret_ns)
{
	const char *text = value;
	int r;

	*ret_ns = STALLS_DEFAULT_MIN_NS;
	if (!text) {
		r = next ? parse_duration(next, ret_ns) : -EINVAL;
		if (r == -EINVAL || (r == 0 && access(next, F_OK) == 0)) {
			*ret_ns = STALLS_DEFAULT_MIN_NS;
			return 0;
		}
		text = next;
	} else {
		r = parse_duration(text, ret_ns);
	}
	if (r == 0)
		return value ? 0 : 1;
	log_error("analyse: '%s' is not a duration; --stalls takes one like 100ms, 0.5 or 2min",
		  text);
	return -EINVAL;
}

/* --- messages --- */

static void fail(struct job *j, int status)
{
	if (j->status == EXIT_OK)
		j->status = status;
}

static char *shown(const struct job *j, const char *path)
{
	return text_escape(path, strlen(path), "", j->a->charset);
}

static void say(struct job *j, const char *path, int status, const char *why)
{
	auto_free char *name = shown(j, path);

	log_error("%s: %s", name, why);
	fail(j, status);
}

static int status_of(int r)
{
	return r == -EACCES || r == -EPERM ? EXIT_NOT_ALLOWED : EXIT_NO_TRACE;
}

/* --- the interval --- */

static void say_when(const char *option, const char *text, const char *why)
{
	log_error("analyse: %s '%s': %s", option, text, why);
}

/* By the clock of a trace, monotonic. Returns the exit status. */
static int parse_interval(const struct stalls_arguments *a, const struct when_context *ctx,
			  uint64_t *ret_since_ns, uint64_t *ret_until_ns)
{
	struct when_context from_since = *ctx;
	char why[256];

	*ret_since_ns = 0;
	*ret_until_ns = UINT64_MAX;
	if (a->selection.since &&
	    when_parse(a->selection.since, ctx, ret_since_ns, why, sizeof(why)) < 0) {
		say_when("--since", a->selection.since, why);
		return EXIT_USAGE;
	}
	if (a->selection.since)
		from_since.here_ns = *ret_since_ns;
	if (a->selection.until &&
	    when_parse(a->selection.until, &from_since, ret_until_ns, why, sizeof(why)) < 0) {
		say_when("--until", a->selection.until, why);
		return EXIT_USAGE;
	}
	if (*ret_until_ns > *ret_since_ns)
		return EXIT_OK;
	log_error("analyse: --until '%s' is not after --since",
		  a->selection.until ? a->selection.until : "");
	return EXIT_USAGE;
}

/*
 * Of many traces: on the wall clock of now and here. A time without a date is the last one that
 * there was, so all lies within the day that ends now.
 */
static int parse_wall_interval(const struct stalls_arguments *a, struct interval *ret)
{
	uint64_t now_ns = clock_realtime_ns(), since_ns, until_ns;
	struct trace_anchor anchor = {.monotonic_ns = now_ns, .realtime_ns = (int64_t)now_ns};
	struct clock_map clock = {.anchors = &anchor, .n_anchors = 1};
	time_t now_s = (time_t)(now_ns / NS_PER_S);
	struct when_context ctx = {
	    .clock = &clock,
	    .start_ns = now_ns - UINT64_C(86400) * NS_PER_S,
	    .end_ns = now_ns,
	    .here_ns = now_ns,
	};
	struct tm tm;
	int status;

	if (localtime_r(&now_s, &tm))
		clock.utc_offset_s = tm.tm_gmtoff;
	status = parse_interval(a, &ctx, &since_ns, &until_ns);
	ret->since_ns = since_ns > INT64_MAX ? INT64_MAX : (int64_t)since_ns;
	ret->until_ns = until_ns > INT64_MAX ? INT64_MAX : (int64_t)until_ns;
	return status;
}

/* --- a trace --- */

static int on_stall(void *ctx, const struct stall *stall)
{
	struct job *j = ctx;

	stall_table_add(&j->table, &j->here, stall);
	return 0;
}

static void say_error(struct job *j, int r)
{
	if (r == -EOPNOTSUPP)
		say(j, j->here.path, EXIT_FAILED,
		    "this trace does not know when threads waited, so it has no turns of an event "
		    "loop; it was recorded without edges (see `trackexec record --help`)");
	else if (r == -EBADMSG)
		say(j, j->here.path, EXIT_NO_TRACE, "damaged: what could be read is counted");
	else if (r < 0)
		say(j, j->here.path, status_of(r), strerror(-r));
}

static void search(struct job *j, const struct stalls_wanted *wanted)
{
	struct stalls_totals totals;
	int r = stalls_find(j->here.trace, wanted, on_stall, j, &totals);

	stall_table_end_trace(&j->table);
	j->n_traces++;
	j->n_loops += totals.n_loops;
	if (r == -EOPNOTSUPP)
		j->n_without_edges++;
	if (r == 0 && trace_is_damaged(j->here.trace))
		r = -EBADMSG;
	if (r != -EOPNOTSUPP || !j->is_many)
		say_error(j, r);
}

/* What of a trace is asked for. Returns whether anything is. */
static bool select_part(struct job *j, const struct clock_map *clock, struct stalls_wanted *ret)
{
	struct when_context ctx = {.clock = clock};
	int r = trace_bounds(j->here.trace, &ctx.start_ns, &ctx.end_ns), status;

	*ret = (struct stalls_wanted){.min_ns = j->a->min_ns, .until_ns = UINT64_MAX};
	if (r < 0 || (!j->a->selection.since && !j->a->selection.until))
		return true;
	if (!j->is_many) {
		ctx.here_ns = ctx.start_ns;
		status = parse_interval(j->a, &ctx, &ret->since_ns, &ret->until_ns);
		if (status != EXIT_OK)
			fail(j, status);
		return status == EXIT_OK;
	}
	if (clock_map_real(clock, ctx.end_ns) < j->interval.since_ns ||
	    clock_map_real(clock, ctx.start_ns) >= j->interval.until_ns)
		return false;
	if (clock_map_real(clock, ctx.start_ns) < j->interval.since_ns)
		ret->since_ns = clock_map_monotonic(clock, j->interval.since_ns);
	if (clock_map_real(clock, ctx.end_ns) >= j->interval.until_ns)
		ret->until_ns = clock_map_monotonic(clock, j->interval.until_ns);
	return true;
}

/* Of those threads that are asked for. */
static void search_threads(struct job *j, struct stalls_wanted *wanted)
{
	const struct selection_options threads = {.thread = j->a->selection.thread};
	struct selection selection;
	char why[512] = "";
	int r;

	if (!threads.thread) {
		search(j, wanted);
		return;
	}
	r = selection_resolve(j->here.trace, &threads, &selection, why, sizeof(why));
	if (r < 0) {
		log_error("analyse: %s", why);
		fail(j, r == -EINVAL ? EXIT_USAGE : EXIT_NO_TRACE);
		return;
	}
	wanted->threads = &selection;
	search(j, wanted);
	wanted->threads = NULL;
	selection_done(&selection);
}

static void do_trace(struct job *j, const char *path)
{
	auto_release(trace_close) struct trace *t = NULL;
	auto_clock_map struct clock_map clock = {0};
	auto_free struct trace_thread *threads = NULL;
	struct stalls_wanted wanted;
	char why[512] = "";
	size_t n_threads = 0;
	int r = trace_open(path, &t, why, sizeof(why));

	if (r < 0) {
		say(j, path, status_of(r), why);
		return;
	}
	r = clock_map_init(&clock, t);
	if (r < 0) {
		fail(j, report_damage(t, r, "its clock cannot be read"));
		return;
	}
	trace_threads(t, &threads, &n_threads);
	j->here =
	    (struct stall_trace){.trace = t, .clock = &clock, .path = path, .n_threads = n_threads};
	if (select_part(j, &clock, &wanted))
		search_threads(j, &wanted);
}

/* --- many of them --- */

/* Whether a folder has a trace in it: a starting one has none yet. */
static bool has_trace(int fd)
{
	struct stat st;

	return fstatat(fd, TRACE_FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void do_run(struct job *j, int fd, const char *path)
{
	auto_folder_names struct folder_names names = {0};
	int r = folder_names_read(fd, folder_name_is_trace, TRACES_MAX, &names);

	if (r < 0)
		say(j, path, status_of(r), strerror(-r));
	for (size_t i = 0; i < names.n; i++) {
		auto_close int trace_fd = folder_open(fd, names.names[i]);
		auto_free char *trace = xasprintf("%s/%s", path, names.names[i]);

		if (trace_fd >= 0 && has_trace(trace_fd))
			do_trace(j, trace);
		else if (trace_fd == -EACCES || trace_fd == -EPERM)
			say(j, trace, EXIT_NOT_ALLOWED, strerror(-trace_fd));
	}
}

static void do_root(struct job *j, int fd, const char *path, const struct folder_names *runs)
{
	for (size_t i = 0; i < runs->n; i++) {
		auto_close int run_fd = folder_open(fd, runs->names[i]);
		auto_free char *run = xasprintf("%s/%s", path, runs->names[i]);

		if (run_fd >= 0)
			do_run(j, run_fd, run);
		else if (run_fd == -EACCES || run_fd == -EPERM)
			say(j, run, EXIT_NOT_ALLOWED, strerror(-run_fd));
	}
}

/* Whether a folder holds others that are runs, or that are traces. */
static bool holds_folders(int fd, bool (*accept)(const char *name), bool with_trace,
			  struct folder_names *ret)
{
	if (folder_names_read(fd, accept, RUNS_MAX, ret) < 0)
		return false;
	for (size_t i = 0; i < ret->n; i++) {
		auto_close int inner_fd = folder_open(fd, ret->names[i]);

		if (inner_fd >= 0 && (!with_trace || has_trace(inner_fd)))
			return true;
	}
	return false;
}

/* "/var/log/" and "/" as they can be put before a name. */
static char *without_slashes(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	return xstrndup(path, len);
}

/* Returns the exit status with which nothing was looked at. */
static int do_path(struct job *j)
{
	auto_folder_names struct folder_names runs = {0}, traces = {0};
	auto_free char *path = without_slashes(j->a->path);
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	bool is_root = false;
	int status;

	if (fd >= 0 && !has_trace(fd)) {
		is_root = holds_folders(fd, folder_name_is_run, false, &runs);
		j->is_many = is_root || holds_folders(fd, folder_name_is_trace, true, &traces);
	}
	if (!j->is_many) {
		do_trace(j, path);
		return EXIT_OK;
	}
	if (j->a->selection.thread) {
		log_error("analyse: --thread is about one trace: here are several, whose threads "
			  "are different ones");
		return EXIT_USAGE;
	}
	status = parse_wall_interval(j->a, &j->interval);
	if (status != EXIT_OK)
		return status;
	if (is_root)
		do_root(j, fd, path, &runs);
	else
		do_run(j, fd, path);
	return EXIT_OK;
}

/* --- the answer --- */

static void print_head(const struct job *j)
{
	const struct stall_table *t = &j->table;
	const char *micro = t->charset == TEXT_UTF8 ? "\u00b5" : "u";
	char min[UNITS_MAX], total[UNITS_MAX], worst[UNITS_MAX], count[UNITS_MAX];

	format_duration(j->a->min_ns, micro, min);
	format_duration(t->total_ns, micro, total);
	format_duration(t->worst_ns, micro, worst);
	format_count(t->n, count);
	if (j->is_many)
		printf("%zu trace%s: ", j->n_traces, j->n_traces == 1 ? "" : "s");
	if (t->n)
		printf("%s turn%s of an event loop took longer than %s, %s in all; the longest "
		       "%s\n",
		       count, t->n == 1 ? "" : "s", min, total, worst);
	else
		printf("no turn took longer than %s\n", min);
	if (t->n_unfinished)
		printf("%" PRIu64 " of them went on when observation ended, and took so long at "
		       "least\n",
		       t->n_unfinished);
	if (!j->n_loops && j->n_traces > j->n_without_edges)
		puts("No event loop was seen: no thread waited for several descriptors at once.");
	if (j->n_without_edges)
		printf("Not known for %zu trace%s recorded without edges.\n", j->n_without_edges,
		       j->n_without_edges == 1 ? "" : "s");
}

static void print_text(const struct job *j)
{
	const struct stall_table *t = &j->table;

	print_head(j);
	if (!t->n_groups)
		return;
	putchar('\n');
	stall_table_print(t, j->a->n_items, j->a->width);
	if (t->n_groups > j->a->n_items)
		printf("... and %zu more lines (--num-items)\n", t->n_groups - j->a->n_items);
}

static void print_json(const struct job *j)
{
	const struct stall_table *t = &j->table;
	size_t n = t->n_groups < j->a->n_items ? t->n_groups : j->a->n_items;
	struct json_writer w;

	json_begin(&w, stdout);
	json_string(&w, "path", j->a->path);
	json_count(&w, "min_ns", j->a->min_ns);
	json_count(&w, "traces", j->n_traces);
	json_count(&w, "traces_without_edges", j->n_without_edges);
	json_count(&w, "event_loops", j->n_loops);
	json_count(&w, "turns", t->n);
	json_count(&w, "unfinished", t->n_unfinished);
	json_count(&w, "total_ns", t->total_ns);
	json_count(&w, "worst_ns", t->worst_ns);
	stall_table_json(t, n, &w);
	json_count(&w, "lines_not_shown", t->n_groups - n);
	json_end(&w);
}

int analyse_stalls(const struct stalls_arguments *a)
{
	struct job j = {.a = a, .table.charset = a->as_json ? TEXT_UTF8 : a->charset};
	int status = do_path(&j);

	if (status == EXIT_OK && (j.is_many || (j.n_traces && !j.n_without_edges))) {
		stall_table_sort(&j.table);
		if (a->as_json)
			print_json(&j);
		else
			print_text(&j);
	}
	stall_table_done(&j.table);
	return status != EXIT_OK ? status : j.status;
}

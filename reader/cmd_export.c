/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec export: a trace in the formats of other tools. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/text.h"
#include "reader/export.h"
#include "reader/output_file.h"
#include "reader/report.h"
#include "reader/trace.h"

DEFINE_CLEANUP(struct trace *, trace_close)
DEFINE_CLEANUP(struct output_file *, output_file_free)

static const struct export_format *const formats[] = {
    &export_collapsed, &export_speedscope, &export_chrome,
    &export_jsonl,     &export_pprof,	   &export_callgrind,
};

#define N_FORMATS (sizeof(formats) / sizeof(formats[0]))

struct request {
	const struct export_format *format;
	const char *output;
	struct selection_options selected;
};

/* --- formats by name --- */

static const struct export_format *find_format(const char *name)
{
	for (size_t i = 0; i < N_FORMATS; i++) {
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	}
	return NULL;
}

/* "collapsed, speedscope, jsonl"; the caller frees. */
static char *format_names(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (size_t i = 0; i < N_FORMATS; i++)
		fprintf(f, "%s%s", i ? ", " : "", formats[i]->name);
	fclose(f);
	return text;
}

static int refuse_format(const char *name)
{
	auto_free char *names = format_names();
	auto_free char *text =
	    name ? text_escape(name, strlen(name), "", text_locale_charset()) : NULL;

	if (text)
		log_error("export: unknown format '%s'; there are: %s", text, names);
	else
		log_error("export: which format? Give --format with one of: %s", names);
	return command_usage_error(&cmd_export);
}

static void print_help(void)
{
	fputs(cmd_export.help, stdout);
	puts("\nFormats:");
	for (size_t i = 0; i < N_FORMATS; i++) {
		printf("  %-11s", formats[i]->name);
		for (const char *c = formats[i]->help; *c; c++)
			printf(*c == '\n' ? "\n             " : "%c", *c);
		putchar('\n');
	}
}

/* --- exporting --- */

int export_check(FILE *out)
{
	if (!ferror(out))
		return 0;
	return errno ? -errno : -EIO;
}

/* What went wrong with the output while a format was written that returned r. */
static int write_error(FILE *out, int r)
{
	if (!ferror(out))
		return 0;
	return r < 0 && r != -EBADMSG ? r : export_check(out);
}

/* Whoever reads standard output has seen enough: that is no error. */
static int end_quietly(void)
{
	__fpurge(stdout);
	clearerr(stdout);
	return EXIT_OK;
}

static int report_unwritten(const char *output, int r)
{
	auto_free char *path = text_escape(output, strlen(output), "", text_locale_charset());
	int is_stdout = strcmp(output, "-") == 0;

	if (is_stdout && r == -EPIPE)
		return end_quietly();
	if (is_stdout)
		end_quietly();
	log_error("cannot write %s%s%s: %s", is_stdout ? "to standard output" : "'",
		  is_stdout ? "" : path, is_stdout ? "" : "'", strerror(-r));
	return EXIT_FAILED;
}

static int report_lost(const struct trace *t, int r, const struct walk_totals *totals)
{
	char lost[128];

	if (!totals->n_lost_blocks)
		return report_damage(t, r, "exported what could be read");
	snprintf(lost, sizeof(lost),
		 "exported what could be read; %" PRIu64 " blocks with %" PRIu64
		 " transitions are lost",
		 totals->n_lost_blocks, totals->n_lost_events);
	return report_damage(t, r, lost);
}

static int export_selected(struct trace *t, const struct selection *s, const struct request *q)
{
	auto_release(output_file_free) struct output_file *file = NULL;
	struct walk_totals totals = {0};
	int r = output_file_open(q->output, &file), r_write;

	if (r < 0)
		return report_unwritten(q->output, r);
	r = q->format->write(t, s, output_file_stream(file), &totals);
	r_write = write_error(output_file_stream(file), r);
	if (r_write == 0 && (r == 0 || r == -EBADMSG))
		r_write = output_file_commit(file);
	if (r_write < 0)
		return report_unwritten(q->output, r_write);
	if (r == 0 && trace_is_damaged(t))
		r = -EBADMSG;
	return r == 0 ? EXIT_OK : report_lost(t, r, &totals);
}

static int export_trace(struct trace *t, const struct request *q)
{
	auto_free char *path =
	    text_escape(trace_path(t), strlen(trace_path(t)), "", text_locale_charset());
	struct selection s;
	char why[512];
	int status, r = selection_resolve(t, &q->selected, &s, why, sizeof(why));

	if (r == -EINVAL) {
		log_error("export: %s: %s", path, why);
		return EXIT_USAGE;
	}
	if (r < 0)
		return report_damage(t, r, "nothing was exported");
	status = export_selected(t, &s, q);
	selection_done(&s);
	return status;
}

/* --- the command line --- */

enum { OPTION_SINCE = 256, OPTION_UNTIL, OPTION_THREAD };

/* Returns -1 to go on, or an exit status. */
static int take_option(int option, struct request *q)
{
	switch (option) {
	case 'f':
		q->format = find_format(optarg);
		return q->format ? -1 : refuse_format(optarg);
	case 'o':
		q->output = optarg;
		return -1;
	case OPTION_SINCE:
		q->selected.since = optarg;
		return -1;
	case OPTION_UNTIL:
		q->selected.until = optarg;
		return -1;
	case OPTION_THREAD:
		q->selected.thread = optarg;
		return -1;
	case 'h':
		print_help();
		return EXIT_OK;
	default:
		return command_usage_error(&cmd_export);
	}
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
	    {"format", required_argument, NULL, 'f'},
	    {"output", required_argument, NULL, 'o'},
	    {"since", required_argument, NULL, OPTION_SINCE},
	    {"until", required_argument, NULL, OPTION_UNTIL},
	    {"thread", required_argument, NULL, OPTION_THREAD},
	    {"help", no_argument, NULL, 'h'},
	    {0},
	};
	auto_release(trace_close) struct trace *t = NULL;
	struct request q = {.output = "-"};
	int option, status;

	while ((option = getopt_long(argc, argv, "f:o:h", options, NULL)) != -1) {
		status = take_option(option, &q);
		if (status >= 0)
			return status;
	}
	if (!q.format)
		return refuse_format(NULL);
	status = report_open(&cmd_export, argc, argv, optind, &t);
	if (status != EXIT_OK)
		return status;
	/* A reader that leaves is seen when writing. */
	signal(SIGPIPE, SIG_IGN);
	return export_trace(t, &q);
}

const struct command cmd_export = {
    .name = "export",
    .summary = "convert a trace for other tools",
    .help = "Usage: trackexec export --format FORMAT [OPTIONS] [-o FILE] TRACE\n"
	    "\n"
	    "Convert a trace for other tools. TRACE is a trace's folder or its trace.db;\n"
	    "it may still be being recorded.\n"
	    "\n"
	    "Options:\n"
	    "  -f, --format FORMAT     one of the formats below\n"
	    "  -o, --output FILE       write to FILE, not to standard output (-); it is there\n"
	    "                          when it is complete\n" SELECTION_HELP
	    "  -h, --help              show this help\n"
	    "\n"
	    "Examples:\n"
	    "  trackexec export -f collapsed trackexec-app-4242 | flamegraph.pl > app.svg\n"
	    "  trackexec export -f collapsed --since 12:00 --until +2s -o app.collapsed TRACE\n",
    .run = run,
};

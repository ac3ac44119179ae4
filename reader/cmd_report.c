/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec report: a trace as one page for a browser. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/text.h"
#include "reader/html_data.h"
#include "reader/html_page.h"
#include "reader/html_profile.h"
#include "reader/output_file.h"
#include "reader/report.h"
#include "reader/selection.h"
#include "reader/trace.h"

DEFINE_CLEANUP(struct trace *, trace_close)
DEFINE_CLEANUP(struct output_file *, output_file_free)

/* A page is smaller than that. */
#define MAX_PAGE_BYTES ((size_t)10 << 20)
/* Text of sources, before it is packed to about a quarter. */
#define MAX_SOURCE_BYTES ((size_t)12 << 20)
/* Of a page that is too large so many in ten of its cells are kept, until it is not. */
#define KEEP_IN_TEN 7

struct arguments {
	struct selection_options selection;
	const char *output;
};

/* Returns 0 when the subcommand goes on; otherwise 1, with its exit status. */
static int parse(int argc, char **argv, struct arguments *args, int *ret_status)
{
	static const struct option options[] = {
	    {"output", required_argument, NULL, 'o'}, {"since", required_argument, NULL, 's'},
	    {"until", required_argument, NULL, 'u'},  {"thread", required_argument, NULL, 't'},
	    {"help", no_argument, NULL, 'h'},	      {0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		switch (option) {
		case 'o':
			args->output = optarg;
			break;
		case 's':
			args->selection.since = optarg;
			break;
		case 'u':
			args->selection.until = optarg;
			break;
		case 't':
			args->selection.thread = optarg;
			break;
		case 'h':
			fputs(cmd_report.help, stdout);
			*ret_status = EXIT_OK;
			return 1;
		default:
			*ret_status = command_usage_error(&cmd_report);
			return 1;
		}
	}
	if (args->output || !isatty(STDOUT_FILENO))
		return 0;
	log_error("report: a terminal can't show the page: give -o FILE, as in -o report.html");
	*ret_status = command_usage_error(&cmd_report);
	return 1;
}

static bool is_standard_output(const char *output)
{
	return !output || strcmp(output, "-") == 0;
}

static int cannot_write(const char *output, int r)
{
	auto_free char *escaped =
	    output ? text_escape(output, strlen(output), "", text_locale_charset()) : NULL;

	/* Whoever reads it may have seen enough. */
	if (is_standard_output(output) && r == -EPIPE)
		return EXIT_OK;
	if (is_standard_output(output))
		log_error("report: cannot write to standard output: %s", strerror(-r));
	else
		log_error("report: cannot write '%s': %s", escaped, strerror(-r));
	return r == -EACCES || r == -EPERM || r == -EROFS ? EXIT_NOT_ALLOWED : EXIT_FAILED;
}

/* As much as fits into a page. The caller frees. */
static char *make_data(struct trace *t, const struct selection *s, struct html_profile *p)
{
	size_t room = MAX_PAGE_BYTES - html_page_overhead(), sources = MAX_SOURCE_BYTES;

	for (;;) {
		char *data = html_data(t, s, p, sources);
		size_t max_cells = p->n_cells / 10 * KEEP_IN_TEN;

		if (strlen(data) < room || p->n_cells == 0)
			return data;
		free(data);
		sources /= 2;
		html_profile_reduce(p, max_cells, profile_default_limits.max_nodes,
				    profile_default_limits.min_slices);
	}
}

/* Returns the exit status. */
static int write_page(const char *output, const char *data)
{
	auto_release(output_file_free) struct output_file *file = NULL;
	int r = output_file_open(output ? output : "-", &file);

	if (r == 0) {
		errno = 0;
		html_page_write(output_file_stream(file), data);
		r = output_file_commit(file);
	}
	return r < 0 ? cannot_write(output, r) : EXIT_OK;
}

/* Returns the exit status after all was written; says what is damaged. */
static int finish(const struct trace *t, const struct html_profile *p, int r)
{
	char lost[128] = "the report has what could be read";

	if (r == 0 && trace_is_damaged(t))
		r = -EBADMSG;
	if (r == 0)
		return EXIT_OK;
	if (p->totals.n_lost_blocks)
		snprintf(lost, sizeof(lost),
			 "the report has what could be read; %" PRIu64 " blocks with %" PRIu64
			 " transitions are lost",
			 p->totals.n_lost_blocks, p->totals.n_lost_events);
	return report_damage(t, r, lost);
}

static int report(struct trace *t, const struct selection *s, const char *output)
{
	auto_release(html_profile_free) struct html_profile *p = NULL;
	auto_free char *data = NULL;
	int r = html_profile_new(t, s, &profile_default_limits, &p), status;

	if (!p)
		return report_damage(t, r, "no report was written");
	data = make_data(t, s, p);
	status = write_page(output, data);
	return status == EXIT_OK ? finish(t, p, r) : status;
}

static int run(int argc, char **argv)
{
	auto_release(trace_close) struct trace *t = NULL;
	struct arguments args = {0};
	struct selection selection = {0};
	char why[512] = "";
	int status, r;

	if (parse(argc, argv, &args, &status))
		return status;
	status = report_open(&cmd_report, argc, argv, optind, &t);
	if (status != EXIT_OK)
		return status;
	r = selection_resolve(t, &args.selection, &selection, why, sizeof(why));
	if (r == -EINVAL) {
		log_error("report: %s", why);
		return command_usage_error(&cmd_report);
	}
	if (r < 0)
		return report_damage(t, r, "no report was written");
	status = report(t, &selection, args.output);
	selection_done(&selection);
	return status;
}

const struct command cmd_report = {
    .name = "report",
    .summary = "make one HTML file of a trace, to look at in a browser",
    .help = "Usage: trackexec report [OPTIONS] TRACE -o FILE\n"
	    "\n"
	    "Make one HTML file of a trace: a timeline of its threads, a flame graph, the\n"
	    "hottest lines and the longest waits with the source, and the call tree; all of\n"
	    "it for the whole time, or the part of it that is selected on the page. The file\n"
	    "needs no network and nothing beside it. TRACE is a trace's folder or its\n"
	    "trace.db; it may still be being recorded.\n"
	    "\n"
	    "The source of the files that appear is in the report: keep it to those who may\n"
	    "read that.\n"
	    "\n"
	    "Options:\n"
	    "  -o, --output FILE       write to FILE; - is standard output, the default when\n"
	    "                          that is no terminal\n" SELECTION_HELP
	    "  -h, --help              show this help\n"
	    "\n"
	    "Examples:\n"
	    "  trackexec report trackexec-app-4242 -o report.html\n"
	    "  trackexec report trackexec-app-4242 --since 12:00 --until +5min -o noon.html\n"
	    "  trackexec report trackexec-app-4242 | ssh me@desk 'cat > report.html'\n",
    .run = run,
};

/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec list: the runs and traces on disk. */
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
#include "common/log.h"
#include "common/text.h"
#include "common/trace_folder.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/trace_list.h"
#include "reader/trace_table.h"

static char *shown(const char *text)
{
	return text ? text_escape(text, strlen(text), "", text_locale_charset()) : xstrdup("-");
}

static void print_json(const char *root, const struct trace_list *list)
{
	struct json_writer j;

	json_begin(&j, stdout);
	json_string(&j, "root", root);
	json_string(&j, "latest", list->latest);
	json_count(&j, "runs_unreadable", list->n_unreadable);
	json_array(&j, "traces");
	trace_table_json(&j, list->traces, list->n);
	json_array_end(&j);
	json_end(&j);
}

static int explain_root(const char *root, int r)
{
	auto_free char *path = shown(root);

	if (r == -ENOENT) {
		log_error(
		    "%s does not exist: no traces. The collector keeps them there and records "
		    "as soon as it exists: start trackexec-collector, and `mkdir -p %s` as "
		    "root; or give another folder with --root",
		    path, path);
		return EXIT_NO_TRACE;
	}
	if (r == -EACCES || r == -EPERM) {
		log_error("cannot read %s: %s; try as root, or as a member of its group (adm)",
			  path, strerror(-r));
		return EXIT_NOT_ALLOWED;
	}
	log_error("cannot read %s: %s; give the folder of all runs with --root", path,
		  strerror(-r));
	return EXIT_NO_TRACE;
}

static int list(const char *root, int as_json)
{
	auto_free char *path = shown(root);
	struct trace_list all;
	int r = trace_list_read(root, &all), status = EXIT_OK;

	if (r < 0)
		return explain_root(root, r);
	if (as_json)
		print_json(root, &all);
	else if (all.n)
		trace_table_print(all.traces, all.n);
	else if (!all.n_unreadable)
		printf("no traces in %s\n", path);
	if (all.n_unreadable) {
		/* After what was printed, also when both go to one place. */
		fflush(stdout);
		log_error("cannot read %zu run%s in %s: %s; try as root, or as a member of the "
			  "folder's group (adm)",
			  all.n_unreadable, all.n_unreadable == 1 ? "" : "s", path,
			  strerror(-all.unreadable_error));
		status = EXIT_NOT_ALLOWED;
	}
	trace_list_done(&all);
	return status;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
	    {"root", required_argument, NULL, 'r'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {0},
	};
	const char *root = TRACE_ROOT_DEFAULT;
	int as_json = 0, option;

	while ((option = getopt_long(argc, argv, "r:jh", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			root = optarg;
			break;
		case 'j':
			as_json = 1;
			break;
		case 'h':
			fputs(cmd_list.help, stdout);
			return EXIT_OK;
		default:
			return command_usage_error(&cmd_list);
		}
	}
	if (optind < argc) {
		log_error("list: '%s' is one argument too many; a folder is given with --root",
			  argv[optind]);
		return command_usage_error(&cmd_list);
	}
	return list(root, as_json);
}

const struct command cmd_list = {
    .name = "list",
    .summary = "list the runs and traces of the collector",
    .help = "Usage: trackexec list [--root DIR] [--json]\n"
	    "\n"
	    "List the runs and traces of trackexec-collector that are on disk, oldest first.\n"
	    "The collector need not run.\n"
	    "\n"
	    "Options:\n"
	    "  -r, --root DIR  folder of all runs; default " TRACE_ROOT_DEFAULT "\n"
	    "  -j, --json      as one JSON object; times in seconds\n"
	    "  -h, --help      show this help\n"
	    "\n"
	    "States:\n"
	    "  recording   goes on\n"
	    "  ended       and why\n"
	    "  killed      its recorder was killed; it can be read up to its last block\n"
	    "  empty       a folder in which nothing was recorded\n"
	    "  damaged     something is missing, or it is no trace\n"
	    "  newer       was written by a newer trackexec\n"
	    "  unreadable  and why\n"
	    "\n"
	    "Examples:\n"
	    "  trackexec list\n"
	    "  trackexec list --json | jq -r '.traces[] | select(.state == \"killed\") | .run'\n"
	    "  trackexec analyse " TRACE_ROOT_DEFAULT "/latest/server-main\n",
    .run = run,
};

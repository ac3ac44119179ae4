/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec status: asks the collector how it is doing; without it, what is on disk is shown. */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/control_protocol.h"
#include "common/json.h"
#include "common/log.h"
#include "common/text.h"
#include "common/trace_folder.h"
#include "common/xalloc.h"
#include "reader/json_value.h"
#include "reader/report.h"
#include "reader/status_client.h"
#include "reader/status_now.h"
#include "reader/status_print.h"
#include "reader/trace_list.h"
#include "reader/trace_table.h"

struct asking {
	const char *socket;
	const char *root; /* shown when the collector does not run */
	bool as_json;
};

static char *shown(const char *text)
{
	return text_escape(text, strlen(text), "", text_locale_charset());
}

/* --- it answers --- */

static int explain_refusal(const char *error)
{
	auto_free char *text = shown(error);

	log_error("the collector cannot answer: %s; is it of another version than this trackexec "
		  "(" TRACKEXEC_VERSION ")?",
		  text);
	return EXIT_FAILED;
}

static int print_answer(const struct asking *a, const char *text, size_t len)
{
	auto_json_value struct json_value *status = NULL;
	auto_free char *socket = shown(a->socket);
	const char *error;

	if (json_value_parse(text, len, &status) < 0 || !json_value_is_object(status)) {
		log_error("%s: the answer of the collector is not complete: it may have just "
			  "ended; try again",
			  socket);
		return EXIT_FAILED;
	}
	error = json_value_text(status, "error");
	if (error)
		return explain_refusal(error);
	if (a->as_json)
		status_now_json(status, text, len);
	else
		status_print(status, (int64_t)(clock_realtime_ns() / NS_PER_S), report_width());
	return EXIT_OK;
}

/* --- it does not run --- */

/* They are in the order of their runs. */
static size_t find_newest_run(const struct trace_list *list)
{
	size_t first = list->n;

	while (first > 0 && strcmp(list->traces[first - 1].run, list->traces[list->n - 1].run) == 0)
		first--;
	return first;
}

static void print_json_without(const struct asking *a, const struct trace_list *list, size_t first)
{
	struct json_writer j;

	json_begin(&j, stdout);
	json_bool(&j, "running", false);
	json_object(&j, "root");
	json_string(&j, "path", a->root);
	json_object_end(&j);
	json_array(&j, "traces");
	trace_table_json(&j, list->traces + first, list->n - first);
	json_array_end(&j);
	json_end(&j);
}

static void print_without(const struct asking *a)
{
	struct trace_list list = {0};
	bool is_read = trace_list_read(a->root, &list) == 0;
	size_t first = is_read ? find_newest_run(&list) : 0;

	if (a->as_json) {
		print_json_without(a, &list, first);
	} else if (first < list.n) {
		puts("The newest run on disk:");
		trace_table_print(list.traces + first, list.n - first);
	}
	if (is_read)
		trace_list_done(&list);
}

static int explain_absence(const struct asking *a)
{
	auto_free char *socket = shown(a->socket);

	print_without(a);
	/* After what was printed, also when both go to one place. */
	fflush(stdout);
	log_error("the collector does not run: nobody answers at %s; start it as root with "
		  "`systemctl start trackexec-collector`. `trackexec list` shows all that is on "
		  "disk",
		  socket);
	return EXIT_FAILED;
}

static int explain_denial(const char *path)
{
	auto_free char *socket = shown(path);
	const struct group *group = NULL;
	struct stat st;

	if (stat(path, &st) == 0)
		group = getgrgid(st.st_gid);
	if (group)
		log_error(
		    "not permitted to ask the collector at %s: try as root, or as a member of "
		    "the group %s",
		    socket, group->gr_name);
	else
		log_error(
		    "not permitted to ask the collector at %s: try as root, or as a member of "
		    "the group that may read its traces",
		    socket);
	return EXIT_NOT_ALLOWED;
}

static int explain(const struct asking *a, int r)
{
	auto_free char *socket = shown(a->socket);

	switch (r) {
	case -ENOENT:
	case -ECONNREFUSED:
		return explain_absence(a);
	case -EACCES:
	case -EPERM:
		return explain_denial(a->socket);
	case -ETIMEDOUT:
		log_error("the collector at %s does not answer in time; "
			  "`journalctl -u trackexec-collector` may say why",
			  socket);
		return EXIT_FAILED;
	default:
		log_error("cannot ask the collector at %s: %s", socket, strerror(-r));
		return EXIT_FAILED;
	}
}

static int ask(const struct asking *a)
{
	auto_free char *text = NULL;
	size_t len = 0;
	int r = status_client_ask(a->socket, CONTROL_REQUEST_STATUS, &text, &len);

	return r < 0 ? explain(a, r) : print_answer(a, text, len);
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
	    {"socket", required_argument, NULL, 's'},
	    {"root", required_argument, NULL, 'r'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {0},
	};
	struct asking a = {.socket = CONTROL_SOCKET_DEFAULT, .root = TRACE_ROOT_DEFAULT};
	int option;

	while ((option = getopt_long(argc, argv, "s:r:jh", options, NULL)) != -1) {
		switch (option) {
		case 's':
			a.socket = optarg;
			break;
		case 'r':
			a.root = optarg;
			break;
		case 'j':
			a.as_json = true;
			break;
		case 'h':
			fputs(cmd_status.help, stdout);
			return EXIT_OK;
		default:
			return command_usage_error(&cmd_status);
		}
	}
	if (optind < argc) {
		log_error("status: '%s' is one argument too many", argv[optind]);
		return command_usage_error(&cmd_status);
	}
	return ask(&a);
}

const struct command cmd_status = {
    .name = "status",
    .summary = "show what the collector is doing",
    .help = "Usage: trackexec status [--json] [--socket PATH] [--root DIR]\n"
	    "\n"
	    "Ask trackexec-collector what it records, how fast, and at which cost; and which\n"
	    "processes it does not follow although they look as if it should, and why.\n"
	    "Whoever may read the traces also sees on which line each thread is now, and what\n"
	    "it waits for.\n"
	    "If it does not run, the newest run on disk is shown; the exit status is then 1.\n"
	    "\n"
	    "Options:\n"
	    "  -j, --json         as one JSON object\n"
	    "  -s, --socket PATH  where it answers; default " CONTROL_SOCKET_DEFAULT "\n"
	    "  -r, --root DIR     folder of all runs, when it does not run;\n"
	    "                     default " TRACE_ROOT_DEFAULT "\n"
	    "  -h, --help         show this help\n"
	    "\n"
	    "Columns:\n"
	    "  NAME       name of the trace; SINCE: for how long it has been recorded\n"
	    "  RATE       snapshots per second: asked for/allowed by the CPU budget/reached\n"
	    "             in the last seconds; only a running thread is looked at\n"
	    "  SNAPSHOTS  taken so far; DROPPED: of these, not published\n"
	    "  BYTES      on disk\n"
	    "  STATE      starting, recording, waiting (for the next try) or ending\n"
	    "\n"
	    "Examples:\n"
	    "  trackexec status\n"
	    "  trackexec status --json | jq '.sessions[] | {name, rate_hz, dropped}'\n",
    .run = run,
};

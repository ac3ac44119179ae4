/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec replay: a debugger on what was recorded. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/replay.h"
#include "reader/replay_batch.h"
#include "reader/replay_screen.h"
#include "reader/report.h"
#include "reader/trace.h"
#include "reader/wait_states.h"

DEFINE_CLEANUP(struct trace *, trace_close)

struct options {
	bool batch, as_json, utc, follow;
	const char *at, *thread; /* NULL: not given */
};

static int do_first(struct replay *r, const char *command, const char *args)
{
	auto_free char *line = xasprintf("%s %s", command, args);
	auto_answer struct answer a = {0};

	replay_command(r, line, &a);
	if (a.kind != ANSWER_ERROR)
		return EXIT_OK;
	log_error("replay: %s", a.note);
	return EXIT_USAGE;
}

static int start(struct trace *t, const struct options *o)
{
	const struct thread_states states = wait_states(t);
	auto_release(replay_free) struct replay *r = NULL;
	char why[256];
	int e = replay_new(t, &r, why, sizeof(why)), status = EXIT_OK;

	if (e < 0)
		return report_damage(t, e, "it cannot be replayed");
	replay_set_thread_states(r, &states);
	if (o->utc)
		replay_use_utc(r);
	if (o->thread)
		status = do_first(r, "thread", o->thread);
	if (status == EXIT_OK && o->at)
		status = do_first(r, "jump", o->at);
	if (status != EXIT_OK)
		return status;
	if (o->batch)
		return replay_batch(r, stdin, stdout, o->as_json) ? EXIT_OK : EXIT_FAILED;
	if (replay_screen(r, o->follow) == 0)
		return EXIT_OK;
	log_error("replay: this terminal (TERM=%s) cannot show it; --batch needs none",
		  getenv("TERM") ? getenv("TERM") : "");
	return EXIT_FAILED;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
	    {"batch", no_argument, NULL, 'b'},	  {"json", no_argument, NULL, 'j'},
	    {"at", required_argument, NULL, 'a'}, {"thread", required_argument, NULL, 't'},
	    {"follow", no_argument, NULL, 'f'},	  {"utc", no_argument, NULL, 'u'},
	    {"help", no_argument, NULL, 'h'},	  {0},
	};
	auto_release(trace_close) struct trace *t = NULL;
	struct options o = {0};
	int option, status;

	while ((option = getopt_long(argc, argv, "bja:t:fuh", options, NULL)) != -1) {
		switch (option) {
		case 'b':
			o.batch = true;
			break;
		case 'j':
			o.as_json = o.batch = true;
			break;
		case 'a':
			o.at = optarg;
			break;
		case 't':
			o.thread = optarg;
			break;
		case 'f':
			o.follow = true;
			break;
		case 'u':
			o.utc = true;
			break;
		case 'h':
			fputs(cmd_replay.help, stdout);
			return EXIT_OK;
		default:
			return command_usage_error(&cmd_replay);
		}
	}
	if (!o.batch && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
		log_error(
		    "replay: this is no terminal; --batch reads commands from standard input");
		return command_usage_error(&cmd_replay);
	}
	status = report_open(&cmd_replay, argc, argv, optind, &t);
	if (status != EXIT_OK)
		return status;
	return start(t, &o);
}

const struct command cmd_replay = {
    .name = "replay",
    .summary = "step through what was recorded, forwards and backwards",
    .help = "Usage: trackexec replay [OPTIONS] TRACE\n"
	    "       trackexec replay --batch [--json] [OPTIONS] TRACE < COMMANDS\n"
	    "\n"
	    "A debugger on the past: jump to a time, step forwards and backwards, set\n"
	    "breakpoints, look at the stack. TRACE is a trace's folder or its trace.db; it\n"
	    "may still be being recorded. The key h lists all keys and commands.\n"
	    "\n"
	    "Options:\n"
	    "  -a, --at TIME   begin at that time: 12:00:16.55, 2024-01-27 12:00:16, 50%,\n"
	    "                  end, or as printed in a log (default: the start)\n"
	    "  -t, --thread N  follow only this thread (default: all, in the order of time)\n"
	    "  -f, --follow    begin at the end, and stay there while the trace grows\n"
	    "  -u, --utc       show and read times in UTC, not in the zone of the machine\n"
	    "                  that recorded\n"
	    "  -b, --batch     read commands from standard input, one a line, and print a\n"
	    "                  line after each:\n"
	    "                    TIME FILE:LINE FUNCTION depth=N thread=N provenance=WORD\n"
	    "                  and flags; or \"error: \" and why. The status is 0 when all\n"
	    "                  commands succeeded, else 1\n"
	    "  -j, --json      with --batch: one JSON object a line\n"
	    "  -h, --help      show this help\n"
	    "\n"
	    "Examples:\n"
	    "  trackexec replay trackexec-app-4242\n"
	    "  trackexec replay --at 14:03:20 /var/log/walt/trackexec/latest/server-main\n"
	    "  printf 'b app.py:17\\nc\\nbt\\n' | trackexec replay --batch trackexec-app-4242\n",
    .run = run,
};

/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec analyse: where the time went, line by line, by function, or wait by wait. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/text.h"
#include "common/units.h"
#include "reader/analyse.h"
#include "reader/analyse_diff.h"
#include "reader/analyse_stalls.h"
#include "reader/pager.h"
#include "reader/report.h"
#include "reader/selection.h"
#include "reader/trace_waits.h"

DEFINE_CLEANUP(struct trace *, trace_close)

#define DEFAULT_ITEMS 20

enum colour_choice { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };

struct arguments {
	struct analysis analysis;
	struct selection_options selection;
	const char *file, *function; /* NULL: any */
	uint64_t file_id;	     /* 0: no file */
	enum colour_choice colour;
	bool waits, stalls, diff;
	uint64_t stalls_min_ns;
	bool no_pager;
};

/* Long options without a letter. */
enum {
	OPTION_BY = 256,
	OPTION_COLOUR,
	OPTION_DIFF,
	OPTION_FILE,
	OPTION_FILE_ID,
	OPTION_FORMAT,
	OPTION_FUNCTION,
	OPTION_NO_PAGER,
	OPTION_SINCE,
	OPTION_STALLS,
	OPTION_THREAD,
	OPTION_UNTIL,
};

static const struct option options[] = {
    {"num-items", required_argument, NULL, 'l'},
    {"limit", required_argument, NULL, 'l'},
    {"sort-column", required_argument, NULL, 's'},
    {"by", required_argument, NULL, OPTION_BY},
    {"functions", no_argument, NULL, 'f'},
    {"percentiles", no_argument, NULL, 'p'},
    {"file-id", required_argument, NULL, OPTION_FILE_ID},
    {"waits", no_argument, NULL, 'w'},
    {"stalls", optional_argument, NULL, OPTION_STALLS},
    {"diff", no_argument, NULL, OPTION_DIFF},
    {"idle", no_argument, NULL, 'i'},
    {"native", no_argument, NULL, 'n'},
    {"since", required_argument, NULL, OPTION_SINCE},
    {"until", required_argument, NULL, OPTION_UNTIL},
    {"thread", required_argument, NULL, OPTION_THREAD},
    {"file", required_argument, NULL, OPTION_FILE},
    {"function", required_argument, NULL, OPTION_FUNCTION},
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"json", no_argument, NULL, 'j'},
    {"color", required_argument, NULL, OPTION_COLOUR},
    {"colour", required_argument, NULL, OPTION_COLOUR},
    {"no-pager", no_argument, NULL, OPTION_NO_PAGER},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/*
 * One of a few words.
 * @words  NULL behind the last one
 * Returns its number, or -1 having said which there are.
 */
static int parse_word(const char *option, const char *text, const char *const *words)
{
	auto_free char *safe = text_escape(text, strlen(text), "", text_locale_charset());

	for (int i = 0; words[i]; i++) {
		if (strcmp(text, words[i]) == 0)
			return i;
	}
	log_error("analyse: '%s' is not what --%s can be: %s%s%s%s%s", safe, option, words[0],
		  words[2] ? ", " : " or ", words[1], words[2] ? " or " : "",
		  words[2] ? words[2] : "");
	return -1;
}

/* Returns 0, or -1 having said what is wrong. */
static int parse_valued(int option, struct arguments *args)
{
	static const char *const rows[] = {"line", "function", NULL};
	static const char *const formats[] = {
	    [ANALYSIS_TEXT] = "text", [ANALYSIS_JSON] = "json", [ANALYSIS_CSV] = "csv", NULL};
	static const char *const colours[] = {
	    [COLOUR_AUTO] = "auto", [COLOUR_ALWAYS] = "always", [COLOUR_NEVER] = "never", NULL};
	uint64_t n_items;
	int word = 0;

	switch (option) {
	case 'l':
		if (parse_count(optarg, INT32_MAX, &n_items) == 0) {
			args->analysis.n_items = (size_t)n_items;
			return 0;
		}
		log_error("analyse: '%s' is not a number of lines (1 or more)", optarg);
		return -1;
	case OPTION_FILE_ID:
		if (parse_count(optarg, UINT32_MAX, &args->file_id) == 0)
			return 0;
		log_error("analyse: '%s' is not the number of a file", optarg);
		return -1;
	case OPTION_BY:
		word = parse_word("by", optarg, rows);
		args->analysis.by_function = word == 1;
		break;
	case OPTION_FORMAT:
		word = parse_word("format", optarg, formats);
		args->analysis.format = word < 0 ? ANALYSIS_TEXT : (enum analysis_format)word;
		break;
	case OPTION_COLOUR:
		word = parse_word("color", optarg, colours);
		args->colour = word < 0 ? COLOUR_AUTO : (enum colour_choice)word;
		break;
	default:
		return -1;
	}
	return word < 0 ? -1 : 0;
}

/* Returns 0, or -1 having said what is wrong. */
static int parse_option(int option, struct arguments *args)
{
	switch (option) {
	case 's':
		args->analysis.sort_column = optarg;
		return 0;
	case 'f':
		args->analysis.by_function = true;
		return 0;
	case 'p':
		args->analysis.with_percentiles = true;
		return 0;
	case 'w':
		args->waits = true;
		return 0;
	case 'i':
		args->analysis.with_idle = true;
		return 0;
	case 'n':
		args->analysis.with_native = true;
		return 0;
	case 'j':
		args->analysis.format = ANALYSIS_JSON;
		return 0;
	case OPTION_DIFF:
		args->diff = true;
		return 0;
	case OPTION_SINCE:
		args->selection.since = optarg;
		return 0;
	case OPTION_UNTIL:
		args->selection.until = optarg;
		return 0;
	case OPTION_THREAD:
		args->selection.thread = optarg;
		return 0;
	case OPTION_FILE:
		args->file = optarg;
		return 0;
	case OPTION_FUNCTION:
		args->function = optarg;
		return 0;
	case OPTION_NO_PAGER:
		args->no_pager = true;
		return 0;
	default:
		return parse_valued(option, args);
	}
}

/* The same of the tables that are not of one trace's lines or waits. */
static const char *find_other_conflict(const struct arguments *args)
{
	const struct analysis *a = &args->analysis;
	const struct selection_options *s = &args->selection;

	if (args->waits + args->stalls + args->diff > 1)
		return "--waits, --stalls and --diff are different tables: give one of them";
	if (!args->stalls && !args->diff)
		return NULL;
	if (a->by_function || a->with_percentiles || a->sort_column || args->file_id ||
	    args->file || args->function)
		return "--stalls and --diff have their own rows and order: --by, --percentiles, "
		       "--sort-column, --file and --function are not for them";
	if (a->format == ANALYSIS_CSV)
		return "--stalls and --diff are text or JSON, not CSV";
	if (args->diff && (s->since || s->until || s->thread))
		return "--diff compares whole traces: --since, --until and --thread are not for it";
	return NULL;
}

/* What does not go together; NULL: all does. */
static const char *find_conflict(const struct arguments *args)
{
	const struct analysis *a = &args->analysis;

	if (!args->waits && a->with_idle)
		return "--idle is about waits: give --waits, too";
	if (!args->waits && a->with_native)
		return "--native is about waits: give --waits, too";
	if (args->waits && a->by_function)
		return "--waits are listed by line, not by function";
	if (args->waits && a->with_percentiles)
		return "--percentiles are of lines or functions, not of --waits";
	if (args->waits && args->function)
		return "--waits can be those of a --file, not of a --function";
	if (args->file_id && (args->waits || a->by_function || a->sort_column))
		return "--file-id shows the lines of a file in their order: --waits, --by function "
		       "and --sort-column are not for it";
	if (args->file_id && (args->file || args->function))
		return "--file-id shows all of a file: --file and --function are not for it";
	return find_other_conflict(args);
}

/* --stalls, whose value may be the next word. Returns 0, or -1 having said what is wrong. */
static int parse_stalls(char **argv, struct arguments *args)
{
	int n_taken = stalls_parse_min(optarg, argv[optind], &args->stalls_min_ns);

	args->stalls = true;
	if (n_taken > 0)
		optind += n_taken;
	return n_taken < 0 ? -1 : 0;
}

/* Returns 0 when the subcommand goes on; otherwise 1, with its exit status. */
static int parse(int argc, char **argv, struct arguments *args, int *ret_status)
{
	const char *conflict;
	int option;

	args->analysis.n_items = DEFAULT_ITEMS;
	*ret_status = EXIT_USAGE;
	while ((option = getopt_long(argc, argv, "l:s:fpwinjh", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(cmd_analyse.help, stdout);
			*ret_status = EXIT_OK;
			return 1;
		}
		if ((option == OPTION_STALLS ? parse_stalls(argv, args)
					     : parse_option(option, args)) < 0) {
			command_usage_error(&cmd_analyse);
			return 1;
		}
	}
	conflict = find_conflict(args);
	if (conflict) {
		log_error("analyse: %s", conflict);
		command_usage_error(&cmd_analyse);
		return 1;
	}
	return 0;
}

static bool wants_colour(const struct arguments *args)
{
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");

	if (args->analysis.format != ANALYSIS_TEXT || args->colour == COLOUR_NEVER)
		return false;
	if (args->colour == COLOUR_ALWAYS)
		return true;
	return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && term &&
	       strcmp(term, "dumb") != 0;
}

static int show(const struct arguments *args)
{
	struct pager pager;
	int status;

	pager_start(&pager, !args->no_pager);
	if (args->waits)
		status = analyse_waits(&args->analysis);
	else if (args->file_id)
		status = analyse_file(&args->analysis, (uint32_t)args->file_id);
	else
		status = analyse_lines(&args->analysis);
	pager_finish(&pager);
	return status;
}

/* With the trace open: find out what exactly is asked for, and show it. */
static int analyse(struct arguments *args, struct trace *t)
{
	struct analysis *a = &args->analysis;
	struct selection selection = {0};
	int status = EXIT_OK, r;
	char why[1024];

	a->trace = t;
	a->charset = text_locale_charset();
	a->width = report_width();
	a->has_colour = wants_colour(args);
	a->has_edges = trace_has_edges(t) == 1;
	r = selection_resolve(t, &args->selection, &selection, why, sizeof(why));
	if (r < 0) {
		log_error("analyse: %s", why);
		status = r == -EINVAL ? EXIT_USAGE : EXIT_NO_TRACE;
	} else if (analysis_filter_init(&a->filter, t, args->file, args->function, why,
					sizeof(why)) < 0) {
		log_error("analyse: %s", why);
		status = EXIT_USAGE;
	}
	a->selection = &selection;
	if (status == EXIT_OK)
		status = show(args);
	analysis_filter_done(&a->filter);
	if (r == 0)
		selection_done(&selection);
	return status;
}

/* Returns the exit status. */
static int run_stalls(const struct arguments *args, int argc, char **argv)
{
	struct stalls_arguments s = {
	    .min_ns = args->stalls_min_ns,
	    .selection = args->selection,
	    .n_items = args->analysis.n_items,
	    .as_json = args->analysis.format == ANALYSIS_JSON,
	    .charset = text_locale_charset(),
	    .width = report_width(),
	};
	struct pager pager;
	int status;

	if (optind + 1 != argc) {
		log_error(optind < argc
			      ? "analyse: --stalls: one folder at a time: '%s' is one too many"
			      : "analyse: --stalls: of what? Give the folder of a trace, of a "
				"run or of all runs",
			  optind < argc ? argv[optind + 1] : "");
		return command_usage_error(&cmd_analyse);
	}
	s.path = argv[optind];
	pager_start(&pager, !args->no_pager);
	status = analyse_stalls(&s);
	pager_finish(&pager);
	return status;
}

/* The same. */
static int run_diff(const struct arguments *args, int argc, char **argv)
{
	struct diff_arguments d = {
	    .n_items = args->analysis.n_items,
	    .as_json = args->analysis.format == ANALYSIS_JSON,
	    .charset = text_locale_charset(),
	    .width = report_width(),
	};
	struct pager pager;
	int status;

	if (optind + 2 != argc) {
		log_error("analyse: --diff takes two traces, the old one and the new one");
		return command_usage_error(&cmd_analyse);
	}
	d.old_path = argv[optind];
	d.new_path = argv[optind + 1];
	pager_start(&pager, !args->no_pager);
	status = analyse_diff(&d);
	pager_finish(&pager);
	return status;
}

static int run(int argc, char **argv)
{
	auto_release(trace_close) struct trace *t = NULL;
	struct arguments args = {0};
	int status;

	if (parse(argc, argv, &args, &status))
		return status;
	if (args.stalls)
		return run_stalls(&args, argc, argv);
	if (args.diff)
		return run_diff(&args, argc, argv);
	status = report_open(&cmd_analyse, argc, argv, optind, &t);
	return status == EXIT_OK ? analyse(&args, t) : status;
}

const struct command cmd_analyse = {
    .name = "analyse",
    .summary = "show the lines that took the most time, and the waits",
    .help =
	"Usage: trackexec analyse [OPTIONS] TRACE\n"
	"       trackexec analyse --stalls[=MIN] [OPTIONS] FOLDER\n"
	"       trackexec analyse --diff [OPTIONS] OLD NEW\n"
	"\n"
	"Show the lines that took the most time, the functions, a whole file, or with\n"
	"--waits, what the process waited for. TRACE is a trace's folder or its\n"
	"trace.db; it may still be being recorded.\n"
	"\n"
	"What is shown:\n"
	"      --by line|function  lines (the default), or functions; -f, --functions is\n"
	"                          the latter\n"
	"  -p, --percentiles       how long the visits of a line took, or the calls of a\n"
	"                          function: p50, p95, p99 and the longest\n"
	"      --file-id N         the whole file with that number, line by line\n"
	"  -w, --waits             what was waited for, a millisecond or more at a time\n"
	"  -i, --idle              with --waits: also what an event loop does when it\n"
	"                          has nothing to do\n"
	"  -n, --native            with --waits: each native call stack by itself\n" STALLS_HELP
	    DIFF_HELP "  -l, --num-items N       show N lines, functions or waits (default 20)\n"
	"  -s, --sort-column NAME  by cumulated-runtime (the default), average-runtime,\n"
	"                          frequency, total, on-cpu, waiting, gil or ready; with\n"
	"                          --percentiles also p50, p95, p99 or max;\n"
	"                          waits by total (the default), longest or count\n"
	"\n"
	"Of what:\n" SELECTION_HELP
	"      --file NAME         only lines of files of that name: a path, its end, or\n"
	"                          a pattern such as 'models/*.py'\n"
	"      --function NAME     only functions of that name: step, Worker.step, or a\n"
	"                          pattern such as 'Worker.*'\n"
	"\n"
	"How:\n"
	"      --format FORMAT     text, json or csv; -j, --json is the second\n"
	"      --color WHEN        auto (on a terminal, unless NO_COLOR is set), always\n"
	"                          or never\n"
	"      --no-pager          not through $TRACKEXEC_PAGER, $PAGER or less\n"
	"  -h, --help              show this help\n"
	"\n"
	"Columns:\n"
	"  FILE        number of the file in the trace; left out on a narrow terminal\n"
	"  CUMULATED   time in which the line was the current one of a thread, calls\n"
	"              into code that is not followed included; of a function: SELF\n"
	"  SHARE       the same in percent of the time observed, all threads together\n"
	"  TOTAL       time in which the function, or what it called, was running\n"
	"  RUN         the part of CUMULATED in which the thread was on a CPU,\n"
	"  WAIT        was waiting for something,\n"
	"  GIL         of that for the interpreter's lock, a millisecond or more each,\n"
	"  READY       could have run, but others had the CPU; these four in percent\n"
	"              of CUMULATED on a narrow terminal\n"
	"  AVERAGE     CUMULATED for each time that the line was seen; of a function:\n"
	"              TOTAL for each call\n"
	"  TIMES SEEN  how often it was entered, or returned to from followed code\n"
	"  CALLS       how often a call of the function was seen\n"
	"  P50 ...     so long or shorter were 50 % of the visits: from when a line\n"
	"              became a frame's current one until that went on; right to 1.6 %\n"
	"  MAX         the longest visit, and when it began\n"
	"  LOCATION    file:line; cut at its start to fit the terminal\n"
	"  SOURCE      the line's text, as it was when the file was first seen\n"
	"Below them: what is not listed, what was not in followed code, and the time\n"
	"that was not observed, which is in none of the percentages.\n"
	"\n"
	"Columns with --waits:\n"
	"  TOTAL       time of all waits of this line for this thing\n"
	"  COUNT       how many they were\n"
	"  LONGEST     the longest of them\n"
	"  BEGAN       when that one began, in the time zone of where it was recorded\n"
	"  REASON      what was waited for\n"
	"\n" STALLS_COLUMNS_HELP "\n" DIFF_COLUMNS_HELP "\n"
	"Examples:\n"
	"  trackexec analyse trackexec-app-4242\n"
	"  trackexec analyse --sort-column waiting trackexec-app-4242/trace.db\n"
	"  trackexec analyse --by function --since 12:00:16 --until +5s server-main\n"
	"  trackexec analyse --percentiles --sort-column max --file models.py server-db\n"
	"  trackexec analyse --waits --native -l 5 trackexec-app-4242\n"
	"  trackexec analyse --stalls=200ms --since -1d /var/log/walt/trackexec\n"
	"  trackexec analyse --diff trackexec-app-4242 trackexec-app-4711\n"
	"  trackexec analyse --format csv -l 1000 trackexec-app-4242 >lines.csv\n",
    .run = run,
};

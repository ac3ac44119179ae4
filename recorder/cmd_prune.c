/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec prune: the storage limits by hand, without the collector or beside it. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "common/trace_folder.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "recorder/retention.h"
#include "recorder/root_open.h"

struct prune {
	const char *root;
	struct retention_limits limits;
	bool is_dry;
	bool is_quiet;
	size_t n_runs, n_traces;
	uint64_t bytes;
};

static char *shown(const char *text)
{
	return text_escape(text, strlen(text), "", text_locale_charset());
}

static void print_deletion(struct prune *p, const struct retention_deletion *d)
{
	auto_free char *trace = shown(d->trace ? d->trace : "");
	char bytes[UNITS_MAX], date[32] = "?";
	time_t newest = (time_t)d->newest_s;
	struct tm tm;

	if (d->trace)
		p->n_traces++;
	else
		p->n_runs++;
	p->bytes += d->bytes;
	if (p->is_quiet)
		return;
	format_bytes(d->bytes, bytes);
	if (localtime_r(&newest, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm);
	printf("%s %s%s%s  %s, last written %s: %s\n", p->is_dry ? "would delete" : "deleted",
	       d->run, d->trace ? "/" : "", trace, bytes, date, retention_reason_name(d->reason));
}

static void on_deleted(void *ctx, const struct retention_deletion *deletion)
{
	print_deletion(ctx, deletion);
}

static void on_left(void *ctx, const char *path, int error)
{
	const struct prune *p = ctx;
	auto_free char *root = shown(p->root);
	auto_free char *name = shown(path);

	if (error == -EEXIST)
		log_warning("%s/%s is not ours: left where it is; remove it by hand", root, name);
	else if (error == -EBUSY)
		log_warning("%s/%s is being recorded: not deleted", root, name);
	else if (error == -EACCES || error == -EPERM)
		log_error("cannot delete %s/%s: %s; run as root", root, name, strerror(-error));
	else
		log_error("cannot delete %s/%s: %s", root, name, strerror(-error));
}

static void print_total(const struct prune *p)
{
	char bytes[UNITS_MAX];

	if (p->is_quiet)
		return;
	if (p->n_runs + p->n_traces == 0) {
		puts("nothing to delete");
		return;
	}
	format_bytes(p->bytes, bytes);
	printf("%s %zu run%s", p->is_dry ? "would delete" : "deleted", p->n_runs,
	       p->n_runs == 1 ? "" : "s");
	if (p->n_traces)
		printf(" and %zu trace%s of runs that go on", p->n_traces,
		       p->n_traces == 1 ? "" : "s");
	printf(", %s in all\n", bytes);
}

/* Limits that even deleting all that has ended does not reach. */
static void warn_of_rest(const struct prune *p, const struct retention_plan *plan)
{
	char left[UNITS_MAX];

	if (p->limits.max_use_bytes && plan->left_bytes > p->limits.max_use_bytes) {
		format_bytes(plan->left_bytes, left);
		log_warning("%s of traces are left, more than --max-use: they are being recorded; "
			    "stop that, or let MaxUse= of the collector cut them",
			    left);
	}
	if (plan->stop_growing) {
		format_bytes(plan->free_bytes, left);
		log_warning("%s are free, less than --keep-free: the rest of the disk is used by "
			    "others, or by traces that are being recorded",
			    left);
	}
}

static int status_of(int r)
{
	return r == -EACCES || r == -EPERM ? EXIT_NOT_ALLOWED : EXIT_FAILED;
}

static int prune(struct prune *p, int root_fd)
{
	static const struct retention_ops ops = {.on_deleted = on_deleted, .on_left = on_left};
	auto_retention_scan struct retention_scan scan = {0};
	auto_retention_plan struct retention_plan plan = {0};
	uint64_t deleted_bytes;
	int r = retention_scan(root_fd, NULL, 0, &scan);

	if (r < 0) {
		auto_free char *root = shown(p->root);

		log_error("cannot read %s: %s", root, strerror(-r));
		return status_of(r);
	}
	retention_plan(&scan, &p->limits, (int64_t)(clock_realtime_ns() / NS_PER_S), false, &plan);
	for (size_t i = 0; p->is_dry && i < plan.n_deletions; i++)
		print_deletion(p, &plan.deletions[i]);
	if (!p->is_dry)
		r = retention_apply(root_fd, &plan, &ops, p, &deleted_bytes);
	print_total(p);
	/* After what was printed, also when both go to one place. */
	fflush(stdout);
	warn_of_rest(p, &plan);
	/* What is recorded since is no failure. */
	return r < 0 && r != -EBUSY ? status_of(r) : EXIT_OK;
}

static int open_and_prune(struct prune *p)
{
	auto_free char *cwd = p->root[0] == '/' ? xstrdup("") : getcwd(NULL, 0);
	auto_free char *path = cwd && cwd[0] ? xasprintf("%s/%s", cwd, p->root) : xstrdup(p->root);
	auto_close int fd = -1;
	char why[PATH_MAX + 512];
	int r = root_open(path, &fd, why, sizeof(why));

	if (r == 0)
		return prune(p, fd);
	if (r == -ENOENT) {
		log_error("%s: nothing to prune; give the folder of all runs with --root", why);
		return EXIT_NO_TRACE;
	}
	log_error("%s", why);
	return status_of(r);
}

static int parse_limit(const char *name, const char *text, int (*parse)(const char *, uint64_t *),
		       const char *examples, uint64_t *ret)
{
	int r = parse(text, ret);

	/* 0 would be no limit. */
	if (r == 0 && *ret == 0)
		r = -ERANGE;
	if (r == 0)
		return EXIT_OK;
	log_error("prune: --%s: '%s' is %s; examples: %s", name, text,
		  r == -ERANGE ? "too small or too large" : "not understood", examples);
	return command_usage_error(&cmd_prune);
}

/* Returns an exit status. */
static int take_option(struct prune *p, int option, const char *value)
{
	uint64_t age_ns = 0;
	int status;

	switch (option) {
	case 'r':
		p->root = value;
		return EXIT_OK;
	case 'u':
		return parse_limit("max-use", value, parse_size, "500M, 4G",
				   &p->limits.max_use_bytes);
	case 'f':
		return parse_limit("keep-free", value, parse_size, "500M, 4G",
				   &p->limits.keep_free_bytes);
	case 'a':
		status =
		    parse_limit("max-age", value, parse_duration, "12h, 30d, '6 months'", &age_ns);
		/* Less than a second is a second: 0 would be no limit. */
		p->limits.max_age_s = (age_ns + NS_PER_S - 1) / NS_PER_S;
		return status;
	case 'n':
		p->is_dry = true;
		return EXIT_OK;
	case 'q':
		p->is_quiet = true;
		log_set_verbosity(-1);
		return EXIT_OK;
	default:
		return command_usage_error(&cmd_prune);
	}
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
	    {"root", required_argument, NULL, 'r'},
	    {"max-use", required_argument, NULL, 'u'},
	    {"keep-free", required_argument, NULL, 'f'},
	    {"max-age", required_argument, NULL, 'a'},
	    {"dry-run", no_argument, NULL, 'n'},
	    {"quiet", no_argument, NULL, 'q'},
	    {"help", no_argument, NULL, 'h'},
	    {0},
	};
	struct prune p = {.root = TRACE_ROOT_DEFAULT, .limits.delete_to_keep_free = true};
	int option, status;

	while ((option = getopt_long(argc, argv, "r:nqh", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(cmd_prune.help, stdout);
			return EXIT_OK;
		}
		status = take_option(&p, option, optarg);
		if (status != EXIT_OK)
			return status;
	}
	if (optind < argc) {
		log_error("prune: '%s' is one argument too many; a folder is given with --root",
			  argv[optind]);
		return command_usage_error(&cmd_prune);
	}
	if (!p.limits.max_use_bytes && !p.limits.keep_free_bytes && !p.limits.max_age_s) {
		log_error("prune: down to what? Give --max-use, --keep-free or --max-age");
		return command_usage_error(&cmd_prune);
	}
	return open_and_prune(&p);
}

const struct command cmd_prune = {
    .name = "prune",
    .summary = "delete the oldest traces of the collector",
    .help = "Usage: trackexec prune [OPTIONS]\n"
	    "\n"
	    "Delete the oldest traces of trackexec-collector until all given limits hold,\n"
	    "without asking. At least one limit must be given. Whole runs are deleted, and of\n"
	    "a run that goes on the traces that have ended; never one that is being recorded.\n"
	    "The collector may run meanwhile; it does the same by itself (MaxUse=, MaxAge=).\n"
	    "\n"
	    "Limits:\n"
	    "      --max-use SIZE    traces may use so much: 500M, 4G (powers of 1024)\n"
	    "      --keep-free SIZE  delete until so much of the disk is free\n"
	    "      --max-age TIME    delete what was last written before: 12h, 30d, 6months\n"
	    "\n"
	    "Options:\n"
	    "  -r, --root DIR        folder of all runs; default " TRACE_ROOT_DEFAULT "\n"
	    "  -n, --dry-run         only print what would be deleted\n"
	    "  -q, --quiet           print errors only\n"
	    "  -h, --help            show this help\n"
	    "\n"
	    "Examples:\n"
	    "  trackexec prune --max-age 30d --dry-run\n"
	    "  trackexec prune --max-use 1G\n",
    .run = run,
};

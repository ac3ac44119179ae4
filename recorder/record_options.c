/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/record_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "recorder/block_waits.h"

enum option_code {
	OPT_ALL = 256,
	OPT_PACKAGES,
	OPT_NAME,
	OPT_EDGES,
	OPT_MODE,
	OPT_MIN_WAIT,
};

static const struct option long_options[] = {
    {"pid", required_argument, NULL, 'p'},
    {"output", required_argument, NULL, 'o'},
    {"rate", required_argument, NULL, 'r'},
    {"duration", required_argument, NULL, 'd'},
    {"packages", required_argument, NULL, OPT_PACKAGES},
    {"all", no_argument, NULL, OPT_ALL},
    {"name", required_argument, NULL, OPT_NAME},
    {"edges", required_argument, NULL, OPT_EDGES},
    {"mode", required_argument, NULL, OPT_MODE},
    {"min-wait", required_argument, NULL, OPT_MIN_WAIT},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* "+": options end at the command's first word. ":": we report missing arguments ourselves. */
static const char short_options[] = "+:p:o:r:d:qvh";

static int set_pid(struct record_options *o, const char *text)
{
	uint64_t value;

	if (parse_count(text, INT_MAX, &value) < 0) {
		log_error("--pid %s is not a process id: give a number, as `pgrep -a python` "
			  "shows them",
			  text);
		return -EINVAL;
	}
	o->pid = (pid_t)value;
	return 0;
}

static int check_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > TRACE_NAME_MAX) {
		log_error("--name must have 1 to %d bytes", TRACE_NAME_MAX);
		return -EINVAL;
	}
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/')) {
		log_error("--name %s cannot be the name of a folder: use no slashes, nor . or ..",
			  name);
		return -EINVAL;
	}
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) {
			log_error("--name must not hold control characters");
			return -EINVAL;
		}
	return 0;
}

static int split_packages(const char *list, char ***ret)
{
	size_t n = 1;
	char **packages;

	for (const char *p = list; *p; p++)
		n += *p == ',';
	packages = xcalloc(n + 1, sizeof(*packages));
	*ret = packages;
	for (const char *p = list;; p++) {
		size_t len = strcspn(p, ",");

		if (len == 0 || memchr(p, '/', len)) {
			log_error("--packages %s: give names of importable packages, separated by "
				  "commas, as in --packages walt,mylib",
				  list);
			return -EINVAL;
		}
		*packages++ = xstrndup(p, len);
		p += len;
		if (!*p)
			return 0;
	}
}

static int set_packages(struct record_options *o, const char *list)
{
	record_options_done(o);
	o->packages_text = list;
	return split_packages(list, &o->packages);
}

static int set_rate(struct record_options *o, const char *text)
{
	if (parse_rate(text, &o->rate_hz) == 0)
		return 0;
	log_error("--rate %s is not a rate: give snapshots per second, as 5000, 1k, 10khz or max",
		  text);
	return -EINVAL;
}

static int set_duration(struct record_options *o, const char *text)
{
	if (parse_duration(text, &o->duration_ns) == 0)
		return 0;
	log_error("--duration %s is not a duration: give seconds, or a unit as in 500ms, 10s, 5min",
		  text);
	return -EINVAL;
}

static int set_min_wait(struct record_options *o, const char *text)
{
	uint64_t ns;

	if (parse_duration(text, &ns) == 0 && ns >= WAIT_LISTED_LEAST_NS &&
	    ns <= WAIT_LISTED_MOST_NS) {
		o->min_wait_ns = ns;
		return 0;
	}
	log_error("--min-wait %s: give a time from 10us to 1h, as 500us, 1ms or 2s", text);
	return -EINVAL;
}

static int set_edges(struct record_options *o, const char *text)
{
	static const char *const names[] = {
	    [EDGE_WISH_AUTO] = "auto",
	    [EDGE_WISH_EXACT] = "exact",
	    [EDGE_WISH_COARSE] = "coarse",
	    [EDGE_WISH_NONE] = "none",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0) {
			o->edges = (enum edge_wish)i;
			return 0;
		}
	log_error("--edges %s: give auto, exact, coarse or none", text);
	return -EINVAL;
}

static int set_mode(struct record_options *o, const char *text)
{
	o->is_exact = strcmp(text, "exact") == 0;
	if (o->is_exact || strcmp(text, "sample") == 0)
		return 0;
	log_error("--mode %s: give sample or exact", text);
	return -EINVAL;
}

static int set_option(struct record_options *o, int code)
{
	switch (code) {
	case 'p':
		return set_pid(o, optarg);
	case 'o':
		o->output = optarg;
		if (*optarg)
			return 0;
		log_error("--output needs the name of a folder");
		return -EINVAL;
	case 'r':
		return set_rate(o, optarg);
	case 'd':
		return set_duration(o, optarg);
	case OPT_PACKAGES:
		return set_packages(o, optarg);
	case OPT_ALL:
		o->follow = FOLLOW_ALL;
		return 0;
	case OPT_EDGES:
		return set_edges(o, optarg);
	case OPT_MODE:
		return set_mode(o, optarg);
	case OPT_MIN_WAIT:
		return set_min_wait(o, optarg);
	case OPT_NAME:
		o->name = optarg;
		return check_name(optarg);
	case 'q':
		o->quiet = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static void report_bad_option(int code, char **argv)
{
	const char *word = argv[optind - 1];

	if (code == ':')
		log_error("option %s needs a value", word);
	else if (optopt > 0 && optopt < 256)
		log_error("unknown option -%c", optopt);
	else if (optopt)
		log_error("option %s takes no value", word);
	else
		log_error("unknown option %s", word);
}

static int check_follow(struct record_options *o)
{
	if (o->packages && o->follow == FOLLOW_ALL) {
		log_error("--packages and --all contradict each other: give one of them");
		return -EINVAL;
	}
	if (o->follow == FOLLOW_ALL)
		o->packages_text = "*";
	else if (o->packages)
		o->follow = FOLLOW_PACKAGES;
	return 0;
}

static int check_target(struct record_options *o, int n_words, char **words)
{
	if (o->pid && n_words > 0) {
		log_error("give either --pid or a command, not both");
		return -EINVAL;
	}
	if (!o->pid && n_words == 0) {
		log_error("nothing to record: give --pid PID, or a command after --");
		return -EINVAL;
	}
	if (!o->pid)
		o->command = words;
	return 0;
}

int record_options_parse(int argc, char **argv, struct record_options *ret)
{
	struct record_options o = {
	    .rate_hz = RECORD_RATE_DEFAULT_HZ,
	    .follow = FOLLOW_OWN,
	    .packages_text = "",
	};
	int r = 0;

	opterr = 0;
	optind = 0;
	while (r == 0 && !o.help) {
		int code = getopt_long(argc, argv, short_options, long_options, NULL);

		if (code == -1)
			break;
		if (code == '?' || code == ':') {
			report_bad_option(code, argv);
			r = -EINVAL;
		} else {
			r = set_option(&o, code);
		}
	}
	if (r == 0 && !o.help)
		r = check_follow(&o);
	if (r == 0 && !o.help)
		r = check_target(&o, argc - optind, argv + optind);
	if (r < 0) {
		record_options_done(&o);
		return r;
	}
	*ret = o;
	return 0;
}

void record_options_done(struct record_options *o)
{
	for (char **p = o->packages; p && *p; p++)
		free(*p);
	free(o->packages);
	o->packages = NULL;
}

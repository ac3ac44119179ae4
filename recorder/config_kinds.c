/* SPDX-License-Identifier: BSD-3-Clause */
/* The kinds of values that a key can have: how each is read, kept and written. */
#include "recorder/config_private.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/clock.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "recorder/accounts.h"
#include "recorder/block_waits.h"

/* A trace that is any good needs so much. */
#define MAX_USE_LEAST_BYTES (UINT64_C(1) << 20)
#define PERCENT_MAX	    100

/* --- strings --- */

static void set_string(void *field, const char *text, size_t len)
{
	char **s = field;

	free(*s);
	*s = xstrndup(text, len);
}

static void clear_string(void *field)
{
	char **s = field;

	free(*s);
	*s = NULL;
}

static void print_string(FILE *out, const char *key, const void *field)
{
	const char *const *s = field;

	if (*s)
		fprintf(out, "%s=%s\n", key, *s);
}

/* --- paths --- */

static bool has_dots(const char *path)
{
	for (const char *p = path; (p = strstr(p, "/..")); p += 3) {
		if (p[3] == '/' || p[3] == '\0')
			return true;
	}
	return false;
}

static int parse_path(const char *text, void *field, char **ret_reason)
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '/')
		len--;
	if (text[0] != '/' || len == 0 || has_dots(text))
		return -EINVAL;
	/* Written again without the slash, the blank would be lost. */
	if (isspace((unsigned char)text[len - 1])) {
		*ret_reason = xstrdup("the name of a folder ends with a blank");
		return -EINVAL;
	}
	set_string(field, text, len);
	return 0;
}

const struct value_kind kind_folder = {
    .possible = "give an absolute path without .., as /var/log/walt/trackexec",
    .parse = parse_path,
    .clear = clear_string,
    .print = print_string,
};

static int parse_socket(const char *text, void *field, char **ret_reason)
{
	if (strlen(text) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		*ret_reason = xasprintf("the path of a socket has at most %zu bytes",
					sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
		return -EINVAL;
	}
	return parse_path(text, field, ret_reason);
}

const struct value_kind kind_socket = {
    .possible = "give an absolute path without .., as /run/trackexec/collector.sock",
    .parse = parse_socket,
    .clear = clear_string,
    .print = print_string,
};

/* --- users and groups --- */

static int explain_account(const char *what, const char *name, int error, char **ret_reason)
{
	if (error == -ENOENT)
		*ret_reason = xasprintf("there is no %s %s here", what, name);
	else
		*ret_reason =
		    xasprintf("cannot look up the %s %s: %s", what, name, strerror(-error));
	return -EINVAL;
}

static int verify_user(const char *text, char **ret_reason)
{
	uid_t uid;
	int r = account_find_user(text, &uid);

	return r < 0 ? explain_account("user", text, r, ret_reason) : 0;
}

static int verify_group(const char *text, char **ret_reason)
{
	gid_t gid;
	int r = account_find_group(text, &gid);

	return r < 0 ? explain_account("group", text, r, ret_reason) : 0;
}

static int parse_account(const char *text, void *field, char **ret_reason)
{
	(void)ret_reason;
	if (strpbrk(text, " \t,:/"))
		return -EINVAL;
	set_string(field, text, strlen(text));
	return 0;
}

const struct value_kind kind_user = {
    .possible = "give the name of one user, or a user id",
    .parse = parse_account,
    .verify = verify_user,
    .clear = clear_string,
    .print = print_string,
};

const struct value_kind kind_group = {
    .possible = "give the name of one group, or a group id",
    .parse = parse_account,
    .verify = verify_group,
    .clear = clear_string,
    .print = print_string,
};

/* --- numbers --- */

/* To thousandths, so that what is printed is exactly what it was. */
static double round_to_thousandths(double value)
{
	return (double)(uint64_t)(value * 1000 + 0.5) / 1000;
}

/* Without an exponent, and with a point in every locale. */
static void print_thousandths(FILE *out, double value)
{
	uint64_t thousandths = (uint64_t)(value * 1000 + 0.5);
	unsigned fraction = (unsigned)(thousandths % 1000);
	int digits = 3;

	fprintf(out, "%" PRIu64, thousandths / 1000);
	if (!fraction)
		return;
	for (; fraction % 10 == 0; digits--)
		fraction /= 10;
	fprintf(out, ".%0*u", digits, fraction);
}

static int parse_rate_value(const char *text, void *field, char **ret_reason)
{
	double hz, rounded;

	(void)ret_reason;
	if (parse_rate(text, &hz) < 0)
		return -EINVAL;
	rounded = round_to_thousandths(hz);
	/* 0 means "max". */
	if (hz > 0 && rounded <= 0)
		return -EINVAL;
	*(double *)field = rounded;
	return 0;
}

static void print_rate(FILE *out, const char *key, const void *field)
{
	double hz = *(const double *)field;

	fprintf(out, "%s=", key);
	if (hz > 0)
		print_thousandths(out, hz);
	else
		fputs("max", out);
	putc('\n', out);
}

const struct value_kind kind_rate = {
    .possible = "give snapshots per second, as 5000, 1k, 10khz or max",
    .parse = parse_rate_value,
    .print = print_rate,
};

/* A percentage is a number of hertz to the parser: only its sign differs. */
static int parse_percent(const char *text, void *field, char **ret_reason)
{
	size_t len = strlen(text) - 1;
	auto_free char *number = xstrndup(text, len);
	double percent;

	(void)ret_reason;
	if (text[len] != '%' || !*number || strspn(number, "0123456789. ") < len ||
	    parse_rate(number, &percent) < 0)
		return -EINVAL;
	percent = round_to_thousandths(percent);
	if (percent <= 0 || percent > PERCENT_MAX)
		return -EINVAL;
	*(double *)field = percent;
	return 0;
}

static void print_percent(FILE *out, const char *key, const void *field)
{
	fprintf(out, "%s=", key);
	print_thousandths(out, *(const double *)field);
	fputs("%\n", out);
}

const struct value_kind kind_percent = {
    .possible = "give percent of one core, above 0% and at most 100%, as 5%",
    .parse = parse_percent,
    .print = print_percent,
};

static int parse_bytes(const char *text, void *field, uint64_t least)
{
	uint64_t bytes;

	if (parse_size(text, &bytes) < 0 || bytes < least)
		return -EINVAL;
	*(uint64_t *)field = bytes;
	return 0;
}

static int parse_max_use(const char *text, void *field, char **ret_reason)
{
	(void)ret_reason;
	return parse_bytes(text, field, MAX_USE_LEAST_BYTES);
}

static int parse_keep_free(const char *text, void *field, char **ret_reason)
{
	(void)ret_reason;
	return parse_bytes(text, field, 0);
}

/* With the largest unit of which it is a whole number. */
static void print_bytes(FILE *out, const char *key, const void *field)
{
	static const char *const units[] = {"", "K", "M", "G", "T"};
	uint64_t bytes = *(const uint64_t *)field;
	size_t i = 0;

	for (; bytes && bytes % 1024 == 0 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		bytes /= 1024;
	fprintf(out, "%s=%" PRIu64 "%s\n", key, bytes, units[i]);
}

const struct value_kind kind_max_use = {
    .possible = "give a size of at least 1M, with K, M, G or T, as 4G",
    .parse = parse_max_use,
    .print = print_bytes,
};

const struct value_kind kind_keep_free = {
    .possible = "give a size, with K, M, G or T, as 1G, or 0 for none",
    .parse = parse_keep_free,
    .print = print_bytes,
};

/* Seconds are as fine as it gets; less than one is one. */
static int parse_age(const char *text, void *field, char **ret_reason)
{
	uint64_t ns = 0;

	(void)ret_reason;
	if (strcmp(text, "0") != 0 && parse_duration(text, &ns) < 0)
		return -EINVAL;
	*(uint64_t *)field = ns / NS_PER_S * NS_PER_S + (ns % NS_PER_S ? NS_PER_S : 0);
	return 0;
}

static void print_age(FILE *out, const char *key, const void *field)
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = {
	    {"days", 86400},
	    {"h", 3600},
	    {"min", 60},
	    {"s", 1},
	};
	uint64_t seconds = *(const uint64_t *)field / NS_PER_S;
	size_t i = 0;

	if (!seconds) {
		fprintf(out, "%s=0\n", key);
		return;
	}
	while (seconds % units[i].seconds)
		i++;
	fprintf(out, "%s=%" PRIu64 "%s\n", key, seconds / units[i].seconds, units[i].name);
}

const struct value_kind kind_age = {
    .possible = "give a time, as 12h, 30days, 2weeks, 1month or 1year, or 0 for no limit",
    .parse = parse_age,
    .print = print_age,
};

static int parse_min_wait(const char *text, void *field, char **ret_reason)
{
	uint64_t ns;

	(void)ret_reason;
	if (parse_duration(text, &ns) < 0 || ns < WAIT_LISTED_LEAST_NS || ns > WAIT_LISTED_MOST_NS)
		return -EINVAL;
	*(uint64_t *)field = ns / NS_PER_US * NS_PER_US;
	return 0;
}

static void print_min_wait(FILE *out, const char *key, const void *field)
{
	uint64_t us = *(const uint64_t *)field / NS_PER_US;

	if (us % 1000)
		fprintf(out, "%s=%" PRIu64 "us\n", key, us);
	else if (us % 1000000)
		fprintf(out, "%s=%" PRIu64 "ms\n", key, us / 1000);
	else
		fprintf(out, "%s=%" PRIu64 "s\n", key, us / 1000000);
}

const struct value_kind kind_min_wait = {
    .possible = "give a time from 10us to 1h, as 500us, 1ms or 2s",
    .parse = parse_min_wait,
    .print = print_min_wait,
};

/* --- one of a few words --- */

static const char *const mode_names[] = {
    [SAMPLING_OBSERVED] = "observed",
    [SAMPLING_EXACT] = "exact",
};

#define N_MODES (sizeof(mode_names) / sizeof(mode_names[0]))

const char *sampling_mode_name(enum sampling_mode mode)
{
	return mode_names[mode];
}

static int parse_mode(const char *text, void *field, char **ret_reason)
{
	(void)ret_reason;
	for (size_t i = 0; i < N_MODES; i++) {
		if (strcmp(text, mode_names[i]) == 0) {
			*(enum sampling_mode *)field = (enum sampling_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

static void print_mode(FILE *out, const char *key, const void *field)
{
	fprintf(out, "%s=%s\n", key, mode_names[*(const enum sampling_mode *)field]);
}

const struct value_kind kind_mode = {
    .possible = "give observed or exact",
    .parse = parse_mode,
    .print = print_mode,
};

/* --- patterns and names --- */

static int parse_title(const char *text, void *field, char **ret_reason)
{
	const char *star = strchr(text, '*');

	if (star && strchr(star + 1, '*')) {
		*ret_reason = xstrdup("there can be only one *, which stands for the name");
		return -EINVAL;
	}
	if (strcmp(text, "*") == 0)
		return -EINVAL;
	set_string(field, text, strlen(text));
	return 0;
}

const struct value_kind kind_title = {
    .possible = "every process would match: give more of the title, as walt-server-daemon:*",
    .parse = parse_title,
    .clear = clear_string,
    .print = print_string,
};

/* The end of [...], which `p` follows the opening bracket of; NULL when there is none. */
static const char *find_bracket_end(const char *p)
{
	if (*p == '!' || *p == '^')
		p++;
	/* The first one does not end it. */
	return *p ? strchr(p + 1, ']') : NULL;
}

static int parse_command(const char *text, void *field, char **ret_reason)
{
	bool says_something = false;

	for (const char *p = text; *p; p++) {
		says_something = says_something || !strchr("*? ", *p);
		if (*p == '[') {
			p = find_bracket_end(p + 1);
			if (!p) {
				*ret_reason = xstrdup("[ without ]: write \\[ for a bracket");
				return -EINVAL;
			}
		} else if (*p == '\\' && !*++p) {
			*ret_reason = xstrdup("a \\ at the end: write \\\\ for a backslash");
			return -EINVAL;
		}
	}
	if (!says_something)
		return -EINVAL;
	set_string(field, text, strlen(text));
	return 0;
}

const struct value_kind kind_command = {
    .possible = "every process would match: give more of the command line, as */my-server *",
    .parse = parse_command,
    .clear = clear_string,
    .print = print_string,
};

static int parse_name(const char *text, void *field, char **ret_reason)
{
	const char *fault = trace_name_find_fault(text, strlen(text));

	if (fault) {
		*ret_reason = xasprintf("the name %s, but it names a folder", fault);
		return -EINVAL;
	}
	set_string(field, text, strlen(text));
	return 0;
}

const struct value_kind kind_name = {
    .possible = "",
    .parse = parse_name,
    .clear = clear_string,
    .print = print_string,
};

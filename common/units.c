/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"

#define RATE_MAX_HZ	1e9
#define DURATION_MAX_NS (UINT64_C(100) * 366 * 86400 * NS_PER_S)
/* Up to here a double knows each number of bytes. */
#define SIZE_MAX_BYTES 0x1p52
/* More digits than a number here can need; they also can't overflow a double. */
#define DIGITS_MAX 18

struct unit {
	const char *name;
	double factor;
};

/* strtod() would take hexadecimal, "inf" and, depending on the locale, commas. */
static int parse_decimal(const char *text, double *ret, const char **ret_rest)
{
	double value = 0, weight = 1;
	int n_digits = 0, after_point = 0;

	for (; (*text >= '0' && *text <= '9') || (*text == '.' && !after_point); text++) {
		if (*text == '.') {
			after_point = 1;
			continue;
		}
		if (++n_digits > DIGITS_MAX)
			return -ERANGE;
		value = value * 10 + (*text - '0');
		if (after_point)
			weight *= 10;
	}
	if (n_digits == 0)
		return -EINVAL;
	*ret = value / weight;
	*ret_rest = text;
	return 0;
}

/* A number and one of the units (matched with compare), with or without blanks between. */
static int parse_with_unit(const char *text, const struct unit *units, size_t n_units,
			   int (*compare)(const char *, const char *), double *ret)
{
	const char *rest;
	double value;
	int r = parse_decimal(text, &value, &rest);

	if (r < 0)
		return r;
	rest += strspn(rest, " ");
	for (size_t i = 0; i < n_units; i++) {
		if (compare(rest, units[i].name) == 0) {
			*ret = value * units[i].factor;
			return 0;
		}
	}
	return -EINVAL;
}

int parse_rate(const char *text, double *ret_hz)
{
	static const struct unit units[] = {
	    {"", 1}, {"hz", 1}, {"k", 1e3}, {"khz", 1e3}, {"mhz", 1e6},
	};
	double hz;
	int r;

	if (strcasecmp(text, "max") == 0) {
		*ret_hz = 0;
		return 0;
	}
	r = parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), strcasecmp, &hz);
	if (r < 0)
		return r;
	if (hz <= 0 || hz > RATE_MAX_HZ)
		return -ERANGE;
	*ret_hz = hz;
	return 0;
}

int parse_duration(const char *text, uint64_t *ret_ns)
{
	/* The average month and year of the Gregorian calendar, as systemd takes them. */
	static const struct unit units[] = {
	    {"", 1e9},
	    {"ns", 1},
	    {"us", 1e3},
	    {"\u00b5s", 1e3},
	    {"ms", 1e6},
	    {"s", 1e9},
	    {"sec", 1e9},
	    {"second", 1e9},
	    {"seconds", 1e9},
	    {"m", 60e9},
	    {"min", 60e9},
	    {"minute", 60e9},
	    {"minutes", 60e9},
	    {"h", 3600e9},
	    {"hour", 3600e9},
	    {"hours", 3600e9},
	    {"d", 86400e9},
	    {"day", 86400e9},
	    {"days", 86400e9},
	    {"w", 7 * 86400e9},
	    {"week", 7 * 86400e9},
	    {"weeks", 7 * 86400e9},
	    {"month", 2629800e9},
	    {"months", 2629800e9},
	    {"y", 31557600e9},
	    {"year", 31557600e9},
	    {"years", 31557600e9},
	};
	double ns;
	int r = parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), strcmp, &ns);

	if (r < 0)
		return r;
	if (ns < 1 || ns > (double)DURATION_MAX_NS)
		return -ERANGE;
	*ret_ns = (uint64_t)(ns + 0.5);
	return 0;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
	    {"", 1},	     {"b", 1},	     {"k", 0x1p10},   {"kb", 0x1p10},  {"kib", 0x1p10},
	    {"m", 0x1p20},   {"mb", 0x1p20}, {"mib", 0x1p20}, {"g", 0x1p30},   {"gb", 0x1p30},
	    {"gib", 0x1p30}, {"t", 0x1p40},  {"tb", 0x1p40},  {"tib", 0x1p40},
	};
	double bytes;
	int r = parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), strcasecmp, &bytes);

	if (r < 0)
		return r;
	if (bytes > SIZE_MAX_BYTES)
		return -ERANGE;
	*ret_bytes = (uint64_t)(bytes + 0.5);
	return 0;
}

int parse_count(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (*text < '0' || *text > '9')
			return -EINVAL;
		if (digit > max || value > (max - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	if (value == 0 || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

/* Three digits, as many of them after the point as are left. */
static void format_scaled(double value, const char *unit, char *buf)
{
	int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

	snprintf(buf, UNITS_MAX, "%.*f %s", digits, value, unit);
}

void format_duration(uint64_t ns, const char *micro, char buf[static UNITS_MAX])
{
	static const struct {
		uint64_t large_s, small_s;
		const char *large, *small;
	} long_units[] = {
	    {86400, 3600, "d", "h"},
	    {3600, 60, "h", "min"},
	    {60, 1, "min", "s"},
	};
	uint64_t s = ns / NS_PER_S + (ns % NS_PER_S >= NS_PER_S / 2);
	char unit[8];

	for (size_t i = 0; s >= 60 && i < sizeof(long_units) / sizeof(long_units[0]); i++) {
		if (s < long_units[i].large_s)
			continue;
		snprintf(buf, UNITS_MAX, "%llu %s %02u %s",
			 (unsigned long long)(s / long_units[i].large_s), long_units[i].large,
			 (unsigned)(s % long_units[i].large_s / long_units[i].small_s),
			 long_units[i].small);
		return;
	}
	/* The limits are where rounding to three digits reaches the next unit. */
	if (ns < 1000) {
		snprintf(buf, UNITS_MAX, "%u ns", (unsigned)ns);
	} else if (ns < 999500) {
		snprintf(unit, sizeof(unit), "%ss", micro);
		format_scaled((double)ns / 1e3, unit, buf);
	} else if (ns < 999500000) {
		format_scaled((double)ns / 1e6, "ms", buf);
	} else {
		format_scaled((double)ns / 1e9, "s", buf);
	}
}

void format_bytes(uint64_t bytes, char buf[static UNITS_MAX])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(buf, UNITS_MAX, "%u B", (unsigned)bytes);
		return;
	}
	for (; value >= 1023.5; i++)
		value /= 1024;
	format_scaled(value, units[i], buf);
}

void format_count(uint64_t count, char buf[static UNITS_MAX])
{
	char digits[UNITS_MAX];
	int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
	char *out = buf;

	for (int i = 0; i < n; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = 0;
}

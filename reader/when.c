/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/when.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/clock_map.h"

#define DAY_S 86400
/* The first of all times that are understood, and the last: nanoseconds must fit 63 bits. */
#define YEAR_MIN 1970
#define YEAR_MAX 2199
/* No recording is longer; a trace that says so is nonsense. */
#define DAYS_MAX INT64_C(36600)

const char when_help[] = "12:00:16.55, 2024-01-27, 2024-01-27 12:00:16, +2s, -3m, 50%, start, end, "
			 "now, or a time as in a log";

/* A date and a time of day, as far as they were given. */
struct stamp {
	bool has_date, has_year, has_time, has_seconds, has_zone;
	int year, month, day;
	int64_t time_ns; /* of the day */
	int64_t zone_s;
};

/* n digits. Moves *at behind them. */
static bool get_digits(const char **at, int n, int *ret)
{
	int value = 0;

	for (int i = 0; i < n; i++) {
		if ((*at)[i] < '0' || (*at)[i] > '9')
			return false;
		value = value * 10 + ((*at)[i] - '0');
	}
	*at += n;
	*ret = value;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A point or comma and digits, of which nine count; nothing is none. */
static bool get_fraction(const char **at, int64_t *ret_ns)
{
	int64_t unit = (int64_t)NS_PER_S / 10;

	*ret_ns = 0;
	if (**at != '.' && **at != ',')
		return true;
	(*at)++;
	if (!is_digit(**at))
		return false;
	for (; is_digit(**at); (*at)++, unit /= 10)
		*ret_ns += (**at - '0') * unit;
	return true;
}

/* --- calendar --- */

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400, of_era = y % 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool is_date(int year, int month, int day)
{
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return year >= YEAR_MIN && year <= YEAR_MAX && month >= 1 && month <= 12 && day >= 1 &&
	       day <= days[month - 1] && (month != 2 || day <= 28 || is_leap);
}

/* The year of a day since 1970. */
static int year_of(int64_t days)
{
	int year = YEAR_MIN + (int)(days / 366);

	while (year < YEAR_MAX && days_of(year + 1, 1, 1) <= days)
		year++;
	return year;
}

/* --- parts of a stamp --- */

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

static const char *skip_weekday(const char *at)
{
	static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

	for (size_t i = 0; i < 7; i++) {
		if (strncasecmp(at, days[i], 3) == 0 && at[3] == ' ')
			return skip_blanks(at + 3);
	}
	return at;
}

/* Returns -1 on a mistake, 0 when there is none, 1. The same for those below. */
static int get_iso_date(const char **at, struct stamp *s)
{
	const char *p = *at;

	if (!get_digits(&p, 4, &s->year) || *p++ != '-')
		return 0;
	if (!get_digits(&p, 2, &s->month) || *p++ != '-' || !get_digits(&p, 2, &s->day) ||
	    !is_date(s->year, s->month, s->day))
		return -1;
	s->has_date = s->has_year = true;
	*at = p;
	return 1;
}

static int get_month_date(const char **at, struct stamp *s)
{
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	const char *p = *at;

	for (s->month = 1; s->month <= 12; s->month++) {
		if (strncasecmp(p, months[s->month - 1], 3) == 0 && p[3] == ' ')
			break;
	}
	if (s->month > 12)
		return 0;
	p = skip_blanks(p + 3);
	if (!is_digit(*p))
		return -1;
	s->day = *p++ - '0';
	if (is_digit(*p))
		s->day = s->day * 10 + *p++ - '0';
	/* A leap year has all days. */
	if (!is_date(2000, s->month, s->day))
		return -1;
	s->has_date = true;
	*at = p;
	return 1;
}

static int get_time(const char **at, struct stamp *s)
{
	const char *p = *at;
	int hour, minute, second = 0;
	int64_t fraction = 0;

	if (!get_digits(&p, 2, &hour)) {
		if (!get_digits(&p, 1, &hour))
			return 0;
	}
	if (*p++ != ':')
		return 0;
	if (!get_digits(&p, 2, &minute))
		return -1;
	if (*p == ':') {
		p++;
		if (!get_digits(&p, 2, &second) || !get_fraction(&p, &fraction))
			return -1;
		s->has_seconds = true;
	}
	/* A leap second is the first one of the next minute. */
	if (hour > 23 || minute > 59 || second > 60)
		return -1;
	second += hour * 3600 + minute * 60;
	s->time_ns = second * (int64_t)NS_PER_S + fraction;
	s->has_time = true;
	*at = p;
	return 1;
}

static int get_zone(const char **at, struct stamp *s)
{
	const char *p = *at;
	int hours, minutes = 0, sign;

	p = skip_blanks(p);
	if (strncasecmp(p, "UTC", 3) == 0 || strncasecmp(p, "GMT", 3) == 0)
		p += 3;
	else if (*p == 'Z')
		p++;
	else
		p = NULL;
	if (p && (*p == 0 || *p == ' ' || *p == ':')) {
		s->has_zone = true;
		*at = p;
		return 1;
	}
	p = skip_blanks(*at);
	if (*p != '+' && *p != '-')
		return 0;
	sign = *p++ == '-' ? -1 : 1;
	if (!get_digits(&p, 2, &hours))
		return -1;
	if (*p == ':')
		p++;
	if (is_digit(*p) && !get_digits(&p, 2, &minutes))
		return -1;
	if (hours > 23 || minutes > 59)
		return -1;
	s->has_zone = true;
	minutes += hours * 60;
	minutes *= sign;
	s->zone_s = minutes * INT64_C(60);
	*at = p;
	return 1;
}

static int get_stamp(const char *at, struct stamp *s)
{
	int r;

	*s = (struct stamp){0};
	at = skip_weekday(skip_blanks(at));
	r = get_iso_date(&at, s);
	if (r == 0)
		r = get_month_date(&at, s);
	if (r < 0)
		return r;
	if (r == 1 && (*at == 'T' || *at == ' '))
		at++;
	at = skip_blanks(at);
	if (get_time(&at, s) < 0 || (s->has_time && get_zone(&at, s) < 0))
		return -1;
	if (!s->has_date && !s->has_time)
		return 0;
	/* What follows may be the rest of a log's line. */
	if (*at && !(s->has_seconds && strchr(" \t:,]", *at)))
		return -1;
	return 1;
}

/* --- what it means --- */

static uint64_t stamp_on_day(const struct stamp *s, const struct when_context *ctx, int64_t day)
{
	int64_t zone_s = s->has_zone ? s->zone_s : ctx->clock->utc_offset_s;

	return clock_map_monotonic(ctx->clock,
				   (day * DAY_S - zone_s) * (int64_t)NS_PER_S + s->time_ns);
}

static int64_t day_of(const struct stamp *s, const struct when_context *ctx, uint64_t time_ns)
{
	int64_t zone_s = s->has_zone ? s->zone_s : ctx->clock->utc_offset_s;
	int64_t real_s = clock_map_real(ctx->clock, time_ns) / (int64_t)NS_PER_S + zone_s;

	/* What an absurd trace says must still be a date. */
	if (real_s < 0 || real_s / DAY_S > DAYS_MAX * 2)
		return 0;
	return real_s / DAY_S;
}

static bool is_inside(const struct when_context *ctx, uint64_t time_ns)
{
	return time_ns >= ctx->start_ns && time_ns <= ctx->end_ns;
}

static uint64_t resolve_time(const struct stamp *s, const struct when_context *ctx)
{
	uint64_t here = stamp_on_day(s, ctx, day_of(s, ctx, ctx->here_ns));
	int64_t first = day_of(s, ctx, ctx->start_ns), last = day_of(s, ctx, ctx->end_ns);

	if (is_inside(ctx, here))
		return here;
	for (int64_t day = first; day <= last && day - first < DAYS_MAX; day++) {
		uint64_t there = stamp_on_day(s, ctx, day);

		if (is_inside(ctx, there))
			return there;
	}
	return here;
}

static uint64_t resolve_month_date(const struct stamp *s, const struct when_context *ctx)
{
	int first = year_of(day_of(s, ctx, ctx->start_ns));
	int last = year_of(day_of(s, ctx, ctx->end_ns));

	for (int year = first; year <= last; year++) {
		uint64_t there = stamp_on_day(s, ctx, days_of(year, s->month, s->day));

		if (is_inside(ctx, there))
			return there;
	}
	return stamp_on_day(s, ctx, days_of(last, s->month, s->day));
}

static uint64_t resolve(const struct stamp *s, const struct when_context *ctx)
{
	if (!s->has_date)
		return resolve_time(s, ctx);
	if (!s->has_year)
		return resolve_month_date(s, ctx);
	return stamp_on_day(s, ctx, days_of(s->year, s->month, s->day));
}

/* --- the other notations --- */

/* Seconds with a fraction, and nothing but what is in `end` behind them. */
static bool get_seconds(const char *at, const char *end, int64_t *ret_ns)
{
	int64_t s = 0, fraction;

	if (!is_digit(*at))
		return false;
	for (; is_digit(*at); at++) {
		s = s * 10 + (*at - '0');
		if (s > INT64_C(7258118400)) /* the year 2200 */
			return false;
	}
	if (!get_fraction(&at, &fraction) || (*at && !strchr(end, *at)))
		return false;
	*ret_ns = s * (int64_t)NS_PER_S + fraction;
	return true;
}

static bool get_percent(const char *text, const struct when_context *ctx, uint64_t *ret_ns)
{
	size_t len = strlen(text);
	int64_t ns;

	if (len < 2 || text[len - 1] != '%' || !get_seconds(text, "%", &ns) ||
	    strcspn(text, "%") != len - 1 || ns > 100 * (int64_t)NS_PER_S)
		return false;
	*ret_ns = ctx->start_ns + (uint64_t)((double)(ctx->end_ns - ctx->start_ns) * (double)ns /
					     (100.0 * (double)NS_PER_S));
	return true;
}

static bool get_relative(const char *text, const struct when_context *ctx, uint64_t *ret_ns)
{
	uint64_t ns, here = ctx->here_ns;
	int r = parse_duration(skip_blanks(text + 1), &ns);

	if (r == -ERANGE && !strpbrk(text, "123456789"))
		ns = 0;
	else if (r < 0)
		return false;
	if (*text == '-')
		*ret_ns = ns < here ? here - ns : 0;
	else
		*ret_ns = here + ns;
	return true;
}

static bool get_word(const char *text, const struct when_context *ctx, uint64_t *ret_ns)
{
	if (strcasecmp(text, "start") == 0 || strcasecmp(text, "begin") == 0)
		*ret_ns = ctx->start_ns;
	else if (strcasecmp(text, "end") == 0 || strcasecmp(text, "now") == 0)
		*ret_ns = ctx->end_ns;
	else
		return false;
	return true;
}

static bool get_any(const char *text, const struct when_context *ctx, uint64_t *ret_ns)
{
	struct stamp stamp;
	int64_t ns;

	if (*text == '@' && !is_digit(text[1]))
		text = skip_blanks(text + 1);
	if (*text == '+' || *text == '-')
		return get_relative(text, ctx, ret_ns);
	if (get_word(text, ctx, ret_ns) || get_percent(text, ctx, ret_ns))
		return true;
	if (*text == '[' && get_seconds(skip_blanks(text + 1), "]", &ns)) {
		*ret_ns = (uint64_t)ns;
		return true;
	}
	/* Fewer digits are more likely to be something else. */
	if ((*text == '@' || strspn(text, "0123456789") >= 9) &&
	    get_seconds(text + (*text == '@'), " \t", &ns)) {
		*ret_ns = clock_map_monotonic(ctx->clock, ns);
		return true;
	}
	if (get_stamp(text, &stamp) != 1)
		return false;
	*ret_ns = resolve(&stamp, ctx);
	return true;
}

int when_parse(const char *text, const struct when_context *ctx, uint64_t *ret_ns, char *why,
	       size_t why_size)
{
	auto_free char *copy = xstrdup(skip_blanks(text));
	size_t len = strlen(copy);

	while (len && strchr(" \t\r\n", copy[len - 1]))
		copy[--len] = 0;
	if (get_any(copy, ctx, ret_ns))
		return 0;
	if (len == 0)
		snprintf(why, why_size, "to which time? E.g. %s", when_help);
	else
		snprintf(why, why_size, "not a time; give e.g. %s", when_help);
	return -EINVAL;
}

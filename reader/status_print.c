/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/status_print.h"

#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/text.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/json_value.h"
#include "reader/status_now.h"
#include "reader/text_table.h"

#define CELL_MAX 40

/* --- members --- */

/* Text of others, safe to print; "-" when there is none. The caller frees. */
static char *shown_of(struct json_value *object, const char *key)
{
	const char *text = json_value_text(object, key);

	return text ? text_escape(text, strlen(text), "", text_locale_charset()) : xstrdup("-");
}

static void format_bytes_of(struct json_value *object, const char *key, char buf[static UNITS_MAX])
{
	double bytes;

	if (json_value_number(object, key, &bytes))
		format_bytes(json_value_count(object, key), buf);
	else
		snprintf(buf, UNITS_MAX, "-");
}

/* --- in few columns --- */

/* As text, without zeros at its end behind a point. */
static void format_plain(double value, int decimals, char buf[static CELL_MAX])
{
	size_t len = (size_t)snprintf(buf, CELL_MAX, "%.*f", decimals, value);

	if (decimals == 0 || len >= CELL_MAX)
		return;
	while (buf[len - 1] == '0')
		buf[--len] = '\0';
	if (buf[len - 1] == '.')
		buf[--len] = '\0';
}

/* At most three digits and a letter, or four digits: "9999", "12.3k", "20k", "4.56M". */
static void format_short(double value, double base, const char *units, char buf[static CELL_MAX])
{
	const char *unit = units;
	size_t len;

	if (value < base - 0.5 || (base == 1000 && value < 9999.5)) {
		format_plain(value, 0, buf);
		return;
	}
	for (value /= base; value >= base - 0.5 && unit[1]; unit++)
		value /= base;
	/* More than the largest unit: from a daemon that can't be right. */
	if (value >= 9999.5) {
		snprintf(buf, CELL_MAX, "?");
		return;
	}
	format_plain(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, buf);
	len = strlen(buf);
	snprintf(buf + len, CELL_MAX - len, "%c", *unit);
}

static void add_short(struct text_table *t, struct json_value *object, const char *key, double base,
		      const char *units)
{
	char buf[CELL_MAX];
	double value;

	if (!json_value_number(object, key, &value)) {
		text_table_add(t, NULL);
		return;
	}
	format_short(value, base, units, buf);
	text_table_add(t, buf);
}

/* "45s", "12m30s", "3h05m", "2d04h", "123d" */
static void format_ago(int64_t s, char buf[static CELL_MAX])
{
	if (s < 0)
		s = 0;
	if (s < 60)
		snprintf(buf, CELL_MAX, "%ds", (int)s);
	else if (s < 3600)
		snprintf(buf, CELL_MAX, "%dm%02ds", (int)s / 60, (int)s % 60);
	else if (s < 86400)
		snprintf(buf, CELL_MAX, "%dh%02dm", (int)s / 3600, (int)s % 3600 / 60);
	else if (s < INT64_C(100) * 86400)
		snprintf(buf, CELL_MAX, "%dd%02dh", (int)s / 86400, (int)s % 86400 / 3600);
	else
		snprintf(buf, CELL_MAX, "%llud", (unsigned long long)s / 86400);
}

/* A limit that is null is none. */
static void format_rate(struct json_value *object, const char *key, char buf[static CELL_MAX])
{
	double hz;

	if (json_value_member_is_null(object, key))
		snprintf(buf, CELL_MAX, "max");
	else if (json_value_number(object, key, &hz))
		format_short(hz, 1000, "kMG", buf);
	else
		snprintf(buf, CELL_MAX, "-");
}

static void format_percent(struct json_value *object, const char *key, char buf[static CELL_MAX])
{
	double percent;

	if (json_value_number(object, key, &percent))
		snprintf(buf, CELL_MAX, "%.3g %%", percent);
	else
		snprintf(buf, CELL_MAX, "-");
}

/* --- the head --- */

static void print_since(struct json_value *status, int64_t now_unix_s)
{
	int64_t since_s = (int64_t)json_value_count(status, "since_unix_s");
	char date[CELL_MAX], duration[UNITS_MAX];
	time_t since = (time_t)since_s;
	struct tm tm;

	if (since_s == 0 || !localtime_r(&since, &tm)) {
		puts(", since -");
		return;
	}
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	format_duration(now_unix_s > since_s ? (uint64_t)(now_unix_s - since_s) * NS_PER_S : 0, "u",
			duration);
	printf(", since %s (%s)\n", date, duration);
}

static void print_root(struct json_value *status)
{
	struct json_value *root = json_value_member(status, "root");
	const char *state = json_value_text(root, "state");
	auto_free char *path = shown_of(root, "path");
	auto_free char *why = shown_of(root, "why");

	if (state && strcmp(state, "absent") == 0)
		printf("  root       %s does not exist: nothing is recorded;\n"
		       "             to begin, make this folder as root\n",
		       path);
	else if (state && strcmp(state, "refused") == 0)
		printf("  root       refused, nothing is recorded: %s\n", why);
	else
		printf("  root       %s\n", path);
}

static void print_effort(struct json_value *status)
{
	char used[CELL_MAX], budget[CELL_MAX], memory[UNITS_MAX];

	format_percent(status, "cpu_percent", used);
	format_percent(status, "cpu_budget_percent", budget);
	format_bytes_of(status, "rss_bytes", memory);
	printf("  effort     CPU %s of %s of a core; memory %s\n", used, budget, memory);
}

static void print_disk(struct json_value *status)
{
	struct json_value *disk = json_value_member(status, "disk");
	char used[UNITS_MAX], max[UNITS_MAX], free_bytes[UNITS_MAX], keep[UNITS_MAX];

	if (!json_value_is_object(disk))
		return;
	format_bytes_of(disk, "use_bytes", used);
	format_bytes_of(disk, "max_use_bytes", max);
	format_bytes_of(disk, "free_bytes", free_bytes);
	format_bytes_of(disk, "keep_free_bytes", keep);
	if (strcmp(used, "-") == 0) {
		puts("  disk       not looked at yet");
		return;
	}
	printf("  disk       %s", used);
	if (strcmp(max, "-") != 0)
		printf(" of %s", max);
	printf(" used; %s free", free_bytes);
	if (strcmp(keep, "-") != 0)
		printf(", keeps %s free", keep);
	putchar('\n');
	if (json_value_is(disk, "growth_stopped", true))
		puts("             stopped: others fill the disk; goes on when there is room");
}

static void print_discovery(struct json_value *status)
{
	auto_free char *error = shown_of(status, "process_events_error");

	if (json_value_is(status, "process_events", false))
		printf("  discovery  by scanning; process events cannot be used: %s\n", error);
	else if (json_value_is(status, "process_events", true))
		puts("  discovery  by the kernel's process events");
}

static void print_head(struct json_value *status, int64_t now_unix_s)
{
	auto_free char *version = shown_of(status, "version");

	printf("trackexec-collector %s, pid %llu", version,
	       (unsigned long long)json_value_count(status, "pid"));
	print_since(status, now_unix_s);
	print_root(status);
	print_effort(status);
	print_disk(status);
	print_discovery(status);
}

/* --- sessions --- */

/* The run that all sessions belong to; NULL when there are several. */
static const char *common_run(struct json_value *sessions)
{
	const char *run = json_value_text(json_value_item(sessions, 0), "run");
	struct json_value *session;

	for (size_t i = 0; (session = json_value_item(sessions, i)); i++) {
		const char *other = json_value_text(session, "run");

		if (!run || !other || strcmp(run, other) != 0)
			return NULL;
	}
	return run;
}

static void add_name(struct text_table *t, struct json_value *session, bool with_run)
{
	const char *name = json_value_text(session, "name"), *run = json_value_text(session, "run");
	auto_free char *both = with_run && name && run ? xasprintf("%s/%s", run, name) : NULL;

	text_table_add(t, both ? both : name);
}

static void add_pid(struct text_table *t, struct json_value *object)
{
	char buf[CELL_MAX];

	snprintf(buf, sizeof(buf), "%llu", (unsigned long long)json_value_count(object, "pid"));
	text_table_add(t, buf);
}

static void add_ago(struct text_table *t, struct json_value *session, int64_t now_unix_s)
{
	char buf[CELL_MAX];

	format_ago(now_unix_s - (int64_t)json_value_count(session, "since_unix_s"), buf);
	text_table_add(t, buf);
}

static void add_rates(struct text_table *t, struct json_value *session)
{
	char asked[CELL_MAX], allowed[CELL_MAX], reached[CELL_MAX], all[3 * CELL_MAX];

	format_rate(session, "rate_asked_hz", asked);
	format_rate(session, "rate_allowed_hz", allowed);
	format_rate(session, "rate_hz", reached);
	snprintf(all, sizeof(all), "%s/%s/%s", asked, allowed, reached);
	text_table_add(t, all);
}

static void print_session_table(struct json_value *sessions, bool with_run, int64_t now_unix_s,
				size_t width)
{
	static const struct text_table_column columns[] = {
	    {.header = "NAME", .min_width = 8},		{.header = "PID", .is_number = true},
	    {.header = "SINCE", .is_number = true},	{.header = "RATE", .is_number = true},
	    {.header = "SNAPSHOTS", .is_number = true}, {.header = "DROPPED", .is_number = true},
	    {.header = "BYTES", .is_number = true},	{.header = "STATE"},
	};
	auto_text_table struct text_table t = {
	    .columns = columns,
	    .n_columns = sizeof(columns) / sizeof(columns[0]),
	};
	struct json_value *s;

	for (size_t i = 0; (s = json_value_item(sessions, i)); i++) {
		add_name(&t, s, with_run);
		add_pid(&t, s);
		add_ago(&t, s, now_unix_s);
		add_rates(&t, s);
		add_short(&t, s, "snapshots", 1000, "kMGTPE");
		add_short(&t, s, "dropped", 1000, "kMGTPE");
		add_short(&t, s, "bytes", 1024, "KMGTPE");
		text_table_add(&t, json_value_text(s, "state"));
	}
	text_table_print(&t, width);
}

/* What is not known of when its threads wait, or NULL. */
static const char *edges_trouble(struct json_value *session)
{
	const char *edges = json_value_text(session, "edges");

	if (edges && strcmp(edges, "coarse") == 0)
		return "waits known to 20 ms only";
	return edges && strcmp(edges, "none") == 0 ? "waits not known" : NULL;
}

/* Whether each line is recorded, and until when; why not, though that was asked for. */
static void print_exact(struct json_value *session, int64_t now_unix_s)
{
	auto_free char *error = shown_of(session, "exact_error");
	auto_free char *name = shown_of(session, "name");
	uint64_t until_s = json_value_count(session, "exact_until_unix_s");
	uint64_t lost = json_value_count(session, "probe_events_lost");
	const char *mode = json_value_text(session, "mode");
	char duration[UNITS_MAX];

	if (json_value_text(session, "exact_error"))
		printf("%s: no exact mode: %s\n", name, error);
	if (!mode || strcmp(mode, "exact") != 0)
		return;
	if (json_value_is(session, "exact_through_shim", true))
		printf("%s: exact mode: its shim tells each line from the next section on", name);
	else
		printf("%s: exact mode: each line is recorded", name);
	if ((int64_t)until_s > now_unix_s) {
		format_duration((until_s - (uint64_t)now_unix_s) * NS_PER_S, "u", duration);
		printf(", for %s more", duration);
	}
	if (!json_value_is(session, "exact_through_shim", true))
		printf("; %llu events so far",
		       (unsigned long long)json_value_count(session, "probe_events"));
	if (lost)
		printf(", %llu lost", (unsigned long long)lost);
	putchar('\n');
}

/* What does not fit into the table: only of sessions that have it. */
static bool has_more(struct json_value *session)
{
	return json_value_count(session, "restarts") || json_value_count(session, "gaps") ||
	       json_value_count(session, "sections") || edges_trouble(session) ||
	       json_value_text(session, "last_error");
}

static void print_more(struct json_value *session)
{
	auto_free char *name = shown_of(session, "name");
	auto_free char *error = shown_of(session, "last_error");
	const char *edges = edges_trouble(session);
	uint64_t restarts = json_value_count(session, "restarts"),
		 gaps = json_value_count(session, "gaps"),
		 sections = json_value_count(session, "sections"),
		 lost = json_value_count(session, "section_records_lost");

	printf("%s:", name);
	if (sections)
		printf(" %llu precise section%s", (unsigned long long)sections,
		       sections == 1 ? "" : "s");
	if (lost)
		printf(", %llu records of them lost", (unsigned long long)lost);
	if (sections && (gaps || restarts || edges || json_value_text(session, "last_error")))
		putchar(gaps || restarts || edges ? ',' : ';');
	if (gaps)
		printf(" %llu gap%s", (unsigned long long)gaps, gaps == 1 ? "" : "s");
	if (restarts)
		printf("%s worker restarted %llu time%s", gaps ? "," : "",
		       (unsigned long long)restarts, restarts == 1 ? "" : "s");
	if (edges)
		printf("%s %s", gaps || restarts ? "," : "", edges);
	if (json_value_text(session, "last_error"))
		printf("%s last error: %s", gaps || restarts || edges ? ";" : "", error);
	putchar('\n');
}

static void print_troubles(struct json_value *sessions)
{
	struct json_value *session;
	bool is_first = true;

	for (size_t i = 0; (session = json_value_item(sessions, i)); i++) {
		if (!has_more(session))
			continue;
		if (is_first)
			putchar('\n');
		is_first = false;
		print_more(session);
	}
}

static void print_not_listed(struct json_value *status, const char *key)
{
	uint64_t n = json_value_count(status, key);

	if (n)
		printf("and %llu more\n", (unsigned long long)n);
}

static void print_sessions(struct json_value *status, int64_t now_unix_s, size_t width)
{
	struct json_value *sessions = json_value_member(status, "sessions");
	const char *run = common_run(sessions);

	if (json_value_length(sessions) == 0) {
		puts("\nNo process is being recorded.");
		return;
	}
	if (run) {
		auto_free char *shown = text_escape(run, strlen(run), "", text_locale_charset());

		printf("  run        %s\n", shown);
	}
	putchar('\n');
	print_session_table(sessions, !run, now_unix_s, width);
	print_not_listed(status, "sessions_not_listed");
	print_troubles(sessions);
	for (size_t i = 0; i < json_value_length(sessions); i++)
		print_exact(json_value_item(sessions, i), now_unix_s);
	status_now_print(status, width);
}

/* --- what is not followed --- */

static void add_user(struct text_table *t, struct json_value *refused)
{
	uint64_t uid = json_value_count(refused, "uid");
	const struct passwd *user = uid < UINT32_MAX ? getpwuid((uid_t)uid) : NULL;
	char number[CELL_MAX];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)uid);
	text_table_add(t, user ? user->pw_name : number);
}

static void print_refused(struct json_value *status, size_t width)
{
	static const struct text_table_column columns[] = {
	    {.header = "PID", .is_number = true},
	    {.header = "USER"},
	    {.header = "TITLE", .min_width = 16},
	    {.header = "NOT FOLLOWED BECAUSE"},
	};
	auto_text_table struct text_table t = {
	    .columns = columns,
	    .n_columns = sizeof(columns) / sizeof(columns[0]),
	};
	struct json_value *refused = json_value_member(status, "refused"), *r;

	if (json_value_length(refused) == 0)
		return;
	for (size_t i = 0; (r = json_value_item(refused, i)); i++) {
		add_pid(&t, r);
		add_user(&t, r);
		text_table_add(&t, json_value_text(r, "title"));
		text_table_add(&t, json_value_text(r, "reason"));
	}
	putchar('\n');
	text_table_print(&t, width);
	print_not_listed(status, "refused_not_listed");
}

void status_print(struct json_value *status, int64_t now_unix_s, size_t width)
{
	print_head(status, now_unix_s);
	print_sessions(status, now_unix_s, width);
	print_refused(status, width);
}

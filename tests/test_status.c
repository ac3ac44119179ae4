/* SPDX-License-Identifier: BSD-3-Clause */
/* The collector's status as JSON, read back with another implementation of it. */
#include "recorder/status.h"

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/control_protocol.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "reader/json_value.h"

static struct json_value *root;
static char *text;
static size_t len;

static void write_status(const struct status *s)
{
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	status_write_json(s, f);
	fclose(f);
	ck_assert_msg(json_value_parse(text, len, &root) == 0, "%s", text);
	ck_assert(json_value_is_object(root));
}

static void setup(void)
{
	root = NULL;
	text = NULL;
}

static void teardown(void)
{
	json_value_free(root);
	free(text);
}

static void assert_text(struct json_value *object, const char *key, const char *expected)
{
	const char *found = json_value_text(object, key);

	ck_assert_msg(found && strcmp(found, expected) == 0, "%s is '%s', not '%s'", key,
		      found ? found : "(none)", expected);
}

static void assert_number(struct json_value *object, const char *key, double expected)
{
	double found = -1;

	ck_assert_msg(json_value_number(object, key, &found) && fabs(found - expected) < 1e-6,
		      "%s is %g, not %g", key, found, expected);
}

static void assert_null(struct json_value *object, const char *key)
{
	ck_assert_msg(json_value_member_is_null(object, key), "%s is not null", key);
}

static const struct status_session busy = {
    .name = "server-main",
    .run = "261124-204711",
    .pid = 4242,
    .title = "walt-server-daemon:server-main",
    .python = "3.11.2",
    .state = STATUS_SESSION_RECORDING,
    .since_unix_s = 1795370000,
    .rate_asked_hz = 5000,
    .rate_allowed_hz = 2500.5,
    .rate_hz = 2480,
    .snapshots = UINT64_C(12345678901),
    .cut = 12,
    .dropped = 3,
    .transitions = 4000000,
    .bytes = 1 << 20,
    .gaps = 2,
    .cpu_percent = 1.25,
    .worker_pid = 813,
    .restarts = 1,
    .edges = "coarse",
    .last_error = "worker 812 was killed by signal 11",
};

static const struct status_refused stranger = {
    .pid = 999,
    .uid = 1000,
    .title = "walt-server-daemon:mine",
    .reason = "user 1000 is not in Users=",
};

static const struct status whole = {
    .version = "0.1.0",
    .pid = 812,
    .since_unix_s = 1795360000,
    .root = "/var/log/walt/trackexec",
    .root_state = STATUS_ROOT_PRESENT,
    .rate_asked_hz = 5000,
    .cpu_budget_percent = 5,
    .cpu_percent = 2.5,
    .rss_bytes = 12 << 20,
    .is_disk_known = true,
    .disk_use_bytes = 1000,
    .max_use_bytes = 4000,
    .free_bytes = 9000,
    .keep_free_bytes = 2000,
    .sessions = &busy,
    .n_sessions = 1,
    .refused = &stranger,
    .n_refused = 1,
};

START_TEST(all_of_the_daemon_is_said)
{
	struct json_value *part;

	write_status(&whole);
	ck_assert(json_value_is(root, "running", true));
	assert_text(root, "version", "0.1.0");
	assert_number(root, "pid", 812);
	assert_number(root, "since_unix_s", 1795360000);
	ck_assert(json_value_is(root, "process_events", true));
	assert_null(root, "process_events_error");
	assert_number(root, "rate_asked_hz", 5000);
	assert_number(root, "cpu_budget_percent", 5);
	assert_number(root, "cpu_percent", 2.5);
	assert_number(root, "rss_bytes", 12 << 20);
	part = json_value_member(root, "root");
	assert_text(part, "path", "/var/log/walt/trackexec");
	assert_text(part, "state", "present");
	assert_null(part, "why");
	part = json_value_member(root, "disk");
	assert_number(part, "use_bytes", 1000);
	assert_number(part, "max_use_bytes", 4000);
	assert_number(part, "free_bytes", 9000);
	assert_number(part, "keep_free_bytes", 2000);
	ck_assert(json_value_is(part, "growth_stopped", false));
	assert_number(root, "sessions_not_listed", 0);
	assert_number(root, "refused_not_listed", 0);
}
END_TEST

START_TEST(all_of_a_session_is_said)
{
	struct json_value *s;

	write_status(&whole);
	ck_assert_uint_eq(json_value_length(json_value_member(root, "sessions")), 1);
	s = json_value_item(json_value_member(root, "sessions"), 0);
	assert_text(s, "name", "server-main");
	assert_text(s, "run", "261124-204711");
	assert_number(s, "pid", 4242);
	assert_text(s, "title", "walt-server-daemon:server-main");
	assert_text(s, "python", "3.11.2");
	assert_text(s, "state", "recording");
	assert_number(s, "since_unix_s", 1795370000);
	assert_number(s, "rate_asked_hz", 5000);
	assert_number(s, "rate_allowed_hz", 2500.5);
	assert_number(s, "rate_hz", 2480);
	ck_assert_uint_eq(json_value_count(s, "snapshots"), UINT64_C(12345678901));
	assert_number(s, "cut", 12);
	assert_number(s, "dropped", 3);
	assert_number(s, "transitions", 4000000);
	assert_number(s, "bytes", 1 << 20);
	assert_number(s, "gaps", 2);
	assert_number(s, "cpu_percent", 1.25);
	assert_number(s, "worker_pid", 813);
	assert_number(s, "restarts", 1);
	assert_text(s, "edges", "coarse");
	assert_text(s, "last_error", "worker 812 was killed by signal 11");
}
END_TEST

START_TEST(who_is_not_followed_is_said)
{
	struct json_value *r;

	write_status(&whole);
	r = json_value_item(json_value_member(root, "refused"), 0);
	assert_number(r, "pid", 999);
	assert_number(r, "uid", 1000);
	assert_text(r, "title", "walt-server-daemon:mine");
	assert_text(r, "reason", "user 1000 is not in Users=");
}
END_TEST

/* Of a daemon that has just been started. */
START_TEST(what_is_not_known_is_null)
{
	const struct status_session fresh = {.name = "a", .cpu_percent = (double)NAN};
	const struct status s = {
	    .version = "0.1.0",
	    .root_state = STATUS_ROOT_REFUSED,
	    .root_why = "it is a link",
	    .events_error = -EPERM,
	    .cpu_percent = (double)NAN,
	    .sessions = &fresh,
	    .n_sessions = 1,
	};
	struct json_value *session;

	write_status(&s);
	assert_text(json_value_member(root, "root"), "state", "refused");
	assert_text(json_value_member(root, "root"), "why", "it is a link");
	ck_assert(json_value_is(root, "process_events", false));
	assert_text(root, "process_events_error", "Operation not permitted");
	assert_null(root, "cpu_percent");
	assert_null(root, "rate_asked_hz");
	assert_null(root, "disk");
	session = json_value_item(json_value_member(root, "sessions"), 0);
	assert_text(session, "state", "starting");
	assert_null(session, "run");
	assert_null(session, "python");
	assert_null(session, "rate_asked_hz");
	assert_null(session, "rate_allowed_hz");
	assert_number(session, "rate_hz", 0);
	assert_null(session, "cpu_percent");
	assert_null(session, "worker_pid");
	assert_null(session, "last_error");
	ck_assert_uint_eq(json_value_length(json_value_member(root, "refused")), 0);
}
END_TEST

START_TEST(a_disk_that_was_not_looked_at_is_not_empty)
{
	struct status s = whole;
	struct json_value *disk;

	s.is_disk_known = false;
	s.disk_use_bytes = s.free_bytes = 0;
	write_status(&s);
	disk = json_value_member(root, "disk");
	assert_null(disk, "use_bytes");
	assert_null(disk, "free_bytes");
	assert_number(disk, "max_use_bytes", 4000);
}
END_TEST

/* Nothing in it moves a cursor, also when it is printed as it is. */
START_TEST(foreign_text_is_made_safe)
{
	const struct status_refused r = {
	    .title = "a\x1b[2J\n\"\\\xff\x7f\xc2\x9b"
		     "1m\xe2\x80\xae",
	    .reason = "",
	};
	const struct status s = {.version = "", .refused = &r, .n_refused = 1};
	struct json_value *found;

	write_status(&s);
	found = json_value_item(json_value_member(root, "refused"), 0);
	assert_text(found, "title",
		    "a\x1b[2J\n\"\\\xef\xbf\xbd\x7f\xc2\x9b"
		    "1m\xe2\x80\xae");
	for (size_t n, i = 0; i < len; i += n) {
		uint32_t c = 0;

		n = text_utf8_char(text + i, len - i, &c);
		ck_assert_uint_gt(n, 0);
		ck_assert_msg(c == '\n' || !text_is_control(c), "U+%04x", (unsigned)c);
	}
}
END_TEST

START_TEST(long_texts_are_cut_between_characters)
{
	const size_t whole_len = STATUS_TEXT_MAX - STATUS_TEXT_MAX % 3;
	char title[3 * STATUS_TEXT_MAX];
	const struct status_refused r = {.title = title, .reason = title + 1};
	const struct status s = {.version = "", .refused = &r, .n_refused = 1};
	struct json_value *found;

	/* U+20AC again and again. */
	for (size_t i = 0; i < sizeof(title); i++)
		title[i] = "\xe2\x82\xac"[i % 3];
	title[sizeof(title) - 1] = '\0';
	write_status(&s);
	found = json_value_item(json_value_member(root, "refused"), 0);
	ck_assert_uint_eq(strlen(json_value_text(found, "title")), whole_len);
	ck_assert_int_eq(strncmp(json_value_text(found, "title"), title, whole_len), 0);
	ck_assert_ptr_null(strstr(json_value_text(found, "title"), "\xef\xbf\xbd"));
}
END_TEST

/* The worst that can be said: what is left out is counted, and a client takes the rest. */
START_TEST(the_largest_status_is_small_enough)
{
	const size_t n_sessions = STATUS_SESSIONS_MAX + 10, n_refused = STATUS_REFUSED_MAX + 5;
	auto_free struct status_session *sessions = xcalloc(n_sessions, sizeof(*sessions));
	auto_free struct status_refused *refused = xcalloc(n_refused, sizeof(*refused));
	char worst[STATUS_TEXT_MAX + 100];
	struct status s = {
	    .version = worst,
	    .root = worst,
	    .root_why = worst,
	    .sessions = sessions,
	    .n_sessions = n_sessions,
	    .refused = refused,
	    .n_refused = n_refused,
	};

	memset(worst, 1, sizeof(worst) - 1);
	worst[sizeof(worst) - 1] = '\0';
	for (size_t i = 0; i < n_sessions; i++)
		sessions[i] = (struct status_session){
		    .name = worst,
		    .run = worst,
		    .title = worst,
		    .python = worst,
		    .last_error = worst,
		    .pid = INT32_MIN,
		    .since_unix_s = INT64_MIN,
		    .snapshots = UINT64_MAX,
		    .cut = UINT64_MAX,
		    .dropped = UINT64_MAX,
		    .transitions = UINT64_MAX,
		    .bytes = UINT64_MAX,
		    .gaps = UINT64_MAX,
		    .worker_pid = INT32_MIN,
		};
	for (size_t i = 0; i < n_refused; i++)
		refused[i] = (struct status_refused){.title = worst, .reason = worst};
	write_status(&s);
	ck_assert_uint_le(len, CONTROL_ANSWER_MAX);
	ck_assert_uint_eq(json_value_length(json_value_member(root, "sessions")),
			  STATUS_SESSIONS_MAX);
	assert_number(root, "sessions_not_listed", 10);
	ck_assert_uint_eq(json_value_length(json_value_member(root, "refused")),
			  STATUS_REFUSED_MAX);
	assert_number(root, "refused_not_listed", 5);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("status");
	TCase *tc = tcase_create("status");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, all_of_the_daemon_is_said);
	tcase_add_test(tc, all_of_a_session_is_said);
	tcase_add_test(tc, who_is_not_followed_is_said);
	tcase_add_test(tc, what_is_not_known_is_null);
	tcase_add_test(tc, a_disk_that_was_not_looked_at_is_not_empty);
	tcase_add_test(tc, foreign_text_is_made_safe);
	tcase_add_test(tc, long_texts_are_cut_between_characters);
	tcase_add_test(tc, the_largest_status_is_small_enough);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

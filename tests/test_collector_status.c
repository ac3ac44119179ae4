/* SPDX-License-Identifier: BSD-3-Clause */
/* What a collector in different states says of itself, as the answer to a request. */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "reader/json_value.h"
#include "recorder/target/identity.h"
#include "tests/support/collector_scene.h"
#include "tests/support/fake_worker.h"
#include "tests/support/log_capture.h"

#define CONFIG	    "[Target]\nTitle=t:*\nRate=800\n[Storage]\nMaxUse=1G\nKeepFree=0\n"
#define PATIENCE_NS (20 * NS_PER_S)

static struct collector_scene scene;
static struct json_value *root;
static pid_t target;

static void setup(void)
{
	log_capture_begin();
	collector_scene_begin(&scene, CONFIG);
	target = fork();
	if (target == 0) {
		for (;;)
			pause();
	}
	ck_assert_int_gt(target, 0);
	root = NULL;
}

static void teardown(void)
{
	json_value_free(root);
	kill(target, SIGKILL);
	collector_scene_end(&scene);
}

static void ask(void)
{
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	json_value_free(root);
	root = NULL;
	ck_assert_int_eq(collector_on_request(&scene.c, "status", f), 0);
	fclose(f);
	ck_assert_int_eq(json_value_parse(text, len, &root), 0);
}

static void assert_text(struct json_value *object, const char *key, const char *expected)
{
	const char *text = json_value_text(object, key);

	ck_assert_msg(text && strcmp(text, expected) == 0, "%s is %s, not %s", key,
		      text ? text : "no text", expected);
}

static struct json_value *member(const char *key)
{
	return json_value_member(root, key);
}

/* Only root's processes are followed here. */
static bool can_record(const char *test)
{
	if (geteuid() == 0)
		return true;
	printf("%s: skipped, needs root\n", test);
	return false;
}

static void begin_session(const char *title)
{
	auto_identity struct identity id = IDENTITY_NONE;
	struct discover_process p = {
	    .pid = target,
	    .parent_pid = getpid(),
	    .title = title,
	    .title_len = strlen(title),
	};

	ck_assert_int_eq(identity_open(target, &id), 0);
	p.start_ticks = id.start_ticks;
	collector_discover_callbacks.on_candidate(&scene.c, &p);
	ck_assert_uint_eq(scene.c.n_recorded, 1);
}

/* Until the only session is said to be in that state; its description. */
static struct json_value *wait_for_session(const char *state)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct json_value *session;
	const char *now;

	do {
		collector_scene_turn(&scene);
		ask();
		session = json_value_item(member("sessions"), 0);
		now = json_value_text(session, "state");
		ck_assert_ptr_nonnull(now);
	} while (strcmp(now, state) != 0 && clock_monotonic_ns() < end_ns);
	assert_text(session, "state", state);
	return session;
}

START_TEST(other_requests_are_not_known)
{
	auto_fclose FILE *f = tmpfile();

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(collector_on_request(&scene.c, "stop", f), -EOPNOTSUPP);
	ck_assert_int_eq(collector_on_request(&scene.c, "", f), -EOPNOTSUPP);
	ck_assert_int_eq(ftell(f), 0);
}
END_TEST

START_TEST(the_root_is_present_refused_or_absent)
{
	ask();
	assert_text(member("root"), "state", "present");
	assert_text(member("root"), "path", scene.root);
	scene.c.root_fd = -1;
	ask();
	assert_text(member("root"), "state", "absent");
	ck_assert(json_value_member_is_null(root, "disk"));
	scene.c.root_why = xstrdup("it is a symbolic link");
	ask();
	assert_text(member("root"), "state", "refused");
	assert_text(member("root"), "why", "it is a symbolic link");
}
END_TEST

START_TEST(it_says_what_it_costs)
{
	ask();
	ck_assert_uint_eq(json_value_count(root, "pid"), (uint64_t)getpid());
	ck_assert_uint_gt(json_value_count(root, "rss_bytes"), 100000);
	/* After the first tick only. */
	ck_assert(json_value_member_is_null(root, "cpu_percent"));
	collector_tick(&scene.c);
	ask();
	ck_assert(!json_value_member_is_null(root, "cpu_percent"));
}
END_TEST

START_TEST(the_disk_is_not_known_until_it_was_looked_at)
{
	const struct retention_limits limits = {0};
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	double bytes;

	ask();
	ck_assert(json_value_member_is_null(member("disk"), "use_bytes"));
	ck_assert_uint_eq(json_value_count(member("disk"), "max_use_bytes"), UINT64_C(1) << 30);
	ck_assert(json_value_member_is_null(member("disk"), "keep_free_bytes"));
	storage_start(scene.c.storage, scene.root_fd, &limits);
	do {
		collector_scene_turn(&scene);
		ask();
	} while (json_value_member_is_null(member("disk"), "use_bytes") &&
		 clock_monotonic_ns() < end_ns);
	ck_assert(json_value_number(member("disk"), "use_bytes", &bytes));
	ck_assert_uint_gt(json_value_count(member("disk"), "free_bytes"), 0);
	ck_assert(json_value_is(member("disk"), "growth_stopped", false));
}
END_TEST

START_TEST(a_session_is_told_from_its_start_to_its_end)
{
	struct json_value *s;
	double rate_hz;

	if (!can_record("a_session_is_told_from_its_start_to_its_end"))
		return;
	begin_session("t:good");
	ask();
	s = json_value_item(member("sessions"), 0);
	assert_text(s, "state", "starting");
	ck_assert(json_value_member_is_null(s, "run"));
	ck_assert(json_value_member_is_null(s, "python"));
	ck_assert(json_value_member_is_null(s, "worker_pid"));
	s = wait_for_session("recording");
	assert_text(s, "name", "good");
	assert_text(s, "title", "t:good");
	assert_text(s, "python", FAKE_PYTHON);
	ck_assert_ptr_nonnull(json_value_text(s, "run"));
	ck_assert_uint_eq(json_value_count(s, "pid"), (uint64_t)target);
	ck_assert_uint_gt(json_value_count(s, "worker_pid"), 0);
	ck_assert(json_value_number(s, "rate_asked_hz", &rate_hz) && rate_hz == 800);
	ck_assert(json_value_member_is_null(s, "last_error"));
	collector_stop_all(&scene.c, "enough");
	wait_for_session("ending");
}
END_TEST

START_TEST(why_a_session_waits_is_told)
{
	struct json_value *s;

	if (!can_record("why_a_session_waits_is_told"))
		return;
	begin_session("t:full");
	s = wait_for_session("waiting");
	assert_text(s, "last_error", "cannot create the trace: No space left on device");
	ck_assert_uint_ge(json_value_count(s, "restarts"), 1);
}
END_TEST

START_TEST(who_is_not_followed_is_told_with_the_reason)
{
	const struct discover_process p = {
	    .pid = target, .uids = {.real = 4711}, .title = "t:x\x1b[2J", .title_len = 8};
	struct json_value *r;

	collector_discover_callbacks.on_refused(&scene.c, &p, "it is a child of one");
	ask();
	ck_assert_uint_eq(json_value_length(member("refused")), 1);
	r = json_value_item(member("refused"), 0);
	ck_assert_uint_eq(json_value_count(r, "pid"), (uint64_t)target);
	ck_assert_uint_eq(json_value_count(r, "uid"), 4711);
	assert_text(r, "reason", "it is a child of one");
	ck_assert_ptr_null(strchr(json_value_text(r, "title"), '\x1b'));
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tc;
	SRunner *runner;
	int failed = fake_worker_main(argc, argv);

	if (failed >= 0)
		return failed;
	suite = suite_create("collector_status");
	tc = tcase_create("collector_status");
	runner = srunner_create(suite);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, other_requests_are_not_known);
	tcase_add_test(tc, the_root_is_present_refused_or_absent);
	tcase_add_test(tc, it_says_what_it_costs);
	tcase_add_test(tc, the_disk_is_not_known_until_it_was_looked_at);
	tcase_add_test(tc, a_session_is_told_from_its_start_to_its_end);
	tcase_add_test(tc, why_a_session_waits_is_told);
	tcase_add_test(tc, who_is_not_followed_is_told_with_the_reason);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

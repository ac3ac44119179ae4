/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is recorded and who is not, with what discovery has found said by the test. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "recorder/target/identity.h"
#include "tests/support/collector_scene.h"
#include "tests/support/fake_worker.h"
#include "tests/support/log_capture.h"

#define CONFIG	    "[Target]\nTitle=t:*\nUsers=4711\nRate=800\nPackages=a b\n"
#define PATIENCE_NS (20 * NS_PER_S)
/* No process of any machine: beyond the largest PID_MAX. */
#define NO_PID 5000000
#define THEIRS 4711
#define OTHERS 4712

static struct collector_scene scene;
static pid_t target;
static uint64_t start_ticks;

static void setup(void)
{
	auto_identity struct identity id = IDENTITY_NONE;

	log_capture_begin();
	collector_scene_begin(&scene, CONFIG);
	target = fork();
	if (target == 0) {
		for (;;)
			pause();
	}
	ck_assert_int_eq(identity_open(target, &id), 0);
	start_ticks = id.start_ticks;
}

static void teardown(void)
{
	kill(target, SIGKILL);
	collector_scene_end(&scene);
}

/* Only root's processes are followed here. */
static bool can_record(const char *test)
{
	if (geteuid() == 0)
		return true;
	printf("%s: skipped, needs root\n", test);
	return false;
}

static struct discover_process process(pid_t pid, const char *title, uid_t uid)
{
	return (struct discover_process){
	    .pid = pid,
	    .start_ticks = pid == target ? start_ticks : 1,
	    .parent_pid = getpid(),
	    .uids = {.real = uid, .effective = uid, .saved = uid, .fs = uid},
	    .title = title,
	    .title_len = strlen(title),
	};
}

static void found(const struct discover_process *p)
{
	collector_discover_callbacks.on_candidate(&scene.c, p);
}

/* The target of this test, by root or whoever runs it. */
static void found_target(const char *title)
{
	const struct discover_process p = process(target, title, 0);

	found(&p);
}

static void refused(pid_t pid, const char *title, const char *reason)
{
	const struct discover_process p = process(pid, title, 0);

	collector_discover_callbacks.on_refused(&scene.c, &p, reason);
}

static struct session_status status_of(size_t i)
{
	struct session_status s;

	ck_assert_uint_lt(i, scene.c.n_recorded);
	session_get_status(scene.c.recorded[i].session, &s);
	return s;
}

static void wait_for_state(size_t i, enum session_state state)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;

	while (status_of(i).state != state && clock_monotonic_ns() < end_ns)
		collector_scene_turn(&scene);
	ck_assert_msg(status_of(i).state == state, "it is %s: %s",
		      session_state_name(status_of(i).state), log_capture_text());
}

/* --- who is --- */

START_TEST(a_candidate_gets_a_session_as_configured)
{
	struct session_status s;

	found_target("t:good");
	ck_assert_uint_eq(scene.c.n_recorded, 1);
	s = status_of(0);
	ck_assert_int_eq(s.pid, target);
	ck_assert_str_eq(s.name, "good");
	ck_assert_str_eq(s.title, "t:good");
	ck_assert_double_eq(s.rate_asked_hz, 800);
	ck_assert_double_le(s.rate_allowed_hz, 800);
	ck_assert_double_gt(s.rate_allowed_hz, 0);
}
END_TEST

START_TEST(told_again_it_is_the_same_session)
{
	found_target("t:good");
	found_target("t:good");
	ck_assert_uint_eq(scene.c.n_recorded, 1);
	ck_assert_int_ne(status_of(0).state, SESSION_ENDING);
}
END_TEST

START_TEST(one_that_is_renamed_gets_another_session)
{
	if (!can_record("one_that_is_renamed_gets_another_session"))
		return;
	found_target("t:good");
	wait_for_state(0, SESSION_RECORDING);
	found_target("t:good-2");
	ck_assert_uint_eq(scene.c.n_recorded, 2);
	ck_assert_int_ge(status_of(0).state, SESSION_ENDING);
	ck_assert_str_eq(status_of(1).name, "good-2");
	wait_for_state(0, SESSION_OVER);
}
END_TEST

START_TEST(who_looks_like_nothing_is_no_target)
{
	found_target("something else");
	ck_assert_uint_eq(scene.c.n_recorded, 0);
	ck_assert_uint_eq(scene.c.n_refused, 0);
}
END_TEST

/* --- who is not --- */

START_TEST(a_name_that_no_folder_can_have_is_refused)
{
	found_target("t:../../etc");
	ck_assert_uint_eq(scene.c.n_recorded, 0);
	ck_assert_uint_eq(scene.c.n_refused, 1);
	ck_assert_int_eq(scene.c.refused[0].pid, target);
	ck_assert_ptr_nonnull(strstr(scene.c.refused[0].reason, "no folder can have the name"));
}
END_TEST

START_TEST(any_of_its_users_must_be_followed)
{
	struct discover_process p = process(target, "t:good", THEIRS);
	uid_t *const users[] = {&p.uids.real, &p.uids.effective, &p.uids.saved, &p.uids.fs};

	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		*users[i] = OTHERS;
		found(&p);
		*users[i] = THEIRS;
		ck_assert_uint_eq(scene.c.n_recorded, 0);
		ck_assert_uint_eq(scene.c.n_refused, 1);
		ck_assert_ptr_nonnull(strstr(scene.c.refused[0].reason, "Users="));
	}
	found(&p);
	ck_assert_uint_eq(scene.c.n_recorded, 1);
	/* It is among those who are followed now. */
	ck_assert_uint_eq(scene.c.n_refused, 0);
}
END_TEST

START_TEST(a_target_that_becomes_another_user_is_given_up)
{
	const struct discover_process p = process(target, "t:good", OTHERS);

	found_target("t:good");
	found(&p);
	ck_assert_int_ge(status_of(0).state, SESSION_ENDING);
	ck_assert_uint_eq(scene.c.n_refused, 1);
}
END_TEST

START_TEST(users_that_are_followed_are_known)
{
	ck_assert(collector_discover_callbacks.is_user_followed(&scene.c, 0));
	ck_assert(collector_discover_callbacks.is_user_followed(&scene.c, THEIRS));
	ck_assert(!collector_discover_callbacks.is_user_followed(&scene.c, OTHERS));
}
END_TEST

START_TEST(credentials_are_checked_by_the_configuration_of_now)
{
	struct credentials c = {.euid = THEIRS, .fsuid = THEIRS};
	const struct session *s;

	found_target("t:good");
	s = scene.c.recorded[0].session;
	ck_assert(collector_is_allowed(&scene.c, s, &c));
	c.fsuid = OTHERS;
	ck_assert(!collector_is_allowed(&scene.c, s, &c));
	c = (struct credentials){.euid = OTHERS, .fsuid = THEIRS};
	ck_assert(!collector_is_allowed(&scene.c, s, &c));
	c.euid = THEIRS;
	collector_scene_configure(&scene, "[Target]\nTitle=t:*\n");
	ck_assert(!collector_is_allowed(&scene.c, s, &c));
	collector_scene_configure(&scene, "[Target]\nTitle=other:*\nUsers=4711\n");
	ck_assert(!collector_is_allowed(&scene.c, s, &c));
}
END_TEST

/* --- what is remembered of those who are not --- */

START_TEST(a_refusal_is_told_once)
{
	refused(NO_PID, "t:x", "it is a child");
	refused(NO_PID, "t:x", "it is a child");
	ck_assert_uint_eq(scene.c.n_refused, 1);
	ck_assert_uint_eq(log_capture_count("is not followed"), 1);
	refused(NO_PID, "t:x", "something else");
	ck_assert_uint_eq(scene.c.n_refused, 1);
	ck_assert_str_eq(scene.c.refused[0].reason, "something else");
	refused(NO_PID, "t:y", "something else");
	ck_assert_uint_eq(scene.c.n_refused, 1);
	ck_assert_uint_eq(log_capture_count("is not followed"), 3);
}
END_TEST

START_TEST(titles_are_kept_without_commands_for_terminals)
{
	refused(NO_PID, "t:\x1b[2J\n\xff", "it is a child");
	ck_assert_ptr_null(strchr(scene.c.refused[0].title, '\x1b'));
	ck_assert_ptr_null(strchr(scene.c.refused[0].title, '\n'));
	ck_assert_ptr_null(strchr(log_capture_text(), '\x1b'));
}
END_TEST

START_TEST(of_many_the_oldest_are_forgotten)
{
	for (int i = 0; i < REFUSED_MAX + 10; i++)
		refused(NO_PID + i, "t:x", "it is a child");
	ck_assert_uint_eq(scene.c.n_refused, REFUSED_MAX);
	ck_assert_int_eq(scene.c.refused[0].pid, NO_PID + 10);
	ck_assert_int_eq(scene.c.refused[REFUSED_MAX - 1].pid, NO_PID + REFUSED_MAX + 9);
}
END_TEST

START_TEST(who_has_ended_is_forgotten)
{
	refused(NO_PID, "t:x", "it is a child");
	refused(getpid(), "t:y", "it is a child");
	refused(NO_PID + 1, "t:z", "it is a child");
	collector_tick(&scene.c);
	ck_assert_uint_eq(scene.c.n_refused, 1);
	ck_assert_int_eq(scene.c.refused[0].pid, getpid());
}
END_TEST

/* --- changes --- */

START_TEST(a_new_configuration_stops_what_is_not_its_own)
{
	if (!can_record("a_new_configuration_stops_what_is_not_its_own"))
		return;
	found_target("t:good");
	wait_for_state(0, SESSION_RECORDING);
	refused(getpid(), "t:y", "it is a child");
	collector_scene_configure(&scene, CONFIG "Rate=200\n");
	collector_apply_targets(&scene.c);
	ck_assert_int_eq(status_of(0).state, SESSION_RECORDING);
	ck_assert_double_eq(status_of(0).rate_asked_hz, 200);
	/* All is told anew. */
	ck_assert_uint_eq(scene.c.n_refused, 0);
	collector_scene_configure(&scene, "[Target]\nTitle=t:*\nPackages=a\n");
	collector_apply_targets(&scene.c);
	ck_assert_int_ge(status_of(0).state, SESSION_ENDING);
	wait_for_state(0, SESSION_OVER);
}
END_TEST

START_TEST(a_session_is_found_by_its_trace)
{
	struct session_status s;

	if (!can_record("a_session_is_found_by_its_trace"))
		return;
	found_target("t:good");
	wait_for_state(0, SESSION_RECORDING);
	s = status_of(0);
	ck_assert_ptr_eq(collector_find(&scene.c, s.run, "good"), &scene.c.recorded[0]);
	ck_assert_ptr_null(collector_find(&scene.c, s.run, "other"));
	ck_assert_ptr_null(collector_find(&scene.c, "261122-181900", "good"));
	collector_stop_all(&scene.c, "enough");
	wait_for_state(0, SESSION_OVER);
	ck_assert_ptr_null(collector_find(&scene.c, s.run, "good"));
	ck_assert_uint_eq(scene.n_over, 1);
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
	suite = suite_create("collector_targets");
	tc = tcase_create("collector_targets");
	runner = srunner_create(suite);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_candidate_gets_a_session_as_configured);
	tcase_add_test(tc, told_again_it_is_the_same_session);
	tcase_add_test(tc, one_that_is_renamed_gets_another_session);
	tcase_add_test(tc, who_looks_like_nothing_is_no_target);
	tcase_add_test(tc, a_name_that_no_folder_can_have_is_refused);
	tcase_add_test(tc, any_of_its_users_must_be_followed);
	tcase_add_test(tc, a_target_that_becomes_another_user_is_given_up);
	tcase_add_test(tc, users_that_are_followed_are_known);
	tcase_add_test(tc, credentials_are_checked_by_the_configuration_of_now);
	tcase_add_test(tc, a_refusal_is_told_once);
	tcase_add_test(tc, titles_are_kept_without_commands_for_terminals);
	tcase_add_test(tc, of_many_the_oldest_are_forgotten);
	tcase_add_test(tc, who_has_ended_is_forgotten);
	tcase_add_test(tc, a_new_configuration_stops_what_is_not_its_own);
	tcase_add_test(tc, a_session_is_found_by_its_trace);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

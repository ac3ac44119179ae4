/* SPDX-License-Identifier: BSD-3-Clause */
/* Which target a process belongs to, and who may be followed: config_match.c. */
#include "recorder/config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

/* Parse what must be good. The caller frees. */
static struct collector_config *good(const char *text)
{
	auto_config_errors struct config_errors errors = {0};
	struct collector_config *c = NULL;
	int r = collector_config_parse("f", text, strlen(text), &c, &errors);

	ck_assert_msg(r == 0, "%s", errors.n ? errors.lines[0] : "no reason");
	ck_assert_uint_eq(errors.n, 0);
	return c;
}

START_TEST(root_and_the_users_named_are_allowed)
{
	auto_collector_config struct collector_config *c =
	    good("[Target]\nUsers=daemon 4711\n[Target x]\nCommand=x\n");
	const struct target_config *x = &c->targets[0], *walt = &c->targets[1];

	ck_assert(config_user_is_allowed(walt, 0));
	ck_assert(config_user_is_allowed(walt, 1));
	ck_assert(config_user_is_allowed(walt, 4711));
	ck_assert(!config_user_is_allowed(walt, 2));
	ck_assert(config_user_is_allowed(x, 0));
	ck_assert(!config_user_is_allowed(x, 1));
}
END_TEST

/* What config_match() says of a title that is a string literal. */
#define MATCH(c, title, target, name) \
	config_match(c, title, sizeof(title) - 1, target, name, sizeof(name))

START_TEST(titles_give_names)
{
	auto_collector_config struct collector_config *c = good("");
	const struct target_config *t = NULL;
	char name[TRACE_NAME_MAX + 1] = "old";

	ck_assert_int_eq(MATCH(c, "walt-server-daemon:server-main", &t, name), 1);
	ck_assert_ptr_eq(t, &c->targets[0]);
	ck_assert_str_eq(name, "server-main");
	ck_assert_int_eq(MATCH(c, "walt-server-daemon:db\0\0\0\0 ", &t, name), 1);
	ck_assert_str_eq(name, "db");
	ck_assert_int_eq(MATCH(c, "walt-server-daemon:a\0b", &t, name), 1);
	ck_assert_str_eq(name, "a b");
	t = NULL;
	ck_assert_int_eq(MATCH(c, "walt-server-daemon", &t, name), 0);
	ck_assert_int_eq(MATCH(c, "/usr/bin/walt-server-daemon:x", &t, name), 0);
	ck_assert_int_eq(MATCH(c, "python3\0walt-server-daemon:x", &t, name), 0);
	ck_assert_int_eq(MATCH(c, "", &t, name), 0);
	ck_assert_int_eq(MATCH(c, "\0\0", &t, name), 0);
	ck_assert_ptr_null(t);
	ck_assert_str_eq(name, "a b");
}
END_TEST

START_TEST(a_title_that_asks_for_a_bad_name_is_told)
{
	static const char *const titles[] = {
	    "walt-server-daemon:",	    "walt-server-daemon:../../etc",
	    "walt-server-daemon:.",	    "walt-server-daemon:a/b",
	    "walt-server-daemon:-x",	    "walt-server-daemon: x",
	    "walt-server-daemon:a\nb",	    "walt-server-daemon:a\x7f",
	    "walt-server-daemon:a\xff",	    "walt-server-daemon:.hidden",
	    "walt-server-daemon:a\x1b[31m",
	};
	auto_collector_config struct collector_config *c = good("");
	char name[TRACE_NAME_MAX + 1] = "old";

	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
		const struct target_config *t = NULL;

		ck_assert_msg(config_match(c, titles[i], strlen(titles[i]), &t, name,
					   sizeof(name)) == -EINVAL,
			      "%s", titles[i]);
		ck_assert_ptr_eq(t, &c->targets[0]);
	}
	ck_assert_str_eq(name, "old");
}
END_TEST

/* Without a NUL. */
static void overwrite(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
}

START_TEST(a_long_title_is_not_cut_to_a_good_name)
{
	auto_collector_config struct collector_config *c =
	    good("[Target x]\nTitle=x:*end\n[Target y]\nCommand=*needle*\n");
	size_t len = CONFIG_TITLE_MAX + 100;
	auto_free char *title = xmalloc(len);
	const struct target_config *t = NULL;
	char name[TRACE_NAME_MAX + 1];

	memset(title, 'a', len);
	overwrite(title, "walt-server-daemon:");
	ck_assert_int_eq(config_match(c, title, 19 + TRACE_NAME_MAX, &t, name, sizeof(name)), 1);
	ck_assert_uint_eq(strlen(name), TRACE_NAME_MAX);
	ck_assert_int_eq(config_match(c, title, 20 + TRACE_NAME_MAX, &t, name, sizeof(name)),
			 -EINVAL);
	ck_assert_int_eq(config_match(c, title, len, &t, name, sizeof(name)), -EINVAL);
	overwrite(title, "x:");
	overwrite(title + len - 3, "end");
	ck_assert_int_eq(config_match(c, title, len, &t, name, sizeof(name)), 0);
	overwrite(title + CONFIG_TITLE_MAX - 3, "needle");
	ck_assert_int_eq(config_match(c, title, len, &t, name, sizeof(name)), 0);
	overwrite(title + CONFIG_TITLE_MAX - 6, "needle");
	ck_assert_int_eq(config_match(c, title, len, &t, name, sizeof(name)), 1);
	ck_assert_str_eq(name, "y");
}
END_TEST

START_TEST(titles_and_commands_of_other_services_match)
{
	auto_collector_config struct collector_config *c =
	    good("[Target main]\nTitle=walt-server-daemon:server-main\n"
		 "[Target web]\nCommand=*/python3 /opt/web/*.py --port=[0-9]*\n"
		 "[Target db]\nTitle=db: writer\nName=writer\n"
		 "[Target pool]\nTitle=pool worker <*>\n");
	const struct target_config *t;
	char name[TRACE_NAME_MAX + 1];

	/* What is more special than WALT's own target comes first. */
	ck_assert_int_eq(MATCH(c, "walt-server-daemon:server-main", &t, name), 1);
	ck_assert_str_eq(t->section, "main");
	ck_assert_str_eq(name, "main");
	ck_assert_int_eq(MATCH(c, "walt-server-daemon:server-db", &t, name), 1);
	ck_assert_ptr_null(t->section);
	ck_assert_int_eq(MATCH(c, "/usr/bin/python3\0/opt/web/a/b.py\0--port=80\0-v\0", &t, name),
			 1);
	ck_assert_str_eq(name, "web");
	ck_assert_int_eq(MATCH(c, "/usr/bin/python3\0/opt/web/a.py\0--port=x", &t, name), 0);
	ck_assert_int_eq(MATCH(c, "db: writer\0", &t, name), 1);
	ck_assert_str_eq(name, "writer");
	ck_assert_int_eq(MATCH(c, "db: writer 2", &t, name), 0);
	ck_assert_int_eq(MATCH(c, "pool worker <7>", &t, name), 1);
	ck_assert_str_eq(name, "7");
	ck_assert_int_eq(MATCH(c, "pool worker <", &t, name), 0);
	ck_assert_int_eq(MATCH(c, "pool worker <>", &t, name), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_match");
	TCase *tc = tcase_create("config_match");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, root_and_the_users_named_are_allowed);
	tcase_add_test(tc, titles_give_names);
	tcase_add_test(tc, a_title_that_asks_for_a_bad_name_is_told);
	tcase_add_test(tc, a_long_title_is_not_cut_to_a_good_name);
	tcase_add_test(tc, titles_and_commands_of_other_services_match);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

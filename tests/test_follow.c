/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/follow.h"

#include <check.h>

static bool in_walt(const char *file, const char *function)
{
	static const char *const packages[] = {"walt", NULL};

	return follow_file(FOLLOW_PACKAGES, packages, file, function);
}

START_TEST(a_package_is_a_folder_of_that_name)
{
	ck_assert(in_walt("/usr/lib/python3/dist-packages/walt/server/main.py", "run"));
	ck_assert(in_walt("/opt/venv/lib/python3.11/site-packages/walt/common/tools.py", "f"));
	ck_assert(in_walt("walt/main.py", "f"));
	ck_assert(in_walt("/srv/walt.py", "f")); /* a module of that name */
	ck_assert(!in_walt("/srv/waltz/main.py", "f"));
	ck_assert(!in_walt("/srv/my_walt/main.py", "f"));
	ck_assert(!in_walt("/srv/main.py", "f"));
	ck_assert(!in_walt("/srv/walt", "f"));
	ck_assert(!in_walt("/srv/walt/", "f"));
	ck_assert(!in_walt("", "f"));
	ck_assert(!in_walt("<string>", "f"));
}
END_TEST

/* A project folder may be called like the package. */
START_TEST(what_follows_a_package_can_be_imported)
{
	ck_assert(!in_walt("/home/walt/my-project/main.py", "f"));
	ck_assert(!in_walt("/home/walt/2024/main.py", "f"));
	ck_assert(!in_walt("/home/walt/.venv/lib/x.py", "f"));
	ck_assert(in_walt("/home/walt/my-project/walt/main.py", "f"));
	ck_assert(in_walt("/srv/walt/na\xc3\xafve/main.py", "f"));
}
END_TEST

START_TEST(module_code_of_a_package_is_not_followed)
{
	ck_assert(!in_walt("/srv/walt/main.py", "<module>"));
	ck_assert(in_walt("/srv/walt/main.py", "<lambda>"));
}
END_TEST

START_TEST(packages_may_be_several_and_dotted)
{
	static const char *const packages[] = {"walt.server", "spam", NULL};

	ck_assert(follow_file(FOLLOW_PACKAGES, packages, "/x/walt/server/a.py", "f"));
	ck_assert(follow_file(FOLLOW_PACKAGES, packages, "/x/walt/server.py", "f"));
	ck_assert(!follow_file(FOLLOW_PACKAGES, packages, "/x/walt/client/a.py", "f"));
	ck_assert(follow_file(FOLLOW_PACKAGES, packages, "/x/spam/a.py", "f"));
}
END_TEST

START_TEST(own_code_is_what_is_not_installed)
{
	static const char *const own[] = {
	    "/home/user/app.py",
	    "app.py",
	    "<string>",
	    "<stdin>",
	    "/srv/lib/python/app.py",
	    "/home/user/lib/app.py",
	    "/srv/app.zip/app.py",
	    "",
	    "/srv/lib/python3-tools/a.py",
	};
	static const char *const installed[] = {
	    "/usr/lib/python3.11/json/decoder.py",
	    "/usr/lib64/python3.12/json/decoder.py",
	    "/opt/x/lib/python3.13/threading.py",
	    "/usr/lib/python311.zip/threading.py",
	    "/usr/lib/python3/dist-packages/yaml/loader.py",
	    "/opt/venv/lib/python3.11/site-packages/yaml/loader.py",
	    "<frozen importlib._bootstrap>",
	    "<frozen runpy>",
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		ck_assert_msg(follow_file(FOLLOW_OWN, NULL, own[i], "<module>"), "%s", own[i]);
	for (size_t i = 0; i < sizeof(installed) / sizeof(installed[0]); i++)
		ck_assert_msg(!follow_file(FOLLOW_OWN, NULL, installed[i], "f"), "%s",
			      installed[i]);
}
END_TEST

START_TEST(the_shim_is_not_followed)
{
	static const char *const packages[] = {"walt", NULL};
	static const char shim[] = "/usr/lib/python3/dist-packages/walt/server/trackexec.py";

	ck_assert(!follow_file(FOLLOW_PACKAGES, packages, shim, "precise_timestamping"));
	ck_assert(!follow_file(FOLLOW_ALL, NULL, shim, "precise_timestamping"));
	ck_assert(follow_file(FOLLOW_PACKAGES, packages, "/opt/walt/trackexec.py", "f"));
	ck_assert(follow_file(FOLLOW_PACKAGES, packages, "/opt/walt/server/my_trackexec.py", "f"));
}
END_TEST

START_TEST(all_is_all_but_the_frozen_importlib)
{
	ck_assert(follow_file(FOLLOW_ALL, NULL, "/usr/lib/python3.11/json/decoder.py", "<module>"));
	ck_assert(follow_file(FOLLOW_ALL, NULL, "<frozen runpy>", "f"));
	ck_assert(!follow_file(FOLLOW_ALL, NULL, "<frozen importlib._bootstrap>", "f"));
	ck_assert(!follow_file(FOLLOW_ALL, NULL, "<frozen importlib._bootstrap_external>", "f"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("follow");
	TCase *tc = tcase_create("follow");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, a_package_is_a_folder_of_that_name);
	tcase_add_test(tc, what_follows_a_package_can_be_imported);
	tcase_add_test(tc, module_code_of_a_package_is_not_followed);
	tcase_add_test(tc, packages_may_be_several_and_dotted);
	tcase_add_test(tc, own_code_is_what_is_not_installed);
	tcase_add_test(tc, the_shim_is_not_followed);
	tcase_add_test(tc, all_is_all_but_the_frozen_importlib);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

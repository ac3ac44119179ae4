/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/accounts.h"

#include <check.h>
#include <errno.h>

START_TEST(names_and_numbers_are_found)
{
	uid_t uid = 7;
	gid_t gid = 7;

	ck_assert_int_eq(account_find_user("root", &uid), 0);
	ck_assert_uint_eq(uid, 0);
	ck_assert_int_eq(account_find_group("root", &gid), 0);
	ck_assert_uint_eq(gid, 0);
	ck_assert_int_eq(account_find_user("4294967294", &uid), 0);
	ck_assert_uint_eq(uid, 4294967294u);
	ck_assert_int_eq(account_find_group("0123", &gid), 0);
	ck_assert_uint_eq(gid, 123);
}
END_TEST

START_TEST(what_is_none_is_told)
{
	static const char *const names[] = {
	    "no-such-account-1",       "",   "-1", "4294967295", "4294967296",
	    "99999999999999999999999", "1x",
	};
	uid_t uid = 7;
	gid_t gid = 7;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_int_eq(account_find_user(names[i], &uid), -ENOENT);
		ck_assert_int_eq(account_find_group(names[i], &gid), -ENOENT);
	}
	ck_assert_uint_eq(uid, 7);
	ck_assert_uint_eq(gid, 7);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("accounts");
	TCase *tc = tcase_create("accounts");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, names_and_numbers_are_found);
	tcase_add_test(tc, what_is_none_is_told);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/denial.h"

#include <check.h>
#include <string.h>
#include <unistd.h>

#include "recorder/target/identity.h"

START_TEST(every_reason_has_its_own_advice)
{
	static const struct {
		struct denial denial;
		const char *why, *advice;
	} cases[] = {
	    {{.hidden = true, .other_user = true}, "hidepid", "as root"},
	    {{.other_user = true, .owner = 1000}, "runs as user 1000", "CAP_SYS_PTRACE"},
	    {{.other_user = true, .yama_scope = 1}, "runs as user 0", "CAP_SYS_PTRACE"},
	    {{.yama_scope = 1}, "ptrace_scope is 1", "kernel.yama.ptrace_scope=0"},
	    {{.yama_scope = 2}, "ptrace_scope is 2", "as root"},
	    {{.yama_scope = 3, .has_capability = true}, "ptrace_scope is 3", "reboot"},
	    {{.yama_scope = 3, .other_user = true}, "ptrace_scope is 3", "reboot"},
	    {{.has_capability = true, .yama_scope = 2}, "security module", "on the host"},
	    {{.pid = 1}, "PR_SET_DUMPABLE", "as root"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct denial denial = cases[i].denial;
		char text[512];

		denial.pid = 4242;
		denial_explain(&denial, text, sizeof(text));
		ck_assert_ptr_nonnull(strstr(text, "process 4242"));
		ck_assert_msg(strstr(text, cases[i].why), "%s", text);
		ck_assert_msg(strstr(text, cases[i].advice), "%s", text);
		ck_assert_uint_lt(strlen(text), sizeof(text) - 1);
	}
}
END_TEST

START_TEST(own_processes_are_of_the_same_user)
{
	struct identity id;
	struct denial denial;

	ck_assert_int_eq(identity_open(getpid(), &id), 0);
	denial_collect(getpid(), &id, &denial);
	ck_assert(!denial.hidden && !denial.other_user);
	ck_assert_uint_eq(denial.owner, geteuid());
	denial_collect(getpid(), NULL, &denial);
	ck_assert(denial.hidden);
	identity_close(&id);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("denial");
	TCase *tc = tcase_create("denial");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, every_reason_has_its_own_advice);
	tcase_add_test(tc, own_processes_are_of_the_same_user);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/provenance_codec.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"

static void assert_run(const struct provenance_runs *r, uint32_t i, unsigned provenance,
		       bool begins_stretch)
{
	struct provenance_run run = provenance_runs_find(r, i);

	ck_assert_uint_eq(run.provenance, provenance);
	ck_assert_int_eq(run.begins_stretch, begins_stretch);
}

START_TEST(what_was_encoded_is_decoded)
{
	struct provenance_runs runs = {0}, decoded;
	auto_free uint8_t *bytes = NULL;
	size_t len;

	for (unsigned i = 0; i < 1000; i++)
		provenance_runs_add(&runs, PROVENANCE_OBSERVED, false);
	for (unsigned i = 0; i < 300000; i++)
		provenance_runs_add(&runs, PROVENANCE_EXACT, i == 0 || i == 100000);
	provenance_runs_add(&runs, PROVENANCE_PRECISE, true);
	provenance_runs_add(&runs, PROVENANCE_INFERRED, false);
	ck_assert_uint_eq(runs.n, 5);
	provenance_runs_encode(&runs, &bytes, &len);
	ck_assert_uint_le(len, 25);
	ck_assert_int_eq(provenance_runs_decode(bytes, len, 301002, &decoded), 0);
	ck_assert_uint_eq(decoded.n, 5);
	assert_run(&decoded, 0, PROVENANCE_OBSERVED, false);
	assert_run(&decoded, 999, PROVENANCE_OBSERVED, false);
	assert_run(&decoded, 1000, PROVENANCE_EXACT, true);
	assert_run(&decoded, 101000, PROVENANCE_EXACT, true);
	assert_run(&decoded, 300999, PROVENANCE_EXACT, true);
	assert_run(&decoded, 301000, PROVENANCE_PRECISE, true);
	assert_run(&decoded, 301001, PROVENANCE_INFERRED, false);
	/* Of what is not told: it was observed. */
	assert_run(&decoded, 301002, PROVENANCE_OBSERVED, false);
	provenance_runs_done(&runs);
	provenance_runs_done(&decoded);
}
END_TEST

START_TEST(where_all_are_observed_nothing_is_stored)
{
	struct provenance_runs runs = {0}, decoded;
	uint8_t *bytes;
	size_t len;

	provenance_runs_encode(&runs, &bytes, &len);
	ck_assert_ptr_null(bytes);
	for (unsigned i = 0; i < 5; i++)
		provenance_runs_add(&runs, PROVENANCE_OBSERVED, false);
	provenance_runs_encode(&runs, &bytes, &len);
	ck_assert_ptr_null(bytes);
	ck_assert_int_eq(provenance_runs_decode(NULL, 0, 5, &decoded), 0);
	assert_run(&decoded, 3, PROVENANCE_OBSERVED, false);
	provenance_runs_done(&runs);
}
END_TEST

START_TEST(damage_is_noticed)
{
	static const struct {
		size_t len;
		uint8_t bytes[4];
		int expected;
	} cases[] = {
	    {2, {4, 10}, 0},
	    {2, {4, 9}, 0},		 /* fewer than there are */
	    {2, {4, 11}, -EBADMSG},	 /* more */
	    {4, {4, 9, 2, 2}, -EBADMSG}, /* in all */
	    {2, {4, 0}, -EBADMSG},	 /* an empty run */
	    {1, {4}, -EBADMSG},		 /* cut off */
	    {3, {4, 5, 2}, -EBADMSG},
	    {1, {248}, -EBADMSG},		 /* a number that is cut off */
	    {2, {2 * PROVENANCE_MAX - 1, 1}, 0}, /* of a newer program */
	    {2, {2 * PROVENANCE_MAX, 1}, -EBADMSG},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provenance_runs runs;

		ck_assert_msg(provenance_runs_decode(cases[i].bytes, cases[i].len, 10, &runs) ==
				  cases[i].expected,
			      "case %zu", i);
		if (cases[i].expected < 0)
			ck_assert_uint_eq(runs.n, 0);
		provenance_runs_done(&runs);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("provenance_codec");
	TCase *tc = tcase_create("provenance_codec");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, what_was_encoded_is_decoded);
	tcase_add_test(tc, where_all_are_observed_nothing_is_stored);
	tcase_add_test(tc, damage_is_noticed);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The lines of some functions, from indexes: exactly what decoding all events finds. */
#include "reader/function_lines.h"

#include <check.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>

#include "reader/analyse.h"
#include "reader/analyse_rows.h"
#include "reader/selection.h"
#include "tests/support/random_trace.h"
#include "tests/support/trace_check.h"
#include "tests/support/waits_trace.h"

static const struct trace_line *find_row(const struct analysis_rows *rows,
					 const struct trace_line *l)
{
	for (size_t i = 0; i < rows->n; i++) {
		if (rows->rows[i].sum.file == l->file && rows->rows[i].sum.line == l->line)
			return &rows->rows[i].sum;
	}
	ck_abort_msg("no row of line %d", (int)l->line);
	return NULL;
}

static void sum(struct trace *t, const char *function, const char *const interval[2],
		bool is_decoded, struct analysis_rows *ret)
{
	const struct selection_options options = {.since = interval[0], .until = interval[1]};
	struct selection selection = {0};
	/* For percentiles all of it is decoded. */
	struct analysis a = {.trace = t, .selection = &selection, .with_percentiles = is_decoded};
	char why[512];

	ck_assert_int_eq(selection_resolve(t, &options, &selection, why, sizeof(why)), 0);
	ck_assert_int_eq(analysis_filter_init(&a.filter, t, NULL, function, why, sizeof(why)), 0);
	ck_assert_int_eq(analysis_sum(&a, ret), 0);
	analysis_filter_done(&a.filter);
	selection_done(&selection);
}

static int64_t count(const char *sql)
{
	return check_number(folder, sql);
}

static const char *const whole[2];

static uint64_t visits_of(const char *function)
{
	auto_trace struct trace *t = open_trace();
	struct analysis_rows rows;
	uint64_t n = 0;

	sum(t, function, whole, false, &rows);
	for (size_t i = 0; i < rows.n; i++)
		n += rows.rows[i].sum.visits;
	analysis_rows_done(&rows);
	return n;
}

static void assert_as_decoded(const char *function, const char *const interval[2])
{
	auto_trace struct trace *t = open_trace();
	struct analysis_rows rows, decoded;

	sum(t, function, interval, false, &rows);
	sum(t, function, interval, true, &decoded);
	ck_assert_uint_gt(rows.n, 0);
	ck_assert_uint_eq(rows.n, decoded.n);
	ck_assert_uint_eq(rows.observed_ns, decoded.observed_ns);
	ck_assert_uint_eq(rows.unobserved_ns, decoded.unobserved_ns);
	for (size_t i = 0; i < rows.n; i++) {
		const struct trace_line *l = &rows.rows[i].sum;

		ck_assert_mem_eq(l, find_row(&decoded, l), sizeof(*l));
	}
	analysis_rows_done(&rows);
	analysis_rows_done(&decoded);
}

static void assert_all_as_decoded(void)
{
	/* The last but one has two of the functions on a line, but not all. */
	static const char *const names[] = {"main", "f", "work", "[mf]*", "*"};
	static const char *const intervals[][2] = {{NULL, NULL}, {"+100ms", "+3s"}, {"+1s", NULL}};

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		for (size_t i = 0; i < 3; i++)
			assert_as_decoded(names[n], intervals[i]);
	}
}

START_TEST(lines_of_a_function_are_what_decoding_finds)
{
	write_at_random(_i);
	ck_assert_int_gt(count("SELECT count(*) FROM blocks WHERE first_ns = last_ns AND n_events"),
			 0);
	assert_all_as_decoded();
}
END_TEST

/* A trace of an earlier program, or one that was gone on with: what is missing is decoded. */
START_TEST(lines_that_functions_share_need_no_index)
{
	static const char *const sql[] = {
	    "DELETE FROM shared_lines WHERE block % 3 = 0",
	    "DELETE FROM shared_lines WHERE line = 20",
	    "DROP TABLE shared_lines",
	};

	write_at_random(true);
	for (size_t i = 0; i < sizeof(sql) / sizeof(sql[0]); i++) {
		run_sql(sql[i]);
		assert_all_as_decoded();
	}
}
END_TEST

START_TEST(the_index_of_shared_lines_is_what_is_read)
{
	uint64_t before;

	write_at_random(true);
	before = visits_of("f");
	run_sql("UPDATE shared_lines SET visits = visits + 1 WHERE (block, file, line, code) IN"
		" (SELECT block, file, line, code FROM shared_lines WHERE code = 3 AND line = 20"
		" LIMIT 1)");
	ck_assert_uint_eq(visits_of("f"), before + 1);
	run_sql("UPDATE lines SET visits = visits + 1 WHERE (block, file, line) IN"
		" (SELECT block, file, line FROM lines WHERE line = 31 LIMIT 1)");
	ck_assert_uint_eq(visits_of("f"), before + 2);
}
END_TEST

/* Where its tables can't be read, decoding says so. */
START_TEST(a_function_in_a_damaged_block_is_told)
{
	auto_free char *found = NULL;

	write_at_random(true);
	run_sql("UPDATE blocks SET data = substr(data, 1, 40) WHERE id = 2");
	found = RUN(cmd_analyse, EXIT_NO_TRACE, "--function", "f");
	assert_has(found, "damaged: what could be read is shown");
	assert_has(found, "app.py:20");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("function_lines");
	TCase *tc = tcase_create("function_lines");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, lines_of_a_function_are_what_decoding_finds, 0, 2);
	tcase_add_test(tc, lines_that_functions_share_need_no_index);
	tcase_add_test(tc, the_index_of_shared_lines_is_what_is_read);
	tcase_add_test(tc, a_function_in_a_damaged_block_is_told);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

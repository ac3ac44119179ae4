/* SPDX-License-Identifier: BSD-3-Clause */
/* What changed from one invented trace to another, and what is noise. */
#include "reader/diff_match.h"
#include "reader/trace_diff.h"

#include <locale.h>
#include <math.h>
#include <sys/stat.h>

#include "reader/line_match.h"
#include "tests/support/waits_trace.h"

#define N_FUNCTIONS 3

/* Of each turn of main, a function is on its line for so long. */
struct part {
	const char *name;
	int32_t line;
	unsigned us, jitter_us; /* 0: it is not called */
};
struct program {
	const char *source;
	int32_t main_line;
	unsigned n_turns;
	unsigned main_us; /* before each of them, main's; 0: 50 */
	struct part parts[N_FUNCTIONS];
};

#define OLD_SOURCE                                                                         \
	"def main():\n    while True: parse(), work(), store()\n\ndef parse():\n    a()\n" \
	"\ndef work():\n    x = 1\n    b()\n\ndef store():\n    c()\n"
/* All of it is further down, work has a line more, store's line is another one. */
#define NEW_SOURCE                                                                              \
	"# moved\n\ndef main():\n    while True: parse(), work(), store()\n\n"                  \
	"def parse():\n    a()\n\ndef work():\n    # why\n    x = 1\n    b()\n\ndef store():\n" \
	"    c(2)\n"

static const struct program before = {
    .source = OLD_SOURCE,
    .main_line = 2,
    .n_turns = 400,
    .parts = {{"parse", 5, 3000, 600}, {"work", 9, 2000, 400}, {"store", 12, 4000, 800}},
};
static const struct program moved = {
    .source = NEW_SOURCE,
    .main_line = 4,
    .n_turns = 400,
    .parts = {{"parse", 7, 3000, 600}, {"work", 12, 2000, 400}, {"store", 15, 4000, 800}},
};

static unsigned jitter(unsigned max)
{
	return max ? (unsigned)rand() % (2 * max + 1) : 0;
}

/* Into FOLDER/NAME; returns that path, the caller frees. */
static char *write_program(const char *name, const struct program *p)
{
	char *path = xasprintf("%s/%s", folder, name);
	auto_free char *db = xasprintf("%s/trace.db", path);
	auto_free char *script = xasprintf("%s/app.py", path);
	struct trace_about about = test_about;
	struct trace_writer *w;
	uint64_t now_ns = AT(0);
	FILE *f;

	mkdir(path, 0700);
	f = fopen(script, "we");
	ck_assert_ptr_nonnull(f);
	fputs(p->source, f);
	fclose(f);
	about.edges = "exact";
	ck_assert_int_eq(trace_writer_create(db, &about, test_read_source, NULL, &w), 0);
	put_thread(w, 1, now_ns);
	put_code(w, 1, script, "main");
	for (uint32_t i = 0; i < N_FUNCTIONS; i++)
		put_code(w, i + 2, script, p->parts[i].name);
	put_stack(w, 1, now_ns, 0, FRAMES({1, p->main_line}), 1);
	for (unsigned n = 0; n < p->n_turns; n++) {
		for (uint32_t i = 0; i < N_FUNCTIONS; i++) {
			const struct part *part = &p->parts[i];

			if (!part->us)
				continue;
			now_ns += (p->main_us ? p->main_us : 50) * NS_PER_US;
			put_stack(w, 1, now_ns, 1, FRAMES({i + 2, part->line}), 1);
			now_ns +=
			    (part->us - part->jitter_us + jitter(part->jitter_us)) * NS_PER_US;
			put_stack(w, 1, now_ns, 1, NULL, 0);
		}
	}
	put_counters(w, now_ns, (now_ns - AT(0)) / (20 * NS_PER_US));
	ck_assert_int_eq(trace_writer_close(w, now_ns, "stopped"), 0);
	return path;
}

/* The first lines of the functions are in the table of code, which tests write by hand. */
static void set_first_lines(const char *path, const char *sql)
{
	free(db_path);
	db_path = xasprintf("%s/trace.db", path);
	run_sql(sql);
}

#define OLD_FIRST                                                                           \
	"UPDATE code SET first_line = CASE qualname WHEN 'main' THEN 1 WHEN 'parse' THEN 4" \
	" WHEN 'work' THEN 7 ELSE 11 END"
#define NEW_FIRST                                                                           \
	"UPDATE code SET first_line = CASE qualname WHEN 'main' THEN 3 WHEN 'parse' THEN 6" \
	" WHEN 'work' THEN 9 ELSE 14 END"

/* Two traces, and what is found. */
struct pair {
	struct trace *traces[2];
	struct profile *profiles[2];
	struct diff *diff;
};

static void compare(const char *old_path, const char *new_path, struct pair *ret)
{
	const char *const paths[2] = {old_path, new_path};
	struct diff_side sides[2];
	char why[512];

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(trace_open(paths[i], &ret->traces[i], why, sizeof(why)), 0);
		ck_assert_int_eq(profile_new(ret->traces[i], &ret->profiles[i]), 0);
		sides[i] = (struct diff_side){ret->traces[i], ret->profiles[i]};
	}
	diff_new(&sides[0], &sides[1], &ret->diff);
}

static void pair_done(struct pair *p)
{
	diff_free(p->diff);
	for (int i = 0; i < 2; i++) {
		profile_free(p->profiles[i]);
		trace_close(p->traces[i]);
	}
}
#define auto_pair __attribute__((cleanup(pair_done)))

static void compare_programs(const struct program *old_program, const struct program *new_program,
			     struct pair *ret)
{
	auto_free char *old_path = write_program("old", old_program);
	auto_free char *new_path = write_program("new", new_program);

	set_first_lines(old_path, old_program->source[0] == '#' ? NEW_FIRST : OLD_FIRST);
	set_first_lines(new_path, new_program->source[0] == '#' ? NEW_FIRST : OLD_FIRST);
	compare(old_path, new_path, ret);
}

static const char *function_name(const struct pair *p, const struct diff_item *i)
{
	int side = i->change == DIFF_GONE ? 0 : 1;
	uint32_t function = side ? i->new_function : i->old_function;

	return trace_get_code(p->traces[side], p->profiles[side]->functions[function].code)->name;
}

static void assert_only(const struct pair *p, enum diff_change change, const char *name,
			double factor, int32_t old_line, int32_t new_line)
{
	ck_assert_uint_eq(p->diff->n_functions, 1);
	ck_assert_uint_eq(p->diff->n_lines, 1);
	ck_assert_str_eq(function_name(p, &p->diff->functions[0]), name);
	ck_assert_int_eq(p->diff->functions[0].change, change);
	ck_assert_int_eq(p->diff->lines[0].change, change);
	ck_assert_int_eq(p->diff->lines[0].old_line, old_line);
	ck_assert_int_eq(p->diff->lines[0].new_line, new_line);
	ck_assert_double_eq_tol(p->diff->functions[0].factor, factor, 0.1 * factor);
	ck_assert_int_eq(p->diff->functions[0].basis, DIFF_BY_CALLS);
}

START_TEST(two_runs_of_one_program_are_the_same)
{
	auto_pair struct pair p = {0};

	srand((unsigned)_i);
	compare_programs(&before, _i % 2 ? &before : &moved, &p);
	ck_assert_uint_eq(p.diff->n_functions, 0);
	ck_assert_uint_eq(p.diff->n_lines, 0);
	ck_assert_uint_ge(p.diff->n_compared, 3);
}
END_TEST

START_TEST(exactly_the_one_that_changed)
{
	struct program changed = moved;
	auto_pair struct pair p = {0};

	changed.parts[1].us *= 2;
	compare_programs(&before, &changed, &p);
	assert_only(&p, DIFF_SLOWER, "work", 2, 9, 12);
	ck_assert_double_gt(p.diff->functions[0].factor, p.diff->functions[0].threshold);
}
END_TEST

START_TEST(a_line_that_was_changed_is_still_that_line)
{
	struct program changed = moved;
	auto_pair struct pair p = {0};

	changed.parts[2].us /= 4;
	changed.parts[2].jitter_us /= 4;
	compare_programs(&before, &changed, &p);
	assert_only(&p, DIFF_FASTER, "store", 0.25, 12, 15);
}
END_TEST

START_TEST(new_and_gone)
{
	struct program with = moved, without = before;
	auto_pair struct pair p = {0};

	with.parts[0].us = 0;
	without.parts[2].us = 0;
	compare_programs(&without, &with, &p);
	ck_assert_uint_eq(p.diff->n_functions, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct diff_item *f = &p.diff->functions[i];
		bool is_new = f->change == DIFF_NEW;

		ck_assert(is_new || f->change == DIFF_GONE);
		ck_assert_str_eq(function_name(&p, f), is_new ? "store" : "parse");
		ck_assert_uint_eq((is_new ? &f->new_figures : &f->old_figures)->n, 400);
	}
}
END_TEST

/* Any line of a file can be its module's, not only those up to the first that is not indented. */
START_TEST(all_lines_are_those_of_a_module)
{
	static const char of_module[] =
	    "UPDATE code SET first_line = 1, qualname = '<module>' WHERE qualname = 'main'";
	auto_free char *old_path = write_program("old", &before), *new_path = NULL;
	auto_pair struct pair p = {0};
	struct diff_side sides[2];
	struct diff_lines lines;
	uint32_t module = 0;

	set_first_lines(old_path, of_module);
	new_path = write_program("new", &before);
	set_first_lines(new_path, of_module);
	compare(old_path, new_path, &p);
	for (int i = 0; i < 2; i++)
		sides[i] = (struct diff_side){p.traces[i], p.profiles[i]};
	while (strcmp(trace_get_code(p.traces[0], p.profiles[0]->functions[module].code)->name,
		      "<module>") != 0)
		module++;
	diff_lines_init(&lines, &sides[0], module, &sides[1], module);
	ck_assert(lines.are_known);
	ck_assert_int_eq(diff_lines_new(&lines, 11), 11);
	ck_assert_int_eq(diff_lines_old(&lines, 12), 12);
	diff_lines_done(&lines);
}
END_TEST

START_TEST(few_calls_say_little)
{
	struct program slow = before, fast = before;
	auto_pair struct pair p = {0};

	/* 40 % more, of what varies by 95 %: with 12 calls that is nothing. */
	slow.n_turns = fast.n_turns = 12;
	fast.parts[0].jitter_us = 2850;
	slow.parts[0].us = 4200;
	slow.parts[0].jitter_us = 3990;
	compare_programs(&fast, &slow, &p);
	ck_assert_uint_eq(p.diff->n_functions, 0);
	ck_assert_uint_eq(p.diff->n_lines, 0);
}
END_TEST

START_TEST(many_calls_say_more)
{
	struct program slow = before, fast = before;
	auto_pair struct pair p = {0};

	slow.n_turns = fast.n_turns = 3000;
	fast.parts[0].jitter_us = 2850;
	slow.parts[0].us = 4200;
	slow.parts[0].jitter_us = 3990;
	compare_programs(&fast, &slow, &p);
	assert_only(&p, DIFF_SLOWER, "parse", 1.4, 5, 5);
}
END_TEST

START_TEST(a_change_by_1_3_of_many_calls)
{
	struct program slow = before;
	auto_pair struct pair p = {0};

	slow.n_turns = 2000;
	slow.parts[0].us = 3900;
	compare_programs(&before, &slow, &p);
	assert_only(&p, DIFF_SLOWER, "parse", 1.3, 5, 5);
}
END_TEST

/* As on a machine where others had the other half of the core. */
START_TEST(all_slower_is_the_machine)
{
	struct program slow = before;
	auto_pair struct pair p = {0};

	for (size_t i = 0; i < N_FUNCTIONS; i++) {
		slow.parts[i].us = slow.parts[i].us * 8 / 5;
		slow.parts[i].jitter_us = slow.parts[i].jitter_us * 8 / 5;
	}
	compare_programs(&before, &slow, &p);
	ck_assert_double_eq_tol(p.diff->common_factor, 1.6, 0.1);
	ck_assert_uint_eq(p.diff->n_functions, 0);
	ck_assert_uint_eq(p.diff->n_lines, 0);
}
END_TEST

START_TEST(all_slower_by_more_is_not)
{
	struct program slow = before;
	auto_pair struct pair p = {0};

	for (size_t i = 0; i < N_FUNCTIONS; i++)
		slow.parts[i].us *= 3;
	compare_programs(&before, &slow, &p);
	ck_assert_uint_eq(p.diff->n_functions, 3);
}
END_TEST

/* Looks that see less deep give a function's time to its caller. */
START_TEST(what_cut_looks_move_has_not_changed)
{
	static const char half_are_cut[] =
	    "UPDATE counters SET value = (SELECT value / 2 FROM counters WHERE name = 'snapshots')"
	    " WHERE name = 'cut.torn'";
	struct program cut = before;
	auto_free char *old_path = write_program("old", &before), *new_path = NULL;
	auto_pair struct pair q = {0};
	struct pair p = {0};

	cut.main_us = 1050;
	cut.parts[0].us -= 2000;
	new_path = write_program("new", &cut);
	set_first_lines(old_path, OLD_FIRST);
	set_first_lines(new_path, OLD_FIRST);
	compare(old_path, new_path, &p);
	ck_assert_uint_eq(p.diff->n_functions, 1);
	ck_assert_int_eq(p.diff->functions[0].change, DIFF_FASTER);
	pair_done(&p);
	set_first_lines(new_path, half_are_cut);
	compare(old_path, new_path, &q);
	ck_assert_uint_eq(q.diff->n_functions, 0);
	ck_assert_uint_eq(q.diff->n_lines, 0);
}
END_TEST

START_TEST(less_than_an_interval_says_nothing)
{
	struct program slow = before;
	auto_free char *old_path = write_program("old", &before), *new_path = NULL;
	auto_pair struct pair p = {0};

	slow.parts[1].us *= 2;
	new_path = write_program("new", &slow);
	set_first_lines(old_path, "UPDATE counters SET value = 2000 WHERE name = 'snapshots'");
	set_first_lines(new_path, "UPDATE counters SET value = 2000 WHERE name = 'snapshots'");
	compare(old_path, new_path, &p);
	ck_assert_double_gt(p.profiles[0]->interval_ns, 1.5 * (double)NS_PER_MS);
	ck_assert_uint_eq(p.diff->n_functions, 0);
}
END_TEST

START_TEST(figures_are_those_of_a_ratio_estimator)
{
	struct profile_sums item = {.ns = 0}, unit = {.n = 0};
	struct diff_figures f;

	/* Half of the slices have calls of 1 ms, half of them of 3 ms. */
	for (size_t i = 0; i < PROFILE_SLICES; i++) {
		unit.slice_n[i] = 10;
		unit.n += 10;
		item.slice_ns[i] = (i % 2 ? 10 : 30) * (double)NS_PER_MS;
		item.ns += item.slice_ns[i];
	}
	diff_measure(&item, &unit, 4 * item.ns, &f);
	ck_assert_double_eq_tol(f.average_ns, 2e6, 1);
	ck_assert_double_eq_tol(f.share, 0.25, 1e-9);
	/* Each is 10 ms off: sqrt(32/31 * 32 * 10^2) / 640, and for 32 slices 1 + 5/31 of that. */
	ck_assert_double_eq_tol(f.error, sqrt(32.0 / 31 * 32 * 100) / 640 * (1 + 5.0 / 31), 1e-9);
	/* All of it in one slice. */
	unit = (struct profile_sums){.n = 25, .slice_n = {25}};
	item = (struct profile_sums){.ns = 25e6, .slice_ns = {25e6}};
	diff_measure(&item, &unit, 0, &f);
	ck_assert_double_eq_tol(f.error, 0.2, 1e-9);
	diff_measure(&item, NULL, 50e6, &f);
	ck_assert_uint_eq(f.n, 0);
	ck_assert_double_eq_tol(f.share, 0.5, 1e-9);
}
END_TEST

START_TEST(files_are_the_same_by_their_last_components)
{
	static const struct {
		const char *a, *b;
		size_t n;
	} cases[] = {
	    {"/a/b.py", "/a/b.py", SIZE_MAX},
	    {"/opt/old/walt/db.py", "/srv/new/walt/db.py", 2},
	    {"/opt/walt/db.py", "/opt/walt/xdb.py", 0},
	    {"walt/db.py", "/srv/walt/db.py", 2},
	    {"/x/db.py", "db.py", 1},
	    {"/x/a.py", "/x/b.py", 0},
	    {"", "/x", 0},
	    {"/a/html/__init__.py", "/a/json/__init__.py", 0},
	    {"/a/html/__init__.py", "/b/html/__init__.py", 2},
	};

	ck_assert_uint_eq(diff_common_components(cases[_i].a, cases[_i].b), cases[_i].n);
	ck_assert_uint_eq(diff_common_components(cases[_i].b, cases[_i].a), cases[_i].n);
}
END_TEST

static void read_text(const char *text, struct source_text *ret)
{
	source_text_init(ret, xstrdup(text), strlen(text));
}

START_TEST(lines_are_matched_as_by_diff)
{
	static const struct {
		const char *old_text, *new_text;
		int32_t matches[8];
	} cases[] = {
	    {"a\nb\nc\n", "a\nb\nc\n", {0, 1, 2}},
	    {"a\nb\nc\n", "x\na\n  b\nc\ny\n", {1, 2, 3}},
	    {"a\nb\nc\n", "a\nB\nc\n", {0, 1, 2}},
	    {"a\nb\nc\n", "a\nB\nB\nc\n", {0, -1, 3}},
	    {"a\nb\nc\n", "a\nc\n", {0, -1, 1}},
	    {"a\nx\nb\nx\n", "x\nb\nx\n", {-1, 0, 1, 2}},
	    {"a\n", "", {-1}},
	    {"a\nb\n", "c\nd\n", {0, 1}},
	};
	struct source_text old_text, new_text;
	int32_t matches[8];

	read_text(cases[_i].old_text, &old_text);
	read_text(cases[_i].new_text, &new_text);
	line_match(&old_text, 1, (size_t)old_text.n_lines, &new_text, 1, (size_t)new_text.n_lines,
		   matches);
	for (int32_t i = 0; i < old_text.n_lines; i++)
		ck_assert_int_eq(matches[i], cases[_i].matches[i]);
	source_text_done(&old_text);
	source_text_done(&new_text);
}
END_TEST

START_TEST(functions_end_by_their_indentation)
{
	struct source_text text;

	read_text("@deco\ndef f(a,\n      b\n):\n    x\n\n# c\n    y\n\ndef g(): pass\nz\n", &text);
	ck_assert_int_eq(function_last_line(&text, 2, 5), 8);
	ck_assert_int_eq(function_last_line(&text, 2, 2), 8);
	/* What is known to belong to it does. */
	ck_assert_int_eq(function_last_line(&text, 2, 11), 11);
	source_text_done(&text);
}
END_TEST

START_TEST(damage_does_no_harm)
{
	static const char *const damage[] = {
	    "UPDATE blocks SET data = substr(data, 1, 200)",
	    "UPDATE blocks SET data = 'x'",
	    "UPDATE blocks SET last_ns = first_ns - 1",
	    "UPDATE code SET first_line = 2147483647",
	    "UPDATE code SET first_line = -2147483648, file = 9",
	    "UPDATE code SET qualname = 'work'",
	    "DELETE FROM code",
	    "UPDATE files SET source = zeroblob(100)",
	    "UPDATE files SET path = ''",
	    "UPDATE counters SET value = -1",
	    "UPDATE lines SET ready_ns = 9223372036854775807, self_ns = -5",
	    "DELETE FROM blocks",
	    "UPDATE blocks SET first_ns = 0, last_ns = 9223372036854775807",
	};
	auto_free char *old_path = write_program("old", &before);
	auto_free char *new_path = write_program("new", &before);
	auto_free char *text = NULL, *json = NULL;

	set_first_lines(new_path, damage[_i]);
	free(folder);
	folder = xstrdup(new_path);
	text = run(&cmd_analyse, _i < 3 ? EXIT_NO_TRACE : EXIT_OK,
		   (const char *const[]){"--diff", old_path, NULL});
	json = run(&cmd_analyse, _i < 3 ? EXIT_NO_TRACE : EXIT_OK,
		   (const char *const[]){"-j", "--diff", old_path, NULL});
	assert_has(json, "\"functions\": [");
	if (_i < 3)
		assert_has(text, "damaged: what could be read is compared");
	*strrchr(folder, '/') = '\0';
}
END_TEST

START_TEST(the_tables_as_text_and_json)
{
	struct program changed = before;
	auto_free char *old_path = write_program("old", &before), *new_path = NULL;
	auto_free char *text = NULL, *json = NULL, *same = NULL;

	changed.parts[1].us *= 3;
	new_path = write_program("new", &changed);
	set_first_lines(old_path, OLD_FIRST);
	set_first_lines(new_path, OLD_FIRST);
	free(folder);
	folder = xstrdup(new_path);
	text = RUN(cmd_analyse, EXIT_OK, "--diff", old_path);
	json = RUN(cmd_analyse, EXIT_OK, "--diff", "--json", old_path);
	same = RUN(cmd_analyse, EXIT_OK, "--diff", new_path);
	assert_has(text, "CHANGE  FACTOR      OLD      NEW  OLD SHARE  NEW SHARE  LOCATION  "
			 "FUNCTION\nslower  ");
	assert_has(text, "app.py:7  work\n");
	assert_has(text, "app.py:9  b()\n");
	assert_has(json, "\"change\": \"slower\",\n      \"function\": \"work\",\n");
	assert_has(json, "\"by\": \"calls\",\n      \"by_calls_of\": \"work\",\n");
	assert_has(json, "\"n\": 400,\n");
	assert_has(same, "These two are one trace.\n");
	assert_has(same, "Nothing changed by more than noise.\n");
	*strrchr(folder, '/') = '\0';
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_diff");
	TCase *tc = tcase_create("trace_diff");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, two_runs_of_one_program_are_the_same, 0, 6);
	tcase_add_test(tc, exactly_the_one_that_changed);
	tcase_add_test(tc, a_line_that_was_changed_is_still_that_line);
	tcase_add_test(tc, new_and_gone);
	tcase_add_test(tc, all_lines_are_those_of_a_module);
	tcase_add_test(tc, few_calls_say_little);
	tcase_add_test(tc, many_calls_say_more);
	tcase_add_test(tc, a_change_by_1_3_of_many_calls);
	tcase_add_test(tc, all_slower_is_the_machine);
	tcase_add_test(tc, all_slower_by_more_is_not);
	tcase_add_test(tc, what_cut_looks_move_has_not_changed);
	tcase_add_test(tc, less_than_an_interval_says_nothing);
	tcase_add_test(tc, figures_are_those_of_a_ratio_estimator);
	tcase_add_loop_test(tc, files_are_the_same_by_their_last_components, 0, 9);
	tcase_add_loop_test(tc, lines_are_matched_as_by_diff, 0, 8);
	tcase_add_test(tc, functions_end_by_their_indentation);
	tcase_add_loop_test(tc, damage_does_no_harm, 0, 13);
	tcase_add_test(tc, the_tables_as_text_and_json);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

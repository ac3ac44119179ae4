/* SPDX-License-Identifier: BSD-3-Clause */
/* Time off the CPU, for the line that it belongs to. */
#include "recorder/block_builder.h"

#include <check.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/pack.h"

#define MS	 NS_PER_MS
#define START_NS (1000 * MS)

enum { FILE_ID = 3, LINE_BEFORE = 10, LINE_AFTER = 20 };

static struct block_builder *builder;
static struct packer *packer;
static struct finished_block block;

static struct stack_frame frame(int32_t line)
{
	return (struct stack_frame){.code = 1, .line = line, .file = FILE_ID};
}

static void setup(void)
{
	const struct stack_frame first = frame(LINE_BEFORE);

	packer = packer_new();
	builder = block_builder_new(START_NS, &first, 1);
}

static void teardown(void)
{
	finished_block_done(&block);
	block_builder_free(builder);
	packer_free(packer);
}

static void step_at(uint64_t ns)
{
	const struct stack_frame next = frame(LINE_AFTER);

	block_builder_step(builder, START_NS + ns, 0, &next, 1, (struct step_source){0});
}

static struct off_stretch stretch(uint64_t start_ns, uint64_t end_ns, enum wait_state state)
{
	return (struct off_stretch){
	    .start_ns = START_NS + start_ns, .end_ns = START_NS + end_ns, .state = state};
}

static void off(uint64_t start_ns, uint64_t end_ns, enum wait_state state)
{
	const struct off_stretch s = stretch(start_ns, end_ns, state);

	block_builder_off(builder, &s);
}

static void finish(uint64_t end_ns, const struct off_stretch *going_on)
{
	const struct stored_block nothing = {0};

	block_builder_encode(builder, START_NS + end_ns, going_on, packer, &nothing, &block);
}

static const struct function_totals *function_of(uint32_t function)
{
	for (size_t i = 0; i < block.n_functions; i++) {
		if (block.functions[i].function == function)
			return &block.functions[i];
	}
	ck_abort_msg("nothing of function %u", (unsigned)function);
	return NULL;
}

static void assert_line(int32_t line, uint64_t self_ns, uint64_t wait_ns, uint64_t ready_ns)
{
	for (size_t i = 0; i < block.n_lines; i++) {
		const struct line_totals *t = &block.lines[i];

		if (t->line != line)
			continue;
		/* Times of events are stored in units. */
		ck_assert_uint_le(t->self_ns, self_ns + MS / 10);
		ck_assert_uint_ge(t->self_ns, self_ns - MS / 10);
		ck_assert_uint_le(t->wait_ns, wait_ns + MS / 10);
		ck_assert_uint_ge(t->wait_ns + MS / 10, wait_ns);
		ck_assert_uint_eq(t->ready_ns, ready_ns);
		return;
	}
	ck_abort_msg("line %d is not there", (int)line);
}

/* One that is made again is the same one: of it only the line changes. */
START_TEST(functions_are_entered_and_there_once)
{
	const struct stack_frame other_line[] = {
	    {.code = 1, .line = LINE_AFTER, .file = FILE_ID},
	};
	const struct stack_frame made_again[] = {
	    {.code = 2, .line = LINE_BEFORE, .file = FILE_ID},
	    {.code = 1, .line = LINE_AFTER, .file = FILE_ID},
	};
	const struct stack_frame another = {.code = 3, .line = 1, .file = FILE_ID, .function = 3};

	block_builder_step(builder, START_NS + 64000, 0, other_line, 1, (struct step_source){0});
	block_builder_step(builder, START_NS + 128000, 0, made_again, 2, (struct step_source){0});
	block_builder_step(builder, START_NS + 192000, 2, &another, 1, (struct step_source){0});
	block_builder_step(builder, START_NS + 256000, 1, NULL, 0, (struct step_source){0});
	finish(320000, NULL);
	ck_assert_uint_eq(block.n_functions, 2);
	/* That on the stack at the start did not come. */
	ck_assert_uint_eq(function_of(0)->calls, 1);
	ck_assert_uint_eq(function_of(0)->self_ns, 320000 - 64000);
	ck_assert_uint_eq(function_of(0)->total_ns, 320000);
	ck_assert_uint_eq(function_of(3)->calls, 1);
	ck_assert_uint_eq(function_of(3)->self_ns, 64000);
	ck_assert_uint_eq(function_of(3)->total_ns, 64000);
}
END_TEST

/* What was on the line before the second function came is the first one's. */
START_TEST(functions_on_one_line_have_their_parts)
{
	const struct stack_frame lambda[] = {
	    {.code = 3, .line = LINE_BEFORE, .file = FILE_ID, .function = 3},
	    {.code = 4, .line = LINE_AFTER, .file = FILE_ID, .function = 4},
	};
	const struct stack_frame again = frame(LINE_BEFORE);

	block_builder_step(builder, START_NS + 64000, 0, &again, 1, (struct step_source){0});
	block_builder_step(builder, START_NS + 128000, 1, lambda, 2, (struct step_source){0});
	block_builder_step(builder, START_NS + 192000, 2, NULL, 0, (struct step_source){0});
	block_builder_step(builder, START_NS + 256000, 1, NULL, 0, (struct step_source){0});
	off(300000, 310000, WAIT_FOR_SOMETHING);
	finish(320000, NULL);
	ck_assert_uint_eq(block.n_lines, 2);
	ck_assert_uint_eq(block.lines[0].visits, 4);
	ck_assert_uint_eq(block.n_shared, 2);
	ck_assert_int_eq(block.shared[0].line, LINE_BEFORE);
	ck_assert_uint_eq(block.shared[0].function, 0);
	ck_assert_uint_eq(block.shared[0].visits, 2);
	ck_assert_uint_eq(block.shared[0].self_ns, 128000 + 64000);
	ck_assert_uint_eq(block.shared[0].total_ns, 320000);
	ck_assert_uint_eq(block.shared[0].wait_ns, block.lines[0].wait_ns);
	ck_assert_uint_gt(block.shared[0].wait_ns, 0);
	ck_assert_uint_eq(block.shared[1].function, 3);
	ck_assert_uint_eq(block.shared[1].visits, 2);
	ck_assert_uint_eq(block.shared[1].self_ns, 64000);
	ck_assert_uint_eq(block.shared[1].total_ns, 128000);
	ck_assert_uint_eq(block.shared[1].wait_ns, 0);
}
END_TEST

START_TEST(functions_have_the_waits_for_the_gil_that_are_listed)
{
	struct off_stretch s = stretch(1 * MS, 3 * MS, WAIT_FOR_SOMETHING);

	s.is_gil = true;
	block_builder_off(builder, &s);
	s = stretch(4 * MS, 4 * MS + MS / 2, WAIT_FOR_SOMETHING);
	s.is_gil = true;
	block_builder_off(builder, &s);
	off(5 * MS, 7 * MS, WAIT_FOR_SOMETHING);
	s = stretch(8 * MS, 9 * MS, WAIT_FOR_SOMETHING);
	s.is_gil = true;
	finish(9 * MS, &s);
	ck_assert_uint_eq((function_of(0)->wait_ns + MS / 10) / (MS / 2), 11);
	ck_assert_uint_eq((function_of(0)->gil_ns + MS / 10) / (MS / 2), 6);
	ck_assert_uint_eq(function_of(0)->ready_ns, 0);
	ck_assert_uint_eq(function_of(0)->self_ns, block.lines[0].self_ns);
}
END_TEST

START_TEST(time_off_belongs_to_the_line_on_top)
{
	off(10 * MS, 30 * MS, WAIT_FOR_SOMETHING);
	off(30 * MS, 35 * MS, WAIT_FOR_CPU);
	step_at(40 * MS);
	finish(100 * MS, NULL);
	assert_line(LINE_BEFORE, 40 * MS, 20 * MS, 5 * MS);
	assert_line(LINE_AFTER, 60 * MS, 0, 0);
	ck_assert_uint_eq(block.n_waits, 2);
}
END_TEST

/* With coarse edges a stretch is told late: a look may have seen another line meanwhile. */
START_TEST(what_is_before_the_last_event_does_not_count)
{
	step_at(40 * MS);
	off(10 * MS, 90 * MS, WAIT_FOR_SOMETHING);
	finish(100 * MS, NULL);
	assert_line(LINE_BEFORE, 40 * MS, 0, 0);
	assert_line(LINE_AFTER, 60 * MS, 50 * MS, 0);
	ck_assert_uint_eq(block.n_waits, 1);
}
END_TEST

START_TEST(what_ended_before_the_last_event_is_lost)
{
	step_at(40 * MS);
	off(10 * MS, 30 * MS, WAIT_FOR_SOMETHING);
	off(40 * MS, 40 * MS, WAIT_FOR_SOMETHING);
	finish(100 * MS, NULL);
	assert_line(LINE_BEFORE, 40 * MS, 0, 0);
	assert_line(LINE_AFTER, 60 * MS, 0, 0);
	ck_assert_uint_eq(block.n_waits, 0);
}
END_TEST

START_TEST(a_wait_that_goes_on_is_clipped_as_well)
{
	const struct off_stretch s = stretch(10 * MS, 0, WAIT_FOR_SOMETHING);

	step_at(40 * MS);
	finish(100 * MS, &s);
	assert_line(LINE_BEFORE, 40 * MS, 0, 0);
	assert_line(LINE_AFTER, 60 * MS, 60 * MS, 0);
}
END_TEST

/* It was in an earlier block that it began. */
START_TEST(what_is_before_the_block_does_not_count)
{
	const struct off_stretch s = {
	    .start_ns = START_NS - 50 * MS, .end_ns = START_NS + 20 * MS, .state = WAIT_FOR_CPU};

	block_builder_off(builder, &s);
	finish(100 * MS, NULL);
	assert_line(LINE_BEFORE, 100 * MS, 0, 20 * MS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block_builder");
	TCase *tc = tcase_create("off");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, functions_are_entered_and_there_once);
	tcase_add_test(tc, functions_on_one_line_have_their_parts);
	tcase_add_test(tc, functions_have_the_waits_for_the_gil_that_are_listed);
	tcase_add_test(tc, time_off_belongs_to_the_line_on_top);
	tcase_add_test(tc, what_is_before_the_last_event_does_not_count);
	tcase_add_test(tc, what_ended_before_the_last_event_is_lost);
	tcase_add_test(tc, a_wait_that_goes_on_is_clipped_as_well);
	tcase_add_test(tc, what_is_before_the_block_does_not_count);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

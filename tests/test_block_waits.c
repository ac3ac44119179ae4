/* SPDX-License-Identifier: BSD-3-Clause */
/* The waits of a block that is being built: each by itself, the sums, and the parts of lines. */
#include "recorder/block_waits.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/pack.h"
#include "recorder/block_builder.h"

#define MS NS_PER_MS
/* Of the times that events have. */
#define EVENT_UNIT_NS (1u << BLOCK_TIME_SHIFT)
#define FIRST_NS      (1000 * MS)
/* Both ends of a wait as it is stored are rounded down. */
#define UNIT_NS (UINT64_C(1) << WAIT_TIME_SHIFT)

DEFINE_CLEANUP(struct block_builder *, block_builder_free)
#define auto_builder auto_release(block_builder_free)
#define auto_block   __attribute__((cleanup(finished_block_done)))
#define auto_list    __attribute__((cleanup(wait_list_done)))

static struct packer *packer;
static struct unpacker *unpacker;

static void setup(void)
{
	packer = packer_new();
	unpacker = unpacker_new();
}

static void teardown(void)
{
	packer_free(packer);
	unpacker_free(unpacker);
}

/* Times in ms since the block's start. */
static struct off_stretch off(uint64_t start, uint64_t end)
{
	return (struct off_stretch){
	    .start_ns = FIRST_NS + start * MS,
	    .end_ns = FIRST_NS + end * MS,
	    .reason = 5,
	    .native = 6,
	};
}

/* One frame on line 10 of file 1. */
static struct block_builder *new_builder(void)
{
	return block_builder_new(FIRST_NS, &(struct stack_frame){.code = 1, .line = 10, .file = 1},
				 1);
}

/* It goes on to another line. */
static void go_to(struct block_builder *b, uint64_t at_ms, int32_t line)
{
	block_builder_step(b, FIRST_NS + at_ms * MS, 0,
			   &(struct stack_frame){.code = 1, .line = line, .file = 1}, 1,
			   (struct step_source){0});
}

static void put_off(struct block_builder *b, uint64_t start, uint64_t end)
{
	struct off_stretch o = off(start, end);

	block_builder_off(b, &o);
}

static void encode(struct block_builder *b, uint64_t last_ms, const struct off_stretch *o,
		   struct finished_block *ret)
{
	block_builder_encode(b, FIRST_NS + last_ms * MS, o, packer, &(struct stored_block){0}, ret);
}

static void decode(const struct finished_block *f, struct wait_list *ret)
{
	ck_assert_ptr_nonnull(f->waits);
	ck_assert_int_eq(wait_codec_decode(unpacker, f->waits, f->waits_len, ret), 0);
}

static const struct line_totals *find_line(const struct finished_block *f, int32_t line)
{
	for (size_t i = 0; i < f->n_lines; i++) {
		if (f->lines[i].line == line)
			return &f->lines[i];
	}
	ck_abort_msg("line %d is not there", line);
}

static void assert_item(const struct wait_list *list, size_t i, uint64_t start_ms,
			uint64_t length_ms, uint32_t flags)
{
	const struct wait_item *w = &list->items[i];

	ck_assert_uint_lt(i, list->n_items);
	ck_assert_uint_le(w->start_ns, start_ms * MS);
	ck_assert_uint_lt(start_ms * MS - w->start_ns, UNIT_NS);
	ck_assert_uint_lt(w->length_ns, length_ms * MS + UNIT_NS);
	ck_assert_uint_gt(w->length_ns + UNIT_NS, length_ms * MS);
	ck_assert_uint_eq(w->flags, flags);
}

/* Items, sums and parts of lines say the same of the time. */
static void assert_sums_agree(const struct finished_block *f)
{
	auto_list struct wait_list list = {0};
	size_t n_listed = 0;

	decode(f, &list);
	for (size_t k = 0; k < f->n_wait_totals; k++) {
		const struct wait_totals *t = &f->wait_totals[k];
		uint64_t n = 0, ns = 0, n_parts = 0;

		for (size_t i = 0; i < list.n_items; i++) {
			if (memcmp(&list.kinds[list.items[i].kind], &t->kind, sizeof(t->kind)) != 0)
				continue;
			n_parts++;
			n += !(list.items[i].flags & WAIT_BEGAN_BEFORE);
			ns += list.items[i].length_ns;
		}
		n_listed += n_parts;
		ck_assert_uint_eq(t->n, n);
		ck_assert_uint_lt(t->total_ns, ns + (n_parts + 1) * UNIT_NS);
		ck_assert_uint_le(ns, t->total_ns + n_parts * UNIT_NS);
		ck_assert_uint_le(t->longest_ns > 0, t->total_ns > 0);
	}
	ck_assert_uint_eq(n_listed, list.n_items);
	for (size_t i = 0; i < f->n_lines; i++)
		ck_assert_uint_le(f->lines[i].wait_ns + f->lines[i].ready_ns,
				  f->lines[i].self_ns + UNIT_NS);
}

START_TEST(a_wait_is_listed_and_counts_for_its_line)
{
	auto_builder struct block_builder *b = new_builder();
	auto_block struct finished_block f = {0};
	auto_list struct wait_list list = {0};

	put_off(b, 2, 7);
	go_to(b, 8, 11);
	encode(b, 20, NULL, &f);
	decode(&f, &list);
	ck_assert_uint_eq(list.n_items, 1);
	assert_item(&list, 0, 2, 5, 0);
	ck_assert_uint_eq(list.kinds[0].file, 1);
	ck_assert_int_eq(list.kinds[0].line, 10);
	ck_assert_uint_eq(list.kinds[0].reason, 5);
	ck_assert_uint_eq(list.kinds[0].native, 6);
	ck_assert_uint_eq(f.n_wait_totals, 1);
	ck_assert_uint_eq(f.wait_totals[0].n, 1);
	ck_assert_uint_eq(f.wait_totals[0].total_ns, 5 * MS);
	ck_assert_uint_eq(f.wait_totals[0].longest_ns, 5 * MS);
	ck_assert_uint_eq(f.wait_totals[0].longest_start_ns, FIRST_NS + 2 * MS);
	ck_assert_uint_eq(find_line(&f, 10)->wait_ns, 5 * MS);
	ck_assert_uint_eq(find_line(&f, 10)->ready_ns, 0);
	ck_assert_uint_eq(find_line(&f, 11)->wait_ns, 0);
	assert_sums_agree(&f);
}
END_TEST

START_TEST(a_short_one_only_counts_for_its_line)
{
	auto_builder struct block_builder *b = new_builder();
	auto_block struct finished_block f = {0};
	struct off_stretch o = off(1, 2);

	o.end_ns -= EVENT_UNIT_NS;
	block_builder_off(b, &o);
	encode(b, 20, NULL, &f);
	ck_assert_ptr_null(f.waits);
	ck_assert_uint_eq(f.waits_mark, 0);
	ck_assert_uint_eq(f.n_wait_totals, 0);
	ck_assert_uint_eq(find_line(&f, 10)->wait_ns, MS - EVENT_UNIT_NS);
}
END_TEST

START_TEST(waiting_for_a_cpu_is_something_else)
{
	auto_builder struct block_builder *b = new_builder();
	auto_block struct finished_block f = {0};
	struct off_stretch o = off(3, 6);

	put_off(b, 1, 3);
	o.state = WAIT_FOR_CPU;
	block_builder_off(b, &o);
	encode(b, 20, NULL, &f);
	ck_assert_uint_eq(find_line(&f, 10)->wait_ns, 2 * MS);
	ck_assert_uint_eq(find_line(&f, 10)->ready_ns, 3 * MS);
	ck_assert_uint_eq(f.n_wait_totals, 2);
	assert_sums_agree(&f);
}
END_TEST

START_TEST(equal_ones_are_one_kind)
{
	auto_builder struct block_builder *b = new_builder();
	auto_block struct finished_block f = {0};
	struct off_stretch other = off(9, 12);

	put_off(b, 1, 3);
	put_off(b, 4, 8);
	other.reason = 7;
	block_builder_off(b, &other);
	encode(b, 20, NULL, &f);
	ck_assert_uint_eq(f.n_wait_totals, 2);
	ck_assert_uint_eq(f.wait_totals[0].n, 2);
	ck_assert_uint_eq(f.wait_totals[0].total_ns, 6 * MS);
	ck_assert_uint_eq(f.wait_totals[0].longest_ns, 4 * MS);
	ck_assert_uint_eq(f.wait_totals[0].longest_start_ns, FIRST_NS + 4 * MS);
	assert_sums_agree(&f);
}
END_TEST

/* What is before the last step counts for what was before it. */
START_TEST(what_is_before_the_last_step_is_left_out)
{
	auto_builder struct block_builder *b = new_builder();
	auto_block struct finished_block f = {0};
	auto_list struct wait_list list = {0};

	go_to(b, 4, 11);
	put_off(b, 2, 9);
	put_off(b, 3, 4);
	encode(b, 20, NULL, &f);
	decode(&f, &list);
	ck_assert_uint_eq(list.n_items, 1);
	assert_item(&list, 0, 4, 5, 0);
	ck_assert_uint_eq(find_line(&f, 10)->wait_ns, 0);
	ck_assert_uint_eq(find_line(&f, 11)->wait_ns, 5 * MS);
	assert_sums_agree(&f);
}
END_TEST

START_TEST(what_is_too_short_to_be_listed_can_be_chosen)
{
	auto_builder struct block_builder *b = new_builder();
	auto_block struct finished_block f = {0};
	auto_list struct wait_list list = {0};

	block_builder_set_min_wait(b, 3 * MS);
	put_off(b, 1, 3);
	put_off(b, 5, 8);
	encode(b, 20, NULL, &f);
	decode(&f, &list);
	ck_assert_uint_eq(list.n_items, 1);
	assert_item(&list, 0, 5, 3, 0);
	ck_assert_uint_eq(find_line(&f, 10)->wait_ns, 5 * MS);
}
END_TEST

START_TEST(without_followed_code_nothing_waits)
{
	auto_builder struct block_builder *b = block_builder_new(FIRST_NS, NULL, 0);
	auto_block struct finished_block f = {0};
	struct off_stretch o = off(5, 0);

	put_off(b, 1, 4);
	encode(b, 20, &o, &f);
	ck_assert_uint_eq(f.waits_mark, 0);
	ck_assert_uint_eq(f.n_wait_totals, 0);
}
END_TEST

/* Stored while it goes on, it is in the block; the builder itself has it only when it is over. */
START_TEST(an_open_wait_is_taken_back)
{
	auto_builder struct block_builder *b = new_builder();
	auto_block struct finished_block first = {0}, second = {0}, third = {0};
	auto_list struct wait_list list = {0}, longer = {0}, whole = {0};
	struct off_stretch o = off(2, 0);

	encode(b, 10, &o, &first);
	decode(&first, &list);
	ck_assert_uint_eq(list.n_items, 1);
	assert_item(&list, 0, 2, 8, WAIT_GOES_ON);
	ck_assert_uint_eq(first.n_waits, 0);
	ck_assert_uint_eq(find_line(&first, 10)->wait_ns, 8 * MS);
	assert_sums_agree(&first);
	ck_assert_uint_eq(block_builder_n_waits(b), 0);

	/* Meanwhile its reason was found. */
	o.reason = 9;
	encode(b, 15, &o, &second);
	decode(&second, &longer);
	ck_assert_uint_eq(longer.n_items, 1);
	assert_item(&longer, 0, 2, 13, WAIT_GOES_ON);
	ck_assert_uint_eq(longer.kinds[longer.items[0].kind].reason, 9);
	ck_assert_uint_ne(second.waits_mark, first.waits_mark);
	assert_sums_agree(&second);

	o.end_ns = FIRST_NS + 16 * MS;
	block_builder_off(b, &o);
	encode(b, 17, NULL, &third);
	decode(&third, &whole);
	ck_assert_uint_eq(whole.n_items, 1);
	assert_item(&whole, 0, 2, 14, 0);
	ck_assert_uint_eq(find_line(&third, 10)->wait_ns, 14 * MS);
	assert_sums_agree(&third);
}
END_TEST

/* An open one that got nothing new need not be encoded again: it goes on to the block's end. */
START_TEST(what_is_stored_is_not_encoded_again)
{
	auto_builder struct block_builder *b = new_builder();
	auto_block struct finished_block first = {0}, second = {0};
	struct off_stretch o = off(2, 0);
	struct stored_block stored = {.row = 1};

	encode(b, 10, &o, &first);
	stored.waits_mark = first.waits_mark;
	block_builder_encode(b, FIRST_NS + 12 * MS, &o, packer, &stored, &second);
	ck_assert_ptr_null(second.waits);
	ck_assert_uint_eq(second.waits_mark, first.waits_mark);
	ck_assert_uint_eq(second.wait_totals[0].total_ns, 10 * MS);
}
END_TEST

START_TEST(an_open_wait_that_is_still_short_is_not_listed)
{
	auto_builder struct block_builder *b = new_builder();
	auto_block struct finished_block f = {0};
	struct off_stretch o = off(2, 0);

	block_builder_encode(b, FIRST_NS + 3 * MS - 1, &o, packer, &(struct stored_block){0}, &f);
	ck_assert_uint_eq(f.waits_mark, 0);
	ck_assert_uint_eq(find_line(&f, 10)->wait_ns, MS - 1);
}
END_TEST

/* A wait from before the block, through all of it or up to some moment in it. */
START_TEST(a_wait_is_split_by_blocks)
{
	auto_builder struct block_builder *b = new_builder();
	auto_block struct finished_block through = {0}, ended = {0};
	auto_list struct wait_list list = {0}, rest = {0};
	struct off_stretch o = off(0, 0);

	o.start_ns = FIRST_NS - 30 * MS;
	encode(b, 10, &o, &through);
	decode(&through, &list);
	ck_assert_uint_eq(list.n_items, 1);
	assert_item(&list, 0, 0, 10, WAIT_BEGAN_BEFORE | WAIT_GOES_ON);
	ck_assert_uint_eq(through.wait_totals[0].n, 0);
	ck_assert_uint_eq(through.wait_totals[0].total_ns, 10 * MS);
	ck_assert_uint_eq(through.wait_totals[0].longest_ns, 40 * MS);
	ck_assert_uint_eq(through.wait_totals[0].longest_start_ns, FIRST_NS - 30 * MS);
	assert_sums_agree(&through);

	o.end_ns = FIRST_NS + 12 * MS;
	block_builder_off(b, &o);
	encode(b, 20, NULL, &ended);
	decode(&ended, &rest);
	ck_assert_uint_eq(rest.n_items, 1);
	assert_item(&rest, 0, 0, 12, WAIT_BEGAN_BEFORE);
	ck_assert_uint_eq(ended.wait_totals[0].longest_ns, 42 * MS);
	ck_assert_uint_eq(find_line(&ended, 10)->wait_ns, 12 * MS);
	assert_sums_agree(&ended);
}
END_TEST

START_TEST(a_block_is_full_with_so_many)
{
	auto_builder struct block_builder *b = new_builder();

	for (uint64_t i = 0; i < WAITS_MAX; i++) {
		ck_assert(!block_builder_is_full(b));
		put_off(b, 2 * i, 2 * i + 1);
	}
	ck_assert(block_builder_is_full(b));
	ck_assert_uint_eq(block_builder_n_waits(b), WAITS_MAX);
}
END_TEST

/* What block_waits_undo() takes back leaves no trace in the sums. */
START_TEST(undoing_restores_the_sums)
{
	struct block_waits w = {0};
	struct off_stretch first = off(1, 4), second = off(5, 15);
	auto_free struct wait_totals *before = NULL, *after = NULL;
	struct waits_undo undo;
	uint64_t mark;
	size_t n;

	block_waits_add(&w, FIRST_NS, first.start_ns, first.end_ns, &first, 1, 10, false);
	before = block_waits_copy_totals(&w, &n);
	mark = block_waits_mark(&w);
	undo = block_waits_add(&w, FIRST_NS, second.start_ns, second.end_ns, &second, 1, 10, true);
	ck_assert_uint_eq(w.n_items, 2);
	ck_assert_uint_ne(block_waits_mark(&w), mark);
	block_waits_undo(&w, &undo);
	after = block_waits_copy_totals(&w, &n);
	ck_assert_uint_eq(n, 1);
	ck_assert_mem_eq(before, after, sizeof(*before));
	ck_assert_uint_eq(w.n_items, 1);
	ck_assert_uint_eq(block_waits_mark(&w), mark);
	block_waits_done(&w);
}
END_TEST

/* A moment as blocks have it. */
static uint64_t stored(uint64_t time_ns)
{
	return FIRST_NS + (time_ns - FIRST_NS) / EVENT_UNIT_NS * EVENT_UNIT_NS;
}

/* Random stretches and steps: whatever comes, all three tell the same. */
START_TEST(sums_agree_with_items)
{
	auto_builder struct block_builder *b = new_builder();
	auto_block struct finished_block f = {0};
	unsigned seed = (unsigned)_i + 1;
	uint64_t at_ns = FIRST_NS, wait_ns = 0, listed_ns = 0, lines_ns = 0;

	for (int i = 0; i < 2000; i++) {
		struct off_stretch o = {.start_ns = at_ns};

		seed = seed * 1664525u + 1013904223u;
		if (seed >> 31)
			block_builder_step(b, at_ns, 0,
					   &(struct stack_frame){1, (int32_t)(seed >> 8 & 7), 1}, 1,
					   (struct step_source){0});
		o.start_ns = at_ns + (seed >> 4 & 0xfffff);
		o.end_ns = o.start_ns + (seed >> 9 & 0x3fffff);
		o.state = seed >> 20 & 1 ? WAIT_FOR_CPU : WAIT_FOR_SOMETHING;
		o.reason = seed >> 21 & 3;
		o.idle = seed >> 23 & 1;
		block_builder_off(b, &o);
		wait_ns += stored(o.end_ns) - stored(o.start_ns);
		if (o.end_ns - o.start_ns >= WAIT_LISTED_NS)
			listed_ns += stored(o.end_ns) - stored(o.start_ns);
		at_ns = o.end_ns;
	}
	block_builder_encode(b, at_ns, NULL, packer, &(struct stored_block){0}, &f);
	for (size_t i = 0; i < f.n_lines; i++) {
		ck_assert_uint_le(f.lines[i].wait_ns + f.lines[i].ready_ns, f.lines[i].self_ns);
		lines_ns += f.lines[i].wait_ns + f.lines[i].ready_ns;
	}
	ck_assert_uint_eq(lines_ns, wait_ns);
	for (size_t i = 0; i < f.n_wait_totals; i++)
		listed_ns -= f.wait_totals[i].total_ns;
	ck_assert_uint_eq(listed_ns, 0);
	assert_sums_agree(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block_waits");
	TCase *tc = tcase_create("block_waits");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_wait_is_listed_and_counts_for_its_line);
	tcase_add_test(tc, a_short_one_only_counts_for_its_line);
	tcase_add_test(tc, waiting_for_a_cpu_is_something_else);
	tcase_add_test(tc, equal_ones_are_one_kind);
	tcase_add_test(tc, what_is_before_the_last_step_is_left_out);
	tcase_add_test(tc, what_is_too_short_to_be_listed_can_be_chosen);
	tcase_add_test(tc, without_followed_code_nothing_waits);
	tcase_add_test(tc, an_open_wait_is_taken_back);
	tcase_add_test(tc, what_is_stored_is_not_encoded_again);
	tcase_add_test(tc, an_open_wait_that_is_still_short_is_not_listed);
	tcase_add_test(tc, a_wait_is_split_by_blocks);
	tcase_add_test(tc, a_block_is_full_with_so_many);
	tcase_add_test(tc, undoing_restores_the_sums);
	tcase_add_loop_test(tc, sums_agree_with_items, 0, 5);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

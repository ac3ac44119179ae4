/* SPDX-License-Identifier: BSD-3-Clause */
/* From what a probe tells of a function to its code object, in an invented process. */
#include "recorder/exact/exact_codes.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/support/py_image.h"

#define FILE_NAME "/app/app.py"
#define OP_SEND	  123
#define SOON	  (NS_PER_S / 2)
#define LATER	  (2 * NS_PER_S)

static struct py_image im;
static struct py_codes *codes;
static struct exact_codes *c;
static struct usdt_state state;
static uint64_t file_at; /* the text FILE_NAME */
static remote_addr frame;

static void setup(void)
{
	py_image_init(&im, 11);
	codes = py_codes_new(&im.mem, &im.l);
	c = exact_codes_new(&im.mem, &im.l, codes);
	memset(&state, 0, sizeof(state));
	file_at = 0;
	frame = py_image_alloc(&im, 256);
}

static void teardown(void)
{
	exact_codes_free(c);
	py_codes_free(codes);
	py_image_done(&im);
}

/* A text as a probe points to it. */
static uint64_t text(const char *s)
{
	uint32_t len = (uint32_t)strlen(s) + 1;
	remote_addr at = py_image_alloc(&im, len);

	memcpy(py_image_at(&im, at, len), s, len);
	return at;
}

/* Lines first_line + 1 to + 9, one for each code unit; the first one is that of the definition. */
static struct image_function function(const char *name, int32_t first_line, remote_addr consts)
{
	const struct image_code about = {.file = FILE_NAME,
					 .name = name,
					 .nlocalsplus = 1,
					 .stacksize = 2,
					 .first_line = first_line,
					 .consts = consts};

	return py_image_function(&im, 0, &about);
}

/* The i-th register that outlives a probe. */
static unsigned kept_reg(unsigned i)
{
	uint64_t regs = usdt_kept_regs(USDT_MACHINE);

	while (i--)
		regs &= regs - 1;
	return (unsigned)__builtin_ctzll(regs);
}

/* From now on that register points to a frame of this code. */
static void point(unsigned reg, const struct image_function *f)
{
	py_image_put(&im, frame + im.l.frame.code, f->code);
	state.regs[reg] = frame;
}

static struct line_event event(const char *name, int32_t line)
{
	if (!file_at)
		file_at = text(FILE_NAME);
	return (struct line_event){
	    .file = file_at, .name = text(name), .line = line, .kind = PROBE_ENTRY};
}

static struct exact_code *find_at(const struct line_event *e, uint64_t now_ns)
{
	struct exact_code *code;

	ck_assert_int_eq(exact_codes_find(c, e, &state, now_ns, &code), 0);
	return code;
}

static struct exact_code *find(const struct line_event *e)
{
	return find_at(e, 1);
}

static void check_plain(const struct exact_code *code, const char *name, int32_t line)
{
	ck_assert(!code->is_from_code);
	ck_assert_str_eq(code->name, name);
	ck_assert_int_eq(code->first_line, line);
	ck_assert_int_eq(code->last_line, 0);
	ck_assert_int_eq(code->begins_here, -1);
}

static void check_found(const struct exact_code *code, const char *name, int32_t first_line)
{
	ck_assert(code->is_from_code);
	ck_assert_str_eq(code->name, name);
	ck_assert_str_eq(code->file, FILE_NAME);
	ck_assert_int_eq(code->first_line, first_line);
	ck_assert_int_gt(code->last_line, first_line);
}

START_TEST(a_register_leads_to_the_code_object)
{
	struct image_function f = function("Class.method", 10, 0);
	struct line_event e = event("method", 11);
	struct exact_code *code;

	point(kept_reg(2), &f);
	code = find(&e);
	check_found(code, "Class.method", 10);
	ck_assert_int_eq(code->last_line, 10 + (int32_t)f.n_units);
	ck_assert_int_eq(code->begins_here, 0);
	ck_assert_int_eq(code->followed, -1);
	ck_assert_uint_eq(code->id, 0);
	ck_assert_uint_eq(exact_codes_n_new(c), 1);

	/* What the caller notes is kept. */
	code->id = 5;
	code->followed = 1;
	ck_assert_ptr_eq(find(&e), code);
	ck_assert_uint_eq(code->id, 5);
	ck_assert_int_eq(code->followed, 1);
	ck_assert_uint_eq(exact_codes_n_new(c), 1);
}
END_TEST

START_TEST(the_plain_name_has_to_do_until_it_is_found)
{
	struct image_function f = function("Class.method", 10, 0);
	struct line_event e = event("method", 11);
	struct exact_code *code = find(&e);

	check_plain(code, "method", 11);
	code->id = 5;
	ck_assert_ptr_eq(find(&e), code);
	ck_assert_uint_eq(code->id, 5);
	point(kept_reg(0), &f);
	ck_assert_ptr_eq(find(&e), code);
	check_found(code, "Class.method", 10);
	/* It has another name now. */
	ck_assert_uint_eq(code->id, 0);
}
END_TEST

START_TEST(it_is_not_looked_for_for_ever)
{
	struct image_function f = function("run", 10, 0);
	struct line_event e = event("run", 11);

	for (int i = 0; i < 1000; i++)
		check_plain(find(&e), "run", 11);
	point(kept_reg(0), &f);
	check_plain(find(&e), "run", 11);
}
END_TEST

START_TEST(a_register_that_leads_elsewhere_is_not_believed)
{
	struct image_function other = function("Class.other", 10, 0);
	struct image_function f = function("Class.method", 30, 0);
	struct line_event e = event("method", 31);

	point(kept_reg(1), &other);	  /* another name */
	state.regs[kept_reg(0)] = 0x1234; /* nowhere */
	state.regs[kept_reg(3)] = frame + 1;
	check_plain(find(&e), "method", 31);

	/* The same name, but the line is none of its. */
	e = event("method", 77);
	point(kept_reg(1), &f);
	check_plain(find(&e), "method", 77);
	e = event("method", 31);
	check_found(find(&e), "Class.method", 30);
}
END_TEST

START_TEST(registers_that_are_not_kept_do_not_count)
{
	struct image_function f = function("run", 10, 0);
	struct line_event e = event("run", 11);

	point(usdt_stack_pointer(USDT_MACHINE), &f);
	check_plain(find(&e), "run", 11);
}
END_TEST

START_TEST(names_that_are_not_ascii)
{
	static const uint8_t latin[] = {'g', 'r', 0xf6, 0xdf, 'e'};
	struct image_function f = function("x", 10, 0);
	struct line_event e = event("gr\xc3\xb6\xc3\x9f"
				    "e",
				    11);

	py_image_put(&im, f.code + im.l.code.qualname, py_image_wide(&im, latin, sizeof(latin), 1));
	point(kept_reg(0), &f);
	check_found(find(&e),
		    "gr\xc3\xb6\xc3\x9f"
		    "e",
		    10);
}
END_TEST

START_TEST(names_that_are_too_long_are_cut)
{
	static char name[3 * PY_MAX_QUALNAME];
	struct line_event e;

	memset(name, 'n', sizeof(name) - 1);
	e = event(name, 11);
	ck_assert_uint_eq(strlen(find(&e)->name), PY_MAX_QUALNAME - 1);
}
END_TEST

/* --- constants of one that is known --- */

START_TEST(functions_inside_are_known_before_they_are_entered)
{
	struct image_function inner = function("outer.<locals>.inner.<locals>.<lambda>", 15, 0);
	remote_addr of_middle[] = {frame, inner.code};
	struct image_function middle =
	    function("outer.<locals>.inner", 12, py_image_tuple(&im, of_middle, 2));
	remote_addr of_outer[] = {middle.code};
	struct image_function outer = function("outer", 10, py_image_tuple(&im, of_outer, 1));
	struct line_event e = event("outer", 11);

	point(kept_reg(0), &outer);
	check_found(find(&e), "outer", 10);
	memset(&state, 0, sizeof(state));
	e = event("inner", 13);
	check_found(find(&e), "outer.<locals>.inner", 12);
	e = event("<lambda>", 16);
	check_found(find(&e), "outer.<locals>.inner.<locals>.<lambda>", 15);
	ck_assert_int_eq(find(&e)->begins_here, 0);
	/* Not one of that name which is elsewhere. */
	e = event("<lambda>", 400);
	check_plain(find(&e), "<lambda>", 400);
}
END_TEST

START_TEST(the_innermost_of_those_that_have_the_line)
{
	struct image_function wide = function("a.<locals>.<lambda>", 10, 0);
	struct image_function narrow = function("b.<locals>.<lambda>", 14, 0);
	struct line_event e = event("<lambda>", 16);

	/* The first object sets what the type of code objects is. */
	point(kept_reg(0), &wide);
	e = event("<lambda>", 11);
	check_found(find(&e), "a.<locals>.<lambda>", 10);
	exact_codes_know(c, narrow.code);
	memset(&state, 0, sizeof(state));
	e = event("<lambda>", 16);
	check_found(find(&e), "b.<locals>.<lambda>", 14);
	e = event("<lambda>", 13);
	check_found(find(&e), "a.<locals>.<lambda>", 10);
}
END_TEST

START_TEST(constants_that_are_no_end)
{
	remote_addr items[1];
	struct image_function f = function("f", 10, 0), g;
	struct line_event e = event("f", 11);

	/* It has itself as a constant. */
	items[0] = f.code;
	py_image_put(&im, f.code + im.l.code.consts, py_image_tuple(&im, items, 1));
	point(kept_reg(0), &f);
	check_found(find(&e), "f", 10);

	/* Its tuple says that it is endless, or is not there at all. */
	g = function("g", 30, py_image_tuple(&im, items, 1));
	py_image_put(&im, py_image_get(&im, g.code + im.l.code.consts) + 16, UINT64_MAX);
	point(kept_reg(0), &g);
	e = event("g", 31);
	check_found(find(&e), "g", 30);
	g = function("h", 50, 0x1000);
	point(kept_reg(0), &g);
	e = event("h", 51);
	check_found(find(&e), "h", 50);
	exact_codes_know(c, 0x1000);
	exact_codes_know(c, frame);
}
END_TEST

START_TEST(lines_of_awaits)
{
	struct image_function f = function("coroutine", 10, 0);
	struct line_event e = event("coroutine", 11);
	const struct exact_code *code;

	/* Units 1 and 4; lines are counted from that after the definition's. */
	*py_image_at(&im, f.code + im.l.code.code_adaptive + 2, 1) = OP_SEND;
	point(kept_reg(0), &f);
	code = find(&e);
	check_found(code, "coroutine", 10);
	ck_assert_uint_eq(code->n_awaits, 1);
	ck_assert_int_eq(code->awaits[0], 12);
}
END_TEST

/* Before 3.11 all lines are told by their probe: also the first one, wherever it is. */
START_TEST(first_lines_before_3_11)
{
	struct image_function f;
	struct line_event e;

	teardown();
	py_image_init(&im, 9);
	codes = py_codes_new(&im.mem, &im.l);
	c = exact_codes_new(&im.mem, &im.l, codes);
	file_at = 0;
	frame = py_image_alloc(&im, 256);
	f = function("run", 10, 0);
	e = event("unknown", 11);
	ck_assert_int_eq(find(&e)->begins_here, 0);
	ck_assert(!find(&e)->is_from_code);
	point(kept_reg(0), &f);
	e = event("run", 11);
	check_found(find(&e), "run", 10);
	ck_assert_int_eq(find(&e)->begins_here, 0);
}
END_TEST

START_TEST(generator_expressions_are_told)
{
	struct line_event e = event("<genexpr>", 5);

	ck_assert(find(&e)->is_genexpr);
	e = event("gen", 5);
	ck_assert(!find(&e)->is_genexpr);
}
END_TEST

/* --- memory that changes --- */

START_TEST(other_texts_at_the_same_addresses)
{
	struct line_event e = event("first", 11);
	struct exact_code *code = find_at(&e, 1);

	code->id = 9;
	code->followed = 1;
	memcpy(py_image_at(&im, e.name, 6), "other", 6);
	ck_assert_str_eq(find_at(&e, 1 + SOON)->name, "first");
	code = find_at(&e, 1 + LATER);
	ck_assert_str_eq(code->name, "other");
	ck_assert_uint_eq(code->id, 0);
	ck_assert_int_eq(code->followed, -1);

	/* The same still: nothing is decided anew. */
	code->id = 10;
	ck_assert_uint_eq(find_at(&e, 1 + 2 * LATER)->id, 10);
}
END_TEST

START_TEST(texts_that_cannot_be_read)
{
	struct line_event e = event("f", 11);
	struct exact_code *code;

	e.name = 0x1000;
	ck_assert_int_eq(exact_codes_find(c, &e, &state, 1, &code), -EFAULT);
	ck_assert_int_eq(exact_codes_find(c, &e, &state, 1, &code), -EFAULT);
	e.file = 0;
	ck_assert_int_eq(exact_codes_find(c, &e, &state, 1, &code), -EFAULT);
	im.gone = true;
	e = (struct line_event){.file = file_at, .name = file_at, .line = 3, .kind = PROBE_ENTRY};
	ck_assert_int_eq(exact_codes_find(c, &e, &state, 1, &code), -ESRCH);
	im.gone = false;
	ck_assert_int_eq(exact_codes_find(c, &e, &state, 1, &code), 0);
}
END_TEST

/* Those that were known and can't be read any more are told, and not forgotten. */
START_TEST(texts_that_go_away)
{
	const remote_addr page = UINT64_C(0x7f6000000000);
	struct line_event e = event("f", 11);
	struct exact_code *code;

	py_image_map(&im, page, 4096);
	memcpy(py_image_at(&im, page, 2), "g", 2);
	e.name = page;
	ck_assert_str_eq(find_at(&e, 1)->name, "g");
	py_image_unmap(&im, page);
	ck_assert_str_eq(find_at(&e, SOON)->name, "g");
	ck_assert_int_eq(exact_codes_find(c, &e, &state, LATER, &code), -EFAULT);
	py_image_map(&im, page, 4096);
	memcpy(py_image_at(&im, page, 2), "h", 2);
	ck_assert_str_eq(find_at(&e, 2 * LATER)->name, "h");
}
END_TEST

START_TEST(a_text_without_an_end)
{
	const remote_addr page = UINT64_C(0x7f6000000000);
	struct line_event e = event("f", 11);
	struct exact_code *code;

	py_image_map(&im, page, 4096);
	memset(py_image_at(&im, page, 4096), 'x', 4096);
	e.name = page + 4000; /* runs into what is not mapped */
	ck_assert_int_eq(exact_codes_find(c, &e, &state, 1, &code), -EFAULT);
	e.name = page;
	ck_assert_uint_eq(strlen(find(&e)->name), PY_MAX_QUALNAME - 1);
}
END_TEST

START_TEST(too_many_are_forgotten_and_begun_afresh)
{
	struct line_event e = event("f", 0);

	for (int32_t line = 1; line <= EXACT_CODES_MAX + 10; line++) {
		e.line = line;
		find(&e)->id = (uint32_t)line;
	}
	ck_assert_uint_eq(find(&e)->id, EXACT_CODES_MAX + 10);
	e.line = 1;
	ck_assert_uint_eq(find(&e)->id, 0);
	ck_assert_uint_eq(exact_codes_n_new(c), EXACT_CODES_MAX + 11);
}
END_TEST

/* --- which register points to the frame --- */

static uint64_t frame_of(const struct line_event *e)
{
	return exact_codes_frame(c, e, &state, 1);
}

START_TEST(the_frame_is_known_once_a_register_was_right_some_times)
{
	struct image_function f = function("f", 10, 0);
	struct line_event e = event("f", 11);

	e.kind = PROBE_LINE;
	point(kept_reg(1), &f);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(frame_of(&e), 0);
	ck_assert_uint_eq(frame_of(&e), frame);
	/* From then on it is that register, wherever it points to. */
	state.regs[kept_reg(1)] = 4711;
	ck_assert_uint_eq(frame_of(&e), 4711);
	/* At another probe the compiler may have had others. */
	e.kind = PROBE_RETURN;
	ck_assert_uint_eq(frame_of(&e), 0);
}
END_TEST

START_TEST(a_frame_that_no_register_points_to)
{
	struct image_function f = function("f", 10, 0);
	struct line_event e = event("g", 11);
	uint64_t reads;

	point(kept_reg(1), &f);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(frame_of(&e), 0);
	/* It is not looked for any more: that would cost with each line. */
	reads = im.mem.n_reads;
	ck_assert_uint_gt(reads, 0);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(frame_of(&e), 0);
	ck_assert_uint_eq(im.mem.n_reads, reads);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exact_codes");
	TCase *tc = tcase_create("exact_codes");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_register_leads_to_the_code_object);
	tcase_add_test(tc, the_plain_name_has_to_do_until_it_is_found);
	tcase_add_test(tc, it_is_not_looked_for_for_ever);
	tcase_add_test(tc, a_register_that_leads_elsewhere_is_not_believed);
	tcase_add_test(tc, registers_that_are_not_kept_do_not_count);
	tcase_add_test(tc, names_that_are_not_ascii);
	tcase_add_test(tc, names_that_are_too_long_are_cut);
	tcase_add_test(tc, functions_inside_are_known_before_they_are_entered);
	tcase_add_test(tc, the_innermost_of_those_that_have_the_line);
	tcase_add_test(tc, constants_that_are_no_end);
	tcase_add_test(tc, lines_of_awaits);
	tcase_add_test(tc, first_lines_before_3_11);
	tcase_add_test(tc, generator_expressions_are_told);
	tcase_add_test(tc, other_texts_at_the_same_addresses);
	tcase_add_test(tc, texts_that_cannot_be_read);
	tcase_add_test(tc, texts_that_go_away);
	tcase_add_test(tc, a_text_without_an_end);
	tcase_add_test(tc, too_many_are_forgotten_and_begun_afresh);
	tcase_add_test(tc, the_frame_is_known_once_a_register_was_right_some_times);
	tcase_add_test(tc, a_frame_that_no_register_points_to);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

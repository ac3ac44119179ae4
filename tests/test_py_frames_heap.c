/* SPDX-License-Identifier: BSD-3-Clause */
/* Stacks of 3.8 to 3.10: frame objects laid out by hand; each test for every version. */
#include "recorder/python/py_frames.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/frozen_clock.h"

#define BEHIND_MINOR 11
#define NOWHERE	     UINT64_C(0x123456789000)

/* Thread state, codes, and two frames: main(), which calls callee(). */
static struct py_image im;
static struct py_codes *codes;
static struct py_stacks *stacks;
static struct py_stack *stack;
static struct py_snapshot snap;
static struct image_function main_function, callee_function;
static struct image_heap_frame main_frame, callee;

static const struct image_code about = {
    .file = "/app/app.py", .name = "main", .nlocalsplus = 1, .stacksize = 4, .first_line = 10};

static remote_addr allocate_frame(void)
{
	return py_image_alloc(&im, IMAGE_HEAP_FRAME_BYTES);
}

static void begin(int minor)
{
	struct image_code code = about;

	py_image_init(&im, (unsigned)minor);
	im.before_read = frozen_clock_pass;
	codes = py_codes_new(&im.mem, &im.l);
	stacks = py_stacks_new(&im.mem, &im.l, codes);
	stack = py_stack_new(IMAGE_TSTATE);
	snap = (struct py_snapshot){0};
	main_function = py_image_function(&im, 0, &code);
	code.name = "callee";
	callee_function = py_image_function(&im, 0, &code);
	main_frame = (struct image_heap_frame){.addr = allocate_frame(),
					       .function = &main_function,
					       .unit = main_function.at[AT_CALL],
					       .executes = true};
	callee = (struct image_heap_frame){.addr = allocate_frame(),
					   .back = main_frame.addr,
					   .function = &callee_function,
					   .unit = callee_function.at[AT_LOAD],
					   .executes = true};
}

static void end(void)
{
	free(snap.frames);
	py_stack_free(stack);
	py_stacks_free(stacks);
	py_codes_free(codes);
	py_image_done(&im);
}

static void put_operand(uint32_t i, remote_addr object)
{
	py_image_put(&im, py_image_heap_operand(&im, &main_frame, i), object);
}

/* Put both frames into memory; the callee is the innermost one. */
static void lay_out(void)
{
	py_image_heap_frame(&im, &main_frame);
	py_image_heap_frame(&im, &callee);
	py_image_thread(&im, callee.addr, 0);
}

/* Give main() other code; its frame is at instruction i of that. */
static void main_is(const enum image_op *ops, const uint8_t *args, unsigned i)
{
	struct image_code code = about;
	unsigned n = 0;

	do {
		code.ops[n] = ops[n];
		if (args && ops[n] != IMAGE_END)
			code.args[n] = args[n];
	} while (ops[n++] != IMAGE_END);
	main_function = py_image_function(&im, 0, &code);
	main_frame.unit = main_function.at[i];
}

static void callee_is_named(const char *name)
{
	struct image_code code = about;

	code.name = name;
	callee_function = py_image_function(&im, 0, &code);
}

static int look(void)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < 16; i++)
		r = py_stack_read(stacks, stack, frozen_now_ns, &snap);
	return r;
}

/* What is published once this stack has been seen some times. */
static int look_often(void)
{
	int r = 0;

	for (int i = 0; r == 0 && i < 64; i++)
		r = look();
	return r;
}

static void check_frame(uint32_t i, const struct image_heap_frame *f)
{
	const struct py_frame *frame = &snap.frames[i];

	ck_assert_uint_lt(i, snap.n);
	ck_assert_uint_eq(frame->addr, f->addr);
	ck_assert_uint_eq(frame->code->addr, f->function->code);
	ck_assert_uint_eq(frame->unit, f->unit);
}

static void check_both(void)
{
	ck_assert_int_eq(snap.cut, PY_NOT_CUT);
	ck_assert_uint_eq(snap.n, 2);
	check_frame(0, &main_frame);
	check_frame(1, &callee);
}

static void check_main_alone(enum py_cut cut)
{
	ck_assert_int_eq(snap.cut, cut);
	ck_assert_uint_eq(snap.n, 1);
	check_frame(0, &main_frame);
}

/* --- plain calls --- */

START_TEST(a_plain_call_is_accepted)
{
	begin(_i);
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look(), 0);
	check_both();
	ck_assert_str_eq(snap.frames[1].code->name, "callee");
	ck_assert_int_eq(py_frame_line(codes, &snap.frames[1]), 11 + (int)callee.unit);
	/* Also when its pages are known and the thread state is not asked. */
	py_image_unmap(&im, IMAGE_TSTATE);
	ck_assert_int_eq(look_often(), 0);
	check_both();
	end();
}
END_TEST

START_TEST(a_frame_that_has_not_begun_is_at_its_first_line)
{
	begin(_i);
	callee.unit = IMAGE_BEFORE_START;
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look_often(), 0);
	ck_assert_uint_eq(snap.n, 2);
	ck_assert_uint_eq(snap.frames[1].unit, PY_UNIT_BEFORE_START);
	ck_assert_int_eq(py_frame_line(codes, &snap.frames[1]), 10);
	end();
}
END_TEST

START_TEST(a_call_of_another_function_is_cut)
{
	begin(_i);
	lay_out();
	put_operand(0, main_function.object);
	ck_assert_int_eq(look_often(), 0);
	check_main_alone(PY_CUT_TORN);
	end();
}
END_TEST

START_TEST(a_frame_that_links_elsewhere_is_cut)
{
	begin(_i);
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look(), 0);
	check_both();
	callee.back = main_frame.addr + 8;
	lay_out();
	ck_assert_int_eq(look_often(), 0);
	check_main_alone(PY_CUT_TORN);
	end();
}
END_TEST

/* main() is at an instruction that calls nothing. */
START_TEST(what_cannot_call_has_no_callee)
{
	begin(_i);
	main_frame.unit = main_function.at[AT_LOAD_AGAIN];
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look_often(), 0);
	check_main_alone(PY_NOT_CUT);
	end();
}
END_TEST

static void call_with_argument(void)
{
	static const enum image_op ops[] = {IMAGE_LOAD_FAST, IMAGE_LOAD_FAST, IMAGE_CALL,
					    IMAGE_RETURN_VALUE, IMAGE_END};
	static const uint8_t args[] = {0, 0, 1, 0};

	main_is(ops, args, 2);
	lay_out();
	put_operand(0, callee_function.object);
	put_operand(1, 0x111110);
}

static void put_first_local(remote_addr object)
{
	py_image_put(&im, callee.addr + im.l.frame.size, object);
}

START_TEST(the_argument_of_a_call_tells_it_from_another_one)
{
	begin(_i);
	call_with_argument();
	put_first_local(0x111110);
	ck_assert_int_eq(look_often(), 0);
	check_both();
	/* An earlier or later call of the same function. */
	put_first_local(0x222220);
	ck_assert_int_eq(look_often(), 0);
	check_main_alone(PY_CUT_TORN);
	/* It has been deleted, which says nothing. */
	put_first_local(0);
	ck_assert_int_eq(look_often(), 0);
	check_both();
	end();
}
END_TEST

START_TEST(an_argument_that_is_overwritten_tells_nothing)
{
	struct image_code code = about;

	begin(_i);
	code.ops[0] = IMAGE_LOAD_FAST;
	code.ops[1] = IMAGE_STORE_FAST;
	code.ops[2] = IMAGE_RETURN_VALUE;
	code.ops[3] = IMAGE_END;
	callee_function = py_image_function(&im, 0, &code);
	callee.unit = callee_function.at[1];
	call_with_argument();
	put_first_local(0x222220);
	ck_assert_int_eq(look_often(), 0);
	check_both();
	end();
}
END_TEST

static remote_addr bound_method(remote_addr function)
{
	remote_addr method = py_image_typed(&im, "method");

	py_image_put(&im, method + 16, function); /* im_func */
	return method;
}

START_TEST(a_bound_method_is_what_it_is_bound_to)
{
	begin(_i);
	call_with_argument();
	put_operand(0, bound_method(callee_function.object));
	put_first_local(0x222220); /* self, not the first argument */
	ck_assert_int_eq(look_often(), 0);
	check_both();
	put_operand(0, bound_method(main_function.object));
	ck_assert_int_eq(look_often(), 0);
	check_main_alone(PY_CUT_TORN);
	end();
}
END_TEST

START_TEST(a_method_stands_behind_an_empty_slot)
{
	static const enum image_op ops[] = {IMAGE_LOAD_FAST, IMAGE_LOAD_FAST, IMAGE_CALL_METHOD,
					    IMAGE_RETURN_VALUE, IMAGE_END};

	begin(_i);
	main_is(ops, NULL, 2);
	lay_out();
	put_operand(0, 0);
	put_operand(1, bound_method(callee_function.object));
	ck_assert_int_eq(look_often(), 0);
	check_both();
	/* A plain function with self behind it. */
	put_operand(0, callee_function.object);
	put_operand(1, 0x111110);
	ck_assert_int_eq(look_often(), 0);
	check_both();
	end();
}
END_TEST

/* A callable that is remembered is looked at again from time to time. */
START_TEST(a_function_that_changes_its_code_is_noticed)
{
	begin(_i);
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look(), 0);
	check_both();
	py_image_put(&im, callee_function.object + im.l.function.code, main_function.code);
	for (int i = 0; snap.n == 2; i++) {
		ck_assert_int_eq(look(), 0);
		ck_assert_int_lt(i, 1000);
	}
	check_main_alone(PY_CUT_TORN);
	end();
}
END_TEST

/* --- frames that are left --- */

START_TEST(what_a_call_left_behind_is_not_published)
{
	begin(_i);
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look_often(), 0);
	check_both();
	/* It keeps its frame object, and what the caller is at may call it again. */
	callee.executes = false;
	lay_out();
	py_image_thread(&im, main_frame.addr, 0);
	ck_assert_int_eq(look_often(), 0);
	check_main_alone(PY_NOT_CUT);
	end();
}
END_TEST

START_TEST(a_parked_frame_that_is_used_again_is_found)
{
	struct image_heap_frame parked;

	begin(_i);
	parked = callee;
	parked.addr = allocate_frame();
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look_often(), 0);
	/* The call is over, and the next one runs in another object. */
	callee.executes = false;
	lay_out();
	callee = parked;
	lay_out();
	ck_assert_int_eq(look_often(), 0);
	/* While a known frame of that function is free, nothing is looked for elsewhere. */
	check_main_alone(PY_NOT_CUT);
	end();
}
END_TEST

START_TEST(a_thread_whose_outermost_frame_is_new_is_found)
{
	begin(_i);
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look_often(), 0);
	main_frame.executes = false;
	lay_out();
	main_frame.executes = true;
	main_frame.addr = allocate_frame();
	callee.back = main_frame.addr;
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look_often(), 0);
	check_both();
	end();
}
END_TEST

START_TEST(a_thread_without_frames_runs_nothing)
{
	begin(_i);
	py_image_thread(&im, 0, 0);
	ck_assert_int_eq(look(), 0);
	ck_assert_uint_eq(snap.n, 0);
	ck_assert_int_eq(snap.cut, PY_NOT_CUT);
	end();
}
END_TEST

/* --- recursion --- */

/* main() calls itself n times, each frame an object of its own; returns the innermost one. */
static remote_addr recurse(uint32_t n)
{
	const remote_addr here = UINT64_C(0x7f6000000000);
	struct image_heap_frame f = main_frame;

	py_image_map(&im, here, (n * IMAGE_HEAP_FRAME_BYTES + 4095) & ~4095u);
	for (uint32_t i = 0; i < n; i++) {
		f.back = i ? f.addr : 0;
		f.addr = here + i * (uint64_t)IMAGE_HEAP_FRAME_BYTES;
		py_image_heap_frame(&im, &f);
		py_image_put(&im, py_image_heap_operand(&im, &f, 0), main_function.object);
	}
	py_image_thread(&im, f.addr, 0);
	return f.addr;
}

START_TEST(a_recursion_is_followed_to_its_end)
{
	const uint32_t n = 2000;
	remote_addr innermost;

	begin(_i);
	innermost = recurse(n);
	ck_assert_int_eq(look_often(), 0);
	ck_assert_int_eq(snap.cut, PY_NOT_CUT);
	ck_assert_uint_eq(snap.n, n);
	ck_assert_uint_eq(snap.frames[n - 1].addr, innermost);
	for (uint32_t i = 1; i < n; i++)
		ck_assert_uint_eq(snap.frames[i].addr - snap.frames[i - 1].addr,
				  IMAGE_HEAP_FRAME_BYTES);
	end();
}
END_TEST

/* Of a recursion the callee of a frame is the one that links to it, not any of that function. */
START_TEST(a_recursion_that_returned_partly_is_cut_there)
{
	remote_addr here;

	begin(_i);
	here = recurse(10) - 4 * (uint64_t)IMAGE_HEAP_FRAME_BYTES; /* the sixth frame */
	ck_assert_int_eq(look_often(), 0);
	ck_assert_uint_eq(snap.n, 10);
	for (uint32_t i = 5; i < 10; i++) {
		remote_addr at = here + (i - 5) * (uint64_t)IMAGE_HEAP_FRAME_BYTES;

		*py_image_at(&im, at + im.l.frame.executing, 1) =
		    im.l.liveness == PY_LIVE_STATE ? 1 : 0;
	}
	py_image_thread(&im, here - IMAGE_HEAP_FRAME_BYTES, 0);
	ck_assert_int_eq(look_often(), 0);
	ck_assert_uint_eq(snap.n, 5);
	ck_assert_int_eq(snap.cut, PY_NOT_CUT);
	end();
}
END_TEST

/* --- rings and memory that is gone --- */

START_TEST(a_ring_of_links_is_left)
{
	struct image_heap_frame other;

	begin(_i);
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look(), 0);
	/* Two frames that call each other, and none leads to main(). */
	other = callee;
	other.addr = allocate_frame();
	other.back = callee.addr;
	callee.back = other.addr;
	py_image_heap_frame(&im, &other);
	lay_out();
	ck_assert_int_eq(look_often(), 0);
	check_main_alone(PY_CUT_TORN);
	end();
}
END_TEST

START_TEST(a_ring_without_an_outermost_frame_is_no_stack)
{
	begin(_i);
	main_frame.back = callee.addr;
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look(), -EAGAIN);
	ck_assert_uint_eq(snap.n, 0);
	/* Nor is a frame that is its own caller. */
	callee.back = callee.addr;
	lay_out();
	ck_assert_int_eq(look(), -EAGAIN);
	ck_assert_uint_eq(snap.n, 0);
	end();
}
END_TEST

START_TEST(an_unreadable_frame_ends_the_stack)
{
	begin(_i);
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look(), 0);
	check_both();
	/* The thread state leads to memory that is gone. */
	callee.executes = false;
	lay_out();
	put_operand(0, py_image_typed(&im, "builtin_function_or_method"));
	py_image_thread(&im, NOWHERE, 0);
	ck_assert_int_eq(look_often(), 0);
	check_main_alone(PY_CUT_TORN);
	end();
}
END_TEST

/* Its header can be read, its locals can't. */
START_TEST(a_frame_that_ends_outside_of_memory_ends_the_stack)
{
	const remote_addr page = UINT64_C(0x7f6000000000);

	begin(_i);
	py_image_map(&im, page, 4096);
	callee.addr = page + 4096 - im.l.frame.size - 48;
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look(), 0);
	check_both();
	py_image_put(&im, callee.addr + 16, 100); /* its number of slots */
	ck_assert_int_eq(look(), 0);
	check_main_alone(PY_CUT_UNREADABLE);
	/* A number that can't be is bounded. */
	py_image_put(&im, callee.addr + 16, UINT64_MAX);
	ck_assert_int_eq(look(), 0);
	check_main_alone(PY_CUT_UNREADABLE);
	end();
}
END_TEST

START_TEST(a_frame_without_code_ends_the_stack)
{
	begin(_i);
	lay_out();
	put_operand(0, callee_function.object);
	ck_assert_int_eq(look(), 0);
	check_both();
	py_image_put(&im, callee.addr + im.l.frame.code, IMAGE_HEAP);
	ck_assert_int_eq(look_often(), 0);
	ck_assert_uint_eq(snap.n, 1);
	ck_assert_int_ne(snap.cut, PY_NOT_CUT);
	/* An instruction outside of its code. */
	callee.unit = callee_function.n_units;
	lay_out();
	ck_assert_int_eq(look_often(), 0);
	ck_assert_uint_eq(snap.n, 1);
	ck_assert_int_ne(snap.cut, PY_NOT_CUT);
	end();
}
END_TEST

START_TEST(an_outermost_frame_without_code_is_no_stack)
{
	begin(_i);
	lay_out();
	py_image_put(&im, main_frame.addr + im.l.frame.code, IMAGE_HEAP);
	ck_assert_int_eq(look(), -EAGAIN);
	ck_assert_uint_eq(snap.n, 0);
	end();
}
END_TEST

START_TEST(a_thread_state_that_is_gone_cannot_be_read)
{
	begin(_i);
	lay_out();
	py_image_unmap(&im, IMAGE_TSTATE);
	ck_assert_int_eq(look(), -EFAULT);
	im.gone = true;
	ck_assert_int_eq(look(), -ESRCH);
	end();
}
END_TEST

/* --- generators --- */

/* main() is a loop over an iterator object. */
static void iterate(remote_addr object)
{
	static const enum image_op ops[] = {IMAGE_LOAD_FAST, IMAGE_FOR_ITER, IMAGE_LOAD_FAST,
					    IMAGE_RETURN_VALUE, IMAGE_END};

	main_is(ops, NULL, 1);
	lay_out();
	put_operand(0, object);
}

START_TEST(a_generator_that_runs_is_found)
{
	begin(_i);
	callee.generator = py_image_typed(&im, "generator");
	iterate(callee.generator);
	ck_assert_int_eq(look_often(), 0);
	check_both();
	end();
}
END_TEST

START_TEST(a_generator_that_is_suspended_is_not_published)
{
	begin(_i);
	callee.generator = py_image_typed(&im, "generator");
	iterate(callee.generator);
	ck_assert_int_eq(look_often(), 0);
	check_both();
	callee.executes = false;
	callee.back = 0;
	iterate(callee.generator);
	py_image_thread(&im, main_frame.addr, 0);
	ck_assert_int_eq(look_often(), 0);
	check_main_alone(PY_NOT_CUT);
	end();
}
END_TEST

START_TEST(the_frame_of_another_generator_is_cut)
{
	begin(_i);
	callee.generator = py_image_typed(&im, "generator");
	iterate(py_image_typed(&im, "generator"));
	ck_assert_int_eq(look_often(), 0);
	check_main_alone(PY_CUT_TORN);
	end();
}
END_TEST

/* A loop over a list calls nothing; one over an object with __next__ does. */
START_TEST(only_an_iterator_that_may_call_has_a_callee)
{
	begin(_i);
	callee_is_named("__next__");
	iterate(py_image_typed(&im, "Countdown"));
	ck_assert_int_eq(look_often(), 0);
	check_both();
	iterate(py_image_typed(&im, "list_iterator"));
	ck_assert_int_eq(look_often(), 0);
	check_main_alone(PY_CUT_TORN);
	iterate(py_image_typed(&im, "callable_iterator"));
	ck_assert_int_eq(look_often(), 0);
	check_both();
	end();
}
END_TEST

/* --- callees that the operands do not prove --- */

START_TEST(an_operator_calls_a_dunder_method)
{
	static const enum image_op ops[] = {IMAGE_LOAD_FAST, IMAGE_LOAD_FAST, IMAGE_COMPARE_OP,
					    IMAGE_RETURN_VALUE, IMAGE_END};

	begin(_i);
	main_is(ops, NULL, 2);
	callee_is_named("__eq__");
	lay_out();
	ck_assert_int_eq(look_often(), 0);
	check_both();
	end();
	begin(_i);
	main_is(ops, NULL, 2);
	callee_is_named("compare");
	lay_out();
	ck_assert_int_eq(look_often(), 0);
	ck_assert_uint_eq(snap.n, 1);
	check_frame(0, &main_frame);
	end();
}
END_TEST

/* What main() calls is C code, which calls back. */
static void call_through_c(void)
{
	lay_out();
	put_operand(0, py_image_typed(&im, "builtin_function_or_method"));
}

START_TEST(a_call_through_c_is_accepted)
{
	begin(_i);
	call_through_c();
	ck_assert_int_eq(look_often(), 0);
	check_both();
	end();
}
END_TEST

/*
 * The caller's position is read alone, after all callees, to see whether it has moved: then it
 * has, and the callee is at another instruction in each look.
 */
static bool moves, is_slow;

static void move_caller(struct py_image *image, remote_addr addr, size_t len)
{
	struct image_heap_frame now = main_frame, callee_now = callee;
	static unsigned n;

	frozen_clock_pass(image, addr, len);
	if (addr == main_frame.addr + image->l.frame.ip) {
		if (moves)
			now.unit = main_function.at[AT_LOAD_AGAIN];
		if (is_slow)
			frozen_now_ns += NS_PER_MS;
		callee_now.unit = callee_function.at[++n % 2 ? AT_LOAD : AT_CALL];
		py_image_heap_frame(image, &callee_now);
	}
	py_image_heap_frame(image, &now);
}

START_TEST(a_caller_that_moved_between_two_reads_has_no_callee)
{
	begin(_i);
	moves = true;
	is_slow = false;
	call_through_c();
	im.before_read = move_caller;
	for (int i = 0; i < 64; i++) {
		ck_assert_int_eq(look(), 0);
		check_main_alone(PY_CUT_TORN);
	}
	moves = false;
	ck_assert_int_eq(look_often(), 0);
	ck_assert_uint_eq(snap.n, 2);
	end();
}
END_TEST

/* After so long it may have left and come back. */
START_TEST(a_caller_that_is_looked_at_too_late_has_no_callee)
{
	begin(_i);
	moves = false;
	is_slow = true;
	call_through_c();
	im.before_read = move_caller;
	for (int i = 0; i < 64; i++) {
		ck_assert_int_eq(look(), 0);
		check_main_alone(PY_CUT_TORN);
	}
	is_slow = false;
	ck_assert_int_eq(look_often(), 0);
	ck_assert_uint_eq(snap.n, 2);
	end();
}
END_TEST

/* The page of the frames is read, and then the callee returns and main() calls another one. */
static void replace_callee(struct py_image *image, remote_addr addr, size_t len)
{
	static unsigned n;
	struct image_heap_frame now = callee;

	frozen_clock_pass(image, addr, len);
	now.executes = ++n % 2;
	py_image_heap_frame(image, &now);
	py_image_thread(image, now.executes ? callee.addr : main_frame.addr, 0);
}

/* Whatever each read sees: what is published is main(), alone or with a callee that ran. */
START_TEST(a_callee_that_comes_and_goes_is_published_when_it_ran)
{
	unsigned n_alone = 0;

	begin(_i);
	lay_out();
	put_operand(0, callee_function.object);
	im.before_read = replace_callee;
	for (int i = 0; i < 200; i++) {
		int r = look();

		ck_assert(r == 0 || r == -EAGAIN);
		if (r < 0)
			continue;
		ck_assert_uint_ge(snap.n, 1);
		check_frame(0, &main_frame);
		n_alone += snap.n == 1;
		if (snap.n > 1)
			check_frame(1, &callee);
	}
	ck_assert_uint_gt(n_alone, 0);
	ck_assert_uint_lt(n_alone, 200);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_frames_heap");
	TCase *tc = tcase_create("py_frames_heap");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, a_plain_call_is_accepted, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_frame_that_has_not_begun_is_at_its_first_line, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_of_another_function_is_cut, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_frame_that_links_elsewhere_is_cut, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, what_cannot_call_has_no_callee, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, the_argument_of_a_call_tells_it_from_another_one, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, an_argument_that_is_overwritten_tells_nothing, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_bound_method_is_what_it_is_bound_to, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_method_stands_behind_an_empty_slot, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_function_that_changes_its_code_is_noticed, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, what_a_call_left_behind_is_not_published, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_parked_frame_that_is_used_again_is_found, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_thread_whose_outermost_frame_is_new_is_found, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_thread_without_frames_runs_nothing, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_recursion_is_followed_to_its_end, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_recursion_that_returned_partly_is_cut_there, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_ring_of_links_is_left, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_ring_without_an_outermost_frame_is_no_stack, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, an_unreadable_frame_ends_the_stack, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_frame_that_ends_outside_of_memory_ends_the_stack, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_frame_without_code_ends_the_stack, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, an_outermost_frame_without_code_is_no_stack, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_thread_state_that_is_gone_cannot_be_read, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_generator_that_runs_is_found, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_generator_that_is_suspended_is_not_published, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, the_frame_of_another_generator_is_cut, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, only_an_iterator_that_may_call_has_a_callee, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, an_operator_calls_a_dunder_method, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_through_c_is_accepted, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_caller_that_moved_between_two_reads_has_no_callee, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_caller_that_is_looked_at_too_late_has_no_callee, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_callee_that_comes_and_goes_is_published_when_it_ran, PY_MINOR_MIN,
			    BEHIND_MINOR);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

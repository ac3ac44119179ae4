/* SPDX-License-Identifier: BSD-3-Clause */
/* Unwind tables that are right, and such that lie. */
#include "recorder/oncpu/native_tables.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/support/native_scene.h"

#define PROGRAM(...)                                            \
	((struct scene_program){(const uint8_t[]){__VA_ARGS__}, \
				sizeof((const uint8_t[]){__VA_ARGS__})})
#define NONE ((struct scene_program){NULL, 0})
/* The return address is nowhere: the thread began here. */
#define OUTERMOST PROGRAM(0x07, 16)

static struct native_scene scene;
static struct native_frame frames[NATIVE_MAX_FRAMES];
static size_t n_frames;

static enum native_end unwind(void)
{
	enum native_end why = N_NATIVE_ENDS;

	ck_assert_int_eq(native_unwind(scene.unwinder, SCENE_IP(0), SCENE_SP, frames,
				       NATIVE_MAX_FRAMES, &n_frames, &why),
			 0);
	return why;
}

/* Function 0 was called by function 1, that by function 2. */
static void push_calls(void)
{
	native_scene_push(&scene, 8, SCENE_IP(1));
	native_scene_push(&scene, 24, SCENE_IP(2));
}

/* What becomes of a stack whose middle function has this program. */
static enum native_end unwind_with(struct scene_program middle)
{
	const struct scene_program functions[] = {NONE, middle, OUTERMOST};
	enum native_end why;

	native_scene_init(&scene, functions, 3, NONE);
	push_calls();
	why = unwind();
	native_scene_done(&scene);
	return why;
}

START_TEST(frames_are_found_by_their_tables)
{
	const struct scene_program functions[] = {NONE, PROGRAM(0x0e, 32), OUTERMOST};

	native_scene_init(&scene, functions, 3, NONE);
	native_scene_push(&scene, 8, SCENE_IP(1));
	native_scene_push(&scene, 16 + 24, SCENE_IP(2));
	ck_assert_int_eq(unwind(), NATIVE_COMPLETE);
	ck_assert_uint_eq(n_frames, 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(frames[i].ip, SCENE_IP(i));
	/* No symbols: the address in the file. */
	native_name(scene.unwinder, frames, n_frames);
	ck_assert_str_eq(frames[1].module, "/scene");
	ck_assert_ptr_null(frames[1].function);
	ck_assert_uint_eq(frames[1].offset, SCENE_IP(1));
	native_scene_done(&scene);
}
END_TEST

START_TEST(harmless_instructions_are_executed)
{
	ck_assert_int_eq(unwind_with(NONE), NATIVE_COMPLETE);
	/* Remember, change, restore; the frame by an expression: stack pointer + 8 + 8. */
	ck_assert_int_eq(unwind_with(PROGRAM(0x0a, 0x0e, 64, 0x0b)), NATIVE_COMPLETE);
	ck_assert_int_eq(unwind_with(PROGRAM(0x0f, 4, 0x77, 8, 0x23, 8)), NATIVE_COMPLETE);
	/* What comes later does not count yet. */
	ck_assert_int_eq(unwind_with(PROGRAM(0x02, 0x80, 0x0e, 64)), NATIVE_COMPLETE);
	/* What comes before does: the frame is where nothing was pushed. */
	ck_assert_int_eq(unwind_with(PROGRAM(0x02, 0x20, 0x0e, 64)), NATIVE_NO_CODE);
	ck_assert_uint_eq(n_frames, 3);
	ck_assert_uint_eq(frames[2].ip, 0);
}
END_TEST

START_TEST(harmful_instructions_are_refused)
{
	/* A register that there is not, in the place of another one. */
	ck_assert_int_eq(unwind_with(PROGRAM(0x09, 3, 0xff, 0xff, 0x03)), NATIVE_BAD_TABLE);
	ck_assert_int_eq(unwind_with(PROGRAM(0x0d, 17)), NATIVE_BAD_TABLE);
	/* The smallest number divided by -1. */
	ck_assert_int_eq(
	    unwind_with(PROGRAM(0x0f, 12, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b)),
	    NATIVE_BAD_TABLE);
	/* A jump to itself. */
	ck_assert_int_eq(unwind_with(PROGRAM(0x0f, 3, 0x2f, 0xfd, 0xff)), NATIVE_BAD_TABLE);
	/* Expressions that are longer than all there is, and empty ones. */
	ck_assert_int_eq(unwind_with(PROGRAM(0x0f, 0xff, 0xff, 0xff, 0x7f)), NATIVE_BAD_TABLE);
	ck_assert_int_eq(unwind_with(PROGRAM(0x0f, 0)), NATIVE_BAD_TABLE);
	/* More is restored than was remembered. */
	ck_assert_int_eq(unwind_with(PROGRAM(0x0b)), NATIVE_BAD_TABLE);
	/* No such instructions; one that is cut off; a number without an end. */
	ck_assert_int_eq(unwind_with(PROGRAM(0x3f)), NATIVE_BAD_TABLE);
	ck_assert_int_eq(unwind_with(PROGRAM(0x0c, 7)), NATIVE_BAD_TABLE);
	ck_assert_int_eq(unwind_with(PROGRAM(0x0e, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
					     0x80, 0x80, 0x80, 0x80, 0)),
			 NATIVE_BAD_TABLE);
}
END_TEST

START_TEST(a_frame_that_is_not_said_to_be_anywhere_is_refused)
{
	const struct scene_program functions[] = {NONE, OUTERMOST};

	native_scene_init(&scene, functions, 2, PROGRAM(0x90, 1));
	ck_assert_int_eq(unwind(), NATIVE_BAD_TABLE);
	native_scene_done(&scene);
}
END_TEST

START_TEST(frames_that_do_not_go_up_end_the_stack)
{
	/* The same stack pointer again, and a lower one. */
	ck_assert_int_eq(unwind_with(PROGRAM(0x0e, 0, 0x90, 0x7f)), NATIVE_LOOP);
	ck_assert_int_eq(unwind_with(PROGRAM(0x13, 4)), NATIVE_LOOP);
}
END_TEST

START_TEST(an_unknown_register_ends_the_stack)
{
	ck_assert_int_eq(unwind_with(PROGRAM(0x0c, 3, 16)), NATIVE_NO_REGISTER);
	ck_assert_int_eq(unwind_with(PROGRAM(0x0c, 6, 16)), NATIVE_NO_REGISTER);
	ck_assert_int_eq(unwind_with(PROGRAM(0x0f, 2, 0x73, 0)), NATIVE_NO_REGISTER);
	/* But one that an inner frame has saved is known. */
	const struct scene_program functions[] = {PROGRAM(0x0e, 24, 0x86, 2), PROGRAM(0x0c, 6, 16),
						  OUTERMOST};

	native_scene_init(&scene, functions, 3, NONE);
	native_scene_push(&scene, 8, SCENE_SP + 64);
	native_scene_push(&scene, 16, SCENE_IP(1));
	native_scene_push(&scene, 64 + 8, SCENE_IP(2));
	ck_assert_int_eq(unwind(), NATIVE_COMPLETE);
	ck_assert_uint_eq(n_frames, 3);
	native_scene_done(&scene);
}
END_TEST

START_TEST(what_is_not_mapped_ends_the_stack)
{
	/* The frame is far away; it is where something else points to. */
	ck_assert_int_eq(unwind_with(PROGRAM(0x0e, 0x80, 0x80, 0x80, 0x04)), NATIVE_UNREADABLE);
	ck_assert_int_eq(unwind_with(PROGRAM(0x0f, 3, 0x08, 16, 0x06)), NATIVE_UNREADABLE);
}
END_TEST

#if defined(__x86_64__)
START_TEST(a_frame_pointer_is_found_by_the_code)
{
	/* push %rbp; mov %rsp,%rbp; push %rbx; sub $0x18,%rsp */
	static const uint8_t code[] = {0x55, 0x48, 0x89, 0xe5, 0x53, 0x48, 0x83, 0xec, 0x18};
	static const uint8_t call[] = {0xff, 0xd0};
	static const uint8_t other[] = {0x48, 0x83, 0xec, 0x38};
	const struct scene_program functions[] = {NONE, PROGRAM(0x0c, 6, 16, 0x86, 2, 0x83, 3),
						  OUTERMOST};
	uint8_t *text;

	native_scene_init(&scene, functions, 3, NONE);
	text = scene.image + SCENE_TEXT;
	memcpy(text + SCENE_FUNCTION_BYTES, code, sizeof(code));
	native_scene_push(&scene, 8, SCENE_IP(1));
	/* 0x18 bytes of room, rbx, and then what it points to: the caller's, the return address. */
	native_scene_push(&scene, 16 + 0x18 + 8, SCENE_SP + 0x100);
	native_scene_push(&scene, 16 + 0x18 + 16, SCENE_IP(2));
	/* Nothing called it from there. */
	ck_assert_int_eq(unwind(), NATIVE_NO_REGISTER);
	ck_assert_uint_eq(n_frames, 2);
	memcpy(text + 2ul * SCENE_FUNCTION_BYTES + 0x40 - sizeof(call), call, sizeof(call));
	ck_assert_int_eq(unwind(), NATIVE_COMPLETE);
	ck_assert_uint_eq(n_frames, 3);
	ck_assert_uint_eq(frames[2].ip, SCENE_IP(2));
	/* A second amount, that fits as well: which one is it? */
	memcpy(text + SCENE_FUNCTION_BYTES + 0x10, other, sizeof(other));
	native_scene_push(&scene, 16 + 0x38 + 8, SCENE_SP + 0x100);
	native_scene_push(&scene, 16 + 0x38 + 16, SCENE_IP(2));
	ck_assert_int_eq(unwind(), NATIVE_NO_REGISTER);
	native_scene_done(&scene);
}
END_TEST
#endif

/* Change four bytes of the image, and look what becomes of the stack. */
static enum native_end unwind_changed(size_t at, uint32_t value)
{
	const struct scene_program functions[] = {NONE, NONE, OUTERMOST};
	enum native_end why;

	native_scene_init(&scene, functions, 3, NONE);
	push_calls();
	memcpy(scene.image + at, &value, sizeof(value));
	why = unwind();
	native_scene_done(&scene);
	return why;
}

START_TEST(tables_that_lie_are_told)
{
	const struct scene_program functions[] = {NONE, NONE, OUTERMOST};
	size_t fde, cie;

	native_scene_init(&scene, functions, 3, NONE);
	fde = scene.fdes[1];
	cie = scene.cie;
	native_scene_done(&scene);
	ck_assert_int_eq(unwind_changed(SCENE_TABLE + 500, 1), NATIVE_COMPLETE);
	/* Not ELF; versions and encodings that there are not; too many entries; none. */
	ck_assert_int_eq(unwind_changed(1, 0), NATIVE_NO_TABLE);
	ck_assert_int_eq(unwind_changed(SCENE_TABLE, 0x3b031b02), NATIVE_NO_TABLE);
	ck_assert_int_eq(unwind_changed(SCENE_TABLE, 0x3c031b01), NATIVE_NO_TABLE);
	ck_assert_int_eq(unwind_changed(SCENE_TABLE + 8, UINT32_MAX), NATIVE_NO_TABLE);
	ck_assert_int_eq(unwind_changed(SCENE_TABLE + 8, 0), NATIVE_NO_TABLE);
	/* An entry that leads out of the image, to a CIE, into the middle of something. */
	ck_assert_int_eq(unwind_changed(SCENE_TABLE + 12 + 12, 0x7fffffff), NATIVE_BAD_TABLE);
	ck_assert_int_eq(unwind_changed(SCENE_TABLE + 12 + 12, (uint32_t)(cie - SCENE_TABLE)),
			 NATIVE_BAD_TABLE);
	ck_assert_int_eq(unwind_changed(SCENE_TABLE + 12 + 12, (uint32_t)(fde + 1 - SCENE_TABLE)),
			 NATIVE_BAD_TABLE);
	/* An entry for another function; an order that is none. */
	ck_assert_int_eq(unwind_changed(SCENE_TABLE + 12 + 12, (uint32_t)(fde - 17 - SCENE_TABLE)),
			 NATIVE_NO_TABLE);
	ck_assert_int_eq(unwind_changed(SCENE_TABLE + 12 + 8, 0x7fffffff), NATIVE_NO_TABLE);
	/* Lengths: none, beyond the image, beyond 32 bits. */
	ck_assert_int_eq(unwind_changed(fde, 0), NATIVE_BAD_TABLE);
	ck_assert_int_eq(unwind_changed(fde, 0x7fff), NATIVE_BAD_TABLE);
	ck_assert_int_eq(unwind_changed(fde, UINT32_MAX), NATIVE_BAD_TABLE);
	ck_assert_int_eq(unwind_changed(fde, 3), NATIVE_BAD_TABLE);
	/* Its CIE is itself, or outside. */
	ck_assert_int_eq(unwind_changed(fde + 4, 0), NATIVE_BAD_TABLE);
	ck_assert_int_eq(unwind_changed(fde + 4, 0x7fffffff), NATIVE_BAD_TABLE);
	/* A function of no bytes; the return address in a register that there is not. */
	ck_assert_int_eq(unwind_changed(fde + 12, 0), NATIVE_BAD_TABLE);
	ck_assert_int_eq(unwind_changed(cie + 13, 0x01637801), NATIVE_BAD_TABLE);
}
END_TEST

START_TEST(any_changed_byte_is_survived)
{
	const struct scene_program functions[] = {NONE, PROGRAM(0x0f, 4, 0x77, 8, 0x23, 8),
						  OUTERMOST};
	enum native_end why;
	size_t end;

	native_scene_init(&scene, functions, 3, NONE);
	push_calls();
	end = scene.fdes[2] + 32;
	native_scene_done(&scene);
	for (size_t at = 0; at < end; at++) {
		if (at == 0x100)
			at = SCENE_TABLE;
		if (at == SCENE_TABLE + 64)
			at = SCENE_FRAMES;
		for (unsigned bit = 0; bit < 8; bit++) {
			native_scene_init(&scene, functions, 3, NONE);
			push_calls();
			scene.image[at] ^= (uint8_t)(1u << bit);
			why = unwind();
			ck_assert_int_lt(why, N_NATIVE_ENDS);
			native_scene_done(&scene);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("native_tables");
	TCase *tc = tcase_create("native_tables");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, frames_are_found_by_their_tables);
	tcase_add_test(tc, harmless_instructions_are_executed);
	tcase_add_test(tc, harmful_instructions_are_refused);
	tcase_add_test(tc, a_frame_that_is_not_said_to_be_anywhere_is_refused);
	tcase_add_test(tc, frames_that_do_not_go_up_end_the_stack);
	tcase_add_test(tc, an_unknown_register_ends_the_stack);
	tcase_add_test(tc, what_is_not_mapped_ends_the_stack);
#if defined(__x86_64__)
	tcase_add_test(tc, a_frame_pointer_is_found_by_the_code);
#endif
	tcase_add_test(tc, tables_that_lie_are_told);
	tcase_add_test(tc, any_changed_byte_is_survived);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

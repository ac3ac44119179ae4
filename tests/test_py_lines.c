/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_lines.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* A range of code, in bytes, and its line; 0: none. */
struct range {
	unsigned start, end;
	int32_t line;
};

struct example {
	enum py_line_table kind;
	int32_t first_line;
	const char *hex;
	struct range ranges[24];
};

/*
 * Tables that compilers wrote. The long ones are all of the same function, whose statements go
 * over several lines and back; the others have steps too long for one entry, and code that
 * belongs to no line.
 */
static const struct example examples[] = {
    {
	PY_LINES_LNOTAB,
	1,
	"000208010403020102fe0404020102fe0803020202ff060202fe",
	{{0, 8, 3},
	 {8, 12, 4},
	 {12, 14, 7},
	 {14, 16, 8},
	 {16, 20, 6},
	 {20, 22, 10},
	 {22, 24, 11},
	 {24, 32, 9},
	 {32, 34, 12},
	 {34, 36, 14},
	 {36, 42, 13},
	 {42, 44, 15},
	 {44, 46, 13}},
    },
    {
	PY_LINES_LNOTAB,
	1,
	"047f007f007f00140401027f007f002f02000280008000d3",
	{{0, 4, 1}, {4, 8, 402}, {8, 10, 403}, {10, 14, 704}, {14, 20, 403}},
    },
    {
	PY_LINES_PAIRS,
	1,
	"080204010203020104fe0204020108fe0203020206ff020202fe",
	{{0, 8, 3},
	 {8, 12, 4},
	 {12, 14, 7},
	 {14, 16, 8},
	 {16, 20, 6},
	 {20, 22, 10},
	 {22, 24, 11},
	 {24, 32, 9},
	 {32, 34, 12},
	 {34, 36, 14},
	 {36, 42, 13},
	 {42, 44, 15},
	 {44, 46, 13}},
    },
    {
	PY_LINES_PAIRS,
	1,
	"0400007f007f007f04140201007f007f042f0081008108d1",
	{{0, 4, 1}, {4, 8, 402}, {8, 10, 403}, {10, 14, 704}, {14, 22, 403}},
    },
    {PY_LINES_PAIRS, 62, "02800600", {{0, 2, 0}, {2, 8, 62}}},
    {
	PY_LINES_LOCATIONS,
	1,
	"8000e0080988418905 8041d80708f00004050ff006000d0ed80c0df005020d0f8801f008000d0ed80c0d"
	"f005020e0ff00003050df00003050d8801f00600090de00f10f003020d0e88418841e00c0df00502050f",
	{{0, 2, 1},
	 {2, 10, 3},
	 {10, 12, 3},
	 {12, 16, 4},
	 {16, 18, 7},
	 {18, 20, 8},
	 {20, 24, 6},
	 {24, 26, 10},
	 {26, 28, 11},
	 {28, 36, 9},
	 {36, 38, 12},
	 {38, 40, 14},
	 {40, 46, 13},
	 {46, 48, 15},
	 {48, 50, 13}},
    },
    {
	PY_LINES_LOCATIONS,
	1,
	"8100e008098d058041df0708f006000d0ed80c0df005020d0f8801f008000d0ed80c0df405020e0f8801"
	"f10600090df107020e0ff70a001011f003000d0ef00002050fe00c0df00502050f",
	{{0, 4, 1},
	 {4, 20, 3},
	 {20, 36, 4},
	 {36, 38, 7},
	 {38, 40, 8},
	 {40, 44, 6},
	 {44, 46, 10},
	 {46, 48, 11},
	 {48, 60, 9},
	 {60, 64, 12},
	 {64, 68, 9},
	 {68, 84, 14},
	 {84, 88, 13},
	 {88, 90, 15},
	 {90, 92, 13}},
    },
    {PY_LINES_LOCATIONS, 874, "f88000a821a846ac298000", {{0, 2, 0}, {2, 20, 874}}},
};
#define N_EXAMPLES ((int)(sizeof(examples) / sizeof(examples[0])))

static size_t from_hex(const char *hex, uint8_t *bytes)
{
	size_t n = 0;

	for (; *hex; hex++) {
		char digits[3] = {hex[0], hex[1], 0};

		if (*hex == ' ')
			continue;
		bytes[n++] = (uint8_t)strtoul(digits, NULL, 16);
		hex++;
	}
	return n;
}

START_TEST(tables_of_compilers_give_their_lines)
{
	const struct example *e = &examples[_i];
	uint8_t table[256];
	size_t len = from_hex(e->hex, table), n_units = 0;
	int32_t lines[128];

	for (const struct range *r = e->ranges; r->end; r++)
		n_units = r->end / 2;
	memset(lines, 0x55, sizeof(lines));
	py_lines_decode(e->kind, table, len, e->first_line, lines, n_units);
	for (const struct range *r = e->ranges; r->end; r++) {
		for (unsigned at = r->start; at < r->end; at += 2)
			ck_assert_msg(lines[at / 2] == r->line, "example %d, byte %u: %d, not %d",
				      _i, at, lines[at / 2], r->line);
	}
	ck_assert_int_eq(lines[n_units], 0x55555555); /* nothing is written behind the code */
}
END_TEST

static void decode(enum py_line_table kind, const char *hex, int32_t first_line, int32_t *lines,
		   size_t n_units)
{
	uint8_t table[64];
	size_t len = from_hex(hex, table);

	py_lines_decode(kind, table, len, first_line, lines, n_units);
}

START_TEST(an_empty_table_has_no_lines_but_the_first_to_3_9)
{
	int32_t lines[3];

	decode(PY_LINES_LNOTAB, "", 17, lines, 3);
	ck_assert_int_eq(lines[0], 17);
	ck_assert_int_eq(lines[2], 17);
	decode(PY_LINES_PAIRS, "", 17, lines, 3);
	ck_assert_int_eq(lines[0], 0);
	ck_assert_int_eq(lines[2], 0);
	decode(PY_LINES_LOCATIONS, "", 17, lines, 3);
	ck_assert_int_eq(lines[0], 0);
	ck_assert_int_eq(lines[2], 0);
}
END_TEST

/* 0xe8: kind 13 (a step alone) over one unit; a step of -(2^31 - 2), as a varint 0xfffffffd. */
START_TEST(lines_reach_the_largest_number)
{
	int32_t lines[3];

	decode(PY_LINES_LOCATIONS, "e8 7c7f7f7f7f03 e8 7d7f7f7f7f03 e8 02", 1, lines, 3);
	ck_assert_int_eq(lines[0], INT32_MAX);
	ck_assert_int_eq(lines[1], 1);
	ck_assert_int_eq(lines[2], 2);
	decode(PY_LINES_LNOTAB, "0200 0001", INT32_MAX - 1, lines, 2);
	ck_assert_int_eq(lines[0], INT32_MAX - 1);
	ck_assert_int_eq(lines[1], INT32_MAX);
	decode(PY_LINES_PAIRS, "0200 0201", INT32_MAX - 1, lines, 2);
	ck_assert_int_eq(lines[0], INT32_MAX - 1);
	ck_assert_int_eq(lines[1], INT32_MAX);
}
END_TEST

START_TEST(numbers_that_are_no_lines_are_unknown)
{
	int32_t lines[3];

	/* Beyond the largest, and back again: the sum is what counts. */
	decode(PY_LINES_LOCATIONS, "e8 02 e8 02 e8 03", INT32_MAX - 1, lines, 3);
	ck_assert_int_eq(lines[0], INT32_MAX);
	ck_assert_int_eq(lines[1], 0);
	ck_assert_int_eq(lines[2], INT32_MAX);
	/* Line 0 is a module's RESUME. */
	decode(PY_LINES_LOCATIONS, "80 00 e8 02 e8 05", 0, lines, 3);
	ck_assert_int_eq(lines[0], 0);
	ck_assert_int_eq(lines[1], 1);
	ck_assert_int_eq(lines[2], 0);
	decode(PY_LINES_PAIRS, "02fe 0203", 1, lines, 2);
	ck_assert_int_eq(lines[0], 0);
	ck_assert_int_eq(lines[1], 2);
}
END_TEST

START_TEST(a_table_longer_than_the_code_stops_at_its_end)
{
	int32_t lines[2] = {0, -1};

	decode(PY_LINES_LOCATIONS, "8700 d800", 5, lines, 1);
	ck_assert_int_eq(lines[0], 5);
	ck_assert_int_eq(lines[1], -1);
	decode(PY_LINES_PAIRS, "fe01 fe01", 5, lines, 1);
	ck_assert_int_eq(lines[0], 6);
	ck_assert_int_eq(lines[1], -1);
	decode(PY_LINES_LNOTAB, "fe01 fe01", 5, lines, 1);
	ck_assert_int_eq(lines[0], 5);
	ck_assert_int_eq(lines[1], -1);
}
END_TEST

/* Lines known from a whole table are the same, or unknown, with any part of it. */
START_TEST(a_truncated_table_says_nothing_false_before_its_end)
{
	const struct example *e = &examples[_i];
	uint8_t whole[256];
	size_t len = from_hex(e->hex, whole), n_units = 0;
	int32_t all[128], some[128];

	for (const struct range *r = e->ranges; r->end; r++)
		n_units = r->end / 2;
	py_lines_decode(e->kind, whole, len, e->first_line, all, n_units);
	for (size_t part = 0; part < len; part++) {
		/* On the heap, so that a sanitizer sees reading beyond it. */
		uint8_t *table = malloc(part + 1);
		size_t same = 0;

		ck_assert_ptr_nonnull(table);
		memcpy(table + 1, whole, part);
		py_lines_decode(e->kind, table + 1, part, e->first_line, some, n_units);
		free(table);
		while (same < n_units && some[same] == all[same])
			same++;
		/* Only the entry that was cut in two can be wrong; to 3.9 the last line goes on. */
		for (size_t i = same + 8; i < n_units && e->kind != PY_LINES_LNOTAB; i++)
			ck_assert_int_eq(some[i], 0);
	}
}
END_TEST

/* Any bytes: nothing outside the array is written, every line is one. */
START_TEST(random_tables_do_no_harm)
{
	uint64_t seed = 88172645463325252u;

	for (int round = 0; round < 3000; round++) {
		uint8_t table[200];
		int32_t lines[66];
		size_t len, n_units;

		for (size_t i = 0; i < sizeof(table); i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			table[i] = (uint8_t)(seed >> 32);
		}
		len = seed % sizeof(table);
		n_units = seed / 256 % 64;
		memset(lines, 0xa5, sizeof(lines));
		py_lines_decode((enum py_line_table)(round % 3), table, len,
				round & 64 ? INT32_MIN : (int32_t)seed, lines + 1, n_units);
		ck_assert_int_eq(lines[0], (int32_t)0xa5a5a5a5);
		ck_assert_int_eq(lines[n_units + 1], (int32_t)0xa5a5a5a5);
		for (size_t i = 1; i <= n_units; i++)
			ck_assert_int_ge(lines[i], 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_lines");
	TCase *tc = tcase_create("py_lines");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, tables_of_compilers_give_their_lines, 0, N_EXAMPLES);
	tcase_add_test(tc, an_empty_table_has_no_lines_but_the_first_to_3_9);
	tcase_add_test(tc, lines_reach_the_largest_number);
	tcase_add_test(tc, numbers_that_are_no_lines_are_unknown);
	tcase_add_test(tc, a_table_longer_than_the_code_stops_at_its_end);
	tcase_add_loop_test(tc, a_truncated_table_says_nothing_false_before_its_end, 0, N_EXAMPLES);
	tcase_add_test(tc, random_tables_do_no_harm);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

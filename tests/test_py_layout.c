/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_layout.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "recorder/python/py_code.h"
#include "recorder/python/py_opcodes.h"

/*
 * What 3.13.0, 3.14.10 and 3.15.2 publish, as far as it is used: the positions are those of
 * _Py_DebugOffsets in their headers, the values those of their debug information.
 */
struct published {
	uint32_t position, value;
};

static const struct published fields_13[] = {
    {40, 632}, {56, 7272}, {64, 7264}, {72, 7344}, {96, 7640}, {112, 16}, {168, 8},   {176, 16},
    {184, 72}, {192, 152}, {200, 160}, {208, 232}, {232, 8},   {240, 0},  {248, 56},  {256, 72},
    {264, 70}, {280, 112}, {288, 120}, {296, 128}, {304, 136}, {312, 68}, {344, 200}, {408, 24},
    {520, 16}, {528, 32},  {544, 32},  {552, 16},  {560, 40},
};
static const struct published fields_14[] = {
    {40, 808}, {56, 7280}, {64, 7272}, {72, 7344}, {104, 7672}, {120, 16},  {192, 8},  {200, 16},
    {208, 72}, {216, 152}, {224, 160}, {232, 232}, {256, 8},	{264, 0},   {272, 56}, {280, 80},
    {288, 74}, {296, 64},  {320, 112}, {328, 120}, {336, 128},	{344, 136}, {352, 68}, {384, 208},
    {456, 32}, {600, 16},  {608, 32},  {624, 32},  {632, 16},	{640, 40},  {680, 72}, {688, 67},
};
static const struct published fields_15[] = {
    {40, 936},	{56, 7272}, {64, 7264}, {72, 7336}, {104, 7576}, {120, 16},  {192, 8},
    {200, 16},	{208, 72},  {216, 80},	{240, 176}, {248, 184},	 {256, 256}, {320, 8},
    {328, 0},	{336, 56},  {344, 80},	{352, 74},  {360, 64},	 {384, 112}, {392, 120},
    {400, 128}, {408, 136}, {416, 68},	{448, 208}, {552, 32},	 {696, 16},  {704, 32},
    {720, 32},	{728, 16},  {736, 40},	{744, 56},  {808, 72},	 {816, 67},
};

static const struct {
	uint32_t hexversion, size;
	const struct published *fields;
	size_t n;
} headers[] = {
    {0x030d00f0, 584, fields_13, sizeof(fields_13) / sizeof(fields_13[0])},
    {0x030e0af0, 760, fields_14, sizeof(fields_14) / sizeof(fields_14[0])},
    {0x030f02f0, 888, fields_15, sizeof(fields_15) / sizeof(fields_15[0])},
};
#define N_HEADERS ((int)(sizeof(headers) / sizeof(headers[0])))

struct header {
	uint8_t bytes[PY_DEBUG_OFFSETS_MAX];
	uint32_t hexversion;
	struct py_layout row, layout;
};

static void publish(struct header *h, uint32_t position, uint64_t value)
{
	memcpy(h->bytes + position, &value, sizeof(value));
}

static void build(struct header *h, int i)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->bytes, "xdebugpy", 8);
	h->hexversion = headers[i].hexversion;
	publish(h, 8, h->hexversion);
	for (size_t k = 0; k < headers[i].n; k++)
		publish(h, headers[i].fields[k].position, headers[i].fields[k].value);
	h->row = *py_layout_find(13 + (unsigned)i);
	h->layout = h->row;
}

static int apply(struct header *h)
{
	return py_layout_apply_debug_offsets(&h->layout, h->hexversion, h->bytes, sizeof(h->bytes));
}

START_TEST(every_version_has_its_row)
{
	for (unsigned minor = PY_MINOR_MIN; minor <= PY_MINOR_MAX; minor++) {
		const struct py_layout *l = py_layout_find(minor);

		ck_assert_ptr_nonnull(l);
		ck_assert_uint_eq(l->minor, minor);
		ck_assert_uint_eq(l->opcodes->minor, minor);
		ck_assert_int_eq(l->frame_kind, minor < 11 ? PY_FRAMES_HEAP : PY_FRAMES_STACK);
	}
	ck_assert_ptr_null(py_layout_find(PY_MINOR_MIN - 1));
	ck_assert_ptr_null(py_layout_find(PY_MINOR_MAX + 1));
}
END_TEST

/* What is read in one go must hold what is picked out of it. */
START_TEST(rows_stay_within_what_is_read)
{
	for (unsigned minor = PY_MINOR_MIN; minor <= PY_MINOR_MAX; minor++) {
		const struct py_layout *l = py_layout_find(minor);

		ck_assert_uint_ge(l->code.size, PY_CODE_IDENTITY_BYTES);
		ck_assert_uint_le(l->code.size, PY_MAX_CODE_BYTES);
		ck_assert_uint_le(l->code.filename + 8, PY_CODE_IDENTITY_BYTES);
		ck_assert_uint_le(l->code.linetable + 8, PY_CODE_IDENTITY_BYTES);
		ck_assert_uint_le(l->unicode.compact_data, PY_MAX_STR_BYTES);
		ck_assert_uint_lt(l->unicode.length, l->unicode.compact_data);
		ck_assert_uint_lt(l->unicode.state, l->unicode.compact_data);
		if (l->frame_kind == PY_FRAMES_STACK) {
			ck_assert_uint_eq(l->frame.size, 8 * (uint64_t)l->frame_specials);
			ck_assert_uint_le(l->thread.datastack_limit + 8, PY_MAX_TSTATE_BYTES);
		}
	}
}
END_TEST

START_TEST(old_versions_are_told_by_their_size)
{
	ck_assert_uint_eq(py_layout_minor_from_runtime_size(1464), 8);
	ck_assert_uint_eq(py_layout_minor_from_runtime_size(656), 9);
	ck_assert_uint_eq(py_layout_minor_from_runtime_size(672), 10);
	ck_assert_uint_eq(py_layout_minor_from_runtime_size(673), 0);
	ck_assert_uint_eq(py_layout_minor_from_runtime_size(0), 0);
	/* 3.11 and later say their version. */
	ck_assert_uint_eq(py_layout_minor_from_runtime_size(166688), 0);
}
END_TEST

START_TEST(a_published_layout_is_the_built_in_one)
{
	struct header h;

	build(&h, _i);
	ck_assert_int_eq(apply(&h), 0);
	/* Reading up to the first instruction is enough; the rows say the struct's whole size. */
	h.row.code.size = h.row.code.code_adaptive;
	ck_assert_mem_eq(&h.layout, &h.row, sizeof(h.row));
}
END_TEST

START_TEST(a_moved_field_is_followed)
{
	static const uint32_t sysdict[] = {96, 104, 104}, datastack[] = {208, 232, 256};
	struct header h;

	build(&h, _i);
	publish(&h, sysdict[_i], 7648);
	publish(&h, datastack[_i], h.row.thread.datastack_chunk + 8);
	ck_assert_int_eq(apply(&h), 0);
	ck_assert_uint_eq(h.layout.interp.sysdict, 7648);
	ck_assert_uint_eq(h.layout.thread.datastack_chunk, h.row.thread.datastack_chunk + 8);
	ck_assert_uint_eq(h.layout.thread.datastack_top, h.row.thread.datastack_top + 8);
	ck_assert_uint_eq(h.layout.thread.datastack_limit, h.row.thread.datastack_limit + 8);
}
END_TEST

START_TEST(a_longer_frame_header_counts_in_words_too)
{
	static const uint32_t localsplus[] = {256, 280, 344};
	struct header h;

	build(&h, _i);
	publish(&h, localsplus[_i], h.row.frame.size + 8);
	ck_assert_int_eq(apply(&h), 0);
	ck_assert_uint_eq(h.layout.frame.size, h.row.frame.size + 8);
	ck_assert_uint_eq(h.layout.frame_specials, h.row.frame_specials + 1u);
}
END_TEST

START_TEST(a_free_threaded_build_is_told)
{
	struct header h;

	build(&h, _i);
	publish(&h, 16, 1);
	ck_assert_int_eq(apply(&h), -EOPNOTSUPP);
	ck_assert_mem_eq(&h.layout, &h.row, sizeof(h.row));
}
END_TEST

START_TEST(offsets_not_published_yet_mean_wait)
{
	struct header h;

	build(&h, _i);
	memset(h.bytes, 0, sizeof(h.bytes));
	ck_assert_int_eq(apply(&h), -EAGAIN);
}
END_TEST

START_TEST(another_version_is_refused)
{
	struct header h;

	build(&h, _i);
	publish(&h, 8, h.hexversion + 0x10000);
	ck_assert_int_eq(apply(&h), -EBADMSG);
	build(&h, _i);
	h.layout.minor = 12;
	ck_assert_int_eq(apply(&h), -EBADMSG);
	h.layout.minor = 16;
	ck_assert_int_eq(apply(&h), -EBADMSG);
}
END_TEST

START_TEST(a_header_cut_short_is_refused)
{
	struct header h;
	uint32_t n = headers[_i].fields[headers[_i].n - 1].position + 8;

	build(&h, _i);
	ck_assert_int_eq(py_layout_apply_debug_offsets(&h.layout, h.hexversion, h.bytes, n), 0);
	while (n--) {
		ck_assert_int_eq(py_layout_apply_debug_offsets(&h.layout, h.hexversion, h.bytes, n),
				 -EBADMSG);
	}
}
END_TEST

/* Of the fields within a struct, each one must stay in what is read of it. */
START_TEST(absurd_offsets_are_refused)
{
	/* In the runtime, the interpreter, a tuple and a bytes object fields are read one by one.
	 */
	static const uint32_t anywhere[][9] = {
	    {40, 56, 64, 72, 96, 112, 408, 520, 528},
	    {40, 56, 64, 72, 104, 120, 456, 600, 608},
	    {40, 56, 64, 72, 104, 120, 552, 696, 704},
	};
	/* The data of an ASCII str is an address to read from as well; 3.15's base frame is unused.
	 */
	static const uint32_t ascii[] = {560, 640, 736}, base_frame[] = {0, 0, 216};
	static const uint64_t absurd[] = {UINT64_MAX, UINT64_C(1) << 32, 5u << 20, 1u << 20, 4000};

	for (size_t k = 0; k < headers[_i].n; k++) {
		uint32_t position = headers[_i].fields[k].position;
		size_t n = sizeof(absurd) / sizeof(absurd[0]);

		for (size_t a = 0; a < sizeof(anywhere[0]) / sizeof(anywhere[0][0]); a++) {
			if (anywhere[_i][a] == position)
				n = 3;
		}
		if (position == ascii[_i] || position == base_frame[_i])
			n = 3;
		for (size_t v = 0; v < n; v++) {
			struct header h;

			build(&h, _i);
			publish(&h, position, absurd[v]);
			ck_assert_msg(apply(&h) == -EBADMSG, "3.%d: %u at %u is taken", 13 + _i,
				      (unsigned)absurd[v], position);
			ck_assert_mem_eq(&h.layout, &h.row, sizeof(h.row));
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_layout");
	TCase *tc = tcase_create("py_layout");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, every_version_has_its_row);
	tcase_add_test(tc, rows_stay_within_what_is_read);
	tcase_add_test(tc, old_versions_are_told_by_their_size);
	tcase_add_loop_test(tc, a_published_layout_is_the_built_in_one, 0, N_HEADERS);
	tcase_add_loop_test(tc, a_moved_field_is_followed, 0, N_HEADERS);
	tcase_add_loop_test(tc, a_longer_frame_header_counts_in_words_too, 0, N_HEADERS);
	tcase_add_loop_test(tc, a_free_threaded_build_is_told, 0, N_HEADERS);
	tcase_add_loop_test(tc, offsets_not_published_yet_mean_wait, 0, N_HEADERS);
	tcase_add_loop_test(tc, another_version_is_refused, 0, N_HEADERS);
	tcase_add_loop_test(tc, a_header_cut_short_is_refused, 0, N_HEADERS);
	tcase_add_loop_test(tc, absurd_offsets_are_refused, 0, N_HEADERS);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

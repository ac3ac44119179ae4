/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/units.h"

#include <check.h>
#include <errno.h>
#include <string.h>

START_TEST(rates_are_parsed)
{
	static const struct {
		const char *text;
		double hz;
	} cases[] = {
	    {"1000", 1000}, {"1k", 1000}, {"10khz", 10000}, {"2.5 kHz", 2500}, {"50Hz", 50},
	    {"0.5", 0.5},   {"max", 0},	  {"MAX", 0},	    {"1MHz", 1e6},     {"1000000000", 1e9},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double hz = -1;

		ck_assert_msg(parse_rate(cases[i].text, &hz) == 0, "%s", cases[i].text);
		ck_assert_double_eq_tol(hz, cases[i].hz, 1e-6);
	}
}
END_TEST

START_TEST(what_is_no_rate_is_refused)
{
	static const char *const texts[] = {"",	   "k",	  "-5",	 "1,5", "5 apples", "0x10",
					    "nan", "inf", "1e5", "1m",	"5k5",	    "."};
	double hz = -1;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_msg(parse_rate(texts[i], &hz) == -EINVAL, "%s", texts[i]);
	ck_assert_int_eq(parse_rate("0", &hz), -ERANGE);
	ck_assert_int_eq(parse_rate("2000000000", &hz), -ERANGE);
	ck_assert_int_eq(parse_rate("99999999999999999999999", &hz), -ERANGE);
	ck_assert_double_eq(hz, -1);
}
END_TEST

START_TEST(durations_are_parsed)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} cases[] = {
	    {"5", UINT64_C(5000000000)},
	    {"1.5s", UINT64_C(1500000000)},
	    {"500ms", UINT64_C(500000000)},
	    {"20 us", UINT64_C(20000)},
	    {"20\u00b5s", UINT64_C(20000)},
	    {"7ns", UINT64_C(7)},
	    {"2min", UINT64_C(120000000000)},
	    {"1h", UINT64_C(3600000000000)},
	    {"1d", UINT64_C(86400000000000)},
	    {"30 days", UINT64_C(2592000000000000)},
	    {"2w", UINT64_C(1209600000000000)},
	    {"1week", UINT64_C(604800000000000)},
	    {"1month", UINT64_C(2629800000000000)},
	    {"2 months", UINT64_C(5259600000000000)},
	    {"1y", UINT64_C(31557600000000000)},
	    {"3 years", UINT64_C(94672800000000000)},
	    {"1hour", UINT64_C(3600000000000)},
	    {"90 minutes", UINT64_C(5400000000000)},
	    {"1second", UINT64_C(1000000000)},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ns = 0;

		ck_assert_msg(parse_duration(cases[i].text, &ns) == 0, "%s", cases[i].text);
		ck_assert_uint_eq(ns, cases[i].ns);
	}
}
END_TEST

START_TEST(what_is_no_duration_is_refused)
{
	uint64_t ns = 1;

	ck_assert_int_eq(parse_duration("", &ns), -EINVAL);
	ck_assert_int_eq(parse_duration("soon", &ns), -EINVAL);
	ck_assert_int_eq(parse_duration("5 parsecs", &ns), -EINVAL);
	ck_assert_int_eq(parse_duration("1month 2days", &ns), -EINVAL);
	ck_assert_int_eq(parse_duration("101 years", &ns), -ERANGE);
	ck_assert_int_eq(parse_duration("-1s", &ns), -EINVAL);
	ck_assert_int_eq(parse_duration("0", &ns), -ERANGE);
	ck_assert_int_eq(parse_duration("99999999 d", &ns), -ERANGE);
	ck_assert_uint_eq(ns, 1);
}
END_TEST

START_TEST(sizes_are_parsed)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
	    {"0", 0},
	    {"512", 512},
	    {"512 B", 512},
	    {"64K", 65536},
	    {"64kib", 65536},
	    {"1.5M", 1572864},
	    {"4G", UINT64_C(4294967296)},
	    {"4GB", UINT64_C(4294967296)},
	    {"2 TiB", UINT64_C(2199023255552)},
	    {"4503599627370495", UINT64_C(4503599627370495)},
	    {"4096T", UINT64_C(4503599627370496)},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 1;

		ck_assert_msg(parse_size(cases[i].text, &bytes) == 0, "%s", cases[i].text);
		ck_assert_uint_eq(bytes, cases[i].bytes);
	}
}
END_TEST

START_TEST(what_is_no_size_is_refused)
{
	static const char *const texts[] = {"", "G", "much", "-1G", "4GBB", "4 GG", "0x10", "1e9"};
	uint64_t bytes = 1;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_msg(parse_size(texts[i], &bytes) == -EINVAL, "%s", texts[i]);
	ck_assert_int_eq(parse_size("4097T", &bytes), -ERANGE);
	ck_assert_int_eq(parse_size("9999999999999999999", &bytes), -ERANGE);
	ck_assert_uint_eq(bytes, 1);
}
END_TEST

START_TEST(counts_are_parsed)
{
	uint64_t n = 0;

	ck_assert_int_eq(parse_count("20", 100, &n), 0);
	ck_assert_uint_eq(n, 20);
	ck_assert_int_eq(parse_count("18446744073709551615", UINT64_MAX, &n), 0);
	ck_assert_uint_eq(n, UINT64_MAX);
	ck_assert_int_eq(parse_count("18446744073709551616", UINT64_MAX, &n), -ERANGE);
	ck_assert_int_eq(parse_count("101", 100, &n), -ERANGE);
	ck_assert_int_eq(parse_count("9", 5, &n), -ERANGE);
	ck_assert_int_eq(parse_count("0", 100, &n), -ERANGE);
	ck_assert_int_eq(parse_count("", 100, &n), -EINVAL);
	ck_assert_int_eq(parse_count("-1", 100, &n), -EINVAL);
	ck_assert_int_eq(parse_count("1 ", 100, &n), -EINVAL);
}
END_TEST

static const char *duration(uint64_t ns)
{
	static char buf[UNITS_MAX];

	format_duration(ns, "u", buf);
	return buf;
}

START_TEST(durations_are_formatted)
{
	ck_assert_str_eq(duration(0), "0 ns");
	ck_assert_str_eq(duration(999), "999 ns");
	ck_assert_str_eq(duration(1000), "1.00 us");
	ck_assert_str_eq(duration(9996), "10.0 us");
	ck_assert_str_eq(duration(12345), "12.3 us");
	ck_assert_str_eq(duration(999499), "999 us");
	ck_assert_str_eq(duration(999500), "1.00 ms");
	ck_assert_str_eq(duration(1500000000), "1.50 s");
	ck_assert_str_eq(duration(59400000000), "59.4 s");
	ck_assert_str_eq(duration(59999000000), "1 min 00 s");
	ck_assert_str_eq(duration(125000000000), "2 min 05 s");
	ck_assert_str_eq(duration(UINT64_C(3599900000000)), "1 h 00 min");
	ck_assert_str_eq(duration(UINT64_C(11040000000000)), "3 h 04 min");
	ck_assert_str_eq(duration(UINT64_C(183600000000000)), "2 d 03 h");
	ck_assert_int_lt((int)strlen(duration(UINT64_MAX)), UNITS_MAX);
}
END_TEST

START_TEST(sizes_are_formatted)
{
	char buf[UNITS_MAX];

	format_bytes(0, buf);
	ck_assert_str_eq(buf, "0 B");
	format_bytes(1023, buf);
	ck_assert_str_eq(buf, "1023 B");
	format_bytes(1536, buf);
	ck_assert_str_eq(buf, "1.50 KiB");
	format_bytes(1024 * 1024 - 1, buf);
	ck_assert_str_eq(buf, "1.00 MiB");
	format_bytes(UINT64_MAX, buf);
	ck_assert_str_eq(buf, "16.0 EiB");
}
END_TEST

START_TEST(counts_are_grouped)
{
	char buf[UNITS_MAX];

	format_count(0, buf);
	ck_assert_str_eq(buf, "0");
	format_count(999, buf);
	ck_assert_str_eq(buf, "999");
	format_count(1000, buf);
	ck_assert_str_eq(buf, "1,000");
	format_count(UINT64_MAX, buf);
	ck_assert_str_eq(buf, "18,446,744,073,709,551,615");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("units");
	TCase *tc = tcase_create("units");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, rates_are_parsed);
	tcase_add_test(tc, what_is_no_rate_is_refused);
	tcase_add_test(tc, durations_are_parsed);
	tcase_add_test(tc, what_is_no_duration_is_refused);
	tcase_add_test(tc, sizes_are_parsed);
	tcase_add_test(tc, what_is_no_size_is_refused);
	tcase_add_test(tc, counts_are_parsed);
	tcase_add_test(tc, durations_are_formatted);
	tcase_add_test(tc, sizes_are_formatted);
	tcase_add_test(tc, counts_are_grouped);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

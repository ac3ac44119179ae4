/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/cleanup.h"
#include "common/xalloc.h"

#define EXAMPLE_PATH "tests/data/collector.conf"
#define DEFAULT_PATH "config/collector.conf"
#define MAN_PATH     "man/trackexec-collector.conf.5"

#define TEXT_MAX_BYTES 65536

#define DAY_NS (UINT64_C(86400) * 1000000000)

/* The text of a file of the sources, or NULL when we are not started beside them. */
static char *read_source(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text;

	if (!f) {
		printf("skipped: %s is not here, run this from the folder of the sources\n", path);
		return NULL;
	}
	text = xcalloc(1, TEXT_MAX_BYTES);
	ck_assert_uint_gt(fread(text, 1, TEXT_MAX_BYTES - 1, f), 0);
	fclose(f);
	return text;
}

/* Parse what must be good. The caller frees. */
static struct collector_config *good(const char *text)
{
	auto_config_errors struct config_errors errors = {0};
	struct collector_config *c = NULL;
	int r = collector_config_parse("f", text, strlen(text), &c, &errors);

	ck_assert_msg(r == 0, "%s", errors.n ? errors.lines[0] : "no reason");
	ck_assert_uint_eq(errors.n, 0);
	return c;
}

/* Parse what must be bad in one way; the sentence must contain what is given. */
static void assert_bad(const char *text, const char *wanted)
{
	auto_config_errors struct config_errors errors = {0};
	struct collector_config *c = NULL;

	ck_assert_msg(collector_config_parse("f", text, strlen(text), &c, &errors) == -EINVAL,
		      "passed: %s", text);
	ck_assert_ptr_null(c);
	ck_assert_uint_eq(errors.n, 1);
	ck_assert_msg(strstr(errors.lines[0], wanted), "'%s' is not in: %s", wanted,
		      errors.lines[0]);
}

START_TEST(nothing_written_is_the_defaults)
{
	auto_collector_config struct collector_config *c = good("");
	const struct target_config *walt = &c->targets[0];

	ck_assert_str_eq(c->root, "/var/log/walt/trackexec");
	ck_assert_str_eq(c->socket, "/run/trackexec/collector.sock");
	ck_assert_str_eq(c->user, "trackexec");
	ck_assert_str_eq(c->group, "adm");
	ck_assert_double_eq(c->rate_hz, 5000);
	ck_assert_uint_eq(c->min_wait_ns, NS_PER_MS);
	ck_assert_double_eq(c->cpu_budget_percent, 5);
	ck_assert_int_eq(c->mode, SAMPLING_OBSERVED);
	ck_assert_uint_eq(c->max_use_bytes, UINT64_C(4) << 30);
	ck_assert_uint_eq(c->keep_free_bytes, UINT64_C(1) << 30);
	ck_assert_uint_eq(c->max_age_ns, 0);
	ck_assert_uint_eq(c->n_targets, 1);
	ck_assert_ptr_null(walt->section);
	ck_assert_str_eq(walt->title, "walt-server-daemon:*");
	ck_assert_ptr_null(walt->command);
	ck_assert_ptr_null(walt->name);
	ck_assert_uint_eq(walt->users.n, 0);
	ck_assert_int_eq(walt->follow, FOLLOW_PACKAGES);
	ck_assert_str_eq(walt->packages[0], "walt");
	ck_assert_ptr_null(walt->packages[1]);
	ck_assert_str_eq(walt->packages_text, "walt");
	ck_assert_double_eq(walt->rate_hz, 5000);
}
END_TEST

START_TEST(each_key_is_understood)
{
	auto_free char *text = read_source(EXAMPLE_PATH);
	auto_collector_config struct collector_config *c = NULL;
	const struct target_config *t;

	if (!text)
		return;
	c = good(text);
	ck_assert_str_eq(c->root, "/srv/traces");
	ck_assert_str_eq(c->socket, "/srv/traces.sock");
	ck_assert_str_eq(c->user, "0");
	ck_assert_str_eq(c->group, "root");
	ck_assert_double_eq(c->rate_hz, 2500);
	ck_assert_uint_eq(c->min_wait_ns, 250 * NS_PER_US);
	ck_assert_double_eq(c->cpu_budget_percent, 12.5);
	ck_assert_uint_eq(c->max_use_bytes, UINT64_C(3) << 39);
	ck_assert_uint_eq(c->keep_free_bytes, 0);
	ck_assert_uint_eq(c->max_age_ns, 14 * DAY_NS);
	ck_assert_uint_eq(c->n_targets, 4);

	t = &c->targets[0];
	ck_assert_str_eq(t->section, "web");
	ck_assert_ptr_null(t->title);
	ck_assert_str_eq(t->command, "*/python3 /opt/web/*.py --port=[0-9]*");
	ck_assert_int_eq(t->follow, FOLLOW_ALL);
	ck_assert_str_eq(t->packages_text, "*");
	ck_assert_double_eq(t->rate_hz, 2500);

	t = &c->targets[1];
	ck_assert_str_eq(t->title, "db: writer");
	ck_assert_str_eq(t->name, "writer");
	ck_assert_int_eq(t->follow, FOLLOW_OWN);
	ck_assert_ptr_null(t->packages[0]);
	ck_assert_str_eq(t->packages_text, "");

	ck_assert_str_eq(c->targets[2].title, "pool worker <*>");
	ck_assert_double_eq(c->targets[2].rate_hz, 100);

	t = &c->targets[3];
	ck_assert_ptr_null(t->section);
	ck_assert_uint_eq(t->users.n, 4);
	ck_assert_uint_eq(t->users.items[1].uid, 1001);
	ck_assert_str_eq(t->users.items[2].name, "root");
	ck_assert_uint_eq(t->users.items[3].uid, 1002);
	ck_assert_str_eq(t->packages_text, "walt.server,other");
	ck_assert_double_eq(t->rate_hz, 0);
}
END_TEST

START_TEST(nothing_assigned_is_the_default_again)
{
	auto_collector_config struct collector_config *c = good(
	    "[Collector]\nRoot=/x\nRoot=\n[Sampling]\nRate=7\nRate=\n[Storage]\nMaxAge=1d\n"
	    "MaxAge=\n[Target]\nTitle=x:*\nTitle=\nUsers=1\nUsers=\nPackages=\nRate=9\nRate=\n");

	ck_assert_str_eq(c->root, "/var/log/walt/trackexec");
	ck_assert_double_eq(c->rate_hz, 5000);
	ck_assert_uint_eq(c->max_age_ns, 0);
	ck_assert_str_eq(c->targets[0].title, "walt-server-daemon:*");
	ck_assert_uint_eq(c->targets[0].users.n, 0);
	ck_assert_int_eq(c->targets[0].follow, FOLLOW_OWN);
	ck_assert_double_eq(c->targets[0].rate_hz, 5000);
}
END_TEST

START_TEST(lists_grow_and_can_be_emptied)
{
	auto_collector_config struct collector_config *c =
	    good("[Target]\nPackages=a b\nPackages=b,c\nUsers=1\nUsers=\nUsers=2\n");

	ck_assert_str_eq(c->targets[0].packages_text, "a,b,c");
	ck_assert_uint_eq(c->targets[0].users.n, 1);
	ck_assert_uint_eq(c->targets[0].users.items[0].uid, 2);
}
END_TEST

START_TEST(what_is_printed_says_the_same)
{
	auto_free char *example = read_source(EXAMPLE_PATH);
	const char *const texts[] = {
	    "",
	    example ? example : "",
	    "[Sampling]\nRate=0.001\nCPUBudget=0.05%\n[Storage]\nMaxUse=1048577\nKeepFree=0.3G\n"
	    "MaxAge=90s\n[Target]\nRate=1234.5678\n",
	    "[Sampling]\nRate=1000000000\nMinWait=10us\n[Storage]\nMaxUse=4096T\nMaxAge=100y\n",
	    "[Sampling]\nMinWait=1h\n[Storage]\nMaxAge=1ns\n[Target]\nPackages=a,b,c,d,e,f,g,h,i,j,"
	    "k,l,m,n,o,p\nPackages="
	    "a_name_that_makes_the_line_long_when_it_is_printed,another_one_that_is_quite_long\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		auto_collector_config struct collector_config *c = good(texts[i]);
		auto_free char *text = collector_config_format(c);
		auto_collector_config struct collector_config *again = good(text);
		auto_free char *text_again = collector_config_format(again);

		ck_assert_str_eq(text, text_again);
		ck_assert_double_eq(c->rate_hz, again->rate_hz);
		ck_assert_uint_eq(c->min_wait_ns, again->min_wait_ns);
		ck_assert_double_eq(c->cpu_budget_percent, again->cpu_budget_percent);
		ck_assert_uint_eq(c->max_use_bytes, again->max_use_bytes);
		ck_assert_uint_eq(c->keep_free_bytes, again->keep_free_bytes);
		ck_assert_uint_eq(c->max_age_ns, again->max_age_ns);
		ck_assert_uint_eq(c->n_targets, again->n_targets);
		for (size_t k = 0; k < c->n_targets; k++) {
			ck_assert_double_eq(c->targets[k].rate_hz, again->targets[k].rate_hz);
			ck_assert_int_eq(c->targets[k].follow, again->targets[k].follow);
			ck_assert_str_eq(c->targets[k].packages_text,
					 again->targets[k].packages_text);
		}
	}
}
END_TEST

START_TEST(ages_are_whole_seconds)
{
	auto_collector_config struct collector_config *c = good("[Storage]\nMaxAge=1500ms\n");

	ck_assert_uint_eq(c->max_age_ns, UINT64_C(2000000000));
}
END_TEST

START_TEST(a_wrong_value_is_refused_with_what_is_possible)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
	    {"[Collector]\nRoot=traces", "f:2: Root=traces: give an absolute path"},
	    {"[Collector]\nRoot=/a/../b", "without .."},
	    {"[Collector]\nRoot=/a/..", "without .."},
	    {"[Collector]\nRoot=//", "give an absolute path"},
	    {"[Collector]\nRoot=/srv/traces /", "the name of a folder ends with a blank"},
	    {"[Collector]\nSocket=/run/"
	     "a1234567890123456789012345678901234567890123456789012345678901234567890123456789"
	     "0123456789012345678901234",
	     "has at most 107 bytes"},
	    {"[Collector]\nUser=no-such-user-1", "there is no user no-such-user-1"},
	    {"[Collector]\nUser=4294967295", "there is no user"},
	    {"[Collector]\nUser=root,daemon", "one user"},
	    {"[Collector]\nGroup=no-such-group", "there is no group no-such-group"},
	    {"[Sampling]\n\nRate=fast", "f:3: Rate=fast: give snapshots per second, as 5000"},
	    {"[Sampling]\nRate=-1", "Rate=-1: "},
	    {"[Sampling]\nRate=0.0001", "Rate=0.0001: "},
	    {"[Sampling]\nCPUBudget=5", "as 5%"},
	    {"[Sampling]\nCPUBudget=0%", "above 0%"},
	    {"[Sampling]\nCPUBudget=101%", "at most 100%"},
	    {"[Sampling]\nCPUBudget=%", "as 5%"},
	    {"[Sampling]\nCPUBudget=max%", "as 5%"},
	    {"[Sampling]\nMinWait=1us", "from 10us to 1h"},
	    {"[Sampling]\nMinWait=2h", "from 10us to 1h"},
	    {"[Sampling]\nMinWait=0", "from 10us to 1h"},
	    {"[Sampling]\nMode=precise", "give observed"},
	    {"[Storage]\nMaxUse=0", "at least 1M"},
	    {"[Storage]\nMaxUse=4 gigs", "as 4G"},
	    {"[Storage]\nKeepFree=-1", "as 1G"},
	    {"[Storage]\nMaxAge=soon", "as 12h, 30days"},
	    {"[Target]\nTitle=*", "every process would match"},
	    {"[Target]\nTitle=a*b*", "only one *"},
	    {"[Target]\nTitle=\"walt:*\"", "leave out the quotes"},
	    {"[Target x]\nCommand=* ?", "every process would match"},
	    {"[Target x]\nCommand=a[b", "[ without ]"},
	    {"[Target x]\nCommand=a[]b", "[ without ]"},
	    {"[Target x]\nCommand=a[!", "[ without ]"},
	    {"[Target x]\nCommand=a\\", "at the end"},
	    {"[Target x]\nCommand=a\nName=../b", "f:3: Name=../b: the name begins with a dot"},
	    {"[Target]\nUsers=root no-such-user-1", "there is no user no-such-user-1"},
	    {"[Target]\nUsers=*", "there is no user *"},
	    {"[Target]\nPackages=my-lib", "my-lib is no package"},
	    {"[Target]\nPackages=a..b", "a..b is no package"},
	    {"[Target]\nPackages=.a", ".a is no package"},
	    {"[Target]\nPackages=a.", "a. is no package"},
	    {"[Target]\nPackages=3d", "3d is no package"},
	    {"[Target]\nPackages=a *", "give it alone"},
	    {"[Target]\nPackages=*\nPackages=a", "f:3: "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_bad(cases[i].text, cases[i].wanted);
}
END_TEST

START_TEST(what_is_no_key_or_section_is_refused_with_what_is)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
	    {"[Sampling]\nRte=5", "f:2: unknown key Rte= in [Sampling]; did you mean Rate=?"},
	    {"[Sampling]\ncpubudget=5%", "did you mean CPUBudget=?"},
	    {"[Storage]\nCompression=9", "its keys are MaxUse=, KeepFree=, MaxAge="},
	    {"[Sampling]\nMaxUse=4G", "MaxUse= is no key of [Sampling], but of [Storage]"},
	    {"[sampling]\nx=1\ny=2", "f:1: unknown section [sampling]; did you mean [Sampling]?"},
	    {"[Journal]", "there are [Collector], [Target]"},
	    {"[TargetX]", "unknown section [TargetX]"},
	    {"[Target a/b]\nx=y", "f:1: [Target a/b]: the name holds a slash"},
	    {"[Target ..]", "begins with a dot"},
	    {"Rate=5", "f:1: Rate= stands before any section"},
	    {"[Sampling]\nRate 5", "f:2: neither [Section] nor Key=value"},
	    {"[Sampling]\n=5", "f:2: no key before the ="},
	    {"[Sampling\nx=1", "f:1: a section ends with ]"},
	    {"[Sampling] x\nx=1", "f:1: a section ends with ]"},
	    {"[Sampling]\nRate=\xff", "f:2: not valid UTF-8"},
	    {"[Sampling]\nRate=5\x1b[2J", "control character"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_bad(cases[i].text, cases[i].wanted);
}
END_TEST

START_TEST(targets_that_make_no_sense_together_are_refused)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
	    {"\n[Target a]\nPackages=a", "f:2: [Target a] has neither Title= nor Command="},
	    {"[Target a]\nTitle=a\nCommand=b", "f:3: Command= beside the Title="},
	    {"[Target a]\nTitle=a:*\nName=b", "f:3: Name= beside Title=a:*"},
	    {"[Target]\nName=b", "f:2: Name= beside Title=walt-server-daemon:*"},
	    {"[Target]\nTitle=walt", "f:2: this gives the traces no name"},
	    {"[Target]\nCommand=walt", "f:2: this gives the traces no name"},
	    {"[Target a]\nTitle=walt-server-daemon:*", "f:2: Title=walt-server-daemon:* is that"},
	    {"[Target a]\nTitle=x:*\n[Target b]\nTitle=x:*",
	     "f:4: Title=x:* is that of [Target a]"},
	    {"[Target a]\nCommand=x\n[Target b]\nCommand=x", "f:4: Command=x is that of"},
	    {"[Target a]\nCommand=x\n[Target b]\nCommand=y\nName=a",
	     "f:5: the traces would have the name a, as those of [Target a]"},
	    {"[Target a]\nCommand=x\nName=b\n[Target b]\nCommand=y", "f:4: the traces would have"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_bad(cases[i].text, cases[i].wanted);
}
END_TEST

START_TEST(all_wrong_lines_are_told_up_to_a_limit)
{
	auto_config_errors struct config_errors errors = {0};
	struct collector_config *c = NULL;
	char text[1024], wanted[32];
	size_t len = (size_t)snprintf(text, sizeof(text), "[Sampling]\n");

	for (int i = 0; i < CONFIG_ERRORS_MAX + 7; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "Rate=fast\n");
	ck_assert_int_eq(collector_config_parse("f", text, strlen(text), &c, &errors), -EINVAL);
	ck_assert_uint_eq(errors.n, CONFIG_ERRORS_MAX);
	ck_assert_uint_eq(errors.n_more, 7);
	for (int i = 0; i < CONFIG_ERRORS_MAX; i++) {
		snprintf(wanted, sizeof(wanted), "f:%d: Rate=fast", i + 2);
		ck_assert_ptr_eq(strstr(errors.lines[i], wanted), errors.lines[i]);
	}
}
END_TEST

/* "[Target]\nPackages=pN\n…" with n of them, or "[Target tN]\nCommand=cN\n…". */
static char *many(const char *fmt, int n)
{
	char *text = xcalloc(1, 65536), *end = text;

	end += sprintf(end, "[Target]\n");
	for (int i = 0; i < n; i++) {
		if (strcmp(fmt, "packages") == 0)
			end += sprintf(end, "Packages=p%d\n", i);
		else
			end += sprintf(end, "[Target t%d]\nCommand=c%d\n", i, i);
	}
	return text;
}

START_TEST(lists_and_targets_have_a_limit)
{
	auto_free char *packages = many("packages", CONFIG_LIST_MAX);
	auto_free char *more_packages = many("packages", CONFIG_LIST_MAX + 1);
	auto_free char *targets = many("targets", CONFIG_TARGETS_MAX - 1);
	auto_free char *more_targets = many("targets", CONFIG_TARGETS_MAX);
	auto_collector_config struct collector_config *a = good(packages);
	auto_collector_config struct collector_config *b = good(targets);

	ck_assert_str_eq(a->targets[0].packages[CONFIG_LIST_MAX - 1], "p63");
	ck_assert_uint_eq(b->n_targets, CONFIG_TARGETS_MAX);
	assert_bad(more_packages, "f:66: Packages=p64: more than 64 in one list");
	assert_bad(more_targets, "there are 64 targets already");
}
END_TEST

/* "#Key=value" becomes "Key=value"; prose has no = right after its first word. */
static void uncomment(char *text)
{
	for (char *line = text; line; line = strchr(line, '\n')) {
		size_t word;

		line += *line == '\n';
		word = strspn(line + (*line == '#'),
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
		if (*line == '#' && word && line[1 + word] == '=')
			*line = ' ';
	}
}

START_TEST(the_default_file_shows_the_defaults)
{
	auto_free char *text = read_source(DEFAULT_PATH);
	auto_free char *man = read_source(MAN_PATH);
	auto_collector_config struct collector_config *defaults = good("");
	auto_free char *wanted = collector_config_format(defaults), *printed = NULL;
	auto_collector_config struct collector_config *shipped = NULL, *c = NULL;
	char *rest = wanted;

	if (!text || !man)
		return;
	shipped = good(text);
	printed = collector_config_format(shipped);
	ck_assert_str_eq(printed, wanted);
	free(printed);
	uncomment(text);
	c = good(text);
	printed = collector_config_format(c);
	ck_assert_str_eq(printed, wanted);
	/* Each of them is in both, as a key of its own. */
	for (char *line; (line = strsep(&rest, "\n"));) {
		char key[64];

		snprintf(key, sizeof(key), "\n %.*s=", (int)strcspn(line, "="), line);
		if (*line == '[' || !*line)
			continue;
		ck_assert_msg(strstr(text, key), "%s is not in " DEFAULT_PATH, line);
		snprintf(key, sizeof(key), "\n.It Va %.*s=", (int)strcspn(line, "="), line);
		ck_assert_msg(strstr(man, key), "%s is not in " MAN_PATH, line);
	}
}
END_TEST

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, nothing_written_is_the_defaults);
	tcase_add_test(tc, each_key_is_understood);
	tcase_add_test(tc, nothing_assigned_is_the_default_again);
	tcase_add_test(tc, lists_grow_and_can_be_emptied);
	tcase_add_test(tc, what_is_printed_says_the_same);
	tcase_add_test(tc, ages_are_whole_seconds);
	tcase_add_test(tc, a_wrong_value_is_refused_with_what_is_possible);
	tcase_add_test(tc, what_is_no_key_or_section_is_refused_with_what_is);
	tcase_add_test(tc, targets_that_make_no_sense_together_are_refused);
	tcase_add_test(tc, all_wrong_lines_are_told_up_to_a_limit);
	tcase_add_test(tc, lists_and_targets_have_a_limit);
	tcase_add_test(tc, the_default_file_shows_the_defaults);
}

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");
	SRunner *runner = srunner_create(suite);
	int failed;

	add_tests(tc);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

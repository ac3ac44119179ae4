/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_locate.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder/target/mappings.h"
#include "tests/support/elf_builder.h"

/* An invented process: up to four files, each with one executable mapping. */
struct file {
	const char *path;
	struct elf_recipe recipe;
	int error; /* of opening it, 0: none */
};

struct process {
	struct file files[4];
	int n_opened;
};

/* File i is loaded this far from its own addresses. */
#define BIAS(i) (UINT64_C(0x100000000000) * ((i) + 1))

static int open_file(void *ctx, const struct mapping *mapping)
{
	struct process *p = ctx;
	const struct file *file = &p->files[mapping->inode - 1];
	unsigned char *bytes;
	size_t len;
	int fd;

	p->n_opened++;
	if (file->error)
		return file->error;
	bytes = elf_build(&file->recipe, &len);
	fd = elf_file(bytes, len);
	free(bytes);
	return fd;
}

static int locate(struct process *p, struct py_location *ret, char found[static 256])
{
	struct mapping items[8];
	struct mappings maps = {.items = items};
	int r;

	for (size_t i = 0; i < 4 && p->files[i].path; i++) {
		struct mapping m = {
		    .start = BIAS(i) + ELF_TEXT_VADDR,
		    .end = BIAS(i) + ELF_TEXT_VADDR + 0x1000,
		    .offset = ELF_TEXT_OFFSET,
		    .inode = i + 1,
		    .readable = true,
		    .path = strdup(p->files[i].path),
		};

		items[maps.n++] = m;
		m.executable = true;
		m.path = strdup(p->files[i].path);
		items[maps.n++] = m;
	}
	found[0] = '\0';
	p->n_opened = 0;
	r = py_locate(&maps, open_file, p, ret, found, 256);
	for (size_t i = 0; i < maps.n; i++)
		free(items[i].path);
	return r;
}

#define SYMBOLS(...)                                                                      \
	{                                                                                 \
		.symbols = {__VA_ARGS__},                                                 \
		.n_symbols = sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *) \
	}

START_TEST(static_executable_is_found)
{
	struct process p = {.files = {{.path = "/usr/bin/python3.11",
				       .recipe = SYMBOLS("PyConfig_InitPythonConfig", "_PyRuntime",
							 "Py_Version")}}};
	struct py_location where;
	char found[256];

	ck_assert_int_eq(locate(&p, &where, found), 0);
	ck_assert_uint_eq(where.runtime, BIAS(0) + ELF_SYMBOL_ADDR(1));
	ck_assert_uint_eq(where.runtime_size, ELF_SYMBOL_SIZE);
	ck_assert_uint_eq(where.py_version, BIAS(0) + ELF_SYMBOL_ADDR(2));
	ck_assert_str_eq(where.path, "/usr/bin/python3.11");
}
END_TEST

START_TEST(shared_library_is_found_without_opening_others)
{
	struct process p = {
	    .files = {{.path = "/usr/bin/app", .recipe = SYMBOLS("main")},
		      {.path = "/lib/libc.so.6", .recipe = SYMBOLS("printf")},
		      {.path = "/lib/libpython3.9.so.1.0",
		       .recipe = SYMBOLS("_PyRuntime", "PyConfig_InitPythonConfig")}}};
	struct py_location where;
	char found[256];

	ck_assert_int_eq(locate(&p, &where, found), 0);
	ck_assert_uint_eq(where.runtime, BIAS(2) + ELF_SYMBOL_ADDR(0));
	ck_assert_uint_eq(where.py_version, 0);
	ck_assert_int_eq(p.n_opened, 2);
}
END_TEST

START_TEST(library_under_another_name_is_found)
{
	struct process p = {
	    .files = {{.path = "/opt/app/engine", .recipe = SYMBOLS("main")},
		      {.path = "/opt/app/libscript.so",
		       .recipe = SYMBOLS("_PyRuntime", "PyConfig_InitPythonConfig")}}};
	struct py_location where;
	char found[256];

	ck_assert_int_eq(locate(&p, &where, found), 0);
	ck_assert_str_eq(where.path, "/opt/app/libscript.so");
}
END_TEST

START_TEST(section_stands_in_for_the_symbol)
{
	struct process p = {
	    .files = {{.path = "/usr/bin/python", .recipe = {.has_py_runtime = 1}}}};
	struct py_location where;
	char found[256];

	ck_assert_int_eq(locate(&p, &where, found), 0);
	ck_assert_uint_eq(where.runtime, BIAS(0) + ELF_SECTION_ADDR);
	ck_assert_uint_eq(where.runtime_size, ELF_SECTION_SIZE);
}
END_TEST

START_TEST(other_interpreters_are_named)
{
	static const struct {
		struct file file;
		const char *found;
	} cases[] = {
	    {{.path = "/usr/bin/python2.7",
	      .recipe = SYMBOLS("_PyThreadState_Current", "PyString_FromString")},
	     "CPython 2.7 (python2.7)"},
	    {{.path = "/usr/bin/app",
	      .recipe = SYMBOLS("_PyThreadState_Current", "PyString_FromString")},
	     "CPython 2 (app)"},
	    {{.path = "/usr/lib/libpython3.6m.so.1.0", .recipe = SYMBOLS("_PyThreadState_Current")},
	     "CPython 3.6 (libpython3.6m.so.1.0)"},
	    {{.path = "/usr/bin/app", .recipe = SYMBOLS("_PyThreadState_Current")},
	     "CPython 3.6 or older (app)"},
	    {{.path = "/usr/bin/python3.7", .recipe = SYMBOLS("_PyRuntime")},
	     "CPython 3.7 (python3.7)"},
	    {{.path = "/opt/libpypy3.9-c.so", .recipe = SYMBOLS("pypy_main_startup")},
	     "PyPy (libpypy3.9-c.so)"},
	    {{.path = "/opt/bin/pypy3", .recipe = SYMBOLS("main")}, "PyPy (pypy3)"},
	    {{.path = "/opt/lib/libjvm.so", .recipe = SYMBOLS("main")},
	     "a Java program, maybe Jython (libjvm.so)"},
	    {{.path = "/usr/bin/sleep", .recipe = SYMBOLS("main")},
	     "no Python interpreter (/usr/bin/sleep)"},
	    {{.path = "/usr/bin/sleep", .recipe = {.elf_class = 1}},
	     "a program that is not 64-bit (/usr/bin/sleep)"},
	    {{.path = "/usr/bin/python3", .recipe = SYMBOLS("main"), .error = -EACCES},
	     "an interpreter whose file cannot be opened (/usr/bin/python3: Permission denied)"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct process p = {.files = {cases[i].file}};
		struct py_location where;
		char found[256];

		ck_assert_int_eq(locate(&p, &where, found), -EOPNOTSUPP);
		ck_assert_str_eq(found, cases[i].found);
	}
}
END_TEST

START_TEST(a_supported_one_beside_another_is_taken)
{
	struct process p = {
	    .files = {{.path = "/opt/libpython2.7.so", .recipe = SYMBOLS("_PyThreadState_Current")},
		      {.path = "/opt/libpython3.8.so",
		       .recipe = SYMBOLS("_PyRuntime", "PyConfig_InitPythonConfig")}}};
	struct py_location where;
	char found[256];

	ck_assert_int_eq(locate(&p, &where, found), 0);
	ck_assert_str_eq(where.path, "/opt/libpython3.8.so");
}
END_TEST

START_TEST(nothing_mapped_is_told)
{
	struct process p = {0};
	struct py_location where;
	char found[256];

	ck_assert_int_eq(locate(&p, &where, found), -EOPNOTSUPP);
	ck_assert_str_eq(found, "no program that maps its file");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_locate");
	TCase *tc = tcase_create("py_locate");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, static_executable_is_found);
	tcase_add_test(tc, shared_library_is_found_without_opening_others);
	tcase_add_test(tc, library_under_another_name_is_found);
	tcase_add_test(tc, section_stands_in_for_the_symbol);
	tcase_add_test(tc, other_interpreters_are_named);
	tcase_add_test(tc, a_supported_one_beside_another_is_taken);
	tcase_add_test(tc, nothing_mapped_is_told);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

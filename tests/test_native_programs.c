/* SPDX-License-Identifier: BSD-3-Clause */
/* Code that comes from unusual places: libraries loaded later, deleted files, no files at all. */
#include "recorder/oncpu/native_stack.h"

#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/sleeper.h"

static const long sleeping[] = {SYS_clock_nanosleep, SYS_nanosleep, -1};
static const long reading[] = {SYS_read, -1};

static const char library_source[] =
    "void call(void (*f)(void)) { f(); __asm__ volatile(\"\"); }\n";

static const char program_source[] =
    "#include <time.h>\n"
    "#define PLACE __attribute__((noinline)) void\n"
    "PLACE inner(void) { struct timespec t = {1000, 0}; nanosleep(&t, 0); __asm__(\"\"); }\n"
    "PLACE outer(int n) { volatile char room[100]; room[n] = 1; inner(); room[0] = 2; }\n"
    "int main(int n, char **v) { (void)v; outer(n); return n; }\n";

static struct sleeper sleeper;
static char folder[64];
static pid_t child;
static int orders[2];

static void setup(void)
{
	strcpy(folder, "/tmp/trackexec-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(pipe2(orders, O_CLOEXEC), 0);
}

static void end(void)
{
	if (child <= 0)
		return;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	child = 0;
	sleeper_close(&sleeper);
}

static void teardown(void)
{
	char command[128];

	end();
	close(orders[0]);
	close(orders[1]);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static void in_folder(char path[static 96], const char *name)
{
	snprintf(path, 96, "%s/%s", folder, name);
}

/* Returns whether there is a compiler that makes that. */
static bool compile(const char *source, const char *options, const char *output)
{
	char command[512];
	char path[96];
	FILE *f;

	in_folder(path, "source.c");
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fputs(source, f);
	fclose(f);
	snprintf(command, sizeof(command), "cc %s -o %s/%s %s 2>/dev/null", options, folder, output,
		 path);
	if (system(command) == 0)
		return true;
	fprintf(stderr, "skipped: no compiler for: cc %s\n", options);
	return false;
}

static void start(void (*body)(void))
{
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body();
		_exit(0);
	}
	ck_assert_int_eq(sleeper_open(child, &sleeper), 0);
}

static void unwind(const long *calls)
{
	ck_assert_int_eq(sleeper_unwind(&sleeper, 0, calls), 0);
	ck_assert_uint_gt(sleeper.n, 0);
}

static void assert_functions(const char *const *names)
{
	const char *const *name = names;

	for (size_t i = 0; i < sleeper.n && *name; i++)
		if (sleeper.frames[i].function && strcmp(sleeper.frames[i].function, *name) == 0)
			name++;
	ck_assert_msg(!*name, "no %s in its place among\n%s", *name, sleeper_text(&sleeper));
}

#define ASSERT_FUNCTIONS(...) assert_functions((const char *const[]){__VA_ARGS__, NULL})

static void assert_ends(enum native_end wanted)
{
	ck_assert_msg(sleeper.end == wanted, "not %s\n%s", native_end_text(wanted),
		      sleeper_text(&sleeper));
}

/* --- programs as they may be built --- */

static void check_program(const char *options, bool has_symbols)
{
	char path[96];

	if (!compile(program_source, options, "program"))
		return;
	in_folder(path, "program");
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(path, path, NULL);
		_exit(127);
	}
	/* The memory to be opened is that of the new program. */
	ck_assert_int_eq(sleeper_open(child, &sleeper), 0);
	while (sleeper_unwind(&sleeper, 0, sleeping) == -ESRCH) {
		sleeper_close(&sleeper);
		ck_assert_int_eq(sleeper_open(child, &sleeper), 0);
	}
	ck_assert_msg(sleeper.end == NATIVE_COMPLETE, "%s:\n%s", options, sleeper_text(&sleeper));
	if (has_symbols)
		ASSERT_FUNCTIONS("inner", "outer", "main", "_start");
	else
		ck_assert_ptr_null(sleeper.frames[sleeper.n - 1].function);
	end();
}

START_TEST(programs_are_followed_however_they_were_built)
{
	check_program("-O2", true);
	check_program("-O0", true);
	check_program("-O2 -fno-omit-frame-pointer", true);
	check_program("-O2 -fno-pie -no-pie", true);
	check_program("-O2 -static", true);
	check_program("-O2 -static-pie", true);
	check_program("-O2 -Wl,-z,noseparate-code", true);
	check_program("-O2 -Wl,--no-eh-frame-hdr", true);
	check_program("-O2 -s", false);
}
END_TEST

START_TEST(a_program_without_tables_is_told)
{
	char path[96];

	if (!compile(program_source, "-O2 -fno-asynchronous-unwind-tables", "program"))
		return;
	in_folder(path, "program");
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(path, path, NULL);
		_exit(127);
	}
	ck_assert_int_eq(sleeper_open(child, &sleeper), 0);
	while (sleeper_unwind(&sleeper, 0, sleeping) == -ESRCH) {
		sleeper_close(&sleeper);
		ck_assert_int_eq(sleeper_open(child, &sleeper), 0);
	}
	assert_ends(NATIVE_NO_TABLE);
	ASSERT_FUNCTIONS("clock_nanosleep", "inner");
}
END_TEST

/* --- libraries --- */

static void wait_for_order(void)
{
	char c;

	if (read(orders[0], &c, 1) < 0)
		_exit(1);
	__asm__ volatile("" ::: "memory");
}

static void sleep_long(void)
{
	const struct timespec long_time = {.tv_sec = 1000};

	nanosleep(&long_time, NULL);
	__asm__ volatile("" ::: "memory");
}

static void load_late(void)
{
	void (*call)(void (*)(void));
	char path[96];
	void *library;

	wait_for_order();
	in_folder(path, "library.so");
	library = dlopen(path, RTLD_NOW);
	if (!library)
		_exit(1);
	*(void **)&call = dlsym(library, "call");
	unlink(path);
	call(sleep_long);
}

START_TEST(a_library_that_is_loaded_later_and_deleted_is_followed)
{
	if (!compile(library_source, "-O2 -shared -fPIC", "library.so"))
		return;
	start(load_late);
	unwind(reading);
	assert_ends(NATIVE_COMPLETE);
	ASSERT_FUNCTIONS("read", "main", "_start");
	ck_assert_int_eq(write(orders[1], "x", 1), 1);
	ck_assert_int_eq(sleeper_unwind(&sleeper, 0, sleeping), 0);
	/* A moment later when the mappings have only just been read. */
	native_unwinder_expire(sleeper.unwinder);
	unwind(sleeping);
	assert_ends(NATIVE_COMPLETE);
	if (geteuid() != 0) {
		fprintf(stderr, "skipped: opening deleted files takes root\n");
		return;
	}
	ASSERT_FUNCTIONS("clock_nanosleep", "call", "main", "_start");
}
END_TEST

/* --- code without a table --- */

#if defined(__x86_64__)

/* sub $8,%rsp; call *%rdi; add $8,%rsp; ret */
static const unsigned char caller[] = {0x48, 0x83, 0xec, 0x08, 0xff, 0xd7,
				       0x48, 0x83, 0xc4, 0x08, 0xc3};

/* A function of the C library's, which is found by its stack pointer however we are built. */
static const long pausing[] = {SYS_pause, -1};

static void pause_there(void (*call)(void (*)(void)))
{
	void (*f)(void);

	*(void **)&f = dlsym(RTLD_DEFAULT, "pause");
	call(f);
	__asm__ volatile("" ::: "memory");
}

static void call_generated(void)
{
	void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void (*call)(void (*)(void));

	if (code == MAP_FAILED)
		_exit(1);
	memcpy(code, caller, sizeof(caller));
	*(void **)&call = code;
	pause_there(call);
}

static void call_from_file(void)
{
	void (*call)(void (*)(void));
	char path[96];
	void *code;
	int fd;

	in_folder(path, "code");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, caller, sizeof(caller)) != (ssize_t)sizeof(caller))
		_exit(1);
	code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (code == MAP_FAILED)
		_exit(1);
	*(void **)&call = code;
	pause_there(call);
}

START_TEST(generated_code_is_told)
{
	start(call_generated);
	unwind(pausing);
	assert_ends(NATIVE_NO_CODE);
	ASSERT_FUNCTIONS("pause");
	ck_assert_uint_eq(sleeper.n, 2);
	ck_assert_ptr_null(sleeper.frames[sleeper.n - 1].module);
}
END_TEST

START_TEST(code_of_a_file_that_is_not_elf_is_told)
{
	const struct native_frame *last;

	start(call_from_file);
	unwind(pausing);
	assert_ends(NATIVE_NO_TABLE);
	last = &sleeper.frames[sleeper.n - 1];
	ck_assert_str_eq(strrchr(last->module, '/'), "/code");
	ck_assert_ptr_null(last->function);
	ck_assert_uint_eq(last->offset, 6);
}
END_TEST

#endif

int main(void)
{
	Suite *suite = suite_create("native_programs");
	TCase *tc = tcase_create("native_programs");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, programs_are_followed_however_they_were_built);
	tcase_add_test(tc, a_program_without_tables_is_told);
	tcase_add_test(tc, a_library_that_is_loaded_later_and_deleted_is_followed);
#if defined(__x86_64__)
	tcase_add_test(tc, generated_code_is_told);
	tcase_add_test(tc, code_of_a_file_that_is_not_elf_is_told);
#endif
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

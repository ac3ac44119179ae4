/* SPDX-License-Identifier: BSD-3-Clause */
/* Children sleep in known places. */
#include "recorder/oncpu/native_stack.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "recorder/target/mappings.h"
#include "tests/support/jail.h"
#include "tests/support/sleeper.h"

/* Not inlined, not the last thing that the caller does, and not removed. */
#define PLACE  static __attribute__((noinline, used))
#define STAY() __asm__ volatile("" ::: "memory")

static const long sleeping[] = {SYS_clock_nanosleep, SYS_nanosleep, -1};
static const long reading[] = {SYS_read, -1};
static const long waiting[] = {SYS_futex, -1};

static struct sleeper sleeper;
static pid_t child;
/* Children say things here. */
static void *shared_page;
static volatile pid_t *shared;
static int orders[2]; /* and are told things there */

static void setup(void)
{
	shared_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared_page, MAP_FAILED);
	shared = shared_page;
	ck_assert_int_eq(pipe2(orders, O_CLOEXEC), 0);
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
	end();
	munmap(shared_page, 4096);
	close(orders[0]);
	close(orders[1]);
}

static void unwind(pid_t tid, const long *calls)
{
	ck_assert_int_eq(sleeper_unwind(&sleeper, tid, calls), 0);
	ck_assert_uint_gt(sleeper.n, 0);
}

/* Whether the frames have these functions, in this order, with others in between. */
static void assert_functions(const char *const *names)
{
	const char *const *name = names;

	for (size_t i = 0; i < sleeper.n && *name; i++)
		if (sleeper.frames[i].function && strcmp(sleeper.frames[i].function, *name) == 0)
			name++;
	ck_assert_msg(!*name, "no %s in its place among\n%s", *name, sleeper_text(&sleeper));
}

static void assert_ends(enum native_end wanted)
{
	ck_assert_msg(sleeper.end == wanted, "not %s\n%s", native_end_text(wanted),
		      sleeper_text(&sleeper));
}

#define ASSERT_FUNCTIONS(...) assert_functions((const char *const[]){__VA_ARGS__, NULL})

/* --- where they sleep --- */

PLACE void native_inner(void)
{
	struct timespec long_time = {.tv_sec = 1000};

	nanosleep(&long_time, NULL);
	STAY();
}

PLACE void native_outer(void)
{
	native_inner();
	STAY();
}

PLACE void native_reader(void)
{
	char c;

	if (read(orders[0], &c, 1) < 0)
		abort();
	STAY();
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

PLACE void native_locker(void)
{
	pthread_mutex_lock(&lock);
	STAY();
	pthread_mutex_lock(&lock);
	STAY();
}

PLACE void *native_thread(void *arg)
{
	shared[0] = gettid();
	native_outer();
	return arg;
}

PLACE void native_starter(void)
{
	pthread_t id;

	if (pthread_create(&id, NULL, native_thread, NULL) != 0)
		abort();
	pthread_join(id, NULL);
	STAY();
}

PLACE void native_handler(int number)
{
	(void)number;
	native_outer();
	STAY();
}

PLACE void native_raiser(void)
{
	raise(SIGUSR1);
	STAY();
}

static void raise_on_stack(void)
{
	struct sigaction sa = {.sa_handler = native_handler};

	sigaction(SIGUSR1, &sa, NULL);
	native_raiser();
}

static void raise_elsewhere(void)
{
	static char other[65536];
	stack_t stack = {.ss_sp = other, .ss_size = sizeof(other)};
	struct sigaction sa = {.sa_handler = native_handler, .sa_flags = SA_ONSTACK};

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	native_raiser();
}

PLACE int native_compare(const void *a, const void *b)
{
	native_outer();
	return *(const int *)a - *(const int *)b;
}

static void sort(void)
{
	int numbers[] = {3, 1, 2};

	qsort(numbers, 3, sizeof(numbers[0]), native_compare);
	STAY();
}

PLACE int native_recurse(int depth)
{
	int r = depth ? native_recurse(depth - 1) : 0;

	if (depth == 0)
		native_outer();
	STAY();
	return r + depth;
}

static void recurse(void)
{
	native_recurse(2000);
}

/* --- tests --- */

START_TEST(a_sleep_is_followed_to_the_start)
{
	start(native_outer);
	unwind(0, sleeping);
	assert_ends(NATIVE_COMPLETE);
	ASSERT_FUNCTIONS("clock_nanosleep", "native_inner", "native_outer", "main", "_start");
	ck_assert_ptr_nonnull(strstr(sleeper.frames[0].module, "libc"));
	/* All but the innermost are calls, each inside its function. */
	for (size_t i = 0; i < sleeper.n; i++) {
		ck_assert_int_eq(sleeper.frames[i].after_call, i > 0);
		ck_assert_uint_gt(sleeper.frames[i].start, 0);
		ck_assert_uint_ge(sleeper.frames[i].ip, sleeper.frames[i].start);
	}
}
END_TEST

START_TEST(a_second_unwind_is_the_same)
{
	struct native_frame first[NATIVE_MAX_FRAMES];
	size_t n;
	uint64_t reads;

	start(native_outer);
	unwind(0, sleeping);
	n = sleeper.n;
	memcpy(first, sleeper.frames, n * sizeof(first[0]));
	reads = sleeper.mem.n_reads;
	unwind(0, sleeping);
	assert_ends(NATIVE_COMPLETE);
	ck_assert_uint_eq(sleeper.n, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(sleeper.frames[i].ip, first[i].ip);
	/* Only the stack is read again. */
	ck_assert_uint_le(sleeper.mem.n_reads - reads, 4);
}
END_TEST

START_TEST(a_read_and_a_lock_are_followed)
{
	start(native_reader);
	unwind(0, reading);
	assert_ends(NATIVE_COMPLETE);
	ASSERT_FUNCTIONS("read", "native_reader", "main", "_start");
	end();
	start(native_locker);
	unwind(0, waiting);
	assert_ends(NATIVE_COMPLETE);
	ASSERT_FUNCTIONS("pthread_mutex_lock", "native_locker", "main", "_start");
}
END_TEST

START_TEST(a_thread_is_followed_to_its_start)
{
	const char *last;

	start(native_starter);
	unwind(0, waiting);
	assert_ends(NATIVE_COMPLETE);
	ASSERT_FUNCTIONS("native_starter", "main", "_start");
	unwind(shared[0], sleeping);
	assert_ends(NATIVE_COMPLETE);
	ASSERT_FUNCTIONS("native_inner", "native_outer", "native_thread");
	last = sleeper.frames[sleeper.n - 1].function;
	ck_assert_msg(last && strstr(last, "clone"), "%s", sleeper_text(&sleeper));
}
END_TEST

START_TEST(a_signal_handler_leads_to_what_it_interrupted)
{
	start(raise_on_stack);
	unwind(0, sleeping);
	assert_ends(NATIVE_COMPLETE);
	ASSERT_FUNCTIONS("native_inner", "native_handler", "native_raiser", "main", "_start");
	end();
	start(raise_elsewhere);
	unwind(0, sleeping);
	assert_ends(NATIVE_COMPLETE);
	ASSERT_FUNCTIONS("native_inner", "native_handler", "native_raiser", "main", "_start");
}
END_TEST

START_TEST(a_callback_of_the_library_is_followed)
{
	start(sort);
	unwind(0, sleeping);
	assert_ends(NATIVE_COMPLETE);
	ASSERT_FUNCTIONS("native_outer", "native_compare", "main", "_start");
}
END_TEST

START_TEST(deep_stacks_are_cut)
{
	start(recurse);
	unwind(0, sleeping);
	assert_ends(NATIVE_TOO_DEEP);
	ck_assert_uint_eq(sleeper.n, NATIVE_MAX_FRAMES);
	ASSERT_FUNCTIONS("native_outer", "native_recurse", "native_recurse");
}
END_TEST

START_TEST(registers_that_make_no_sense_are_told)
{
	struct native_frame frames[8];
	enum native_end why;
	uint64_t ip, sp;
	size_t n;

	start(native_outer);
	ck_assert_int_eq(sleeper_wait(&sleeper, 0, sleeping, &ip, &sp), 0);
	ck_assert_int_eq(native_unwind(sleeper.unwinder, ip, 16, frames, 8, &n, &why), 0);
	ck_assert_int_eq(why, NATIVE_UNREADABLE);
	ck_assert_int_eq(native_unwind(sleeper.unwinder, ip, UINT64_MAX, frames, 8, &n, &why), 0);
	ck_assert_int_eq(why, NATIVE_UNREADABLE);
	ck_assert_int_eq(native_unwind(sleeper.unwinder, 16, sp, frames, 8, &n, &why), 0);
	ck_assert_int_eq(why, NATIVE_NO_CODE);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(native_unwind(sleeper.unwinder, 0, 0, frames, 8, &n, &why), 0);
	ck_assert_int_eq(why, NATIVE_NO_CODE);
	ck_assert_int_eq(native_unwind(sleeper.unwinder, ip, sp, frames, 1, &n, &why), 0);
	ck_assert_int_eq(why, NATIVE_TOO_DEEP);
	ck_assert_int_eq(native_unwind(sleeper.unwinder, ip, sp, frames, 0, &n, &why), 0);
	ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(a_target_that_has_ended_is_told)
{
	struct native_frame frames[8];
	enum native_end why;
	uint64_t ip, sp;
	size_t n;

	start(native_outer);
	ck_assert_int_eq(sleeper_wait(&sleeper, 0, sleeping, &ip, &sp), 0);
	ck_assert_int_eq(native_unwind(sleeper.unwinder, ip, sp, frames, 8, &n, &why), 0);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	ck_assert_int_eq(native_unwind(sleeper.unwinder, ip, sp, frames, 8, &n, &why), -ESRCH);
	sleeper_close(&sleeper);
	child = 0;
}
END_TEST

START_TEST(the_vdso_has_tables_and_names)
{
	uint64_t vdso = getauxval(AT_SYSINFO_EHDR), ip, sp;
	struct native_frame frames[2];
	enum native_end why;
	bool found = false;
	size_t n;

	if (vdso == 0) {
		fprintf(stderr, "skipped: there is no vDSO\n");
		return;
	}
	/* The child has it at the same place. */
	start(native_outer);
	ck_assert_int_eq(sleeper_wait(&sleeper, 0, sleeping, &ip, &sp), 0);
	for (uint64_t at = vdso; at < vdso + 4096 && !found; at += 8) {
		ck_assert_int_eq(native_unwind(sleeper.unwinder, at, sp, frames, 2, &n, &why), 0);
		ck_assert_uint_ge(n, 1);
		native_name(sleeper.unwinder, frames, 1);
		ck_assert_str_eq(frames[0].module, "[vdso]");
		found = frames[0].start != 0 && frames[0].function &&
			strstr(frames[0].function, "gettime");
	}
	ck_assert(found);
}
END_TEST

/* --- in the sandbox of the worker --- */

struct jailed {
	uint64_t ip, sp;
	int image; /* of the test itself */
};

static int open_own(void *ctx, const struct native_file *file)
{
	struct jailed *jailed = ctx;
	int fd = jailed->image;

	if (file->kind != NATIVE_FILE_IMAGE || !strstr(file->mapping->path, "test_native_stack"))
		return -ENOENT;
	jailed->image = -1;
	return fd;
}

static void unwind_in_jail(void *ctx)
{
	struct jailed *jailed = ctx;
	static struct native_frame frames[NATIVE_MAX_FRAMES];
	struct native_unwinder *u =
	    native_unwinder_new(&sleeper.mem, sleeper.maps_fd, open_own, jailed);
	enum native_end why;
	bool found = false;
	size_t n;

	need(native_unwind(u, jailed->ip, jailed->sp, frames, NATIVE_MAX_FRAMES, &n, &why) == 0);
	need(why == NATIVE_COMPLETE);
	native_name(u, frames, n);
	for (size_t i = 0; i < n; i++)
		found |= frames[i].function && strcmp(frames[i].function, "native_outer") == 0;
	need(found);
	native_unwinder_free(u);
}

START_TEST(the_sandbox_lets_it)
{
	struct jailed jailed;
	char folder[] = "/tmp/trackexec-test-XXXXXX";

	if (!jail_possible("native_stack", JAIL_ROOT))
		return;
	start(native_outer);
	ck_assert_int_eq(sleeper_wait(&sleeper, 0, sleeping, &jailed.ip, &jailed.sp), 0);
	jailed.image = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(jailed.image, 0);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	jail_give(folder);
	ck_assert_int_eq(jail_run(JAIL_ROOT, folder, unwind_in_jail, &jailed), 0);
	ck_assert_int_eq(rmdir(folder), 0);
	close(jailed.image);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("native_stack");
	TCase *tc = tcase_create("native_stack");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_sleep_is_followed_to_the_start);
	tcase_add_test(tc, a_second_unwind_is_the_same);
	tcase_add_test(tc, a_read_and_a_lock_are_followed);
	tcase_add_test(tc, a_thread_is_followed_to_its_start);
	tcase_add_test(tc, a_signal_handler_leads_to_what_it_interrupted);
	tcase_add_test(tc, a_callback_of_the_library_is_followed);
	tcase_add_test(tc, deep_stacks_are_cut);
	tcase_add_test(tc, registers_that_make_no_sense_are_told);
	tcase_add_test(tc, a_target_that_has_ended_is_told);
	tcase_add_test(tc, the_vdso_has_tables_and_names);
	tcase_add_test(tc, the_sandbox_lets_it);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

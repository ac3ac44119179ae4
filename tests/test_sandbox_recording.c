/* SPDX-License-Identifier: BSD-3-Clause */
/* All that a worker does works in the sandbox. What it can't do there is in test_sandbox.c. */
#include "recorder/sandbox.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/pack.h"
#include "common/xalloc.h"
#include "recorder/handover.h"
#include "recorder/target/elf_image.h"
#include "recorder/target/mappings.h"
#include "recorder/target/memory.h"
#include "tests/support/jail.h"
#include "tests/support/trace_check.h"
#include "tests/support/trace_records.h"
#include "tests/support/tree.h"

#define T(ms) (TEST_START_NS + (uint64_t)(ms)*NS_PER_MS)

static char *folder;

static void setup(void)
{
	folder = tree_new();
	jail_give(folder);
}

static void teardown(void)
{
	tree_free(folder);
}

/* --- storing --- */

/* From one time to the other, what does not compress. */
static void put_noise(struct trace_writer *w, uint64_t from_ns, uint64_t to_ns)
{
	unsigned seed = 1;

	for (unsigned n = 0; from_ns < to_ns; n++) {
		seed = seed * 1664525u + 1013904223u;
		from_ns += 64 + seed % 500000;
		need(put_stack(w, 1, from_ns, 0, FRAMES({1, (int32_t)(seed >> 24) + 1}), 1) == 0);
		if (n % 100 == 0) {
			need(put_counters(w, from_ns, n) == 0);
			need(trace_writer_tick(w, from_ns) == 0);
		}
	}
}

static void finish_trim(struct trace_writer *w, uint64_t now_ns)
{
	struct trace_writer_totals totals;

	trace_writer_totals(w, &totals);
	need(totals.is_trimming);
	for (int i = 0; totals.is_trimming; i++) {
		need(i < 10000);
		need(trace_writer_tick(w, now_ns) == 0);
		trace_writer_totals(w, &totals);
	}
}

static void record(void *ctx)
{
	struct trace_writer *w = test_writer_new(".");

	(void)ctx;
	need(put_thread(w, 1, T(0)) == 0);
	need(put_code(w, 1, "/app/a.py", "main") == 0);
	put_noise(w, T(0), T(40000));
	need(trace_writer_anchor(w, T(40000), 5) == 0);
	trace_writer_trim(w, 300000);
	finish_trim(w, T(40000));
	trace_writer_pause_growth(w, 1);
	put_noise(w, T(40000), T(45000));
	trace_writer_pause_growth(w, 0);
	put_noise(w, T(45000), T(50000));
	need(put_gap(w, 1, T(51000), T(51001), GAP_CODE_REPLACED) == 0);
	need(trace_writer_close(w, T(52000), "stopped") == 0);
}

static struct trace_writer *resume(void)
{
	struct trace_about about = test_about;
	struct trace_writer *w = NULL;
	uint16_t thread;
	uint32_t code;

	about.start_monotonic_ns = T(60000);
	need(trace_writer_resume("trace.db", &about, NULL, NULL, &w) == 0);
	thread = (uint16_t)trace_writer_next_thread(w);
	code = trace_writer_next_code(w);
	need(put_thread(w, thread, T(60000)) == 0);
	need(put_code(w, code, "/app/a.py", "again") == 0);
	need(put_stack(w, thread, T(60001), 0, FRAMES({code, 10}), 1) == 0);
	need(trace_writer_tick(w, T(62000)) == 0);
	return w;
}

static void go_on(void *ctx)
{
	(void)ctx;
	need(trace_writer_close(resume(), T(63000), "target exited") == 0);
}

START_TEST(a_trace_is_written_and_continued)
{
	enum jail_mode mode = (enum jail_mode)_i;

	if (!jail_possible("a_trace_is_written_and_continued", mode))
		return;
	ck_assert_int_eq(jail_run(mode, folder, record, NULL), 0);
	check_integrity(folder);
	ck_assert_int_gt(check_number(folder, "SELECT count(*) FROM blocks"), 3);
	ck_assert_int_eq(check_number(folder, "SELECT count(*) FROM anchors"), 2);
	ck_assert(!tree_has(folder, "trace.db-wal") && !tree_has(folder, "trace.db-shm"));
	ck_assert_int_eq(jail_run(mode, folder, go_on, NULL), 0);
	check_integrity(folder);
	ck_assert_int_eq(check_number(folder, "SELECT count(*) FROM threads"), 2);
	ck_assert(!tree_has(folder, "trace.db-wal") && !tree_has(folder, "trace.db-shm"));
}
END_TEST

static void be_killed(void *ctx)
{
	struct trace_writer *w = test_writer_new(".");

	(void)ctx;
	need(put_thread(w, 1, T(0)) == 0);
	need(put_code(w, 1, "/app/a.py", "main") == 0);
	put_noise(w, T(0), T(3000));
	_exit(0);
}

START_TEST(the_trace_of_a_killed_worker_is_continued)
{
	enum jail_mode mode = (enum jail_mode)_i;

	if (!jail_possible("the_trace_of_a_killed_worker_is_continued", mode))
		return;
	ck_assert_int_eq(jail_run(mode, folder, be_killed, NULL), 0);
	ck_assert(tree_has(folder, "trace.db-wal"));
	ck_assert_int_eq(jail_run(mode, folder, go_on, NULL), 0);
	check_integrity(folder);
	ck_assert_int_eq(check_number(folder, "SELECT count(*) FROM threads"), 2);
}
END_TEST

static mode_t mode_of(const char *name)
{
	auto_free char *path = xasprintf("%s/%s", folder, name);
	struct stat st;

	ck_assert_msg(stat(path, &st) == 0, "%s", path);
	return st.st_mode & 07777;
}

static void go_on_and_be_killed(void *ctx)
{
	(void)ctx;
	resume();
	_exit(0);
}

/* Who may read the database must be able to read what is beside it, whatever the umask. */
START_TEST(what_is_beside_the_database_has_its_mode)
{
	enum jail_mode mode = (enum jail_mode)_i;
	auto_free char *db = xasprintf("%s/trace.db", folder);

	if (!jail_possible("what_is_beside_the_database_has_its_mode", mode))
		return;
	ck_assert_int_eq(jail_run(mode, folder, record, NULL), 0);
	ck_assert_int_eq(chmod(db, 0640), 0);
	umask(077);
	ck_assert_int_eq(jail_run(mode, folder, go_on_and_be_killed, NULL), 0);
	ck_assert_uint_eq(mode_of("trace.db-wal"), 0640);
	ck_assert_uint_eq(mode_of("trace.db-shm"), 0640);
}
END_TEST

/* --- reading what the attacher hands over --- */

struct link {
	int attacher, worker; /* sockets */
	volatile uint64_t *marker;
};

static struct link link_new(void)
{
	struct link l;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	l = (struct link){.attacher = pair[0], .worker = pair[1]};
	return l;
}

static void link_close(struct link *l)
{
	close(l->attacher);
	close(l->worker);
}

static void hand_over(const struct link *l, const char *path, const char *path2)
{
	struct message m;

	message_init(&m, MSG_TARGET);
	m.fds[0] = open(path, O_RDONLY | O_CLOEXEC);
	m.fds[1] = open(path2, O_RDONLY | O_CLOEXEC);
	m.n_fds = 2;
	ck_assert_msg(m.fds[0] >= 0 && m.fds[1] >= 0, "%s, %s: %s", path, path2, strerror(errno));
	ck_assert_int_eq(message_send(l->attacher, &m), 0);
	message_close_fds(&m);
}

static void read_target(void *ctx)
{
	const struct link *l = ctx;
	struct mappings maps = {0};
	struct memory mem;
	struct message m;
	uint64_t value;

	need(message_receive(l->worker, &m) == 0 && m.n_fds == 2);
	memory_init_fd(&mem, m.fds[0]);
	need(memory_read_u64(&mem, (remote_addr)(uintptr_t)l->marker, &value) == 0);
	/* Our own copy says something else. */
	need(value == 2 && *l->marker == 1);
	need(memory_read_u64(&mem, 0, &value) == -EFAULT);
	need(mappings_read(m.fds[1], &maps) == 0 && maps.n > 5);
	mappings_done(&maps);
	memory_done(&mem);
	message_init(&m, MSG_WANT_SOURCE);
	need(message_send(l->worker, &m) == 0);
}

START_TEST(a_target_s_memory_is_read)
{
	enum jail_mode mode = (enum jail_mode)_i;
	volatile uint64_t marker = 1;
	struct link l = link_new();
	struct message m;
	pid_t pid;

	if (jail_possible("a_target_s_memory_is_read", mode)) {
		l.marker = &marker;
		pid = jail_start(mode, folder, read_target, &l);
		marker = 2;
		hand_over(&l, "/proc/self/mem", "/proc/self/maps");
		ck_assert_int_eq(jail_wait(pid), 0);
		ck_assert_int_eq(message_receive(l.attacher, &m), 0);
		ck_assert_uint_eq(m.type, MSG_WANT_SOURCE);
	}
	link_close(&l);
}
END_TEST

static void read_image(void *ctx)
{
	const struct link *l = ctx;
	struct elf_symbol symbol = {.name = "nothing of that name"};
	struct elf_image *image;
	uint64_t addr, size;
	struct message m;

	need(message_receive(l->worker, &m) == 0 && m.n_fds == 2);
	need(elf_image_open(m.fds[0], &image) == 0);
	need(elf_image_find_section(image, ".text", &addr, &size) == 0 && size > 0);
	need(elf_image_find_symbols(image, &symbol, 1) == 0);
	elf_image_close(image);
	message_close_fds(&m);
}

START_TEST(an_executable_is_read)
{
	enum jail_mode mode = (enum jail_mode)_i;
	struct link l = link_new();
	pid_t pid;

	if (jail_possible("an_executable_is_read", mode)) {
		pid = jail_start(mode, folder, read_image, &l);
		hand_over(&l, "/bin/true", "/bin/true");
		ck_assert_int_eq(jail_wait(pid), 0);
	}
	link_close(&l);
}
END_TEST

static void pack_and_unpack(void *ctx)
{
	enum { N = 1 << 20 };
	struct packer *p = packer_new();
	struct unpacker *u = unpacker_new();
	uint8_t *bytes = xcalloc(1, N), *packed = xmalloc(pack_bound(N)), *again;
	size_t len, n;

	(void)ctx;
	for (size_t i = 0; i < N; i++)
		bytes[i] = (uint8_t)(i * i >> 7);
	len = pack_bytes(p, bytes, N, packed);
	need(unpack_bytes(u, packed, len, N, &again, &n) == 0);
	need(n == N && memcmp(bytes, again, N) == 0);
	free(bytes);
	free(packed);
	free(again);
	packer_free(p);
	unpacker_free(u);
}

START_TEST(blocks_are_packed_and_unpacked)
{
	enum jail_mode mode = (enum jail_mode)_i;

	if (jail_possible("blocks_are_packed_and_unpacked", mode))
		ck_assert_int_eq(jail_run(mode, folder, pack_and_unpack, NULL), 0);
}
END_TEST

/* --- threads and clocks --- */

static void *sampler(void *ctx)
{
	struct timespec t = {.tv_nsec = 100000};
	cpu_set_t cpus;

	need(prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL) == 0);
	need(prctl(PR_SET_NAME, "sampler", 0, 0, 0) == 0);
	need(sched_getaffinity(0, sizeof(cpus), &cpus) == 0);
	need(sched_setaffinity(0, sizeof(cpus), &cpus) == 0);
	need(sched_setaffinity(getpid(), sizeof(cpus), &cpus) == 0);
	need_refused(sched_setaffinity(getppid(), sizeof(cpus), &cpus));
	need(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL) == 0);
	free(xcalloc(1, 1 << 22));
	*(int *)ctx = 1;
	return ctx;
}

static void start_thread(void *ctx)
{
	pthread_t thread;
	int has_run = 0;

	(void)ctx;
	need(pthread_create(&thread, NULL, sampler, &has_run) == 0);
	need(pthread_join(thread, NULL) == 0 && has_run);
}

START_TEST(a_thread_runs)
{
	enum jail_mode mode = (enum jail_mode)_i;

	if (jail_possible("a_thread_runs", mode))
		ck_assert_int_eq(jail_run(mode, folder, start_thread, NULL), 0);
}
END_TEST

static void tell_time(void *ctx)
{
	const time_t when = 1763856000; /* in November */
	struct tm local;

	(void)ctx;
	need(localtime_r(&when, &local) && local.tm_gmtoff == 3600);
	need(strcmp(local.tm_zone, "CET") == 0);
	need(clock_realtime_ns() > (uint64_t)when);
}

START_TEST(local_time_is_known)
{
	enum jail_mode mode = (enum jail_mode)_i;

	if (access("/usr/share/zoneinfo/Europe/Paris", R_OK) < 0) {
		fprintf(stderr, "local_time_is_known: skipped, needs tzdata\n");
		return;
	}
	setenv("TZ", "Europe/Paris", 1);
	if (jail_possible("local_time_is_known", mode))
		ck_assert_int_eq(jail_run(mode, folder, tell_time, NULL), 0);
}
END_TEST

static void ask_about_itself(void *ctx)
{
	char host[256] = "";
	struct rusage usage;

	(void)ctx;
	need(gethostname(host, sizeof(host)) == 0 && host[0]);
	need(getrusage(RUSAGE_SELF, &usage) == 0);
	need(clock_read_ns(CLOCK_PROCESS_CPUTIME_ID) > 0);
	need(fprintf(stderr, "%s", "") == 0);
}

START_TEST(it_knows_itself)
{
	enum jail_mode mode = (enum jail_mode)_i;

	if (jail_possible("it_knows_itself", mode))
		ck_assert_int_eq(jail_run(mode, folder, ask_about_itself, NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sandbox_recording");
	TCase *tc = tcase_create("sandbox_recording");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_trace_is_written_and_continued, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, the_trace_of_a_killed_worker_is_continued, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, what_is_beside_the_database_has_its_mode, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, a_target_s_memory_is_read, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, an_executable_is_read, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, blocks_are_packed_and_unpacked, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, a_thread_runs, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, local_time_is_known, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, it_knows_itself, 0, N_JAIL_MODES);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

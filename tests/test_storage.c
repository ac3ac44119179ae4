/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/storage.h"

#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "recorder/look.h"
#include "tests/support/tree.h"

#define PATIENCE_NS (20 * NS_PER_S)
/* More than any disk has. */
#define TOO_MUCH (UINT64_C(1) << 60)

static char *root;
static int root_fd;
static struct event_base *base;
static struct look_pool *looks;
static struct event *looks_event;
static struct storage *storage;
static int n_stops, n_resumes;

static void on_looks(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	look_pool_collect(looks);
}

static void on_shrink(void *ctx, const char *run, const char *trace, uint64_t bytes)
{
	(void)ctx;
	ck_abort_msg("%s/%s is to lose %llu bytes", run, trace, (unsigned long long)bytes);
}

static void on_growth(void *ctx, bool may_grow)
{
	(void)ctx;
	*(may_grow ? &n_resumes : &n_stops) += 1;
}

static void setup(void)
{
	static const struct storage_ops ops = {.on_shrink = on_shrink, .on_growth = on_growth};

	root = tree_new();
	root_fd = tree_open(root, ".");
	base = event_base_new();
	looks = look_pool_new(2);
	looks_event = event_new(base, look_pool_fd(looks), EV_READ | EV_PERSIST, on_looks, NULL);
	event_add(looks_event, NULL);
	storage = storage_new(base, looks, &ops);
	n_stops = n_resumes = 0;
}

static void teardown(void)
{
	storage_free(storage);
	event_free(looks_event);
	look_pool_free(looks);
	event_base_free(base);
	close(root_fd);
	tree_free(root);
}

static void start(uint64_t keep_free_bytes)
{
	struct retention_limits limits = {.keep_free_bytes = keep_free_bytes};

	storage_start(storage, root_fd, &limits);
}

/* Until a turn has ended. */
static void wait_for_turn(void)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct storage_status status;

	do {
		event_base_loop(base, EVLOOP_ONCE);
		storage_get_status(storage, &status);
	} while (!status.is_known && clock_monotonic_ns() < end_ns);
	ck_assert(status.is_known);
}

static bool may_grow(void)
{
	struct storage_status status;

	storage_get_status(storage, &status);
	return status.may_grow;
}

/* Until so much is said to be used. */
static void wait_for_use(uint64_t bytes, uint64_t patience_ns)
{
	uint64_t end_ns = clock_monotonic_ns() + patience_ns;
	struct timeval moment = {.tv_usec = 10000};
	struct storage_status status;

	do {
		event_base_loopexit(base, &moment);
		event_base_dispatch(base);
		storage_get_status(storage, &status);
	} while ((!status.is_known || status.use_bytes < bytes) && clock_monotonic_ns() < end_ns);
	ck_assert_uint_ge(status.use_bytes, bytes);
}

#define TRACE_BYTES 100000

static void make_trace(void)
{
	tree_mkdir(root, "261122-181900");
	tree_write(root, "261122-181900/run", "pid 1\n");
	tree_fill(root, "261122-181900/main/trace.db", TRACE_BYTES);
	tree_write(root, "261122-181900/main/target", "pid 1\n");
}

START_TEST(the_first_look_counts_what_is_there)
{
	struct storage_status status;

	make_trace();
	start(1);
	storage_get_status(storage, &status);
	ck_assert(!status.is_known);
	wait_for_turn();
	storage_get_status(storage, &status);
	ck_assert_uint_ge(status.use_bytes, TRACE_BYTES);
	ck_assert_uint_gt(status.free_bytes, 0);
}
END_TEST

/* The looks after that are ten seconds apart. */
START_TEST(what_is_made_just_after_the_first_look_is_counted_soon)
{
	start(1);
	wait_for_turn();
	make_trace();
	wait_for_use(TRACE_BYTES, 5 * NS_PER_S);
}
END_TEST

START_TEST(a_disk_with_room_is_no_matter)
{
	start(1);
	wait_for_turn();
	ck_assert(may_grow());
	ck_assert_int_eq(n_stops + n_resumes, 0);
}
END_TEST

START_TEST(too_little_room_stops_growth_until_there_is_enough)
{
	start(TOO_MUCH);
	wait_for_turn();
	ck_assert(!may_grow());
	ck_assert_int_eq(n_stops, 1);
	start(1);
	wait_for_turn();
	ck_assert(may_grow());
	ck_assert_int_eq(n_stops, 1);
	ck_assert_int_eq(n_resumes, 1);
}
END_TEST

START_TEST(other_limits_let_nothing_grow_while_the_disk_is_full)
{
	start(TOO_MUCH);
	wait_for_turn();
	start(TOO_MUCH / 2);
	ck_assert(!may_grow());
	wait_for_turn();
	ck_assert(!may_grow());
	ck_assert_int_eq(n_stops, 1);
	ck_assert_int_eq(n_resumes, 0);
}
END_TEST

START_TEST(without_a_root_nothing_is_held_back)
{
	start(TOO_MUCH);
	wait_for_turn();
	storage_stop(storage);
	ck_assert(may_grow());
	ck_assert_int_eq(n_resumes, 1);
	storage_stop(storage);
	ck_assert_int_eq(n_resumes, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storage");
	TCase *tc = tcase_create("storage");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_first_look_counts_what_is_there);
	tcase_add_test(tc, what_is_made_just_after_the_first_look_is_counted_soon);
	tcase_add_test(tc, a_disk_with_room_is_no_matter);
	tcase_add_test(tc, too_little_room_stops_growth_until_there_is_enough);
	tcase_add_test(tc, other_limits_let_nothing_grow_while_the_disk_is_full);
	tcase_add_test(tc, without_a_root_nothing_is_held_back);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

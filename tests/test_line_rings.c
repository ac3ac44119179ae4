/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/line_rings.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "recorder/exact/line_events.h"
#include "tests/support/line_writer.h"

#define N_RINGS 3
#define BYTES	((size_t)16 << 10)
#define ALL	UINT64_MAX

/* Registers 3 and 6 (%rbp, which is kept), and the stack pointer. */
#define REGS (UINT64_C(1) << 3 | UINT64_C(1) << 6 | UINT64_C(1) << usdt_stack_pointer(USDT_MACHINE))

/* A header, five words, three registers. */
#define RECORD_BYTES (sizeof(struct perf_event_header) + 64)

static struct line_writer writers[N_RINGS];
static struct line_rings *rings;
static struct line_sample sample;

static void setup(void)
{
	int fds[N_RINGS];

	for (unsigned i = 0; i < N_RINGS; i++) {
		line_writer_init(&writers[i], BYTES, REGS);
		fds[i] = writers[i].fd;
	}
	ck_assert_int_eq(line_rings_new(fds, N_RINGS, BYTES, REGS, &rings), 0);
}

static void teardown(void)
{
	line_rings_free(rings);
	for (unsigned i = 0; i < N_RINGS; i++)
		line_writer_done(&writers[i]);
}

static void reach(unsigned ring, uint64_t time_ns)
{
	const struct line_write what = {.time_ns = time_ns, .ip = 0x1000, .tid = 7, .event = 70};

	ck_assert(line_writer_sample(&writers[ring], &what));
}

/* The time of the next one, which must be a sample; 0: there is none. */
static uint64_t next_time(uint64_t until_ns)
{
	enum line_record kind = line_rings_next(rings, until_ns, &sample);

	ck_assert_int_ne((int)kind, LINE_LOST);
	return kind == LINE_REACHED ? sample.time_ns : 0;
}

START_TEST(nothing_is_there_at_first)
{
	size_t of;

	ck_assert_uint_eq(line_rings_n_cpus(rings), N_RINGS);
	ck_assert_int_eq((int)line_rings_next(rings, ALL, &sample), LINE_NOTHING);
	ck_assert_uint_eq(line_rings_fill(rings, &of), 0);
	ck_assert_uint_eq(of, BYTES);
}
END_TEST

START_TEST(a_sample_arrives_as_it_was_written)
{
	static const uint8_t stack[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
	unsigned sp = usdt_stack_pointer(USDT_MACHINE);
	struct line_write what = {.time_ns = 123,
				  .ip = 0x4711,
				  .event = 99,
				  .tid = 4242,
				  .stack = stack,
				  .stack_len = sizeof(stack)};

	what.regs[3] = 33;
	what.regs[5] = 55; /* not asked for */
	what.regs[6] = 66;
	what.regs[sp] = 0x7fff0000;
	ck_assert(line_writer_sample(&writers[1], &what));
	ck_assert_int_eq((int)line_rings_next(rings, ALL, &sample), LINE_REACHED);
	ck_assert_uint_eq(sample.time_ns, 123);
	ck_assert_uint_eq(sample.ip, 0x4711);
	ck_assert_uint_eq(sample.event, 99);
	ck_assert_uint_eq(sample.tid, 4242);
	ck_assert_uint_eq(sample.cpu, 1);
	ck_assert_uint_eq(sample.state.regs[3], 33);
	ck_assert_uint_ne(sample.state.regs[5], 55);
	ck_assert_uint_eq(sample.state.regs[6], 66);
	ck_assert_uint_eq(sample.state.regs[sp], 0x7fff0000);
	ck_assert_uint_eq(sample.state.stack_start, 0x7fff0000);
	ck_assert_uint_eq(sample.state.stack_len, sizeof(stack));
	ck_assert_mem_eq(sample.state.stack, stack, sizeof(stack));

	/* Without a stack that one is not believed to be there still. */
	what.stack_len = 0;
	ck_assert(line_writer_sample(&writers[1], &what));
	ck_assert_int_eq((int)line_rings_next(rings, ALL, &sample), LINE_REACHED);
	ck_assert_ptr_null(sample.state.stack);
	ck_assert_uint_eq(sample.state.stack_len, 0);
}
END_TEST

START_TEST(times_are_in_order_over_all_rings)
{
	reach(0, 10);
	reach(0, 40);
	reach(1, 20);
	reach(1, 50);
	reach(2, 30);
	for (uint64_t time_ns = 10; time_ns <= 50; time_ns += 10)
		ck_assert_uint_eq(next_time(ALL), time_ns);
	ck_assert_uint_eq(next_time(ALL), 0);
}
END_TEST

START_TEST(those_of_the_same_ring_stay_in_their_order)
{
	/* The clock was read before an interrupt that has come in between wrote its own. */
	reach(0, 50);
	reach(0, 40);
	reach(1, 45);
	ck_assert_uint_eq(next_time(ALL), 45);
	ck_assert_uint_eq(next_time(ALL), 50);
	ck_assert_uint_eq(next_time(ALL), 40);
}
END_TEST

START_TEST(younger_ones_wait)
{
	reach(0, 10);
	reach(1, 20);
	ck_assert_uint_eq(next_time(9), 0);
	ck_assert_uint_eq(next_time(10), 10);
	ck_assert_uint_eq(next_time(19), 0);
	/* An older one of another CPU was on its way. */
	reach(2, 15);
	ck_assert_uint_eq(next_time(19), 15);
	ck_assert_uint_eq(next_time(20), 20);
	ck_assert_uint_eq(next_time(ALL), 0);
}
END_TEST

START_TEST(what_is_taken_makes_room)
{
	size_t of, size;

	reach(0, 1);
	size = line_writer_fill(&writers[0]);
	ck_assert_uint_gt(size, 0);
	reach(0, 2);
	ck_assert_uint_eq(line_rings_fill(rings, &of), 2 * size);
	ck_assert_uint_eq(next_time(ALL), 1);
	ck_assert_uint_eq(line_writer_fill(&writers[0]), size);
	ck_assert_uint_eq(line_rings_fill(rings, &of), size);
	ck_assert_uint_eq(next_time(ALL), 2);
	ck_assert_uint_eq(line_writer_fill(&writers[0]), 0);
}
END_TEST

/* Many times around, each record wherever the end of the ring falls. */
START_TEST(records_across_the_end_of_the_ring)
{
	static const uint8_t stack[24] = {0xaa, 0xbb, 0xcc};
	struct line_write what = {.stack = stack, .ip = 0xabcdef};

	for (uint64_t i = 1; i < 20000; i++) {
		what.time_ns = i;
		what.tid = (uint32_t)(i % 1000);
		what.regs[6] = ~i;
		what.stack_len = (uint32_t)(8 * (i % 4));
		ck_assert(line_writer_sample(&writers[i % 2], &what));
		if (i % 2)
			continue;
		for (uint64_t k = i - 1; k <= i; k++) {
			ck_assert_uint_eq(next_time(ALL), k);
			ck_assert_uint_eq(sample.ip, 0xabcdef);
			ck_assert_uint_eq(sample.tid, k % 1000);
			ck_assert_uint_eq(sample.state.regs[6], ~k);
			ck_assert_uint_eq(sample.state.stack_len, 8 * (k % 4));
			if (k % 4)
				ck_assert_mem_eq(sample.state.stack, stack, 8 * (k % 4));
		}
	}
}
END_TEST

START_TEST(a_full_ring_is_told)
{
	struct line_write what = {.time_ns = 1};
	unsigned n_in = 0, n_out = 0;

	while (line_writer_sample(&writers[0], &what))
		n_in += what.time_ns++ > 0;
	what.time_ns++;
	ck_assert(!line_writer_sample(&writers[0], &what));
	ck_assert_uint_eq(n_in, BYTES / RECORD_BYTES);
	ck_assert_uint_eq(next_time(ALL), 1);
	ck_assert_uint_eq(next_time(ALL), 2);
	what.time_ns = 500;
	ck_assert(line_writer_sample(&writers[0], &what));
	for (n_out = 2; line_rings_next(rings, ALL, &sample) == LINE_REACHED; n_out++)
		;
	ck_assert_uint_eq(n_out, n_in);
	ck_assert_uint_eq(sample.lost, 2);
	ck_assert_uint_eq(sample.time_ns, 500);
	ck_assert_uint_eq(next_time(ALL), 500);
	ck_assert_uint_eq(next_time(ALL), 0);
}
END_TEST

START_TEST(lost_ones_are_told_at_their_time)
{
	reach(0, 10);
	ck_assert(line_writer_lost(&writers[1], 5, 20));
	ck_assert(line_writer_lost(&writers[2], 0, 30)); /* some, whatever it says */
	reach(0, 25);
	ck_assert_uint_eq(next_time(15), 10);
	ck_assert_int_eq((int)line_rings_next(rings, 19, &sample), LINE_NOTHING);
	ck_assert_int_eq((int)line_rings_next(rings, ALL, &sample), LINE_LOST);
	ck_assert_uint_eq(sample.lost, 5);
	ck_assert_uint_eq(sample.time_ns, 20);
	ck_assert_uint_eq(sample.cpu, 1);
	ck_assert_uint_eq(next_time(ALL), 25);
	ck_assert_int_eq((int)line_rings_next(rings, ALL, &sample), LINE_LOST);
	ck_assert_uint_eq(sample.lost, 1);
}
END_TEST

static void put_raw(uint32_t type, size_t size, size_t len)
{
	static const uint64_t body[1024];

	ck_assert(line_writer_raw(&writers[0], type, (uint16_t)size, body, len));
}

START_TEST(records_of_no_interest_are_left_out)
{
	const size_t head = sizeof(struct perf_event_header);

	reach(0, 10);
	put_raw(PERF_RECORD_THROTTLE, head + 24, 24);
	put_raw(PERF_RECORD_SAMPLE, head + 32, 32);	/* too short for what we asked for */
	put_raw(PERF_RECORD_SAMPLE, head + 4096, 4096); /* longer than that can be */
	put_raw(PERF_RECORD_LOST, head + 16, 16);	/* without a time */
	put_raw(PERF_RECORD_SAMPLE, head + 40, 40); /* without registers: in a thread that ends */
	reach(0, 20);
	ck_assert_uint_eq(next_time(ALL), 10);
	ck_assert_uint_eq(next_time(ALL), 20);
	ck_assert_uint_eq(next_time(ALL), 0);
	ck_assert_uint_eq(line_writer_fill(&writers[0]), 0);
}
END_TEST

/* Registers that are said to be there, and are not. */
START_TEST(a_sample_that_ends_early_is_left_out)
{
	uint64_t body[5 + 2] = {0x1000, 7, 11, 70, PERF_SAMPLE_REGS_ABI_64, 1, 2};
	const size_t size = sizeof(struct perf_event_header) + sizeof(body);

	ck_assert(
	    line_writer_raw(&writers[0], PERF_RECORD_SAMPLE, (uint16_t)size, body, sizeof(body)));
	reach(0, 20);
	ck_assert_uint_eq(next_time(ALL), 20);
}
END_TEST

START_TEST(a_stack_longer_than_its_record_is_not_believed)
{
	uint64_t body[5 + 3 + 1] = {0x1000, 7, 11, 70, PERF_SAMPLE_REGS_ABI_64, 1, 2, 3, 1000};
	const size_t size = sizeof(struct perf_event_header) + sizeof(body);

	ck_assert(
	    line_writer_raw(&writers[0], PERF_RECORD_SAMPLE, (uint16_t)size, body, sizeof(body)));
	body[8] = UINT64_MAX;
	ck_assert(
	    line_writer_raw(&writers[0], PERF_RECORD_SAMPLE, (uint16_t)size, body, sizeof(body)));
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(next_time(ALL), 11);
		ck_assert_uint_eq(sample.state.stack_len, 0);
		ck_assert_ptr_null(sample.state.stack);
	}
}
END_TEST

/* What makes no sense is one that was lost, at least; then there is nothing. */
static void expect_dropped(uint64_t until_ns)
{
	ck_assert_int_eq((int)line_rings_next(rings, until_ns, &sample), LINE_LOST);
	ck_assert_uint_eq(sample.lost, 1);
	ck_assert_uint_eq(sample.time_ns, until_ns);
	ck_assert_uint_eq(next_time(until_ns), 0);
	ck_assert_uint_eq(line_writer_fill(&writers[0]), 0);
}

/* Cannot be, but must not be an endless loop either: all that is there is dropped. */
START_TEST(sizes_that_cannot_be)
{
	const size_t head = sizeof(struct perf_event_header);

	put_raw(PERF_RECORD_SAMPLE, 0, 0);
	reach(0, 10);
	expect_dropped(15);
	put_raw(PERF_RECORD_SAMPLE, head - 1, 0);
	expect_dropped(16);
	put_raw(PERF_RECORD_SAMPLE, head + 64, 8); /* more than has been written */
	expect_dropped(17);
	reach(0, 20);
	ck_assert_uint_eq(next_time(ALL), 20);
}
END_TEST

static void set_head(uint64_t head)
{
	writers[0].head = head;
	__atomic_store_n(&writers[0].page->data_head, head, __ATOMIC_RELEASE);
}

/* More than fits into it, or less than there was. */
START_TEST(positions_that_cannot_be)
{
	size_t of;

	reach(0, 10);
	set_head(writers[0].head + BYTES);
	ck_assert_uint_eq(line_rings_fill(rings, &of), BYTES);
	expect_dropped(15);
	reach(0, 20);
	ck_assert_uint_eq(next_time(ALL), 20);
	set_head(writers[0].head - 8);
	expect_dropped(25);
	set_head(UINT64_MAX);
	expect_dropped(26);
	reach(0, 30);
	reach(1, 31);
	ck_assert_uint_eq(next_time(ALL), 30);
	ck_assert_uint_eq(next_time(ALL), 31);
}
END_TEST

/* A record is looked at before it is taken; what it was then counts. */
START_TEST(a_record_that_changes)
{
	struct perf_event_header h = {.type = PERF_RECORD_SAMPLE, .size = UINT16_MAX};

	reach(0, 10);
	ck_assert_uint_eq(next_time(5), 0);
	memcpy(writers[0].data, &h, sizeof(h));
	ck_assert_uint_eq(next_time(ALL), 10);
	ck_assert_uint_eq(next_time(ALL), 0);
	ck_assert_uint_eq(line_writer_fill(&writers[0]), 0);
}
END_TEST

/* It would keep those behind it waiting for ever. */
START_TEST(a_time_in_the_future)
{
	uint64_t now_ns = clock_monotonic_ns();

	reach(0, now_ns + 3600 * NS_PER_S);
	reach(0, now_ns);
	ck_assert_int_eq((int)line_rings_next(rings, now_ns, &sample), LINE_LOST);
	ck_assert_uint_eq(sample.time_ns, now_ns);
	ck_assert_uint_eq(next_time(now_ns), now_ns);
	/* Who was kept from reading for long knows less than the kernel. */
	reach(0, now_ns);
	ck_assert_uint_eq(next_time(1), 0);
	ck_assert_uint_eq(next_time(now_ns), now_ns);
}
END_TEST

START_TEST(more_lost_than_can_be)
{
	ck_assert(line_writer_lost(&writers[0], UINT64_MAX, 10));
	ck_assert_int_eq((int)line_rings_next(rings, ALL, &sample), LINE_LOST);
	ck_assert_uint_eq(sample.lost, UINT32_MAX);
}
END_TEST

/* Who comes later goes on where the last one stopped. */
START_TEST(reading_goes_on_where_it_ended)
{
	int fds[N_RINGS];

	for (unsigned i = 0; i < N_RINGS; i++) {
		fds[i] = fcntl(writers[i].fd, F_DUPFD_CLOEXEC, 0);
		ck_assert_int_ge(fds[i], 0);
	}
	reach(0, 10);
	reach(0, 20);
	ck_assert_uint_eq(next_time(ALL), 10);
	line_rings_free(rings);
	ck_assert_int_eq(line_rings_new(fds, N_RINGS, BYTES, REGS, &rings), 0);
	ck_assert_uint_eq(next_time(ALL), 20);
}
END_TEST

static void refuse(size_t bytes)
{
	struct line_rings *none = NULL;
	int fd = fcntl(writers[0].fd, F_DUPFD_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(line_rings_new(&fd, 1, bytes, REGS, &none), -EBADMSG);
	ck_assert_ptr_null(none);
	ck_assert_int_lt(fcntl(fd, F_GETFD), 0); /* taken over all the same */
}

START_TEST(sizes_of_rings_are_checked)
{
	refuse(0);
	refuse(BYTES - 8);
	refuse(3 * BYTES);
	refuse(2 * LINE_RING_BYTES);
}
END_TEST

START_TEST(what_cannot_be_mapped_is_an_error)
{
	struct line_rings *none = NULL;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_lt(line_rings_new(ends, 2, BYTES, REGS, &none), 0);
	ck_assert_ptr_null(none);
	ck_assert_int_lt(fcntl(ends[0], F_GETFD), 0);
	ck_assert_int_lt(fcntl(ends[1], F_GETFD), 0);
	line_rings_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("line_rings");
	TCase *tc = tcase_create("line_rings");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_is_there_at_first);
	tcase_add_test(tc, a_sample_arrives_as_it_was_written);
	tcase_add_test(tc, times_are_in_order_over_all_rings);
	tcase_add_test(tc, those_of_the_same_ring_stay_in_their_order);
	tcase_add_test(tc, younger_ones_wait);
	tcase_add_test(tc, what_is_taken_makes_room);
	tcase_add_test(tc, records_across_the_end_of_the_ring);
	tcase_add_test(tc, a_full_ring_is_told);
	tcase_add_test(tc, lost_ones_are_told_at_their_time);
	tcase_add_test(tc, records_of_no_interest_are_left_out);
	tcase_add_test(tc, a_sample_that_ends_early_is_left_out);
	tcase_add_test(tc, a_stack_longer_than_its_record_is_not_believed);
	tcase_add_test(tc, sizes_that_cannot_be);
	tcase_add_test(tc, positions_that_cannot_be);
	tcase_add_test(tc, a_record_that_changes);
	tcase_add_test(tc, a_time_in_the_future);
	tcase_add_test(tc, more_lost_than_can_be);
	tcase_add_test(tc, reading_goes_on_where_it_ended);
	tcase_add_test(tc, sizes_of_rings_are_checked);
	tcase_add_test(tc, what_cannot_be_mapped_is_an_error);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

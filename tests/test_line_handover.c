/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/line_handover.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/own_probe.h"

static int ends[2];
static struct line_ring_fds rings;
static unsigned before;

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	memset(&rings, 0, sizeof(rings));
	before = count_fds();
}

static void teardown(void)
{
	line_ring_fds_done(&rings);
	ck_assert_uint_eq(count_fds(), before); /* nothing was left open */
	close(ends[0]);
	close(ends[1]);
}

static void make(struct message *m, uint64_t first_cpu, uint64_t n_cpus, int n_fds)
{
	message_init(m, MSG_LINES);
	m->start = first_cpu;
	m->end = n_cpus;
	m->ring_bytes = 65536;
	for (int i = 0; i < n_fds; i++) {
		m->fds[m->n_fds] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(m->fds[m->n_fds++], 0);
	}
}

/* One that must be refused; what came before it does not count any more. */
static void refuse(struct message *m)
{
	ck_assert_int_eq(line_ring_fds_take(&rings, m), -EBADMSG);
	ck_assert_uint_eq(rings.n_here, 0);
	ck_assert_ptr_null(rings.fds);
	ck_assert_uint_eq(count_fds(), before);
}

START_TEST(the_end_of_it_arrives)
{
	struct message m;

	ck_assert_int_eq(line_handover_send(ends[0], NULL), 0);
	ck_assert_int_eq(message_receive(ends[1], &m), 0);
	ck_assert_int_eq((int)m.type, MSG_LINES);
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), -ENODATA);
	ck_assert_uint_eq(rings.n_here, 0);
}
END_TEST

START_TEST(in_one_message)
{
	struct message m;
	int first;

	make(&m, 0, 2, 2);
	m.is_inherited = true;
	first = m.fds[0];
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), 1);
	ck_assert_int_eq(m.n_fds, 0);
	ck_assert_uint_eq(rings.n_cpus, 2);
	ck_assert_uint_eq(rings.n_here, 2);
	ck_assert_uint_eq(rings.ring_bytes, 65536);
	ck_assert(rings.is_inherited);
	ck_assert_int_eq(rings.fds[0], first);
}
END_TEST

START_TEST(in_several_messages)
{
	struct message m;

	make(&m, 0, 5, 2);
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), 0);
	make(&m, 2, 5, 2);
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), 0);
	make(&m, 4, 5, 1);
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), 1);
	ck_assert_uint_eq(rings.n_here, 5);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_ge(fcntl(rings.fds[i], F_GETFD), 0);
}
END_TEST

START_TEST(those_of_another_time_are_closed)
{
	struct message m;

	make(&m, 0, 2, 2);
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), 1);
	make(&m, 0, 3, 2);
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), 0);
	ck_assert_uint_eq(rings.n_here, 2);
	ck_assert_uint_eq(count_fds(), before + 2);
	make(&m, 0, 1, 1);
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), 1);
	ck_assert_uint_eq(count_fds(), before + 1);
	message_init(&m, MSG_LINES);
	m.status = -ENODATA;
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), -ENODATA);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
	struct message m;

	make(&m, 0, 3, 0);
	refuse(&m);
	make(&m, 0, 1, 2); /* more than it says */
	refuse(&m);
	make(&m, 1, 3, 1); /* not from the beginning */
	refuse(&m);
	make(&m, 0, LINE_CPUS_MAX + 1, 1);
	refuse(&m);
	make(&m, 0, UINT64_MAX, 1);
	refuse(&m);
	make(&m, 0, 2, 2);
	m.status = -EIO;
	refuse(&m);
}
END_TEST

START_TEST(a_message_that_is_missing)
{
	struct message m;

	make(&m, 0, 4, 2);
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), 0);
	make(&m, 3, 4, 1);
	refuse(&m);
	make(&m, 2, 4, 2); /* does not continue anything any more */
	refuse(&m);
}
END_TEST

START_TEST(the_number_of_cpus_changes_on_the_way)
{
	struct message m;

	make(&m, 0, 4, 2);
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), 0);
	make(&m, 2, 3, 1);
	refuse(&m);
}
END_TEST

static void *send_all(void *arg)
{
	line_handover_send(ends[0], arg);
	line_handover_send(ends[0], NULL);
	return NULL;
}

/* One thread opens and sends them, as the attacher does, another one takes them. */
START_TEST(real_ones_arrive_and_end)
{
	struct line_request request = own_probe_request();
	struct line_events *events = NULL;
	pthread_t sender;
	struct message m;
	int r = own_probe_open(&request, &events);

	if (r < 0) {
		fprintf(stderr, "skipped: no probes here: %s\n", strerror(-r));
		return;
	}
	ck_assert_int_eq(pthread_create(&sender, NULL, send_all, events), 0);
	do {
		ck_assert_int_eq(message_receive(ends[1], &m), 0);
		r = line_ring_fds_take(&rings, &m);
	} while (r == 0);
	ck_assert_int_eq(r, 1);
	ck_assert_uint_eq(rings.n_cpus, line_events_n_cpus(events));
	ck_assert_uint_eq(rings.ring_bytes, line_events_ring_bytes(events));
	ck_assert(rings.is_inherited == line_events_are_inherited(events));
	ck_assert_int_eq(message_receive(ends[1], &m), 0);
	ck_assert_int_eq(line_ring_fds_take(&rings, &m), -ENODATA);
	pthread_join(sender, NULL);
	line_events_free(events);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("line_handover");
	TCase *tc = tcase_create("line_handover");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_end_of_it_arrives);
	tcase_add_test(tc, in_one_message);
	tcase_add_test(tc, in_several_messages);
	tcase_add_test(tc, those_of_another_time_are_closed);
	tcase_add_test(tc, what_makes_no_sense_is_refused);
	tcase_add_test(tc, a_message_that_is_missing);
	tcase_add_test(tc, the_number_of_cpus_changes_on_the_way);
	tcase_add_test(tc, real_ones_arrive_and_end);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

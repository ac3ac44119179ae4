/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/edge_handover.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

static void teardown(void)
{
	close(ends[0]);
	close(ends[1]);
}

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int open_null(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* A message with so many descriptors. */
static void make(struct message *m, uint64_t first_cpu, uint64_t n_cpus, int n_fds)
{
	message_init(m, MSG_EDGES);
	m->start = first_cpu;
	m->end = n_cpus;
	for (int i = 0; i < n_fds; i++)
		m->fds[m->n_fds++] = open_null();
}

/* What was chosen instead of rings. */
static void check_choice(enum edge_source source)
{
	const struct edge_choice choice = {.source = source, .status = -EACCES};
	struct edge_rings rings = EDGE_RINGS_NONE;
	struct message m;

	ck_assert_int_eq(edge_handover_send(ends[0], &choice), 0);
	ck_assert_int_eq(message_receive(ends[1], &m), 0);
	ck_assert_int_eq((int)m.type, MSG_EDGES);
	edge_rings_take(&rings, &m);
	ck_assert_int_eq((int)edge_rings_source(&rings), (int)source);
	ck_assert_int_lt(rings.status, 0);
	ck_assert_uint_eq(rings.n_cpus_here, 0);
}

START_TEST(no_rings)
{
	check_choice(EDGES_NONE);
	check_choice(EDGES_COARSE);
}
END_TEST

/* All that the kernel gives of this process arrives, and nothing is left open. */
START_TEST(real_ones_arrive)
{
	struct edge_rings rings = EDGE_RINGS_NONE;
	struct edge_choice choice = {.source = EDGES_EXACT};
	struct edge_events *events = NULL;
	unsigned before = count_fds();
	struct identity id;
	struct message m;
	int r;

	ck_assert_int_eq(identity_open(getpid(), &id), 0);
	r = edge_events_open(&id, &events);
	identity_close(&id);
	if (r < 0) {
		fprintf(stderr, "skipped: no context-switch records here: %s\n", strerror(-r));
		return;
	}
	choice.events = events;
	ck_assert_int_eq(edge_handover_send(ends[0], &choice), 0);
	while (rings.status < 0) {
		ck_assert_int_eq(message_receive(ends[1], &m), 0);
		edge_rings_take(&rings, &m);
		ck_assert(rings.status == 0 || rings.status == -EAGAIN);
	}
	ck_assert_uint_eq(rings.n_cpus, edge_events_n_cpus(events));
	ck_assert_uint_eq(rings.n_cpus_here, rings.n_cpus);
	ck_assert_int_ge(rings.tasks_fd, 0);
	edge_rings_done(&rings);
	edge_events_free(events);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

/* More CPUs than one message holds: complete with the last one. */
START_TEST(in_several_messages)
{
	struct edge_rings rings = EDGE_RINGS_NONE;
	unsigned before = count_fds();
	struct message m;

	make(&m, 0, 3, 1 + 2 * 2);
	edge_rings_take(&rings, &m);
	ck_assert_int_eq(rings.status, -EAGAIN);
	make(&m, 2, 3, 1 + 2);
	edge_rings_take(&rings, &m);
	ck_assert_int_eq(rings.status, 0);
	ck_assert_uint_eq(rings.n_cpus, 3);
	/* New ones replace them. */
	make(&m, 0, 1, 1 + 2);
	edge_rings_take(&rings, &m);
	ck_assert_int_eq(rings.status, 0);
	ck_assert_uint_eq(rings.n_cpus, 1);
	edge_rings_done(&rings);
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

static const struct {
	uint64_t first_cpu, n_cpus;
	int n_fds;
} nonsense[] = {
    {0, 1, 0},			     /* nothing at all */
    {0, 1, 2},			     /* half a pair */
    {0, 1, 1 + 4},		     /* more than there are CPUs */
    {1, 2, 1 + 2},		     /* the first is missing */
    {0, EDGE_CPUS_MAX + 1u, 1 + 2},  /* too many */
    {UINT64_MAX, UINT64_MAX, 1 + 2}, /* would overflow */
};

START_TEST(nonsense_is_none)
{
	struct edge_rings rings = EDGE_RINGS_NONE;
	unsigned before = count_fds();
	struct message m;

	make(&m, nonsense[_i].first_cpu, nonsense[_i].n_cpus, nonsense[_i].n_fds);
	edge_rings_take(&rings, &m);
	ck_assert_int_eq(rings.status, -EBADMSG);
	ck_assert_uint_eq(count_fds(), before);
	edge_rings_done(&rings);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("edge_handover");
	TCase *tc = tcase_create("edge_handover");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, no_rings);
	tcase_add_test(tc, real_ones_arrive);
	tcase_add_test(tc, in_several_messages);
	tcase_add_loop_test(tc, nonsense_is_none, 0, sizeof(nonsense) / sizeof(nonsense[0]));
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

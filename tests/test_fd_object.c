/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/fd_object.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/text.h"
#include "recorder/oncpu/bounded_text.h"
#include "recorder/oncpu/peer_question.h"
#include "recorder/oncpu/wait_decode.h"

static struct fd_facts facts;
static struct fd_object object;

static void parse(const char *link)
{
	snprintf(facts.link, sizeof(facts.link), "%s", link);
	fd_object_parse(&facts, &object);
	ck_assert(text_is_utf8(object.name, strlen(object.name)));
	ck_assert(text_is_utf8(object.detail, strlen(object.detail)));
}

static void setup(void)
{
	memset(&facts, 0, sizeof(facts));
}

START_TEST(links_tell_the_kind)
{
	static const struct {
		const char *link, *name;
		enum fd_kind kind;
	} cases[] = {
	    {"/var/lib/x.db", "/var/lib/x.db", FD_FILE},
	    {"/tmp/x (deleted)", "/tmp/x (deleted)", FD_FILE},
	    {"/dev/pts/0", "/dev/pts/0", FD_FILE},
	    {"pipe:[1234]", "pipe", FD_PIPE},
	    {"anon_inode:[eventfd]", "eventfd", FD_EVENTFD},
	    {"anon_inode:[timerfd]", "timerfd", FD_TIMERFD},
	    {"anon_inode:[signalfd]", "signalfd", FD_SIGNALFD},
	    {"anon_inode:[eventpoll]", "epoll", FD_EPOLL},
	    {"anon_inode:inotify", "inotify", FD_INOTIFY},
	    {"anon_inode:[pidfd]", "pidfd", FD_PIDFD},
	    {"anon_inode:[io_uring]", "[io_uring]", FD_ANONYMOUS},
	    {"anon_inode:", "", FD_ANONYMOUS},
	    {"mnt:[4026531840]", "mnt:[4026531840]", FD_ANONYMOUS},
	    {"socket:[99]", "socket", FD_SOCKET},
	    {"", "unknown object", FD_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parse(cases[i].link);
		ck_assert_str_eq(object.name, cases[i].name);
		ck_assert_int_eq(object.kind, cases[i].kind);
	}
	parse("pipe:[1234]");
	ck_assert_uint_eq(object.inode, 1234);
}
END_TEST

START_TEST(a_socket_without_a_line_tells_its_protocol)
{
	snprintf(facts.protocol, sizeof(facts.protocol), "TCPv6");
	facts.net_error = -ENOENT;
	parse("socket:[99]");
	ck_assert_str_eq(object.name, "TCPv6 socket");
	ck_assert_int_eq(object.kind, FD_TCP);
	ck_assert_str_eq(object.detail, "");
	facts.net_error = -EAGAIN;
	parse("socket:[99]");
	ck_assert_str_eq(object.detail, "its addresses were not looked up");
	facts.net_error = -E2BIG;
	parse("socket:[99]");
	ck_assert_ptr_nonnull(strstr(object.detail, "can't be read"));
	snprintf(facts.protocol, sizeof(facts.protocol), "NETLINK\n");
	facts.net_error = -ENOENT;
	parse("socket:[99]");
	ck_assert_str_eq(object.name, "NETLINK? socket");
	ck_assert_int_eq(object.kind, FD_SOCKET);
}
END_TEST

START_TEST(names_do_not_have_ports_that_the_kernel_chose)
{
	static const struct {
		const char *line, *name;
		enum net_table table;
	} cases[] = {
	    {"0: 0500000A:9C40 0501000A:1538 01", "10.0.1.5:5432", NET_TCP},
	    {"0: 0500000A:1538 0501000A:9C40 01", "client of 10.0.0.5:5432", NET_TCP},
	    {"0: 0500000A:9C41 0501000A:9C40 01", "10.0.1.5", NET_TCP},
	    {"0: 0500000A:9C41 00000000:0000 07", "TCP socket", NET_TCP},
	    {"0: 0500000A:9C41 00000000:0000 0A", "listener 10.0.0.5:40001", NET_TCP},
	    {"0: 0500000A:9C41 00000000:0000 07", "UDP socket", NET_UDP},
	    {"0: 0500000A:0044 00000000:0000 07", "UDP port 10.0.0.5:68", NET_UDP},
	    {"0: 0500000A:9C41 01010101:0035 01", "UDP 1.1.1.1:53", NET_UDP},
	    {"0: 00000000000000000000000001000000:9C41 00000000000000000000000001000000:0050 01",
	     "[::1]:80", NET_TCP6},
	    /* IPv4 through a socket for IPv6. */
	    {"0: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000100007F:9C41 01",
	     "client of 127.0.0.1:80", NET_TCP6},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		facts.net_table = cases[i].table;
		snprintf(facts.net_line, sizeof(facts.net_line),
			 "%s 00000000:00000000 00:00000000 00000000  0  0 99 1", cases[i].line);
		parse("socket:[99]");
		ck_assert_str_eq(object.name, cases[i].name);
	}
}
END_TEST

START_TEST(unix_sockets_are_told_without_the_monitoring_interface)
{
	facts.net_table = NET_UNIX;
	snprintf(facts.net_line, sizeof(facts.net_line), "%s",
		 "00000000ec7454a6: 00000003 00000000 00010000 0001 01    99 /run/x y.sock");
	parse("socket:[99]");
	ck_assert_str_eq(object.name, "UNIX listener /run/x y.sock");
	ck_assert(object.listens);
	snprintf(facts.net_line, sizeof(facts.net_line), "%s",
		 "00000000ec7454a6: 00000003 00000000 00000000 0001 03    99 @bus");
	parse("socket:[99]");
	ck_assert_str_eq(object.name, "client of UNIX socket @bus");
	snprintf(facts.net_line, sizeof(facts.net_line), "%s",
		 "00000000ec7454a6: 00000003 00000000 00000000 0001 03    99");
	parse("socket:[99]");
	ck_assert_str_eq(object.name, "UNIX socket");
}
END_TEST

START_TEST(lines_that_are_damaged_are_refused)
{
	static const char *const lines[] = {
	    "",
	    ("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
	     "timeout inode"),
	    "0: 0500000A:9C40 0501000A:1538 01",
	    "0: 0500000A:9C40 0501000A:1538 01 0:0 0:0 0 0 0 x 1",
	    "0: 0500000A:9C40 0501000A:1538 01 0:0 0:0 0 0 0 99x 1",
	    "0: 0500000:9C40 0501000A:1538 01 0:0 0:0 0 0 0 99 1",
	    "0: 0500000AAA:9C40 0501000A:1538 01 0:0 0:0 0 0 0 99 1",
	    "0: G500000A:9C40 0501000A:1538 01 0:0 0:0 0 0 0 99 1",
	};
	struct net_line line;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_int_eq(net_line_parse(lines[i], &line), -EINVAL);
}
END_TEST

START_TEST(watches_are_counted)
{
	static const char info[] = "pos:\t0\n"
				   "tfd:        5 events:       19 data: 5  pos:0 ino:1b8 sdev:9\n"
				   "tfd:        7 events:       19 data: 7\n"
				   "tfd:";
	struct epoll_watch watches[2];

	ck_assert_uint_eq(epoll_watches_parse(info, watches, 2), 3);
	ck_assert_int_eq(watches[0].fd, 5);
	ck_assert_uint_eq(watches[0].inode, 0x1b8);
	ck_assert_int_eq(watches[1].fd, 7);
	ck_assert_uint_eq(watches[1].inode, 0);
	ck_assert_uint_eq(epoll_watches_parse("", NULL, 0), 0);
	ck_assert_uint_eq(epoll_watches_parse(info, NULL, 0), 3);
}
END_TEST

START_TEST(processes_of_descriptors_are_told)
{
	snprintf(facts.info, sizeof(facts.info), "pos:\t0\nPid:\t42\nNSpid:\t42\t7\n");
	parse("anon_inode:[pidfd]");
	ck_assert_int_eq(object.pid, 42);
	ck_assert_int_eq(object.inner_pid, 7);
	snprintf(facts.info, sizeof(facts.info), "pos:\t0\nPid:\t-1\nNSpid:\t-1\n");
	parse("anon_inode:[pidfd]");
	ck_assert_int_eq(object.pid, 0);
}
END_TEST

START_TEST(texts_are_bounded_and_safe)
{
	char buf[16];
	struct bounded_text t = bounded_text_init(buf, sizeof(buf));

	bounded_text_add(&t, "0123456789");
	bounded_text_add_foreign(&t, "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 8, 100);
	ck_assert_str_eq(buf, "0123456789\xc3\xa4\u2026");
	bounded_text_add(&t, "more");
	ck_assert_str_eq(buf, "0123456789\xc3\xa4\u2026");
	t = bounded_text_init(buf, sizeof(buf));
	bounded_text_add(&t, "012345678901234");
	ck_assert_str_eq(buf, "012345678901234");
	bounded_text_add(&t, "5");
	ck_assert_str_eq(buf, "012345678901\u2026");
	t = bounded_text_init(buf, sizeof(buf));
	bounded_text_add_foreign(&t, "/a/long/path", 12, 5);
	ck_assert_str_eq(buf, "\u2026/path");
	t = bounded_text_init(buf, sizeof(buf));
	bounded_text_add_foreign(&t, "a\0b\x1b\x80", 5, 5);
	ck_assert_str_eq(buf, "a?b??");
	t = bounded_text_init(buf, sizeof(buf));
	bounded_text_add_foreign(&t, "x\xc3\xa4y", 4, 2);
	ck_assert_str_eq(buf, "\u2026y");
}
END_TEST

START_TEST(the_other_end_is_asked_for)
{
	struct wait_reason r = {.n_fds = 1, .fd_kind = FD_PIPE, .inode = 7};
	struct peer_question q;

	r.direction = WAIT_FOR_INPUT;
	ck_assert(peer_question_make(&r, &q));
	ck_assert_int_eq(q.kind, PEER_PIPE_WRITER);
	ck_assert_uint_eq(q.inode, 7);
	r.direction = WAIT_FOR_OUTPUT;
	ck_assert(peer_question_make(&r, &q));
	ck_assert_int_eq(q.kind, PEER_PIPE_READER);
	r.n_fds = 2;
	ck_assert(!peer_question_make(&r, &q));
	r = (struct wait_reason){.n_fds = 1, .fd_kind = FD_UNIX, .inode = 7, .peer_inode = 8};
	ck_assert(peer_question_make(&r, &q));
	ck_assert_int_eq(q.kind, PEER_UNIX);
	ck_assert_uint_eq(q.inode, 8);
	r = (struct wait_reason){.n_fds = 1, .fd_kind = FD_TCP};
	ck_assert(!peer_question_make(&r, &q));
	r.peer.port = 80;
	ck_assert(peer_question_make(&r, &q));
	ck_assert_int_eq(q.kind, PEER_INET);
	r = (struct wait_reason){.child = 42};
	ck_assert(peer_question_make(&r, &q));
	ck_assert_int_eq(q.kind, PEER_CHILD);
	r = (struct wait_reason){.futex = 42};
	ck_assert(!peer_question_make(&r, &q));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fd_object");
	TCase *tc = tcase_create("fd_object");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, links_tell_the_kind);
	tcase_add_test(tc, a_socket_without_a_line_tells_its_protocol);
	tcase_add_test(tc, names_do_not_have_ports_that_the_kernel_chose);
	tcase_add_test(tc, unix_sockets_are_told_without_the_monitoring_interface);
	tcase_add_test(tc, lines_that_are_damaged_are_refused);
	tcase_add_test(tc, watches_are_counted);
	tcase_add_test(tc, processes_of_descriptors_are_told);
	tcase_add_test(tc, texts_are_bounded_and_safe);
	tcase_add_test(tc, the_other_end_is_asked_for);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

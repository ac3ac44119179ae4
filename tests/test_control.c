/* SPDX-License-Identifier: BSD-3-Clause */
/* The collector's socket: as a file, and with clients of all kinds. */
#include "recorder/control.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/control_protocol.h"
#include "common/xalloc.h"
#include "recorder/control_socket.h"
#include "recorder/privileges.h"
#include "tests/support/tree.h"

#define PATIENCE_NS (20 * NS_PER_S)
/* More than the kernel buffers for a client that does not read. */
#define BIG (4 << 20)

static char *top;
static char *path; /* TOP/run/collector.sock; TOP/run does not exist at first */
static struct event_base *base;
static struct control *control;
static char why[512];
static unsigned n_requests;

static int on_request(void *ctx, const char *request, FILE *answer)
{
	(void)ctx;
	n_requests++;
	if (strcmp(request, "status") == 0) {
		fputs("{\"fine\": true}\n", answer);
		return 0;
	}
	if (strcmp(request, "big") == 0) {
		fprintf(answer, "%0*d", BIG, 0);
		return 0;
	}
	if (strcmp(request, "fail") == 0) {
		fputs("half an ans", answer);
		return -EIO;
	}
	return -EOPNOTSUPP;
}

static void setup(void)
{
	umask(022);
	top = tree_new();
	path = xasprintf("%s/run/collector.sock", top);
	base = event_base_new();
	n_requests = 0;
}

static void teardown(void)
{
	control_free(control);
	control = NULL;
	event_base_free(base);
	tree_free(top);
	free(path);
}

static int start_with(gid_t gid)
{
	return control_new(base, path, gid, on_request, NULL, &control, why, sizeof(why));
}

static void start(void)
{
	why[0] = '\0';
	ck_assert_msg(start_with((gid_t)-1) == 0, "%s", why);
}

static int try_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	ck_assert_uint_lt(strlen(path), sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int connect_client(void)
{
	int fd = try_connect();

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	ck_assert_int_eq(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Turn the loop until the server has closed; returns all that it has said. */
static char *read_to_end(int fd)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	size_t cap = 0, len = 0;
	char *text = NULL;

	for (;;) {
		ssize_t n;

		event_base_loop(base, EVLOOP_NONBLOCK);
		text = xgrow(text, &cap, len + 65536, 1);
		n = recv(fd, text + len, 65535, 0);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			break;
		len += n > 0 ? (size_t)n : 0;
		if (n < 0)
			poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1);
		ck_assert_msg(clock_monotonic_ns() < end_ns, "waited in vain");
	}
	text[len] = '\0';
	close(fd);
	return text;
}

static char *ask(const char *text, size_t len)
{
	int fd = connect_client();

	say(fd, text, len);
	return read_to_end(fd);
}

static unsigned count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static bool is_root(const char *test)
{
	if (geteuid() == 0)
		return true;
	fprintf(stderr, "%s: skipped, needs root\n", test);
	return false;
}

/* --- the file --- */

START_TEST(its_folder_and_file_have_their_modes)
{
	auto_free char *folder = xasprintf("%s/run", top);
	struct stat st;

	umask(077);
	start();
	ck_assert_int_eq(stat(folder, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0755);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
	ck_assert_uint_eq(st.st_uid, geteuid());
}
END_TEST

static void assert_in_group(gid_t gid)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_gid, gid);
	ck_assert_uint_eq(st.st_uid, 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
}

START_TEST(it_belongs_to_the_group)
{
	auto_free char *folder = xasprintf("%s/run", top);
	uint64_t now = 0;

	if (!is_root("it_belongs_to_the_group"))
		return;
	/* The unit has none to give files away. */
	ck_assert_int_eq(privileges_get_effective(&now), 0);
	now &= ~(UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_FOWNER);
	ck_assert_int_eq(privileges_set_effective(now), 0);
	ck_assert_int_eq(start_with(4), 0);
	assert_in_group(4);
	control_free(control);
	control = NULL;
	/* All that is made in such a folder gets its group. */
	ck_assert_int_eq(chown(folder, (uid_t)-1, getegid()), 0);
	ck_assert_int_eq(chmod(folder, 02755), 0);
	ck_assert_int_eq(start_with(4), 0);
	assert_in_group(4);
	ck_assert_uint_eq(getegid(), (gid_t)setfsgid((gid_t)-1));
}
END_TEST

START_TEST(it_goes_away_with_the_daemon)
{
	start();
	ck_assert(tree_has(top, "run/collector.sock"));
	control_free(control);
	control = NULL;
	ck_assert(!tree_has(top, "run/collector.sock"));
}
END_TEST

START_TEST(a_file_that_is_not_ours_any_more_stays)
{
	start();
	ck_assert_int_eq(unlink(path), 0);
	tree_write(top, "run/collector.sock", "another one");
	control_free(control);
	control = NULL;
	ck_assert(tree_has(top, "run/collector.sock"));
}
END_TEST

START_TEST(a_dead_socket_is_replaced)
{
	struct control_socket dead;
	auto_free char *text = NULL;

	ck_assert_int_eq(control_socket_open(path, (gid_t)-1, &dead, why, sizeof(why)), 0);
	/* As by SIGKILL: the file stays. */
	close(dead.fd);
	close(dead.folder_fd);
	free(dead.name);
	ck_assert(tree_has(top, "run/collector.sock"));
	ck_assert_int_lt(try_connect(), 0);
	start();
	text = ask("status\n", 7);
	ck_assert_str_eq(text, "{\"fine\": true}\n");
}
END_TEST

START_TEST(a_living_socket_is_left_alone)
{
	struct control *second = NULL;
	auto_free char *text = NULL;

	start();
	ck_assert_int_eq(
	    control_new(base, path, (gid_t)-1, on_request, NULL, &second, why, sizeof(why)),
	    -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(why, "another collector answers there"));
	ck_assert_ptr_null(second);
	text = ask("status\n", 7);
	ck_assert_str_eq(text, "{\"fine\": true}\n");
}
END_TEST

/* Nobody accepts, and more than it can take wait. */
START_TEST(a_living_socket_that_is_busy_is_left_alone)
{
	struct control_socket busy;
	int waiting[200];
	size_t n = 0;

	ck_assert_int_eq(control_socket_open(path, (gid_t)-1, &busy, why, sizeof(why)), 0);
	while (n < 200 && (waiting[n] = try_connect()) >= 0)
		n++;
	ck_assert_uint_lt(n, 200);
	ck_assert_int_eq(start_with((gid_t)-1), -EADDRINUSE);
	while (n > 0)
		close(waiting[--n]);
	control_socket_close(&busy);
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone)
{
	auto_free char *target = xasprintf("%s/target", top);
	struct stat st;

	tree_write(top, "run/collector.sock", "a file");
	ck_assert_int_eq(start_with((gid_t)-1), -EEXIST);
	ck_assert_ptr_nonnull(strstr(why, "is not a socket"));
	ck_assert_int_eq(unlink(path), 0);
	tree_write(top, "target", "");
	tree_link(top, "run/collector.sock", target);
	ck_assert_int_eq(start_with((gid_t)-1), -EEXIST);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
}
END_TEST

START_TEST(a_folder_of_others_is_refused)
{
	auto_free char *folder = xasprintf("%s/run", top);

	tree_mkdir(top, "run");
	ck_assert_int_eq(chmod(folder, 0775), 0);
	ck_assert_int_eq(start_with((gid_t)-1), -EPERM);
	ck_assert_ptr_nonnull(strstr(why, "chmod go-w"));
	ck_assert_int_eq(chmod(folder, 0755), 0);
	if (!is_root("a_folder_of_others_is_refused"))
		return;
	ck_assert_int_eq(chown(folder, 65534, 0), 0);
	ck_assert_int_eq(start_with((gid_t)-1), -EPERM);
	ck_assert_ptr_nonnull(strstr(why, "belongs to someone else"));
	ck_assert_int_eq(chown(folder, 0, 0), 0);
	start();
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_is_told)
{
	free(path);
	path = xasprintf("%s/missing/run/collector.sock", top);
	ck_assert_int_eq(start_with((gid_t)-1), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "cannot make this folder"));
	free(path);
	path = xstrdup("relative");
	ck_assert_int_eq(start_with((gid_t)-1), -EINVAL);
	free(path);
	path = xstrdup("/tmp/");
	ck_assert_int_eq(start_with((gid_t)-1), -EINVAL);
}
END_TEST

/* The address of a socket has 108 bytes, its folder may lie deeper. */
START_TEST(a_long_path_is_possible)
{
	char folder[121];
	struct stat st;

	memset(folder, 'a', sizeof(folder) - 1);
	folder[sizeof(folder) - 1] = '\0';
	free(path);
	path = xasprintf("%s/%s/collector.sock", top, folder);
	start();
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
}
END_TEST

/* --- requests --- */

START_TEST(a_request_is_answered)
{
	auto_free char *text = NULL;

	start();
	text = ask("status\n", 7);
	ck_assert_str_eq(text, "{\"fine\": true}\n");
	ck_assert_uint_eq(n_requests, 1);
}
END_TEST

START_TEST(a_request_may_come_in_pieces)
{
	auto_free char *text = NULL;
	int fd;

	start();
	fd = connect_client();
	for (const char *p = "status\n"; *p; p++) {
		say(fd, p, 1);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	text = read_to_end(fd);
	ck_assert_str_eq(text, "{\"fine\": true}\n");
}
END_TEST

START_TEST(a_request_may_end_with_the_connection)
{
	auto_free char *text = NULL;
	int fd;

	start();
	fd = connect_client();
	say(fd, "status", 6);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	text = read_to_end(fd);
	ck_assert_str_eq(text, "{\"fine\": true}\n");
}
END_TEST

START_TEST(a_large_answer_comes_whole)
{
	auto_free char *text = NULL;

	start();
	text = ask("big\n", 4);
	ck_assert_uint_eq(strlen(text), BIG);
}
END_TEST

static const struct {
	const char *request;
	size_t len; /* 0: strlen() */
	const char *error;
	unsigned n_requests;
} malformed[] = {
    {"nonsense\n", 0, "no such request", 1},
    {"STATUS\n", 0, "no such request", 1},
    {"status \n", 0, "no such request", 1},
    {"fail\n", 0, "Input/output error", 1},
    {"\n", 0, "not a request", 0},
    {"status\r\n", 0, "not a request", 0},
    {"sta\0tus\n", 8, "not a request", 0},
    {"status\0\n", 8, "not a request", 0},
    {"st\xc3\xa4tus\n", 0, "not a request", 0},
    {"\x1b[2J\n", 0, "not a request", 0},
    {"{\"request\": \"status\"}\n", 0, "no such request", 1},
};

START_TEST(malformed_requests_get_an_error)
{
	size_t len = malformed[_i].len ? malformed[_i].len : strlen(malformed[_i].request);
	auto_free char *error = xasprintf("\"error\": \"%s\"\n}\n", malformed[_i].error);
	auto_free char *text = NULL, *after = NULL;

	start();
	text = ask(malformed[_i].request, len);
	ck_assert_msg(text[0] == '{' && strstr(text, error), "%s", text);
	ck_assert_ptr_null(strstr(text, "half"));
	ck_assert_uint_eq(n_requests, malformed[_i].n_requests);
	after = ask("status\n", 7);
	ck_assert_str_eq(after, "{\"fine\": true}\n");
}
END_TEST

START_TEST(a_request_has_a_limit)
{
	char line[CONTROL_REQUEST_MAX + 2];
	auto_free char *longest = NULL, *longer = NULL;

	start();
	memset(line, 'a', sizeof(line));
	line[CONTROL_REQUEST_MAX] = '\n';
	longest = ask(line, CONTROL_REQUEST_MAX + 1);
	ck_assert_ptr_nonnull(strstr(longest, "no such request"));
	line[CONTROL_REQUEST_MAX] = 'a';
	line[CONTROL_REQUEST_MAX + 1] = '\n';
	longer = ask(line, sizeof(line));
	ck_assert_ptr_nonnull(strstr(longer, "the request is too long"));
	ck_assert_uint_eq(n_requests, 1);
}
END_TEST

/* --- clients that are in the way --- */

START_TEST(clients_that_go_away_leave_nothing)
{
	unsigned before, after;

	start();
	before = count_descriptors();
	for (int i = 0; i < 200; i++) {
		int fd = connect_client();

		if (i % 2)
			say(fd, "big\n", 4);
		event_base_loop(base, EVLOOP_NONBLOCK);
		close(fd);
		event_base_loop(base, EVLOOP_NONBLOCK);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	after = count_descriptors();
	ck_assert_uint_eq(before, after);
}
END_TEST

START_TEST(who_comes_when_it_is_full_waits)
{
	int fds[CONTROL_CLIENTS_MAX + 5];
	const size_t n = sizeof(fds) / sizeof(fds[0]);

	start();
	for (size_t i = 0; i < n; i++) {
		fds[i] = connect_client();
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	/* The last ones speak, but only when the first ones are gone they are heard. */
	for (size_t i = CONTROL_CLIENTS_MAX; i < n; i++)
		say(fds[i], "status\n", 7);
	for (int i = 0; i < 10; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(n_requests, 0);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	for (size_t i = CONTROL_CLIENTS_MAX; i < n; i++) {
		auto_free char *text = read_to_end(fds[i]);

		ck_assert_str_eq(text, "{\"fine\": true}\n");
	}
}
END_TEST

/* The same time for all three; others are served meanwhile. */
START_TEST(who_says_nothing_or_does_not_read_is_dropped)
{
	uint64_t begin_ns, ns, next_ns;
	int silent, slow, deaf;
	unsigned before, n_said = 0;

	start();
	before = count_descriptors();
	begin_ns = next_ns = clock_monotonic_ns();
	silent = connect_client();
	slow = connect_client();
	deaf = connect_client();
	say(deaf, "big\n", 4);
	do {
		auto_free char *text = ask("status\n", 7);

		ck_assert_str_eq(text, "{\"fine\": true}\n");
		/* Each byte in time, but not the whole line. */
		if (clock_monotonic_ns() >= next_ns && send(slow, "a", 1, MSG_NOSIGNAL) == 1) {
			n_said++;
			next_ns += NS_PER_S / 2;
		}
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(10000);
		ns = clock_monotonic_ns() - begin_ns;
		ck_assert_uint_lt(ns, PATIENCE_NS);
	} while (count_descriptors() > before + 3);
	ck_assert_uint_ge(ns, (CONTROL_PATIENCE_S - 1) * NS_PER_S);
	ck_assert_uint_ge(n_said, 3);
	close(silent);
	close(slow);
	close(deaf);
}
END_TEST

START_TEST(without_descriptors_it_waits_and_does_not_spin)
{
	struct rlimit limit, none;
	struct rusage used_before, used_after;
	auto_free char *text = NULL;
	int fd;

	start();
	fd = connect_client();
	say(fd, "status\n", 7);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &used_before), 0);
	event_base_loopexit(base, &(struct timeval){.tv_usec = 500000});
	event_base_dispatch(base);
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &used_after), 0);
	ck_assert_int_lt(used_after.ru_utime.tv_sec * 1000000 + used_after.ru_utime.tv_usec,
			 used_before.ru_utime.tv_sec * 1000000 + used_before.ru_utime.tv_usec +
			     200000);
	ck_assert_uint_eq(n_requests, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	text = read_to_end(fd);
	ck_assert_str_eq(text, "{\"fine\": true}\n");
}
END_TEST

/* With clients in every state. */
START_TEST(nothing_is_left_behind)
{
	unsigned before = count_descriptors();

	for (int i = 0; i < 20; i++) {
		int silent, deaf;

		start();
		silent = connect_client();
		deaf = connect_client();
		say(deaf, "big\n", 4);
		for (int j = 0; j < 5; j++)
			event_base_loop(base, EVLOOP_NONBLOCK);
		control_free(control);
		control = NULL;
		close(silent);
		close(deaf);
	}
	ck_assert_uint_eq(before, count_descriptors());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control");
	TCase *tc = tcase_create("control");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, its_folder_and_file_have_their_modes);
	tcase_add_test(tc, it_belongs_to_the_group);
	tcase_add_test(tc, it_goes_away_with_the_daemon);
	tcase_add_test(tc, a_file_that_is_not_ours_any_more_stays);
	tcase_add_test(tc, a_dead_socket_is_replaced);
	tcase_add_test(tc, a_living_socket_is_left_alone);
	tcase_add_test(tc, a_living_socket_that_is_busy_is_left_alone);
	tcase_add_test(tc, what_is_no_socket_is_left_alone);
	tcase_add_test(tc, a_folder_of_others_is_refused);
	tcase_add_test(tc, a_folder_that_cannot_be_made_is_told);
	tcase_add_test(tc, a_long_path_is_possible);
	tcase_add_test(tc, a_request_is_answered);
	tcase_add_test(tc, a_request_may_come_in_pieces);
	tcase_add_test(tc, a_request_may_end_with_the_connection);
	tcase_add_test(tc, a_large_answer_comes_whole);
	tcase_add_loop_test(tc, malformed_requests_get_an_error, 0,
			    sizeof(malformed) / sizeof(malformed[0]));
	tcase_add_test(tc, a_request_has_a_limit);
	tcase_add_test(tc, clients_that_go_away_leave_nothing);
	tcase_add_test(tc, who_comes_when_it_is_full_waits);
	tcase_add_test(tc, who_says_nothing_or_does_not_read_is_dropped);
	tcase_add_test(tc, without_descriptors_it_waits_and_does_not_spin);
	tcase_add_test(tc, nothing_is_left_behind);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

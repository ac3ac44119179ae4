/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/proc_scan.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "tests/support/titles.h"

/* A child that waits to be told a title; then it has it. */
struct child {
	pid_t pid;
	int command, reply;
};

static struct child start_child(void)
{
	int command[2], reply[2];
	struct child child;

	ck_assert_int_eq(pipe(command), 0);
	ck_assert_int_eq(pipe(reply), 0);
	child.pid = fork();
	if (child.pid == 0) {
		static char title[TITLES_ROOM];
		ssize_t n;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while ((n = read(command[0], title, sizeof(title) - 1)) > 0) {
			title[n] = '\0';
			title_set(title);
			if (write(reply[1], "x", 1) != 1)
				break;
		}
		_exit(0);
	}
	close(command[0]);
	close(reply[1]);
	child.command = command[1];
	child.reply = reply[0];
	return child;
}

static void give_title(const struct child *child, const char *title)
{
	char c;

	ck_assert_int_eq(write(child->command, title, strlen(title)), (ssize_t)strlen(title));
	ck_assert_int_eq(read(child->reply, &c, 1), 1);
}

static void end_child(struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	close(child->command);
	close(child->reply);
}

/* A scanner, and what the last scan found new of one process. */
struct scanner {
	int proc_fd;
	struct proc_table table, list;
	struct proc_batch batch;
	pid_t wanted;
	size_t n_read, n_batches;
	int n_new;
	char title[PROC_TITLE_MAX + 1];
};

static struct scanner *scanner_new(pid_t wanted)
{
	struct scanner *s = xcalloc(1, sizeof(*s));

	s->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(s->proc_fd, 0);
	s->wanted = wanted;
	return s;
}

static void scanner_free(struct scanner *s)
{
	close(s->proc_fd);
	proc_table_done(&s->table);
	proc_table_done(&s->list);
	free(s);
}

static void take_note(struct scanner *s)
{
	for (uint32_t i = 0; i < s->batch.n_read; i++) {
		const struct proc_title *t = &s->batch.titles[i];

		if (s->batch.entries[i].pid != s->wanted || !t->is_new)
			continue;
		memcpy(s->title, s->batch.bytes + t->start, t->len);
		s->title[t->len] = '\0';
		s->n_new++;
	}
}

static void scan(struct scanner *s, unsigned stride)
{
	size_t at = 0;

	s->n_new = 0;
	s->n_read = 0;
	s->n_batches = 0;
	ck_assert_int_eq(proc_list_read(s->proc_fd, &s->list), 0);
	proc_table_update(&s->table, &s->list);
	while (proc_table_take(&s->table, &at, stride, NULL, NULL, &s->batch)) {
		proc_batch_read(s->proc_fd, &s->batch);
		proc_table_put(&s->table, &s->batch, s->batch.n_read);
		take_note(s);
		s->n_read += s->batch.n_read;
		s->n_batches++;
		ck_assert_uint_gt(s->batch.n_read, 0);
		if (s->batch.n_read < s->batch.n)
			at = proc_table_seek(&s->table, s->batch.entries[s->batch.n_read].pid);
	}
}

START_TEST(titles_are_cleaned)
{
	static const struct {
		const char *raw, *clean;
		size_t len;
	} cases[] = {
	    {"a\0b\0c\0", "a b c", 6}, {"a\0\0\0", "a", 4}, {"a b  \0", "a b", 6},
	    {"\0\0", "", 2},	       {"", "", 0},	    {"\0a", " a", 2},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char buf[16];
		size_t len;

		memcpy(buf, cases[i].raw, cases[i].len);
		len = proc_title_clean(buf, cases[i].len);
		ck_assert_uint_eq(len, strlen(cases[i].clean));
		ck_assert_int_eq(memcmp(buf, cases[i].clean, len), 0);
	}
	ck_assert_uint_ne(proc_title_hash("", 0), 0);
	ck_assert_uint_ne(proc_title_hash("a", 1), proc_title_hash("b", 1));
}
END_TEST

START_TEST(a_title_is_read_and_cut)
{
	auto_close int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct child child = start_child();
	char buf[PROC_TITLE_MAX], title[6000];

	give_title(&child, "daemon: main");
	ck_assert_int_eq(proc_title_read(proc_fd, child.pid, buf), 12);
	ck_assert_int_eq(memcmp(buf, "daemon: main", 12), 0);
	memset(title, 'y', sizeof(title) - 1);
	title[sizeof(title) - 1] = '\0';
	give_title(&child, title);
	ck_assert_int_eq(proc_title_read(proc_fd, child.pid, buf), PROC_TITLE_MAX);
	end_child(&child);
	ck_assert_int_eq(proc_title_read(proc_fd, child.pid, buf), -ESRCH);
}
END_TEST

START_TEST(a_process_is_new_once)
{
	struct child child = start_child();
	struct scanner *s = scanner_new(child.pid);
	const struct proc_entry *e;

	give_title(&child, "daemon: main");
	scan(s, 1);
	ck_assert_int_eq(s->n_new, 1);
	ck_assert_str_eq(s->title, "daemon: main");
	scan(s, 1);
	ck_assert_int_eq(s->n_new, 0);
	e = proc_table_find(&s->table, child.pid);
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->n_same, 1);
	end_child(&child);
	scan(s, 1);
	ck_assert_ptr_null(proc_table_find(&s->table, child.pid));
	scanner_free(s);
}
END_TEST

START_TEST(a_settled_title_that_changes_is_seen_by_the_second_scan)
{
	struct child child = start_child();
	struct scanner *s = scanner_new(child.pid);
	int n_new;

	give_title(&child, "one");
	for (int i = 0; i < 20; i++)
		scan(s, 2);
	ck_assert_uint_ge(proc_table_find(&s->table, child.pid)->n_same, 8);
	give_title(&child, "two");
	scan(s, 2);
	n_new = s->n_new;
	scan(s, 2);
	ck_assert_int_eq(n_new + s->n_new, 1);
	ck_assert_str_eq(s->title, "two");
	/* Until it is settled again, each scan looks. */
	give_title(&child, "three");
	scan(s, 2);
	ck_assert_int_eq(s->n_new, 1);
	end_child(&child);
	scanner_free(s);
}
END_TEST

START_TEST(a_table_saves_reading)
{
	struct scanner *s = scanner_new(getpid());
	size_t first;

	scan(s, 2);
	first = s->n_read;
	for (int i = 0; i < 10; i++)
		scan(s, 2);
	ck_assert_uint_lt(s->n_read, first);
	scanner_free(s);
}
END_TEST

START_TEST(another_process_with_the_same_id_is_new)
{
	struct proc_entry known = {.pid = 7, .ino = 1, .title_hash = 5, .n_same = 9};
	struct proc_entry same[] = {{.pid = 3, .ino = 2}, {.pid = 7, .ino = 1}};
	struct proc_entry other[] = {{.pid = 7, .ino = 4}};
	struct proc_table t = {0}, list = {.entries = &known, .n = 1, .cap = 1};

	proc_table_update(&t, &list);
	*proc_table_find(&t, 7) = known;
	list = (struct proc_table){.entries = same, .n = 2, .cap = 2};
	proc_table_update(&t, &list);
	ck_assert_uint_eq(t.n, 2);
	ck_assert_uint_eq(proc_table_find(&t, 7)->title_hash, 5);
	ck_assert_uint_eq(proc_table_find(&t, 3)->title_hash, 0);
	ck_assert_uint_eq(proc_table_seek(&t, 4), 1);
	ck_assert_uint_eq(proc_table_seek(&t, 8), 2);
	list = (struct proc_table){.entries = other, .n = 1, .cap = 1};
	proc_table_update(&t, &list);
	ck_assert_uint_eq(t.n, 1);
	ck_assert_uint_eq(proc_table_find(&t, 7)->title_hash, 0);
	ck_assert_uint_eq(proc_table_find(&t, 7)->n_same, 0);
	list.n = 0;
	proc_table_update(&t, &list);
	ck_assert_ptr_null(proc_table_find(&t, 7));
	proc_table_done(&t);
}
END_TEST

START_TEST(more_than_fits_is_read_in_parts)
{
	struct child children[80];
	struct scanner *s;
	char title[6000];

	memset(title, 'z', sizeof(title) - 1);
	title[sizeof(title) - 1] = '\0';
	for (int i = 0; i < 80; i++) {
		children[i] = start_child();
		give_title(&children[i], title);
	}
	s = scanner_new(children[79].pid);
	scan(s, 1);
	ck_assert_int_eq(s->n_new, 1);
	ck_assert_uint_eq(strlen(s->title), PROC_TITLE_MAX);
	ck_assert_uint_ge(s->n_batches, 2);
	scan(s, 1);
	ck_assert_int_eq(s->n_new, 0);
	for (int i = 0; i < 80; i++)
		end_child(&children[i]);
	scanner_free(s);
}
END_TEST

static bool skip_one(void *ctx, const struct proc_entry *e)
{
	return e->pid == *(pid_t *)ctx;
}

START_TEST(entries_can_be_left_out)
{
	struct scanner *s = scanner_new(0);
	pid_t self = getpid();
	size_t at = 0;

	ck_assert_int_eq(proc_list_read(s->proc_fd, &s->list), 0);
	proc_table_update(&s->table, &s->list);
	while (proc_table_take(&s->table, &at, 1, skip_one, &self, &s->batch))
		for (size_t i = 0; i < s->batch.n; i++)
			ck_assert_int_ne(s->batch.entries[i].pid, self);
	scanner_free(s);
}
END_TEST

START_TEST(a_cancelled_batch_stops)
{
	struct scanner *s = scanner_new(0);
	size_t at = 0;

	ck_assert_int_eq(proc_list_read(s->proc_fd, &s->list), 0);
	proc_table_update(&s->table, &s->list);
	ck_assert(proc_table_take(&s->table, &at, 1, NULL, NULL, &s->batch));
	atomic_store(&s->batch.is_cancelled, true);
	proc_batch_read(s->proc_fd, &s->batch);
	ck_assert_uint_eq(s->batch.n_read, 0);
	scanner_free(s);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("proc_scan");
	TCase *tc = tcase_create("proc_scan");
	SRunner *runner = srunner_create(suite);
	int failed;

	titles_init(argc, argv);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, titles_are_cleaned);
	tcase_add_test(tc, a_title_is_read_and_cut);
	tcase_add_test(tc, a_process_is_new_once);
	tcase_add_test(tc, a_settled_title_that_changes_is_seen_by_the_second_scan);
	tcase_add_test(tc, a_table_saves_reading);
	tcase_add_test(tc, another_process_with_the_same_id_is_new);
	tcase_add_test(tc, more_than_fits_is_read_in_parts);
	tcase_add_test(tc, entries_can_be_left_out);
	tcase_add_test(tc, a_cancelled_batch_stops);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

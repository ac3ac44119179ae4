/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads of real interpreters, each in another kind of wait: their stacks must be complete. */
#include <check.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/xalloc.h"
#include "tests/support/sleeper.h"

#define MAX_WORDS   16
#define MAX_THREADS 64

/* Prints the name and the thread of each wait, then "ready". */
static const char script[] =
    "import fcntl, os, queue, select, signal, socket, subprocess, sys, tempfile, threading, time\n"
    "kept = []\n"
    "def pipe():\n"
    "    kept.append(os.pipe())\n"
    "    return kept[-1][0]\n"
    "def pair():\n"
    "    kept.append(socket.socketpair())\n"
    "    return kept[-1][0]\n"
    "def taken():\n"
    "    lock = threading.Lock()\n"
    "    lock.acquire()\n"
    "    return lock\n"
    "def sleep(): time.sleep(1000)\n"
    "def wait_select(): select.select([pipe()], [], [], 1000)\n"
    "def wait_select_for_ever(): select.select([pipe()], [], [])\n"
    "def wait_poll():\n"
    "    poll = select.poll()\n"
    "    poll.register(pipe())\n"
    "    poll.poll(1000000)\n"
    "def wait_epoll():\n"
    "    epoll = select.epoll()\n"
    "    epoll.register(pipe())\n"
    "    epoll.poll(1000)\n"
    "def receive(): pair().recv(1)\n"
    "def receive_in_time():\n"
    "    one = pair()\n"
    "    one.settimeout(1000)\n"
    "    one.recv(1)\n"
    "def accept():\n"
    "    server = socket.socket(socket.AF_UNIX)\n"
    "    server.bind('')\n"
    "    server.listen()\n"
    "    server.accept()\n"
    "def lock(): taken().acquire()\n"
    "def lock_in_time(): taken().acquire(timeout=1000)\n"
    "def condition():\n"
    "    c = threading.Condition()\n"
    "    with c: c.wait()\n"
    "def get(): queue.Queue().get()\n"
    "def get_in_time(): queue.Queue().get(timeout=1000)\n"
    "def read(): os.read(pipe(), 1)\n"
    "def read_line(): os.fdopen(pipe()).readline()\n"
    "def lock_file():\n"
    "    with tempfile.NamedTemporaryFile() as one, open(one.name, 'w') as other:\n"
    "        fcntl.flock(one, fcntl.LOCK_EX)\n"
    "        fcntl.flock(other, fcntl.LOCK_EX)\n"
    "def wait_child():\n"
    "    # It ends when its standard input does.\n"
    "    subprocess.run([sys.executable, '-c', 'import sys; sys.stdin.read()'], stdin=pipe())\n"
    "def sort():\n"
    "    sorted([1, 2], key=lambda x: time.sleep(1000))\n"
    "class Last:\n"
    "    def __del__(self): time.sleep(1000)\n"
    "def delete():\n"
    "    last = Last()\n"
    "    del last\n"
    "def generate():\n"
    "    def numbers():\n"
    "        yield 1\n"
    "        time.sleep(1000)\n"
    "    list(numbers())\n"
    "waits = [f for n, f in list(globals().items()) if callable(f) and not isinstance(f, type)\n"
    "         and n not in ('pipe', 'pair', 'taken')]\n"
    "for wait in waits:\n"
    "    thread = threading.Thread(target=wait, daemon=True)\n"
    "    thread.start()\n"
    "    print(wait.__name__, thread.native_id)\n"
    "print('join', os.getpid())\n"
    "print('ready', 0, flush=True)\n"
    "thread.join()\n";

static void split_command(struct json_object *array, char **words)
{
	size_t n = json_object_array_length(array);

	ck_assert_uint_le(n, MAX_WORDS - 3);
	for (size_t i = 0; i < n; i++)
		words[i] = xstrdup(json_object_get_string(json_object_array_get_idx(array, i)));
	words[n++] = xstrdup("-c");
	words[n++] = xstrdup(script);
	words[n] = NULL;
}

static pid_t start_python(const char *command, FILE **ret_output)
{
	struct json_object *array = json_tokener_parse(command);
	char *words[MAX_WORDS];
	int out[2];
	pid_t pid;

	ck_assert_ptr_nonnull(array);
	split_command(array, words);
	ck_assert_int_eq(pipe(out), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		close(out[0]);
		close(out[1]);
		execvp(words[0], words);
		_exit(127);
	}
	close(out[1]);
	json_object_put(array);
	for (char **word = words; *word; word++)
		free(*word);
	*ret_output = fdopen(out[0], "r");
	ck_assert_ptr_nonnull(*ret_output);
	return pid;
}

/* A program begins in its own code, a thread in the C library's, which may have no name for it. */
static bool is_beginning(const struct native_frame *frame)
{
	if (frame->function && strcmp(frame->function, "_start") == 0)
		return true;
	return frame->module && strstr(frame->module, "/libc") != NULL;
}

static bool is_complete(struct sleeper *s, const char *label, const char *wait, pid_t tid)
{
	int r = sleeper_unwind(s, tid, NULL);
	char *text;

	if (r < 0) {
		fprintf(stderr, "%s: %s: %s\n", label, wait, strerror(-r));
		return false;
	}
	if (s->end == NATIVE_COMPLETE && s->n > 8 && is_beginning(&s->frames[s->n - 1]))
		return true;
	text = sleeper_text(s);
	fprintf(stderr, "%s: %s:\n%s", label, wait, text);
	free(text);
	return false;
}

static void check_python(const char *label, const char *command)
{
	static struct sleeper s;
	unsigned n = 0, n_complete = 0;
	char wait[64];
	int tid;
	FILE *output;
	struct {
		char wait[64];
		int tid;
	} threads[MAX_THREADS] = {0};
	pid_t pid = start_python(command, &output);

	while (fscanf(output, "%63s %d", wait, &tid) == 2 && strcmp(wait, "ready") != 0) {
		ck_assert_uint_lt(n, MAX_THREADS);
		snprintf(threads[n].wait, sizeof(threads[n].wait), "%s", wait);
		threads[n++].tid = tid;
	}
	ck_assert_msg(n >= 20, "%s: %u waits", label, n);
	ck_assert_int_eq(sleeper_open(pid, &s), 0);
	for (unsigned i = 0; i < n; i++)
		n_complete += is_complete(&s, label, threads[i].wait, threads[i].tid);
	printf("%s: %u of %u native stacks are complete\n", label, n_complete, n);
	sleeper_close(&s);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fclose(output);
	ck_assert_uint_eq(n_complete, n);
}

START_TEST(stacks_of_interpreters_are_complete)
{
	FILE *list = popen("python3 tests/pythons.py list", "re");
	char *line = NULL;
	size_t size = 0;
	unsigned n = 0;

	ck_assert_ptr_nonnull(list);
	while (getline(&line, &size, list) > 0) {
		char *label = strtok(line, "\t");
		char *command = strtok(NULL, "\t") ? strtok(NULL, "\t\n") : NULL;

		ck_assert_ptr_nonnull(command);
		check_python(label, command);
		n++;
	}
	ck_assert_uint_gt(n, 0);
	free(line);
	pclose(list);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("native_pythons");
	TCase *tc = tcase_create("native_pythons");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, stacks_of_interpreters_are_complete);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

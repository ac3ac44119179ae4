/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/fake_worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "recorder/handover.h"
#include "recorder/worker.h"
#include "recorder/worker_process.h"

/* So many that they can't all be answered before the next one is read. */
#define HASTY_WISHES 30

struct fake_worker {
	char kind[32];
	int folder_fd;
};

static bool is(const struct fake_worker *w, const char *kind)
{
	return strcmp(w->kind, kind) == 0;
}

static void say(enum message_type type, int status, const char *text)
{
	struct message m;

	message_init(&m, type);
	m.status = status;
	snprintf(m.text, sizeof(m.text), "%s", text);
	message_send(WORKER_SOCKET, &m);
}

static void say_garbage(void)
{
	static const char garbage[] = "this is no message";

	send(WORKER_SOCKET, garbage, sizeof(garbage), MSG_NOSIGNAL);
}

static void say_progress(bool with_fds)
{
	struct message m;

	message_init(&m, MSG_PROGRESS);
	m.totals = (struct record_totals){.elapsed_ns = 1000000000, .snapshots = 5000, .gaps = 2};
	while (with_fds && m.n_fds < MESSAGE_FDS_MAX)
		m.fds[m.n_fds++] = STDIN_FILENO;
	message_send(WORKER_SOCKET, &m);
}

static void want_file(void)
{
	struct message m;

	message_init(&m, MSG_WANT_SOURCE);
	snprintf(m.path, sizeof(m.path), "/etc/passwd");
	message_send(WORKER_SOCKET, &m);
}

static void note(const struct fake_worker *w, const struct message *m)
{
	const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
	auto_close int fd = -1;

	if (w->folder_fd >= 0 && !is(w, "refuses"))
		fd = openat(w->folder_fd, FAKE_HEARD, flags, 0644);
	if (fd < 0)
		return;
	switch (m->type) {
	case MSG_SETUP:
		dprintf(fd, "setup %s %s %g\n", m->text, m->path, m->setup.rate_hz);
		break;
	case MSG_TARGET:
		dprintf(fd, "target %d\n", m->n_fds);
		break;
	case MSG_FILE:
		dprintf(fd, "file %d %d\n", m->status, m->n_fds);
		break;
	case MSG_RATE:
		dprintf(fd, "rate %g\n", m->setup.rate_hz);
		break;
	case MSG_TRIM:
		dprintf(fd, "trim %llu\n", (unsigned long long)m->start);
		break;
	case MSG_GROWTH:
		dprintf(fd, "growth %d\n", m->status);
		break;
	case MSG_STOP:
		dprintf(fd, "stop %s\n", m->text);
		break;
	default:
		break;
	}
}

static void be_attached(const struct fake_worker *w)
{
	say(MSG_ATTACHED, 0, FAKE_PYTHON);
	say_progress(is(w, "gives"));
}

/* Returns whether it goes on. */
static bool on_target(const struct fake_worker *w)
{
	if (is(w, "full")) {
		say(MSG_DONE, -ENOSPC, "cannot create the trace");
		return false;
	}
	if (is(w, "garbage") || is(w, "babbles"))
		say_garbage();
	else if (is(w, "refuses"))
		say(MSG_ATTACHED, -EOPNOTSUPP, "a \x1b[31mred\x1b[0m program");
	else if (is(w, "asks") || is(w, "hasty"))
		want_file();
	else if (!is(w, "mute"))
		be_attached(w);
	for (int i = 0; i < HASTY_WISHES && is(w, "hasty"); i++)
		want_file();
	return !is(w, "babbles");
}

/* Returns whether it goes on. */
static bool on_message(struct fake_worker *w, struct message *m)
{
	if (m->type == MSG_SETUP && m->n_fds > 0 && w->folder_fd < 0)
		w->folder_fd = fcntl(m->fds[0], F_DUPFD_CLOEXEC, 0);
	note(w, m);
	message_close_fds(m);
	switch (m->type) {
	case MSG_SETUP:
		/* Of one for a repair nothing more is wanted. */
		if (m->setup.task != TASK_REPAIR || is(w, "mute"))
			return true;
		say_garbage();
		return is(w, "garbage");
	case MSG_TARGET:
		return on_target(w);
	case MSG_FILE:
		be_attached(w);
		return true;
	case MSG_STOP:
		if (is(w, "stubborn"))
			return true;
		say(MSG_DONE, 0, "");
		return false;
	default:
		return true;
	}
}

/* Descriptors above the standard ones, but for the socket and the one that looks. */
static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int n = 0;

	while (dir && (entry = readdir(dir)))
		n += atoi(entry->d_name) > STDERR_FILENO && atoi(entry->d_name) != WORKER_SOCKET &&
		     atoi(entry->d_name) != dirfd(dir);
	if (dir)
		closedir(dir);
	return n;
}

static void report(void)
{
	char text[256], input[64] = "";
	struct sigaction action;
	sigset_t blocked;

	sigaction(SIGUSR1, NULL, &action);
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	if (readlink("/proc/self/fd/0", input, sizeof(input) - 1) < 0)
		input[0] = '\0';
	snprintf(text, sizeof(text), "input %s, descriptors %d, group %s, signal %s and %s", input,
		 count_descriptors(), getpgrp() == getpid() ? "own" : "other",
		 action.sa_handler == SIG_DFL ? "default" : "other",
		 sigismember(&blocked, SIGUSR1) ? "blocked" : "open");
	say(MSG_DONE, 0, text);
}

static int serve(struct fake_worker *w)
{
	struct message m;

	if (is(w, "real"))
		return worker_serve(WORKER_SOCKET);
	if (is(w, "dies"))
		return 1;
	if (is(w, "reports")) {
		report();
		return 0;
	}
	while (message_receive(WORKER_SOCKET, &m) == 0)
		if (!on_message(w, &m))
			break;
	return 0;
}

int fake_worker_main(int argc, char **argv)
{
	struct fake_worker w = {.folder_fd = -1};
	const char *name, *slash;

	if (argc != 3 || strcmp(argv[1], WORKER_OPTION) != 0)
		return -1;
	slash = strrchr(argv[2], '/');
	name = slash ? slash + 1 : argv[2];
	snprintf(w.kind, sizeof(w.kind), "%.*s", (int)strcspn(name, "-"), name);
	return serve(&w);
}

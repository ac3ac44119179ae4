/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "recorder/worker_kill.h"

#define OWN_PROGRAM "/proc/self/exe"

extern char **environ;

/*
 * Signals as a program expects them, and a process group of its own: Ctrl-C is for the attacher,
 * which then ends the traces.
 */
static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawnattr_setsigmask(attributes, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attributes, &all);
	if (r == 0)
		r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK |
							     POSIX_SPAWN_SETSIGDEF |
							     POSIX_SPAWN_SETPGROUP);
	return -r;
}

/* All other descriptors are closed on exec. */
static int spawn(const char *name, int sock, pid_t *ret)
{
	char program[] = "trackexec-collector", option[] = WORKER_OPTION;
	auto_free char *shown = xstrdup(name);
	char *argv[] = {program, option, shown, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r;

	r = -posix_spawn_file_actions_init(&actions);
	if (r < 0)
		return r;
	r = -posix_spawnattr_init(&attributes);
	if (r < 0) {
		posix_spawn_file_actions_destroy(&actions);
		return r;
	}
	r = set_attributes(&attributes);
	if (r == 0)
		r = -posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY,
						      0);
	if (r == 0)
		r = -posix_spawn_file_actions_adddup2(&actions, sock, WORKER_SOCKET);
	if (r == 0)
		r = -posix_spawn(ret, OWN_PROGRAM, &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

int worker_process_start(const char *name, uid_t uid, struct worker_process *ret)
{
	auto_close int own = -1;
	auto_close int its = -1;
	struct worker_process w = WORKER_PROCESS_NONE;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	own = pair[0];
	its = pair[1];
	if (fcntl(own, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = spawn(name, its, &w.pid);
	if (r < 0)
		return r;
	w.pidfd = (int)syscall(SYS_pidfd_open, w.pid, 0);
	if (w.pidfd < 0) {
		r = -errno;
		/* Its socket closes on return, so it exits. */
		return r;
	}
	w.sock = steal_fd(&own);
	w.uid = uid;
	*ret = w;
	return 0;
}

void worker_process_done(struct worker_process *w)
{
	if (w->sock >= 0)
		close(w->sock);
	if (w->pidfd >= 0)
		close(w->pidfd);
	*w = WORKER_PROCESS_NONE;
}

void worker_process_kill(const struct worker_process *w)
{
	if (w->pidfd >= 0)
		worker_kill(w->pidfd, w->uid, SIGKILL);
}

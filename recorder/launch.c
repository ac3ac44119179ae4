/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"

/* As shells do. */
#define EXIT_CANNOT_EXECUTE 126

static void __attribute__((noreturn))
run_child(char *const *argv, const sigset_t *mask, int go_fd, int error_fd)
{
	ssize_t n;
	char go;
	int error;

	do
		n = read(go_fd, &go, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		execvp(argv[0], argv);
		error = errno;
		while (write(error_fd, &error, sizeof(error)) < 0 && errno == EINTR)
			;
	}
	_exit(EXIT_CANNOT_EXECUTE);
}

int launch_prepare(char *const *argv, const sigset_t *mask, struct launched *ret)
{
	auto_close int go_read = -1;
	auto_close int go_write = -1;
	auto_close int error_read = -1;
	auto_close int error_write = -1;
	int pipe_fds[2];
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	go_read = pipe_fds[0];
	go_write = pipe_fds[1];
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	error_read = pipe_fds[0];
	error_write = pipe_fds[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* So that it ends when we do before we let it go. */
		close(go_write);
		run_child(argv, mask, go_read, error_write);
	}
	*ret = (struct launched){
	    .pid = pid,
	    .go_fd = steal_fd(&go_write),
	    .error_fd = steal_fd(&error_read),
	};
	return 0;
}

int launch_go(struct launched *l)
{
	int error = 0;
	ssize_t n;

	n = write(l->go_fd, "g", 1);
	close(l->go_fd);
	l->go_fd = -1;
	if (n == 1)
		do
			n = read(l->error_fd, &error, sizeof(error));
		while (n < 0 && errno == EINTR);
	close(l->error_fd);
	l->error_fd = -1;
	return n == sizeof(error) ? -error : 0;
}

void launch_cancel(struct launched *l)
{
	if (l->go_fd >= 0)
		close(l->go_fd);
	if (l->error_fd >= 0)
		close(l->error_fd);
	l->go_fd = l->error_fd = -1;
	while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

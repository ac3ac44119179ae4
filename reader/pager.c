/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/xalloc.h"

const char *pager_command(void)
{
	const char *command = getenv("TRACKEXEC_PAGER");

	if (!command)
		command = getenv("PAGER");
	if (!command)
		command = "less";
	return *command && strcmp(command, "cat") != 0 ? command : NULL;
}

static bool is_in_path(const char *word, size_t len)
{
	const char *path = getenv("PATH");

	for (const char *dir = path ? path : "/usr/bin:/bin"; dir; dir = strchr(dir, ':')) {
		auto_free char *file = NULL;

		dir += *dir == ':';
		file = xasprintf("%.*s/%.*s", (int)strcspn(dir, ":"), dir, (int)len, word);
		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}

bool pager_exists(const char *command)
{
	const char *word = command + strspn(command, " \t");
	size_t len = strcspn(word, " \t");
	auto_free char *file = NULL;

	/* What only the shell understands it has to judge. */
	if (!len || strcspn(word, "\"'\\$`~=;&|<>(){}*?[\n") < len)
		return true;
	if (!memchr(word, '/', len))
		return is_in_path(word, len);
	file = xasprintf("%.*s", (int)len, word);
	return access(file, X_OK) == 0;
}

/* In the child; the shell splits what may be several words, and tells when there is no such. */
static void run_pager(const char *command, int from_fd)
{
	dup2(from_fd, STDIN_FILENO);
	/* Leave at the end of what fits the screen, show colours, leave the screen as it is. */
	setenv("LESS", "FRX", 0);
	signal(SIGPIPE, SIG_DFL);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

void pager_start(struct pager *p, bool is_wanted)
{
	const char *command = is_wanted && isatty(STDOUT_FILENO) ? pager_command() : NULL;
	int fds[2];

	*p = (struct pager){.stdout_fd = -1};
	/* All that is written would be lost with one that can't be started. */
	if (command && !pager_exists(command)) {
		if (getenv("TRACKEXEC_PAGER") || getenv("PAGER"))
			log_warning("there is no pager '%s': shown without", command);
		return;
	}
	if (!command || pipe2(fds, O_CLOEXEC) < 0)
		return;
	fflush(stdout);
	p->stdout_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	p->pid = p->stdout_fd < 0 ? -1 : fork();
	if (p->pid == 0)
		run_pager(command, fds[0]);
	close(fds[0]);
	if (p->pid > 0) {
		/* One that is left early must not end us before we have waited for it. */
		signal(SIGPIPE, SIG_IGN);
		/* Ctrl-C is the pager's, too: it stays on the terminal. */
		signal(SIGINT, SIG_IGN);
		dup2(fds[1], STDOUT_FILENO);
	} else {
		if (p->stdout_fd >= 0)
			close(p->stdout_fd);
		p->pid = 0;
	}
	close(fds[1]);
}

void pager_finish(struct pager *p)
{
	if (p->pid == 0)
		return;
	fflush(stdout);
	/* What a pager that was left did not take is no error, and not for the terminal. */
	clearerr(stdout);
	dup2(p->stdout_fd, STDOUT_FILENO);
	close(p->stdout_fd);
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
}

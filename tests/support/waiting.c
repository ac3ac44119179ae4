/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/waiting.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "recorder/oncpu/unix_diag.h"
#include "recorder/oncpu/wait_source.h"
#include "recorder/target_files.h"

#define BLOCKS_WITHIN_NS (20 * NS_PER_S)

void waiting_start(struct waiting *w, void (*body)(void *ctx), void *ctx)
{
	int mem, maps;

	w->pid = fork();
	if (w->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body(ctx);
		_exit(0);
	}
	if (w->pid < 0 || identity_open(w->pid, &w->id) < 0 ||
	    target_open_memory(&w->id, &mem, &maps) < 0)
		abort();
	close(maps);
	memory_init_fd(&w->mem, mem);
	w->tid = w->pid;
	w->diag = unix_diag_new(-1);
}

void waiting_end(struct waiting *w)
{
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	identity_close(&w->id);
	memory_done(&w->mem);
	unix_diag_free(w->diag);
}

static int read_fd(void *ctx, int fd, struct fd_facts *ret)
{
	const struct waiting *w = ctx;
	const struct socket_sources sockets = {.diag = w->diag};

	return wait_source_read_fd(&w->id, w->tid, fd, &sockets, ret);
}

static int read_child(void *ctx, int32_t pid, struct child_facts *ret)
{
	const struct waiting *w = ctx;

	return wait_source_read_child(&w->id, pid, ret);
}

static bool is_in(const struct thread_facts *facts, const long *calls)
{
	long number;
	char *end;

	if (facts->state != 'S' && facts->state != 'D' && facts->state != 'T')
		return false;
	number = strtol(facts->syscall, &end, 10);
	if (end == facts->syscall)
		return false;
	if (*calls < 0)
		return number == WAIT_NO_SYSTEM_CALL;
	while (*calls >= 0 && *calls != number)
		calls++;
	return *calls >= 0;
}

bool waiting_reason(struct waiting *w, const long *calls, struct wait_reason *ret)
{
	const struct wait_sources sources = {read_fd, read_child, w};
	uint64_t end_ns = clock_monotonic_ns() + BLOCKS_WITHIN_NS;
	struct wait_clock clock;
	struct thread_facts facts = {0};

	while (wait_source_read_thread(&w->id, w->tid, &facts) == 0 && !is_in(&facts, calls)) {
		if (clock_monotonic_ns() > end_ns)
			break;
		poll(NULL, 0, 1);
	}
	if (!is_in(&facts, calls)) {
		fprintf(stderr, "the child does not wait as it should: %c %s", facts.state,
			facts.syscall);
		return false;
	}
	clock.start_ns = clock_monotonic_ns();
	clock.to_realtime_ns = (int64_t)(clock_realtime_ns() - clock.start_ns);
	wait_decode(&facts, &w->mem, &sources, &clock, ret);
	return true;
}

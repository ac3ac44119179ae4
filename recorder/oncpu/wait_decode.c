/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "recorder/oncpu/wait_private.h"

const char *wait_kind_name(enum wait_kind kind)
{
	static const char *const names[N_WAIT_KINDS] = {
	    [WAIT_UNKNOWN] = "unknown", [WAIT_RUNNING] = "running", [WAIT_SLEEP] = "sleep",
	    [WAIT_POLL] = "poll",	[WAIT_READ] = "read",	    [WAIT_WRITE] = "write",
	    [WAIT_CONNECT] = "connect", [WAIT_ACCEPT] = "accept",   [WAIT_LOCK_FILE] = "file lock",
	    [WAIT_FUTEX] = "lock",	[WAIT_CHILD] = "child",	    [WAIT_SYNC] = "sync",
	    [WAIT_FILE] = "file",	[WAIT_NAME] = "name",	    [WAIT_SIGNAL] = "signal",
	    [WAIT_IPC] = "ipc",		[WAIT_START] = "start",	    [WAIT_FAULT] = "fault",
	    [WAIT_STOPPED] = "stopped", [WAIT_OTHER] = "other",
	};

	return kind < N_WAIT_KINDS ? names[kind] : names[WAIT_UNKNOWN];
}

/*
 * "0 0x7 0x7ffd… 0x1000 0x0 0x0 0x0 0x7ffd… 0x7f12…": number, six arguments, SP and PC.
 * "-1 0x7ffd… 0x7f12…": blocked, but in no system call.
 */
static int parse_syscall(const char *text, int64_t *ret_number, uint64_t args[SYSCALL_ARGS])
{
	int n = sscanf(text,
		       "%" SCNd64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		       " %" SCNx64,
		       ret_number, &args[0], &args[1], &args[2], &args[3], &args[4], &args[5]);

	if (n < 1 || *ret_number < WAIT_NO_SYSTEM_CALL || *ret_number > INT32_MAX)
		return -EBADMSG;
	return n == 1 + SYSCALL_ARGS || *ret_number == WAIT_NO_SYSTEM_CALL ? 0 : -EBADMSG;
}

static bool is_stopped(const struct thread_facts *facts)
{
	return facts->state == 'T' || facts->state == 't';
}

static bool is_frozen(const struct thread_facts *facts)
{
	return strcmp(facts->wchan, "do_freezer_trap") == 0 ||
	       strcmp(facts->wchan, "__refrigerator") == 0;
}

/* What the kernel's function says of a wait without a system call. */
static const char *explain_fault(const char *wchan)
{
	static const struct {
		const char *start, *meaning;
	} functions[] = {
	    {"folio_wait", "page fault, reading from the disk"},
	    {"wait_on_page", "page fault, reading from the disk"},
	    {"io_schedule", "page fault, reading from the disk"},
	    {"handle_userfault", "page fault, userfaultfd"},
	    {"rwsem_down", "page fault, memory map locked"},
	    {"mem_cgroup", "page fault, memory limit"},
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strncmp(wchan, functions[i].start, strlen(functions[i].start)) == 0)
			return functions[i].meaning;
	return "no system call (page fault or disk)";
}

static void describe_fault(struct decoding *d)
{
	const char *wchan = d->facts->wchan;

	d->out->kind = WAIT_FAULT;
	bounded_text_add(&d->summary, "%s", explain_fault(wchan));
	if (wchan[0] && strcmp(wchan, "0") != 0)
		add_detail(d, "in %s", wchan);
}

static void describe_stopped(struct decoding *d)
{
	d->out->kind = WAIT_STOPPED;
	if (is_frozen(d->facts))
		bounded_text_add(&d->summary, "frozen (cgroup)");
	else if (d->facts->state == 't')
		bounded_text_add(&d->summary, "stopped by a debugger");
	else
		bounded_text_add(&d->summary, "stopped by a signal");
}

static void describe_unknown_call(struct decoding *d, int64_t number)
{
	d->out->kind = WAIT_OTHER;
	bounded_text_add(&d->summary, "system call %lld", (long long)number);
}

static const char *explain_error(int error)
{
	switch (error) {
	case -EFAULT:
		return "its memory can't be read there";
	case -ESRCH:
		return "it has ended";
	case -EBADF:
		return "the descriptor was closed meanwhile";
	case -ECHILD:
		return "there is no such child any more";
	case -EBADMSG:
		return "its arguments make no sense";
	default:
		return strerror(-error);
	}
}

static void describe_call(struct decoding *d, int64_t number)
{
	describe_fn describe;

	d->out->syscall = (int32_t)number;
	d->row = syscall_find(number);
	if (!d->row) {
		describe_unknown_call(d, number);
		return;
	}
	d->out->syscall_name = d->row->name;
	d->out->kind = d->row->kind;
	read_timeout(d);
	describe = describe_find(d->row->kind);
	describe(d);
}

static void describe(struct decoding *d)
{
	int64_t number;
	int r;

	if (is_stopped(d->facts) || is_frozen(d->facts)) {
		describe_stopped(d);
		return;
	}
	if (wait_facts_is_running(d->facts)) {
		d->out->kind = WAIT_RUNNING;
		bounded_text_add(&d->summary, "running");
		return;
	}
	r = parse_syscall(d->facts->syscall, &number, d->args);
	if (r < 0) {
		bounded_text_add(&d->summary, "unknown");
		note_error(d, r);
		return;
	}
	if (number == WAIT_NO_SYSTEM_CALL)
		describe_fault(d);
	else
		describe_call(d, number);
}

void wait_decode(const struct thread_facts *facts, struct memory *mem,
		 const struct wait_sources *sources, const struct wait_clock *clock,
		 struct wait_reason *ret)
{
	auto_free struct fd_facts *room = xmalloc(sizeof(*room));
	struct decoding d = {
	    .facts = facts,
	    .mem = mem,
	    .sources = sources,
	    .clock = clock,
	    .out = ret,
	    .fd_facts = room,
	};

	*ret = (struct wait_reason){
	    .syscall = WAIT_NO_SYSTEM_CALL,
	    .timeout_ns = WAIT_NO_TIMEOUT,
	    .fd = -1,
	};
	d.summary = bounded_text_init(ret->summary, sizeof(ret->summary));
	d.detail = bounded_text_init(ret->detail, sizeof(ret->detail));
	describe(&d);
	if (ret->error)
		add_detail(&d, "%s", explain_error(ret->error));
}

void wait_reason_format(const struct wait_reason *reason, char buf[static WAIT_FULL_TEXT_MAX])
{
	if (reason->detail[0])
		snprintf(buf, WAIT_FULL_TEXT_MAX, "%s (%s)", reason->summary, reason->detail);
	else
		snprintf(buf, WAIT_FULL_TEXT_MAX, "%s", reason->summary);
}

bool wait_is_multiplexed(const struct wait_reason *reason)
{
	if (reason->kind != WAIT_POLL)
		return false;
	return reason->n_fds > 1 || reason->fd_kind == FD_EPOLL;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Waits for other threads and processes. */
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "recorder/oncpu/wait_private.h"

/* Not in the headers of Debian 12's C library. */
#define ID_TYPE_PIDFD	  3
#define COMMAND_SHOWN_MAX 120
/* linux/futex.h, since 5.14. */
#define LOCK_PI2 13

/* struct futex_waitv */
struct remote_futex {
	uint64_t value, addr;
	uint32_t flags, reserved;
};

static bool is_mutex(int operation, uint32_t value)
{
	/* glibc's lll_lock_wait(): 2 is "locked, and someone waits". */
	return operation == FUTEX_WAIT && value == 2;
}

static const char *name_futex(int operation, uint32_t value)
{
	switch (operation) {
	case FUTEX_LOCK_PI:
	case LOCK_PI2:
		return "lock (futex, priority inheritance)";
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_WAIT_REQUEUE_PI:
		return is_mutex(operation, value) ? "lock (mutex)" : "lock or condition (futex)";
	default:
		return "futex";
	}
}

static void read_futex_time(struct decoding *d, int operation, int flags)
{
	remote_addr addr = get_arg(d, ARG_FUTEX_TIME);
	int clock_id = flags & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;

	if (operation == FUTEX_WAIT)
		read_length(d, addr, 1);
	else if (operation == FUTEX_LOCK_PI)
		read_deadline(d, addr, CLOCK_REALTIME);
	else if (operation == FUTEX_WAIT_BITSET || operation == FUTEX_WAIT_REQUEUE_PI ||
		 operation == LOCK_PI2)
		read_deadline(d, addr, clock_id);
}

static void describe_futexes(struct decoding *d)
{
	struct remote_futex first;

	bounded_text_add(&d->summary, "any of several locks (futex_waitv)");
	add_detail(d, "%u futexes", (unsigned)get_arg(d, ARG_COUNT));
	if (read_arg(d, get_arg(d, ARG_FUTEXES), &first, sizeof(first)) == 0) {
		d->out->futex = first.addr;
		d->out->futex_value = (uint32_t)first.value;
	}
	add_timeout(d);
}

void describe_futex(struct decoding *d)
{
	int flags = get_int_arg(d, ARG_FUTEX_OP), operation = flags & FUTEX_CMD_MASK;
	uint32_t value = (uint32_t)get_arg(d, ARG_FUTEX_VALUE);

	if (has_arg(d, ARG_FUTEXES)) {
		describe_futexes(d);
		return;
	}
	d->out->futex = get_arg(d, ARG_FUTEX);
	d->out->futex_value = value;
	d->out->futex_operation = operation;
	read_futex_time(d, operation, flags);
	bounded_text_add(&d->summary, "%s", name_futex(operation, value));
	add_detail(d, "futex 0x%llx", (unsigned long long)d->out->futex);
	add_timeout(d);
}

static void add_child(struct decoding *d, int32_t pid)
{
	struct child_facts child;

	bounded_text_add(&d->summary, "wait for child");
	if (read_child(d, pid, &child) < 0) {
		add_detail(d, "pid %d", (int)pid);
		return;
	}
	d->out->child = child.pid;
	bounded_text_add(&d->summary, ": ");
	bounded_text_add_foreign(&d->summary, child.command, strlen(child.command),
				 sizeof(child.command));
	add_detail(d, "pid %d", (int)pid);
}

static void describe_pidfd(struct decoding *d, int fd)
{
	struct fd_object object;

	if (describe_fd(d, fd, &object) < 0 || object.kind != FD_PIDFD || object.pid <= 0) {
		bounded_text_add(&d->summary, "wait for child (pidfd)");
		add_detail(d, "fd %d", fd);
		return;
	}
	d->out->fd = fd;
	d->out->fd_kind = FD_PIDFD;
	d->out->child = object.pid;
	add_child(d, object.inner_pid);
	add_detail(d, "fd %d", fd);
}

void describe_child(struct decoding *d)
{
	int32_t pid = get_int_arg(d, ARG_PID);
	/* wait4() says by the sign what waitid() says by a type. */
	int type = pid > 0 ? P_PID : pid == -1 ? P_ALL : P_PGID;

	if (has_arg(d, ARG_ID_TYPE))
		type = get_int_arg(d, ARG_ID_TYPE);
	if (type == P_PID) {
		add_child(d, pid);
	} else if (type == ID_TYPE_PIDFD) {
		describe_pidfd(d, pid);
	} else if (type == P_PGID) {
		bounded_text_add(&d->summary, "wait for a child of a process group");
		add_detail(d, "group %lld", pid < 0 ? -(long long)pid : (long long)pid);
	} else {
		bounded_text_add(&d->summary, "wait for any child");
	}
}

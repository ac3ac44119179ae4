/* SPDX-License-Identifier: BSD-3-Clause */
/* Why reading a process was refused, and what its user can do about it. */
#ifndef RECORDER_DENIAL_H
#define RECORDER_DENIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct identity;

struct denial {
	pid_t pid;
	bool hidden;	     /* /proc does not show it to us */
	bool other_user;     /* it acts as another user than we do */
	uid_t owner;	     /* as whom it acts */
	bool has_capability; /* CAP_SYS_PTRACE is in force here */
	int yama_scope;	     /* kernel.yama.ptrace_scope, 0 where there is no Yama */
};

/* @id  NULL when even its folder in /proc is hidden */
void denial_collect(pid_t pid, const struct identity *id, struct denial *ret);

/* One sentence or two: what was refused, by what, and what to do. */
void denial_explain(const struct denial *d, char *buf, size_t size);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls of this machine: what they are called, what a thread in them waits for, and
 * what their arguments mean.
 */
#ifndef RECORDER_ONCPU_SYSCALL_TABLE_H
#define RECORDER_ONCPU_SYSCALL_TABLE_H

#include <stdint.h>

#include "recorder/oncpu/wait_decode.h"

#define SYSCALL_ARGS 6

enum arg_role {
	ARG_UNUSED,
	ARG_FD,	     /* what is waited for */
	ARG_FD_FROM, /* of a copy from one to the other; ARG_FD is the other */
	ARG_FOLDER,  /* a descriptor that a relative ARG_PATH begins at, or AT_FDCWD */
	ARG_PATH,
	ARG_PATH_TO,
	ARG_TIMESPEC, /* pointer to a length */
	ARG_TIMEVAL,  /* the same */
	ARG_DEADLINE, /* pointer to a struct timespec on the realtime clock */
	ARG_TIMEOUT_MS,
	ARG_CLOCK,
	ARG_FLAGS, /* of clock_nanosleep, wait4, splice …: whoever describes the call knows */
	ARG_POLLFDS,
	ARG_COUNT, /* of what is in an array */
	ARG_READ_SET,
	ARG_WRITE_SET,
	ARG_EXCEPT_SET,
	ARG_SOCKADDR,
	ARG_SOCKADDR_LEN,
	ARG_MSGHDR,
	ARG_FUTEX,
	ARG_FUTEX_OP,
	ARG_FUTEX_VALUE,
	ARG_FUTEX_TIME, /* length or deadline, as the operation says */
	ARG_FUTEXES,
	ARG_PID,
	ARG_ID_TYPE,
	ARG_COMMAND, /* of fcntl, ioctl */
	ARG_SIGNALS, /* pointer to a set */
	ARG_ID,	     /* of a System V object */
	N_ARG_ROLES
};

struct syscall_row {
	const char *name;
	const char *verb; /* for people; NULL: the name */
	enum wait_kind kind;
	uint8_t roles[SYSCALL_ARGS];
};

/* Returns NULL for a number that is not known. */
const struct syscall_row *syscall_find(int64_t number);

#endif

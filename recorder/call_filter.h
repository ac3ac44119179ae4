/* SPDX-License-Identifier: BSD-3-Clause */
/* Which system calls the worker may make, as a seccomp filter. */
#ifndef RECORDER_CALL_FILTER_H
#define RECORDER_CALL_FILTER_H

/*
 * From now on all threads of this process may make only the calls that reading open descriptors,
 * SQLite in the current folder, a socket that is open, memory that is not executable and threads
 * of this process take. Others fail with EPERM, so that a C library which tries something new goes
 * on without; calls of another architecture end the process. For good.
 *
 * Open and unlink take paths from the current folder or the root only, never from a descriptor.
 * abort() ends the process with another signal than SIGABRT.
 *
 * The process must have no_new_privs. Returns 0 or a negative errno.
 */
int call_filter_install(void);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* What makes the worker harmless: it parses what others control. */
#ifndef RECORDER_SANDBOX_H
#define RECORDER_SANDBOX_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Give up everything but what recording takes, for good: the trace's folder becomes the root of
 * all that this process can name, it acts as uid and gid, has no capabilities and can get none,
 * and may only make the system calls that reading, storing and talking over an open socket take
 * (recorder/call_filter.h).
 *
 * To be called before there is a second thread or a descriptor of a target. The trace's folder
 * becomes the current one, so name it and its files relative to it. The time zone is read before,
 * for localtime_r(); localtime(), mktime() and strftime() would look for its file again and then
 * be in UTC. What else the C library loads when it is needed (users, host names, locales, other
 * libraries) must be there before.
 *
 * @folder_fd  the trace's folder, which this process may search now and uid may write; closed on
 *             success. It must be the only open descriptor of a folder: others would still tell
 *             about what is in them.
 * @uid, @gid  of the worker's user, neither of root's. All steps must then succeed; where
 *             chroot is not permitted, Landlock alone restricts files to the folder.
 *             (uid_t)-1: keep the own (a user's test: no privilege to change). Then the folder is
 *             made the root if that is possible, otherwise Landlock restricts what can be opened
 *             and removed to it (attributes of other files stay visible), and where the kernel
 *             has none either, files are as open as they are to that user.
 * Returns 0; `why` is then "", or says what of this is missing. Or a negative errno, with what
 * failed in `why`: the process is then half way and must end.
 */
int sandbox_enter(int folder_fd, uid_t uid, gid_t gid, char *why, size_t why_size);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Probes in files, as the kernel's tracefs defines them: a definition by itself is in no process,
 * and does nothing before events are opened on it. Unlike those of the uprobe PMU, its events can
 * be inherited: there, clone(2) in the target would fail, as the kernel looks for the file's name
 * in the target's memory.
 */
#ifndef RECORDER_EXACT_TRACE_FS_H
#define RECORDER_EXACT_TRACE_FS_H

#include <stdint.h>

#define TRACE_FS_NAME_MAX 64

/*
 * Its root, where it is mounted; or mounted for this alone, visible nowhere, where that is
 * permitted. Definitions that dead recorders left behind are removed.
 * Returns a descriptor or a negative errno.
 */
int trace_fs_open(void);

/*
 * Remove the definitions that dead recorders left behind, if there are any. They are in no process,
 * but in the way of whoever looks at uprobe_events.
 */
void trace_fs_clean(void);

/*
 * Define a probe.
 * @fd         of the file
 * @offset     in it; semaphore: the same, 0: none
 * @ret_name   to remove it with
 * @ret_id     for perf_event_attr.config
 * Returns 0 or a negative errno.
 */
int trace_fs_define(int dir_fd, int fd, uint64_t offset, uint64_t semaphore,
		    char ret_name[static TRACE_FS_NAME_MAX], uint64_t *ret_id);
/* Once nothing is open on it any more. */
void trace_fs_remove(int dir_fd, const char *name);

/*
 * The process that made the definition of this line of uprobe_events, 0 when it is none of ours;
 * its name is put into ret_name.
 */
int trace_fs_owner(const char *line, char ret_name[static TRACE_FS_NAME_MAX]);

#endif

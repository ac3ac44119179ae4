/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening what a target shows of itself, for the half of the recorder that may: its memory, its
 * mappings, the ELF files that it runs, the source files that its code objects name. Names come
 * from the target, so they are resolved below its own root folder, only regular files are opened,
 * and sources only with the rights that the target itself has.
 */
#ifndef RECORDER_TARGET_FILES_H
#define RECORDER_TARGET_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/target/identity.h"

struct mapping;

/*
 * Open /proc/PID/mem and /proc/PID/maps for reading. Returns 0, -ESRCH when the process has ended
 * or has no memory any more, -EACCES or -EPERM when that is not allowed, or another negative errno.
 */
int target_open_memory(const struct identity *id, int *ret_mem, int *ret_maps);

/*
 * Open the file behind one of its mappings, also when it was deleted since.
 * @start, @end  bounds of the mapping; it must exist now and be executable
 * Returns a descriptor or a negative errno; -ENOENT when there is no such mapping.
 */
int target_open_image(const struct identity *id, uint64_t start, uint64_t end);

/*
 * Open a source file by the name that a code object has for it, absolute or relative to the
 * target's working folder. Returns a descriptor, -EFBIG above SOURCE_MAX_BYTES, -EINVAL for a name
 * that is no path, or another negative errno.
 */
int target_open_source(const struct identity *id, const char *path);

#endif

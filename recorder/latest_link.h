/* SPDX-License-Identifier: BSD-3-Clause */
/* ROOT/latest, a symbolic link to the newest run: always replaced, never followed. */
#ifndef RECORDER_LATEST_LINK_H
#define RECORDER_LATEST_LINK_H

#include <stddef.h>
#include <stdint.h>

/*
 * Let it point to a run, unless it points to one that started later.
 * @started_s  the run's start, seconds since 1970
 * Returns 1, 0 when it is left as it is, or a negative errno with a sentence in `why`.
 */
int latest_link_update(int root_fd, const char *run_name, int64_t started_s, char *why,
		       size_t why_size);

/*
 * When the run that it points to is gone: point to the newest that is left, or to nothing.
 * Returns 1 when it was changed, 0, or a negative errno.
 */
int latest_link_repair(int root_fd);

#endif

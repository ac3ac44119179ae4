/* SPDX-License-Identifier: BSD-3-Clause */
/* What retention.c and retention_delete.c share. */
#ifndef RECORDER_RETENTION_FILES_H
#define RECORDER_RETENTION_FILES_H

/* All files that we make in a trace's folder, the note last; ends with NULL. */
extern const char *const retention_trace_files[];

#endif

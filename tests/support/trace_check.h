/* SPDX-License-Identifier: BSD-3-Clause */
/* What holds of every trace, however its recorder ended. For tests; a failure ends the test. */
#ifndef TESTS_SUPPORT_TRACE_CHECK_H
#define TESTS_SUPPORT_TRACE_CHECK_H

#include <stdint.h>

#include "reader/trace.h"

/* FOLDER's trace, for the caller to close. */
struct trace *check_open(const char *folder);
struct trace_summary check_summary(struct trace *t);
struct trace_gaps check_gaps(struct trace *t, enum gap_reason reason);
/*
 * SQLite finds no damage; each block decodes, its lines exist and add up to the events; blocks of
 * a thread do not overlap; nothing refers to what is not there.
 */
void check_integrity(const char *folder);
/* A single number out of FOLDER's database. */
int64_t check_number(const char *folder, const char *sql);
void check_write_file(const char *path, const char *text);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* What a module writes to the log, for tests that look for a line in it. */
#ifndef TESTS_SUPPORT_LOG_CAPTURE_H
#define TESTS_SUPPORT_LOG_CAPTURE_H

/* From now on standard error of this process goes to a file, until the process ends. */
void log_capture_begin(void);
/* All of it so far. Valid until the next call. */
const char *log_capture_text(void);
/* How often a text is in it. */
unsigned log_capture_count(const char *text);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages for people, on standard error, each one line: what was tried, on what, what follows.
 * Programs report; library-like code returns a negative errno and stays silent.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>

/* The word before each message; default "trackexec". The string is kept, not copied. */
void log_set_program(const char *name);
/* With -q: only errors. With -v: also log_debug. Default 0. */
void log_set_verbosity(int level);

/*
 * Where standard error is the journal (JOURNAL_STREAM, see systemd.exec(5)): from now on each
 * message begins with its priority, as in sd-daemon(3), and not with the program's name, which the
 * journal knows. For daemons. Returns whether it is.
 */
bool log_use_journal(void);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

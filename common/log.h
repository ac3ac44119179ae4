/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages for people, on standard error, each one line: what was tried, on what, what follows.
 * Programs report; library-like code returns a negative errno and stays silent.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

/* The word before each message; default "trackexec". The string is kept, not copied. */
void log_set_program(const char *name);
/* With -q: only errors. With -v: also log_debug. Default 0. */
void log_set_verbosity(int level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

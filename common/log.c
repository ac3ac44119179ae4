/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

static const char *program = "trackexec";
static int verbosity;
static bool is_journal;

void log_set_program(const char *name)
{
	program = name;
}

void log_set_verbosity(int level)
{
	verbosity = level;
}

bool log_use_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uint64_t device, inode;
	struct stat st;
	int end = 0;

	/* The variable is inherited also by those whose standard error is something else. */
	is_journal = stream &&
		     sscanf(stream, "%" SCNu64 ":%" SCNu64 "%n", &device, &inode, &end) == 2 &&
		     stream[end] == '\0' && fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
		     st.st_ino == inode;
	return is_journal;
}

static int put_prefix(char *buf, size_t size, int priority)
{
	if (is_journal)
		return snprintf(buf, size, "<%d>", priority);
	return snprintf(buf, size, "%s: %s", program, priority == LOG_WARNING ? "warning: " : "");
}

/* One write per message, so that lines of two processes on one terminal do not mix. */
static void __attribute__((format(printf, 2, 0)))
log_line(int priority, const char *fmt, va_list ap)
{
	char line[2048];
	int n = put_prefix(line, sizeof(line), priority);

	if (n > 0 && (size_t)n < sizeof(line))
		vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	fprintf(stderr, "%s\n", line);
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_ERR, fmt, ap);
	va_end(ap);
}

void log_warning(const char *fmt, ...)
{
	va_list ap;

	if (verbosity < 0)
		return;
	va_start(ap, fmt);
	log_line(LOG_WARNING, fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (verbosity < 0)
		return;
	va_start(ap, fmt);
	log_line(LOG_INFO, fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (verbosity < 1)
		return;
	va_start(ap, fmt);
	log_line(LOG_DEBUG, fmt, ap);
	va_end(ap);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/text.h"
#include "common/units.h"
#include "reader/trace.h"

int report_open(const struct command *cmd, int argc, char **argv, int first, struct trace **ret)
{
	auto_free char *path = NULL;
	char why[512];
	int r;

	if (first >= argc) {
		log_error("%s: which trace? Give its folder or its " TRACE_FILE_NAME, cmd->name);
		return command_usage_error(cmd);
	}
	if (first + 1 < argc) {
		log_error("%s: one trace at a time: '%s' is one too many", cmd->name,
			  argv[first + 1]);
		return command_usage_error(cmd);
	}
	r = trace_open(argv[first], ret, why, sizeof(why));
	if (r == 0)
		return EXIT_OK;
	path = text_escape(argv[first], strlen(argv[first]), "", text_locale_charset());
	log_error("%s: %s", path, why);
	return r == -EACCES || r == -EPERM ? EXIT_NOT_ALLOWED : EXIT_NO_TRACE;
}

int report_damage(const struct trace *t, int r, const char *consequence)
{
	auto_free char *path =
	    text_escape(trace_path(t), strlen(trace_path(t)), "", text_locale_charset());

	/* After what was printed, also when both go to one place. */
	fflush(stdout);
	log_error("%s: %s: %s", path, r == -EBADMSG ? "damaged" : strerror(-r), consequence);
	return EXIT_NO_TRACE;
}

size_t report_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t width;

	if (columns && parse_count(columns, 10000, &width) == 0)
		return (size_t)width;
	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of one configuration file, line by line: [Section], Key=value, comments. Knows
 * nothing of what the keys mean. The only place that uses inih.
 */
#ifndef RECORDER_CONFIG_TEXT_H
#define RECORDER_CONFIG_TEXT_H

#include <stddef.h>

/*
 * In bytes, with neither the blanks at its ends nor the newline. inih's limit, as Debian builds
 * it, less what it needs itself. Comments may be longer.
 */
#define CONFIG_LINE_MAX 190

/*
 * What is told of a text, in its order. The strings are lent, and valid for the call: UTF-8
 * without control characters, blanks at their ends removed.
 */
struct config_text_ops {
	/* What stands between the brackets; NULL after a wrong line that was to begin one. */
	void (*on_section)(void *ctx, unsigned line, const char *name);
	void (*on_assignment)(void *ctx, unsigned line, const char *key, const char *value);
	/* A line that is none of all that. @reason is a sentence that says what is possible */
	void (*on_wrong_line)(void *ctx, unsigned line, const char *reason);
};

/* @text  len bytes, any */
void config_text_parse(const char *text, size_t len, const struct config_text_ops *ops, void *ctx);

#endif

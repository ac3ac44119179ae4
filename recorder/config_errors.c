/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/config_errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/xalloc.h"

void config_errors_add(struct config_errors *e, const char *file, unsigned line, const char *fmt,
		       ...)
{
	auto_free char *reason = NULL, *sentence = NULL;
	va_list ap;
	int r;

	if (e->n == CONFIG_ERRORS_MAX) {
		e->n_more++;
		return;
	}
	va_start(ap, fmt);
	r = vasprintf(&reason, fmt, ap);
	va_end(ap);
	if (r < 0)
		xalloc_failed();
	if (line)
		sentence = xasprintf("%s:%u: %s", file, line, reason);
	else
		sentence = xasprintf("%s: %s", file, reason);
	/* The name of a file can hold any bytes. */
	e->lines[e->n++] = text_plain(sentence, strlen(sentence), TEXT_UTF8);
}

void config_errors_done(struct config_errors *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->lines[i]);
	*e = (struct config_errors){0};
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What is wrong in configuration files: one sentence each, `FILE:LINE: REASON`. */
#ifndef RECORDER_CONFIG_ERRORS_H
#define RECORDER_CONFIG_ERRORS_H

#include <stddef.h>

#include "common/cleanup.h"

/* More are counted only. */
#define CONFIG_ERRORS_MAX 20

/* Begins as {0}. The sentences hold no newline, nor what could harm a terminal. */
struct config_errors {
	char *lines[CONFIG_ERRORS_MAX];
	size_t n;
	size_t n_more;
};

/* @line  from 1; 0 when it is about the whole file, or about no line of it */
void config_errors_add(struct config_errors *e, const char *file, unsigned line, const char *fmt,
		       ...) __attribute__((format(printf, 4, 5)));
void config_errors_done(struct config_errors *e);

static inline void config_errors_done_p(struct config_errors *e)
{
	config_errors_done(e);
}
#define auto_config_errors __attribute__((cleanup(config_errors_done_p)))

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* Which parts of a line of Python are what, for colours. Any text is coloured somehow. */
#ifndef READER_PYTHON_SYNTAX_H
#define READER_PYTHON_SYNTAX_H

#include <stddef.h>
#include <stdint.h>

enum syntax {
	SYNTAX_PLAIN,
	SYNTAX_KEYWORD,
	SYNTAX_STRING,
	SYNTAX_COMMENT,
	SYNTAX_NUMBER,
	SYNTAX_NAME, /* that is defined: of a function or class */
	SYNTAX_DECORATOR,
};

/* What a line begins in: a string with triple quotes goes on from the line before. */
enum syntax_state {
	SYNTAX_CODE,
	SYNTAX_IN_SINGLE, /* ''' */
	SYNTAX_IN_DOUBLE, /* """ */
};

/*
 * @ret  enum syntax of each byte of the line; may be NULL
 * Returns the state in which the next line begins.
 */
enum syntax_state python_syntax(const char *line, size_t len, enum syntax_state state,
				uint8_t *ret);

#endif

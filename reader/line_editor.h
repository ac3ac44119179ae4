/* SPDX-License-Identifier: BSD-3-Clause */
/* A line that is typed: editing, history, completion. Knows no terminal. */
#ifndef READER_LINE_EDITOR_H
#define READER_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct line_editor {
	char *text; /* UTF-8, never NULL after line_editor_start() */
	size_t len, cap;
	size_t at; /* the cursor, in bytes */
	char **history;
	size_t n_history, cap_history;
	size_t in_history; /* n_history: the line that is new */
	char *new_line;	   /* what that was when history was entered */
	/* What Tab offers, one after the other. */
	char **offers;
	size_t n_offers, offer;
};

/* All zeros is an editor that was never used. */
void line_editor_done(struct line_editor *e);
void line_editor_start(struct line_editor *e, const char *text);

void line_editor_insert(struct line_editor *e, uint32_t character);
enum line_edit {
	EDIT_LEFT,
	EDIT_RIGHT,
	EDIT_HOME,
	EDIT_END,
	EDIT_BACKSPACE,
	EDIT_DELETE,
	EDIT_DELETE_WORD,
	EDIT_DELETE_TO_START,
	EDIT_DELETE_TO_END,
	EDIT_OLDER,
	EDIT_NEWER,
};
void line_editor_edit(struct line_editor *e, enum line_edit what);

/*
 * Tab: the longest start that all of what can stand here have in common; when that is there
 * already, one after the other.
 * @complete  as replay_complete()
 */
void line_editor_complete(struct line_editor *e,
			  size_t (*complete)(void *ctx, const char *line, char ***ret), void *ctx);

/* The line is done with: it goes to the history. Lent until the next call. */
const char *line_editor_accept(struct line_editor *e);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files replay_screen*.c share. */
#ifndef READER_REPLAY_SCREEN_PRIVATE_H
#define READER_REPLAY_SCREEN_PRIVATE_H

#include <curses.h>
#include <stdint.h>

#include "common/text.h"
#include "reader/activity.h"
#include "reader/line_editor.h"
#include "reader/python_syntax.h"
#include "reader/replay.h"

/* Lines of text over the source: help, lists. */
struct overlay {
	char **lines; /* NULL: there is none */
	size_t n_lines, cap_lines;
	size_t top;
	bool is_help;
};

struct screen {
	struct replay *replay;
	enum text_charset charset;
	bool has_colours;
	unsigned short rows, columns; /* as the terminal last said */

	struct place place;
	bool has_place;
	bool follows;
	bool shows_stack;
	int column;	    /* of the source that is at the left edge */
	int32_t found_line; /* by a search; 0: none */

	char *message;
	bool message_is_error;
	unsigned count; /* digits typed before a command */
	bool is_typing; /* the prompt is there */
	struct line_editor editor;
	struct overlay overlay;

	/* What each line of the file that is shown begins in, for colours. */
	uint32_t syntax_file;
	const struct source_text *syntax_of;
	uint8_t *syntax_states;

	/* The strip, of the thread and width that it was read for. */
	struct activity *strip;
	int strip_width;
	uint16_t strip_thread;
	uint64_t strip_end_ns;
};

/* How many rows each part gets. */
struct layout {
	int header, source, strip, message, footer;
	int source_at, strip_at, message_at, footer_at;
	int stack_width; /* columns of the stack beside the source; 0: none */
};
void screen_layout(const struct screen *s, struct layout *ret);

enum {
	SHADE_KEYWORD = 1,
	SHADE_STRING,
	SHADE_COMMENT,
	SHADE_NUMBER,
	SHADE_NAME,
	SHADE_DECORATOR,
	SHADE_BREAKPOINT,
	SHADE_CURRENT,
	SHADE_ERROR,
	SHADE_GAP,
	SHADE_STRIP,
};

void screen_start_colours(struct screen *s);
/* A colour pair, or when there are no colours, an attribute instead. */
attr_t screen_colour(const struct screen *s, short pair, attr_t otherwise);

/* All of it; replay must be refreshed. */
void screen_draw(struct screen *s);
void screen_draw_source(struct screen *s, const struct layout *l);
void screen_draw_stack(struct screen *s, const struct layout *l);
void screen_draw_strip(struct screen *s, const struct layout *l);
/* Text, cut to a width in columns and filled up with blanks to it. Must be harmless. */
void screen_put(const struct screen *s, int y, int x, int width, const char *text);

/* --- keys --- */

/* The code of a key by the name that the table of commands has; 0 when there is no such. */
int screen_key_code(const char *name, size_t len);
/* The command whose key this is, or NULL. */
const struct replay_command *screen_find_key(int key);

void screen_say(struct screen *s, bool is_error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

void screen_overlay_help(struct screen *s);
void screen_overlay_answer(struct screen *s, const struct answer *a);
void screen_overlay_close(struct screen *s);

#endif

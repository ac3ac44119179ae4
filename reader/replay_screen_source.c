/* SPDX-License-Identifier: BSD-3-Clause */
/* The source, and the stack beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "common/xalloc.h"
#include "reader/replay_screen_private.h"
#include "reader/replay_words.h"

#define TAB_COLUMNS 8
/* Breakpoint, arrow, blank. */
#define MARK_COLUMNS 2

static attr_t syntax_attribute(const struct screen *s, uint8_t what)
{
	switch (what) {
	case SYNTAX_KEYWORD:
		return screen_colour(s, SHADE_KEYWORD, A_BOLD) | A_BOLD;
	case SYNTAX_STRING:
		return screen_colour(s, SHADE_STRING, A_NORMAL);
	case SYNTAX_COMMENT:
		return screen_colour(s, SHADE_COMMENT, A_DIM);
	case SYNTAX_NUMBER:
		return screen_colour(s, SHADE_NUMBER, A_NORMAL);
	case SYNTAX_NAME:
		return screen_colour(s, SHADE_NAME, A_BOLD);
	case SYNTAX_DECORATOR:
		return screen_colour(s, SHADE_DECORATOR, A_NORMAL);
	default:
		return A_NORMAL;
	}
}

/* What each line begins in, once for each file. */
static void read_states(struct screen *s, const struct source_text *source)
{
	uint32_t file = replay_shown_file(s->replay);
	enum syntax_state state = SYNTAX_CODE;

	if (s->syntax_states && s->syntax_file == file && s->syntax_of == source)
		return;
	s->syntax_file = file;
	s->syntax_of = source;
	s->syntax_states = xreallocarray(s->syntax_states, (size_t)source->n_lines + 1, 1);
	for (int32_t line = 1; line <= source->n_lines; line++) {
		size_t len = 0;
		const char *text = source_text_line(source, line, &len);

		s->syntax_states[line - 1] = (uint8_t)state;
		state = python_syntax(text, len, state, NULL);
	}
}

/* Where the next character of a line goes. */
struct pen {
	int y, left, right; /* on the screen; right is behind the last column */
	int column;	    /* of the line, from 0 */
	int skip;	    /* columns of it that lie left of the screen */
};

static void put_blank(struct pen *p)
{
	int x = p->left + p->column++ - p->skip;

	if (x >= p->left && x < p->right)
		mvaddch(p->y, x, ' ');
}

static void put_character(const struct screen *s, struct pen *p, const char *bytes, size_t n,
			  uint32_t c)
{
	bool is_bad = n == 0 || text_is_control(c) || (c >= 0x80 && s->charset == TEXT_ASCII);
	int width = is_bad ? 1 : wcwidth((wchar_t)c);
	int x = p->left + p->column - p->skip;

	if (width < 0) {
		is_bad = true;
		width = 1;
	}
	p->column += width;
	/* What combines with what was cut off would stand on another character. */
	if (x < p->left || x + (width ? width : 1) > p->right + (width == 0) ||
	    (width == 0 && x == p->left))
		return;
	if (is_bad)
		mvaddch(p->y, x, '?');
	else if (width == 0)
		addnstr(bytes, (int)n);
	else
		mvaddnstr(p->y, x, bytes, (int)n);
}

static void put_line(const struct screen *s, struct pen *p, const char *text, size_t len,
		     const uint8_t *syntax, attr_t background)
{
	for (size_t at = 0, n; at < len && p->column - p->skip < p->right - p->left; at += n) {
		uint32_t c = 0;
		size_t bytes = text_utf8_char(text + at, len - at, &c);

		n = bytes ? bytes : 1;
		attrset((int)(background ? background : syntax_attribute(s, syntax[at])));
		if (c == '\t') {
			do
				put_blank(p);
			while (p->column % TAB_COLUMNS);
		} else {
			put_character(s, p, text + at, bytes, c);
		}
	}
	attrset((int)background);
	while (background && p->column - p->skip < p->right - p->left)
		put_blank(p);
	attrset(A_NORMAL);
}

static void draw_marks(const struct screen *s, int y, int32_t line, bool is_current, int digits)
{
	bool utf8 = s->charset == TEXT_UTF8;

	if (replay_has_breakpoint(s->replay, line)) {
		attrset((int)(screen_colour(s, SHADE_BREAKPOINT, A_BOLD) | A_BOLD));
		mvaddstr(y, 0, utf8 ? "\u25cf" : "*");
	}
	attrset(is_current ? A_BOLD : A_NORMAL);
	if (is_current)
		mvaddstr(y, 1, utf8 ? "\u25b6" : ">");
	attrset(line == s->found_line ? A_REVERSE : is_current ? A_BOLD : A_NORMAL);
	mvprintw(y, MARK_COLUMNS, "%*d", digits, line);
	attrset(A_NORMAL);
}

static void draw_line(struct screen *s, const struct source_text *source, int y, int32_t line,
		      int digits, int right)
{
	bool is_current =
	    s->has_place && s->place.line == line && s->place.file == replay_shown_file(s->replay);
	struct pen pen = {
	    .y = y, .left = MARK_COLUMNS + digits + 1, .right = right, .skip = s->column};
	size_t len = 0;
	const char *text = source_text_line(source, line, &len);
	auto_free uint8_t *syntax = xmalloc(len + 1);

	draw_marks(s, y, line, is_current, digits);
	python_syntax(text, len, (enum syntax_state)s->syntax_states[line - 1], syntax);
	put_line(s, &pen, text, len, syntax,
		 is_current ? screen_colour(s, SHADE_CURRENT, A_REVERSE) : A_NORMAL);
}

static void draw_nothing(struct screen *s, const struct layout *l)
{
	const char *why = "The text of this file is not in the trace: it could not be read.";

	if (!s->has_place)
		why = "Nothing was recorded yet.";
	else if (!replay_shown_file(s->replay))
		why = "The thread runs no code that was followed.";
	screen_put(s, l->source_at + l->source / 2, 2, COLS - 2 - l->stack_width, why);
}

static int digits_of(int32_t number)
{
	int digits = 1;

	for (; number >= 10; number /= 10)
		digits++;
	return digits < 4 ? 4 : digits;
}

/* A file that is shown instead of that of the place is named over its first line. */
static int draw_other_file(struct screen *s, const struct layout *l)
{
	uint32_t file = replay_shown_file(s->replay);
	auto_free char *path = NULL;
	auto_free char *cut = NULL;

	if (!file || (s->has_place && file == s->place.file) || l->source < 3)
		return 0;
	path = replay_path(s->replay, file, "", s->charset);
	cut = text_cut_left(path, (size_t)(COLS - l->stack_width), s->charset);
	attron(A_UNDERLINE);
	screen_put(s, l->source_at, 0, COLS - l->stack_width, cut);
	attroff(A_UNDERLINE);
	return 1;
}

void screen_draw_source(struct screen *s, const struct layout *l)
{
	const struct source_text *source = replay_source(s->replay);
	int32_t first, last;
	int used;

	if (!l->source)
		return;
	if (!source) {
		draw_nothing(s, l);
		return;
	}
	used = draw_other_file(s, l);
	read_states(s, source);
	first = replay_shown_line(s->replay) - (l->source - used) / 2;
	last = source->n_lines - (l->source - used) + 1;
	if (first > last)
		first = last;
	if (first < 1)
		first = 1;
	for (int i = used; i < l->source && first + i - used <= source->n_lines; i++)
		draw_line(s, source, l->source_at + i, first + i - used, digits_of(source->n_lines),
			  COLS - l->stack_width);
}

static char *frame_text(struct screen *s, const struct cursor_frame *f, uint32_t number,
			size_t width)
{
	auto_free char *path =
	    replay_path(s->replay, replay_file_of(s->replay, f->code), "", s->charset);
	auto_free char *function = replay_function(s->replay, f->code, "", s->charset);
	const char *slash = strrchr(path, '/');
	auto_free char *text =
	    xasprintf("%u %s %s:%d", number, function, slash ? slash + 1 : path, f->line);

	return text_cut_right(text, width, s->charset);
}

void screen_draw_stack(struct screen *s, const struct layout *l)
{
	int x = COLS - l->stack_width;
	uint32_t depth, first = 0;
	const struct cursor_frame *stack;

	if (!l->stack_width)
		return;
	stack = replay_stack(s->replay, &depth);
	/* The selected frame is among those that are seen. */
	if (s->place.frame >= (uint32_t)l->source)
		first = s->place.frame - (uint32_t)l->source + 1;
	for (int i = 0; i < l->source; i++) {
		uint32_t number = first + (uint32_t)i;

		mvaddstr(l->source_at + i, x, s->charset == TEXT_UTF8 ? "\u2502" : "|");
		if (number < depth) {
			auto_free char *text = frame_text(s, &stack[depth - 1 - number], number,
							  (size_t)l->stack_width - 1);

			attrset(number == s->place.frame ? A_REVERSE : A_NORMAL);
			screen_put(s, l->source_at + i, x + 1, l->stack_width - 1, text);
			attrset(A_NORMAL);
		}
	}
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of the screen around the source. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "common/xalloc.h"
#include "reader/replay_screen_private.h"
#include "reader/replay_words.h"
#include "reader/trace.h"

/* Below that a part is left out. */
#define ROWS_FOR_STRIP	 7
#define ROWS_FOR_FOOTER	 6
#define ROWS_FOR_STATE	 5
#define COLUMNS_FOR_DATE 64
#define STACK_MIN	 50 /* columns of the whole screen */

void screen_layout(const struct screen *s, struct layout *ret)
{
	int rows = LINES, columns = COLS;

	*ret = (struct layout){.header = rows >= ROWS_FOR_STATE ? 2 : 1,
			       .strip = rows >= ROWS_FOR_STRIP,
			       .message = rows >= 2,
			       .footer = rows >= ROWS_FOR_FOOTER};
	ret->source_at = ret->header;
	ret->source = rows - ret->header - ret->strip - ret->message - ret->footer;
	if (ret->source < 0)
		ret->source = 0;
	ret->strip_at = ret->source_at + ret->source;
	ret->message_at = ret->strip_at + ret->strip;
	ret->footer_at = ret->message_at + ret->message;
	if (s->shows_stack && columns >= STACK_MIN)
		ret->stack_width = columns / 3;
}

void screen_start_colours(struct screen *s)
{
	static const struct {
		short pair, foreground;
	} pairs[] = {
	    {SHADE_KEYWORD, COLOR_BLUE},   {SHADE_STRING, COLOR_GREEN},
	    {SHADE_COMMENT, COLOR_CYAN},   {SHADE_NUMBER, COLOR_MAGENTA},
	    {SHADE_NAME, COLOR_YELLOW},	   {SHADE_DECORATOR, COLOR_MAGENTA},
	    {SHADE_BREAKPOINT, COLOR_RED}, {SHADE_ERROR, COLOR_RED},
	    {SHADE_GAP, COLOR_RED},	   {SHADE_STRIP, COLOR_GREEN},
	};
	const char *no_color = getenv("NO_COLOR");

	if ((no_color && *no_color) || !has_colors() || start_color() == ERR)
		return;
	s->has_colours = true;
	use_default_colors();
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		init_pair(pairs[i].pair, pairs[i].foreground, -1);
	init_pair(SHADE_CURRENT, COLOR_BLACK, COLOR_YELLOW);
}

attr_t screen_colour(const struct screen *s, short pair, attr_t otherwise)
{
	return s->has_colours ? (attr_t)COLOR_PAIR(pair) : otherwise;
}

void screen_put(const struct screen *s, int y, int x, int width, const char *text)
{
	auto_free char *cut = NULL;
	int used;

	if (width <= 0 || y < 0 || y >= LINES)
		return;
	cut = text_cut_right(text, (size_t)width, s->charset);
	used = (int)text_width(cut);
	mvaddstr(y, x, cut);
	/* Writing to the last cell of the last line would scroll; curses then says so, no harm. */
	for (; used < width; used++)
		addch(' ');
}

/* --- the header --- */

static char *short_time(const struct screen *s, uint64_t time_ns)
{
	char time[CLOCK_TEXT_SIZE], zone[CLOCK_TEXT_SIZE];

	clock_map_format(replay_clock(s->replay), time_ns, time);
	clock_map_format_zone(replay_clock(s->replay), zone);
	/* "HH:MM:SS.micros", without the date before it. */
	if (COLS < COLUMNS_FOR_DATE)
		return xstrdup(time + 11);
	return xasprintf("%s %s", time, zone);
}

/* FILE:LINE FUNCTION in so many columns, the file shortened from the left. */
static char *location(struct screen *s, size_t width)
{
	const struct place *p = &s->place;
	auto_free char *path = replay_path(s->replay, p->file, "", s->charset);
	auto_free char *function = replay_function(s->replay, p->code, "", s->charset);
	auto_free char *cut_function = NULL;
	auto_free char *line = NULL;
	auto_free char *cut = NULL;

	if (!p->code)
		return xstrdup("(no followed code is running)");
	line = p->line > 0 ? xasprintf("%s:%d", path, p->line) : xasprintf("%s:?", path);
	cut_function = text_cut_right(function, width / 3, s->charset);
	cut = text_cut_left(line, width - text_width(cut_function) - (width ? 1 : 0), s->charset);
	return xasprintf("%s %s", cut, cut_function);
}

static const char *end_of_trace(const struct screen *s)
{
	switch (replay_trace_end(s->replay)) {
	case TRACE_END_STILL_GROWS:
		return "[NOTHING NEWER YET]";
	case TRACE_END_CUT_OFF:
		return "[END OF TRACE: RECORDER DIED]";
	case TRACE_END_WRITTEN:
		break;
	}
	return "[END OF TRACE]";
}

/* What must not be overlooked. */
static char *marks(const struct screen *s)
{
	const struct place *p = &s->place;

	return xasprintf(
	    "%s%s%s%s%s%s", s->follows ? "[FOLLOWING]" : "", p->is_first ? "[START OF TRACE]" : "",
	    p->is_last ? end_of_trace(s) : "", p->is_after_gap ? "[AFTER A GAP]" : "",
	    p->ending == ENDING_GAP ? "[A GAP FOLLOWS]" : "", p->is_damaged ? "[DAMAGED]" : "");
}

static char *activity_text(const struct screen *s)
{
	const struct thread_state *t = &s->place.state;
	auto_free char *reason = text_escape(t->reason, strlen(t->reason), "", s->charset);
	char lasts[UNITS_MAX];

	if (t->activity == ACTIVITY_UNKNOWN)
		return xstrdup("");
	if (t->activity == ACTIVITY_ON_CPU)
		return xstrdup(", on CPU");
	format_duration(t->end_ns > t->start_ns ? t->end_ns - t->start_ns : 0,
			s->charset == TEXT_UTF8 ? "\u00b5" : "u", lasts);
	if (t->activity == ACTIVITY_READY)
		return xasprintf(", waits for a CPU for %s", lasts);
	return xasprintf(", %s for %s%s%s", t->is_idle ? "idle" : "waits", lasts,
			 *reason ? ": " : "", reason);
}

static char *state_text(const struct screen *s)
{
	const struct place *p = &s->place;
	const char *micro = s->charset == TEXT_UTF8 ? "\u00b5" : "u";
	auto_free char *activity = activity_text(s);
	char lasts[UNITS_MAX], into[UNITS_MAX];

	format_duration(p->until_ns > p->time_ns ? p->until_ns - p->time_ns : 0, micro, lasts);
	format_duration(p->at_ns - p->time_ns, micro, into);
	return xasprintf("depth %u%s  thread %u%s  %s%s%s  %s%s%s%s", p->depth - p->frame,
			 p->frame ? " (a caller)" : "", p->thread,
			 cursor_followed(replay_cursor(s->replay)) ? " only" : "",
			 provenance_name(p->provenance), p->is_sampled ? ", sampled" : "", activity,
			 p->ending == ENDING_UNKNOWN ? "seen for " : "for ", lasts,
			 p->at_ns > p->time_ns ? ", here after " : "",
			 p->at_ns > p->time_ns ? into : "");
}

static void draw_header(struct screen *s, const struct layout *l)
{
	auto_free char *time = NULL;
	auto_free char *where = NULL;
	auto_free char *line = NULL;
	auto_free char *state = NULL;
	auto_free char *right = NULL;
	size_t time_width;
	int right_width;

	attron(A_REVERSE);
	if (!s->has_place) {
		screen_put(s, 0, 0, COLS, "nothing was recorded yet");
		attroff(A_REVERSE);
		return;
	}
	time = short_time(s, s->place.at_ns);
	time_width = text_width(time) + 2;
	where = location(s, (size_t)COLS > time_width ? (size_t)COLS - time_width : 0);
	line = xasprintf("%s  %s", time, where);
	screen_put(s, 0, 0, COLS, line);
	right = marks(s);
	right_width = (int)text_width(right) < COLS ? (int)text_width(right) : COLS;
	/* On a small screen there is one line: the marks then stand over its end. */
	if (l->header > 1) {
		state = state_text(s);
		screen_put(s, 1, 0, COLS, "");
		screen_put(s, 1, 0, COLS - right_width - 1, state);
	}
	screen_put(s, l->header - 1, COLS - right_width, right_width, right);
	attroff(A_REVERSE);
}

/* --- the strip --- */

static void read_strip(struct screen *s)
{
	uint16_t thread = cursor_followed(replay_cursor(s->replay));
	uint64_t start_ns, end_ns;

	replay_bounds(s->replay, &start_ns, &end_ns);
	if (s->strip && s->strip_width == COLS && s->strip_thread == thread &&
	    s->strip_end_ns == end_ns)
		return;
	free(s->strip);
	s->strip = xcalloc((size_t)COLS + 1, sizeof(*s->strip));
	s->strip_width = COLS;
	s->strip_thread = thread;
	s->strip_end_ns = end_ns;
	/* What can't be read stays unknown. */
	activity_read(replay_trace(s->replay), thread, start_ns, end_ns, s->strip, (size_t)COLS);
}

static const char *strip_character(const struct screen *s, const struct activity *a)
{
	static const char *const utf8[] = {"\u00b7", "\u2581", "\u2582", "\u2583", "\u2584",
					   "\u2585", "\u2586", "\u2587", "\u2588"};
	static const char *const ascii[] = {".", "_", "_", "-", "-", "=", "=", "#", "#"};

	if (a->has_gap)
		return s->charset == TEXT_UTF8 ? "\u2591" : "x";
	if (!a->is_known)
		return " ";
	if (a->waits)
		return s->charset == TEXT_UTF8 ? "\u2500" : "~";
	return (s->charset == TEXT_UTF8 ? utf8 : ascii)[a->level];
}

void screen_draw_strip(struct screen *s, const struct layout *l)
{
	uint64_t start_ns, end_ns;
	int here = -1;

	if (!l->strip)
		return;
	read_strip(s);
	replay_bounds(s->replay, &start_ns, &end_ns);
	if (s->has_place && end_ns > start_ns) {
		uint64_t at = s->place.at_ns < start_ns ? start_ns : s->place.at_ns;
		double part = (double)(at - start_ns) / (double)(end_ns - start_ns);

		here = part < 1 ? (int)(part * COLS) : COLS - 1;
	}
	for (int i = 0; i < COLS; i++) {
		const struct activity *a = &s->strip[i];
		attr_t how = a->has_gap ? screen_colour(s, SHADE_GAP, A_NORMAL)
					: screen_colour(s, SHADE_STRIP, A_NORMAL);

		if (i == here)
			how |= A_REVERSE | A_BOLD;
		attrset((int)how);
		mvaddstr(l->strip_at, i, strip_character(s, a));
	}
	attrset(A_NORMAL);
}

/* --- message, prompt, footer --- */

/* Editing a line that is longer than the screen shows the part around the cursor. */
static void draw_prompt(struct screen *s, const struct layout *l)
{
	auto_free char *before = xstrndup(s->editor.text, s->editor.at);
	auto_free char *cut = text_cut_left(before, (size_t)(COLS > 4 ? COLS - 4 : 1), s->charset);
	auto_free char *text = xasprintf(":%s%s", cut, s->editor.text + s->editor.at);

	screen_put(s, l->message_at, 0, COLS, text);
	move(l->message_at, 1 + (int)text_width(cut));
}

static void draw_message(struct screen *s, const struct layout *l)
{
	auto_free char *text = NULL;

	if (!l->message)
		return;
	if (s->count)
		text = xasprintf("%u ... then a command", s->count);
	else if (s->message)
		text = text_escape(s->message, strlen(s->message), "", s->charset);
	if (s->message_is_error && !s->count)
		attrset((int)(screen_colour(s, SHADE_ERROR, A_BOLD) | A_BOLD));
	screen_put(s, l->message_at, 0, COLS, text ? text : "");
	attrset(A_NORMAL);
}

static void draw_footer(struct screen *s, const struct layout *l)
{
	static const char *const helps[] = {
	    "h help  n next  s step  c continue  N S C back  b break  j jump  f file  q quit",
	    "h help  n s c  N S C back  b j f  q quit",
	    "h help  q quit",
	};
	size_t i = 0;

	if (!l->footer)
		return;
	while (i < 2 && (int)strlen(helps[i]) >= COLS)
		i++;
	attron(A_REVERSE);
	/* The last cell stays empty: some terminals scroll when it is written. */
	screen_put(s, l->footer_at, 0, COLS - 1, helps[i]);
	attroff(A_REVERSE);
}

static void draw_overlay(struct screen *s, const struct layout *l)
{
	size_t rows = (size_t)l->source;

	if (s->overlay.top + rows > s->overlay.n_lines)
		s->overlay.top = s->overlay.n_lines > rows ? s->overlay.n_lines - rows : 0;
	for (size_t i = 0; i < rows; i++) {
		size_t line = s->overlay.top + i;

		screen_put(s, l->source_at + (int)i, 0, COLS,
			   line < s->overlay.n_lines ? s->overlay.lines[line] : "");
	}
}

void screen_draw(struct screen *s)
{
	struct layout l;

	screen_layout(s, &l);
	s->has_place = replay_place(s->replay, &s->place) == 1;
	erase();
	draw_header(s, &l);
	if (s->overlay.lines) {
		draw_overlay(s, &l);
	} else {
		screen_draw_source(s, &l);
		screen_draw_stack(s, &l);
	}
	screen_draw_strip(s, &l);
	draw_footer(s, &l);
	curs_set(s->is_typing);
	if (s->is_typing)
		draw_prompt(s, &l);
	else
		draw_message(s, &l);
	refresh();
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The screen's life: keys in, commands to the engine, everything drawn anew after each. */
#include "reader/replay_screen.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "reader/replay_screen_private.h"

/* How often a trace that grows is looked at. */
#define REFRESH_MS 500
/* How often it is checked whether the terminal is another one, or gone. */
#define IDLE_MS 1000
/* What comes back without a key, and so fast, has failed. */
#define FAILURE_NS   (20 * NS_PER_MS)
#define WHEEL_LINES  3
#define SIDE_COLUMNS 8
#define COUNT_MAX    100000
/* As often as a terminal may fail to give a key before it counts as gone. */
#define FAILURES_MAX 50

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static bool is_interrupted(void *ctx)
{
	(void)ctx;
	return interrupted;
}

void screen_say(struct screen *s, bool is_error, const char *fmt, ...)
{
	va_list args;

	free(s->message);
	va_start(args, fmt);
	if (vasprintf(&s->message, fmt, args) < 0)
		xalloc_failed();
	va_end(args);
	s->message_is_error = is_error;
}

static void clear_message(struct screen *s)
{
	free(s->message);
	s->message = NULL;
	s->message_is_error = false;
}

/* --- doing commands --- */

static void follow_end(struct screen *s)
{
	struct answer a;

	replay_command(s->replay, "jump end", &a);
	answer_done(&a);
	if (replay_trace_end(s->replay) != TRACE_END_STILL_GROWS) {
		s->follows = false;
		screen_say(s, false,
			   replay_trace_end(s->replay) == TRACE_END_WRITTEN
			       ? "the recording has ended"
			       : "the recorder has died: nothing was written for a while");
	}
}

static void toggle_follow(struct screen *s)
{
	if (s->follows) {
		s->follows = false;
		return;
	}
	if (replay_trace_end(s->replay) != TRACE_END_STILL_GROWS) {
		screen_say(s, true, "this trace does not grow any more; j end goes to its end");
		return;
	}
	s->follows = true;
	follow_end(s);
}

static void scroll_by(struct screen *s, int32_t lines)
{
	replay_scroll_to(s->replay, replay_shown_line(s->replay) + lines);
}

static int page(const struct screen *s)
{
	struct layout l;

	screen_layout(s, &l);
	return l.source > 2 ? l.source - 1 : 1;
}

static void scroll_overlay(struct screen *s, int lines)
{
	struct overlay *o = &s->overlay;

	if (lines < 0 && o->top < (size_t)-lines)
		o->top = 0;
	else
		o->top += (size_t)lines;
	if (o->top >= o->n_lines)
		o->top = o->n_lines ? o->n_lines - 1 : 0;
}

/* Lines to scroll by, 0 when it is another action. */
static int scroll_lines(const struct screen *s, enum screen_action action)
{
	switch (action) {
	case SCREEN_UP:
		return -1;
	case SCREEN_DOWN:
		return 1;
	case SCREEN_PAGE_UP:
		return -page(s);
	case SCREEN_PAGE_DOWN:
		return page(s);
	case SCREEN_TOP:
		return -INT32_MAX / 4;
	case SCREEN_BOTTOM:
		return INT32_MAX / 4;
	default:
		return 0;
	}
}

static void start_typing(struct screen *s, const char *text)
{
	s->is_typing = true;
	line_editor_start(&s->editor, text);
}

static void do_action(struct screen *s, enum screen_action action)
{
	int lines = scroll_lines(s, action);

	if (lines && lines > -INT32_MAX / 8 && lines < INT32_MAX / 8)
		scroll_by(s, lines);
	else if (lines)
		replay_scroll_to(s->replay, lines < 0 ? 1 : INT32_MAX);
	switch (action) {
	case SCREEN_HELP:
		screen_overlay_help(s);
		break;
	case SCREEN_FOLLOW:
		toggle_follow(s);
		break;
	case SCREEN_REDRAW:
		clearok(stdscr, TRUE);
		break;
	case SCREEN_LEFT:
		s->column = s->column > SIDE_COLUMNS ? s->column - SIDE_COLUMNS : 0;
		break;
	case SCREEN_RIGHT:
		s->column += SIDE_COLUMNS;
		break;
	case SCREEN_STACK:
		s->shows_stack = !s->shows_stack;
		break;
	case SCREEN_PROMPT:
		start_typing(s, "");
		break;
	default:
		break;
	}
}

/* Returns false when it is to be left. */
static bool show_answer(struct screen *s, const struct answer *a)
{
	switch (a->kind) {
	case ANSWER_QUIT:
		return false;
	case ANSWER_ERROR:
		screen_say(s, true, "%s", a->note);
		break;
	case ANSWER_SCREEN:
		do_action(s, a->command->action);
		break;
	case ANSWER_HELP:
		screen_overlay_help(s);
		break;
	case ANSWER_SOURCE:
		replay_scroll_to(s->replay, a->first + (a->last - a->first) / 2);
		s->found_line = a->first == a->last ? a->first : 0;
		if (s->found_line)
			screen_say(s, false, "found in line %d; > and < go on", a->first);
		break;
	case ANSWER_TEXT:
		screen_overlay_answer(s, a);
		break;
	case ANSWER_PLACE:
		if (a->note)
			screen_say(s, false, "%s", a->note);
		break;
	default:
		screen_overlay_answer(s, a);
	}
	return true;
}

static bool do_command(struct screen *s, const char *line)
{
	auto_answer struct answer a = {0};
	uint64_t before_ns = cursor_time(replay_cursor(s->replay));
	int e = replay_refresh(s->replay);

	clear_message(s);
	screen_overlay_close(s);
	s->found_line = 0;
	interrupted = 0;
	if (e < 0) {
		screen_say(s, true, "cannot read the trace: %s", strerror(-e));
		return true;
	}
	replay_command(s->replay, line, &a);
	if (cursor_time(replay_cursor(s->replay)) != before_ns)
		s->follows = false;
	if (a.kind == ANSWER_PLACE)
		s->column = 0;
	return show_answer(s, &a);
}

/* --- keys --- */

static bool do_key_command(struct screen *s, const struct replay_command *c)
{
	auto_free char *line = NULL;
	unsigned count = s->count;

	s->count = 0;
	if (!c->run || c->action == SCREEN_HELP || scroll_lines(s, c->action)) {
		clear_message(s);
		do_action(s, c->action);
		return true;
	}
	line = count ? xasprintf("%u %.*s", count, (int)strcspn(c->names, " "), c->names)
		     : xasprintf("%.*s", (int)strcspn(c->names, " "), c->names);
	return do_command(s, line);
}

static size_t complete(void *ctx, const char *line, char ***ret)
{
	return replay_complete(ctx, line, ret);
}

struct edit_key {
	int key;
	enum line_edit what;
};

static const struct edit_key edit_keys[] = {
    {KEY_LEFT, EDIT_LEFT},
    {'B' & 0x1f, EDIT_LEFT},
    {KEY_RIGHT, EDIT_RIGHT},
    {'F' & 0x1f, EDIT_RIGHT},
    {KEY_HOME, EDIT_HOME},
    {'A' & 0x1f, EDIT_HOME},
    {KEY_END, EDIT_END},
    {'E' & 0x1f, EDIT_END},
    {KEY_BACKSPACE, EDIT_BACKSPACE},
    {0x7f, EDIT_BACKSPACE},
    {'H' & 0x1f, EDIT_BACKSPACE},
    {KEY_DC, EDIT_DELETE},
    {'D' & 0x1f, EDIT_DELETE},
    {'W' & 0x1f, EDIT_DELETE_WORD},
    {'U' & 0x1f, EDIT_DELETE_TO_START},
    {'K' & 0x1f, EDIT_DELETE_TO_END},
    {KEY_UP, EDIT_OLDER},
    {'P' & 0x1f, EDIT_OLDER},
    {KEY_DOWN, EDIT_NEWER},
    {'N' & 0x1f, EDIT_NEWER},
};

static bool edit(struct screen *s, int key)
{
	for (size_t i = 0; i < sizeof(edit_keys) / sizeof(edit_keys[0]); i++) {
		if (edit_keys[i].key == key) {
			/* As in less: what is empty can only be left. */
			if (edit_keys[i].what == EDIT_BACKSPACE && s->editor.len == 0)
				s->is_typing = false;
			line_editor_edit(&s->editor, edit_keys[i].what);
			return true;
		}
	}
	return false;
}

#define KEY_ESCAPE   0x1b
#define KEY_CANCEL_G ('G' & 0x1f)

static bool is_enter(int key)
{
	return key == '\n' || key == '\r' || key == KEY_ENTER;
}

static bool on_typed(struct screen *s, int key, bool is_code)
{
	auto_free char *line = NULL;

	if (is_enter(key)) {
		line = xstrdup(line_editor_accept(&s->editor));
		s->is_typing = false;
		return line[strspn(line, " ")] ? do_command(s, line) : true;
	}
	if (key == KEY_ESCAPE || key == KEY_CANCEL_G)
		s->is_typing = false;
	else if (key == '\t')
		line_editor_complete(&s->editor, complete, s->replay);
	else if (!edit(s, key) && !is_code)
		line_editor_insert(&s->editor, (uint32_t)key);
	return true;
}

static bool on_mouse(struct screen *s)
{
	struct layout l;
	MEVENT event;

	if (getmouse(&event) == ERR)
		return true;
	screen_layout(s, &l);
#ifdef BUTTON5_PRESSED
	if (event.bstate & (BUTTON4_PRESSED | BUTTON5_PRESSED)) {
		int lines = event.bstate & BUTTON4_PRESSED ? -WHEEL_LINES : WHEEL_LINES;

		if (s->overlay.lines)
			scroll_overlay(s, lines);
		else
			scroll_by(s, lines);
		return true;
	}
#endif
	if ((event.bstate & BUTTON1_PRESSED) && l.strip && event.y == l.strip_at && COLS > 1) {
		auto_free char *line =
		    xasprintf("jump %.3f%%", 100.0 * (event.x + 0.5) / (double)COLS);

		return do_command(s, line);
	}
	return true;
}

/* While a list is shown, keys move in it; any other one leaves it and does what it always does. */
static bool on_overlay(struct screen *s, int key, bool *ret_is_done)
{
	const struct replay_command *c = screen_find_key(key);
	int lines = c ? scroll_lines(s, c->action) : 0;

	*ret_is_done = true;
	if (lines) {
		scroll_overlay(s, lines);
		return true;
	}
	if (is_enter(key) || key == KEY_ESCAPE || key == 'q' ||
	    (s->overlay.is_help && c && c->action == SCREEN_HELP)) {
		screen_overlay_close(s);
		return true;
	}
	if (key == KEY_RESIZE || key == KEY_MOUSE || (c && c->action == SCREEN_REDRAW)) {
		*ret_is_done = false;
		return true;
	}
	screen_overlay_close(s);
	*ret_is_done = false;
	return true;
}

/* Who was stopped was not told of a new size. */
static void check_size(struct screen *s)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 ||
	    (size.ws_row == s->rows && size.ws_col == s->columns))
		return;
	if (s->rows && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
	s->rows = size.ws_row;
	s->columns = size.ws_col;
}

static bool on_key(struct screen *s, int key, bool is_code)
{
	const struct replay_command *c;
	char first[2] = {0};
	bool is_done;

	if (key == KEY_RESIZE && is_code) {
		check_size(s);
		return true;
	}
	if (key == KEY_MOUSE && is_code)
		return on_mouse(s);
	if (s->is_typing)
		return on_typed(s, key, is_code);
	if (s->overlay.lines) {
		bool stay = on_overlay(s, key, &is_done);

		if (is_done)
			return stay;
	}
	if (!is_code && key >= '0' && key <= '9' && (key > '0' || s->count)) {
		unsigned count = s->count * 10 + (unsigned)(key - '0');

		s->count = count <= COUNT_MAX ? count : COUNT_MAX;
		return true;
	}
	if (is_enter(key))
		return do_command(s, "");
	c = screen_find_key(key);
	if (c)
		return do_key_command(s, c);
	s->count = 0;
	if (key == KEY_ESCAPE || is_code || key < ' ' || key >= 0x7f) {
		clear_message(s);
		return true;
	}
	/* Another letter begins a command. */
	first[0] = (char)key;
	start_typing(s, first);
	return true;
}

/* --- the loop --- */

/* Returns 1 with a key, 0 when none came for a while, -1 when the terminal is gone. */
static int get_key(wint_t *ret, bool *ret_is_code)
{
	static const int failed = -1;
	int code = get_wch(ret);

	if (code == ERR) {
		if (interrupted)
			return 0;
		return errno == EIO || errno == ENXIO || errno == EBADF ? failed : 0;
	}
	*ret_is_code = code == KEY_CODE_YES;
	return 1;
}

static void on_silence(struct screen *s)
{
	check_size(s);
	if (interrupted) {
		interrupted = 0;
		s->is_typing = false;
		s->count = 0;
		screen_say(s, false, "q leaves");
	}
	if (replay_trace_end(s->replay) == TRACE_END_WRITTEN)
		return;
	if (replay_refresh(s->replay) == 0 && s->follows)
		follow_end(s);
}

static void run(struct screen *s)
{
	bool stay = true, is_code = false;
	int n_failures = 0;
	wint_t key = 0;

	while (stay && n_failures < FAILURES_MAX) {
		bool waits_for_news = replay_trace_end(s->replay) == TRACE_END_STILL_GROWS;
		uint64_t start_ns;
		int r;

		screen_draw(s);
		replay_release(s->replay);
		timeout(waits_for_news ? REFRESH_MS : IDLE_MS);
		errno = 0;
		start_ns = clock_monotonic_ns();
		r = get_key(&key, &is_code);
		if (r == 1 || interrupted || clock_monotonic_ns() - start_ns > FAILURE_NS)
			n_failures = 0;
		else
			n_failures++;
		if (r == 1) {
			if (replay_refresh(s->replay) < 0)
				screen_say(s, true, "the trace can't be read any more");
			stay = on_key(s, (int)key, is_code);
		} else {
			on_silence(s);
		}
	}
}

static void set_up(struct screen *s)
{
	struct sigaction action = {.sa_handler = on_interrupt};

	sigaction(SIGINT, &action, NULL);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	set_escdelay(25);
	mousemask(ALL_MOUSE_EVENTS, NULL);
	mouseinterval(0);
	screen_start_colours(s);
	replay_set_cancel(s->replay, (struct cancel){.is_asked = is_interrupted});
	check_size(s);
}

static void screen_done(struct screen *s)
{
	screen_overlay_close(s);
	line_editor_done(&s->editor);
	free(s->message);
	free(s->syntax_states);
	free(s->strip);
}

/* A dumb terminal, such as that of an editor, can't. */
static bool can_move_cursor(void)
{
	return tigetstr("cup") != NULL;
}

int replay_screen(struct replay *r, bool follow)
{
	struct screen s = {.replay = r, .charset = text_locale_charset()};
	struct sigaction before;
	SCREEN *terminal;
	bool can_move;

	sigaction(SIGINT, NULL, &before);
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return -ENOTTY;
	can_move = can_move_cursor();
	if (can_move) {
		set_up(&s);
		if (follow)
			toggle_follow(&s);
		run(&s);
	}
	endwin();
	delscreen(terminal);
	sigaction(SIGINT, &before, NULL);
	screen_done(&s);
	return can_move ? 0 : -ENOTTY;
}

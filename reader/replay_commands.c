/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All commands, with the keys that do them at once: one table for parsing, for the screen and for
 * the help. Then the parsing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/similar.h"
#include "common/text.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/replay_private.h"
#include "reader/trace.h"
#include "reader/when.h"

#define COUNT_MAX 1000000

static int show(struct answer *a, enum answer_kind kind)
{
	a->kind = kind;
	return 0;
}

static int do_stack(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	(void)count;
	return replay_need_place(r, a) < 0 ? -EINVAL : show(a, ANSWER_STACK);
}

static int do_where(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	(void)count;
	return replay_need_place(r, a);
}

static int do_breakpoints(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)r;
	(void)args;
	(void)count;
	return show(a, ANSWER_BREAKPOINTS);
}

static int do_bookmarks(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)r;
	(void)args;
	(void)count;
	return show(a, ANSWER_BOOKMARKS);
}

static int do_help(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)r;
	(void)args;
	(void)count;
	return show(a, ANSWER_HELP);
}

static int do_quit(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)r;
	(void)args;
	(void)count;
	return show(a, ANSWER_QUIT);
}

static int do_on_screen(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)r;
	(void)args;
	(void)count;
	return show(a, ANSWER_SCREEN);
}

#define STOP_ARGS "[LINE|FILE:LINE|FUNCTION] [thread N]"

const struct replay_command replay_commands[] = {
    {.names = "Moving on"},
    {.names = "next n",
     .keys = "n F8 F10",
     .help = "to the next event of this function or of a caller",
     .repeats = true,
     .run = replay_do_next},
    {.names = "step s",
     .keys = "s F7 F11",
     .help = "to the next event",
     .repeats = true,
     .run = replay_do_step},
    {.names = "continue c cont",
     .keys = "c F5 F9",
     .help = "to the next breakpoint",
     .repeats = true,
     .run = replay_do_continue},
    {.names = "finish o out r return",
     .keys = "o",
     .help = "until this function has returned",
     .repeats = true,
     .run = replay_do_finish},
    {.names = "until u",
     .args = "[LINE|FILE:LINE|FUNCTION]",
     .help = "out of a loop: to a later line of this call; or to a line",
     .repeats = true,
     .run = replay_do_until},
    {.names = "visit v",
     .args = "[FUNCTION]",
     .help = "to the next call of a function",
     .repeats = true,
     .run = replay_do_visit},

    {.names = "Moving back"},
    {.names = "reverse-next N rn",
     .keys = "N Shift-F8 Shift-F10",
     .help = "to the event before, of this function or of a caller",
     .repeats = true,
     .run = replay_do_back_next},
    {.names = "reverse-step S rs",
     .keys = "S Shift-F7 Shift-F11",
     .help = "to the event before",
     .repeats = true,
     .run = replay_do_back_step},
    {.names = "reverse-continue C rc",
     .keys = "C Shift-F5 Shift-F9",
     .help = "to the breakpoint before",
     .repeats = true,
     .run = replay_do_back_continue},
    {.names = "reverse-finish O rf",
     .keys = "O",
     .help = "to before this function was called",
     .repeats = true,
     .run = replay_do_back_finish},
    {.names = "reverse-until U ru",
     .args = "[LINE|FILE:LINE|FUNCTION]",
     .help = "to an earlier line of this call; or to a line",
     .repeats = true,
     .run = replay_do_back_until},
    {.names = "reverse-visit V rv",
     .args = "[FUNCTION]",
     .help = "to the call of a function before",
     .repeats = true,
     .run = replay_do_back_visit},

    {.names = "Jumping"},
    {.names = "jump j",
     .args = "TIME",
     .help = "to 12:00:16.55, 2024-01-27, +2s, -3m, 50%, end, now, ...",
     .repeats = true,
     .run = replay_do_jump},
    {.names = "gap",
     .help = "to the next time that was not seen",
     .repeats = true,
     .run = replay_do_gap},
    {.names = "reverse-gap rgap",
     .help = "to the one before",
     .repeats = true,
     .run = replay_do_back_gap},
    {.names = "wait",
     .args = "[DURATION] [idle]",
     .help = "to the next wait at least so long; idle ones too",
     .repeats = true,
     .run = replay_do_wait},
    {.names = "reverse-wait rwait",
     .args = "[DURATION] [idle]",
     .help = "to the one before",
     .repeats = true,
     .run = replay_do_back_wait},
    {.names = "turn",
     .args = "[DURATION]",
     .help = "to the next turn of an event loop at least so long",
     .repeats = true,
     .run = replay_do_turn},
    {.names = "reverse-turn rturn",
     .args = "[DURATION]",
     .help = "to the one before",
     .repeats = true,
     .run = replay_do_back_turn},
    {.names = "mark m", .args = "[NAME]", .help = "set a bookmark here", .run = replay_do_mark},
    {.names = "go '", .args = "NAME", .help = "to a bookmark", .run = replay_do_go},
    {.names = "marks", .help = "list the bookmarks", .run = do_bookmarks},

    {.names = "Breakpoints"},
    {.names = "break b",
     .args = STOP_ARGS,
     .help = "set or delete one; alone: on the present line",
     .run = replay_do_break},
    {.names = "breakpoints B", .keys = "B", .help = "list them", .run = do_breakpoints},
    {.names = "delete d clear cl",
     .args = "NUMBER|all",
     .help = "delete one, or all",
     .run = replay_do_delete},

    {.names = "Looking"},
    {.names = "bt w where backtrace", .keys = "w", .help = "the stack of calls", .run = do_stack},
    {.names = "up [",
     .keys = "[",
     .help = "to the frame of the caller",
     .repeats = true,
     .run = replay_do_up},
    {.names = "down ]",
     .keys = "]",
     .help = "to the frame of the callee",
     .repeats = true,
     .run = replay_do_down},
    {.names = "file f", .args = "[FILE]", .help = "show another file", .run = replay_do_file},
    {.names = "list l ll",
     .args = "[LINE|FIRST,LAST]",
     .help = "the source",
     .repeats = true,
     .run = replay_do_list},
    {.names = "/", .args = "TEXT", .help = "search in the source", .run = replay_do_search},
    {.names = "?", .args = "TEXT", .help = "search backwards", .run = replay_do_back_search},
    {.names = ">", .keys = ">", .help = "the next match", .repeats = true, .run = replay_do_match},
    {.names = "<",
     .keys = "<",
     .help = "the match before",
     .repeats = true,
     .run = replay_do_back_match},
    {.names = "threads thread t",
     .args = "[N|all]",
     .help = "list the threads; follow one, or all",
     .run = replay_do_thread},
    {.names = "place pos", .help = "where we are", .run = do_where},
    {.names = "state =",
     .keys = "=",
     .help = "the command line that leads here",
     .run = replay_do_state},

    {.names = "The screen"},
    {.names = "follow F",
     .keys = "F",
     .help = "stay at the end of a trace that grows; any movement leaves that",
     .run = do_on_screen,
     .action = SCREEN_FOLLOW},
    {.names = "stack",
     .keys = "Tab",
     .help = "show the stack beside the source, or not",
     .run = do_on_screen,
     .action = SCREEN_STACK},
    {.keys = "Up k", .help = "scroll", .action = SCREEN_UP},
    {.keys = "Down", .help = "scroll", .action = SCREEN_DOWN},
    {.keys = "PageUp", .help = "scroll by a page", .action = SCREEN_PAGE_UP},
    {.keys = "PageDown Space", .help = "scroll by a page", .action = SCREEN_PAGE_DOWN},
    {.names = "top g",
     .keys = "Home",
     .help = "to the file's start",
     .run = do_on_screen,
     .action = SCREEN_TOP},
    {.keys = "End G", .help = "to the file's end", .action = SCREEN_BOTTOM},
    {.keys = "Left", .help = "scroll to the left", .action = SCREEN_LEFT},
    {.keys = "Right", .help = "scroll to the right", .action = SCREEN_RIGHT},
    {.keys = ":", .help = "type a command", .action = SCREEN_PROMPT},
    {.keys = "Ctrl-L", .help = "draw anew", .action = SCREEN_REDRAW},
    {.names = "help h",
     .keys = "h F1",
     .help = "this help; again leaves it",
     .run = do_help,
     .action = SCREEN_HELP},
    {.names = "quit q exit", .keys = "q", .help = "leave", .run = do_quit},
};
const size_t n_replay_commands = sizeof(replay_commands) / sizeof(replay_commands[0]);

/* --- parsing --- */

/* Whether a word is among the names of a command, or with `is_prefix`, begins the first of them. */
static bool has_name(const struct replay_command *c, const char *word, size_t len, bool is_prefix)
{
	const char *name = c->names;

	if (!name || !c->help)
		return false;
	if (is_prefix)
		return strncmp(name, word, len) == 0;
	for (; *name; name += strcspn(name, " "), name += strspn(name, " ")) {
		if (strcspn(name, " ") == len && memcmp(name, word, len) == 0)
			return true;
	}
	return false;
}

static const struct replay_command *find_command(const char *word, size_t len)
{
	const struct replay_command *found = NULL;

	for (size_t i = 0; i < n_replay_commands; i++) {
		if (has_name(&replay_commands[i], word, len, false))
			return &replay_commands[i];
	}
	/* One letter is a command or a mistake. */
	for (size_t i = 0; len > 1 && i < n_replay_commands; i++) {
		if (!has_name(&replay_commands[i], word, len, true))
			continue;
		if (found)
			return NULL;
		found = &replay_commands[i];
	}
	return found;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* "j-3m" is j, "reverse-next" is one word; what is no letter is a word of its own. */
static size_t word_length(const char *text)
{
	size_t n = 0;

	if (!is_letter(*text))
		return *text ? 1 : 0;
	while (is_letter(text[n]) || (n > 1 && text[n] == '-' && is_letter(text[n + 1])))
		n++;
	return n;
}

static void refuse_unknown(struct answer *a, const char *word, size_t len)
{
	auto_free char *text = xstrndup(word, len);
	auto_free char *shown = replay_shown_text(word, len);
	char *names[sizeof(replay_commands) / sizeof(replay_commands[0])];
	const char *similar = NULL;
	size_t n = 0;

	for (size_t i = 0; i < n_replay_commands; i++) {
		const struct replay_command *c = &replay_commands[i];

		if (c->names && c->help)
			names[n++] = xstrndup(c->names, strcspn(c->names, " "));
	}
	if (len > 1)
		similar = find_similar(text, (const char *const *)names, n);
	if (similar)
		replay_refuse(a, "unknown command '%s'; did you mean %s?", shown, similar);
	else
		replay_refuse(a, "unknown command '%s'; help lists them", shown);
	while (n)
		free(names[--n]);
}

/* A number before a command, or behind one that takes nothing else. */
static unsigned take_count(const char **text)
{
	size_t n = strspn(*text, "0123456789");
	auto_free char *digits = xstrndup(*text, n);
	uint64_t count;

	if (n == 0 || parse_count(digits, COUNT_MAX, &count) < 0)
		return 0;
	*text += n;
	*text += strspn(*text, " ");
	return (unsigned)count;
}

static int run(struct replay *r, const char *text, struct answer *ret)
{
	unsigned count = take_count(&text);
	size_t len = word_length(text);
	const struct replay_command *c = find_command(text, len);
	const char *args = text + len;

	if (!c) {
		refuse_unknown(ret, text, len);
		return -EINVAL;
	}
	args += strspn(args, " ");
	ret->command = c;
	if (!c->args && *args) {
		count = take_count(&args);
		if (!count || *args)
			return replay_refuse(ret, "%.*s takes no more words: '%s'",
					     (int)strcspn(c->names, " "), c->names, args);
	}
	return c->run(r, args, count ? count : 1, ret);
}

void replay_command(struct replay *r, const char *line, struct answer *ret)
{
	auto_free char *text = NULL;
	size_t len;

	*ret = (struct answer){.kind = ANSWER_PLACE};
	line += strspn(line, " \t");
	if (!*line)
		line = r->last_command ? r->last_command : "place";
	text = xstrdup(line);
	len = strlen(text);
	while (len && strchr(" \t\r\n", text[len - 1]))
		text[--len] = 0;
	run(r, text, ret);
	if (ret->command) {
		free(r->last_command);
		r->last_command = ret->command->repeats ? xstrdup(text) : NULL;
	}
}

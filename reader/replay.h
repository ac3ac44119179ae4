/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replay: a debugger on what was recorded. Holds the cursor, breakpoints, bookmarks and what is
 * shown, and understands commands (docs: the table in reader/replay_commands.c). Knows no terminal:
 * the screen, the batch mode and the tests drive it alike. All text from the trace is given as it
 * is; whoever shows it makes it harmless.
 */
#ifndef READER_REPLAY_H
#define READER_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/trace_schema.h"
#include "reader/clock_map.h"
#include "reader/cursor.h"
#include "reader/source_text.h"
#include "reader/thread_state.h"

struct replay;
struct trace_code;
struct trace_file;

/*
 * @trace  lent
 * @why    on error, for people
 * Returns 0 with the cursor at the first position if there is one, or a negative errno.
 */
int replay_new(struct trace *trace, struct replay **ret, char *why, size_t why_size);
void replay_free(struct replay *r);
DEFINE_CLEANUP(struct replay *, replay_free)

/* Times are shown in UTC, not in the zone of the machine that recorded. */
void replay_use_utc(struct replay *r);
/* Lent. */
void replay_set_thread_states(struct replay *r, const struct thread_states *states);
void replay_set_cancel(struct replay *r, struct cancel cancel);

/*
 * While the trace is being recorded: let go of it until replay_refresh(), which shows what has
 * come since and leaves the cursor where it is. Between the two only what is documented so may be
 * called. Both do nothing with a trace that has ended.
 */
void replay_release(struct replay *r);
int replay_refresh(struct replay *r);

/* How the trace ends. May be called at any time. */
enum trace_end {
	TRACE_END_WRITTEN,     /* it has ended */
	TRACE_END_STILL_GROWS, /* it is being recorded: what is newest is not the end */
	TRACE_END_CUT_OFF,     /* its recorder died */
};
enum trace_end replay_trace_end(const struct replay *r);

/* --- where we are --- */

/* The present position, seen from the selected frame. */
struct place {
	uint64_t time_ns;  /* when it began */
	uint64_t at_ns;	   /* the moment that was jumped to, or the same */
	uint64_t until_ns; /* until when it is known to have lasted */
	enum ending ending;
	uint16_t thread;
	uint32_t depth; /* of the stack */
	uint32_t frame; /* that is selected, 0 for the innermost */
	/* Of that frame; with an empty stack all 0. */
	uint32_t file;
	uint32_t code;
	int32_t line;	     /* 0: unknown */
	unsigned provenance; /* enum provenance, or a number of a newer program */
	bool is_sampled;     /* what happened between it and the next one may not be there */
	bool is_first;	     /* of the trace, or of the thread that is followed */
	bool is_last;
	bool is_after_gap; /* nothing is known of the time before */
	bool is_damaged;   /* events are missing here */
	struct thread_state state;
};
/* Returns 1, 0 when there is no position at all, or a negative errno. */
int replay_place(struct replay *r, struct place *ret);

/* The stack there, outermost first; lent until the next command. */
const struct cursor_frame *replay_stack(struct replay *r, uint32_t *ret_depth);
struct trace *replay_trace(const struct replay *r);
struct cursor *replay_cursor(const struct replay *r);
/* May be called at any time, as those below. */
const struct clock_map *replay_clock(const struct replay *r);
/* Of the trace, monotonic. */
void replay_bounds(const struct replay *r, uint64_t *ret_start_ns, uint64_t *ret_end_ns);

/* --- what is shown --- */

/* The file that is shown: that of the selected frame, or another one. 0: none. */
uint32_t replay_shown_file(struct replay *r);
/* Its text; NULL when it is not in the trace. Lent until another file is shown. */
const struct source_text *replay_source(struct replay *r);
/* The line in the middle of what is shown. */
int32_t replay_shown_line(struct replay *r);
void replay_scroll_to(struct replay *r, int32_t line);

struct breakpoint {
	unsigned number;
	char *what; /* as it is shown: "path:12" or "function" */
	char *path; /* NULL: a function */
	int32_t line;
	uint32_t in_file; /* one with that path; of a function: 0 when it may be in any */
	struct stop stop; /* what is lent there is owned here */
};
/* Lent until the next command. */
const struct breakpoint *replay_breakpoints(const struct replay *r, size_t *ret_n);
/* bool: on a line of the file that is shown. */
bool replay_has_breakpoint(struct replay *r, int32_t line);

struct bookmark {
	char *name;
	uint64_t time_ns;
	uint16_t thread; /* whose position it is */
};
const struct bookmark *replay_bookmarks(const struct replay *r, size_t *ret_n);

/* --- commands --- */

enum answer_kind {
	ANSWER_PLACE,	    /* we are somewhere, maybe somewhere else */
	ANSWER_STACK,	    /* show the stack */
	ANSWER_SOURCE,	    /* show the lines from first to last */
	ANSWER_THREADS,	    /* show all threads */
	ANSWER_BREAKPOINTS, /* show them */
	ANSWER_BOOKMARKS,
	ANSWER_FILES,
	ANSWER_HELP,
	ANSWER_TEXT, /* show the note */
	ANSWER_QUIT,
	ANSWER_ERROR,  /* show the note */
	ANSWER_SCREEN, /* something that only a screen can do: see command->action */
};

struct answer {
	enum answer_kind kind;
	const struct replay_command *command; /* NULL when it was not understood */
	char *note;			      /* for people, or NULL */
	unsigned breakpoint; /* its number, where one was reached, made or deleted; otherwise 0 */
	int32_t first, last; /* lines, both included */
};
void answer_done(struct answer *a);
#define auto_answer __attribute__((cleanup(answer_done)))

/* Do what a line says. */
void replay_command(struct replay *r, const char *line, struct answer *ret);

/* --- all commands, for help and keys --- */

enum screen_action {
	SCREEN_NONE,
	SCREEN_HELP,
	SCREEN_FOLLOW,
	SCREEN_REDRAW,
	SCREEN_UP,
	SCREEN_DOWN,
	SCREEN_PAGE_UP,
	SCREEN_PAGE_DOWN,
	SCREEN_TOP,
	SCREEN_BOTTOM,
	SCREEN_LEFT,
	SCREEN_RIGHT,
	SCREEN_STACK,
	SCREEN_PROMPT,
};

struct replay_command {
	const char *names; /* blanks between; the first is the one to show; NULL: only a key */
	const char *keys;  /* of the screen that do it at once, blanks between; NULL: none */
	const char *args;  /* as shown; NULL: none */
	const char *help;
	int (*run)(struct replay *r, const char *args, unsigned count, struct answer *ret);
	enum screen_action action;
	bool repeats; /* an empty line does it again */
};
/* A row without help begins a group with its names as the title. */
extern const struct replay_command replay_commands[];
extern const size_t n_replay_commands;

/*
 * What can stand in place of the last word of a line: paths of files, functions, names of
 * commands.
 * @ret  malloc()ed strings in a malloc()ed array, the caller frees all
 * Returns their number; each is the whole line with the word completed.
 */
size_t replay_complete(struct replay *r, const char *line, char ***ret);

#endif

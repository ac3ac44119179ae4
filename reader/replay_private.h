/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files replay*.c of the engine share. */
#ifndef READER_REPLAY_PRIVATE_H
#define READER_REPLAY_PRIVATE_H

#include "reader/replay.h"

struct replay {
	struct trace *trace;
	struct cursor *cursor;
	struct clock_map clock;
	uint64_t start_ns, end_ns;
	enum trace_end end;
	const struct thread_states *states;
	struct cancel cancel;

	/* Of the present position, read when they are needed. */
	struct cursor_frame *stack;
	uint32_t depth;
	bool stack_is_known;
	uint32_t frame; /* selected, 0 for the innermost */

	/* What is shown. */
	uint32_t other_file; /* 0: that of the selected frame */
	int32_t shown_line;  /* 0: the frame's */
	int32_t next_listed; /* where `list` goes on; 0: around the shown line */
	uint32_t source_file;
	struct source_text source;
	bool has_source;

	struct breakpoint *breakpoints;
	size_t n_breakpoints, cap_breakpoints;
	unsigned last_number;
	struct bookmark *bookmarks;
	size_t n_bookmarks, cap_bookmarks;

	char *last_command; /* what an empty line does again */
	char *last_search;
	int search_direction;
	char *last_function; /* that was searched for */
};

/* After each movement: the innermost frame, its file and line. */
void replay_arrived(struct replay *r);
/* The selected frame. False with an empty stack. */
bool replay_selected(struct replay *r, struct cursor_frame *ret);
/* An answer that says what was wrong. Returns -EINVAL. */
int replay_refuse(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void replay_note(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* For what the trace or the system refused. Returns r. */
int replay_fail(struct answer *a, int r);
/* Fails when there is no position. */
int replay_need_place(struct replay *r, struct answer *a);

/* To a moment, with a note when nothing was seen then. Returns 0 or a negative errno. */
int replay_jump_to(struct replay *r, uint64_t time_ns, struct answer *a);

/* A name or path of the trace, for a message. The caller frees. */
char *replay_shown_text(const char *text, size_t len);

/*
 * The file that a user's text means: its path, or the end of it from a '/' on. The newest with a
 * text, if any.
 */
int replay_find_file(struct replay *r, const char *text, uint32_t *ret, struct answer *a);
/* What a user's text means: FILE:LINE, LINE, FUNCTION, FILE:FUNCTION, "" for the present line. */
int replay_find_stop(struct replay *r, const char *text, struct breakpoint *ret, struct answer *a);
int replay_find_function(struct replay *r, const char *text, struct breakpoint *ret,
			 struct answer *a);
void replay_stop_done(struct breakpoint *b);
/* After the trace was refreshed. */
int replay_stops_refresh(struct replay *r);

/* The commands; see their table. */
int replay_do_next(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_step(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_continue(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_finish(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_until(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_back_next(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_back_step(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_back_continue(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_back_finish(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_back_until(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_visit(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_back_visit(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_jump(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_gap(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_back_gap(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_wait(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_back_wait(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_turn(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_back_turn(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_mark(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_go(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_break(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_delete(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_up(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_down(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_file(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_list(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_search(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_back_search(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_match(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_back_match(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_thread(struct replay *r, const char *args, unsigned count, struct answer *a);
int replay_do_state(struct replay *r, const char *args, unsigned count, struct answer *a);

#endif

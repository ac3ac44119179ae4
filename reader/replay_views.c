/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that look around without moving in time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "common/xalloc.h"
#include "reader/replay_private.h"
#include "reader/trace.h"

/* Lines that `list` shows. */
#define LIST_LINES 11

/* --- frames --- */

static void select_frame(struct replay *r, uint32_t frame)
{
	r->frame = frame;
	r->other_file = 0;
	r->shown_line = 0;
	r->next_listed = 0;
}

int replay_do_up(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	uint32_t depth;

	(void)args;
	replay_stack(r, &depth);
	if (r->frame + 1 >= depth)
		return replay_refuse(a, "this is the outermost frame");
	select_frame(r, count < depth - r->frame ? r->frame + count : depth - 1);
	return 0;
}

int replay_do_down(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	if (r->frame == 0)
		return replay_refuse(a, "this is the innermost frame");
	select_frame(r, count < r->frame ? r->frame - count : 0);
	return 0;
}

/* --- files --- */

static bool has_path_of(struct replay *r, uint32_t one, uint32_t other)
{
	const struct trace_file *a = trace_get_file(r->trace, one);
	const struct trace_file *b = trace_get_file(r->trace, other);

	return a && b && a->path_len == b->path_len && memcmp(a->path, b->path, a->path_len) == 0;
}

int replay_do_file(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	uint32_t file;
	int e;

	(void)count;
	if (!*args) {
		a->kind = ANSWER_FILES;
		return 0;
	}
	e = replay_find_file(r, args, &file, a);
	if (e < 0)
		return e;
	select_frame(r, r->frame);
	/* Of a path that had several texts, the one that runs here. */
	if (!has_path_of(r, file, replay_shown_file(r)))
		r->other_file = file;
	if (!replay_source(r))
		replay_note(a, "the text of this file is not in the trace");
	return 0;
}

static int list_lines(struct replay *r, int32_t first, int32_t last, struct answer *a)
{
	const struct source_text *s = replay_source(r);

	if (!replay_shown_file(r))
		return replay_refuse(a, "no followed code is running, so there is no source");
	if (!s)
		return replay_refuse(a, "the text of this file is not in the trace");
	if (first < 1)
		first = 1;
	if (last > s->n_lines)
		last = s->n_lines;
	if (first > last)
		return replay_refuse(a, "the file has %d line%s", s->n_lines,
				     s->n_lines == 1 ? "" : "s");
	a->kind = ANSWER_SOURCE;
	a->first = first;
	a->last = last;
	r->next_listed = last + 1;
	return 0;
}

/* list, list LINE, list FIRST,LAST */
int replay_do_list(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	auto_free char *text = xstrdup(args);
	char *comma = strchr(text, ',');
	uint64_t first, last;
	int32_t middle;

	(void)count;
	if (!*args && r->next_listed)
		return list_lines(r, r->next_listed, r->next_listed + LIST_LINES - 1, a);
	if (!*args) {
		middle = replay_shown_line(r);
		return list_lines(r, middle - LIST_LINES / 2, middle + LIST_LINES / 2, a);
	}
	if (comma)
		*comma++ = 0;
	if (parse_count(text, INT32_MAX / 2, &first) < 0)
		return replay_refuse(a, "which lines? E.g. list 12, or list 10,20");
	if (!comma)
		return list_lines(r, (int32_t)first - LIST_LINES / 2,
				  (int32_t)first + LIST_LINES / 2, a);
	comma += strspn(comma, " ");
	if (parse_count(comma, INT32_MAX / 2, &last) < 0 || last < first)
		return replay_refuse(a, "which lines? E.g. list 12, or list 10,20");
	return list_lines(r, (int32_t)first, (int32_t)last, a);
}

/* --- searching in the source --- */

static int search(struct replay *r, int direction, struct answer *a)
{
	const struct source_text *s = replay_source(r);
	int32_t line;

	if (!r->last_search)
		return replay_refuse(a, "search for what? /text searches");
	if (!s)
		return replay_refuse(a, "the text of this file is not in the trace");
	line = source_text_find(s, r->last_search, replay_shown_line(r), direction);
	if (!line)
		return replay_refuse(a, "not in this file: %s", r->last_search);
	replay_scroll_to(r, line);
	a->kind = ANSWER_SOURCE;
	a->first = a->last = line;
	r->next_listed = 0;
	return 0;
}

static int start_search(struct replay *r, const char *args, int direction, struct answer *a)
{
	if (*args) {
		free(r->last_search);
		r->last_search = xstrdup(args);
	}
	r->search_direction = direction;
	return search(r, direction, a);
}

int replay_do_search(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)count;
	return start_search(r, args, 1, a);
}

int replay_do_back_search(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)count;
	return start_search(r, args, -1, a);
}

static int match(struct replay *r, int direction, unsigned count, struct answer *a)
{
	int e = 0;

	for (unsigned i = 0; e == 0 && i < count; i++)
		e = search(r, direction, a);
	return e;
}

int replay_do_match(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return match(r, r->search_direction ? r->search_direction : 1, count, a);
}

int replay_do_back_match(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return match(r, r->search_direction ? -r->search_direction : -1, count, a);
}

/* --- threads --- */

int replay_do_thread(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	uint64_t number = 0;
	int e = replay_need_place(r, a);

	(void)count;
	if (e < 0)
		return e;
	if (!*args) {
		a->kind = ANSWER_THREADS;
		return 0;
	}
	if (strcmp(args, "all") != 0 && parse_count(args, UINT16_MAX, &number) < 0)
		return replay_refuse(a, "which thread? Give its number, or all; `threads` lists "
					"them");
	e = cursor_follow(r->cursor, (uint16_t)number);
	if (e < 0)
		return replay_fail(a, e);
	if (e == 0)
		return replay_refuse(a,
				     "there is no thread %u, or nothing was seen of it; "
				     "`threads` lists them",
				     (unsigned)number);
	replay_arrived(r);
	if (number)
		replay_note(a, "follows thread %u", (unsigned)number);
	else
		replay_note(a, "follows all threads");
	return 0;
}

/* --- the state, to paste --- */

/* For a POSIX shell. */
static char *quoted(const char *word)
{
	auto_free char *text = xmalloc(4 * strlen(word) + 3);
	char *out = text;

	if (*word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789/._-+:,@%=") == strlen(word))
		return xstrdup(word);
	*out++ = '\'';
	for (; *word; word++) {
		if (*word == '\'') {
			memcpy(out, "'\\''", 4);
			out += 4;
		} else {
			*out++ = *word;
		}
	}
	*out++ = '\'';
	*out = 0;
	return xstrdup(text);
}

int replay_do_state(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	const char *db = trace_path(r->trace), *name = strrchr(db, '/');
	auto_free char *folder = name && name > db && strcmp(name + 1, TRACE_FILE_NAME) == 0
				     ? xstrndup(db, (size_t)(name - db))
				     : xstrdup(db);
	auto_free char *path = quoted(folder);
	char time[CLOCK_TEXT_SIZE];
	int e = replay_need_place(r, a);

	(void)args;
	(void)count;
	if (e < 0)
		return e;
	clock_map_format_exact(&r->clock, cursor_time(r->cursor), time);
	a->kind = ANSWER_TEXT;
	if (cursor_followed(r->cursor))
		replay_note(a, "trackexec replay %s --at %s --thread %u", path, time,
			    cursor_followed(r->cursor));
	else
		replay_note(a, "trackexec replay %s --at %s", path, time);
	return 0;
}

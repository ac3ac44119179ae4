/* SPDX-License-Identifier: BSD-3-Clause */
/* What a user's text means: files, lines and functions of the trace; and the breakpoints there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/replay_private.h"
#include "reader/trace.h"

/* --- files --- */

/* Whether a path is meant by `text`: the whole of it, or its end from a '/' on. */
static bool is_meant(const struct trace_file *f, const char *text)
{
	size_t len;

	if (f->path_len == strlen(text) && memcmp(f->path, text, f->path_len) == 0)
		return true;
	while (*text == '/')
		text++;
	len = strlen(text);
	return len && f->path_len >= len && memcmp(f->path + f->path_len - len, text, len) == 0 &&
	       (f->path_len == len || f->path[f->path_len - len - 1] == '/');
}

static bool same_path(const struct trace_file *a, const struct trace_file *b)
{
	return a->path_len == b->path_len && memcmp(a->path, b->path, a->path_len) == 0;
}

static int refuse_ambiguous(struct answer *a, const char *text, const struct trace_file *one,
			    const struct trace_file *other)
{
	auto_free char *first = replay_shown_text(one->path, one->path_len);
	auto_free char *second = replay_shown_text(other->path, other->path_len);

	return replay_refuse(a, "'%s' can be %s or %s; give more of the path", text, first, second);
}

int replay_find_file(struct replay *r, const char *text, uint32_t *ret, struct answer *a)
{
	const struct trace_file *found = NULL;

	for (size_t i = 0; i < trace_n_files(r->trace); i++) {
		const struct trace_file *f = trace_file_nth(r->trace, i);

		if (!is_meant(f, text))
			continue;
		if (found && !same_path(found, f) && strlen(text) != found->path_len) {
			if (strlen(text) != f->path_len)
				return refuse_ambiguous(a, text, found, f);
			found = NULL;
		}
		/* The newer text of a path, unless there is none. */
		if (!found || (same_path(found, f) && f->state != FILE_MISSING))
			found = f;
	}
	if (!found)
		return replay_refuse(a, "no file of this trace is called '%s'", text);
	*ret = found->id;
	return 0;
}

/* All files with the path of one: it may have had several texts. */
static void add_files(struct replay *r, uint32_t file, struct stop *s)
{
	const struct trace_file *same = trace_get_file(r->trace, file);
	uint32_t *files = NULL;
	size_t cap = 0;

	s->n_files = 0;
	for (size_t i = 0; same && i < trace_n_files(r->trace); i++) {
		const struct trace_file *f = trace_file_nth(r->trace, i);

		if (!same_path(f, same))
			continue;
		files = xgrow(files, &cap, s->n_files + 1, sizeof(*files));
		files[s->n_files++] = f->id;
	}
	s->files = files;
}

/* --- breakpoints as values --- */

void replay_stop_done(struct breakpoint *b)
{
	free(b->what);
	free(b->path);
	free(b->stop.files);
	free(b->stop.codes);
	free(b->stop.lines);
	*b = (struct breakpoint){0};
}

static int set_line(struct replay *r, uint32_t file, int32_t line, struct breakpoint *ret,
		    struct answer *a)
{
	const struct trace_file *f = trace_get_file(r->trace, file);
	auto_free char *path = NULL;
	int ran = 0;

	if (!f)
		return replay_refuse(a, "no file is shown");
	path = replay_shown_text(f->path, f->path_len);
	*ret = (struct breakpoint){
	    .what = xasprintf("%s:%d", path, line),
	    .path = xstrndup(f->path, f->path_len),
	    .line = line,
	    .in_file = file,
	    .stop.line = line,
	};
	add_files(r, file, &ret->stop);
	for (size_t i = 0; ran == 0 && i < ret->stop.n_files; i++)
		ran = trace_line_ran(r->trace, ret->stop.files[i], line);
	if (ran < 0)
		return replay_fail(a, ran);
	if (ran == 0)
		return replay_refuse(a, "line %d of %s never ran in this trace", line, path);
	return 0;
}

/* Whether a code object is meant by the name of a function, or by the end of it from a '.' on. */
static bool is_function(const struct trace_code *c, const char *name)
{
	size_t len = strlen(name);

	return len && c->name_len >= len && memcmp(c->name + c->name_len - len, name, len) == 0 &&
	       (c->name_len == len || c->name[c->name_len - len - 1] == '.');
}

static bool is_inside(const struct trace_code *inner, const struct trace_code *outer)
{
	return (outer->name_len == 8 && memcmp(outer->name, "<module>", 8) == 0) ||
	       (inner->name_len > outer->name_len && inner->name[outer->name_len] == '.' &&
		memcmp(inner->name, outer->name, outer->name_len) == 0);
}

/*
 * The last line that can belong to a function: before the next one that is not inside. Up to
 * Python 3.10 names don't tell what is inside, so there it is the file's last.
 */
static int32_t last_line_of(struct replay *r, const struct trace_code *c)
{
	int64_t version = 0;
	int32_t last = INT32_MAX;

	if (trace_meta_int(r->trace, META_HEXVERSION, &version) < 0 || version < 0x030b0000)
		return last;
	for (size_t i = 0; i < trace_n_codes(r->trace); i++) {
		const struct trace_code *other = trace_code_nth(r->trace, i);

		if (other->file == c->file && other->first_line > c->first_line &&
		    other->first_line <= last && !is_inside(other, c))
			last = other->first_line - 1;
	}
	return last;
}

static int compare_lines(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

struct function {
	uint32_t *codes, *files;
	int32_t *lines;
	size_t n_codes, cap_codes, n_files, cap_files, n_lines, cap_lines;
};

static void add_line(struct function *f, int32_t line)
{
	f->lines = xgrow(f->lines, &f->cap_lines, f->n_lines + 1, sizeof(*f->lines));
	f->lines[f->n_lines++] = line;
}

/* A code object, with its file and those of its lines that are entered. */
static int add_code(struct replay *r, struct function *f, const struct trace_code *c)
{
	auto_free int32_t *lines = NULL;
	int32_t last;
	size_t n;
	int e;

	/* The same function, made again. */
	for (size_t i = 0; i < f->n_codes; i++) {
		const struct trace_code *known = trace_get_code(r->trace, f->codes[i]);

		if (known && known->file == c->file && known->first_line == c->first_line) {
			f->codes =
			    xgrow(f->codes, &f->cap_codes, f->n_codes + 1, sizeof(*f->codes));
			f->codes[f->n_codes++] = c->id;
			return 0;
		}
	}
	f->codes = xgrow(f->codes, &f->cap_codes, f->n_codes + 1, sizeof(*f->codes));
	f->codes[f->n_codes++] = c->id;
	f->files = xgrow(f->files, &f->cap_files, f->n_files + 1, sizeof(*f->files));
	f->files[f->n_files++] = c->file;
	e = trace_lines_run(r->trace, c->file, &lines, &n);
	last = last_line_of(r, c);
	for (size_t i = 0; i < n; i++) {
		if (lines[i] == 0 || (lines[i] >= c->first_line && lines[i] <= last))
			add_line(f, lines[i]);
	}
	return e;
}

static void unique_files(struct function *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_files; i++) {
		size_t j = 0;

		while (j < n && f->files[j] != f->files[i])
			j++;
		if (j == n)
			f->files[n++] = f->files[i];
	}
	f->n_files = n;
}

static void unique_lines(struct function *f)
{
	size_t n = 0;

	if (f->n_lines)
		qsort(f->lines, f->n_lines, sizeof(*f->lines), compare_lines);
	for (size_t i = 0; i < f->n_lines; i++) {
		if (n == 0 || f->lines[n - 1] != f->lines[i])
			f->lines[n++] = f->lines[i];
	}
	f->n_lines = n;
}

/* @file NULL: any. The codes are already in the order of their ids. */
static int resolve_function(struct replay *r, const char *name, const uint32_t *file,
			    struct stop *ret)
{
	const struct trace_file *of = file ? trace_get_file(r->trace, *file) : NULL;
	struct function f = {0};
	int e = 0;

	for (size_t i = 0; e == 0 && i < trace_n_codes(r->trace); i++) {
		const struct trace_code *c = trace_code_nth(r->trace, i);
		const struct trace_file *in = trace_get_file(r->trace, c->file);

		if (is_function(c, name) && (!of || (in && same_path(of, in))))
			e = add_code(r, &f, c);
	}
	unique_files(&f);
	unique_lines(&f);
	ret->codes = f.codes;
	ret->n_codes = f.n_codes;
	ret->files = f.files;
	ret->n_files = f.n_files;
	ret->lines = f.lines;
	ret->n_lines = f.n_lines;
	return e;
}

static int find_function_in(struct replay *r, const char *name, const uint32_t *file,
			    struct breakpoint *ret, struct answer *a)
{
	int e;

	*ret = (struct breakpoint){.what = xstrdup(name), .in_file = file ? *file : 0};
	e = resolve_function(r, name, file, &ret->stop);
	if (e < 0)
		return replay_fail(a, e);
	if (ret->stop.n_codes == 0)
		return replay_refuse(a, "no function '%s' was seen in this trace", name);
	if (ret->stop.n_lines == 0)
		return replay_refuse(a, "%s was not called in this trace", name);
	return 0;
}

int replay_find_function(struct replay *r, const char *text, struct breakpoint *ret,
			 struct answer *a)
{
	return find_function_in(r, text, NULL, ret, a);
}

static bool is_line(const char *text, int32_t *ret)
{
	uint64_t line;

	if (parse_count(text, INT32_MAX, &line) < 0)
		return false;
	*ret = (int32_t)line;
	return true;
}

int replay_find_stop(struct replay *r, const char *text, struct breakpoint *ret, struct answer *a)
{
	const char *colon = strrchr(text, ':');
	auto_free char *path = NULL;
	struct cursor_frame frame;
	uint32_t file = 0;
	int32_t line = 0;

	if (!*text) {
		if (r->other_file || !replay_selected(r, &frame) || frame.line <= 0)
			return replay_refuse(a, "which line? Give its number");
		return set_line(r, replay_shown_file(r), frame.line, ret, a);
	}
	if (is_line(text, &line))
		return set_line(r, replay_shown_file(r), line, ret, a);
	if (!colon)
		return replay_find_function(r, text, ret, a);
	path = xstrndup(text, (size_t)(colon - text));
	if (replay_find_file(r, path, &file, a) < 0)
		return -EINVAL;
	if (is_line(colon + 1, &line))
		return set_line(r, file, line, ret, a);
	return find_function_in(r, colon + 1, &file, ret, a);
}

int replay_stops_refresh(struct replay *r)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->n_breakpoints; i++) {
		struct breakpoint *b = &r->breakpoints[i];
		struct stop fresh = {.thread = b->stop.thread, .line = b->stop.line};

		if (b->path)
			add_files(r, b->in_file, &fresh);
		else
			e = resolve_function(r, b->what, b->in_file ? &b->in_file : NULL, &fresh);
		free(b->stop.files);
		free(b->stop.codes);
		free(b->stop.lines);
		b->stop = fresh;
	}
	return e;
}

/* --- setting and deleting --- */

static bool is_same(const struct breakpoint *x, const struct breakpoint *y)
{
	return strcmp(x->what, y->what) == 0 && x->stop.thread == y->stop.thread &&
	       x->line == y->line && (x->path || x->in_file == y->in_file);
}

static void delete_nth(struct replay *r, size_t i)
{
	replay_stop_done(&r->breakpoints[i]);
	r->n_breakpoints--;
	memmove(r->breakpoints + i, r->breakpoints + i + 1,
		(r->n_breakpoints - i) * sizeof(*r->breakpoints));
}

/* "WHAT thread N": cuts that off. */
static int take_thread(struct replay *r, char *text, uint16_t *ret, struct answer *a)
{
	char *at = strstr(text, "thread ");
	const struct trace_thread *threads;
	uint64_t number;
	size_t n;

	*ret = 0;
	if (!at || (at != text && at[-1] != ' '))
		return 0;
	if (parse_count(at + strlen("thread "), UINT16_MAX, &number) < 0)
		return replay_refuse(a, "thread which? Give its number; `threads` lists them");
	threads = cursor_threads(r->cursor, &n);
	for (size_t i = 0; i < n; i++) {
		if (threads[i].id == number)
			*ret = threads[i].id;
	}
	if (!*ret)
		return replay_refuse(a, "there is no thread %d; `threads` lists them", (int)number);
	while (at > text && at[-1] == ' ')
		at--;
	*at = 0;
	return 0;
}

/* Set it, or delete the one that is there. Takes b. */
static int toggle(struct replay *r, struct breakpoint *b, struct answer *a)
{
	for (size_t i = 0; i < r->n_breakpoints; i++) {
		if (!is_same(&r->breakpoints[i], b))
			continue;
		a->breakpoint = r->breakpoints[i].number;
		replay_note(a, "breakpoint %u deleted", a->breakpoint);
		delete_nth(r, i);
		replay_stop_done(b);
		return 0;
	}
	b->number = ++r->last_number;
	a->breakpoint = b->number;
	replay_note(a, "breakpoint %u at %s", b->number, b->what);
	r->breakpoints = xgrow(r->breakpoints, &r->cap_breakpoints, r->n_breakpoints + 1,
			       sizeof(*r->breakpoints));
	r->breakpoints[r->n_breakpoints++] = *b;
	return 0;
}

int replay_do_break(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	auto_free char *text = xstrdup(args);
	struct breakpoint b = {0};
	uint16_t thread;
	int e;

	(void)count;
	if (strcmp(args, "list") == 0) {
		a->kind = ANSWER_BREAKPOINTS;
		return 0;
	}
	e = take_thread(r, text, &thread, a);
	if (e == 0)
		e = replay_find_stop(r, text, &b, a);
	if (e < 0 || !b.what) {
		replay_stop_done(&b);
		return e;
	}
	b.stop.thread = thread;
	return toggle(r, &b, a);
}

int replay_do_delete(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	uint64_t number;

	(void)count;
	if (!*args)
		return replay_refuse(a, "which breakpoint? Give its number, or all");
	if (strcmp(args, "all") == 0) {
		replay_note(a, "%zu breakpoint%s deleted", r->n_breakpoints,
			    r->n_breakpoints == 1 ? "" : "s");
		while (r->n_breakpoints)
			delete_nth(r, r->n_breakpoints - 1);
		return 0;
	}
	if (parse_count(args, UINT32_MAX, &number) < 0)
		return replay_refuse(a, "'%s' is no breakpoint's number; `breakpoints` lists them",
				     args);
	for (size_t i = 0; i < r->n_breakpoints; i++) {
		if (r->breakpoints[i].number != number)
			continue;
		delete_nth(r, i);
		a->breakpoint = (unsigned)number;
		replay_note(a, "breakpoint %u deleted", (unsigned)number);
		return 0;
	}
	return replay_refuse(a, "there is no breakpoint %u; `breakpoints` lists them",
			     (unsigned)number);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/diff_match.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "reader/line_match.h"
#include "reader/source_text.h"
#include "reader/trace.h"

struct side {
	const struct diff_side *of;
	size_t n_functions;
	uint32_t *like; /* of each function, the one of the other side */
	/* Different paths, and of each function which. */
	const char **paths;
	size_t n_paths, cap_paths, cap_path_files;
	uint32_t *path_files; /* of each path, a file */
	uint32_t *path_of;
	uint32_t *path_like; /* of each path, that of the other side */
	struct hash_index path_index;
};

struct diff_match {
	struct side old_side, new_side;
	struct hash_index old_functions; /* by name and path */
};

static const struct trace_code *code_of(const struct diff_side *s, uint32_t function)
{
	return trace_get_code(s->trace, s->profile->functions[function].code);
}

/* --- files --- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

size_t diff_common_components(const char *a, const char *b)
{
	size_t i = strlen(a), j = strlen(b), n = 0, same = 0;

	if (strcmp(a, b) == 0)
		return SIZE_MAX;
	while (i > 0 && j > 0 && a[i - 1] == b[j - 1]) {
		i--;
		j--;
		same++;
		if (a[i] == '/')
			n++;
	}
	/* All of one of them is the end of the other. */
	if (same && ((i == 0 && j > 0 && b[j - 1] == '/') || (j == 0 && i > 0 && a[i - 1] == '/')))
		n++;
	/* Each package has its __init__.py. */
	if (n == 1 && strncmp(base_name(a), "__", 2) == 0)
		return 0;
	return n;
}

static void read_paths(struct side *s)
{
	for (uint32_t i = 0; i < s->n_functions; i++) {
		const struct trace_code *code = code_of(s->of, i);
		const struct trace_file *f = code ? trace_get_file(s->of->trace, code->file) : NULL;
		const char *path = f ? f->path : "";
		uint32_t hash = hash_fold(hash_bytes(path, strlen(path)));

		s->path_of[i] = PROFILE_NONE;
		HASH_INDEX_FOR_EACH(&s->path_index, hash, at, id)
		{
			if (strcmp(s->paths[id], path) == 0)
				s->path_of[i] = id;
		}
		if (s->path_of[i] != PROFILE_NONE)
			continue;
		s->paths = xgrow(s->paths, &s->cap_paths, s->n_paths + 1, sizeof(*s->paths));
		s->paths[s->n_paths] = path;
		s->path_files = xgrow(s->path_files, &s->cap_path_files, s->n_paths + 1,
				      sizeof(*s->path_files));
		s->path_files[s->n_paths] = f ? f->id : 0;
		hash_index_add(&s->path_index, hash, (uint32_t)s->n_paths);
		s->path_of[i] = (uint32_t)s->n_paths++;
	}
}

static uint32_t nearest_path(const struct side *among, const char *path)
{
	uint32_t best = PROFILE_NONE;
	size_t most = 0;

	for (uint32_t i = 0; i < among->n_paths; i++) {
		size_t n = diff_common_components(among->paths[i], path);

		if (n > most) {
			most = n;
			best = i;
		}
	}
	return best;
}

/* Two are the same when each is nearest to the other. */
static void match_paths(struct diff_match *m)
{
	struct side *o = &m->old_side, *n = &m->new_side;

	o->path_like = xcalloc(o->n_paths + 1, sizeof(*o->path_like));
	n->path_like = xcalloc(n->n_paths + 1, sizeof(*n->path_like));
	for (uint32_t i = 0; i < o->n_paths; i++)
		o->path_like[i] = nearest_path(n, o->paths[i]);
	for (uint32_t i = 0; i < n->n_paths; i++) {
		uint32_t like = nearest_path(o, n->paths[i]);

		n->path_like[i] =
		    like != PROFILE_NONE && o->path_like[like] == i ? like : PROFILE_NONE;
	}
}

/* --- functions --- */

static uint32_t name_hash(const struct trace_code *code, uint32_t path)
{
	return hash_fold(hash_mix(hash_bytes(code->name, code->name_len), path));
}

static void match_functions(struct diff_match *m)
{
	struct side *o = &m->old_side, *n = &m->new_side;

	for (uint32_t i = 0; i < o->n_functions; i++) {
		const struct trace_code *code = code_of(o->of, i);

		o->like[i] = PROFILE_NONE;
		if (code)
			hash_index_add(&m->old_functions, name_hash(code, o->path_of[i]), i);
	}
	for (uint32_t i = 0; i < n->n_functions; i++) {
		const struct trace_code *code = code_of(n->of, i), *known;
		uint32_t path = n->path_like[n->path_of[i]];

		n->like[i] = PROFILE_NONE;
		if (!code || path == PROFILE_NONE)
			continue;
		HASH_INDEX_FOR_EACH(&m->old_functions, name_hash(code, path), at, id)
		{
			known = code_of(o->of, id);
			if (o->path_of[id] != path || o->like[id] != PROFILE_NONE ||
			    known->name_len != code->name_len ||
			    memcmp(known->name, code->name, code->name_len) != 0)
				continue;
			n->like[i] = id;
			o->like[id] = i;
			break;
		}
	}
}

static void side_init(struct side *s, const struct diff_side *of)
{
	s->of = of;
	s->n_functions = of->profile->n_functions;
	s->like = xcalloc(s->n_functions + 1, sizeof(*s->like));
	s->path_of = xcalloc(s->n_functions + 1, sizeof(*s->path_of));
	read_paths(s);
}

struct diff_match *diff_match_make(const struct diff_side *old_side,
				   const struct diff_side *new_side)
{
	struct diff_match *m = xcalloc(1, sizeof(*m));

	side_init(&m->old_side, old_side);
	side_init(&m->new_side, new_side);
	match_paths(m);
	match_functions(m);
	return m;
}

static void side_done(struct side *s)
{
	free(s->like);
	free(s->paths);
	free(s->path_files);
	free(s->path_of);
	free(s->path_like);
	hash_index_done(&s->path_index);
}

void diff_match_free(struct diff_match *m)
{
	side_done(&m->old_side);
	side_done(&m->new_side);
	hash_index_done(&m->old_functions);
	free(m);
}

uint32_t diff_match_old(const struct diff_match *m, uint32_t new_function)
{
	return new_function < m->new_side.n_functions ? m->new_side.like[new_function]
						      : PROFILE_NONE;
}

uint32_t diff_match_new(const struct diff_match *m, uint32_t old_function)
{
	return old_function < m->old_side.n_functions ? m->old_side.like[old_function]
						      : PROFILE_NONE;
}

/* Of "Worker.run", "run"; NULL for what has no name of its own, as "<lambda>". */
static const char *last_name(const char *qualified)
{
	const char *dot = strrchr(qualified, '.'), *name = dot ? dot + 1 : qualified;

	return *name && *name != '<' ? name : NULL;
}

static bool defines(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = text; (at = strstr(at, "def ")); at++) {
		const char *after = at + 4 + strspn(at + 4, " \t");

		if (strncmp(after, name, len) == 0 && strspn(after + len, " \t([\\") > 0)
			return true;
	}
	return false;
}

bool diff_match_is_absent(const struct diff_match *m, bool is_new, uint32_t function)
{
	const struct side *here = is_new ? &m->new_side : &m->old_side;
	const struct side *there = is_new ? &m->old_side : &m->new_side;
	const struct trace_code *code = code_of(here->of, function);
	const char *name = code ? last_name(code->name) : NULL;
	uint32_t path = here->path_like[here->path_of[function]];
	auto_free char *text = NULL;
	size_t len;

	if (!name || path >= there->n_paths ||
	    trace_file_source(there->of->trace, there->path_files[path], &text, &len) < 0)
		return false;
	return !defines(text, name);
}

/* --- lines --- */

/* Of a function, and how many lines it has; its source is NULL when that is not known. */
static void read_function(const struct diff_side *s, uint32_t function, struct source_text *text,
			  int32_t *ret_first, size_t *ret_n)
{
	const struct profile_function *f = &s->profile->functions[function];
	const struct trace_code *code = code_of(s, function);
	int32_t first = f->first_line > 0 ? f->first_line : 1, last = first;
	char *source = NULL;
	size_t len = 0;

	if (f->n_lines)
		last = s->profile->lines[f->first + f->n_lines - 1].line;
	if (code && trace_file_source(s->trace, code->file, &source, &len) == 0)
		source_text_init(text, source, len);
	if (text->text && code && strcmp(code->name, "<module>") == 0) {
		first = 1;
		last = text->n_lines;
	} else if (text->text && first <= text->n_lines) {
		last = function_last_line(text, first, last);
	}
	if (text->text && last > text->n_lines)
		last = text->n_lines;
	*ret_first = first;
	*ret_n = last >= first ? (size_t)(last - first) + 1 : 0;
}

void diff_lines_init(struct diff_lines *l, const struct diff_side *old_side, uint32_t old_function,
		     const struct diff_side *new_side, uint32_t new_function)
{
	struct source_text old_text = {0}, new_text = {0};

	*l = (struct diff_lines){0};
	read_function(old_side, old_function, &old_text, &l->old_first, &l->old_n);
	read_function(new_side, new_function, &new_text, &l->new_first, &l->new_n);
	l->are_known = old_text.text && new_text.text;
	if (l->are_known) {
		l->matches = xcalloc(l->old_n + 1, sizeof(*l->matches));
		line_match(&old_text, l->old_first, l->old_n, &new_text, l->new_first, l->new_n,
			   l->matches);
	}
	source_text_done(&old_text);
	source_text_done(&new_text);
}

void diff_lines_done(struct diff_lines *l)
{
	free(l->matches);
	*l = (struct diff_lines){0};
}

int32_t diff_lines_new(const struct diff_lines *l, int32_t old_line)
{
	int64_t at = (int64_t)old_line - l->old_first;

	if (at < 0 || (l->are_known && (uint64_t)at >= l->old_n))
		return 0;
	if (l->are_known)
		return l->matches[at] < 0 ? 0 : l->new_first + l->matches[at];
	return at + l->new_first <= INT32_MAX ? (int32_t)(at + l->new_first) : 0;
}

int32_t diff_lines_old(const struct diff_lines *l, int32_t new_line)
{
	int64_t at = (int64_t)new_line - l->new_first;

	if (at < 0)
		return 0;
	if (!l->are_known)
		return at + l->old_first <= INT32_MAX ? (int32_t)(at + l->old_first) : 0;
	for (size_t i = 0; i < l->old_n; i++) {
		if (l->matches[i] == at)
			return l->old_first + (int32_t)i;
	}
	return 0;
}

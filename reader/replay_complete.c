/* SPDX-License-Identifier: BSD-3-Clause */
/* What a line that is not whole yet can become. */
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "reader/replay_private.h"
#include "reader/trace.h"

struct completions {
	const char *start; /* of the line, up to the word */
	size_t start_len;
	const char *word;
	char **lines;
	size_t n, cap;
};

static void add(struct completions *c, const char *text, size_t len)
{
	char *line = xasprintf("%.*s%.*s", (int)c->start_len, c->start, (int)len, text);

	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->lines[i], line) == 0) {
			free(line);
			return;
		}
	}
	c->lines = xgrow(c->lines, &c->cap, c->n + 1, sizeof(*c->lines));
	c->lines[c->n++] = line;
}

static void try(struct completions *c, const char *text, size_t len)
{
	size_t word_len = strlen(c->word);

	if (len >= word_len && memcmp(text, c->word, word_len) == 0)
		add(c, text, len);
}

/* The shortest end of each path that nothing else ends with, and for "/…" longer ones, too. */
static void try_paths(struct replay *r, struct completions *c)
{
	for (size_t i = 0; i < trace_n_files(r->trace); i++) {
		const struct trace_file *f = trace_file_nth(r->trace, i);
		size_t at = f->path_len;

		/* From the last '/' to the first. */
		while (at > 0) {
			struct answer ignored = {0};
			auto_free char *end = NULL;
			uint32_t file;
			size_t from;
			bool is_one;

			for (at--; at > 0 && f->path[at] != '/'; at--)
				;
			from = f->path[at] == '/' && *c->word != '/' ? at + 1 : at;
			end = xstrndup(f->path + from, f->path_len - from);
			is_one = replay_find_file(r, end, &file, &ignored) == 0;
			answer_done(&ignored);
			if (!is_one)
				continue;
			try(c, end, strlen(end));
			break;
		}
		try(c, f->path, f->path_len);
	}
}

static void try_functions(struct replay *r, struct completions *c)
{
	for (size_t i = 0; i < trace_n_codes(r->trace); i++) {
		const struct trace_code *code = trace_code_nth(r->trace, i);

		try(c, code->name, code->name_len);
	}
}

static void try_commands(struct completions *c)
{
	for (size_t i = 0; i < n_replay_commands; i++) {
		const char *name = replay_commands[i].names;

		if (name && replay_commands[i].help)
			try(c, name, strcspn(name, " "));
	}
}

static void try_bookmarks(struct replay *r, struct completions *c)
{
	for (size_t i = 0; i < r->n_bookmarks; i++)
		try(c, r->bookmarks[i].name, strlen(r->bookmarks[i].name));
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t replay_complete(struct replay *r, const char *line, char ***ret)
{
	const char *blank = strrchr(line, ' ');
	struct completions c = {
	    .start = line,
	    .start_len = blank ? (size_t)(blank - line) + 1 : 0,
	};

	c.word = line + c.start_len;
	if (!blank)
		try_commands(&c);
	else if (*line == 'f')
		try_paths(r, &c);
	else if (strchr("vV", *line))
		try_functions(r, &c);
	else if (strchr("g'", *line))
		try_bookmarks(r, &c);
	else if (strchr("bdurU", *line)) {
		try_paths(r, &c);
		try_functions(r, &c);
	}
	if (c.n)
		qsort(c.lines, c.n, sizeof(*c.lines), compare);
	*ret = c.lines;
	return c.n;
}

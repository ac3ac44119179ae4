/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/analyse_filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/similar.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "reader/trace.h"

/* Names of a kind: paths, which end at '/', or functions, which end at '.'. */
struct names {
	const char *option;
	const char *what;
	char separator;
	size_t (*count)(struct trace *t);
	const char *(*nth)(struct trace *t, size_t i);
	uint32_t (*nth_id)(struct trace *t, size_t i);
};

static const char *nth_path(struct trace *t, size_t i)
{
	return trace_file_nth(t, i)->path;
}

static uint32_t nth_path_id(struct trace *t, size_t i)
{
	return trace_file_nth(t, i)->id;
}

static const char *nth_function(struct trace *t, size_t i)
{
	return trace_code_nth(t, i)->name;
}

static uint32_t nth_function_id(struct trace *t, size_t i)
{
	return trace_code_nth(t, i)->id;
}

static const struct names paths = {"--file", "file", '/', trace_n_files, nth_path, nth_path_id};
static const struct names functions = {"--function",  "function",   '.',
				       trace_n_codes, nth_function, nth_function_id};

static const char *last_part(const char *name, char separator)
{
	const char *at = strrchr(name, separator);

	return at && at[1] ? at + 1 : name;
}

static bool ends_with(const char *name, const char *end, char separator)
{
	size_t name_len = strlen(name), len = strlen(end);

	if (len == 0 || len > name_len || strcmp(name + name_len - len, end) != 0)
		return false;
	return len == name_len || name[name_len - len - 1] == separator;
}

static bool is_match(const char *name, const char *asked, char separator)
{
	auto_free char *anywhere = NULL;

	if (ends_with(name, asked, separator))
		return true;
	if (!strpbrk(asked, "*?["))
		return false;
	anywhere = xasprintf("*%c%s", separator, asked);
	return fnmatch(asked, name, 0) == 0 || fnmatch(anywhere, name, 0) == 0;
}

/* What there is instead, by its last part, where mistypes are; else by the whole. */
static const char *similar_name(struct trace *t, const struct names *names, const char *asked)
{
	size_t n = names->count(t);
	auto_free const char **parts = xcalloc(n + 1, sizeof(*parts));
	const char *found;

	for (size_t i = 0; i < n; i++)
		parts[i] = last_part(names->nth(t, i), names->separator);
	found = find_similar(last_part(asked, names->separator), parts, n);
	for (size_t i = 0; found && i < n; i++) {
		/* The whole of it, which is shown. */
		if (parts[i] == found)
			return names->nth(t, i);
	}
	return NULL;
}

static int find(struct trace *t, const struct names *names, const char *asked, uint32_t **ret,
		size_t *ret_n, char *why, size_t why_size)
{
	auto_free char *safe = text_escape(asked, strlen(asked), "", text_locale_charset());
	auto_free char *safe_similar = NULL;
	const char *similar;
	size_t cap = 0;

	for (size_t i = 0, n = names->count(t); i < n; i++) {
		if (!is_match(names->nth(t, i), asked, names->separator))
			continue;
		*ret = xgrow(*ret, &cap, *ret_n + 1, sizeof(**ret));
		(*ret)[(*ret_n)++] = names->nth_id(t, i);
	}
	if (*ret_n)
		return 0;
	similar = similar_name(t, names, asked);
	if (similar)
		safe_similar = text_escape(similar, strlen(similar), "", text_locale_charset());
	if (similar)
		snprintf(why, why_size, "%s: no %s '%s' is in this trace; did you mean '%s'?",
			 names->option, names->what, safe, safe_similar);
	else
		snprintf(why, why_size,
			 "%s: no %s '%s' is in this trace, nor one that looks like it",
			 names->option, names->what, safe);
	return -ENOENT;
}

int analysis_filter_init(struct analysis_filter *f, struct trace *t, const char *file,
			 const char *function, char *why, size_t why_size)
{
	int r = 0;

	*f = (struct analysis_filter){.has_files = file, .has_codes = function};
	if (file)
		r = find(t, &paths, file, &f->files, &f->n_files, why, why_size);
	if (r == 0 && function)
		r = find(t, &functions, function, &f->codes, &f->n_codes, why, why_size);
	return r;
}

void analysis_filter_done(struct analysis_filter *f)
{
	free(f->files);
	free(f->codes);
	*f = (struct analysis_filter){0};
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* They are ascending as those of the trace are. */
static bool has(const uint32_t *ids, size_t n, uint32_t id)
{
	return n && bsearch(&id, ids, n, sizeof(*ids), compare_ids);
}

bool analysis_filter_has_file(const struct analysis_filter *f, uint32_t file)
{
	return !f->has_files || has(f->files, f->n_files, file);
}

bool analysis_filter_has_code(const struct analysis_filter *f, uint32_t code)
{
	return !f->has_codes || has(f->codes, f->n_codes, code);
}

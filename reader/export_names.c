/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/export_names.h"

#include <stdlib.h>

#include "common/hash_index.h"
#include "common/json.h"
#include "common/xalloc.h"
#include "reader/trace.h"
#include "reader/walk.h"

struct text {
	uint32_t id;
	char *quoted;
};

/* By id, of files or of code objects. */
struct texts {
	struct text *texts;
	size_t n, cap;
	struct hash_index index;
};

struct export_names {
	struct trace *trace;
	struct texts files;
	struct texts functions;
};

struct export_names *export_names_new(struct trace *t)
{
	struct export_names *n = xcalloc(1, sizeof(*n));

	n->trace = t;
	return n;
}

static void texts_done(struct texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->texts[i].quoted);
	free(t->texts);
	hash_index_done(&t->index);
}

void export_names_free(struct export_names *n)
{
	if (!n)
		return;
	texts_done(&n->files);
	texts_done(&n->functions);
	free(n);
}

/* NULL when it was not asked for before. */
static const char *find_text(const struct texts *t, uint32_t id)
{
	HASH_INDEX_FOR_EACH(&t->index, hash_fold(hash_mix(0, id)), at, i)
	{
		if (t->texts[i].id == id)
			return t->texts[i].quoted;
	}
	return NULL;
}

static const char *add_text(struct texts *t, uint32_t id, char *quoted)
{
	t->texts = xgrow(t->texts, &t->cap, t->n + 1, sizeof(*t->texts));
	t->texts[t->n] = (struct text){.id = id, .quoted = quoted};
	hash_index_add(&t->index, hash_fold(hash_mix(0, id)), (uint32_t)t->n++);
	return quoted;
}

static const char *file_text(struct export_names *n, uint32_t id)
{
	const char *known = find_text(&n->files, id);
	const struct trace_file *file;

	if (known)
		return known;
	file = trace_get_file(n->trace, id);
	return add_text(&n->files, id,
			file ? json_quote(file->path, file->path_len) : json_quote("?", 1));
}

static const char *function_text(struct export_names *n, uint32_t id)
{
	const char *known = find_text(&n->functions, id);
	const struct trace_code *code;

	if (known)
		return known;
	code = trace_get_code(n->trace, id);
	return add_text(&n->functions, id,
			code ? json_quote(code->name, code->name_len) : json_quote("?", 1));
}

struct export_name export_names_get(struct export_names *n, const struct walk_place *place)
{
	return (struct export_name){
	    .file = file_text(n, place->file),
	    .function = function_text(n, place->code),
	};
}

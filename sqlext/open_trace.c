/* SPDX-License-Identifier: BSD-3-Clause */
#include "sqlext/open_trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "reader/block_cache.h"
#include "reader/source_text.h"
#include "reader/trace.h"
#include "reader/trace_waits.h"

/* Texts of files that are kept: a stack goes through a few, and of each many lines are shown. */
#define N_SOURCES 16

struct source_cache {
	struct {
		uint32_t file; /* 0: free */
		struct source_text text;
	} kept[N_SOURCES];
	unsigned next;
};

static void free_sources(struct source_cache *s)
{
	for (unsigned i = 0; s && i < N_SOURCES; i++)
		source_text_done(&s->kept[i].text);
	free(s);
}

static void open_trace_free(struct open_trace *o)
{
	free_sources(o->sources);
	block_cache_free(o->cache);
	if (o->has_clock)
		clock_map_done(&o->clock);
	free(o->threads);
	trace_close(o->trace);
	free(o->native);
	free(o->path);
	free(o);
}

DEFINE_CLEANUP(struct open_trace *, open_trace_free)

static const char *common_provenance(struct trace *t)
{
	uint64_t counts[N_PROVENANCES];
	const char *found = NULL;

	if (trace_count_provenances(t, counts) < 0)
		return provenance_name(PROVENANCE_OBSERVED);
	for (unsigned i = 0; i < N_PROVENANCES; i++) {
		if (counts[i])
			found = found ? "mixed" : provenance_name(i);
	}
	return found ? found : provenance_name(PROVENANCE_OBSERVED);
}

static int load(struct open_trace *o, char *why, size_t why_size)
{
	int r = trace_open(o->path, &o->trace, why, why_size);

	if (r < 0)
		return r;
	r = trace_threads(o->trace, &o->threads, &o->n_threads);
	if (r < 0) {
		snprintf(why, why_size, "its table of threads cannot be read: %s",
			 r == -EBADMSG ? "damaged" : strerror(-r));
		return r;
	}
	if (trace_bounds(o->trace, &o->start_ns, &o->end_ns) < 0)
		o->start_ns = o->end_ns = 0;
	o->has_clock = clock_map_init(&o->clock, o->trace) == 0;
	if (trace_has_coarse_edges(o->trace) == 1)
		o->edges = "coarse";
	else if (trace_has_edges(o->trace) == 1)
		o->edges = "exact";
	o->provenance = common_provenance(o->trace);
	o->cache = block_cache_new(o->trace);
	o->sources = xcalloc(1, sizeof(*o->sources));
	return 0;
}

int open_trace_get(struct open_traces *all, const char *path, struct open_trace **ret, char *why,
		   size_t why_size)
{
	auto_release(open_trace_free) struct open_trace *o = NULL;
	int r;

	for (struct open_trace *known = all->first; known; known = known->next) {
		if (strcmp(known->path, path) == 0) {
			known->n_users++;
			*ret = known;
			return 0;
		}
	}
	o = xcalloc(1, sizeof(*o));
	o->path = xstrdup(path);
	r = load(o, why, why_size);
	if (r < 0)
		return r;
	o->n_users = 1;
	o->next = all->first;
	all->first = o;
	*ret = steal_ptr(o);
	return 0;
}

void open_trace_put(struct open_traces *all, struct open_trace *o)
{
	struct open_trace **at = &all->first;

	if (!o || --o->n_users)
		return;
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	open_trace_free(o);
}

/* One that is not there is an empty text. */
static const struct source_text *find_text(struct open_trace *o, uint32_t file)
{
	struct source_cache *s = o->sources;
	char *text = NULL;
	size_t len = 0;
	unsigned i;

	for (i = 0; i < N_SOURCES; i++) {
		if (s->kept[i].file == file)
			return &s->kept[i].text;
	}
	i = s->next;
	s->next = (i + 1) % N_SOURCES;
	source_text_done(&s->kept[i].text);
	if (trace_file_source(o->trace, file, &text, &len) < 0) {
		text = xstrdup("");
		len = 0;
	}
	source_text_init(&s->kept[i].text, text, len);
	s->kept[i].file = file;
	return &s->kept[i].text;
}

char *open_trace_source(struct open_trace *o, uint32_t file, int32_t line)
{
	const char *text;
	size_t len = 0;

	if (file == 0 || line <= 0)
		return NULL;
	text = source_text_line(find_text(o, file), line, &len);
	if (!text)
		return NULL;
	for (; len && strchr(" \t\f", *text); len--)
		text++;
	while (len && strchr(" \t\r\f", text[len - 1]))
		len--;
	return text_plain(text, len, TEXT_UTF8);
}

const char *open_trace_native(struct open_trace *o, uint32_t id)
{
	if (id != o->native_id || !o->native) {
		free(o->native);
		o->native = NULL;
		if (id == 0 || trace_native_frames(o->trace, id, &o->native) < 0)
			o->native = xstrdup("");
		o->native_id = id;
	}
	return o->native;
}

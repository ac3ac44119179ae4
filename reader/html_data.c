/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/html_data.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "reader/html_names.h"
#include "reader/html_pack.h"
#include "reader/html_profile.h"
#include "reader/trace.h"
#include "reader/trace_waits.h"
#include "reader/wait_text.h"

DEFINE_CLEANUP(struct html_pack *, html_pack_free)
DEFINE_CLEANUP(struct html_names *, html_names_free)

/* Of the page's data; one that does not know a number says so. */
#define DATA_FORMAT 1
/* A clock that was set more often than that is told by these. */
#define MAX_ANCHORS 1000

/* --- the object --- */

static void put_meta(struct trace *t, struct json_writer *j, const char *name, const char *key)
{
	auto_free char *text = NULL;
	auto_free char *escaped = NULL;

	if (trace_meta_text(t, key, &text) == 0 && *text)
		escaped = text_escape(text, strlen(text), "", TEXT_UTF8);
	json_string(j, name, escaped);
}

static const char *edges_word(struct trace *t)
{
	if (trace_has_edges(t) != 1)
		return "none";
	return trace_has_coarse_edges(t) == 1 ? "coarse" : "exact";
}

static void put_trace(struct trace *t, struct json_writer *j)
{
	auto_free char *path = text_escape(trace_path(t), strlen(trace_path(t)), "", TEXT_UTF8);

	json_int(j, "format", DATA_FORMAT);
	json_string(j, "program", TRACKEXEC_VERSION);
	json_string(j, "trace", path);
	put_meta(t, j, "name", META_NAME);
	put_meta(t, j, "pid", META_PID);
	put_meta(t, j, "command", META_COMMAND);
	put_meta(t, j, "python", META_PYTHON);
	put_meta(t, j, "host", META_HOST);
	put_meta(t, j, "time_zone", META_TIME_ZONE);
	json_string(j, "edges", edges_word(t));
	json_bool(j, "has_ended", trace_has_ended(t) == 1);
}

static void put_anchor(struct json_writer *j, uint64_t at_ns, int64_t realtime_ns)
{
	json_object(j, NULL);
	json_count(j, "at", at_ns);
	json_real(j, "ms", (double)realtime_ns / (double)NS_PER_MS, 6);
	json_object_end(j);
}

/* What the clock showed: at the begin, and from each moment on at which it was looked at. */
static void put_clock(struct trace *t, const struct html_profile *p, struct json_writer *j)
{
	auto_free struct trace_anchor *anchors = NULL;
	int64_t realtime_ns, utc_offset_s = 0;
	size_t n = 0, n_put = 0;

	trace_meta_int(t, META_UTC_OFFSET, &utc_offset_s);
	json_int(j, "utc_offset_s", utc_offset_s);
	json_array(j, "anchors");
	if (trace_realtime(t, p->since_ns, &realtime_ns) == 0)
		put_anchor(j, 0, realtime_ns);
	trace_anchors(t, &anchors, &n);
	for (size_t i = 0; i < n && n_put < MAX_ANCHORS; i++) {
		if (anchors[i].monotonic_ns <= p->since_ns ||
		    anchors[i].monotonic_ns >= p->until_ns)
			continue;
		put_anchor(j, anchors[i].monotonic_ns - p->since_ns, anchors[i].realtime_ns);
		n_put++;
	}
	json_array_end(j);
}

static void put_interval(struct trace *t, const struct selection *s, const struct html_profile *p,
			 struct json_writer *j)
{
	uint64_t start_ns = 0, end_ns = 0;

	trace_bounds(t, &start_ns, &end_ns);
	json_bool(j, "is_whole", s->is_whole);
	json_count(j, "offset_ns", p->since_ns > start_ns ? p->since_ns - start_ns : 0);
	json_count(j, "trace_ns", end_ns > start_ns ? end_ns - start_ns : 0);
	json_count(j, "span_ns", p->until_ns - p->since_ns);
	json_count(j, "slice_ns", p->slice_ns);
	json_count(j, "slices", html_profile_n_slices(p));
	json_count(j, "observed_ns", p->totals.observed_ns);
	json_count(j, "events", p->totals.n_events);
	json_count(j, "lost_blocks", p->totals.n_lost_blocks);
	json_count(j, "lost_events", p->totals.n_lost_events);
	json_bool(j, "is_damaged", p->totals.n_lost_blocks || trace_is_damaged(t));
	json_count(j, "other_ns", p->other_ns);
	json_count(j, "other_below_ns", p->other_below_ns);
	json_count(j, "waits_dropped_ns", p->longest.dropped_ns);
}

static uint64_t clip(const struct html_profile *p, uint64_t time_ns)
{
	if (time_ns <= p->since_ns)
		return 0;
	return (time_ns < p->until_ns ? time_ns : p->until_ns) - p->since_ns;
}

static void put_threads(const struct html_profile *p, struct json_writer *j)
{
	json_array(j, "threads");
	for (size_t i = 0; i < p->n_threads; i++) {
		const struct trace_thread *thread = &p->threads[i];

		json_object(j, NULL);
		json_count(j, "id", thread->id);
		json_count(j, "native", thread->native_id);
		json_count(j, "first", clip(p, thread->first_ns));
		json_count(j, "last", clip(p, thread->last_ns ? thread->last_ns : UINT64_MAX));
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_states(struct trace *t, const struct html_profile *p, struct json_writer *j)
{
	json_array(j, "states");
	for (size_t i = 0; i < p->n_states; i++) {
		const struct profile_state *s = &p->states[i];
		const struct trace_reason *reason = trace_get_reason(t, s->reason);
		struct wait_kind kind = {.reason = s->reason, .state = WAIT_FOR_SOMETHING};
		auto_free char *text = wait_reason_text(t, &kind, TEXT_UTF8);
		auto_free char *word = text_escape(
		    reason ? reason->kind : "", reason ? strlen(reason->kind) : 0, "", TEXT_UTF8);

		json_object(j, NULL);
		json_int(j, "class", s->class);
		if (s->class == PROFILE_WAITING) {
			json_bool(j, "idle", s->is_idle);
			json_bool(j, "any", s->is_any);
			json_string(j, "kind", word);
			json_string(j, "text", s->is_short ? "too short to be listed" : text);
		}
		json_object_end(j);
	}
	json_array_end(j);
}

/* The text of a file, with what a string of the object can't hold replaced. NULL: none. */
static char *read_source(struct trace *t, uint32_t file, size_t *room)
{
	char *text = NULL;
	size_t len = 0;

	if (!file || trace_file_source(t, file, &text, &len) < 0)
		return NULL;
	if (len > *room) {
		free(text);
		return NULL;
	}
	*room -= len;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\0')
			text[i] = '\x01';
	}
	return text;
}

static void put_files(struct trace *t, const struct html_names *names, size_t room,
		      struct json_writer *j)
{
	char **sources = xcalloc(names->n_files + 1, sizeof(*sources));

	/* Those that matter first, while there is room. */
	for (size_t i = 0; i < names->n_files; i++) {
		size_t at = names->by_time[i];

		sources[at] = read_source(t, names->files[at], &room);
	}
	json_array(j, "files");
	for (size_t i = 0; i < names->n_files; i++) {
		const struct trace_file *file = trace_get_file(t, names->files[i]);
		auto_free char *path =
		    file ? text_escape(file->path, file->path_len, "", TEXT_UTF8) : NULL;

		json_object(j, NULL);
		json_count(j, "id", names->files[i]);
		json_string(j, "path", path);
		json_string(j, "state", file_state_name(file ? file->state : FILE_MISSING));
		json_string(j, "source", sources[i]);
		json_object_end(j);
		free(sources[i]);
	}
	json_array_end(j);
	free(sources);
}

static void put_functions(struct trace *t, const struct html_names *names, struct json_writer *j)
{
	json_array(j, "functions");
	for (size_t i = 0; i < names->n_codes; i++) {
		const struct trace_code *code = trace_get_code(t, names->codes[i]);
		auto_free char *name =
		    code ? text_escape(code->name, code->name_len, "", TEXT_UTF8) : NULL;

		json_object(j, NULL);
		json_string(j, "name", name);
		json_count(j, "file", code ? html_names_file(names, code->file) : 0);
		json_int(j, "line", code ? code->first_line : 0);
		json_object_end(j);
	}
	json_array_end(j);
}

static void pack_object(struct html_pack *pack, struct trace *t, const struct selection *s,
			const struct html_profile *p, const struct html_names *names, size_t room)
{
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct json_writer j;

	if (!out)
		xalloc_failed();
	json_begin_line(&j, out);
	put_trace(t, &j);
	put_clock(t, p, &j);
	put_interval(t, s, p, &j);
	put_threads(p, &j);
	put_states(t, p, &j);
	put_files(t, names, room, &j);
	put_functions(t, names, &j);
	json_end(&j);
	if (fclose(out) != 0)
		xalloc_failed();
	html_pack_number(pack, len);
	html_pack_bytes(pack, text, len);
}

/* --- the numbers --- */

static void pack_tree(struct html_pack *pack, const struct html_profile *p,
		      const struct html_names *names)
{
	html_pack_number(pack, p->n_places);
	for (size_t i = 0; i < p->n_places; i++) {
		html_pack_number(pack, html_names_file(names, p->places[i].file));
		html_pack_number(pack, html_names_code(names, p->places[i].code));
		html_pack_signed(pack, p->places[i].line);
	}
	html_pack_number(pack, p->n_nodes);
	for (size_t i = 1; i < p->n_nodes; i++) {
		html_pack_number(pack, i - p->nodes[i].parent);
		html_pack_number(pack, p->nodes[i].place);
	}
}

static void pack_rows(struct html_pack *pack, const struct html_profile *p)
{
	html_pack_number(pack, p->n_rows);
	for (size_t i = 0; i < p->n_rows; i++) {
		const struct profile_row *row = &p->rows[i];
		uint32_t from =
		    i > 0 && p->rows[i - 1].thread == row->thread ? p->rows[i - 1].slice + 1 : 0;

		html_pack_number(pack, row->thread);
		html_pack_number(pack, row->slice - from);
		html_pack_number(pack, row->n_cells);
		html_pack_number(pack, row->gap_ns);
	}
}

static void pack_cells(struct html_pack *pack, const struct html_profile *p)
{
	for (size_t i = 0; i < p->n_rows; i++) {
		uint32_t last = 0;

		for (size_t k = 0; k < p->rows[i].n_cells; k++) {
			uint32_t node = p->cells[p->rows[i].first_cell + k].node;

			html_pack_number(pack, node - last);
			last = node;
		}
	}
	for (size_t i = 0; i < p->n_cells; i++)
		html_pack_number(pack, p->cells[i].state);
	for (size_t i = 0; i < p->n_cells; i++)
		html_pack_number(pack, p->cells[i].value);
}

static void pack_waits(struct html_pack *pack, const struct html_longest *l)
{
	uint64_t last_ns = 0;

	html_pack_number(pack, l->n);
	for (size_t i = 0; i < l->n; i++) {
		const struct longest_wait *w = &l->waits[i];

		html_pack_number(pack, w->start_ns - last_ns);
		html_pack_number(pack, w->length_ns);
		html_pack_number(pack, w->thread);
		html_pack_number(pack, w->node);
		html_pack_number(pack, w->state);
		last_ns = w->start_ns;
	}
}

char *html_data(struct trace *t, const struct selection *s, const struct html_profile *p,
		size_t source_bytes)
{
	auto_release(html_pack_free) struct html_pack *pack = html_pack_new();
	auto_release(html_names_free) struct html_names *names = html_names_new(t, p);
	const uint8_t *data;
	size_t len;

	pack_object(pack, t, s, p, names, source_bytes);
	pack_tree(pack, p, names);
	pack_rows(pack, p);
	pack_cells(pack, p);
	pack_waits(pack, &p->longest);
	data = html_pack_finish(pack, &len);
	return html_base64(data, len);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/html_names.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/html_profile.h"
#include "reader/trace.h"

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Sort, and leave each of them once, 0 not at all. Returns how many are left. */
static size_t make_unique(uint32_t *ids, size_t n)
{
	size_t kept = 0;

	qsort(ids, n, sizeof(*ids), compare_ids);
	for (size_t i = 0; i < n; i++) {
		if (ids[i] && (kept == 0 || ids[kept - 1] != ids[i]))
			ids[kept++] = ids[i];
	}
	return kept;
}

static size_t find_id(const uint32_t *ids, size_t n, uint32_t id)
{
	const uint32_t *at = n && id ? bsearch(&id, ids, n, sizeof(*ids), compare_ids) : NULL;

	return at ? (size_t)(at - ids) + 1 : 0;
}

size_t html_names_file(const struct html_names *names, uint32_t file)
{
	return find_id(names->files, names->n_files, file);
}

size_t html_names_code(const struct html_names *names, uint32_t code)
{
	return find_id(names->codes, names->n_codes, code);
}

static int compare_times(const void *a, const void *b, void *ctx)
{
	const uint64_t *time_ns = ctx;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	if (time_ns[x] != time_ns[y])
		return time_ns[x] > time_ns[y] ? -1 : 1;
	return (x > y) - (x < y);
}

static void order_files(struct html_names *names, const struct html_profile *p)
{
	auto_free uint64_t *time_ns = xcalloc(names->n_files + 1, sizeof(*time_ns));

	names->by_time = xcalloc(names->n_files + 1, sizeof(*names->by_time));
	for (size_t i = 0; i < names->n_files; i++)
		names->by_time[i] = i;
	for (size_t i = 0; i < p->n_cells; i++) {
		uint32_t place = p->nodes[p->cells[i].node].place;
		size_t file = html_names_file(names, p->places[place].file);

		if (file && p->states[p->cells[i].state].class != PROFILE_VISITS)
			time_ns[file - 1] += p->cells[i].value;
	}
	qsort_r(names->by_time, names->n_files, sizeof(*names->by_time), compare_times, time_ns);
}

struct html_names *html_names_new(struct trace *t, const struct html_profile *p)
{
	struct html_names *names = xcalloc(1, sizeof(*names));
	size_t n = 0;

	names->files = xcalloc(2 * p->n_nodes, sizeof(*names->files));
	names->codes = xcalloc(p->n_nodes, sizeof(*names->codes));
	/* Places that only stacks had which were put together are not told of. */
	for (size_t i = 0; i < p->n_nodes; i++) {
		const struct walk_place *place = &p->places[p->nodes[i].place];
		const struct trace_code *code = trace_get_code(t, place->code);

		names->codes[i] = place->code;
		names->files[n++] = place->file;
		names->files[n++] = code ? code->file : 0;
	}
	names->n_codes = make_unique(names->codes, p->n_nodes);
	names->n_files = make_unique(names->files, n);
	order_files(names, p);
	return names;
}

void html_names_free(struct html_names *names)
{
	if (!names)
		return;
	free(names->files);
	free(names->by_time);
	free(names->codes);
	free(names);
}

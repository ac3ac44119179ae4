/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two steps: what blocks say (code object and line) is looked up first, as nearly all was there
 * before. Only for what is new the function is looked up by file and name.
 */
#include "reader/place_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/block_codec.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "reader/trace.h"
#include "reader/walk.h"

/* A line as blocks have it, and its place. */
struct known {
	struct block_line line;
	uint32_t place;
};

struct place_table {
	struct trace *trace;
	struct known *known;
	size_t n_known, cap_known;
	struct hash_index known_index;
	struct walk_place *places;
	size_t n_places, cap_places;
	struct hash_index place_index;
};

struct place_table *place_table_new(struct trace *t)
{
	struct place_table *p = xcalloc(1, sizeof(*p));

	p->trace = t;
	return p;
}

void place_table_free(struct place_table *p)
{
	if (!p)
		return;
	hash_index_done(&p->known_index);
	hash_index_done(&p->place_index);
	free(p->known);
	free(p->places);
	free(p);
}

static uint32_t find_place(struct place_table *p, struct block_line line)
{
	const struct trace_code *code = trace_get_code(p->trace, line.code);
	struct walk_place place = {.line = line.line};
	uint32_t hash;

	if (code) {
		place.code = code->function;
		place.file = code->file;
	}
	hash = hash_fold(hash_mix(place.code, (uint32_t)place.line));
	HASH_INDEX_FOR_EACH(&p->place_index, hash, at, id)
	{
		if (p->places[id].code == place.code && p->places[id].line == place.line)
			return id;
	}
	p->places = xgrow(p->places, &p->cap_places, p->n_places + 1, sizeof(*p->places));
	p->places[p->n_places] = place;
	hash_index_add(&p->place_index, hash, (uint32_t)p->n_places);
	return (uint32_t)p->n_places++;
}

uint32_t place_table_find(struct place_table *p, struct block_line line)
{
	uint32_t hash = hash_fold(hash_mix(line.code, (uint32_t)line.line));

	HASH_INDEX_FOR_EACH(&p->known_index, hash, at, id)
	{
		if (p->known[id].line.code == line.code && p->known[id].line.line == line.line)
			return p->known[id].place;
	}
	p->known = xgrow(p->known, &p->cap_known, p->n_known + 1, sizeof(*p->known));
	p->known[p->n_known] = (struct known){.line = line, .place = find_place(p, line)};
	hash_index_add(&p->known_index, hash, (uint32_t)p->n_known);
	return p->known[p->n_known++].place;
}

const struct walk_place *place_table_get(const struct place_table *p, uint32_t id)
{
	return &p->places[id];
}

size_t place_table_n(const struct place_table *p)
{
	return p->n_places;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Telling the writer of code objects, each name once. */
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "recorder/sampler_private.h"

#define MAX_NAMES ((size_t)65536)

static uint64_t hash_text(uint64_t h, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t hash_names(const struct code_text *code)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint32_t)code->first_line;

	h = hash_text(h, code->file, code->file_len) * UINT64_C(0x100000001b3);
	h = hash_text(h, code->name, code->name_len);
	return h | 1; /* never 0, which marks a free slot */
}

/* The id that code of these names already has, or a place for a new one (*id 0). */
static uint32_t *find_name(struct code_names *names, uint64_t hash)
{
	size_t i;

	if (names->n_used * 2 >= names->n_slots) {
		/* Grown, or when it is large: begun afresh; ids are then given out again. */
		size_t n = names->n_slots ? names->n_slots * 2 : 1024, old_n = names->n_slots;
		__typeof__(names->slots) old = names->slots;

		if (n > 2 * MAX_NAMES) {
			memset(old, 0, old_n * sizeof(old[0]));
			names->n_used = 0;
		} else {
			names->slots = xcalloc(n, sizeof(names->slots[0]));
			names->n_slots = n;
			for (size_t k = 0; k < old_n; k++) {
				if (!old[k].hash)
					continue;
				i = old[k].hash >> 20 & (n - 1);
				while (names->slots[i].hash)
					i = (i + 1) & (n - 1);
				names->slots[i] = old[k];
			}
			free(old);
		}
	}
	i = hash >> 20 & (names->n_slots - 1);
	while (names->slots[i].hash && names->slots[i].hash != hash)
		i = (i + 1) & (names->n_slots - 1);
	if (!names->slots[i].hash) {
		names->slots[i].hash = hash;
		names->slots[i].id = 0;
		names->n_used++;
	}
	return &names->slots[i].id;
}

static uint32_t append_code(struct sampler *s, const struct code_text *text, uint64_t now_ns)
{
	struct record_code *r =
	    ring_append(s->ring, RECORD_CODE, sizeof(*r) + text->file_len + text->name_len);

	if (!r)
		return 0;
	r->h.thread = 0;
	r->h.time_ns = now_ns;
	r->id = s->next_code++;
	r->first_line = text->first_line;
	r->file_len = (uint32_t)text->file_len;
	r->name_len = (uint32_t)text->name_len;
	memcpy(r->text, text->file, text->file_len);
	memcpy(r->text + text->file_len, text->name, text->name_len);
	return r->id;
}

uint32_t sampler_announce_code(struct sampler *s, const struct code_text *text, uint64_t now_ns)
{
	uint32_t *id = find_name(&s->names, hash_names(text));

	if (!*id)
		*id = append_code(s, text, now_ns);
	return *id;
}

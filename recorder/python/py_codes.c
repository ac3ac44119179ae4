/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_codes.h"

#include <errno.h>
#include <stdlib.h>

#include "common/xalloc.h"

struct py_codes {
	struct memory *mem;
	const struct py_layout *l;
	remote_addr code_type;	/* address of PyCode_Type, once known */
	struct py_code **slots; /* open addressing by address */
	size_t n_slots, n_used;
	struct py_code **dead;
	size_t n_dead, dead_cap;
	size_t memory;
	struct py_codes_counters counters;
};

static size_t slot_of(const struct py_codes *codes, remote_addr addr)
{
	return (size_t)((addr >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (codes->n_slots - 1);
}

struct py_codes *py_codes_new(struct memory *mem, const struct py_layout *l)
{
	struct py_codes *codes = xcalloc(1, sizeof(*codes));

	codes->mem = mem;
	codes->l = l;
	codes->n_slots = 1024;
	codes->slots = xcalloc(codes->n_slots, sizeof(codes->slots[0]));
	return codes;
}

void py_codes_collect(struct py_codes *codes)
{
	while (codes->n_dead)
		py_code_free(codes->dead[--codes->n_dead]);
}

void py_codes_free(struct py_codes *codes)
{
	if (!codes)
		return;
	py_codes_collect(codes);
	for (size_t i = 0; i < codes->n_slots; i++) {
		if (codes->slots[i])
			py_code_free(codes->slots[i]);
	}
	free(codes->slots);
	free(codes->dead);
	free(codes);
}

struct py_code *py_codes_find(struct py_codes *codes, remote_addr addr)
{
	size_t i = slot_of(codes, addr);

	while (codes->slots[i]) {
		if (codes->slots[i]->addr == addr)
			return codes->slots[i];
		i = (i + 1) & (codes->n_slots - 1);
	}
	return NULL;
}

static void put_slot(struct py_codes *codes, struct py_code *code)
{
	size_t i = slot_of(codes, code->addr);

	while (codes->slots[i])
		i = (i + 1) & (codes->n_slots - 1);
	codes->slots[i] = code;
	codes->n_used++;
}

static void bury(struct py_codes *codes, struct py_code *code)
{
	codes->dead =
	    xgrow(codes->dead, &codes->dead_cap, codes->n_dead + 1, sizeof(codes->dead[0]));
	codes->dead[codes->n_dead++] = code;
	code->replaced = true;
	codes->memory -= code->memory;
}

static void forget(struct py_codes *codes, struct py_code *code)
{
	size_t i = slot_of(codes, code->addr);

	while (codes->slots[i] != code)
		i = (i + 1) & (codes->n_slots - 1);
	codes->slots[i] = NULL;
	codes->n_used--;
	/* What collided with it must stay reachable: put the rest of the cluster in again. */
	for (i = (i + 1) & (codes->n_slots - 1); codes->slots[i];
	     i = (i + 1) & (codes->n_slots - 1)) {
		struct py_code *moved = codes->slots[i];

		codes->slots[i] = NULL;
		codes->n_used--;
		put_slot(codes, moved);
	}
	bury(codes, code);
}

static void flush(struct py_codes *codes)
{
	for (size_t i = 0; i < codes->n_slots; i++) {
		if (codes->slots[i])
			bury(codes, codes->slots[i]);
		codes->slots[i] = NULL;
	}
	codes->n_used = 0;
	codes->counters.flushes++;
}

static void insert(struct py_codes *codes, struct py_code *code)
{
	if (codes->memory + code->memory > PY_MAX_CODE_MEMORY)
		flush(codes);
	if (codes->n_used * 2 >= codes->n_slots) {
		struct py_code **old = codes->slots;
		size_t n_old = codes->n_slots;

		codes->n_slots *= 2;
		codes->n_used = 0;
		codes->slots = xcalloc(codes->n_slots, sizeof(codes->slots[0]));
		for (size_t i = 0; i < n_old; i++) {
			if (old[i])
				put_slot(codes, old[i]);
		}
		free(old);
	}
	codes->memory += code->memory;
	put_slot(codes, code);
}

remote_addr py_codes_type(const struct py_codes *codes)
{
	return codes->code_type;
}

int py_codes_load(struct py_codes *codes, remote_addr addr, uint64_t now_ns, struct py_code **ret)
{
	struct py_code *known = py_codes_find(codes, addr), *code;
	bool names_cut = false;
	int r;

	codes->counters.loads++;
	r = py_code_read(codes->mem, codes->l, addr, &codes->code_type, &names_cut, &code);
	codes->counters.names_truncated += names_cut;
	if (r < 0)
		return r;
	code->serial = (uint32_t)codes->counters.loads;
	code->loaded_ns = now_ns;
	code->checked_ns = now_ns;
	if (known)
		forget(codes, known);
	insert(codes, code);
	*ret = code;
	return 0;
}

void py_codes_load_lines(struct py_codes *codes, struct py_code *code)
{
	size_t before = code->memory;

	if (code->lines)
		return;
	if (py_code_read_lines(codes->mem, codes->l, code) < 0)
		codes->counters.line_tables_refused++;
	if (!code->replaced) /* what was replaced counts no more */
		codes->memory += code->memory - before;
}

int py_codes_check(struct py_codes *codes, struct py_code *code, uint64_t now_ns, bool refresh)
{
	int r;

	codes->counters.checks++;
	r = py_code_check(codes->mem, codes->l, code, refresh);
	if (r == -ESRCH)
		return r;
	if (r < 0) {
		codes->counters.replaced++;
		forget(codes, code);
		return 0;
	}
	code->checked_ns = now_ns;
	return 1;
}

const struct py_codes_counters *py_codes_get_counters(const struct py_codes *codes)
{
	return &codes->counters;
}

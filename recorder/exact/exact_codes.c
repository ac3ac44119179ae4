/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/exact_codes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "recorder/python/py_object.h"

/* So long the texts at an address are believed to be the same. */
#define RECHECK_NS NS_PER_S

/* A code object that was not there any more is looked for again, so many times. */
#define CODE_TRIES_MAX 256

/* So often a register has to be right before it is taken to point to the frame. */
#define FRAME_PROOFS 4
/* At a probe where none is after so many, none is looked for any more. */
#define TRIES_MAX 256

/* Of one code object, and in each other. */
#define CONSTANTS_MAX 4096
#define DEPTH_MAX     16

/* CPython 3.11. */
#define OP_SEND 123

struct exact_codes {
	struct memory *mem;
	const struct py_layout *layout;
	struct py_codes *codes;
	struct hash_index index;
	struct exact_code **items;
	uint32_t n, cap;
	uint64_t n_new;
	struct hash_index known_index; /* by names */
	struct exact_code *known;
	remote_addr *known_at;
	size_t n_known, known_cap, known_at_cap;
	/* By kind of probe: how often a register pointed to the frame; and which one does. */
	uint32_t n_right[N_PROBE_KINDS][USDT_REGS_MAX];
	uint32_t n_tries[N_PROBE_KINDS];
	uint8_t frame_reg[N_PROBE_KINDS];
};

struct exact_codes *exact_codes_new(struct memory *mem, const struct py_layout *layout,
				    struct py_codes *codes)
{
	struct exact_codes *c = xcalloc(1, sizeof(*c));

	c->mem = mem;
	c->layout = layout;
	c->codes = codes;
	memset(c->frame_reg, USDT_NO_REG, sizeof(c->frame_reg));
	return c;
}

static void forget_all(struct exact_codes *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		free(c->items[i]->file);
		free(c->items[i]->name);
		free(c->items[i]);
	}
	c->n = 0;
	hash_index_done(&c->index);
	c->index = (struct hash_index){0};
}

void exact_codes_free(struct exact_codes *c)
{
	if (!c)
		return;
	forget_all(c);
	for (size_t i = 0; i < c->n_known; i++) {
		free(c->known[i].file);
		free(c->known[i].name);
	}
	hash_index_done(&c->known_index);
	free(c->known);
	free(c->known_at);
	free(c->items);
	free(c);
}

/* A text up to its NUL, cut where it is too long. */
static int read_text(struct memory *mem, uint64_t at, char *buf, size_t size)
{
	size_t len = 0;

	while (len < size - 1) {
		size_t wanted = size - 1 - len < 256 ? size - 1 - len : 256;
		int n = memory_read_some(mem, at + len, buf + len, wanted);
		const char *nul;

		if (n < 0)
			return n;
		nul = memchr(buf + len, '\0', (size_t)n);
		if (nul)
			return 0;
		len += (size_t)n;
	}
	buf[len] = '\0';
	return 0;
}

/* --- the code object --- */

/* "f" of "Class.method.<locals>.f". */
static const char *plain_name(const char *qualified)
{
	const char *dot = strrchr(qualified, '.');

	return dot ? dot + 1 : qualified;
}

/* Two names may each have been cut. */
static bool has_names(const struct py_code *code, const char *file, const char *name)
{
	return strcmp(code->file, file) == 0 && strcmp(plain_name(code->name), name) == 0;
}

static void find_awaits(struct exact_codes *c, const struct py_code *code, struct exact_code *ret)
{
	uint8_t bytes[512];

	if (!code->start || c->layout->opcodes != py_layout_find(11)->opcodes)
		return;
	for (size_t unit = 0; unit < code->n_units; unit += sizeof(bytes) / 2) {
		size_t n = code->n_units - unit;

		if (n > sizeof(bytes) / 2)
			n = sizeof(bytes) / 2;
		if (memory_read(c->mem, code->start + 2 * unit, bytes, 2 * n) < 0)
			return;
		for (size_t i = 0; i < n; i++) {
			if (bytes[2 * i] == OP_SEND && ret->n_awaits < EXACT_AWAITS_MAX &&
			    !(code->units[unit + i] & PY_UNIT_IS_CACHE))
				ret->awaits[ret->n_awaits++] = code->lines[unit + i];
		}
	}
}

/*
 * From 3.11 on the first instruction belongs to the line of the definition, and the probe does not
 * tell that line again; before, it tells the first line of all.
 */
static bool may_lack_first_line(const struct exact_codes *c)
{
	return c->layout->code.first_traceable != LAYOUT_ABSENT;
}

/* What the code object says better than a probe. */
static void take_code(struct exact_codes *c, struct py_code *code, struct exact_code *ret)
{
	uint32_t first = code->first_traceable;

	free(ret->name);
	ret->name = xstrdup(code->name);
	ret->first_line = ret->last_line = code->first_line;
	for (uint32_t i = 0; i < code->n_units; i++) {
		if (code->lines[i] > ret->last_line)
			ret->last_line = code->lines[i];
	}
	ret->is_from_code = true;
	ret->id = 0;
	if (may_lack_first_line(c) && first + 1 < code->n_units)
		ret->begins_here = code->lines[first + 1] == code->lines[first];
	find_awaits(c, code, ret);
}

/* --- those that are remembered --- */

static uint32_t hash_names(const char *file, const char *name)
{
	uint64_t hash = 0;

	for (; *file; file++)
		hash = hash_mix(hash, (uint8_t)*file);
	for (; *name; name++)
		hash = hash_mix(hash, (uint8_t)*name);
	return hash_fold(hash);
}

static bool is_known(const struct exact_codes *c, const struct py_code *code)
{
	HASH_INDEX_FOR_EACH(&c->known_index, hash_names(code->file, plain_name(code->name)), at, id)
	{
		if (c->known_at[id] == code->addr && c->known[id].first_line == code->first_line)
			return true;
	}
	return false;
}

static void remember(struct exact_codes *c, struct py_code *code)
{
	struct exact_code *known;

	c->known = xgrow(c->known, &c->known_cap, c->n_known + 1, sizeof(c->known[0]));
	c->known_at = xgrow(c->known_at, &c->known_at_cap, c->n_known + 1, sizeof(c->known_at[0]));
	known = &c->known[c->n_known];
	*known = (struct exact_code){.begins_here = may_lack_first_line(c) ? -1 : 0,
				     .file = xstrdup(code->file)};
	take_code(c, code, known);
	c->known_at[c->n_known] = code->addr;
	hash_index_add(&c->known_index, hash_names(code->file, plain_name(code->name)),
		       (uint32_t)c->n_known++);
}

static void know(struct exact_codes *c, remote_addr addr, unsigned depth);

static void know_constants(struct exact_codes *c, remote_addr addr, unsigned depth)
{
	remote_addr tuple, type, items[64], code_type = py_codes_type(c->codes);
	uint64_t n;

	if (memory_read_u64(c->mem, addr + c->layout->code.consts, &tuple) < 0 ||
	    memory_read_u64(c->mem, tuple + PY_OB_SIZE, &n) < 0)
		return;
	for (uint64_t i = 0; i < n && i < CONSTANTS_MAX; i += 64) {
		uint64_t k, len = n - i < 64 ? n - i : 64;

		if (memory_read(c->mem, tuple + c->layout->tuple_items + 8 * i, items,
				8 * (size_t)len) < 0)
			return;
		for (k = 0; k < len; k++) {
			if (memory_read_u64(c->mem, items[k] + PY_OB_TYPE, &type) == 0 &&
			    type == code_type)
				know(c, items[k], depth + 1);
		}
	}
}

static void know(struct exact_codes *c, remote_addr addr, unsigned depth)
{
	remote_addr code_type = py_codes_type(c->codes);
	struct py_code *code;
	bool is_cut;

	if (!code_type || depth > DEPTH_MAX || c->n_known >= EXACT_KNOWN_MAX ||
	    py_code_read(c->mem, c->layout, addr, &code_type, &is_cut, &code) < 0)
		return;
	if (!is_known(c, code)) {
		py_code_read_lines(c->mem, c->layout, code);
		remember(c, code);
		know_constants(c, addr, depth);
	}
	py_code_free(code);
}

void exact_codes_know(struct exact_codes *c, remote_addr code)
{
	know(c, code, 0);
}

/* --- the frame --- */

/* The code object of what may be a frame, if it has these names. */
static struct py_code *code_of_frame(struct exact_codes *c, uint64_t frame, const char *file,
				     const char *name, uint64_t now_ns)
{
	struct py_code *code;
	remote_addr addr;

	if (!frame || frame % 8 ||
	    memory_read_u64(c->mem, frame + c->layout->frame.code, &addr) < 0 || !addr || addr % 8)
		return NULL;
	code = py_codes_find(c->codes, addr);
	if (code && py_codes_check(c->codes, code, now_ns, false) != 1)
		code = NULL;
	if (!code && py_codes_load(c->codes, addr, now_ns, &code) < 0)
		return NULL;
	return has_names(code, file, name) ? code : NULL;
}

/* The code object of these names to which a register leads, or NULL. */
static struct py_code *try_registers(struct exact_codes *c, const struct line_event *e,
				     const struct usdt_state *state, const char *file,
				     const char *name, uint64_t now_ns)
{
	uint8_t known = c->frame_reg[e->kind];
	uint64_t regs = known == USDT_NO_REG ? usdt_kept_regs(USDT_MACHINE) : UINT64_C(1) << known;
	struct py_code *found = NULL;

	for (; regs; regs &= regs - 1) {
		unsigned reg = (unsigned)__builtin_ctzll(regs);
		struct py_code *code = code_of_frame(c, state->regs[reg], file, name, now_ns);

		if (!code)
			continue;
		found = code;
		if (++c->n_right[e->kind][reg] >= FRAME_PROOFS && known == USDT_NO_REG)
			c->frame_reg[e->kind] = (uint8_t)reg;
	}
	return found;
}

/* --- triples --- */

static uint32_t hash_of(const struct line_event *e)
{
	return hash_fold(hash_mix(hash_mix(hash_mix(0, e->file), e->name), (uint32_t)e->line));
}

static struct exact_code *find_known(struct exact_codes *c, const struct line_event *e)
{
	HASH_INDEX_FOR_EACH(&c->index, hash_of(e), at, id)
	{
		struct exact_code *code = c->items[id];

		if (code->file_at == e->file && code->name_at == e->name && code->line == e->line)
			return code;
	}
	return NULL;
}

/*
 * One whose code object is known, with these names and this line, the innermost: a generator that
 * goes on is entered at the line where it stopped.
 */
static void take_remembered(struct exact_codes *c, struct exact_code *ret)
{
	const struct exact_code *best = NULL;

	HASH_INDEX_FOR_EACH(&c->known_index, hash_names(ret->file, ret->name), at, id)
	{
		const struct exact_code *code = &c->known[id];

		if (strcmp(code->file, ret->file) == 0 &&
		    strcmp(plain_name(code->name), ret->name) == 0 &&
		    code->first_line <= ret->line && code->last_line >= ret->line &&
		    (!best || code->first_line >= best->first_line))
			best = code;
	}
	if (!best)
		return;
	ret->first_line = best->first_line;
	ret->last_line = best->last_line;
	ret->is_from_code = true;
	ret->id = 0;
	ret->begins_here = best->begins_here;
	memcpy(ret->awaits, best->awaits, sizeof(ret->awaits));
	ret->n_awaits = best->n_awaits;
	free(ret->name);
	ret->name = xstrdup(best->name);
}

static int read_names(struct exact_codes *c, const struct line_event *e, char *file, char *name)
{
	int r = read_text(c->mem, e->file, file, PY_MAX_FILE_NAME);

	return r < 0 ? r : read_text(c->mem, e->name, name, PY_MAX_QUALNAME);
}

/* Many have the same name: <lambda>, <genexpr>. The frame's memory may be another one's by now. */
static bool has_line(struct exact_codes *c, struct py_code *code, int32_t line)
{
	py_codes_load_lines(c->codes, code);
	if (line == 0) /* where a module begins */
		return true;
	for (uint32_t i = code->first_traceable; i < code->n_units; i++) {
		if (code->lines[i] == line)
			return true;
	}
	return false;
}

static void find_code(struct exact_codes *c, const struct line_event *e,
		      const struct usdt_state *state, uint64_t now_ns, struct exact_code *ret)
{
	struct py_code *code = try_registers(c, e, state, ret->file, ret->name, now_ns);

	ret->n_tries++;
	if (code && has_line(c, code, e->line)) {
		take_code(c, code, ret);
		exact_codes_know(c, code->addr);
	} else {
		take_remembered(c, ret);
	}
}

static int learn(struct exact_codes *c, const struct line_event *e, const struct usdt_state *state,
		 uint64_t now_ns, struct exact_code *ret)
{
	char file[PY_MAX_FILE_NAME], name[PY_MAX_QUALNAME];
	int r = read_names(c, e, file, name);

	if (r < 0)
		return r;
	free(ret->file);
	free(ret->name);
	memset(ret, 0, sizeof(*ret));
	ret->file_at = e->file;
	ret->name_at = e->name;
	ret->line = ret->first_line = e->line;
	ret->is_genexpr = strcmp(name, "<genexpr>") == 0;
	ret->begins_here = may_lack_first_line(c) ? -1 : 0;
	ret->file = xstrdup(file);
	ret->name = xstrdup(name);
	ret->followed = -1;
	ret->checked_ns = now_ns;
	find_code(c, e, state, now_ns, ret);
	return 0;
}

/* Whether the texts at these addresses are still the same. */
static bool is_same(struct exact_codes *c, const struct line_event *e, struct exact_code *code,
		    uint64_t now_ns)
{
	char file[PY_MAX_FILE_NAME], name[PY_MAX_QUALNAME];

	if (now_ns - code->checked_ns < RECHECK_NS)
		return true;
	code->checked_ns = now_ns;
	return read_names(c, e, file, name) == 0 && strcmp(file, code->file) == 0 &&
	       strcmp(name, plain_name(code->name)) == 0;
}

int exact_codes_find(struct exact_codes *c, const struct line_event *e,
		     const struct usdt_state *state, uint64_t now_ns, struct exact_code **ret)
{
	struct exact_code *code = find_known(c, e);
	size_t cap = c->cap;
	int r;

	if (code) {
		r = is_same(c, e, code, now_ns) ? 0 : learn(c, e, state, now_ns, code);
		if (r == 0 && !code->is_from_code && code->n_tries < CODE_TRIES_MAX)
			find_code(c, e, state, now_ns, code);
		*ret = code;
		return r;
	}
	c->n_new++;
	if (c->n == EXACT_CODES_MAX)
		forget_all(c);
	code = xcalloc(1, sizeof(*code));
	r = learn(c, e, state, now_ns, code);
	if (r < 0) {
		free(code);
		return r;
	}
	c->items = xgrow(c->items, &cap, (size_t)c->n + 1, sizeof(struct exact_code *));
	c->cap = (uint32_t)cap;
	c->items[c->n] = code;
	hash_index_add(&c->index, hash_of(e), c->n++);
	*ret = code;
	return 0;
}

uint64_t exact_codes_n_new(const struct exact_codes *c)
{
	return c->n_new;
}

uint64_t exact_codes_frame(struct exact_codes *c, const struct line_event *e,
			   const struct usdt_state *state, uint64_t now_ns)
{
	char file[PY_MAX_FILE_NAME], name[PY_MAX_QUALNAME];

	if (c->frame_reg[e->kind] == USDT_NO_REG && c->n_tries[e->kind] < TRIES_MAX) {
		c->n_tries[e->kind]++;
		if (read_names(c, e, file, name) == 0)
			try_registers(c, e, state, file, name, now_ns);
	}
	return c->frame_reg[e->kind] == USDT_NO_REG ? 0 : state->regs[c->frame_reg[e->kind]];
}

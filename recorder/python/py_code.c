/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "recorder/python/py_depth.h"
#include "recorder/python/py_lines.h"
#include "recorder/python/py_object.h"
#include "recorder/python/py_opcodes.h"

#define TYPE_TP_NAME	   24 /* PyTypeObject.tp_name, all versions */
#define CODE_ADAPTIVE_SIZE PY_OB_SIZE

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

static void code_free(struct py_code *code)
{
	free(code->units);
	free(code->lines);
	free(code->depth);
	free(code->called);
	free(code->loops);
	free(code->file);
	free(code->name);
	free(code);
}

void py_codes_collect(struct py_codes *codes)
{
	while (codes->n_dead)
		code_free(codes->dead[--codes->n_dead]);
}

void py_codes_free(struct py_codes *codes)
{
	if (!codes)
		return;
	py_codes_collect(codes);
	for (size_t i = 0; i < codes->n_slots; i++) {
		if (codes->slots[i])
			code_free(codes->slots[i]);
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

/* The first object that is taken for a code object proves it by its type's name. */
static int check_type(struct py_codes *codes, remote_addr type)
{
	remote_addr name_addr;
	char name[8] = "";
	int r;

	if (codes->code_type)
		return type == codes->code_type ? 0 : -EBADMSG;
	r = memory_read_u64(codes->mem, type + TYPE_TP_NAME, &name_addr);
	if (r == 0)
		r = memory_read(codes->mem, name_addr, name, 5);
	if (r < 0)
		return r;
	if (memcmp(name, "code", 5) != 0)
		return -EBADMSG;
	codes->code_type = type;
	return 0;
}

remote_addr py_codes_type(const struct py_codes *codes)
{
	return codes->code_type;
}

static uint32_t u32_in(const uint8_t *p, uint32_t offset)
{
	uint32_t v;

	memcpy(&v, p + offset, sizeof(v));
	return v;
}

static uint64_t u64_in(const uint8_t *p, uint32_t offset)
{
	uint64_t v;

	memcpy(&v, p + offset, sizeof(v));
	return v;
}

/*
 * Blank what changes during the life of a code object, so that the rest can be compared: the
 * reference count, 3.11's co_warmup, and to 3.10 the parked frame behind the names.
 */
static void take_identity(const struct py_layout *l, const uint8_t *head, uint8_t *identity)
{
	memcpy(identity, head, PY_CODE_IDENTITY_BYTES);
	memset(identity, 0, 8);
	if (l->frame_kind == PY_FRAMES_HEAP)
		memset(identity + 128, 0, PY_CODE_IDENTITY_BYTES - 128);
	else if (l->code.version == LAYOUT_ABSENT)
		memset(identity + 52, 0, 4);
}

static uint64_t hash_bytes(uint64_t h, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n--)
		h = (h ^ *p++) * UINT64_C(0x100000001b3); /* FNV-1a */
	return h;
}

/*
 * The names and the hash of the line table: what tells one code object from another where all
 * pointers in two of them can be equal because the second reuses the memory of the first.
 */
static int read_names(struct py_codes *codes, const uint8_t *head, char *file, size_t file_size,
		      char *name, size_t name_size, bool *truncated)
{
	const struct py_layout *l = codes->l;
	uint32_t name_at = l->code.qualname != LAYOUT_ABSENT ? l->code.qualname : l->code.name;
	bool file_cut, name_cut;
	int r;

	r = py_object_read_str(codes->mem, l, u64_in(head, l->code.filename), file, file_size,
			       &file_cut);
	if (r < 0)
		return r;
	r = py_object_read_str(codes->mem, l, u64_in(head, name_at), name, name_size, &name_cut);
	if (r < 0)
		return r;
	*truncated = file_cut || name_cut;
	return 0;
}

static int read_line_table(struct py_codes *codes, const uint8_t *head, uint8_t **ret, size_t *len)
{
	return py_object_read_bytes(codes->mem, codes->l, u64_in(head, codes->l->code.linetable),
				    PY_MAX_LINE_TABLE_BYTES, ret, len);
}

static uint64_t hash_content(const char *file, const char *name, const uint8_t *table, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	h = hash_bytes(h, file, strlen(file) + 1);
	h = hash_bytes(h, name, strlen(name) + 1);
	return table ? hash_bytes(h, table, len) : h;
}

static int read_content_hash(struct py_codes *codes, const uint8_t *head, const char *file,
			     const char *name, uint64_t *ret)
{
	auto_free uint8_t *table = NULL;
	size_t len = 0;
	int r;

	r = read_line_table(codes, head, &table, &len);
	if (r < 0 && r != -EBADMSG)
		return r;
	*ret = hash_content(file, name, table, len);
	return 0;
}

static int read_instructions(struct py_codes *codes, const struct py_code *code, uint8_t **ret)
{
	remote_addr at = codes->l->frame_kind == PY_FRAMES_STACK
			     ? code->start
			     : code->code_bytes + codes->l->bytes.data;
	auto_free uint8_t *bytes = xmalloc((size_t)code->n_units * 2);
	int r;

	r = memory_read(codes->mem, at, bytes, (size_t)code->n_units * 2);
	if (r < 0)
		return r;
	*ret = steal_ptr(bytes);
	return 0;
}

/* What each code unit is; caches are found by walking from the start with each opcode's count. */
static void classify_units(const struct py_opcodes *ops, const uint8_t *bytes, uint8_t *units,
			   size_t n_units)
{
	for (size_t i = 0; i < n_units;) {
		uint8_t op = bytes[i * 2];
		uint8_t flags = ops->flags[op];
		size_t n_caches = ops->caches[op];

		if (!(flags & PY_OP_KNOWN))
			flags = PY_OP_ITERATES | PY_OP_HIDES;
		if (flags & PY_OP_HIDES && units[i] && !(units[i] & PY_UNIT_IS_CACHE)) {
			/*
			 * Instrumentation has replaced the opcode since; how many caches follow is
			 * what it was. What the unit may do is no longer known.
			 */
			while (i + 1 + n_caches < n_units &&
			       units[i + 1 + n_caches] & PY_UNIT_IS_CACHE)
				n_caches++;
		}
		units[i++] = flags & (uint8_t)~PY_OP_KNOWN;
		/* An inline cache acts as what it belongs to: an ip on it means a call from there.
		 */
		for (; n_caches && i < n_units; n_caches--, i++)
			units[i] = (flags & (uint8_t)~PY_OP_KNOWN) | PY_UNIT_IS_CACHE;
	}
}

const struct py_loop *py_code_find_loop(const struct py_code *code, uint32_t unit)
{
	uint32_t low = 0, high = code->n_loops;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (code->loops[middle].start < unit)
			low = middle + 1;
		else
			high = middle;
	}
	return low < code->n_loops && code->loops[low].start == unit ? &code->loops[low] : NULL;
}

uint32_t py_code_loop_end(const struct py_code *code, uint32_t unit)
{
	const struct py_loop *loop = py_code_find_loop(code, unit);

	return loop ? loop->end : unit + 1;
}

/* The last instructions before a loop, newest first. */
struct recent {
	uint8_t op[4];
	uint32_t arg[4];
};

/* constant, [PRECALL,] CALL with one argument, GET_ITER */
static void find_argument(struct py_codes *codes, const struct py_code *code,
			  const struct recent *recent, struct py_loop *loop)
{
	const struct py_layout *l = codes->l;
	const struct py_opcodes *ops = l->opcodes;
	remote_addr consts;
	int i = 2;

	if (ops->roles[recent->op[0]] != PY_ROLE_GET_ITER ||
	    !(ops->flags[recent->op[1]] & PY_OP_CALLS_OPERAND) || recent->arg[1] != 1)
		return;
	if (ops->roles[recent->op[i]] == PY_ROLE_PRECALL)
		i++;
	loop->is_small_int = ops->roles[recent->op[i]] == PY_ROLE_LOAD_SMALL_INT;
	if (loop->is_small_int) {
		loop->argument = recent->arg[i];
		loop->has_argument = true;
	} else if (ops->roles[recent->op[i]] == PY_ROLE_LOAD_CONST) {
		memcpy(&consts, code->identity + l->code.consts, sizeof(consts));
		loop->has_argument =
		    memory_read_u64(codes->mem,
				    consts + l->tuple_items + 8 * (uint64_t)recent->arg[i],
				    &loop->argument) == 0;
	}
}

/* FOR_ITER and its like jump forward, over their caches, when the iterator is exhausted. */
static void find_loops(struct py_codes *codes, struct py_code *code, const uint8_t *bytes)
{
	const struct py_opcodes *ops = codes->l->opcodes;
	struct recent recent = {{0}, {0}};
	uint32_t arg = 0;
	size_t cap = 0;

	for (uint32_t i = 0; i < code->n_units; i++) {
		uint8_t flags = code->units[i], op = bytes[2 * (size_t)i];

		if (flags & PY_UNIT_IS_CACHE)
			continue;
		arg |= bytes[2 * (size_t)i + 1];
		if (py_op_is_prefix(ops, op)) {
			arg <<= 8;
			continue;
		}
		if (flags & PY_OP_RESUMES_OPERAND) {
			uint64_t end = i + 1u + ops->caches[op] +
				       (uint64_t)arg * codes->l->instruction_unit / 2;
			struct py_loop loop = {
			    .start = i, .end = end < code->n_units ? (uint32_t)end : code->n_units};

			find_argument(codes, code, &recent, &loop);
			code->loops =
			    xgrow(code->loops, &cap, code->n_loops + 1u, sizeof(code->loops[0]));
			code->loops[code->n_loops++] = loop;
		}
		memmove(recent.op + 1, recent.op, sizeof(recent.op) - sizeof(recent.op[0]));
		memmove(recent.arg + 1, recent.arg, sizeof(recent.arg) - sizeof(recent.arg[0]));
		recent.op[0] = op;
		recent.arg[0] = arg;
		arg = 0;
	}
}

/* Opcodes whose callee is an operand; the same numbers in 3.8, 3.9 and 3.10. */
#define OP_YIELD_FROM	    72
#define OP_FOR_ITER	    93
#define OP_STORE_ATTR	    95
#define OP_DELETE_ATTR	    96
#define OP_LOAD_ATTR	    106
#define OP_IMPORT_NAME	    108
#define OP_STORE_FAST	    125
#define OP_DELETE_FAST	    126
#define OP_CALL_FUNCTION    131
#define OP_CALL_FUNCTION_KW 141
#define OP_CALL_FUNCTION_EX 142
#define OP_LOAD_METHOD	    160
#define OP_CALL_METHOD	    161

/* Attributes may be properties; everything else that is no call goes to dunder methods. */
static bool calls_anything(uint8_t op, uint8_t flags)
{
	return flags & (PY_OP_CALLS_OPERAND | PY_OP_ITERATES) || op == OP_STORE_ATTR ||
	       op == OP_DELETE_ATTR || op == OP_LOAD_ATTR || op == OP_IMPORT_NAME ||
	       op == OP_LOAD_METHOD;
}

/* How far below the top of the operand stack the callee or iterator is; 0: there is none. */
static uint32_t operand_distance(uint8_t op, uint32_t arg)
{
	switch (op) {
	case OP_FOR_ITER:
		return 1;
	case OP_YIELD_FROM:
		return 2;
	case OP_CALL_FUNCTION:
		return arg + 1;
	case OP_CALL_METHOD: /* a method, or NULL below what is called */
	case OP_CALL_FUNCTION_KW:
		return arg + 2;
	case OP_CALL_FUNCTION_EX:
		return 2 + (arg & 1);
	default:
		return 0;
	}
}

/*
 * To 3.10 a frame's f_lasti stays on the first prefix of a widened instruction, so prefixes get
 * the flags and the operand of what they widen.
 */
static void find_called(struct py_code *code, const uint8_t *bytes, const struct py_opcodes *ops)
{
	uint32_t arg = 0, start = 0;

	code->called = xmalloc(code->n_units);
	memset(code->called, -1, code->n_units);
	code->keeps_first_local = true;
	for (uint32_t i = 0; i < code->n_units; i++) {
		uint32_t distance;

		arg |= bytes[2 * (size_t)i + 1];
		if (py_op_is_prefix(ops, bytes[2 * (size_t)i])) {
			arg <<= 8;
			continue;
		}
		if ((bytes[2 * (size_t)i] == OP_STORE_FAST ||
		     bytes[2 * (size_t)i] == OP_DELETE_FAST) &&
		    arg == 0)
			code->keeps_first_local = false;
		distance = operand_distance(bytes[2 * (size_t)i], arg);
		for (uint32_t k = i + 1; k-- > start;) {
			code->units[k] = (uint8_t)(code->units[i] & ~PY_UNIT_CALLS_PLAINLY);
			if (bytes[2 * (size_t)i] == OP_CALL_METHOD ||
			    (bytes[2 * (size_t)i] == OP_CALL_FUNCTION && arg > 0))
				code->units[k] |= PY_UNIT_CALLS_PLAINLY;
			if (calls_anything(bytes[2 * (size_t)i], code->units[i]))
				code->units[k] |= PY_UNIT_CALLS_ANYTHING;
			if (distance && code->depth[i] >= 0 && distance <= (uint32_t)code->depth[i])
				code->called[k] = (int8_t)((uint32_t)code->depth[i] - distance);
		}
		arg = 0;
		start = i + 1;
	}
}

static int parse_header(struct py_codes *codes, const uint8_t *head, struct py_code *code)
{
	const struct py_layout *l = codes->l;
	uint64_t n_units, size;
	int r;

	code->first_line = (int32_t)u32_in(head, l->code.first_line);
	take_identity(l, head, code->identity);
	if (l->code.version != LAYOUT_ABSENT)
		code->version = u32_in(head, l->code.version);
	if (l->frame_kind == PY_FRAMES_STACK) {
		n_units = u64_in(head, CODE_ADAPTIVE_SIZE);
		code->start = code->addr + l->code.code_adaptive;
		code->nlocalsplus = u32_in(head, l->code.nlocalsplus);
		code->frame_words =
		    l->code.framesize != LAYOUT_ABSENT
			? u32_in(head, l->code.framesize)
			: l->frame_specials + code->nlocalsplus + u32_in(head, l->code.stacksize);
		code->first_traceable = u32_in(head, l->code.first_traceable);
		/* A frame too small for its header and its locals, or of megabytes, is none. */
		if (code->frame_words < l->frame_specials || code->frame_words > (1u << 20) ||
		    code->nlocalsplus > code->frame_words - l->frame_specials)
			return -EBADMSG;
	} else {
		code->code_bytes = u64_in(head, l->code.code);
		r = memory_read_u64(codes->mem, code->code_bytes + l->bytes.size, &size);
		if (r < 0)
			return r;
		n_units = size / 2;
		code->frame_words = u32_in(head, l->code.stacksize);
		code->nlocalsplus = u32_in(head, l->code.nlocals);
		if (code->frame_words > (1u << 20) || code->nlocalsplus > (1u << 20))
			return -EBADMSG;
	}
	if (n_units == 0 || n_units > PY_MAX_CODE_UNITS)
		return -EBADMSG;
	code->n_units = (uint32_t)n_units;
	return 0;
}

static int load_parts(struct py_codes *codes, const uint8_t *head, struct py_code *code)
{
	auto_free uint8_t *bytes = NULL;
	char file[PY_MAX_FILE_NAME], name[PY_MAX_QUALNAME];
	bool truncated;
	int r;

	r = parse_header(codes, head, code);
	if (r < 0)
		return r;
	r = read_names(codes, head, file, sizeof(file), name, sizeof(name), &truncated);
	if (r < 0)
		return r;
	codes->counters.names_truncated += truncated;
	if (!code->version) {
		r = read_content_hash(codes, head, file, name, &code->content_hash);
		if (r < 0)
			return r;
	}
	r = read_instructions(codes, code, &bytes);
	if (r < 0)
		return r;
	code->units = xcalloc(code->n_units, 1);
	classify_units(codes->l->opcodes, bytes, code->units, code->n_units);
	find_loops(codes, code, bytes);
	code->depth = xmalloc(code->n_units);
	py_depth_compute(codes->l->opcodes, bytes, code->n_units, code->depth);
	if (codes->l->frame_kind == PY_FRAMES_HEAP)
		find_called(code, bytes, codes->l->opcodes);
	code->file = xstrdup(file);
	code->file_len = (uint16_t)strlen(file);
	code->name = xstrdup(name);
	code->name_len = (uint16_t)strlen(name);
	/* The interpreter's own: _Py_InitCleanup in Python/specialize.c, file and name "__init__".
	 */
	code->is_shim = code->n_units <= 4 && strcmp(file, "__init__") == 0;
	return 0;
}

int py_codes_load(struct py_codes *codes, remote_addr addr, uint64_t now_ns, struct py_code **ret)
{
	uint8_t head[PY_MAX_CODE_BYTES], again[PY_CODE_IDENTITY_BYTES];
	struct py_code *known = py_codes_find(codes, addr);
	struct py_code *code;
	uint32_t size = codes->l->code.size;
	int r;

	codes->counters.loads++;
	if (addr & 7 || size > sizeof(head) || size < PY_CODE_IDENTITY_BYTES)
		return -EBADMSG;
	r = memory_read(codes->mem, addr, head, size);
	if (r == 0)
		r = check_type(codes, u64_in(head, PY_OB_TYPE));
	if (r < 0)
		return r;
	code = xcalloc(1, sizeof(*code));
	code->addr = addr;
	code->serial = (uint32_t)codes->counters.loads;
	code->followed = -1;
	code->loaded_ns = now_ns;
	code->checked_ns = now_ns;
	r = load_parts(codes, head, code);
	/* What was read belongs together only if the object did not change meanwhile. */
	if (r == 0)
		r = memory_read(codes->mem, addr, head, size);
	if (r == 0) {
		take_identity(codes->l, head, again);
		if (memcmp(again, code->identity, sizeof(again)) != 0)
			r = -EBADMSG;
	}
	if (r < 0) {
		code_free(code);
		return r;
	}
	code->memory = sizeof(*code) + code->n_loops * sizeof(code->loops[0]) +
		       code->n_units * (size_t)3 + code->file_len + code->name_len + 64;
	if (known)
		forget(codes, known);
	insert(codes, code);
	*ret = code;
	return 0;
}

/* Was the table that has just been read still that of the loaded object? */
static bool is_still(struct py_codes *codes, const struct py_code *code, const uint8_t *table,
		     size_t len)
{
	uint8_t head[PY_CODE_IDENTITY_BYTES], identity[PY_CODE_IDENTITY_BYTES];

	if (!code->version)
		return hash_content(code->file, code->name, table, len) == code->content_hash;
	if (memory_read(codes->mem, code->addr, head, sizeof(head)) < 0)
		return false;
	take_identity(codes->l, head, identity);
	return memcmp(identity, code->identity, sizeof(identity)) == 0;
}

void py_codes_load_lines(struct py_codes *codes, struct py_code *code)
{
	auto_free uint8_t *table = NULL;
	size_t len = 0;
	int r;

	if (code->lines)
		return;
	code->lines = xcalloc(code->n_units, sizeof(code->lines[0]));
	code->memory += code->n_units * sizeof(code->lines[0]);
	if (!code->replaced) /* what was replaced counts no more */
		codes->memory += code->n_units * sizeof(code->lines[0]);
	r = read_line_table(codes, code->identity, &table, &len);
	if (r == 0 && !is_still(codes, code, table, len))
		r = -EBADMSG;
	if (r < 0) {
		codes->counters.line_tables_refused++;
		return;
	}
	py_lines_decode(codes->l->line_table, table, len, code->first_line, code->lines,
			code->n_units);
}

/* Where the object has no version of its own: are names and line table still the same? */
static int check_content(struct py_codes *codes, const struct py_code *code, const uint8_t *head)
{
	char file[PY_MAX_FILE_NAME], name[PY_MAX_QUALNAME];
	bool truncated;
	uint64_t hash;
	int r;

	r = read_names(codes, head, file, sizeof(file), name, sizeof(name), &truncated);
	if (r == 0)
		r = read_content_hash(codes, head, file, name, &hash);
	if (r < 0)
		return r;
	return hash == code->content_hash ? 0 : -EBADMSG;
}

int py_codes_check(struct py_codes *codes, struct py_code *code, uint64_t now_ns, bool refresh)
{
	uint8_t head[PY_CODE_IDENTITY_BYTES], identity[PY_CODE_IDENTITY_BYTES];
	int r;

	codes->counters.checks++;
	r = memory_read(codes->mem, code->addr, head, sizeof(head));
	if (r == 0) {
		take_identity(codes->l, head, identity);
		if (memcmp(identity, code->identity, sizeof(identity)) != 0)
			r = -EBADMSG;
	}
	if (r == 0 && !code->version)
		r = check_content(codes, code, head);
	if (r == -ESRCH)
		return r;
	if (r < 0) {
		codes->counters.replaced++;
		forget(codes, code);
		return 0;
	}
	code->checked_ns = now_ns;
	if (refresh && codes->l->frame_kind == PY_FRAMES_STACK) {
		auto_free uint8_t *bytes = NULL;

		if (read_instructions(codes, code, &bytes) == 0)
			classify_units(codes->l->opcodes, bytes, code->units, code->n_units);
	}
	return 1;
}

const struct py_codes_counters *py_codes_get_counters(const struct py_codes *codes)
{
	return &codes->counters;
}

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

#define TYPE_TP_NAME	   24 /* PyTypeObject.tp_name, all versions */
#define CODE_ADAPTIVE_SIZE PY_OB_SIZE

/* An object with its instructions is checked with one read when it is no longer than this. */
#define CHECK_BYTES 4096

void py_code_free(struct py_code *code)
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

/* The first object that is taken for a code object proves it by its type's name. */
static int check_type(struct memory *mem, remote_addr type, remote_addr *code_type)
{
	remote_addr name_addr;
	char name[8] = "";
	int r;

	if (*code_type)
		return type == *code_type ? 0 : -EBADMSG;
	r = memory_read_u64(mem, type + TYPE_TP_NAME, &name_addr);
	if (r == 0)
		r = memory_read(mem, name_addr, name, 5);
	if (r < 0)
		return r;
	if (memcmp(name, "code", 5) != 0)
		return -EBADMSG;
	*code_type = type;
	return 0;
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
static int read_names(struct memory *mem, const struct py_layout *l, const uint8_t *head,
		      char *file, size_t file_size, char *name, size_t name_size, bool *truncated)
{
	uint32_t name_at = l->code.qualname != LAYOUT_ABSENT ? l->code.qualname : l->code.name;
	bool file_cut, name_cut;
	int r;

	r = py_object_read_str(mem, l, u64_in(head, l->code.filename), file, file_size, &file_cut);
	if (r < 0)
		return r;
	r = py_object_read_str(mem, l, u64_in(head, name_at), name, name_size, &name_cut);
	if (r < 0)
		return r;
	*truncated = file_cut || name_cut;
	return 0;
}

static int read_line_table(struct memory *mem, const struct py_layout *l, const uint8_t *head,
			   uint8_t **ret, size_t *len)
{
	return py_object_read_bytes(mem, l, u64_in(head, l->code.linetable),
				    PY_MAX_LINE_TABLE_BYTES, ret, len);
}

static uint64_t hash_content(const char *file, const char *name, const uint8_t *table, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	h = hash_bytes(h, file, strlen(file) + 1);
	h = hash_bytes(h, name, strlen(name) + 1);
	return table ? hash_bytes(h, table, len) : h;
}

static int read_content_hash(struct memory *mem, const struct py_layout *l, const uint8_t *head,
			     const char *file, const char *name, uint64_t *ret)
{
	auto_free uint8_t *table = NULL;
	size_t len = 0;
	int r;

	r = read_line_table(mem, l, head, &table, &len);
	if (r < 0 && r != -EBADMSG)
		return r;
	*ret = hash_content(file, name, table, len);
	return 0;
}

static int read_instructions(struct memory *mem, const struct py_layout *l,
			     const struct py_code *code, uint8_t **ret)
{
	remote_addr at =
	    l->frame_kind == PY_FRAMES_STACK ? code->start : code->code_bytes + l->bytes.data;
	auto_free uint8_t *bytes = xmalloc((size_t)code->n_units * 2);
	int r;

	r = memory_read(mem, at, bytes, (size_t)code->n_units * 2);
	if (r < 0)
		return r;
	*ret = steal_ptr(bytes);
	return 0;
}

static int parse_header(struct memory *mem, const struct py_layout *l, const uint8_t *head,
			struct py_code *code)
{
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
		r = memory_read_u64(mem, code->code_bytes + l->bytes.size, &size);
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

static int read_parts(struct memory *mem, const struct py_layout *l, const uint8_t *head,
		      bool *ret_names_cut, struct py_code *code)
{
	auto_free uint8_t *bytes = NULL;
	char file[PY_MAX_FILE_NAME], name[PY_MAX_QUALNAME];
	int r;

	r = parse_header(mem, l, head, code);
	if (r < 0)
		return r;
	r = read_names(mem, l, head, file, sizeof(file), name, sizeof(name), ret_names_cut);
	if (r < 0)
		return r;
	if (!code->version) {
		r = read_content_hash(mem, l, head, file, name, &code->content_hash);
		if (r < 0)
			return r;
	}
	r = read_instructions(mem, l, code, &bytes);
	if (r < 0)
		return r;
	code->units = xcalloc(code->n_units, 1);
	py_code_classify_units(l->opcodes, bytes, code->units, code->n_units);
	py_code_find_loops(mem, l, code, bytes);
	code->depth = xmalloc(code->n_units);
	py_depth_compute(l->opcodes, bytes, code->n_units, code->depth);
	if (l->frame_kind == PY_FRAMES_HEAP)
		py_code_find_called(code, bytes, l->opcodes);
	code->file = xstrdup(file);
	code->file_len = (uint16_t)strlen(file);
	code->name = xstrdup(name);
	code->name_len = (uint16_t)strlen(name);
	/* The interpreter's own: _Py_InitCleanup in Python/specialize.c, file and name "__init__".
	 */
	code->is_shim = code->n_units <= 4 && strcmp(file, "__init__") == 0;
	return 0;
}

int py_code_read(struct memory *mem, const struct py_layout *l, remote_addr addr,
		 remote_addr *code_type, bool *ret_names_cut, struct py_code **ret)
{
	uint8_t head[PY_MAX_CODE_BYTES], again[PY_CODE_IDENTITY_BYTES];
	uint32_t size = l->code.size;
	struct py_code *code;
	int r;

	if (addr & 7 || size > sizeof(head) || size < PY_CODE_IDENTITY_BYTES)
		return -EBADMSG;
	r = memory_read(mem, addr, head, size);
	if (r == 0)
		r = check_type(mem, u64_in(head, PY_OB_TYPE), code_type);
	if (r < 0)
		return r;
	code = xcalloc(1, sizeof(*code));
	code->addr = addr;
	code->followed = -1;
	r = read_parts(mem, l, head, ret_names_cut, code);
	/* What was read belongs together only if the object did not change meanwhile. */
	if (r == 0)
		r = memory_read(mem, addr, head, size);
	if (r == 0) {
		take_identity(l, head, again);
		if (memcmp(again, code->identity, sizeof(again)) != 0)
			r = -EBADMSG;
	}
	if (r < 0) {
		py_code_free(code);
		return r;
	}
	code->memory = sizeof(*code) + code->n_loops * sizeof(code->loops[0]) +
		       code->n_units * (size_t)3 + code->file_len + code->name_len + 64;
	*ret = code;
	return 0;
}

/* Was the table that has just been read still that of the loaded object? */
static bool is_still(struct memory *mem, const struct py_layout *l, const struct py_code *code,
		     const uint8_t *table, size_t len)
{
	uint8_t head[PY_CODE_IDENTITY_BYTES], identity[PY_CODE_IDENTITY_BYTES];

	if (!code->version)
		return hash_content(code->file, code->name, table, len) == code->content_hash;
	if (memory_read(mem, code->addr, head, sizeof(head)) < 0)
		return false;
	take_identity(l, head, identity);
	return memcmp(identity, code->identity, sizeof(identity)) == 0;
}

/* Where the object has no version of its own: are names and line table still the same? */
static int check_content(struct memory *mem, const struct py_layout *l, const struct py_code *code,
			 const uint8_t *head)
{
	char file[PY_MAX_FILE_NAME], name[PY_MAX_QUALNAME];
	bool truncated;
	uint64_t hash;
	int r;

	r = read_names(mem, l, head, file, sizeof(file), name, sizeof(name), &truncated);
	if (r == 0)
		r = read_content_hash(mem, l, head, file, name, &hash);
	if (r < 0)
		return r;
	return hash == code->content_hash ? 0 : -EBADMSG;
}

static void refresh_units(struct memory *mem, const struct py_layout *l, struct py_code *code)
{
	auto_free uint8_t *bytes = NULL;

	if (read_instructions(mem, l, code, &bytes) == 0)
		py_code_classify_units(l->opcodes, bytes, code->units, code->n_units);
}

/* How much of the object to read for its check: its identity, with its instructions if they fit. */
static size_t check_bytes(const struct py_layout *l, const struct py_code *code, bool refresh)
{
	size_t instructions = l->code.code_adaptive, end = instructions + (size_t)code->n_units * 2;

	if (!refresh || instructions < PY_CODE_IDENTITY_BYTES || end > CHECK_BYTES)
		return PY_CODE_IDENTITY_BYTES;
	return end;
}

int py_code_check(struct memory *mem, const struct py_layout *l, struct py_code *code, bool refresh)
{
	uint8_t object[CHECK_BYTES], identity[PY_CODE_IDENTITY_BYTES];
	size_t n;
	int r;

	refresh = refresh && l->frame_kind == PY_FRAMES_STACK;
	n = check_bytes(l, code, refresh);
	r = memory_read(mem, code->addr, object, n);
	if (r < 0)
		return r;
	take_identity(l, object, identity);
	if (memcmp(identity, code->identity, sizeof(identity)) != 0)
		return -EBADMSG;
	r = code->version ? 0 : check_content(mem, l, code, object);
	if (r < 0 || !refresh)
		return r;
	if (n > sizeof(identity))
		py_code_classify_units(l->opcodes, object + l->code.code_adaptive, code->units,
				       code->n_units);
	else
		refresh_units(mem, l, code);
	return 0;
}

int py_code_read_lines(struct memory *mem, const struct py_layout *l, struct py_code *code)
{
	auto_free uint8_t *table = NULL;
	size_t len = 0;
	int r;

	code->lines = xcalloc(code->n_units, sizeof(code->lines[0]));
	code->memory += code->n_units * sizeof(code->lines[0]);
	r = read_line_table(mem, l, code->identity, &table, &len);
	if (r == 0 && !is_still(mem, l, code, table, len))
		r = -EBADMSG;
	if (r < 0)
		return r;
	py_lines_decode(l->line_table, table, len, code->first_line, code->lines, code->n_units);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/py_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "recorder/python/py_object.h"
#include "recorder/python/py_opcodes.h"

#define PAGE	4096u
#define CFRAME	(IMAGE_TSTATE + 2048) /* struct _PyCFrame, to 3.12 */
#define TP_NAME 24		      /* of PyTypeObject */

/* The numbers of the instructions in 3.8 to 3.15; 0: there is none. */
static const uint8_t numbers[IMAGE_END][8] = {
    [IMAGE_RESUME] = {9, 9, 9, 151, 151, 149, 128, 128},
    [IMAGE_LOAD_FAST] = {124, 124, 124, 124, 124, 85, 84, 83},
    [IMAGE_LOAD_CONST] = {100, 100, 100, 100, 100, 83, 82, 81},
    [IMAGE_LOAD_SMALL_INT] = {0, 0, 0, 0, 0, 0, 94, 93},
    [IMAGE_STORE_FAST] = {125, 125, 125, 125, 125, 110, 112, 111},
    [IMAGE_LOAD_ATTR] = {106, 106, 106, 106, 106, 82, 80, 79},
    [IMAGE_COMPARE_OP] = {107, 107, 107, 107, 107, 58, 56, 54},
    [IMAGE_PRECALL] = {0, 0, 0, 166, 0, 0, 0, 0},
    [IMAGE_CALL] = {131, 131, 131, 171, 171, 53, 52, 50},
    [IMAGE_CALL_METHOD] = {161, 161, 161, 0, 0, 0, 0, 0},
    [IMAGE_CALL_FUNCTION_EX] = {142, 142, 142, 142, 142, 54, 4, 4},
    [IMAGE_INSTRUMENTED_CALL] = {0, 0, 0, 0, 241, 244, 250, 249},
    [IMAGE_GET_ITER] = {68, 68, 68, 68, 68, 19, 16, 70},
    [IMAGE_FOR_ITER] = {93, 93, 93, 93, 93, 72, 70, 68},
    [IMAGE_YIELD_VALUE] = {86, 86, 86, 86, 150, 118, 120, 119},
    [IMAGE_RETURN_VALUE] = {83, 83, 83, 83, 83, 36, 35, 33},
    [IMAGE_EXIT_INIT_CHECK] = {0, 0, 0, 0, 0, 13, 11, 11},
    [IMAGE_EXTENDED_ARG] = {144, 144, 144, 144, 144, 71, 69, 67},
};

static struct image_region *find_region(struct py_image *im, remote_addr addr, size_t len)
{
	for (unsigned i = 0; i < im->n_regions; i++) {
		struct image_region *r = &im->regions[i];

		if (addr >= r->start && addr - r->start < r->len &&
		    r->len - (addr - r->start) >= len)
			return r;
	}
	return NULL;
}

static int read_image(void *ctx, remote_addr addr, void *buf, size_t len)
{
	struct py_image *im = ctx;
	const struct image_region *r;

	if (im->before_read)
		im->before_read(im, addr, len);
	if (im->gone)
		return -ESRCH;
	r = find_region(im, addr, len);
	if (!r)
		return -EFAULT;
	memcpy(buf, r->data + (addr - r->start), len);
	if (im->after_read)
		im->after_read(im, addr, buf, len);
	return 0;
}

void py_image_map(struct py_image *im, remote_addr start, uint32_t len)
{
	if (im->n_regions == IMAGE_MAX_REGIONS || start % PAGE || len % PAGE)
		abort();
	im->regions[im->n_regions++] = (struct image_region){start, len, xcalloc(1, len)};
}

void py_image_unmap(struct py_image *im, remote_addr start)
{
	for (unsigned i = 0; i < im->n_regions; i++) {
		if (im->regions[i].start == start) {
			free(im->regions[i].data);
			im->regions[i] = im->regions[--im->n_regions];
			return;
		}
	}
	abort();
}

uint8_t *py_image_at(struct py_image *im, remote_addr addr, uint32_t len)
{
	struct image_region *r = find_region(im, addr, len);

	if (!r)
		abort();
	return r->data + (addr - r->start);
}

void py_image_put(struct py_image *im, remote_addr addr, uint64_t value)
{
	memcpy(py_image_at(im, addr, sizeof(value)), &value, sizeof(value));
}

void py_image_put32(struct py_image *im, remote_addr addr, uint32_t value)
{
	memcpy(py_image_at(im, addr, sizeof(value)), &value, sizeof(value));
}

uint64_t py_image_get(struct py_image *im, remote_addr addr)
{
	uint64_t value;

	memcpy(&value, py_image_at(im, addr, sizeof(value)), sizeof(value));
	return value;
}

remote_addr py_image_alloc(struct py_image *im, uint32_t len)
{
	remote_addr at = im->heap_end;

	im->heap_end += (len + 15u) & ~15u;
	py_image_at(im, at, len);
	return at;
}

remote_addr py_image_ascii(struct py_image *im, const char *s)
{
	uint32_t n = (uint32_t)strlen(s);
	remote_addr at = py_image_alloc(im, im->l.unicode.ascii_data + n + 1);

	py_image_put(im, at + im->l.unicode.length, n);
	*py_image_at(im, at + im->l.unicode.state, 1) = 1 << 2 | 1 << 5 | 1 << 6;
	memcpy(py_image_at(im, at + im->l.unicode.ascii_data, n + 1), s, n + 1);
	return at;
}

remote_addr py_image_wide(struct py_image *im, const void *chars, uint32_t n, unsigned kind)
{
	remote_addr at = py_image_alloc(im, im->l.unicode.compact_data + n * kind);

	py_image_put(im, at + im->l.unicode.length, n);
	/* Only the lowest byte of the state is defined. */
	py_image_put32(im, at + im->l.unicode.state, 0xabcdef00u | kind << 2 | 1 << 5);
	memcpy(py_image_at(im, at + im->l.unicode.compact_data, n * kind), chars, (size_t)n * kind);
	return at;
}

remote_addr py_image_bytes(struct py_image *im, const void *data, uint32_t len)
{
	remote_addr at = py_image_alloc(im, im->l.bytes.data + len + 1);

	py_image_put(im, at + im->l.bytes.size, len);
	if (len)
		memcpy(py_image_at(im, at + im->l.bytes.data, len), data, len);
	return at;
}

/* One unit per instruction and inline cache. */
static uint32_t assemble(const struct py_image *im, const enum image_op *ops, const uint8_t *args,
			 uint8_t *bytes, struct image_function *f)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < IMAGE_MAX_OPS && ops[i] != IMAGE_END; i++) {
		uint8_t number = py_image_opcode(im, ops[i]);

		f->at[i] = n;
		bytes[2 * (size_t)n] = number;
		bytes[2 * (size_t)n + 1] = args[i];
		n += 1u + im->l.opcodes->caches[number];
	}
	return n;
}

/* Each unit is a line of its own, the first one that of the function plus 1. */
static remote_addr put_lines(struct py_image *im, uint32_t n_units)
{
	uint8_t lines[3 * IMAGE_MAX_UNITS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < n_units; i++) {
		switch (im->l.line_table) {
		case PY_LINES_LNOTAB: /* bytes since the last entry, lines */
			lines[n++] = i ? 2 : 0;
			lines[n++] = 1;
			break;
		case PY_LINES_PAIRS: /* bytes of this entry, lines */
			lines[n++] = 2;
			lines[n++] = 1;
			break;
		case PY_LINES_LOCATIONS: /* kind 11, one unit, a step of one line */
			lines[n++] = 0xd8;
			lines[n++] = 0;
			lines[n++] = 0;
			break;
		}
	}
	return py_image_bytes(im, lines, n);
}

/* From 3.11: the instructions are part of the code object. */
static void put_stack_code(struct py_image *im, const struct image_code *about,
			   const uint8_t *bytes, struct image_function *f)
{
	static uint32_t versions;
	const struct py_layout *l = &im->l;

	f->frame_words = l->frame_specials + about->nlocalsplus + about->stacksize;
	py_image_put(im, f->code + PY_OB_SIZE, f->n_units);
	py_image_put32(im, f->code + l->code.nlocalsplus, about->nlocalsplus);
	py_image_put32(im, f->code + l->code.first_traceable, about->first_traceable);
	if (l->code.framesize != LAYOUT_ABSENT)
		py_image_put32(im, f->code + l->code.framesize, f->frame_words);
	if (l->code.version != LAYOUT_ABSENT)
		py_image_put32(im, f->code + l->code.version,
			       about->version ? about->version : ++versions);
	memcpy(py_image_at(im, f->code + l->code.code_adaptive, 2 * f->n_units), bytes,
	       2 * (size_t)f->n_units);
}

/* To 3.10: they are an object of their own, and a function is known by its code. */
static void put_heap_code(struct py_image *im, const struct image_code *about, const uint8_t *bytes,
			  struct image_function *f)
{
	const struct py_layout *l = &im->l;

	f->frame_words = about->nlocalsplus + about->stacksize;
	py_image_put32(im, f->code + l->code.nlocals, about->nlocalsplus);
	py_image_put(im, f->code + l->code.code, py_image_bytes(im, bytes, 2 * f->n_units));
	py_image_put(im, f->object + l->function.code, f->code);
}

uint8_t py_image_opcode(const struct py_image *im, enum image_op op)
{
	uint8_t number = numbers[op][im->l.minor - PY_MINOR_MIN];

	if (!number)
		abort();
	return number;
}

struct image_function py_image_function(struct py_image *im, remote_addr addr,
					const struct image_code *about)
{
	static const enum image_op calling[] = {IMAGE_RESUME,	 IMAGE_LOAD_FAST,    IMAGE_CALL,
						IMAGE_LOAD_FAST, IMAGE_RETURN_VALUE, IMAGE_END};
	const struct py_layout *l = &im->l;
	bool in_heap = l->frame_kind == PY_FRAMES_HEAP;
	bool is_default = about->ops[0] == IMAGE_RESUME && about->ops[1] == IMAGE_RESUME;
	uint8_t bytes[2 * IMAGE_MAX_UNITS] = {0};
	struct image_function f = {0};

	f.n_units = assemble(im, is_default ? calling : about->ops, about->args, bytes, &f);
	f.code = addr ? addr
		      : py_image_alloc(im, in_heap ? l->code.size
						   : l->code.code_adaptive + sizeof(bytes));
	f.object = py_image_alloc(im, 64);
	py_image_put(im, f.code + PY_OB_TYPE, im->code_type);
	py_image_put32(im, f.code + l->code.first_line, (uint32_t)about->first_line);
	py_image_put32(im, f.code + l->code.stacksize, about->stacksize);
	py_image_put(im, f.code + l->code.consts, about->consts);
	py_image_put(im, f.code + l->code.filename, py_image_ascii(im, about->file));
	py_image_put(im, f.code + (in_heap ? l->code.name : l->code.qualname),
		     py_image_ascii(im, about->name));
	py_image_put(im, f.code + l->code.linetable, put_lines(im, f.n_units));
	if (in_heap)
		put_heap_code(im, about, bytes, &f);
	else
		put_stack_code(im, about, bytes, &f);
	return f;
}

remote_addr py_image_tuple(struct py_image *im, const remote_addr *items, uint32_t n)
{
	remote_addr at = py_image_alloc(im, im->l.tuple_items + 8 * n);

	py_image_put(im, at + PY_OB_SIZE, n);
	for (uint32_t i = 0; i < n; i++)
		py_image_put(im, at + im->l.tuple_items + 8 * (uint64_t)i, items[i]);
	return at;
}

remote_addr py_image_typed(struct py_image *im, const char *type_name)
{
	remote_addr object = py_image_alloc(im, 64), type = py_image_alloc(im, 64), name;
	uint32_t len = (uint32_t)strlen(type_name) + 1;

	name = py_image_alloc(im, len < 32 ? 32 : len);
	memcpy(py_image_at(im, name, len), type_name, len);
	py_image_put(im, type + TP_NAME, name);
	py_image_put(im, object + PY_OB_TYPE, type);
	return object;
}

void py_image_heap_frame(struct py_image *im, const struct image_heap_frame *f)
{
	const struct py_layout *l = &im->l;
	bool counts_units = l->instruction_unit == 2;
	uint32_t lasti =
	    f->unit == IMAGE_BEFORE_START ? UINT32_MAX : f->unit * (counts_units ? 1u : 2u);
	uint8_t executes = l->liveness == PY_LIVE_EXECUTING ? 1 : 0;
	uint8_t left = l->liveness == PY_LIVE_EXECUTING ? 0 : 1;

	py_image_put(im, f->addr + PY_OB_SIZE, f->function->frame_words);
	py_image_put(im, f->addr + l->frame.code, f->function->code);
	py_image_put(im, f->addr + l->frame.previous, f->back);
	py_image_put(im, f->addr + l->frame.generator, f->generator);
	py_image_put(im, f->addr + l->frame.valuestack, py_image_heap_operand(im, f, 0));
	py_image_put32(im, f->addr + l->frame.ip, lasti);
	*py_image_at(im, f->addr + l->frame.executing, 1) = f->executes ? executes : left;
}

remote_addr py_image_heap_operand(struct py_image *im, const struct image_heap_frame *f, uint32_t i)
{
	uint32_t n_locals;

	memcpy(&n_locals, py_image_at(im, f->function->code + im->l.code.nlocals, 4), 4);
	return f->addr + im->l.frame.size + 8 * (uint64_t)(n_locals + i);
}

uint32_t py_image_waiting(const struct py_image *im, const struct image_function *f, unsigned i)
{
	return im->l.call_ip_is_last_cache ? f->at[i + 1] - 1 : f->at[i];
}

static uint64_t locals_of(struct py_image *im, const struct image_function *f)
{
	uint32_t n;

	memcpy(&n, py_image_at(im, f->code + im->l.code.nlocalsplus, 4), 4);
	return n;
}

void py_image_frame(struct py_image *im, const struct image_frame *f)
{
	const struct py_layout *l = &im->l;
	const struct image_function *function = f->function;
	remote_addr start = function->code + l->code.code_adaptive;
	uint64_t top = locals_of(im, function) + f->n_operands;

	py_image_put(im, f->addr + l->frame.code, function->code);
	py_image_put(im, f->addr + l->frame.function, function->object);
	py_image_put(im, f->addr + l->frame.previous, f->previous);
	py_image_put(im, f->addr + l->frame.ip,
		     f->unit == IMAGE_BEFORE_START ? start - 2 : start + 2 * (uint64_t)f->unit);
	if (l->liveness == PY_LIVE_CODE)
		py_image_put(im, f->addr + l->frame.stacktop,
			     f->waits ? f->addr + l->frame.size + 8 * top : 0);
	else
		py_image_put32(im, f->addr + l->frame.stacktop,
			       f->waits ? (uint32_t)top : UINT32_MAX);
	if (l->frame.is_entry != LAYOUT_ABSENT)
		*py_image_at(im, f->addr + l->frame.is_entry, 1) = f->is_entry;
	*py_image_at(im, f->addr + l->frame.owner, 1) = f->owner;
}

void py_image_entry(struct py_image *im, remote_addr addr, remote_addr previous)
{
	py_image_put(im, addr + im->l.frame.code, 1);
	py_image_put(im, addr + im->l.frame.previous, previous);
	*py_image_at(im, addr + im->l.frame.owner, 1) = im->l.entry_owner;
}

void py_image_pop(struct py_image *im, remote_addr frame)
{
	py_image_put(im, frame + im->l.frame.code, 1);
	py_image_put(im, frame + im->l.frame.function, 1);
}

remote_addr py_image_operand(struct py_image *im, const struct image_frame *f, uint32_t i)
{
	return f->addr + im->l.frame.size + 8 * (locals_of(im, f->function) + i);
}

remote_addr py_image_generator(struct py_image *im, bool executing)
{
	remote_addr object = py_image_alloc(im, 1024);
	int suspended = im->l.gen_executing ? 1 : -1;

	*py_image_at(im, object + im->l.gen.frame_state, 1) =
	    (uint8_t)(executing ? im->l.gen_executing : suspended);
	return object + im->l.gen.iframe;
}

remote_addr py_image_generator_object(const struct py_image *im, remote_addr frame)
{
	return frame - im->l.gen.iframe;
}

remote_addr py_image_chunk(struct py_image *im, remote_addr addr, remote_addr previous)
{
	py_image_map(im, addr, IMAGE_CHUNK_BYTES);
	py_image_put(im, addr, previous);
	py_image_put(im, addr + 8, IMAGE_CHUNK_BYTES);
	py_image_put(im, IMAGE_TSTATE + im->l.thread.datastack_chunk, addr);
	return addr + (previous ? 24 : 32);
}

void py_image_thread(struct py_image *im, remote_addr current_frame, remote_addr top)
{
	const struct py_layout *l = &im->l;

	if (l->frame_kind == PY_FRAMES_HEAP) {
		py_image_put(im, IMAGE_TSTATE + l->thread.frame, current_frame);
		return;
	}
	py_image_put(im, IMAGE_TSTATE + l->thread.datastack_top, top);
	if (l->thread.current_frame != LAYOUT_ABSENT) {
		py_image_put(im, IMAGE_TSTATE + l->thread.current_frame, current_frame);
	} else {
		py_image_put(im, IMAGE_TSTATE + l->thread.cframe, CFRAME);
		py_image_put(im, CFRAME + l->cframe.current_frame, current_frame);
	}
}

void py_image_init(struct py_image *im, unsigned minor)
{
	remote_addr name;

	*im = (struct py_image){.l = *py_layout_find(minor), .heap_end = IMAGE_HEAP};
	memory_init_image(&im->mem, read_image, im);
	py_image_map(im, IMAGE_HEAP, IMAGE_HEAP_BYTES);
	py_image_map(im, IMAGE_TSTATE, PAGE);
	py_image_map(im, IMAGE_C_STACK, PAGE);
	im->code_type = py_image_alloc(im, 416);
	name = py_image_alloc(im, 8);
	memcpy(py_image_at(im, name, 5), "code", 5);
	py_image_put(im, im->code_type + TP_NAME, name);
	if (minor >= 11) {
		py_image_chunk(im, IMAGE_CHUNK, 0);
		py_image_thread(im, 0, IMAGE_CHUNK + 32);
	}
}

void py_image_done(struct py_image *im)
{
	while (im->n_regions)
		py_image_unmap(im, im->regions[0].start);
	memory_done(&im->mem);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Offsets that the target publishes: _Py_DebugOffsets stands at the start of _PyRuntime from 3.13
 * on (Include/internal/pycore_debug_offsets.h): the cookie "xdebugpy", the version, and then
 * unsigned 64-bit fields without gaps, in an order that is fixed within a minor version.
 */
#include "recorder/python/py_layout.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "recorder/python/py_code.h"

/* The largest offset that is believed; sizeof(PyInterpreterState) is below 400,000 in all. */
#define MAX_OFFSET (4u << 20)

struct published_field {
	uint16_t position[3]; /* byte position of the field in 3.13, 3.14, 3.15; 0: not published */
	uint32_t target;      /* where it goes in struct py_layout */
};

#define FIELD(at13, at14, at15, member)                                          \
	{                                                                        \
		{at13, at14, at15}, (uint32_t)offsetof(struct py_layout, member) \
	}

static const struct published_field published[] = {
    FIELD(40, 40, 40, runtime.interpreters_head),
    FIELD(56, 56, 56, interp.id),
    FIELD(64, 64, 64, interp.next),
    FIELD(72, 72, 72, interp.threads_head),
    FIELD(96, 104, 104, interp.sysdict),
    FIELD(112, 120, 120, interp.gil),
    FIELD(168, 192, 192, thread.next),
    FIELD(176, 200, 200, thread.interp),
    FIELD(184, 208, 208, thread.current_frame),
    FIELD(0, 0, 216, thread.base_frame),
    FIELD(192, 216, 240, thread.thread_id),
    FIELD(200, 224, 248, thread.native_thread_id),
    FIELD(208, 232, 256, thread.datastack_chunk),
    FIELD(232, 256, 320, frame.previous),
    FIELD(240, 264, 328, frame.code),
    FIELD(248, 272, 336, frame.ip),
    FIELD(256, 280, 344, frame.size),
    FIELD(264, 288, 352, frame.owner),
    FIELD(0, 296, 360, frame.stacktop),
    FIELD(280, 320, 384, code.filename),
    FIELD(288, 328, 392, code.name),
    FIELD(296, 336, 400, code.qualname),
    FIELD(304, 344, 408, code.linetable),
    FIELD(312, 352, 416, code.first_line),
    FIELD(344, 384, 448, code.code_adaptive),
    FIELD(408, 456, 552, tuple_items),
    FIELD(520, 600, 696, bytes.size),
    FIELD(528, 608, 704, bytes.data),
    FIELD(544, 624, 720, unicode.state),
    FIELD(552, 632, 728, unicode.length),
    FIELD(560, 640, 736, unicode.ascii_data),
    FIELD(0, 0, 744, unicode.compact_data),
    FIELD(0, 680, 808, gen.iframe),
    FIELD(0, 688, 816, gen.frame_state),
};

#define AT_COOKIE	 0
#define AT_VERSION	 8
#define AT_FREE_THREADED 16

static uint64_t u64_at(const uint8_t *p, uint32_t position)
{
	uint64_t v;

	memcpy(&v, p + position, sizeof(v));
	return v;
}

/* A field of `bytes` bytes at `offset` ends by `size`. */
static bool is_within(uint32_t offset, uint32_t bytes, uint32_t size)
{
	return size >= bytes && offset <= size - bytes;
}

/*
 * Fields are picked out of structs that are read whole, into buffers sized for them: a target that
 * publishes nonsense must not lead outside these.
 */
static bool is_thread_sane(const struct py_layout *l)
{
	/* As far as listing threads reads it, and as far as reading frames does. */
	uint32_t ids = l->thread.native_thread_id + 8, all = l->thread.datastack_limit + 8;

	return ids <= PY_MAX_TSTATE_BYTES && all <= PY_MAX_TSTATE_BYTES &&
	       is_within(l->thread.next, 8, ids) && is_within(l->thread.interp, 8, ids) &&
	       is_within(l->thread.thread_id, 8, ids) && is_within(l->thread.interp, 8, all) &&
	       is_within(l->thread.current_frame, 8, all);
}

static bool is_frame_sane(const struct py_layout *l)
{
	uint32_t size = l->frame.size;

	return size <= PY_MAX_FRAME_BYTES && size % 8 == 0 && is_within(l->frame.code, 8, size) &&
	       is_within(l->frame.previous, 8, size) && is_within(l->frame.function, 8, size) &&
	       is_within(l->frame.ip, 8, size) && is_within(l->frame.owner, 1, size) &&
	       is_within(l->frame.stacktop, 8, size) && l->gen.iframe <= PY_MAX_GEN_BYTES &&
	       is_within(l->gen.frame_state, 1, l->gen.iframe);
}

static bool is_code_sane(const struct py_layout *l)
{
	uint32_t identity = PY_CODE_IDENTITY_BYTES, size = l->code.size;

	return size >= identity && size <= PY_MAX_CODE_BYTES &&
	       is_within(l->code.filename, 8, identity) && is_within(l->code.name, 8, identity) &&
	       is_within(l->code.qualname, 8, identity) &&
	       is_within(l->code.linetable, 8, identity) &&
	       is_within(l->code.first_line, 4, identity) &&
	       is_within(l->code.first_traceable, 4, size);
}

static bool is_str_sane(const struct py_layout *l)
{
	uint32_t size = l->unicode.compact_data;

	return size <= PY_MAX_STR_BYTES && is_within(l->unicode.length, 8, size) &&
	       is_within(l->unicode.state, 1, size);
}

int py_layout_apply_debug_offsets(struct py_layout *layout, uint32_t hexversion,
				  const uint8_t *runtime, uint32_t n)
{
	struct py_layout l = *layout;
	unsigned column = (unsigned)l.minor - 13;

	if (l.minor < 13 || column > 2 || n < AT_FREE_THREADED + 8)
		return -EBADMSG;
	if (memcmp(runtime + AT_COOKIE, "xdebugpy", 8) != 0)
		return -EAGAIN;
	if (u64_at(runtime, AT_VERSION) != hexversion)
		return -EBADMSG;
	if (u64_at(runtime, AT_FREE_THREADED) != 0)
		return -EOPNOTSUPP;
	for (size_t i = 0; i < sizeof(published) / sizeof(published[0]); i++) {
		uint32_t position = published[i].position[column];
		uint64_t value;

		if (!position)
			continue;
		if (position + 8 > n)
			return -EBADMSG;
		value = u64_at(runtime, position);
		if (value > MAX_OFFSET)
			return -EBADMSG;
		memcpy((uint8_t *)&l + published[i].target, &(uint32_t){(uint32_t)value},
		       sizeof(uint32_t));
	}
	/* Not published, but neighbours since there is a data stack (Include/cpython/pystate.h). */
	l.thread.datastack_top = l.thread.datastack_chunk + 8;
	l.thread.datastack_limit = l.thread.datastack_chunk + 16;
	/*
	 * Likewise between published fields: the instructions begin at the struct's end, so fields
	 * that are read with it in one go end there.
	 */
	l.code.size = l.code.code_adaptive;
	l.frame_specials = (uint8_t)(l.frame.size / 8);
	if (!is_thread_sane(&l) || !is_frame_sane(&l) || !is_code_sane(&l) || !is_str_sane(&l))
		return -EBADMSG;
	*layout = l;
	return 0;
}

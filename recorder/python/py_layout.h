/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where things lie inside CPython's structures, and what a value in them means: data, one row per
 * minor version. Code asks a trait, never the version, so a new Python is one new row (and one
 * new row of opcodes). From 3.13 on the interpreter publishes most offsets itself
 * (_Py_DebugOffsets); they then replace the row's in the target's own copy.
 *
 * Offsets are bytes, for 64-bit little-endian release builds with a GIL.
 */
#ifndef RECORDER_PYTHON_PY_LAYOUT_H
#define RECORDER_PYTHON_PY_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

/* A field that this version does not have; never 0, which is a real offset. */
#define LAYOUT_ABSENT UINT32_MAX

#define PY_MINOR_MIN 8
#define PY_MINOR_MAX 15

/* Where frames live. */
enum py_frame_kind {
	PY_FRAMES_HEAP,	 /* to 3.10: a PyFrameObject per call, linked by f_back */
	PY_FRAMES_STACK, /* from 3.11: one after the other in the thread's data stack */
};

/* How a frame's memory tells a live frame from what a call that has returned left behind. */
enum py_liveness {
	PY_LIVE_EXECUTING, /* 3.8, 3.9: f_executing is 1 */
	PY_LIVE_STATE,	   /* 3.10: f_state is 0, FRAME_EXECUTING */
	/*
	 * 3.11 to 3.13: stacktop is -1 while the frame's own code runs (or C code called from it);
	 * it is set when the frame is left, by an inlined call as well as for good.
	 */
	PY_LIVE_STACKTOP,
	/*
	 * From 3.14 on: popping clears the code reference; stackpointer is NULL only while the
	 * frame's own bytecode runs, not while it waits for a call of any kind.
	 */
	PY_LIVE_CODE,
};

enum py_line_table {
	PY_LINES_LNOTAB,    /* 3.8, 3.9: co_lnotab */
	PY_LINES_PAIRS,	    /* 3.10: co_linetable, PEP 626 */
	PY_LINES_LOCATIONS, /* from 3.11: co_linetable, PEP 657 */
};

/*
 * The structs' parts that are read at once are at most so long, in any layout: up to the last
 * field that is needed of a thread state, frame (without its locals), code object and str, and of
 * a generator what stands before its frame.
 */
#define PY_MAX_TSTATE_BYTES 400
#define PY_MAX_FRAME_BYTES  256
#define PY_MAX_CODE_BYTES   1024
#define PY_MAX_STR_BYTES    80
#define PY_MAX_GEN_BYTES    1024

struct py_opcodes;

struct py_layout {
	uint8_t minor;
	enum py_frame_kind frame_kind;
	enum py_liveness liveness;
	enum py_line_table line_table;
	uint8_t instruction_unit;   /* f_lasti counts these bytes: 1 (3.8, 3.9) or 2 (3.10) */
	bool call_ip_is_last_cache; /* 3.11, 3.12: below an inlined callee the ip is on the last
				       inline cache entry of the call */
	bool ip_points_before;	    /* 3.11, 3.12: prev_instr; a fresh frame's is code start - 2 */
	bool code_is_tagged;	    /* from 3.14: references carry two tag bits */
	uint8_t entry_owner;	    /* owner values from here on are no Python frames */
	int8_t gen_executing;	    /* gi_frame_state of a generator that runs */
	uint8_t frame_specials;	    /* words of a data stack frame before its locals */
	uint32_t runtime_size;	    /* sizeof(_PyRuntimeState): tells 3.8 to 3.10 apart */

	struct {
		uint32_t interpreters_head;
		uint32_t gil; /* the GIL's struct itself, to 3.11 */
	} runtime;
	struct {
		uint32_t next, id, threads_head, sysdict;
		uint32_t gil; /* a pointer to the GIL's struct, from 3.12 */
	} interp;
	struct {
		uint32_t next, interp, thread_id, native_thread_id;
		uint32_t frame;		/* PyFrameObject *, to 3.10 */
		uint32_t cframe;	/* _PyCFrame *, 3.10 to 3.12 */
		uint32_t current_frame; /* _PyInterpreterFrame *, from 3.13 */
		uint32_t base_frame;	/* 3.15 */
		uint32_t datastack_chunk, datastack_top, datastack_limit;
		uint32_t use_tracing; /* 3.8, 3.9 */
	} thread;
	struct {
		uint32_t current_frame; /* 3.11, 3.12 */
		uint32_t use_tracing;	/* 3.10, 3.11 */
	} cframe;
	struct {
		uint32_t last_holder, locked, switch_number;
	} gil;
	struct {
		uint32_t size; /* header, before the locals */
		uint32_t code, previous, function, ip, owner;
		uint32_t is_entry;   /* 3.11 */
		uint32_t stacktop;   /* int32, 3.11 to 3.13; pointer from 3.14 on */
		uint32_t valuestack; /* to 3.10: f_valuestack, where the operands begin */
		uint32_t executing;  /* f_executing or f_state, to 3.10 */
		uint32_t generator;  /* f_gen: the generator that owns the frame, to 3.10 */
	} frame;
	struct {
		uint32_t frame_state, iframe;
	} gen;
	struct {
		uint32_t code; /* PyFunctionObject, to 3.10 */
	} function;
	struct {
		uint32_t size; /* bytes to read for all fields below, code_adaptive excepted */
		uint32_t flags, first_line, stacksize, nlocalsplus, framesize;
		uint32_t code;	 /* bytes object, to 3.10 */
		uint32_t consts; /* tuple */
		uint32_t filename, name, qualname, linetable, first_traceable;
		uint32_t code_adaptive; /* the instructions themselves, from 3.11 */
		uint32_t version;	/* unique per code object, from 3.12; 0: ran out */
		uint32_t nlocals;
	} code;
	struct {
		uint32_t length, state, ascii_data, compact_data;
	} unicode;
	struct {
		uint32_t size, data;
	} bytes;
	uint32_t tuple_items;

	const struct py_opcodes *opcodes;
};

/* The built-in row of a minor version (3.minor), NULL when there is none. */
const struct py_layout *py_layout_find(unsigned minor);

/*
 * Minor version from sizeof(_PyRuntimeState), for the versions that have no Py_Version symbol.
 * Returns 8, 9 or 10; 0 when no version has that size.
 */
unsigned py_layout_minor_from_runtime_size(uint64_t size);

/*
 * Take over the offsets that the target publishes (3.13 and later).
 * @layout   starts as the built-in row of that version
 * @runtime  the first n bytes of _PyRuntime
 * Returns 0; -EAGAIN when they are not filled in; -EOPNOTSUPP for a free-threaded build;
 * -EBADMSG when they contradict the version or cannot be offsets.
 */
int py_layout_apply_debug_offsets(struct py_layout *layout, uint32_t hexversion,
				  const uint8_t *runtime, uint32_t n);

/* Bytes of _PyRuntime that py_layout_apply_debug_offsets() wants to see at most. */
#define PY_DEBUG_OFFSETS_MAX 1024

#endif

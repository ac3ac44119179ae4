/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The target's code objects, read once and kept: names, lines, and what each code unit is.
 *
 * A code object can be freed and its address reused by another one. So what is kept here is only
 * a claim until it has been checked again: the caller uses it for a snapshot and then, at once or
 * some time later, has py_codes_check() confirm that the object is still the one that was loaded;
 * a snapshot is proven by a load before it and a successful check after it.
 */
#ifndef RECORDER_PYTHON_PY_CODE_H
#define RECORDER_PYTHON_PY_CODE_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/python/py_layout.h"
#include "recorder/python/py_opcodes.h"
#include "recorder/target/memory.h"

/* Named limits; reaching one is counted in the struct. */
#define PY_MAX_CODE_UNITS	(1u << 22)
#define PY_MAX_LINE_TABLE_BYTES (16u << 20)
#define PY_MAX_FILE_NAME	4096
#define PY_MAX_QUALNAME		1024
#define PY_MAX_CODE_MEMORY	(5u << 20) /* then the cache starts afresh */

/* Flags of a code unit: those of enum py_op_flag of its instruction, and instead of KNOWN: */
#define PY_UNIT_IS_CACHE (1 << 7) /* an inline cache entry, not an instruction */
/* To 3.10, where nothing is inlined: a call with positional arguments and no others. */
#define PY_UNIT_CALLS_PLAINLY PY_OP_INLINES
/* To 3.10, where there are no caches: can call a function of any name, not just a dunder method. */
#define PY_UNIT_CALLS_ANYTHING PY_UNIT_IS_CACHE

/* Enough of a code object's header for its identity: every field before what can change. */
#define PY_CODE_IDENTITY_BYTES 144

/* A loop over an iterator: the instruction that resumes it, and the first one behind the loop. */
struct py_loop {
	uint32_t start, end; /* code units */
	/*
	 * `for x in function(constant)`: the constant, which tells this loop's generator from
	 * another one in recycled memory. Its address, or, when small_int is set, its value.
	 */
	remote_addr argument;
	bool has_argument, is_small_int;
};

struct py_code {
	remote_addr addr;
	uint32_t serial;   /* of its loading: tells apart what was at this address */
	remote_addr start; /* of its first instruction, from 3.11 */
	uint32_t n_units;
	uint32_t frame_words; /* words that its frame takes in the data stack */
	uint32_t nlocalsplus;
	uint32_t first_traceable; /* units before this one belong to the frame's set-up */
	int32_t first_line;
	bool is_shim;	   /* the frame between a class call and __init__, 3.13 and later */
	uint8_t *units;	   /* flags per code unit */
	int32_t *lines;	   /* per code unit, 0 unknown; NULL until py_codes_load_lines() */
	char *file, *name; /* UTF-8; name is qualified from 3.11 on */
	uint16_t file_len, name_len;
	int8_t *depth;	/* operand stack depth before each unit; -1 unknown, always from 3.14 */
	int8_t *called; /* to 3.10: per unit, which operand is called or resumed; -1 none */
	bool keeps_first_local; /* to 3.10: its first argument stays in its first local */
	struct py_loop *loops;	/* by start */
	uint32_t n_loops;

	/* For the caller. */
	uint32_t id;
	int8_t followed;       /* -1 not decided yet */
	uint64_t used_in;      /* the batch in which it was last used */
	uint64_t announced_in; /* the batch in which id was told to the writer */
	uint64_t loaded_ns, checked_ns;
	bool replaced; /* no longer what is at addr; kept until py_codes_collect() */

	/* Private. */
	uint8_t identity[PY_CODE_IDENTITY_BYTES];
	uint32_t version;
	uint64_t content_hash; /* of names and line table, where there is no version */
	remote_addr code_bytes;
	size_t memory;
};

struct py_codes;

struct py_codes_counters {
	uint64_t loads, checks, replaced, names_truncated, line_tables_refused, flushes;
};

struct py_codes *py_codes_new(struct memory *mem, const struct py_layout *l);
void py_codes_free(struct py_codes *codes);

/* The loop that begins with this unit, or NULL. */
const struct py_loop *py_code_find_loop(const struct py_code *code, uint32_t unit);

/* Where the loop that begins with this unit ends; the unit behind it when it begins none. */
uint32_t py_code_loop_end(const struct py_code *code, uint32_t unit);

/* The code object last loaded from addr, or NULL. Lent until py_codes_collect(). */
struct py_code *py_codes_find(struct py_codes *codes, remote_addr addr);

/*
 * Load the code object at addr. Returns 0, -EBADMSG when there is none, or an error of
 * memory_read(). Replaces what was known of that address.
 */
int py_codes_load(struct py_codes *codes, remote_addr addr, uint64_t now_ns, struct py_code **ret);

/*
 * Decode the lines too; a table that can't be read, or that is not that of the loaded object any
 * more, leaves all lines unknown. Always sets lines.
 */
void py_codes_load_lines(struct py_codes *codes, struct py_code *code);

/*
 * Is it still the object that was loaded? Returns 1 yes (its instructions' flags are then
 * refreshed when refresh is set), 0 no (forgotten now), or -ESRCH.
 */
int py_codes_check(struct py_codes *codes, struct py_code *code, uint64_t now_ns, bool refresh);

/* The address of the type of code objects, 0 while none has been loaded. */
remote_addr py_codes_type(const struct py_codes *codes);

/* Free what has been forgotten; no struct py_code from before may be used afterwards. */
void py_codes_collect(struct py_codes *codes);

const struct py_codes_counters *py_codes_get_counters(const struct py_codes *codes);

#endif

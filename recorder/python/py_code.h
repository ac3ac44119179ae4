/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One code object of the target: names, lines, and what each code unit is. py_codes.h keeps them.
 */
#ifndef RECORDER_PYTHON_PY_CODE_H
#define RECORDER_PYTHON_PY_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/python/py_code_units.h"
#include "recorder/python/py_layout.h"
#include "recorder/target/memory.h"

/* Named limits. */
#define PY_MAX_CODE_UNITS	(1u << 22)
#define PY_MAX_LINE_TABLE_BYTES (16u << 20)
#define PY_MAX_FILE_NAME	4096
#define PY_MAX_QUALNAME		1024

/* Enough of a code object's header for its identity: every field before what can change. */
#define PY_CODE_IDENTITY_BYTES 144

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
	int32_t *lines;	   /* per code unit, 0 unknown; NULL until py_code_read_lines() */
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

/*
 * Read the code object at addr; lines excepted.
 * @code_type      the address of the type of code objects; 0: the first object sets it
 * @ret_names_cut  names were longer than the limits; also set when what follows them fails
 * Returns 0, -EBADMSG when there is no code object, or an error of memory_read().
 */
int py_code_read(struct memory *mem, const struct py_layout *l, remote_addr addr,
		 remote_addr *code_type, bool *ret_names_cut, struct py_code **ret);
void py_code_free(struct py_code *code);

/*
 * Decode the lines too, once. Returns 0, or an error: then all lines are unknown. Always sets
 * lines.
 */
int py_code_read_lines(struct memory *mem, const struct py_layout *l, struct py_code *code);

/*
 * Is it still the object that was read? Returns 0, -EBADMSG, or an error of memory_read().
 * @refresh  from 3.11 on, where the interpreter replaces instructions while it runs: take over
 *           what they are now
 */
int py_code_check(struct memory *mem, const struct py_layout *l, struct py_code *code,
		  bool refresh);

#endif

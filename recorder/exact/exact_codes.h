/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From what a probe tells of a function (addresses of two texts, and a line) to the function.
 *
 * The texts are read once for each such triple, and again now and then, in case that others are
 * there by now. Qualified name and first line are those of the code object, if that is found: a
 * register that the compiler left alone points to the frame, which points to the code object.
 * Which register it is, is found out by trying: it counts when the code object has these very
 * names. Where the frame is gone by then, the code object may be a constant of one that was found
 * before: a function of the one in which it is defined. Otherwise the plain name has to do, and
 * the line at which the function was entered, until it is entered again.
 */
#ifndef RECORDER_EXACT_EXACT_CODES_H
#define RECORDER_EXACT_EXACT_CODES_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/exact/line_plan.h"
#include "recorder/python/py_codes.h"
#include "recorder/python/py_layout.h"
#include "recorder/target/memory.h"

/* Of more, all are forgotten and begun afresh. */
#define EXACT_CODES_MAX 65536

/* Lines with an await or a yield from; of more, the later ones are not known. */
#define EXACT_AWAITS_MAX 16

struct exact_code {
	/* The triple. */
	uint64_t file_at, name_at;
	int32_t line; /* that of the entry */

	int32_t first_line, last_line; /* last_line 0: not known */
	bool is_from_code;	       /* the code object was found */
	bool is_genexpr;
	int8_t begins_here; /* whether its first line is that of its definition; -1: not known */
	int32_t awaits[EXACT_AWAITS_MAX];
	unsigned n_awaits;
	char *file, *name; /* name is qualified if is_from_code */

	/* For the caller. */
	uint32_t id;
	int8_t followed; /* -1: not decided yet */

	uint64_t checked_ns;
	unsigned n_tries; /* to find the code object */
};

/* Code objects that are remembered. */
#define EXACT_KNOWN_MAX 16384

struct exact_codes;

/* All lent, for as long as it lives. */
struct exact_codes *exact_codes_new(struct memory *mem, const struct py_layout *layout,
				    struct py_codes *codes);
void exact_codes_free(struct exact_codes *c);

/*
 * The function that is entered. Lent until the next call.
 * Returns 0, -EFAULT when its names can't be read, or -ESRCH.
 */
int exact_codes_find(struct exact_codes *c, const struct line_event *e,
		     const struct usdt_state *state, uint64_t now_ns, struct exact_code **ret);

/*
 * Functions that are defined in this one may be entered soon: remember them, those in them, and
 * itself. What is not read any more, or too much, is left out.
 */
void exact_codes_know(struct exact_codes *c, remote_addr code);

/* How many triples were new so far: what is told soon after it happened is resolved best. */
uint64_t exact_codes_n_new(const struct exact_codes *c);

/* The address of the frame that a probe tells of, 0 when that is not known (yet). */
uint64_t exact_codes_frame(struct exact_codes *c, const struct line_event *e,
			   const struct usdt_state *state, uint64_t now_ns);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each call site has been seen to call. The words of a frame are not read all at the same
 * moment; once in some ten thousand snapshots of the tightest code the instruction of one call
 * comes together with the operands and the callee of the next. Nothing in that memory gives it
 * away, but it is rare at any site, and what the site really calls is not: a callee is believed
 * when it is what this site has been seen to call again and again, or when further looks found the
 * same call still in progress: two, or three where the site has been seen before.
 */
#ifndef RECORDER_PYTHON_PY_SITES_H
#define RECORDER_PYTHON_PY_SITES_H

#include <stdbool.h>
#include <stdint.h>

struct py_sites;

struct py_sites *py_sites_new(void);
void py_sites_free(struct py_sites *sites);

enum py_belief {
	PY_BELIEVED,
	PY_DOUBTED, /* not seen often enough: further looks may confirm it */
	PY_REFUSED, /* known to be called by another instruction of this caller, hardly by this one
		     */
};

/*
 * Count that instruction `unit` of the code object with serial `caller` was seen to call the one
 * with serial `callee`.
 * @settled  set to true when counting it again would change nothing soon
 */
enum py_belief py_sites_saw(struct py_sites *sites, uint32_t caller, uint32_t unit, uint32_t callee,
			    bool *settled);

/* Count that the instruction was seen with nothing above it. */
void py_sites_saw_alone(struct py_sites *sites, uint32_t caller, uint32_t unit);

/* How many further looks must find the same call in progress before it is believed. */
unsigned py_sites_looks_needed(struct py_sites *sites, uint32_t caller, uint32_t unit);

/* They did. */
void py_sites_confirm(struct py_sites *sites, uint32_t caller, uint32_t unit, uint32_t callee);

/*
 * Note whether a frame that iterates over a generator was found where it had been when the
 * generator was read. Returns whether it stays there so regularly that one look before and one
 * after prove something: a loop that is over within a few reads can have ended and begun again.
 */
bool py_sites_is_steady(struct py_sites *sites, uint32_t caller, uint32_t unit, bool unmoved);

/*
 * Note whether a loop's constant argument was found in its generator. Returns whether it has ever
 * been, so that not finding it means something.
 */
bool py_sites_argument_tells(struct py_sites *sites, uint32_t caller, uint32_t unit, bool found);

#endif

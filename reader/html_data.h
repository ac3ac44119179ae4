/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A profile as the report's page reads it: packed, base64. Nothing of the trace is in a page but
 * in here, so whatever bytes its names and sources have, they can't be taken for markup.
 *
 * Unpacked, all numbers as html_pack_number() writes them:
 *	length of the JSON object, and the object: see html_data.c
 *	places: how many; of each its file + 1 and function + 1 (0: none), and its line (signed)
 *	nodes: how many; of each but the first how far behind its parent it is, and its place
 *	rows: how many; of each its thread, the slice (counted from the one before + 1 when that is
 *	of the same thread), the number of cells, and for how long there was a gap
 *	cells, of all rows in turn, one column after the other: nodes (of a row the difference to
 *	the one before), states, values
 *	waits: how many; of each the begin (the difference to the one before), length, thread,
 *	node, state
 */
#ifndef READER_HTML_DATA_H
#define READER_HTML_DATA_H

#include <stddef.h>

struct html_profile;
struct selection;
struct trace;

/*
 * @source_bytes  so much text of source files at most, those first that took the most time
 * Returns the text, the caller frees; damaged parts are left out.
 */
char *html_data(struct trace *t, const struct selection *s, const struct html_profile *p,
		size_t source_bytes);

#endif

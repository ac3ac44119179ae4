/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_lines.h"

#include <stdbool.h>
#include <string.h>

/* Lines are kept within 1 .. 2^31 - 1; anything else that a table yields is "no line". */
static int32_t as_line(int64_t line)
{
	return line > 0 && line <= INT32_MAX ? (int32_t)line : 0;
}

static void fill(int32_t *lines, size_t n_units, size_t from, size_t to, int64_t line)
{
	for (size_t i = from; i < to && i < n_units; i++)
		lines[i] = as_line(line);
}

/*
 * Pairs of an unsigned address step and a signed line step (Objects/lnotab_notes.txt). A pair's
 * line holds from its own address on; larger steps are split over several pairs, so all pairs up
 * to an address count.
 */
static void decode_lnotab(const uint8_t *table, size_t len, int64_t line, int32_t *lines,
			  size_t n_units)
{
	size_t addr = 0;

	for (size_t i = 0; i + 1 < len; i += 2) {
		size_t next = addr + table[i];

		fill(lines, n_units, addr / 2, next / 2, line);
		addr = next;
		line += (int8_t)table[i + 1];
	}
	fill(lines, n_units, addr / 2, n_units, line);
}

/* As above, but a pair's line holds for the range that it spans; -128 means: no line (PEP 626). */
static void decode_pairs(const uint8_t *table, size_t len, int64_t line, int32_t *lines,
			 size_t n_units)
{
	size_t addr = 0;

	for (size_t i = 0; i + 1 < len; i += 2) {
		size_t end = addr + table[i];
		int8_t step = (int8_t)table[i + 1];

		if (step != -128)
			line += step;
		fill(lines, n_units, addr / 2, end / 2, step == -128 ? 0 : line);
		addr = end;
	}
	fill(lines, n_units, addr / 2, n_units, 0);
}

struct cursor {
	const uint8_t *p, *end;
};

/* Six bits a byte, least significant first, bit 6 says that more follow. */
static uint64_t next_varint(struct cursor *c)
{
	uint64_t value = 0;
	unsigned shift = 0;

	while (c->p < c->end) {
		uint8_t b = *c->p;

		if (b & 0x80) /* the next entry begins: this one was cut short */
			break;
		c->p++;
		if (shift < 36) /* so that no sum of steps can overflow */
			value |= (uint64_t)(b & 0x3f) << shift;
		shift += 6;
		if (!(b & 0x40))
			break;
	}
	return value;
}

static int64_t next_svarint(struct cursor *c)
{
	uint64_t u = next_varint(c);

	return u & 1 ? -(int64_t)(u >> 1) : (int64_t)(u >> 1);
}

/*
 * The location table (PEP 657, Objects/locations.md): a first byte with bit 7 set holds a kind
 * and the number of code units; what follows depends on the kind. Columns are not needed here.
 */
static void decode_locations(const uint8_t *table, size_t len, int64_t line, int32_t *lines,
			     size_t n_units)
{
	struct cursor c = {table, table + len};
	size_t unit = 0;

	while (c.p < c.end && unit < n_units) {
		uint8_t first = *c.p++;
		unsigned kind = first >> 3 & 15;
		size_t end = unit + (first & 7) + 1;
		bool has_line = true;

		switch (kind) {
		case 15:
			has_line = false;
			break;
		case 14:
		case 13:
			line += next_svarint(&c);
			break;
		case 12:
		case 11:
		case 10:
			line += kind - 10;
			break;
		default:
			break;
		}
		fill(lines, n_units, unit, end, has_line ? line : 0);
		unit = end;
		while (c.p < c.end && !(*c.p & 0x80)) /* columns and end lines */
			c.p++;
	}
	fill(lines, n_units, unit, n_units, 0);
}

void py_lines_decode(enum py_line_table kind, const uint8_t *table, size_t len, int32_t first_line,
		     int32_t *lines, size_t n_units)
{
	switch (kind) {
	case PY_LINES_LNOTAB:
		decode_lnotab(table, len, first_line, lines, n_units);
		break;
	case PY_LINES_PAIRS:
		decode_pairs(table, len, first_line, lines, n_units);
		break;
	case PY_LINES_LOCATIONS:
		decode_locations(table, len, first_line, lines, n_units);
		break;
	}
}

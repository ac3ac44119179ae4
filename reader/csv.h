/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing CSV by RFC 4180: lines end with CR and LF, and what holds a comma, a quote or the end of
 * a line is quoted.
 */
#ifndef READER_CSV_H
#define READER_CSV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct csv_writer {
	FILE *out;
	bool has_cell; /* in this line */
};

/* Bytes that are not UTF-8 and control characters become '?'. NULL becomes an empty cell. */
void csv_text(struct csv_writer *c, const char *text);
void csv_count(struct csv_writer *c, uint64_t value);
void csv_real(struct csv_writer *c, double value, int decimals);
void csv_empty(struct csv_writer *c);
void csv_end_line(struct csv_writer *c);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* The places of a walk, each once: a file, a function and a line. */
#ifndef READER_PLACE_TABLE_H
#define READER_PLACE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct block_line;
struct trace;
struct walk_place;

struct place_table;

/* @t  lent until place_table_free() */
struct place_table *place_table_new(struct trace *t);
void place_table_free(struct place_table *p);
/* The number of a block's line; numbers count from 0. Cheap for a line that was there before. */
uint32_t place_table_find(struct place_table *p, struct block_line line);
/* Lent until the next place_table_find(). */
const struct walk_place *place_table_get(const struct place_table *p, uint32_t id);
size_t place_table_n(const struct place_table *p);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* A step of a chain of waits, for people and for programs. */
#ifndef READER_CHAIN_TEXT_H
#define READER_CHAIN_TEXT_H

#include <stddef.h>

struct analysis;
struct chain_step;
struct json_writer;

/* "server-db: 128 ms of 131 ms in /srv/db.py:29 running: return rows"; the caller frees. */
char *chain_step_text(const struct analysis *a, const struct chain_step *step);
/* The array member "chain". */
void chain_json(const struct analysis *a, struct json_writer *j, const struct chain_step *steps,
		size_t n);

#endif

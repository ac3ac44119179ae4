/* SPDX-License-Identifier: BSD-3-Clause */
/* The stalls of one trace or many, grouped by the line that cost them. */
#ifndef READER_STALL_TABLE_H
#define READER_STALL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/hash_index.h"
#include "common/text.h"
#include "reader/stalls.h"

struct clock_map;
struct json_writer;
struct stall_line;
struct trace;

/* A trace that is read at the moment. */
struct stall_trace {
	struct trace *trace;
	const struct clock_map *clock;
	const char *path; /* as replay is to be given it */
	size_t n_threads;
};

struct stall_reason {
	char *text; /* "on CPU", "sleep 40 ms"; safe to print */
	uint64_t ns;
};

/*
 * Lines of several traces are the same when path, number and text are: of a file that was changed
 * in between, the lines that were there before are not taken for those that are there now.
 */
struct stall_group {
	char *file;   /* NULL: no followed code was on the stack */
	int32_t line; /* 0: not known */
	char *source; /* NULL: not known */
	uint64_t n, n_unfinished;
	uint64_t total_ns; /* of the turns */
	uint64_t line_ns;  /* of that on this line */
	struct stall_reason *reasons;
	size_t n_reasons, cap_reasons;
	struct stall worst;
	char *worst_path;
	char *worst_at;	   /* as replay reads it */
	char *worst_began; /* for people */
	bool worst_needs_thread;
};

struct stall_table {
	enum text_charset charset;
	struct stall_group *groups;
	size_t n_groups, cap_groups;
	struct hash_index index;
	/* The groups of the lines of the trace at hand. */
	struct stall_line *lines;
	size_t n_lines, cap_lines;
	struct hash_index line_index;
	/* Of all together. */
	uint64_t n, n_unfinished, total_ns, worst_ns;
};

void stall_table_add(struct stall_table *t, const struct stall_trace *of, const struct stall *s);
/* Another trace is read from here on, whatever its address is. */
void stall_table_end_trace(struct stall_table *t);
/* Those that took the most time first. */
void stall_table_sort(struct stall_table *t);
void stall_table_done(struct stall_table *t);

/* @n  so many groups; @width  of the terminal, 0: any */
void stall_table_print(const struct stall_table *t, size_t n, size_t width);
/* The members of the array "lines". */
void stall_table_json(const struct stall_table *t, size_t n, struct json_writer *j);

#endif

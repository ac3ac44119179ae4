/* SPDX-License-Identifier: BSD-3-Clause */
/* Traces on disk (trace_list.h), printed. */
#ifndef READER_TRACE_TABLE_H
#define READER_TRACE_TABLE_H

#include <stddef.h>

struct json_writer;
struct listed_trace;

/* For people, on standard output. */
void trace_table_print(const struct listed_trace *traces, size_t n);

/* As the members of an array, one object each. */
void trace_table_json(struct json_writer *j, const struct listed_trace *traces, size_t n);

#endif

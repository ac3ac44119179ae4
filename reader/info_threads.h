/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads of a trace, by the numbers that --thread takes. For trackexec info. */
#ifndef READER_INFO_THREADS_H
#define READER_INFO_THREADS_H

#include <stddef.h>
#include <stdint.h>

struct json_writer;
struct trace_thread;

/* @start_ns  of the recording, monotonic; @micro: the sign before an s */
void info_threads_print(const struct trace_thread *threads, size_t n, uint64_t start_ns,
			const char *micro);
/* A member thread_list: all of them. Times in seconds since the start, null: to the end. */
void info_threads_json(const struct trace_thread *threads, size_t n, uint64_t start_ns,
		       struct json_writer *j);

#endif

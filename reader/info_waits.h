/* SPDX-License-Identifier: BSD-3-Clause */
/* What `trackexec info` tells of a trace's waits: how many there are, and how well they are known.
 */
#ifndef READER_INFO_WAITS_H
#define READER_INFO_WAITS_H

#include <stdbool.h>
#include <stdint.h>

struct json_writer;
struct trace;

struct info_waits {
	bool has_edges;
	bool is_coarse;
	/* For something: */
	uint64_t n;
	uint64_t ns;
	uint64_t n_idle; /* of these */
	uint64_t idle_ns;
	uint64_t n_with_reason;
	uint64_t n_with_stack; /* a complete native one */
	/* For a CPU: */
	uint64_t n_ready;
	uint64_t ready_ns;
};

/* Returns 0 or a negative errno; also then, as far as read. */
int info_waits_read(struct trace *t, struct info_waits *ret);
void info_waits_print(const struct info_waits *w);
/* As members of an object. */
void info_waits_json(const struct info_waits *w, struct json_writer *j);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests and benchmarks of exact mode: a sampler of an invented process (3.11) whose probes are
 * written into a ring by the test. Code below a folder `app` is followed.
 */
#ifndef TESTS_SUPPORT_EXACT_SCENE_H
#define TESTS_SUPPORT_EXACT_SCENE_H

#include "recorder/exact_private.h"
#include "tests/support/line_writer.h"
#include "tests/support/py_image.h"

#define EXACT_SCENE_TID 4242

/* A function as its probes and its code object tell of it. */
struct exact_function {
	struct image_function image;
	uint64_t file_at, name_at; /* texts */
	int32_t first_line;
};

struct exact_scene {
	struct py_image im;
	struct py_runtime py;
	struct sampler_config config;
	struct ring *ring; /* to the writer */
	struct sampler *sampler;
	struct track *track; /* the only thread that is known at first */
	struct line_writer writer;
	struct line_plan plan;
	uint64_t last_ns;
};

/* The thread runs nothing. Exact mode is offered to the sampler, not yet adopted. */
void exact_scene_begin(struct exact_scene *s, size_t line_ring_bytes, size_t ring_bytes);
void exact_scene_end(struct exact_scene *s);
/* Offer the rings (again) to the sampler. */
void exact_scene_offer(struct exact_scene *s);

/* Of /srv/app/code.py, or, when it is not to be followed, of /usr/lib/code.py. */
struct exact_function exact_scene_function(struct exact_scene *s, const char *qualified,
					   int32_t first_line, bool is_followed);
/* Memory for a frame of this function. */
remote_addr exact_scene_frame(struct exact_scene *s, const struct exact_function *f);

/* What a probe says of that thread. */
void exact_scene_fill(const struct exact_scene *s, struct line_write *ret,
		      enum line_probe_kind kind, const struct exact_function *f, remote_addr frame,
		      int32_t line);
/* It is said now, by the thread; returns when. Each time is later than the ones before. */
uint64_t exact_scene_say(struct exact_scene *s, enum line_probe_kind kind,
			 const struct exact_function *f, remote_addr frame, int32_t line);
/* The sampler takes all that was said. */
void exact_scene_take(struct exact_scene *s);

#endif

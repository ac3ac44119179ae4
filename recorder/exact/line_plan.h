/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which probes of an interpreter tell its lines, calls and returns, where they are, and what has
 * to be copied when one is reached. Made by the worker from the interpreter's ELF file; the
 * attacher opens what it asks for (line_events.h).
 */
#ifndef RECORDER_EXACT_LINE_PLAN_H
#define RECORDER_EXACT_LINE_PLAN_H

#include "recorder/exact/line_events.h"
#include "recorder/exact/line_rings.h"
#include "recorder/exact/usdt_args.h"
#include "recorder/target/elf_image.h"

struct mapping;

enum line_probe_kind {
	PROBE_LINE,   /* a line begins; also when it is the same again */
	PROBE_ENTRY,  /* a function is called, or a generator goes on */
	PROBE_RETURN, /* it is left, in whatever way */
	N_PROBE_KINDS,
};

struct line_probe {
	uint64_t ip; /* in the target */
	enum line_probe_kind kind;
	struct usdt_arg args[3]; /* addresses of file name and function name; line */
};

struct line_plan {
	struct line_request request; /* n_probes 0: there is nothing to ask for */
	struct line_probe probes[LINE_PROBES_MAX];
};

/*
 * @map  of the interpreter's code
 * Returns 0; -ENOENT when it was built without these probes; -EOPNOTSUPP when their arguments are
 * not understood; or another negative errno. Then ret asks for nothing.
 */
int line_plan_make(struct elf_image *image, const struct mapping *map, struct line_plan *ret);

/* What a probe told. */
struct line_event {
	uint64_t file, name; /* addresses of texts */
	int32_t line;
	enum line_probe_kind kind;
	const struct line_probe *probe;
};

/* Returns 0; -ENOENT for no probe of the plan; -EFAULT when an argument is not there. */
int line_plan_decode(const struct line_plan *plan, const struct line_sample *sample,
		     struct line_event *ret);

#endif

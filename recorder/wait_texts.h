/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a trace knows of its waits besides their times: reasons and native stacks, each stored once
 * and then known by a number, and which of them belong to a thread's waits that are not over or not
 * told yet. A part of the writer.
 */
#ifndef RECORDER_WAIT_TEXTS_H
#define RECORDER_WAIT_TEXTS_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/idle_places.h"
#include "recorder/trace_writer.h"

struct trace_store;
struct wait_texts;

/* @first_reason, @first_native  lower numbers belong to an earlier recorder */
struct wait_texts *wait_texts_new(uint32_t first_reason, uint32_t first_native);
void wait_texts_free(struct wait_texts *w);

/* Its numbers, given out when it is new. 0: there is none, or there are too many. */
uint32_t wait_texts_reason(struct wait_texts *w, const struct wait_about *about);
uint32_t wait_texts_native(struct wait_texts *w, const struct wait_about *about);
/* Whether that reason polls descriptors, and how many. */
enum idle_polls wait_texts_polls(const struct wait_texts *w, uint32_t reason);
/* bool: it is an interpreter's lock */
int wait_texts_is_gil(const struct wait_texts *w, uint32_t reason);

/* bool */
int wait_texts_has_new(const struct wait_texts *w);
/* Store what is new; wait_texts_stored() once that is committed. */
int wait_texts_store(struct wait_texts *w, struct trace_store *store);
void wait_texts_stored(struct wait_texts *w);

/* What was found out about waits of one thread, in the order of their starts. */
struct wait_found {
	uint64_t start_ns; /* of the wait */
	uint64_t taken_ns; /* it is true if the wait was not over by then */
	uint32_t reason, native;
	uint16_t thread;
};
struct wait_findings {
	struct wait_found *items;
	size_t n, cap;
};
void wait_findings_add(struct wait_findings *f, const struct wait_found *found);
/* Those of a thread, when they are of several. */
void wait_findings_move(struct wait_findings *from, uint16_t thread, struct wait_findings *to);
/*
 * Of the wait that began at start_ns and lasted until end_ns at least. Forgets all of earlier
 * ones. NULL: nothing was found out. Lent until the next call.
 */
const struct wait_found *wait_findings_of(struct wait_findings *f, uint64_t start_ns,
					  uint64_t end_ns);
void wait_findings_done(struct wait_findings *f);

#endif

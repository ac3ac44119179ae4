/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Line events that come to their end. With each the kernel waits until nobody can be in the probe
 * any more, which takes some ten milliseconds: too long for an event loop. So they end in threads,
 * for which somebody has to wait before the program ends: probes that are still defined then stay
 * so.
 */
#ifndef RECORDER_EXACT_LINE_ENDINGS_H
#define RECORDER_EXACT_LINE_ENDINGS_H

struct line_endings;
struct line_events;

/* With one reference. */
struct line_endings *line_endings_new(void);
/* Any thread. NULL is accepted. */
struct line_endings *line_endings_ref(struct line_endings *e);
void line_endings_unref(struct line_endings *e);

/*
 * The events, taken over, end soon; at once where no thread can be had, or e is NULL. Any thread.
 * No events (NULL) are accepted.
 */
void line_endings_add(struct line_endings *e, struct line_events *events);
/* Until all that were added have ended. */
void line_endings_wait(struct line_endings *e);

#endif

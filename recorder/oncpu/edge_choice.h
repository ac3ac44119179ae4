/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How it is known when the threads of a target are on a CPU: by the kernel's records where it lets
 * us have them, otherwise by the scheduler's figures. The attacher chooses.
 */
#ifndef RECORDER_ONCPU_EDGE_CHOICE_H
#define RECORDER_ONCPU_EDGE_CHOICE_H

#include <stddef.h>

#include "recorder/oncpu/edge_events.h"

enum edge_wish {
	EDGE_WISH_AUTO, /* the best that can be had */
	EDGE_WISH_EXACT,
	EDGE_WISH_COARSE,
	EDGE_WISH_NONE,
};

struct edge_choice {
	enum edge_source source;
	struct edge_events *events; /* of EDGES_EXACT */
	int status; /* why it is not: a negative errno of edge_events_open(); 0: not wished for */
};

#define EDGE_CHOICE_NONE ((struct edge_choice){.source = EDGES_NONE})

/* What can be had of what is wished for, for a target as it is now. */
struct edge_choice edge_choice_make(const struct identity *id, enum edge_wish wish);
void edge_choice_done(struct edge_choice *c);

/* Why there are no exact edges, and what to do: a part of a sentence. */
void edge_choice_explain(int status, char *buf, size_t size);

#endif

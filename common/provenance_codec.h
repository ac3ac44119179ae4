/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the events of a block are known, as runs of events that are known in the same way. A run of
 * one provenance may follow another one of the same: then a new stretch began, and more may have
 * happened between the two than is there. docs/trace-format.md has the layout.
 */
#ifndef COMMON_PROVENANCE_CODEC_H
#define COMMON_PROVENANCE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/trace_schema.h"

/* What a decoder accepts: room for those that come later. */
#define PROVENANCE_MAX 64

struct provenance_run {
	uint32_t end;	     /* the number of events in the block up to its end */
	uint8_t provenance;  /* enum provenance; of a newer program, less than PROVENANCE_MAX */
	bool begins_stretch; /* else it goes on with that of the event before, if there is one */
};

/* Zeros: of no events. */
struct provenance_runs {
	struct provenance_run *runs;
	size_t n, cap;
};

void provenance_runs_done(struct provenance_runs *r);
/* One more event. */
void provenance_runs_add(struct provenance_runs *r, enum provenance p, bool begins_stretch);
/* Of the i-th event. Behind the last run: observed. */
struct provenance_run provenance_runs_find(const struct provenance_runs *r, uint32_t i);

/* @ret  malloc()ed, the caller frees; NULL: all are observed */
void provenance_runs_encode(const struct provenance_runs *r, uint8_t **ret, size_t *ret_len);
/*
 * @n_events  of the block; not more may be told of
 * Returns 0, or -EBADMSG: then there are no runs. Free with provenance_runs_done().
 */
int provenance_runs_decode(const void *data, size_t len, uint32_t n_events,
			   struct provenance_runs *ret);

#endif

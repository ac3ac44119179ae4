/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared by sampler_exact.c (records and threads), exact_frames.c (what they tell) and exact_sync.c
 * (the frames to begin with).
 */
#ifndef RECORDER_EXACT_PRIVATE_H
#define RECORDER_EXACT_PRIVATE_H

#include "recorder/exact/exact_codes.h"
#include "recorder/oncpu/edges.h"
#include "recorder/sampler_private.h"

#define EXACT_FRAMES_MAX 100000
/* Frames that came or went during a look. */
#define EXACT_MET_MAX 1024

struct exact_frame {
	uint64_t addr;	     /* 0: not known */
	uint64_t file, name; /* addresses of texts; 0: not known */
	uint64_t entered_ns;
	uint32_t code;	/* its id, if it is followed */
	uint32_t depth; /* followed frames below it */
	int32_t line;
	int8_t begins_here; /* see exact_codes.h */
	bool is_followed;
	bool is_genexpr;
	bool is_pending; /* entered, no line told yet, and not itself either */
	bool may_repeat; /* what the next probe says of this line is nothing new */
};

struct exact_thread {
	uint32_t tid;
	struct track *track;
	struct exact_frame *frames; /* outermost first; all, also those that are not followed */
	size_t n, cap;
	bool is_synced;	  /* they are known */
	bool is_told;	  /* so far as they are followed */
	uint64_t *events; /* whose records count, by CPU and probe */

	/* While they are not known: those that came or went since a look began. */
	uint64_t *met; /* addresses; of those that are still there: also in frames */
	size_t n_met, met_cap;
	bool is_met_full; /* there were more: too many, of unknown address, or lost */
	struct {
		uint64_t addr;
		int32_t line;
	} * lines; /* of frames, as they were told last */
	size_t n_lines, lines_cap;
};

struct exact {
	struct exact_source *source;
	struct exact_codes *codes;
	struct exact_thread **threads;
	size_t n, cap;
	struct exact_thread *last; /* asked for */
	struct line_sample sample;
	struct record_frame *now; /* scratch */
	size_t now_cap;
	uint64_t now_ns, last_ns; /* of the last record */
	uint64_t n_events;
	bool was_busy;
	uint64_t n_new, eager_until_ns; /* see exact_codes_n_new() */
};

/* --- sampler_exact.c --- */

/* Take what came until then. Returns whether that is all. */
bool exact_take_until(struct sampler *s, uint64_t until_ns);
void exact_begin_telling(struct sampler *s, struct exact_thread *th, uint64_t time_ns);
void exact_lose_sync(struct sampler *s, struct exact_thread *th, uint64_t time_ns);

/* --- exact_frames.c --- */

/* What a probe told of a thread. */
void exact_on_event(struct sampler *s, struct exact_thread *th, const struct line_event *e,
		    const struct line_sample *sample);

/* --- exact_sync.c --- */

/* What a probe tells of a thread whose frames are not known. */
void exact_sync_note(struct exact_thread *th, const struct line_event *e, uint64_t addr);
/* Nothing is known of its frames. */
void exact_sync_begin(struct exact_thread *th);
/* Find out the frames of threads that lack them, as far as that is possible now. */
void exact_sync_threads(struct sampler *s);

#endif

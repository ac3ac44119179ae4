/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by sampler_shim.c (the shim's ring) and sampler_precise.c (what its records mean). */
#ifndef RECORDER_SAMPLER_PRECISE_H
#define RECORDER_SAMPLER_PRECISE_H

#include "recorder/sampler_private.h"
#include "recorder/shim_ring.h"

/* Records that are read at a time. */
#define PRECISE_CHUNK 256

/* Threads are found by their number in the shim, code by its address; others take their places. */
#define PRECISE_THREADS 256
#define PRECISE_CODES	16384

struct precise_frame {
	uint64_t id;
	uint32_t code;	  /* as announced; 0: not followed */
	uint32_t n_shown; /* followed ones up to this */
	int32_t line;
};

struct precise_thread {
	uint32_t number; /* 0: none */
	uint64_t python_id;
	uint32_t native_id;
	struct track *track; /* NULL: not found, or no section is open */
	struct precise_frame *frames;
	size_t n, cap;
	size_t n_base;	   /* frames below the section, when it was told last */
	uint64_t base;	   /* the innermost of them; 0: not known */
	int32_t base_line; /* of the statement that begins a section */
	enum provenance provenance;
	bool is_entered;     /* and nothing else happened in the section */
	uint64_t entered_ns; /* the begin is still to be told, if not with its first line; 0: no */
	uint32_t n_told;     /* followed frames that are as they were told */
	uint64_t told_ns;
};

struct precise_code {
	uint64_t addr; /* 0: none */
	uint32_t id;   /* 0: not followed, or not readable */
};

struct sampler_precise {
	struct shim_ring *ring;
	uint64_t renew_ns;
	enum shim_wanted wanted;
	uint64_t came_ns; /* the last record */
	struct precise_thread threads[PRECISE_THREADS];
	struct precise_code codes[PRECISE_CODES];
	uint64_t told_ns; /* the last event */
	size_t n_open;	  /* sections */
	struct record_frame *shown;
	size_t shown_cap;
	struct shim_record records[PRECISE_CHUNK];
};

/* One more record; its time, if it has one, is not after now_ns. */
void precise_take(struct sampler *s, const struct shim_record *r, uint64_t now_ns);
/* Records are missing: what is open can't be told on, until its stack is told again. */
void precise_note_lost(struct sampler *s, uint64_t lost, uint64_t now_ns);
/* A section whose first line is not told, or not yet: so far it is where it began. */
void precise_tell_enter(struct sampler *s, struct precise_thread *th);
/* The section ends, or what is known of it does. */
void precise_end_section(struct sampler *s, struct precise_thread *th, uint64_t time_ns);

#endif

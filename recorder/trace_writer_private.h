/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The writer's inside: trace_writer.c makes blocks of records, trace_rows.c stores what waits to
 * be stored, trace_life.c begins, goes on and ends.
 */
#ifndef RECORDER_TRACE_WRITER_PRIVATE_H
#define RECORDER_TRACE_WRITER_PRIVATE_H

#include "recorder/block_builder.h"
#include "recorder/idle_places.h"
#include "recorder/ring.h"
#include "recorder/trace_store.h"
#include "recorder/trace_writer.h"
#include "recorder/wait_places.h"
#include "recorder/wait_texts.h"

struct packer;
struct source_files;

struct thread {
	struct thread_row row;
	int is_stored; /* bool: the row as it is now is in the database */
	struct stack_frame *stack;
	size_t depth, cap_stack;
	uint64_t first_ns;	       /* of the open block */
	uint64_t last_ns;	       /* of its last event, or first_ns */
	struct block_builder *builder; /* NULL until something of the open block is needed */
	struct stored_block stored;    /* of the open block */
	struct off_stretch off;	       /* off the CPU since its start_ns, if is_off */
	uint64_t known_place;	       /* where what it waits for is known from; 0: nowhere */
	int is_off, is_off_new;	       /* bool; bool: that is not stored */
	bool is_told;		       /* its last event, by others than looks */
	bool is_told_first;	       /* the next event begins a stretch */
	struct wait_findings findings;
	struct idle_places idle;
};

struct code {
	uint32_t file;
	uint32_t function; /* the first one in that file with that name: its code object */
	uint64_t name_hash;
	int32_t first_line;
	char *name; /* NULL once it is stored */
	size_t name_len;
};

/* What was found at a place where threads wait, for the next time. */
struct known_wait {
	uint64_t place;
	uint64_t sleep_ns; /* 0: it is no sleep */
	uint32_t reason, native;
};

struct trace_writer {
	struct trace_store *store;
	struct packer *packer;
	struct source_files *files;
	struct wait_texts *texts;
	bool has_late_reason;			    /* of a wait that is stored */
	uint64_t reason_due_ns;			    /* when to look for one; 0: never */
	struct known_wait known_waits[WAIT_PLACES]; /* by wait_place_index() */
	uint64_t min_wait_ns;

	/* Lower ids belong to an earlier recorder. */
	uint32_t first_code;
	uint32_t first_thread;
	struct code *codes; /* by id - first_code */
	size_t n_codes, cap_codes, n_codes_stored;
	struct hash_index functions; /* the first of each, by its place in codes */
	struct thread **threads;     /* by id; NULL where there is none */
	size_t n_threads;
	struct wait_findings early; /* of threads whose record has not come yet */

	struct finished_block *finished;
	size_t n_finished, cap_finished;
	struct gap_row *gaps;
	size_t n_gaps, cap_gaps;
	struct record_counters base;  /* of earlier recorders */
	uint64_t n_of[N_PROVENANCES]; /* events that were stored, with those of earlier recorders */
	struct record_counters counters;
	int counters_stored; /* bool */
	int threads_stored;  /* bool: all of them */

	uint64_t known_until_ns;
	uint64_t flushed_ns;	   /* when that was last stored */
	uint64_t flushed_until_ns; /* what known_until_ns was then */
	int growth_paused;	   /* bool */
	uint64_t trim_bytes;	   /* still to be freed */
	int is_shrinking;	   /* bool: what was freed is being given back */
	struct trace_writer_totals totals;
};

/* Finish what is open of all threads. */
void trace_writer_finish_blocks(struct trace_writer *w, uint64_t end_ns);
void trace_writer_free_thread(struct thread *t);

/* Take a block or a gap for storing. */
struct finished_block *trace_rows_add_block(struct trace_writer *w);
void trace_rows_add_gap(struct trace_writer *w, struct gap_row gap);
enum flush {
	FLUSH_ROWS, /* what waits */
	/* And the counters. They say up to when all is known: open blocks are among what waits. */
	FLUSH_WITH_COUNTERS,
};
/*
 * Store what waits in one transaction. When that fails, or growth is paused, finished blocks are
 * given up and become gaps, and the rest waits on.
 */
int trace_rows_flush(struct trace_writer *w, enum flush what);
/* At the end: while growth is paused, all but the blocks. */
int trace_rows_flush_last(struct trace_writer *w);
/* A step of a trim that was asked for. Only when no block waits. */
int trace_rows_trim(struct trace_writer *w);

#endif

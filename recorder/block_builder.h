/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread's open block: encodes its events and, beside them, adds up what each source line and
 * each function took, and each function on a line that it shares, for their indexes. Knows nothing
 * of SQLite.
 */
#ifndef RECORDER_BLOCK_BUILDER_H
#define RECORDER_BLOCK_BUILDER_H

#include <stddef.h>
#include <stdint.h>

#include "common/trace_schema.h"
#include "recorder/block_waits.h"

struct packer;

struct stack_frame {
	uint32_t code;
	int32_t line;	   /* 0: unknown */
	uint32_t file;	   /* of the code */
	uint32_t function; /* the same for all code objects of one function; any number */
};

/* A line of a file within one block, for the line index. */
struct line_totals {
	uint32_t file;
	int32_t line;
	uint64_t visits;   /* entered, or on top again after what it had called returned */
	uint64_t entries;  /* entered */
	uint64_t self_ns;  /* on top of the stack */
	uint64_t total_ns; /* anywhere on the stack; counts once however often it is there */
	/* Parts of self_ns, as far as that is known: */
	uint64_t wait_ns;  /* off the CPU, waiting for something */
	uint64_t ready_ns; /* off the CPU, as others had it */
};

/* A function within one block, for their index. */
struct function_totals {
	uint32_t function;
	uint64_t calls;	   /* frames that came; one that goes on to another line did not */
	uint64_t self_ns;  /* a frame of it on top of the stack */
	uint64_t total_ns; /* a frame of it anywhere; counts once however many there are */
	/* Parts of self_ns, as of a line: */
	uint64_t wait_ns, ready_ns;
	uint64_t gil_ns; /* of wait_ns: the listed waits that are known to be for the GIL */
};

/* What one function took on a line that within one block is of several. */
struct shared_totals {
	uint32_t file;
	int32_t line;
	uint32_t function;
	/* As of a line, and of a function. */
	uint64_t visits;
	uint64_t self_ns, total_ns;
	uint64_t wait_ns, ready_ns, gil_ns;
};

/* By file, line, function; for qsort(). */
int shared_totals_compare(const void *a, const void *b);

/* What of a block is in the database already. All zeros: nothing. */
struct stored_block {
	int64_t row;
	uint64_t last_ns;
	uint32_t n_events;
	uint64_t waits_mark;	      /* see block_waits_mark() */
	size_t n_waits;		      /* without one that goes on */
	uint32_t n_of[N_PROVENANCES]; /* events */
	struct line_totals *lines;    /* owned; by file, then line */
	size_t n_lines;
	struct function_totals *functions; /* owned; in the order in which they came */
	size_t n_functions;
	struct shared_totals *shared; /* owned; by file, line, function */
	size_t n_shared;
};

struct finished_block {
	/* For the caller's use. */
	uint16_t thread;
	int is_open;		    /* bool: it will go on */
	struct stored_block stored; /* what it owns is lent while it is open */
	int64_t row;

	uint64_t first_ns;
	uint64_t last_ns;
	uint32_t lowest_depth;
	uint32_t n_events;
	uint8_t *data; /* owned, as are the others; NULL: as it was stored */
	size_t data_len;
	uint8_t *provenance; /* NULL: all observed; stored with the data */
	size_t provenance_len;
	uint32_t n_of[N_PROVENANCES]; /* events */
	struct line_totals *lines;    /* by file, then line */
	size_t n_lines;
	struct function_totals *functions; /* in the order in which they came */
	size_t n_functions;
	struct shared_totals *shared; /* by file, line, function */
	size_t n_shared;
	uint64_t waits_mark; /* 0: none */
	size_t n_waits;
	uint8_t *waits; /* NULL: as it was stored */
	size_t waits_len;
	struct wait_totals *wait_totals;
	size_t n_wait_totals;
};

struct block_builder;

/*
 * @first_ns  from here on the stack is known to be `stack`, outermost first
 */
struct block_builder *block_builder_new(uint64_t first_ns, const struct stack_frame *stack,
					uint32_t depth);
void block_builder_free(struct block_builder *b);
/* Waits are listed when they last so long; else from WAIT_LISTED_NS on. Before the first one. */
void block_builder_set_min_wait(struct block_builder *b, uint64_t ns);

/* How an event is known: see struct record_stack. */
struct step_source {
	enum provenance provenance;
	bool is_first;
};

/*
 * From time_ns (not before that of the last step) on, the stack is its first `keep` frames, then
 * `frames`. A line that is left and entered again by this was visited once more.
 */
void block_builder_step(struct block_builder *b, uint64_t time_ns, uint32_t keep,
			const struct stack_frame *frames, uint32_t n_frames,
			struct step_source how);
int block_builder_is_full(const struct block_builder *b); /* bool */
uint32_t block_builder_n_events(const struct block_builder *b);
size_t block_builder_n_waits(const struct block_builder *b);

/*
 * Since the last step the thread was off the CPU for a while. Stretches come in order and do not
 * overlap; what is before the last step of one is taken to have been part of that.
 */
void block_builder_off(struct block_builder *b, const struct off_stretch *off);

/*
 * The block so far, its last stack known until last_ns. It may go on afterwards.
 * @off     it is off the CPU since off->start_ns and still was at last_ns; NULL: it was not
 * @stored  what of it is in the database: what has not changed since is not encoded
 * @ret     filled in but for what is for the caller's use; freed with finished_block_done()
 */
void block_builder_encode(struct block_builder *b, uint64_t last_ns, const struct off_stretch *off,
			  struct packer *packer, const struct stored_block *stored,
			  struct finished_block *ret);
void finished_block_done(struct finished_block *f);
/* Frees the indexes. */
void stored_block_done(struct stored_block *s);

#endif

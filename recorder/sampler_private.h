/* SPDX-License-Identifier: BSD-3-Clause */
/* What the sampler_*.c share. sampler.c: when to look; sampler_look.c: a round of looks. */
#ifndef RECORDER_SAMPLER_PRIVATE_H
#define RECORDER_SAMPLER_PRIVATE_H

#include <stdbool.h>

#include "recorder/cpu_placement.h"
#include "recorder/pace.h"
#include "recorder/python/py_frames.h"
#include "recorder/python/py_runtime.h"
#include "recorder/python/py_threads.h"
#include "recorder/sampler.h"
#include "recorder/sampler_exact.h"

/* A thread of the target as the sampler follows it. */
struct track {
	struct py_thread id;
	struct py_stack *stack;
	struct record_frame *last; /* followed frames as last told to the writer */
	uint32_t n_last;
	size_t last_cap;
	uint64_t told_in; /* the batch in which it was announced; 0 not yet */
	uint16_t number;
	bool stale;	      /* may have run since it was last looked at */
	unsigned n_cut_looks; /* in a row */
	bool is_listed;
	bool changed;		  /* at the last look */
	bool is_off_told;	  /* that it waits was told */
	struct edge_thread *edge; /* NULL: when it is on a CPU is not known */
	uint64_t emitted_ns;	  /* time of its last record */
	uint64_t looked_ns;	  /* the last look that showed something */
	uint64_t back_ns;	  /* when it was switched in the last time; 0: not known */
	bool has_waited;	  /* then for something, not for a CPU */
	uint64_t last_off_ns;	  /* how long it was off the CPU the last time */
	uint64_t unseen_ns;	  /* it came back from a wait, and was not looked at since; or 0 */
	uint64_t
	    unseen_ran_ns;  /* how long it was on a CPU meanwhile, up to when it went off last */
	uint32_t asked_tid; /* whose figures were asked for last, for coarse edges */
	unsigned n_asked;
	uint64_t place;	      /* where it stopped; 0: not known */
	uint64_t known_place; /* the same, if what it waits for there need not be asked */
	uint64_t early_place; /* where it was asked about so often since early_ns */
	uint64_t early_ns;
	unsigned n_early;
	uint64_t ask_due_ns; /* then, when it has to be asked all the same; 0: never */
	uint64_t noticed_ns; /* the last wait that sampler_config.waits was told of */
	uint64_t gap_end_ns; /* of the last gap that was told of this thread alone */
	/* By whom its stacks are told; PROVENANCE_OBSERVED: by looks. */
	enum provenance told_by;
	uint32_t told_native_id; /* as its shim told it; 0: it did not */
	bool is_told_first;	 /* nothing was told since that began, or since a gap */
	struct told_wait *offs;	 /* to be told in their turn, while others tell the stacks */
	size_t n_offs, offs_cap;
	uint64_t
	    coarse_ns; /* what emitted_ns was when coarse edges were looked at for their sake */
};

/* An off-CPU stretch that is over. */
struct told_wait {
	uint64_t start_ns, end_ns;
	unsigned was;
};

/* A GIL and what was last seen of it. */
struct gil_watch {
	remote_addr addr;
	struct py_gil state;
	struct track *holder;
	bool is_known;
};

/* Names to ids, so that code which is compiled again and again keeps its id. */
struct code_names {
	struct {
		uint64_t hash;
		uint32_t id;
	} * slots;
	size_t n_slots, n_used;
};

struct sampler {
	struct memory *mem;
	const struct py_runtime *py;
	struct ring *ring;
	const struct sampler_config *config;
	struct py_codes *codes;
	struct py_stacks *stacks;
	struct cpu_placement *placement;
	struct sampler_progress progress;
	_Atomic double rate_hz; /* wanted, by whoever sets it */
	struct pace pace;

	struct track **tracks;
	size_t n_tracks, tracks_cap;
	struct py_thread *listed; /* scratch of py_threads_list() */
	size_t listed_cap;
	struct gil_watch *gils;
	size_t n_gils, gils_cap;
	bool is_gil_held;   /* one of them, when they were watched last */
	bool has_gil_moved; /* from thread to thread, before they were watched last */
	bool is_running;    /* the thread whose CPU was looked at last */
	uint64_t rare_ns;   /* between looks at the list of threads, and at the CPUs */
	uint64_t paced_ns;  /* the interval that rare_ns was made for */
	uint64_t listed_ns, list_took_ns;
	uint64_t list_due_ns; /* 0: at once */
	bool is_list_wanted;  /* there may be a new thread */
	bool is_quiet;	      /* nothing was seen to happen in this round so far */
	bool maybe_stale;     /* a thread may be */
	size_t next_stale;    /* where the search for stale threads goes on */

	struct py_snapshot snap;
	struct record_frame *now; /* followed frames of the snapshot */
	size_t now_cap;
	struct record_counters counters;

	/* What was told to the ring but not published yet. */
	uint64_t begun_ns; /* sampling */
	uint64_t batch;	   /* counts from 1 */
	uint64_t batch_start_ns;
	uint64_t batch_length_ns;
	uint64_t batch_snapshots;
	struct record_counters batch_counters; /* as they were when it began */
	uint64_t batch_bytes;		       /* of stacks */
	struct py_code **used;		       /* code objects used in this batch */
	size_t n_used, used_cap;
	uint32_t batch_next_code;
	uint16_t batch_next_thread;

	struct code_names names;
	uint32_t next_code;
	uint16_t next_thread;
	uint64_t full_since_ns; /* the ring refused records since then; 0: it does not */
	uint64_t full_lost;
	uint64_t counters_ns; /* when they were told last */
	uint64_t placement_due_ns;
	uint64_t unreadable_since_ns;
	uint64_t multi_chunk_seen;
	struct edges *edges;	     /* NULL: there are none */
	struct edges_coarse *coarse; /* instead of them; NULL: none either */
	uint64_t ask_due_ns;	     /* when figures that did not arrive are asked for again */
	size_t n_waiting;	     /* tracks that are known to be off the CPU, waiting */
	uint64_t states_lost_ns;     /* see sampler_lost.c: the loss that was asked about */
	uint64_t states_due_ns;	     /* when it is to be, or again */
	size_t states_asked;	     /* threads that were, by their place in tracks */
	uint64_t off_due_ns;	     /* when a wait has to be told, UINT64_MAX: there is none */
	uint64_t early_ns;	     /* from then on a pause may end early */
	bool is_watch_wanted;	     /* a thread was switched in: the GILs may have new holders */
	struct sampler_precise *precise; /* NULL: no shim was found */
	_Atomic(struct shim_ring *) offered_shim;
	atomic_bool is_shim_exact; /* wanted */
	int wake_fd;		   /* readable: something changed that concerns a sampler at rest */

	struct exact *exact; /* NULL: the mode is not on */
	_Atomic(struct exact_source *) exact_new;
	_Atomic bool is_exact_new; /* that is to be adopted, also when it is NULL */
	struct exact_progress exact_progress;

	uint64_t round_ns, last_round_ns; /* when this one began, and the one before */
	uint64_t gap_end_ns;		  /* of the last gap that was told */
	uint64_t told_now_ns;		  /* the time, when it was read last for what others tell */
	uint64_t ran_ns;		  /* how long a thread was on a CPU the last time */
	uint64_t waited_ns;		  /* and how long it waited */
	uint64_t stopped_ns;		  /* when one began to wait the last time */
	uint64_t switched_in_ns;	  /* when one was switched in the last time */
	uint64_t random;
	uint64_t idle_since_ns; /* since then all wait; 0: not all */
	uint64_t called_ns;	/* when the writer was called for a batch the last time */
	uint64_t n_rounds;
	unsigned n_unchanged;	  /* rounds in a row in which nothing changed */
	unsigned young_doublings; /* of the age up to which code objects count as young */
};

/* --- sampler_threads.c --- */

/* Bring the list of threads up to date. Returns 0, -EAGAIN, -EFAULT or -ESRCH. */
int sampler_list_threads(struct sampler *s, uint64_t now_ns);
/* When it is to be brought up to date again. */
void sampler_plan_list(struct sampler *s);
/* Look at each GIL: who holds it, and who may have run meanwhile. */
int sampler_watch_gils(struct sampler *s);
/*
 * Whether it still has the number of another thread, the one that starts it: until it has its own,
 * it is listed again.
 */
bool sampler_has_others_id(struct sampler *s, const struct track *t);
struct track *sampler_find_track(const struct sampler *s, remote_addr tstate);
void sampler_free_track(struct sampler *s, struct track *t);
/*
 * A thread that the interpreter's list does not show, or not yet. Listed as long as that is not
 * read again. NULL: there are too many.
 */
struct track *sampler_add_unlisted(struct sampler *s, uint32_t tid);
/* The thread that has told this of itself, NULL: it is not known. */
struct track *sampler_find_told(struct sampler *s, uint64_t python_id, uint32_t native_id);
/* The same, not to be looked at before it is listed; it may have ended. NULL: there are too many.
 */
struct track *sampler_add_told(struct sampler *s, uint64_t python_id, uint32_t native_id);

/* --- sampler_edges.c --- */

/* A wait that lasts so long is told while it goes on, unless the configuration says otherwise. */
#define SAMPLER_WAIT_NS NS_PER_MS
static inline uint64_t sampler_min_wait_ns(const struct sampler *s)
{
	return s->config->min_wait_ns ? s->config->min_wait_ns : SAMPLER_WAIT_NS;
}

/* With the rings of the configuration, which are taken out of it. */
void sampler_open_edges(struct sampler *s);
/* From here on when this thread is on a CPU is known, where that is possible. */
void sampler_link_edge(struct sampler *s, struct track *t);
void sampler_unlink_edge(struct sampler *s, struct track *t);
void sampler_take_edges(struct sampler *s, uint64_t now_ns);
/* sampler_lost.c: what others found of threads whose edges were lost; and ask about such. */
void sampler_take_states(struct sampler *s, uint64_t now_ns);
/* Whether it is known to be off the CPU. */
bool sampler_is_off(const struct track *t);
/* Whether it was off the CPU from since_ns to now_ns, without a pause. */
bool sampler_was_off(struct sampler *s, const struct track *t, uint64_t since_ns, uint64_t now_ns);
/*
 * The time for what a look has seen that began when the thread was on the CPU, for all that was
 * known, and ended just now.
 */
uint64_t sampler_time_of_look(struct sampler *s, const struct track *t, uint64_t began_ns,
			      uint64_t now_ns);
/* The same when it was off the CPU all the time, since then. */
uint64_t sampler_time_of_stop(const struct sampler *s, const struct track *t, uint64_t since_ns,
			      uint64_t now_ns);
/* Whether nothing can change in the target before it is switched in again. */
bool sampler_may_rest(const struct sampler *s);
/* Whether to sleep until then. */
bool sampler_shall_rest(struct sampler *s, uint64_t now_ns);
/*
 * How long to leave a target alone that goes on after a rest: until a random part of the interval,
 * or of how long it ran the last time, has passed since it was switched in. Looks that always came
 * as soon after a wait would always see the same lines. Waking up takes some 40 us: a look that was
 * due meanwhile comes at once.
 */
uint64_t sampler_delay_after_rest(struct sampler *s, uint64_t now_ns);
/* Sleep until then, or until something else is due. Returns the time. */
uint64_t sampler_rest(struct sampler *s, uint64_t now_ns);
/*
 * Sleep until then, between two rounds. When all threads begin to wait meanwhile, the next round
 * is due at once: it sees where they stopped, and after it the sampler rests.
 */
void sampler_pause(struct sampler *s, uint64_t now_ns, uint64_t until_ns);

/* How many words of memory may hold the kernel's id of a Python thread that does not tell it. */
#define SAMPLER_TID_GUESSES 2
/* The i-th guess, 0: it is none. */
uint32_t sampler_guess_tid(struct sampler *s, const struct track *t, unsigned i);

/* --- sampler_look.c --- */

/*
 * One round: everything that may have changed. *now_ns is the time, before and after. Returns 0, or
 * -ESRCH, or -EFAULT when nothing could be read.
 */
int sampler_look(struct sampler *s, uint64_t *now_ns);

/* --- sampler_unseen.c --- */

/*
 * With more time than this between looks a thread may run and wait many times between two of them.
 * Then a turn, from one wait to the next, is all of the line that the look in it has shown:
 * half-way to the wait, as at higher rates, would give half of all turns to the lines that wait.
 */
#define SAMPLER_SLOW_NS (2 * NS_PER_MS)
static inline bool sampler_is_slow(const struct sampler *s)
{
	return s->pace.asked_ns >= SAMPLER_SLOW_NS;
}

/* It is switched in after a wait; it has run. */
void sampler_note_woken(const struct sampler *s, struct track *t, uint64_t time_ns);
void sampler_note_ran(struct track *t, uint64_t length_ns);
/*
 * Before a stack is told that a look has shown: whether there is time before it in which the thread
 * did something unseen.
 * @off_since_ns  since when it is off the CPU; 0: it runs
 * Returns its end, which is the time of what was seen; 0: there is none.
 */
uint64_t sampler_unseen_until(const struct sampler *s, const struct track *t,
			      uint64_t off_since_ns);
/*
 * Tell of that time, and of the waits in it, which have been held back for it. s->now, which has n
 * frames, is what a look has shown at its end.
 * @until_ns  0: nothing is unknown
 */
void sampler_tell_unseen(struct sampler *s, struct track *t, uint32_t n, uint64_t until_ns);

/* --- sampler_waits.c --- */

/* It is off the CPU from here on: that is to be told in due time. */
void sampler_plan_telling(struct sampler *s, const struct track *t);
/* Waits that are long enough by now to be told while they go on. */
void sampler_tell_waits(struct sampler *s, uint64_t now_ns);
/*
 * Where it was last seen to wait, if what waits there is known (wait_places.h); else 0.
 * @ret_sleep_ns  written when it is known
 */
uint64_t sampler_known_place(const struct sampler *s, const struct track *t, uint64_t now_ns,
			     uint64_t *ret_sleep_ns);

/* --- sampler_coarse.c --- */

void sampler_open_coarse(struct sampler *s);
void sampler_link_coarse(struct sampler *s, struct track *t);
void sampler_take_coarse(struct sampler *s, uint64_t now_ns);
/* Its stack is seen to have changed: if it was taken to be off the CPU, see when that ended. */
void sampler_stack_changed(struct sampler *s, struct track *t, uint64_t now_ns);

/* --- sampler.c --- */

void sampler_sleep_until(uint64_t ns);

/* --- sampler_emit.c --- */

/*
 * Tell the writer what is new in s->snap, a snapshot of this thread taken at now_ns.
 * @is_unseen  what it did from t->unseen_ns to time_ns is not known
 */
void sampler_emit(struct sampler *s, struct track *t, uint64_t time_ns, uint64_t now_ns,
		  bool is_unseen);
bool sampler_is_followed(const struct sampler *s, const char *file, const char *name);
/* The thread is gone. */
void sampler_emit_end(struct sampler *s, struct track *t, uint64_t now_ns);
void sampler_emit_gap(struct sampler *s, uint64_t start_ns, uint64_t end_ns, uint32_t reason,
		      uint64_t lost);
/* Of one thread only, whoever tells of it. */
void sampler_emit_thread_gap(struct sampler *s, struct track *t, uint64_t start_ns, uint64_t end_ns,
			     uint32_t reason, uint64_t lost);
/*
 * It was off the CPU, or (is_open) still is.
 * @was  EDGE_WAITING or EDGE_READY
 * Returns whether it could be told: that there is such a thread must have been before.
 */
bool sampler_emit_off(struct sampler *s, struct track *t, uint64_t start_ns, uint64_t end_ns,
		      unsigned was, bool is_open);
/*
 * Code objects that are young enough to come and go are checked with each snapshot. Returns how
 * many frames, from the outermost, are proven so far.
 */
uint32_t sampler_prove_young(struct sampler *s, uint64_t now_ns);
bool sampler_is_batch_over(const struct sampler *s, uint64_t now_ns);
/* When it is over at the latest. */
uint64_t sampler_batch_due_ns(const struct sampler *s);
/* All have waited for so long that the writer is to know it now. */
bool sampler_is_rest_due(const struct sampler *s, uint64_t now_ns);
/*
 * Prove the batch and publish it, or take it back: then a gap is published instead.
 * Returns 0 or -ESRCH.
 */
int sampler_end_batch(struct sampler *s, uint64_t now_ns);
/* Publish what is in the batch without a proof, and begin the next one. */
void sampler_publish_batch(struct sampler *s, uint64_t now_ns);

/* For sampler_told.c. Each returns false, or NULL, when the ring is full. */
bool sampler_announce_thread(struct sampler *s, struct track *t, uint64_t now_ns);
/* Once the writer has made room: say what it missed. */
bool sampler_tell_full_gap(struct sampler *s, uint64_t now_ns);
void sampler_note_ring_full(struct sampler *s, struct track *t, uint64_t now_ns);
/* A record of a stack, with nothing filled in but its size, if there is room for it. */
struct record_stack *sampler_append_stack(struct sampler *s, uint32_t n_frames);
/* As sampler_emit_off(), in whatever batch there is. */
bool sampler_append_off(struct sampler *s, struct track *t, uint64_t start_ns, uint64_t end_ns,
			unsigned was, bool is_open);

/* --- sampler_exact.c --- */

/* Take what the probes have told until then; begin, or end, when that is asked for. Returns whether
 * there is nothing left. */
bool sampler_exact_take(struct sampler *s, uint64_t now_ns);
/* Take what has come, and no more than that. */
void sampler_exact_catch_up(struct sampler *s);
/* Take all that is left, and end; the writer has to make room meanwhile. */
void sampler_exact_finish(struct sampler *s);
void sampler_exact_drop(struct sampler *s);
/* A thread that has come later: what it does is told. */
void sampler_exact_add(struct sampler *s, struct track *t);
void sampler_exact_forget(struct sampler *s, const struct track *t);
/* How long to leave the rings alone. */
uint64_t sampler_exact_pause(const struct sampler *s);

/* --- sampler_names.c --- */

struct code_text {
	const char *file, *name;
	size_t file_len, name_len;
	int32_t first_line;
};
/* The id of code of these names, which is announced when it is new; 0: the ring is full. */
uint32_t sampler_announce_code(struct sampler *s, const struct code_text *text, uint64_t now_ns);

/* --- sampler_told.c --- */

/*
 * Threads whose stacks another source tells (a shim in the program, the interpreter's probes): what
 * it says is not the sampler's to prove, and comes some time after it happened. All of this is
 * called in the sampler's thread, not during a look.
 *
 * When something was told, it is published at once. What looks have put into the batch is proven
 * before, which takes some microseconds for each code object in use: tell in bunches.
 */

/*
 * From here on looks at this thread tell nothing, and its waits are told in their turn: with what
 * is told of the time after them, or by sampler_told_until().
 * @p        how the source knows: not PROVENANCE_OBSERVED; another one than before may follow
 * @time_ns  nothing will be told of times before
 */
void sampler_told_begin(struct sampler *s, struct track *t, enum provenance p, uint64_t time_ns);
/* Looks tell again from here on; from time_ns on the source knows nothing. */
void sampler_told_end(struct sampler *s, struct track *t, uint64_t time_ns);
/*
 * From time_ns on the stack of followed frames is: the first `keep` of those that were told last
 * (t->last), then `frames`, outermost first. Always an event, also when nothing is different,
 * except where there was no frame and is none. A thread that was not known yet is announced. Times
 * that decrease are told as the last one, those of the future as now.
 *
 * Returns false when it was not told, because the ring is full (counted; a gap follows when there
 * is room again), or because there is less to build on than `keep` says. The latter can happen to
 * any thread after any call, when a gap had to be told. Then t->n_last is 0 and the whole stack,
 * keep being 0, is to be told next; it can be at once.
 */
bool sampler_told_stack(struct sampler *s, struct track *t, uint64_t time_ns, uint32_t keep,
			const struct record_frame *frames, uint32_t n_frames);
/*
 * All of this thread up to time_ns has been told: nothing of that time will follow. To be called at
 * the end of each bunch, several times a second, also when nothing was in it.
 */
void sampler_told_until(struct sampler *s, struct track *t, uint64_t time_ns);
/* Nothing of the batch may be taken back from here on; code objects that are gone are freed. */
void sampler_told_settle(struct sampler *s);
/*
 * The id of the code of these names, which is announced when it is new; names that are too long
 * (PY_MAX_FILE_NAME, PY_MAX_QUALNAME) are cut. Whether it is followed is the caller's to decide
 * (recorder/follow.h).
 * Returns 0 when the ring is full. Any other id may be kept and used until the sampler ends,
 * whatever becomes of batches: it has been published. The same names may get another id later.
 */
uint32_t sampler_told_code(struct sampler *s, const char *file, size_t file_len, const char *name,
			   size_t name_len, int32_t first_line, uint64_t now_ns);

/* For sampler_emit.c, also during a look: a wait of a thread that is told, over by end_ns. */
void sampler_told_off(struct sampler *s, struct track *t, uint64_t start_ns, uint64_t end_ns,
		      unsigned was);
/* The same: the thread is gone. */
void sampler_told_gone(struct sampler *s, struct track *t);
/* Tell of the first n waits that were held back. */
void sampler_told_flush(struct sampler *s, struct track *t, size_t n);
/* Now and then: waits whose turn does not come. */
void sampler_told_overdue(struct sampler *s, uint64_t now_ns);

/* --- sampler_shim.c --- */

/* Take what the shim has told until now. Before each round of looks, not during a look. */
void sampler_precise_poll(struct sampler *s, uint64_t now_ns);
/* Whether more is there of this thread: then what a look has seen of it does not count. */
bool sampler_precise_has_told(const struct sampler *s, const struct track *t);
/* When it is to be called again at the latest, from now on. */
uint64_t sampler_precise_nap_ns(const struct sampler *s, uint64_t now_ns);
/* The time of the last event that it told. */
uint64_t sampler_precise_told_ns(const struct sampler *s);
/* The thread is about to be freed. */
void sampler_precise_forget(struct sampler *s, const struct track *t);
void sampler_precise_free(struct sampler *s);

#endif

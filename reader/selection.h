/* SPDX-License-Identifier: BSD-3-Clause */
/* Which part of a trace is asked for: an interval of time, and threads. */
#ifndef READER_SELECTION_H
#define READER_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace;

/* As given on a command line; NULL: not given. */
struct selection_options {
	const char *since;  /* the notations of reader/when.h, from the trace's start on */
	const char *until;  /* the same; "+2s" counts from since */
	const char *thread; /* their numbers in the trace, with commas between: "1,3" */
};

/* The help lines of --since, --until and --thread, to be put into a subcommand's help. */
#define SELECTION_HELP                                                                      \
	"      --since TIME        only what was from then on; see TIMES in trackexec(1)\n" \
	"      --until TIME        only what was before\n"                                  \
	"      --thread LIST       only these threads, by the numbers that `info` lists\n"

struct selection {
	uint64_t since_ns; /* monotonic */
	uint64_t until_ns; /* not before since_ns */
	uint16_t *threads; /* ascending, as they are in the trace; owned */
	size_t n_threads;
	bool is_whole; /* nothing was left out: the indexes of the whole trace hold, too */
};

/*
 * @why  on error, for people: what is wrong with which option
 * Returns 0; -EINVAL: an option is wrong, names a thread that is not there, or the interval has
 * nothing of the trace; or another negative errno. To be released with selection_done().
 */
int selection_resolve(struct trace *t, const struct selection_options *options,
		      struct selection *ret, char *why, size_t why_size);
void selection_done(struct selection *s);
/* bool: a thread is among those asked for */
bool selection_has(const struct selection *s, uint16_t thread);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose fault a wait is: what the process at its other end did meanwhile, and when that waited for
 * another one, what that did, and so on, through the traces of one run.
 */
#ifndef READER_WAIT_CHAIN_H
#define READER_WAIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "reader/trace_waits.h"

/* So many traces are gone through one after the other. */
#define CHAIN_MAX_STEPS 8

/* What is told of a trace. */
enum chain_state {
	CHAIN_RUNNING,	/* on a CPU */
	CHAIN_READY,	/* it could have run, but others had the CPU */
	CHAIN_WAITING,	/* for something that was not merely something to do */
	CHAIN_ON_LINE,	/* whether it ran or waited is not known */
	CHAIN_IDLE,	/* it had nothing to do, all the time */
	CHAIN_NOTHING,	/* nothing of its followed code was seen then */
	CHAIN_REPEATED, /* it is in the chain before, or the trace that the chain begins with */
	CHAIN_NO_TRACE, /* there is none with this name, or it can't be read: error */
	CHAIN_FOREIGN,	/* of another machine or boot: its times say nothing here */
};

struct chain_step {
	const char *name; /* of the trace, any bytes */
	enum chain_state state;
	int error;	     /* negative errno; -EINVAL: it can't be the name of a trace */
	struct trace *trace; /* from CHAIN_RUNNING to CHAIN_IDLE, otherwise NULL */
	/* What it did longest in this stretch of time; idle only if it did nothing else. */
	uint64_t start_ns, end_ns; /* monotonic */
	struct wait_kind kind;
	uint64_t ns;	  /* so long, of one thread or several */
	uint64_t idle_ns; /* and a thread of it was idle at most so long */
	bool is_partial;  /* some of its blocks are damaged, or are too many to look at */
};

struct wait_chains;

/* @trace  whose waits are followed; lent */
struct wait_chains *wait_chains_new(struct trace *trace);
void wait_chains_free(struct wait_chains *c);
DEFINE_CLEANUP(struct wait_chains *, wait_chains_free)

/*
 * Follow a wait of the trace: the longest one of its kind. Only traces in the same folder of a run
 * are opened, and no symbolic links are followed there.
 * @ret  what it points to is lent until wait_chains_free()
 * Returns the number of steps; 0 when it is not known who is at the other end.
 */
size_t wait_chains_follow(struct wait_chains *c, const struct trace_wait *wait,
			  struct chain_step ret[static CHAIN_MAX_STEPS]);

#endif

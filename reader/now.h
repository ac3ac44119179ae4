/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the threads of a trace that is being recorded do now: on which line each of them is, and
 * what it waits for. As the trace says, that is, which is written about every second.
 */
#ifndef READER_NOW_H
#define READER_NOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wait_codec.h"

/* What was written so long ago is taken to be still so. */
#define NOW_FRESH_S 10

struct json_writer;
struct trace;

enum now_state {
	NOW_UNKNOWN, /* the trace has no edges, or the thread was not observed of late */
	NOW_RUNNING,
	NOW_WAITING,
	NOW_READY, /* it could run, but others have the CPU */
};

struct now_thread {
	uint16_t thread;
	uint64_t native_id; /* 0: not known */
	enum now_state state;
	uint64_t since_ns;     /* of the wait; otherwise since when it is on this line */
	uint64_t until_ns;     /* at least */
	uint64_t lost_ns;      /* not 0: for so long it was not observed */
	struct wait_kind wait; /* in any case with file and line */
	uint32_t code;	       /* of the function */
};

struct now {
	struct now_thread *threads; /* those with followed code on their stack */
	size_t n;
};

/*
 * Nothing when the trace has ended. Returns 0, or the first error, having read what could be: of a
 * thread whose waits are damaged only the line is known.
 */
int now_read(struct trace *t, struct now *ret);
void now_done(struct now *now);

/*
 * For people, two lines for each thread:
 *
 *	LABEL thread 4242  waiting for 3.20 s: recv from 10.0.0.5:5432
 *	      app.py:12 in fetch: self.sock.recv(4096)
 *
 * @label  before the first line; blanks as wide before the others
 * @max    so many threads, and then how many more
 * @width  of the terminal, 0: any
 */
void now_print(struct trace *t, const struct now *now, const char *label, size_t max, size_t width);
/* The members of one thread's JSON object. */
void now_json_thread(struct trace *t, const struct now_thread *thread, struct json_writer *j);

#endif

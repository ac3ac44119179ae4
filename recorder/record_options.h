/* SPDX-License-Identifier: BSD-3-Clause */
/* What `trackexec record` was asked for. */
#ifndef RECORDER_RECORD_OPTIONS_H
#define RECORDER_RECORD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "recorder/oncpu/edge_choice.h"
#include "recorder/sampler.h"
#include "recorder/trace_name.h"

#define RECORD_RATE_DEFAULT_HZ 5000

struct record_options {
	pid_t pid;	      /* 0: a command is to be started */
	char *const *command; /* NULL-terminated, part of argv; NULL with a pid */
	const char *output;   /* part of argv; NULL: the default */
	const char *name;     /* part of argv; NULL: the default */
	double rate_hz;	      /* 0: as fast as it goes */
	enum edge_wish edges;
	bool is_exact;	      /* --mode exact */
	uint64_t min_wait_ns; /* 0: the default */
	uint64_t duration_ns; /* 0: unlimited */
	enum follow_mode follow;
	char **packages;	   /* NULL-terminated, for FOLLOW_PACKAGES */
	const char *packages_text; /* as given; "" own code, "*" all */
	bool quiet;
	bool verbose;
	bool help;
};

/*
 * Returns 0, or -EINVAL after a message that says what is wrong. argv is lent and may be
 * reordered by getopt.
 */
int record_options_parse(int argc, char **argv, struct record_options *ret);
void record_options_done(struct record_options *o);

#endif

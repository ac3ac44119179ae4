/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tables of `trackexec analyse` have in common: one trace, and how it is shown. */
#ifndef READER_ANALYSE_H
#define READER_ANALYSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/text.h"
#include "reader/analyse_filter.h"

struct json_writer;
struct selection;
struct trace;

enum analysis_format { ANALYSIS_TEXT, ANALYSIS_JSON, ANALYSIS_CSV };

/* What was asked for. */
struct analysis {
	struct trace *trace;
	const struct selection *selection;
	struct analysis_filter filter;
	size_t n_items;
	const char *sort_column; /* NULL: the default one of the table */
	enum analysis_format format;
	/* Of the tables of lines and functions: */
	bool by_function;
	bool with_percentiles;
	/* Of the table of waits: */
	bool with_idle;
	bool with_native;
	/* How it is shown: */
	enum text_charset charset;
	size_t width; /* of the terminal, 0: any */
	bool has_colour;
	bool has_edges;
};

/*
 * The lines or functions that took the most time, a whole file with what its lines took, and the
 * waits that took the most time. Each says all that went wrong; returns the exit status.
 */
int analyse_lines(const struct analysis *a);
int analyse_file(const struct analysis *a, uint32_t file);
int analyse_waits(const struct analysis *a);

/*
 * What was recorded, how long and how well, the first lines of each table.
 * @observed_ns  of what is asked for
 * @of_that      behind "... observed in all"
 * Returns the first error, having printed what could be read.
 */
int analysis_print_head(const struct analysis *a, uint64_t observed_ns, const char *of_that);
/* For how long the selected threads were there in the interval, all together. */
int analysis_alive_ns(const struct analysis *a, uint64_t *ret);
/* The same as the first members of a JSON object. */
int analysis_head_json(const struct analysis *a, struct json_writer *j, uint64_t observed_ns);
/* Members file, line and source of a JSON object. */
void analysis_line_json(const struct analysis *a, struct json_writer *j, uint32_t file,
			int32_t line);
/* A member that is a moment, in seconds since 1970, or null when that is not known. */
void analysis_time_json(const struct analysis *a, struct json_writer *j, const char *key,
			uint64_t monotonic_ns);

/* What is for a terminal with colours; ANALYSIS_PLAIN ends it. "" where there are none. */
enum analysis_colour {
	ANALYSIS_PLAIN,
	ANALYSIS_BOLD,
	ANALYSIS_DIM,
	ANALYSIS_WARM,
	ANALYSIS_HOT,
};
const char *analysis_colour(const struct analysis *a, enum analysis_colour colour);

/* "\u00b5" or "u" */
const char *analysis_micro(const struct analysis *a);
double percent(uint64_t part, uint64_t whole);
/*
 * Parts of a whole, in units of it (1000: tenths of a percent), rounded so that all of them
 * together are the whole: an error is less than a unit, and a larger part never gets less.
 * @parts  together the whole; when that is 0, all units are
 */
void analysis_round(const uint64_t *parts, size_t n, unsigned n_units, unsigned *ret);
/*
 * A column to sort by was asked for that is not there: say which are.
 * @names  NULL behind the last one
 */
int analysis_no_such_column(const struct analysis *a, const char *const *names);
/* The exit status after all was printed; says what is damaged. */
int analysis_finish(const struct analysis *a, int r);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/* A part of reader/trace_diff.c: which of the rows have changed by more than noise. */
#ifndef READER_DIFF_JUDGE_H
#define READER_DIFF_JUDGE_H

#include "reader/trace_diff.h"

struct diff_match;

/*
 * Judges the items that are in both, as their figures say, and keeps those that changed. Those in
 * one of the two only have been judged before.
 */
void diff_judge(const struct diff_side *old_side, const struct diff_side *new_side,
		const struct diff_match *match, struct diff *d);

#endif

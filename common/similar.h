/* SPDX-License-Identifier: BSD-3-Clause */
/* "Did you mean …?" for a word that is not one of those known. */
#ifndef COMMON_SIMILAR_H
#define COMMON_SIMILAR_H

#include <stddef.h>

/*
 * The candidate that begins with `word`, or else the one that is at most two edits away from it;
 * upper and lower case do not matter. Returns NULL when none of them looks like it.
 */
const char *find_similar(const char *word, const char *const *candidates, size_t n);

#endif

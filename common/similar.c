/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/similar.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Longer words are not looked at. */
#define WORD_MAX  32
#define EDITS_MAX 2

static bool is_same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Edits (insert, delete, replace) that make a of b, which has at most WORD_MAX letters. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + !is_same_letter(a[i], b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

const char *find_similar(const char *word, const char *const *candidates, size_t n)
{
	size_t best_distance = EDITS_MAX + 1, len = strlen(word);
	const char *best = NULL;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t distance;

		if (strncasecmp(word, candidates[i], len) == 0)
			return candidates[i];
		if (strlen(candidates[i]) > WORD_MAX)
			continue;
		distance = edit_distance(word, candidates[i]);
		/* A short word is not made of nothing but edits. */
		if (distance < best_distance && distance < len) {
			best = candidates[i];
			best_distance = distance;
		}
	}
	return best;
}

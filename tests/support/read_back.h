/* SPDX-License-Identifier: BSD-3-Clause */
/* What a program wrote into a temporary file. */
#ifndef TESTS_SUPPORT_READ_BACK_H
#define TESTS_SUPPORT_READ_BACK_H

#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"

/* All of it as one text, which the caller frees. Closes the file. */
static inline char *read_back(FILE *f)
{
	char *text = NULL;
	size_t size = 0;

	rewind(f);
	if (getdelim(&text, &size, 0, f) < 0) {
		free(text);
		text = xstrdup("");
	}
	fclose(f);
	return text;
}

#endif

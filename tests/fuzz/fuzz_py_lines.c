/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes in place of a line table; every unit must get a line, or none. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "recorder/python/py_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int32_t first_line, *lines;
	size_t n_units;

	if (size < 8)
		return 0;
	memcpy(&first_line, data, sizeof(first_line));
	n_units = 1 + data[4] + 16u * data[5];
	/* Exactly as long as they may be, so that a sanitizer sees what goes beyond. */
	lines = xmalloc(n_units * sizeof(*lines));
	memset(lines, 0xff, n_units * sizeof(*lines));
	py_lines_decode((enum py_line_table)(data[6] % 3), data + 8, size - 8, first_line, lines,
			n_units);
	for (size_t i = 0; i < n_units; i++) {
		if (lines[i] < 0)
			abort();
	}
	free(lines);
	return 0;
}

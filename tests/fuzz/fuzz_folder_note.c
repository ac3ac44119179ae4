/* SPDX-License-Identifier: BSD-3-Clause */
/* Any text in place of the notes in the folders of traces. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/trace_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1), formatted[FOLDER_NOTE_SIZE];
	struct folder_note note, again;
	size_t len;

	if (!text)
		abort();
	memcpy(text, data, size);
	/* What is understood says the same when it is written again. */
	if (folder_note_parse(text, size, &note) == 0) {
		len = folder_note_format(&note, formatted);
		if (folder_note_parse(formatted, len, &again) < 0 ||
		    !process_key_equal(&note.process, &again.process) ||
		    note.started_s != again.started_s)
			abort();
	}
	free(text);
	return 0;
}

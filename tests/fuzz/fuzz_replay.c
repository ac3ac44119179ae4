/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as commands of replay, one a line, on a small trace: each is answered in whole lines of
 * printable text, or as JSON. They are also typed into the line editor, completed and coloured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "reader/line_editor.h"
#include "reader/python_syntax.h"
#include "reader/replay.h"
#include "reader/replay_batch.h"
#include "reader/trace.h"
#include "tests/support/trace_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_EVENTS 60

static struct trace *make_trace(void)
{
	char *folder = test_folder_new();
	struct trace_writer *w = test_writer_new(folder);
	struct trace *t = NULL;
	char why[256];

	put_thread(w, 1, TEST_START_NS);
	put_thread(w, 2, TEST_START_NS);
	put_code(w, 1, "/proc/self/comm", "main");
	put_code(w, 2, "/x/\x1b[2J.py", "wo\nrk");
	for (uint32_t i = 0; i < N_EVENTS; i++)
		put_stack(w, (uint16_t)(1 + i % 2), TEST_START_NS + i * UINT64_C(3000), 0,
			  FRAMES({1 + i % 2, (int32_t)i % 5}, {2, 7}), 1 + i % 2);
	put_gap(w, 0, TEST_START_NS + 1000000, TEST_START_NS + 2000000, GAP_EXEC);
	if (trace_writer_close(w, TEST_START_NS + 3000000, "stopped") < 0 ||
	    trace_open(folder, &t, why, sizeof(why)) < 0)
		abort();
	test_folder_remove(folder);
	return t;
}

static void check_printable(const char *text, size_t len)
{
	if (!text_is_utf8(text, len) || (len && text[len - 1] != '\n'))
		abort();
	for (size_t at = 0; at < len;) {
		uint32_t c = 0;

		at += text_utf8_char(text + at, len - at, &c);
		if (c != '\n' && text_is_control(c))
			abort();
	}
}

static void batch(struct trace *t, const uint8_t *data, size_t size, bool as_json)
{
	auto_release(replay_free) struct replay *r = NULL;
	auto_free uint8_t *copy = xmalloc(size);
	auto_fclose FILE *in = fmemopen(memcpy(copy, data, size), size, "r");
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	char why[256];

	if (!in || !out || replay_new(t, &r, why, sizeof(why)) < 0)
		abort();
	replay_batch(r, in, out, as_json);
	fclose(out);
	check_printable(text, len);
}

static size_t complete(void *ctx, const char *line, char ***ret)
{
	return replay_complete(ctx, line, ret);
}

static void type(struct trace *t, const uint8_t *data, size_t size)
{
	auto_release(replay_free) struct replay *r = NULL;
	struct line_editor e = {0};
	char why[256];

	if (replay_new(t, &r, why, sizeof(why)) < 0)
		abort();
	line_editor_start(&e, "");
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\t')
			line_editor_complete(&e, complete, r);
		else if (data[i] <= EDIT_NEWER)
			line_editor_edit(&e, (enum line_edit)data[i]);
		else if (data[i] == '\n')
			line_editor_start(&e, line_editor_accept(&e));
		else
			line_editor_insert(&e, data[i] * (i % 3 ? 1u : 257u));
		if (e.at > e.len || strlen(e.text) != e.len || !text_is_utf8(e.text, e.at))
			abort();
	}
	line_editor_done(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct trace *t;
	auto_free uint8_t *parts = xmalloc(size + 1);

	if (!t)
		t = make_trace();
	python_syntax((const char *)data, size, SYNTAX_CODE, parts);
	if (size == 0)
		return 0;
	batch(t, data, size, data[0] % 2);
	type(t, data, size);
	return 0;
}

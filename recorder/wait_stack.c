/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/wait_stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "recorder/oncpu/native_stack.h"

/* Of a native stack as text. */
#define NATIVE_TEXT_MAX (64u << 10)

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static void put_frame(FILE *out, const struct native_frame *f)
{
	auto_free char *module = NULL, *function = NULL;

	if (f->module)
		module =
		    text_escape(base_name(f->module), strlen(base_name(f->module)), "", TEXT_UTF8);
	if (f->function)
		function = text_escape(f->function, strlen(f->function), "", TEXT_UTF8);
	if (function)
		fprintf(out, "%s+0x%llx (%s)\n", function, (unsigned long long)f->offset,
			module ? module : "?");
	else if (module)
		fprintf(out, "%s+0x%llx\n", module, (unsigned long long)f->offset);
	else
		fprintf(out, "0x%llx\n", (unsigned long long)f->ip);
}

char *wait_stack_text(struct native_unwinder *unwinder, const char *syscall, uint64_t *ret_ns,
		      int *ret_complete)
{
	auto_free struct native_frame *frames = xcalloc(NATIVE_MAX_FRAMES, sizeof(*frames));
	const char *last = strrchr(syscall, ' '), *before = last;
	enum native_end end = NATIVE_NO_CODE;
	char *text = NULL;
	size_t n = 0, size = 0;
	FILE *out;

	/* "... SP PC" */
	while (before && before > syscall && before[-1] != ' ')
		before--;
	if (!before || before == syscall ||
	    native_unwind(unwinder, strtoull(last, NULL, 16), strtoull(before, NULL, 16), frames,
			  NATIVE_MAX_FRAMES, &n, &end) < 0 ||
	    n == 0)
		return NULL;
	*ret_ns = clock_monotonic_ns();
	native_name(unwinder, frames, n);
	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	for (size_t i = 0; i < n && ftell(out) < (long)NATIVE_TEXT_MAX; i++)
		put_frame(out, &frames[i]);
	if (end != NATIVE_COMPLETE)
		fprintf(out, "... (%s)\n", native_end_text(end));
	fclose(out);
	*ret_complete = end == NATIVE_COMPLETE;
	return text;
}

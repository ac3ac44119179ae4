/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/replay_words.h"

#include "common/xalloc.h"
#include "reader/trace.h"

char *replay_path(struct replay *r, uint32_t file, const char *special, enum text_charset charset)
{
	const struct trace_file *f = trace_get_file(replay_trace(r), file);

	return f ? text_escape(f->path, f->path_len, special, charset) : xstrdup("-");
}

char *replay_function(struct replay *r, uint32_t code, const char *special,
		      enum text_charset charset)
{
	const struct trace_code *c = trace_get_code(replay_trace(r), code);

	return c ? text_escape(c->name, c->name_len, special, charset) : xstrdup("-");
}

uint32_t replay_file_of(struct replay *r, uint32_t code)
{
	const struct trace_code *c = trace_get_code(replay_trace(r), code);

	return c ? c->file : 0;
}

const char *thread_activity_name(enum thread_activity a)
{
	return a == ACTIVITY_ON_CPU    ? "on-cpu"
	       : a == ACTIVITY_WAITING ? "waiting"
	       : a == ACTIVITY_READY   ? "ready"
				       : NULL;
}

static const char *end_name(enum trace_end end)
{
	return end == TRACE_END_STILL_GROWS ? "still-recorded"
	       : end == TRACE_END_CUT_OFF   ? "cut-off"
					    : "end-of-trace";
}

size_t replay_flags(const struct replay *r, const struct place *p,
		    const char *ret[static REPLAY_FLAGS_MAX])
{
	size_t n = 0;

	if (p->is_first)
		ret[n++] = "start-of-trace";
	if (p->is_last) {
		ret[n++] = "end-of-trace";
		if (replay_trace_end(r) != TRACE_END_WRITTEN)
			ret[n++] = end_name(replay_trace_end(r));
	}
	if (p->is_after_gap)
		ret[n++] = "after-gap";
	if (p->ending == ENDING_GAP)
		ret[n++] = "gap-follows";
	if (p->is_damaged)
		ret[n++] = "damaged";
	if (thread_activity_name(p->state.activity))
		ret[n++] = thread_activity_name(p->state.activity);
	if (p->state.is_idle)
		ret[n++] = "idle";
	/* What began and ended between two looks was not seen. */
	if (p->is_sampled)
		ret[n++] = "sampled";
	return n;
}

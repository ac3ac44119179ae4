/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/wait_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "reader/trace_waits.h"

static const char *what_of(const struct trace_reason *reason)
{
	return *reason->what ? reason->what : *reason->call ? reason->call : reason->kind;
}

char *wait_peer_text(struct trace *t, const struct wait_kind *kind, enum text_charset charset)
{
	const struct trace_reason *reason = trace_get_reason(t, kind->reason);
	auto_free char *text = NULL;

	if (!reason)
		text = xstrdup("waiting: not known for what");
	else if (*reason->peer)
		text = xasprintf("waiting for %s: %s", reason->peer, what_of(reason));
	else
		text = xasprintf("waiting: %s", what_of(reason));
	return text_escape(text, strlen(text), "", charset);
}

char *wait_reason_text(struct trace *t, const struct wait_kind *kind, enum text_charset charset)
{
	const struct trace_reason *reason = trace_get_reason(t, kind->reason);
	auto_free char *with_peer = NULL;
	const char *what;

	if (kind->state == WAIT_FOR_CPU)
		return xstrdup("waiting for a CPU");
	if (!reason)
		return xstrdup("not known");
	what = what_of(reason);
	if (!*reason->peer)
		return text_escape(what, strlen(what), "", charset);
	with_peer = xasprintf("%s (%s)", what, reason->peer);
	return text_escape(with_peer, strlen(with_peer), "", charset);
}

void format_wall_time(struct trace *t, uint64_t monotonic_ns, char buf[static WALL_TIME_SIZE])
{
	int64_t real_ns, offset_s = 0;
	struct tm tm;
	time_t local;
	size_t len;

	snprintf(buf, WALL_TIME_SIZE, "?");
	if (trace_realtime(t, monotonic_ns, &real_ns) < 0 || real_ns < 0)
		return;
	trace_meta_int(t, META_UTC_OFFSET, &offset_s);
	local = (time_t)(real_ns / (int64_t)NS_PER_S + offset_s);
	if (!gmtime_r(&local, &tm))
		return;
	len = strftime(buf, WALL_TIME_SIZE, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(buf + len, WALL_TIME_SIZE - len, ".%03d",
		 (int)(real_ns % (int64_t)NS_PER_S / (int64_t)NS_PER_MS));
}

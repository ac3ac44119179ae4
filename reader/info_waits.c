/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/info_waits.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/text.h"
#include "common/units.h"
#include "reader/trace_waits.h"

static void add(struct trace *t, struct info_waits *sum, const struct trace_wait *w)
{
	if (w->kind.state == WAIT_FOR_CPU) {
		sum->n_ready += w->n;
		sum->ready_ns += w->total_ns;
		return;
	}
	sum->n += w->n;
	sum->ns += w->total_ns;
	if (w->kind.idle) {
		sum->n_idle += w->n;
		sum->idle_ns += w->total_ns;
	}
	if (w->kind.reason)
		sum->n_with_reason += w->n;
	if (trace_native_is_complete(t, w->kind.native))
		sum->n_with_stack += w->n;
}

int info_waits_read(struct trace *t, struct info_waits *ret)
{
	auto_free struct trace_wait *waits = NULL;
	size_t n;
	int r = trace_sum_waits(t, &waits, &n);

	*ret = (struct info_waits){
	    .has_edges = trace_has_edges(t) == 1,
	    .is_coarse = trace_has_coarse_edges(t) == 1,
	};
	for (size_t i = 0; i < n; i++)
		add(t, ret, &waits[i]);
	return r;
}

void info_waits_print(const struct info_waits *w)
{
	const char *micro = text_locale_charset() == TEXT_UTF8 ? "\u00b5" : "u";
	char n[UNITS_MAX], time[UNITS_MAX], n_part[UNITS_MAX], time_part[UNITS_MAX];

	if (!w->has_edges) {
		puts("Edges        none: it is not known when threads were on a CPU, nor what they "
		     "waited for");
		return;
	}
	puts(w->is_coarse ? "Edges        coarse: waits are known to some 20 ms, shorter ones not"
			  : "Edges        exact");
	format_count(w->n, n);
	format_duration(w->ns, micro, time);
	format_count(w->n_idle, n_part);
	format_duration(w->idle_ns, micro, time_part);
	printf("Waits        %s, %s in all; of these idle %s, %s\n", n, time, n_part, time_part);
	format_count(w->n_with_reason, n);
	format_count(w->n_with_stack, n_part);
	printf("             with a reason %s, with a complete native stack %s\n", n, n_part);
	format_count(w->n_ready, n);
	format_duration(w->ready_ns, micro, time);
	printf("             and for a CPU %s, %s in all\n", n, time);
}

void info_waits_json(const struct info_waits *w, struct json_writer *j)
{
	json_string(j, "edges", !w->has_edges ? "none" : w->is_coarse ? "coarse" : "exact");
	json_count(j, "waits", w->n);
	json_count(j, "waits_ns", w->ns);
	json_count(j, "waits_idle", w->n_idle);
	json_count(j, "waits_idle_ns", w->idle_ns);
	json_count(j, "waits_with_reason", w->n_with_reason);
	json_count(j, "waits_with_complete_stack", w->n_with_stack);
	json_count(j, "waits_for_cpu", w->n_ready);
	json_count(j, "waits_for_cpu_ns", w->ready_ns);
}

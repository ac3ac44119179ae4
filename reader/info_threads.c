/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/info_threads.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/units.h"
#include "reader/trace_seek.h"

/* More are not named in the text. */
#define MAX_SHOWN 10

static uint64_t since(uint64_t time_ns, uint64_t start_ns)
{
	return time_ns > start_ns ? time_ns - start_ns : 0;
}

static void print_thread(const struct trace_thread *t, uint64_t start_ns, const char *micro)
{
	char time[UNITS_MAX];

	printf("%u", (unsigned)t->id);
	if (t->native_id)
		printf(" (TID %" PRIu64, t->native_id);
	if (t->last_ns) {
		format_duration(since(t->last_ns, start_ns), micro, time);
		printf("%sended after %s", t->native_id ? ", " : " (", time);
	}
	if (t->native_id || t->last_ns)
		putchar(')');
}

void info_threads_print(const struct trace_thread *threads, size_t n, uint64_t start_ns,
			const char *micro)
{
	printf("Threads      %zu%s", n, n ? ": " : "");
	for (size_t i = 0; i < n && i < MAX_SHOWN; i++) {
		if (i)
			fputs(", ", stdout);
		print_thread(&threads[i], start_ns, micro);
	}
	if (n > MAX_SHOWN)
		printf(" and %zu more (--json names all)", n - MAX_SHOWN);
	putchar('\n');
}

static void put_time(struct json_writer *j, const char *key, uint64_t ns)
{
	json_real(j, key, (double)ns / (double)NS_PER_S, 6);
}

void info_threads_json(const struct trace_thread *threads, size_t n, uint64_t start_ns,
		       struct json_writer *j)
{
	json_array(j, "thread_list");
	for (size_t i = 0; i < n; i++) {
		const struct trace_thread *t = &threads[i];

		json_object(j, NULL);
		json_count(j, "thread", t->id);
		if (t->native_id)
			json_count(j, "native_id", t->native_id);
		else
			json_null(j, "native_id");
		json_count(j, "python_id", t->python_id);
		put_time(j, "first_s", since(t->first_ns, start_ns));
		if (t->last_ns)
			put_time(j, "last_s", since(t->last_ns, start_ns));
		else
			json_null(j, "last_s");
		json_object_end(j);
	}
	json_array_end(j);
}

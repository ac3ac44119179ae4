/* SPDX-License-Identifier: BSD-3-Clause */
/* The columns of the tables: how each is declared, and its value in a row. */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "reader/trace.h"
#include "reader/trace_waits.h"
#include "reader/wait_text.h"
#include "sqlext/table.h"

/* --- values --- */

static void result_ns(sqlite3_context *ctx, uint64_t ns)
{
	sqlite3_result_int64(ctx, (sqlite3_int64)ns);
}

/* @text  malloc()ed and taken; NULL becomes NULL */
static void result_taken(sqlite3_context *ctx, char *text)
{
	if (text)
		sqlite3_result_text(ctx, text, -1, free);
}

static void result_copy(sqlite3_context *ctx, const char *text)
{
	if (text && *text)
		sqlite3_result_text(ctx, text, -1, SQLITE_TRANSIENT);
}

/* As the tables of a trace have names: a BLOB where they are no text. */
static void result_name(sqlite3_context *ctx, const char *name, size_t len)
{
	if (len > INT32_MAX)
		sqlite3_result_error_toobig(ctx);
	else if (text_is_utf8(name, len) && !memchr(name, 0, len))
		sqlite3_result_text(ctx, name, (int)len, SQLITE_TRANSIENT);
	else
		sqlite3_result_blob(ctx, name, (int)len, SQLITE_TRANSIENT);
}

/* --- what a row tells --- */

static const struct trace_code *row_code(struct open_trace *o, const struct sql_row *row)
{
	return row->depth ? trace_get_code(o->trace, row->stack[row->depth - 1].code) : NULL;
}

uint32_t sql_row_file(struct open_trace *o, const struct sql_row *row)
{
	const struct trace_code *code = row_code(o, row);

	return row->sums ? row->sums->file : code ? code->file : 0;
}

int32_t sql_row_line(const struct sql_row *row)
{
	return row->sums ? row->sums->line : row->depth ? row->stack[row->depth - 1].line : 0;
}

static bool is_off_cpu(const struct sql_row *row)
{
	return row->activity == ACTIVITY_WAITING || row->activity == ACTIVITY_READY;
}

static const struct trace_reason *row_reason(struct open_trace *o, const struct sql_row *row)
{
	return is_off_cpu(row) ? trace_get_reason(o->trace, row->wait.reason) : NULL;
}

/* --- columns --- */

static void render_thread(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	sqlite3_result_int(ctx, row->thread);
}

static void render_time(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	result_ns(ctx, row->time_ns);
}

static void render_wall(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	char text[CLOCK_TEXT_SIZE];

	if (!o->has_clock)
		return;
	clock_map_format_exact(&o->clock, row->time_ns, text);
	result_copy(ctx, text);
}

static void render_end(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	result_ns(ctx, row->end_ns);
}

static void render_duration(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	result_ns(ctx, row->end_ns - row->time_ns);
}

static void render_event(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	result_copy(ctx, row->event);
}

static void render_activity(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	static const char *const names[] = {
	    [ACTIVITY_UNKNOWN] = NULL,
	    [ACTIVITY_ON_CPU] = "cpu",
	    [ACTIVITY_WAITING] = "waiting",
	    [ACTIVITY_READY] = "ready",
	};

	(void)o;
	result_copy(ctx, row->is_gap ? "gap" : names[row->activity]);
}

static void render_idle(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	if (!row->is_gap && row->activity != ACTIVITY_UNKNOWN)
		sqlite3_result_int(ctx, is_off_cpu(row) && row->wait.idle);
}

static void render_gap_reason(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	struct trace_gap gap;

	if (trace_gap_within(o->trace, row->thread, row->time_ns, row->end_ns, &gap) == 1)
		result_copy(ctx, gap_reason_name(gap.reason));
}

static void render_reason(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	const struct trace_reason *reason = row_reason(o, row);

	if (row->is_gap)
		render_gap_reason(ctx, o, row);
	else if (row->activity == ACTIVITY_READY)
		result_copy(ctx, "waiting for a CPU");
	else if (reason)
		result_copy(ctx, *reason->what ? reason->what : reason->call);
}

static void render_kind(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	const struct trace_reason *reason = row_reason(o, row);

	result_copy(ctx, reason ? reason->kind : NULL);
}

static void render_call(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	const struct trace_reason *reason = row_reason(o, row);

	result_copy(ctx, reason ? reason->call : NULL);
}

static void render_peer(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	const struct trace_reason *reason = row_reason(o, row);

	result_copy(ctx, reason ? reason->peer : NULL);
}

static void render_depth(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	if (!row->is_gap)
		sqlite3_result_int64(ctx, row->depth);
}

static void render_function(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	const struct trace_code *code = row_code(o, row);

	if (code)
		result_name(ctx, code->name, code->name_len);
}

static void render_file(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	const struct trace_file *file = trace_get_file(o->trace, sql_row_file(o, row));

	if (file)
		result_name(ctx, file->path, file->path_len);
}

static void render_line(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	if (row->sums || row->depth)
		sqlite3_result_int(ctx, sql_row_line(row));
}

static void render_source(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	result_taken(ctx, open_trace_source(o, sql_row_file(o, row), sql_row_line(row)));
}

/* A frame as `trackexec export --format collapsed` has it. */
static void append_frame(sqlite3_str *text, struct open_trace *o, const struct block_line *frame)
{
	const struct trace_code *code = trace_get_code(o->trace, frame->code);
	const struct trace_file *file = code ? trace_get_file(o->trace, code->file) : NULL;
	auto_free char *path =
	    file ? text_escape(file->path, file->path_len, ";", TEXT_UTF8) : xstrdup("?");
	auto_free char *name =
	    code ? text_escape(code->name, code->name_len, ";", TEXT_UTF8) : xstrdup("?");

	sqlite3_str_appendf(text, "%s%s:%s:%d", sqlite3_str_length(text) ? ";" : "", path, name,
			    frame->line);
}

/* Of a stack so deep that its text would be too long, SQLite says that. */
static void render_stack(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	sqlite3_str *text;
	int code;

	if (!row->depth)
		return;
	text = sqlite3_str_new(sqlite3_context_db_handle(ctx));
	for (uint32_t i = 0; i < row->depth && !sqlite3_str_errcode(text); i++)
		append_frame(text, o, &row->stack[i]);
	code = sqlite3_str_errcode(text);
	if (code != SQLITE_OK) {
		sqlite3_free(sqlite3_str_finish(text));
		sqlite3_result_error_code(ctx, code);
		return;
	}
	sqlite3_result_text(ctx, sqlite3_str_finish(text), -1, sqlite3_free);
}

static void render_native(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	if (is_off_cpu(row))
		result_copy(ctx, open_trace_native(o, row->wait.native));
}

static void render_visits(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	result_ns(ctx, row->sums->visits);
}

static void render_self(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	result_ns(ctx, row->sums->self_ns);
}

static void render_total(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	result_ns(ctx, row->sums->total_ns);
}

static void render_on_cpu(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	uint64_t off_ns = row->sums->wait_ns + row->sums->ready_ns;

	if (o->edges)
		result_ns(ctx, row->sums->self_ns > off_ns ? row->sums->self_ns - off_ns : 0);
}

static void render_wait(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	if (o->edges)
		result_ns(ctx, row->sums->wait_ns);
}

static void render_ready(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	if (o->edges)
		result_ns(ctx, row->sums->ready_ns);
}

static void render_provenance(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row)
{
	(void)o;
	result_copy(ctx, row->provenance);
}

const struct column_about column_abouts[N_COLUMNS] = {
    [COLUMN_THREAD] = {"thread INTEGER", render_thread},
    [COLUMN_TIME] = {"time_ns INTEGER", render_time},
    [COLUMN_WALL] = {"wall TEXT", render_wall},
    [COLUMN_END] = {"end_ns INTEGER", render_end},
    [COLUMN_DURATION] = {"duration_ns INTEGER", render_duration},
    [COLUMN_EVENT] = {"event TEXT", render_event},
    [COLUMN_ACTIVITY] = {"activity TEXT", render_activity},
    [COLUMN_IDLE] = {"idle INTEGER", render_idle},
    [COLUMN_REASON] = {"reason TEXT", render_reason},
    [COLUMN_KIND] = {"kind TEXT", render_kind},
    [COLUMN_CALL] = {"call TEXT", render_call},
    [COLUMN_PEER] = {"peer TEXT", render_peer},
    [COLUMN_DEPTH] = {"depth INTEGER", render_depth},
    [COLUMN_FUNCTION] = {"function TEXT", render_function},
    [COLUMN_FILE] = {"file TEXT", render_file},
    [COLUMN_LINE] = {"line INTEGER", render_line},
    [COLUMN_SOURCE] = {"source TEXT", render_source},
    [COLUMN_STACK] = {"stack TEXT", render_stack},
    [COLUMN_NATIVE] = {"native TEXT", render_native},
    [COLUMN_VISITS] = {"visits INTEGER", render_visits},
    [COLUMN_SELF] = {"self_ns INTEGER", render_self},
    [COLUMN_TOTAL] = {"total_ns INTEGER", render_total},
    [COLUMN_ON_CPU] = {"on_cpu_ns INTEGER", render_on_cpu},
    [COLUMN_WAIT] = {"wait_ns INTEGER", render_wait},
    [COLUMN_READY] = {"ready_ns INTEGER", render_ready},
    [COLUMN_PROVENANCE] = {"provenance TEXT", render_provenance},
    [COLUMN_TRACE] = {"trace HIDDEN", NULL},
    [COLUMN_SINCE] = {"since HIDDEN", NULL},
    [COLUMN_UNTIL] = {"until HIDDEN", NULL},
};

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trackexec.so: a trace as tables of SQL, for whatever question nobody thought of. This file is
 * what SQLite calls; table_*.c say where rows come from, column.c what is in them.
 *
 * What is asked of `thread` and `time_ns` narrows what is read; SQLite checks each row again, so a
 * row too many does no harm.
 */
#include "sqlext/host_sqlite.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/trace.h"
#include "sqlext/table.h"

SQLITE_EXTENSION_INIT1

#define WHY_SIZE 512

/* All of one connection have the same traces. */
struct module {
	const struct sql_table *table;
	struct open_traces *traces;
};

struct vtab {
	sqlite3_vtab base; /* must be first */
	sqlite3 *db;
	const struct module *module;
};

struct cursor {
	sqlite3_vtab_cursor base; /* must be first */
	struct open_trace *trace; /* NULL: nothing was asked yet */
	struct sql_range range;	  /* the thread: 0 for all */
	uint64_t cut_since_ns, cut_until_ns;
	size_t thread; /* by index, the one whose rows are told */
	void *rows;    /* NULL: of no thread */
	struct sql_row row;
	sqlite3_int64 rowid;
	bool is_at_end;
};

/* --- what SQLite is to know of a table --- */

static int connect_table(sqlite3 *db, void *aux, int argc, const char *const *argv,
			 sqlite3_vtab **ret, char **ret_error)
{
	const struct module *m = aux;
	sqlite3_str *sql = sqlite3_str_new(db);
	auto_free struct vtab *v = xcalloc(1, sizeof(*v));
	char *text;
	int code;

	(void)argc;
	(void)argv;
	(void)ret_error;
	sqlite3_str_appendall(sql, "CREATE TABLE x(");
	for (size_t i = 0; i < m->table->n_columns; i++)
		sqlite3_str_appendf(sql, "%s, ", column_abouts[m->table->columns[i]].declaration);
	for (int i = COLUMN_TRACE; i < N_COLUMNS; i++)
		sqlite3_str_appendf(sql, "%s%s", column_abouts[i].declaration,
				    i + 1 < N_COLUMNS ? ", " : ")");
	text = sqlite3_str_finish(sql);
	code = text ? sqlite3_declare_vtab(db, text) : SQLITE_NOMEM;
	sqlite3_free(text);
	if (code != SQLITE_OK)
		return code;
	/* From a script or a view that somebody else wrote: it opens files by their names. */
	sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
	v->db = db;
	v->module = m;
	*ret = &steal_ptr(v)->base;
	return SQLITE_OK;
}

static int disconnect_table(sqlite3_vtab *vtab)
{
	free(vtab);
	return SQLITE_OK;
}

static enum column column_at(const struct sql_table *table, int at)
{
	size_t i = (size_t)at;

	if (at < 0)
		return N_COLUMNS; /* the rowid */
	return i < table->n_columns ? table->columns[i]
				    : (enum column)(COLUMN_TRACE + (i - table->n_columns));
}

/*
 * A letter for what a constraint tells xFilter(): the arguments of a call, or a bound; 0 for what
 * SQLite is to check alone.
 */
static char constraint_letter(enum column column, unsigned char op)
{
	if (op == SQLITE_INDEX_CONSTRAINT_EQ)
		return column == COLUMN_TRACE	 ? 'd'
		       : column == COLUMN_SINCE	 ? 's'
		       : column == COLUMN_UNTIL	 ? 'u'
		       : column == COLUMN_THREAD ? 't'
		       : column == COLUMN_TIME	 ? '='
						 : 0;
	if (column != COLUMN_TIME)
		return 0;
	if (op == SQLITE_INDEX_CONSTRAINT_GT || op == SQLITE_INDEX_CONSTRAINT_GE)
		return '>';
	if (op == SQLITE_INDEX_CONSTRAINT_LT || op == SQLITE_INDEX_CONSTRAINT_LE)
		return '<';
	return 0;
}

/* Rows come by thread, then by time. */
static bool is_our_order(const struct sql_table *table, const sqlite3_index_info *info,
			 bool is_one_thread)
{
	static const enum column order[] = {COLUMN_THREAD, COLUMN_TIME};
	int at = 0;

	for (int i = 0; i < info->nOrderBy; i++) {
		enum column column = column_at(table, info->aOrderBy[i].iColumn);

		if (info->aOrderBy[i].desc)
			return false;
		if (is_one_thread && column == COLUMN_THREAD)
			continue;
		if (is_one_thread && at == 0)
			at = 1;
		if (at == 2 || column != order[at++])
			return false;
	}
	return info->nOrderBy > 0;
}

static int choose_plan(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
	const struct sql_table *table = ((struct vtab *)vtab)->module->table;
	char *letters = sqlite3_malloc(info->nConstraint + 1);
	double cost = 1e7;
	int n = 0;

	if (!letters)
		return SQLITE_NOMEM;
	for (int i = 0; i < info->nConstraint; i++) {
		char letter = constraint_letter(column_at(table, info->aConstraint[i].iColumn),
						info->aConstraint[i].op);

		if (!letter)
			continue;
		if (!info->aConstraint[i].usable) {
			if (!strchr("dsu", letter))
				continue;
			/* An argument has to be known first. */
			sqlite3_free(letters);
			return SQLITE_CONSTRAINT;
		}
		info->aConstraintUsage[i].argvIndex = n + 1;
		info->aConstraintUsage[i].omit = strchr("dsu", letter) != NULL;
		letters[n++] = letter;
		cost /= letter == 't' ? 4 : letter == 'd' ? 1 : 10;
	}
	letters[n] = 0;
	info->idxStr = letters;
	info->needToFreeIdxStr = 1;
	info->estimatedCost = cost;
	info->estimatedRows = (sqlite3_int64)cost;
	info->orderByConsumed = is_our_order(table, info, strchr(letters, 't') != NULL);
	return SQLITE_OK;
}

/* --- cursors --- */

/* Say what went wrong; returns the SQLite code. */
__attribute__((format(printf, 3, 4))) static int fail(struct cursor *c, int code,
						      const char *format, ...)
{
	sqlite3_vtab *vtab = c->base.pVtab;
	va_list args;
	char *text;

	va_start(args, format);
	text = sqlite3_vmprintf(format, args);
	va_end(args);
	sqlite3_free(vtab->zErrMsg);
	vtab->zErrMsg = sqlite3_mprintf("%s: %s", ((struct vtab *)vtab)->module->table->name, text);
	sqlite3_free(text);
	return code;
}

static int open_cursor(sqlite3_vtab *vtab, sqlite3_vtab_cursor **ret)
{
	struct cursor *c = xcalloc(1, sizeof(*c));

	(void)vtab;
	*ret = &c->base;
	return SQLITE_OK;
}

static const struct module *module_of(const struct cursor *c)
{
	return ((const struct vtab *)c->base.pVtab)->module;
}

static void end_rows(struct cursor *c)
{
	if (c->rows)
		module_of(c)->table->rows_free(c->rows);
	c->rows = NULL;
}

static int close_cursor(sqlite3_vtab_cursor *base)
{
	struct cursor *c = (struct cursor *)base;

	end_rows(c);
	open_trace_put(module_of(c)->traces, c->trace);
	free(c);
	return SQLITE_OK;
}

static int fail_damaged(struct cursor *c, int r, const struct block_row *block)
{
	if (r != -EBADMSG)
		return fail(c, SQLITE_IOERR, "cannot read the trace: %s", strerror(-r));
	if (block->last_ns == 0)
		return fail(c, SQLITE_CORRUPT_VTAB, "the trace is damaged");
	return fail(c, SQLITE_CORRUPT_VTAB,
		    "the trace is damaged: block %lld, of thread %d from time_ns %lld to %lld; ask "
		    "for what is before or after that",
		    (long long)block->id, block->thread, (long long)block->first_ns,
		    (long long)block->last_ns);
}

/* Cut a row where an interval was asked for. Returns whether something of it is left. */
static bool cut_row(struct cursor *c)
{
	struct sql_row *row = &c->row;

	if (!module_of(c)->table->is_cut)
		return row->time_ns >= c->cut_since_ns && row->time_ns < c->cut_until_ns;
	if (row->time_ns < c->cut_since_ns)
		row->time_ns = c->cut_since_ns;
	if (row->end_ns > c->cut_until_ns)
		row->end_ns = c->cut_until_ns;
	return row->time_ns < row->end_ns;
}

static void find_life(const struct open_trace *o, const struct trace_thread *thread,
		      struct sql_range *range)
{
	range->life_start_ns = thread->first_ns > o->start_ns ? thread->first_ns : o->start_ns;
	range->life_end_ns = thread->last_ns ? thread->last_ns : o->end_ns;
}

/* Begin the rows of the next thread that is asked for. Returns whether there is one. */
static bool begin_thread(struct cursor *c)
{
	const struct open_trace *o = c->trace;
	struct sql_range range = c->range;

	for (; c->thread < o->n_threads; c->thread++) {
		range.thread = o->threads[c->thread].id;
		if (c->range.thread && c->range.thread != range.thread)
			continue;
		find_life(o, &o->threads[c->thread], &range);
		c->rows = module_of(c)->table->rows_new(c->trace, &range);
		return true;
	}
	return false;
}

static int next_row(sqlite3_vtab_cursor *base)
{
	struct cursor *c = (struct cursor *)base;
	struct block_row damaged = {0};
	int r;

	c->rowid++;
	for (;;) {
		if (!c->rows && !begin_thread(c)) {
			c->is_at_end = true;
			return SQLITE_OK;
		}
		c->row = (struct sql_row){0};
		r = module_of(c)->table->rows_next(c->rows, &c->row, &damaged);
		if (r < 0)
			return fail_damaged(c, r, &damaged);
		if (r == 1 && cut_row(c))
			return SQLITE_OK;
		if (r == 0) {
			end_rows(c);
			c->thread++;
		}
	}
}

/* --- what is asked for --- */

struct question {
	const char *trace, *since, *until; /* NULL: not given */
	bool is_empty;			   /* no row can be what is asked for */
};

/* A bound of times; what is no number bounds nothing here. */
static void read_bound(struct question *q, struct cursor *c, char letter, sqlite3_value *value)
{
	double real = sqlite3_value_double(value);
	sqlite3_int64 ns = sqlite3_value_int64(value);

	if (sqlite3_value_type(value) == SQLITE_NULL)
		q->is_empty = true;
	if (sqlite3_value_numeric_type(value) == SQLITE_FLOAT) {
		if (!(fabs(real) < 9e18))
			return;
		ns = (sqlite3_int64)floor(real);
	} else if (sqlite3_value_numeric_type(value) != SQLITE_INTEGER) {
		return;
	}
	if (letter != '<' && ns > 0 && (uint64_t)ns > c->range.since_ns)
		c->range.since_ns = (uint64_t)ns;
	/* One more, for what is up to it and for fractions. */
	if (letter != '>' && ns < 0)
		q->is_empty = true;
	else if (letter != '>' && (uint64_t)ns + 1 < c->range.until_ns)
		c->range.until_ns = (uint64_t)ns + 1;
}

static void read_thread(struct question *q, struct cursor *c, sqlite3_value *value)
{
	sqlite3_int64 thread = sqlite3_value_int64(value);

	if (thread < 1 || thread > UINT16_MAX || (c->range.thread && c->range.thread != thread))
		q->is_empty = true;
	else
		c->range.thread = (uint16_t)thread;
}

static struct question read_question(struct cursor *c, const char *letters, int argc,
				     sqlite3_value **argv)
{
	struct question q = {0};

	c->range = (struct sql_range){.until_ns = UINT64_MAX};
	for (int i = 0; i < argc && letters[i]; i++) {
		const char *text =
		    strchr("dsu", letters[i]) ? (const char *)sqlite3_value_text(argv[i]) : NULL;

		switch (letters[i]) {
		case 'd':
			q.trace = text;
			break;
		case 's':
			q.since = text;
			break;
		case 'u':
			q.until = text;
			break;
		case 't':
			read_thread(&q, c, argv[i]);
			break;
		default:
			read_bound(&q, c, letters[i], argv[i]);
		}
	}
	return q;
}

/* The trace that is meant: the one of the call, or the database that is open. */
static int find_trace(struct cursor *c, const char *path)
{
	const struct vtab *v = (const struct vtab *)c->base.pVtab;
	struct open_traces *all = module_of(c)->traces;
	struct open_trace *o = NULL;
	char why[WHY_SIZE] = "";

	if (!path)
		path = sqlite3_db_filename(v->db, "main");
	if (!path || !*path)
		return fail(c, SQLITE_ERROR,
			    "which trace? Open its trace.db, or give its folder: %s('FOLDER')",
			    v->module->table->name);
	if (c->trace && strcmp(c->trace->path, path) == 0)
		return SQLITE_OK;
	if (open_trace_get(all, path, &o, why, sizeof(why)) < 0)
		return fail(c, SQLITE_CANTOPEN, "%s: %s", path, why);
	open_trace_put(all, c->trace);
	c->trace = o;
	return SQLITE_OK;
}

/* The interval of the call, which rows are cut to. */
static int find_interval(struct cursor *c, const struct question *q)
{
	const struct selection_options options = {.since = q->since, .until = q->until};
	struct selection s = {0};
	char why[WHY_SIZE] = "";

	c->cut_since_ns = 0;
	c->cut_until_ns = UINT64_MAX;
	if (!q->since && !q->until)
		return SQLITE_OK;
	if (selection_resolve(c->trace->trace, &options, &s, why, sizeof(why)) < 0)
		return fail(c, SQLITE_ERROR, "%s", why);
	c->cut_since_ns = s.since_ns;
	c->cut_until_ns = s.until_ns;
	selection_done(&s);
	if (c->range.since_ns < c->cut_since_ns)
		c->range.since_ns = c->cut_since_ns;
	if (c->range.until_ns > c->cut_until_ns)
		c->range.until_ns = c->cut_until_ns;
	return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *base, int number, const char *letters, int argc,
		  sqlite3_value **argv)
{
	struct cursor *c = (struct cursor *)base;
	struct question q;
	int code;

	(void)number;
	end_rows(c);
	c->is_at_end = false;
	c->thread = 0;
	c->rowid = 0;
	q = read_question(c, letters, argc, argv);
	code = find_trace(c, q.trace);
	if (code == SQLITE_OK)
		code = find_interval(c, &q);
	if (code != SQLITE_OK)
		return code;
	if (trace_is_damaged(c->trace->trace))
		return fail(c, SQLITE_CORRUPT_VTAB,
			    "%s is damaged: it is shorter than it says (copied without its "
			    "trace.db-wal?)",
			    trace_path(c->trace->trace));
	if (q.is_empty) {
		c->is_at_end = true;
		return SQLITE_OK;
	}
	return next_row(base);
}

static int is_at_end(sqlite3_vtab_cursor *base)
{
	return ((struct cursor *)base)->is_at_end;
}

static int get_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int at)
{
	struct cursor *c = (struct cursor *)base;
	const struct column_about *about = &column_abouts[column_at(module_of(c)->table, at)];

	if (about->render)
		about->render(ctx, c->trace, &c->row);
	return SQLITE_OK;
}

static int get_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *ret)
{
	*ret = ((struct cursor *)base)->rowid;
	return SQLITE_OK;
}

/* --- the extension --- */

static void destroy_module(void *aux)
{
	struct module *m = aux;

	if (--m->traces->n_users == 0)
		free(m->traces);
	free(m);
}

/* Without xCreate: the tables are there as soon as the extension is. */
static const sqlite3_module methods = {
    .xConnect = connect_table,
    .xBestIndex = choose_plan,
    .xDisconnect = disconnect_table,
    .xDestroy = disconnect_table,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next_row,
    .xEof = is_at_end,
    .xColumn = get_column,
    .xRowid = get_rowid,
};

static int add_table(sqlite3 *db, const struct sql_table *table, struct open_traces *traces)
{
	struct module *m = xcalloc(1, sizeof(*m));

	*m = (struct module){.table = table, .traces = traces};
	traces->n_users++;
	/* On failure it calls destroy_module(), too. */
	return sqlite3_create_module_v2(db, table->name, &methods, m, destroy_module);
}

/* The one name that the library shows. */
__attribute__((visibility("default"))) int sqlite3_trackexec_init(sqlite3 *db, char **ret_error,
								  const sqlite3_api_routines *api);

int sqlite3_trackexec_init(sqlite3 *db, char **ret_error, const sqlite3_api_routines *api)
{
	const struct sql_table *const tables[] = {&table_events, &table_stacks, &table_lines,
						  &table_waits};
	struct open_traces *traces = xcalloc(1, sizeof(*traces));
	int code = SQLITE_OK;

	(void)ret_error;
	SQLITE_EXTENSION_INIT2(api);
	/* Held until all are there. */
	traces->n_users = 1;
	for (size_t i = 0; code == SQLITE_OK && i < sizeof(tables) / sizeof(tables[0]); i++)
		code = add_table(db, tables[i], traces);
	if (--traces->n_users == 0)
		free(traces);
	return code;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/trace_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/block_builder.h"
#include "recorder/trace_writer.h"

/*
 * synchronous=NORMAL: in WAL mode a power cut may lose the last seconds, never the trace. The
 * cache is small because rows are appended and never read again. A checkpoint every 256 pages
 * (1 MiB) keeps the -wal small; it is what waits for the disk. A reader that is still there when
 * we end gets two seconds to finish its query.
 */
#define BUSY_MS 2000

static const char setup_sql[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
				"PRAGMA cache_size=-512; PRAGMA wal_autocheckpoint=256;"
				"PRAGMA journal_size_limit=4194304;";

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	ADD_META,
	ADD_ANCHOR,
	ADD_FILE,
	SET_FILE_STATE,
	ADD_CODE,
	SET_THREAD,
	ADD_BLOCK,
	ADD_LINE,
	ADD_GAP,
	SET_COUNTER,
	N_STATEMENTS,
};

static const char *const statement_sql[N_STATEMENTS] = {
    [BEGIN] = "BEGIN",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [ADD_META] = "INSERT OR REPLACE INTO meta VALUES (?, ?)",
    [ADD_ANCHOR] = "INSERT OR REPLACE INTO anchors VALUES (?, ?)",
    [ADD_FILE] = "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)",
    [SET_FILE_STATE] = "UPDATE files SET state = ?2 WHERE id = ?1",
    [ADD_CODE] = "INSERT INTO code VALUES (?, ?, ?, ?)",
    [SET_THREAD] = "INSERT OR REPLACE INTO threads VALUES (?, ?, ?, ?, ?, ?)",
    [ADD_BLOCK] = "INSERT INTO blocks VALUES (NULL, ?, ?, ?, ?, ?, ?)",
    [ADD_LINE] = "INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)",
    [ADD_GAP] = "INSERT INTO gaps VALUES (NULL, ?, ?, ?, ?, ?)",
    [SET_COUNTER] = "INSERT OR REPLACE INTO counters VALUES (?, ?)",
};

struct trace_store {
	sqlite3 *db;
	sqlite3_stmt *statements[N_STATEMENTS];
	char *path;
	char *wal_path;
};

static int error_from_sqlite(sqlite3 *db, int code)
{
	int system_errno = db ? sqlite3_system_errno(db) : 0;

	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		xalloc_failed();
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_PERM:
	case SQLITE_READONLY:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		/* E.g. the -shm of a full tmpfs: SQLite has no code of its own for that. */
		return system_errno > 0 ? -system_errno : -EIO;
	default:
		return -EIO;
	}
}

static int exec(struct trace_store *s, const char *sql)
{
	return error_from_sqlite(s->db, sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

static void store_free(struct trace_store *s)
{
	if (!s)
		return;
	for (int i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(s->statements[i]);
	sqlite3_close(s->db);
	free(s->path);
	free(s->wal_path);
	free(s);
}

DEFINE_CLEANUP(struct trace_store *, store_free)

static int create_tables(struct trace_store *s)
{
	char sql[128];
	int r = exec(s, setup_sql);

	if (r < 0)
		return r;
	snprintf(sql, sizeof(sql), "BEGIN; PRAGMA application_id=%d; PRAGMA user_version=%d;",
		 TRACE_APPLICATION_ID, TRACE_VERSION);
	r = exec(s, sql);
	if (r == 0)
		r = exec(s, trace_schema_sql);
	if (r == 0)
		r = exec(s, "COMMIT");
	return r;
}

/* SQLite would open a file that exists; O_EXCL makes sure that ours is new. */
static int create_file(const char *path)
{
	auto_close int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : 0;
}

static int open_database(struct trace_store *s)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, r;

	r = error_from_sqlite(s->db, sqlite3_open_v2(s->path, &s->db, flags, NULL));
	if (r < 0)
		return r;
	/* A reader may look in at any moment, also while the tables are being made. */
	sqlite3_busy_timeout(s->db, BUSY_MS);
	r = create_tables(s);
	for (int i = 0; r == 0 && i < N_STATEMENTS; i++)
		r = error_from_sqlite(s->db, sqlite3_prepare_v3(s->db, statement_sql[i], -1,
								SQLITE_PREPARE_PERSISTENT,
								&s->statements[i], NULL));
	return r;
}

int trace_store_create(const char *path, struct trace_store **ret)
{
	auto_release(store_free) struct trace_store *s = xcalloc(1, sizeof(*s));
	int r;

	s->path = xstrdup(path);
	s->wal_path = xasprintf("%s-wal", path);
	r = create_file(path);
	if (r < 0)
		return r;
	r = open_database(s);
	if (r < 0) {
		unlink(path);
		return r;
	}
	*ret = steal_ptr(s);
	return 0;
}

int trace_store_close(struct trace_store *s)
{
	int r;

	/* Statements that are still prepared would keep the journal mode from changing. */
	for (int i = 0; i < N_STATEMENTS; i++) {
		sqlite3_finalize(s->statements[i]);
		s->statements[i] = NULL;
	}
	r = exec(s, "PRAGMA journal_mode=DELETE");
	store_free(s);
	return r == -EBUSY ? 0 : r;
}

/* Run a statement whose parameters are bound. */
static int run(struct trace_store *s, enum statement which)
{
	int code = sqlite3_step(s->statements[which]);
	int r = error_from_sqlite(s->db, code);

	sqlite3_reset(s->statements[which]);
	return r;
}

int trace_store_begin(struct trace_store *s)
{
	return run(s, BEGIN);
}

int trace_store_commit(struct trace_store *s)
{
	return run(s, COMMIT);
}

void trace_store_rollback(struct trace_store *s)
{
	/* Some errors have rolled back already. */
	if (!sqlite3_get_autocommit(s->db))
		run(s, ROLLBACK);
}

uint64_t trace_store_size(const struct trace_store *s)
{
	struct stat st;
	uint64_t size = 0;

	if (stat(s->path, &st) == 0)
		size += (uint64_t)st.st_size;
	if (stat(s->wal_path, &st) == 0)
		size += (uint64_t)st.st_size;
	return size;
}

/* Binding can only fail for lack of memory or by our own mistake; the step then says so. */
static void bind_int(sqlite3_stmt *st, int at, uint64_t value)
{
	sqlite3_bind_int64(st, at, (sqlite3_int64)value);
}

/* Text that is not valid UTF-8 becomes a blob of the same bytes. */
static void bind_text(sqlite3_stmt *st, int at, const char *text, size_t len)
{
	if (text_is_utf8(text, len) && !memchr(text, 0, len))
		sqlite3_bind_text64(st, at, text, len, SQLITE_STATIC, SQLITE_UTF8);
	else
		sqlite3_bind_blob64(st, at, text, len, SQLITE_STATIC);
}

int trace_store_meta_text(struct trace_store *s, const char *key, const char *text)
{
	bind_text(s->statements[ADD_META], 1, key, strlen(key));
	if (text)
		bind_text(s->statements[ADD_META], 2, text, strlen(text));
	else
		sqlite3_bind_null(s->statements[ADD_META], 2);
	return run(s, ADD_META);
}

int trace_store_meta_int(struct trace_store *s, const char *key, uint64_t value)
{
	bind_text(s->statements[ADD_META], 1, key, strlen(key));
	bind_int(s->statements[ADD_META], 2, value);
	return run(s, ADD_META);
}

int trace_store_meta_real(struct trace_store *s, const char *key, double value)
{
	bind_text(s->statements[ADD_META], 1, key, strlen(key));
	sqlite3_bind_double(s->statements[ADD_META], 2, value);
	return run(s, ADD_META);
}

int trace_store_anchor(struct trace_store *s, uint64_t monotonic_ns, uint64_t realtime_ns)
{
	bind_int(s->statements[ADD_ANCHOR], 1, monotonic_ns);
	bind_int(s->statements[ADD_ANCHOR], 2, realtime_ns);
	return run(s, ADD_ANCHOR);
}

int trace_store_about(struct trace_store *s, const struct trace_about *a)
{
	int r;

	if ((r = trace_store_meta_text(s, META_RECORDER, TRACKEXEC_VERSION)) < 0 ||
	    (r = trace_store_meta_text(s, META_NAME, a->name)) < 0 ||
	    (r = trace_store_meta_int(s, META_PID, (uint64_t)a->pid)) < 0 ||
	    (r = trace_store_meta_int(s, META_PROCESS_START, a->process_start_ticks)) < 0 ||
	    (r = trace_store_meta_text(s, META_COMMAND, a->command)) < 0 ||
	    (r = trace_store_meta_text(s, META_EXECUTABLE, a->executable)) < 0 ||
	    (r = trace_store_meta_text(s, META_PYTHON, a->python)) < 0 ||
	    (r = trace_store_meta_int(s, META_HEXVERSION, a->python_hexversion)) < 0 ||
	    (r = trace_store_meta_text(s, META_HOST, a->host)) < 0 ||
	    (r = trace_store_meta_text(s, META_PACKAGES, a->packages)) < 0 ||
	    (r = trace_store_meta_real(s, META_RATE, a->rate_asked_hz)) < 0 ||
	    (r = trace_store_meta_int(s, META_START_MONOTONIC, a->start_monotonic_ns)) < 0 ||
	    (r = trace_store_meta_int(s, META_START_REALTIME, a->start_realtime_ns)) < 0 ||
	    (r = trace_store_meta_int(s, META_UTC_OFFSET, (uint64_t)(int64_t)a->utc_offset_s)) <
		0 ||
	    (r = trace_store_meta_text(s, META_TIME_ZONE, a->time_zone)) < 0)
		return r;
	return trace_store_anchor(s, a->start_monotonic_ns, a->start_realtime_ns);
}

int trace_store_file(struct trace_store *s, const struct file_row *row)
{
	sqlite3_stmt *st = s->statements[ADD_FILE];

	bind_int(st, 1, row->id);
	bind_text(st, 2, row->path, row->path_len);
	bind_int(st, 3, row->state);
	sqlite3_bind_null(st, 4);
	sqlite3_bind_null(st, 5);
	sqlite3_bind_null(st, 6);
	if (row->source) {
		bind_int(st, 4, row->size);
		bind_int(st, 5, row->hash);
		sqlite3_bind_blob64(st, 6, row->source, row->source_len, SQLITE_STATIC);
	}
	return run(s, ADD_FILE);
}

int trace_store_file_state(struct trace_store *s, uint32_t id, enum file_state state)
{
	bind_int(s->statements[SET_FILE_STATE], 1, id);
	bind_int(s->statements[SET_FILE_STATE], 2, state);
	return run(s, SET_FILE_STATE);
}

int trace_store_code(struct trace_store *s, uint32_t id, uint32_t file, const char *name,
		     size_t name_len, int32_t first_line)
{
	sqlite3_stmt *st = s->statements[ADD_CODE];

	bind_int(st, 1, id);
	bind_int(st, 2, file);
	bind_text(st, 3, name, name_len);
	sqlite3_bind_int(st, 4, first_line);
	return run(s, ADD_CODE);
}

int trace_store_thread(struct trace_store *s, const struct thread_row *row)
{
	sqlite3_stmt *st = s->statements[SET_THREAD];

	bind_int(st, 1, row->id);
	bind_int(st, 2, row->native_id);
	bind_int(st, 3, row->python_id);
	bind_int(st, 4, row->interpreter_id);
	bind_int(st, 5, row->first_ns);
	if (row->last_ns)
		bind_int(st, 6, row->last_ns);
	else
		sqlite3_bind_null(st, 6);
	return run(s, SET_THREAD);
}

static int add_lines(struct trace_store *s, sqlite3_int64 block, const struct finished_block *f)
{
	sqlite3_stmt *st = s->statements[ADD_LINE];
	int r = 0;

	sqlite3_bind_int64(st, 1, block);
	for (size_t i = 0; r == 0 && i < f->n_lines; i++) {
		bind_int(st, 2, f->lines[i].file);
		sqlite3_bind_int(st, 3, f->lines[i].line);
		bind_int(st, 4, f->lines[i].visits);
		bind_int(st, 5, f->lines[i].self_ns);
		bind_int(st, 6, f->lines[i].total_ns);
		r = run(s, ADD_LINE);
	}
	return r;
}

int trace_store_block(struct trace_store *s, const struct finished_block *f)
{
	sqlite3_stmt *st = s->statements[ADD_BLOCK];
	int r;

	bind_int(st, 1, f->thread);
	bind_int(st, 2, f->first_ns);
	bind_int(st, 3, f->last_ns);
	bind_int(st, 4, f->lowest_depth);
	bind_int(st, 5, f->n_events);
	sqlite3_bind_blob64(st, 6, f->data, f->data_len, SQLITE_STATIC);
	r = run(s, ADD_BLOCK);
	if (r < 0)
		return r;
	return add_lines(s, sqlite3_last_insert_rowid(s->db), f);
}

int trace_store_gap(struct trace_store *s, const struct gap_row *row)
{
	sqlite3_stmt *st = s->statements[ADD_GAP];

	bind_int(st, 1, row->thread);
	bind_int(st, 2, row->start_ns);
	bind_int(st, 3, row->end_ns);
	bind_int(st, 4, row->reason);
	bind_int(st, 5, row->lost);
	return run(s, ADD_GAP);
}

int trace_store_counter(struct trace_store *s, const char *name, uint64_t value)
{
	bind_text(s->statements[SET_COUNTER], 1, name, strlen(name));
	bind_int(s->statements[SET_COUNTER], 2, value);
	return run(s, SET_COUNTER);
}

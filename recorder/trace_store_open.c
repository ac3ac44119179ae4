/* SPDX-License-Identifier: BSD-3-Clause */
/* Creating, opening again and closing the database. */
#include "recorder/trace_store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/text.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"

/* A reader that is still there when we end gets so long to finish its query. */
#define BUSY_MS 2000

/*
 * Once, before the first table. Small pages: of a trace in which little happens, most bytes are
 * what its dozen tables and indexes leave unused of a page each, and a page is also the least
 * that a row which changes costs in the -wal. The file can be made smaller when its oldest blocks
 * are deleted.
 */
static const char create_sql[] = "PRAGMA page_size=1024; PRAGMA auto_vacuum=INCREMENTAL;";
/*
 * synchronous=NORMAL: in WAL mode a power cut may lose the last transactions, never the trace;
 * a killed recorder loses none. The cache is small because rows are appended and hardly read
 * again. Checkpoints are ours (see on_commit()). The worker may open no other file, so what SQLite
 * would put aside stays in memory. The database may have been in others' hands: what it could make
 * SQLite do is off.
 */
static const char setup_sql[] = "PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY;"
				"PRAGMA synchronous=NORMAL;"
				"PRAGMA cache_size=-512; PRAGMA journal_size_limit=262144;";

/*
 * What is in the -wal counts as much on the disk as what is in the database, and there are many
 * traces; but a checkpoint waits for the disk, twice, and writes pages that may soon change again.
 * So there is one when the -wal has so many pages, though not more often than this, or when it has
 * very many. From then on the -wal is written anew from its beginning, once no reader needs it.
 */
#define CHECKPOINT_PAGES 16
#define CHECKPOINT_NS	 (10 * NS_PER_S)
/* The first is soon: the tables are half of what a trace has in which little happens. */
#define CHECKPOINT_FIRST_NS  NS_PER_S
#define CHECKPOINT_PAGES_MAX 1024

static const char *const statement_sql[N_STATEMENTS] = {
    [BEGIN] = "BEGIN",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [SET_META] = "INSERT OR REPLACE INTO meta VALUES (?, ?)",
    [ADD_ANCHOR] = "INSERT OR REPLACE INTO anchors VALUES (?, ?)",
    [ADD_FILE] = "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)",
    [SET_FILE_STATE] = "UPDATE files SET state = ?2 WHERE id = ?1",
    [ADD_CODE] = "INSERT INTO code VALUES (?, ?, ?, ?)",
    [FIND_CODE] = "SELECT 1 FROM code WHERE file = ? AND qualname = ? AND first_line = ? LIMIT 1",
    [SET_THREAD] = "INSERT OR REPLACE INTO threads VALUES (?, ?, ?, ?, ?, ?)",
    [ADD_BLOCK] = ("INSERT INTO blocks (thread, first_ns, last_ns, lowest_depth, n_events, data,"
		   " provenance) VALUES (?, ?, ?, ?, ?, ?, ?)"),
    [CHANGE_BLOCK] = ("UPDATE blocks SET last_ns = ?2, lowest_depth = ?3, n_events = ?4, data = ?5,"
		      " provenance = ?6 WHERE id = ?1"),
    [EXTEND_BLOCK] = "UPDATE blocks SET last_ns = ?2 WHERE id = ?1",
    [SET_LINE] = ("INSERT OR REPLACE INTO lines (block, file, line, visits, self_ns, total_ns,"
		  " wait_ns, ready_ns, entries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    [SET_FUNCTION] = ("INSERT OR REPLACE INTO functions (block, code, calls, self_ns, total_ns,"
		      " wait_ns, ready_ns, gil_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"),
    [SET_SHARED] = ("INSERT OR REPLACE INTO shared_lines (block, file, line, code, visits, self_ns,"
		    " total_ns, wait_ns, ready_ns, gil_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    [SET_WAITS] = "UPDATE blocks SET waits = ?2 WHERE id = ?1",
    [ADD_WAIT_TOTALS] = "INSERT INTO waits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [DELETE_WAIT_TOTALS] = "DELETE FROM waits WHERE block = ?",
    [ADD_REASON] = "INSERT INTO reasons VALUES (?, ?, ?, ?, ?, ?)",
    [ADD_NATIVE] = "INSERT INTO native_stacks VALUES (?, ?, ?)",
    [ADD_GAP] = "INSERT INTO gaps VALUES (NULL, ?, ?, ?, ?, ?)",
    [SET_COUNTER] = "INSERT OR REPLACE INTO counters VALUES (?, ?)",
    [PAGE_SIZE] = "PRAGMA page_size",
    [COUNT_FREE_PAGES] = "PRAGMA freelist_count",
    [NEXT_BLOCK] = "SELECT id, last_ns, n_events FROM blocks WHERE id > ? ORDER BY id LIMIT 1",
    [DELETE_LINES] = "DELETE FROM lines WHERE block = ?",
    [DELETE_FUNCTIONS] = "DELETE FROM functions WHERE block = ?",
    [DELETE_SHARED] = "DELETE FROM shared_lines WHERE block = ?",
    [DELETE_BLOCK] = "DELETE FROM blocks WHERE id = ?",
    /* Gaps are in the order of time, nearly; so many at once are looked at. */
    [DELETE_GAPS] = ("DELETE FROM gaps WHERE id IN (SELECT id FROM"
		     " (SELECT id, end_ns FROM gaps ORDER BY id LIMIT 256) WHERE end_ns <= ?)"),
    [RAISE_META] = ("INSERT INTO meta VALUES (?1, ?2)"
		    " ON CONFLICT (key) DO UPDATE SET value = max(value, ?2)"),
    [RAISE_COUNTER] = ("INSERT INTO counters VALUES (?1, ?2)"
		       " ON CONFLICT (name) DO UPDATE SET value = value + ?2"),
};

/* Functions are known from the first block on that is written when the table is there. */
static const char add_functions_sql[] =
    "BEGIN;" TRACE_FUNCTIONS_SQL "INSERT OR REPLACE INTO meta SELECT '" META_FUNCTIONS_FROM
    "', coalesce(max(id), 0) + 1"
    " FROM blocks; COMMIT;";

static bool has_what_it_needs(const struct trace_store *s, enum statement which)
{
	switch (which) {
	case ADD_BLOCK:
	case CHANGE_BLOCK:
		return !s->lacks_provenance;
	case SET_FUNCTION:
	case DELETE_FUNCTIONS:
		return !s->lacks_functions;
	case SET_SHARED:
	case DELETE_SHARED:
		return !s->lacks_shared;
	default:
		return true;
	}
}

int trace_store_error(sqlite3 *db, int code)
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
		/* A file that is shorter than it says it is. */
		if (code == SQLITE_IOERR_SHORT_READ)
			return -EBADMSG;
		/* E.g. the -shm of a full tmpfs: SQLite has no code of its own for that. */
		return system_errno > 0 ? -system_errno : -EIO;
	default:
		return -EIO;
	}
}

int trace_store_exec(struct trace_store *s, const char *sql)
{
	return trace_store_error(s->db, sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

int trace_store_run(struct trace_store *s, enum statement which)
{
	int code = sqlite3_step(s->statements[which]);
	int r = trace_store_error(s->db, code);

	sqlite3_reset(s->statements[which]);
	return r;
}

int trace_store_row(struct trace_store *s, enum statement which)
{
	int code = sqlite3_step(s->statements[which]);

	return code == SQLITE_ROW ? 1 : trace_store_error(s->db, code);
}

void trace_store_bind_text(sqlite3_stmt *st, int at, const char *text, size_t len)
{
	if (text_is_utf8(text, len) && !memchr(text, 0, len))
		sqlite3_bind_text64(st, at, text, len, SQLITE_STATIC, SQLITE_UTF8);
	else
		sqlite3_bind_blob64(st, at, text, len, SQLITE_STATIC);
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

static int prepare(struct trace_store *s, enum statement which)
{
	return trace_store_error(s->db, sqlite3_prepare_v3(s->db, statement_sql[which], -1,
							   SQLITE_PREPARE_PERSISTENT,
							   &s->statements[which], NULL));
}

static int prepare_statements(struct trace_store *s)
{
	int r = 0;

	for (enum statement i = 0; r == 0 && i < N_STATEMENTS; i++) {
		if (!s->statements[i] && has_what_it_needs(s, i))
			r = prepare(s, i);
	}
	return r;
}

/* A trace that an earlier program made lacks what old readers may ignore. */
static int complete_tables(struct trace_store *s)
{
	int r = 0;

	if (!s->lacks_provenance && !s->lacks_functions && !s->lacks_shared)
		return 0;
	if (s->lacks_provenance)
		r = trace_store_exec(s, "ALTER TABLE blocks ADD COLUMN provenance BLOB");
	s->lacks_provenance = s->lacks_provenance && r < 0;
	if (r == 0 && s->lacks_functions) {
		r = trace_store_exec(s, add_functions_sql);
		s->lacks_functions = r < 0;
		if (r < 0)
			trace_store_rollback(s);
	}
	if (r == 0 && s->lacks_shared) {
		r = trace_store_exec(s, TRACE_SHARED_LINES_SQL);
		s->lacks_shared = r < 0;
	}
	return r < 0 ? r : prepare_statements(s);
}

int trace_store_start(struct trace_store *s)
{
	int r = trace_store_exec(s, "PRAGMA journal_mode=WAL");

	return r < 0 ? r : complete_tables(s);
}

/* Within a transaction that stays open. */
static int create_tables(struct trace_store *s)
{
	char sql[128];
	int r = trace_store_exec(s, create_sql);

	if (r == 0)
		r = trace_store_exec(s, setup_sql);
	if (r == 0)
		r = trace_store_start(s);
	if (r < 0)
		return r;
	snprintf(sql, sizeof(sql), "BEGIN; PRAGMA application_id=%d; PRAGMA user_version=%d;",
		 TRACE_APPLICATION_ID, TRACE_VERSION);
	r = trace_store_exec(s, sql);
	if (r == 0)
		r = trace_store_exec(s, trace_schema_sql);
	return r;
}

/* SQLite would open a file that exists; O_EXCL makes sure that ours is new. */
static int create_file(const char *path)
{
	auto_close int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : 0;
}

/* SQLite calls this after each commit. As with its own checkpoints, that of a later one may work.
 */
static int on_commit(void *ctx, sqlite3 *db, const char *name, int n_pages)
{
	struct trace_store *s = ctx;

	if (n_pages < CHECKPOINT_PAGES ||
	    (n_pages < CHECKPOINT_PAGES_MAX && s->now_ns - s->checkpointed_ns < CHECKPOINT_NS))
		return SQLITE_OK;
	s->checkpointed_ns = s->now_ns;
	sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	return SQLITE_OK;
}

void trace_store_set_time(struct trace_store *s, uint64_t now_ns)
{
	if (!s->now_ns)
		s->checkpointed_ns = now_ns - CHECKPOINT_NS + CHECKPOINT_FIRST_NS;
	s->now_ns = now_ns;
}

static struct trace_store *store_new(const char *path)
{
	struct trace_store *s = xcalloc(1, sizeof(*s));

	s->path = xstrdup(path);
	s->wal_path = xasprintf("%s-wal", path);
	return s;
}

static int open_database(struct trace_store *s)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, r;

	r = trace_store_error(s->db, sqlite3_open_v2(s->path, &s->db, flags, trace_store_vfs()));
	if (r < 0)
		return r;
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_wal_hook(s->db, on_commit, s);
	/* A reader may look in at any moment, also while the tables are being made. */
	sqlite3_busy_timeout(s->db, BUSY_MS);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	return 0;
}

int trace_store_create(const char *path, const struct trace_about *about, struct trace_store **ret)
{
	auto_release(store_free) struct trace_store *s = store_new(path);
	int r;

	r = create_file(path);
	if (r < 0)
		return r;
	r = open_database(s);
	if (r == 0)
		r = create_tables(s);
	if (r == 0)
		r = prepare_statements(s);
	if (r == 0)
		r = trace_store_about(s, about);
	if (r == 0)
		r = trace_store_commit(s);
	if (r < 0) {
		unlink(path);
		return r;
	}
	*ret = steal_ptr(s);
	return 0;
}

/* A single number. Returns an error of the database as such. */
static int get_number(struct trace_store *s, const char *sql, int64_t *ret)
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return code == SQLITE_ROW    ? 0
	       : code == SQLITE_DONE ? -EBADMSG
				     : trace_store_error(s->db, code);
}

/* Nothing is written before it is known to be a trace. */
static int check_identity(struct trace_store *s)
{
	int64_t id = 0, version = 0, n = 0;
	int r;

	/* The pragmas alone would say 0 for a file that is shorter than a page. */
	r = get_number(s, "SELECT count(*) FROM sqlite_schema", &n);
	if (r == 0)
		r = get_number(s, "PRAGMA application_id", &id);
	if (r == 0)
		r = get_number(s, "PRAGMA user_version", &version);
	if (r < 0)
		return r;
	if (id != TRACE_APPLICATION_ID)
		return n == 0 && id == 0 ? -ENODATA : -EBADMSG;
	return version > TRACE_VERSION || version < TRACE_VERSION_MIN ? -EPROTONOSUPPORT : 0;
}

int trace_store_open(const char *path, struct trace_store **ret)
{
	auto_release(store_free) struct trace_store *s = store_new(path);
	int64_t n_columns = 0, n_functions = 0, n_shared = 0;
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	r = open_database(s);
	if (r == 0)
		r = check_identity(s);
	if (r == 0)
		r = trace_store_exec(s, setup_sql);
	if (r == 0)
		r = get_number(s,
			       "SELECT count(*) FROM pragma_table_info('blocks')"
			       " WHERE name = 'provenance'",
			       &n_columns);
	if (r == 0)
		r = get_number(s,
			       "SELECT count(*) FROM sqlite_schema"
			       " WHERE type = 'table' AND name = 'functions'",
			       &n_functions);
	if (r == 0)
		r = get_number(s,
			       "SELECT count(*) FROM sqlite_schema"
			       " WHERE type = 'table' AND name = 'shared_lines'",
			       &n_shared);
	if (r < 0)
		return r;
	s->lacks_provenance = n_columns == 0;
	s->lacks_functions = n_functions == 0;
	s->lacks_shared = n_shared == 0;
	/* What fails now is for want of a table or a column. */
	r = prepare_statements(s);
	if (r < 0)
		return r == -EIO ? -EBADMSG : r;
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
	r = trace_store_exec(s, "PRAGMA journal_mode=DELETE");
	store_free(s);
	return r == -EBUSY ? 0 : r;
}

void trace_store_leave(struct trace_store *s)
{
	store_free(s);
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

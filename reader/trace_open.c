/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding and opening a trace's database, whatever state its recorder left it in. */
#include "reader/trace_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/pack.h"
#include "common/xalloc.h"

void trace_free(struct trace *t)
{
	if (!t)
		return;
	trace_forget_names(t);
	free(t->files);
	free(t->codes);
	trace_forget_waits(t);
	for (size_t i = 0; i < TRACE_N_SEEKS; i++)
		sqlite3_finalize(t->seeks[i]);
	sqlite3_finalize(t->block_lines);
	sqlite3_finalize(t->block_gil);
	sqlite3_finalize(t->block_shared);
	sqlite3_blob_close(t->block_data);
	unpacker_free(t->unpacker);
	sqlite3_close(t->db);
	free(t->path);
	free(t);
}

DEFINE_CLEANUP(struct trace *, trace_free)

/* The database that a user's path means. */
static int find_database(const char *path, char **ret, char *why, size_t why_size)
{
	auto_free char *db_path = xstrdup(path);
	struct stat st;

	if (stat(path, &st) < 0) {
		int r = -errno;

		snprintf(why, why_size,
			 "%s; give the folder of a trace (as made by `trackexec record`) or "
			 "its " TRACE_FILE_NAME,
			 strerror(-r));
		return r;
	}
	if (S_ISDIR(st.st_mode)) {
		free(db_path);
		db_path = xasprintf("%s%s" TRACE_FILE_NAME, path,
				    path[strlen(path) - 1] == '/' ? "" : "/");
		if (stat(db_path, &st) < 0) {
			int r = -errno;

			snprintf(why, why_size,
				 "cannot find a " TRACE_FILE_NAME
				 " in this folder: %s; give the folder of one trace",
				 strerror(-r));
			return r;
		}
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(why, why_size, "not a trace: not a file; give a trace's folder");
		return -EBADMSG;
	}
	if (access(db_path, R_OK) < 0) {
		int r = -errno;

		snprintf(why, why_size, "cannot read it: %s; try as the user who recorded it",
			 strerror(-r));
		return r;
	}
	*ret = steal_ptr(db_path);
	return 0;
}

int trace_error(const struct trace *t, int code)
{
	int system_errno = sqlite3_system_errno(t->db);

	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		xalloc_failed();
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_PERM:
	case SQLITE_READONLY:
		return -EACCES;
	case SQLITE_CANTOPEN:
		return system_errno > 0 ? -system_errno : -EACCES;
	case SQLITE_IOERR:
		/* A file that is shorter than it says it is. */
		if (code == SQLITE_IOERR_SHORT_READ)
			return -EBADMSG;
		return system_errno > 0 ? -system_errno : -EIO;
	default:
		/* Also SQLITE_ERROR: tables or columns that are not there. */
		return -EBADMSG;
	}
}

static int get_pragma(struct trace *t, const char *sql, int *ret)
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_prepare_v2(t->db, sql, -1, &st, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return code;
}

/* Open the file in one of several ways and read its first page. Returns an SQLite code. */
static int try_open(struct trace *t, const char *name, int flags, const char *vfs,
		    const char *setup, int *ret_id)
{
	int code;

	sqlite3_close(t->db);
	t->db = NULL;
	code =
	    sqlite3_open_v2(name, &t->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | flags, vfs);
	if (code != SQLITE_OK)
		return code;
	sqlite3_extended_result_codes(t->db, 1);
	sqlite3_busy_timeout(t->db, 2000);
	code = sqlite3_exec(t->db, setup, NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return code;
	/* All that follows sees the trace as it is at this moment. */
	code = sqlite3_exec(t->db, "BEGIN", NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return code;
	/* The pragma alone would say 0 for a file that is shorter than a page. */
	code = sqlite3_exec(t->db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return code;
	return get_pragma(t, "PRAGMA application_id", ret_id);
}

static int is_refused(int code)
{
	return (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY;
}

/* "file:PATH?immutable=1", with what has a meaning in a URI escaped. */
static char *immutable_uri(const char *path)
{
	auto_free char *escaped = xmalloc(strlen(path) * 3 + 1);
	char *out = escaped;

	for (; *path; path++) {
		if (strchr("%?#", *path))
			out += sprintf(out, "%%%02x", (unsigned char)*path);
		else
			*out++ = *path;
	}
	*out = 0;
	return xasprintf("file:%s?immutable=1", escaped);
}

/*
 * SQLite reads a WAL database only through a shared-memory file beside it. Where there is none
 * and we may not create it, nobody is writing either, so locks are not needed: read the -wal with
 * its index in our memory; and when not even a -wal is there, the database alone.
 */
static int open_somehow(struct trace *t, const char *setup, int *ret_id)
{
	auto_free char *shm_path = xasprintf("%s-shm", t->path);
	auto_free char *exclusive = xasprintf("%s PRAGMA locking_mode=EXCLUSIVE;", setup);
	auto_free char *uri = NULL;
	int code = try_open(t, t->path, 0, NULL, setup, ret_id);

	if (!is_refused(code) || access(shm_path, F_OK) == 0)
		return code;
	code = try_open(t, t->path, 0, "unix-none", exclusive, ret_id);
	if (!is_refused(code))
		return code;
	uri = immutable_uri(t->path);
	return try_open(t, uri, SQLITE_OPEN_URI, NULL, setup, ret_id);
}

/*
 * SQLite refuses a file that is shorter than it should be, such as a copy that was cut off or
 * made without the -wal, unless the schema is writable. As our connection is read-only that has
 * no other effect, and we get to read what is there.
 */
static int open_database(struct trace *t, int *ret_id)
{
	int code = open_somehow(t, "", ret_id);

	if ((code & 0xff) != SQLITE_CORRUPT)
		return code;
	t->is_damaged = 1;
	return open_somehow(t, "PRAGMA writable_schema=ON;", ret_id);
}

static int check_version(struct trace *t, int id, char *why, size_t why_size)
{
	int version = 0;

	if (id != TRACE_APPLICATION_ID) {
		snprintf(why, why_size, "not a trace: a database of another program");
		return -EBADMSG;
	}
	get_pragma(t, "PRAGMA user_version", &version);
	if (version > TRACE_VERSION) {
		snprintf(why, why_size,
			 "written by a newer trackexec (format %d, this one reads up to %d); "
			 "read it with that version, or update this one",
			 version, TRACE_VERSION);
		return -EPROTONOSUPPORT;
	}
	if (version < TRACE_VERSION_MIN) {
		snprintf(why, why_size,
			 "written by an older trackexec (format %d, this one reads %d to %d); "
			 "read it with that version",
			 version, TRACE_VERSION_MIN, TRACE_VERSION);
		return -EPROTONOSUPPORT;
	}
	return 0;
}

static int explain_open_error(const struct trace *t, int code, char *why, size_t why_size)
{
	int r = trace_error(t, code);

	if ((code & 0xff) == SQLITE_NOTADB)
		snprintf(why, why_size, "not a trace: not an SQLite database");
	else if (r == -EBADMSG)
		snprintf(why, why_size,
			 "damaged, nothing in it can be read (%s); "
			 "`sqlite3 " TRACE_FILE_NAME " .recover` may still get something out",
			 sqlite3_errmsg(t->db));
	else if (r == -EBUSY)
		snprintf(why, why_size, "locked by another program; try again");
	else
		snprintf(why, why_size, "cannot read it: %s; try as the user who recorded it",
			 strerror(-r));
	return r;
}

int trace_open(const char *path, struct trace **ret, char *why, size_t why_size)
{
	auto_release(trace_free) struct trace *t = xcalloc(1, sizeof(*t));
	int id = 0, code, r;

	r = find_database(path, &t->path, why, why_size);
	if (r < 0)
		return r;
	code = open_database(t, &id);
	if (trace_error(t, code) < 0)
		return explain_open_error(t, code, why, why_size);
	r = check_version(t, id, why, why_size);
	if (r < 0)
		return r;
	t->unpacker = unpacker_new();
	*ret = steal_ptr(t);
	return 0;
}

void trace_close(struct trace *t)
{
	trace_free(t);
}

void trace_release(struct trace *t)
{
	for (size_t i = 0; i < TRACE_N_SEEKS; i++)
		sqlite3_reset(t->seeks[i]);
	sqlite3_blob_close(t->block_data);
	t->block_data = NULL;
	if (!sqlite3_get_autocommit(t->db))
		sqlite3_exec(t->db, "COMMIT", NULL, NULL, NULL);
}

int trace_refresh(struct trace *t)
{
	int code, version = 0;

	trace_release(t);
	code = sqlite3_exec(t->db, "BEGIN", NULL, NULL, NULL);
	/* A transaction begins with its first query. */
	if (code == SQLITE_OK)
		code = sqlite3_exec(t->db, "SELECT 1 FROM meta LIMIT 1", NULL, NULL, NULL);
	/* Changes when somebody else has written. */
	if (code != SQLITE_OK || get_pragma(t, "PRAGMA data_version", &version) != SQLITE_ROW ||
	    version != t->data_version) {
		trace_forget_names(t);
		trace_forget_waits(t);
		t->provenance_known = 0;
	}
	t->data_version = version;
	return trace_error(t, code);
}

int trace_is_damaged(const struct trace *t)
{
	return t->is_damaged;
}

const char *trace_path(const struct trace *t)
{
	return t->path;
}

uint64_t trace_size(const struct trace *t)
{
	auto_free char *wal_path = xasprintf("%s-wal", t->path);
	uint64_t size = 0;
	struct stat st;

	if (stat(t->path, &st) == 0)
		size += (uint64_t)st.st_size;
	if (stat(wal_path, &st) == 0)
		size += (uint64_t)st.st_size;
	return size;
}

int64_t trace_last_written_s(const struct trace *t)
{
	auto_free char *wal_path = xasprintf("%s-wal", t->path);
	int64_t last = 0;
	struct stat st;

	if (stat(t->path, &st) == 0)
		last = st.st_mtime;
	if (stat(wal_path, &st) == 0 && st.st_mtime > last)
		last = st.st_mtime;
	return last;
}

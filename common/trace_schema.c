/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/trace_schema.h"

#include <stddef.h>

const char trace_schema_sql[] =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE anchors (monotonic_ns INTEGER PRIMARY KEY, realtime_ns INTEGER NOT NULL);"
    "CREATE TABLE files (id INTEGER PRIMARY KEY, path NOT NULL, state INTEGER NOT NULL,"
    " size INTEGER, hash INTEGER, source BLOB);"
    "CREATE TABLE code (id INTEGER PRIMARY KEY, file INTEGER NOT NULL REFERENCES files,"
    " qualname NOT NULL, first_line INTEGER NOT NULL);"
    "CREATE TABLE threads (id INTEGER PRIMARY KEY, native_id INTEGER NOT NULL,"
    " python_id INTEGER NOT NULL, interpreter_id INTEGER NOT NULL, first_ns INTEGER NOT NULL,"
    " last_ns INTEGER);"
    "CREATE TABLE blocks (id INTEGER PRIMARY KEY, thread INTEGER NOT NULL REFERENCES threads,"
    " first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, lowest_depth INTEGER NOT NULL,"
    " n_events INTEGER NOT NULL, data BLOB NOT NULL, waits BLOB, provenance BLOB);"
    /* Covers all but the data, so that neither a sum nor a search by time touches it. */
    "CREATE INDEX blocks_by_time"
    " ON blocks (thread, first_ns, last_ns, lowest_depth, n_events);"
    /* From a depth to the next block that reaches it, however many lie between. */
    "CREATE INDEX blocks_by_depth ON blocks (thread, lowest_depth, first_ns, last_ns);"
    "CREATE TABLE lines (block INTEGER NOT NULL REFERENCES blocks,"
    " file INTEGER NOT NULL REFERENCES files, line INTEGER NOT NULL, visits INTEGER NOT NULL,"
    " self_ns INTEGER NOT NULL, total_ns INTEGER NOT NULL,"
    " wait_ns INTEGER NOT NULL, ready_ns INTEGER NOT NULL, entries INTEGER,"
    " PRIMARY KEY (block, file, line)) WITHOUT ROWID;"
    /* From a line to the blocks that enter it. A line that only stands on the stack has none. */
    "CREATE INDEX lines_by_place ON lines (file, line, block) WHERE entries IS NOT "
    "0;" TRACE_FUNCTIONS_SQL TRACE_SHARED_LINES_SQL
    "CREATE TABLE waits (block INTEGER NOT NULL REFERENCES blocks,"
    " file INTEGER NOT NULL, line INTEGER NOT NULL, reason INTEGER NOT NULL,"
    " native INTEGER NOT NULL, state INTEGER NOT NULL, idle INTEGER NOT NULL,"
    " n INTEGER NOT NULL, total_ns INTEGER NOT NULL, longest_ns INTEGER NOT NULL,"
    " longest_start_ns INTEGER NOT NULL,"
    " PRIMARY KEY (block, file, line, reason, native, state, idle)) WITHOUT ROWID;"
    "CREATE TABLE reasons (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, call TEXT NOT NULL,"
    " what TEXT NOT NULL, polled INTEGER NOT NULL, peer TEXT NOT NULL);"
    "CREATE TABLE native_stacks (id INTEGER PRIMARY KEY, complete INTEGER NOT NULL,"
    " frames TEXT NOT NULL);"
    "CREATE TABLE gaps (id INTEGER PRIMARY KEY, thread INTEGER NOT NULL,"
    " start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, reason INTEGER NOT NULL,"
    " lost INTEGER NOT NULL);"
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;";

static const char *name_of(const char *const *names, size_t n, unsigned number)
{
	return number < n && names[number] ? names[number] : "unknown";
}

const char *gap_reason_name(unsigned reason)
{
	static const char *const names[N_GAP_REASONS] = {
	    [GAP_RING_FULL] = "ring-full",
	    [GAP_CODE_REPLACED] = "code-replaced",
	    [GAP_EXEC] = "exec",
	    [GAP_UNREADABLE] = "unreadable",
	    [GAP_DISK_FULL] = "disk-full",
	    [GAP_RECORDER_PAUSED] = "recorder-paused",
	    [GAP_RECORDER_ABSENT] = "recorder-absent",
	    [GAP_SECTION_OVERRUN] = "section-overrun",
	    [GAP_LINES_LOST] = "lines-lost",
	};

	return name_of(names, N_GAP_REASONS, reason);
}

const char *cut_reason_name(enum cut_reason reason)
{
	static const char *const names[N_CUT_REASONS] = {
	    [CUT_TORN] = "torn",   [CUT_UNSTEADY] = "unsteady", [CUT_UNREADABLE] = "unreadable",
	    [CUT_DEPTH] = "depth", [CUT_CODE] = "code",
	};

	return name_of(names, N_CUT_REASONS, reason);
}

const char *drop_reason_name(enum drop_reason reason)
{
	static const char *const names[N_DROP_REASONS] = {
	    [DROP_TORN] = "torn",
	    [DROP_UNREADABLE] = "unreadable",
	    [DROP_CODE] = "code",
	    [DROP_RING_FULL] = "ring-full",
	};

	return name_of(names, N_DROP_REASONS, reason);
}

const char *file_state_name(unsigned state)
{
	static const char *const names[] = {
	    [FILE_STORED] = "stored",
	    [FILE_MISSING] = "missing",
	    [FILE_CHANGED] = "changed",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), state);
}

const char *provenance_name(unsigned provenance)
{
	static const char *const names[N_PROVENANCES] = {
	    [PROVENANCE_OBSERVED] = "observed",
	    [PROVENANCE_PRECISE] = "precise",
	    [PROVENANCE_EXACT] = "exact",
	    [PROVENANCE_INFERRED] = "inferred",
	};

	return name_of(names, N_PROVENANCES, provenance);
}

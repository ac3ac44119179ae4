/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The database of a trace: its identity, tables, keys and numbers. Whatever writes or reads a
 * trace takes them from here. docs/trace-format.md explains them for people.
 */
#ifndef COMMON_TRACE_SCHEMA_H
#define COMMON_TRACE_SCHEMA_H

/* In the folder of the trace. */
#define TRACE_FILE_NAME "trace.db"
/* PRAGMA application_id: "TRKX". */
#define TRACE_APPLICATION_ID 0x54524b58
/* PRAGMA user_version. Additions that old readers may ignore do not raise it. */
#define TRACE_VERSION 2
/* An older one has no waits, and is not read. */
#define TRACE_VERSION_MIN 2
/* A larger source file is recorded as missing: it can't be program text that one reads. */
#define SOURCE_MAX_BYTES (2u << 20)

/* All tables and indexes. */
extern const char trace_schema_sql[];
/* Tables among them that traces of earlier programs lack. */
#define TRACE_FUNCTIONS_SQL                                                               \
	"CREATE TABLE functions (block INTEGER NOT NULL REFERENCES blocks,"               \
	" code INTEGER NOT NULL REFERENCES code, calls INTEGER NOT NULL,"                 \
	" self_ns INTEGER NOT NULL, total_ns INTEGER NOT NULL, wait_ns INTEGER NOT NULL," \
	" ready_ns INTEGER NOT NULL, gil_ns INTEGER NOT NULL, PRIMARY KEY (block, code))" \
	" WITHOUT ROWID;"
#define TRACE_SHARED_LINES_SQL                                                                  \
	"CREATE TABLE shared_lines (block INTEGER NOT NULL REFERENCES blocks,"                  \
	" file INTEGER NOT NULL REFERENCES files, line INTEGER NOT NULL,"                       \
	" code INTEGER NOT NULL REFERENCES code, visits INTEGER NOT NULL,"                      \
	" self_ns INTEGER NOT NULL, total_ns INTEGER NOT NULL, wait_ns INTEGER NOT NULL,"       \
	" ready_ns INTEGER NOT NULL, gil_ns INTEGER NOT NULL, PRIMARY KEY (block, file, line, " \
	"code))"                                                                                \
	" WITHOUT ROWID;"

/* Why time was not observed. Stored by number: append only. */
enum gap_reason {
	GAP_RING_FULL = 1,   /* the writer (a slow disk) did not keep up */
	GAP_CODE_REPLACED,   /* a code object was freed, its address maybe reused: not provable */
	GAP_EXEC,	     /* the target executed another program; until we were attached again */
	GAP_UNREADABLE,	     /* the target's memory could not be read for a while */
	GAP_DISK_FULL,	     /* events could not be stored */
	GAP_RECORDER_PAUSED, /* the recorder itself was not running (stopped, starved, suspended) */
	GAP_RECORDER_ABSENT, /* nobody recorded: the recorder was restarted or crashed */
	GAP_SECTION_OVERRUN, /* a precise section told more than could be read in time */
	GAP_LINES_LOST,	     /* of exact mode: what the interpreter told found no room */
	N_GAP_REASONS,
};

/*
 * Cut: a snapshot published up to its longest valid prefix though more was known to be there.
 * Stored by name (see cut_reason_name()).
 */
enum cut_reason {
	CUT_TORN,	/* frames read at different moments do not fit together */
	CUT_UNSTEADY,	/* generators of a loop that is over too fast to tell one from the next */
	CUT_UNREADABLE, /* a frame's memory could not be read */
	CUT_DEPTH,	/* deeper than MAX_FRAMES */
	CUT_CODE,	/* a frame's code object could not be read */
	N_CUT_REASONS,
};

/* Dropped: nothing of a snapshot could be published. Stored by name. */
enum drop_reason {
	DROP_TORN,	 /* not even the outermost frame was certain */
	DROP_UNREADABLE, /* the thread's memory could not be read */
	DROP_CODE,	 /* a code object was replaced while we looked */
	DROP_RING_FULL,	 /* the writer did not keep up */
	N_DROP_REASONS,
};

/* How an event is known. Stored by number: append only. */
enum provenance {
	PROVENANCE_OBSERVED, /* seen by a look from outside: what was too short for that is not
				there */
	PROVENANCE_PRECISE, /* told by the program: each line of a section that its developer marked
			     */
	PROVENANCE_EXACT,   /* told by the interpreter: each line */
	PROVENANCE_INFERRED, /* not seen, but what was seen before and after says so */
	N_PROVENANCES,
};

/* What files.source is worth. Stored by number: append only. */
enum file_state {
	FILE_STORED = 1, /* the text as it was when the file was first seen */
	FILE_MISSING,	 /* there was no readable text (not on disk, or too large) */
	FILE_CHANGED,	 /* stored, but the file was seen to change afterwards */
};

/* For people, e.g. "ring-full"; "unknown" for a number from a newer program. */
const char *gap_reason_name(unsigned reason);
/* As in names of counters, e.g. "torn" in "cut.torn". */
const char *cut_reason_name(enum cut_reason reason);
const char *drop_reason_name(enum drop_reason reason);
const char *file_state_name(unsigned state);
/* E.g. "observed"; as in names of counters, "events.observed". */
const char *provenance_name(unsigned provenance);
/*
 * Whether nothing of the followed code happened between two neighbouring events of this provenance
 * that belong to one stretch.
 */
static inline int provenance_is_complete(unsigned provenance)
{
	return provenance == PROVENANCE_PRECISE || provenance == PROVENANCE_EXACT;
}

/* Keys of table meta. */
#define META_RECORDER	     "recorder_version"
#define META_NAME	     "name"
#define META_PID	     "pid"
#define META_PROCESS_START   "process_start_ticks"
#define META_COMMAND	     "command"
#define META_EXECUTABLE	     "executable"
#define META_PYTHON	     "python"
#define META_HEXVERSION	     "python_hexversion"
#define META_HOST	     "host"
#define META_PACKAGES	     "packages"
#define META_RATE	     "rate_asked_hz"
#define META_START_MONOTONIC "start_monotonic_ns"
#define META_START_REALTIME  "start_realtime_ns"
#define META_UTC_OFFSET	     "utc_offset_s"
#define META_TIME_ZONE	     "time_zone"
#define META_EDGES	     "edges"
#define META_MIN_WAIT	     "min_wait_ns"
#define META_END	     "end_ns"
#define META_END_REASON	     "end_reason"
#define META_TRIMMED_UNTIL   "trimmed_until_ns"
#define META_FUNCTIONS_FROM  "functions_from_block"

/* Names in table counters, besides "cut." and "dropped." with a reason's name. */
#define COUNTER_SNAPSHOTS	"snapshots"
#define COUNTER_CUT		"cut."
#define COUNTER_DROPPED		"dropped."
#define COUNTER_LINES_UNKNOWN	"lines_unknown"
#define COUNTER_NAMES_TRUNCATED "names_truncated"
#define COUNTER_SECTIONS	"precise.sections"
#define COUNTER_SECTION_RECORDS "precise.records"
#define COUNTER_SECTION_LOST	"precise.lost"
#define COUNTER_BUSY		"busy_ns"
#define COUNTER_TIME		"time_ns" /* when the others were read */
#define COUNTER_EVENTS		"events." /* with a provenance's name: stored in blocks so far */
/* What was deleted to save space. */
#define COUNTER_TRIMMED_BLOCKS "trimmed_blocks"
#define COUNTER_TRIMMED_EVENTS "trimmed_events"
#define COUNTER_TRIMMED_BYTES  "trimmed_bytes"

#endif

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queries that jump. Each is prepared once; of those that go both ways there are two. What is
 * found is checked to lie beyond where the search began, so that no trace, whatever is in it, can
 * send a reader in circles.
 */
#include "reader/trace_seek.h"

#include <errno.h>
#include <stdlib.h>

#include "common/block_codec.h"
#include "common/provenance_codec.h"
#include "common/wait_codec.h"
#include "common/xalloc.h"
#include "reader/trace_lines.h"
#include "reader/trace_private.h"

enum seek {
	BLOCK_AT,
	NEXT_BLOCK,
	PREVIOUS_BLOCK,
	NEXT_DEPTH, /* the next lowest_depth that any block of a thread has */
	NEXT_BLOCK_OF_DEPTH,
	PREVIOUS_BLOCK_OF_DEPTH,
	NEXT_ENTERING,
	PREVIOUS_ENTERING,
	NEXT_LINE,
	BLOCK_DATA,
	BLOCK_WAITS,
	BLOCK_OFF,
	BLOCK_PROVENANCE,
	NEXT_WAITING,
	PREVIOUS_WAITING,
	BLOCK_WAITED,
	N_SEEKS,
};

_Static_assert(N_SEEKS <= TRACE_N_SEEKS, "room for all in struct trace");

#define ROW_COLUMNS "blocks.id, thread, first_ns, last_ns, lowest_depth, n_events"
/* What is no number, or negative, is greater or less than all that is asked for. */
#define SANE "last_ns >= first_ns AND first_ns BETWEEN 0 AND 9223372036854775807"
#define AFTER \
	"first_ns >= ?2 AND (first_ns, last_ns, blocks.id) > (?2, ?3, ?4) AND last_ns >= first_ns"
#define BEFORE                                                          \
	"first_ns BETWEEN 0 AND ?2 AND (first_ns, last_ns, blocks.id) " \
	"< (?2, ?3, ?4) AND last_ns >= first_ns"
#define ASCENDING  " ORDER BY first_ns, last_ns, blocks.id LIMIT 1"
#define DESCENDING " ORDER BY first_ns DESC, last_ns DESC, blocks.id DESC LIMIT 1"
#define OF_THREAD \
	"SELECT " ROW_COLUMNS " FROM blocks INDEXED BY blocks_by_time WHERE thread = ?1 AND "
#define OF_DEPTH                                                         \
	"SELECT " ROW_COLUMNS " FROM blocks INDEXED BY blocks_by_depth " \
	"WHERE thread = ?1 AND lowest_depth = ?5 AND "
/* The order of ids is that of time, within a thread. */
#define ENTERING                                                       \
	"SELECT " ROW_COLUMNS " FROM lines INDEXED BY lines_by_place " \
	"CROSS JOIN blocks ON blocks.id = lines.block "                \
	"WHERE file = ?5 AND line = ?6 AND thread = ?1 AND entries IS NOT 0 AND " SANE

/* By the sums of waits: that a wait is long is told in the block in which it has become so. */
#define WAITING                                                                     \
	"SELECT " ROW_COLUMNS " FROM waits CROSS JOIN blocks ON blocks.id = block " \
	"WHERE longest_ns >= ?5 AND idle BETWEEN ?6 AND ?7 AND thread = ?1 AND " SANE

static const char *const seek_sql[N_SEEKS] = {
    [BLOCK_AT] = OF_THREAD "first_ns BETWEEN 0 AND ?2 AND last_ns >= first_ns" DESCENDING,
    [NEXT_BLOCK] = OF_THREAD AFTER ASCENDING,
    [PREVIOUS_BLOCK] = OF_THREAD BEFORE DESCENDING,
    [NEXT_DEPTH] = "SELECT min(lowest_depth) FROM blocks INDEXED BY blocks_by_depth"
		   " WHERE thread = ?1 AND lowest_depth > ?2",
    [NEXT_BLOCK_OF_DEPTH] = OF_DEPTH AFTER ASCENDING,
    [PREVIOUS_BLOCK_OF_DEPTH] = OF_DEPTH BEFORE DESCENDING,
    [NEXT_ENTERING] = ENTERING " AND lines.block > ?4 ORDER BY lines.block LIMIT 1",
    [PREVIOUS_ENTERING] = ENTERING " AND lines.block < ?4 ORDER BY lines.block DESC LIMIT 1",
    [NEXT_LINE] = "SELECT min(line) FROM lines INDEXED BY lines_by_place"
		  " WHERE file = ?1 AND line >= ?2 AND entries IS NOT 0",
    [BLOCK_DATA] = "SELECT data FROM blocks WHERE id = ?1",
    [BLOCK_WAITS] = "SELECT waits FROM blocks WHERE id = ?1",
    [BLOCK_OFF] = "SELECT file, line, self_ns, wait_ns, ready_ns FROM lines"
		  " WHERE block = ?1 AND (wait_ns > 0 OR ready_ns > 0)",
    [BLOCK_PROVENANCE] = "SELECT provenance FROM blocks WHERE id = ?1",
    [NEXT_WAITING] = WAITING " AND block > ?4 ORDER BY block LIMIT 1",
    [PREVIOUS_WAITING] = WAITING " AND block < ?4 ORDER BY block DESC LIMIT 1",
    [BLOCK_WAITED] = "SELECT total(total_ns) FROM waits WHERE block = ?1 AND state = 0",
};

/* A statement to bind and step; what it gave before is over. */
static int get_seek(struct trace *t, enum seek which, sqlite3_stmt **ret)
{
	int r = 0;

	if (!t->seeks[which])
		r = trace_prepare(t, seek_sql[which], &t->seeks[which]);
	if (r < 0)
		return r;
	*ret = t->seeks[which];
	sqlite3_reset(*ret);
	return 0;
}

/* Numbers beyond what SQLite has are as good as its largest one. */
static void bind_u64(sqlite3_stmt *st, int at, uint64_t value)
{
	sqlite3_bind_int64(st, at, value > INT64_MAX ? INT64_MAX : (sqlite3_int64)value);
}

static int get_row(struct trace *t, sqlite3_stmt *st, struct block_row *ret)
{
	int r = trace_next_row(t, st);

	if (r == 1)
		*ret = (struct block_row){
		    .id = sqlite3_column_int64(st, 0),
		    .thread = (uint16_t)sqlite3_column_int(st, 1),
		    .first_ns = trace_column_u64(st, 2),
		    .last_ns = trace_column_u64(st, 3),
		    .lowest_depth = (uint32_t)sqlite3_column_int64(st, 4),
		    .n_events = (uint32_t)sqlite3_column_int64(st, 5),
		};
	sqlite3_reset(st);
	return r;
}

static int compare_rows(const struct block_row *a, const struct block_row *b)
{
	if (a->first_ns != b->first_ns)
		return a->first_ns < b->first_ns ? -1 : 1;
	if (a->last_ns != b->last_ns)
		return a->last_ns < b->last_ns ? -1 : 1;
	return (a->id > b->id) - (a->id < b->id);
}

static void bind_from(sqlite3_stmt *st, const struct block_row *from)
{
	sqlite3_bind_int(st, 1, from->thread);
	bind_u64(st, 2, from->first_ns);
	bind_u64(st, 3, from->last_ns);
	sqlite3_bind_int64(st, 4, from->id);
}

static int get_row_beyond(struct trace *t, sqlite3_stmt *st, const struct block_row *from,
			  enum direction way, struct block_row *ret)
{
	struct block_row row = {0};
	int r = get_row(t, st, &row);

	if (r <= 0)
		return r;
	if (compare_rows(&row, from) != (int)way || row.thread != from->thread)
		return -EBADMSG;
	*ret = row;
	return 1;
}

int trace_block_at(struct trace *t, uint16_t thread, uint64_t time_ns, struct block_row *ret)
{
	sqlite3_stmt *st;
	int r = get_seek(t, BLOCK_AT, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int(st, 1, thread);
	bind_u64(st, 2, time_ns);
	return get_row(t, st, ret);
}

int trace_block_end(struct trace *t, uint16_t thread, enum direction way, struct block_row *ret)
{
	const struct block_row before_all = {.thread = thread, .id = INT64_MIN};

	if (way == FORWARDS)
		return trace_block_beside(t, &before_all, FORWARDS, ret);
	return trace_block_at(t, thread, UINT64_MAX, ret);
}

int trace_block_beside(struct trace *t, const struct block_row *from, enum direction way,
		       struct block_row *ret)
{
	sqlite3_stmt *st;
	int r = get_seek(t, way == FORWARDS ? NEXT_BLOCK : PREVIOUS_BLOCK, &st);

	if (r < 0)
		return r;
	bind_from(st, from);
	return get_row_beyond(t, st, from, way, ret);
}

/* The nearest whose lowest depth is just that. */
static int block_of_depth(struct trace *t, const struct block_row *from, enum direction way,
			  enum seek which, uint32_t depth, struct block_row *ret)
{
	sqlite3_stmt *st;
	int r = get_seek(t, which, &st);

	if (r < 0)
		return r;
	bind_from(st, from);
	sqlite3_bind_int64(st, 5, depth);
	return get_row_beyond(t, st, from, way, ret);
}

/* The next larger lowest depth that there is. Returns 1, 0 or a negative errno. */
static int next_depth(struct trace *t, uint16_t thread, int64_t *depth)
{
	sqlite3_stmt *st;
	int64_t next;
	int r = get_seek(t, NEXT_DEPTH, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int(st, 1, thread);
	sqlite3_bind_int64(st, 2, *depth);
	r = trace_next_row(t, st);
	if (r == 1 && sqlite3_column_type(st, 0) != SQLITE_INTEGER)
		r = 0;
	next = r == 1 ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	if (r == 1 && next <= *depth)
		return -EBADMSG;
	*depth = next;
	return r;
}

int trace_block_at_depth(struct trace *t, const struct block_row *from, enum direction way,
			 uint32_t max_depth, struct block_row *ret)
{
	enum seek of_depth = way == FORWARDS ? NEXT_BLOCK_OF_DEPTH : PREVIOUS_BLOCK_OF_DEPTH;
	struct block_row row = {0}, best = {0};
	int64_t depth = -1;
	int found = 0, r;

	/* Mostly it is the one beside. */
	r = trace_block_beside(t, from, way, &row);
	if (r <= 0)
		return r;
	if (row.lowest_depth <= max_depth) {
		*ret = row;
		return 1;
	}
	while ((r = next_depth(t, from->thread, &depth)) == 1 && depth <= max_depth) {
		r = block_of_depth(t, from, way, of_depth, (uint32_t)depth, &row);
		if (r < 0)
			return r;
		if (r == 1 && (!found || compare_rows(&row, &best) == -(int)way)) {
			best = row;
			found = 1;
		}
	}
	if (r < 0 || !found)
		return r < 0 ? r : 0;
	*ret = best;
	return 1;
}

int trace_block_entering(struct trace *t, const struct block_row *from, enum direction way,
			 uint32_t file, int32_t line, struct block_row *ret)
{
	sqlite3_stmt *st;
	int r = get_seek(t, way == FORWARDS ? NEXT_ENTERING : PREVIOUS_ENTERING, &st);

	if (r < 0)
		return r;
	bind_from(st, from);
	sqlite3_bind_int64(st, 5, file);
	sqlite3_bind_int(st, 6, line);
	return get_row_beyond(t, st, from, way, ret);
}

int trace_decode_block(struct trace *t, int64_t id, struct block_decoder **ret)
{
	sqlite3_stmt *st;
	int r = get_seek(t, BLOCK_DATA, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	r = trace_next_row(t, st);
	if (r == 1)
		r = block_decoder_new(t->unpacker, sqlite3_column_blob(st, 0),
				      (size_t)sqlite3_column_bytes(st, 0), ret);
	else if (r == 0)
		r = -ENOENT;
	sqlite3_reset(st);
	return r;
}

static void look_for_provenance(struct trace *t)
{
	auto_stmt sqlite3_stmt *st = NULL;
	const char *sql = "SELECT 1 FROM pragma_table_info('blocks') WHERE name = 'provenance'";

	t->provenance_known = 1;
	t->has_provenance = trace_prepare(t, sql, &st) == 0 && trace_next_row(t, st) == 1;
}

int trace_decode_provenance(struct trace *t, int64_t id, uint32_t n_events,
			    struct provenance_runs *ret)
{
	sqlite3_stmt *st;
	int r;

	*ret = (struct provenance_runs){0};
	if (!t->provenance_known)
		look_for_provenance(t);
	if (!t->has_provenance)
		return 0;
	r = get_seek(t, BLOCK_PROVENANCE, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	r = trace_next_row(t, st);
	if (r == 1)
		provenance_runs_decode(sqlite3_column_blob(st, 0),
				       (size_t)sqlite3_column_bytes(st, 0), n_events, ret);
	sqlite3_reset(st);
	return r < 0 ? r : 0;
}

int trace_block_waiting(struct trace *t, const struct block_row *from, enum direction way,
			uint64_t min_ns, enum idle_choice idle, struct block_row *ret)
{
	sqlite3_stmt *st;
	int r = get_seek(t, way == FORWARDS ? NEXT_WAITING : PREVIOUS_WAITING, &st);

	if (r < 0)
		return r;
	bind_from(st, from);
	bind_u64(st, 5, min_ns);
	sqlite3_bind_int(st, 6, idle == IDLE_ONLY);
	sqlite3_bind_int(st, 7, idle != IDLE_NOT);
	return get_row_beyond(t, st, from, way, ret);
}

int trace_block_waited(struct trace *t, int64_t id, double *ret_ns)
{
	sqlite3_stmt *st;
	int r = get_seek(t, BLOCK_WAITED, &st);

	*ret_ns = 0;
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	r = trace_next_row(t, st);
	if (r == 1)
		*ret_ns = sqlite3_column_double(st, 0);
	sqlite3_reset(st);
	return r < 0 ? r : 0;
}

int trace_decode_waits(struct trace *t, int64_t id, struct wait_list *ret)
{
	sqlite3_stmt *st;
	int r = get_seek(t, BLOCK_WAITS, &st);

	*ret = (struct wait_list){0};
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	r = trace_next_row(t, st);
	if (r == 0)
		r = -ENOENT;
	else if (r == 1 && sqlite3_column_type(st, 0) == SQLITE_NULL)
		r = 0;
	else if (r == 1)
		r = wait_codec_decode(t->unpacker, sqlite3_column_blob(st, 0),
				      (size_t)sqlite3_column_bytes(st, 0), ret);
	sqlite3_reset(st);
	return r;
}

int trace_block_off(struct trace *t, int64_t id, struct line_sums *ret)
{
	sqlite3_stmt *st;
	int r = get_seek(t, BLOCK_OFF, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	while ((r = trace_next_row(t, st)) == 1) {
		struct trace_line *l = line_sums_get(ret, (uint32_t)sqlite3_column_int64(st, 0),
						     sqlite3_column_int(st, 1));

		l->self_ns += trace_column_u64(st, 2);
		l->wait_ns += trace_column_u64(st, 3);
		l->ready_ns += trace_column_u64(st, 4);
	}
	sqlite3_reset(st);
	return r;
}

/* --- lines --- */

/* The first line from `line` on that is entered somewhere. */
static int next_line(struct trace *t, uint32_t file, int32_t line, int32_t *ret)
{
	sqlite3_stmt *st;
	int r = get_seek(t, NEXT_LINE, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, file);
	sqlite3_bind_int(st, 2, line);
	r = trace_next_row(t, st);
	if (r == 1 && sqlite3_column_type(st, 0) != SQLITE_INTEGER)
		r = 0;
	if (r == 1)
		*ret = sqlite3_column_int(st, 0);
	sqlite3_reset(st);
	return r == 1 && *ret < line ? -EBADMSG : r;
}

int trace_lines_run(struct trace *t, uint32_t file, int32_t **ret, size_t *ret_n)
{
	size_t cap = 0;
	int32_t line = INT32_MIN;
	int r;

	*ret = NULL;
	*ret_n = 0;
	while ((r = next_line(t, file, line, &line)) == 1) {
		*ret = xgrow(*ret, &cap, *ret_n + 1, sizeof(**ret));
		(*ret)[(*ret_n)++] = line;
		if (line++ == INT32_MAX)
			break;
	}
	return r < 0 ? r : 0;
}

int trace_line_ran(struct trace *t, uint32_t file, int32_t line)
{
	int32_t found;
	int r = next_line(t, file, line, &found);

	return r == 1 ? found == line : r;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Encoding and decoding of blocks, side by side. Layout, all numbers as put_number() writes them:
 *
 *	block:   format, time shift, n_events, packed size of each stream, then the three streams
 *	tables:  n_lines, (code, line) of each; depth, index of each frame;
 *	         then for the empty stack and for each line: n_steps, each (pop, n_pushed, indexes)
 *	choices: of each event, the step's number among those of the line on top
 *	times:   of each event, units since the event before
 *
 * A decoder trusts nothing: each length is checked against what is left, each index against its
 * table.
 */
#include "common/block_codec.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/numbers.h"
#include "common/pack.h"
#include "common/xalloc.h"

#define BLOCK_FORMAT 1

enum stream {
	STREAM_TABLES,
	STREAM_CHOICES,
	STREAM_TIMES,
	N_STREAMS,
};

/* --- encoder --- */

struct step {
	uint32_t context; /* index of the line on top before, plus 1; 0: empty stack */
	uint32_t pop;
	uint32_t n_pushed;
	uint32_t pushed; /* offset into the pool */
	uint32_t count;	 /* events */
	uint32_t choice; /* rank among the context's steps, by count */
};

struct block_encoder {
	struct block_line *lines;
	size_t n_lines, cap_lines;
	struct hash_index line_index;
	struct step *steps;
	size_t n_steps, cap_steps;
	struct hash_index step_index;
	uint32_t *pool; /* line indexes: the start's, then those that steps push */
	size_t n_pool, cap_pool;
	uint32_t start_depth;
	uint32_t *events; /* a step each */
	size_t n_events, cap_events;
	struct bytes times;
	uint64_t last_units;
};

struct block_encoder *block_encoder_new(void)
{
	struct block_encoder *e = xcalloc(1, sizeof(*e));

	/* Never NULL: steps that push nothing point into it too. */
	e->pool = xgrow(NULL, &e->cap_pool, 1, sizeof(*e->pool));
	return e;
}

void block_encoder_free(struct block_encoder *e)
{
	if (!e)
		return;
	free(e->lines);
	hash_index_done(&e->line_index);
	free(e->steps);
	hash_index_done(&e->step_index);
	free(e->pool);
	free(e->events);
	free(e->times.data);
	free(e);
}

uint32_t block_encoder_line(struct block_encoder *e, struct block_line line)
{
	uint32_t hash = hash_fold(hash_mix(line.code, (uint32_t)line.line));

	HASH_INDEX_FOR_EACH(&e->line_index, hash, at, id)
	{
		if (e->lines[id].code == line.code && e->lines[id].line == line.line)
			return id;
	}
	e->lines = xgrow(e->lines, &e->cap_lines, e->n_lines + 1, sizeof(*e->lines));
	e->lines[e->n_lines] = line;
	hash_index_add(&e->line_index, hash, (uint32_t)e->n_lines);
	return (uint32_t)e->n_lines++;
}

static uint32_t pool_add(struct block_encoder *e, const uint32_t *lines, uint32_t n)
{
	uint32_t offset = (uint32_t)e->n_pool;

	e->pool = xgrow(e->pool, &e->cap_pool, e->n_pool + n, sizeof(*e->pool));
	if (n)
		memcpy(e->pool + offset, lines, n * sizeof(*lines));
	e->n_pool += n;
	return offset;
}

void block_encoder_start(struct block_encoder *e, const uint32_t *lines, uint32_t depth)
{
	pool_add(e, lines, depth);
	e->start_depth = depth;
}

static uint32_t find_step(struct block_encoder *e, uint32_t context, uint32_t pop,
			  const uint32_t *pushed, uint32_t n)
{
	uint64_t mixed = hash_mix(hash_mix(context, pop), n);
	uint32_t hash;

	for (uint32_t i = 0; i < n; i++)
		mixed = hash_mix(mixed, pushed[i]);
	hash = hash_fold(mixed);
	HASH_INDEX_FOR_EACH(&e->step_index, hash, at, id)
	{
		const struct step *s = &e->steps[id];

		if (s->context == context && s->pop == pop && s->n_pushed == n &&
		    (n == 0 || !memcmp(e->pool + s->pushed, pushed, n * sizeof(*pushed))))
			return id;
	}
	e->steps = xgrow(e->steps, &e->cap_steps, e->n_steps + 1, sizeof(*e->steps));
	e->steps[e->n_steps] = (struct step){
	    .context = context,
	    .pop = pop,
	    .n_pushed = n,
	    .pushed = pool_add(e, pushed, n),
	};
	hash_index_add(&e->step_index, hash, (uint32_t)e->n_steps);
	return (uint32_t)e->n_steps++;
}

void block_encoder_append(struct block_encoder *e, uint64_t units, uint32_t top, uint32_t pop,
			  const uint32_t *pushed, uint32_t n_pushed)
{
	uint32_t step = find_step(e, top + 1, pop, pushed, n_pushed);

	if (e->n_events == e->cap_events)
		e->events = xgrow(e->events, &e->cap_events, e->n_events + 1, sizeof(*e->events));
	e->events[e->n_events++] = step;
	e->steps[step].count++;
	put_number(&e->times, units - e->last_units);
	e->last_units = units;
}

uint32_t block_encoder_n_events(const struct block_encoder *e)
{
	return (uint32_t)e->n_events;
}

int block_encoder_is_full(const struct block_encoder *e)
{
	return e->n_events >= BLOCK_MAX_EVENTS ||
	       e->n_lines + e->n_steps + e->n_pool >= BLOCK_MAX_ENTRIES;
}

/* By context, then the frequent ones first, then as they came. */
static int compare_steps(const void *a, const void *b)
{
	const struct step *x = *(const struct step *const *)a, *y = *(const struct step *const *)b;

	if (x->context != y->context)
		return x->context < y->context ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x < y ? -1 : 1;
}

static void put_indexes(struct bytes *b, const uint32_t *lines, uint32_t n)
{
	put_number(b, n);
	for (uint32_t i = 0; i < n; i++)
		put_number(b, lines[i]);
}

/* Also gives each step its choice. */
static void put_steps(struct block_encoder *e, struct bytes *b)
{
	auto_free struct step **sorted = xreallocarray(NULL, e->n_steps, sizeof(void *));
	size_t at = 0, end;

	for (size_t i = 0; i < e->n_steps; i++)
		sorted[i] = &e->steps[i];
	qsort(sorted, e->n_steps, sizeof(void *), compare_steps);
	for (uint32_t context = 0; context <= e->n_lines; context++) {
		for (end = at; end < e->n_steps && sorted[end]->context == context; end++)
			sorted[end]->choice = (uint32_t)(end - at);
		put_number(b, end - at);
		for (; at < end; at++) {
			put_number(b, sorted[at]->pop);
			put_indexes(b, e->pool + sorted[at]->pushed, sorted[at]->n_pushed);
		}
	}
}

static void put_tables(struct block_encoder *e, struct bytes *b)
{
	put_number(b, e->n_lines);
	for (size_t i = 0; i < e->n_lines; i++) {
		put_number(b, e->lines[i].code);
		put_number(b, (uint32_t)e->lines[i].line);
	}
	put_indexes(b, e->pool, e->start_depth);
	put_steps(e, b);
}

void block_encoder_encode(struct block_encoder *e, struct packer *packer, uint8_t **ret,
			  size_t *ret_len)
{
	struct bytes streams[N_STREAMS] = {[STREAM_TIMES] = e->times}, header = {0};
	uint8_t *packed[N_STREAMS], *out;
	size_t packed_len[N_STREAMS], len = 0;

	put_tables(e, &streams[STREAM_TABLES]);
	for (size_t i = 0; i < e->n_events; i++)
		put_number(&streams[STREAM_CHOICES], e->steps[e->events[i]].choice);

	put_number(&header, BLOCK_FORMAT);
	put_number(&header, BLOCK_TIME_SHIFT);
	put_number(&header, e->n_events);
	for (int i = 0; i < N_STREAMS; i++) {
		packed[i] = xmalloc(pack_bound(streams[i].len));
		packed_len[i] = pack_bytes(packer, streams[i].data, streams[i].len, packed[i]);
		if (i != STREAM_TIMES)
			free(streams[i].data);
		put_number(&header, packed_len[i]);
		len += packed_len[i];
	}
	out = xmalloc(header.len + len);
	memcpy(out, header.data, header.len);
	len = header.len;
	free(header.data);
	for (int i = 0; i < N_STREAMS; i++) {
		memcpy(out + len, packed[i], packed_len[i]);
		len += packed_len[i];
		free(packed[i]);
	}
	*ret = out;
	*ret_len = len;
}

/* --- decoder --- */

struct decoded_step {
	uint32_t pop;
	uint32_t n_pushed;
	size_t pushed; /* offset into the pool */
};

struct block_decoder {
	struct block_line *lines;
	uint32_t n_lines;
	uint32_t *first_step; /* of each context; one more for the end */
	struct decoded_step *steps;
	uint32_t *pool;
	size_t n_pool;
	uint32_t *stack;
	size_t depth, cap_stack;
	uint32_t n_events, n_done;
	unsigned shift;
	uint64_t units, max_units;
	uint8_t *content[N_STREAMS];
	struct input in[N_STREAMS];
	bool is_copy; /* only the stack is its own */
};

struct block_decoder *block_decoder_copy(const struct block_decoder *d)
{
	struct block_decoder *copy = xmalloc(sizeof(*copy));

	*copy = *d;
	copy->is_copy = true;
	copy->cap_stack = 0;
	copy->stack = xgrow(NULL, &copy->cap_stack, d->depth + 1, sizeof(*copy->stack));
	for (size_t i = 0; i < d->depth; i++)
		copy->stack[i] = d->stack[i];
	return copy;
}

void block_decoder_free(struct block_decoder *d)
{
	if (!d)
		return;
	free(d->stack);
	if (d->is_copy) {
		free(d);
		return;
	}
	free(d->lines);
	free(d->first_step);
	free(d->steps);
	free(d->pool);
	for (int i = 0; i < N_STREAMS; i++)
		free(d->content[i]);
	free(d);
}

DEFINE_CLEANUP(struct block_decoder *, block_decoder_free)

static int get_lines(struct block_decoder *d, struct input *in)
{
	uint32_t line;

	/* Each line takes at least two bytes: a wrong count can't make us allocate much. */
	if (get_below(in, (uint64_t)(in->end - in->at) / 2 + 1, &d->n_lines) < 0)
		return -EBADMSG;
	d->lines = xreallocarray(NULL, d->n_lines, sizeof(*d->lines));
	for (uint32_t i = 0; i < d->n_lines; i++) {
		if (get_below(in, UINT32_MAX, &d->lines[i].code) < 0 ||
		    get_below(in, (uint64_t)INT32_MAX + 1, &line) < 0)
			return -EBADMSG;
		d->lines[i].line = (int32_t)line;
	}
	return 0;
}

static int get_start(struct block_decoder *d, struct input *in)
{
	uint32_t depth;

	if (get_below(in, BLOCK_MAX_DEPTH + 1, &depth) < 0 || depth > (size_t)(in->end - in->at))
		return -EBADMSG;
	d->stack = xgrow(d->stack, &d->cap_stack, depth + 1, sizeof(*d->stack));
	for (; d->depth < depth; d->depth++) {
		if (get_below(in, d->n_lines, &d->stack[d->depth]) < 0)
			return -EBADMSG;
	}
	return 0;
}

static int get_step(struct block_decoder *d, struct input *in, struct decoded_step *step)
{
	if (get_below(in, BLOCK_MAX_DEPTH + 1, &step->pop) < 0 ||
	    get_below(in, (uint64_t)(in->end - in->at) + 1, &step->n_pushed) < 0)
		return -EBADMSG;
	step->pushed = d->n_pool;
	for (uint32_t i = 0; i < step->n_pushed; i++) {
		if (get_below(in, d->n_lines, &d->pool[d->n_pool++]) < 0)
			return -EBADMSG;
	}
	return 0;
}

static int get_steps(struct block_decoder *d, struct input *in)
{
	size_t left = (size_t)(in->end - in->at);
	uint32_t n_steps = 0, n;

	/* Each step takes at least two bytes, each pushed line one. */
	d->steps = xreallocarray(NULL, left / 2, sizeof(*d->steps));
	d->pool = xreallocarray(NULL, left, sizeof(*d->pool));
	d->first_step = xreallocarray(NULL, (size_t)d->n_lines + 2, sizeof(*d->first_step));
	for (uint32_t context = 0; context <= d->n_lines; context++) {
		d->first_step[context] = n_steps;
		if (get_below(in, (uint64_t)(in->end - in->at) / 2 + 1, &n) < 0)
			return -EBADMSG;
		for (; n; n--) {
			if (n_steps >= left / 2 || get_step(d, in, &d->steps[n_steps++]) < 0)
				return -EBADMSG;
		}
	}
	d->first_step[d->n_lines + 1] = n_steps;
	return in->at == in->end ? 0 : -EBADMSG;
}

static int get_header(struct block_decoder *d, struct input *in, size_t *packed_len)
{
	uint32_t format;

	if (get_below(in, BLOCK_FORMAT + 1, &format) < 0 || format != BLOCK_FORMAT ||
	    get_below(in, 32, &d->shift) < 0 || get_below(in, UINT32_MAX, &d->n_events) < 0)
		return -EBADMSG;
	d->max_units = (UINT64_MAX >> 1) >> d->shift;
	for (int i = 0; i < N_STREAMS; i++) {
		uint32_t size;

		if (get_below(in, UINT32_MAX, &size) < 0)
			return -EBADMSG;
		packed_len[i] = size;
	}
	return 0;
}

int block_decoder_new(struct unpacker *unpacker, const void *data, size_t len,
		      struct block_decoder **ret)
{
	auto_release(block_decoder_free) struct block_decoder *d = xcalloc(1, sizeof(*d));
	size_t packed_len[N_STREAMS], size;
	struct input in;

	if (len == 0)
		return -EBADMSG;
	in = (struct input){data, (const uint8_t *)data + len};
	if (get_header(d, &in, packed_len) < 0)
		return -EBADMSG;
	for (int i = 0; i < N_STREAMS; i++) {
		if (packed_len[i] > (size_t)(in.end - in.at) ||
		    unpack_bytes(unpacker, in.at, packed_len[i], BLOCK_MAX_STREAM, &d->content[i],
				 &size) < 0)
			return -EBADMSG;
		in.at += packed_len[i];
		d->in[i] = (struct input){d->content[i], d->content[i] + size};
	}
	if (in.at != in.end || get_lines(d, &d->in[STREAM_TABLES]) < 0 ||
	    get_start(d, &d->in[STREAM_TABLES]) < 0 || get_steps(d, &d->in[STREAM_TABLES]) < 0)
		return -EBADMSG;
	*ret = steal_ptr(d);
	return 0;
}

_Static_assert(BLOCK_HEADER_MAX == (3 + N_STREAMS) * NUMBER_MAX, "room for any header");

/* Also goes on to the first stream. */
static int get_tables_len(struct input *in, size_t *ret)
{
	struct block_decoder header;
	size_t packed_len[N_STREAMS];

	if (get_header(&header, in, packed_len) < 0)
		return -EBADMSG;
	*ret = packed_len[STREAM_TABLES];
	return 0;
}

uint64_t block_tables_end(const void *data, size_t len)
{
	struct input in = {data, (const uint8_t *)data + len};
	size_t tables_len;

	if (len == 0 || get_tables_len(&in, &tables_len) < 0)
		return 0;
	return (uint64_t)(in.at - (const uint8_t *)data) + tables_len;
}

int block_read_lines(struct unpacker *unpacker, const void *data, size_t len,
		     struct block_line **ret, uint32_t *ret_n)
{
	auto_release(block_decoder_free) struct block_decoder *d = xcalloc(1, sizeof(*d));
	size_t tables_len, size;
	struct input in;

	if (len == 0)
		return -EBADMSG;
	in = (struct input){data, (const uint8_t *)data + len};
	if (get_tables_len(&in, &tables_len) < 0 || tables_len > (size_t)(in.end - in.at) ||
	    unpack_bytes(unpacker, in.at, tables_len, BLOCK_MAX_STREAM, &d->content[STREAM_TABLES],
			 &size) < 0)
		return -EBADMSG;
	in = (struct input){d->content[STREAM_TABLES], d->content[STREAM_TABLES] + size};
	if (get_lines(d, &in) < 0)
		return -EBADMSG;
	*ret_n = d->n_lines;
	*ret = steal_ptr(d->lines);
	return 0;
}

const struct block_line *block_decoder_lines(const struct block_decoder *d, uint32_t *ret_n)
{
	*ret_n = d->n_lines;
	return d->lines;
}

const uint32_t *block_decoder_stack(const struct block_decoder *d, uint32_t *ret_depth)
{
	*ret_depth = (uint32_t)d->depth;
	return d->stack;
}

const uint32_t *block_decoder_pool(const struct block_decoder *d, size_t *ret_n)
{
	*ret_n = d->n_pool;
	return d->pool;
}

uint32_t block_decoder_n_events(const struct block_decoder *d)
{
	return d->n_events;
}

void block_decoder_events_before(const struct block_decoder *d, uint64_t *offsets_ns, size_t n)
{
	struct input in = d->in[STREAM_TIMES];
	uint64_t units = 0, more, before_ns = 0, next_ns = 0;

	for (size_t i = 0; i < n; i++) {
		while (next_ns < offsets_ns[i]) {
			before_ns = next_ns;
			if (get_number(&in, &more) < 0 || more > d->max_units - units) {
				next_ns = UINT64_MAX;
				break;
			}
			units += more;
			next_ns = units << d->shift;
		}
		offsets_ns[i] = before_ns;
	}
}

int block_decoder_next(struct block_decoder *d, struct block_event *ret)
{
	uint32_t context = d->depth ? d->stack[d->depth - 1] + 1 : 0, choice;
	const struct decoded_step *step;
	const uint32_t *pushed;
	size_t depth;
	uint64_t units;

	if (d->n_done == d->n_events)
		return 0;
	if (get_below(&d->in[STREAM_CHOICES], d->first_step[context + 1] - d->first_step[context],
		      &choice) < 0 ||
	    get_number(&d->in[STREAM_TIMES], &units) < 0)
		return -EBADMSG;
	step = &d->steps[d->first_step[context] + choice];
	d->units += units;
	if (step->pop > d->depth || d->depth - step->pop + step->n_pushed > BLOCK_MAX_DEPTH ||
	    d->units < units || d->units > d->max_units)
		return -EBADMSG;

	depth = d->depth - step->pop;
	pushed = d->pool + step->pushed;
	d->depth = depth + step->n_pushed;
	if (d->depth > d->cap_stack)
		d->stack = xgrow(d->stack, &d->cap_stack, d->depth, sizeof(*d->stack));
	for (uint32_t i = 0; i < step->n_pushed; i++)
		d->stack[depth + i] = pushed[i];
	d->n_done++;
	*ret = (struct block_event){
	    .offset_ns = d->units << d->shift,
	    .pop = step->pop,
	    .n_pushed = step->n_pushed,
	    .pushed = pushed,
	};
	return 1;
}

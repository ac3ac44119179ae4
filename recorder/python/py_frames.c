/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_frames.h"

#include <errno.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "recorder/python/py_stacks_private.h"

/*
 * A snapshot that turns out torn is taken anew, so often; then it is published as far as it is
 * certain. The new one shows what runs then, so that no kind of code is left out for long.
 */
#define MAX_ATTEMPTS 8

/* Looks that must show the same before something that is not proven is believed. */
#define UNCHANGED_LOOKS 3
#define MAX_SHIFT_READS 16

/*
 * What was read later than a hinge (see py_frames_stack.c) is believed only if the hinge is found
 * unmoved within the time of so many reads more than were made: a loop that ends, another one that
 * runs from its beginning to where we saw it, and the first one again take longer.
 */
#define HINGE_READS	2
#define FRAMES_PER_READ 16 /* that are made sense of in the time of a read */

/* A page that was not needed in so many snapshots is not read in advance any more. */
#define PAGE_MEMORY 16
/* So many pages next to each other are read at once. */
#define MAX_RUN_PAGES 4

int32_t py_frame_line(struct py_codes *codes, const struct py_frame *frame)
{
	struct py_code *code = frame->code;

	if (frame->unit == PY_UNIT_BEFORE_START)
		return code->first_line;
	if (!code->lines)
		py_codes_load_lines(codes, code);
	return code->lines[frame->unit];
}

struct py_stacks *py_stacks_new(struct memory *mem, const struct py_layout *l,
				struct py_codes *codes)
{
	struct py_stacks *s = xcalloc(1, sizeof(*s));

	s->mem = mem;
	s->l = l;
	s->codes = codes;
	s->page_data = xmalloc((size_t)MAX_PAGES * PAGE_BYTES);
	s->tail = xmalloc(MAX_TAIL * sizeof(s->tail[0]));
	s->fresh = xmalloc(MAX_CHUNKS * sizeof(s->fresh[0]));
	s->verify = xmalloc(VERIFY_BYTES);
	s->sites = py_sites_new();
	return s;
}

void py_stacks_free(struct py_stacks *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->chunks_cap; i++)
		free(s->chunks[i].region.data);
	free(s->chunks);
	free(s->fresh);
	free(s->page_data);
	free(s->verify);
	free(s->tail);
	free(s->last.frames);
	free(s->second.frames);
	py_sites_free(s->sites);
	free(s);
}

const struct py_stacks_counters *py_stacks_get_counters(const struct py_stacks *stacks)
{
	return &stacks->counters;
}

void py_stacks_set_still(struct py_stacks *s, bool still)
{
	s->is_still = still;
}

void py_stacks_set_loading(struct py_stacks *stacks, bool loading)
{
	stacks->is_not_loading = !loading;
}

struct py_stack *py_stack_new(remote_addr tstate)
{
	struct py_stack *stack = xcalloc(1, sizeof(*stack));

	stack->tstate = tstate;
	stack->window = 1024;
	return stack;
}

void py_stack_free(struct py_stack *stack)
{
	if (!stack)
		return;
	free(stack->chunks);
	free(stack);
}

const uint8_t *py_stacks_peek(const struct py_stacks *s, remote_addr addr, uint32_t len)
{
	for (uint32_t i = 0; i < s->n_pages; i++) {
		const struct region *p = &s->pages[i];

		if (addr - p->start < p->len && p->len - (uint32_t)(addr - p->start) >= len)
			return p->data + (addr - p->start);
	}
	return NULL;
}

/* Remember for the next snapshot that this page was needed. */
static void note_page(struct py_stacks *s, remote_addr page)
{
	struct py_stack *stack = s->stack;
	uint32_t oldest = 0;

	for (uint32_t i = 0; i < stack->n_pages; i++) {
		if (stack->pages[i] == page) {
			stack->page_used[i] = stack->serial;
			return;
		}
		if (stack->page_used[i] < stack->page_used[oldest])
			oldest = i;
	}
	if (stack->n_pages < MAX_KEPT)
		oldest = stack->n_pages++;
	stack->pages[oldest] = page;
	stack->page_used[oldest] = stack->serial;
}

static const struct region *read_page(struct py_stacks *s, remote_addr start, uint32_t len,
				      int *error)
{
	struct region *p;
	int r;

	if (s->n_pages == MAX_PAGES) {
		*error = -EFAULT;
		return NULL;
	}
	p = &s->pages[s->n_pages];
	*p = (struct region){start, len, s->page_data + (size_t)s->n_pages * PAGE_BYTES};
	r = memory_read(s->mem, start, p->data, len);
	if (r < 0) {
		*error = r;
		return NULL;
	}
	s->counters.bytes_read += len;
	s->n_pages++;
	return p;
}

const uint8_t *py_stacks_page(struct py_stacks *s, remote_addr addr, uint32_t len, int *error)
{
	remote_addr page = addr & ~(remote_addr)(PAGE_BYTES - 1);
	const uint8_t *seen = py_stacks_peek(s, addr, len);
	const struct region *p;

	note_page(s, page);
	if (!seen && !s->prefetched) {
		py_stacks_prefetch(s);
		seen = py_stacks_peek(s, addr, len);
	}
	if (seen)
		return seen;
	if (addr + len <= page + PAGE_BYTES)
		p = read_page(s, page, PAGE_BYTES, error);
	else
		p = read_page(s, addr, len, error); /* across a boundary: just this */
	return p ? p->data + (addr - p->start) : NULL;
}

static bool is_kept_and_unread(const struct py_stacks *s, remote_addr page)
{
	const struct py_stack *stack = s->stack;

	for (uint32_t i = 0; i < stack->n_pages; i++) {
		if (stack->pages[i] == page)
			return !py_stacks_peek(s, page, PAGE_BYTES);
	}
	return false;
}

/*
 * Read a page that is kept in mind together with its neighbours that are, too: one read instead of
 * several takes less time, and what it gets is nearly of one moment.
 */
static void read_run(struct py_stacks *s, remote_addr page)
{
	remote_addr first = page;
	uint32_t n = 1;
	int error;

	while (n < MAX_RUN_PAGES && is_kept_and_unread(s, first - PAGE_BYTES)) {
		first -= PAGE_BYTES;
		n++;
	}
	while (n < MAX_RUN_PAGES && is_kept_and_unread(s, first + (remote_addr)n * PAGE_BYTES))
		n++;
	if (n > 1 && s->n_pages + n <= MAX_PAGES &&
	    memory_read(s->mem, first, s->page_data + (size_t)s->n_pages * PAGE_BYTES,
			(size_t)n * PAGE_BYTES) == 0) {
		s->counters.bytes_read += (uint64_t)n * PAGE_BYTES;
		for (uint32_t i = 0; i < n; i++, s->n_pages++)
			s->pages[s->n_pages] =
			    (struct region){first + (remote_addr)i * PAGE_BYTES, PAGE_BYTES,
					    s->page_data + (size_t)s->n_pages * PAGE_BYTES};
		s->extra_pages += n - 1;
		return;
	}
	read_page(s, page, PAGE_BYTES, &error);
}

void py_stacks_read_early(struct py_stacks *s, remote_addr addr)
{
	remote_addr page = addr & ~(remote_addr)(PAGE_BYTES - 1);

	if (is_kept_and_unread(s, page))
		read_run(s, page);
}

void py_stacks_prefetch(struct py_stacks *s)
{
	struct py_stack *stack = s->stack;

	if (s->prefetched)
		return;
	s->prefetched = true;
	for (uint32_t i = 0; i < stack->n_pages;) {
		if (stack->serial - stack->page_used[i] > PAGE_MEMORY) {
			stack->n_pages--;
			stack->pages[i] = stack->pages[stack->n_pages];
			stack->page_used[i] = stack->page_used[stack->n_pages];
			continue;
		}
		i++;
	}
	for (uint32_t i = 0; i < stack->n_pages; i++) {
		if (!py_stacks_peek(s, stack->pages[i], PAGE_BYTES))
			read_run(s, stack->pages[i]);
	}
}

int py_stacks_push(struct py_stacks *s, struct py_code *code, remote_addr addr, uint32_t unit)
{
	struct py_snapshot *snap = s->snap;

	if (snap->n == PY_MAX_FRAMES)
		return -E2BIG;
	if (snap->n == snap->cap)
		snap->frames =
		    xgrow(snap->frames, &snap->cap, snap->n + 1, sizeof(snap->frames[0]));
	snap->frames[snap->n++] = (struct py_frame){code, addr, unit, code->serial};
	return 0;
}

int py_stacks_code(struct py_stacks *s, remote_addr addr, struct py_code **ret)
{
	int r;

	*ret = py_codes_find(s->codes, addr);
	if (*ret)
		return 0;
	if (s->is_not_loading)
		return -EBADMSG;
	r = py_codes_load(s->codes, addr, s->now_ns, ret);
	if (r == -ESRCH)
		return r;
	/* Loading took long: what has been read before it belongs to another moment. */
	return r < 0 ? -EBADMSG : -EAGAIN;
}

static int read_once(struct py_stacks *s, struct py_snapshot *ret)
{
	s->snap = ret;
	s->n_pages = 0;
	s->extra_pages = 0;
	s->prefetched = false;
	s->stack->serial++;
	ret->n = 0;
	ret->n_seen = 0;
	ret->cut = PY_NOT_CUT;
	s->reads_before = s->mem->n_reads;
	return s->l->frame_kind == PY_FRAMES_STACK ? py_stack_read_data(s) : py_stack_read_heap(s);
}

/* Code objects are compared by what they are: a freed one's memory may hold another by now. */
static bool is_same_call(const struct py_frame *a, const struct py_frame *b)
{
	return a[0].serial == b[0].serial && a[0].unit == b[0].unit && a[1].serial == b[1].serial;
}

/* Make what was seen now the last snapshot, as far as nothing in it needs counting any more. */
static void remember(struct py_stacks *s, const struct py_snapshot *snap, uint32_t from,
		     uint32_t n_settled)
{
	if (n_settled > s->last.cap)
		s->last.frames =
		    xgrow(s->last.frames, &s->last.cap, n_settled, sizeof(s->last.frames[0]));
	if (n_settled > from)
		memcpy(s->last.frames + from, snap->frames + from,
		       (n_settled - from) * sizeof(snap->frames[0]));
	s->last.n = n_settled;
}

/*
 * The first frame that its caller was not often enough seen to call; snap->n when there is none.
 * The links that are as in the last snapshot are settled. What can't be believed at all is cut.
 */
static uint32_t find_doubt(struct py_stacks *s, struct py_snapshot *snap)
{
	uint32_t doubt = UINT32_MAX, n_settled, same = 1, i;
	const struct py_frame *top;

	while (same < snap->n && same < s->last.n &&
	       is_same_call(&snap->frames[same - 1], &s->last.frames[same - 1]))
		same++;
	n_settled = same;
	for (i = same; i < snap->n; i++) {
		const struct py_frame *f = &snap->frames[i - 1];
		bool settled;
		enum py_belief belief = py_sites_saw(s->sites, f[0].code->serial, f[0].unit,
						     f[1].code->serial, &settled);

		if (belief == PY_REFUSED) {
			snap->n = i;
			snap->cut = PY_CUT_TORN;
		} else if (belief == PY_DOUBTED && doubt == UINT32_MAX) {
			doubt = i;
		}
		if (settled && n_settled == i)
			n_settled = i + 1;
	}
	remember(s, snap, same - 1, snap->n < n_settled ? snap->n : n_settled);
	if (snap->n && snap->cut == PY_NOT_CUT) {
		top = &snap->frames[snap->n - 1];
		py_sites_saw_alone(s->sites, top->code->serial, top->unit);
	}
	return doubt < snap->n ? doubt : snap->n;
}

/* Of a stack that was not read to its end: up to where no further look would be needed. */
static void keep_certain(struct py_stacks *s, struct py_snapshot *snap)
{
	if (!snap->n)
		return;
	snap->cut = PY_CUT_TORN;
	snap->n = find_doubt(s, snap);
}

static bool is_same_stack(const struct py_snapshot *a, const struct py_snapshot *b)
{
	uint32_t n = a->n_seen ? a->n_seen : a->n;

	if ((b->n_seen ? b->n_seen : b->n) != n)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (a->frames[i].addr != b->frames[i].addr ||
		    a->frames[i].serial != b->frames[i].serial ||
		    a->frames[i].unit != b->frames[i].unit)
			return false;
	}
	return true;
}

/*
 * Pass some time before the next one of several looks, each time another part of what the last
 * took. A program that does the same again just as often as we look would otherwise be seen at the
 * same point each time, as by a stroboscope, though it has not stayed there.
 */
static void shift_phase(const struct py_stacks *s, unsigned look)
{
	uint64_t n = 1 + (s->mem->n_reads - s->reads_before) * (look + 1) / 4, unused;

	if (n > MAX_SHIFT_READS)
		n = MAX_SHIFT_READS;
	while (n-- && memory_read_u64(s->mem, s->stack->tstate, &unused) == 0)
		;
}

/* The first doubtful link of snap, from `doubt` on, that a further look does not find again. */
static int find_unconfirmed(struct py_stacks *s, const struct py_snapshot *snap, uint32_t doubt,
			    uint32_t *ret)
{
	struct py_snapshot *second = &s->second;
	int r = read_once(s, second);

	s->counters.looked_again++;
	/* Frame objects are read one by one: only what does not change at all is confirmed. */
	if (s->l->frame_kind == PY_FRAMES_HEAP && !is_same_stack(snap, second)) {
		*ret = doubt;
		return r;
	}
	while (r == 0 && doubt < snap->n && doubt < second->n &&
	       snap->frames[doubt - 1].addr == second->frames[doubt - 1].addr &&
	       is_same_call(&snap->frames[doubt - 1], &second->frames[doubt - 1]))
		doubt++;
	*ret = doubt;
	return r;
}

/*
 * Look again: the doubtful links that are still there are confirmed, and the stack ends before
 * the first one that is not.
 */
static int look_again(struct py_stacks *s, struct py_snapshot *snap, uint32_t doubt)
{
	const struct py_frame *caller = &snap->frames[doubt - 1];
	unsigned looks = py_sites_looks_needed(s->sites, caller->code->serial, caller->unit);
	uint32_t end = snap->n;

	for (unsigned i = 0; i < looks; i++) {
		uint32_t unconfirmed;
		int r;

		shift_phase(s, i);
		r = find_unconfirmed(s, snap, doubt, &unconfirmed);
		if (r < 0) {
			snap->n = doubt;
			return r;
		}
		if (unconfirmed < end)
			end = unconfirmed;
	}
	for (; doubt < end; doubt++) {
		const struct py_frame *f = &snap->frames[doubt - 1];

		py_sites_confirm(s->sites, f[0].code->serial, f[0].unit, f[1].code->serial);
	}
	if (end < snap->n) {
		snap->n = end;
		snap->cut = PY_CUT_TORN;
	}
	return 0;
}

uint64_t py_stacks_fair_ns(const struct py_stacks *s)
{
	return (HINGE_READS + s->mem->n_reads - s->reads_before + s->extra_pages +
		s->snap->n / FRAMES_PER_READ) *
	       s->typical_ns;
}

#define INT_DIGITS 24 /* PyLongObject: ob_digit, all versions */

int py_stacks_argument(struct py_stacks *s, const struct py_code *code, uint32_t unit,
		       remote_addr local)
{
	const struct py_loop *loop = py_code_find_loop(code, unit);
	uint32_t value;
	bool matches;

	if (!loop || !loop->has_argument || !local)
		return -1;
	if (loop->is_small_int)
		matches = memory_read_u32(s->mem, local + INT_DIGITS, &value) == 0 &&
			  value == loop->argument;
	else
		matches = local == loop->argument;
	/* Where it never matches, the generator does not keep its argument in its first local. */
	return py_sites_argument_tells(s->sites, code->serial, unit, matches) ? matches : -1;
}

/* What could not be proven in one look, but does not change over several, is there. */
static int settle_unchanged(struct py_stacks *s, struct py_snapshot *snap)
{
	for (unsigned i = 0; i < UNCHANGED_LOOKS; i++) {
		int r;

		shift_phase(s, i);
		r = read_once(s, &s->second);
		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		if (!is_same_stack(snap, &s->second))
			return 0;
	}
	snap->n = snap->n_seen;
	snap->cut = PY_NOT_CUT;
	return 0;
}

int py_stack_read(struct py_stacks *s, struct py_stack *stack, uint64_t now_ns,
		  struct py_snapshot *ret)
{
	uint32_t doubt;
	int r;

	s->stack = stack;
	s->now_ns = now_ns;
	for (int i = 0; i < MAX_ATTEMPTS; i++) {
		r = read_once(s, ret);
		if (r == -EAGAIN)
			keep_certain(s, ret);
		if (r < 0)
			return r;
		if (ret->cut != PY_CUT_TORN)
			break;
		s->counters.attempts++;
	}
	if (s->is_still)
		return ret->cut != PY_NOT_CUT && !ret->n ? -EAGAIN : 0;
	if (ret->n_seen > ret->n) {
		r = settle_unchanged(s, ret);
		if (r < 0)
			return r;
	}
	if (ret->cut != PY_NOT_CUT && !ret->n)
		return -EAGAIN; /* not even the outermost frame is certain */
	doubt = find_doubt(s, ret);
	return doubt < ret->n ? look_again(s, ret, doubt) : 0;
}

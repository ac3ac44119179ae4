/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/edges.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/hash_index.h"
#include "common/read_fully.h"
#include "common/xalloc.h"

/* Less room in a ring than this: some records may have found none. */
#define FULL_BYTES 256

/* For one record in an alarm's ring: of what was lost, and of a switch. */
#define ALARM_ROOM 64

/* A target with more threads at a time is not followed in full. */
#define MAX_THREADS 65536

struct edge_ring {
	int fd;
	struct perf_event_mmap_page *page;
	const uint8_t *data;
	size_t data_bytes;
	uint64_t tail; /* up to here it was read */
};

struct edges {
	struct edges_ops ops;
	unsigned n_cpus;
	struct edge_ring *records; /* by CPU */
	struct edge_ring *alarms;
	struct pollfd *polled;
	struct edge_thread **threads; /* by tid, a hash table with open addressing */
	size_t n_slots, n_threads;
	bool is_over;
	bool has_own_tids; /* the target is in a pid namespace of its own */
	uint64_t n_lost;
	uint64_t lost_ns; /* when the last ones were lost; 0: none yet */
};

DEFINE_CLEANUP(struct edges *, edges_free)

/* What is read of a record: times and numbers of all kinds that we ask for are at its end. */
struct edge_record {
	uint64_t time_ns;
	uint32_t tid;
	uint32_t type;
	bool is_out, is_preempted;
	uint64_t lost;
};

static void ring_done(struct edge_ring *r)
{
	if (r->page)
		munmap(r->page, r->data_bytes + (size_t)sysconf(_SC_PAGESIZE));
	if (r->fd >= 0)
		close(r->fd);
}

void edges_free(struct edges *e)
{
	if (!e)
		return;
	for (unsigned i = 0; i < e->n_cpus; i++) {
		ring_done(&e->records[i]);
		ring_done(&e->alarms[i]);
	}
	for (size_t i = 0; i < e->n_slots; i++)
		free(e->threads[i]);
	free(e->threads);
	free(e->records);
	free(e->alarms);
	free(e->polled);
	free(e);
}

static int ring_map(struct edge_ring *r, size_t data_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *map = mmap(NULL, page + data_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	r->page = map;
	r->data = (const uint8_t *)map + page;
	r->data_bytes = data_bytes;
	r->tail = r->page->data_tail;
	return 0;
}

static uint64_t ring_head(const struct edge_ring *r)
{
	return __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
}

/* --- threads --- */

/* Its slot, or the free one where it belongs. */
static struct edge_thread **find_slot(const struct edges *e, uint32_t tid)
{
	size_t i = hash_fold(hash_mix(0, tid)) & (e->n_slots - 1);

	while (e->threads[i] && e->threads[i]->tid != tid)
		i = (i + 1) & (e->n_slots - 1);
	return &e->threads[i];
}

static void grow_table(struct edges *e)
{
	struct edge_thread **old = e->threads;
	size_t n_old = e->n_slots;

	e->n_slots = n_old ? 2 * n_old : 64;
	e->threads = xcalloc(e->n_slots, sizeof(struct edge_thread *));
	for (size_t i = 0; i < n_old; i++) {
		if (old[i])
			*find_slot(e, old[i]->tid) = old[i];
	}
	free(old);
}

/* NULL: there are too many. */
static struct edge_thread *need_thread(struct edges *e, uint32_t tid)
{
	struct edge_thread **slot;

	if (2 * (e->n_threads + 1) > e->n_slots)
		grow_table(e);
	slot = find_slot(e, tid);
	if (*slot || e->n_threads == MAX_THREADS)
		return *slot;
	*slot = xcalloc(1, sizeof(**slot));
	(*slot)->tid = tid;
	(*slot)->target_tid = e->has_own_tids ? 0 : tid;
	e->n_threads++;
	return *slot;
}

/* Those behind it move up, so that each is still found from where it belongs. */
static void remove_thread(struct edges *e, uint32_t tid)
{
	struct edge_thread **slot = find_slot(e, tid);
	size_t i;

	if (!*slot)
		return;
	e->ops.on_exit(e->ops.ctx, *slot);
	free(*slot);
	*slot = NULL;
	e->n_threads--;
	for (i = (size_t)(slot - e->threads + 1) & (e->n_slots - 1); e->threads[i];
	     i = (i + 1) & (e->n_slots - 1)) {
		struct edge_thread *t = e->threads[i];

		e->threads[i] = NULL;
		*find_slot(e, t->tid) = t;
	}
}

struct edge_thread *edges_find(struct edges *e, uint32_t target_tid)
{
	struct edge_thread *t = e->n_slots ? *find_slot(e, target_tid) : NULL;

	if (t && t->target_tid == target_tid)
		return t;
	if (!e->has_own_tids)
		return NULL;
	for (size_t i = 0; i < e->n_slots; i++) {
		if (e->threads[i] && e->threads[i]->target_tid == target_tid)
			return e->threads[i];
	}
	return NULL;
}

static int take_tasks(struct edges *e, int fd)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct edge_task t;

	for (off_t at = 0;; at += (off_t)sizeof(t)) {
		ssize_t n = pread(fd, &t, sizeof(t), at);
		struct edge_thread *thread;

		if (n < 0)
			return -errno;
		if (n != sizeof(t))
			return 0;
		e->has_own_tids |= t.tid != t.target_tid;
		thread = need_thread(e, t.tid);
		if (!thread)
			return 0;
		thread->target_tid = t.target_tid;
		if (t.state == EDGE_WAITING) {
			thread->state = EDGE_WAITING;
			thread->since_ns = now_ns;
		}
	}
}

/*
 * An alarm that has no room for a record is quiet: the kernel wakes nobody for what it drops. It
 * takes the room from data_tail alone (ring_buffer_has_space() in kernel/events/ring_buffer.c: what
 * is between it and the head, less one byte), so that no system call is needed, of which there
 * would be two for each CPU whenever all threads wait.
 */
static void set_alarms(const struct edges *e, uint64_t room)
{
	for (unsigned i = 0; i < e->n_cpus; i++) {
		const struct edge_ring *r = &e->alarms[i];

		/* What is in it was of interest only when it came. */
		__atomic_store_n(&r->page->data_tail, ring_head(r) - r->data_bytes + 1 + room,
				 __ATOMIC_RELEASE);
	}
}

/* They came as who opened them had to leave them: paused. */
static int quiet_alarms(const struct edges *e)
{
	set_alarms(e, 0);
	for (unsigned i = 0; i < e->n_cpus; i++) {
		if (ioctl(e->alarms[i].fd, PERF_EVENT_IOC_PAUSE_OUTPUT, 0) < 0)
			return -errno;
	}
	return 0;
}

int edges_new(const int *fds, unsigned n_cpus, int tasks, const struct edges_ops *ops,
	      struct edges **ret)
{
	auto_release(edges_free) struct edges *e = xcalloc(1, sizeof(*e));
	int r = 0;

	e->ops = *ops;
	e->n_cpus = n_cpus;
	e->records = xcalloc(n_cpus, sizeof(*e->records));
	e->alarms = xcalloc(n_cpus, sizeof(*e->alarms));
	e->polled = xcalloc((size_t)n_cpus + 1, sizeof(*e->polled));
	for (unsigned i = 0; i < n_cpus; i++) {
		e->records[i].fd = fds[2 * (size_t)i];
		e->alarms[i].fd = fds[2 * (size_t)i + 1];
	}
	for (unsigned i = 0; r == 0 && i < n_cpus; i++) {
		r = ring_map(&e->records[i], EDGE_RING_BYTES);
		if (r == 0)
			r = ring_map(&e->alarms[i], EDGE_ALARM_BYTES);
	}
	if (r == 0)
		r = quiet_alarms(e);
	if (r == 0)
		r = take_tasks(e, tasks);
	if (r < 0)
		return r;
	*ret = steal_ptr(e);
	return 0;
}

/* --- records --- */

static void ring_copy(const struct edge_ring *r, uint64_t at, void *buf, size_t len)
{
	size_t offset = (size_t)(at & (r->data_bytes - 1));
	size_t first = r->data_bytes - offset < len ? r->data_bytes - offset : len;

	memcpy(buf, r->data + offset, first);
	memcpy((uint8_t *)buf + first, r->data, len - first);
}

/*
 * The record at the tail. Each ends with what PERF_SAMPLE_TID and PERF_SAMPLE_TIME ask for, see
 * struct sample_id in perf_event_open(2). Returns its size, 0 when there is none.
 */
static size_t ring_peek(const struct edge_ring *r, struct edge_record *ret)
{
	uint64_t head = ring_head(r);
	struct perf_event_header h;
	struct {
		uint32_t pid, tid;
		uint64_t time_ns;
	} id;

	if (head - r->tail < sizeof(h))
		return 0;
	ring_copy(r, r->tail, &h, sizeof(h));
	if (h.size < sizeof(h) + sizeof(id) || h.size > head - r->tail)
		return 0;
	ring_copy(r, r->tail + h.size - sizeof(id), &id, sizeof(id));
	*ret = (struct edge_record){
	    .time_ns = id.time_ns,
	    .tid = id.tid,
	    .type = h.type,
	    .is_out = h.misc & PERF_RECORD_MISC_SWITCH_OUT,
	    .is_preempted = h.misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT,
	};
	/* struct lost_id: id, lost */
	if (h.type == PERF_RECORD_LOST && h.size >= sizeof(h) + 16 + sizeof(id))
		ring_copy(r, r->tail + sizeof(h) + 8, &ret->lost, sizeof(ret->lost));
	/* Of another thread than the one that the record is about: pid, ppid, tid, ptid. */
	if ((h.type == PERF_RECORD_FORK || h.type == PERF_RECORD_EXIT) &&
	    h.size >= sizeof(h) + 16 + sizeof(id))
		ring_copy(r, r->tail + sizeof(h) + 8, &ret->tid, sizeof(ret->tid));
	return h.size;
}

static void change(struct edges *e, struct edge_thread *t, enum edge_state state, uint64_t time_ns)
{
	enum edge_state was = t->state;
	uint64_t start_ns = t->since_ns;

	/* Twice told, or too late to be of use. */
	if (was == state || (was != EDGE_UNKNOWN && time_ns < start_ns))
		return;
	/* It went on and off again unseen; since when it waits is not known any better. */
	if (was > EDGE_ON && state > EDGE_ON)
		return;
	t->state = state;
	t->since_ns = time_ns;
	e->ops.on_change(e->ops.ctx, t, was, was == EDGE_UNKNOWN ? time_ns : start_ns, time_ns);
}

static void forget_states(struct edges *e, uint64_t time_ns)
{
	if (time_ns > e->lost_ns)
		e->lost_ns = time_ns;
	for (size_t i = 0; i < e->n_slots; i++) {
		if (e->threads[i])
			change(e, e->threads[i], EDGE_UNKNOWN, time_ns);
	}
}

static void take(struct edges *e, const struct edge_record *r)
{
	struct edge_thread *t;

	switch (r->type) {
	case PERF_RECORD_SWITCH:
		t = need_thread(e, r->tid);
		if (t)
			change(e, t,
			       !r->is_out	 ? EDGE_ON
			       : r->is_preempted ? EDGE_READY
						 : EDGE_WAITING,
			       r->time_ns);
		break;
	case PERF_RECORD_LOST:
		e->n_lost += r->lost ? r->lost : 1;
		forget_states(e, r->time_ns);
		break;
	case PERF_RECORD_EXIT:
		if (e->n_slots)
			remove_thread(e, r->tid);
		break;
	default: /* one that was started tells of itself when it runs */
		break;
	}
}

static void ring_take(struct edge_ring *r, size_t size)
{
	r->tail += size;
	__atomic_store_n(&r->page->data_tail, r->tail, __ATOMIC_RELEASE);
}

static size_t take_records(struct edges *e, uint64_t now_ns)
{
	size_t n = 0;

	for (;;) {
		struct edge_record first = {.time_ns = UINT64_MAX}, r;
		struct edge_ring *from = NULL;
		size_t size = 0;

		for (unsigned i = 0; i < e->n_cpus; i++) {
			size_t bytes = ring_peek(&e->records[i], &r);

			if (!bytes || r.time_ns > now_ns || r.time_ns >= first.time_ns)
				continue;
			first = r;
			from = &e->records[i];
			size = bytes;
		}
		if (!from)
			return n;
		ring_take(from, size);
		take(e, &first);
		n++;
	}
}

/*
 * A ring that is full takes no more records, and says so only with the next one that it takes: till
 * then what was the last state of a thread need not be the present one.
 */
static bool is_nearly_full(const struct edges *e)
{
	for (unsigned i = 0; i < e->n_cpus; i++) {
		if (ring_head(&e->records[i]) - e->records[i].tail > EDGE_RING_BYTES - FULL_BYTES)
			return true;
	}
	return false;
}

size_t edges_read(struct edges *e, uint64_t now_ns)
{
	bool was_full = is_nearly_full(e);
	size_t n = take_records(e, now_ns);

	if (was_full)
		forget_states(e, now_ns);
	return n;
}

uint64_t edges_n_lost(const struct edges *e)
{
	return e->n_lost;
}

uint64_t edges_lost_ns(const struct edges *e)
{
	return e->lost_ns;
}

void edges_note_waiting(struct edges *e, const struct edge_delivery *d)
{
	struct edge_thread *t;

	if (d->asked_ns <= e->lost_ns)
		return;
	t = need_thread(e, d->tid);
	if (!t || t->state != EDGE_UNKNOWN)
		return;
	t->target_tid = d->target_tid;
	change(e, t, EDGE_WAITING, t->since_ns > e->lost_ns ? t->since_ns : e->lost_ns);
}

/* --- sleeping --- */

static bool has_records(const struct edges *e)
{
	for (unsigned i = 0; i < e->n_cpus; i++) {
		if (ring_head(&e->records[i]) != e->records[i].tail)
			return true;
	}
	return false;
}

bool edges_wait(struct edges *e, int wake_fd, uint64_t timeout_ns)
{
	struct timespec timeout = {
	    .tv_sec = (time_t)(timeout_ns / NS_PER_S),
	    .tv_nsec = (long)(timeout_ns % NS_PER_S),
	};
	uint64_t count;
	nfds_t n = 0;

	if (has_records(e))
		return true;
	set_alarms(e, ALARM_ROOM);
	for (unsigned i = 0; i < e->n_cpus; i++)
		e->polled[n++] = (struct pollfd){.fd = e->alarms[i].fd, .events = POLLIN};
	e->polled[n++] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
	/* Since the rings were looked at and before the alarm was on, something may have come. */
	if (!has_records(e) && ppoll(e->polled, n, &timeout, NULL) > 0) {
		e->is_over |= !!(e->polled[0].revents & POLLHUP);
		/* What it counts does not matter, and that it is empty neither. */
		if (e->polled[n - 1].revents && read(wake_fd, &count, sizeof(count)) < 0)
			count = 0;
	}
	set_alarms(e, 0);
	return has_records(e);
}

void edges_sleep(struct edges *e, uint64_t timeout_ns)
{
	struct timespec timeout = {
	    .tv_sec = (time_t)(timeout_ns / NS_PER_S),
	    .tv_nsec = (long)(timeout_ns % NS_PER_S),
	};

	for (unsigned i = 0; i < e->n_cpus; i++)
		e->polled[i] = (struct pollfd){.fd = e->records[i].fd, .events = POLLIN};
	if (ppoll(e->polled, e->n_cpus, &timeout, NULL) > 0)
		e->is_over |= !!(e->polled[0].revents & POLLHUP);
}

bool edges_are_over(const struct edges *e)
{
	return e->is_over;
}

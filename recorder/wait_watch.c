/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/wait_watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "recorder/oncpu/edge_inbox.h"
#include "recorder/oncpu/native_stack.h"
#include "recorder/oncpu/wait_decode.h"
#include "recorder/oncpu/wait_link.h"
#include "recorder/trace_writer.h"
#include "recorder/wait_places.h"
#include "recorder/wait_queue.h"
#include "recorder/wait_stack.h"

/*
 * Looks per second, in the long run: some 50 us each, and 80 more for a stack. Of what was not
 * spent, some seconds' worth is kept: a hundred threads can begin to wait at once.
 */
#define REASONS_PER_S 200
#define STACKS_PER_S  50
#define SAVED_S	      4

/* Waits that are to be looked at, at most one of each thread: the last. */
#define MAX_PENDING 1024
/* So often it is tried again whether there is something to spend. */
#define RETRY_MS 10

/* Threads whose last wait is remembered. */
#define N_REMEMBERED 16

/* What was found waits to be fetched; beyond that many it is lost. */
#define MAX_FOUND 4096

/* So much may be spent. */
struct allowance {
	double per_s, left;
	uint64_t at_ns;
};

struct found {
	struct wait_notice notice;
	uint64_t taken_ns;
	struct wait_about about; /* its texts are owned */
};

/* A wait that is to be looked at, or whose stack is. */
struct pending {
	struct wait_notice notice;
	bool has_reason;
	struct thread_facts facts;
	struct wait_about about; /* its texts are owned */
};

/*
 * What was asked about the last wait of a thread: the next one is often the same. While its system
 * call, arguments and the registers that are known are the same, what is behind its descriptors
 * and its native stack are taken to be, for a while: to ask for them takes fifty times as long.
 */
#define SAME_NS (10 * NS_PER_S)
struct remembered {
	uint32_t tid; /* 0: nothing is remembered */
	char syscall[WAIT_SYSCALL_MAX];
	uint64_t asked_ns;
	struct {
		int fd;
		struct fd_facts *facts;
	} fds[WAIT_FDS_DESCRIBED];
	size_t n_fds;
	bool has_asked_peer;
	char peer[WAIT_PEER_MAX]; /* "": none */
	char *native;
	int is_native_complete;
};

struct wait_watch {
	struct wait_queue *queue;
	struct wait_places *places;
	struct edge_inbox *inbox;
	int sock;
	struct memory mem;
	struct native_unwinder *unwinder;
	struct allowance reasons, stacks;
	struct remembered remembered[N_REMEMBERED];
	struct pending *pending; /* the oldest first */
	size_t n_pending, cap_pending;
	int64_t to_realtime_ns;
	bool is_link_broken;
	atomic_bool stop;
	pthread_t thread;

	pthread_mutex_t lock; /* of what follows */
	struct found *found;
	size_t n_found, cap_found;
};

static bool spend(struct allowance *a, uint64_t now_ns)
{
	a->left += (double)(now_ns - a->at_ns) / 1e9 * a->per_s;
	a->at_ns = now_ns;
	if (a->left > SAVED_S * a->per_s)
		a->left = SAVED_S * a->per_s;
	if (a->left < 1)
		return false;
	a->left--;
	return true;
}

/* --- asking --- */

struct source {
	struct wait_watch *watch;
	struct remembered *known;
};

static int note_link(struct wait_watch *w, int r)
{
	w->is_link_broken |= r == -EPIPE || r == -EBADMSG;
	return r;
}

static int read_fd(void *ctx, int fd, struct fd_facts *ret)
{
	const struct source *s = ctx;
	struct remembered *m = s->known;
	int r;

	for (size_t i = 0; i < m->n_fds; i++) {
		if (m->fds[i].fd == fd) {
			*ret = *m->fds[i].facts;
			return 0;
		}
	}
	r = note_link(s->watch, wait_link_fd(s->watch->sock, m->tid, fd, ret));
	if (r == 0 && m->n_fds < WAIT_FDS_DESCRIBED) {
		m->fds[m->n_fds].fd = fd;
		m->fds[m->n_fds].facts = xmalloc(sizeof(*ret));
		*m->fds[m->n_fds++].facts = *ret;
	}
	return r;
}

static int read_child(void *ctx, int32_t pid, struct child_facts *ret)
{
	const struct source *s = ctx;

	return note_link(s->watch, wait_link_child(s->watch->sock, pid, ret));
}

static int open_file(void *ctx, const struct native_file *file)
{
	struct wait_watch *w = ctx;

	return wait_link_file(w->sock, file);
}

/* --- one wait --- */

/* Ours, though the writer sees it as const. */
static void free_text(const char *text)
{
	union {
		const char *lent;
		char *owned;
	} p = {.lent = text};

	free(p.owned);
}

static void free_about(struct wait_about *a)
{
	free_text(a->kind);
	free_text(a->call);
	free_text(a->what);
	free_text(a->peer);
	free_text(a->native);
}

static char *copy(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static struct wait_about copy_about(const struct wait_about *about)
{
	struct wait_about a = *about;

	a.kind = copy(about->kind);
	a.call = copy(about->call);
	a.what = copy(about->what);
	a.peer = copy(about->peer);
	a.native = copy(about->native);
	return a;
}

/* What is known by now: true if the wait goes on until taken_ns. */
static void keep(struct wait_watch *w, const struct wait_notice *notice,
		 const struct wait_about *about, uint64_t taken_ns)
{
	struct found found = {.notice = *notice, .taken_ns = taken_ns};

	pthread_mutex_lock(&w->lock);
	if (w->n_found < MAX_FOUND) {
		found.about = copy_about(about);
		w->found = xgrow(w->found, &w->cap_found, w->n_found + 1, sizeof(*w->found));
		w->found[w->n_found++] = found;
	}
	pthread_mutex_unlock(&w->lock);
}

/*
 * A thread that waits for the GIL sleeps in pthread_cond_timedwait() on the condition that the
 * GIL's struct holds (Python/ceval_gil.c, take_gil()): two numbers, a pointer, a flag, then two
 * conditions with their mutexes.
 */
#define GIL_BYTES 208

static bool is_gil(const struct wait_notice *notice, const struct wait_reason *reason)
{
	return reason->kind == WAIT_FUTEX && notice->gil && reason->futex >= notice->gil &&
	       reason->futex < notice->gil + GIL_BYTES;
}

static void name_gil(const struct wait_notice *notice, struct wait_about *about, char *buf,
		     size_t size)
{
	if (notice->gil_holder)
		snprintf(buf, size, "GIL, held by thread %u", notice->gil_holder);
	else
		snprintf(buf, size, "GIL");
	about->kind = "gil";
	about->what = buf;
}

static void forget(struct remembered *m)
{
	for (size_t i = 0; i < m->n_fds; i++)
		free(m->fds[i].facts);
	free(m->native);
	*m = (struct remembered){0};
}

/* What is known of this very wait from the last time, if anything. */
static struct remembered *recall(struct wait_watch *w, uint32_t tid,
				 const struct thread_facts *facts, uint64_t now_ns)
{
	struct remembered *m = &w->remembered[tid % N_REMEMBERED];

	if (m->tid == tid && now_ns - m->asked_ns < SAME_NS &&
	    strncmp(m->syscall, facts->syscall, sizeof(m->syscall)) == 0)
		return m;
	forget(m);
	m->tid = tid;
	m->asked_ns = now_ns;
	memcpy(m->syscall, facts->syscall, sizeof(m->syscall));
	return m;
}

/* Lent as long as m. NULL: none. */
static const char *find_peer(struct wait_watch *w, struct remembered *m,
			     const struct wait_reason *reason)
{
	struct peer_question question;

	if (!peer_question_make(reason, &question))
		return NULL;
	if (!m->has_asked_peer) {
		m->has_asked_peer = true;
		if (note_link(w, wait_link_peer(w->sock, &question, m->peer)) < 0)
			m->peer[0] = '\0';
	}
	return m->peer[0] ? m->peer : NULL;
}

static void fill_about(const struct wait_reason *reason, struct wait_about *about)
{
	about->kind = wait_kind_name(reason->kind);
	about->call = reason->syscall_name ? reason->syscall_name : "";
	about->what = reason->summary;
	about->polled = reason->n_fds;
	if (wait_is_multiplexed(reason) && about->polled < 2)
		about->polled = 2;
	else if (!wait_is_multiplexed(reason) && about->polled > 1)
		about->polled = 1;
}

/* Others than those that are repeated are asked about each time. */
static void learn(struct wait_watch *w, const struct wait_reason *reason,
		  const struct wait_about *about)
{
	if (wait_about_is_repeated(about) && about->native && !reason->error)
		wait_places_learn(w->places, about->place,
				  hash_bytes(about->what, strlen(about->what)), about->sleep_ns,
				  clock_monotonic_ns());
}

/* Returns whether there is a reason, and a stack still to be found. */
static bool find_reason(struct wait_watch *w, struct pending *p)
{
	struct source source = {.watch = w};
	const struct wait_sources sources = {
	    .read_fd = read_fd, .read_child = read_child, .ctx = &source};
	const struct wait_clock clock = {
	    .start_ns = p->notice.since_ns,
	    .to_realtime_ns = w->to_realtime_ns,
	};
	struct wait_about about = {0};
	struct wait_reason reason;
	char gil[64];

	if (note_link(w, wait_link_thread(w->sock, p->notice.tid, &p->facts)) < 0)
		return false;
	source.known = recall(w, p->notice.tid, &p->facts, clock_monotonic_ns());
	wait_decode(&p->facts, &w->mem, &sources, &clock, &reason);
	if (reason.kind == WAIT_RUNNING)
		return false;
	fill_about(&reason, &about);
	if (is_gil(&p->notice, &reason))
		name_gil(&p->notice, &about, gil, sizeof(gil));
	about.peer = find_peer(w, source.known, &reason);
	about.native = source.known->native;
	about.is_native_complete = source.known->is_native_complete;
	about.place = p->notice.place;
	about.sleep_ns = reason.kind == WAIT_SLEEP ? reason.timeout_ns : 0;
	keep(w, &p->notice, &about, clock_monotonic_ns());
	learn(w, &reason, &about);
	if (about.native)
		return false;
	p->about = copy_about(&about);
	p->has_reason = true;
	return true;
}

static void fetch_figures(struct wait_watch *w, uint32_t target_tid)
{
	struct edge_delivery d = {.target_tid = target_tid};

	if (!w->inbox)
		return;
	/* One that is not there has ended, or was none. */
	d.fd = note_link(w, wait_link_sched(w->sock, target_tid, &d.tid));
	if (d.fd >= 0)
		edge_inbox_put(w->inbox, &d);
}

/* One that runs tells of itself when it stops. */
static void fetch_state(struct wait_watch *w, uint32_t target_tid)
{
	struct edge_delivery d = {
	    .target_tid = target_tid, .fd = -1, .asked_ns = clock_monotonic_ns()};
	struct thread_facts facts;
	int fd;

	if (!w->inbox)
		return;
	fd = note_link(w, wait_link_sched(w->sock, target_tid, &d.tid));
	if (fd < 0)
		return;
	close(fd);
	if (note_link(w, wait_link_thread(w->sock, d.tid, &facts)) == 0 &&
	    !wait_facts_is_running(&facts))
		edge_inbox_put(w->inbox, &d);
}

/* Whether it waits still, or again, as it did: then what was read meanwhile is true. */
static bool is_same_wait(struct wait_watch *w, const struct pending *p)
{
	struct thread_facts now;

	return note_link(w, wait_link_thread(w->sock, p->notice.tid, &now)) == 0 &&
	       strncmp(now.syscall, p->facts.syscall, sizeof(now.syscall)) == 0;
}

/*
 * Unwinding is dear, so it is done for a new wait only, and not too often. It may be over by now:
 * what is remembered for others like it has to be certain.
 */
static void find_stack(struct wait_watch *w, struct pending *p)
{
	uint64_t taken_ns = clock_monotonic_ns();
	struct remembered *m = recall(w, p->notice.tid, &p->facts, taken_ns);
	struct wait_about about = p->about;

	if (!m->native) {
		m->native = wait_stack_text(w->unwinder, p->facts.syscall, &taken_ns,
					    &m->is_native_complete);
		if (!m->native)
			return;
		if (!is_same_wait(w, p)) {
			forget(m);
			return;
		}
	}
	about.native = m->native;
	about.is_native_complete = m->is_native_complete;
	keep(w, &p->notice, &about, taken_ns);
}

/* --- those that are to be looked at --- */

/* An older one of its thread is over. */
static void add_pending(struct wait_watch *w, const struct wait_notice *notice)
{
	size_t i = 0;

	while (i < w->n_pending && w->pending[i].notice.thread != notice->thread)
		i++;
	if (i < w->n_pending) {
		free_about(&w->pending[i].about);
	} else {
		if (i == MAX_PENDING)
			return;
		w->pending = xgrow(w->pending, &w->cap_pending, i + 1, sizeof(*w->pending));
		w->n_pending++;
	}
	w->pending[i] = (struct pending){.notice = *notice};
}

static void drop_pending(struct wait_watch *w, size_t i)
{
	free_about(&w->pending[i].about);
	w->n_pending--;
	memmove(&w->pending[i], &w->pending[i + 1], (w->n_pending - i) * sizeof(*w->pending));
}

static void take_notices(struct wait_watch *w)
{
	struct wait_notice notice;

	wait_queue_begin(w->queue);
	while (wait_queue_take(w->queue, &notice)) {
		if (notice.since_ns)
			add_pending(w, &notice);
		else if (notice.wants_state)
			fetch_state(w, notice.tid);
		else
			fetch_figures(w, notice.tid);
	}
}

/* Returns whether there was one to do, and something to spend for it. */
static bool find_next_reason(struct wait_watch *w)
{
	size_t i = 0;

	while (i < w->n_pending && w->pending[i].has_reason)
		i++;
	if (i == w->n_pending || !spend(&w->reasons, clock_monotonic_ns()))
		return false;
	if (!find_reason(w, &w->pending[i]))
		drop_pending(w, i);
	return true;
}

static bool find_next_stack(struct wait_watch *w)
{
	size_t i = 0;

	while (i < w->n_pending && !w->pending[i].has_reason)
		i++;
	if (i == w->n_pending || !spend(&w->stacks, clock_monotonic_ns()))
		return false;
	find_stack(w, &w->pending[i]);
	drop_pending(w, i);
	return true;
}

/*
 * All reasons before any stack: reading the symbols of a library can take long, and the waits be
 * over by then.
 */
static void *watch(void *arg)
{
	struct wait_watch *w = arg;

	while (!atomic_load(&w->stop) && !w->is_link_broken) {
		struct pollfd p = {.fd = wait_queue_fd(w->queue), .events = POLLIN};

		take_notices(w);
		if (find_next_reason(w) || find_next_stack(w))
			continue;
		poll(&p, 1, w->n_pending ? RETRY_MS : -1);
	}
	return NULL;
}

int wait_watch_new(struct wait_queue *queue, struct wait_places *places, int sock, int mem_fd,
		   int maps_fd, struct edge_inbox *inbox, struct wait_watch **ret)
{
	struct wait_watch *w = xcalloc(1, sizeof(*w));
	uint64_t now_ns = clock_monotonic_ns();
	int r;

	w->queue = queue;
	w->places = places;
	w->inbox = inbox;
	w->sock = sock;
	memory_init_fd(&w->mem, mem_fd); /* lent: never closed here */
	w->unwinder = native_unwinder_new(&w->mem, maps_fd, open_file, w);
	w->reasons = (struct allowance){REASONS_PER_S, SAVED_S * REASONS_PER_S, now_ns};
	w->stacks = (struct allowance){STACKS_PER_S, SAVED_S * STACKS_PER_S, now_ns};
	w->to_realtime_ns = (int64_t)(clock_realtime_ns() - now_ns);
	pthread_mutex_init(&w->lock, NULL);
	r = pthread_create(&w->thread, NULL, watch, w);
	if (r != 0) {
		native_unwinder_free(w->unwinder);
		pthread_mutex_destroy(&w->lock);
		free(w);
		return -r;
	}
	*ret = w;
	return 0;
}

void wait_watch_free(struct wait_watch *w)
{
	if (!w)
		return;
	atomic_store(&w->stop, true);
	wait_queue_wake(w->queue);
	pthread_join(w->thread, NULL);
	for (size_t i = 0; i < w->n_found; i++)
		free_about(&w->found[i].about);
	free(w->found);
	while (w->n_pending)
		drop_pending(w, w->n_pending - 1);
	free(w->pending);
	for (size_t i = 0; i < N_REMEMBERED; i++)
		forget(&w->remembered[i]);
	native_unwinder_free(w->unwinder);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void wait_watch_collect(struct wait_watch *w, struct trace_writer *writer)
{
	struct found *found;
	size_t n;

	pthread_mutex_lock(&w->lock);
	found = w->found;
	n = w->n_found;
	w->found = NULL;
	w->n_found = w->cap_found = 0;
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < n; i++) {
		trace_writer_wait(writer, found[i].notice.thread, found[i].notice.since_ns,
				  found[i].taken_ns, &found[i].about);
		free_about(&found[i].about);
	}
	free(found);
}

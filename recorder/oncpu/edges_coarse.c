/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/edges_coarse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/xalloc.h"

/* With many threads so rarely that they take about half a percent of the time. */
#define READ_PER_THREAD_NS (250 * NS_PER_US)

/* Less than that of waiting for a CPU is part of any wait. */
#define READY_MIN_NS NS_PER_MS

struct coarse_thread {
	struct edge_thread edge;
	int fd;
	bool is_known; /* figures have been read */
	struct sched_figures last;
	uint64_t read_ns;   /* when these were read */
	uint64_t ran_ns;    /* the read that last showed that it had run */
	uint64_t before_ns; /* the read before that one */
	/* Of the last time that it went on: */
	uint64_t on_ns;
	struct sched_figures at_on;
};

struct edges_coarse {
	struct edges_ops ops;
	struct coarse_thread *threads[EDGES_COARSE_MAX];
	size_t n;
	uint64_t due_ns;
};

static struct coarse_thread *coarse_of(struct edge_thread *t)
{
	return (struct coarse_thread *)t; /* its first member */
}

/* "22347201 1338223 105\n" */
int sched_figures_read(int fd, struct sched_figures *ret)
{
	char text[80], *at = text, *end;
	uint64_t numbers[3];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return n == 0 ? -ESRCH : -errno;
	text[n] = '\0';
	for (int i = 0; i < 3; i++, at = end) {
		numbers[i] = strtoull(at, &end, 10);
		if (end == at)
			return -EBADMSG;
	}
	*ret = (struct sched_figures){numbers[0], numbers[1], numbers[2]};
	return 0;
}

struct edges_coarse *edges_coarse_new(const struct edges_ops *ops)
{
	struct edges_coarse *e = xcalloc(1, sizeof(*e));

	e->ops = *ops;
	return e;
}

static void thread_free(struct coarse_thread *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

void edges_coarse_free(struct edges_coarse *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->n; i++)
		thread_free(e->threads[i]);
	free(e);
}

struct edge_thread *edges_coarse_add(struct edges_coarse *e, uint32_t tid, uint32_t target_tid,
				     int fd, void *owner)
{
	struct coarse_thread *c;

	if (e->n == EDGES_COARSE_MAX) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	c->edge = (struct edge_thread){
	    .tid = tid, .target_tid = target_tid, .owner = owner, .is_guess = true};
	c->fd = fd;
	e->threads[e->n++] = c;
	e->due_ns = 0;
	return &c->edge;
}

/* --- guessing --- */

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
	return value < min ? min : value > max ? max : value;
}

static void change(struct edges_coarse *e, struct coarse_thread *c, enum edge_state state,
		   uint64_t time_ns)
{
	enum edge_state was = c->edge.state;
	uint64_t start_ns = was == EDGE_UNKNOWN ? time_ns : c->edge.since_ns;

	c->edge.state = state;
	c->edge.since_ns = time_ns;
	e->ops.on_change(e->ops.ctx, &c->edge, was, start_ns, time_ns);
}

/* What it ran and waited for a CPU since it went on says how long that was. */
static void go_off(struct edges_coarse *e, struct coarse_thread *c)
{
	uint64_t used_ns = c->last.run_ns - c->at_on.run_ns + c->last.ready_ns - c->at_on.ready_ns;
	uint64_t off_ns = c->ran_ns;

	if (c->edge.state == EDGE_ON)
		off_ns = clamp(c->on_ns + used_ns, c->before_ns, c->ran_ns);
	change(e, c, EDGE_WAITING, off_ns < c->edge.since_ns ? c->edge.since_ns : off_ns);
}

/* It ran for the last time before now_ns, and waited for a CPU before that. */
static void go_on(struct edges_coarse *e, struct coarse_thread *c, const struct sched_figures *f,
		  uint64_t now_ns)
{
	uint64_t since_ns = c->edge.since_ns, ran_ns = f->run_ns - c->last.run_ns;
	uint64_t end_ns, ready_ns;

	/* It did not get the CPU anew, so it never lost it: its figures were late. */
	if (f->n_slices == c->last.n_slices) {
		change(e, c, EDGE_ON, since_ns);
		return;
	}
	end_ns = ran_ns < now_ns - c->read_ns ? now_ns - ran_ns : c->read_ns;
	ready_ns = clamp(f->ready_ns - c->last.ready_ns, 0, end_ns - since_ns);
	if (ready_ns >= READY_MIN_NS)
		change(e, c, EDGE_READY, end_ns - ready_ns);
	change(e, c, EDGE_ON, end_ns);
	c->on_ns = end_ns;
	c->at_on = *f;
	c->at_on.run_ns = c->last.run_ns;
}

static void on_moved(struct edges_coarse *e, struct coarse_thread *c, const struct sched_figures *f,
		     uint64_t now_ns)
{
	if (c->edge.state == EDGE_WAITING) {
		go_on(e, c, f, now_ns);
	} else if (c->edge.state == EDGE_UNKNOWN) {
		c->on_ns = c->read_ns;
		c->at_on = c->last;
		change(e, c, EDGE_ON, c->read_ns);
	}
	c->before_ns = c->read_ns;
	c->ran_ns = now_ns;
}

void edges_coarse_take(struct edges_coarse *e, struct edge_thread *t, const struct sched_figures *f,
		       uint64_t now_ns)
{
	struct coarse_thread *c = coarse_of(t);
	uint64_t ready_ns = c->last.ready_ns;

	if (!c->is_known) {
		c->is_known = true;
		c->ran_ns = c->before_ns = now_ns;
	} else if (f->run_ns != c->last.run_ns || f->n_slices != c->last.n_slices) {
		on_moved(e, c, f, now_ns);
	} else if (c->edge.state <= EDGE_ON && now_ns - c->ran_ns >= EDGES_COARSE_OFF_NS) {
		go_off(e, c);
	}
	c->last = *f;
	/* While it is off, what it waits for a CPU adds up until it gets one. */
	if (c->edge.state > EDGE_ON)
		c->last.ready_ns = ready_ns;
	c->read_ns = now_ns;
}

/* --- reading --- */

static void drop(struct edges_coarse *e, size_t i)
{
	struct coarse_thread *c = e->threads[i];

	e->threads[i] = e->threads[--e->n];
	if (c->edge.owner)
		e->ops.on_exit(e->ops.ctx, &c->edge);
	thread_free(c);
}

void edges_coarse_read(struct edges_coarse *e, uint64_t now_ns)
{
	uint64_t pause_ns = EDGES_COARSE_READ_REST_NS;

	if (now_ns < e->due_ns)
		return;
	for (size_t i = e->n; i-- > 0;) {
		struct coarse_thread *c = e->threads[i];
		struct sched_figures f = {0};

		if (!c->edge.owner || sched_figures_read(c->fd, &f) < 0) {
			drop(e, i);
			continue;
		}
		edges_coarse_take(e, &c->edge, &f, now_ns);
		if (c->edge.state <= EDGE_ON)
			pause_ns = EDGES_COARSE_READ_NS;
	}
	if (pause_ns < e->n * READ_PER_THREAD_NS)
		pause_ns = e->n * READ_PER_THREAD_NS;
	e->due_ns = now_ns + pause_ns;
}

void edges_coarse_read_one(struct edges_coarse *e, struct edge_thread *t, uint64_t now_ns)
{
	struct coarse_thread *c = coarse_of(t);
	struct sched_figures f = {0};

	/* That it has ended is noticed when all are read. */
	if (now_ns > c->read_ns && sched_figures_read(c->fd, &f) == 0)
		edges_coarse_take(e, t, &f, now_ns);
}

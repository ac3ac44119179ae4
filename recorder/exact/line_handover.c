/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/line_handover.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/xalloc.h"

int line_handover_send(int sock, const struct line_events *events)
{
	unsigned n, sent = 0;
	struct message m;
	int r = 0;

	if (!events) {
		message_init(&m, MSG_LINES);
		m.status = -ENODATA;
		return message_send(sock, &m);
	}
	n = line_events_n_cpus(events);
	while (r == 0 && sent < n) {
		message_init(&m, MSG_LINES);
		m.start = sent;
		m.end = n;
		m.ring_bytes = line_events_ring_bytes(events);
		m.is_inherited = line_events_are_inherited(events);
		while (m.n_fds < MESSAGE_FDS_MAX && sent < n)
			m.fds[m.n_fds++] = line_events_ring(events, sent++);
		r = message_send(sock, &m);
	}
	return r;
}

void line_ring_fds_done(struct line_ring_fds *r)
{
	for (unsigned i = 0; i < r->n_here; i++)
		close(r->fds[i]);
	free(r->fds);
	*r = (struct line_ring_fds){0};
}

int line_ring_fds_take(struct line_ring_fds *r, struct message *m)
{
	unsigned n = m->n_fds > 0 ? (unsigned)m->n_fds : 0;

	if (m->start == 0)
		line_ring_fds_done(r);
	if (m->status < 0 || n == 0 || m->end > LINE_CPUS_MAX || m->start != r->n_here ||
	    r->n_here + n > m->end || (r->n_here && m->end != r->n_cpus)) {
		message_close_fds(m);
		line_ring_fds_done(r);
		return m->status == -ENODATA ? -ENODATA : -EBADMSG;
	}
	r->n_cpus = (unsigned)m->end;
	r->ring_bytes = (size_t)m->ring_bytes;
	r->is_inherited = m->is_inherited;
	r->fds = xreallocarray(r->fds, r->n_cpus, sizeof(*r->fds));
	for (unsigned i = 0; i < n; i++)
		r->fds[r->n_here++] = m->fds[i];
	m->n_fds = 0;
	return r->n_here == r->n_cpus;
}

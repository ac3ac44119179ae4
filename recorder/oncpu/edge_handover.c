/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/edge_handover.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/xalloc.h"

/* The first descriptor of each message is that of the threads. */
#define CPUS_PER_MESSAGE ((MESSAGE_FDS_MAX - 1) / 2)

/* Of those that need no descriptors. */
static int send_source(int sock, enum edge_source source)
{
	struct message m;

	message_init(&m, MSG_EDGES);
	m.status = -ENODATA;
	m.end = source;
	return message_send(sock, &m);
}

int edge_handover_send(int sock, const struct edge_choice *choice)
{
	const struct edge_events *events = choice->events;
	unsigned n, sent = 0;

	if (choice->source != EDGES_EXACT)
		return send_source(sock, choice->source);
	n = edge_events_n_cpus(events);
	do {
		struct message m;
		int r;

		message_init(&m, MSG_EDGES);
		m.start = sent;
		m.end = n;
		m.fds[m.n_fds++] = edge_events_tasks(events);
		for (unsigned i = 0; i < CPUS_PER_MESSAGE && sent < n; i++, sent++) {
			m.fds[m.n_fds++] = edge_events_ring(events, sent);
			m.fds[m.n_fds++] = edge_events_alarm(events, sent);
		}
		r = message_send(sock, &m);
		if (r < 0)
			return r;
	} while (sent < n);
	return 0;
}

void edge_rings_done(struct edge_rings *rings)
{
	for (unsigned i = 0; i < 2 * rings->n_cpus_here; i++)
		close(rings->fds[i]);
	free(rings->fds);
	if (rings->tasks_fd >= 0)
		close(rings->tasks_fd);
	*rings = EDGE_RINGS_NONE;
}

enum edge_source edge_rings_source(const struct edge_rings *rings)
{
	return rings->status == 0 ? EDGES_EXACT : rings->is_coarse ? EDGES_COARSE : EDGES_NONE;
}

void edge_rings_take(struct edge_rings *rings, struct message *m)
{
	unsigned n_pairs = m->n_fds > 0 ? (unsigned)(m->n_fds - 1) / 2 : 0;

	if (m->start == 0)
		edge_rings_done(rings);
	if (m->status < 0 || m->n_fds < 1 || m->n_fds % 2 == 0 || m->end > EDGE_CPUS_MAX ||
	    m->start != rings->n_cpus_here || rings->n_cpus_here + n_pairs > m->end) {
		message_close_fds(m);
		edge_rings_done(rings);
		rings->status = m->status < 0 ? m->status : -EBADMSG;
		rings->is_coarse = m->status == -ENODATA && m->end == EDGES_COARSE;
		return;
	}
	if (m->start == 0)
		rings->tasks_fd = m->fds[0];
	else
		close(m->fds[0]);
	rings->n_cpus = (unsigned)m->end;
	rings->fds = xreallocarray(rings->fds, 2 * (size_t)rings->n_cpus, sizeof(*rings->fds));
	for (unsigned i = 0; i < 2 * n_pairs; i++)
		rings->fds[2 * rings->n_cpus_here + i] = m->fds[1 + i];
	rings->n_cpus_here += n_pairs;
	rings->status = rings->n_cpus_here == rings->n_cpus ? 0 : -EAGAIN;
	m->n_fds = 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Waits for any of several descriptors. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "recorder/oncpu/wait_private.h"

/* The descriptors that are waited for, the first of them. */
struct watched {
	int fds[WAIT_FDS_DESCRIBED];
	uint64_t inodes[WAIT_FDS_DESCRIBED]; /* 0: not known */
	uint8_t directions[WAIT_FDS_DESCRIBED];
	uint32_t n; /* of all of them */
};

static void watch(struct watched *w, int fd, uint64_t inode, enum wait_direction direction)
{
	if (w->n < WAIT_FDS_DESCRIBED) {
		w->fds[w->n] = fd;
		w->inodes[w->n] = inode;
		w->directions[w->n] = (uint8_t)direction;
	}
	w->n++;
}

static enum wait_direction find_direction(bool reads, bool writes)
{
	if (reads == writes)
		return WAIT_EITHER_WAY;
	return reads ? WAIT_FOR_INPUT : WAIT_FOR_OUTPUT;
}

static void read_pollfds(struct decoding *d, struct watched *w)
{
	remote_addr addr = get_arg(d, ARG_POLLFDS);
	uint64_t n = get_arg(d, ARG_COUNT);
	struct pollfd fds[64];

	if (n > WAIT_FDS_MAX)
		n = WAIT_FDS_MAX;
	while (n > 0) {
		uint64_t part = n < 64 ? n : 64;

		if (read_arg(d, addr, fds, part * sizeof(fds[0])) < 0)
			return;
		for (uint64_t i = 0; i < part; i++) {
			/* Negative ones are left out by the kernel, too. */
			if (fds[i].fd >= 0)
				watch(w, fds[i].fd, 0,
				      find_direction(fds[i].events & POLLIN,
						     fds[i].events & POLLOUT));
		}
		n -= part;
		addr += part * sizeof(fds[0]);
	}
}

#define SET_WORDS (WAIT_FDS_MAX / 64)

static void read_set(struct decoding *d, enum arg_role role, size_t n_words, uint64_t *words)
{
	remote_addr addr = get_arg(d, role);

	memset(words, 0, SET_WORDS * sizeof(*words));
	if (addr != 0 && read_arg(d, addr, words, n_words * sizeof(*words)) < 0)
		memset(words, 0, SET_WORDS * sizeof(*words));
}

static bool has_bit(const uint64_t *words, unsigned i)
{
	return words[i / 64] >> (i % 64) & 1;
}

static void read_sets(struct decoding *d, struct watched *w)
{
	uint64_t reads[SET_WORDS], writes[SET_WORDS], excepts[SET_WORDS];
	int n = get_int_arg(d, ARG_COUNT);
	size_t n_words;

	if (n <= 0)
		return;
	if (n > WAIT_FDS_MAX)
		n = WAIT_FDS_MAX;
	n_words = ((size_t)n + 63) / 64;
	read_set(d, ARG_READ_SET, n_words, reads);
	read_set(d, ARG_WRITE_SET, n_words, writes);
	read_set(d, ARG_EXCEPT_SET, n_words, excepts);
	for (unsigned i = 0; i < (unsigned)n; i++) {
		bool r = has_bit(reads, i), wr = has_bit(writes, i);

		if (r || wr || has_bit(excepts, i))
			watch(w, (int)i, 0, find_direction(r, wr));
	}
}

/* Few words for many descriptors: how many there are differs from wait to wait. */
static void summarise_count(struct decoding *d, uint32_t n)
{
	if (n < 10)
		bounded_text_add(&d->summary, "%s: %u descriptor%s", d->row->name, n,
				 n == 1 ? "" : "s");
	else
		bounded_text_add(&d->summary, "%s: %s descriptors", d->row->name,
				 n < 100 ? "10 or more" : "100 or more");
}

static void summarise_one(struct decoding *d, const struct fd_object *object)
{
	const char *service = find_name_service(object);

	if (service)
		describe_name_service(d, object, service);
	else
		bounded_text_add(&d->summary, "%s: %s", d->row->name, object->name);
}

/* Returns whether the object is the one that is watched. */
static bool describe_watched(struct decoding *d, const struct watched *w, uint32_t i,
			     struct fd_object *object)
{
	if (describe_fd(d, w->fds[i], object) < 0)
		return false;
	/* An epoll goes on watching what has another descriptor by now. */
	if (w->inodes[i] == 0 || object->inode == 0 || w->inodes[i] == object->inode)
		return true;
	snprintf(object->name, sizeof(object->name), "unknown object");
	return false;
}

static void describe_one(struct decoding *d, const struct watched *w)
{
	struct fd_object object;

	if (describe_watched(d, w, 0, &object)) {
		summarise_one(d, &object);
		take_object(d, w->fds[0], &object);
	} else {
		summarise_one(d, &object);
		d->out->fd = w->fds[0];
		add_detail(d, "fd %d", w->fds[0]);
	}
	d->out->direction = w->directions[0];
}

/* Returns how many of them there was room for. */
static uint32_t detail_each(struct decoding *d, const struct watched *w, const char **ret_service)
{
	uint32_t n = w->n < WAIT_FDS_DESCRIBED ? w->n : WAIT_FDS_DESCRIBED;
	struct fd_object object, server = {0};
	uint32_t n_services = 0;

	for (uint32_t i = 0; i < n; i++) {
		describe_watched(d, w, i, &object);
		add_detail(d, "fd %d %s", w->fds[i], object.name);
		if (find_name_service(&object)) {
			server = object;
			n_services++;
		}
		if (i == 0) {
			d->out->fd = w->fds[i];
			d->out->fd_kind = (uint8_t)object.kind;
		}
	}
	*ret_service = NULL;
	if (n > 0 && n_services == w->n) {
		*ret_service = find_name_service(&server);
		describe_name_service(d, &server, *ret_service);
	}
	return n;
}

static void describe_several(struct decoding *d, const struct watched *w)
{
	const char *service;
	uint32_t n = detail_each(d, w, &service);

	/* A resolver may ask some servers at once. */
	if (!service)
		summarise_count(d, w->n);
	if (w->n > n)
		add_detail(d, "and %u more", w->n - n);
}

/* The summary counts them, or names the only one: what they are is told with the wait. */
static void describe_watches(struct decoding *d, const struct epoll_watch *watches, uint32_t n)
{
	struct fd_object object;
	struct watched w = {0};

	for (uint32_t i = 0; i < n && i < WAIT_FDS_DESCRIBED; i++)
		watch(&w, watches[i].fd, watches[i].inode, WAIT_EITHER_WAY);
	if (n != 1)
		summarise_count(d, n);
	for (uint32_t i = 0; i < w.n; i++) {
		describe_watched(d, &w, i, &object);
		if (n == 1)
			bounded_text_add(&d->summary, "%s: %s", d->row->name, object.name);
		add_detail(d, "fd %d %s", w.fds[i], object.name);
	}
	if (n > w.n)
		add_detail(d, "and %u more", n - w.n);
}

static void describe_epoll(struct decoding *d)
{
	struct epoll_watch watches[WAIT_FDS_DESCRIBED];
	int fd = get_int_arg(d, ARG_FD);
	struct fd_object epoll;
	uint32_t n;

	if (describe_fd(d, fd, &epoll) < 0 || epoll.kind != FD_EPOLL) {
		bounded_text_add(&d->summary, "%s: %s", d->row->name, epoll.name);
		take_object(d, fd, &epoll);
		return;
	}
	n = epoll_watches_parse(d->fd_facts->info, watches, WAIT_FDS_DESCRIBED);
	take_object(d, fd, &epoll);
	d->out->n_fds = n;
	describe_watches(d, watches, n);
}

void describe_poll(struct decoding *d)
{
	struct watched w = {0};

	if (has_arg(d, ARG_FD)) {
		describe_epoll(d);
		add_timeout(d);
		return;
	}
	if (has_arg(d, ARG_POLLFDS))
		read_pollfds(d, &w);
	else if (has_arg(d, ARG_READ_SET))
		read_sets(d, &w);
	if (w.n == 1) {
		describe_one(d, &w);
	} else if (w.n > 1) {
		describe_several(d, &w);
	} else if (has_arg(d, ARG_COUNT) && d->out->error == 0) {
		/* An old way to sleep for less than a second. */
		d->out->kind = WAIT_SLEEP;
		add_sleep(d);
		return;
	} else {
		bounded_text_add(&d->summary, "%s", d->row->name);
	}
	d->out->n_fds = w.n;
	add_timeout(d);
}

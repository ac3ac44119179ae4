/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/channel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/read_fully.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/target/mappings.h"

void channel_want_stop(struct channel *c, const char *reason)
{
	if (c->stop_wanted)
		return;
	c->stop_wanted = true;
	snprintf(c->stop_reason, sizeof(c->stop_reason), "%s", reason);
}

/* To be dealt with later. */
static void keep(struct channel *c, struct message *m)
{
	if (c->n_later == CHANNEL_LATER_MAX) {
		message_close_fds(m);
		return;
	}
	c->later = xreallocarray(c->later, c->n_later + 1, sizeof(*c->later));
	c->later[c->n_later++] = *m;
}

int channel_receive(struct channel *c, struct message *ret)
{
	if (!c->n_later)
		return message_receive(c->sock, ret);
	*ret = c->later[0];
	c->n_later--;
	memmove(c->later, c->later + 1, c->n_later * sizeof(*c->later));
	return 0;
}

bool channel_has_message(const struct channel *c)
{
	return c->n_later > 0;
}

void channel_done(struct channel *c)
{
	for (unsigned i = 0; i < c->n_later; i++)
		message_close_fds(&c->later[i]);
	free(c->later);
	c->later = NULL;
	c->n_later = 0;
}

static int request_file(struct channel *c, struct message *request)
{
	struct message m;
	int r;

	r = message_send(c->sock, request);
	while (r == 0) {
		r = message_receive(c->sock, &m);
		if (r < 0)
			break;
		if (m.type == MSG_FILE)
			return m.n_fds == 1 ? m.fds[0] : m.status < 0 ? m.status : -EBADMSG;
		if (m.type == MSG_STOP)
			channel_want_stop(c, m.text);
		else
			keep(c, &m);
	}
	channel_want_stop(c, "recorder ended");
	return r;
}

int channel_open_image(void *ctx, const struct mapping *mapping)
{
	struct message m;

	message_init(&m, MSG_WANT_IMAGE);
	m.start = mapping->start;
	m.end = mapping->end;
	return request_file(ctx, &m);
}

/* The attacher has checked that it is a regular file of a bearable size; it may change. */
static int read_whole_file(int fd, char **ret_text, size_t *ret_len)
{
	auto_free char *text = NULL;
	struct stat st;
	size_t len;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || st.st_size > SOURCE_MAX_BYTES)
		return -EFBIG;
	text = xmalloc((size_t)st.st_size + 1);
	r = read_fully(fd, text, (size_t)st.st_size, &len);
	if (r < 0)
		return r;
	text[len] = '\0';
	*ret_text = steal_ptr(text);
	*ret_len = len;
	return 0;
}

int channel_read_source(void *ctx, const char *path, char **ret_text, size_t *ret_len)
{
	auto_close int fd = -1;
	struct message m;

	message_init(&m, MSG_WANT_SOURCE);
	if (strlen(path) >= sizeof(m.path))
		return -ENAMETOOLONG;
	snprintf(m.path, sizeof(m.path), "%s", path);
	fd = request_file(ctx, &m);
	return fd < 0 ? fd : read_whole_file(fd, ret_text, ret_len);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker's end of the socket to the attacher: asking for files, and the wish to stop, which
 * may arrive while an answer is awaited.
 */
#ifndef RECORDER_CHANNEL_H
#define RECORDER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "recorder/handover.h"

struct mapping;

/* What is sent unasked while an answer is awaited is kept; there are never so many. */
#define CHANNEL_LATER_MAX 64

struct channel {
	int sock;
	struct message *later; /* kept, in the order in which they came */
	unsigned n_later;
	bool stop_wanted;
	char stop_reason[MESSAGE_TEXT_MAX];
};

/* Remember that the recording is to end; the first reason counts. */
void channel_want_stop(struct channel *c, const char *reason);

/*
 * The next message: one that was kept, or the socket's next one, which is waited for.
 * Returns as message_receive().
 */
int channel_receive(struct channel *c, struct message *ret);
/* Whether channel_receive() has one that it need not wait for. */
bool channel_has_message(const struct channel *c);
void channel_done(struct channel *c);

/* For py_locate(); ctx is a struct channel. */
int channel_open_image(void *ctx, const struct mapping *mapping);

/* For trace_writer_create(); ctx is a struct channel. */
int channel_read_source(void *ctx, const char *path, char **ret_text, size_t *ret_len);

#endif

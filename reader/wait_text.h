/* SPDX-License-Identifier: BSD-3-Clause */
/* What a wait was for, and when, in words. */
#ifndef READER_WAIT_TEXT_H
#define READER_WAIT_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "common/text.h"
#include "common/wait_codec.h"

struct trace;

/*
 * "poll: 2 descriptors", "recv from UNIX socket (server-db)" with the name of the trace that is at
 * the other end, "waiting for a CPU", "not known"; safe to print. The caller frees.
 */
char *wait_reason_text(struct trace *t, const struct wait_kind *kind, enum text_charset charset);

/*
 * In a sentence: "waiting for server-db: recv from UNIX socket", "waiting: sleep"; not for a wait
 * for a CPU. The caller frees.
 */
char *wait_peer_text(struct trace *t, const struct wait_kind *kind, enum text_charset charset);

#define WALL_TIME_SIZE 32
/* "2026-11-25 03:40:11.123", in the zone of where it was recorded; "?" when that is not known. */
void format_wall_time(struct trace *t, uint64_t monotonic_ns, char buf[static WALL_TIME_SIZE]);

#endif

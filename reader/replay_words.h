/* SPDX-License-Identifier: BSD-3-Clause */
/* What replay says of a place, in words, for each way of showing it. */
#ifndef READER_REPLAY_WORDS_H
#define READER_REPLAY_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "common/text.h"
#include "reader/replay.h"

/*
 * The path of a file and the name of a function, harmless to print; "-" when there is none. The
 * caller frees.
 * @special  as in text_escape()
 */
char *replay_path(struct replay *r, uint32_t file, const char *special, enum text_charset charset);
char *replay_function(struct replay *r, uint32_t code, const char *special,
		      enum text_charset charset);
uint32_t replay_file_of(struct replay *r, uint32_t code);

/* "on-cpu", "waiting", "ready", or NULL when it is not known. */
const char *thread_activity_name(enum thread_activity a);

#define REPLAY_FLAGS_MAX 10
/*
 * What is to be known of a place besides where it is: short words such as "end-of-trace" and
 * "sampled". Returns their number.
 */
size_t replay_flags(const struct replay *r, const struct place *p,
		    const char *ret[static REPLAY_FLAGS_MAX]);

#endif

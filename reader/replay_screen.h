/* SPDX-License-Identifier: BSD-3-Clause */
/* Replay in a terminal. The only part of the reader, with its replay_screen_*.c, that knows curses.
 */
#ifndef READER_REPLAY_SCREEN_H
#define READER_REPLAY_SCREEN_H

#include <stdbool.h>

struct replay;

/*
 * Until the user leaves. Standard input and output must be a terminal.
 * @follow  begin with following the trace's end
 * Returns 0, or -ENOTTY when the terminal can't do it.
 */
int replay_screen(struct replay *r, bool follow);

#endif

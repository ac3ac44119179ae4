/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Long output goes through a pager when it is for a terminal, the way git does it:
 * $TRACKEXEC_PAGER, else $PAGER, else less; none when that is empty or "cat".
 */
#ifndef READER_PAGER_H
#define READER_PAGER_H

#include <stdbool.h>

#include <sys/types.h>

struct pager {
	pid_t pid;     /* 0: there is none */
	int stdout_fd; /* the terminal */
};

/*
 * From here on standard output goes to the pager, if it is a terminal, one is wanted and can be
 * started. Whatever depends on the terminal is to be asked for before. A pager that is left early
 * ends the program's output, not the program.
 */
void pager_start(struct pager *p, bool is_wanted);
/* Show what was written, and wait until it was read. Standard output is the terminal again. */
void pager_finish(struct pager *p);

/* The command that would be run, NULL: none. Lent from the environment. */
const char *pager_command(void);
/* Whether its program is installed, as far as one knows without a shell. */
bool pager_exists(const char *command);

#endif

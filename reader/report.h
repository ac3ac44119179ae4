/* SPDX-License-Identifier: BSD-3-Clause */
/* What the subcommands that read a trace have in common: messages, exit statuses, the terminal. */
#ifndef READER_REPORT_H
#define READER_REPORT_H

#include <stddef.h>

struct command;
struct trace;

/*
 * The one TRACE argument of a subcommand, opened.
 * @first  index of the first argument in argv that is not an option
 * Returns EXIT_OK, or having said why not, another exit status.
 */
int report_open(const struct command *cmd, int argc, char **argv, int first, struct trace **ret);

/*
 * Say that a trace is damaged, with what that means for what was printed.
 * @r  a negative errno from reading it
 * Returns the exit status.
 */
int report_damage(const struct trace *t, int r, const char *consequence);

/* Columns of the terminal; 0 when standard output is not one: then nothing need be cut. */
size_t report_width(void);

#endif

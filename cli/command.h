/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A subcommand of `trackexec`: one file, one `const struct command`, one row in cli/main.c.
 * Neither recorder/ nor reader/ knows the other; only cli/main.c knows both.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

struct command {
	const char *name;
	const char *summary; /* one line for `trackexec --help` */
	const char *help;    /* the whole text of `trackexec NAME --help`, 80 columns */
	/* argv[0] is the subcommand's name. Returns the exit status (see enum exit_status). */
	int (*run)(int argc, char **argv);
};

/* Exit statuses of every program here; documented in the README. */
enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1,      /* anything else that went wrong while running */
	EXIT_USAGE = 2,	      /* wrong option or argument */
	EXIT_NO_TRACE = 3,    /* no such trace, not a trace, damaged, or newer than this program */
	EXIT_NOT_ALLOWED = 4, /* not permitted to read the target or write the trace */
	EXIT_NO_PYTHON = 5,   /* the target is not a Python that we know */
};

/* Print "try `trackexec NAME --help`" after a usage error; returns EXIT_USAGE. */
int command_usage_error(const struct command *cmd);

extern const struct command cmd_record;
extern const struct command cmd_replay;
extern const struct command cmd_info;
extern const struct command cmd_analyse;
extern const struct command cmd_exact;
extern const struct command cmd_export;
extern const struct command cmd_report;
extern const struct command cmd_list;
extern const struct command cmd_prune;
extern const struct command cmd_status;

#endif
